//! The server's side of AUTH: PLAIN (RFC 4616), LOGIN, CRAM-MD5 (RFC 2195), SCRAM (RFC 5802).

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, KeyInit, Mac};
use md5::Md5;

use super::Rules;
use super::scram::Scram;

/// A login that waits for the client's next line.
#[derive(Clone)]
pub(super) enum Exchange {
    Plain,
    LoginUser,
    LoginPassword {
        user: Vec<u8>,
    },
    CramMd5 {
        challenge: String,
    },
    /// SCRAM waits for its first message; and with what a login is bound to.
    ScramFirst {
        mechanism: String,
        binding: Option<[u8; 32]>,
    },
    ScramLast(Box<Scram>),
    /// The server has proved itself, and the client says nothing to that.
    ScramProven {
        user: String,
    },
    /// A mechanism that only the hook knows.
    Scripted,
}

/// How a login goes on.
pub(super) enum Step {
    Ask(String, Exchange),
    LoggedIn(String),
    Refused(&'static str),
}

const FAILED: Step = Step::Refused("535 5.7.8 Error: authentication failed");
const NOT_BASE64: Step = Step::Refused("501 5.5.2 Cannot decode base64");

/// Begins with the arguments of an AUTH command; CRAM-MD5 asks with this challenge, and -PLUS is bound to this.
pub(super) fn start(
    mechanism: &str,
    initial: Option<&str>,
    challenge: &str,
    binding: Option<[u8; 32]>,
    rules: &Rules,
) -> Step {
    if mechanism.starts_with("SCRAM-") {
        let exchange = Exchange::ScramFirst { mechanism: mechanism.to_owned(), binding };
        return match initial {
            None => Step::Ask(String::new(), exchange),
            Some(initial) => exchange.answer(initial, rules),
        };
    }
    match (mechanism, initial) {
        ("PLAIN", None) => Step::Ask(String::new(), Exchange::Plain),
        ("PLAIN", Some(initial)) => Exchange::Plain.answer(if initial == "=" { "" } else { initial }, rules),
        ("LOGIN", None) => Step::Ask(STANDARD.encode("Username:"), Exchange::LoginUser),
        ("LOGIN", Some(initial)) => Exchange::LoginUser.answer(initial, rules),
        ("CRAM-MD5", None) => {
            Step::Ask(STANDARD.encode(challenge), Exchange::CramMd5 { challenge: challenge.to_owned() })
        }
        ("CRAM-MD5", Some(_)) => Step::Refused("501 5.5.2 CRAM-MD5 has no initial response"),
        _ => Step::Refused("504 5.5.4 Unrecognized authentication type"),
    }
}

impl Exchange {
    /// Goes on with the client's line.
    pub(super) fn answer(&self, line: &str, rules: &Rules) -> Step {
        if line == "*" {
            return Step::Refused("501 5.7.0 Authentication aborted");
        }
        let Ok(answer) = STANDARD.decode(line) else { return NOT_BASE64 };
        match self {
            Exchange::Plain => {
                // Nobody may act for another here, so the first field is empty; several servers want just that.
                let fields: Vec<&[u8]> = answer.split(|&octet| octet == 0).collect();
                if let [b"", user, password] = fields[..] { check(user, password, rules) } else { FAILED }
            }
            Exchange::LoginUser => Step::Ask(STANDARD.encode("Password:"), Exchange::LoginPassword { user: answer }),
            Exchange::LoginPassword { user } => check(user, &answer, rules),
            Exchange::CramMd5 { challenge } => {
                let mut digest = Hmac::<Md5>::new_from_slice(&rules.password).unwrap();
                digest.update(challenge.as_bytes());
                let digest: String =
                    digest.finalize().into_bytes().iter().map(|octet| format!("{octet:02x}")).collect();
                let wanted = [&rules.user, &b" "[..], digest.as_bytes()].concat();
                if answer == wanted { check(&rules.user, &rules.password, rules) } else { FAILED }
            }
            Exchange::ScramFirst { mechanism, binding } => {
                match Scram::start(mechanism, &answer, &rules.password, *binding) {
                    Some(scram) if scram.user.as_bytes() == rules.user => {
                        Step::Ask(STANDARD.encode(&scram.first), Exchange::ScramLast(Box::new(scram)))
                    }
                    _ => FAILED,
                }
            }
            Exchange::ScramLast(scram) => match scram.proof(&answer) {
                Some(proof) => Step::Ask(STANDARD.encode(proof), Exchange::ScramProven { user: scram.user.clone() }),
                None => FAILED,
            },
            Exchange::ScramProven { user } if answer.is_empty() => Step::LoggedIn(user.clone()),
            Exchange::ScramProven { .. } | Exchange::Scripted => FAILED,
        }
    }
}

fn check(user: &[u8], password: &[u8], rules: &Rules) -> Step {
    let good = user == rules.user && password == rules.password;
    if good { Step::LoggedIn(String::from_utf8_lossy(user).into()) } else { FAILED }
}
