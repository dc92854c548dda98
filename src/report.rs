//! The output for qmail-rspawn (qmail-remote(8)): recipient reports, then exactly one message report, each ended by NUL. The order
//! matters: the first report that begins with K, Z or D decides.

use crate::cause::{Cause, Note};
use crate::verdict::{self, Fate, RecipientFate};
use qmail_auth::mask::Mask;
use std::fmt::{Display, Write};

/// How many octets of a server's reply a report shows; stock qmail-remote keeps as many.
const SERVER_TEXT: usize = 5000;
/// The initial capacity for a line of our own words, in octets: enough for most.
const OWN_LINE: usize = 200;

/// A message report: the fate of the mail, and why.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Verdict {
    fate: Fate,
    text: Vec<u8>,
}

impl Verdict {
    /// A verdict whose fate was decided by a reply. The cause becomes its first line.
    pub fn new(fate: Fate, cause: &Cause) -> Verdict {
        Verdict { fate, text: own_line(cause) }
    }

    /// Adds the server's reply below, with its secrets masked.
    pub fn with_reply(mut self, reply: &[u8], mask: Option<&Mask>) -> Verdict {
        add_reply(&mut self.text, reply, mask);
        self
    }

    /// Adds one more line of our own words.
    pub fn with_note(mut self, note: &Note) -> Verdict {
        self.text.append(&mut own_line(note));
        self
    }

    /// What becomes of the mail.
    pub fn fate(&self) -> Fate {
        self.fate
    }

    /// Whether the mail goes back to its sender.
    pub fn bounces(&self) -> bool {
        self.fate == Fate::Bounced
    }

    /// The lines of the report, each with its LF, without the letter before them.
    pub fn text(&self) -> &[u8] {
        &self.text
    }
}

/// Without a reply that decides, the cause itself has a fate.
impl From<Cause> for Verdict {
    fn from(cause: Cause) -> Verdict {
        Verdict::new(verdict::fate(&cause), &cause)
    }
}

/// A recipient report.
pub struct RecipientReport {
    fate: RecipientFate,
    text: Vec<u8>,
}

impl RecipientReport {
    /// The report of a recipient that was accepted.
    pub fn accepted() -> RecipientReport {
        RecipientReport { fate: RecipientFate::Accepted, text: Vec::new() }
    }

    /// The report of a recipient that was refused, with the server's reply.
    pub fn refused(fate: RecipientFate, cause: &Cause, reply: &[u8], mask: Option<&Mask>) -> RecipientReport {
        let mut text = own_line(cause);
        add_reply(&mut text, reply, mask);
        RecipientReport { fate, text }
    }

    /// Whether the recipient was accepted.
    pub fn is_accepted(&self) -> bool {
        self.fate == RecipientFate::Accepted
    }
}

/// The whole output of a delivery.
pub fn output(recipients: &[RecipientReport], verdict: &Verdict) -> Vec<u8> {
    let mut out = Vec::with_capacity(verdict.text.len() + 16);
    for recipient in recipients {
        out.push(recipient.fate.letter());
        out.extend_from_slice(&recipient.text);
        out.push(0);
    }
    out.push(verdict.fate.letter());
    out.extend_from_slice(&verdict.text);
    out.push(0);
    out
}

/// Adds a reply as stock qmail-remote shows it, with secrets masked. NUL would end the report, so it becomes `?`.
fn add_reply(text: &mut Vec<u8>, reply: &[u8], mask: Option<&Mask>) {
    let mut said = mask.map_or_else(|| reply.to_vec(), |mask| mask.apply(reply));
    said.truncate(SERVER_TEXT);
    if said.last() != Some(&b'\n') {
        said.push(b'\n');
    }
    said.iter_mut().filter(|c| **c == 0).for_each(|c| *c = b'?');
    text.extend_from_slice(b"Remote host said: ");
    text.append(&mut said);
}

/// An error in the words of the system, without its number.
pub fn os_error(error: &std::io::Error) -> String {
    let text = error.to_string();
    text.split(" (os error").next().unwrap_or_default().to_owned()
}

/// A line of our own words, with its LF. It may quote arguments and control files, which can contain anything. So control
/// characters become `?`: they must not end the line or the report.
fn own_line(text: &impl Display) -> Vec<u8> {
    let mut line = String::with_capacity(OWN_LINE);
    let _ = write!(line, "{text}"); // writing to a String cannot fail
    let mut line = line.into_bytes();
    line.iter_mut().filter(|c| c.is_ascii_control()).for_each(|c| *c = b'?');
    line.push(b'\n');
    line
}
