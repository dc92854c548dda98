//! The mechanisms (RFC 4422): one file for each that can be used, and one table of all that are known by name.
//!
//! A new mechanism needs its file, which says what it sends, and its row in the table. Everything else reads the table:
//! `auth_detect` and the bits in the header, the order of tries, control/relays/HOST/mechanisms, qmail-remote-check.

pub(crate) mod bearer;
pub(crate) mod cram_md5;
mod external;
mod login;
pub(crate) mod plain;
mod scram;

use crate::base64_length;
use crate::cause::Unanswerable;
use crate::client::{Channel, Permission};
use crate::hmac::{self, Hash};
use crate::login::{Login, LoginKind, PasswordLogin, TokenLogin};
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

    /// How far both sides are in proving that they know the password. None: no proof went out.
    fn proofs(&self) -> Option<Proofs> {
        None
    }
}

/// What is proved of the password.
pub enum Proofs {
    /// Ours went out. The password was hashed so often for it; and what the server is to send is masked as what we send is, since one could
    /// try passwords by it.
    Ours(u64, Response),
    /// The server has proved itself, too.
    Both,
}

/// Why an exchange is cancelled instead of answering a challenge.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cancel {
    /// The mechanism has no answer. The next mechanism may be tried.
    NoAnswer,
    /// The same, and a report says why.
    Because(Unanswerable),
    /// The server has not proved that it knows the password. It may be an impostor, so nothing more of the login is sent to it.
    NotProven,
}

impl From<Unanswerable> for Cancel {
    fn from(why: Unanswerable) -> Cancel {
        Cancel::Because(why)
    }
}

/// The nonce and the channel binding of one exchange.
pub struct Fresh {
    /// Random octets (RFC 5802 section 5.1).
    pub nonce: [u8; NONCE],
    /// The exported keying material of the TLS connection (RFC 9266 section 2), where the mechanism is bound to it.
    pub binding: Option<[u8; 32]>,
}

/// How many random octets an exchange gets.
pub const NONCE: usize = 18;

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
    /// Its place in the order of tries over TLS where the password may be shown. None: it is not in it.
    pub over_tls: Option<u8>,
    /// Its place in the order of tries without TLS where the password may be shown. None: it is not in it.
    pub in_clear: Option<u8>,
    /// Its place in the order of tries where the password must not be shown. Those that show it are last there, and are not tried.
    pub hiding: Option<u8>,
}

