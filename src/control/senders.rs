//! control/authsenders: the relay and the login of a sender, before what control/smtproutes says.
//!
//! `sender:relay[:port]|user|password`, with all that a line of smtproutes may have there. `sender:|user|password`, and
//! `sender|user|password`, which other programs pass over in silence, is a login for the relay that the route names. A sender is a
//! whole address, the end of one from an `@` or a `.` on, or nothing.

use super::files::{Control, ControlError};
use super::routes::{self, Best};
use super::{Credentials, Route};
use crate::cause::ControlCause;

/// In the control directory.
pub const FILE: &str = "authsenders";

/// What a line says.
pub enum Sender {
    /// The mail goes by this relay.
    Relay(Box<Route>),
    /// It goes where it would go, and logs in so.
    Login(Credentials),
}

/// The line for a sender: that of the longest key, the last of several. None where there is none, or nothing behind its colon.
pub fn find(control: &Control, sender: &[u8]) -> Result<Option<Sender>, ControlError> {
    let Some(content) = control.read(FILE)? else { return Ok(None) };
    let mut best = Best::new(sender, b"@.");
    for (line, number) in routes::all_lines(&content) {
        // Few lines can be for the sender, or for nobody knows whom, and only those are looked at as a whole.
        if split(line).is_some_and(|(key, _)| !best.has(key)) {
            continue;
        }
        if let Some(line) = routes::telling(line) {
            let (key, value, number) = entry(line, number)?;
            best.offer(key, value, number);
        }
    }
    best.value().map(|(value, number)| understand(value, number)).transpose().map(Option::flatten)
}

/// The key of a line, what is for it, and the number of the line. An error where that cannot be told.
pub fn entry(line: &[u8], number: usize) -> Result<(&[u8], &[u8], usize), ControlError> {
    // The key is ambiguous and may match this sender, whose mail would go out without the login that was written for it.
    let (key, value) = split(line)
        .ok_or_else(|| ControlError { place: format!("control/{FILE} line {number}"), why: ControlCause::NoKey })?;
    Ok((key, value, number))
}

/// What the line says for its key. None: nothing of its own.
pub fn understand(value: &[u8], number: usize) -> Result<Option<Sender>, ControlError> {
    let source = format!("control/{FILE} line {number}");
    let understood = match value.first() {
        Some(b'|') => {
            routes::check_ends(value).and_then(|()| routes::login(value, &source)).map(|login| login.map(Sender::Login))
        }
        _ => routes::parse(value, &source).map(|route| Some(Sender::Relay(Box::new(route)))),
    };
    understood.map_err(|why| ControlError { place: source, why })
}

/// The key, and what is for it. None where that cannot be told: `a|b@c:d` may be a relay for the sender `a|b@c`, or a login for
/// the sender `a`.
fn split(line: &[u8]) -> Option<(&[u8], &[u8])> {
    let (key, rest) = line.split_at(memchr::memchr2(b':', b'|', line)?);
    if let Some(value) = rest.strip_prefix(b":") {
        return Some((key, value));
    }
    let begins_host = matches!(key, [] | [b'.', ..]) || key.contains(&b'@');
    let names_host = || {
        let before_colon = &rest[..memchr::memchr(b':', rest).unwrap_or(0)];
        before_colon.rsplit(|c| *c == b'|').next().is_some_and(|last| last.contains(&b'@'))
    };
    (begins_host || !names_host()).then_some((key, rest))
}
