//! The mechanisms (RFC 4422): a file for each that can be used, and one table of all that have a name here.
//!
//! To add one: its file, which says what it sends, and its row. All that names mechanisms reads the table: `auth_detect` and the
//! bits of the header, the orders, control/relays/HOST/mechanisms, qmail-remote-check.

pub(crate) mod cram_md5;
mod external;
mod login;
pub(crate) mod plain;

use crate::login::{Login, LoginKind, PasswordLogin};
use crate::secret::Secret;
use base64::Engine;
use core::fmt;

/// The client's side of one exchange, from the AUTH command on (RFC 4954 section 4). It begins as new with each command.
pub trait Exchange {
    /// What stands in the AUTH command itself. None: the mechanism waits for a challenge.
    fn initial_response(&self) -> Option<Response> {
        None
    }

    /// The answer to a challenge, which is the text of a 334 as it came: some servers send prompts that are mistyped, or no base64
    /// at all.
    fn respond(&mut self, challenge: &[u8]) -> Result<Response, Cancel>;

    /// The exchange may end with this text of a 235. False is for a mechanism by which the server has to prove that it knows the
    /// password, too, and has not: as [`Cancel::NotProven`], and there is no login.
    fn accepts(&mut self, _text: &[u8]) -> bool {
        true
    }
}

/// Why a challenge is not answered, so that the exchange is cancelled.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cancel {
    /// It has no answer. Another mechanism may do better.
    NoAnswer,
    /// The server does not know the password that it should know. It may be anybody, so nothing more of the login is sent to it.
    NotProven,
}

/// What an exchange sends, before it becomes base64.
pub struct Response {
    /// The octets. Where a server repeats their base64, that is masked.
    pub octets: Secret,
    /// How many of them, from the first on, are no secret by themselves.
    pub open: usize,
}

impl Response {
    /// One whose octets are no secret by themselves, or are the password, which is masked anyway.
    fn open(octets: Secret) -> Response {
        Response { open: octets.len(), octets }
    }
}

/// A row of the table.
pub struct Mechanism {
    /// The registered name.
    pub name: &'static str,
    /// Its bit in what `auth_detect` answers. In C that is `AUTH_` and the name.
    pub bit: u32,
    /// How an exchange begins, and so the kind of login that it is for. None: a server's offer of it is told, and no more.
    pub start: Option<Start>,
    /// The response, counted from 1, that shows the password to whoever reads the connection, or is at its other end.
    pub shows_password: Option<usize>,
    /// It is made without the initial response, which answers an empty challenge then, where a server refuses it or the command
    /// would be too long with it.
    pub has_bare_form: bool,
    /// Its place in the order to try them over TLS.
    pub over_tls: Option<u8>,
    /// The same without TLS.
    pub in_clear: Option<u8>,
}

/// How an exchange begins.
#[derive(Clone, Copy)]
pub enum Start {
    /// With a user and a password.
    Password(fn(&PasswordLogin) -> Box<dyn Exchange>),
    /// With the identity to ask for, where TLS has shown a client certificate.
    Certificate(fn(Option<&[u8]>) -> Box<dyn Exchange>),
}

/// The bit of `auth_detect` that is no mechanism's: an AUTH line was there, even an empty one.
pub const AUTH_OFFERED: u32 = 0x001;

const DETECTED: Mechanism = Mechanism {
    name: "",
    bit: 0,
    start: None,
    shows_password: None,
    has_bare_form: false,
    over_tls: None,
    in_clear: None,
};

