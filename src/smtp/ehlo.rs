//! What an EHLO reply says that the session acts on.

use qmail_auth::detect::{self, Offer};
use qmail_auth::reply::Reply;

/// The extensions of a server that matter here. After HELO: none.
#[derive(Default)]
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
    pub fn read(reply: &Reply) -> Capabilities {
        let offers = |keyword| detect::keyword_lines(&reply.text).any(|line| line.after_keyword(keyword).is_some());
        Capabilities {
            pipelining: offers("PIPELINING"),
            starttls: offers("STARTTLS"),
            size: offers("SIZE"),
            eight_bit_mime: offers("8BITMIME"),
            smtputf8: offers("SMTPUTF8"),
            auth: detect::offer(&reply.text),
        }
    }
}
