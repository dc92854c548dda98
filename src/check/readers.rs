//! Who can read a file with a secret, in words.

use super::notes::shell_path;
use std::fs::{self, Metadata};
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

/// The user that qmail-rspawn, and so qmail-remote, runs as.
pub const QMAILR: &str = "qmailr";

/// A user who owns nothing: no file system has this number for one.
const NOBODY: u32 = u32::MAX;

/// Who can read a file.
pub struct Readers {
    /// Mode, owner, group, and who can read it; what to do where that is others, or not qmail.
    pub words: String,
    /// Every user of this machine, or a group that is not qmail's.
    pub others: bool,
    /// qmail-remote. True where there is no such user.
    pub qmailr: bool,
}

/// Who can read a file with a secret, by the modes of it and of all directories above.
pub fn readers(path: &Path) -> io::Result<Readers> {
    let file = fs::metadata(path)?;
    let (owner, group, mut words) = owners(&file);
    let everybody = can_read(path, None)?;
    let by_group = can_read(path, Some((NOBODY, file.gid())))?;
    let others = everybody || by_group && ids_of(QMAILR).is_some_and(|(_, gid)| gid != file.gid());
    words += &match (everybody, by_group) {
        (true, _) => ", readable by every user of this machine".to_owned(),
        (false, true) => format!(", readable by group {group}"),
        (false, false) => format!(", readable by user {owner} alone"),
    };
    let barrier = barrier_for_qmailr(path)?;
    let qmailr = barrier.is_none();
    if !qmailr {
        words += NOT_FOR_QMAILR;
    }
    if let Some(directory) = barrier.filter(|at| at.is_dir()) {
        words += &keeps_out(&directory);
    } else if others || !qmailr {
        let path = shell_path(path);
        let group = qmail_group();
        words += &format!("; to have it readable by qmail alone: chown root:{group} {path} && chmod 640 {path}");
    }
    Ok(Readers { words, others, qmailr })
}

const NOT_FOR_QMAILR: &str = ", not by qmailr, as which qmail-remote runs, so mail is put off";

/// What is wrong with a directory, or with a file without a secret, which qmail-remote must be able to enter or read. None where
/// it can.
pub fn not_for_qmailr(path: &Path) -> io::Result<Option<String>> {
    let Some(barrier) = barrier_for_qmailr(path)? else { return Ok(None) };
    let (.., words) = owners(&fs::metadata(path)?);
    let done = if path.is_dir() { "entered" } else { "read" };
    let above = if path.canonicalize()? == barrier { String::new() } else { keeps_out(&barrier) };
    Ok(Some(format!("{words}, cannot be {done}{}{above}", &NOT_FOR_QMAILR[", not".len()..])))
}

fn keeps_out(directory: &Path) -> String {
    format!("; {} keeps it out", directory.display())
}

/// It is the number of that user, or there is none to compare with.
pub fn is_qmailr(uid: u32) -> bool {
    ids_of(QMAILR).is_none_or(|(qmailr, _)| qmailr == uid)
}

/// There is such a user on this machine.
pub fn has_qmailr() -> bool {
    ids_of(QMAILR).is_some()
}

/// The group of that user; that of qmail's manual where there is no such user.
pub fn qmail_group() -> String {
    ids_of(QMAILR).map_or("qmail".to_owned(), |(_, gid)| name_of("/etc/group", gid))
}

fn barrier_for_qmailr(path: &Path) -> io::Result<Option<PathBuf>> {
    match ids_of(QMAILR) {
        Some(ids) => barrier(path, Some(ids)),
        None => Ok(None), // nobody to ask about
    }
}

/// The names of owner and group, and `mode 0640 root:qmail`.
fn owners(file: &Metadata) -> (String, String, String) {
    let (owner, group) = (name_of("/etc/passwd", file.uid()), name_of("/etc/group", file.gid()));
    let words = format!("mode {:04o} {owner}:{group}", file.mode() & 0o7777);
    (owner, group, words)
}

/// Whether the file can be read by this user and group, or by a user that is neither its owner nor of its group.
fn can_read(path: &Path, who: Option<(u32, u32)>) -> io::Result<bool> {
    Ok(barrier(path, who)?.is_none())
}

/// What keeps them out: the file or directory itself, or one above it, by its mode. None: they can read, or enter, it.
fn barrier(path: &Path, who: Option<(u32, u32)>) -> io::Result<Option<PathBuf>> {
    let allows = |file: &Metadata, bit: u32| {
        let shift = match who {
            Some((uid, _)) if uid == file.uid() => 6,
            Some((_, gid)) if gid == file.gid() => 3,
            _ => 0,
        };
        file.mode() >> shift & bit != 0
    };
    let path = path.canonicalize()?;
    for at in path.ancestors() {
        let file = fs::metadata(at)?;
        if !allows(&file, if file.is_dir() { 0o1 } else { 0o4 }) {
            return Ok(Some(at.to_owned()));
        }
    }
    Ok(None)
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
