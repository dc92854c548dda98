//! What may go over a connection: the word of control/relays/HOST/tls and the kind of login decide. The tables of docs/dev/design.md
//! are `TlsPolicy::row`, and nothing else decides by a word: a new one does not compile until each of its rows is there.
#![deny(clippy::wildcard_enum_match_arm, clippy::match_wildcard_for_single_variants)]

use crate::cause::ControlCause;
use qmail_auth::client::Permission;
use qmail_auth::{Login, LoginKind};
use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;

/// What the control files say of TLS with one relay.
#[derive(Default)]
pub struct Security {
    /// control/relays/HOST/tls.
    pub policy: TlsPolicy,
    /// The CAs, and certificates that are trusted themselves; None: Debian's bundle.
    pub cafile: Option<PemFile>,
    /// A certificate of ours with its chain, and its key.
    pub client: Option<(PemFile, PemFile)>,
    /// `control/relays/smtp.example.jp`, whether it is there or not; None where the relay's name can be no directory's.
    pub directory: Option<String>,
}

impl Security {
    /// All PEM files.
    pub fn files(&self) -> impl Iterator<Item = &PemFile> {
        self.client.iter().flat_map(|(certificate, key)| [certificate, key]).chain(&self.cafile)
    }

    /// The control file that the path of a cafile for this relay belongs into.
    pub fn cafile_place(&self) -> String {
        self.directory.as_ref().map_or("control/tlscafile".to_owned(), |directory| format!("{directory}/cafile"))
    }
}

/// A PEM file, and the control file that names it.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct PemFile {
    /// Absolute, or from qmail's home.
    pub path: PathBuf,
    /// `control/relays/smtp.example.jp/cafile`.
    pub source: String,
}

impl fmt::Display for PemFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} (of {})", self.path.display(), self.source)
    }
}

/// control/relays/HOST/tls.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub enum TlsPolicy {
    /// No file.
    #[default]
    Unset,
    /// TLS with a certificate that verifies.
    Verify,
    /// TLS with any certificate.
    Encrypt,
    /// TLS where it is offered.
    May,
    /// No TLS.
    None,
}

/// What may go out where the relay offers no TLS.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Clear {
    /// Nothing, not even the mail.
    Never,
    /// The mail.
    Mail,
    /// The mail, behind any mechanism: to a relay on this machine, or of a user written `-user`.
    Loopback,
    /// The mail, behind a mechanism that does not show the password; of a `-user` behind any.
    Challenge,
}

/// How the relay's certificate is verified.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Verification {
    /// It must verify.
    Required,
    /// Whether it verifies decides what may be sent.
    Advisory,
    /// It is not looked at, and no CA is read.
    Off,
}

/// What STARTTLS is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum StartTls {
    /// It is never begun.
    Never,
    /// Where it is offered, nothing goes out without it.
    Binding,
    /// Where it comes to nothing, the mail goes out over a new connection in clear.
    Tried,
}

/// A row of the tables: what is done where no TLS is offered, with the certificate where it is, and where it comes to nothing.
struct Row(Clear, Verification, StartTls);

impl TlsPolicy {
    /// The words that the file can have.
    pub const WORDS: [TlsPolicy; 4] = [TlsPolicy::Verify, TlsPolicy::Encrypt, TlsPolicy::May, TlsPolicy::None];

    /// On port 465, where TLS is there from the first octet, the certificate's column alone counts.
    #[rustfmt::skip] // a table
    fn row(self, login: Option<LoginKind>) -> Row {
        use Verification::{Advisory, Off, Required};
        match login {
            //                          no TLS offered     certificate  STARTTLS
            None => match self {
                Self::Unset   => Row(Clear::Mail,          Off,         StartTls::Tried),
                Self::Verify  => Row(Clear::Never,         Required,    StartTls::Binding),
                Self::Encrypt => Row(Clear::Never,         Off,         StartTls::Binding),
                Self::May     => Row(Clear::Mail,          Off,         StartTls::Tried),
                Self::None    => Row(Clear::Mail,          Off,         StartTls::Never),
            },
            Some(LoginKind::Password) => match self {
                Self::Unset   => Row(Clear::Loopback,      Required,    StartTls::Binding),
                Self::Verify  => Row(Clear::Never,         Required,    StartTls::Binding),
                Self::Encrypt => Row(Clear::Never,         Off,         StartTls::Binding),
                Self::May     => Row(Clear::Challenge,     Advisory,    StartTls::Tried),
                Self::None    => Row(Clear::Challenge,     Advisory,    StartTls::Never),
            },
            // It is shown over TLS or not at all, and there is no challenge that could be answered with it.
            Some(LoginKind::Certificate) => match self {
                Self::Unset   => Row(Clear::Never,         Required,    StartTls::Binding),
                Self::Verify  => Row(Clear::Never,         Required,    StartTls::Binding),
                Self::Encrypt => Row(Clear::Never,         Off,         StartTls::Binding),
                Self::May     => Row(Clear::Never,         Required,    StartTls::Binding),
                Self::None    => Row(Clear::Never,         Required,    StartTls::Never),
            },
        }
    }

    /// The mail must not go out in clear, whoever logs in.
    pub fn demands_tls(self) -> bool {
        let Row(clear, ..) = self.row(None);
        clear == Clear::Never
    }

    /// STARTTLS is said where it is offered.
    pub fn begins_tls(self, login: Option<&Login>) -> bool {
        let Row(.., starttls) = self.row(login.map(Login::kind));
        starttls != StartTls::Never
    }

