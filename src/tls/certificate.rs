//! Reads what a certificate says (RFC 5280), and says in words what is wrong with it. The decisions are made in `verifier` and
//! `trust`. A certificate that cannot be parsed has no names, no issuer and no dates.

use super::oid;
use crate::cause::tls::{
    Also, CertificateCause, ChainFlaw, Flaw, Names, OtherNames, Pin, Placeholder, RsaLength, Whose,
};
use crate::policy::PemFile;
use std::net::IpAddr;
use x509_cert::certificate::{CertificateInner, Raw};
use x509_cert::der::asn1::{AnyRef, ObjectIdentifier, UintRef};
use x509_cert::der::{DateTime, Decode, SliceReader};
use x509_cert::ext::pkix::name::GeneralName;
use x509_cert::ext::pkix::{BasicConstraints, ExtendedKeyUsage, SubjectAltName};

/// The limit for a name in a report, in characters: the longest DNS name. Without it a certificate could fill the log.
const LONGEST: usize = 253;
/// How many names a report shows.
const SHOWN: usize = 20;

/// What the identifiers of all signatures by RSA keys begin with: pkcs-1 (RFC 8017 appendix C).
const PKCS_1: [u8; 8] = [0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 1];
/// rsaEncryption, the kind of an RSA key.
const RSA: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.1.1");
/// id-kp-serverAuth (RFC 5280 section 4.2.1.12).
const SERVER_AUTH: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.6.1.5.5.7.3.1");

/// Why a relay's certificate does not verify.
pub enum VerifyError {
    /// It has expired, or a CA's certificate has on which it depends: at this Unix time.
    Expired(u64),
    /// The same, but it is not valid before this Unix time.
    NotYetValid(u64),
    /// It is not for the relay's name.
    WrongName,
    /// No trusted CA has issued it.
    UnknownIssuer,
    /// A trusted CA has the name of its issuer, but another key.
    OtherKey,
    /// It is issued by a certificate with this subject, which is in the file but cannot be an anchor.
    UnfitCa(String, Unfit),
    /// The CA with this subject, on which it depends, has an RSA key that is too short or too long.
    KeyOfCa(String, RsaLength),
    /// It, or a CA's certificate that it depends on, cannot be used.
    Flaw(Flaw),
    /// Its CAs may not have issued it, or are too many.
    Chain(ChainFlaw),
    /// Anything else, by the name that the TLS library has for it.
    Other(String),
}

/// Why a certificate cannot be a trust anchor.
pub enum Unfit {
    /// It expired at this Unix time.
    Expired(u64),
    /// It is not valid before this Unix time.
    NotYetValid(u64),
    /// It does not say that it belongs to a CA (RFC 5280 section 4.2.1.9).
    NoCa,
    /// It says that it does not belong to a CA.
    SaysNoCa,
    /// It has names of servers.
    HasNames,
}

/// A relay's certificate that does not verify, and what it was verified with.
pub struct Rejected<'a> {
    /// The relay's own certificate.
    pub leaf: &'a [u8],
    /// The other certificates that the relay sent.
    pub others: Vec<&'a [u8]>,
    /// The relay's name, which the certificate must have.
    pub name: &'a str,
    /// The PEM file with the trusted certificates.
    pub trusted: &'a PemFile,
    /// The relay's certificate itself is in that file.
    pub pinned: bool,
    /// The control file where another PEM file can be configured for this relay.
    pub place: &'a str,
    /// The library can parse the relay's own certificate.
    pub is_readable: bool,
    /// The library can parse the others.
    pub are_others_readable: bool,
    /// The relay's own certificate is for this name.
    pub has_name: bool,
}

