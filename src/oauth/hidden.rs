//! Hides what was sent to a provider in what it says.

use qmail_auth::mask::Mask;
use qmail_auth::secret::Secret;

/// A run of so many octets of a secret is hidden, since a provider may cut what it repeats. Words do not match it by chance.
const RUN: usize = 8;

/// Secrets.
#[derive(Default)]
pub struct Hidden {
    /// For each secret a mask, which knows it whole, and in base64 or with octets by their digits.
    secrets: Vec<(Secret, Mask)>,
}

impl Hidden {
    /// Hides this, too.
    pub fn add(&mut self, secret: &[u8]) {
        let mut mask = Mask::new(b"", secret);
        // Base64 of anything and the secret behind it begins in three ways. The mask knows those behind none and behind two octets.
        mask.add_sent([b"\0", secret].concat().into(), secret.len() + 1);
        self.secrets.push((Secret::from(secret), mask));
    }

    /// A text without secrets.
    pub fn hide(&self, text: &[u8]) -> Vec<u8> {
        self.secrets.iter().fold(text.to_vec(), |text, (secret, mask)| without_runs(&mask.apply(&text), secret))
    }
}

/// The text with `<secret>` in the place of all that is part of a run of the secret.
fn without_runs(text: &[u8], secret: &[u8]) -> Vec<u8> {
    let mut is_secret = vec![false; text.len()];
    let mut end = 0;
    for (start, run) in text.windows(RUN).enumerate() {
        if memchr::memmem::find(secret, run).is_some() {
            is_secret[start.max(end)..start + RUN].fill(true);
            end = start + RUN;
        }
    }
    let mut hidden = Vec::with_capacity(text.len());
    for (place, octet) in text.iter().enumerate() {
        match (is_secret[place], place > 0 && is_secret[place - 1]) {
            (false, _) => hidden.push(*octet),
            (true, false) => hidden.extend_from_slice(b"<secret>"),
            (true, true) => {}
        }
    }
    hidden
}

#[cfg(test)]
mod tests {
    use super::*;
    use base64::prelude::{BASE64_STANDARD, Engine};

    #[test]
    fn whole_and_in_parts() {
        let mut hidden = Hidden::default();
        hidden.add(b"refresh-token_number.1");
        hidden.add(b"pa+s");
        for (text, expected) in [
            ("no refresh-token_number.1 x", "no <secret> x"),
            ("no refresh-token_num", "no <secret>"),
            ("resh-token, refresh", "<secret>, refresh"),
            ("refresh%2Dtoken_number.1 pa%2Bs pa+s pa", "<secret> <secret> <secret> pa"),
            ("cmVmcmVzaC10b2tlbl9udW1iZXIuMQ==", "<secret>"),
            ("", ""),
        ] {
            assert_eq!(String::from_utf8(hidden.hide(text.as_bytes())).unwrap(), expected);
        }
    }

    /// As in the header of HTTP Basic (RFC 7617), where a name is in front.
    #[test]
    fn in_base64_behind_anything() {
        let secret = "refresh-token_number.1";
        let mut hidden = Hidden::default();
        hidden.add(secret.as_bytes());
        for name in ["", "a", "ab", "abc", "client-id", "client-id1", "client-id12"] {
            let told = BASE64_STANDARD.encode(format!("{name}:{secret}"));
            let shown = String::from_utf8(hidden.hide(told.as_bytes())).unwrap();
            let behind = (name.len() + 1).div_ceil(3) * 4;
            let rest = &told[behind..behind + 24];
            assert!(
                !rest.as_bytes().windows(8).any(|run| shown.contains(std::str::from_utf8(run).unwrap())),
                "{shown}"
            );
        }
    }
}
