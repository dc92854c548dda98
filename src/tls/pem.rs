//! The certificates of PEM files (RFC 7468). A bundle of CAs has 200 KB of them, and a delivery needs one or two, so they are
//! decoded by an engine that is made for speed: nothing here is a secret. Keys are read where TLS is.

use super::policy::PemFile;
use base64::prelude::{BASE64_STANDARD, Engine};
use std::fs;

const BEGIN: &[u8] = b"-----BEGIN CERTIFICATE-----";
const END: &[u8] = b"-----END CERTIFICATE-----";

/// What a PEM file is known by, for whoever has put another kind of file there.
pub const FORM: &str = "(in a PEM file it is between lines of -----BEGIN and -----END)";

/// What is in the file; else why it cannot be had.
pub fn text(file: &PemFile) -> Result<Vec<u8>, String> {
    must_be_regular(file)?;
    fs::read(&file.path).map_err(|error| format!("{file}: {}", crate::report::os_error(&error)))
}

/// A FIFO would be waited for, and a device read without end.
pub fn must_be_regular(file: &PemFile) -> Result<(), String> {
    match fs::metadata(&file.path).is_ok_and(|metadata| !metadata.is_file()) {
        true => Err(format!("{file}: not a regular file")),
        false => Ok(()),
    }
}

/// Gives each certificate in DER; None for one that is no base64 or has no end.
pub fn each_certificate(text: &[u8], mut take: impl FnMut(Option<&[u8]>)) {
    let (mut base64, mut der) = (Vec::new(), Vec::new());
    let (mut inside, mut rest) = (false, text);
    while !rest.is_empty() {
        let end = memchr::memchr(b'\n', rest).map_or(rest.len(), |end| end + 1);
        let (line, behind) = rest.split_at(end);
        rest = behind;
        let line = line.trim_ascii();
        if line == BEGIN {
            inside = true;
            base64.clear();
        } else if inside && line == END {
            inside = false;
            der.clear();
            let decoded = BASE64_STANDARD.decode_vec(&base64, &mut der);
            take(decoded.is_ok().then_some(&der));
        } else if inside {
            base64.extend_from_slice(line);
        }
    }
    if inside {
        take(None);
    }
}

/// All certificates of a file that must have some.
pub fn chain(file: &PemFile) -> Result<Vec<Vec<u8>>, String> {
    let mut chain = Vec::new();
    each_certificate(&text(file)?, |certificate| chain.push(certificate.map(<[u8]>::to_vec)));
    match chain.into_iter().collect::<Option<Vec<_>>>() {
        None => Err(format!("{file}: a certificate in it is no base64, or has no end")),
        Some(chain) if chain.is_empty() => Err(format!("{file}: no certificate in it {FORM}")),
        Some(chain) => Ok(chain),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use rustls::pki_types::CertificateDer;
    use rustls::pki_types::pem::PemObject;

    fn read(text: &[u8]) -> Vec<Option<Vec<u8>>> {
        let mut all = Vec::new();
        each_certificate(text, |certificate| all.push(certificate.map(<[u8]>::to_vec)));
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
            (certificate("YWJ").replace('\n', "\r\n") + &certificate("YWJj"), vec![None, a.clone()]),
            (format!("-----BEGIN CERTIFICATE-----\nYW\n{}", certificate("YWJj")), vec![a.clone()]),
            (certificate("YWJj").replace("CERTIFICATE", "PRIVATE KEY"), vec![]),
            (certificate("YWJj").trim_end().to_owned(), vec![a]),
            ("-----BEGIN CERTIFICATE-----\nYWJj\n".to_owned(), vec![None]),
            ("YWJj\n-----END CERTIFICATE-----\n".to_owned(), vec![]),
        ] {
            assert_eq!(read(text.as_bytes()), expected, "{text}");
        }
    }

    proptest! {
        /// What the TLS library reads.
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
            let library: Vec<_> = CertificateDer::pem_slice_iter(text.as_bytes()).map(|read| Some(read.unwrap().to_vec())).collect();
            prop_assert_eq!(read(text.as_bytes()), library);
        }
    }
}
