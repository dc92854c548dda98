//! SMTP replies (RFC 5321 section 4.2): a reader that takes octets as they come from the network, and functions on whole replies.
//!
//! The functions take a reply in wire form, or as a classic qmail-remote.c keeps it: CR removed, perhaps cut in the middle of a
//! line.

use crate::texts;
use alloc::vec::Vec;
use core::error::Error;

/// The limit of a reply, in octets with its line ends. RFC 5321 has no limit for a whole reply.
pub const REPLY_OCTETS: usize = 64 * 1024;
/// The limit of a reply, in lines.
pub const REPLY_LINES: usize = 512;

/// A whole reply, as [`ReplyReader`] returns it.
#[derive(Debug, PartialEq, Eq)]
pub struct Reply {
    /// The reply code, 100 to 599.
    pub code: u16,
    /// All lines with their codes, without CR, each with its LF: what qmail keeps and shows. Empty lines are left out.
    pub text: Vec<u8>,
}

impl Reply {
    /// The first digit of the code.
    pub fn class(&self) -> u16 {
        self.code / 100
    }

    /// Whether a line has this enhanced status code (RFC 3463). One that ends in a dot is a prefix: `5.7.30`, `5.1.`.
    pub fn has_status(&self, status: &str) -> bool {
        let texts = self.text.split(|c| *c == b'\n').filter_map(|line| line.get(4..));
        let mut behind = texts.filter_map(|text| text.trim_ascii_start().strip_prefix(status.as_bytes()));
        behind.any(|rest| status.ends_with('.') || !rest.first().is_some_and(u8::is_ascii_digit))
    }

    /// The [`last_text`] of this reply.
    pub fn last_text(&self) -> &[u8] {
        last_text(&self.text)
    }
}

/// The text of a reply's last line, after the code and the blank. Empty if there is none: some servers send `334` alone.
pub fn last_text(reply: &[u8]) -> &[u8] {
    let last = reply.rsplit(|c| *c == b'\n').find(|line| !is_empty(line)).unwrap_or_default();
    last.get(4..).unwrap_or_default()
}

/// Some servers send empty lines between the others.
fn is_empty(line: &[u8]) -> bool {
    line.iter().all(|c| *c == b'\r')
}

/// Whether a reply is incomplete: it has no LF at its end, or its last line says that others follow (`250-`).
pub fn is_cut(reply: &[u8]) -> bool {
    let last = reply.split_inclusive(|c| *c == b'\n').next_back().unwrap_or_default();
    last.last() != Some(&b'\n') || last.get(3) == Some(&b'-')
}

/// The keywords of a reply to EHLO (RFC 5321 section 4.1.1.1), each with its parameters. These begin with the blank or the `=` that
/// ends the keyword, or are empty. A reply with another code than 250 has no keywords.
///
/// The first line is the greeting and has no keyword, unless it is the only line: one server answers just `250 AUTH LOGIN`. If the
/// reply is cut within a line, the last word of that line is left out, since it may be the beginning of a longer one.
pub fn keywords(reply: &[u8]) -> impl Iterator<Item = (&[u8], &[u8])> {
    let is_whole = reply.len() <= REPLY_OCTETS;
    let mut rest = &reply[..reply.len().min(REPLY_OCTETS)];
    let mut lines = 0;
    core::iter::from_fn(move || {
        while !rest.is_empty() && lines < REPLY_LINES {
            let end = rest.iter().position(|c| *c == b'\n');
            let (line, behind) = rest.split_at(end.unwrap_or(rest.len()));
            let line = line.trim_ascii_end();
            let is_last = line.get(3) != Some(&b'-');
            let is_250 = line.starts_with(b"250") && line.get(3).is_none_or(|c| b"- \t".contains(c));
            // Anything after the last line is a stray reply, and a line without 250 does not belong to an EHLO reply.
            rest = if is_last || !is_250 { &[] } else { behind.get(1..).unwrap_or_default() };
            lines += 1;
            if !is_250 || lines == 1 && !is_last {
                continue;
            }
            let text = line.get(4..).unwrap_or_default();
            let (keyword, parameters) =
                text.split_at(text.iter().position(|c| b" \t=".contains(c)).unwrap_or(text.len()));
            // A caller may keep the reply without its last line end. If the end of another line is missing, the line was cut.
            if end.is_some() || is_last && is_whole {
                return Some((keyword, parameters));
            }
            let last_word = parameters.iter().rposition(|c| b" \t".contains(c)).unwrap_or_default();
            return (!parameters.is_empty()).then(|| (keyword, &parameters[..last_word]));
        }
        None
    })
}