impl Rejected<'_> {
    /// What is wrong with it, and what to do about that. All that has to be done for this certificate is said at once: that it can be
    /// trusted itself only if it will verify then.
    pub fn diagnosis(&self, error: VerifyError) -> CertificateCause {
        let file = self.trusted.to_string();
        match error {
            VerifyError::Expired(limit) => {
                let until = validity(self.leaf).map(|(_, until)| until);
                CertificateCause::Expired { whose: whose_limit(until, limit), date: date(limit) }
            }
            VerifyError::NotYetValid(limit) => {
                let from = validity(self.leaf).map(|(from, _)| from);
                CertificateCause::NotYetValid { whose: whose_limit(from, limit), date: date(limit) }
            }
            VerifyError::WrongName => self.wrong_name(None),
            VerifyError::Flaw(what) if self.pinned => CertificateCause::Unusable { file, what },
            VerifyError::Flaw(what) if !self.is_readable || self.is_never_valid(&what) => {
                CertificateCause::Flawed { whose: Whose::Leaf, what, pin: Pin::DoesNotHelp }
            }
            VerifyError::Other(name) if self.pinned => CertificateCause::Library { name },
            error => match odd_rsa_key(self.leaf) {
                Some(length) => {
                    let what = Flaw::RsaKey { length };
                    CertificateCause::Flawed { whose: Whose::Leaf, what, pin: Pin::DoesNotHelp }
                }
                None if self.has_name => self.not_trusted(error, self.place.to_owned()),
                None => self.wrong_name(Some(error)),
            },
        }
    }

    /// It is not for the relay's name; and not trusted either, for this reason.
    fn wrong_name(&self, error: Option<VerifyError>) -> CertificateCause {
        let name = self.name.to_owned();
        let (names, misplaced) = names_and_misplaced(self.leaf);
        let also = error.map_or(Also::Nothing, |error| {
            // Its name decides which directory counts.
            let why = self.not_trusted(error, Placeholder::CafileOfThatName.to_string());
            Also::Issuer { why: Box::new(why) }
        });
        let this = misplaced.iter().find(|address| name.parse() == Ok(**address));
        match this.map(IpAddr::to_string) {
            None if names.is_empty() => CertificateCause::NoNames { name },
            Some(address) if names.is_empty() => {
                CertificateCause::AddressAsName { address, others: OtherNames::None, also: Also::Nothing }
            }
            Some(address) => {
                let others = OtherNames::Some { names: first_names(&names) };
                CertificateCause::AddressAsName { address, others, also }
            }
            None => CertificateCause::WrongName { names: first_names(&names), name, also },
        }
    }

    /// It is not issued by a CA that is trusted, or not so that it can be verified. It verifies when it is trusted itself.
    fn not_trusted(&self, error: VerifyError, place: String) -> CertificateCause {
        let file = self.trusted.to_string();
        let pin = Pin::Helps { place: place.clone() };
        match error {
            VerifyError::UnfitCa(issuer, unfit) => match unfit {
                Unfit::Expired(limit) => CertificateCause::CaExpired { ca: issuer, file, date: date(limit) },
                Unfit::NotYetValid(limit) => CertificateCause::CaNotYetValid { ca: issuer, file, date: date(limit) },
                Unfit::NoCa => CertificateCause::IssuerNoCa { issuer, file, place },
                Unfit::SaysNoCa => CertificateCause::IssuerSaysNoCa { issuer, file, pin },
                Unfit::HasNames => CertificateCause::IssuerHasNames { issuer, file, pin },
            },
            _ if is_self_signed(self.leaf) => CertificateCause::SelfSigned { place },
            _ if is_ca(self.leaf) => CertificateCause::OfCa { place },
            VerifyError::UnknownIssuer => CertificateCause::UnknownIssuer { issuer: self.last_issuer(), file, place },
            VerifyError::OtherKey => CertificateCause::OtherKey { issuer: self.last_issuer(), file, place },
            VerifyError::KeyOfCa(ca, length) => CertificateCause::KeyOfCa { ca, length, pin },
            VerifyError::Flaw(what) => CertificateCause::Flawed { whose: self.whose_flaw(&what), what, pin },
            VerifyError::Chain(what) => CertificateCause::Chain { what, pin },
            VerifyError::Other(name) => CertificateCause::Library { name },
            VerifyError::Expired(_) | VerifyError::NotYetValid(_) | VerifyError::WrongName => self.diagnosis(error), // not seen here
        }
    }

    /// This flaw is that of the relay's own certificate whose end is before its beginning.
    fn is_never_valid(&self, flaw: &Flaw) -> bool {
        matches!(flaw, Flaw::NeverValid) && validity(self.leaf).is_some_and(|(from, until)| from > until)
    }

    /// Which certificate of the chain has this flaw.
    fn whose_flaw(&self, flaw: &Flaw) -> Whose {
        let Some(leaf) = read(self.leaf) else { return Whose::LeafOrCa };
        let is_leaf = match flaw {
            Flaw::NeverValid => self.is_never_valid(flaw),
            Flaw::NotForServers => !is_for_servers(&leaf),
            Flaw::Signature { algorithm } | Flaw::SignatureByKey { algorithm, .. } => {
                oid::name(&leaf.signature_algorithm().oid) == *algorithm
            }
            Flaw::Malformed | Flaw::NotVersion3 | Flaw::CriticalExtension | Flaw::RsaKey { .. } => {
                return if self.are_others_readable { Whose::LeafOrCa } else { Whose::Ca };
            }
        };
        if is_leaf { Whose::Leaf } else { Whose::Ca }
    }

    /// The issuer at the top of the chain that the relay sent.
    fn last_issuer(&self) -> String {
        let others: Vec<_> = self.others.iter().filter_map(|der| read(der)).collect();
        let Some(leaf) = read(self.leaf) else { return Placeholder::Issuer.to_string() };
        let mut last = &leaf;
        for _ in 0..others.len() {
            let issuer = last.tbs_certificate().issuer();
            match others.iter().find(|other| other.tbs_certificate().subject() == issuer) {
                Some(above) => last = above,
                None => break,
            }
        }
        issuer(last)
    }
}

