//! PLAIN (RFC 4616): NUL user NUL password, with an empty authorization identity, since servers refuse a filled one.

use super::base64_secret;
use crate::secret::Secret;

/// The base64 to send for PLAIN, as initial response or as answer to the empty challenge.
pub fn plain(user: &[u8], password: &[u8]) -> Secret {
    let mut message = Secret::with_room(user.len() + password.len() + 2);
    message.push(0);
    message.extend_from_slice(user);
    message.push(0);
    message.extend_from_slice(password);
    base64_secret(&message)
}

#[cfg(test)]
mod tests {
    #[test]
    fn rfc_4616_example() {
        assert_eq!(*super::plain(b"tim", b"tanstaaftanstaaf"), b"AHRpbQB0YW5zdGFhZnRhbnN0YWFm"); // RFC 4616 section 4
    }
}