texts! {
    /// Why octets are not a reply. Malformed: a line has no code, or its code differs from that of the first line. Too long: there
    /// are more than 64 KiB or 512 lines.
    #[derive(Debug, PartialEq, Eq)]
    pub enum ReplyError {
        Malformed => "it sent what is no SMTP reply",
        TooLong => "it sent a reply without end",
    }
}

impl Error for ReplyError {}

/// Reads replies, one after the other. It takes what real servers send: lines that end in LF alone or in several CRs and LF, and
/// empty lines in between.
#[derive(Default)]
pub struct ReplyReader {
    text: Vec<u8>,
    line_start: usize,
    lines: usize,
    octets: usize,
    /// The code of the first line. All other lines must have the same (RFC 5321 section 4.2.1).
    code: Option<u16>,
}

impl ReplyReader {
    /// Whether no octet of the next reply has been read yet.
    pub fn is_empty(&self) -> bool {
        self.octets == 0
    }

    /// The text read so far: the beginning of a reply, or of what turned out not to be one.
    pub fn text(&self) -> &[u8] {
        &self.text
    }

    /// Takes octets from the front of `input`, up to the end of one reply. None: the input is used up and the reply is not
    /// complete. After an error the reader must not be used any more, except for [`ReplyReader::text`].
    pub fn read(&mut self, input: &mut &[u8]) -> Option<Result<Reply, ReplyError>> {
        while let Some((&octet, rest)) = input.split_first() {
            *input = rest;
            self.octets += 1;
            if self.octets > REPLY_OCTETS {
                return Some(Err(ReplyError::TooLong));
            }
            match octet {
                b'\r' => {}
                b'\n' => {
                    if let Some(end) = self.end_of_line() {
                        return Some(end);
                    }
                }
                _ => self.text.push(octet),
            }
        }
        None
    }

    /// Returns the reply if this was the end of its last line.
    fn end_of_line(&mut self) -> Option<Result<Reply, ReplyError>> {
        let line = &self.text[self.line_start..];
        if line.is_empty() {
            return None;
        }
        let Some(code) = code(line) else { return Some(Err(ReplyError::Malformed)) };
        let more = line.get(3) == Some(&b'-');
        self.text.push(b'\n');
        self.line_start = self.text.len();
        self.lines += 1;
        if *self.code.get_or_insert(code) != code {
            return Some(Err(ReplyError::Malformed));
        }
        if !more {
            return Some(Ok(Reply { code, text: core::mem::take(self).text }));
        }
        (self.lines >= REPLY_LINES).then_some(Err(ReplyError::TooLong))
    }
}

/// The code of a whole reply: the one that all its lines have, a cut last line apart. None: this is not a reply.
pub fn code_of(reply: &[u8]) -> Option<u16> {
    let first = code(reply.split(|c| *c == b'\n').find(|line| !is_empty(line))?.trim_ascii_end())?;
    let mut others =
        reply.split_inclusive(|c| *c == b'\n').filter(|line| line.ends_with(b"\n")).map(<[u8]>::trim_ascii_end);
    others.all(|line| line.is_empty() || code(line) == Some(first)).then_some(first)
}

