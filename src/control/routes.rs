//! control/smtproutes: which line is for a host, and what it says. Three forms, told apart line by line:
//! `domain:relay[:port]`, `domain:relay[:port] user password`, `domain:relay[:port]|user|password`. s/qmail also writes
//! `;port`.

use super::files::{Control, ControlError, strip_blanks};
use super::{Credentials, Route};
use crate::cause::ControlCause;
use crate::policy::Security;
use qmail_auth::secret::Secret;
use qmail_auth::{Login, PasswordLogin};
use std::net::IpAddr;

/// In the control directory.
pub const FILE: &str = "smtproutes";
const SMTP: u16 = 25;

/// The route for `host`: the most specific of `host`, its parents with their leading dot, and the empty key; the last
/// of several lines for it. None when there is none, or one that says to use MX.
pub fn find(control: &Control, host: &[u8]) -> Result<Option<Route>, ControlError> {
    let Some(content) = control.read(FILE)? else { return Ok(None) };
    let mut best = Best::new(host, b".");
    let lengths: Vec<usize> = (0..=host.len()).filter(|length| best.has(&host[host.len() - length..])).collect();
    let [lower, upper] = [u8::to_ascii_lowercase, u8::to_ascii_uppercase].map(|case| host.first().map_or(b':', case));
    let can_begin = |c: u8| (c == lower) | (c == upper) | (c == b'.') | (c == b':');
    let mut behind = 0;
    while let Some(start) = next_line(&content, behind, can_begin) {
        let text = &content[start..];
        // Most lines have no colon where a key of this host would end, so they are for another.
        if lengths.iter().any(|length| text.get(*length) == Some(&b':') && best.has(&text[..*length])) {
            let line = all_lines(text).next().and_then(|(line, _)| telling(line));
            if let Some((key, value, _)) = line.and_then(|line| entry(line, 0)) {
                best.offer(key, value, start);
            }
        }
        behind = start + memchr::memchr(b'\n', text).map_or(text.len(), |end| end + 1);
    }
    let number = |start: usize| memchr::memchr_iter(b'\n', &content[..start]).count() + 1;
    best.value().map(|(value, start)| understand(value, number(start))).transpose()
}

/// Where the next line begins whose first octet can begin a key. `at` is the start of the line to look at first. There may be ten
/// thousand others in between, so they are passed over by blocks; `can_begin` has no branch, so that the compiler can make vector
/// instructions of it.
fn next_line(content: &[u8], mut at: usize, can_begin: impl Fn(u8) -> bool) -> Option<usize> {
    const BLOCK: usize = 64;
    let has_none = |block: &[u8; BLOCK], next: &[u8; BLOCK]| {
        (0..BLOCK).fold(0, |found, n| found | u8::from((block[n] == b'\n') & can_begin(next[n]))) == 0
    };
    while !can_begin(*content.get(at)?) {
        let block = |at: usize| content.get(at..).and_then(<[u8]>::first_chunk);
        while block(at).zip(block(at + 1)).is_some_and(|(block, next)| has_none(block, next)) {
            at += BLOCK;
        }
        at += memchr::memchr(b'\n', &content[at..])? + 1;
    }
    Some(at)
}

/// The key of a line, what stands behind its colon, and its number. Stock does not see a line without a colon.
pub fn entry(line: &[u8], number: usize) -> Option<(&[u8], &[u8], usize)> {
    memchr::memchr(b':', line).map(|colon| (&line[..colon], &line[colon + 1..], number))
}

/// The route that stands behind the colon of this line.
pub fn understand(value: &[u8], number: usize) -> Result<Route, ControlError> {
    let source = format!("control/{FILE} line {number}");
    parse(value, &source).map_err(|why| ControlError { place: source, why })
}

/// The lines that say something, without blanks at their ends, and their numbers.
pub fn lines(content: &[u8]) -> impl Iterator<Item = (&[u8], usize)> {
    all_lines(content).filter_map(|(line, number)| Some((telling(line)?, number)))
}

/// All lines and their numbers. There may be ten thousand, and a delivery goes through them.
pub fn all_lines(content: &[u8]) -> impl Iterator<Item = (&[u8], usize)> {
    let mut rest = Some(content);
    let lines = std::iter::from_fn(move || {
        let text = rest?;
        let end = memchr::memchr(b'\n', text);
        rest = end.map(|end| &text[end + 1..]);
        Some(&text[..end.unwrap_or(text.len())])
    });
    lines.enumerate().map(|(before, line)| (line, before + 1))
}

/// A line without blanks at its end. None: it says nothing.
pub fn telling(line: &[u8]) -> Option<&[u8]> {
    Some(strip_blanks(line)).filter(|line| !matches!(line, [] | [b'\r'] | [b'#', ..]))
}

/// The line that is for a name: that of the longest key, the last of several. A key is the whole name, its end from one of the
/// `signs` on, or nothing.
pub struct Best<'a> {
    name: &'a [u8],
    signs: &'static [u8],
    best: Option<(usize, &'a [u8], usize)>,
}

