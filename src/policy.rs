//! What may go over a connection: the policy of control/relays/HOST/tls, with a login and without one. The tables of
//! docs/design.md are these functions.

use qmail_auth::client::Permission;
use qmail_auth::{Login, LoginKind};
use std::fmt;
use std::path::PathBuf;

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

impl TlsPolicy {
    /// The policy of a word in the file.
    pub fn from_word(word: &[u8]) -> Option<TlsPolicy> {
        match word {
            b"verify" => Some(TlsPolicy::Verify),
            b"encrypt" => Some(TlsPolicy::Encrypt),
            b"may" => Some(TlsPolicy::May),
            b"none" => Some(TlsPolicy::None),
            _ => None,
        }
    }

    /// The mail must not go out in clear at all.
    pub fn demands_tls(self) -> bool {
        [TlsPolicy::Verify, TlsPolicy::Encrypt].contains(&self)
    }

    /// What a login may send over a connection in clear. None: nothing may go over it, the mail neither. `on_loopback`: the control
    /// line itself names a loopback address or `localhost`, and that is where the connection goes.
    pub fn in_clear(self, login: Option<&Login>, on_loopback: bool) -> Option<Permission> {
        match (self, login) {
            _ if self.demands_tls() => None,
            (_, Some(login)) if login.kind() == LoginKind::Certificate => None, // it is shown over TLS or not at all
            (_, None) => Some(Permission::Any),
            (_, Some(login)) if login.is_allowed_in_clear() => Some(Permission::Any),
            (TlsPolicy::Unset, _) => on_loopback.then_some(Permission::Any), // a tunnel, a bridge
            _ => Some(Permission::ChallengeOnly),
        }
    }

    /// What it may send over TLS. `none` comes to this on port 465 alone, and is as `may` there.
    pub fn over_tls(self, login: Option<&Login>, verified: bool) -> Permission {
        match (self, login) {
            (TlsPolicy::May | TlsPolicy::None, Some(_)) if !verified => Permission::ChallengeOnly,
            _ => Permission::Any,
        }
    }

    /// How the relay's certificate is verified.
    pub fn verification(self, login: Option<&Login>) -> Verification {
        match (self, login) {
            (TlsPolicy::Verify, _) | (TlsPolicy::Unset, Some(_)) => Verification::Required,
            (TlsPolicy::May | TlsPolicy::None, Some(login)) => match login.kind() {
                LoginKind::Certificate => Verification::Required, // there is no challenge to answer with it
                LoginKind::Password => Verification::Advisory,
            },
            _ => Verification::Off,
        }
    }

    /// Where STARTTLS comes to nothing, the mail goes out over a new connection in clear.
    pub fn falls_back(self, login: Option<&Login>) -> bool {
        match self {
            TlsPolicy::May => login.is_none_or(|login| login.kind() == LoginKind::Password),
            TlsPolicy::Unset => login.is_none(),
            _ => false,
        }
    }
}
