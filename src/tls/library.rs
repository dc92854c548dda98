//! The errors of the TLS library in words of a report. The library's own words are for programmers: they can have the octets of a
//! certificate, and a thousand characters. An error for which there are no words is shown by the name of its variant alone, and so is
//! one that a later version of the library adds: by `Other` where it is not in one of the inner enums.

use super::Failure;
use super::certificate::VerifyError;
use super::oid;
use crate::cause::tls::{ChainFlaw, Flaw, TlsCause};
use rustls::{AlertDescription, CertificateError, Error, InvalidMessage, PeerIncompatible};
use std::fmt::Debug;

/// The longest name that is shown, in octets: no variant has a longer one.
const LONGEST: usize = 60;

/// Why a connection failed.
pub fn failure(error: &Error) -> Failure {
    use InvalidMessage::{CertificatePayloadTooLarge, HandshakePayloadTooLarge};
    use InvalidMessage::{InvalidContentType, MessageTooLarge, UnknownProtocolVersion};
    Failure::Relay(match error {
        Error::AlertReceived(AlertDescription::ProtocolVersion)
        | Error::PeerIncompatible(PeerIncompatible::ServerDoesNotSupportTls12Or13) => TlsCause::OldVersions,
        Error::AlertReceived(alert) => TlsCause::Alert { alert: alert_name(*alert) },
        Error::InvalidMessage(InvalidContentType | MessageTooLarge | UnknownProtocolVersion) => {
            return Failure::NotTls(TlsCause::NotTls { name: name(error) });
        }
        Error::InvalidMessage(CertificatePayloadTooLarge | HandshakePayloadTooLarge) => TlsCause::TooLarge,
        Error::PeerIncompatible(_) => TlsCause::NothingInCommon { name: name(error) },
        Error::InappropriateMessage { .. }
        | Error::InappropriateHandshakeMessage { .. }
        | Error::InvalidEncryptedClientHello(_)
        | Error::InvalidMessage(_)
        | Error::NoCertificatesPresented
        | Error::DecryptError
        | Error::PeerMisbehaved(_)
        | Error::InvalidCertificate(_)
        | Error::InvalidCertRevocationList(_)
        | Error::PeerSentOversizedRecord
        | Error::NoApplicationProtocol => TlsCause::NotUnderstood { name: name(error) },
        _ => TlsCause::Library { name: name(error) },
    })
}

/// Why a certificate does not verify.
pub fn verify_error(error: &Error) -> VerifyError {
    use CertificateError as Of;
    let Error::InvalidCertificate(of) = error else { return VerifyError::Other(name(error)) };
    match of {
        Of::ExpiredContext { not_after, .. } => VerifyError::Expired(not_after.as_secs()),
        Of::NotValidYetContext { not_before, .. } => VerifyError::NotYetValid(not_before.as_secs()),
        Of::NotValidForName | Of::NotValidForNameContext { .. } => VerifyError::WrongName,
        Of::UnknownIssuer => VerifyError::UnknownIssuer,
        Of::BadSignature => VerifyError::OtherKey,
        Of::BadEncoding => VerifyError::Flaw(Flaw::Malformed),
        Of::Expired => VerifyError::Flaw(Flaw::NeverValid), // with a time it would be ExpiredContext
        Of::UnhandledCriticalExtension => VerifyError::Flaw(Flaw::CriticalExtension),
        Of::InvalidPurpose | Of::InvalidPurposeContext { .. } => VerifyError::Flaw(Flaw::NotForServers),
        Of::UnsupportedSignatureAlgorithmContext { signature_algorithm_id: id, .. } => {
            VerifyError::Flaw(Flaw::Signature { algorithm: oid::algorithm(id) })
        }
        Of::UnsupportedSignatureAlgorithmForPublicKeyContext {
            signature_algorithm_id: id,
            public_key_algorithm_id: key,
        } => VerifyError::Flaw(Flaw::SignatureByKey { algorithm: oid::algorithm(id), key: oid::algorithm(key) }),
        Of::Other(other) => other.0.downcast_ref().map_or_else(|| VerifyError::Other(name(error)), webpki_error),
        _ => VerifyError::Other(name(error)),
    }
}

