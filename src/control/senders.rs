//! control/authsenders: the relay and the login of a sender, before what control/smtproutes says.
//!
//! `sender:relay[:port]|user|password`, with all that a line of smtproutes may have there. `sender:|user|password`, and
//! `sender|user|password`, which other programs pass over in silence, is a login for the relay that the route names. A sender is a
//! whole address, the end of one from an `@` or a `.` on, or nothing.

use super::Route;
use super::files::{Control, ControlError};
use super::routes::{self, Best};
use crate::auth::Credentials;

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
    for entry in entries(&content) {
        let (key, value, number) = entry?;
        best.offer(key, value, number);
    }
    best.value().map(|(value, number)| understand(value, number)).transpose().map(Option::flatten)
}

/// The key of each line, what is for it, and the number of the line. An error where that cannot be told.
pub fn entries(content: &[u8]) -> impl Iterator<Item = Result<(&[u8], &[u8], usize), ControlError>> {
    routes::lines(content).map(|(line, number)| entry(line, number))
}

/// The same of one line.
pub fn entry(line: &[u8], number: usize) -> Result<(&[u8], &[u8], usize), ControlError> {
    // Whom it is for is not known, so it may be this one, who would go without the login that it was written for.
    let (key, value) = split(line).ok_or_else(|| {
        ControlError(format!(
            "control/{FILE} line {number}: neither sender:relay nor sender|user|password can be seen in it"
        ))
    })?;
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
    understood.map_err(|why| ControlError(format!("{source}: {why}")))
}

/// The key, and what is for it. None where that cannot be told: `a|b@c:d` may be a relay for the sender `a|b@c`, or a login for
/// the sender `a`.
fn split(line: &[u8]) -> Option<(&[u8], &[u8])> {
    let place = |sign| memchr::memchr(sign, line);
    match (place(b':'), place(b'|')) {
        (Some(colon), bar) if bar.is_none_or(|bar| bar > colon) => Some((&line[..colon], &line[colon + 1..])),
        (colon, Some(bar)) => {
            let begins_host = matches!(line[..bar], [] | [b'.', ..]) || line[..bar].contains(&b'@');
            let before_colon = &line[bar..colon.unwrap_or(bar)];
            let last = before_colon.rsplit(|c| *c == b'|').next().unwrap_or_default();
            (begins_host || !last.contains(&b'@')).then_some((&line[..bar], &line[bar..]))
        }
        _ => None,
    }
}
