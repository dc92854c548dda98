//! The AUTH client alone: what it sends and when it stops, so that no relay locks the user out.

use qmail_auth::client::{Channel, Client, Permission, Step};
use qmail_auth::detect::Offer;
use qmail_auth::mechanisms::{self, Cancel, Exchange, Mechanism, Response, Start};
use qmail_auth::secret::Secret;
use qmail_auth::{Login, PasswordLogin};

/// What happens to the client in a case.
enum Event {
    Reply(u16, &'static str),
    Closed,
    ClosedBeforeSending,
    /// A new connection, after a Reconnect.
    Connected,
}
use Event::*;

/// Runs a client with this order, all of it offered and permitted. Answers what it said and how it ended, in words.
fn run(order: &[&str], events: &[Event]) -> String {
    run_with(order.iter().map(|name| mechanisms::usable(name).unwrap()).collect(), events)
}

fn run_with(order: Vec<&'static Mechanism>, events: &[Event]) -> String {
    let login = PasswordLogin { user: b"u".to_vec(), password: b"p".to_vec().into(), clear_allowed: true };
    let names = order.iter().map(|mechanism| mechanism.name.to_owned()).collect();
    let offer = Offer { offered: true, names };
    let mut auth = Client::new(Login::Password(login), Some("here".to_owned()), Some(order));
    let mut said = Vec::new();
    let mut note = |step: Step| match step {
        Step::Send(line) => said.push(String::from_utf8_lossy(&line).into_owned()),
        Step::Proceed => said.push("logged in".to_owned()),
        Step::Reconnect(_) => said.push("reconnect".to_owned()),
        Step::Deferred(_) => said.push("deferred".to_owned()),
        Step::Failed(why) if why.to_string().contains("could not prove") => said.push("not proven".to_owned()),
        Step::Failed(_) => said.push("failed".to_owned()),
        Step::Random { .. } => panic!("none of these needs random octets"),
    };
    note(auth.begin(offer.clone(), Permission::Any, Channel::Clear));
    for event in events {
        note(match event {
            Reply(code, text) => auth.step(*code, text.as_bytes()),
            Closed => auth.closed(true),
            ClosedBeforeSending => auth.closed(false),
            Connected => auth.begin(offer.clone(), Permission::Any, Channel::Clear),
        });
    }
    said.join(", ")
}

#[test]
fn no_more_tries_than_a_relay_bears() {
    let plain_first = ["PLAIN", "LOGIN", "CRAM-MD5"];
    for (order, events, expected) in [
        // two on a connection, three in all
        (
            &["CRAM-MD5", "LOGIN", "PLAIN"][..],
            &[Reply(504, ""), Reply(504, ""), Connected, Reply(504, "")][..],
            "AUTH CRAM-MD5, AUTH LOGIN, reconnect, AUTH PLAIN AHUAcA==, failed",
        ),
        // one more after a password that was shown and refused, by 535 or by closing
        (
            &plain_first,
            &[Reply(535, ""), Reply(334, ""), Reply(334, ""), Reply(535, "")],
            "AUTH PLAIN AHUAcA==, AUTH LOGIN, dQ==, cA==, failed",
        ),
        (&plain_first, &[Closed, Connected, Reply(504, "")], "AUTH PLAIN AHUAcA==, reconnect, AUTH LOGIN, failed"),
        // LOGIN refused at the user has not shown it
        (
            &["LOGIN", "PLAIN", "CRAM-MD5"],
            &[Reply(334, ""), Reply(535, ""), Reply(535, ""), Connected],
            "AUTH LOGIN, dQ==, AUTH PLAIN AHUAcA==, reconnect, AUTH CRAM-MD5",
        ),
        // one reconnect
        (&plain_first, &[Closed, Connected, Closed], "AUTH PLAIN AHUAcA==, reconnect, AUTH LOGIN, failed"),
        (
            &["CRAM-MD5", "PLAIN", "LOGIN"],
            &[Closed, Connected, Closed],
            "AUTH CRAM-MD5, reconnect, AUTH PLAIN AHUAcA==, failed",
        ),
        // a command that did not go out was no try; one that did and was answered was
        (
            &["CRAM-MD5", "PLAIN", "LOGIN"],
            &[Reply(504, ""), ClosedBeforeSending, Connected],
            "AUTH CRAM-MD5, AUTH PLAIN AHUAcA==, reconnect, AUTH PLAIN AHUAcA==",
        ),
        (
            &["PLAIN"],
            &[ClosedBeforeSending, Connected, ClosedBeforeSending],
            "AUTH PLAIN AHUAcA==, reconnect, AUTH PLAIN AHUAcA==, failed",
        ),
        (
            &["CRAM-MD5", "PLAIN", "LOGIN"],
            &[Reply(504, ""), Reply(334, "x"), ClosedBeforeSending, Connected, Reply(504, "")],
            "AUTH CRAM-MD5, AUTH PLAIN AHUAcA==, AHUAcA==, reconnect, AUTH LOGIN, failed",
        ),
        // what came behind a refusal and was not answered is made again, once, and counts
        (
            &["CRAM-MD5", "PLAIN"],
            &[Reply(535, ""), Closed, Connected, Closed],
            "AUTH CRAM-MD5, AUTH PLAIN AHUAcA==, reconnect, AUTH PLAIN AHUAcA==, failed",
        ),
        (
            &["CRAM-MD5", "LOGIN", "PLAIN"],
            &[Reply(535, ""), Reply(421, ""), Connected, Reply(504, "")],
            "AUTH CRAM-MD5, AUTH LOGIN, reconnect, AUTH LOGIN, failed",
        ),
        (&["CRAM-MD5", "PLAIN"], &[Reply(421, "")], "AUTH CRAM-MD5, deferred"),
        (
            &["CRAM-MD5", "LOGIN"],
            &[Reply(535, ""), Reply(334, ""), Reply(421, "")],
            "AUTH CRAM-MD5, AUTH LOGIN, dQ==, deferred",
        ),
        // a 334 without end
        (&["PLAIN"], &[Reply(334, ""), Reply(334, ""), Reply(334, "")], "AUTH PLAIN AHUAcA==, AHUAcA==, *, deferred"),
        (
            &["LOGIN"],
            &[Reply(334, ""), Reply(334, ""), Reply(334, ""), Reply(501, "")],
            "AUTH LOGIN, dQ==, cA==, *, failed",
        ),
        // 4xx ends it, and so does what has no place there
        (&plain_first, &[Reply(454, "")], "AUTH PLAIN AHUAcA==, deferred"),
        (&plain_first, &[Reply(250, "")], "AUTH PLAIN AHUAcA==, deferred"),
        (&plain_first, &[Reply(235, "")], "AUTH PLAIN AHUAcA==, logged in"),
        // 235 is one when it answers the last line of a login
        (&plain_first, &[Reply(454, ""), Reply(235, "")], "AUTH PLAIN AHUAcA==, deferred, deferred"),
        // a login is made once: its password is no more
        (
            &plain_first,
            &[Reply(235, ""), Reply(334, ""), Reply(535, ""), Closed, Connected],
            "AUTH PLAIN AHUAcA==, logged in, deferred, deferred, deferred, deferred",
        ),
    ] {
        assert_eq!(run(order, events), expected);
    }
}

/// A mechanism by which the server has to prove itself: it says `proof` in a 334 or in the 235. Its last word is an empty line.
struct Mutual {
    is_proven: bool,
}

static MUTUAL: Mechanism = Mechanism {
    name: "MUTUAL",
    bit: 0,
    start: Some(Start::Password(|_| Box::new(Mutual { is_proven: false }))),
    shows_password: None,
    has_bare_form: true,
    over_tls: None,
    in_clear: None,
    hiding: None,
};

impl Exchange for Mutual {
    fn initial_response(&self) -> Option<Response> {
        Some(Response { octets: Secret::from(&b"hello"[..]), mask_from: 0 })
    }

