//! The table of what is remembered after which end of a login, and what the next deliveries do.

use super::{RIGHT, Relay, Table, WRONG, account, deliver, facts, is_refused_before, later, remembered, rewrite, unix};
use crate::support::login::assert_no_secret;
use std::fs;

#[test]
fn a_wrong_password() {
    let relay = Relay::start(WRONG);
    let home = relay.home("myuser secretpass");
    assert_eq!(deliver(&home).letters(), "Z");
    assert_eq!(relay.heard(), "CONNECT, AUTH PLAIN, AUTH LOGIN");
    let line = remembered(&home).pop().unwrap();
    assert!(line.ends_with(" control/smtproutes:1 535 5.7.8 no, and no"), "{line}");
    let delivered = deliver(&home);
    assert_eq!(delivered.letters(), "Z");
    let verdict = delivered.verdict();
    let port = relay.server.port();
    let begin =
        format!("ZLogin refused before. (#4.7.8) Relay 127.0.0.1:{port} (control/smtproutes line 1) as myuser at 20");
    assert!(verdict.starts_with(&begin), "{verdict}");
    assert!(verdict.contains(" UTC: 535 5.7.8 no, and no. Not tried again until "), "{verdict}");
    let touch = format!(
        "; to try now, touch {}/control/smtproutes or run qmail-remote-check DOMAIN SENDER.\n",
        home.path().display()
    );
    assert!(verdict.ends_with(&touch), "{verdict}");
    assert_eq!(relay.heard(), "");
    // One try each time that one is allowed, and another mechanism each time.
    for (passed, expected, mechanism) in
        [(900, "refused 2 1800", "PLAIN"), (1800, "refused 3 3600", "LOGIN"), (3600, "refused 4 3600", "PLAIN")]
    {
        later(&home, passed - 2);
        assert!(is_refused_before(&deliver(&home)));
        later(&home, 3);
        assert_eq!(deliver(&home).letters(), "Z");
        assert_eq!(relay.heard(), format!("CONNECT, AUTH {mechanism}"));
        assert_eq!(facts(&remembered(&home)), [expected]);
    }
    relay.says(RIGHT);
    assert!(is_refused_before(&deliver(&home)));
    later(&home, 3600);
    assert_eq!(deliver(&home).letters(), "rK");
    assert_eq!(facts(&remembered(&home)), ["good LOGIN"]);
}

/// A relay that takes one mechanism alone, and refuses the others as if the password were wrong, gets it in its turn.
#[test]
fn only_one_mechanism_works() {
    let login_alone: Table = &[("AUTH PLAIN", "535 no")];
    let relay = Relay::start(WRONG);
    let home = relay.home("myuser secretpass");
    deliver(&home);
    relay.says(login_alone);
    let fates = [900, 1800].map(|seconds| {
        later(&home, seconds);
        deliver(&home).letters().to_owned()
    });
    assert_eq!(fates, ["Z", "rK"]);
    assert_eq!(facts(&remembered(&home)), ["good LOGIN"]);
    // The other way round: what has worked does not any more.
    relay.says(&[("ANSWER LOGIN", "535 no"), ("AUTH PLAIN", "235 ok")]);
    assert_eq!(deliver(&home).letters(), "Z");
    let fates = [900, 1800].map(|seconds| {
        later(&home, seconds);
        deliver(&home).letters().to_owned()
    });
    assert_eq!(fates, ["Z", "rK"]);
    assert_eq!(facts(&remembered(&home)), ["good PLAIN"]);
    // What is not understood is no failure.
    relay.says(WRONG);
    deliver(&home);
    relay.says(&[("AUTH PLAIN", "504 no")]);
    later(&home, 900);
    assert_eq!(deliver(&home).letters(), "rK");
}

