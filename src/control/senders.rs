//! control/authsenders: the relay and the login for a sender. It wins over control/smtproutes.
//!
//! A line is `sender:relay[:port]|user|password`; after the first colon it may have any form of a line of smtproutes. Without a
//! relay, `sender:|user|password` is a login for the relay of the route. So is `sender|user|password`, which other programs
//! silently ignore. A sender is a whole address, the end of one from an `@` or a `.` on, or empty.

use super::files::{Control, ControlError};
use super::routes::{self, BestMatch};
use super::{Credentials, Route};
use crate::cause::ControlCause;

/// The name of the file in the control directory.
pub const FILE: &str = "authsenders";

/// What a line says about the mail of its senders.
pub enum Sender {
    /// It goes to this relay.
    Relay(Box<Route>),
    /// It goes to the relay of its route, with this login.
    Login(Credentials),
}

/// What the file says for a sender. The longest key counts, and of several lines with this key the last one. None: there is no such
/// line, or its value is empty.
pub fn find(control: &Control, sender: &[u8]) -> Result<Option<Sender>, ControlError> {
    let Some(content) = control.read(FILE)? else { return Ok(None) };
    let mut best = BestMatch::new(sender, b"@.");
    for (line, number) in routes::all_lines(&content) {
        // Only a line whose key matches, or has no clear end, needs a full look. There are few.
        if split(line).is_some_and(|(key, _)| !best.matches(key)) {
            continue;
        }
        if let Some(line) = routes::significant(line) {
            let (key, value, number) = entry(line, number)?;
            best.consider(key, value, number);
        }
    }
    let Some((value, number)) = best.value() else { return Ok(None) };
    control.note_login(FILE, &content, || &value[routes::relay_end(value)..]);
    understand(value, number)
}

/// The key of a line, its value, and the line's number as given. An error if it is not clear where the key ends.
pub fn entry(line: &[u8], number: usize) -> Result<(&[u8], &[u8], usize), ControlError> {
    // The key is ambiguous and may match this sender: sending without the login that was written for it would be wrong.
    let (key, value) = split(line)
        .ok_or_else(|| ControlError { place: format!("control/{FILE} line {number}"), why: ControlCause::NoKey })?;
    Ok((key, value, number))
}

/// Parses the value of line `number`. None: it has neither relay nor login.
pub fn understand(value: &[u8], number: usize) -> Result<Option<Sender>, ControlError> {
    let source = format!("control/{FILE} line {number}");
    let understood = match value.first() {
        Some(b'|') => routes::check_ends(value)
            .and_then(|()| routes::parse_login(value, &source))
            .map(|login| login.map(Sender::Login)),
        _ => routes::parse_of_sender(value, &source).map(|route| Some(Sender::Relay(route))),
    };
    understood.map_err(|why| ControlError { place: source, why })
}

/// The key and the value of a line. None: it is not clear where the key ends. `a|b@c:d` may be a relay for the sender `a|b@c`, or a
/// login for the sender `a`.
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
