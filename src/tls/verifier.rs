//! Whether the relay's certificate verifies. The CAs are read here, so only when a chain has come that is to be verified.

use super::Failure;
use super::certificate::{self, Rejected, Unfit, VerifyError};
use super::trust::{Standing, Trusted};
use crate::cause::tls::{CertificateCause, TlsCause};
use crate::policy::{Security, Verification};
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::{verify_server_cert_signed_by_trust_anchor, verify_server_name};
use rustls::crypto::{CryptoProvider, WebPkiSupportedAlgorithms, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::server::ParsedCertificate;
use rustls::{CertificateError, DigitallySignedStruct, Error, RootCertStore, SignatureScheme};
use std::fmt;
use std::sync::OnceLock;
use std::time::Duration;
use webpki::EndEntityCert;

/// Verifies the relay's certificate as far as the policy asks for it, and remembers the result.
pub struct Verifier {
    /// How far that is.
    pub verification: Verification,
    /// Whom to trust.
    pub trusted: Trusted,
    /// Where the path of a cafile for this relay would be written.
    place: String,
    algorithms: WebPkiSupportedAlgorithms,
    /// The result, once there is one: the TLS library would forget what an advisory one said.
    pub result: OnceLock<Result<(), Failure>>,
    /// A certificate that does not verify.
    pub rejected: OnceLock<CertificateDer<'static>>,
}

/// What the relay sent, and what it is verified for.
struct Chain<'a> {
    end_entity: &'a CertificateDer<'a>,
    intermediates: &'a [CertificateDer<'a>],
    server_name: &'a ServerName<'a>,
    now: UnixTime,
}

/// What is trusted that can have issued a chain.
struct Anchors {
    roots: RootCertStore,
    /// The end entity's certificate itself stands there.
    pinned: bool,
    /// What stands there and is no anchor, and why.
    unfit: Vec<(Vec<u8>, Unfit)>,
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
        if self.verification == Verification::Off {
            return Ok(ServerCertVerified::assertion());
        }
        let chain = Chain { end_entity, intermediates, server_name, now };
        let (answer, result) = match self.anchors(&chain) {
            Err(set_up) => (Err(Error::General("no CAs".to_owned())), Err(Failure::SetUp(set_up))),
            Ok(anchors) => match self.verify(&chain, &anchors) {
                Ok(()) => (Ok(()), Ok(())),
                Err(error) => {
                    let why = self.diagnosis(&chain, anchors, &error);
                    let answer = if self.verification == Verification::Advisory { Ok(()) } else { Err(error) };
                    (answer, Err(Failure::Relay(TlsCause::Certificate { why })))
                }
            },
        };
        if result.is_err() {
            let _ = self.rejected.set(end_entity.clone().into_owned());
        }
        let _ = self.result.set(result); // there is one handshake, so it is the first
        answer.map(|()| ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.signature(|| verify_tls12_signature(message, cert, dss, &self.algorithms))
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.signature(|| verify_tls13_signature(message, cert, dss, &self.algorithms))
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.algorithms.supported_schemes()
    }
}

/// The trait demands it, and nobody prints it.
impl fmt::Debug for Verifier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Verifier")
    }
}

impl Verifier {
    /// For a relay with these settings.
    pub fn new(security: &Security, verification: Verification, provider: &CryptoProvider) -> Verifier {
        Verifier {
            verification,
            trusted: Trusted::of(security),
            place: security.cafile_place(),
            algorithms: provider.signature_verification_algorithms,
            result: OnceLock::new(),
            rejected: OnceLock::new(),
        }
    }

    /// A signature counts where the certificate verifies. With another anybody could have made it.
    fn signature(
        &self,
        verify: impl FnOnce() -> Result<HandshakeSignatureValid, Error>,
    ) -> Result<HandshakeSignatureValid, Error> {
        match self.result.get() {
            Some(Ok(())) => verify(),
            _ => Ok(HandshakeSignatureValid::assertion()),
        }
    }

    /// Name and dates; and the issuer, unless the certificate itself is trusted.
    fn verify(&self, chain: &Chain, anchors: &Anchors) -> Result<(), Error> {
        let end_entity = ParsedCertificate::try_from(chain.end_entity)?;
        if anchors.pinned {
            verify_dates(chain.end_entity, chain.now)?;
        } else {
            self.verify_issuer(&end_entity, chain, &anchors.roots)?;
        }
        verify_server_name(&end_entity, chain.server_name)
    }