/// What each end of a login leaves, and how often the relay was asked for it.
#[test]
fn each_row() {
    let plain_then_login = "CONNECT, AUTH PLAIN, AUTH LOGIN";
    let rows: &[(&str, Table, &str, &[&str])] = &[
        ("AUTH PLAIN LOGIN", RIGHT, "CONNECT, AUTH PLAIN", &["good PLAIN"]),
        // For a person to fix.
        ("AUTH PLAIN LOGIN", WRONG, plain_then_login, &["refused 1 900"]),
        ("AUTH PLAIN", &[("AUTH ", "534 5.7.9 too weak")], "CONNECT, AUTH PLAIN", &["refused 1 900"]),
        ("AUTH PLAIN", &[("AUTH ", "538 5.7.11 encryption required")], "CONNECT, AUTH PLAIN", &["refused 1 900"]),
        (
            "AUTH PLAIN",
            &[("AUTH ", "550 5.7.30 basic authentication is off")],
            "CONNECT, AUTH PLAIN",
            &["refused 1 900"],
        ),
        ("AUTH PLAIN", &[("AUTH ", "554 5.7.1 no")], "CONNECT, AUTH PLAIN", &["refused 1 900"]),
        // The mechanism, or the words of the command: nothing was shown that could be wrong.
        ("AUTH LOGIN", &[("AUTH ", "504 5.5.4 no")], "CONNECT, AUTH LOGIN", &["no LOGIN"]),
        ("AUTH LOGIN", &[("AUTH ", "500 5.5.1 no")], "CONNECT, AUTH LOGIN", &["no LOGIN"]),
        ("AUTH GSSAPI", &[], "CONNECT", &[]),
        // Not now.
        ("AUTH PLAIN LOGIN", &[("AUTH ", "454 4.7.0 later")], "CONNECT, AUTH PLAIN", &["deferred 1 60"]),
        ("AUTH PLAIN LOGIN", &[("AUTH ", "421 4.3.2 going down")], "CONNECT, AUTH PLAIN", &["deferred 1 60"]),
        ("AUTH LOGIN", &[("AUTH ", "close")], "CONNECT, AUTH LOGIN", &["deferred 1 60"]),
        ("AUTH PLAIN", &[("AUTH ", "close")], "CONNECT, AUTH PLAIN", &["deferred 1 60"]),
        // Twice behind a password that was shown.
        (
            "AUTH PLAIN LOGIN",
            &[("AUTH PLAIN", "close"), ("ANSWER LOGIN c2Vj", "close")],
            "CONNECT, AUTH PLAIN, CONNECT, AUTH LOGIN",
            &["refused 1 900"],
        ),
        // No third failure.
        (
            "AUTH CRAM-MD5 PLAIN LOGIN",
            &[("AUTH PLAIN", "535 no"), ("AUTH CRAM", "504 no")],
            "CONNECT, AUTH CRAM-MD5, AUTH PLAIN",
            &["refused 1 900", "no CRAM-MD5"],
        ),
        // Some servers take LOGIN alone, or have no hash for a challenge.
        ("AUTH PLAIN LOGIN", &[("AUTH PLAIN", "535 no")], plain_then_login, &["good LOGIN"]),
        (
            "AUTH CRAM-MD5 PLAIN",
            &[("AUTH CRAM", "535 no"), ("AUTH PLAIN", "235 ok")],
            "CONNECT, AUTH CRAM-MD5, AUTH PLAIN",
            &["good PLAIN", "no CRAM-MD5"],
        ),
    ];
    for (offer, table, heard, expected) in rows {
        let relay = Relay::offering(offer, table);
        let home = relay.home("myuser secretpass");
        deliver(&home);
        assert_eq!(relay.heard(), *heard, "{offer} {table:?}");
        assert_eq!(facts(&remembered(&home)), *expected, "{offer} {table:?}");
    }
}

/// What worked goes first, and where that is refused the password is wrong.
#[test]
fn the_good_mechanism() {
    let relay = Relay::start(&[("AUTH PLAIN", "535 no")]);
    let home = relay.home("myuser secretpass");
    for heard in ["CONNECT, AUTH PLAIN, AUTH LOGIN", "CONNECT, AUTH LOGIN", "CONNECT, AUTH LOGIN"] {
        assert_eq!(deliver(&home).letters(), "rK");
        assert_eq!(relay.heard(), heard);
    }
    relay.says(WRONG);
    assert_eq!(deliver(&home).letters(), "Z");
    assert_eq!(relay.heard(), "CONNECT, AUTH LOGIN");
    assert!(is_refused_before(&deliver(&home)));
    assert_eq!(facts(&remembered(&home)), ["refused 1 900", "good LOGIN"]);
    assert_eq!(relay.heard(), "");
}

