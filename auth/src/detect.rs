//! Reading an EHLO reply (RFC 5321 section 4.1.1.1): its keyword lines, and the mechanisms of its AUTH lines.
//!
//! One pass, no backtracking, bounded as any reply. It takes a reply in wire form and as a
//! classic qmail-remote.c keeps it: CR removed, perhaps cut in the middle of a line.

use crate::bits::*;
use crate::reply::{REPLY_LINES, REPLY_OCTETS};
use std::collections::BTreeSet;

const BITS: [(u32, &str); 10] = [
    (AUTH_PLAIN, "PLAIN"),
    (AUTH_LOGIN, "LOGIN"),
    (AUTH_CRAM_MD5, "CRAM-MD5"),
    (AUTH_SCRAM_SHA_1, "SCRAM-SHA-1"),
    (AUTH_SCRAM_SHA_256, "SCRAM-SHA-256"),
    (AUTH_SCRAM_SHA_1_PLUS, "SCRAM-SHA-1-PLUS"),
    (AUTH_SCRAM_SHA_256_PLUS, "SCRAM-SHA-256-PLUS"),
    (AUTH_XOAUTH2, "XOAUTH2"),
    (AUTH_OAUTHBEARER, "OAUTHBEARER"),
    (AUTH_EXTERNAL, "EXTERNAL"),
];

/// The mechanisms that an EHLO reply offers.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct Offer {
    /// An AUTH line was there, even an empty one.
    pub offered: bool,
    /// The legal names (RFC 4422 section 3.1) of all AUTH and AUTH= lines in upper case, each once, as first seen.
    pub names: Vec<String>,
}

/// Reads the AUTH lines of an EHLO reply.
pub fn offer(reply: &[u8]) -> Offer {
    let mut offer = Offer::default();
    let mut seen = BTreeSet::new();
    for line in keyword_lines(reply) {
        let Some(list) = auth_parameters(&line) else { continue };
        offer.offered = true;
        for name in list.filter_map(mechanism_name) {
            if seen.insert(name.clone()) {
                offer.names.push(name);
            }
        }
    }
    offer
}

/// The mechanisms of an EHLO reply as a set of [`super::bits`].
pub fn detect(reply: &[u8]) -> u32 {
    let offer = offer(reply);
    let known = BITS.iter().filter(|(_, name)| offer.names.iter().any(|offered| offered == name));
    known.fold(if offer.offered { AUTH_OFFERED } else { 0 }, |set, (bit, _)| set | bit)
}

/// One line of an EHLO reply behind its code: without line end, without blanks at its end.
pub struct Line<'a> {
    text: &'a [u8],
    /// The reply was cut within this line, so its last word may be the beginning of a longer one.
    cut: bool,
}

impl<'a> Line<'a> {
    /// What follows the keyword when the line has this one (compared without regard to case, RFC 5321 section 2.4):
    /// empty, or beginning with the blank or `=` that ended it.
    pub fn after_keyword(&self, keyword: &str) -> Option<&'a [u8]> {
        let (head, rest) = self.text.split_at_checked(keyword.len())?;
        let whole = rest.first().is_none_or(|c| b" \t=".contains(c));
        (whole && head.eq_ignore_ascii_case(keyword.as_bytes()) && !(self.cut && rest.is_empty())).then_some(rest)
    }
}

/// The lines that can hold a keyword: all but the first, which is the greeting, unless it is the only one (a server is
/// known that answers `250 AUTH LOGIN` and nothing else). None when the reply is no 250.
pub fn keyword_lines(reply: &[u8]) -> impl Iterator<Item = Line<'_>> {
    let whole = reply.len() <= REPLY_OCTETS;
    let mut rest = &reply[..reply.len().min(REPLY_OCTETS)];
    let mut number = 0;
    let mut done = false;
    std::iter::from_fn(move || {
        while !done && !rest.is_empty() && number < REPLY_LINES {
            let (line, ended) = match memchr::memchr(b'\n', rest) {
                Some(end) => (&rest[..end], true),
                None => (rest, false),
            };
            rest = &rest[(line.len() + usize::from(ended)).min(rest.len())..];
            number += 1;
            let first = number == 1;
            let line = line.trim_ascii_end();
            // Behind the last line stand only stray replies; a line that is no 250 makes this no EHLO reply.
            let last = line.get(3) != Some(&b'-');
            done = last || !ended;
            let is_250 = line.starts_with(b"250") && line.get(3).is_none_or(|c| b"- \t".contains(c));
            if !is_250 {
                done = true;
                return None;
            }
            if first && !last {
                continue;
            }
            let text = line.get(4..).unwrap_or_default();
            // A caller may hold the reply without the line end of its last line; any other missing one is a cut.
            return Some(Line { text, cut: !(ended || last && whole) });
        }
        None
    })
}

/// The words of an AUTH line, none for any other line. `AUTH=` is the form of the draft before RFC 2554, still sent.
fn auth_parameters<'a>(line: &Line<'a>) -> Option<impl Iterator<Item = &'a [u8]> + use<'a>> {
    let blank = |c: &u8| b" \t".contains(c);
    let rest = line.after_keyword("AUTH")?.trim_ascii_start();
    let rest = rest.strip_prefix(b"=").unwrap_or(rest);
    let kept = if line.cut { rest.iter().rposition(blank).unwrap_or(0) } else { rest.len() };
    Some(rest[..kept].split(blank).filter(|word| !word.is_empty()))
}

/// A word as a mechanism's name in upper case: 1 to 20 of A-Z, 0-9, hyphen and underscore (RFC 4422 section 3.1).
fn mechanism_name(word: &[u8]) -> Option<String> {
    let legal = word.len() <= 20 && word.iter().all(|c| c.is_ascii_alphanumeric() || b"-_".contains(c));
    legal.then(|| String::from_utf8_lossy(word).to_ascii_uppercase())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cut_never_makes_a_mechanism_of_the_beginning_of_another() {
        let reply = b"250-host\n250-AUTH LOGIN SCRAM-SHA-256-PLUS PLAIN-CLIENTTOKEN\n250 OK\n";
        for cut in 0..reply.len() {
            let names = offer(&reply[..cut]).names;
            for name in names {
                assert!(["LOGIN", "SCRAM-SHA-256-PLUS", "PLAIN-CLIENTTOKEN"].contains(&&*name), "cut at {cut}: {name}");
            }
        }
        assert_eq!(offer(b"250-host\n250 AUTH LOGIN").names, ["LOGIN"]); // no cut: only the line end is missing
    }

    #[test]
    fn bounds() {
        let mut reply = b"250-host\r\n".to_vec();
        reply.extend(b"250-X\r\n".repeat(REPLY_LINES - 2));
        assert_eq!(offer(&[&reply[..], b"250 AUTH PLAIN\r\n"].concat()).names, ["PLAIN"]);
        assert_eq!(offer(&[&reply[..], b"250-X\r\n250 AUTH PLAIN\r\n"].concat()), Offer::default());

        let long = [&b"250-host\r\n250-AUTH LOGIN "[..], &b"X ".repeat(REPLY_OCTETS), b"PLAIN\r\n250 OK\r\n"].concat();
        assert_eq!(offer(&long).names, ["LOGIN", "X"]);
        assert_eq!(detect(&long), AUTH_OFFERED | AUTH_LOGIN);
    }
}