/// Over TLS what shows the password comes first, since servers that offer CRAM-MD5 and cannot do it are many; in clear it comes last.
#[rustfmt::skip] // a row is two lines
pub static MECHANISMS: [Mechanism; 10] = [
    Mechanism { name: "PLAIN", bit: 0x002, start: Some(Start::Password(plain::start)), // RFC 4616
        shows_password: Some(1), has_bare_form: true, over_tls: Some(1), in_clear: Some(2) },
    Mechanism { name: "LOGIN", bit: 0x004, start: Some(Start::Password(login::start)), // draft-murchison-sasl-login
        shows_password: Some(2), has_bare_form: false, over_tls: Some(2), in_clear: Some(3) },
    Mechanism { name: "CRAM-MD5", bit: 0x008, start: Some(Start::Password(cram_md5::start)), // RFC 2195
        shows_password: None, has_bare_form: false, over_tls: Some(3), in_clear: Some(1) },
    Mechanism { name: "SCRAM-SHA-1", bit: 0x010, ..DETECTED }, // RFC 5802
    Mechanism { name: "SCRAM-SHA-256", bit: 0x020, ..DETECTED }, // RFC 7677
    Mechanism { name: "SCRAM-SHA-1-PLUS", bit: 0x040, ..DETECTED }, // RFC 5802, bound to the TLS connection
    Mechanism { name: "SCRAM-SHA-256-PLUS", bit: 0x080, ..DETECTED }, // RFC 7677, bound to the TLS connection
    Mechanism { name: "XOAUTH2", bit: 0x100, ..DETECTED }, // Google's, with a bearer token
    Mechanism { name: "OAUTHBEARER", bit: 0x200, ..DETECTED }, // RFC 7628
    Mechanism { name: "EXTERNAL", bit: 0x400, start: Some(Start::Certificate(external::start)), // RFC 4422 appendix A
        shows_password: None, has_bare_form: false, over_tls: Some(4), in_clear: None },
];

impl Mechanism {
    /// The kind of login that it is for. None: it cannot be used.
    pub fn kind(&self) -> Option<LoginKind> {
        Some(match self.start? {
            Start::Password(_) => LoginKind::Password,
            Start::Certificate(_) => LoginKind::Certificate,
        })
    }

    /// An exchange. None: it is not for this login.
    pub(crate) fn exchange(&self, login: &Login) -> Option<Box<dyn Exchange>> {
        match (self.start?, login) {
            (Start::Password(start), Login::Password(login)) => Some(start(login)),
            (Start::Certificate(start), Login::Certificate { identity }) => Some(start(identity.as_deref())),
            (Start::Password(_) | Start::Certificate(_), _) => None,
        }
    }
}

/// There is one of each name.
impl PartialEq for Mechanism {
    fn eq(&self, other: &Mechanism) -> bool {
        self.name == other.name
    }
}

impl fmt::Display for Mechanism {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name)
    }
}

/// All that can be used, in the order to try them: over TLS, or in clear.
pub fn order(over_tls: bool) -> Vec<&'static Mechanism> {
    let place = |mechanism: &Mechanism| if over_tls { mechanism.over_tls } else { mechanism.in_clear };
    let mut order: Vec<_> = MECHANISMS.iter().filter(|mechanism| place(mechanism).is_some()).collect();
    order.sort_by_key(|mechanism| place(mechanism));
    order
}

/// The one of this name, in upper or lower case, if it can be used.
pub fn usable(name: &str) -> Option<&'static Mechanism> {
    MECHANISMS.iter().find(|mechanism| mechanism.start.is_some() && mechanism.name.eq_ignore_ascii_case(name))
}

/// The octets of a challenge in base64, between the blanks before it and the next one: a server is known that adds words. None: it is
/// not base64.
fn decoded(challenge: &[u8]) -> Option<Vec<u8>> {
    let start = challenge.iter().position(|c| !b" \t".contains(c)).unwrap_or(challenge.len());
    let base64 = challenge[start..].split(|c| b" \t\r\n".contains(c)).next().unwrap_or_default();
    base64::engine::general_purpose::STANDARD.decode(base64).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_row_is_whole() {
        let mut bits = AUTH_OFFERED;
        for mechanism in &MECHANISMS {
            assert!(mechanism.bit.is_power_of_two() && bits & mechanism.bit == 0, "{mechanism}: a bit of its own");
            bits |= mechanism.bit;
            assert_eq!(mechanism.start.is_some(), mechanism.over_tls.is_some(), "{mechanism}: its place over TLS");
            assert!(mechanism.in_clear.is_none() || mechanism.over_tls.is_some(), "{mechanism}: its place in clear");
        }
        for over_tls in [true, false] {
            let places = |m: &&Mechanism| if over_tls { m.over_tls } else { m.in_clear };
            let places: Vec<_> = order(over_tls).iter().map(places).collect();
            assert!(places.is_sorted_by(|one, next| one < next), "{places:?}");
        }
    }
}
