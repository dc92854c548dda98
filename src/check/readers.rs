//! Who can read a file with a secret, in words.

use std::fs::{self, Metadata};
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

/// The user that qmail-rspawn, and so qmail-remote, runs as.
const QMAILR: &str = "qmailr";

/// Mode, owner and group of a file, and who can read it; what to do where that is everyone, or not qmail.
pub fn readers(path: &Path) -> io::Result<String> {
    let file = fs::metadata(path)?;
    let owner = name_of("/etc/passwd", file.uid());
    let group = name_of("/etc/group", file.gid());
    let mut words = format!("mode {:04o} {owner}:{group}, ", file.mode() & 0o7777);
    words += &match (can_read(path, None)?, file.mode() & 0o040 != 0) {
        (true, _) => "readable by every user of this machine".to_owned(),
        (false, true) => format!("readable by group {group}"),
        (false, false) => format!("readable by user {owner} alone"),
    };
    let qmailr = ids_of(QMAILR);
    let for_qmailr = match qmailr {
        Some(ids) => can_read(path, Some(ids))?,
        None => true, // nobody to ask about
    };
    if can_read(path, None)? || !for_qmailr {
        if !for_qmailr {
            words += &format!(", not by {QMAILR}, as which qmail-remote runs, so mail is put off");
        }
        let group = qmailr.map_or("qmail".to_owned(), |(_, gid)| name_of("/etc/group", gid));
        words += &format!(
            "; to have it readable by qmail alone: chown root:{group} {path} && chmod 640 {path}",
            path = path.display()
        );
    }
    Ok(words)
}

/// Whether the file can be read by this user and group, or by a user that is neither its owner nor of its group: the mode of
/// the file and those of all directories above it say so.
fn can_read(path: &Path, who: Option<(u32, u32)>) -> io::Result<bool> {
    let allows = |file: &Metadata, bit: u32| {
        let shift = match who {
            Some((uid, _)) if uid == file.uid() => 6,
            Some((_, gid)) if gid == file.gid() => 3,
            _ => 0,
        };
        file.mode() >> shift & bit != 0
    };
    let path = path.canonicalize()?;
    for directory in path.ancestors().skip(1) {
        if !allows(&fs::metadata(directory)?, 0o1) {
            return Ok(false);
        }
    }
    Ok(allows(&fs::metadata(&path)?, 0o4))
}

/// The lines of /etc/passwd or /etc/group, in their fields.
fn lines(file: &str) -> Vec<Vec<String>> {
    let content = fs::read(file).unwrap_or_default();
    let content = String::from_utf8_lossy(&content);
    content.lines().map(|line| line.split(':').map(str::to_owned).collect()).collect()
}

/// The name that belongs to a number; the number itself where there is none.
fn name_of(file: &str, id: u32) -> String {
    let id = id.to_string();
    let found = lines(file).into_iter().find(|fields| fields.get(2) == Some(&id));
    found.and_then(|fields| fields.into_iter().next()).unwrap_or(id)
}

/// The user's number and that of its group.
fn ids_of(user: &str) -> Option<(u32, u32)> {
    let fields = lines("/etc/passwd").into_iter().find(|fields| fields.first().is_some_and(|name| name == user))?;
    Some((fields.get(2)?.parse().ok()?, fields.get(3)?.parse().ok()?))
}