/// Whose first or last second this is. An error about dates can be about another certificate of the chain.
fn whose_limit(of_leaf: Option<u64>, limit: u64) -> Whose {
    if of_leaf == Some(limit) { Whose::Leaf } else { Whose::Ca }
}

/// The names that a report shows, and the number of the others.
fn first_names(names: &[String]) -> Names {
    let more = names.len().saturating_sub(SHOWN);
    let names = names[..names.len().min(SHOWN)].join(", ");
    if more > 0 { Names::First { names, more } } else { Names::All { names } }
}

/// The issuer's name.
fn issuer(certificate: &CertificateInner<Raw>) -> String {
    let name = short(certificate.tbs_certificate().issuer().to_string());
    if name.is_empty() { Placeholder::Issuer.to_string() } else { name }
}

/// The length of a certificate's RSA key, if the library does not take it.
pub fn odd_rsa_key(der: &[u8]) -> Option<RsaLength> {
    let certificate = read(der)?;
    let key = certificate.tbs_certificate().subject_public_key_info();
    if key.algorithm.oid != RSA {
        return None;
    }
    // RFC 8017 appendix A.1.1: a SEQUENCE of the modulus and the exponent.
    let key = AnyRef::from_der(key.subject_public_key.as_bytes()?).ok()?;
    let modulus = UintRef::decode(&mut SliceReader::new(key.value()).ok()?).ok()?;
    odd_length(modulus.as_bytes().len())
}

/// The length of an RSA key with so many octets, if the library does not take it.
fn odd_length(octets: usize) -> Option<RsaLength> {
    match octets * 8 {
        bits @ ..2048 => Some(RsaLength::Short { bits }),
        2048..=8192 => None,
        bits => Some(RsaLength::Long { bits }),
    }
}

/// The issuer of a certificate, if that is signed by an RSA key of a length that the library does not take. The signature is as long as
/// the key (RFC 8017 section 8), so the issuer's certificate is not needed.
pub fn odd_rsa_issuer(der: &[u8]) -> Option<VerifyError> {
    let certificate = read(der)?;
    let length = odd_length(certificate.signature().raw_bytes().len())?;
    let is_rsa = certificate.signature_algorithm().oid.as_bytes().starts_with(&PKCS_1);
    is_rsa.then_some(VerifyError::KeyOfCa(issuer(&certificate), length))
}

/// What is wrong with the signature of a certificate, if that is by an algorithm that the library never verifies.
pub fn odd_signature(der: &[u8]) -> Option<VerifyError> {
    let algorithm = oid::name(&read(der)?.signature_algorithm().oid);
    oid::NEVER_VERIFIED.contains(&&algorithm[..]).then_some(VerifyError::Flaw(Flaw::Signature { algorithm }))
}

/// Whether a certificate may be a server's. Without extendedKeyUsage it may (RFC 5280 section 4.2.1.12).
fn is_for_servers(certificate: &CertificateInner<Raw>) -> bool {
    let usage = certificate.tbs_certificate().get_extension::<ExtendedKeyUsage>();
    usage.is_ok_and(|usage| usage.is_none_or(|(_, ExtendedKeyUsage(purposes))| purposes.contains(&SERVER_AUTH)))
}

/// Whether a certificate says that it belongs to a CA.
fn is_ca(der: &[u8]) -> bool {
    read(der).is_some_and(|certificate| constraints(&certificate).is_some_and(|constraints| constraints.ca))
}

/// The claims of a certificate that decide what it may be trusted for.
pub struct Claims {
    /// It has names by which a server can be verified.
    pub has_names: bool,
    /// What it says about being a CA (RFC 5280 section 4.2.1.9). None: nothing.
    pub is_ca: Option<bool>,
    /// Its first and its last valid second, in Unix time.
    pub validity: (u64, u64),
}

