//! A reply in the form in which it is compared with secrets. Whatever a relay may insert when it repeats a secret is left out,
//! letter case is removed, and the place of each octet in the text is kept.

use crate::secret::Secret;
use alloc::vec::Vec;
use core::ops::Range;

/// The significant octets of a text.
pub struct Reading<'a> {
    text: &'a [u8],
    is_unescaped: bool,
    /// The significant octets, in lower case.
    octets: Vec<u8>,
    /// The index of each of them in `text`.
    places: Vec<u32>,
}

impl Reading<'_> {
    /// Reads a text. `is_unescaped`: an octet that is written [by its digits](escaped) is read as that octet. `has_statuses`: lines
    /// begin with [an enhanced status](status), which is left out. The indices are `u32` to save memory: 256 KiB for a reply of 64 KiB.
    pub fn of(text: &[u8], is_unescaped: bool, has_statuses: bool) -> Reading<'_> {
        let mut reading = Reading { text, is_unescaped, octets: Vec::new(), places: Vec::new() };
        reading.octets.reserve(text.len());
        reading.places.reserve(text.len());
        let mut start = 0;
        for line in text.split_inclusive(|c| *c == b'\n') {
            let code = code(line);
            let mut place = start + code + if has_statuses { status(&line[code..]) } else { 0 };
            start += line.len();
            while place < start {
                let (octet, width) = reading.read(place);
                if is_significant(&octet) {
                    reading.octets.push(fold(&octet));
                    reading.places.push(place as u32);
                }
                place += width;
            }
        }
        reading
    }

    /// The octet at this index, and how many octets of the text it takes.
    fn read(&self, place: usize) -> (u8, usize) {
        match escaped(&self.text[place..]) {
            Some(octet) if self.is_unescaped => (octet, 3),
            _ => (self.text[place], 1),
        }
    }

    /// The significant octets, in lower case.
    pub fn octets(&self) -> &[u8] {
        &self.octets
    }

    /// The range of the text that these significant octets take, with everything between them.
    pub fn place(&self, octets: Range<usize>) -> Range<usize> {
        let last = self.places[octets.end - 1] as usize;
        self.places[octets.start] as usize..last + self.read(last).1
    }

    /// Marks the last significant octets, this many, and everything from the first of them on.
    pub fn mark_end(&self, octets: usize, secret: &mut [bool]) {
        let first = self.places.get(self.places.len().saturating_sub(octets));
        secret[first.map_or(self.text.len(), |place| *place as usize)..].fill(true);
    }

    /// Marks each occurrence of a secret that stands whole. Returns how many of its octets are significant, or more if these are more
    /// than the text has: to count them all would cost too much, as a token is long.
    pub fn mark_word(&self, octets: &[u8], secret: &mut [bool]) -> usize {
        let mut word = Secret::with_room(octets.len().min(self.octets.len() + 1));
        for octet in octets.iter().filter(|octet| is_significant(octet)) {
            word.add(&[fold(octet)]);
            if word.len() > self.octets.len() {
                return word.len();
            }
        }
        if !word.is_empty() {
            self.mark_all(&word, secret);
        }
        word.len()
    }

    /// Marks each occurrence of a word, overlapping ones included. The word must not be empty.
    pub fn mark_all(&self, word: &[u8], secret: &mut [bool]) {
        let mut marked = 0;
        for (start, octets) in self.octets.windows(word.len()).enumerate() {
            if octets[0] == word[0] && octets == word {
                let place = self.place(start..start + word.len());
                secret[place.start.max(marked)..place.end].fill(true);
                marked = place.end;
            }
        }
    }
}

/// The length of the reply code that a line begins with, and of the character behind it.
fn code(line: &[u8]) -> usize {
    let is_there = line.len() > 3 && line[..3].iter().all(u8::is_ascii_digit) && b"- \t".contains(&line[3]);
    if is_there { 4 } else { 0 }
}

/// The length of the enhanced status code that a text begins with (RFC 2034 section 4), such as `5.7.8`, with what some servers put
/// around it: ` (#5.7.8): `, and the reply code once more.
fn status(text: &[u8]) -> usize {
    let mut dots = 0;
    let is_part = |c: &&u8| {
        dots += usize::from(**c == b'.');
        c.is_ascii_digit() || b".(#[<:)]>-".contains(c) || dots == 0 && b" \t".contains(c)
    };
    let length = text.iter().take_while(is_part).count();
    if dots == 2 { length } else { 0 }
}

/// Whether a line behind the first begins with an enhanced status: a secret that is divided by lines is divided by that, too.
pub fn has_statuses(text: &[u8]) -> bool {
    text.split(|c| *c == b'\n').skip(1).any(|line| status(&line[code(line)..]) > 0)
}

/// Whether an octet is compared. Blanks and control characters are not, since a relay may fold what it repeats. Backslashes are
/// not, since they escape characters in the names of a certificate (RFC 4514 section 2.4). The same rule holds for text and secret.
pub fn is_significant(octet: &u8) -> bool {
    *octet > b' ' && !b"\\\x7f".contains(octet)
}

/// An octet in lower case. Non-ASCII octets become `?`, as many servers show them so.
pub fn fold(octet: &u8) -> u8 {
    if octet.is_ascii() { octet.to_ascii_lowercase() } else { b'?' }
}

/// The octet that the text begins with, if it is written by two hexadecimal digits: as in a URL (RFC 3986 section 2.1),
/// quoted-printable (RFC 2045 section 6.7), SMTP's xtext (RFC 3461 section 4) or a certificate's name (RFC 4514 section 2.4).
pub fn escaped(text: &[u8]) -> Option<u8> {
    let [b'%' | b'=' | b'+' | b'\\', high, low, ..] = text else { return None };
    let digit = |c: &u8| char::from(*c).to_digit(16);
    Some((digit(high)? << 4 | digit(low)?) as u8)
}
