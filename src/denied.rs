//! A file that this process is not permitted to read: who it is, and which command permits it.

use crate::cause::FileError;
use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

/// Symlinks that are followed to find a directory; more are a circle.
const LINKS: usize = 8;

/// The error for this file. Everybody may read it unless it may have a secret in it, and enter the directories of `home` but for those
/// with logins. Other directories, such as /etc/ssl/private, may be closed on purpose.
pub fn error(path: &Path, may_hold_secret: bool, home: Option<&Path>) -> FileError {
    let (user, group) = names().unwrap_or_else(|| ("unknown".to_owned(), "qmail".to_owned()));
    let who = format!("user {user}, group {group}");
    let for_group = |path: &Path, mode: &str| {
        let path = shell_path(path);
        format!("chown root:{group} {path}; chmod {mode} {path}")
    };
    let for_all = |path: &Path, mode: &str| format!("chmod {mode} {}", shell_path(path));
    let home = home.and_then(|home| home.canonicalize().ok());
    let is_in = |directory: &Path, name: &str| home.as_ref().is_some_and(|home| directory.starts_with(home.join(name)));
    let fix = match closed_directory(path, LINKS) {
        Some(directory) if is_in(&directory, "control/relays") => for_group(&directory, "750"),
        Some(directory) if is_in(&directory, "") && may_hold_secret => {
            // Perhaps only the directory kept others from reading it.
            for_all(&directory, "755") + "; " + &for_group(path, "640")
        }
        Some(directory) if is_in(&directory, "") => for_all(&directory, "755"),
        Some(directory) => {
            return FileError::DeniedBehind { who, directory: directory.display().to_string() };
        }
        None if may_hold_secret => for_group(path, "640"),
        None => for_all(path, "644"),
    };
    FileError::Denied { who, fix }
}

/// The directory on the way that this process may not enter. None: it can reach the file.
fn closed_directory(path: &Path, links: usize) -> Option<PathBuf> {
    let way: Vec<&Path> = path.ancestors().collect();
    let is_denied = |path: &&&Path| fs::metadata(path).is_err_and(|error| error.kind() == ErrorKind::PermissionDenied);
    let out_of_reach = way.iter().rev().find(is_denied)?;
    let directory = out_of_reach.parent()?;
    match fs::read_link(out_of_reach) {
        Ok(target) if links > 0 => closed_directory(&directory.join(target), links - 1),
        _ => Some(directory.canonicalize().unwrap_or_else(|_| directory.to_owned())), // without the `..` of a link
    }
}

/// The user and the group of this process.
fn names() -> Option<(String, String)> {
    let status = fs::read_to_string("/proc/self/status").ok()?;
    // proc(5): the real, effective, saved and file system id.
    let id = |key: &str| status.lines().find_map(|line| line.strip_prefix(key))?.split_ascii_whitespace().nth(1);
    Some((name("/etc/passwd", id("Uid:")?), name("/etc/group", id("Gid:")?)))
}

/// The name for a number in /etc/passwd or /etc/group; the number if it has none there.
pub fn name(file: &str, id: &str) -> String {
    let content = fs::read(file).unwrap_or_default();
    let content = String::from_utf8_lossy(&content);
    let found = content.lines().find(|line| line.split(':').nth(2) == Some(id));
    found.and_then(|line| line.split(':').next()).unwrap_or(id).to_owned()
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
