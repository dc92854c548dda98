//! What `--config` has to say: lines, some of them warnings, and whether mail is put off by what was found.

use crate::check::printable;
use std::collections::HashSet;
use std::path::Path;

/// The lines, in their order.
#[derive(Default)]
pub struct Notes {
    lines: Vec<String>,
    /// The lines that are warnings.
    warnings: HashSet<String>,
    puts_off: bool,
}

impl Notes {
    /// Something that is as it should be.
    pub fn say(&mut self, line: String) {
        self.lines.push(printable(line.as_bytes()));
    }

    /// Something to look at. It is said once.
    pub fn warn(&mut self, line: &str) {
        let line = format!("warning: {}", printable(line.as_bytes()));
        if self.warnings.insert(line.clone()) {
            self.lines.push(line);
        }
    }

    /// Something that puts mail off, as `line` says.
    pub fn warn_of_delay(&mut self, line: &str) {
        self.warn(line);
        self.puts_off = true;
    }

    /// All lines; and whether mail is put off.
    pub fn end(self) -> (Vec<String>, bool) {
        (self.lines, self.puts_off)
    }
}

/// A path as a word of a shell's command line: a `'` and all that is not ASCII can stand in it.
pub fn shell_path(path: &Path) -> String {
    shell_word(path.as_os_str().as_encoded_bytes())
}

/// Octets as a word of a shell's command line. All but a LF at the end can stand in it; what is printed is ASCII.
fn shell_word(octets: &[u8]) -> String {
    let is_plain = |c: &u8| c.is_ascii_alphanumeric() || b"/._-+@:".contains(c);
    let text = String::from_utf8_lossy(octets);
    match octets {
        [_, ..] if octets.iter().all(is_plain) => text.into_owned(),
        _ if octets.iter().all(|c| *c == b' ' || c.is_ascii_graphic()) => format!("'{}'", text.replace('\'', r"'\''")),
        _ => {
            let octal = |c: &u8| if is_plain(c) { char::from(*c).to_string() } else { format!("\\{c:03o}") };
            // Behind a `-` printf would look for options.
            let (first, rest) = (format!("\\{:03o}", octets[0]), octets[1..].iter().map(octal).collect::<String>());
            format!("\"$(printf '{first}{rest}')\"")
        }
    }
}