    /// What a login may send over a connection in clear. None: nothing may go over it, the mail neither. `on_loopback`: the control
    /// line itself names a loopback address or `localhost`, and that is where the connection goes.
    pub fn in_clear(self, login: Option<&Login>, on_loopback: bool) -> Option<Permission> {
        let Row(clear, ..) = self.row(login.map(Login::kind));
        let clear_allowed = login.is_some_and(Login::is_allowed_in_clear);
        match clear {
            Clear::Never => None,
            Clear::Mail => Some(Permission::Any),
            Clear::Loopback => (on_loopback || clear_allowed).then_some(Permission::Any), // a tunnel, a bridge
            Clear::Challenge => Some(if clear_allowed { Permission::Any } else { Permission::ChallengeOnly }),
        }
    }

    /// What a login may send over TLS. Where the certificate must verify and does not, there is no TLS.
    pub fn over_tls(self, login: Option<&Login>, verified: bool) -> Permission {
        match self.verification(login) {
            Verification::Off => Permission::Any,
            Verification::Required | Verification::Advisory if verified => Permission::Any,
            Verification::Required | Verification::Advisory => Permission::ChallengeOnly,
        }
    }

    /// How the relay's certificate is verified.
    pub fn verification(self, login: Option<&Login>) -> Verification {
        let Row(_, verification, _) = self.row(login.map(Login::kind));
        verification
    }

    /// Where STARTTLS comes to nothing, the mail goes out over a new connection in clear.
    pub fn falls_back(self, login: Option<&Login>) -> bool {
        let Row(.., starttls) = self.row(login.map(Login::kind));
        starttls == StartTls::Tried
    }
}

/// The word of the file; `unset` where there is none.
impl fmt::Display for TlsPolicy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            TlsPolicy::Unset => "unset",
            TlsPolicy::Verify => "verify",
            TlsPolicy::Encrypt => "encrypt",
            TlsPolicy::May => "may",
            TlsPolicy::None => "none",
        })
    }
}

impl FromStr for TlsPolicy {
    type Err = ControlCause;

    fn from_str(word: &str) -> Result<TlsPolicy, ControlCause> {
        let found = TlsPolicy::WORDS.into_iter().find(|policy| policy.to_string() == word);
        found.ok_or_else(|| {
            let words = TlsPolicy::WORDS.map(|policy| policy.to_string()).join(", ");
            ControlCause::UnknownWord { words }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use Permission::{Any, ChallengeOnly};
    use qmail_auth::PasswordLogin;
    use qmail_auth::secret::Secret;

    fn password(clear_allowed: bool) -> Login {
        let (user, password) = (b"myuser".to_vec(), Secret::from(&b"secretpass"[..]));
        Login::Password(PasswordLogin { user, password, clear_allowed })
    }

    /// Each row of the tables of docs/dev/design.md.
    #[test]
    fn as_documented() {
        let (password, sign, certificate) = (password(false), password(true), Login::Certificate { identity: None });
        let mut logins = None;
        let mut rows = 0;
        for line in include_str!("../docs/dev/design.md").lines() {
            let cells: Vec<&str> = line.split('|').map(str::trim).collect();
            let [_, words, in_clear, unverified, _, _] = cells[..] else { continue };
            match words {
                "**with credentials**" => logins = Some((Some(&password), Some(&sign))),
                "**with a client certificate alone**" => logins = Some((Some(&certificate), Some(&certificate))),
                "**without**" => logins = Some((None, None)),
                _ => {}
            }
            let Some((login, sign)) = logins.filter(|_| !in_clear.is_empty()) else { continue };
            for word in words.split(", ") {
                let policy = word.parse().unwrap_or_else(|error| match word {
                    "no file" => TlsPolicy::Unset,
                    _ => panic!("{word}: {error}"),
                });
                rows += 1;
                let (cell, never) =
                    in_clear.split_once("; TLS is never begun").map_or((in_clear, false), |c| (c.0, true));
                assert_eq!(policy.begins_tls(login), !never, "{line}");
                let expected = match cell {
                    "Z" => [None, None, None],
                    "in clear" => [Some(Any); 3],
                    "as may" => [Some(ChallengeOnly), Some(ChallengeOnly), Some(Any)],
                    "CRAM-MD5; `-user`: any" => [Some(ChallengeOnly), Some(ChallengeOnly), Some(Any)],
                    _ => [None, Some(Any), Some(Any)],
                };
                let found = [policy.in_clear(login, false), policy.in_clear(login, true), policy.in_clear(sign, false)];
                assert_eq!(found, expected, "{line}");
                let found = (policy.verification(login), policy.over_tls(login, false));
                match unverified {
                    "Z" => assert_eq!(found.0, Verification::Required, "{line}"),
                    "CRAM-MD5" => assert_eq!(found, (Verification::Advisory, ChallengeOnly), "{line}"),
                    "" => assert_eq!(found.0, TlsPolicy::May.verification(login), "{line}"), // port 465
                    _ => assert_eq!(found, (Verification::Off, Any), "{line}"),
                }
                assert_eq!(policy.over_tls(login, true), Any);
                // Mail that would go out in clear to any relay, as far as its word and login go.
                let is_tried = expected[0].is_some() && !never;
                assert_eq!(policy.falls_back(login), is_tried, "{line}");
            }
        }
        assert_eq!(rows, 3 * (TlsPolicy::WORDS.len() + 1));
    }

    #[test]
    fn words() {
        for policy in TlsPolicy::WORDS {
            assert_eq!(policy.to_string().parse(), Ok(policy));
        }
        for other in ["unset", "", "Verify", "may "] {
            let error = other.parse::<TlsPolicy>().unwrap_err();
            assert_eq!(error.to_string(), "not one of verify, encrypt, may, none");
        }
    }
}
