//! Receivers of a message, strict and lax, and the property that must hold with each. A fuzz target checks it, too.

use qmail_remote::smtp::data::{DotStuffer, PartialFinalLine, Prescan};

/// What a receiver takes for the end of a line.
pub type LineEnds = &'static [&'static [u8]];

/// The kinds that there are.
pub const RECEIVERS: [(&str, LineEnds); 4] = [
    ("strict", &[b"\r\n"]),
    ("bare LF", &[b"\r\n", b"\n"]),
    ("bare CR", &[b"\r\n", b"\r"]),
    ("either", &[b"\r\n", b"\n", b"\r"]),
];

/// The place behind the first line that is a dot alone, for such a receiver.
pub fn end_of_data(wire: &[u8], line_ends: LineEnds) -> Option<usize> {
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

/// Panics where a receiver would see an end of the data but ours, or another message.
pub fn check(pieces: &[Vec<u8>]) {
    let (mut stuffer, mut measuring, mut wire) = (DotStuffer::default(), Prescan::default(), Vec::new());
    for piece in pieces {
        stuffer.push(piece, &mut wire);
        measuring.push(piece);
    }
    let finished = stuffer.finish(&mut wire);
    let message = pieces.concat();
    let partial = message.last().is_some_and(|last| !b"\r\n".contains(last));
    assert_eq!(finished, if partial { Err(PartialFinalLine) } else { Ok(()) });
    let end = (!partial).then_some(wire.len());
    for (receiver, line_ends) in RECEIVERS {
        assert_eq!(end_of_data(&wire, line_ends), end, "{}: {:?}", receiver, wire);
    }
    assert_eq!(received(&wire), normal(&message));
    let measure = measuring.finish();
    assert_eq!(measure.size, normal(&message).len() as u64);
    assert_eq!(measure.is_8bit, !message.is_ascii());
}
