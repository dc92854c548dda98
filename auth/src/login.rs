//! What a client logs in with at a relay.

use crate::secret::Secret;

/// A login at one relay. Its secrets are cleared from memory when it is dropped.
pub enum Login {
    /// A user and a password.
    Password(PasswordLogin),
    /// The client certificate of the TLS connection (RFC 4422 appendix A).
    Certificate {
        /// The identity to ask for, at least one octet. None: the one that the certificate names.
        identity: Option<Vec<u8>>,
    },
}

/// A user and a password.
pub struct PasswordLogin {
    /// The name to log in as (RFC 4616 authcid): any octets but NUL, at least one.
    pub user: Vec<u8>,
    /// Any octets but NUL, at least one.
    pub password: Secret,
    /// The user was written `-user`: the password may cross the net in clear.
    pub clear_allowed: bool,
}

/// The kinds of [`Login`], for rules that depend on nothing else of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum LoginKind {
    /// [`Login::Password`].
    Password,
    /// [`Login::Certificate`].
    Certificate,
}

impl Login {
    /// Its kind.
    pub fn kind(&self) -> LoginKind {
        match self {
            Login::Password(_) => LoginKind::Password,
            Login::Certificate { .. } => LoginKind::Certificate,
        }
    }

    /// The name that it is for. None: the one that the client certificate names.
    pub fn user(&self) -> Option<&[u8]> {
        match self {
            Login::Password(login) => Some(&login.user),
            Login::Certificate { identity } => identity.as_deref(),
        }
    }

    /// It is a password that may cross the net in clear.
    pub fn is_allowed_in_clear(&self) -> bool {
        matches!(self, Login::Password(PasswordLogin { clear_allowed: true, .. }))
    }
}
