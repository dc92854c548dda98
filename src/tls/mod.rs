//! TLS (RFC 8446, RFC 5246) as octets in and octets out. This file and the verifier are the only ones that name rustls.
//!
//! No socket and no clock: the dialogue carries the octets, and the time to verify a certificate by is given.

mod certificate;
mod pem;
pub mod shown;
mod trust;
mod verifier;

use crate::policy::{Security, Verification};
use certificate::Unfit;
use memchr::memmem;
use pem::FORM;
use qmail_auth::secret::Secret;
use rustls::client::{ResolvesClientCert, Resumption};
use rustls::crypto::{CryptoProvider, ring};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use rustls::sign::CertifiedKey;
use rustls::time_provider::TimeProvider;
use rustls::{
    AlertDescription, CertificateError, CipherSuite, ClientConfig, ClientConnection, Error, ProtocolVersion,
    SignatureScheme,
};
use std::io::{Read, Write};
use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use trust::{Standing, Trusted};
use verifier::Verifier;

/// Why there is no TLS, in words with what to do about it.
#[derive(Debug)]
pub enum Failure {
    /// Something of ours: a file that is missing or not what it should be.
    SetUp(String),
    /// The relay's doing, or that of someone on the way.
    Relay(String),
    /// The same: octets that are no TLS at all.
    NotTls(String),
}

/// One TLS connection.
pub struct Session {
    connection: ClientConnection,
    verifier: Arc<Verifier>,
    client: Option<Arc<ClientCertificate>>,
    closed: bool,
}

impl Session {
    /// Begins with the relay of this name and address. `unix` is the time to verify its certificate by.
    pub fn start(
        security: &Security,
        verification: Verification,
        (name, peer): (&str, IpAddr),
        unix: u64,
    ) -> Result<Session, Failure> {
        let mut provider = ring::default_provider();
        // The one that all must have (RFC 8446 section 9.1) computes least.
        provider.cipher_suites.sort_by_key(|suite| suite.suite() != CipherSuite::TLS13_AES_128_GCM_SHA256);
        let provider = Arc::new(provider);
        let verifier = Arc::new(Verifier::new(security, verification, &provider));
        let name = ServerName::try_from(name.strip_suffix('.').unwrap_or(name).to_owned())
            .or_else(|error| if verification == Verification::Off { Ok(peer.into()) } else { Err(error) })
            .map_err(|_| {
                Failure::SetUp(format!("no certificate can be for the name {name}; use another in the route"))
            })?;
        let client = ClientCertificate::read(security, &provider)?.map(Arc::new);
        let clock = Arc::new(GivenTime(UnixTime::since_unix_epoch(Duration::from_secs(unix))));
        let builder = ClientConfig::builder_with_details(provider, clock)
            .with_safe_default_protocol_versions() // 1.3 and 1.2
            .map_err(|error| set_up(&error))?
            .dangerous() // which is to say: by our own verifier
            .with_custom_certificate_verifier(verifier.clone());
        let mut config = match client.clone() {
            None => builder.with_no_client_auth(),
            Some(client) => builder.with_client_cert_resolver(client),
        };
        config.resumption = Resumption::disabled(); // the next message has a process of its own
        let mut connection = ClientConnection::new(Arc::new(config), name).map_err(|error| set_up(&error))?;
        connection.set_buffer_limit(None); // the channel asks for more of the message only when little is pending
        Ok(Session { connection, verifier, client, closed: false })
    }

    /// Takes octets from the relay and adds what they say to `plain`. Both hold for a failure too: what was said before it
    /// counts.
    pub fn receive(&mut self, mut octets: &[u8], plain: &mut Vec<u8>) -> Result<(), Failure> {
        while !octets.is_empty() && !self.closed {
            let taken = self.connection.read_tls(&mut octets);
            let state = self.connection.process_new_packets();
            let _ = self.connection.reader().read_to_end(plain); // it ends in WouldBlock, or where the relay closed
            self.closed = state.map_err(|error| self.failure(&error))?.peer_has_closed();
            taken.map_err(|error| Failure::Relay(format!("the relay's TLS cannot be understood ({error})")))?;
        }
        Ok(())
    }

