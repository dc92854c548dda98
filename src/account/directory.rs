//! Where an account is: `HOME/accounts/HOST/USER`. A directory or file there counts only if it is our own and nobody else can write
//! to it, and no link: otherwise somebody else could say what we remember.

use super::memory::MOST;
use crate::control::files::{FileState, state};
use qmail_auth::secret::Secret;
use std::borrow::Cow;
use std::ffi::{OsStr, OsString};
use std::fs::{self, DirBuilder, File, Metadata};
use std::io::{self, Read, Write};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

/// The name in qmail's home.
pub const NAME: &str = "accounts";
/// The file in the directory of a user.
pub const MEMORY: &str = "memory";

/// The accounts of a home. None: there is no such directory, or it does not count. `uid` is the effective user of this process.
pub fn of_home(home: &Path, uid: u32) -> Option<PathBuf> {
    let path = below(home, &[NAME]);
    is_directory(&path, uid).then_some(path)
}

/// The directory of a user at a relay, made if it is not there. None: it cannot be, or does not count. `host` is the name of the
/// relay's directory in control/relays.
pub fn of_user(accounts: PathBuf, host: &str, user: Option<&[u8]>, uid: u32) -> Option<PathBuf> {
    let relay = below(&accounts, &[host]);
    let path = below(&relay, &[name(user)]);
    let is_there = |path: &Path| {
        is_directory(path, uid) || DirBuilder::new().mode(0o700).create(path).is_ok() || is_directory(path, uid) // another process may have made it in between
    };
    (is_there(&relay) && is_there(&path)).then_some(path)
}

/// A name in a directory, in parts. [`Path::join`] would look at what both are made of.
pub fn below<T: AsRef<OsStr>>(directory: &Path, name: &[T]) -> PathBuf {
    let length: usize = name.iter().map(|part| part.as_ref().len()).sum();
    let mut path = Vec::with_capacity(directory.as_os_str().len() + 1 + length);
    path.extend_from_slice(directory.as_os_str().as_bytes());
    path.push(b'/');
    name.iter().for_each(|part| path.extend_from_slice(part.as_ref().as_bytes()));
    OsString::from_vec(path).into()
}

/// The name of a user's directory: octets other than letters, digits and `._+@-`, and a dot at the beginning, as `%XX`. None, the user
/// that a client certificate names, is `%`, which no user's name becomes.
pub fn name(user: Option<&[u8]>) -> Cow<'_, OsStr> {
    let is_plain = |(place, octet): (usize, &u8)| {
        octet.is_ascii_alphanumeric() || b"_+@-".contains(octet) || *octet == b'.' && place > 0
    };
    let Some(user) = user else { return OsStr::new("%").into() };
    if user.iter().enumerate().all(is_plain) {
        return OsStr::from_bytes(user).into();
    }
    let mut name = String::new();
    for (place, octet) in user.iter().enumerate() {
        if is_plain((place, octet)) {
            name.push(char::from(*octet));
        } else {
            name += &format!("%{octet:02X}");
        }
    }
    OsString::from(name).into()
}

/// What is in this file of a user's directory, and its state. None: it is absent, or does not count.
pub fn memory<'a>(path: &Path, uid: u32, buffer: &'a mut [u8; MOST + 1]) -> Option<(&'a [u8], FileState)> {
    let file = fs::symlink_metadata(path).ok().filter(|file| file.is_file() && is_ours(file, uid))?;
    let length = File::open(path).ok()?.read(buffer).ok()?;
    Some((&buffer[..length], state(&file)))
}

/// Replaces the memory, whole or not at all, as others read it without a lock. `new` is for that a name that nobody else uses.
pub fn replace(path: &Path, new: &Path, memory: &str) -> io::Result<()> {
    let write = || {
        let _ = fs::remove_file(new); // of one that was interrupted
        File::options().write(true).create_new(true).mode(0o600).open(new)?.write_all(memory.as_bytes())?;
        fs::rename(new, path)
    };
    write().inspect_err(|_| _ = fs::remove_file(new))
}

/// What is in this file of a user's directory, and what was known of it before it was opened. None: it is absent, does not count, or
/// has more than `most` octets.
pub fn content(path: &Path, uid: u32, most: usize) -> Option<(Secret, Metadata)> {
    let known = fs::symlink_metadata(path).ok().filter(|file| file.is_file() && is_ours(file, uid))?;
    let most = most.min(usize::try_from(known.len()).ok()?); // it is replaced, and does not grow
    let mut content = vec![0; most + 1];
    let mut file = File::open(path).ok()?;
    let mut length = 0;
    while length <= most {
        match file.read(&mut content[length..]).ok()? {
            0 => break,
            count => length += count,
        }
    }
    let content = Secret::from(content);
    (length <= most).then(|| (Secret::from(&content[..length]), known))
}

/// Whether the file still has this state.
pub fn is_still(path: &Path, known: Option<FileState>) -> bool {
    fs::symlink_metadata(path).ok().map(|file| state(&file)) == known
}

/// The directories in a directory, in order: the relays of all accounts, or the users at one.
pub fn directories(path: &Path) -> Vec<String> {
    let entries = fs::read_dir(path).into_iter().flatten().flatten();
    let directories = entries.filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir()));
    let mut names: Vec<String> = directories.map(|entry| entry.file_name().to_string_lossy().into_owned()).collect();
    names.sort();
    names
}

fn is_directory(path: &Path, uid: u32) -> bool {
    fs::symlink_metadata(path).is_ok_and(|file| file.is_dir() && is_ours(&file, uid))
}

fn is_ours(file: &Metadata, uid: u32) -> bool {
    file.uid() == uid && file.mode() & 0o022 == 0
}

#[cfg(test)]
mod tests {
    use super::name;
    use std::ffi::OsStr;

    #[test]
    fn names() {
        for (user, expected) in [
            (Some("myuser"), "myuser"),
            (Some("My.User+tag@example.jp"), "My.User+tag@example.jp"),
            (Some(".."), "%2E."),
            (Some("."), "%2E"),
            (Some("a/../b"), "a%2F..%2Fb"),
            (Some("100%"), "100%25"),
            (Some("%"), "%25"),
            (Some("DOMAIN\\user name"), "DOMAIN%5Cuser%20name"),
            (Some("\u{e9}"), "%C3%A9"),
            (None, "%"),
        ] {
            assert_eq!(name(user.map(str::as_bytes)), OsStr::new(expected));
        }
    }
}
