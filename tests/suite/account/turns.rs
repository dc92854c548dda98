//! Mail is not stuck while a mechanism works, whatever the relay does to the others; and nothing of that costs the account more failed
//! logins than the table has.

use super::{Relay, Table, deliver, facts, later, remembered};
use crate::support::Home;

/// A home for a relay to which the password must not be shown.
fn hiding(relay: &Relay) -> Home {
    let home = relay.home("myuser secretpass");
    home.control("relays/127.0.0.1/tls", "may\n");
    home
}

/// How many deliveries it takes until the mail goes out. Each comes an hour after the one before.
fn deliveries(relay: &Relay, home: &Home) -> usize {
    for count in 1..=20 {
        if deliver(home).letters() == "rK" {
            return count;
        }
        later(home, 3600);
    }
    panic!("stuck: {} {:?}", relay.heard(), remembered(home));
}

#[test]
fn each_mechanism_comes() {
    const ALL: &str = "AUTH SCRAM-SHA-256 SCRAM-SHA-512 SCRAM-SHA-1 CRAM-MD5";
    // An answer to two of four, or to all but the last.
    for answer in ["535 no", "534 no", "504 no", "501 no", "454 later", "421 bye", "close", "334 cj0x", "334 ZT14"] {
        for number in [2, 3] {
            let others = ["AUTH SCRAM-SHA-256", "AUTH SCRAM-SHA-512", "AUTH SCRAM-SHA-1"];
            let table: Table = others[..number].iter().map(|other| (*other, answer)).collect::<Vec<_>>().leak();
            let relay = Relay::offering(ALL, table);
            let count = deliveries(&relay, &hiding(&relay));
            assert!((1..=7).contains(&count), "{number} with {answer}: {count} deliveries, {}", relay.heard());
        }
    }
    // Behind a challenge that asks for the first message once more; and `*` gets an answer that is none.
    for answer in ["535 no", "334 cj0x"] {
        for cancelled in ["501 cancelled", "454 later", "535 no", "close"] {
            let table: Table = vec![
                ("AUTH SCRAM-SHA-256", "334 "),
                ("AUTH SCRAM-SHA-512", "334 "),
                ("ANSWER SCRAM-SHA-256 *", cancelled),
                ("ANSWER SCRAM-SHA-512 *", cancelled),
                ("ANSWER SCRAM-SHA-256", answer),
                ("ANSWER SCRAM-SHA-512", answer),
            ]
            .leak();
            let relay = Relay::offering("AUTH SCRAM-SHA-256 SCRAM-SHA-512 SCRAM-SHA-1", table);
            let count = deliveries(&relay, &hiding(&relay));
            assert!((1..=3).contains(&count), "{answer}, {cancelled}: {count} deliveries, {}", relay.heard());
        }
    }
}

/// What worked once works again, although others have had their turn meanwhile and only defer.
#[test]
fn what_works_again() {
    let relay = Relay::offering("AUTH PLAIN SCRAM-SHA-256", &[]);
    let home = relay.home("myuser secretpass");
    assert_eq!(deliver(&home).letters(), "rK");
    relay.says(&[("AUTH PLAIN", "535 no"), ("AUTH SCRAM", "454 later")]);
    for _ in 0..4 {
        assert_eq!(deliver(&home).letters(), "Z");
        later(&home, 3600);
    }
    relay.says(&[("AUTH SCRAM", "454 later")]);
    assert!(deliveries(&relay, &home) <= 4);
}

/// A server that takes no initial response, and refuses what it does not know.
#[test]
fn without_initial_responses() {
    for (offer, tries) in [
        ("AUTH PLAIN", "PLAIN"),
        ("AUTH PLAIN SCRAM-SHA-256", "PLAIN"),
        ("AUTH SCRAM-SHA-256 SCRAM-SHA-1", "SCRAM-SHA-256"),
    ] {
        let relay = Relay::offering(
            offer,
            &[("AUTH PLAIN A", "501 no"), ("AUTH SCRAM-SHA-256 b", "501 no"), ("AUTH SCRAM-SHA-1 b", "501 no")],
        );
        let home = relay.home("myuser secretpass");
        assert!(deliveries(&relay, &home) <= 2, "{offer}");
        assert_eq!(facts(&remembered(&home))[0], format!("good {tries}"), "{offer}");
    }
}

/// How many failed logins a relay counts that knows no such user, in the hours after the first one: it refuses each mechanism at once, and
/// hangs up over that in its own way.
#[test]
fn failures_are_few() {
    for offer in [
        "AUTH SCRAM-SHA-256 SCRAM-SHA-512 SCRAM-SHA-1 CRAM-MD5",
        "AUTH SCRAM-SHA-256 SCRAM-SHA-1",
        "AUTH PLAIN LOGIN SCRAM-SHA-256",
    ] {
        for answer in ["535 no", "535 no\r\n421 bye"] {
            let relay = Relay::offering(offer, vec![("AUTH ", answer)].leak());
            let home = hiding(&relay);
            let mut counts = Vec::new();
            for seconds in [0, 0, 0, 900, 0, 1800, 0, 3600, 0] {
                if seconds > 0 {
                    later(&home, seconds);
                }
                deliver(&home);
                counts.push(relay.heard().matches("AUTH ").count());
            }
            let mut all = 0;
            let sums: Vec<usize> = counts
                .iter()
                .map(|count| {
                    all += count;
                    all
                })
                .collect();
            assert!(sums[2] <= 4 && counts[3..].iter().all(|count| *count <= 1), "{offer}, {answer:?}: {counts:?}");
            assert!(counts[4] + counts[6] + counts[8] == 0, "{offer}, {answer:?}: {counts:?}");
        }
    }
}
