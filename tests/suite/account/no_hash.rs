//! A relay that has no hash of the password for SCRAM refuses it before any challenge. That is not a wrong password, so it is not
//! remembered as one while another mechanism is left; but it is a failed login to the relay, so it is not tried for each mail.

use super::{Relay, Table, deliver, facts, is_refused_before, later, remembered, rewrite};

const NO_HASH: &str = "the relay knows no such user, or keeps no hash of the password that SCRAM can use";
const WOULD_SHOW: &str = "; the other ways would show the password, and need TLS or permission to send it in clear";

/// A relay to which the password must not be shown, and the words of each mail: what it heard, what is remembered.
fn mails(offer: &str, table: Table, expected: &[(&str, &str, &[&str])]) {
    let relay = Relay::offering(offer, table);
    let home = relay.home("myuser secretpass");
    home.control("relays/127.0.0.1/tls", "may\n");
    for (number, (heard, letters, lines)) in expected.iter().enumerate() {
        let delivered = deliver(&home);
        assert_eq!(delivered.letters(), *letters, "{offer}, mail {number}: {}", delivered.verdict());
        assert_eq!(relay.heard(), *heard, "{offer}, mail {number}");
        if number == 0 {
            // Something is left, so that is not what was missing.
            let verdict = delivered.verdict();
            assert!(verdict.contains(NO_HASH) && !verdict.contains(WOULD_SHOW), "{verdict}");
        }
        assert_eq!(facts(&remembered(&home)), *lines, "{offer}, mail {number}");
    }
}

#[test]
fn another_mechanism_does_it() {
    let relay = Relay::offering("AUTH PLAIN SCRAM-SHA-256", &[("AUTH SCRAM", "535 no"), ("AUTH PLAIN", "235 ok")]);
    let home = relay.home("myuser secretpass");
    home.control("relays/127.0.0.1/mechanisms", "SCRAM-SHA-256 PLAIN\n");
    for heard in ["CONNECT, AUTH SCRAM-SHA-256, AUTH PLAIN", "CONNECT, AUTH PLAIN", "CONNECT, AUTH PLAIN"] {
        assert_eq!(deliver(&home).letters(), "rK");
        assert_eq!(relay.heard(), heard);
        assert_eq!(facts(&remembered(&home)), ["good PLAIN", "no SCRAM-SHA-256"]);
    }
}

/// Two failures in a delivery and never a third; the next one goes on with what is left, and only where nothing is left mail waits.
#[test]
fn no_wrong_password_while_something_is_left() {
    const OFFER: &str = "AUTH SCRAM-SHA-256 SCRAM-SHA-512 SCRAM-SHA-1 CRAM-MD5";
    let first =
        ("CONNECT, AUTH SCRAM-SHA-256, AUTH SCRAM-SHA-512", "Z", &["no SCRAM-SHA-512", "no SCRAM-SHA-256"] as &[&str]);
    let second = "CONNECT, AUTH SCRAM-SHA-1, AUTH CRAM-MD5";
    let all = ["no SCRAM-SHA-1", "no SCRAM-SHA-512", "no SCRAM-SHA-256"];
    let with = |line| [&[line], &all[..]].concat();
    let good = with("good CRAM-MD5");
    mails(
        OFFER,
        &[("AUTH SCRAM", "535 no"), ("ANSWER CRAM-MD5", "235 ok")],
        &[first, (second, "rK", &good), ("CONNECT, AUTH CRAM-MD5", "rK", &good)],
    );
    let refused = with("refused 1 900");
    mails(
        OFFER,
        &[("AUTH SCRAM", "535 no"), ("ANSWER CRAM-MD5", "535 no")],
        &[first, (second, "Z", &refused), ("", "Z", &refused)],
    );
    let not_understood = [("AUTH SCRAM", "535 no"), ("AUTH CRAM-MD5", "504 no")];
    let with_cram = [&["refused 1 900", "no CRAM-MD5"], &all[..]].concat();
    mails(OFFER, not_understood.to_vec().leak(), &[first, (second, "Z", &with_cram), ("", "Z", &with_cram)]);
    let deferred = with("deferred 1 60");
    mails(
        OFFER,
        &[("AUTH SCRAM", "535 no"), ("AUTH CRAM-MD5", "454 later")],
        &[first, (second, "Z", &deferred), ("", "Z", &deferred)],
    );
}

