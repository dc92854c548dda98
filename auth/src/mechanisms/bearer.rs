//! XOAUTH2 (Google's) and OAUTHBEARER (RFC 7628): user and access token in one message. A server that refuses the token first says why, in
//! JSON, and the exchange must be ended before it refuses the login.

use super::{Cancel, Exchange, Response, decoded, has_room};
use crate::login::TokenLogin;
use crate::secret::Secret;
use alloc::boxed::Box;
use alloc::vec::Vec;

/// The octet between the parts of a message.
const SEPARATOR: &[u8] = b"\x01";

/// One exchange by either mechanism.
struct Bearer {
    message: Secret,
    /// What ends the exchange once the server has said why it refuses the token.
    end: &'static [u8],
    state: State,
}

#[derive(PartialEq)]
enum State {
    /// The message has not been sent: it is too long for an initial response.
    Waiting,
    /// It is the initial response, which the server may ignore.
    SentAtOnce,
    /// It was sent.
    Sent,
    /// The exchange is ended.
    Ended,
}

pub(super) fn xoauth2(login: &TokenLogin) -> Box<dyn Exchange> {
    Bearer::boxed("XOAUTH2", xoauth2_message(&login.user, &login.token), b"")
}

pub(super) fn oauthbearer(login: &TokenLogin) -> Box<dyn Exchange> {
    let server = login.server.as_ref().map(|(host, port)| (host.as_bytes(), *port));
    Bearer::boxed("OAUTHBEARER", oauthbearer_message(&login.user, &login.token, server), SEPARATOR)
}

impl Bearer {
    fn boxed(name: &str, message: Secret, end: &'static [u8]) -> Box<dyn Exchange> {
        let state = if has_room(name, message.len()) { State::SentAtOnce } else { State::Waiting };
        Box::new(Bearer { message, end, state })
    }
}

impl Exchange for Bearer {
    fn initial_response(&self) -> Option<Response> {
        (self.state == State::SentAtOnce).then(|| Response::new(Secret::from(&self.message[..])))
    }

    /// The message where it has not gone out, or where the server has ignored it. Else the challenge says why the token is refused.
    fn respond(&mut self, challenge: &[u8]) -> Result<Response, Cancel> {
        let is_prompt = match self.state {
            State::Waiting => decoded(challenge).is_none_or(|said| said.first() != Some(&b'{')),
            State::SentAtOnce => challenge.trim_ascii().is_empty(),
            State::Sent => false,
            State::Ended => return Err(Cancel::NoAnswer),
        };
        if is_prompt {
            self.state = State::Sent;
            return Ok(Response::new(core::mem::take(&mut self.message)));
        }
        self.state = State::Ended;
        Ok(Response::new(Secret::from(self.end)))
    }
}

/// The message of XOAUTH2, before base64 (developers.google.com/workspace/gmail/imap/xoauth2-protocol).
pub(crate) fn xoauth2_message(user: &[u8], token: &[u8]) -> Secret {
    message(&[b"user=", user, SEPARATOR], token)
}

/// The message of OAUTHBEARER, before base64 (RFC 7628 section 3.1), with the header of RFC 5801 section 4 before it.
pub(crate) fn oauthbearer_message(user: &[u8], token: &[u8], server: Option<(&[u8], u16)>) -> Secret {
    let user = saslname(user);
    let Some((host, port)) = server else { return message(&[b"n,a=", &user, b",\x01"], token) };
    let digits = [10_000, 1000, 100, 10, 1].map(|ten| b'0' + (port / ten % 10) as u8); // fmt would be a hundredth of the C library
    let port = &digits[digits.iter().position(|digit| *digit != b'0').unwrap_or(4)..];
    message(&[b"n,a=", &user, b",\x01host=", host, b"\x01port=", port, SEPARATOR], token)
}

