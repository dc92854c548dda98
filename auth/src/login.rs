//! The credentials of a login at a relay.

use crate::secret::Secret;
use alloc::string::String;
use alloc::vec::Vec;

/// A login at one relay. Its secrets are cleared from memory when it is dropped.
pub enum Login {
    /// A user and a password.
    Password(PasswordLogin),
    /// The client certificate of the TLS connection (RFC 4422 appendix A).
    Certificate {
        /// The authorization identity to ask for, at least one octet. None: the relay derives it from the certificate.
        identity: Option<Vec<u8>>,
    },
    /// A user and an access token of OAuth 2.0.
    Token(TokenLogin),
}

/// The credentials of a login by password.
pub struct PasswordLogin {
    /// The name to log in as (authcid in RFC 4616): at least one octet, no NUL.
    pub user: Vec<u8>,
    /// The password: at least one octet, no NUL.
    pub password: Secret,
    /// The control file has `-user`: the password may cross the network in clear.
    pub clear_allowed: bool,
}

/// The credentials of a login by an access token (RFC 6750). Whoever has the token can use it, so it is guarded like a password.
pub struct TokenLogin {
    /// The mailbox: at least one octet, no control character.
    pub user: Vec<u8>,
    /// The token: visible ASCII.
    pub token: Secret,
    /// The name of the server and its port, which RFC 7628 section 3.1 lets a client tell.
    pub server: Option<(String, u16)>,
    /// The control file has `-user`: the token may cross the network in clear.
    pub clear_allowed: bool,
}

/// The kind of a [`Login`], for rules that depend on nothing else.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum LoginKind {
    /// [`Login::Password`].
    Password,
    /// [`Login::Certificate`].
    Certificate,
    /// [`Login::Token`].
    Token,
}

impl Login {
    /// The kind of this login.
    pub fn kind(&self) -> LoginKind {
        match self {
            Login::Password(_) => LoginKind::Password,
            Login::Certificate { .. } => LoginKind::Certificate,
            Login::Token(_) => LoginKind::Token,
        }
    }

    /// The user or the authorization identity. None: the relay derives it from the client certificate.
    pub fn user(&self) -> Option<&[u8]> {
        match self {
            Login::Password(login) => Some(&login.user),
            Login::Certificate { identity } => identity.as_deref(),
            Login::Token(login) => Some(&login.user),
        }
    }

    /// This is a password or a token that may cross the network in clear. A certificate never may.
    pub fn is_allowed_in_clear(&self) -> bool {
        match self {
            Login::Password(login) => login.clear_allowed,
            Login::Certificate { .. } => false,
            Login::Token(login) => login.clear_allowed,
        }
    }
}
