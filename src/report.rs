//! What qmail-rspawn reads: recipient reports, then exactly one message report, each ended by NUL. The order matters to it: the
//! first piece that begins with K, Z or D decides.

use crate::cause::{Cause, Note};
use crate::verdict::{self, Fate, RecipientFate};
use qmail_auth::mask::Mask;
use std::fmt::{Display, Write};

/// As much of a server's words as stock qmail-remote keeps.
const SERVER_TEXT: usize = 5000;
/// Room for most lines of our own.
const OWN_LINE: usize = 200;

/// A message report: the fate of the mail, and why.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Verdict {
    fate: Fate,
    text: Vec<u8>,
}

impl Verdict {
    /// This fate, which a reply decides, and a first line that says why.
    pub fn new(fate: Fate, cause: &Cause) -> Verdict {
        Verdict { fate, text: own_line(cause) }
    }

    /// The same with the server's words below.
    pub fn with_reply(mut self, reply: &[u8], mask: Option<&Mask>) -> Verdict {
        add_reply(&mut self.text, reply, mask);
        self
    }

    /// The same with one more line of our own words.
    pub fn with_note(mut self, note: &Note) -> Verdict {
        self.text.append(&mut own_line(note));
        self
    }

    /// What becomes of the mail.
    pub fn fate(&self) -> Fate {
        self.fate
    }

    /// The mail goes back to its sender.
    pub fn bounces(&self) -> bool {
        self.fate == Fate::Bounced
    }

    /// All its lines, each with its LF, without the letter.
    pub fn text(&self) -> &[u8] {
        &self.text
    }
}

/// Where no reply decides, each cause has its fate.
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

    /// The report of one that was refused, with the server's words.
    pub fn refused(fate: RecipientFate, cause: &Cause, reply: &[u8], mask: Option<&Mask>) -> RecipientReport {
        let mut text = own_line(cause);
        add_reply(&mut text, reply, mask);
        RecipientReport { fate, text }
    }

    /// The recipient was accepted.
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

/// Adds a reply (each line with its LF) as stock shows it, with secrets masked and NUL, which would end the report, as `?`.
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

/// An error in the system's own words.
pub fn os_error(error: &std::io::Error) -> String {
    let text = error.to_string();
    text.split(" (os error").next().unwrap_or_default().to_owned()
}

/// A line of our own words, with its LF. It may have words from arguments and control files, which can hold anything; they must not end
/// the report or the line.
fn own_line(text: &impl Display) -> Vec<u8> {
    let mut line = String::with_capacity(OWN_LINE);
    let _ = write!(line, "{text}"); // a String takes all
    let mut line = line.into_bytes();
    line.iter_mut().filter(|c| c.is_ascii_control()).for_each(|c| *c = b'?');
    line.push(b'\n');
    line
}
