//! The files of an account's tokens: `refresh`, `access`, and `trouble`, which says why there is no token and until when nobody asks
//! again. c-glue writes each as `NAME.new` and renames that, so each is whole, whenever the process may end.
//!
//! A provider may make the refresh token void by giving a new one. So room for that is on the disk before it asks, and a `refresh.new`
//! that is whole counts: the process has ended before it could rename it.

use crate::account::directory;
use crate::account::token::{Access, is_token};
use qmail_auth::secret::Secret;
use std::fs;
use std::path::{Path, PathBuf};

/// The names of the files.
pub const REFRESH: &str = "refresh";
/// See above.
pub const TROUBLE: &str = "trouble";
/// The file that is locked by who asks the provider.
pub const LOCK: &str = "lock";

/// What `NAME.new` of a file is called.
const NEW: &str = ".new";

/// As much room as c-glue makes in `NAME.new`.
const ROOM: usize = 16 * 1024;

/// Troubles of a time later than so many seconds from now are those of another clock.
const LATEST: u64 = 7200;

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

    /// The refresh token.
    pub fn refresh(&self) -> Option<Secret> {
        let content = self.content(REFRESH)?;
        whole(&content).map(Secret::from)
    }

    /// Whether there is a refresh token.
    pub fn is_renewable(&self) -> bool {
        self.refresh().is_some()
    }

    /// Takes over a refresh token that was written and not renamed. The lock must be held.
    pub fn adopt(&self) {
        let new = [REFRESH, NEW].concat();
        if self.content(&new).is_some_and(|content| whole(&content).is_some()) {
            let _ = fs::rename(self.path(&new), self.path(REFRESH)); // where that fails, so will the next steps
        }
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
        let content = self.content(TROUBLE)?;
        let (first, second) = std::str::from_utf8(&content).ok()?.strip_suffix('\n')?.split_once('\n')?;
        (first == stamp_line(stamp)).then(|| Trouble::parse(second)).flatten()
    }

    fn content(&self, name: &str) -> Option<Secret> {
        Some(directory::content(&self.path(name), self.uid, ROOM)?.0)
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
        unix < self.until && self.until <= unix.saturating_add(LATEST)
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

/// The directories in a directory, in order.
pub fn directories(path: &Path) -> Vec<String> {
    let entries = fs::read_dir(path).into_iter().flatten().flatten();
    let directories = entries.filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir()));
    let mut names: Vec<String> = directories.map(|entry| entry.file_name().to_string_lossy().into_owned()).collect();
    names.sort();
    names
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
        for (unix, holds) in [(1000, true), (1059, true), (1060, false), (0, true)] {
            assert_eq!(trouble.holds(unix), holds, "{unix}");
        }
        assert!(!Trouble { until: 100_000, ..trouble }.holds(1000), "the clock was set back");
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
