//! Masking secrets in a server's words: whatever was sent in AUTH, and the password, becomes `<secret>`.
//!
//! Only fingerprints are kept, so that the secrets themselves can be cleared while later replies are still masked.
//! Letter case is ignored: a server may echo a line in capitals.

use crate::secret::Secret;
use std::hash::{DefaultHasher, Hasher};

/// A base64 string is recognised by any run of it that is this long, so that a server that cuts or folds what it
/// echoes is masked too. 8 characters of base64 do not occur in a server's own words by chance.
const RUN: usize = 8;

/// The fingerprints of what must not be shown.
#[derive(Default)]
pub struct Mask {
    fingerprints: Vec<(usize, u64)>,
}

impl Mask {
    /// The password: masked where it stands whole, and its hexadecimal digits.
    pub fn add_password(&mut self, password: &[u8]) {
        self.add_whole(password);
        let mut digits = Secret::with_room(2 * password.len());
        for octet in password {
            digits.extend([octet >> 4, octet & 0xf].map(|digit| b"0123456789abcdef"[usize::from(digit)]));
        }
        self.add_sent(&digits);
    }

    fn add_whole(&mut self, secret: &[u8]) {
        let secret: Vec<u8> = secret.iter().copied().filter(counts).collect();
        let secret = &*Secret::from(secret);
        self.fingerprints.push((secret.len(), fingerprint(secret)));
    }

    /// A base64 string that was sent, or may be known from before: masked whole or in pieces.
    pub fn add_sent(&mut self, base64: &[u8]) {
        if base64.len() < RUN {
            return self.add_whole(base64);
        }
        self.fingerprints.extend(base64.windows(RUN).map(|run| (RUN, fingerprint(run))));
    }

    /// A reply, or a part of one, with each secret replaced by `<secret>`, also where the reply's lines divide it.
    pub fn apply(&self, text: &[u8]) -> Vec<u8> {
        Mask::replaced(text, &self.secret_places(text))
    }

    /// The same for a text that was cut, wherever that was: as many octets of its end as may be the beginning of a secret
    /// become one.
    pub fn apply_cut(&self, text: &[u8]) -> Vec<u8> {
        let mut secret = self.secret_places(text);
        self.hide_end(text, &mut secret);
        Mask::replaced(text, &secret)
    }

    fn replaced(text: &[u8], secret: &[bool]) -> Vec<u8> {
        let mut out = Vec::with_capacity(text.len());
        for (i, &octet) in text.iter().enumerate() {
            if !secret[i] {
                out.push(octet);
            } else if i == 0 || !secret[i - 1] {
                out.extend_from_slice(b"<secret>");
            }
        }
        out
    }

    /// The same in place: each octet of a secret becomes `*`. Where the reply [is cut](is_cut), so does as much of its end as may
    /// be the beginning of a secret.
    pub fn blot(&self, text: &mut [u8]) {
        let mut secret = self.secret_places(text);
        if is_cut(text) {
            self.hide_end(text, &mut secret);
        }
        text.iter_mut().zip(secret).filter(|(_, secret)| *secret).for_each(|(octet, _)| *octet = b'*');
    }

    fn hide_end(&self, text: &[u8], secret: &mut [bool]) {
        let longest = self.fingerprints.iter().map(|(length, _)| *length).max().unwrap_or_default();
        let places = places_that_count(text);
        let first = places.get(places.len().saturating_sub(longest.saturating_sub(1)));
        secret[first.copied().unwrap_or(text.len())..].fill(true);
    }

    /// For each octet whether it is of a secret, or between its parts.
    fn secret_places(&self, text: &[u8]) -> Vec<bool> {
        let mut known = self.fingerprints.clone();
        known.sort_unstable();
        let places = places_that_count(text);
        let joined: Vec<u8> = places.iter().map(|place| text[*place]).collect();
        let mut secret = vec![false; text.len()];
        for of_one_length in known.chunk_by(|a, b| a.0 == b.0) {
            let length = of_one_length[0].0.max(1);
            for (start, run) in joined.windows(length).enumerate() {
                if of_one_length.binary_search(&(length, fingerprint(run))).is_ok() {
                    secret[places[start]..=places[start + length - 1]].fill(true);
                }
            }
        }
        secret
    }
}

