//! A server that fails before a login or MAIL, for reasons of its own: the next address of the relay is tried (RFC 5321 section 5.1),
//! under the same policy. A login that is refused is not. Delivery by delivery, without a network.

use crate::support::Home;
use crate::support::certificate::Authority;
use crate::support::talk::{Talk, deadline, delivery, resolve, sent};
use qmail_remote::delivery::Delivery;
use qmail_remote::want::{Happened, Want};
use rustls::version::{TLS12, TLS13};

const LOGIN: &str = "myuser secretpass";

/// What the first address does, the words of the report if the other is not to be had, and those of the report where the other
/// fails in another way.
type Failure = (&'static str, fn(&mut Talk), &'static str, &'static str);

/// What comes behind AUTH, and what the report says of it.
type End = (&'static str, fn(&mut Talk), &'static str);

const FAILURES: [Failure; 9] = [
    ("closes at once", |talk| talk.delivery.happened(Happened::Closed), "connection died", "connection died"),
    ("keeps silent", |talk| talk.delivery.happened(Happened::TimedOut), "connection died", "nothing was said in time"),
    (
        "is no SMTP server",
        |talk| talk.relay("SSH-2.0-x\r\n"),
        "it sent what is no SMTP reply",
        "it sent what is no SMTP reply",
    ),
    ("greets twice", |talk| talk.relay("220 a\r\n220 b\r\n"), "a reply came out of step", "a reply came out of step"),
    ("closes behind the greeting", |talk| after_greeting(talk, None), "connection died", "connection died"),
    (
        "offers no STARTTLS",
        |talk| after_greeting(talk, Some("250 AUTH PLAIN\r\n")),
        "no STARTTLS is offered",
        "no STARTTLS",
    ),
    (
        "refuses STARTTLS",
        |talk| at_starttls(talk, "454 4.7.0 no\r\n"),
        "STARTTLS is refused",
        "TLS failed: STARTTLS is refused (454)",
    ),
    (
        "speaks in clear behind it",
        |talk| at_starttls(talk, "220 go\r\n250 x\r\n"),
        "spoke in clear after STARTTLS",
        "spoke in clear after STARTTLS",
    ),
    (
        "breaks the handshake off",
        |talk| {
            talk.starttls();
            talk.client();
            talk.delivery.happened(Happened::Closed);
        },
        "the relay closed the connection in the handshake",
        "TLS failed: the relay closed the connection in the handshake",
    ),
];

fn after_greeting(talk: &mut Talk, hello: Option<&str>) {
    talk.relay("220 hi\r\n");
    talk.client();
    match hello {
        Some(reply) => talk.relay(reply),
        None => talk.delivery.happened(Happened::Closed),
    }
}

fn at_starttls(talk: &mut Talk, reply: &str) {
    after_greeting(talk, Some("250 STARTTLS\r\n"));
    assert_eq!(talk.client(), "STARTTLS\r\n");
    talk.relay(reply);
}

/// From the connection to the end of a mail with a login.
fn goes_out(talk: &mut Talk, name: &str) {
    talk.connect();
    talk.starttls();
    talk.handshake();
    talk.relay("250 AUTH PLAIN\r\n");
    assert!(talk.client().starts_with("AUTH PLAIN "), "{name}");
    for reply in ["235 ok\r\n", "250 ok\r\n", "250 ok\r\n"] {
        talk.relay(reply);
        talk.client();
    }
    talk.relay("354 go\r\n");
    talk.delivery.happened(Happened::MessageEnd);
    talk.client();
    talk.relay("250 taken\r\n");
    talk.closed();
    assert!(talk.report().starts_with("r\0K192.0.2.2 accepted message.\n"), "{name}: {}", talk.report());
}

#[test]
fn the_other_address_takes_it() {
    for (name, fail, ..) in FAILURES {
        let mut talk = Talk::new(587, LOGIN);
        fail(&mut talk);
        talk.closed();
        goes_out(&mut talk, name);
    }
}

/// The policy is that of the relay, at whichever address.
#[test]
fn no_address_gets_more_than_the_policy_allows() {
    let mut talk = Talk::new(587, LOGIN);
    talk.delivery.happened(Happened::Closed);
    talk.closed();
    talk.connect();
    after_greeting(&mut talk, Some("250 AUTH PLAIN\r\n"));
    assert_eq!(talk.closed(), b"QUIT\r\n");
    let report = talk.report();
    assert!(report.starts_with("ZConnected to 192.0.2.2 but no STARTTLS is offered"), "{report}");
    assert!(report.ends_with("\nOther addresses: 192.0.2.1: connection died\n\0"), "{report}");
}

#[test]
fn a_certificate_that_does_not_verify() {
    let (ca, stranger) = (Authority::new("My CA"), Authority::new("Stranger CA"));
    let (bad, good) = (stranger.issue(&["relay.example"]), ca.issue(&["relay.example"]));
    for other_is_good in [true, false] {
        let mut talk = Talk::with(587, LOGIN, &ca.pem, &bad, &[&TLS12, &TLS13]);
        talk.starttls();
        talk.client();
        talk.relay("");
        talk.closed();
        if other_is_good {
            talk.shows(&good);
            goes_out(&mut talk, "certificate");
        } else {
            talk.connect();
            talk.delivery.happened(Happened::Closed);
            talk.closed();
            let report = talk.report();
            assert!(report.starts_with("ZConnected to 192.0.2.2 but connection died. (#4.4.2)\n"), "{report}");
            let other = "\nOther addresses: 192.0.2.1: TLS failed: its certificate does not verify: it is issued by CN=Stranger CA";
            assert!(report.contains(other), "{report}");
        }
    }
}

/// The report is that of an address that was spoken to, and tells of the others.
#[test]
fn each_is_told_of() {
    for (name, fail, alone, beside) in FAILURES {
        let mut talk = Talk::new(587, LOGIN);
        fail(&mut talk);
        talk.closed();
        talk.not_connected();
        let report = talk.report();
        assert!(report.starts_with("ZConnected to 192.0.2.1 but ") && report.contains(alone), "{name}: {report}");
        assert!(report.ends_with("\nOther addresses: 192.0.2.2: connection refused\n\0"), "{name}: {report}");

        let mut talk = Talk::new(587, LOGIN);
        fail(&mut talk);
        talk.closed();
        talk.connect();
        talk.relay("554 5.3.2 not here\r\n");
        talk.closed();
        let report = talk.report();
        let main = "ZConnected to 192.0.2.2 but greeting failed.\nRemote host said: 554 5.3.2 not here\n";
        assert!(report.starts_with(main), "{name}: {report}");
        assert!(report.contains(&format!("Other addresses: 192.0.2.1: {beside}")), "{name}: {report}");
    }
}

/// A relay's reply to AUTH, and what becomes of MAIL, is the end: another address would count the same wrong password again, or take
/// the mail a second time.
#[test]
fn a_login_or_mail_is_tried_at_one_address() {
    let ends: [End; 7] = [
        ("login refused", |talk| talk.relay("535 5.7.8 no\r\n"), "login failed as myuser"),
        ("login put off", |talk| talk.relay("454 4.7.0 later\r\n"), "the relay defers the login"),
        ("no reply", |talk| talk.relay("what?\r\n"), "it sent what is no SMTP reply"),
        ("silence", |talk| talk.delivery.happened(Happened::TimedOut), "connection died"),
        (
            "closed at MAIL",
            |talk| {
                talk.relay("235 ok\r\n");
                talk.client();
                talk.delivery.happened(Happened::Closed);
            },
            "connection died",
        ),
        (
            "silent at MAIL",
            |talk| {
                talk.relay("235 ok\r\n");
                talk.client();
                talk.delivery.happened(Happened::TimedOut);
            },
            "connection died",
        ),
        (
            "MAIL refused",
            |talk| {
                talk.relay("235 ok\r\n");
                talk.client();
                talk.relay("451 later\r\n");
            },
            "sender was rejected",
        ),
    ];
    for (name, end, says) in ends {
        let mut talk = Talk::new(587, LOGIN);
        talk.starttls();
        talk.handshake();
        talk.relay("250 AUTH PLAIN\r\n");
        talk.client();
        end(&mut talk);
        talk.closed();
        let report = talk.report(); // and no other address is wanted
        assert!(report.starts_with("ZConnected to 192.0.2.1 but ") && report.contains(says), "{name}: {report}");
        assert!(!report.contains("Other addresses"), "{name}: {report}");
    }
}

/// Where the relay hangs up on a login, it goes on with the same address; another one is not asked, even if that cannot be reached.
#[test]
fn a_login_goes_on_at_the_same_address() {
    let mut talk = Talk::new(587, LOGIN);
    talk.starttls();
    talk.handshake();
    talk.relay("250 AUTH PLAIN LOGIN\r\n");
    talk.client();
    talk.delivery.happened(Happened::Closed);
    talk.closed();
    talk.connect();
    talk.delivery.happened(Happened::Closed);
    talk.closed();
    let report = talk.report();
    assert!(report.starts_with("ZConnected to 192.0.2.1 but connection died"), "{report}");
    assert!(report.contains("Before that: login as myuser at relay.example:587"), "{report}");
}

/// However many addresses are silent, and wherever: they cost a delivery one timeoutremote (20 seconds), and each is tried.
#[test]
fn silence_is_waited_for_once() {
    let silences: [fn(&mut Delivery, u64); 2] = [
        |_, _| {},
        |delivery, now| {
            delivery.happened(Happened::Received(now, b"220 hi\r\n"));
            if let Want::Io(octets, _) = delivery.want(now) {
                let count = octets.len();
                delivery.happened(Happened::Sent(now, count));
            } // else no time is left for this one
        },
    ];
    for silence in silences {
        for addresses in [1, 2, 3, 64] {
            for login in ["", LOGIN] {
                let home = Home::with_route(&format!("relay.example:587 {login}"));
                let mut delivery = delivery(&home, "example.org", &["b@example.org"]);
                let ips: Vec<String> = (1..=addresses).map(|last| format!("192.0.2.{last}")).collect();
                resolve(&mut delivery, &ips.iter().map(String::as_str).collect::<Vec<_>>());
                let (mut now, mut tried) = (1000, 0);
                let report = loop {
                    match delivery.want(now) {
                        Want::Connect(..) => {
                            now += 60_000; // that is for timeoutconnect
                            tried += 1;
                            delivery.happened(Happened::Connected { now, unix: 0 });
                            silence(&mut delivery, now);
                        }
                        Want::Io(_, deadline) => {
                            now = deadline;
                            delivery.happened(Happened::TimedOut);
                        }
                        Want::Close(_) => delivery.happened(Happened::Disconnected(now)),
                        Want::Done(report) => break String::from_utf8_lossy(report).into_owned(),
                        other => panic!("{other:?}"),
                    }
                };
                assert_eq!(tried, addresses);
                let waited = now - 1000 - 60_000 * addresses;
                assert!((15_000..=20_000).contains(&waited), "{waited} ms for {addresses} addresses");
                assert!(report.starts_with("ZConnected to ") && report.contains("connection died"), "{report}");
                assert_eq!(report.matches("nothing was said in time").count() as u64, addresses - 1, "{report}");
            }
        }
    }
}

/// Once the login has begun, each reply has a timeoutremote of its own.
#[test]
fn a_login_has_its_own_time() {
    let mut talk = Talk::new(587, LOGIN);
    talk.starttls();
    talk.handshake();
    talk.now = 9_000;
    talk.relay("250 AUTH PLAIN\r\n");
    talk.client();
    assert_eq!(talk.deadline(), 29_000);
}

/// A part of the time for a handshake is for the connection in clear that may follow.
#[test]
fn time_for_the_connection_in_clear() {
    let home = Home::with_route("relay.example:587");
    let mut delivery = delivery(&home, "example.org", &["b@example.org"]);
    resolve(&mut delivery, &["192.0.2.1"]);
    delivery.happened(Happened::Connected { now: 0, unix: 0 });
    assert_eq!(deadline(&mut delivery, 0), 20_000, "for the greeting");
    for reply in ["220 hi\r\n", "250 STARTTLS\r\n", "220 go\r\n"] {
        delivery.happened(Happened::Received(0, reply.as_bytes()));
        sent(&mut delivery, 0);
    }
    assert_eq!(deadline(&mut delivery, 0), 15_000, "for the handshake");
    delivery.happened(Happened::TimedOut);
    delivery.happened(Happened::Disconnected(15_000));
    delivery.happened(Happened::Connected { now: 15_000, unix: 0 });
    assert_eq!(deadline(&mut delivery, 15_000), 20_000, "for the greeting in clear");
}

/// A silent server leaves time for the next; a login takes none of it, and what it goes on with has as much as before.
#[test]
fn what_is_left_of_the_time() {
    let mut talk = Talk::new(587, LOGIN);
    assert_eq!(talk.deadline(), 15_000);
    talk.now = 15_000;
    talk.delivery.happened(Happened::TimedOut);
    talk.closed();
    talk.connect();
    assert_eq!(talk.deadline(), 20_000);
    talk.starttls();
    talk.handshake();
    talk.relay("250 AUTH PLAIN LOGIN CRAM-MD5\r\n");
    talk.client();
    talk.now = 30_000;
    talk.relay("500 5.5.2 no\r\n");
    talk.client();
    talk.relay("500 5.5.2 no\r\n");
    talk.closed();
    talk.connect();
    assert_eq!(talk.deadline(), 35_000);
}

/// The words of a certificate are the relay's. It knows the password from a login before.
#[test]
fn what_is_told_of_another_address_is_masked() {
    let ca = Authority::new("My CA");
    let mut talk = Talk::with(587, LOGIN, &ca.pem, &ca.issue(&["secretpass.example"]), &[&TLS12, &TLS13]);
    talk.starttls();
    talk.client();
    talk.relay("");
    talk.closed();
    talk.connect();
    talk.delivery.happened(Happened::Closed);
    talk.closed();
    let report = talk.report();
    assert!(report.contains("Other addresses: 192.0.2.1: TLS failed: ") && report.contains("<secret>"), "{report}");
    assert!(!report.contains("secretpass"), "{report}");
}
