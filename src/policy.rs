//! What may be sent over a connection: the word in control/relays/HOST/tls and the kind of login decide. `TlsPolicy::row` has the
//! tables of docs/dev/design.md. No other code decides by the word, so a new word does not compile until it has all of its rows.
#![deny(clippy::wildcard_enum_match_arm, clippy::match_wildcard_for_single_variants)]

use crate::cause::ControlCause;
use qmail_auth::client::Permission;
use qmail_auth::{Login, LoginKind};
use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;

/// What the control files say about TLS with one relay.
#[derive(Default)]
pub struct Security {
    /// The word in control/relays/HOST/tls.
    pub policy: TlsPolicy,
    /// The file with the trusted CAs, and with certificates that are trusted themselves. None: Debian's bundle.
    pub cafile: Option<PemFile>,
    /// The client certificate with its chain, and its key.
    pub client: Option<(PemFile, PemFile)>,
    /// The relay's directory, `control/relays/smtp.example.jp`, whether it exists or not. None: the relay's name cannot be the name
    /// of a directory.
    pub directory: Option<String>,
}

impl Security {
    /// All PEM files that are configured.
    pub fn files(&self) -> impl Iterator<Item = &PemFile> {
        self.client.iter().flat_map(|(certificate, key)| [certificate, key]).chain(&self.cafile)
    }

    /// The control file to name in advice about this relay's CAs: its own `cafile`, or control/tlscafile if it can have no
    /// directory. That one is for all relays, in the place of Debian's CAs.
    pub fn cafile_place(&self) -> String {
        let for_all = || "control/tlscafile (the file must have the CAs of all other relays, too)".to_owned();
        self.directory.as_ref().map_or_else(for_all, |directory| format!("{directory}/cafile"))
    }
}

/// A PEM file, and the control file with its path.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct PemFile {
    /// The path to open. A relative one in the control file is taken from qmail's home.
    pub path: PathBuf,
    /// The control file, for reports: `control/relays/smtp.example.jp/cafile`.
    pub source: String,
}

impl fmt::Display for PemFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} (of {})", self.path.display(), self.source)
    }
}

/// The word in control/relays/HOST/tls.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub enum TlsPolicy {
    /// There is no such file.
    #[default]
    Unset,
    /// Only TLS, with a certificate that verifies.
    Verify,
    /// Only TLS, with any certificate.
    Encrypt,
    /// TLS if it is offered.
    May,
    /// No STARTTLS.
    None,
}

/// What may be sent if the relay offers no TLS.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Clear {
    /// Nothing, not even the mail.
    Never,
    /// The mail. There is no login to protect.
    Mail,
    /// The mail, after a login by any mechanism: but only to a relay on this machine, or if the user is written `-user`.
    Loopback,
    /// The mail, after a login by a mechanism that does not show the password; if the user is written `-user`, by any mechanism.
    Challenge,
}

/// How the relay's certificate is verified.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Verification {
    /// It must verify, or there is no TLS.
    Required,
    /// It may fail, but the password is then not shown.
    Advisory,
    /// It is not verified, and no CA is read.
    Off,
}

/// How STARTTLS is used.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum StartTls {
    /// It is never sent.
    Never,
    /// If it is offered, nothing is sent without it.
    Binding,
    /// If it fails, the mail is sent over a new connection in clear.
    Tried,
}

/// A row of the tables: what may be sent without TLS, how the certificate is verified, and how STARTTLS is used.
struct Row(Clear, Verification, StartTls);

impl TlsPolicy {
    /// The policies that have a word in the file: all but [`TlsPolicy::Unset`].
    pub const WORDS: [TlsPolicy; 4] = [TlsPolicy::Verify, TlsPolicy::Encrypt, TlsPolicy::May, TlsPolicy::None];

    /// The row for this kind of login. On port 465, where TLS starts with the connection, only the column of the certificate
    /// counts.
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
            // A client certificate can only be shown over TLS, and no challenge mechanism could use it instead.
            Some(LoginKind::Certificate) => match self {
                Self::Unset   => Row(Clear::Never,         Required,    StartTls::Binding),
                Self::Verify  => Row(Clear::Never,         Required,    StartTls::Binding),
                Self::Encrypt => Row(Clear::Never,         Off,         StartTls::Binding),
                Self::May     => Row(Clear::Never,         Required,    StartTls::Binding),
                Self::None    => Row(Clear::Never,         Required,    StartTls::Never),
            },
        }
    }

    /// Whether the word itself demands TLS, whatever the login.
    pub fn demands_tls(self) -> bool {
        let Row(clear, ..) = self.row(None);
        clear == Clear::Never
    }

    /// Whether STARTTLS is used if it is offered.
    pub fn begins_tls(self, login: Option<&Login>) -> bool {
        let Row(.., starttls) = self.row(login.map(Login::kind));
        starttls != StartTls::Never
    }

    /// Which mechanisms a login may use on a connection in clear. None: nothing may be sent on it, not even the mail.
    /// `on_loopback`: the control line itself names a loopback address or `localhost`, and the connection goes there.
    pub fn in_clear(self, login: Option<&Login>, on_loopback: bool) -> Option<Permission> {
        let Row(clear, ..) = self.row(login.map(Login::kind));
        let clear_allowed = login.is_some_and(Login::is_allowed_in_clear);
        match clear {
            Clear::Never => None,
            Clear::Mail => Some(Permission::Any),
            Clear::Loopback => (on_loopback || clear_allowed).then_some(Permission::Any), // such as a tunnel
            Clear::Challenge => Some(if clear_allowed { Permission::Any } else { Permission::ChallengeOnly }),
        }
    }

    /// Which mechanisms a login may use over TLS. If the certificate must verify and does not, there is no TLS to ask about.
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

    /// Whether the mail is sent over a new connection in clear if STARTTLS fails.
    pub fn falls_back(self, login: Option<&Login>) -> bool {
        let Row(.., starttls) = self.row(login.map(Login::kind));
        starttls == StartTls::Tried
    }
}

/// The word in the file; `unset` if there is no file.
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
                // Mail that may go in clear to any relay falls back if STARTTLS fails.
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
