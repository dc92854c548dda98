//! No message can end its own DATA or begin a command: whatever octets it holds, a receiver sees the end of the data where we
//! put it, whether it takes CRLF, a bare LF or a bare CR for the end of a line.

use crate::support::receivers::{RECEIVERS, check, end_of_data};
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};

/// Octets of which most mean something at an end of data.
fn octet() -> impl Strategy<Value = u8> {
    prop_oneof![
        4 => prop::sample::select(&b"\r\n."[..]),
        1 => prop::sample::select(&b"a \0\x80QUIT"[..]),
        1 => any::<u8>(),
    ]
}

#[test]
fn no_message_ends_its_own_data() {
    let pieces = prop::collection::vec(prop::collection::vec(octet(), 0..12), 0..5);
    let config = Config { cases: 100_000, failure_persistence: None, ..Config::default() };
    TestRunner::new(config)
        .run(&pieces, |pieces| {
            check(&pieces);
            Ok(())
        })
        .unwrap();
}

/// Every message of up to seven of the octets that mean something, which is where a fault of the automaton would be.
#[test]
fn all_short_messages() {
    const OCTETS: &[u8; 4] = b"\r\n.a";
    for length in 0..=7u32 {
        for number in 0..4usize.pow(length) {
            let message: Vec<u8> = (0..length).map(|place| OCTETS[number >> (2 * place) & 3]).collect();
            check(std::slice::from_ref(&message));
            check(&message.chunks(1).map(<[u8]>::to_vec).collect::<Vec<_>>());
        }
    }
}

/// The receivers would see an end that came too early.
#[test]
fn what_a_receiver_would_see() {
    for (wire, line_ends, end) in [
        (&b"a\r\n.\r\nb"[..], RECEIVERS[0].1, Some(6)),
        (b"a\n.\r\nb", RECEIVERS[0].1, None),
        (b"a\n.\r\nb", RECEIVERS[1].1, Some(5)),
        (b"a\n.\nb", RECEIVERS[1].1, Some(4)),
        (b"a\r.\rb", RECEIVERS[2].1, Some(4)),
        (b"a\r\n..\r\n", RECEIVERS[3].1, None),
    ] {
        assert_eq!(end_of_data(wire, line_ends), end, "{wire:?}");
    }
}
