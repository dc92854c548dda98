//! The proof behind a consent: a login at the relay with the new token. A provider gives tokens that no relay takes, for another mailbox
//! or another scope.

use super::renewal::Account;

/// Logs in to the relay of this account, and says how that went. qmail-remote-check has the machine for it; it cannot log in with a token
/// yet, so nothing is tried.
pub fn prove(account: &Account) -> String {
    let host = &account.host;
    format!("not tried yet: qmail-remote-check tries it, with a domain whose mail goes by {host}")
}
