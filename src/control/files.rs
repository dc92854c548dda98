//! Reads control files by qmail's rules: a missing file means the default, and any other failure is an error. Marks and line ends
//! of another system's editor must not hide a line: they are skipped, or an error.

use super::{routes, senders};
use crate::cause::{ControlCause, FileError};
use crate::denied;
use crate::event::{Event, Log};
use crate::report::os_error;
use crate::text_encoding::{self, MARK};
use qmail_auth::secret::Secret;
use std::cell::RefCell;
use std::error::Error;
use std::fmt;
use std::fs::{self, Metadata};
use std::io::{self, ErrorKind};
use std::iter;
use std::net::IpAddr;
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::PathBuf;

/// A control file that cannot be read or understood. The mail waits until somebody has fixed it.
#[derive(Debug, PartialEq, Eq)]
pub struct ControlError {
    /// The file, and the line if that is known: `control/smtproutes line 1`.
    pub place: String,
    /// What is wrong there.
    pub why: ControlCause,
}

impl fmt::Display for ControlError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.place, self.why)
    }
}

impl Error for ControlError {}

impl ControlError {
    /// An error in a whole file; `name` is its path in the control directory.
    pub fn of(name: &str, why: ControlCause) -> ControlError {
        ControlError { place: format!("control/{name}"), why }
    }
}

/// The control directory of one qmail home. Names of files are paths in this directory.
pub struct Control {
    /// qmail's home, `/var/qmail` on most systems.
    pub home: PathBuf,
    /// Receives an event for each file asked for.
    pub log: Log,
    /// Keeps what was found, where that is wanted.
    pub seen: Option<Seen>,
}

/// What was found of the control files that were asked for.
pub struct Seen(RefCell<Found>);

struct Found {
    /// The names of the files, one after the other.
    names: String,
    /// Where the name of each ends, and the state of the file. None: there is none.
    files: Vec<(usize, Option<FileState>)>,
    /// In a file of lines: the number of the first one with the login that was found, if that was a later one.
    logins: Vec<(&'static str, usize)>,
}

impl Default for Seen {
    /// With room for all that a delivery asks for.
    fn default() -> Seen {
        let (names, files) = (String::with_capacity(400), Vec::with_capacity(20));
        Seen(RefCell::new(Found { names, files, logins: Vec::new() }))
    }
}

/// What tells a file from another one, and from itself before a change: device, inode, size, and the times of change of the content
/// and of the inode, in seconds and nanoseconds.
pub type FileState = [u64; 7];

/// The state of a file.
pub fn state(file: &Metadata) -> FileState {
    let times = [file.mtime(), file.mtime_nsec(), file.ctime(), file.ctime_nsec()].map(|time| time as u64);
    let [mtime, mtime_ns, ctime, ctime_ns] = times;
    [file.dev(), file.ino(), file.size(), mtime, mtime_ns, ctime, ctime_ns]
}

impl Seen {
    /// The state of a control file that was asked for, without asking again. The outer None: it was not.
    pub fn file(&self, name: &str) -> Option<Option<FileState>> {
        let Found { names, files, .. } = &*self.0.borrow();
        let mut start = 0;
        let mut names = files.iter().map(|(end, state)| (&names[std::mem::replace(&mut start, *end)..*end], *state));
        names.find(|(seen, _)| *seen == name).map(|(_, state)| state)
    }

    /// The number of the first line of this file with the login that was found, if that was in a later one.
    pub fn login(&self, file: &str) -> Option<usize> {
        self.0.borrow().logins.iter().rev().find(|(seen, _)| *seen == file).map(|(_, number)| *number)
    }

    fn note(&self, name: &str, state: Option<FileState>) {
        let found = &mut *self.0.borrow_mut();
        found.names += name;
        found.files.push((found.names.len(), state));
    }
}

impl Control {
    /// A whole file, without a byte order mark. None: there is no file. It may hold a password, so it is a [`Secret`].
    pub fn read(&self, name: &str) -> Result<Option<Secret>, ControlError> {
        let Some(mut content) = self.octets(name)? else { return Ok(None) };
        text_encoding::skip_mark(&mut content).map_err(|why| ControlError::of(name, ControlCause::File { why }))?;
        // Every octet of a password's line belongs to the password, a CR too.
        let hidden = if name.ends_with("/password") { None } else { hidden_line(&content) };
        if let Some((at, why)) = hidden {
            let number = memchr::memchr_iter(b'\n', &content[..at]).count() + 1;
            return Err(ControlError { place: format!("control/{name} line {number}"), why });
        }
        Ok(Some(content))
    }

