//! Reads certificates from PEM files (RFC 7468). A bundle of CAs has 200 KB, and a delivery needs one or two certificates of it. So
//! they are searched for in the base64, and the others are not decoded.

use crate::cause::tls::{PemCause, TlsCause};
use crate::denied;
use crate::policy::PemFile;
use crate::report::os_error;
use crate::text_encoding;
use base64::prelude::{BASE64_STANDARD, Engine};
use memchr::memmem::Finder;
use qmail_auth::secret::Secret;
use std::fs;
use std::io::ErrorKind;

const BEGIN: &[u8] = b"-----BEGIN CERTIFICATE-----";
const END: &[u8] = b"-----END CERTIFICATE-----";

/// The length of a line, in characters (RFC 7468 section 2). Nearly all files keep to it.
const LINE: usize = 64;

/// The content of a file, without a byte order mark. If it may have a key in it, the caller must clear it.
pub fn read(file: &PemFile, may_hold_key: bool) -> Result<Vec<u8>, TlsCause> {
    // Reading a FIFO would wait for a writer, and a device may have no end.
    if fs::metadata(&file.path).is_ok_and(|metadata| !metadata.is_file()) {
        return Err(wrong(file, PemCause::NotRegular));
    }
    let octets = fs::read(&file.path).map_err(|error| match error.kind() {
        ErrorKind::PermissionDenied => {
            wrong(file, PemCause::File { why: denied::error(&file.path, may_hold_key, None) })
        }
        _ => wrong(file, PemCause::System { why: os_error(&error) }),
    })?;
    let mut text = Secret::from(octets);
    text_encoding::skip_mark(&mut text).map_err(|why| wrong(file, PemCause::File { why }))?;
    Ok(text.into_octets())
}

/// The error for this file.
pub fn wrong(file: &PemFile, why: PemCause) -> TlsCause {
    TlsCause::PemFile { file: file.to_string(), why }
}

/// Calls `take` with the DER of each certificate; None if it is not base64, or has no END line.
pub fn for_each_certificate(text: &[u8], mut take: impl FnMut(Option<&[u8]>)) {
    sections(text).for_each(|section| take(section.and_then(decode).as_deref()));
}

/// Calls `take` with the DER of each certificate that may contain one of these parts, and with None for each other one. A
/// certificate without an END line is skipped, and so is one that has to be decoded and is not base64.
pub fn for_each_with(parts: &[&[u8]], text: &[u8], mut take: impl FnMut(Option<&[u8]>)) {
    let mut needles = Vec::new();
    // Base64 makes four characters of three octets, and a part may begin at any of the three.
    for part in parts.iter().flat_map(|part| (0..3).map(|start| part.get(start..).unwrap_or_default())) {
        let base64 = BASE64_STANDARD.encode(&part[..part.len() / 3 * 3]);
        needles.push(Finder::new(&base64).into_owned());
    }
    let mut joined = Vec::new();
    for section in sections(text).flatten() {
        joined.clear();
        let is_usual = join(section, &mut joined);
        if !is_usual || needles.iter().any(|needle| needle.find(&joined).is_some()) {
            decode(section).iter().for_each(|der| take(Some(der)));
        } else {
            take(None);
        }
    }
}

/// The text between each BEGIN line and the next END line. None: there is no END line. Of several BEGIN lines before it the last
/// counts.
fn sections(text: &[u8]) -> impl Iterator<Item = Option<&[u8]>> {
    let (begin, end) = (Finder::new(BEGIN), Finder::new(END));
    let mut rest = text;
    std::iter::from_fn(move || {
        rest = &rest[begin.find(rest)? + BEGIN.len()..];
        let Some(length) = end.find(rest) else {
            rest = &[];
            return Some(None);
        };
        let (mut section, behind) = rest.split_at(length);
        rest = &behind[END.len()..];
        while let Some(again) = begin.find(section) {
            section = &section[again + BEGIN.len()..];
        }
        Some(Some(section))
    })
}

/// Joins the lines of a section. False: it does not have the usual form, with [`LINE`] characters in all lines but the last.
fn join(section: &[u8], joined: &mut Vec<u8>) -> bool {
    let Some(lines) = section.strip_prefix(b"\n").and_then(|lines| lines.strip_suffix(b"\n")) else { return false };
    for line in lines.chunks(LINE + 1) {
        match line.split_at_checked(LINE) {
            Some((line, [] | [b'\n'])) => joined.extend_from_slice(line),
            Some(_) => return false,
            None => joined.extend_from_slice(line),
        }
    }
    // Decoding skips blanks, so a blank could split a part that is searched for.
    memchr::memchr3(b' ', b'\t', b'\r', joined).or_else(|| memchr::memchr2(b'\n', b'\x0c', joined)).is_none()
}

fn decode(section: &[u8]) -> Option<Vec<u8>> {
    let base64: Vec<u8> = section.iter().copied().filter(|c| !c.is_ascii_whitespace()).collect();
    BASE64_STANDARD.decode(base64).ok()
}