/// The errors for which rustls has no variant of its own.
fn webpki_error(error: &webpki::Error) -> VerifyError {
    use webpki::Error as Of;
    match error {
        Of::BadDer
        | Of::BadDerTime
        | Of::ExtensionValueInvalid
        | Of::InvalidNetworkMaskConstraint
        | Of::InvalidSerialNumber
        | Of::MalformedDnsIdentifier
        | Of::MalformedExtensions
        | Of::MalformedNameConstraint
        | Of::SignatureAlgorithmMismatch
        | Of::TrailingData(_) => VerifyError::Flaw(Flaw::Malformed),
        Of::UnsupportedCertVersion => VerifyError::Flaw(Flaw::NotVersion3),
        Of::UnsupportedCriticalExtension => VerifyError::Flaw(Flaw::CriticalExtension),
        Of::InvalidCertValidity => VerifyError::Flaw(Flaw::NeverValid),
        Of::EmptyEkuExtension => VerifyError::Flaw(Flaw::NotForServers),
        Of::EndEntityUsedAsCa => VerifyError::Chain(ChainFlaw::NotACa),
        Of::NameConstraintViolation => VerifyError::Chain(ChainFlaw::Names),
        Of::PathLenConstraintViolated => VerifyError::Chain(ChainFlaw::Length),
        Of::MaximumPathDepthExceeded => VerifyError::Chain(ChainFlaw::Depth),
        Of::MaximumNameConstraintComparisonsExceeded
        | Of::MaximumPathBuildCallsExceeded
        | Of::MaximumSignatureChecksExceeded => VerifyError::Chain(ChainFlaw::Effort),
        other => VerifyError::Other(variant(other)),
    }
}

/// The name of the innermost variant: `MissingKeyShare`.
pub fn name(error: &Error) -> String {
    match error {
        Error::InvalidMessage(what) => variant(what),
        Error::PeerIncompatible(what) => variant(what),
        Error::PeerMisbehaved(what) => variant(what),
        Error::AlertReceived(alert) => alert_name(*alert),
        Error::InvalidCertificate(CertificateError::Other(other)) => {
            other.0.downcast_ref::<webpki::Error>().map_or_else(|| "Other".to_owned(), |error| variant(error))
        }
        Error::InvalidCertificate(what) => variant(what),
        Error::InvalidCertRevocationList(what) => variant(what),
        Error::InvalidEncryptedClientHello(what) => variant(what),
        Error::InconsistentKeys(what) => variant(what),
        other => plain_name(other).to_owned(),
    }
}

/// The name of a variant that has no enum of its own in it. Written out, since the library's code for it all is 11 KB.
fn plain_name(error: &Error) -> &'static str {
    match error {
        Error::InappropriateMessage { .. } => "InappropriateMessage",
        Error::InappropriateHandshakeMessage { .. } => "InappropriateHandshakeMessage",
        Error::NoCertificatesPresented => "NoCertificatesPresented",
        Error::UnsupportedNameType => "UnsupportedNameType",
        Error::DecryptError => "DecryptError",
        Error::EncryptError => "EncryptError",
        Error::FailedToGetCurrentTime => "FailedToGetCurrentTime",
        Error::FailedToGetRandomBytes => "FailedToGetRandomBytes",
        Error::HandshakeNotComplete => "HandshakeNotComplete",
        Error::PeerSentOversizedRecord => "PeerSentOversizedRecord",
        Error::NoApplicationProtocol => "NoApplicationProtocol",
        Error::BadMaxFragmentSize => "BadMaxFragmentSize",
        Error::General(_) => "General",
        _ => "Other", // and what a later version of the library adds
    }
}

/// The name of an alert, `HandshakeFailure`, or its number if the library does not know it.
fn alert_name(alert: AlertDescription) -> String {
    match alert {
        AlertDescription::Unknown(number) => number.to_string(),
        known => variant(&known),
    }
}

