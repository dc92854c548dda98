//! Mail to real servers: Debian's Postfix with Dovecot and with Cyrus SASL, Dovecot's submission service, and Debian's Exim. What they stored is what was sent.
//! All stays on the loopback. Needs root and what support/chroot.rs needs.

use crate::support::Home;
use crate::support::exim::exim;
use crate::support::postfix::postfix;
use crate::support::relay::{Endpoint, PASSWORD, Relay, USER};
use crate::support::trixie::trixie;
use std::time::Duration;

const SENDER: &str = "sender@example.net";
const PLAIN_TEXT: &[u8] = b"Subject: hello\n\nOne line.\n";

// One test for each server, since to copy its Debian and to start it takes longer than all that is asked of it.

#[test]
fn postfix_with_dovecot() {
    let endpoints = Endpoint::all();
    let mut relay = postfix(&endpoints);
    each_mechanism(&mut relay, &["PLAIN", "LOGIN", "CRAM-MD5", "SCRAM-SHA-256", "SCRAM-SHA-1"]);
    messages(&mut relay, "PLAIN");
    header_only(&mut relay, "");
    each_form_of_route(&mut relay);
    over_tls(&mut relay, &endpoints);
    wrong_password(&mut relay, &["PLAIN", "LOGIN", "CRAM-MD5", "SCRAM-SHA-256", "SCRAM-SHA-1"]);
}

/// What Cyrus offers with SCRAM, and a login that is bound to TLS.
#[test]
fn postfix_with_cyrus_and_dovecot_submission() {
    let (mut relay, submission) = trixie();
    each_mechanism(&mut relay, &["SCRAM-SHA-256", "SCRAM-SHA-512", "SCRAM-SHA-1"]);
    for mechanism in ["SCRAM-SHA-512", "SCRAM-SHA-256"] {
        refused(&relays(&relay, "not-the-password"), mechanism, "check user and password in ");
    }
    let deliver = |user: &str, policy: &str, mechanisms: &str| {
        let home = Home::with_route(&format!("127.0.0.1:{}", submission.port));
        home.control("relays/127.0.0.1/user", user);
        home.control("relays/127.0.0.1/password", PASSWORD);
        home.control("relays/127.0.0.1/tls", policy);
        if !mechanisms.is_empty() {
            home.control("relays/127.0.0.1/mechanisms", mechanisms);
        }
        home.deliver(SENDER, &["r1@example.org"], PLAIN_TEXT)
    };
    let names = ["SCRAM-SHA-256-PLUS", "SCRAM-SHA-1-PLUS", "SCRAM-SHA-256", "SCRAM-SHA-1"];
    let each = names.map(|name| ("encrypt", name, name));
    for (policy, names, mechanism) in each.into_iter().chain([("may", "", "SCRAM-SHA-256-PLUS")]) {
        let delivered = deliver(USER, policy, names);
        assert_eq!(delivered.letters(), "rK", "{mechanism}: {delivered:?}");
        let line = format!("\ntls=TLSv1.3 cert=unverified auth={mechanism} user={USER}\n");
        assert!(delivered.verdict().ends_with(&line), "{mechanism}: {delivered:?}");
        assert_eq!(relay.take("r1").windows(PLAIN_TEXT.len()).filter(|part| *part == PLAIN_TEXT).count(), 1);
    }
    let delivered = deliver("hashed", "may", "");
    let verdict = delivered.verdict();
    let says = "tried SCRAM-SHA-256-PLUS (535), SCRAM-SHA-256 (535); the relay knows no such user, or keeps no hash of";
    assert!(verdict.starts_with('Z') && verdict.contains(says), "{verdict}");
}

#[test]
fn exim_by_itself() {
    let endpoints = Endpoint::all();
    let mut relay = exim(&endpoints);
    each_mechanism(&mut relay, &["PLAIN", "LOGIN", "CRAM-MD5"]);
    messages(&mut relay, "CRAM-MD5");
    header_only(&mut relay, "\n"); // it ends every header by an empty line
    over_tls(&mut relay, &endpoints);
    wrong_password(&mut relay, &["PLAIN", "LOGIN", "CRAM-MD5"]);
}

fn each_mechanism(relay: &mut Relay, mechanisms: &[&str]) {
    for mechanism in mechanisms {
        send(relay, mechanism, &["r1@example.org"], PLAIN_TEXT);
        relay.assert_took("r1", SENDER, PLAIN_TEXT);
    }
    relay.assert_logins(mechanisms);
}

fn messages(relay: &mut Relay, mechanism: &str) {
    let ten_mebibytes = octets(10 << 20);
    let bodies: [&[u8]; 6] = [
        "Ein Gruß aus Köln.\n".as_bytes(),
        &octets(254), // each of them once
        b".\n..\n.x\n...\n\n.\n.\n\nafter the dots\n.\n",
        b"\n\nempty lines around\n\n\n",
        b"", // headers, and no body after the empty line
        &ten_mebibytes,
    ];
    // As qmail-queue begins every message.
    let header = b"Received: (qmail 4711 invoked by uid 1000); 1 Jan 2025 00:00:00 -0000\nSubject: \xe4 8-bit\n\n";
    for body in bodies {
        let message = [header, body].concat();
        send(relay, mechanism, &["r1@example.org"], &message);
        relay.assert_took("r1", SENDER, &message);
    }

    let recipients: Vec<String> = (1..=100).map(|i| format!("r{i}@example.org")).collect();
    let recipients: Vec<&str> = recipients.iter().map(String::as_str).collect();
    send(relay, mechanism, &recipients, PLAIN_TEXT);
    for i in 1..=100 {
        relay.assert_took(&format!("r{i}"), SENDER, PLAIN_TEXT);
    }
    relay.assert_logins(&vec![mechanism; bodies.len() + 1]);
}

