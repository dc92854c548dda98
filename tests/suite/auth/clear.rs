//! Passwords in clear: over loopback only, or by explicit leave; and a relay with several addresses. Both need addresses
//! that are not loopback and a hosts file, in namespaces of the test's own.

use crate::support::namespace::{RELAY, inside, inside_with};
use crate::support::server::{Log, Rules, Server};
use crate::support::{Delivered, Home, program, run};
use std::process::Command;
use std::time::Duration;

fn deliver(offered: &str, login: &str, tls: Option<&str>) -> (Delivered, Log) {
    let server = Server::start_on((RELAY, 0), Rules::offering(&["PIPELINING", offered]));
    let home = Home::with_route(&format!("{RELAY}:{} {login}", server.port()));
    if let Some(word) = tls {
        home.control(&format!("relays/{RELAY}/tls"), format!("{word}\n"));
    }
    let delivered = home.deliver("sender@example.net", &["recipient@example.org"], b"Subject: clear\n\nhello\n");
    (delivered, server.finish())
}

#[test]
fn no_password_in_clear() {
    if !inside(here!()) {
        return;
    }
    let all = "AUTH CRAM-MD5 PLAIN LOGIN";
    for (offered, login, tls, mechanism) in [
        (all, "myuser secretpass", None, None),
        (all, "myuser secretpass", Some("verify"), None),
        (all, "myuser secretpass", Some("encrypt"), None),
        (all, "-myuser secretpass", Some("verify"), None),
        (all, "myuser secretpass", Some("may"), Some("CRAM-MD5")),
        (all, "myuser secretpass", Some("none"), Some("CRAM-MD5")),
        ("AUTH PLAIN LOGIN", "myuser secretpass", Some("may"), None),
        ("AUTH PLAIN LOGIN", "myuser secretpass", Some("none"), None),
        ("AUTH PLAIN LOGIN", "-myuser secretpass", None, Some("PLAIN")),
        ("AUTH PLAIN LOGIN", "-myuser secretpass", Some("may"), Some("PLAIN")),
        ("AUTH LOGIN", "-myuser secretpass", Some("none"), Some("LOGIN")),
    ] {
        let case = format!("{offered}; {login}; tls {tls:?}");
        let (delivered, log) = deliver(offered, login, tls);
        match mechanism {
            Some(mechanism) => {
                assert_eq!(delivered.letters(), "rK", "{case}: {delivered:?}");
                assert_eq!(log.logins(), [format!("{mechanism} myuser")], "{case}");
            }
            None => {
                assert_eq!(delivered.letters(), "Z", "{case}: {delivered:?}");
                assert!(!log.saw("AUTH") && !log.saw("MAIL"), "{case}: {:?}", log.commands());
                assert!(
                    tls.is_some() || delivered.verdict().contains("to allow it write the user as -myuser"),
                    "{case}"
                );
            }
        }
    }
    // A password that is one of our own words is not shown by what is missing in them.
    let (delivered, _) = deliver(all, "myuser pass", None);
    assert!(delivered.verdict().contains("the password must not go out in clear; to allow it"), "{delivered:?}");
    // CRAM-MD5 refused is no reason to show the password.
    let server = Server::start_on((RELAY, 0), Rules::default().answering(&[("ANSWER", "535 5.7.8 no")]));
    let home = Home::with_route(&format!("{RELAY}:{} myuser secretpass", server.port()));
    home.control(&format!("relays/{RELAY}/tls"), "may\n");
    let delivered = home.deliver("sender@example.net", &["recipient@example.org"], b"\n");
    let log = server.finish();
    assert_eq!((delivered.letters().as_str(), log.auth_tries()), ("Z", 1), "{delivered:?}");
    // Without credentials the policy is about the mail.
    for (tls, letters) in
        [(None, "rK"), (Some("may"), "rK"), (Some("none"), "rK"), (Some("verify"), "Z"), (Some("encrypt"), "Z")]
    {
        let open = Rules { auth_required: false, ..Rules::default() };
        let server = Server::start_on((RELAY, 0), open);
        let home = Home::with_route(&format!("{RELAY}:{}", server.port()));
        if let Some(word) = tls {
            home.control(&format!("relays/{RELAY}/tls"), word);
        }
        assert_eq!(home.deliver("a@example.net", &["b@example.org"], b"\n").letters(), letters, "{tls:?}");
        assert_eq!(server.finish().saw("MAIL"), letters == "rK", "{tls:?}");
    }
}