    /// Encrypts `plain`. [`Session::take`] gives the octets. After a failure it must not be called.
    pub fn send(&mut self, plain: &[u8]) {
        let _ = self.connection.writer().write_all(plain); // there is no limit, so it takes all or has failed before
    }

    /// Says that nothing more is sent.
    pub fn send_close(&mut self) {
        self.connection.send_close_notify();
    }

    /// Adds the octets to send to `out`.
    pub fn take(&mut self, out: &mut Vec<u8>) {
        while self.connection.wants_write() {
            self.connection.write_tls(out).expect("a vector takes all");
        }
    }

    /// The handshake is not yet over.
    pub fn is_handshaking(&self) -> bool {
        self.connection.is_handshaking()
    }

    /// The relay says nothing more.
    pub fn is_closed(&self) -> bool {
        self.closed
    }

    /// `TLSv1.3` or `TLSv1.2`.
    pub fn version(&self) -> &'static str {
        match self.connection.protocol_version() {
            Some(ProtocolVersion::TLSv1_3) => "TLSv1.3",
            _ => "TLSv1.2", // there is no third
        }
    }

    /// The relay's certificate was looked at, and it is good.
    pub fn is_verified(&self) -> bool {
        matches!(self.verifier.finding.get(), Some(Ok(())))
    }

    /// The relay asked for our certificate, so it was shown.
    pub fn showed_certificate(&self) -> bool {
        self.client.as_ref().is_some_and(|client| client.shown.load(Ordering::Relaxed))
    }

    /// What is wrong with the relay's certificate.
    pub fn complaint(&self) -> Option<&str> {
        match self.verifier.finding.get() {
            Some(Err(Failure::Relay(why))) => Some(why),
            _ => None,
        }
    }

    /// `TLS_AES_128_GCM_SHA256`, once that is agreed on.
    pub fn cipher(&self) -> Option<String> {
        let suite = self.connection.negotiated_cipher_suite()?.suite();
        Some(format!("{suite:?}").replace("TLS13_", "TLS_")) // the registered name
    }

    /// The relay's certificate in DER, good or not.
    pub fn certificate(&self) -> Option<&[u8]> {
        let accepted = self.connection.peer_certificates().and_then(<[_]>::first);
        accepted.or_else(|| self.verifier.rejected.get()).map(AsRef::as_ref)
    }

    /// Where the CAs are, and who says so.
    pub fn trusted(&self) -> String {
        self.verifier.trusted.file.to_string()
    }

    fn failure(&self, error: &Error) -> Failure {
        match self.verifier.finding.get() {
            Some(Err(Failure::SetUp(why))) => return Failure::SetUp(why.clone()),
            Some(Err(Failure::Relay(why))) if self.verifier.verification == Verification::Required => {
                return Failure::Relay(format!("its certificate does not verify: {why}"));
            }
            _ => {}
        }
        const OLD: &str = "no common version: the relay knows neither TLS 1.3 nor 1.2; it must be brought up to date";
        use rustls::InvalidMessage::{InvalidContentType, MessageTooLarge, UnknownProtocolVersion};
        Failure::Relay(match error {
            Error::AlertReceived(AlertDescription::ProtocolVersion) => OLD.to_owned(),
            Error::PeerIncompatible(rustls::PeerIncompatible::ServerDoesNotSupportTls12Or13) => OLD.to_owned(),
            Error::AlertReceived(alert) => format!("the relay ended it (alert {alert:?}); its log says why"),
            Error::InvalidCertificate(CertificateError::BadSignature) => {
                "the relay does not prove that it has its certificate's key, or the key is too short".to_owned()
            }
            Error::InvalidMessage(what @ (InvalidContentType | MessageTooLarge | UnknownProtocolVersion)) => {
                return Failure::NotTls(format!("what came is no TLS ({what:?})"));
            }
            Error::PeerIncompatible(what) => {
                format!("nothing in common ({what:?}); the relay must be brought up to date")
            }
            other => other.to_string(),
        })
    }
}