impl<'a> Best<'a> {
    /// No line yet.
    pub fn new(name: &'a [u8], signs: &'static [u8]) -> Best<'a> {
        Best { name, signs, best: None }
    }

    /// It is a key of the name.
    pub fn has(&self, key: &[u8]) -> bool {
        let Some(start) = self.name.len().checked_sub(key.len()) else { return false };
        let is_end = start == 0 || start == self.name.len() || self.signs.contains(&self.name[start]);
        is_end && self.name[start..].eq_ignore_ascii_case(key)
    }

    /// Takes the next line into account.
    pub fn offer(&mut self, key: &[u8], value: &'a [u8], number: usize) {
        if self.has(key) && self.best.is_none_or(|(length, ..)| key.len() >= length) {
            self.best = Some((key.len(), value, number));
        }
    }

    /// What stands behind the key, and the number of the line. None where no line is for the name or it has nothing there.
    pub fn value(&self) -> Option<(&'a [u8], usize)> {
        self.best.map(|(_, value, number)| (value, number)).filter(|(value, _)| !value.is_empty())
    }
}

/// Understands what stands behind the key's colon.
pub fn parse(value: &[u8], source: &str) -> Result<Route, ControlCause> {
    check_ends(value)?;
    let end = relay_end(value);
    let (host, port) = relay(&value[..end])?;
    let credentials = login(&value[end..], source)?;
    let security = Security::default();
    Ok(Route { host, port, source: source.to_owned(), credentials, security, mechanisms: None })
}

/// How many octets of what stands behind the key's colon are the relay and its port; a login may follow.
pub fn relay_end(value: &[u8]) -> usize {
    value.iter().position(|c| b" \t|".contains(c)).unwrap_or(value.len())
}

/// Rejects a NUL, and a CR at the end.
pub fn check_ends(value: &[u8]) -> Result<(), ControlCause> {
    match value {
        _ if value.contains(&0) => Err(ControlCause::NulInLine),
        [.., b'\r'] => Err(ControlCause::CrAtEnd),
        _ => Ok(()),
    }
}

/// Understands what stands behind the relay: nothing, `|user|password`, ` user password`.
pub fn login(text: &[u8], source: &str) -> Result<Option<Credentials>, ControlCause> {
    let blank = |c: u8| b" \t".contains(&c);
    let (user, password) = match text.split_first() {
        None => return Ok(None),
        // A `|` may stand in the password, so only the first two divide.
        Some((b'|', rest)) => rest.split_at(rest.iter().position(|c| *c == b'|').unwrap_or(rest.len())),
        Some((_, rest)) => {
            let rest = rest.trim_ascii_start();
            rest.split_at(rest.iter().position(|c| blank(*c)).unwrap_or(rest.len()))
        }
    };
    let password = match password.split_first() {
        Some((b'|', rest)) => rest,
        Some(_) => password.trim_ascii_start(),
        None => &[],
    };
    credentials(user, password, source).map(Some)
}

/// `relay`, `relay:port`, `[address]`, `[address]:port`. An IPv6 address needs the brackets.
fn relay(text: &[u8]) -> Result<(String, u16), ControlCause> {
    let text = std::str::from_utf8(text).map_err(|_| ControlCause::NoRelay)?;
    let (host, port) = match text.strip_prefix('[') {
        Some(literal) => {
            let (address, port) = literal.split_once(']').ok_or(ControlCause::NoRelay)?;
            let address: IpAddr = address.parse().map_err(|_| ControlCause::NoRelay)?;
            (address.to_string(), port)
        }
        None => {
            let (host, port) = text.split_at(text.find([':', ';']).unwrap_or(text.len()));
            let label = |label: &str| {
                !label.is_empty() && label.bytes().all(|c| c.is_ascii_alphanumeric() || b"-_".contains(&c))
            };
            if !host.strip_suffix('.').unwrap_or(host).split('.').all(label) {
                return Err(ControlCause::NoRelay);
            }
            (host.to_owned(), port)
        }
    };
    let port = match port.strip_prefix([':', ';']) {
        None if port.is_empty() => SMTP,
        None => return Err(ControlCause::NoRelay),
        Some(digits) if digits.bytes().all(|c| c.is_ascii_digit()) => {
            digits.parse().ok().filter(|port| *port != 0).ok_or(ControlCause::NoPort)?
        }
        Some(_) => return Err(ControlCause::NoPort),
    };
    Ok((host, port))
}

/// A user and a password as a file gives them. `-user` is John Simpson's sign for a password that may go out in clear.
pub fn credentials(user: &[u8], password: &[u8], source: &str) -> Result<Credentials, ControlCause> {
    let (clear_allowed, user) = match user.strip_prefix(b"-") {
        Some(user) => (true, user),
        None => (false, user),
    };
    if user.is_empty() {
        return Err(ControlCause::NoUser);
    }
    if password.is_empty() {
        return Err(ControlCause::NoPassword);
    }
    if user.iter().any(u8::is_ascii_control) {
        return Err(ControlCause::ControlInUser);
    }
    if password.contains(&0) {
        return Err(ControlCause::NulInPassword);
    }
    let password = Secret::from(password);
    let login = Login::Password(PasswordLogin { user: user.to_vec(), password, clear_allowed });
    Ok(Credentials { login, source: source.to_owned() })
}
