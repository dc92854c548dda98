//! TLS (RFC 8446, RFC 5246) as octets in and octets out. The only file that names rustls.
//!
//! No socket and no clock: the dialogue carries the octets, and the time to verify a certificate by is given. The CAs are
//! read inside the verifier, so only when a chain has come that is to be verified.

mod certificate;
mod pem;
pub mod policy;
pub mod shown;

use crate::report::os_error;
use certificate::{Examined, Flaw};
use pem::FORM;
use policy::{Check, PemFile, Security};
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::{ResolvesClientCert, Resumption, verify_server_cert_signed_by_trust_anchor, verify_server_name};
use rustls::crypto::{CryptoProvider, WebPkiSupportedAlgorithms, ring, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::pem::{Error::Io, PemObject};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use rustls::server::ParsedCertificate;
use rustls::sign::CertifiedKey;
use rustls::time_provider::TimeProvider;
use rustls::{
    AlertDescription, CertificateError, CipherSuite, ClientConfig, ClientConnection, DigitallySignedStruct, Error,
    ProtocolVersion, RootCertStore, SignatureScheme,
};
use std::fmt;
use std::io::{Read, Write};
use std::net::IpAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;
use webpki::EndEntityCert;

/// What Debian's package ca-certificates makes.
const BUNDLE: &str = "/etc/ssl/certs/ca-certificates.crt";

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
        check: Check,
        (name, peer): (&str, IpAddr),
        unix: u64,
    ) -> Result<Session, Failure> {
        let mut provider = ring::default_provider();
        // The one that all must have (RFC 8446 section 9.1) computes least.
        provider.cipher_suites.sort_by_key(|suite| suite.suite() != CipherSuite::TLS13_AES_128_GCM_SHA256);
        let provider = Arc::new(provider);
        let verifier = Arc::new(Verifier::new(security, check, &provider));
        let name = ServerName::try_from(name.strip_suffix('.').unwrap_or(name).to_owned())
            .or_else(|error| if check == Check::Skip { Ok(peer.into()) } else { Err(error) })
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
        self.verifier.trusted().to_string()
    }

    fn failure(&self, error: &Error) -> Failure {
        match self.verifier.finding.get() {
            Some(Err(Failure::SetUp(why))) => return Failure::SetUp(why.clone()),
            Some(Err(Failure::Relay(why))) if self.verifier.check == Check::Must => {
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
pub fn faults(security: &Security, check: Check) -> Vec<String> {
    let provider = ring::default_provider();
    let client = ClientCertificate::read(security, &provider).err();
    let cas = match check {
        Check::Skip => None,
        _ => Verifier::new(security, check, &provider).anchors(&CertificateDer::from(&[][..]), &[]).err(),
    };
    let words = |failure| match failure {
        Failure::SetUp(why) | Failure::Relay(why) | Failure::NotTls(why) => why,
    };
    client.into_iter().chain(cas).map(words).collect()
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
        pem::must_be_regular(key_file).map_err(Failure::SetUp)?;
        let key = PrivateKeyDer::from_pem_file(&key_file.path).map_err(|error| {
            Failure::SetUp(match error {
                Io(error) => format!("{key_file}: {}", os_error(&error)),
                _ => format!("{key_file}: no key in it {FORM}, or one that is encrypted"),
            })
        })?;
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

/// Verifies the relay's certificate as far as the policy asks for it, and remembers what it found.
struct Verifier {
    check: Check,
    cafile: Option<PemFile>,
    /// Where the path of a cafile for this relay would be written.
    place: String,
    algorithms: WebPkiSupportedAlgorithms,
    finding: OnceLock<Result<(), Failure>>,
    /// A certificate that it found no good.
    rejected: OnceLock<CertificateDer<'static>>,
}

impl ServerCertVerifier for Verifier {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        if self.check == Check::Skip {
            return Ok(ServerCertVerified::assertion());
        }
        let (answer, finding) = match self.anchors(end_entity, intermediates) {
            Err(set_up) => (Err(Error::General("no CAs".to_owned())), Err(set_up)),
            Ok((anchors, pinned)) => {
                let chain = Chain { leaf: end_entity, others: intermediates, name: server_name, now };
                match self.verify(&chain, &anchors, pinned) {
                    Ok(()) => (Ok(()), Ok(())),
                    Err(error) => {
                        let examined = Examined {
                            leaf: end_entity,
                            others: intermediates.iter().map(AsRef::as_ref).collect(),
                            name: &server_name.to_str(),
                            trusted: &self.trusted(),
                            pinned,
                            place: &self.place,
                        };
                        let complaint = examined.complaint(&flaw(&error));
                        let answer = if self.check == Check::Look { Ok(()) } else { Err(error) };
                        (answer, Err(Failure::Relay(complaint)))
                    }
                }
            }
        };
        if finding.is_err() {
            let _ = self.rejected.set(end_entity.clone().into_owned());
        }
        let _ = self.finding.set(finding); // there is one handshake, so it is the first
        answer.map(|()| ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        match self.finding.get() {
            Some(Ok(())) => verify_tls12_signature(message, certificate, signature, &self.algorithms),
            _ => Ok(HandshakeSignatureValid::assertion()), // anybody could have signed it
        }
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        match self.finding.get() {
            Some(Ok(())) => verify_tls13_signature(message, certificate, signature, &self.algorithms),
            _ => Ok(HandshakeSignatureValid::assertion()),
        }
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.algorithms.supported_schemes()
    }
}

/// The library demands it, and nobody prints it.
impl fmt::Debug for Verifier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Verifier")
    }
}

/// What the relay sent, and what it is to be verified for.
struct Chain<'a> {
    leaf: &'a CertificateDer<'a>,
    others: &'a [CertificateDer<'a>],
    name: &'a ServerName<'a>,
    now: UnixTime,
}

