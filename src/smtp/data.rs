//! The message on the wire (RFC 5321 sections 2.3.8 and 4.5.2): line ends, dots and bare CR, in one automaton.
//!
//! A receiver may take CRLF, LF or CR for a line end. So each of them is sent as CRLF, and a dot after any of them is doubled: then
//! no receiver sees the end of the data before ours, whatever the message holds (SMTP smuggling).

const FINAL_DOT: &[u8] = b".\r\n";

/// Turns a message with Unix line ends into the octets to send, in pieces of any size.
#[derive(Default)]
pub struct DotStuffer {
    state: State,
    /// Of what was added to `out` so far.
    facts: MessageFacts,
}

#[derive(Default, Clone, Copy, PartialEq, Eq)]
enum State {
    #[default]
    LineStart,
    InLine,
    /// A CR was read. It is a line end, together with an LF that may follow.
    AfterCr,
}

/// The last line of the message has no line end. qmail does not add one.
#[derive(Debug, PartialEq, Eq)]
pub struct PartialFinalLine;

impl DotStuffer {
    /// Adds the next piece of the message to `out`.
    pub fn push(&mut self, mut piece: &[u8], out: &mut Vec<u8>) {
        self.facts.is_8bit |= !piece.is_ascii();
        let before = out.len();
        let mut dots = 0;
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
                dots += 1;
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
        self.facts.size += (out.len() - before - dots) as u64;
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

    /// What [`Prescan`] finds in the same message.
    pub fn facts(&self) -> MessageFacts {
        let unfinished = if self.state == State::AfterCr { 2 } else { 0 };
        MessageFacts { size: self.facts.size + unfinished, ..self.facts }
    }
}

/// What MAIL can say of a message before it is sent.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub struct MessageFacts {
    /// Its octets on the wire, without the dots that are doubled and the final one (RFC 1870 section 6.1).
    pub size: u64,
    /// It has octets above 127.
    pub is_8bit: bool,
}

/// Measures a message that [`DotStuffer`] is going to send. It only counts: each CR and each LF becomes two octets, but those of a
/// CRLF are the two.
#[derive(Default)]
pub struct Prescan {
    facts: MessageFacts,
    after_cr: bool,
}

impl Prescan {
    /// Takes the next piece of the message.
    pub fn push(&mut self, piece: &[u8]) {
        let crs = memchr::memchr_iter(b'\r', piece).count();
        let lfs = memchr::memchr_iter(b'\n', piece).count();
        let within = if crs == 0 { 0 } else { memchr::memmem::find_iter(piece, b"\r\n").count() };
        let crlfs = within + usize::from(self.after_cr && piece.first() == Some(&b'\n'));
        self.facts.size += (piece.len() + crs + lfs) as u64;
        self.facts.size -= 2 * crlfs as u64;
        self.facts.is_8bit |= !piece.is_ascii();
        self.after_cr = piece.last().map_or(self.after_cr, |last| *last == b'\r');
    }

    /// The message is at its end.
    pub fn finish(self) -> MessageFacts {
        self.facts
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

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
    fn prescans() {
        for (message, size, is_8bit) in [
            (&b""[..], 0, false),
            (b"a\n", 3, false),
            (b".\n..\n", 7, false),
            (b"a\r.\r\n\xff", 7, true),
            (b"a\r", 3, false),
            (b"partial", 7, false),
        ] {
            let mut prescan = Prescan::default();
            message.chunks(2).for_each(|piece| prescan.push(piece));
            assert_eq!(prescan.finish(), MessageFacts { size, is_8bit }, "{message:?}");
        }
    }

    proptest! {
        /// What is sent, but for the doubled dots and the final one.
        #[test]
        fn as_it_is_sent(message in prop::collection::vec(prop::sample::select(&b"\r\n.a\xff"[..]), 0..40), cut: prop::sample::Index) {
            let cut = cut.index(message.len() + 1);
            let (mut stuffer, mut prescan, mut out) = (DotStuffer::default(), Prescan::default(), Vec::new());
            let mut dotted = DotStuffer::default();
            let without_dots: Vec<u8> = message.iter().map(|&octet| if octet == b'.' { b'a' } else { octet }).collect();
            for range in [0..cut, cut..message.len()] {
                stuffer.push(&without_dots[range.clone()], &mut out);
                dotted.push(&message[range.clone()], &mut Vec::new());
                prescan.push(&message[range]);
            }
            prop_assert_eq!(dotted.facts(), stuffer.facts());
            if stuffer.finish(&mut out).is_ok() {
                out.truncate(out.len() - FINAL_DOT.len());
            }
            let expected = MessageFacts { size: out.len() as u64, is_8bit: message.contains(&0xff) };
            prop_assert_eq!((prescan.finish(), dotted.facts()), (expected, expected));
        }
    }

    #[test]
    fn a_partial_final_line_gets_no_dot() {
        assert_eq!(wire(&[b"a\nb"]), Err(PartialFinalLine));
        assert_eq!(wire(&[b"."]), Err(PartialFinalLine));
    }
}
