//! control/smtproutes: which line is for a host, and what it says. Three forms, told apart line by line:
//! `domain:relay[:port]`, `domain:relay[:port] user password`, `domain:relay[:port]|user|password`. s/qmail also writes
//! `;port`.

use super::Route;
use super::files::{Control, ControlError, strip_blanks};
use crate::auth::Credentials;
use crate::secret::Secret;
use crate::tls::policy::Security;
use std::net::IpAddr;

const FILE: &str = "smtproutes";
const SMTP: u16 = 25;

/// The route for `host`: the most specific of `host`, its parents with their leading dot, and the empty key; the last
/// of several lines for it. None when there is none, or one that says to use MX.
pub fn find(control: &Control, host: &[u8]) -> Result<Option<Route>, ControlError> {
    let Some(content) = control.read(FILE)? else { return Ok(None) };
    let mut best: Option<(usize, usize, &[u8])> = None;
    for (number, line) in content.split(|c| *c == b'\n').enumerate() {
        let line = strip_blanks(line);
        if line.first() == Some(&b'#') {
            continue;
        }
        let Some(colon) = memchr::memchr(b':', line) else { continue }; // stock does not see such lines
        let (key, value) = (&line[..colon], &line[colon + 1..]);
        if is_key_of(key, host) && best.is_none_or(|(length, ..)| key.len() >= length) {
            best = Some((key.len(), number + 1, value));
        }
    }
    let Some((_, number, value)) = best else { return Ok(None) };
    let source = format!("control/{FILE} line {number}");
    if value.is_empty() {
        return Ok(None);
    }
    parse(value, &source).map(Some).map_err(|why| ControlError(format!("{source}: {why}")))
}

fn is_key_of(key: &[u8], host: &[u8]) -> bool {
    let Some(start) = host.len().checked_sub(key.len()) else { return false };
    let at_a_label = start == 0 || start == host.len() || host[start] == b'.';
    at_a_label && host[start..].eq_ignore_ascii_case(key)
}

/// Understands what stands behind the key's colon.
fn parse(value: &[u8], source: &str) -> Result<Route, &'static str> {
    if value.contains(&0) {
        return Err("a NUL in the line");
    }
    if value.ends_with(b"\r") {
        return Err("a CR at the line's end, which would be part of the password or the name");
    }
    let blank = |c: u8| b" \t".contains(&c);
    let end = value.iter().position(|c| blank(*c) || *c == b'|').unwrap_or(value.len());
    let (host, port) = relay(&value[..end])?;
    let login = match value[end..].split_first() {
        None => None,
        // A `|` may stand in the password, so only the first two divide.
        Some((b'|', rest)) => Some(rest.split_at(rest.iter().position(|c| *c == b'|').unwrap_or(rest.len()))),
        Some((_, rest)) => {
            let rest = rest.trim_ascii_start();
            Some(rest.split_at(rest.iter().position(|c| blank(*c)).unwrap_or(rest.len())))
        }
    };
    let credentials = match login {
        None => None,
        Some((user, password)) => {
            let password = match password.split_first() {
                Some((b'|', rest)) => rest,
                Some(_) => password.trim_ascii_start(),
                None => &[],
            };
            Some(credentials(user, password, source)?)
        }
    };
    let security = Security::default();
    Ok(Route { host, port, source: source.to_owned(), credentials, security, mechanisms: None })
}

/// `relay`, `relay:port`, `[address]`, `[address]:port`. An IPv6 address needs the brackets.
fn relay(text: &[u8]) -> Result<(String, u16), &'static str> {
    let text = std::str::from_utf8(text).map_err(|_| NO_RELAY)?;
    let (host, port) = match text.strip_prefix('[') {
        Some(literal) => {
            let (address, port) = literal.split_once(']').ok_or(NO_RELAY)?;
            let address: IpAddr = address.parse().map_err(|_| NO_RELAY)?;
            (address.to_string(), port)
        }
        None => {
            let (host, port) = text.split_at(text.find([':', ';']).unwrap_or(text.len()));
            let label = |label: &str| {
                !label.is_empty() && label.bytes().all(|c| c.is_ascii_alphanumeric() || b"-_".contains(&c))
            };
            if !host.strip_suffix('.').unwrap_or(host).split('.').all(label) {
                return Err(NO_RELAY);
            }
            (host.to_owned(), port)
        }
    };
    let port = match port.strip_prefix([':', ';']) {
        None if port.is_empty() => SMTP,
        None => return Err(NO_RELAY),
        Some(digits) if digits.bytes().all(|c| c.is_ascii_digit()) => {
            digits.parse().ok().filter(|port| *port != 0).ok_or(NO_PORT)?
        }
        Some(_) => return Err(NO_PORT),
    };
    Ok((host, port))
}

const NO_RELAY: &str = "the relay is no host name or IP address";
const NO_PORT: &str = "the port is no number from 1 to 65535";

/// A user and a password as a file gives them. `-user` is John Simpson's sign for a password that may go out in clear.
pub fn credentials(user: &[u8], password: &[u8], source: &str) -> Result<Credentials, &'static str> {
    let (clear_allowed, user) = match user.strip_prefix(b"-") {
        Some(user) => (true, user),
        None => (false, user),
    };
    if user.is_empty() {
        return Err("no user before the password");
    }
    if password.is_empty() {
        return Err("a user without a password");
    }
    if user.iter().any(u8::is_ascii_control) {
        return Err("a control character in the user");
    }
    if password.contains(&0) {
        return Err("a NUL in the password");
    }
    let password = Secret::from(password);
    Ok(Credentials { user: user.to_vec(), password, by_certificate: false, clear_allowed, source: source.to_owned() })
}