#[test]
fn nothing_is_left() {
    let relay = Relay::offering("AUTH PLAIN SCRAM-SHA-256 SCRAM-SHA-1", &[("AUTH SCRAM", "535 5.7.8 no")]);
    let home = relay.home("myuser secretpass");
    home.control("relays/127.0.0.1/tls", "may\n");
    let verdict = deliver(&home).verdict();
    assert!(verdict.contains(&format!("{NO_HASH}{WOULD_SHOW}")), "{verdict}");
    assert!(!verdict.contains("check user and password"), "{verdict}");
    assert_eq!(relay.heard(), "CONNECT, AUTH SCRAM-SHA-256, AUTH SCRAM-SHA-1");
    let no = ["no SCRAM-SHA-1", "no SCRAM-SHA-256"];
    assert_eq!(facts(&remembered(&home)), [&["refused 1 900"], &no[..]].concat());
    // One try each, by the next mechanism.
    for (passed, tried, expected) in [(900, "SCRAM-SHA-256", "refused 2 1800"), (1800, "SCRAM-SHA-1", "refused 3 3600")]
    {
        assert!(is_refused_before(&deliver(&home)));
        assert_eq!(relay.heard(), "");
        later(&home, passed);
        assert!(deliver(&home).verdict().contains(NO_HASH));
        assert_eq!(relay.heard(), format!("CONNECT, AUTH {tried}"));
        let mut lines = facts(&remembered(&home));
        lines[1..].sort_unstable();
        assert_eq!(lines, [expected, "no SCRAM-SHA-1", "no SCRAM-SHA-256"]);
    }
    // The relay has got a hash.
    later(&home, 3600);
    relay.says(&[]);
    assert_eq!(deliver(&home).letters(), "rK");
    assert_eq!(facts(&remembered(&home)), ["good SCRAM-SHA-256", "no SCRAM-SHA-1"]);
}

/// What worked last time has no hash any more. That is a refusal as others, since many deliveries may be about to find it out.
#[test]
fn the_hash_is_gone() {
    for (plain, letters, lines) in [
        ("235 ok", "rK", &["good PLAIN", "no SCRAM-SHA-256"][..]),
        ("535 no", "Z", &["refused 2 1800", "no SCRAM-SHA-256"]),
    ] {
        let relay = Relay::offering("AUTH PLAIN SCRAM-SHA-256", &[]);
        let home = relay.home("myuser secretpass");
        home.control("relays/127.0.0.1/mechanisms", "SCRAM-SHA-256 PLAIN\n");
        assert_eq!(deliver(&home).letters(), "rK");
        assert_eq!(facts(&remembered(&home)), ["good SCRAM-SHA-256"]);
        relay.heard();
        relay.says(vec![("AUTH SCRAM", "535 no"), ("AUTH PLAIN", plain)].leak());
        assert_eq!(deliver(&home).letters(), "Z");
        assert_eq!(relay.heard(), "CONNECT, AUTH SCRAM-SHA-256");
        assert_eq!(facts(&remembered(&home)), ["refused 1 900", "no SCRAM-SHA-256"]);
        later(&home, 900);
        assert_eq!(deliver(&home).letters(), letters);
        assert_eq!(relay.heard(), "CONNECT, AUTH PLAIN");
        assert_eq!(facts(&remembered(&home)), lines);
    }
}

/// -PLUS worked last time; now the relay has no hash, or does not know this binding any more. Without it there may be one.
#[test]
fn the_binding_is_gone() {
    let memory = "good SCRAM-SHA-256-PLUS control/smtproutes:1";
    let relay = Relay::offering("AUTH SCRAM-SHA-256 CRAM-MD5", &[("AUTH SCRAM", "535 no"), ("ANSWER CRAM", "535 no")]);
    let home = relay.home("myuser secretpass");
    home.control("relays/127.0.0.1/tls", "may\n");
    deliver(&home);
    rewrite(&home, |text| format!("{}\n{memory}\n", text.lines().next().unwrap()));
    assert!(relay.heard().ends_with("AUTH CRAM-MD5"));
    assert_eq!(deliver(&home).letters(), "Z");
    assert_eq!(relay.heard(), "CONNECT, AUTH SCRAM-SHA-256");
    assert!(is_refused_before(&deliver(&home)));
    later(&home, 900);
    deliver(&home);
    assert_eq!(relay.heard(), "CONNECT, AUTH CRAM-MD5");
}

