//! CRAM-MD5 (RFC 2195): user, blank, HMAC-MD5 of the challenge under the password in lower-case hex.

use crate::secret::{self, Secret};
use crate::{base64_secret, hex};
use base64::Engine;
use hmac::{Hmac, KeyInit, Mac};
use md5::Md5;

/// The server's challenge is no base64.
#[derive(Debug, PartialEq, Eq)]
pub struct ChallengeError;

/// The base64 to send for CRAM-MD5. `challenge` is the text after `334 `, base64 as it came; one server adds words
/// behind a blank, so it ends at the first one, but for blanks at its beginning.
pub fn cram_md5(user: &[u8], password: &[u8], challenge: &[u8]) -> Result<Secret, ChallengeError> {
    answer(user, password, challenge).map(|answer| base64_secret(&answer))
}

/// What that says.
pub fn answer(user: &[u8], password: &[u8], challenge: &[u8]) -> Result<Secret, ChallengeError> {
    let start = challenge.iter().position(|c| !b" \t".contains(c)).unwrap_or(challenge.len());
    let base64 = challenge[start..].split(|c| b" \t\r\n".contains(c)).next().unwrap_or_default();
    let challenge = base64::engine::general_purpose::STANDARD.decode(base64).map_err(|_| ChallengeError)?;
    let mut mac = Hmac::<Md5>::new_from_slice(password).expect("HMAC takes a key of any length");
    mac.update(&challenge);
    let mut digest = mac.finalize().into_bytes();

    let mut answer = Secret::with_room(user.len() + 1 + 2 * digest.len());
    answer.add(user);
    answer.add(b" ");
    digest.iter().for_each(|octet| answer.add(&hex(*octet)));
    secret::clear_array(&mut digest);
    Ok(answer)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rfc_2195_example() {
        let challenge = b"PDE4OTYuNjk3MTcwOTUyQHBvc3RvZmZpY2UucmVzdG9uLm1jaS5uZXQ+"; // RFC 2195 section 2
        let answer = b"dGltIGI5MTNhNjAyYzdlZGE3YTQ5NWI0ZTZlNzMzNGQzODkw";
        assert_eq!(*cram_md5(b"tim", b"tanstaaftanstaaf", challenge).unwrap(), answer);
        assert_eq!(*cram_md5(b"tim", b"tanstaaftanstaaf", &[b" ", &challenge[..]].concat()).unwrap(), answer);
        let with_words = [&challenge[..], b" 9561591f-0000"].concat();
        assert_eq!(*cram_md5(b"tim", b"tanstaaftanstaaf", &with_words).unwrap(), answer);
    }

    #[test]
    fn a_challenge_that_is_no_base64() {
        for bad in [&b"Username:"[..], b"PDE4O", b"=", b"PDE4\xff"] {
            assert_eq!(cram_md5(b"tim", b"x", bad).err(), Some(ChallengeError), "{bad:?}");
        }
        assert!(cram_md5(b"tim", b"x", b"").is_ok()); // an empty challenge is base64 of nothing
    }
}
