//! control/smtproutes: which line is for a host, and what it says. A line has one of three forms:
//! `domain:relay[:port]`, `domain:relay[:port] user password`, `domain:relay[:port]|user|password`. s/qmail also writes `;port`.

use super::files::{Control, ControlError, strip_blanks};
use super::{Credentials, Route};
use crate::cause::ControlCause;
use crate::policy::Security;
use memchr::memmem;
use qmail_auth::secret::Secret;
use qmail_auth::{Login, LoginKind, PasswordLogin, TokenLogin};
use std::net::IpAddr;

/// The name of the file in the control directory.
pub const FILE: &str = "smtproutes";
const SMTP: u16 = 25;

/// The route for `host`. The most specific key counts: `host` itself, then its parents with their leading dot, then the empty key.
/// Of several lines with this key the last one counts. None: there is no such line, or it says to use MX.
pub fn find(control: &Control, host: &[u8]) -> Result<Option<Box<Route>>, ControlError> {
    let Some(content) = control.read(FILE)? else { return Ok(None) };
    let mut best = BestMatch::new(host, b".");
    let lengths: Vec<usize> = (0..=host.len()).filter(|length| best.matches(&host[host.len() - length..])).collect();
    let [lower, upper] = [u8::to_ascii_lowercase, u8::to_ascii_uppercase].map(|case| host.first().map_or(b':', case));
    for start in starts(&content, [lower, upper, b'.', b':']) {
        let text = &content[start..];
        // A cheap test first: most lines have no colon where a key of this host would end.
        if lengths.iter().any(|length| text.get(*length) == Some(&b':') && best.matches(&text[..*length])) {
            let line = all_lines(text).next().and_then(|(line, _)| significant(line));
            if let Some((key, value, _)) = line.and_then(|line| entry(line, 0)) {
                best.consider(key, value, start);
            }
        }
    }
    let number = |start: usize| memchr::memchr_iter(b'\n', &content[..start]).count() + 1;
    match best.value() {
        Some((value, start)) => {
            control.note_login(FILE, &content, || &value[relay_end(value)..]);
            understand(value, number(start)).map(Some)
        }
        None if best.is_found() => Ok(None),
        None => not_hidden(&content).map(|()| None),
    }
}

/// Fails if a line was perhaps meant for all mail. Mail that has no other line must not go out without its login.
fn not_hidden(content: &[u8]) -> Result<(), ControlError> {
    for (line, number) in lines(content) {
        let Some((key, value, _)) = entry(line, number) else { continue };
        if lacks_colon(key, value) {
            understand(value, number)?;
        }
    }
    Ok(())
}

/// Whether the colon that begins a line for all mail was perhaps forgotten, so that no mail finds it: `relay:587 user password`. A
/// key of several words is no relay, but a note.
pub fn lacks_colon(key: &[u8], value: &[u8]) -> bool {
    let (relay, login) = value.split_at(relay_end(value));
    let is_one_word = !key.trim_ascii().iter().any(|c| b" \t|".contains(c));
    is_one_word && !login.is_empty() && is_number(std::str::from_utf8(relay).unwrap_or_default())
}

/// The starts of all lines whose first octet is one of these. There may be ten thousand other lines in between, so nothing is done
/// for each line.
fn starts(content: &[u8], firsts: [u8; 4]) -> impl Iterator<Item = usize> {
    let first = content.first().is_some_and(|c| firsts.contains(c)).then_some(0);
    let needles = firsts.map(|c| memmem::Finder::new(&[b'\n', c]).into_owned());
    let mut next = needles.each_ref().map(|needle| needle.find(content));
    first.into_iter().chain(std::iter::from_fn(move || {
        let at = next.iter().flatten().min().copied()?;
        for (needle, next) in needles.iter().zip(&mut next) {
            if *next == Some(at) {
                *next = needle.find(&content[at + 1..]).map(|more| at + 1 + more);
            }
        }
        Some(at + 1)
    }))
}

