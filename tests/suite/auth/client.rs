//! The AUTH client alone: what it sends and when it stops, so that no relay locks the user out.

use qmail_auth::client::past::{Conclusion, Past};
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
    let (mut auth, offer) = client(order);
    talk(&mut auth, &offer, events)
}

/// A client with this order, and a relay's offer of all of it.
fn client(order: Vec<&'static Mechanism>) -> (Client, Offer) {
    let login = PasswordLogin { user: b"u".to_vec(), password: b"p".to_vec().into(), clear_allowed: true };
    let names = order.iter().map(|mechanism| mechanism.name.to_owned()).collect();
    let client = Client::new(Login::Password(login), Some("here".to_owned()), Some(order));
    (client, Offer { offered: true, names })
}

fn talk(auth: &mut Client, offer: &Offer, events: &[Event]) -> String {
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

/// A login after earlier ones: what it said, how it ended, and what it came to.
fn run_after(past: Past, order: &[&str], events: &[Event]) -> (String, Conclusion) {
    let order = order.iter().map(|name| mechanisms::usable(name).unwrap()).collect();
    let (mut auth, offer) = client(order);
    auth.remember(past);
    (talk(&mut auth, &offer, events), auth.conclusion())
}

fn named(names: &[&str]) -> Vec<&'static Mechanism> {
    names.iter().map(|name| mechanisms::usable(name).unwrap()).collect()
}

#[test]
fn what_worked_last_time_goes_first() {
    let all = ["PLAIN", "LOGIN", "CRAM-MD5"];
    let good = |name| Past { good: named(&[name]).pop(), ..Past::default() };
    let turn = |turn: usize| Past { failures: turn + 1, ..Past::default() };
    for (past, order, events, expected) in [
        (good("LOGIN"), &all[..], &[Reply(235, "")][..], "AUTH LOGIN, logged in"),
        // When it is refused for more than the command, no other is tried.
        (good("LOGIN"), &all, &[Reply(535, "")], "AUTH LOGIN, failed"),
        (good("PLAIN"), &all, &[Reply(534, "")], "AUTH PLAIN AHUAcA==, failed"),
        (good("PLAIN"), &all, &[Reply(550, "5.7.30")], "AUTH PLAIN AHUAcA==, failed"),
        (good("PLAIN"), &all, &[Closed], "AUTH PLAIN AHUAcA==, failed"),
        (good("PLAIN"), &all, &[Reply(421, "")], "AUTH PLAIN AHUAcA==, deferred"),
        (good("LOGIN"), &all, &[Reply(504, ""), Reply(235, "")], "AUTH LOGIN, AUTH PLAIN AHUAcA==, logged in"),
        (
            good("LOGIN"),
            &all,
            &[Closed, Connected, Reply(535, "")],
            "AUTH LOGIN, reconnect, AUTH PLAIN AHUAcA==, failed",
        ),
        // It is not offered now.
        (
            good("CRAM-MD5"),
            &["PLAIN", "LOGIN"],
            &[Reply(504, ""), Reply(235, "")],
            "AUTH PLAIN AHUAcA==, AUTH LOGIN, logged in",
        ),
        (good("CRAM-MD5"), &["PLAIN", "LOGIN"], &[Reply(535, "")], "AUTH PLAIN AHUAcA==, failed"),
        // Each in its turn. Those that the account could not do come last, but they come: it may be able to do them now.
        (turn(1), &all, &[Reply(504, ""), Reply(235, "")], "AUTH LOGIN, AUTH PLAIN AHUAcA==, logged in"),
        (turn(5), &all, &[Reply(535, "")], "AUTH CRAM-MD5, failed"),
        (turn(3), &all, &[Reply(535, "")], "AUTH PLAIN AHUAcA==, failed"),
        (
            Past { useless: named(&["PLAIN", "LOGIN"]), ..turn(6) },
            &all,
            &[Reply(504, ""), Reply(235, "")],
            "AUTH CRAM-MD5, AUTH LOGIN, logged in",
        ),
        (Past { useless: named(&["PLAIN", "CRAM-MD5"]), ..turn(7) }, &all, &[Reply(535, "")], "AUTH CRAM-MD5, failed"),
        (Past { good: named(&["CRAM-MD5"]).pop(), ..turn(1) }, &all, &[Reply(535, "")], "AUTH PLAIN AHUAcA==, failed"),
        (Past { good: named(&["CRAM-MD5"]).pop(), ..turn(0) }, &all, &[Reply(535, "")], "AUTH CRAM-MD5, failed"),
        // Deferrals in a row count, too.
        (Past { deferrals: 3, ..Past::default() }, &all, &[Reply(454, "")], "AUTH CRAM-MD5, deferred"),
        (Past { deferrals: 2, ..turn(1) }, &all, &[Reply(535, "")], "AUTH CRAM-MD5, failed"),
        // A check goes on.
        (
            Past { good: named(&["LOGIN"]).pop(), is_check: true, ..Past::default() },
            &all,
            &[Reply(535, ""), Reply(235, "")],
            "AUTH LOGIN, AUTH PLAIN AHUAcA==, logged in",
        ),
        // A mechanism that the account cannot do comes last.
        (
            Past { useless: named(&["PLAIN"]), ..Past::default() },
            &all,
            &[Reply(504, ""), Reply(235, "")],
            "AUTH LOGIN, AUTH CRAM-MD5, logged in",
        ),
        // As many tries as are left.
        (Past { tries: Some(1), ..Past::default() }, &all, &[Reply(504, "")], "AUTH PLAIN AHUAcA==, failed"),
        (Past { tries: Some(1), ..Past::default() }, &all, &[Closed], "AUTH PLAIN AHUAcA==, failed"),
        (
            Past { tries: Some(2), ..Past::default() },
            &all,
            &[Reply(504, ""), Reply(504, "")],
            "AUTH PLAIN AHUAcA==, AUTH LOGIN, failed",
        ),
        (
            Past { tries: Some(9), ..Past::default() },
            &["CRAM-MD5", "LOGIN", "PLAIN"],
            &[Reply(504, ""), Reply(504, ""), Connected, Reply(504, "")],
            "AUTH CRAM-MD5, AUTH LOGIN, reconnect, AUTH PLAIN AHUAcA==, failed",
        ),
    ] {
        assert_eq!(run_after(past, order, events).0, expected);
    }
}

