//! The lines that `--config` prints, some of them warnings, and whether one of these says that mail is deferred.

use crate::check::printable;
use std::collections::HashSet;

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
