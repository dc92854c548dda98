//! SCRAM (RFC 5802, SHA-256 in RFC 7677): both sides prove that they know the password, and neither shows it. With -PLUS the proof is
//! bound to the TLS connection (RFC 9266), so that nobody in the middle can pass it on.
//!
//! User and password go as they are, without SASLprep: servers compare the octets, and refuse prepared ones. The flag is `n`, never
//! `y`: where Postfix does not list the -PLUS that Dovecot behind it has, Dovecot takes `y` for an attack.

use super::bearer::saslname;
use super::{Cancel, Exchange, NONCE, Proofs, Response, decoded};
use crate::base64_secret;
use crate::cause::Unanswerable;
use crate::hmac::{Hash, Hmac, pbkdf2};
use crate::login::PasswordLogin;
use crate::secret::Secret;
use alloc::boxed::Box;
use alloc::vec::Vec;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;

/// The limits of RFC 7677 section 4 and of this program: fewer rounds make it easy to guess the password, and each server can ask for
/// any number, of which a million takes a second.
const ROUNDS: core::ops::RangeInclusive<u64> = 4096..=1_000_000;
/// Of the first message of the server, in octets.
const MAX_MESSAGE: usize = 2048;
/// Of the whole nonce. With this limit each line that is sent fits in 512 octets.
const MAX_NONCE: usize = 256;
/// In octets.
const MAX_SALT: usize = 1024;

struct Scram {
    hash: &'static Hash,
    /// `cbind-input` (RFC 5802 section 7): the GS2 header, and the channel binding.
    cbind_input: Vec<u8>,
    /// How much of that is the header.
    gs2_header_len: usize,
    /// `client-first-message-bare`: `n=user,r=nonce`.
    client_first_bare: Vec<u8>,
    /// The length of our nonce at its end.
    nonce_len: usize,
    password: Secret,
    state: State,
}

enum State {
    /// No challenge has come.
    Start,
    /// Our first message has gone as the answer to an empty challenge.
    Asked,
    /// The client has proved itself, by so many rounds. The server must send this.
    Proof(Secret, u64),
    /// It has.
    Proven,
}

pub(super) fn start(
    hash: &'static Hash,
    login: &PasswordLogin,
    nonce: &[u8; NONCE],
    binding: Option<[u8; 32]>,
) -> Box<dyn Exchange> {
    Box::new(Scram::new(hash, login, &base64_secret(nonce), binding.as_ref().map(|octets| &octets[..])))
}

impl Exchange for Scram {
    fn initial_response(&self) -> Option<Response> {
        Some(self.client_first())
    }

    fn respond(&mut self, challenge: &[u8]) -> Result<Response, Cancel> {
        let message = decoded(challenge);
        match &self.state {
            State::Start if message.as_deref() == Some(&[]) => {
                self.state = State::Asked;
                Ok(self.client_first())
            }
            State::Start | State::Asked => {
                let message = message.filter(|message| message.len() <= MAX_MESSAGE);
                self.prove(&message.ok_or(Unanswerable::Malformed)?).map_err(Cancel::from)
            }
            State::Proof(proof, _) => {
                let message = message.unwrap_or_default();
                let first = message.split(|c| *c == b',').next().unwrap_or_default();
                if *first == ***proof {
                    self.state = State::Proven;
                    return Ok(Response::new(Secret::default()));
                }
                Err(if first.starts_with(b"e=") { Unanswerable::Refused.into() } else { Cancel::NotProven })
            }
            State::Proven => Err(Cancel::NoAnswer),
        }
    }

    /// Some servers have their proof in the text of the 235, which RFC 4954 does not foresee.
    fn accepts(&mut self, text: &[u8]) -> bool {
        match &self.state {
            State::Start | State::Asked => false,
            State::Proof(proof, _) => text.split(|c| b" \t".contains(c)).any(|word| {
                let message = decoded(word).unwrap_or_default();
                message.split(|c| *c == b',').next() == Some(proof)
            }),
            State::Proven => true,
        }
    }

    fn proofs(&self) -> Option<Proofs> {
        match &self.state {
            State::Start | State::Asked => None,
            State::Proof(proof, rounds) => {
                Some(Proofs::Ours(*rounds, Response { octets: Secret::from(&proof[..]), mask_from: "v=".len() }))
            }
            State::Proven => Some(Proofs::Both),
        }
    }
}