impl Verifier {
    fn new(security: &Security, check: Check, provider: &CryptoProvider) -> Verifier {
        Verifier {
            check,
            cafile: security.cafile.clone(),
            place: security.cafile_place(),
            algorithms: provider.signature_verification_algorithms,
            finding: OnceLock::new(),
            rejected: OnceLock::new(),
        }
    }

    /// Name and dates; and the issuer, unless the leaf itself is trusted.
    fn verify(&self, chain: &Chain, anchors: &RootCertStore, pinned: bool) -> Result<(), Error> {
        let leaf = ParsedCertificate::try_from(chain.leaf)?;
        if pinned {
            in_time(chain.leaf, chain.now)?;
        } else {
            let algorithms = self.algorithms.all;
            verify_server_cert_signed_by_trust_anchor(&leaf, anchors, chain.others, chain.now, algorithms)?;
        }
        verify_server_name(&leaf, chain.name)
    }

    /// The CAs that can have issued what the relay sent, since the name of an issuer stands in them; and whether the leaf itself
    /// stands among them in a cafile. What cannot be parsed is passed over.
    fn anchors(&self, leaf: &CertificateDer, others: &[CertificateDer]) -> Result<(RootCertStore, bool), Failure> {
        let file = self.trusted();
        let text = pem::text(&file).map_err(|why| self.no_cas(why))?;
        let sent = [leaf].into_iter().chain(others).map(|sent| (sent, EndEntityCert::try_from(sent)));
        let sent: Vec<_> = sent.collect();
        // One that cannot be parsed may stand there itself, and its report says so.
        let parts = sent.iter().map(|(sent, parsed)| parsed.as_ref().map_or(sent.as_ref(), |parsed| parsed.issuer()));
        let (mut anchors, mut pinned, mut is_empty) = (RootCertStore::empty(), false, true);
        pem::each_with(&parts.collect::<Vec<_>>(), &text, |certificate| {
            is_empty = false;
            let Some(certificate) = certificate else { return };
            pinned |= self.cafile.is_some() && certificate == leaf.as_ref();
            if self.cafile.is_none() || certificate::vouches_for_others(certificate) {
                let _ = anchors.add(CertificateDer::from(certificate.to_vec()));
            }
        });
        match is_empty {
            true => Err(self.no_cas(format!("{file}: no certificate in it {FORM}"))),
            false => Ok((anchors, pinned)),
        }
    }

    /// Where the CAs are.
    fn trusted(&self) -> PemFile {
        let bundle = || PemFile { path: BUNDLE.into(), source: "Debian's package ca-certificates".to_owned() };
        self.cafile.clone().unwrap_or_else(bundle)
    }

    fn no_cas(&self, why: String) -> Failure {
        Failure::SetUp(match self.cafile {
            None => format!("no CAs to verify the relay's certificate with: {why}; install that package"),
            Some(_) => why,
        })
    }
}

/// Why a certificate does not verify, for its report.
fn flaw(error: &Error) -> Flaw {
    match error {
        Error::InvalidCertificate(CertificateError::ExpiredContext { not_after, .. }) => {
            Flaw::Expired(not_after.as_secs())
        }
        Error::InvalidCertificate(CertificateError::NotValidYetContext { not_before, .. }) => {
            Flaw::NotYetValid(not_before.as_secs())
        }
        Error::InvalidCertificate(CertificateError::NotValidForNameContext { .. }) => Flaw::WrongName,
        Error::InvalidCertificate(CertificateError::UnknownIssuer) => Flaw::UnknownIssuer,
        Error::InvalidCertificate(CertificateError::BadSignature) => Flaw::OtherKey,
        other => Flaw::Other(other.to_string()),
    }
}

/// The dates of a certificate that is trusted itself.
fn in_time(leaf: &CertificateDer, now: UnixTime) -> Result<(), CertificateError> {
    let (from, until) = certificate::validity(leaf).ok_or(CertificateError::BadEncoding)?;
    let limit = |seconds| UnixTime::since_unix_epoch(Duration::from_secs(seconds));
    match now.as_secs() {
        time if time < from => Err(CertificateError::NotValidYetContext { time: now, not_before: limit(from) }),
        time if time > until => Err(CertificateError::ExpiredContext { time: now, not_after: limit(until) }),
        _ => Ok(()),
    }
}
