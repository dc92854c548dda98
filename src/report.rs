//! What qmail-rspawn reads: recipient reports, then exactly one message report, each ended by NUL.

use qmail_auth::mask::Mask;

/// As much of a server's words as stock qmail-remote keeps.
const SERVER_TEXT: usize = 5000;

/// The letter of a message report. Its order matters to qmail-rspawn, so there is one for a delivery, and it is last.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Letter {
    /// Delivered.
    K,
    /// To be tried again.
    Z,
    /// Bounced.
    D,
}

/// A message report.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Verdict {
    letter: Letter,
    text: Vec<u8>,
}

impl Verdict {
    /// A verdict in one line of our own words; the LF is added.
    pub fn new(letter: Letter, line: impl Into<String>) -> Verdict {
        Verdict { letter, text: own_line(line.into()) }
    }

    /// The same with the server's words below.
    pub fn with_reply(letter: Letter, line: impl Into<String>, reply: &[u8], mask: Option<&Mask>) -> Verdict {
        Verdict { letter, text: [own_line(line.into()), server_text(reply, mask)].concat() }
    }

    /// The mail is to be bounced.
    pub fn is_final(&self) -> bool {
        self.letter == Letter::D
    }

    /// The mail was taken, or a check has found nothing against it.
    pub fn is_good(&self) -> bool {
        self.letter == Letter::K
    }

    /// All its lines, each with its LF, without the letter.
    pub fn text(&self) -> &[u8] {
        &self.text
    }

    /// The same with one more line of ours at its end.
    pub fn and_line(mut self, line: String) -> Verdict {
        self.text.extend(own_line(line));
        self
    }
}

/// A recipient report: `r` accepted, `h` refused for good, `s` refused for now.
pub struct RecipientReport {
    letter: u8,
    text: Vec<u8>,
}

impl RecipientReport {
    /// The report of a recipient that was accepted.
    pub fn accepted() -> RecipientReport {
        RecipientReport { letter: b'r', text: Vec::new() }
    }

    /// The report of one that was refused, with the server's words.
    pub fn refused(for_good: bool, line: String, reply: &[u8], mask: Option<&Mask>) -> RecipientReport {
        let letter = if for_good { b'h' } else { b's' };
        RecipientReport { letter, text: [own_line(line), server_text(reply, mask)].concat() }
    }

    /// The recipient was accepted.
    pub fn is_accepted(&self) -> bool {
        self.letter == b'r'
    }
}

/// The whole output of a delivery.
pub fn output(recipients: &[RecipientReport], verdict: &Verdict) -> Vec<u8> {
    let mut out = Vec::with_capacity(verdict.text.len() + 16);
    for recipient in recipients {
        out.push(recipient.letter);
        out.extend_from_slice(&recipient.text);
        out.push(0);
    }
    out.push(match verdict.letter {
        Letter::K => b'K',
        Letter::Z => b'Z',
        Letter::D => b'D',
    });
    out.extend_from_slice(&verdict.text);
    out.push(0);
    out
}

/// A reply (each line with its LF) as stock shows it, with secrets masked and NUL, which would end the report, as `?`.
fn server_text(reply: &[u8], mask: Option<&Mask>) -> Vec<u8> {
    let mut said = mask.map_or_else(|| reply.to_vec(), |mask| mask.apply(reply));
    said.truncate(SERVER_TEXT);
    if said.last() != Some(&b'\n') {
        said.push(b'\n');
    }
    said.iter_mut().filter(|c| **c == 0).for_each(|c| *c = b'?');
    [b"Remote host said: ".to_vec(), said].concat()
}

/// An error in the system's own words.
pub fn os_error(error: &std::io::Error) -> String {
    let text = error.to_string();
    text.split(" (os error").next().unwrap_or_default().to_owned()
}

/// A line of our own, with its LF. It may have words from arguments and control files, which can hold anything; they must
/// not end the report or the line.
fn own_line(line: String) -> Vec<u8> {
    let mut line = line.into_bytes();
    line.iter_mut().filter(|c| c.is_ascii_control()).for_each(|c| *c = b'?');
    line.push(b'\n');
    line
}