/// How an exchange starts: from which kind of login.
#[derive(Clone, Copy)]
pub enum Start {
    /// From a user and a password.
    Password(fn(&PasswordLogin) -> Box<dyn Exchange>),
    /// SCRAM with this hash function, from a user and a password.
    Scram(&'static Hash),
    /// From a user and an access token.
    Token(fn(&TokenLogin) -> Box<dyn Exchange>),
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
    hiding: None,
};

/// What the rows for a token have in common. Each try of it counts as a login, so only one of them is tried, and only once.
const BEARER: Mechanism = Mechanism { shows_password: Some(1), has_bare_form: true, ..DETECTED };

/// What the rows of SCRAM have in common.
const SCRAM: Mechanism = Mechanism { has_bare_form: true, ..DETECTED };

/// The table. Over TLS, SCRAM and CRAM-MD5 come after PLAIN and LOGIN: many servers offer them whatever they keep of the password, and
/// each refusal is a failed login. In clear CRAM-MD5 comes first, since it does not show the password. Where that must not be shown the
/// first ones are those bound to the TLS connection: nobody who is in the middle can pass them on.
#[rustfmt::skip] // a row is two lines
pub static MECHANISMS: [Mechanism; 11] = [
    Mechanism { name: "PLAIN", bit: 0x002, start: Some(Start::Password(plain::start)), // RFC 4616
        shows_password: Some(1), has_bare_form: true, over_tls: Some(1), in_clear: Some(2), hiding: Some(7) },
    Mechanism { name: "LOGIN", bit: 0x004, start: Some(Start::Password(login::start)), // draft-murchison-sasl-login
        shows_password: Some(2), has_bare_form: false, over_tls: Some(2), in_clear: Some(3), hiding: Some(8) },
    Mechanism { name: "CRAM-MD5", bit: 0x008, start: Some(Start::Password(cram_md5::start)), // RFC 2195
        over_tls: Some(6), in_clear: Some(1), hiding: Some(6), ..DETECTED },
    Mechanism { name: "SCRAM-SHA-1", bit: 0x010, start: Some(Start::Scram(&hmac::SHA_1)), // RFC 5802
        over_tls: Some(5), in_clear: Some(6), hiding: Some(5), ..SCRAM },
    Mechanism { name: "SCRAM-SHA-256", bit: 0x020, start: Some(Start::Scram(&hmac::SHA_256)), // RFC 7677
        over_tls: Some(3), in_clear: Some(4), hiding: Some(3), ..SCRAM },
    Mechanism { name: "SCRAM-SHA-1-PLUS", bit: 0x040, start: Some(Start::Scram(&hmac::SHA_1)), // bound to the TLS connection
        hiding: Some(2), ..SCRAM },
    Mechanism { name: "SCRAM-SHA-256-PLUS", bit: 0x080, start: Some(Start::Scram(&hmac::SHA_256)), // the same
        hiding: Some(1), ..SCRAM },
    Mechanism { name: "XOAUTH2", bit: 0x100, start: Some(Start::Token(bearer::xoauth2)), // Google's
        over_tls: Some(8), in_clear: Some(7), hiding: Some(10), ..BEARER },
    Mechanism { name: "OAUTHBEARER", bit: 0x200, start: Some(Start::Token(bearer::oauthbearer)), // RFC 7628
        over_tls: Some(9), in_clear: Some(8), hiding: Some(11), ..BEARER },
    Mechanism { name: "EXTERNAL", bit: 0x400, start: Some(Start::Certificate(external::start)), // RFC 4422 appendix A
        over_tls: Some(7), hiding: Some(9), ..DETECTED },
    Mechanism { name: "SCRAM-SHA-512", bit: 0x800, start: Some(Start::Scram(&hmac::SHA_512)), // draft-melnikov-scram-sha-512
        over_tls: Some(4), in_clear: Some(5), hiding: Some(4), ..SCRAM },
];

impl Mechanism {
    /// The kind of login that the mechanism is for. None: it cannot be used.
    pub fn kind(&self) -> Option<LoginKind> {
        Some(match self.start? {
            Start::Password(_) | Start::Scram(_) => LoginKind::Password,
            Start::Certificate(_) => LoginKind::Certificate,
            Start::Token(_) => LoginKind::Token,
        })
    }

    /// A new exchange. None: the mechanism is not for this kind of login, or needs more than `fresh` has.
    pub(crate) fn exchange(&self, login: &Login, fresh: Option<Fresh>) -> Option<Box<dyn Exchange>> {
        match (self.start?, login) {
            (Start::Password(start), Login::Password(login)) => Some(start(login)),
            (Start::Scram(hash), Login::Password(login)) => {
                let Fresh { nonce, binding } = fresh?;
                let binding = if self.is_bound() { Some(binding?) } else { None };
                Some(scram::start(hash, login, &nonce, binding))
            }
            (Start::Certificate(start), Login::Certificate { identity }) => Some(start(identity.as_deref())),
            (Start::Token(start), Login::Token(login)) => Some(start(login)),
            (Start::Password(_) | Start::Scram(_) | Start::Certificate(_) | Start::Token(_), _) => None,
        }
    }

    /// The server proves that it knows the password, too. It must keep the hash for that in this very form.
    pub fn is_scram(&self) -> bool {
        matches!(self.start, Some(Start::Scram(_)))
    }

