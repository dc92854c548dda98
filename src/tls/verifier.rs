//! Verifies the relay's certificate. The CAs are read only then, so a connection without verification does not pay for them.

use super::certificate::{self, Rejected, Unfit, VerifyError};
use super::trust::{Standing, Trusted};
use super::{Failure, library};
use crate::cause::tls::{CertificateCause, Flaw, TlsCause};
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

/// Verifies the relay's certificate as the policy demands, and keeps the result.
pub struct Verifier {
    /// What the policy demands.
    pub verification: Verification,
    /// The file with the CAs.
    pub trusted: Trusted,
    /// The control file to name in advice about the CAs.
    place: String,
    algorithms: WebPkiSupportedAlgorithms,
    /// The result, once there is one. The TLS library does not keep a failure that is only advisory.
    pub result: OnceLock<Result<(), Failure>>,
    /// The relay's certificate if it does not verify. The TLS library forgets it when the handshake fails.
    pub rejected: OnceLock<CertificateDer<'static>>,
    /// Why the relay has not proved that it has its certificate's key, if so.
    pub no_proof: OnceLock<TlsCause>,
}

/// The certificates that the relay sent, and the name and time to verify them for.
struct Chain<'a> {
    end_entity: &'a CertificateDer<'a>,
    intermediates: &'a [CertificateDer<'a>],
    server_name: &'a ServerName<'a>,
    now: UnixTime,
}

/// The certificates of the file that can have issued a chain.
struct Anchors {
    roots: RootCertStore,
    /// The relay's certificate itself is in the file.
    pinned: bool,
    /// The certificates that cannot be anchors, in DER, and why.
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
                    (answer, Err(Failure::Relay(TlsCause::Certificate { why: why.into() })))
                }
            },
        };
        if result.is_err() {
            let _ = self.rejected.set(end_entity.clone().into_owned());
        }
        let _ = self.result.set(result); // set once: there is one handshake
        answer.map(|()| ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.signature(cert, || verify_tls12_signature(message, cert, dss, &self.algorithms))
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.signature(cert, || verify_tls13_signature(message, cert, dss, &self.algorithms))
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.algorithms.supported_schemes()
    }
}

/// Only because [`ServerCertVerifier`] demands it.
impl fmt::Debug for Verifier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Verifier")
    }
}

impl Verifier {
    /// A verifier for a relay with these settings.
    pub fn new(security: &Security, verification: Verification, provider: &CryptoProvider) -> Verifier {
        Verifier {
            verification,
            trusted: Trusted::of(security),
            place: security.cafile_place(),
            algorithms: provider.signature_verification_algorithms,
            result: OnceLock::new(),
            rejected: OnceLock::new(),
            no_proof: OnceLock::new(),
        }
    }

    /// Verifies a signature of the handshake, if the certificate was verified. Otherwise the signature proves nothing: anybody can
    /// make a certificate and sign with its key.
    fn signature(
        &self,
        certificate: &CertificateDer,
        verify: impl FnOnce() -> Result<HandshakeSignatureValid, Error>,
    ) -> Result<HandshakeSignatureValid, Error> {
        match self.result.get() {
            Some(Ok(())) => verify().inspect_err(|error| {
                if let Error::InvalidCertificate(_) = error {
                    // The library says the same of a key of a length that it does not take.
                    let _ = self.no_proof.set(match certificate::odd_rsa_key(certificate) {
                        Some(length) => TlsCause::KeyOfRelay { what: Flaw::RsaKey { length } },
                        None => TlsCause::NoProof,
                    });
                }
            }),
            _ => Ok(HandshakeSignatureValid::assertion()),
        }
    }

    /// Verifies name and dates, and the issuer unless the certificate itself is trusted.
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

