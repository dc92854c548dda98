//! Whether the relay's certificate verifies. The CAs are read here, so only when a chain has come that is to be verified.

use super::Failure;
use super::certificate::{self, Examined, Flaw, Unfit};
use super::trust::{Standing, Trusted};
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

/// Verifies the relay's certificate as far as the policy asks for it, and remembers what it found.
pub struct Verifier {
    /// How far that is.
    pub verification: Verification,
    /// Whom to trust.
    pub trusted: Trusted,
    /// Where the path of a cafile for this relay would be written.
    place: String,
    algorithms: WebPkiSupportedAlgorithms,
    /// What it found, once it has looked.
    pub finding: OnceLock<Result<(), Failure>>,
    /// A certificate that it found no good.
    pub rejected: OnceLock<CertificateDer<'static>>,
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
        let chain = Chain { leaf: end_entity, others: intermediates, name: server_name, now };
        let (answer, finding) = match self.anchors(&chain) {
            Err(set_up) => (Err(Error::General("no CAs".to_owned())), Err(Failure::SetUp(set_up))),
            Ok(anchors) => match self.verify(&chain, &anchors) {
                Ok(()) => (Ok(()), Ok(())),
                Err(error) => {
                    let examined = Examined {
                        leaf: end_entity,
                        others: intermediates.iter().map(AsRef::as_ref).collect(),
                        name: &server_name.to_str(),
                        trusted: &self.trusted.file,
                        pinned: anchors.pinned,
                        place: &self.place,
                    };
                    let flaw = match flaw(&error) {
                        Flaw::WrongName => Flaw::WrongName, // the issuer is one that is trusted
                        flaw if anchors.pinned => flaw,
                        flaw => self.unfit(&chain, anchors.unfit).unwrap_or(flaw),
                    };
                    let complaint = examined.complaint(&flaw);
                    let answer = if self.verification == Verification::Advisory { Ok(()) } else { Err(error) };
                    (answer, Err(Failure::Relay(complaint)))
                }
            },
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

/// What is trusted that can have issued a chain.
struct Anchors {
    store: RootCertStore,
    /// The leaf itself stands there.
    pinned: bool,
    /// What stands there and is no anchor, and why.
    unfit: Vec<(Vec<u8>, Unfit)>,
}

impl Verifier {
    /// For a relay with these settings.
    pub fn new(security: &Security, verification: Verification, provider: &CryptoProvider) -> Verifier {
        Verifier {
            verification,
            trusted: Trusted::of(security),
            place: security.cafile_place(),
            algorithms: provider.signature_verification_algorithms,
            finding: OnceLock::new(),
            rejected: OnceLock::new(),
        }
    }

    /// Name and dates; and the issuer, unless the leaf itself is trusted.
    fn verify(&self, chain: &Chain, anchors: &Anchors) -> Result<(), Error> {
        let leaf = ParsedCertificate::try_from(chain.leaf)?;
        match anchors.pinned {
            true => in_time(chain.leaf, chain.now)?,
            false => self.issued(&leaf, chain, &anchors.store)?,
        }
        verify_server_name(&leaf, chain.name)
    }

    fn issued(&self, leaf: &ParsedCertificate, chain: &Chain, anchors: &RootCertStore) -> Result<(), Error> {
        verify_server_cert_signed_by_trust_anchor(leaf, anchors, chain.others, chain.now, self.algorithms.all)
    }

    /// The chain is issued by one that is no anchor: by which, and why.
    fn unfit(&self, chain: &Chain, unfit: Vec<(Vec<u8>, Unfit)>) -> Option<Flaw> {
        let leaf = ParsedCertificate::try_from(chain.leaf).ok()?;
        unfit.into_iter().find_map(|(der, why)| {
            let mut alone = RootCertStore::empty();
            alone.add(CertificateDer::from(&der[..])).ok()?;
            self.issued(&leaf, chain, &alone).ok()?;
            Some(Flaw::UnfitCa(certificate::subject(&der)?, why))
        })
    }

    /// The CAs that can have issued what the relay sent, since the name of an issuer stands in them; and whether the leaf itself
    /// stands among them in a cafile.
    fn anchors(&self, chain: &Chain) -> Result<Anchors, String> {
        let sent = [chain.leaf].into_iter().chain(chain.others).map(|sent| (sent, EndEntityCert::try_from(sent)));
        let sent: Vec<_> = sent.collect();
        // One that cannot be parsed may stand there itself, and its report says so.
        let parts = sent.iter().map(|(sent, parsed)| parsed.as_ref().map_or(sent.as_ref(), |parsed| parsed.issuer()));
        let mut found = Anchors { store: RootCertStore::empty(), pinned: false, unfit: Vec::new() };
        self.trusted.each(&parts.collect::<Vec<_>>(), chain.now.as_secs(), |certificate, standing| {
            found.pinned |= self.trusted.can_pin() && certificate == chain.leaf.as_ref();
            match standing {
                Standing::Anchor => drop(found.store.add(CertificateDer::from(certificate))),
                Standing::Unfit(why) => found.unfit.push((certificate.to_vec(), why)),
                Standing::Itself => {}
            }
        })?;
        Ok(found)
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