/// What is wrong with the PEM files for a relay, in the words of a report, as far as that shows without its certificate.
pub fn faults(security: &Security, verification: Verification) -> Vec<String> {
    let client = ClientCertificate::read(security, &ring::default_provider()).err();
    let cas = match verification {
        Verification::Off => None,
        _ => Trusted::of(security).each(&[], 0, |_, _| {}).err(),
    };
    let words = |failure| match failure {
        Failure::SetUp(why) | Failure::Relay(why) | Failure::NotTls(why) => why,
    };
    client.into_iter().map(words).chain(cas).collect()
}

/// What is trusted for a relay at a Unix time.
#[derive(Default)]
pub struct Cas {
    /// Those whose time is over.
    pub expired: Vec<String>,
    /// Certificates that do not say that they are a CA's, where only a CA's counts.
    pub no_cas: Vec<String>,
    /// There are others.
    pub has_fit: bool,
}

/// What stands in the PEM file whose CAs are trusted for a relay.
pub fn cas(security: &Security, unix: u64) -> Cas {
    let mut found = Cas::default();
    let _ = Trusted::of(security).each(&[&[]], unix, |certificate, standing| {
        let subject = certificate::subject(certificate).unwrap_or_default();
        let until = certificate::validity(certificate).map_or(0, |(_, until)| until);
        match standing {
            Standing::Unfit(Unfit::NoCa) => found.no_cas.push(subject),
            _ if unix > until => found.expired.push(format!("{subject} at {}", certificate::date(until))),
            Standing::Unfit(_) => {}
            Standing::Anchor | Standing::Itself => found.has_fit = true,
        }
    });
    found
}

fn set_up(error: &Error) -> Failure {
    Failure::SetUp(error.to_string())
}

#[derive(Debug)]
struct GivenTime(UnixTime);

impl TimeProvider for GivenTime {
    fn current_time(&self) -> Option<UnixTime> {
        Some(self.0)
    }
}

/// Our certificate, for a relay that asks for one.
#[derive(Debug)]
struct ClientCertificate {
    certificate: Arc<CertifiedKey>,
    shown: AtomicBool,
}

impl ClientCertificate {
    fn read(security: &Security, provider: &CryptoProvider) -> Result<Option<ClientCertificate>, Failure> {
        let Some((file, key_file)) = &security.client else { return Ok(None) };
        let chain = pem::chain(file).map_err(Failure::SetUp)?.into_iter().map(CertificateDer::from).collect();
        let text = Secret::from(pem::text(key_file).map_err(Failure::SetUp)?);
        // At each line of BEGIN, since a mark, or the end of a certificate, may stand before it.
        let key =
            memmem::find_iter(&text, "-----BEGIN ").find_map(|at| PrivateKeyDer::from_pem_slice(&text[at..]).ok());
        let key =
            key.ok_or_else(|| Failure::SetUp(format!("{key_file}: no key in it {FORM}, or one that is encrypted")))?;
        let certificate = CertifiedKey::from_der(chain, key, provider)
            .map_err(|error| Failure::SetUp(format!("{file} and {key_file} do not go together: {error}")))?;
        Ok(Some(ClientCertificate { certificate: Arc::new(certificate), shown: AtomicBool::new(false) }))
    }
}

impl ResolvesClientCert for ClientCertificate {
    fn resolve(&self, _issuers: &[&[u8]], schemes: &[SignatureScheme]) -> Option<Arc<CertifiedKey>> {
        self.certificate.key.choose_scheme(schemes)?; // without one the handshake would go on and show none
        self.shown.store(true, Ordering::Relaxed);
        Some(self.certificate.clone())
    }

    fn has_certs(&self) -> bool {
        true
    }
}
