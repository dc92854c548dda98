//! The message on the wire (RFC 5321 sections 2.3.8 and 4.5.2): line ends, dots and bare CR, in one automaton.
//!
//! A receiver may take CRLF, LF or CR for a line's end. So none of them may leave here but as CRLF, and a dot is doubled
//! after each: then no receiver sees the end of the data before ours, whatever the message holds.

/// Turns a message with Unix line ends into the octets to send, in pieces of any size.
#[derive(Default)]
pub struct DotStuffer {
    state: State,
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
            State::AfterCr => out.extend_from_slice(b"\r\n.\r\n"),
            State::LineStart => out.extend_from_slice(b".\r\n"),
        }
        Ok(())
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
    fn a_partial_final_line_gets_no_dot() {
        assert_eq!(wire(&[b"a\nb"]), Err(PartialFinalLine));
        assert_eq!(wire(&[b"."]), Err(PartialFinalLine));
    }
}