    fn verify_issuer(&self, end_entity: &ParsedCertificate, chain: &Chain, roots: &RootCertStore) -> Result<(), Error> {
        let Chain { intermediates, now, .. } = chain;
        verify_server_cert_signed_by_trust_anchor(end_entity, roots, intermediates, *now, self.algorithms.all)
    }

    /// The CAs that can have issued what the relay sent, since the name of an issuer stands in them; and whether its certificate itself
    /// stands among them in a cafile.
    fn anchors(&self, chain: &Chain) -> Result<Anchors, TlsCause> {
        let sent = [chain.end_entity].into_iter().chain(chain.intermediates);
        let sent: Vec<_> = sent.map(|sent| (sent, EndEntityCert::try_from(sent))).collect();
        // One that cannot be parsed may stand there itself, and its report says so.
        let parts = sent.iter().map(|(sent, parsed)| parsed.as_ref().map_or(sent.as_ref(), |parsed| parsed.issuer()));
        let mut found = Anchors { roots: RootCertStore::empty(), pinned: false, unfit: Vec::new() };
        self.trusted.for_each(&parts.collect::<Vec<_>>(), chain.now.as_secs(), |certificate, standing| {
            found.pinned |= self.trusted.can_pin() && certificate == chain.end_entity.as_ref();
            match standing {
                Standing::Anchor => drop(found.roots.add(CertificateDer::from(certificate))),
                Standing::Unfit(why) => found.unfit.push((certificate.to_vec(), why)),
                Standing::Itself => {}
            }
        })?;
        Ok(found)
    }

    /// Why the chain does not verify, in the words of a report.
    fn diagnosis(&self, chain: &Chain, anchors: Anchors, error: &Error) -> CertificateCause {
        let rejected = Rejected {
            leaf: chain.end_entity,
            others: chain.intermediates.iter().map(AsRef::as_ref).collect(),
            name: &chain.server_name.to_str(),
            trusted: &self.trusted.file,
            pinned: anchors.pinned,
            place: &self.place,
        };
        rejected.diagnosis(&match verify_error(error) {
            VerifyError::WrongName => VerifyError::WrongName, // the issuer is one that is trusted
            error if anchors.pinned => error,
            error => self.unfit_issuer(chain, anchors.unfit).unwrap_or(error),
        })
    }

    /// The chain is issued by one that is no anchor: by which, and why.
    fn unfit_issuer(&self, chain: &Chain, unfit: Vec<(Vec<u8>, Unfit)>) -> Option<VerifyError> {
        let end_entity = ParsedCertificate::try_from(chain.end_entity).ok()?;
        unfit.into_iter().find_map(|(der, why)| {
            let mut alone = RootCertStore::empty();
            alone.add(CertificateDer::from(&der[..])).ok()?;
            self.verify_issuer(&end_entity, chain, &alone).ok()?;
            Some(VerifyError::UnfitCa(certificate::subject(&der)?, why))
        })
    }
}

/// Why a certificate does not verify, for its report.
fn verify_error(error: &Error) -> VerifyError {
    match error {
        Error::InvalidCertificate(CertificateError::ExpiredContext { not_after, .. }) => {
            VerifyError::Expired(not_after.as_secs())
        }
        Error::InvalidCertificate(CertificateError::NotValidYetContext { not_before, .. }) => {
            VerifyError::NotYetValid(not_before.as_secs())
        }
        Error::InvalidCertificate(CertificateError::NotValidForNameContext { .. }) => VerifyError::WrongName,
        Error::InvalidCertificate(CertificateError::UnknownIssuer) => VerifyError::UnknownIssuer,
        Error::InvalidCertificate(CertificateError::BadSignature) => VerifyError::OtherKey,
        other => VerifyError::Other(other.to_string()),
    }
}

/// The dates of a certificate that is trusted itself.
fn verify_dates(end_entity: &CertificateDer, now: UnixTime) -> Result<(), CertificateError> {
    let (from, until) = certificate::validity(end_entity).ok_or(CertificateError::BadEncoding)?;
    let limit = |seconds| UnixTime::since_unix_epoch(Duration::from_secs(seconds));
    match now.as_secs() {
        time if time < from => Err(CertificateError::NotValidYetContext { time: now, not_before: limit(from) }),
        time if time > until => Err(CertificateError::ExpiredContext { time: now, not_after: limit(until) }),
        _ => Ok(()),
    }
}
