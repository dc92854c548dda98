//! Masks secrets in a server's replies: the password, and whatever was sent during AUTH, is replaced by `<secret>`.
//!
//! The mask keeps the secrets themselves and clears them when dropped. Fingerprints of short runs would not hide them: each run can
//! be guessed by itself. Letter case is ignored, since a server may echo a line in capitals.

mod reading;
mod runs;

use crate::mechanisms::plain;
use crate::reply::is_cut;
use crate::secret::{self, Secret};
use alloc::vec;
use alloc::vec::Vec;
use core::iter;
use reading::{Reading, escaped, has_statuses};
use runs::{Form, RUN, Runs};

/// The secrets of a login, and how they are hidden in replies.
#[derive(Default)]
pub struct Mask {
    /// The message of PLAIN: NUL, user, NUL, password. Empty if there is no password.
    message: Secret,
    /// Where the password begins in `message`.
    password: usize,
    /// Access tokens. They are masked where they stand whole: to look for parts of what is so long would cost each mail too much.
    tokens: Vec<Secret>,
    /// The other messages sent, before base64. Each has the index from which its own octets are masked, too.
    sent: Vec<(Secret, usize)>,
}

impl Mask {
    /// A mask for this password, whichever mechanism is used: the relay can know the password from an earlier login. The password
    /// itself is masked where it stands whole. Its hexadecimal digits, and its base64 as PLAIN and LOGIN send it, are masked in
    /// parts, too.
    pub fn new(user: &[u8], password: &[u8]) -> Mask {
        Mask { message: plain::message(user, password), password: user.len() + 2, ..Mask::default() }
    }

    /// Adds an access token, by whichever mechanism it is sent.
    pub fn add_token(&mut self, token: &[u8]) {
        self.tokens.push(Secret::from(token));
    }

    /// Adds a message that is sent in base64. Its base64 is masked, whole or in parts, and so are its own octets from `mask_from`
    /// on.
    pub fn add_sent(&mut self, octets: Secret, mask_from: usize) {
        let is_known =
            *octets == *self.message || **octets == *self.password() || self.sent.iter().any(|(o, _)| **o == *octets);
        if !is_known {
            self.sent.push((octets, mask_from));
        }
    }

    fn password(&self) -> &[u8] {
        &self.message[self.password..]
    }

    /// All that is masked in parts.
    fn forms(&self) -> impl Iterator<Item = Form<'_>> {
        let password = [Form::Base64(&self.message), Form::Base64(self.password()), Form::Hex(self.password())];
        let sent = self.sent.iter().flat_map(|(octets, from)| [Form::Base64(octets), Form::Plain(&octets[*from..])]);
        password.into_iter().chain(sent).filter(|form| form.length() > 0)
    }

    /// Returns a reply, or a part of one, with each secret replaced by `<secret>`, even if it is split over several lines.
    pub fn apply(&self, text: &[u8]) -> Vec<u8> {
        Mask::replaced(text, &self.secret_places(text, false))
    }

    /// The same for a text that may be cut anywhere: also hides a suffix that could be a truncated secret.
    pub fn apply_cut(&self, text: &[u8]) -> Vec<u8> {
        Mask::replaced(text, &self.secret_places(text, true))
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

    /// Masks a reply in place: each octet of a secret becomes `*`. If the reply [is cut](is_cut), a suffix that could be a
    /// truncated secret is overwritten, too.
    pub fn mask_in_place(&self, text: &mut [u8]) {
        let secret = self.secret_places(text, is_cut(text));
        text.iter_mut().zip(secret).filter(|(_, secret)| *secret).for_each(|(octet, _)| *octet = b'*');
    }

    /// For each octet of the text: whether it belongs to a secret, or stands between parts of one.
    fn secret_places(&self, text: &[u8], is_cut: bool) -> Vec<bool> {
        let is_too_long = u32::try_from(text.len()).is_err(); // a Reading has u32 indices; no reply comes near that
        let mut secret = vec![is_too_long; text.len()];
        if is_too_long || text.is_empty() {
            return secret;
        }
        let has_escaped = (0..text.len()).any(|place| escaped(&text[place..]).is_some());
        for without_statuses in iter::once(false).chain(has_statuses(text).then_some(true)) {
            self.mark(&Reading::of(text, false, without_statuses), is_cut, &mut secret);
            if has_escaped {
                self.mark(&Reading::of(text, true, without_statuses), is_cut, &mut secret);
            }
        }
        secret
    }

    #[inline(never)]
    fn mark(&self, reading: &Reading, is_cut: bool, secret: &mut [bool]) {
        let mut longest = reading.mark_word(self.password(), secret);
        for token in &self.tokens {
            longest = longest.max(reading.mark_word(token, secret));
        }
        let mut runs = Runs::of(reading.octets());
        for form in self.forms() {
            match form.length() {
                RUN.. => runs.mark(form),
                length => {
                    let mut characters = Default::default();
                    form.characters(0, &mut characters);
                    reading.mark_all(&characters[..length], secret);
                    secret::clear_array(&mut characters);
                }
            }
        }
        runs.secret().for_each(|start| secret[reading.place(start..start + RUN)].fill(true));
        if is_cut {
            let longest = self.forms().fold(longest, |longest, form| form.length().min(RUN).max(longest));
            reading.mark_end(longest.saturating_sub(1), secret);
        }
    }
}