    /// Whether the file begins with a byte order mark. False if it cannot be read.
    pub fn has_mark(&self, name: &str) -> bool {
        self.octets(name).is_ok_and(|content| content.is_some_and(|content| content.starts_with(MARK)))
    }

    fn octets(&self, name: &str) -> Result<Option<Secret>, ControlError> {
        let read = |path: PathBuf| {
            let file = fs::metadata(&path)?;
            self.note(name, || Some(state(&file)));
            if file.file_type().is_fifo() {
                return Err(io::Error::other(FileError::Fifo)); // opening it would wait for a writer
            }
            fs::read(path)
        };
        self.found(name, read).map(|content| content.map(Secret::from))
    }

    /// Whether there is a file or directory of this name.
    pub fn exists(&self, name: &str) -> Result<bool, ControlError> {
        let found = self.found(name, fs::metadata)?;
        found.iter().for_each(|file| self.note(name, || Some(state(file))));
        Ok(found.is_some())
    }

    fn note(&self, name: &str, state: impl FnOnce() -> Option<FileState>) {
        if let Some(seen) = &self.seen {
            seen.note(name, state());
        }
    }

    /// Notes which line of a file is the first with the login that was found, if that is an earlier one: lines with the same login are
    /// one to its relay. `login` is the end of the line that was found, from the sign before the user on; it is a part of `content`.
    pub fn note_login<'a>(&self, file: &'static str, content: &'a [u8], login: impl FnOnce() -> &'a [u8]) {
        let Some(seen) = &self.seen else { return };
        let login = login();
        let before = &content[..login.as_ptr() as usize - content.as_ptr() as usize];
        if login.is_empty() || before.len() < login.len() {
            return; // in most homes there is one line
        }
        let ends_line = |at: &usize| strip_blanks(first_line(&content[at + login.len()..])).is_empty();
        if let Some(first) = memchr::memmem::find_iter(before, login).find(ends_line) {
            let number = memchr::memchr_iter(b'\n', &before[..first]).count() + 1;
            seen.0.borrow_mut().logins.push((file, number));
        }
    }

    /// The names in a directory. Empty if there is no directory, or no permission to list it.
    pub fn names(&self, name: &str) -> Result<Vec<String>, ControlError> {
        let list = |path: PathBuf| match fs::read_dir(path) {
            Err(error) if error.kind() == ErrorKind::PermissionDenied => Ok(Vec::new()),
            entries => entries?.map(|entry| Ok(entry?.file_name().to_string_lossy().into_owned())).collect(),
        };
        Ok(self.found(name, list)?.unwrap_or_default())
    }

    /// What `ask` finds. None: there is nothing of this name. A dangling symlink is an error: somebody wanted a file to be there.
    fn found<T>(&self, name: &str, ask: impl FnOnce(PathBuf) -> io::Result<T>) -> Result<Option<T>, ControlError> {
        let control = self.home.join("control");
        let path = control.join(name);
        match ask(path.clone()) {
            Ok(found) => {
                self.log.notify(&Event::File(name, true));
                Ok(Some(found))
            }
            Err(error) if error.kind() == ErrorKind::NotFound => {
                let is_dangling = |path: PathBuf| path.is_symlink() && !path.exists();
                let mut on_the_way = iter::successors(Some(name), |name| Some(name.rsplit_once('/')?.0));
                if on_the_way.any(|name| is_dangling(control.join(name))) {
                    return Err(ControlError::of(name, ControlCause::DanglingLink));
                }
                self.note(name, || None);
                self.log.notify(&Event::File(name, false));
                Ok(None)
            }
            Err(error) if error.kind() == ErrorKind::PermissionDenied => {
                let may_hold_secret = [routes::FILE, senders::FILE].contains(&name) || name.starts_with("relays/");
                Err(ControlError::of(
                    name,
                    ControlCause::File { why: denied::error(&path, may_hold_secret, Some(&self.home)) },
                ))
            }
            Err(error) => Err(ControlError::of(name, ControlCause::System { why: os_error(&error) })),
        }
    }

