//! A file that this process is not permitted to read: who it is, and which command permits it.

use crate::cause::FileError;
use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

/// Symlinks that are followed to find a directory; more are a circle.
const LINKS: usize = 8;

/// The error for this file. Everybody may read it unless it may have a secret in it, and enter the directories of `home`. Others, such
/// as /etc/ssl/private, may be closed on purpose.
pub fn error(path: &Path, may_hold_secret: bool, home: Option<&Path>) -> FileError {
    let who = who();
    let fix = match closed_directory(path, LINKS) {
        Some(directory) if home.is_some_and(|home| directory.starts_with(home)) => {
            format!("chmod 755 {}", directory.display())
        }
        Some(directory) => {
            return FileError::DeniedBehind { who, directory: directory.display().to_string() };
        }
        None if may_hold_secret => format!("chown root:qmail {0}; chmod 640 {0}", path.display()),
        None => format!("chmod 644 {}", path.display()),
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
        _ => Some(directory.to_owned()),
    }
}

/// The user and the group of this process.
fn who() -> String {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    // proc(5): the real, effective, saved and file system id.
    let id = |key: &str| status.lines().find_map(|line| line.strip_prefix(key))?.split_ascii_whitespace().nth(1);
    match (id("Uid:"), id("Gid:")) {
        (Some(uid), Some(gid)) => format!("user {}, group {}", name("/etc/passwd", uid), name("/etc/group", gid)),
        _ => "this user".to_owned(),
    }
}

/// The name for a number in /etc/passwd or /etc/group; the number if it has none there.
pub fn name(file: &str, id: &str) -> String {
    let content = fs::read(file).unwrap_or_default();
    let content = String::from_utf8_lossy(&content);
    let found = content.lines().find(|line| line.split(':').nth(2) == Some(id));
    found.and_then(|line| line.split(':').next()).unwrap_or(id).to_owned()
}
