//! What may go over a connection: the policy of control/relays/HOST/tls. This version speaks no TLS, so it holds the
//! column for connections in clear.

use crate::auth::Credentials;
use crate::auth::choose::Permission;
use std::net::IpAddr;

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

    /// What a login may send to this peer over a connection in clear.
    pub fn in_clear(self, credentials: &Credentials, peer: IpAddr) -> Permission {
        match self {
            TlsPolicy::Verify | TlsPolicy::Encrypt => Permission::Nothing,
            _ if credentials.clear_allowed => Permission::Any,
            TlsPolicy::May | TlsPolicy::None => Permission::ChallengeOnly,
            TlsPolicy::Unset if peer.to_canonical().is_loopback() => Permission::Any, // a tunnel, a bridge, a test
            TlsPolicy::Unset => Permission::Nothing,
        }
    }
}
