//! Reads what a certificate says (RFC 5280), and says in words what is wrong with it. The decisions are made in `verifier` and
//! `trust`. A certificate that cannot be parsed has no names, no issuer and no dates.

use crate::cause::tls::{CertificateCause, Names, Placeholder, Whose};
use crate::policy::PemFile;
use std::net::IpAddr;
use x509_cert::certificate::{CertificateInner, Raw};
use x509_cert::der::{DateTime, Decode};
use x509_cert::ext::pkix::name::GeneralName;
use x509_cert::ext::pkix::{BasicConstraints, SubjectAltName};

/// The limit for a name in a report, in characters: the longest DNS name. Without it a certificate could fill the log.
const LONGEST: usize = 253;
/// How many names a report shows.
const SHOWN: usize = 20;

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
    /// Anything else, in the words of the TLS library.
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
}

impl Rejected<'_> {
    /// What is wrong with it, and what to do about that.
    pub fn diagnosis(&self, error: &VerifyError) -> CertificateCause {
        let (file, place) = (self.trusted.to_string(), self.place.to_owned());
        // An error about dates can be about another certificate of the chain.
        let whose = |limit: &u64| match validity(self.leaf) {
            Some((from, until)) if [from, until].contains(limit) => Whose::Leaf,
            _ => Whose::Ca,
        };
        match error {
            VerifyError::Expired(limit) => CertificateCause::Expired { whose: whose(limit), date: date(*limit) },
            VerifyError::NotYetValid(limit) => {
                CertificateCause::NotYetValid { whose: whose(limit), date: date(*limit) }
            }
            VerifyError::WrongName => match names(self.leaf) {
                names if names.is_empty() => CertificateCause::NoNames,
                names => CertificateCause::WrongName { names: first_names(&names), name: self.name.to_owned() },
            },
            VerifyError::UnfitCa(ca, Unfit::Expired(limit)) => {
                CertificateCause::CaExpired { ca: ca.clone(), file, date: date(*limit) }
            }
            VerifyError::UnfitCa(ca, Unfit::NotYetValid(limit)) => {
                CertificateCause::CaNotYetValid { ca: ca.clone(), file, date: date(*limit) }
            }
            VerifyError::UnfitCa(ca, Unfit::NoCa) => CertificateCause::IssuerNoCa { issuer: ca.clone(), file, place },
            VerifyError::Other(why) if self.pinned => CertificateCause::Unusable { file, why: why.clone() },
            _ if is_self_signed(self.leaf) => CertificateCause::SelfSigned { place },
            _ if is_ca(self.leaf) => CertificateCause::OfCa { place },
            VerifyError::UnknownIssuer => CertificateCause::UnknownIssuer { issuer: self.last_issuer(), file, place },
            VerifyError::OtherKey => CertificateCause::OtherKey { issuer: self.last_issuer(), file, place },
            VerifyError::Other(why) => CertificateCause::Library { why: why.clone() },
        }
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
        short(last.tbs_certificate().issuer().to_string())
    }
}

/// The names that a report shows, and the number of the others.
fn first_names(names: &[String]) -> Names {
    let more = names.len().saturating_sub(SHOWN);
    let names = names[..names.len().min(SHOWN)].join(", ");
    if more > 0 { Names::First { names, more } } else { Names::All { names } }
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
    let names = certificate.tbs_certificate().get_extension().ok().flatten().map(|(_, SubjectAltName(names))| names);
    let shown = |name: &GeneralName| match name {
        GeneralName::DnsName(name) => Some(short(name.to_string())),
        GeneralName::IpAddress(octets) => match *octets.as_bytes() {
            [a, b, c, d] => Some(IpAddr::from([a, b, c, d]).to_string()),
            ref octets => Some(IpAddr::from(<[u8; 16]>::try_from(octets).ok()?).to_string()),
        },
        _ => None,
    };
    names.iter().flatten().filter_map(shown).collect()
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
