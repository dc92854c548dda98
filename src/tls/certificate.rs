//! What a certificate says (RFC 5280), in words for a report. Nothing here is a check: a certificate that cannot be read
//! has no names, no issuer and no dates.

use std::net::IpAddr;
use x509_cert::Certificate;
use x509_cert::der::{DateTime, Decode};
use x509_cert::ext::pkix::SubjectAltName;
use x509_cert::ext::pkix::name::GeneralName;

const LONGEST: usize = 253;

/// It names itself as its issuer.
pub fn is_self_signed(der: &[u8]) -> bool {
    read(der).is_some_and(|certificate| {
        let tbs = certificate.tbs_certificate();
        tbs.issuer() == tbs.subject()
    })
}

/// The issuer that stands above all the relay sent: that of the leaf or of what it is issued by.
pub fn last_issuer(leaf: &[u8], others: &[&[u8]]) -> Option<String> {
    let others: Vec<Certificate> = others.iter().filter_map(|der| read(der)).collect();
    let leaf = read(leaf)?;
    let mut last = &leaf;
    for _ in 0..others.len() {
        let issuer = last.tbs_certificate().issuer();
        match others.iter().find(|other| other.tbs_certificate().subject() == issuer) {
            Some(above) => last = above,
            None => break,
        }
    }
    Some(short(last.tbs_certificate().issuer().to_string()))
}

/// The names that it is for: DNS names and IP addresses of its subjectAltName (RFC 9525 section 2.3: no CN).
pub fn names(der: &[u8]) -> Vec<String> {
    let names = read(der).and_then(|certificate| {
        let (_, SubjectAltName(names)) = certificate.tbs_certificate().get_extension().ok()??;
        Some(names)
    });
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

/// From when and until when it is good, in Unix time.
pub fn validity(der: &[u8]) -> Option<(u64, u64)> {
    let certificate = read(der)?;
    let validity = certificate.tbs_certificate().validity();
    let seconds = |time: x509_cert::time::Time| time.to_unix_duration().as_secs();
    Some((seconds(validity.not_before), seconds(validity.not_after)))
}

/// A Unix time as a date and time in UTC.
pub fn date(unix: u64) -> String {
    let date = DateTime::from_unix_duration(std::time::Duration::from_secs(unix));
    date.map_or_else(|_| "a date beyond 9999".to_owned(), |date| date.to_string())
}

/// No longer than a DNS name can be: whoever made the certificate could fill the log.
fn short(text: String) -> String {
    match text.char_indices().nth(LONGEST) {
        Some((end, _)) => text[..end].to_owned() + "...",
        None => text,
    }
}

fn read(der: &[u8]) -> Option<Certificate> {
    Certificate::from_der(der).ok()
}
