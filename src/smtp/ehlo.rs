//! What an EHLO reply says that the session acts on.

use qmail_auth::detect::Offer;
use qmail_auth::reply::keywords;

/// The extensions of a server that matter here. After HELO: none.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Capabilities {
    /// Commands may be sent in one flight (RFC 2920).
    pub pipelining: bool,
    /// TLS may be begun (RFC 3207).
    pub starttls: bool,
    /// MAIL may say how large the message is (RFC 1870).
    pub size: bool,
    /// MAIL may say that octets above 127 are in it (RFC 6152).
    pub eight_bit_mime: bool,
    /// Addresses may be non-ASCII (RFC 6531).
    pub smtputf8: bool,
    /// The mechanisms of RFC 4954.
    pub auth: Offer,
}

impl Capabilities {
    /// Reads a 250 reply to EHLO.
    pub fn read(reply: &[u8]) -> Capabilities {
        let mut found = Capabilities::default();
        let mut auth = Vec::new();
        for (keyword, parameters) in keywords(reply) {
            match &keyword.to_ascii_uppercase()[..] {
                b"PIPELINING" => found.pipelining = true,
                b"STARTTLS" => found.starttls = true,
                b"SIZE" => found.size = true,
                b"8BITMIME" => found.eight_bit_mime = true,
                b"SMTPUTF8" => found.smtputf8 = true,
                b"AUTH" => auth.push(parameters),
                _ => {}
            }
        }
        found.auth = Offer::of(auth);
        found
    }
}