/// The claims of a certificate. None: it cannot be parsed.
pub fn claims(der: &[u8]) -> Option<Claims> {
    let certificate = read(der)?;
    // If the extension is there but cannot be parsed, it may say that this is a CA.
    let is_ca = match certificate.tbs_certificate().get_extension::<BasicConstraints>() {
        Ok(constraints) => constraints.map(|(_, constraints)| constraints.ca),
        Err(_) => Some(true),
    };
    Some(Claims { has_names: !names_of(&certificate).is_empty(), is_ca, validity: validity_of(&certificate) })
}

/// The subject: `CN=...`. None: the certificate cannot be parsed.
pub fn subject(der: &[u8]) -> Option<String> {
    Some(short(read(der)?.tbs_certificate().subject().to_string()))
}

fn constraints(certificate: &CertificateInner<Raw>) -> Option<BasicConstraints> {
    let (_, constraints) = certificate.tbs_certificate().get_extension().ok()??;
    Some(constraints)
}

/// The first and the last valid second, in Unix time. None: the certificate cannot be parsed.
pub fn validity(der: &[u8]) -> Option<(u64, u64)> {
    read(der).as_ref().map(validity_of)
}

fn validity_of(certificate: &CertificateInner<Raw>) -> (u64, u64) {
    let validity = certificate.tbs_certificate().validity();
    let seconds = |time: x509_cert::time::Time| time.to_unix_duration().as_secs();
    (seconds(validity.not_before), seconds(validity.not_after))
}

/// The names of a certificate, its issuer, and its last valid second in words. None: the certificate cannot be parsed.
pub fn summary(der: &[u8]) -> Option<(Vec<String>, String, String)> {
    let issuer = short(read(der)?.tbs_certificate().issuer().to_string());
    let (_, until) = validity(der)?;
    Some((names(der), issuer, date(until)))
}

/// Whether a certificate names itself as its issuer.
fn is_self_signed(der: &[u8]) -> bool {
    read(der).is_some_and(|certificate| {
        let tbs = certificate.tbs_certificate();
        tbs.issuer() == tbs.subject()
    })
}

/// The DNS names and IP addresses of the subjectAltName. A name in the subject's CN does not count (RFC 9525 section 2.3).
fn names(der: &[u8]) -> Vec<String> {
    read(der).as_ref().map_or_else(Vec::new, names_of)
}

fn names_of(certificate: &CertificateInner<Raw>) -> Vec<String> {
    general_names(certificate).iter().filter_map(shown).collect()
}

/// A name by which a server can be verified, as a report shows it. None: it is of another kind.
fn shown(name: &GeneralName) -> Option<String> {
    match name {
        GeneralName::DnsName(name) => Some(short(name.to_string())),
        GeneralName::IpAddress(octets) => match *octets.as_bytes() {
            [a, b, c, d] => Some(IpAddr::from([a, b, c, d]).to_string()),
            ref octets => Some(IpAddr::from(<[u8; 16]>::try_from(octets).ok()?).to_string()),
        },
        _ => None,
    }
}

fn general_names(certificate: &CertificateInner<Raw>) -> Vec<GeneralName> {
    let names = certificate.tbs_certificate().get_extension().ok().flatten();
    names.map_or_else(Vec::new, |(_, SubjectAltName(names))| names)
}

/// The names by which a server can be verified, and the addresses that stand among the DNS names. Those do not count (RFC 9525 section
/// 6.5).
fn names_and_misplaced(der: &[u8]) -> (Vec<String>, Vec<IpAddr>) {
    let Some(certificate) = read(der) else { return (Vec::new(), Vec::new()) };
    let address = |name: &GeneralName| match name {
        GeneralName::DnsName(name) => name.to_string().parse().ok(),
        _ => None,
    };
    let (misplaced, names): (Vec<_>, Vec<_>) =
        general_names(&certificate).into_iter().partition(|name| address(name).is_some());
    (names.iter().filter_map(shown).collect(), misplaced.iter().filter_map(address).collect())
}

/// A Unix time as a date and time in UTC.
pub fn date(unix: u64) -> String {
    let date = DateTime::from_unix_duration(std::time::Duration::from_secs(unix));
    date.map_or_else(|_| Placeholder::Date.to_string(), |date| date.to_string())
}

/// Cuts a name that is too long for a report.
fn short(text: String) -> String {
    match text.char_indices().nth(LONGEST) {
        Some((end, _)) => text[..end].to_owned() + "...",
        None => text,
    }
}

/// Parses a certificate with the lenient profile of x509-cert: real certificates break rules, such as that for the serial number's
/// length.
fn read(der: &[u8]) -> Option<CertificateInner<Raw>> {
    CertificateInner::from_der(der).ok()
}