fn message(begin: &[&[u8]], token: &[u8]) -> Secret {
    let length: usize = begin.iter().map(|part| part.len()).sum();
    let mut message = Secret::with_room(length + token.len() + 15);
    begin.iter().for_each(|part| message.add(part));
    [b"auth=Bearer ", token, SEPARATOR, SEPARATOR].into_iter().for_each(|part| message.add(part));
    message
}

/// A name as a saslname (RFC 5801 section 4).
pub(super) fn saslname(name: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(name.len());
    for octet in name {
        match octet {
            b',' => out.extend_from_slice(b"=2C"),
            b'=' => out.extend_from_slice(b"=3D"),
            octet => out.push(*octet),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base64_secret;

    #[test]
    fn examples() {
        let token = b"vF9dft4qmTc2Nvb3RlckBhbHRhdmlzdGEuY29tCg==";
        let server = Some((&b"server.example.com"[..], 143));
        let base64 = base64_secret(&oauthbearer_message(b"user@example.com", token, server));
        assert_eq!(
            core::str::from_utf8(&base64).unwrap(), // RFC 7628 section 4.1
            "bixhPXVzZXJAZXhhbXBsZS5jb20sAWhvc3Q9c2VydmVyLmV4YW1wbGUuY29tAXBvcnQ9MTQzAWF1dGg9QmVhcmVyIHZGOWRmdDRxbVRjMk52YjNSbGNrQmhiSFJoZG1semRHRXVZMjl0Q2c9PQEB"
        );
        // Google's page has the token vF9dft4qmTc2Nvb3RlckBhdHRhdmlzdGEuY29tCg== for this one.
        let token = b"ya29.vF9dft4qmTc2Nvb3RlckBhdHRhdmlzdGEuY29tCg";
        let base64 = base64_secret(&xoauth2_message(b"someuser@example.com", token));
        assert_eq!(
            core::str::from_utf8(&base64).unwrap(),
            "dXNlcj1zb21ldXNlckBleGFtcGxlLmNvbQFhdXRoPUJlYXJlciB5YTI5LnZGOWRmdDRxbVRjMk52YjNSbGNrQmhkSFJoZG1semRHRXVZMjl0Q2cBAQ=="
        );
        assert_eq!(*oauthbearer_message(b"a,b=c", b"t", None), b"n,a=a=2Cb=3Dc,\x01auth=Bearer t\x01\x01");
        for port in [0, 7, 25, 587, 1080, 65535] {
            let message = oauthbearer_message(b"a", b"t", Some((b"h", port)));
            let expected = std::format!("n,a=a,\x01host=h\x01port={port}\x01auth=Bearer t\x01\x01");
            assert_eq!(core::str::from_utf8(&message).unwrap(), expected);
        }
    }

    #[test]
    fn what_answers_a_challenge() {
        let json = b"eyJzdGF0dXMiOiI0MDEifQ=="; // {"status":"401"}
        for (start, end) in [(xoauth2 as fn(&TokenLogin) -> _, &b""[..]), (oauthbearer, b"\x01")] {
            let answers = |length: usize, challenges: &[&[u8]]| {
                let token = Secret::from(alloc::vec![b't'; length]);
                let mut exchange =
                    start(&TokenLogin { user: b"me".to_vec(), token, server: None, clear_allowed: false });
                assert_eq!(exchange.initial_response().is_some(), length < 300);
                let kind = |octets: &[u8]| if octets == end { "end" } else { "message" };
                let answer =
                    |challenge: &&[u8]| exchange.respond(challenge).map_or("*", |response| kind(&response.octets));
                challenges.iter().map(answer).collect::<Vec<_>>().join(" ")
            };
            // The message was the initial response.
            assert_eq!(answers(9, &[json, b""]), "end *");
            assert_eq!(answers(9, &[b" ", json, json]), "message end *");
            assert_eq!(answers(9, &[b"no", json]), "end *");
            // It was too long for that.
            assert_eq!(answers(900, &[b"", json, json]), "message end *");
            assert_eq!(answers(900, &[b"go ahead", b"", b""]), "message end *");
            assert_eq!(answers(900, &[json, b""]), "end *");
        }
    }
}
