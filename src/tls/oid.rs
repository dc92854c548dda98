//! Names of the algorithms of certificates, by their object identifiers.

use crate::cause::tls::Placeholder;
use x509_cert::der::asn1::ObjectIdentifier;
use x509_cert::der::{Decode, SliceReader};

/// Signatures that the TLS library does not verify, or not in every form; and kinds of keys.
const NAMES: [(&str, &str); 23] = [
    ("1.2.840.113549.1.1.1", "RSA"),
    ("1.2.840.113549.1.1.4", "MD5 and RSA"),
    ("1.2.840.113549.1.1.5", "SHA-1 and RSA"),
    ("1.2.840.113549.1.1.10", "RSASSA-PSS"),
    ("1.2.840.113549.1.1.11", "SHA-256 and RSA"),
    ("1.2.840.113549.1.1.12", "SHA-384 and RSA"),
    ("1.2.840.113549.1.1.13", "SHA-512 and RSA"),
    ("1.2.840.113549.1.1.14", "SHA-224 and RSA"),
    ("1.2.840.10040.4.1", "DSA"),
    ("1.2.840.10040.4.3", "SHA-1 and DSA"),
    ("2.16.840.1.101.3.4.3.2", "SHA-256 and DSA"),
    ("1.2.840.10045.2.1", "ECDSA"),
    ("1.2.840.10045.3.1.7", "P-256"),
    ("1.3.132.0.10", "secp256k1"),
    ("1.3.132.0.34", "P-384"),
    ("1.3.132.0.35", "P-521"),
    ("1.2.840.10045.4.1", "SHA-1 and ECDSA"),
    ("1.2.840.10045.4.3.1", "SHA-224 and ECDSA"),
    ("1.2.840.10045.4.3.2", "SHA-256 and ECDSA"),
    ("1.2.840.10045.4.3.3", "SHA-384 and ECDSA"),
    ("1.2.840.10045.4.3.4", "SHA-512 and ECDSA"),
    ("1.3.101.112", "Ed25519"),
    ("1.3.101.113", "Ed448"),
];

/// The names of the signatures that the TLS library does not verify in any form.
pub const NEVER_VERIFIED: [&str; 8] = [
    "MD5 and RSA",
    "SHA-1 and RSA",
    "SHA-224 and RSA",
    "SHA-1 and DSA",
    "SHA-256 and DSA",
    "SHA-1 and ECDSA",
    "SHA-224 and ECDSA",
    "Ed448",
];

/// The longest identifier that is shown, in characters. A certificate can have any.
const LONGEST: usize = 40;

/// The name of the algorithm in an AlgorithmIdentifier, given without its outer SEQUENCE (RFC 5280 section 4.1.1.2). For a key on a
/// curve it is that of the curve.
pub fn algorithm(content: &[u8]) -> String {
    let Ok(mut reader) = SliceReader::new(content) else { return Placeholder::Algorithm.to_string() };
    let Ok(first) = ObjectIdentifier::decode(&mut reader) else { return Placeholder::Algorithm.to_string() };
    let curve: Option<ObjectIdentifier> = ObjectIdentifier::decode(&mut reader).ok();
    curve.and_then(|curve| known(&curve.to_string())).map_or_else(|| name(&first), str::to_owned)
}

/// The name of an algorithm, or its identifier.
pub fn name(identifier: &ObjectIdentifier) -> String {
    let dotted = identifier.to_string();
    known(&dotted).map_or_else(|| dotted.chars().take(LONGEST).collect(), str::to_owned)
}

fn known(dotted: &str) -> Option<&'static str> {
    NAMES.iter().find(|(identifier, _)| *identifier == dotted).map(|(_, name)| *name)
}

#[cfg(test)]
mod tests {
    use super::*;
    use rustls::pki_types::alg_id;

    #[test]
    fn names() {
        for (id, name) in [
            (alg_id::RSA_PKCS1_SHA256, "SHA-256 and RSA"),
            (alg_id::RSA_PSS_SHA256, "RSASSA-PSS"),
            (alg_id::ECDSA_SHA512, "SHA-512 and ECDSA"),
            (alg_id::ECDSA_P521, "P-521"),
            (alg_id::ED448, "Ed448"),
            (alg_id::ML_DSA_44, "2.16.840.1.101.3.4.3.17"),
        ] {
            assert_eq!(algorithm(id.as_ref()), name);
        }
        for broken in [&b""[..], &[6], &[6, 200, 1], &[5, 0], &[6, 0]] {
            assert_eq!(algorithm(broken), "an algorithm without a name", "{broken:?}");
        }
        let long = [&[6, 39, 0x2a][..], &[0xff; 4], &[0x7f; 34]].concat();
        assert!(algorithm(&long).len() <= LONGEST, "{}", algorithm(&long));
    }
}