    /// The first line without blanks at its end, as control_readline of stock qmail reads it. None: there is no file.
    pub fn first_line(&self, name: &str) -> Result<Option<Secret>, ControlError> {
        let Some(content) = self.read(name)? else { return Ok(None) };
        Ok(Some(Secret::from(strip_blanks(first_line(&content)))))
    }

    /// The number at the beginning of the first line, as control_readint of stock qmail reads it; the default if there is no
    /// number.
    pub fn number(&self, name: &str, default: u64) -> Result<u64, ControlError> {
        let Some(line) = self.first_line(name)? else { return Ok(default) };
        let digits = line.iter().take_while(|c| c.is_ascii_digit());
        let add = |number: u64, digit: &u8| number.saturating_mul(10).saturating_add(u64::from(digit - b'0'));
        Ok(if line.first().is_some_and(u8::is_ascii_digit) { digits.fold(0, add) } else { default })
    }

    /// The IP address in the first line. None: there is no file, or the line is empty.
    pub fn ip(&self, name: &str) -> Result<Option<IpAddr>, ControlError> {
        let line = self.first_line(name)?.unwrap_or_default();
        let address = std::str::from_utf8(&line).ok().and_then(|line| line.parse().ok());
        match address {
            None if !line.is_empty() => Err(ControlError::of(name, ControlCause::NoIpAddress)),
            address => Ok(address),
        }
    }

    /// The name for EHLO: control/helohost, else control/me. It is sent unchanged, so it must be one word of printable ASCII.
    pub fn helohost(&self) -> Result<Vec<u8>, ControlError> {
        for name in ["helohost", "me"] {
            match self.first_line(name)? {
                Some(host) if host.iter().any(|c| !c.is_ascii_graphic()) => {
                    return Err(ControlError::of(name, ControlCause::BadHostName));
                }
                Some(host) if !host.is_empty() => return Ok(host.to_vec()),
                _ => {}
            }
        }
        Err(ControlError::of("me", ControlCause::NoHostName))
    }
}

/// Finds what hides a line under qmail's rules: its index, and the cause.
///
/// - A CR. Another system's editor took the CR for a line end. The line after it would be part of a comment, or go to a relay
///   as the end of a password. If what follows does not look like a line, the CR may belong to a password.
/// - A byte order mark that begins a line, as after joining two files. The mark would become part of the line's key.
fn hidden_line(content: &[u8]) -> Option<(usize, ControlCause)> {
    let is_one_line = memchr::memchr(b'\n', content).is_none();
    let mut looked_at = 0;
    memchr::memchr2_iter(b'\r', MARK[0], content).find_map(|at| {
        let (before, behind) = content.split_at(at);
        if behind.starts_with(MARK) && before.ends_with(b"\n") {
            return Some((at, ControlCause::HiddenMark));
        }
        if behind[0] != b'\r' || at < looked_at {
            return None;
        }
        let rest = &behind[1..];
        let rest = &rest[..memchr::memchr(b'\n', rest).unwrap_or(rest.len())];
        looked_at = at + rest.len();
        let may_be_a_line = if is_one_line { !rest.is_empty() } else { memchr::memchr2(b':', b'|', rest).is_some() };
        may_be_a_line.then_some((at, ControlCause::HiddenLine))
    })
}

/// The first line without its LF.
pub fn first_line(content: &[u8]) -> &[u8] {
    &content[..memchr::memchr(b'\n', content).unwrap_or(content.len())]
}

/// A line without the blanks, tabs and LFs at its end. qmail keeps a CR there.
pub fn strip_blanks(line: &[u8]) -> &[u8] {
    let kept = line.iter().rposition(|c| !b" \t\n".contains(c)).map_or(0, |last| last + 1);
    &line[..kept]
}
