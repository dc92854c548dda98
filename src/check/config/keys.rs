//! What is wrong with the key of a line that matches no mail, or hardly any. Keys have no patterns: a key is a whole name, the end of
//! one, or empty, which matches all.

use std::fmt::{self, Display, Formatter};
use std::net::Ipv4Addr;

/// Why no mail, or hardly any, goes by a line.
pub struct Mismatch {
    why: String,
    /// Not even by chance.
    pub is_certain: bool,
    /// What to write instead. Empty if that is plain, or not known.
    instead: String,
}

impl Mismatch {
    fn certain(why: impl Into<String>, instead: impl Into<String>) -> Option<Mismatch> {
        Some(Mismatch { why: why.into(), is_certain: true, instead: instead.into() })
    }

    fn likely(why: &str, instead: impl Into<String>) -> Option<Mismatch> {
        Some(Mismatch { why: why.to_owned(), is_certain: false, instead: instead.into() })
    }
}

impl Display for Mismatch {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let count = if self.is_certain { ", so it does not count" } else { "" };
        let sign = if self.instead.is_empty() { "" } else { "; " };
        write!(f, "{}{count}{sign}{}", self.why, self.instead)
    }
}

/// None: mail can go by a line with this key.
pub fn mismatch(key: &[u8], of_senders: bool) -> Option<Mismatch> {
    match (key, of_senders) {
        ([], _) => None,
        (_, false) => in_domain(key),
        (_, true) => in_sender(key),
    }
}

/// The same for a key with a blank in it, if that is only around a name. The name is not said: it may be a part of a password.
pub fn blanks_around(key: &[u8]) -> Option<Mismatch> {
    let bare = key.trim_ascii();
    let is_name = bare.len() < key.len() && !bare.iter().any(|c| b" \t|".contains(c));
    if is_name { Mismatch::certain("a blank at its beginning or before its colon", "remove that blank") } else { None }
}

fn in_domain(key: &[u8]) -> Option<Mismatch> {
    match key {
        b"*" => Mismatch::certain("no domain is *", "an empty domain means all"),
        _ if key.contains(&b'@') => Mismatch::certain("a domain has no @", "write what is behind the @"),
        [b'[', address @ .., b']'] if is_ipv4(address) => None,
        [b'[', .., b']'] => Mismatch::certain("brackets are for IP addresses alone", ""),
        [b'[', ..] => Mismatch::certain("its first colon ends the domain, which cannot be an IPv6 address", ""),
        _ => in_name(key),
    }
}

fn in_sender(key: &[u8]) -> Option<Mismatch> {
    if key.iter().any(|c| b"<>".contains(c)) {
        return Mismatch::certain("an address has no < and > here", "");
    }
    let Some(at) = key.iter().rposition(|c| *c == b'@') else {
        let instead = if key == b"*" { "an empty sender means all" } else { "" };
        let why = "a sender is a whole address, or the end of one from an @ or a . on";
        return if key[0] == b'.' { in_name(key) } else { Mismatch::certain(why, instead) };
    };
    let end = String::from_utf8_lossy(&key[at + 1..]);
    match (&key[..at], &key[at + 1..]) {
        (_, []) => Mismatch::certain("there is no domain behind the @", ""),
        (_, [b'.', ..]) => {
            Mismatch::certain("no domain begins with a dot", format!("{end} alone means all domains that end so"))
        }
        (local, _) if local.contains(&b'*') => {
            Mismatch::likely("a * stands for itself alone", format!("@{end} means all senders of that domain"))
        }
        (_, [b'[', ..]) => None,
        (_, domain) => in_name(domain),
    }
}

/// What no domain has in it (RFC 5321 section 4.1.2), but for what is in use: underscores, and non-ASCII by SMTPUTF8.
fn in_name(name: &[u8]) -> Option<Mismatch> {
    let Ok(text) = std::str::from_utf8(name) else {
        return Mismatch::certain("no domain has octets that are not UTF-8", "");
    };
    let foreign = |c: &char| c.is_ascii_punctuation() && !"-._".contains(*c);
    if text.contains(|c: char| c.is_ascii_control()) {
        Mismatch::certain("no domain has a control character in it", "")
    } else if let Some(c) = text.chars().find(foreign) {
        let instead = match (c, text.strip_prefix('*')) {
            ('*', Some(end)) if end.starts_with('.') && !end.contains('*') => {
                format!("{end} means all domains that end so")
            }
            ('*', _) => "one that begins with a dot means all that end so".to_owned(),
            (',', _) => "write a line for each domain".to_owned(),
            _ => String::new(),
        };
        Mismatch::certain(format!("no domain has a {c} in it"), instead)
    } else if text.contains("..") {
        Mismatch::certain("no domain has two dots in a row", "")
    } else if text.ends_with('.') {
        // Somebody can write an address so, and then the line is for it.
        let instead = if text == "." { "an empty domain means all" } else { "remove that dot" };
        Mismatch::likely("hardly any domain ends in a dot", instead)
    } else {
        None
    }
}

fn is_ipv4(text: &[u8]) -> bool {
    std::str::from_utf8(text).is_ok_and(|text| text.parse::<Ipv4Addr>().is_ok())
}