/// The key of a line, the value after its colon, and the line's number as given. None: there is no colon, so stock qmail ignores
/// the line.
pub fn entry(line: &[u8], number: usize) -> Option<(&[u8], &[u8], usize)> {
    memchr::memchr(b':', line).map(|colon| (&line[..colon], &line[colon + 1..], number))
}

/// The route in the value of line `number`.
pub fn understand(value: &[u8], number: usize) -> Result<Box<Route>, ControlError> {
    let source = format!("control/{FILE} line {number}");
    parse(value, &source).map_err(|why| ControlError { place: source, why })
}

/// The significant lines, without blanks at their ends, and their numbers.
pub fn lines(content: &[u8]) -> impl Iterator<Item = (&[u8], usize)> {
    all_lines(content).filter_map(|(line, number)| Some((significant(line)?, number)))
}

/// All lines, and their numbers from 1 on. There may be ten thousand, and a delivery looks at each.
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

/// A line without blanks at its end. None: it is empty or a comment.
pub fn significant(line: &[u8]) -> Option<&[u8]> {
    Some(strip_blanks(line)).filter(|line| !matches!(line, [] | [b'\r'] | [b'#', ..]))
}

/// Finds the line for a name: the one with the longest key, and the last of several with this key. A key is the whole name, its end
/// from one of the `signs` on, or empty.
pub struct BestMatch<'a> {
    name: &'a [u8],
    signs: &'static [u8],
    /// The length of the key, the value, and the number of the line.
    best: Option<(usize, &'a [u8], usize)>,
}

impl<'a> BestMatch<'a> {
    /// Starts without a line.
    pub fn new(name: &'a [u8], signs: &'static [u8]) -> BestMatch<'a> {
        BestMatch { name, signs, best: None }
    }

    /// Whether this is a key of the name.
    pub fn matches(&self, key: &[u8]) -> bool {
        let Some(start) = self.name.len().checked_sub(key.len()) else { return false };
        let is_end = start == 0 || start == self.name.len() || self.signs.contains(&self.name[start]);
        is_end && self.name[start..].eq_ignore_ascii_case(key)
    }

    /// Takes the next line into account. Lines must come in the order of the file.
    pub fn consider(&mut self, key: &[u8], value: &'a [u8], number: usize) {
        if self.matches(key) && self.best.is_none_or(|(length, ..)| key.len() >= length) {
            self.best = Some((key.len(), value, number));
        }
    }

    /// Whether a line is for the name, whatever its value.
    fn is_found(&self) -> bool {
        self.best.is_some()
    }

    /// The value of the line, and its number. None: no line is for the name, or its value is empty.
    pub fn value(&self) -> Option<(&'a [u8], usize)> {
        self.best.map(|(_, value, number)| (value, number)).filter(|(value, _)| !value.is_empty())
    }
}

/// Parses the value of a line: `relay[:port]`, with or without a login. `source` names the line for reports.
pub fn parse(value: &[u8], source: &str) -> Result<Box<Route>, ControlCause> {
    let route = parse_of_sender(value, source)?;
    let is_user_alone =
        route.credentials.as_ref().is_some_and(|credentials| credentials.login.kind() == LoginKind::Token);
    if is_user_alone { Err(ControlCause::NoPassword) } else { Ok(route) }
}

/// The same for a line of control/authsenders, in which a user may stand without a password: the login is then by a token.
pub(super) fn parse_of_sender(value: &[u8], source: &str) -> Result<Box<Route>, ControlCause> {
    check_ends(value)?;
    let end = relay_end(value);
    let (host, port) = parse_relay(&value[..end])?;
    let credentials = parse_login(&value[end..], source)?;
    let security = Security::default();
    let source = source.to_owned();
    Ok(Box::new(Route { host, port, source, credentials, security, mechanisms: None, tokens: None }))
}

