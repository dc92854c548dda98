//! The message on the wire (RFC 5321 sections 2.3.8 and 4.5.2): line ends, dots and bare CR, in one automaton.
//!
//! A receiver may take CRLF, LF or CR for a line's end. So none of them may leave here but as CRLF, and a dot is doubled
//! after each: then no receiver sees the end of the data before ours, whatever the message holds.

const FINAL_DOT: &[u8] = b".\r\n";

/// Turns a message with Unix line ends into the octets to send, in pieces of any size.
#[derive(Default)]
pub struct DotStuffer {
    state: State,
    /// Dots that were doubled.
    dots: u64,
}

#[derive(Default, Clone, Copy, PartialEq, Eq)]
enum State {
    #[default]
    LineStart,
    InLine,
    /// A CR was read. It is a line's end, with the LF that may follow.
    AfterCr,
}

/// The last line of the message has no end, which qmail refuses to make up.
#[derive(Debug, PartialEq, Eq)]
pub struct PartialFinalLine;

impl DotStuffer {
    /// Adds the next piece of the message to `out`.
    pub fn push(&mut self, mut piece: &[u8], out: &mut Vec<u8>) {
        while let Some(&first) = piece.first() {
            if self.state == State::AfterCr {
                out.extend_from_slice(b"\r\n");
                self.state = State::LineStart;
                if first == b'\n' {
                    piece = &piece[1..];
                    continue;
                }
            }
            if self.state == State::LineStart && first == b'.' {
                out.push(b'.');
                self.dots += 1;
            }
            let end = memchr::memchr2(b'\r', b'\n', piece).unwrap_or(piece.len());
            out.extend_from_slice(&piece[..end]);
            self.state = match piece.get(end) {
                None => State::InLine,
                Some(b'\r') => State::AfterCr,
                Some(_) => {
                    out.extend_from_slice(b"\r\n");
                    State::LineStart
                }
            };
            piece = piece.get(end + 1..).unwrap_or_default();
        }
    }

    /// Ends the message: adds the final dot to `out`, or nothing when the last line has no end.
    pub fn finish(&mut self, out: &mut Vec<u8>) -> Result<(), PartialFinalLine> {
        match self.state {
            State::InLine => return Err(PartialFinalLine),
            State::AfterCr => out.extend_from_slice(b"\r\n"),
            State::LineStart => {}
        }
        out.extend_from_slice(FINAL_DOT);
        Ok(())
    }
}

/// What MAIL can say of a message before it is sent.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub struct Measure {
    /// Its octets on the wire, without the dots that are doubled and the final one (RFC 1870 section 6.1).
    pub size: u64,
    /// It has octets above 127.
    pub is_8bit: bool,
}

/// Measures a message, by sending it nowhere.
#[derive(Default)]
pub struct Measuring {
    stuffer: DotStuffer,
    measure: Measure,
    room: Vec<u8>,
}

impl Measuring {
    /// Takes the next piece of the message.
    pub fn push(&mut self, piece: &[u8]) {
        self.stuffer.push(piece, &mut self.room);
        self.measure.size += self.room.len() as u64;
        self.room.clear();
        self.measure.is_8bit |= !piece.is_ascii();
    }

    /// The message is at its end.
    pub fn finish(mut self) -> Measure {
        if self.stuffer.finish(&mut self.room).is_ok() {
            self.measure.size += self.room.len() as u64 - FINAL_DOT.len() as u64;
        }
        self.measure.size -= self.stuffer.dots;
        self.measure
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wire(pieces: &[&[u8]]) -> Result<Vec<u8>, PartialFinalLine> {
        let (mut stuffer, mut out) = (DotStuffer::default(), Vec::new());
        pieces.iter().for_each(|piece| stuffer.push(piece, &mut out));
        stuffer.finish(&mut out).map(|()| out)
    }

    #[test]
    fn lines_dots_and_bare_cr() {
        for (message, expected) in [
            (&b""[..], &b".\r\n"[..]),
            (b"a\n", b"a\r\n.\r\n"),
            (b".\n..\n.x\na.\n", b"..\r\n...\r\n..x\r\na.\r\n.\r\n"),
            (b"\n.\n\n", b"\r\n..\r\n\r\n.\r\n"),
            (b"a\r\n.\r\n", b"a\r\n..\r\n.\r\n"),
            (b"a\r.\rb\n", b"a\r\n..\r\nb\r\n.\r\n"),
            (b"a\r\r\n.\n", b"a\r\n\r\n..\r\n.\r\n"),
            (b"a\r", b"a\r\n.\r\n"),
            (b"\r.\r", b"\r\n..\r\n.\r\n"),
            (b"\xff\0\n", b"\xff\0\r\n.\r\n"),
        ] {
            assert_eq!(wire(&[message]).unwrap(), expected, "{message:?}");
            for cut in 0..=message.len() {
                assert_eq!(wire(&[&message[..cut], &message[cut..]]).unwrap(), expected, "{message:?} cut at {cut}");
            }
        }
    }

    #[test]
    fn measures() {
        for (message, size, is_8bit) in [
            (&b""[..], 0, false),
            (b"a\n", 3, false),
            (b".\n..\n", 7, false),
            (b"a\r.\r\n\xff", 7, true),
            (b"a\r", 3, false),
            (b"partial", 7, false),
        ] {
            let mut measuring = Measuring::default();
            message.chunks(2).for_each(|piece| measuring.push(piece));
            assert_eq!(measuring.finish(), Measure { size, is_8bit }, "{message:?}");
        }
    }

    #[test]
    fn a_partial_final_line_gets_no_dot() {
        assert_eq!(wire(&[b"a\nb"]), Err(PartialFinalLine));
        assert_eq!(wire(&[b"."]), Err(PartialFinalLine));
    }
}