/// All certificates of a file, in DER. Fails if there is none, or one that cannot be decoded.
pub fn chain(file: &PemFile) -> Result<Vec<Vec<u8>>, TlsCause> {
    let mut chain = Vec::new();
    // The key may stand in the same file.
    for_each_certificate(&read(file, true)?, |certificate| chain.push(certificate.map(<[u8]>::to_vec)));
    match chain.into_iter().collect::<Option<Vec<_>>>() {
        None => Err(wrong(file, PemCause::BadCertificate)),
        Some(chain) if chain.is_empty() => Err(wrong(file, PemCause::NoCertificate)),
        Some(chain) => Ok(chain),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use rustls::pki_types::CertificateDer;
    use rustls::pki_types::pem::PemObject;

    fn all(text: &[u8]) -> Vec<Option<Vec<u8>>> {
        let mut all = Vec::new();
        for_each_certificate(text, |certificate| all.push(certificate.map(<[u8]>::to_vec)));
        all
    }

    #[test]
    fn forms() {
        let certificate = |body: &str| format!("-----BEGIN CERTIFICATE-----\n{body}\n-----END CERTIFICATE-----\n");
        let (a, b) = (Some(b"abc".to_vec()), Some(b"abcdef".to_vec()));
        for (text, expected) in [
            (String::new(), vec![]),
            (
                format!("words\n{}more\r\n{}", certificate("YWJj"), certificate("YWJj\nZGVm")),
                vec![a.clone(), b.clone()],
            ),
            (certificate(" YWJj \r\nZGVm\t").replace('\n', "\r\n"), vec![b.clone()]),
            (certificate("YWJj\nZGVm").replace('\n', "\r"), vec![b.clone()]),
            (certificate("YWJ").replace('\n', "\r\n") + &certificate("YWJj"), vec![None, a.clone()]),
            (format!("-----BEGIN CERTIFICATE-----\nYW\n{}", certificate("YWJj")), vec![a.clone()]),
            (certificate("YWJj").replace("CERTIFICATE", "PRIVATE KEY"), vec![]),
            (certificate("YWJj").trim_end().to_owned(), vec![a]),
            ("-----BEGIN CERTIFICATE-----\nYWJj\n".to_owned(), vec![None]),
            ("YWJj\n-----END CERTIFICATE-----\n".to_owned(), vec![]),
        ] {
            assert_eq!(all(text.as_bytes()), expected, "{text}");
        }
    }

    proptest! {
        /// A certificate with the part is always found, wherever the part is, whatever the lines, and with blanks in them. With
        /// lines of the usual length, no other one is decoded.
        #[test]
        fn with_a_part(before in prop::collection::vec(0..100_u8, 0..200), behind in prop::collection::vec(0..100_u8, 0..200),
                       part in prop::collection::vec(100_u8.., 12..40), width in 30_usize..80, usual: bool,
                       blank in prop::option::of((any::<prop::sample::Index>(), prop::sample::select(&[' ', '\t', '\r'][..])))) {
            let width = if usual { LINE } else { width };
            let text = |der: &[u8]| {
                let mut body = BASE64_STANDARD.encode(der);
                if let Some((place, blank)) = blank {
                    body.insert(place.index(body.len() + 1), blank);
                }
                let lines: Vec<&str> =
                    body.as_bytes().chunks(width).map(|line| std::str::from_utf8(line).unwrap()).collect();
                format!("-----BEGIN CERTIFICATE-----\n{}\n-----END CERTIFICATE-----\n", lines.join("\n"))
            };
            let (with, without) = ([&before[..], &part, &behind].concat(), [&before[..], &behind].concat());
            let mut all = Vec::new();
            for_each_with(&[b"nothing at all", &part], (text(&with) + &text(&without)).as_bytes(), |certificate| {
                all.push(certificate.map(<[u8]>::to_vec));
            });
            prop_assert_eq!(all[0].as_ref(), Some(&with));
            let is_usual = width == LINE && blank.is_none();
            prop_assert!(all.len() == 2 && (all[1].is_none() || !is_usual && all[1].as_ref() == Some(&without)));
        }

        /// The certificates are the same as those that the TLS library reads.
        #[test]
        fn as_the_library(certificates in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..200), 0..5),
                          width in 1_usize..80, between in "[ a-z\r\n]{0,9}", crlf: bool) {
            let mut text = between.clone() + "\n";
            for der in &certificates {
                let body = BASE64_STANDARD.encode(der);
                let lines: Vec<&str> = body.as_bytes().chunks(width).map(|line| std::str::from_utf8(line).unwrap()).collect();
                text += &format!("-----BEGIN CERTIFICATE-----\n{}\n-----END CERTIFICATE-----\n{between}\n", lines.join("\n"));
            }
            let text = if crlf { text.replace('\n', "\r\n") } else { text };
            let library = CertificateDer::pem_slice_iter(text.as_bytes()).map(|read| Some(read.unwrap().to_vec()));
            prop_assert_eq!(all(text.as_bytes()), library.collect::<Vec<_>>());
        }
    }
}
