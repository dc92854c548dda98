//! A server's words as they are compared with secrets: what a relay may put between the characters of what it repeats is left
//! out, letter case is gone, and each octet knows its place in the text.

use std::ops::Range;

/// What counts of a text.
pub struct Reading<'a> {
    text: &'a [u8],
    is_unescaped: bool,
    /// In lower case.
    octets: Vec<u8>,
    /// Where each stands.
    places: Vec<u32>,
}

impl Reading<'_> {
    /// Reads the text as it stands, or each octet that is written [by its digits](escaped) as that octet. Its places are `u32`,
    /// which for 64 KiB is a quarter of a MiB less.
    pub fn of(text: &[u8], is_unescaped: bool) -> Reading<'_> {
        let mut reading = Reading { text, is_unescaped, octets: Vec::new(), places: Vec::new() };
        reading.octets.reserve(text.len());
        reading.places.reserve(text.len());
        let mut start = 0;
        for line in text.split_inclusive(|c| *c == b'\n') {
            let code = line.len() > 3 && line[..3].iter().all(u8::is_ascii_digit) && b"- \t".contains(&line[3]);
            let mut place = start + if code { 4 } else { 0 };
            start += line.len();
            while place < start {
                let (octet, width) = reading.read(place);
                if counts(&octet) {
                    reading.octets.push(fold(&octet));
                    reading.places.push(place as u32);
                }
                place += width;
            }
        }
        reading
    }

    /// An octet, and how much of the text it takes.
    fn read(&self, place: usize) -> (u8, usize) {
        match escaped(&self.text[place..]) {
            Some(octet) if self.is_unescaped => (octet, 3),
            _ => (self.text[place], 1),
        }
    }

    /// What counts.
    pub fn octets(&self) -> &[u8] {
        &self.octets
    }

    /// Where so many of its octets stand in the text, with what is between them.
    pub fn place(&self, octets: Range<usize>) -> Range<usize> {
        let last = self.places[octets.end - 1] as usize;
        self.places[octets.start] as usize..last + self.read(last).1
    }

    /// Marks so many octets of its end, and all behind them.
    pub fn mark_end(&self, octets: usize, secret: &mut [bool]) {
        let first = self.places.get(self.places.len().saturating_sub(octets));
        secret[first.map_or(self.text.len(), |place| *place as usize)..].fill(true);
    }

    /// Marks each place of a word that is not empty, also where the next one overlaps it.
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

/// A relay may fold what it repeats, and the names in a certificate are shown with backslashes (RFC 4514 section 2.4). So neither
/// those nor blanks and control characters count, here and there.
pub fn counts(octet: &u8) -> bool {
    *octet > b' ' && !b"\\\x7f".contains(octet)
}

/// Many servers show what is not ASCII as `?`.
pub fn fold(octet: &u8) -> u8 {
    if octet.is_ascii() { octet.to_ascii_lowercase() } else { b'?' }
}

/// The octet that the text begins with, where it is written as in a URL (RFC 3986 section 2.1), quoted-printable (RFC 2045
/// section 6.7), an xtext of SMTP (RFC 3461 section 4) or the name of a certificate.
pub fn escaped(text: &[u8]) -> Option<u8> {
    let [b'%' | b'=' | b'+' | b'\\', high, low, ..] = text else { return None };
    let digit = |c: &u8| char::from(*c).to_digit(16);
    Some((digit(high)? << 4 | digit(low)?) as u8)
}
