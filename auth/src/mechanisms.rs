//! The mechanisms (RFC 4422): one file for each that can be used, and one table of all that are known by name.
//!
//! A new mechanism needs its file, which says what it sends, and its row in the table. Everything else reads the table:
//! `auth_detect` and the bits in the header, the order of tries, control/relays/HOST/mechanisms, qmail-remote-check.

pub(crate) mod cram_md5;
mod external;
mod login;
pub(crate) mod plain;

use crate::login::{Login, LoginKind, PasswordLogin};
use crate::secret::Secret;
use alloc::boxed::Box;
use alloc::vec::Vec;
use base64::Engine;
use core::fmt;

/// The client's side of one exchange (RFC 4954 section 4). Each AUTH command gets a new one.
pub trait Exchange {
    /// The initial response, which goes into the AUTH command itself. None: the mechanism waits for a challenge.
    fn initial_response(&self) -> Option<Response> {
        None
    }

    /// The answer to a challenge. That is the text of the 334, not decoded: some servers send mistyped prompts, or no base64 at
    /// all.
    fn respond(&mut self, challenge: &[u8]) -> Result<Response, Cancel>;

    /// Whether the exchange may end now, by a 235 with this text. A mechanism that makes the server prove that it knows the
    /// password, too, returns false without that proof. It counts as [`Cancel::NotProven`]: there is no login.
    fn accepts(&mut self, _text: &[u8]) -> bool {
        true
    }
}

/// Why an exchange is cancelled instead of answering a challenge.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cancel {
    /// The mechanism has no answer. The next mechanism may be tried.
    NoAnswer,
    /// The server has not proved that it knows the password. It may be an impostor, so nothing more of the login is sent to it.
    NotProven,
}

/// One message of an exchange, before it is encoded in base64.
pub struct Response {
    /// The octets of the message. Their base64 is always masked in replies.
    pub octets: Secret,
    /// From this index on, the octets themselves are masked in replies, too.
    pub mask_from: usize,
}

impl Response {
    /// A response that needs no mask but that of its base64: there is no secret in it, or only the password, which is always
    /// masked.
    fn new(octets: Secret) -> Response {
        Response { mask_from: octets.len(), octets }
    }
}

/// One row of the table of mechanisms.
pub struct Mechanism {
    /// The registered name (RFC 4422 section 3.1), in upper case.
    pub name: &'static str,
    /// Its bit in the result of `auth_detect`. The C name of the bit is `AUTH_` and this name.
    pub bit: u32,
    /// How an exchange starts; that also says for which kind of login it is. None: it is only reported as offered, never used.
    pub start: Option<Start>,
    /// Which response, counted from 1, shows the password to the server and to anybody who reads the connection. None: no response
    /// does.
    pub shows_password: Option<usize>,
    /// The AUTH command may go without the initial response, which then answers an empty challenge. That is done where the command
    /// would be too long, or where the server has refused the initial response.
    pub has_bare_form: bool,
    /// Its place in the order of tries over TLS. None: it is not tried there.
    pub over_tls: Option<u8>,
    /// Its place in the order of tries without TLS. None: it is not tried there.
    pub in_clear: Option<u8>,
}

/// How an exchange starts: from which kind of login.
#[derive(Clone, Copy)]
pub enum Start {
    /// From a user and a password.
    Password(fn(&PasswordLogin) -> Box<dyn Exchange>),
    /// From the authorization identity, if any. The client certificate itself is shown by TLS.
    Certificate(fn(Option<&[u8]>) -> Box<dyn Exchange>),
}

/// The bit of `auth_detect` that belongs to no mechanism: there was an AUTH line, even an empty one.
pub const AUTH_OFFERED: u32 = 0x001;

/// What the rows of mechanisms that cannot be used have in common.
const DETECTED: Mechanism = Mechanism {
    name: "",
    bit: 0,
    start: None,
    shows_password: None,
    has_bare_form: false,
    over_tls: None,
    in_clear: None,
};

/// The table. Over TLS, CRAM-MD5 comes after PLAIN and LOGIN, since many servers offer it and cannot do it. In clear it comes
/// first, since it does not show the password.
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
    /// The kind of login that the mechanism is for. None: it cannot be used.
    pub fn kind(&self) -> Option<LoginKind> {
        Some(match self.start? {
            Start::Password(_) => LoginKind::Password,
            Start::Certificate(_) => LoginKind::Certificate,
        })
    }

    /// A new exchange. None: the mechanism is not for this kind of login.
    pub(crate) fn exchange(&self, login: &Login) -> Option<Box<dyn Exchange>> {
        match (self.start?, login) {
            (Start::Password(start), Login::Password(login)) => Some(start(login)),
            (Start::Certificate(start), Login::Certificate { identity }) => Some(start(identity.as_deref())),
            (Start::Password(_) | Start::Certificate(_), _) => None,
        }
    }
}

/// Names are unique in the table.
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

/// The mechanisms that can be used over TLS, or in clear, in the order of tries.
pub fn order(over_tls: bool) -> Vec<&'static Mechanism> {
    let place = |mechanism: &Mechanism| if over_tls { mechanism.over_tls } else { mechanism.in_clear };
    // Without a sort: its code would be a tenth of the C library.
    let places = 1..=MECHANISMS.len();
    places.filter_map(|n| MECHANISMS.iter().find(|mechanism| place(mechanism).map(usize::from) == Some(n))).collect()
}

/// The mechanism of this name, in upper or lower case. None: it is not known, or cannot be used.
pub fn usable(name: &str) -> Option<&'static Mechanism> {
    MECHANISMS.iter().find(|mechanism| mechanism.start.is_some() && mechanism.name.eq_ignore_ascii_case(name))
}

/// Decodes a challenge. Blanks before it are skipped, and it ends at the next blank: one server adds words after it. None: it is
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
