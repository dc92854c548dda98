//! The delivery machine alone, without a network: a recorded delivery, in clear, over STARTTLS and on port 465, cut off,
//! silenced and cut into two at every octet of what the server says, and taken by the kernel an octet at a time.

use crate::support::certificate::Authority;
use crate::support::script::{self, MESSAGE, ONE_BY_ONE, PIPELINED, Player, Script, over_starttls};
use crate::support::server::Tls;
use crate::support::talk::{closed, deadline, delivery, report, resolve, resolved, sent};
use crate::support::{Delivered, Home};
use qmail_remote::delivery::Delivery;
use qmail_remote::want::{Happened, Want};
use rustls::ServerConfig;
use std::io::ErrorKind;
use std::sync::Arc;
use std::time::SystemTime;

/// What happens behind the last octet that the server says.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Then {
    HangUp,
    Silence,
}

/// How the octets travel.
#[derive(Clone, Copy, Debug)]
struct Wire {
    /// The server says this many octets and no more.
    limit: usize,
    then: Then,
    /// The server's octets before and behind this place never come in one piece.
    split: usize,
    /// What the kernel takes at once.
    takes: usize,
    /// In one piece with the last octet, these follow.
    behind: &'static [u8],
}

/// A home and a server that go together.
struct Setting {
    home: Home,
    script: Script,
    config: Option<Arc<ServerConfig>>,
}

impl Setting {
    fn clear(script: Script) -> Setting {
        Setting { home: Home::with_route("relay.example:587 -myuser secretpass"), script, config: None }
    }

    fn over_tls(port: u16, script: Script) -> Setting {
        let ca = Authority::new("My CA");
        let relay = ca.issue(&["relay.example"]);
        let home = Home::with_route(&format!("relay.example:{port} myuser secretpass"));
        home.control("tlscafile", "control/ca.pem");
        home.control("ca.pem", &ca.pem);
        let Tls::Handshake(config) = Tls::of(&relay) else { panic!() };
        Setting { home, script, config: Some(config) }
    }

    /// Each script in clear and over TLS.
    fn all() -> [Setting; 6] {
        [
            Setting::clear(PIPELINED),
            Setting::clear(ONE_BY_ONE),
            Setting::over_tls(
                587,
                over_starttls("250-relay.example\r\n250 STARTTLS\r\n", "220-go\r\n220 ahead\r\n", PIPELINED),
            ),
            Setting::over_tls(
                587,
                over_starttls("250-PIPELINING\r\n250-STARTTLS\r\n250 AUTH PLAIN\r\n", "220\r\n", ONE_BY_ONE),
            ),
            Setting::over_tls(465, PIPELINED),
            Setting::over_tls(465, ONE_BY_ONE),
        ]
    }

    /// How many octets the server says in all, or a few more: over TLS the number is not always the same.
    fn octets(&self) -> usize {
        let (_, player) = play(self, whole());
        player.said().len() + if self.config.is_some() { 4 } else { 0 }
    }
}

