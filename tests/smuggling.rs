//! No message can end its own DATA or begin a command: whatever octets it holds, a receiver sees the end of the data where we
//! put it, whether it takes CRLF, a bare LF or a bare CR for the end of a line.

use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};
use qmail_auth::smtp::data::{DotStuffer, Measuring, PartialFinalLine};

/// What a receiver takes for the end of a line.
type LineEnds = &'static [&'static [u8]];

const RECEIVERS: [(&str, LineEnds); 4] = [
    ("strict", &[b"\r\n"]),
    ("bare LF", &[b"\r\n", b"\n"]),
    ("bare CR", &[b"\r\n", b"\r"]),
    ("either", &[b"\r\n", b"\n", b"\r"]),
];

/// The place behind the first line that is a dot alone, for such a receiver.
fn end_of_data(wire: &[u8], line_ends: LineEnds) -> Option<usize> {
    let (mut start, mut at) = (0, 0);
    while at < wire.len() {
        match line_ends.iter().find(|end| wire[at..].starts_with(end)) {
            None => at += 1,
            Some(end) => {
                let line = &wire[start..at];
                at += end.len();
                if line == b"." {
                    return Some(at);
                }
                start = at;
            }
        }
    }
    None
}

/// What a strict receiver makes of it: the lines, their first dot off where there is more.
fn received(wire: &[u8]) -> Vec<u8> {
    let mut message = Vec::new();
    for line in wire.split_inclusive(|c| *c == b'\n') {
        if line != b".\r\n" {
            message.extend_from_slice(line.strip_prefix(b".").unwrap_or(line));
        }
    }
    message
}

/// The message as it must arrive: CRLF for each CRLF, LF and CR.
fn normal(message: &[u8]) -> Vec<u8> {
    let mut normal = Vec::new();
    let mut octets = message.iter().peekable();
    while let Some(&octet) = octets.next() {
        match octet {
            b'\r' => {
                octets.next_if(|next| **next == b'\n');
                normal.extend_from_slice(b"\r\n");
            }
            b'\n' => normal.extend_from_slice(b"\r\n"),
            octet => normal.push(octet),
        }
    }
    normal
}

fn check(pieces: &[Vec<u8>]) -> Result<(), TestCaseError> {
    let (mut stuffer, mut measuring, mut wire) = (DotStuffer::default(), Measuring::default(), Vec::new());
    for piece in pieces {
        stuffer.push(piece, &mut wire);
        measuring.push(piece);
    }
    let finished = stuffer.finish(&mut wire);
    let message = pieces.concat();
    let partial = message.last().is_some_and(|last| !b"\r\n".contains(last));
    prop_assert_eq!(finished, if partial { Err(PartialFinalLine) } else { Ok(()) });
    let end = (!partial).then_some(wire.len());
    for (receiver, line_ends) in RECEIVERS {
        prop_assert_eq!(end_of_data(&wire, line_ends), end, "{}: {:?}", receiver, wire);
    }
    prop_assert_eq!(received(&wire), normal(&message));
    let measure = measuring.finish();
    prop_assert_eq!(measure.size, normal(&message).len() as u64);
    prop_assert_eq!(measure.is_8bit, !message.is_ascii());
    Ok(())
}

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
    TestRunner::new(config).run(&pieces, |pieces| check(&pieces)).unwrap();
}

/// Every message of up to seven of the octets that mean something, which is where a fault of the automaton would be.
#[test]
fn all_short_messages() {
    const OCTETS: &[u8; 4] = b"\r\n.a";
    for length in 0..=7u32 {
        for number in 0..4usize.pow(length) {
            let message: Vec<u8> = (0..length).map(|place| OCTETS[number >> (2 * place) & 3]).collect();
            check(&[message.clone()]).unwrap();
            check(&message.chunks(1).map(<[u8]>::to_vec).collect::<Vec<_>>()).unwrap();
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