/// Without the directory all is as it was.
#[test]
fn without_accounts() {
    let relay = Relay::start(WRONG);
    let home = relay.home("myuser secretpass");
    fs::remove_dir(home.path().join("accounts")).unwrap();
    for _ in 0..3 {
        assert!(deliver(&home).verdict().contains("login failed as myuser"));
        assert_eq!(relay.heard(), "CONNECT, AUTH PLAIN, AUTH LOGIN");
    }
    assert!(!home.path().join("accounts").exists());
}

/// A relay that restarts holds up mail for no longer than the table says.
#[test]
fn a_relay_that_restarts() {
    let relay = Relay::start(&[("AUTH ", "454 4.7.0 later")]);
    let home = relay.home("myuser secretpass");
    for (count, seconds) in [(1, 60), (2, 120), (3, 240), (4, 480), (5, 900), (6, 900)] {
        assert!(deliver(&home).verdict().contains("the relay defers the login"));
        assert_eq!(facts(&remembered(&home)), [format!("deferred {count} {seconds}")]);
        let verdict = deliver(&home).verdict();
        assert!(verdict.contains("UTC: 454 4.7.0 later. Not tried again until "), "{verdict}");
        later(&home, seconds);
    }
    // It may be that the password was wrong, too, but it was not refused.
    relay.says(WRONG);
    assert_eq!(relay.heard().matches("AUTH").count(), 6);
    assert_eq!(deliver(&home).letters(), "Z");
    // It was the turn of LOGIN to be the first.
    assert_eq!(relay.heard(), "CONNECT, AUTH LOGIN, AUTH PLAIN");
    assert_eq!(facts(&remembered(&home)), ["refused 1 900"]);
}

#[test]
fn files_that_are_odd() {
    let relay = Relay::start(WRONG);
    let home = relay.home("myuser secretpass");
    deliver(&home);
    let whole = fs::read_to_string(account(&home).join("memory")).unwrap();
    let ahead = |seconds: u64| {
        let times = format!("{} {}", unix() + seconds, unix() + seconds + 900);
        let line = whole.lines().nth(1).unwrap().splitn(5, ' ').last().unwrap();
        format!("{}\nrefused 1 {times} {line}\n", whole.lines().next().unwrap())
    };
    for odd in [
        String::new(),
        whole[..whole.len() - 1].to_owned(),
        whole[..40].to_owned(),
        whole.replace("refused", "fused"),
        whole.replacen("stamp ", "stamp f", 1),
        whole.clone() + &"x".repeat(1024),
        whole.clone() + "\n",
        ahead(7300),
    ] {
        relay.heard();
        rewrite(&home, |_| odd.clone());
        assert_eq!(deliver(&home).letters(), "Z");
        assert_eq!(relay.heard(), "CONNECT, AUTH PLAIN, AUTH LOGIN", "{odd:?}");
        assert!(is_refused_before(&deliver(&home)), "{odd:?}");
    }
    rewrite(&home, |_| ahead(3600));
    assert!(is_refused_before(&deliver(&home)), "a clock that was set back a little");
}

/// What the relay repeats of the login is masked before it is written, and what is long is cut.
#[test]
fn nothing_secret_is_written() {
    for words in [
        "535-5.7.8 AG15dXNlcgBzZWNyZXRwYXNz is wrong\r\n535 secretpass",
        "535 5.7.8 AG15dXNlcgBz and secretpass, 7365637265747061, secret%70ass",
        "535-secret\r\n535-pass\r\n535 no",
        "535 \x1b[31mred\0",
    ] {
        let table: Table = vec![("AUTH PLAIN", words.to_owned().leak() as &str), ("AUTH LOGIN", "504 no")].leak();
        let relay = Relay::start(table);
        let home = relay.home("myuser secretpass");
        deliver(&home);
        let text = fs::read_to_string(account(&home).join("memory")).unwrap();
        assert_no_secret(words, &text);
        assert!(text.lines().count() == 3 && text.lines().all(|line| !line.contains(char::is_control)), "{text:?}");
        let verdict = deliver(&home).verdict();
        assert_no_secret(words, &verdict);
        assert!(verdict.starts_with("ZLogin refused before."), "{verdict}");
    }
    let long: Table = vec![("AUTH ", format!("535 {}", "no ".repeat(340)).leak() as &str)].leak();
    let relay = Relay::start(long);
    let home = relay.home("myuser secretpass");
    deliver(&home);
    assert!(fs::metadata(account(&home).join("memory")).unwrap().len() < 400);
    assert!(is_refused_before(&deliver(&home)));
}
