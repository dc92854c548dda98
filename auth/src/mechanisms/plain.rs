//! PLAIN (RFC 4616): NUL user NUL password, with an empty authorization identity, since servers refuse a filled one.

use crate::secret::Secret;
use crate::{base64_length, base64_secret};

/// The base64 to send for PLAIN, as initial response or as answer to the empty challenge.
pub fn plain(user: &[u8], password: &[u8]) -> Secret {
    base64_secret(&message(user, password))
}

/// How long that is.
pub fn plain_length(user: &[u8], password: &[u8]) -> usize {
    base64_length(user.len() + password.len() + 2)
}

/// What it says.
pub fn message(user: &[u8], password: &[u8]) -> Secret {
    let mut message = Secret::with_room(user.len() + password.len() + 2);
    [b"\0", user, b"\0", password].into_iter().for_each(|part| message.add(part));
    message
}

#[cfg(test)]
mod tests {
    #[test]
    fn rfc_4616_example() {
        assert_eq!(*super::plain(b"tim", b"tanstaaftanstaaf"), b"AHRpbQB0YW5zdGFhZnRhbnN0YWFm"); // RFC 4616 section 4
    }
}