    /// The proof is bound to the TLS connection (RFC 5802 section 4).
    pub fn is_bound(&self) -> bool {
        self.is_scram() && self.name.ends_with("-PLUS")
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

/// The mechanisms for a connection, in the order of tries. Those that the permission excludes are among them.
pub fn order(channel: Channel, permission: Permission) -> Vec<&'static Mechanism> {
    let place = |mechanism: &Mechanism| match (permission, channel) {
        (Permission::ChallengeOnly, _) => mechanism.hiding,
        (Permission::Any, Channel::Clear) => mechanism.in_clear,
        (Permission::Any, Channel::Tls | Channel::Tls13) => mechanism.over_tls,
    };
    // Without a sort: its code would be a tenth of the C library.
    let places = 1..=MECHANISMS.len();
    places.filter_map(|n| MECHANISMS.iter().find(|mechanism| place(mechanism).map(usize::from) == Some(n))).collect()
}

/// All mechanisms that can be used, in the order of the table.
pub fn all_usable() -> impl Iterator<Item = &'static Mechanism> {
    MECHANISMS.iter().filter(|mechanism| mechanism.start.is_some())
}

/// The mechanism of this name, in upper or lower case. None: it is not known, or cannot be used.
pub fn usable(name: &str) -> Option<&'static Mechanism> {
    all_usable().find(|mechanism| mechanism.name.eq_ignore_ascii_case(name))
}

/// The octets of a command line with its CRLF (RFC 5321 section 4.5.3.1.4). RFC 4954 section 4 allows more for AUTH, but some
/// servers do not.
pub(crate) const COMMAND_LINE: usize = 512;

/// Whether the AUTH command of a mechanism has room for an initial response of so many octets.
pub(crate) fn has_room(name: &str, octets: usize) -> bool {
    "AUTH  \r\n".len() + name.len() + base64_length(octets) <= COMMAND_LINE
}

/// Decodes a challenge. Blanks before it are skipped, and it ends at the next blank: one server adds words after it. None: it is
/// not base64.
pub(crate) fn decoded(challenge: &[u8]) -> Option<Vec<u8>> {
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
            assert_eq!(mechanism.start.is_some(), mechanism.hiding.is_some(), "{mechanism}: its place");
            let is_usual = mechanism.start.is_some() && !mechanism.is_bound();
            assert_eq!(is_usual, mechanism.over_tls.is_some(), "{mechanism}: its place over TLS");
            assert!(mechanism.in_clear.is_none() || mechanism.over_tls.is_some(), "{mechanism}: its place in clear");
        }
    }

    #[test]
    fn orders() {
        let names = |channel, permission| {
            let names: Vec<_> = order(channel, permission).iter().map(|mechanism| mechanism.name).collect();
            names.join(" ")
        };
        for channel in [Channel::Tls, Channel::Tls13] {
            assert_eq!(
                names(channel, Permission::Any),
                "PLAIN LOGIN SCRAM-SHA-256 SCRAM-SHA-512 SCRAM-SHA-1 CRAM-MD5 EXTERNAL XOAUTH2 OAUTHBEARER"
            );
        }
        assert_eq!(
            names(Channel::Clear, Permission::Any),
            "CRAM-MD5 PLAIN LOGIN SCRAM-SHA-256 SCRAM-SHA-512 SCRAM-SHA-1 XOAUTH2 OAUTHBEARER"
        );
        for channel in [Channel::Clear, Channel::Tls, Channel::Tls13] {
            assert_eq!(
                names(channel, Permission::ChallengeOnly),
                "SCRAM-SHA-256-PLUS SCRAM-SHA-1-PLUS SCRAM-SHA-256 SCRAM-SHA-512 SCRAM-SHA-1 CRAM-MD5 \
                 PLAIN LOGIN EXTERNAL XOAUTH2 OAUTHBEARER" // these five are never permitted there
            );
        }
    }
}
