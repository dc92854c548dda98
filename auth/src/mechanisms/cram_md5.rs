//! CRAM-MD5 (RFC 2195): user, blank, HMAC-MD5 of the challenge under the password in lower-case hex.

use super::{Cancel, Exchange, Response, decoded};
use crate::hmac::{Hmac, MD5};
use crate::login::PasswordLogin;
use crate::secret::Secret;
use crate::{base64_secret, hex};
use alloc::boxed::Box;
use alloc::vec::Vec;

/// The user and the password; None once the challenge is answered.
struct CramMd5(Option<(Vec<u8>, Secret)>);

pub(super) fn start(login: &PasswordLogin) -> Box<dyn Exchange> {
    Box::new(CramMd5(Some((login.user.clone(), Secret::from(&login.password[..])))))
}

impl Exchange for CramMd5 {
    fn respond(&mut self, challenge: &[u8]) -> Result<Response, Cancel> {
        let (user, password) = self.0.take().ok_or(Cancel::NoAnswer)?;
        let octets = answer(&user, &password, challenge).ok_or(Cancel::NoAnswer)?;
        Ok(Response { octets, mask_from: user.len() + 1 }) // whoever has the digest can try passwords against it
    }
}

/// The base64 to send for CRAM-MD5. `challenge` is the text after `334 `, still in base64. None: it is not base64.
pub fn cram_md5(user: &[u8], password: &[u8], challenge: &[u8]) -> Option<Secret> {
    answer(user, password, challenge).map(|answer| base64_secret(&answer))
}

/// The answer before base64: user, blank, digest.
fn answer(user: &[u8], password: &[u8], challenge: &[u8]) -> Option<Secret> {
    let challenge = decoded(challenge)?;
    let digest = Hmac::new(&MD5, password).of(&[&challenge]);

    let mut answer = Secret::with_room(user.len() + 1 + 2 * digest.len());
    answer.add(user);
    answer.add(b" ");
    digest.iter().for_each(|octet| answer.add(&hex(*octet)));
    Some(answer)
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
    fn a_challenge_that_is_not_base64() {
        for bad in [&b"Username:"[..], b"PDE4O", b"=", b"PDE4\xff"] {
            assert_eq!(cram_md5(b"tim", b"x", bad).map(|answer| answer.to_vec()), None, "{bad:?}");
        }
        assert!(cram_md5(b"tim", b"x", b"").is_some()); // an empty challenge is base64 of nothing
    }
}