/// Plays one delivery. Answers its output, and the server as it was left.
fn play(setting: &Setting, wire: Wire) -> (Delivered, Player) {
    let script = setting.script;
    let mut delivery = delivery(&setting.home, "example.org", &script::recipients(script));
    let mut player = Player::new(script, setting.config.clone());
    let mut told = 0;
    let mut message = MESSAGE.chunks(7);
    let mut connections = 0;
    for step in 0..20_000 {
        match delivery.want(step) {
            Want::Addresses(_) => resolved(&mut delivery, &["127.0.0.1"]),
            Want::Connect(..) if connections == 0 => {
                connections += 1;
                delivery.happened(Happened::Connected {
                    now: step,
                    unix: SystemTime::UNIX_EPOCH.elapsed().unwrap().as_secs(),
                });
            }
            Want::Connect(..) => delivery.happened(Happened::NotConnected(&ErrorKind::ConnectionRefused.into())),
            Want::Tcpto(_) => assert!(delivery.tcpto(b"", 0).is_none()),
            Want::Prescan => {
                MESSAGE.chunks(11).for_each(|piece| delivery.happened(Happened::Message(piece)));
                delivery.happened(Happened::MessageEnd);
            }
            Want::Io(octets, _) => {
                let said = &player.said()[..player.said().len().min(wire.limit)];
                let until = if told < wire.split { said.len().min(wire.split) } else { said.len() };
                if until > told {
                    // Not where it would by chance go on as the server itself does: the end of a record can be any octet.
                    let is_other = player.said().get(until) != wire.behind.first();
                    let behind = if until == wire.limit && is_other { wire.behind } else { b"" };
                    let piece = [&said[told..until], behind].concat();
                    told = until;
                    delivery.happened(Happened::Received(step, &piece));
                } else if told == wire.limit && wire.then == Then::HangUp && (octets.is_empty() || player.dot) {
                    delivery.happened(Happened::Closed);
                } else if !octets.is_empty() {
                    let taken = octets[..octets.len().min(wire.takes)].to_vec();
                    player.hear(&taken);
                    delivery.happened(Happened::Sent(step, taken.len()));
                } else {
                    delivery.happened(Happened::TimedOut);
                }
            }
            Want::Message(_) => match message.next() {
                Some(piece) => delivery.happened(Happened::Message(piece)),
                None => delivery.happened(Happened::MessageEnd),
            },
            Want::Random => delivery.happened(Happened::Random(Some([7; 18]))),
            Want::Close(_) => delivery.happened(Happened::Disconnected(step)),
            want @ (Want::Mx(_) | Want::OwnAddresses) => panic!("{want:?}, for a relay"),
            want @ (Want::Lock(..) | Want::Release) => panic!("{want:?}, without HOME/accounts"),
            want @ Want::Run(_) => panic!("{want:?}, for a password"),
            Want::Done(report) => {
                let stdout = report.to_vec();
                return (Delivered { stdout, status: Default::default(), elapsed: Default::default() }, player);
            }
        }
    }
    panic!("no end: {wire:?}");
}

fn whole() -> Wire {
    Wire { limit: usize::MAX, then: Then::Silence, split: 0, takes: usize::MAX, behind: b"" }
}

fn is_said(wire: Wire, player: &Player, command: &str) -> bool {
    player.place_behind(command).is_some_and(|place| place <= wire.limit)
}

/// K if and only if the final 250 was said whole; `Possible duplicate!` exactly when the dot had gone out.
fn check(wire: Wire, delivered: &Delivered, player: &Player) {
    let verdict = delivered.verdict();
    let accepted = is_said(wire, player, ".");
    assert_eq!(verdict.starts_with('K'), accepted, "{wire:?}: {verdict}");
    assert_eq!(verdict.starts_with('Z'), !accepted, "{wire:?}: {verdict}");
    assert_eq!(verdict.contains("Possible duplicate!"), player.dot && !accepted, "{wire:?}: {verdict}");
}

#[test]
fn the_server_stops_at_every_octet() {
    for setting in Setting::all() {
        for limit in 0..=setting.octets() {
            for then in [Then::HangUp, Then::Silence] {
                for takes in [usize::MAX, 1] {
                    let wire = Wire { limit, then, takes, ..whole() };
                    let (delivered, player) = play(&setting, wire);
                    check(wire, &delivered, &player);
                    assert_eq!(player.dot, is_said(wire, &player, "DATA"), "{wire:?}");
                }
            }
        }
    }
}

#[test]
fn the_server_says_it_in_two_segments() {
    for setting in Setting::all() {
        let (expected, _) = play(&setting, whole());
        let letters = "r".repeat(script::recipients(setting.script).len()) + "K";
        assert_eq!(expected.letters(), letters, "{expected:?}");
        for split in 0..=setting.octets() {
            let (delivered, _) = play(&setting, Wire { split, ..whole() });
            assert_eq!(delivered.stdout, expected.stdout, "split at {split}");
        }
    }
}

/// Octets that are no TLS, in one piece with what was said before, which counts: an alert in clear, a line, a record that
/// cannot be decrypted.
#[test]
fn tls_breaks_off_at_every_octet() {
    for setting in Setting::all().into_iter().filter(|setting| setting.config.is_some()) {
        for limit in 0..=setting.octets() {
            for behind in [&[21, 3, 3, 0, 2, 2, 80][..], b"250 in clear\r\n", &[23, 3, 3, 0, 4, 1, 2, 3, 4]] {
                let wire = Wire { limit, behind, ..whole() };
                let (delivered, player) = play(&setting, wire);
                check(wire, &delivered, &player);
            }
        }
    }
}