    fn respond(&mut self, challenge: &[u8]) -> Result<Response, Cancel> {
        self.is_proven = challenge == b"proof";
        if challenge == b"lies" {
            return Err(Cancel::NotProven);
        }
        self.is_proven.then(|| Response { octets: Secret::default(), mask_from: 0 }).ok_or(Cancel::NoAnswer)
    }

    fn accepts(&mut self, text: &[u8]) -> bool {
        self.is_proven || text == b"proof"
    }
}

#[test]
fn a_server_that_does_not_prove_itself_gets_no_mail_and_nothing_more() {
    let plain = mechanisms::usable("PLAIN").unwrap();
    for (events, expected) in [
        (&[Reply(334, "proof"), Reply(235, "")][..], "AUTH MUTUAL aGVsbG8=, , logged in"),
        (&[Reply(235, "proof")], "AUTH MUTUAL aGVsbG8=, logged in"),
        (&[Reply(235, "ok")], "AUTH MUTUAL aGVsbG8=, not proven"),
        (&[Reply(235, "ok"), Reply(235, "proof")], "AUTH MUTUAL aGVsbG8=, not proven, deferred"),
        (&[Reply(235, "ok"), Closed, Connected], "AUTH MUTUAL aGVsbG8=, not proven, not proven, not proven"),
        (
            &[Reply(334, "lies"), Reply(501, ""), Closed, Connected],
            "AUTH MUTUAL aGVsbG8=, *, not proven, not proven, not proven",
        ),
        (&[Reply(334, "lies"), Reply(235, "proof"), Connected], "AUTH MUTUAL aGVsbG8=, *, deferred, not proven"),
        (&[Reply(334, "?"), Reply(501, "")], "AUTH MUTUAL aGVsbG8=, *, AUTH PLAIN AHUAcA=="),
        // another mechanism where it is refused, and first the same without the initial response
        (&[Reply(535, "no")], "AUTH MUTUAL aGVsbG8=, AUTH PLAIN AHUAcA=="),
    ] {
        assert_eq!(run_with(vec![&MUTUAL, plain], events), expected);
    }
    assert_eq!(run_with(vec![&MUTUAL], &[Reply(501, "")]), "AUTH MUTUAL aGVsbG8=, AUTH MUTUAL");
}