impl Scram {
    /// `nonce` is printable, without a comma. With a `binding` it is -PLUS.
    fn new(hash: &'static Hash, login: &PasswordLogin, nonce: &[u8], binding: Option<&[u8]>) -> Scram {
        let header: &[u8] = if binding.is_some() { b"p=tls-exporter,," } else { b"n,," };
        let mut client_first_bare = b"n=".to_vec();
        client_first_bare.extend_from_slice(&saslname(&login.user));
        client_first_bare.extend_from_slice(b",r=");
        client_first_bare.extend_from_slice(nonce);
        Scram {
            hash,
            cbind_input: [header, binding.unwrap_or_default()].concat(),
            gs2_header_len: header.len(),
            client_first_bare,
            nonce_len: nonce.len(),
            password: Secret::from(&login.password[..]),
            state: State::Start,
        }
    }

    fn client_first(&self) -> Response {
        let mut octets = Secret::from(&self.cbind_input[..self.gs2_header_len]);
        octets.add(&self.client_first_bare);
        Response::new(octets)
    }

    /// The answer to the server's first message.
    fn prove(&mut self, message: &[u8]) -> Result<Response, Unanswerable> {
        let challenge = Challenge::read(message)?;
        let ours = &self.client_first_bare[self.client_first_bare.len() - self.nonce_len..];
        if challenge.nonce.len() <= ours.len() || !challenge.nonce.starts_with(ours) {
            return Err(Unanswerable::Nonce);
        }
        if !ROUNDS.contains(&challenge.rounds) {
            return Err(Unanswerable::Rounds { rounds: challenge.rounds });
        }

        let salted = Hmac::new(self.hash, &pbkdf2(self.hash, &self.password, &challenge.salt, challenge.rounds));
        self.password = Secret::default();
        let mut client_final = Secret::from(&b"c="[..]);
        client_final.add(&base64_secret(&self.cbind_input));
        client_final.add(b",r=");
        client_final.add(challenge.nonce);
        let signature =
            |key: &[u8]| Hmac::new(self.hash, key).of(&[&self.client_first_bare, b",", message, b",", &client_final]);
        let mut client_key = salted.of(&[b"Client Key"]);
        let client_signature = signature(&self.hash.digest_of(&client_key));
        client_key.xor(&client_signature); // that is ClientProof now
        let server_signature = signature(&salted.of(&[b"Server Key"]));

        let mut expected = Secret::from(&b"v="[..]);
        expected.add(&base64_secret(&server_signature));
        self.state = State::Proof(expected, challenge.rounds);
        client_final.add(b",p=");
        let mask_from = client_final.len();
        client_final.add(&base64_secret(&client_key));
        Ok(Response { octets: client_final, mask_from }) // whoever has the proof can try passwords against it
    }
}

/// The first message of the server (RFC 5802 section 7, `server-first-message`).
struct Challenge<'a> {
    nonce: &'a [u8],
    salt: Vec<u8>,
    rounds: u64,
}