#[test]
fn what_a_login_came_to() {
    let plain = named(&["PLAIN"])[0];
    let closed = |twice| Conclusion::ClosedBehindPassword { twice };
    for (order, events, expected) in [
        (&["PLAIN", "LOGIN"][..], &[][..], Conclusion::Deferred), // it is silent
        (&["PLAIN"], &[Reply(235, "")], Conclusion::LoggedIn(plain)),
        (&["CRAM-MD5", "PLAIN"], &[Reply(535, ""), Reply(235, "")], Conclusion::LoggedIn(plain)),
        (&["PLAIN"], &[Reply(535, "")], Conclusion::Refused),
        (&["PLAIN"], &[Reply(534, "")], Conclusion::Refused),
        (&["PLAIN"], &[Reply(538, "")], Conclusion::Refused),
        (&["PLAIN"], &[Reply(550, "5.7.30")], Conclusion::Refused),
        (&["PLAIN"], &[Reply(554, "")], Conclusion::Refused),
        (&["PLAIN", "LOGIN"], &[Reply(535, ""), Reply(504, "")], Conclusion::Refused),
        (&["PLAIN", "LOGIN"], &[Reply(504, ""), Reply(535, "")], Conclusion::Refused),
        // Nothing was shown, or not understood.
        (&["LOGIN", "CRAM-MD5"], &[Reply(500, ""), Reply(502, "")], Conclusion::Nothing),
        (&["LOGIN", "CRAM-MD5"], &[Reply(501, ""), Reply(503, "")], Conclusion::Nothing),
        (&["LOGIN", "CRAM-MD5"], &[Reply(504, ""), Reply(555, "")], Conclusion::Nothing),
        (&["CRAM-MD5"], &[Reply(334, "!"), Reply(501, "")], Conclusion::Nothing),
        (&["PLAIN"], &[Reply(250, "")], Conclusion::Nothing),
        (&["PLAIN"], &[ClosedBeforeSending], Conclusion::Nothing),
        // Not now.
        (&["PLAIN"], &[Reply(454, "")], Conclusion::Deferred),
        (&["PLAIN"], &[Reply(421, "")], Conclusion::Deferred),
        (&["LOGIN"], &[Closed, Connected, Closed], Conclusion::Deferred),
        (&["PLAIN", "LOGIN"], &[Reply(504, ""), Reply(421, "")], Conclusion::Deferred),
        (&["PLAIN"], &[Closed], closed(false)),
        (&["PLAIN", "LOGIN"], &[Closed, Connected, Closed], closed(false)), // before it had the password again
        (&["PLAIN", "LOGIN"], &[Closed, Connected, Reply(334, ""), Reply(334, ""), Closed], closed(true)),
        (&["PLAIN", "LOGIN"], &[Closed, Connected, Reply(535, "")], Conclusion::Refused),
        (&["PLAIN", "LOGIN"], &[Closed, Connected, Reply(454, "")], Conclusion::Deferred),
    ] {
        let (said, found) = run_after(Past::default(), order, events);
        assert!(found == expected, "{events_of}: {said}", events_of = order.join(" "));
    }
}

#[test]
fn refused_before_any_challenge() {
    let (mut auth, offer) = client(named(&["CRAM-MD5", "LOGIN", "PLAIN"]));
    let events = [Reply(504, ""), Reply(334, ""), Reply(535, ""), Connected, Reply(535, "")];
    talk(&mut auth, &offer, &events);
    let names: Vec<_> = auth.useless().map(|mechanism| mechanism.name).collect();
    assert_eq!(names, ["CRAM-MD5"]);
    // An initial response that shows no password is no challenge, and a server that does not prove itself has refused nothing.
    let (mut auth, offer) = client(vec![&MUTUAL]);
    talk(&mut auth, &offer, &[Reply(535, "no")]);
    assert_eq!(auth.useless().map(|mechanism| mechanism.name).collect::<Vec<_>>(), ["MUTUAL"]);
    let (mut auth, offer) = client(vec![&MUTUAL]);
    talk(&mut auth, &offer, &[Reply(235, "ok")]);
    assert!(auth.conclusion() == Conclusion::NotProven && auth.useless().next().is_none());
}