/// The reply has no LF at its end, or a last line that others follow.
pub fn is_cut(reply: &[u8]) -> bool {
    let last = reply.split_inclusive(|c| *c == b'\n').next_back().unwrap_or_default();
    last.last() != Some(&b'\n') || last.get(3) == Some(&b'-')
}

/// As much of a line of a login as may be shown; what follows, unless the line is `*`, is a secret. It is told by its place
/// and not by the fingerprints: a password that is a word of ours must not show by its absence.
pub fn open_part(line: &[u8]) -> &[u8] {
    match line.strip_prefix(b"AUTH ") {
        Some(rest) => {
            &line[..rest.iter().position(|c| *c == b' ').map_or(line.len(), |blank| "AUTH ".len() + blank + 1)]
        }
        None if line == b"*" => line,
        None => &[],
    }
}

/// A relay may fold what it repeats, and the names in a certificate are shown with backslashes (RFC 4514 section 2.4). So neither
/// those nor blanks and control characters count, here and there.
fn counts(octet: &u8) -> bool {
    *octet > b' ' && !b"\\\x7f".contains(octet)
}

/// The places in a reply of what counts, without the code with its hyphen, blank or tab at a line's start.
fn places_that_count(text: &[u8]) -> Vec<usize> {
    let mut places = Vec::with_capacity(text.len());
    let mut start = 0;
    for line in text.split_inclusive(|c| *c == b'\n') {
        let code = line.len() > 3 && line[..3].iter().all(u8::is_ascii_digit) && b"- \t".contains(&line[3]);
        let of_line = start + if code { 4 } else { 0 }..start + line.len();
        places.extend(of_line.filter(|place| counts(&text[*place])));
        start += line.len();
    }
    places
}

fn fingerprint(octets: &[u8]) -> u64 {
    let mut hasher = DefaultHasher::new();
    octets.iter().for_each(|octet| hasher.write_u8(octet.to_ascii_lowercase()));
    hasher.finish()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_whole_cut_folded_and_in_capitals() {
        let mut mask = Mask::default();
        mask.add_password(b"s3cret pass");
        mask.add_password(b"back\\slash,+");
        mask.add_sent(b"AG15dXNlcgBzM2NyZXQgcGFzcw==");
        mask.add_sent(b"bWU=");
        let masked = |text: &str| String::from_utf8(mask.apply(text.as_bytes())).unwrap();
        assert_eq!(
            masked("535 no: AUTH PLAIN AG15dXNlcgBzM2NyZXQgcGFzcw== refused"),
            "535 no: AUTH PLAIN <secret> refused"
        );
        assert_eq!(masked("AUTH PLAIN AG15DXNLCGBZM2"), "AUTH PLAIN <secret>");
        assert_eq!(masked("535-AG15dXN\n535-lcgBzM2\n535 NyZXQ"), "535-<secret>");
        assert_eq!(masked("535-your s3cr\n535 et pass"), "535-your <secret>");
        assert_eq!(masked("password S3cret pass, user bWU="), "password <secret>, user <secret>");
        assert_eq!(masked("535-AG15dXN\r\n535 lcgBzM2\r\n"), "535-<secret>\r\n");
        assert_eq!(masked("back\\slash,+; CN=back\\\\slash\\,\\+,O=x"), "<secret>; CN=<secret>,O=x");
        assert_eq!(masked("535 s3 cr\0et\tp ass or 73336372\n65742070 in hex"), "535 <secret> or <secret> in hex");
        assert_eq!(masked("535 5.7.8 Error: authentication failed"), "535 5.7.8 Error: authentication failed");
        assert_eq!(masked(""), "");

        let mut text = *b"535-your s3cr\n535 et pass, bWU=\n";
        mask.blot(&mut text);
        assert_eq!(text, *b"535-your ****************, ****\n");
        for (cut, masked) in [
            (&b"535-no, it is not s3cret pas"[..], &b"535-no, it is no************"[..]),
            (b"535-no, it is not back\\slash,", b"535-no, it is not ***********"),
            (b"535-no, it is not s3cret pas\n", b"535-no, it is no*************"),
            (b"535 no, it is not s3cret pas\n", b"535 no, it is not s3cret pas\n"),
        ] {
            let mut text = cut.to_vec();
            mask.blot(&mut text);
            assert_eq!(text, masked);
        }
        mask.blot(&mut []);
    }
}