/// A delivery that has said all up to the beginning of the message.
fn in_the_message(home: &Home) -> Delivery {
    let mut delivery = connected(home);
    delivery.happened(Happened::Received(0, b"220 hi\r\n"));
    sent(&mut delivery, 0);
    delivery.happened(Happened::Received(0, b"250-a\r\n250 PIPELINING\r\n"));
    sent(&mut delivery, 0);
    delivery.happened(Happened::Received(0, b"250 a\r\n250 b\r\n354 go\r\n"));
    assert!(matches!(delivery.want(0), Want::Message(_)));
    delivery
}

fn connected(home: &Home) -> Delivery {
    let mut delivery = delivery(home, "example.org", &["one@example.org"]);
    resolve(&mut delivery, &["127.0.0.1"]);
    delivery.happened(Happened::Connected { now: 0, unix: 0 });
    delivery
}

fn output(mut delivery: Delivery) -> String {
    closed(&mut delivery, 0);
    report(&mut delivery)
}

/// The kernel takes no more of the message; why, the server has already said.
#[test]
fn what_was_said_before_a_write_failed_counts() {
    let home = Home::with_route("relay.example:587");
    for (said, expected) in [
        (&b"552 too big\r\n"[..], "r\0D127.0.0.1 failed after I sent the message.\nRemote host said: 552 too big\n\0"),
        (b"452 too busy\r\n", "r\0Z127.0.0.1 failed after I sent the message.\nRemote host said: 452 too busy\n\0"),
        (b"", "r\0ZConnected to 127.0.0.1 but connection died. (#4.4.2)\n\0"),
        (b"552 too", "r\0ZConnected to 127.0.0.1 but connection died. (#4.4.2)\n\0"),
    ] {
        let mut delivery = in_the_message(&home);
        delivery.happened(Happened::Message(b"Subject: x\n"));
        delivery.happened(Happened::MessageEnd);
        delivery.happened(Happened::SendFailed);
        assert!(matches!(delivery.want(0), Want::Io(b"", _)));
        delivery.happened(Happened::Received(0, said));
        delivery.happened(Happened::Closed);
        assert_eq!(output(delivery), expected);
    }
}

/// The message is refused before its dot has gone out. The dot must not follow the report: the server could still take the message.
#[test]
fn no_dot_behind_a_refusal() {
    let home = Home::with_route("relay.example:587");
    for taken in [0, 5, b"Subject: x\r\n.\r".len()] {
        for (said, letters) in [(&b"552 too big\r\n"[..], "r\0D"), (b"452 too busy\r\n", "r\0Z")] {
            let mut delivery = in_the_message(&home);
            delivery.happened(Happened::Message(b"Subject: x\n"));
            delivery.happened(Happened::MessageEnd);
            delivery.happened(Happened::Sent(0, taken));
            delivery.happened(Happened::Received(0, said));
            assert_eq!(delivery.want(0), Want::Close(b""), "{taken}");
            assert!(output(delivery).starts_with(letters), "{taken}");
        }
    }
}

/// A 2xx that comes while any octet of the dot is still here answers no message. Nor can the server have taken it.
#[test]
fn a_reply_before_the_dot_is_out() {
    let home = Home::with_route("relay.example:587");
    let whole = b"Subject: x\r\n.\r\n".len();
    for taken in 0..=whole {
        let mut delivery = in_the_message(&home);
        delivery.happened(Happened::Message(b"Subject: x\n"));
        delivery.happened(Happened::MessageEnd);
        delivery.happened(Happened::Sent(0, taken));
        delivery.happened(Happened::Received(0, b"250 ok\r\n"));
        let output = output(delivery);
        assert_eq!(output.starts_with("r\0K"), taken == whole, "{taken}: {output}");
        assert!(taken == whole || output.contains("out of step") && !output.contains("duplicate"), "{taken}: {output}");
    }
}

/// A refusal is known, and the replies that are still to come do not come: it stands.
#[test]
fn a_verdict_outlives_the_connection() {
    let home = Home::with_route("relay.example:587");
    for end in [Happened::Closed, Happened::TimedOut] {
        let mut delivery = connected(&home);
        delivery.happened(Happened::Received(0, b"220 hi\r\n"));
        sent(&mut delivery, 0);
        delivery.happened(Happened::Received(0, b"250-a\r\n250 PIPELINING\r\n"));
        sent(&mut delivery, 0);
        delivery.happened(Happened::Received(0, b"550 no\r\n503 first"));
        delivery.happened(end);
        assert_eq!(output(delivery), "DConnected to 127.0.0.1 but sender was rejected.\nRemote host said: 550 no\n\0");
    }
}