/// The code of a line: three digits, then a blank, a tab, a hyphen or the end of the line. None: it has none.
fn code(line: &[u8]) -> Option<u16> {
    let (digits, rest) = line.split_first_chunk::<3>()?;
    let legal = (b'1'..=b'5').contains(&digits[0]) && digits.iter().all(u8::is_ascii_digit);
    let ends = rest.first().is_none_or(|c| b" -\t".contains(c));
    (legal && ends).then(|| digits.iter().fold(0, |code, digit| code * 10 + u16::from(digit - b'0')))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(octets: &[u8]) -> Option<Result<Reply, ReplyError>> {
        ReplyReader::default().read(&mut { octets })
    }

    #[test]
    fn forms_that_servers_send() {
        for (octets, code, last) in [
            (&b"220 host ESMTP\r\n"[..], 220, &b"host ESMTP"[..]),
            (b"220-first\r\n220-\r\n220 last\r\n", 220, b"last"),
            (b"250-a\n250 b\n", 250, b"b"),
            (b"250-a\r\r\n250 b\r\r\n", 250, b"b"),
            (b"334\r\n", 334, b""),
            (b"334 \r\n", 334, b""),
            (b"250\tok\n", 250, b"ok"),
            (b"\r\n250-a\r\n\r\n\n250 b\n", 250, b"b"),
        ] {
            let reply = read(octets).unwrap().unwrap();
            assert_eq!((reply.code, reply.last_text()), (code, last), "{octets:?}");
            for cut in 0..octets.len() {
                let mut reader = ReplyReader::default();
                assert_eq!(reader.read(&mut &octets[..cut]), None);
                assert_eq!(reader.read(&mut &octets[cut..]).unwrap().unwrap(), reply);
            }
        }
    }

    #[test]
    fn the_code_of_a_reply_as_a_c_program_keeps_it() {
        for (reply, code) in [
            (&b"235 ok\n"[..], Some(235)),
            (b"334-a\r\n334\r\n", Some(334)),
            (b"535-cut\n53", Some(535)),
            (b"334", Some(334)),
            (b"235-a\n535 b\n", None),
            (b"23", None),
            (b"", None),
            (b"\n", None),
        ] {
            assert_eq!(code_of(reply), code, "{reply:?}");
        }
    }

    #[test]
    fn what_is_not_a_reply() {
        for octets in
            [&b" \r\n"[..], b"25\r\n", b"2x0 ok\r\n", b"2500 ok\r\n", b"650 ok\r\n", b"250-a\r\n251 b\r\n", b"hello\n"]
        {
            assert_eq!(read(octets), Some(Err(ReplyError::Malformed)), "{octets:?}");
        }
        assert_eq!(read(&b"250-x\r\n".repeat(REPLY_LINES)), Some(Err(ReplyError::TooLong)));
        assert_eq!(read(&b"\r".repeat(REPLY_OCTETS + 1)), Some(Err(ReplyError::TooLong)));
    }

    #[test]
    fn keywords_and_parameters() {
        let read = |reply: &[u8]| {
            let words = keywords(reply).map(|(keyword, parameters)| [keyword, b"|", parameters].concat());
            String::from_utf8(words.collect::<Vec<_>>().join(&b","[..])).unwrap()
        };
        for (reply, expected) in [
            ("250-host\r\n250-PIPELINING\r\n250 SIZE 5000 \r\n", "PIPELINING|,SIZE| 5000"),
            ("250-host\n250-AUTH=LOGIN PLAIN\n250 ok\n", "AUTH|=LOGIN PLAIN,ok|"),
            ("250 AUTH LOGIN\r\n", "AUTH| LOGIN"),
            ("250 host\r\n250 stray\r\n", "host|"),
            ("250\r\n", "|"),
            ("250-host\r\n", ""),
            ("250-host\r\n250-\r\n250\tX\r\n", "|,X|"),
            ("250-host\n251-A\n250 B\n", ""),
            ("550 AUTH LOGIN\n", ""),
            ("2500 AUTH LOGIN\n", ""),
            ("", ""),
            ("250-host\n250-STARTT", ""),
            ("250-host\n250-AUTH LOGIN PLA", "AUTH| LOGIN"),
            ("250-host\n250-AUTH=LOG", "AUTH|"),
            ("250-host\n250 AUTH LOGIN", "AUTH| LOGIN"), // not cut: only the line end is missing
        ] {
            assert_eq!(read(reply.as_bytes()), expected, "{reply:?}");
        }
        let long = "250-host\n".to_owned() + &"250-X\n".repeat(REPLY_LINES) + "250 Y\n";
        assert_eq!(keywords(long.as_bytes()).count(), REPLY_LINES - 1);
        let long = "250-host\n250 A B".to_owned() + &"C".repeat(REPLY_OCTETS) + "\n";
        assert_eq!(read(long.as_bytes()), "A|");
    }

    #[test]
    fn what_follows_stays() {
        let mut input = &b"354 go\r\n250 early\r\n"[..];
        assert_eq!(ReplyReader::default().read(&mut input).unwrap().unwrap().code, 354);
        assert_eq!(input, b"250 early\r\n");
    }

    #[test]
    fn empty_lines_around_a_reply() {
        for reply in [&b"334 PDEy\r\n"[..], b"\r\n334 PDEy\r\n", b"334-a\n\n334 PDEy\n\n", b"334 PDEy\r\n\r\n"] {
            assert_eq!((code_of(reply), last_text(reply).trim_ascii_end()), (Some(334), &b"PDEy"[..]), "{reply:?}");
        }
        assert_eq!((code_of(b"\r\n\n"), last_text(b"\r\n\n")), (None, &b""[..]));
    }
}