/// That many octets, of all values but NUL and CR, and a newline.
fn octets(count: usize) -> Vec<u8> {
    (1..=255).filter(|octet| *octet != b'\r').cycle().take(count).chain(*b"\n").collect()
}

/// A message without the empty line that ends a header, and what the relay adds to one.
fn header_only(relay: &mut Relay, added: &str) {
    let message = "Subject: header only\nX-Field: last\n";
    send(relay, "PLAIN", &["r1@example.org"], message.as_bytes());
    relay.assert_took("r1", SENDER, format!("{message}{added}").as_bytes());
    relay.assert_logins(&["PLAIN"]);
}

fn each_form_of_route(relay: &mut Relay) {
    let address = format!("127.0.0.1:{}", relay.port);
    let forms = [
        Home::with_route(&format!("{address} {USER} {PASSWORD}")),
        Home::with_route(&format!("{address}|{USER}|{PASSWORD}")),
        relays(relay, PASSWORD),
    ];
    for home in forms {
        let delivered = home.deliver(SENDER, &["r1@example.org"], PLAIN_TEXT);
        assert_eq!(delivered.letters(), "rK", "{delivered:?}");
        relay.assert_took("r1", SENDER, PLAIN_TEXT);
    }
    // No form names a mechanism: all three are offered, and the one that does not show the password is taken.
    relay.assert_logins(&["CRAM-MD5"; 3]);
}

/// Without a word about mechanisms, since over TLS that is verified PLAIN is the first choice.
fn over_tls(relay: &mut Relay, endpoints: &[Endpoint]) {
    let message = [b"Subject: longer than a record of TLS\n\n", &octets(100_000)[..]].concat();
    for endpoint in endpoints {
        for port in [587, 465] {
            let home = Home::with_route(&format!("{}:{port} {USER} {PASSWORD}", endpoint.address));
            home.control("tlscafile", "control/ca.pem\n");
            home.control("ca.pem", &endpoint.ca.pem);
            let case = format!("port {port}, {}, {}", endpoint.version, endpoint.key);
            let delivered = home.deliver(SENDER, &["r1@example.org"], &message);
            assert_eq!(delivered.letters(), "rK", "{case}: {delivered:?}");
            let line = format!("\ntls={} cert=verified auth=PLAIN user={USER}\n", endpoint.version);
            assert!(delivered.verdict().ends_with(&line), "{case}: {delivered:?}");
            relay.assert_took("r1", SENDER, &message);
            relay.assert_logins(&["PLAIN"]);
        }
    }
}

/// The login is refused for its password.
fn refused(home: &Home, mechanism: &str, says: &str) {
    only(home, mechanism);
    let delivered = home.deliver(SENDER, &["r1@example.org"], PLAIN_TEXT);
    let verdict = delivered.verdict();
    assert!(verdict.starts_with('Z') && verdict.contains(says), "{mechanism}: {verdict}");
    assert!(verdict.contains("127.0.0.1") && verdict.contains(USER), "{mechanism}: {verdict}");
    assert!(!verdict.contains("not-the-password"), "{mechanism}: {verdict}");
    assert!(delivered.elapsed < Duration::from_secs(10), "{mechanism}: {:?}", delivered.elapsed);
}

fn wrong_password(relay: &mut Relay, mechanisms: &[&str]) {
    for mechanism in mechanisms {
        refused(&relays(relay, "not-the-password"), mechanism, "login failed");
    }
    // The next mail is the first that was taken.
    send(relay, "PLAIN", &["r1@example.org"], PLAIN_TEXT);
    relay.assert_took("r1", SENDER, PLAIN_TEXT);
    relay.assert_logins(&["PLAIN"]);
}

/// Delivers with this one mechanism, and asserts that the relay took the message for every recipient.
fn send(relay: &Relay, mechanism: &str, recipients: &[&str], message: &[u8]) {
    let home = relays(relay, PASSWORD);
    only(&home, mechanism);
    let delivered = home.deliver(SENDER, recipients, message);
    assert_eq!(delivered.letters(), "r".repeat(recipients.len()) + "K", "{mechanism}: {delivered:?}");
}

/// A home that sends everything to this relay, with the login in control/relays.
fn relays(relay: &Relay, password: &str) -> Home {
    let home = Home::with_route(&format!("127.0.0.1:{}", relay.port));
    home.control("relays/127.0.0.1/user", format!("{USER}\n"));
    home.control("relays/127.0.0.1/password", format!("{password}\n"));
    home
}

fn only(home: &Home, mechanism: &str) {
    home.control("relays/127.0.0.1/mechanisms", format!("{mechanism}\n"));
}
