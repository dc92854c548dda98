//! Reading control files by qmail's rules: a missing file is a default, anything else that goes wrong is an error.

use crate::event::{Event, Log};
use crate::report::os_error;
use crate::secret::Secret;
use std::fs;
use std::io::{self, ErrorKind};
use std::net::IpAddr;
use std::os::unix::fs::FileTypeExt;
use std::path::PathBuf;

/// A control file that cannot be read or understood: which, where in it, and why.
#[derive(Debug, PartialEq, Eq)]
pub struct ControlError(pub String);

/// The control directory of a home.
pub struct Control {
    /// qmail's home, `/var/qmail` on most systems.
    pub home: PathBuf,
    /// What is told which files were asked for.
    pub log: Log,
}

impl Control {
    /// A whole file, or None when there is none. It may hold a password, so its memory is cleared when dropped.
    pub fn read(&self, name: &str) -> Result<Option<Secret>, ControlError> {
        let read = |path: PathBuf| match fs::metadata(&path)?.file_type().is_fifo() {
            true => Err(io::Error::other("a FIFO, which would be waited for")),
            false => fs::read(path),
        };
        self.found(name, read).map(|content| content.map(Secret::from))
    }

    /// Whether there is a file or directory of this name.
    pub fn exists(&self, name: &str) -> Result<bool, ControlError> {
        self.found(name, fs::metadata).map(|metadata| metadata.is_some())
    }

    /// The names in a directory; none where it may not be listed.
    pub fn names(&self, name: &str) -> Result<Vec<String>, ControlError> {
        let list = |path: PathBuf| match fs::read_dir(path) {
            Err(error) if error.kind() == ErrorKind::PermissionDenied => Ok(Vec::new()),
            entries => entries?.map(|entry| Ok(entry?.file_name().to_string_lossy().into_owned())).collect(),
        };
        Ok(self.found(name, list)?.unwrap_or_default())
    }

    /// What `ask` finds, or None when there is nothing of this name. A link that leads nowhere is something: it says that
    /// there should be a file.
    fn found<T>(&self, name: &str, ask: impl FnOnce(PathBuf) -> io::Result<T>) -> Result<Option<T>, ControlError> {
        let control = self.home.join("control");
        let path = control.join(name);
        match ask(path.clone()) {
            Ok(found) => {
                self.log.tell(&Event::File(name, true));
                Ok(Some(found))
            }
            Err(error) if error.kind() == ErrorKind::NotFound => {
                let mut on_the_way = path.ancestors().take_while(|path| *path != control);
                match on_the_way.any(|path| path.is_symlink() && !path.exists()) {
                    true => Err(ControlError(format!("control/{name}: a link that leads nowhere"))),
                    false => {
                        self.log.tell(&Event::File(name, false));
                        Ok(None)
                    }
                }
            }
            Err(error) => Err(ControlError(format!("control/{name}: {}", os_error(&error)))),
        }
    }

    /// The first line without blanks at its end, as stock's control_readline gives it.
    pub fn first_line(&self, name: &str) -> Result<Option<Secret>, ControlError> {
        let Some(content) = self.read(name)? else { return Ok(None) };
        let line = content.split(|c| *c == b'\n').next().unwrap_or_default();
        Ok(Some(Secret::from(strip_blanks(line))))
    }

    /// The number that begins the first line; the default when there is none, as stock's control_readint.
    pub fn number(&self, name: &str, default: u64) -> Result<u64, ControlError> {
        let Some(line) = self.first_line(name)? else { return Ok(default) };
        let digits = line.iter().take_while(|c| c.is_ascii_digit());
        let add = |number: u64, digit: &u8| number.saturating_mul(10).saturating_add(u64::from(digit - b'0'));
        Ok(if line.first().is_some_and(u8::is_ascii_digit) { digits.fold(0, add) } else { default })
    }

    /// The IP address in the first line; none where that is empty.
    pub fn ip(&self, name: &str) -> Result<Option<IpAddr>, ControlError> {
        let line = self.first_line(name)?.unwrap_or_default();
        let address = std::str::from_utf8(&line).ok().and_then(|line| line.parse().ok());
        match address {
            None if !line.is_empty() => Err(ControlError(format!("control/{name}: no IP address in the first line"))),
            address => Ok(address),
        }
    }

    /// control/helohost, else control/me. It goes out as it stands, so it must be one word.
    pub fn helohost(&self) -> Result<Vec<u8>, ControlError> {
        for name in ["helohost", "me"] {
            match self.first_line(name)? {
                Some(host) if host.iter().any(|c| !c.is_ascii_graphic()) => {
                    return Err(ControlError(format!(
                        "control/{name}: a host name has no blanks or control characters"
                    )));
                }
                Some(host) if !host.is_empty() => return Ok(host.to_vec()),
                _ => {}
            }
        }
        Err(ControlError("control/me: no host name".to_owned()))
    }
}

/// qmail drops blanks, tabs and line ends at a line's end, and keeps CR.
pub fn strip_blanks(line: &[u8]) -> &[u8] {
    let kept = line.iter().rposition(|c| !b" \t\n".contains(c)).map_or(0, |last| last + 1);
    &line[..kept]
}
