//! A digest and random octets of the TLS library, for what else needs them.

use rustls::CipherSuite;
use rustls::SupportedCipherSuite;
use rustls::crypto::ring;

/// Random octets. None: the system has none.
pub fn random<const COUNT: usize>() -> Option<[u8; COUNT]> {
    let mut octets = [0; COUNT];
    ring::default_provider().secure_random.fill(&mut octets).ok()?;
    Some(octets)
}

/// SHA-256 (FIPS 180-4). It is the hash of a cipher suite that every provider has.
pub fn sha256(octets: &[u8]) -> [u8; 32] {
    let suites = ring::default_provider().cipher_suites;
    let suite = suites.into_iter().find(|suite| suite.suite() == CipherSuite::TLS13_AES_128_GCM_SHA256);
    let hash = suite.as_ref().and_then(SupportedCipherSuite::tls13).map(|suite| suite.common.hash_provider);
    let digest = hash.expect("RFC 8446 section 9.1 demands it").hash(octets);
    digest.as_ref().try_into().expect("256 bits")
}
