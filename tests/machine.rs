//! The delivery machine alone, without a network: a recorded delivery cut off, silenced and cut into two at every octet
//! of what the server says, and taken by the kernel an octet at a time.

mod support;

use qmail_auth::addresses::Address;
use qmail_auth::control::home::Surroundings;
use qmail_auth::delivery::{Delivery, Want};
use std::net::Ipv4Addr;
use support::script::{self, MESSAGE, ONE_BY_ONE, PIPELINED, Player, Script};
use support::{Delivered, Home};

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
}

/// Plays one delivery. Answers its output, and whether the server has heard the final dot.
fn play(home: &Home, script: Script, wire: Wire) -> (Delivered, bool) {
    let mut arguments = vec![&b"example.org"[..], b"sender@example.net"];
    arguments.extend(script::recipients(script).iter().map(|recipient| recipient.as_bytes()));
    let surroundings = Surroundings { qmailhome: Some(home.path()), ..Default::default() };
    let mut delivery = Delivery::new(&arguments, &surroundings);
    let mut player = Player::new(script);
    let mut told = 0;
    let mut message = MESSAGE.chunks(7);
    let mut connections = 0;
    for step in 0..10_000 {
        match delivery.want(step) {
            Want::Addresses(_) => delivery.resolved(vec![Address { ip: Ipv4Addr::LOCALHOST.into(), scope: 0 }]),
            Want::Connect(..) if connections == 0 => {
                connections += 1;
                delivery.connected(step);
            }
            Want::Connect(..) => delivery.not_connected("Connection refused"),
            Want::Io(octets, _) => {
                let said = &player.said()[..player.said().len().min(wire.limit)];
                let until = if told < wire.split { said.len().min(wire.split) } else { said.len() };
                if until > told {
                    let piece = said[told..until].to_vec();
                    told = until;
                    delivery.received(step, &piece);
                } else if told == wire.limit && wire.then == Then::HangUp && (octets.is_empty() || player.dot) {
                    delivery.closed();
                } else if !octets.is_empty() {
                    let taken = octets[..octets.len().min(wire.takes)].to_vec();
                    player.hear(&taken);
                    delivery.sent(step, taken.len());
                } else {
                    delivery.timed_out();
                }
            }
            Want::Message => match message.next() {
                Some(piece) => delivery.message(piece),
                None => delivery.message_end(),
            },
            Want::Close(_) => delivery.disconnected(),
            Want::Done(report) => {
                let stdout = report.to_vec();
                return (Delivered { stdout, status: Default::default(), elapsed: Default::default() }, player.dot);
            }
        }
    }
    panic!("no end: {wire:?}");
}

fn home() -> Home {
    Home::with_route("relay.example:587 -myuser secretpass")
}

fn whole(script: Script) -> Wire {
    Wire { limit: script::octets(script), then: Then::Silence, split: 0, takes: usize::MAX }
}

/// K if and only if the final 250 was said whole; `Possible duplicate!` exactly when the dot had gone out.
fn check(script: Script, wire: Wire, delivered: &Delivered, dot: bool) {
    let verdict = delivered.verdict();
    let accepted = wire.limit >= script::octets_up_to(script, ".");
    assert_eq!(verdict.starts_with('K'), accepted, "{wire:?}: {verdict}");
    assert_eq!(verdict.starts_with('Z'), !accepted, "{wire:?}: {verdict}");
    assert_eq!(verdict.contains("Possible duplicate!"), dot && !accepted, "{wire:?}: {verdict}");
    assert_eq!(dot, wire.limit >= script::octets_up_to(script, "DATA"), "{wire:?}");
}

#[test]
fn the_server_stops_at_every_octet() {
    let home = home();
    for script in [PIPELINED, ONE_BY_ONE] {
        for limit in 0..=script::octets(script) {
            for then in [Then::HangUp, Then::Silence] {
                for takes in [usize::MAX, 1] {
                    let wire = Wire { limit, then, takes, ..whole(script) };
                    let (delivered, dot) = play(&home, script, wire);
                    check(script, wire, &delivered, dot);
                }
            }
        }
    }
}

#[test]
fn the_server_says_it_in_two_segments() {
    let home = home();
    for script in [PIPELINED, ONE_BY_ONE] {
        let (expected, _) = play(&home, script, whole(script));
        let letters = "r".repeat(script::recipients(script).len()) + "K";
        assert_eq!(expected.letters(), letters);
        for split in 0..=script::octets(script) {
            let (delivered, _) = play(&home, script, Wire { split, ..whole(script) });
            assert_eq!(delivered.stdout, expected.stdout, "split at {split}");
        }
    }
}