/// The part of a client's line that may be shown: `AUTH` with its mechanism, or `*`. The rest is secret. It is found by position
/// and not by content: a password that equals a protocol word must not be revealed by what is missing.
pub fn showable_part(line: &[u8]) -> &[u8] {
    match line.strip_prefix(b"AUTH ") {
        Some(rest) => {
            &line[..rest.iter().position(|c| *c == b' ').map_or(line.len(), |blank| "AUTH ".len() + blank + 1)]
        }
        None if line == b"*" => line,
        None => &[],
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn masked(mask: &Mask, text: &str) -> String {
        String::from_utf8(mask.apply(text.as_bytes())).unwrap()
    }

    #[test]
    fn secrets_whole_cut_folded_and_in_capitals() {
        let mut mask = Mask::new(b"user", b"s3cret pass");
        mask.add_sent(Secret::from(&b"me"[..]), 2);
        let masked = |text: &str| masked(&mask, text);
        assert_eq!(
            masked("535 no: AUTH PLAIN AHVzZXIAczNjcmV0IHBhc3M= refused"),
            "535 no: AUTH PLAIN <secret> refused"
        );
        assert_eq!(masked("AUTH PLAIN AHVZZXIACZNJCM"), "AUTH PLAIN <secret>");
        assert_eq!(masked("535-AHVzZXI\n535-AczNjcm\n535 V0IHB"), "535-<secret>");
        assert_eq!(masked("535-your s3cr\n535 et pass"), "535-your <secret>");
        assert_eq!(masked("535-5.7.8 your s3cr\r\n535-5.7.8 et\r\n535 5.7.8  pass"), "535-5.7.8 your <secret>");
        assert_eq!(masked("535-5.7.8 a 3336\n535 5.7.8 3726 b"), "535-5.7.8 a <secret> b");
        for status in
            ["  5.7.8 ", "5.7.8: ", "[5.7.8] ", "#5.7.8 ", "(#5.7.8) ", "5.7.8-", "535 5.7.8 ", "535-(#5.7.8): "]
        {
            let text = format!("535-{status}your s3cr\n535 {status}et pass");
            assert_eq!(masked(&text), format!("535-{status}your <secret>"), "{status}");
        }
        assert_eq!(masked("password S3cret pass, user bWU="), "password <secret>, user <secret>");
        assert_eq!(masked("535-AHVzZXI\r\n535 AczNjcm\r\n"), "535-<secret>\r\n");
        assert_eq!(masked("LOGIN sent bWU= / czNjcmV0IHBhc3M="), "LOGIN sent <secret> / <secret>");
        assert_eq!(masked("535 s3 cr\0et\tp ass or 73336372\n65742070 in hex"), "535 <secret> or <secret> in hex");
        assert_eq!(masked("digits 3336 3726 of it, 3336372"), "digits <secret> of it, 3336372");
        assert_eq!(masked("535 5.7.8 Error: authentication failed"), "535 5.7.8 Error: authentication failed");
        assert_eq!(masked(""), "");

        let mut text = *b"535-your s3cr\n535 et pass, bWU=\n";
        mask.mask_in_place(&mut text);
        assert_eq!(text, *b"535-your ****************, ****\n");
        mask.mask_in_place(&mut []);
    }

    #[test]
    fn a_name_in_a_certificate() {
        let mask = Mask::new(b"user", b"back\\slash,+");
        assert_eq!(masked(&mask, "back\\slash,+; CN=back\\\\slash\\,\\+,O=x"), "<secret>; CN=<secret>,O=x");
        for (cut, masked) in [
            (&b"535-no, it is not back\\slash,"[..], &b"535-no, it is not ***********"[..]),
            (b"535-no, it is not s3cret pas", b"535-no, it is no************"),
            (b"535-no, it is not s3cret pas\n", b"535-no, it is no*************"),
            (b"535 no, it is not s3cret pas\n", b"535 no, it is not s3cret pas\n"),
        ] {
            let mut text = cut.to_vec();
            mask.mask_in_place(&mut text);
            assert_eq!(text, masked);
        }
    }
}