/// IPv6, and a relay with several addresses of which only the last answers.
#[test]
fn addresses_in_turn() {
    if !inside(here!()) {
        return;
    }
    let server = Server::start_on("[::1]:0", Rules::default());
    let home = Home::with_route(&format!("[::1]:{} myuser secretpass", server.port()));
    assert_eq!(home.deliver("a@example.net", &["b@example.org"], b"\n").letters(), "rK");
    server.finish();

    for address in ["192.0.2.1:0", "[2001:db8::1]:0"] {
        let server = Server::start_on(address, Rules::default());
        let home = Home::with_route(&format!("relay.example:{} -myuser secretpass", server.port()));
        let delivered = home.deliver("a@example.net", &["b@example.org"], b"\n");
        assert_eq!(delivered.letters(), "rK", "{address}: {delivered:?}");
        server.finish();
    }

    // The first that answers refuses; the other is served on the same port.
    let refusing = Server::start_on("192.0.2.1:0", Rules { greeting: "554 not here".into(), ..Rules::default() });
    let other = Server::start_on(format!("[2001:db8::1]:{}", refusing.port()), Rules::default());
    let home = Home::with_route(&format!("relay.example:{} -myuser secretpass", other.port()));
    for _ in 0..2 {
        assert_eq!(home.deliver("a@example.net", &["b@example.org"], b"\n").letters(), "rK");
    }
    assert_eq!(other.finish().messages.len(), 2);
    refusing.finish();

    let home = Home::with_route("relay.example:1 -myuser secretpass");
    let verdict = home.deliver("a@example.net", &["b@example.org"], b"\n").verdict();
    for words in ["#4.4.1", "192.0.2.1: Connection refused", "2001:db8::1: Connection refused", "192.0.2.2: "] {
        assert!(verdict.contains(words), "{verdict}");
    }
}

/// A name may have more addresses than there is room for. Those beyond are not tried, and nothing is written where they would be. Of
/// those before, none costs a descriptor that is not given back.
#[test]
fn more_addresses_than_there_is_room_for() {
    let hosts: String = (1..=200).map(|last| format!("127.0.9.{last} many.example\n")).collect();
    let etc = [("hosts", &hosts[..]), ("nsswitch.conf", "hosts: files\n"), ("host.conf", "multi on\n")];
    if !inside_with(here!(), &etc, "true") {
        return;
    }
    let home = Home::with_route("many.example:1");
    // Fewer than addresses, and enough for what the tests may have inherited.
    let mut few_descriptors = Command::new("sh");
    few_descriptors
        .args(["-c", "ulimit -n 32 && exec \"$@\"", "sh"])
        .arg(program())
        .args(["example.org", "a@example.net"]);
    few_descriptors.arg("b@example.org").env("QMAILHOME", home.path());
    let verdict = run(few_descriptors, b"\n").verdict();
    assert!(verdict.contains("#4.4.1"), "{verdict}");
    assert_eq!(verdict.matches(": Connection refused").count(), 64, "{verdict}");
}

/// What is sent to 198.51.100.0/24 is never answered. The waiting is the feature: timeoutconnect for each address.
#[test]
fn an_address_that_does_not_answer() {
    if !inside(here!()) {
        return;
    }
    let home = Home::with_route("198.51.100.2:587 -myuser secretpass");
    home.control("timeoutconnect", "1\n");
    let delivered = home.deliver("a@example.net", &["b@example.org"], b"\n");
    assert!(delivered.verdict().contains("198.51.100.2: Connection timed out"), "{delivered:?}");
    assert!(delivered.elapsed >= Duration::from_secs(1));
}