impl Challenge<'_> {
    /// Attributes behind these three are ignored; one before them is a mandatory extension, and none is known.
    fn read(message: &[u8]) -> Result<Challenge<'_>, Unanswerable> {
        let mut attributes = message.split(|c| *c == b',');
        let mut next = |name: &[u8]| attributes.next()?.strip_prefix(name);
        if message.starts_with(b"e=") {
            return Err(Unanswerable::Refused);
        }
        (|| {
            let nonce = next(b"r=").filter(|n| n.len() <= MAX_NONCE && n.iter().all(u8::is_ascii_graphic))?;
            let salt = STANDARD.decode(next(b"s=")?).ok().filter(|salt| (1..=MAX_SALT).contains(&salt.len()))?;
            let rounds = next(b"i=").filter(|digits| matches!(digits, [b'1'..=b'9', ..]))?;
            // A number that is too large for its type is too large here, too.
            let add = |sum: u64, digit: &u8| {
                digit.is_ascii_digit().then(|| sum.saturating_mul(10).saturating_add(u64::from(digit - b'0')))
            };
            Some(Challenge { nonce, salt, rounds: rounds.iter().try_fold(0, add)? })
        })()
        .ok_or(Unanswerable::Malformed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::hmac::{SHA_1, SHA_256};

    fn scram(hash: &'static Hash, user: &[u8], nonce: &[u8], binding: Option<&[u8]>) -> Scram {
        let login = PasswordLogin { user: user.to_vec(), password: b"pencil".to_vec().into(), clear_allowed: false };
        Scram::new(hash, &login, nonce, binding)
    }

    fn base64(text: &[u8]) -> Vec<u8> {
        STANDARD.encode(text).into_bytes()
    }

    /// RFC 5802 section 5 and RFC 7677 section 3.
    #[test]
    fn examples() {
        for (hash, nonce, challenge, answer, proof) in [
            (
                &SHA_1,
                "fyko+d2lbbFgONRv9qkxdawL",
                "r=fyko+d2lbbFgONRv9qkxdawL3rfcNHYJY1ZVvWVs7j,s=QSXCR+Q6sek8bf92,i=4096",
                "c=biws,r=fyko+d2lbbFgONRv9qkxdawL3rfcNHYJY1ZVvWVs7j,p=v0X8v3Bz2T0CJGbJQyF0X+HI4Ts=",
                "v=rmF9pqV8S7suAoZWja4dJRkFsKQ=",
            ),
            (
                &SHA_256,
                "rOprNGfwEbeRWgbNEkqO",
                "r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096",
                "c=biws,r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,\
                 p=dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ=",
                "v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4=",
            ),
        ] {
            let challenge = base64(challenge.as_bytes());
            let mut exchange = scram(hash, b"user", nonce.as_bytes(), None);
            let first = exchange.initial_response().unwrap().octets.to_vec();
            assert_eq!(String::from_utf8(first).unwrap(), format!("n,,n=user,r={nonce}"));
            let response = exchange.respond(&challenge).unwrap();
            assert_eq!(response.octets[..], *answer.as_bytes());
            assert_eq!(response.octets[..response.mask_from], answer.as_bytes()[..answer.find("p=").unwrap() + 2]);
            assert!(matches!(exchange.proofs(), Some(Proofs::Ours(4096, _))));
            assert!(!exchange.accepts(b"2.7.0 ok"));
            let with_proof = [b"2.7.0 ", &base64(proof.as_bytes())[..]].concat();
            assert!(exchange.accepts(&with_proof)); // in the 235
            assert!(exchange.respond(&base64(proof.as_bytes())).unwrap().octets.is_empty()); // in a 334
            assert!(exchange.accepts(b"2.7.0 ok"));
            assert_eq!(exchange.respond(b"").err(), Some(Cancel::NoAnswer));
        }
    }

    #[test]
    fn what_is_bound_and_how_a_user_is_written() {
        let exchange = scram(&SHA_256, b"a=b,c\xff", b"abc", Some(&[7; 32]));
        assert_eq!(*exchange.initial_response().unwrap().octets, b"p=tls-exporter,,n=a=3Db=2Cc\xff,r=abc");
        let mut exchange = scram(&SHA_256, b"u", b"abc", Some(&[7; 32]));
        let answer = exchange.respond(&base64(b"r=abcd,s=c2FsdA==,i=4096")).unwrap().octets;
        let header = [b"c=", &base64(&[b"p=tls-exporter,,", &[7; 32][..]].concat())[..], b",r=abcd,p="].concat();
        assert!(answer.starts_with(&header));
    }

    #[test]
    fn a_first_message_is_asked_for_again_once() {
        let mut exchange = scram(&SHA_256, b"u", b"abc", None);
        assert_eq!(*exchange.respond(b"").unwrap().octets, b"n,,n=u,r=abc");
        assert_eq!(exchange.respond(b"").err(), Some(Unanswerable::Malformed.into()));
        assert!(!exchange.accepts(b"v="));
    }

    #[test]
    fn challenges_that_get_no_answer() {
        use Unanswerable::{Malformed, Nonce, Refused, Rounds};
        let (long_nonce, long_salt) = ("x".repeat(MAX_NONCE - 2), STANDARD.encode([b'x'; MAX_SALT + 1]));
        let longest = format!("r=abc{},s={},i=4096", "x".repeat(MAX_NONCE - 3), STANDARD.encode([b'x'; MAX_SALT]));
        assert!(scram(&SHA_1, b"u", b"abc", None).respond(&base64(longest.as_bytes())).is_ok());
        let with_extension = b"r=abc\"'\\=!x,s=c2FsdA==,i=4096,x=what,ever";
        assert!(scram(&SHA_1, b"u", b"abc", None).respond(&base64(with_extension)).is_ok());
        let rounds = |rounds| Rounds { rounds };
        for (challenge, expected) in [
            ("m=x,r=abcd,s=c2FsdA==,i=4096", Malformed),
            ("r=abc,s=c2FsdA==,i=4096", Nonce),
            ("r=ab,s=c2FsdA==,i=4096", Nonce),
            ("r=abx,s=c2FsdA==,i=4096", Nonce),
            ("r=xabc,s=c2FsdA==,i=4096", Nonce),
            ("r=,s=c2FsdA==,i=4096", Nonce),
            ("r=abc\u{7f},s=c2FsdA==,i=4096", Malformed),
            ("r=abc d,s=c2FsdA==,i=4096", Malformed),
            ("r=abc\u{e9},s=c2FsdA==,i=4096", Malformed),
            (&format!("r=abc{long_nonce},s=c2FsdA==,i=4096"), Malformed),
            ("r=abcd,s=,i=4096", Malformed),
            ("r=abcd,s=c2FsdA=,i=4096", Malformed),
            ("r=abcd,s=c2FsdB==,i=4096", Malformed),
            ("r=abcd,s=c2Fs dA==,i=4096", Malformed),
            (&format!("r=abcd,s={long_salt},i=4096"), Malformed),
            ("r=abcd,i=4096,s=c2FsdA==", Malformed),
            ("r=abcd,s=c2FsdA==", Malformed),
            ("r=abcd,s=c2FsdA==,i=", Malformed),
            ("r=abcd,s=c2FsdA==,i=04096", Malformed),
            ("r=abcd,s=c2FsdA==,i=+4096", Malformed),
            ("r=abcd,s=c2FsdA==,i=4096 ", Malformed),
            ("r=abcd,s=c2FsdA==,i=0", Malformed),
            ("r=abcd,s=c2FsdA==,i=1", rounds(1)),
            ("r=abcd,s=c2FsdA==,i=4095", rounds(4095)),
            ("r=abcd,s=c2FsdA==,i=1000001", rounds(1_000_001)),
            ("r=abcd,s=c2FsdA==,i=2147483648", rounds(1 << 31)),
            ("r=abcd,s=c2FsdA==,i=18446744073709551616", rounds(u64::MAX)),
            ("e=unknown-user", Refused),
            ("v=rmF9pqV8S7suAoZWja4dJRkFsKQ=", Malformed),
        ] {
            let mut exchange = scram(&SHA_1, b"u", b"abc", None);
            let result = exchange.respond(&base64(challenge.as_bytes())).err();
            assert_eq!(result, Some(expected.into()), "{challenge}");
            assert!(!exchange.accepts(b"2.7.0 ok"));
        }
        let too_long = format!("r=abcd,s=c2FsdA==,i=4096,{}", "x".repeat(MAX_MESSAGE));
        for challenge in [&base64(too_long.as_bytes())[..], b"cj1hYmNk*", b"r=abcd,s=c2FsdA==,i=4096"] {
            assert_eq!(scram(&SHA_1, b"u", b"abc", None).respond(challenge).err(), Some(Malformed.into()));
        }
    }

    #[test]
    fn a_server_that_does_not_prove_itself() {
        for (proof, expected) in [
            ("v=", Cancel::NotProven),
            ("", Cancel::NotProven),
            ("v=rmF9pqV8S7suAoZWja4dJRkFsKQ", Cancel::NotProven),
            ("v=rmF9pqV8S7suAoZWja4dJRkFsKR=", Cancel::NotProven),
            ("V=rmF9pqV8S7suAoZWja4dJRkFsKQ=", Cancel::NotProven),
            ("x=y,v=rmF9pqV8S7suAoZWja4dJRkFsKQ=", Cancel::NotProven),
            ("e=invalid-proof", Unanswerable::Refused.into()),
        ] {
            let mut exchange = scram(&SHA_1, b"user", b"fyko+d2lbbFgONRv9qkxdawL", None);
            let challenge = b"r=fyko+d2lbbFgONRv9qkxdawL3rfcNHYJY1ZVvWVs7j,s=QSXCR+Q6sek8bf92,i=4096";
            exchange.respond(&base64(challenge)).unwrap();
            assert!(!exchange.accepts(&base64(proof.as_bytes())), "{proof}");
            assert_eq!(exchange.respond(&base64(proof.as_bytes())).err(), Some(expected), "{proof}");
            assert!(!exchange.accepts(b"2.7.0 ok"), "{proof}");
        }
    }
}
