//! The files of an account's tokens: `refresh`, `access`, and `trouble`, which says why there is no token and until when nobody asks
//! again. c-glue writes each as `NAME.new` and renames that, so each is whole, whenever the process may end.
//!
//! A provider may make the refresh token void by giving a new one. So room for that is on the disk before it asks, and a `refresh.new`
//! that is whole counts: the process has ended before it could rename it.

use crate::account::directory;
use crate::account::token::{Access, is_token};
use crate::cause::oauth::TokenCause;
use crate::report::os_error;
use qmail_auth::secret::Secret;
use std::fs::{self, File};
use std::io::{self, ErrorKind, Read};
use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;

/// The names of the files.
pub const REFRESH: &str = "refresh";
/// Why there is no token.
pub const TROUBLE: &str = "trouble";
/// The file that is locked by who asks the provider.
pub const LOCK: &str = "lock";

/// What `NAME.new` of a file is called.
const NEW: &str = ".new";
/// That of `refresh`.
const NEW_REFRESH: &str = "refresh.new";

/// As much room as c-glue makes in `NAME.new`.
const ROOM: usize = 16 * 1024;

/// How long a trouble holds at most, in seconds. One that holds longer, or is of a later time than now, is of another clock.
pub const LONGEST: u64 = 900;

/// A directory of an account.
pub struct Store {
    /// The directory.
    pub directory: PathBuf,
    /// Whose files count.
    pub uid: u32,
}

/// Why there is no token.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Trouble {
    /// It will be there again, without anybody doing anything.
    pub is_later: bool,
    /// When that was found out.
    pub at: u64,
    /// Until when it is not asked again.
    pub until: u64,
    /// In words.
    pub words: String,
}

impl Store {
    /// The path of a file.
    pub fn path(&self, name: &str) -> PathBuf {
        directory::below(&self.directory, &[name])
    }

    /// The access token.
    pub fn access(&self) -> Option<Access> {
        Some(Access::read(&self.directory, self.uid)?.0)
    }

    /// The refresh token. An error if it does not count.
    pub fn refresh(&self) -> Result<Option<Secret>, TokenCause> {
        let Some(content) = self.read(REFRESH)? else { return Ok(None) };
        let token = whole(&content).ok_or_else(|| TokenCause::NoTokenIn { file: self.name(REFRESH) })?;
        Ok(Some(Secret::from(token)))
    }

    /// Whether there is a refresh token, or one that will be adopted.
    pub fn is_renewable(&self) -> Result<bool, TokenCause> {
        Ok(self.has_new()? || self.refresh()?.is_some())
    }

    /// Takes over a refresh token that was written and not renamed. The lock must be held. After an error the provider must not be
    /// asked: the new token may be the only one that is good, and its file would be overwritten.
    pub fn adopt(&self) -> Result<(), TokenCause> {
        if !self.has_new()? {
            return Ok(());
        }
        let sync = |()| File::open(&self.directory)?.sync_all();
        fs::rename(self.path(NEW_REFRESH), self.path(REFRESH))
            .and_then(sync)
            .map_err(|error| self.cause(NEW_REFRESH, &error))
    }

    /// Whether there is a new refresh token, whole, that has not its name yet.
    fn has_new(&self) -> Result<bool, TokenCause> {
        Ok(self.read(NEW_REFRESH)?.is_some_and(|content| whole(&content).is_some()))
    }

    /// What is in a file. None: it is absent. An error if it cannot be read, or somebody else may have written it.
    fn read(&self, name: &str) -> Result<Option<Secret>, TokenCause> {
        let path = self.path(name);
        let file = match fs::symlink_metadata(&path) {
            Err(error) => return self.absent(name, &error),
            Ok(file) => file,
        };
        if !file.is_file() || file.uid() != self.uid || file.mode() & 0o022 != 0 {
            return Err(TokenCause::NotOurs { path: self.name(name), kind: "file", uid: self.uid });
        }
        let mut content = vec![0; ROOM + 1]; // so that a secret is not moved by growing
        let mut read = || {
            let (mut file, mut length) = (File::open(&path)?, 0);
            while length < content.len() {
                match file.read(&mut content[length..]) {
                    Ok(0) => break,
                    Ok(count) => length += count,
                    Err(error) if error.kind() == ErrorKind::Interrupted => {}
                    Err(error) => return Err(error),
                }
            }
            Ok(length)
        };
        let length = read();
        let content = Secret::from(content);
        match length {
            Ok(length) => Ok(Some(Secret::from(&content[..length]))),
            Err(error) => self.absent(name, &error),
        }
    }

    fn absent<T>(&self, name: &str, error: &io::Error) -> Result<Option<T>, TokenCause> {
        if error.kind() == ErrorKind::NotFound { Ok(None) } else { Err(self.cause(name, error)) }
    }

    /// What has failed with a file.
    pub fn cause(&self, name: &str, error: &io::Error) -> TokenCause {
        TokenCause::File { file: self.name(name), why: os_error(error) }
    }

    fn name(&self, name: &str) -> String {
        self.path(name).display().to_string()
    }

    /// Removes a file.
    pub fn remove(&self, name: &str) {
        let _ = fs::remove_file(self.path(name)); // it does no harm
    }