/// The account gets a hash after its login was refused by what is left: each mechanism has its turn.
#[test]
fn a_hash_comes_later() {
    let wrong = &[("AUTH SCRAM", "535 no"), ("AUTH CRAM", "334 PDE+"), ("ANSWER CRAM", "535 no")];
    let relay = Relay::offering("AUTH SCRAM-SHA-256 CRAM-MD5", wrong);
    let home = relay.home("myuser secretpass");
    home.control("relays/127.0.0.1/tls", "may\n");
    deliver(&home);
    assert_eq!(relay.heard(), "CONNECT, AUTH SCRAM-SHA-256, AUTH CRAM-MD5");
    relay.says(&wrong[1..]);
    later(&home, 900);
    deliver(&home);
    assert_eq!(relay.heard(), "CONNECT, AUTH CRAM-MD5");
    later(&home, 1800);
    assert_eq!(deliver(&home).letters(), "rK");
    assert_eq!(relay.heard(), "CONNECT, AUTH SCRAM-SHA-256");
}

/// A wrong password by words of SCRAM (RFC 5802 section 7), whatever answers our `*`: it is a refusal as any other.
#[test]
fn refused_in_a_challenge() {
    for behind in ["501 5.7.0 cancelled", "535 no", "454 later", "close"] {
        let table =
            vec![("ANSWER SCRAM-SHA-256 *", behind), ("ANSWER SCRAM-SHA-256", "334 ZT1pbnZhbGlkLXByb29m")].leak();
        let relay = Relay::offering("AUTH SCRAM-SHA-256", table);
        let home = relay.home("myuser secretpass");
        let verdict = deliver(&home).verdict();
        assert!(verdict.contains("tried SCRAM-SHA-256 (it refused the login)"), "{verdict}");
        assert_eq!(facts(&remembered(&home)), ["refused 1 900"], "{behind}");
        assert!(is_refused_before(&deliver(&home)));
    }
}

/// What wants too few rounds does not stand in the way of what can be done.
#[test]
fn too_few_rounds() {
    const FEW: &str = "334 cj0x"; // r=1
    for rest in ["CRAM-MD5", "SCRAM-SHA-1"] {
        let table = vec![("AUTH SCRAM-SHA-256", FEW), ("AUTH SCRAM-SHA-512", FEW)].leak();
        let relay = Relay::offering(&format!("AUTH SCRAM-SHA-256 SCRAM-SHA-512 {rest}"), table);
        let home = relay.home("myuser secretpass");
        home.control("relays/127.0.0.1/tls", "may\n");
        assert_eq!(deliver(&home).letters(), "Z");
        assert_eq!(relay.heard(), "CONNECT, AUTH SCRAM-SHA-256, AUTH SCRAM-SHA-512");
        assert_eq!(facts(&remembered(&home)), ["no SCRAM-SHA-512", "no SCRAM-SHA-256"]);
        assert_eq!(deliver(&home).letters(), "rK");
        assert_eq!(relay.heard(), format!("CONNECT, AUTH {rest}"));
    }
}

/// A relay that could not prove itself may be another one, also to later mails: the password is not shown to it.
#[test]
fn a_relay_that_may_be_another() {
    let relay = Relay::offering("AUTH PLAIN SCRAM-SHA-256", &[("AUTH SCRAM", "235 come in")]);
    let home = relay.home("myuser secretpass");
    home.control("relays/127.0.0.1/mechanisms", "SCRAM-SHA-256 PLAIN\n");
    for (count, seconds) in [(1, 900), (2, 1800), (3, 3600), (4, 3600)] {
        let verdict = deliver(&home).verdict();
        assert!(verdict.contains("could not prove that it knows the password; nothing more"), "{verdict}");
        assert_eq!(relay.heard(), "CONNECT, AUTH SCRAM-SHA-256");
        assert_eq!(facts(&remembered(&home)), [&format!("refused {count} {seconds}"), "hide"]);
        later(&home, seconds);
    }
    // It leaves SCRAM out, or has no hash for it.
    relay.says(&[("AUTH SCRAM", "535 no")]);
    let verdict = deliver(&home).verdict();
    assert!(
        verdict.contains("SCRAM can use, and the password must not be shown, as this may be another relay"),
        "{verdict}"
    );
    assert_eq!(relay.heard(), "CONNECT, AUTH SCRAM-SHA-256");
    later(&home, 3600);
    relay.says(&[("EHLO", "250-x\r\n250 AUTH PLAIN")]);
    let verdict = deliver(&home).verdict();
    assert!(
        verdict.contains("tried nothing; the password must not be shown, as this may be another relay"),
        "{verdict}"
    );
    assert_eq!(relay.heard(), "CONNECT");
    relay.says(&[]);
    assert_eq!(deliver(&home).letters(), "rK");
    assert_eq!(facts(&remembered(&home)), ["good SCRAM-SHA-256"]);
}
