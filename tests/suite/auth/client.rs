//! The AUTH machine alone: what it sends and when it stops, so that no relay locks the user out.

use qmail_auth::client::{Client, Permission, Step};
use qmail_auth::detect::Offer;
use qmail_auth::mechanisms::Mechanism::{self, CramMd5, Login, Plain};
use qmail_auth::{self, PasswordLogin};

/// What happens to the machine in a case.
enum Event {
    Reply(u16, &'static str),
    Closed,
    ClosedBeforeSending,
    /// A new connection, after a Reconnect.
    Connected,
}
use Event::*;

/// Runs a machine with this order, all of it offered and permitted. Answers what it said and how it ended, in words.
fn run(order: &[Mechanism], events: &[Event]) -> String {
    let login = PasswordLogin { user: b"u".to_vec(), password: b"p".to_vec().into(), clear_allowed: true };
    let names = order.iter().map(|mechanism| mechanism.name().to_owned()).collect();
    let offer = Offer { offered: true, names };
    let mut auth = Client::new(qmail_auth::Login::Password(login), Some("here".to_owned()), Some(order.to_vec()));
    let mut said = Vec::new();
    let mut note = |step: Step| match step {
        Step::Send(line) => said.push(String::from_utf8_lossy(&line).into_owned()),
        Step::Proceed => said.push("logged in".to_owned()),
        Step::Reconnect(_) => said.push("reconnect".to_owned()),
        Step::Deferred(_) => said.push("put off".to_owned()),
        Step::Failed(_) => said.push("failed".to_owned()),
    };
    note(auth.begin(offer.clone(), Permission::Any, false));
    for event in events {
        note(match event {
            Reply(code, text) => auth.step(*code, text.as_bytes()),
            Closed => auth.closed(true),
            ClosedBeforeSending => auth.closed(false),
            Connected => auth.begin(offer.clone(), Permission::Any, false),
        });
    }
    said.join(", ")
}

#[test]
fn no_more_tries_than_a_relay_bears() {
    let plain_first = [Plain, Login, CramMd5];
    for (order, events, expected) in [
        // two on a connection, three in all
        (
            &[CramMd5, Login, Plain][..],
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
            &[Login, Plain, CramMd5],
            &[Reply(334, ""), Reply(535, ""), Reply(535, ""), Connected],
            "AUTH LOGIN, dQ==, AUTH PLAIN AHUAcA==, reconnect, AUTH CRAM-MD5",
        ),
        // one reconnect
        (&plain_first, &[Closed, Connected, Closed], "AUTH PLAIN AHUAcA==, reconnect, AUTH LOGIN, failed"),
        (
            &[CramMd5, Plain, Login],
            &[Closed, Connected, Closed],
            "AUTH CRAM-MD5, reconnect, AUTH PLAIN AHUAcA==, failed",
        ),
        // a command that did not go out was no try; one that did and was answered was
        (
            &[CramMd5, Plain, Login],
            &[Reply(504, ""), ClosedBeforeSending, Connected],
            "AUTH CRAM-MD5, AUTH PLAIN AHUAcA==, reconnect, AUTH PLAIN AHUAcA==",
        ),
        (
            &[Plain],
            &[ClosedBeforeSending, Connected, ClosedBeforeSending],
            "AUTH PLAIN AHUAcA==, reconnect, AUTH PLAIN AHUAcA==, failed",
        ),
        (
            &[CramMd5, Plain, Login],
            &[Reply(504, ""), Reply(334, "x"), ClosedBeforeSending, Connected, Reply(504, "")],
            "AUTH CRAM-MD5, AUTH PLAIN AHUAcA==, AHUAcA==, reconnect, AUTH LOGIN, failed",
        ),
        // what came behind a refusal and was not answered is made again, once, and counts
        (
            &[CramMd5, Plain],
            &[Reply(535, ""), Closed, Connected, Closed],
            "AUTH CRAM-MD5, AUTH PLAIN AHUAcA==, reconnect, AUTH PLAIN AHUAcA==, failed",
        ),
        (
            &[CramMd5, Login, Plain],
            &[Reply(535, ""), Reply(421, ""), Connected, Reply(504, "")],
            "AUTH CRAM-MD5, AUTH LOGIN, reconnect, AUTH LOGIN, failed",
        ),
        (&[CramMd5, Plain], &[Reply(421, "")], "AUTH CRAM-MD5, put off"),
        (
            &[CramMd5, Login],
            &[Reply(535, ""), Reply(334, ""), Reply(421, "")],
            "AUTH CRAM-MD5, AUTH LOGIN, dQ==, put off",
        ),
        // a 334 without end
        (&[Plain], &[Reply(334, ""), Reply(334, ""), Reply(334, "")], "AUTH PLAIN AHUAcA==, AHUAcA==, *, put off"),
        (
            &[Login],
            &[Reply(334, ""), Reply(334, ""), Reply(334, ""), Reply(501, "")],
            "AUTH LOGIN, dQ==, cA==, *, failed",
        ),
        // 4xx ends it, and so does what has no place there
        (&plain_first, &[Reply(454, "")], "AUTH PLAIN AHUAcA==, put off"),
        (&plain_first, &[Reply(250, "")], "AUTH PLAIN AHUAcA==, put off"),
        (&plain_first, &[Reply(235, "")], "AUTH PLAIN AHUAcA==, logged in"),
        // 235 is one when it answers the last line of a login
        (&plain_first, &[Reply(454, ""), Reply(235, "")], "AUTH PLAIN AHUAcA==, put off, put off"),
        // a login is made once: its password is no more
        (
            &plain_first,
            &[Reply(235, ""), Reply(334, ""), Reply(535, ""), Closed, Connected],
            "AUTH PLAIN AHUAcA==, logged in, put off, put off, put off, put off",
        ),
    ] {
        assert_eq!(run(order, events), expected);
    }
}