/// How many octets of a value are the relay and its port. A login may follow.
pub fn relay_end(value: &[u8]) -> usize {
    value.iter().position(|c| b" \t|".contains(c)).unwrap_or(value.len())
}

/// Rejects a value with a NUL, or with a CR at its end: they would become part of a name or a password.
pub fn check_ends(value: &[u8]) -> Result<(), ControlCause> {
    match value {
        _ if value.contains(&0) => Err(ControlCause::NulInLine),
        [.., b'\r'] => Err(ControlCause::CrAtEnd),
        _ => Ok(()),
    }
}

/// Parses what follows the relay: nothing, `|user|password`, or ` user password`.
pub fn parse_login(text: &[u8], source: &str) -> Result<Option<Credentials>, ControlCause> {
    let blank = |c: u8| b" \t".contains(&c);
    let (user, password) = match text.split_first() {
        None => return Ok(None),
        // The password may contain `|`, so only the first two are separators.
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

/// Parses `relay`, `relay:port`, `[address]` or `[address]:port`. An IPv6 address needs the brackets.
fn parse_relay(text: &[u8]) -> Result<(String, u16), ControlCause> {
    let text = std::str::from_utf8(text).map_err(|_| ControlCause::NoRelay)?;
    let (host, port) = match text.strip_prefix('[') {
        Some(literal) => {
            let (address, port) = literal.split_once(']').ok_or(ControlCause::NoRelay)?;
            let ip: IpAddr = address.parse().map_err(|_| bad_literal(address))?;
            (ip.to_string(), port)
        }
        None => {
            let (host, port) = text.split_at(text.find([':', ';']).unwrap_or(text.len()));
            if !is_host_name(host) {
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
    if is_number(&host) {
        return Err(ControlCause::NumberForRelay);
    }
    Ok((host, port))
}

/// Whether a relay is rather a port: without the colon that begins it, `:relay:port` is a line for the domain `relay`. The resolver
/// would take the port for an address (inet_aton(3)).
fn is_number(relay: &str) -> bool {
    relay.bytes().all(|c| c.is_ascii_digit()) && relay.parse::<u16>().is_ok()
}

/// What is wrong with text in brackets that is not an IP address. Postfix has names there, to be used without their MX.
fn bad_literal(text: &str) -> ControlCause {
    let is_name = is_host_name(text) && text.bytes().any(|c| c.is_ascii_alphabetic()); // and not a wrong IPv4 address
    if is_name { ControlCause::BracketedName } else { ControlCause::NoRelay }
}

/// Whether a relay can have this name: labels of letters, digits, hyphens and underscores, and perhaps a dot at the end.
fn is_host_name(text: &str) -> bool {
    let label =
        |label: &str| !label.is_empty() && label.bytes().all(|c| c.is_ascii_alphanumeric() || b"-_".contains(&c));
    text.strip_suffix('.').unwrap_or(text).split('.').all(label)
}

/// Checks a user and a password as a file gives them. As in John Simpson's patch, `-user` says that the password may go out in
/// clear. Without a password it is a login by a token that is still to be had.
pub fn credentials(user: &[u8], password: &[u8], source: &str) -> Result<Credentials, ControlCause> {
    let (clear_allowed, user) = match user.strip_prefix(b"-") {
        Some(user) => (true, user),
        None => (false, user),
    };
    if user.is_empty() {
        return Err(ControlCause::NoUser);
    }
    if user.iter().any(u8::is_ascii_control) {
        return Err(ControlCause::ControlInUser);
    }
    if password.contains(&0) {
        return Err(ControlCause::NulInPassword);
    }
    let (user, secret) = (user.to_vec(), Secret::from(password));
    let login = if password.is_empty() {
        Login::Token(TokenLogin { user, token: secret, server: None, clear_allowed })
    } else {
        Login::Password(PasswordLogin { user, password: secret, clear_allowed })
    };
    Ok(Credentials { login, source: source.to_owned() })
}
