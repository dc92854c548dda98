//! What an EHLO reply says that the dialogue acts on.

use super::reply::Reply;
use crate::auth::detect::{self, Offer};

/// The extensions of a server that matter here. After HELO: none.
#[derive(Default)]
pub struct Capabilities {
    /// Commands may be sent in one flight (RFC 2920).
    pub pipelining: bool,
    /// TLS may be begun (RFC 3207).
    pub starttls: bool,
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
            auth: detect::offer(&reply.text),
        }
    }
}