    /// Removes `NAME.new`, which must hold nothing yet.
    pub fn remove_prepared(&self, name: &str) {
        self.remove(&[name, NEW].concat());
    }

    /// What is wrong, with this stamp of the files that say how tokens are had. None: nothing is, or one of these files has changed.
    pub fn trouble(&self, stamp: u64) -> Option<Trouble> {
        let (content, _) = directory::content(&self.path(TROUBLE), self.uid, ROOM)?;
        let (first, second) = std::str::from_utf8(&content).ok()?.strip_suffix('\n')?.split_once('\n')?;
        (first == stamp_line(stamp)).then(|| Trouble::parse(second)).flatten()
    }
}

/// The content of the file `refresh`.
pub fn refresh_content(token: &[u8]) -> Secret {
    let mut content = Secret::with_room(token.len() + 1);
    content.add(token);
    content.add(b"\n");
    content
}

/// The token in a file that was written to its end. What was prepared is NULs: they may still be behind the line, and the line has no end
/// where octets are missing.
fn whole(content: &[u8]) -> Option<&[u8]> {
    let length = content.iter().position(|c| *c == 0).unwrap_or(content.len());
    let (text, room) = content.split_at(length);
    text.strip_suffix(b"\n").filter(|token| is_token(token) && room.iter().all(|c| *c == 0))
}

impl Trouble {
    /// Whether nobody asks again at this Unix time.
    pub fn holds(&self, unix: u64) -> bool {
        self.at <= unix && unix < self.until && self.until <= unix.saturating_add(LONGEST)
    }

    /// The content of the file.
    pub fn content(&self, stamp: u64) -> Secret {
        let word = if self.is_later { "later" } else { "setup" };
        let Trouble { at, until, words, .. } = self;
        let text = format!("{}\n{word} {at} {until} {words}\n", stamp_line(stamp));
        Secret::from(text.into_bytes())
    }

    fn parse(line: &str) -> Option<Trouble> {
        let mut words = line.splitn(4, ' ');
        let is_later = match words.next()? {
            "later" => true,
            "setup" => false,
            _ => return None,
        };
        let (at, until) = (words.next()?.parse().ok()?, words.next()?.parse().ok()?);
        let words = words.next().filter(|words| words.bytes().all(|c| matches!(c, b' '..=b'~')))?.to_owned();
        Some(Trouble { is_later, at, until, words })
    }
}

fn stamp_line(stamp: u64) -> String {
    format!("stamp {stamp:016x}")
}

/// The user that a directory is for: what [`directory::name`] makes of it, back again. None: it is that of a client certificate.
pub fn user_of(name: &str) -> Option<Vec<u8>> {
    if name == "%" {
        return None;
    }
    let mut octets = Vec::new();
    let mut rest = name.as_bytes();
    while let Some((first, behind)) = rest.split_first() {
        let digits = behind.get(..2).filter(|_| *first == b'%').and_then(|digits| std::str::from_utf8(digits).ok());
        match digits.and_then(|digits| u8::from_str_radix(digits, 16).ok()) {
            Some(octet) => {
                octets.push(octet);
                rest = &behind[2..];
            }
            None => {
                octets.push(*first);
                rest = behind;
            }
        }
    }
    Some(octets)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whole_files() {
        let room = "\0".repeat(100);
        for whole in ["token\n".to_owned(), format!("token\n{room}")] {
            assert_eq!(super::whole(whole.as_bytes()), Some(&b"token"[..]), "{whole:?}");
        }
        for part in [
            String::new(),
            room.clone(),
            "token".into(),
            format!("tok{room}"),
            format!("{room}en\n"),
            format!("tok\0n\n{room}"),
            format!("token\n{room}x"),
            "token\nmore\n".into(),
            "\n".into(),
        ] {
            assert_eq!(whole(part.as_bytes()), None, "{part:?}");
        }
    }

    #[test]
    fn troubles() {
        let trouble = Trouble { is_later: true, at: 1000, until: 1060, words: "HTTP 503 later".to_owned() };
        let content = String::from_utf8(trouble.content(7).to_vec()).unwrap();
        assert_eq!(content, "stamp 0000000000000007\nlater 1000 1060 HTTP 503 later\n");
        assert_eq!(Trouble::parse("later 1000 1060 HTTP 503 later"), Some(trouble.clone()));
        for wrong in ["", "later", "later 1000 1060", "later x 1060 y", "never 1 2 y", "later 1 2 \u{e9}"] {
            assert_eq!(Trouble::parse(wrong), None, "{wrong:?}");
        }
        for (unix, holds) in [(1000, true), (1059, true), (1060, false), (999, false), (0, false)] {
            assert_eq!(trouble.holds(unix), holds, "{unix}");
        }
        assert!(Trouble { until: 1900, ..trouble.clone() }.holds(1000));
        assert!(!Trouble { until: 1901, ..trouble }.holds(1000), "the clock was set back");
    }

    #[test]
    fn users() {
        for user in [&b"me@example.org"[..], b"a/../b", b"100%", b"%", b"DOMAIN\\user name", b"\xc3\xa9", b"\xe9"] {
            let name = directory::name(Some(user)).to_str().unwrap().to_owned();
            assert_eq!(user_of(&name).as_deref(), Some(user));
        }
        assert_eq!(user_of("%"), None);
    }
}