/// The name of a variant: what its Debug form begins with. Its fields may be anything.
fn variant(value: &dyn Debug) -> String {
    let debug = format!("{value:?}");
    let end = debug.bytes().position(|c| !c.is_ascii_alphanumeric() && c != b'_').unwrap_or(debug.len());
    debug[..end.min(LONGEST)].to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::policy::PemFile;
    use crate::tls::certificate::Rejected;
    use rustls::pki_types::{ServerName, UnixTime, alg_id};
    use rustls::{
        CertRevocationListError, ContentType, EncryptedClientHelloError, ExtendedKeyPurpose, HandshakeType,
        InconsistentKeys, OtherError, PeerMisbehaved,
    };
    use std::sync::Arc;
    use webpki::{DerTypeId, InvalidNameContext};

    macro_rules! all {
        ($of:ty: $($variant:ident),* $(,)?) => { vec![$(<$of>::$variant),*] };
    }

    fn invalid_messages() -> Vec<InvalidMessage> {
        let mut all = all![InvalidMessage: CertificatePayloadTooLarge, HandshakePayloadTooLarge, InvalidCcs, InvalidContentType, InvalidCertificateStatusType, InvalidCertRequest, InvalidDhParams, InvalidEmptyPayload, InvalidKeyUpdate, InvalidServerName, MessageTooLarge, MessageTooShort, MissingKeyExchange, NoSignatureSchemes, UnknownProtocolVersion, UnsupportedCompression, UnsupportedCurveType, EmptyTicketValue, IllegalEmptyValue, PreSharedKeyIsNotFinalExtension, UnknownHelloRetryRequestExtension, UnknownCertificateExtension];
        all.extend([InvalidMessage::MissingData, InvalidMessage::TrailingData].map(|with| with("a [b] {c}")));
        all.extend([InvalidMessage::UnexpectedMessage, InvalidMessage::IllegalEmptyList].map(|with| with("a [b] {c}")));
        all.push(InvalidMessage::DuplicateExtension(65535));
        all
    }

    fn peer_misbehaved() -> Vec<PeerMisbehaved> {
        all![PeerMisbehaved: AttemptedDowngradeToTls12WhenTls13IsSupported, BadCertChainExtensions, CipherSuiteDifferedOnRetry, DisallowedEncryptedExtension, DuplicateClientHelloExtensions, DuplicateEncryptedExtensions, DuplicateHelloRetryRequestExtensions, DuplicateNewSessionTicketExtensions, DuplicateServerHelloExtensions, DuplicateServerNameTypes, EarlyDataAttemptedInSecondClientHello, EarlyDataExtensionWithoutResumption, EarlyDataOfferedWithVariedCipherSuite, EchAcceptanceVariedAfterRetry, HandshakeHashVariedAfterRetry, IllegalHelloRetryRequestWithEmptyCookie, IllegalHelloRetryRequestWithNoChanges, IllegalHelloRetryRequestWithOfferedGroup, IllegalHelloRetryRequestWithUnofferedCipherSuite, IllegalHelloRetryRequestWithUnofferedNamedGroup, IllegalHelloRetryRequestWithUnsupportedVersion, IllegalHelloRetryRequestWithWrongSessionId, IllegalHelloRetryRequestWithInvalidEch, IllegalMiddleboxChangeCipherSpec, IllegalTlsInnerPlaintext, IncorrectBinder, InvalidCertCompression, InvalidMaxEarlyDataSize, InvalidKeyShare, KeyEpochWithPendingFragment, KeyUpdateReceivedInQuicConnection, MessageInterleavedWithHandshakeMessage, MissingBinderInPskExtension, MissingKeyShare, MissingPskExtensionInSecondClientHello, MissingPskModesExtension, MissingQuicTransportParameters, OfferedDuplicateCertificateCompressions, OfferedDuplicateKeyShares, OfferedEarlyDataWithOldProtocolVersion, OfferedEmptyApplicationProtocol, OfferedIncorrectCompressions, PskExtensionMustBeLast, PskExtensionWithMismatchedIdsAndBinders, RefusedToFollowHelloRetryRequest, RejectedEarlyDataInterleavedWithHandshakeMessage, ResumptionAttemptedWithVariedEms, ResumptionOfferedWithVariedCipherSuite, ResumptionOfferedWithVariedEms, ResumptionOfferedWithIncompatibleCipherSuite, SelectedDifferentCipherSuiteAfterRetry, SelectedInvalidPsk, SelectedTls12UsingTls13VersionExtension, SelectedUnofferedApplicationProtocol, SelectedUnofferedCertCompression, SelectedUnofferedCipherSuite, SelectedUnofferedCompression, SelectedUnofferedKxGroup, SelectedUnofferedPsk, SelectedUnusableCipherSuiteForVersion, ServerEchoedCompatibilitySessionId, ServerHelloMustOfferUncompressedEcPoints, ServerNameDifferedOnRetry, ServerNameMustContainOneHostName, SignedKxWithWrongAlgorithm, SignedHandshakeWithUnadvertisedSigScheme, TooManyEmptyFragments, TooManyKeyUpdateRequests, TooManyRenegotiationRequests, TooManyWarningAlertsReceived, TooMuchEarlyDataReceived, UnexpectedCleartextExtension, UnsolicitedCertExtension, UnsolicitedEncryptedExtension, UnsolicitedSctList, UnsolicitedServerHelloExtension, WrongGroupForKeyShare, UnsolicitedEchExtension]
    }

    fn peer_incompatible() -> Vec<PeerIncompatible> {
        let mut all = all![PeerIncompatible: EcPointsExtensionRequired, ExtendedMasterSecretExtensionRequired, IncorrectCertificateTypeExtension, KeyShareExtensionRequired, NamedGroupsExtensionRequired, NoCertificateRequestSignatureSchemesInCommon, NoCipherSuitesInCommon, NoEcPointFormatsInCommon, NoKxGroupsInCommon, NoSignatureSchemesInCommon, NullCompressionRequired, ServerDoesNotSupportTls12Or13, ServerSentHelloRetryRequestWithUnknownExtension, ServerTlsVersionIsDisabledByOurConfig, SignatureAlgorithmsExtensionRequired, SupportedVersionsExtensionRequired, Tls12NotOffered, Tls12NotOfferedOrEnabled, Tls13RequiredForQuic, UncompressedEcPointsRequired, UnsolicitedCertificateTypeExtension];
        all.push(PeerIncompatible::ServerRejectedEncryptedClientHello(Some(Vec::new())));
        all
    }

    fn webpki_errors() -> Vec<webpki::Error> {
        use webpki::Error;
        let mut all = all![Error: BadDer, BadDerTime, CaUsedAsEndEntity, CertDistrusted, CertRevoked, EmptyEkuExtension, EndEntityUsedAsCa, ExtensionValueInvalid, InvalidCertValidity, InvalidCrlNumber, InvalidNetworkMaskConstraint, InvalidSerialNumber, InvalidCrlSignatureForPublicKey, InvalidSignatureForPublicKey, IssuerNotCrlSigner, MalformedDnsIdentifier, MalformedExtensions, MalformedNameConstraint, MaximumNameConstraintComparisonsExceeded, MaximumPathBuildCallsExceeded, MaximumPathDepthExceeded, MaximumSignatureChecksExceeded, NameConstraintViolation, PathLenConstraintViolated, SignatureAlgorithmMismatch, UnknownIssuer, UnknownRevocationStatus, UnsupportedCertVersion, UnsupportedCriticalExtension, UnsupportedCrlIssuingDistributionPoint, UnsupportedCrlVersion, UnsupportedDeltaCrl, UnsupportedIndirectCrl, UnsupportedNameType, UnsupportedRevocationReason, UnsupportedRevocationReasonsPartitioning];
        let time = UnixTime::since_unix_epoch(std::time::Duration::from_secs(1 << 40));
        all.extend([
            Error::CertExpired { time, not_after: time },
            Error::CertNotValidYet { time, not_before: time },
            Error::CrlExpired { time, next_update: time },
            Error::CertNotValidForName(InvalidNameContext {
                expected: ServerName::try_from("relay.example").unwrap(),
                presented: vec!["{x}".repeat(500)],
            }),
            Error::TrailingData(DerTypeId::Certificate),
        ]);
        all
    }

    fn certificate_errors() -> Vec<CertificateError> {
        use CertificateError as Of;
        let mut all = all![CertificateError: BadEncoding, Expired, NotValidYet, Revoked, UnhandledCriticalExtension, UnknownIssuer, UnknownRevocationStatus, ExpiredRevocationList, BadSignature, NotValidForName, InvalidPurpose, InvalidOcspResponse, ApplicationVerificationFailure];
        let time = UnixTime::since_unix_epoch(std::time::Duration::from_secs(1 << 40));
        let octets = vec![6; 1000];
        all.extend([
            Of::ExpiredContext { time, not_after: time },
            Of::NotValidYetContext { time, not_before: time },
            Of::ExpiredRevocationListContext { time, next_update: time },
            Of::UnsupportedSignatureAlgorithmContext {
                signature_algorithm_id: octets.clone(),
                supported_algorithms: vec![alg_id::RSA_PSS_SHA256; 20],
            },
            Of::UnsupportedSignatureAlgorithmForPublicKeyContext {
                signature_algorithm_id: alg_id::ECDSA_SHA256.to_vec(),
                public_key_algorithm_id: octets,
            },
            Of::NotValidForNameContext {
                expected: ServerName::try_from("relay.example").unwrap(),
                presented: vec!["{x}".repeat(500)],
            },
            Of::InvalidPurposeContext {
                required: ExtendedKeyPurpose::ServerAuth,
                presented: vec![ExtendedKeyPurpose::Other(vec![1, 3, 6]); 100],
            },
            Of::Other(OtherError(Arc::new(std::io::Error::other("{x}".repeat(500))))),
        ]);
        all.extend(webpki_errors().into_iter().map(|error| Of::Other(OtherError(Arc::new(error)))));
        all
    }

    /// All errors of the library, but for those whose fields only the library can make: `UnsupportedKeyExchangeAlgorithm`, and some
    /// of webpki that rustls turns into its own.
    fn errors() -> Vec<Error> {
        let of_lists = all![CertRevocationListError: BadSignature, InvalidCrlNumber, InvalidRevokedCertSerialNumber, IssuerInvalidForCrl, ParseError, UnsupportedCrlVersion, UnsupportedCriticalExtension, UnsupportedDeltaCrl, UnsupportedIndirectCrl, UnsupportedRevocationReason];
        let of_hellos = all![EncryptedClientHelloError: InvalidConfigList, NoCompatibleConfig, SniRequired];
        let mut all = all![Error: NoCertificatesPresented, UnsupportedNameType, DecryptError, EncryptError, FailedToGetCurrentTime, FailedToGetRandomBytes, HandshakeNotComplete, PeerSentOversizedRecord, NoApplicationProtocol, BadMaxFragmentSize];
        all.extend(invalid_messages().into_iter().map(Error::InvalidMessage));
        all.extend(peer_misbehaved().into_iter().map(Error::PeerMisbehaved));
        all.extend(peer_incompatible().into_iter().map(Error::PeerIncompatible));
        all.extend((0..=255).map(|alert| Error::AlertReceived(AlertDescription::from(alert))));
        all.extend(certificate_errors().into_iter().map(Error::InvalidCertificate));
        all.extend(of_lists.into_iter().map(Error::InvalidCertRevocationList));
        all.extend(of_hellos.into_iter().map(Error::InvalidEncryptedClientHello));
        all.extend(all![InconsistentKeys: KeyMismatch, Unknown].into_iter().map(Error::InconsistentKeys));
        all.extend([
            Error::InappropriateMessage {
                expect_types: vec![ContentType::Alert; 9],
                got_type: ContentType::Unknown(9),
            },
            Error::InappropriateHandshakeMessage {
                expect_types: vec![HandshakeType::Finished; 9],
                got_type: HandshakeType::Unknown(99),
            },
            Error::General("{x}".repeat(500)),
            Error::Other(OtherError(Arc::new(std::io::Error::other("{x}".repeat(500))))),
        ]);
        all
    }

    /// What a report says of an error of the library, on the connection and of the certificate.
    fn texts(error: &Error) -> [String; 2] {
        let (Failure::SetUp(why) | Failure::Relay(why) | Failure::NotTls(why)) = failure(error);
        let rejected = Rejected {
            leaf: b"",
            others: Vec::new(),
            name: "relay.example",
            trusted: &PemFile { path: "/x".into(), source: "y".to_owned() },
            pinned: false,
            place: "z",
            is_readable: true,
            are_others_readable: true,
            has_name: true,
        };
        [why.to_string(), rejected.diagnosis(verify_error(error)).to_string()]
    }

    #[test]
    fn words_and_nothing_else() {
        let errors = errors();
        assert!(errors.len() > 400, "{}", errors.len());
        for error in errors {
            for text in texts(&error) {
                let flaw = text.split("; or, if the relay's certificate is known").next().unwrap(); // behind it is what always is the same
                assert!(flaw.len() <= 200, "{} octets for {error:?}: {flaw}", flaw.len());
                assert!(!text.contains(['{', '}', '[', ']', '"']) && !text.contains("0x"), "{error:?}: {text}");
                assert!(!text.contains("6, 6") && !text.contains("1, 3"), "{error:?}: {text}");
                let named = text.split_once("(TLS library: ").map(|(_, rest)| rest.split_once(')').unwrap().0);
                let is_name = |name: &str| !name.is_empty() && name.bytes().all(|c| c.is_ascii_alphanumeric());
                assert!(named.is_none_or(is_name), "{error:?}: {text}");
            }
        }
    }

    /// All that can be wrong with a certificate has words.
    #[test]
    fn certificates_have_words() {
        let only_names = [
            "Revoked",
            "UnknownRevocationStatus",
            "ExpiredRevocationList",
            "ExpiredRevocationListContext",
            "InvalidOcspResponse",
            "ApplicationVerificationFailure",
            "NotValidYet",
            "Other",
        ];
        // Not errors of a chain; those that rustls turns into others; and one that depends on what the certificate says.
        let of_webpki = [
            "Crl",
            "CertRevoked",
            "CertDistrusted",
            "UnknownIssuer",
            "RevocationReason",
            "NameType",
            "IssuerNot",
            "InvalidSignatureForPublicKey",
            "UnknownRevocationStatus",
            "CertExpired",
            "CertNotValid",
            "CaUsedAsEndEntity",
        ];
        for error in certificate_errors() {
            let name = name(&Error::InvalidCertificate(error.clone()));
            let is_named = texts(&Error::InvalidCertificate(error))[1].contains("(TLS library: ");
            let may_be = only_names.contains(&&name[..]) || of_webpki.iter().any(|part| name.contains(part));
            assert!(!is_named || may_be, "{name} has no words");
        }
    }

    /// The enums of the library can grow. What is new is shown by its name.
    #[test]
    fn a_variant_of_a_later_version() {
        #[derive(Debug)]
        #[allow(dead_code)] // only shown
        enum Later {
            Plain,
            Fields { certificate: Vec<u8> },
            Nested(Option<Vec<u8>>),
        }
        assert_eq!(variant(&Later::Plain), "Plain");
        assert_eq!(variant(&Later::Fields { certificate: vec![48, 130] }), "Fields");
        assert_eq!(variant(&Later::Nested(Some(vec![48, 130]))), "Nested");
        assert!(variant(&format_args!("{}", "x".repeat(500))).len() <= LONGEST);
    }
}
