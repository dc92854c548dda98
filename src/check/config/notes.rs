//! The lines that `--config` prints, some of them warnings, and whether one of these says that mail is deferred.

use crate::check::printable;
use std::collections::HashSet;
use std::path::Path;

#[derive(Default)]
pub struct Notes {
    lines: Vec<String>,
    /// To print each warning once.
    warnings: HashSet<String>,
    defers_mail: bool,
}

impl Notes {
    /// Adds a line about something that is as it should be.
    pub fn say(&mut self, line: String) {
        self.lines.push(printable(line.as_bytes()));
    }

    /// Adds a warning.
    pub fn warn(&mut self, line: &str) {
        let line = format!("warning: {}", printable(line.as_bytes()));
        if self.warnings.insert(line.clone()) {
            self.lines.push(line);
        }
    }

    /// Adds a warning about something that defers mail; `line` says so.
    pub fn warn_deferral(&mut self, line: &str) {
        self.warn(line);
        self.defers_mail = true;
    }

    /// Whether a warning has these words.
    pub fn have_said(&self, words: &str) -> bool {
        self.warnings.iter().any(|line| line.contains(words))
    }

    /// All lines, and whether mail is deferred.
    pub fn finish(self) -> (Vec<String>, bool) {
        (self.lines, self.defers_mail)
    }
}

/// A path as one word of a shell command, for an administrator to paste.
pub fn shell_path(path: &Path) -> String {
    shell_word(path.as_os_str().as_encoded_bytes())
}

/// Octets as one word of a shell command, in printable ASCII. A LF at the end is lost: `$(...)` drops it.
fn shell_word(octets: &[u8]) -> String {
    let is_plain = |c: &u8| c.is_ascii_alphanumeric() || b"/._-+@:".contains(c);
    let text = String::from_utf8_lossy(octets);
    match octets {
        [_, ..] if octets.iter().all(is_plain) => text.into_owned(),
        _ if octets.iter().all(|c| *c == b' ' || c.is_ascii_graphic()) => format!("'{}'", text.replace('\'', r"'\''")),
        _ => {
            let octal = |c: &u8| if is_plain(c) { char::from(*c).to_string() } else { format!("\\{c:03o}") };
            // The first octet is always octal: printf would take a leading `-` for an option.
            let (first, rest) = (format!("\\{:03o}", octets[0]), octets[1..].iter().map(octal).collect::<String>());
            format!("\"$(printf '{first}{rest}')\"")
        }
    }
}