/// timeoutremote is for each reply and for each write that gets on: not for each octet, not for the whole.
#[test]
fn deadlines() {
    let home = Home::with_route("relay.example:587");
    let mut delivery = connected(&home); // at 0; timeoutremote is 20 seconds
    assert_eq!(deadline(&mut delivery, 0), 20_000);
    delivery.happened(Happened::Received(5_000, b"220-a\r\n22"));
    assert_eq!(deadline(&mut delivery, 0), 20_000);
    delivery.happened(Happened::Received(6_000, b"0 b\r\n"));
    assert_eq!(deadline(&mut delivery, 0), 26_000);
    delivery.happened(Happened::Sent(7_000, 1));
    assert_eq!(deadline(&mut delivery, 0), 27_000);
    delivery.happened(Happened::TimedOut);
    assert_eq!(output(delivery), "ZConnected to 127.0.0.1 but connection died. (#4.4.2)\n\0");
    // Octets that come to no reply do not put it off; a reply that is whole by then counts.
    let mut delivery = connected(&home);
    delivery.happened(Happened::Received(20_000, b"220 a\r\n"));
    sent(&mut delivery, 21_000);
    delivery.happened(Happened::Received(40_999, b"250-a\r\n250-"));
    assert!(matches!(delivery.want(0), Want::Io(..)));
    delivery.happened(Happened::Received(41_000, b"b"));
    assert_eq!(output(delivery), "ZConnected to 127.0.0.1 but connection died. (#4.4.2)\n\0");
}

/// The message is asked for in pieces, and no more of it than the kernel takes.
#[test]
fn the_message_is_read_as_it_goes_out() {
    let home = Home::with_route("relay.example:587");
    let mut delivery = in_the_message(&home);
    let piece = b"a line of the message\n".repeat(1000);
    let mut pieces = 0;
    while matches!(delivery.want(0), Want::Message(_)) {
        delivery.happened(Happened::Message(&piece));
        pieces += 1;
        assert!(pieces < 10, "the whole message would be in memory");
    }
    delivery.happened(Happened::Sent(0, 60_000));
    assert!(matches!(delivery.want(0), Want::Message(_)));
}

/// A relay that the route itself names as this machine may have the password in clear. One that DNS says to be this machine may
/// not: whoever answers for DNS would choose who listens.
#[test]
fn loopback() {
    for (relay, ip, plain) in [
        ("127.9.9.9", "", true),
        ("[::1]", "", true),
        ("[::ffff:127.0.0.1]", "", true),
        ("localhost", "", true),
        ("LocalHost.", "", true),
        ("192.0.2.1", "", false),
        ("relay.example", "127.0.0.1", false),
        ("relay.example", "::1", false),
        ("relay.example", "::ffff:127.0.0.1", false),
        ("localhost.example", "127.0.0.1", false),
        ("127.1", "127.0.0.1", false),
    ] {
        let home = Home::with_route(&format!("{relay}:587 myuser secretpass"));
        let mut delivery = delivery(&home, "example.org", &["one@example.org"]);
        if !ip.is_empty() {
            resolved(&mut delivery, &[ip]);
        }
        if let Want::Tcpto(_) = delivery.want(0) {
            delivery.tcpto(b"", 0);
        }
        delivery.happened(Happened::Connected { now: 0, unix: 0 });
        delivery.happened(Happened::Received(0, b"220 hi\r\n"));
        sent(&mut delivery, 0);
        delivery.happened(Happened::Received(0, b"250-a\r\n250 AUTH PLAIN\r\n"));
        let sends = matches!(delivery.want(0), Want::Io(octets, _) if octets.starts_with(b"AUTH PLAIN "));
        assert_eq!(sends, plain, "{relay} {ip}");
        if !plain {
            let report = output(delivery);
            let is_told = report.contains("a relay on this machine must be named as localhost or by its address");
            assert_eq!(is_told, ip.contains("127") || ip == "::1", "{report}");
        }
    }
}
