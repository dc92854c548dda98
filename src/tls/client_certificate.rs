//! The client certificate and its key (RFC 8446 section 4.4.2).

use super::pem;
use crate::cause::tls::{PemCause, TlsCause};
use crate::policy::Security;
use memchr::memmem;
use qmail_auth::secret::Secret;
use rustls::SignatureScheme;
use rustls::client::ResolvesClientCert;
use rustls::crypto::CryptoProvider;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::sign::CertifiedKey;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// A client certificate. It is shown to a relay that asks for one (RFC 8446 section 4.3.2).
#[derive(Debug)]
pub struct ClientCertificate {
    certificate: Arc<CertifiedKey>,
    /// The relay has asked for it. Atomic, since rustls takes it as shared.
    is_shown: AtomicBool,
}

impl ClientCertificate {
    /// Reads the certificate and the key that are configured for a relay. None: there are none. Fails if they cannot be used.
    pub fn read(security: &Security, provider: &CryptoProvider) -> Result<Option<ClientCertificate>, TlsCause> {
        let Some((file, key_file)) = &security.client else { return Ok(None) };
        let chain = pem::chain(file)?.into_iter().map(CertificateDer::from).collect();
        let text = Secret::from(pem::read(key_file)?);
        // The key may stand anywhere in the file, behind a byte order mark or a certificate. So each BEGIN is tried.
        let key =
            memmem::find_iter(&text, "-----BEGIN ").find_map(|at| PrivateKeyDer::from_pem_slice(&text[at..]).ok());
        let key = key.ok_or_else(|| pem::wrong(key_file, PemCause::NoKey))?;
        let certificate = CertifiedKey::from_der(chain, key, provider).map_err(|error| {
            let (certificate, key, why) = (file.to_string(), key_file.to_string(), error.to_string());
            TlsCause::NotAPair { certificate, key, why }
        })?;
        Ok(Some(ClientCertificate { certificate: Arc::new(certificate), is_shown: AtomicBool::new(false) }))
    }

    /// Whether it was shown, that is, the relay has asked for it.
    pub fn is_shown(&self) -> bool {
        self.is_shown.load(Ordering::Relaxed)
    }
}

impl ResolvesClientCert for ClientCertificate {
    fn resolve(&self, _root_hint_subjects: &[&[u8]], sigschemes: &[SignatureScheme]) -> Option<Arc<CertifiedKey>> {
        self.certificate.key.choose_scheme(sigschemes)?; // if no scheme fits, the handshake goes on without a certificate
        self.is_shown.store(true, Ordering::Relaxed);
        Some(self.certificate.clone())
    }

    fn has_certs(&self) -> bool {
        true
    }
}