    /// Finds the CAs that can have issued the relay's certificates: those that contain the name of an issuer. Also finds whether
    /// the relay's own certificate is in the file and may be trusted itself.
    fn anchors(&self, chain: &Chain) -> Result<Anchors, TlsCause> {
        let sent = [chain.end_entity].into_iter().chain(chain.intermediates);
        let sent: Vec<_> = sent.map(|sent| (sent, EndEntityCert::try_from(sent))).collect();
        // A certificate that cannot be parsed is searched for whole: it may be in the file itself, and the report says so.
        let parts = sent.iter().map(|(sent, parsed)| parsed.as_ref().map_or(sent.as_ref(), |parsed| parsed.issuer()));
        let mut found = Anchors { roots: RootCertStore::empty(), pinned: false, unfit: Vec::new() };
        self.trusted.for_each(&parts.collect::<Vec<_>>(), chain.now.as_secs(), |certificate, standing| {
            found.pinned |= self.trusted.can_pin() && certificate == chain.end_entity.as_ref();
            match standing {
                Standing::Anchor => drop(found.roots.add(CertificateDer::from(certificate))),
                Standing::Unfit(why) => found.unfit.push((certificate.to_vec(), why)),
                Standing::Itself(Some(why)) if certificate != chain.end_entity.as_ref() => {
                    found.unfit.push((certificate.to_vec(), why));
                }
                Standing::Itself(_) => {}
            }
        })?;
        Ok(found)
    }

    /// Why the chain does not verify, in the words of a report.
    fn diagnosis(&self, chain: &Chain, anchors: Anchors, error: &Error) -> CertificateCause {
        let end_entity = ParsedCertificate::try_from(chain.end_entity);
        let rejected = Rejected {
            leaf: chain.end_entity,
            others: chain.intermediates.iter().map(AsRef::as_ref).collect(),
            name: &chain.server_name.to_str(),
            trusted: &self.trusted.file,
            pinned: anchors.pinned,
            place: &self.place,
            is_readable: end_entity.is_ok(),
            are_others_readable: chain.intermediates.iter().all(|other| EndEntityCert::try_from(other).is_ok()),
            has_name: end_entity.is_ok_and(|parsed| verify_server_name(&parsed, chain.server_name).is_ok()),
        };
        rejected.diagnosis(match library::verify_error(error) {
            VerifyError::WrongName => VerifyError::WrongName, // then the issuer is trusted
            error if anchors.pinned => error,
            error => match (self.unfit_issuer(chain, anchors.unfit), error) {
                (Some(unfit), _) => unfit,
                // Then it would not verify with that CA's certificate either.
                (None, error @ (VerifyError::OtherKey | VerifyError::UnknownIssuer)) => {
                    let odd = odd_key_of_ca(chain, &anchors.roots);
                    odd.or_else(|| certificate::odd_signature(chain.end_entity)).unwrap_or(error)
                }
                (None, error) => error,
            },
        })
    }

    /// The certificate of the file that has issued the chain but cannot be an anchor, and why. None: there is none.
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

/// A CA of the chain with an RSA key of a length that the library does not take. It calls a signature by such a key a bad one.
fn odd_key_of_ca(chain: &Chain, roots: &RootCertStore) -> Option<VerifyError> {
    let mut certificate = chain.end_entity;
    for _ in 0..=chain.intermediates.len() {
        let parsed = EndEntityCert::try_from(certificate).ok()?;
        if parsed.issuer() == parsed.subject() {
            return None; // nobody needs what it says of itself
        }
        if let Some(odd) = certificate::odd_rsa_issuer(certificate) {
            return Some(odd);
        }
        if roots.roots.iter().any(|root| root.subject.as_ref() == parsed.issuer()) {
            return None;
        }
        let issued = |other: &&CertificateDer| {
            EndEntityCert::try_from(*other).is_ok_and(|other| other.subject() == parsed.issuer())
        };
        certificate = chain.intermediates.iter().find(issued)?;
    }
    None
}

/// Verifies the dates of a certificate that is trusted itself: the library would also demand an issuer.
fn verify_dates(end_entity: &CertificateDer, now: UnixTime) -> Result<(), CertificateError> {
    let (from, until) = certificate::validity(end_entity).ok_or(CertificateError::BadEncoding)?;
    let limit = |seconds| UnixTime::since_unix_epoch(Duration::from_secs(seconds));
    match now.as_secs() {
        time if time < from => Err(CertificateError::NotValidYetContext { time: now, not_before: limit(from) }),
        time if time > until => Err(CertificateError::ExpiredContext { time: now, not_after: limit(until) }),
        _ => Ok(()),
    }
}
