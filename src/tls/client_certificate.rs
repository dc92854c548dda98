//! The client certificate and its key (RFC 8446 section 4.4.2).

use super::certificate::VerifyError;
use super::{library, pem};
use crate::cause::tls::{PemCause, TlsCause};
use crate::policy::{PemFile, Security};
use memchr::memmem;
use qmail_auth::secret::Secret;
use rustls::client::ResolvesClientCert;
use rustls::crypto::CryptoProvider;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::sign::CertifiedKey;
use rustls::{Error, SignatureScheme};
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
        let text = Secret::from(pem::read(key_file, true)?);
        // The key may stand anywhere in the file, behind a byte order mark or a certificate. So each BEGIN is tried.
        let key =
            memmem::find_iter(&text, "-----BEGIN ").find_map(|at| PrivateKeyDer::from_pem_slice(&text[at..]).ok());
        let key = key.ok_or_else(|| pem::wrong(key_file, PemCause::NoKey))?;
        let certificate =
            CertifiedKey::from_der(chain, key, provider).map_err(|error| unusable(&error, file, key_file))?;
        Ok(Some(ClientCertificate { certificate: Arc::new(certificate), is_shown: AtomicBool::new(false) }))
    }

    /// Whether it was shown, that is, the relay has asked for it.
    pub fn is_shown(&self) -> bool {
        self.is_shown.load(Ordering::Relaxed)
    }
}

/// Why certificate and key cannot be used.
fn unusable(error: &Error, file: &PemFile, key_file: &PemFile) -> TlsCause {
    match (error, library::verify_error(error)) {
        (Error::General(_), _) => pem::wrong(key_file, PemCause::KeyOfNoUse), // what the crypto provider says of a key
        (_, VerifyError::Flaw(what)) => pem::wrong(file, PemCause::FirstCertificate { what }),
        (Error::InconsistentKeys(_), _) => {
            TlsCause::NotAPair { certificate: file.to_string(), key: key_file.to_string() }
        }
        _ => TlsCause::Library { name: library::name(error) },
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
