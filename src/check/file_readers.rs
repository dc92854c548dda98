//! Who can read a file with a secret, in words.

use crate::denied::{self, shell_path};
use std::fmt::{self, Display, Formatter};
use std::fs::{self, File, Metadata, Permissions};
use std::io;
use std::os::unix::fs::{MetadataExt, PermissionsExt, fchown};
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

/// The usual name of the user that qmail-rspawn, and so qmail-remote, runs as.
pub const QMAILR: &str = "qmailr";

/// The numbers of a user and of its group.
pub type Ids = (u32, u32);

/// Set once the home is known: see [`judge_for`].
static OF_QMAIL: OnceLock<Ids> = OnceLock::new();

/// A user or group that owns no file: file systems do not use this number.
const NOBODY: u32 = u32::MAX;

/// Who can read a file.
pub struct Readers {
    /// Mode, owner, group, and who can read it; also what to do if that is wrong.
    pub words: String,
    /// Users other than qmail's can: every user of this machine, or a group that is not qmail's.
    pub others: bool,
    /// qmail-remote can. True if its user is not known.
    pub qmailr: bool,
}

/// Owner, group and mode of a file or directory.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Access {
    uid: u32,
    gid: u32,
    mode: u32,
}

impl Access {
    pub fn of(file: &Metadata) -> Access {
        Access { uid: file.uid(), gid: file.gid(), mode: file.mode() & 0o7777 }
    }

    /// Whether `who`, a user and its group, has a permission: 4 to read, 1 to enter or run. None is a user that is neither the owner nor
    /// in the group.
    fn allows(&self, who: Option<(u32, u32)>, bit: u32) -> bool {
        let shift = match who {
            Some((uid, _)) if uid == self.uid => 6,
            Some((_, gid)) if gid == self.gid => 3,
            _ => 0,
        };
        self.mode >> shift & bit != 0
    }

    /// Owner and group.
    fn names(&self) -> (String, String) {
        (name_of("/etc/passwd", self.uid), name_of("/etc/group", self.gid))
    }

    /// Who can read a file with this access, if they can enter its directory.
    pub fn readers(&self) -> String {
        self.readers_if(self.mode & 0o004 != 0, self.mode & 0o040 != 0)
    }

    fn readers_if(&self, everybody: bool, by_group: bool) -> String {
        let (owner, group) = self.names();
        match (everybody, by_group) {
            (true, _) => "readable by every user of this machine".to_owned(),
            (false, true) => format!("readable by group {group}"),
            (false, false) => format!("readable by user {owner} alone"),
        }
    }

    /// Gives a file or directory this access. The mode comes last: chown(2) can clear bits of it.
    pub fn apply(&self, file: &File) -> io::Result<()> {
        fchown(file, Some(self.uid), Some(self.gid))?;
        file.set_permissions(Permissions::from_mode(self.mode))
    }
}

/// `mode 0640 root:qmail`
impl Display for Access {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let (owner, group) = self.names();
        write!(f, "mode {:04o} {owner}:{group}", self.mode)
    }
}

/// The access for files with passwords that move out of `file`, and for their directories. If qmail's group can read `file`, root
/// and that group can read the new files; else whoever can read `file` now. An error if a process of the user `uid` cannot do that,
/// or if the mode of `file` does not let qmail-remote read it: then perhaps an access control list does, which would not be copied.
pub fn for_passwords_of(file: &Metadata, uid: u32) -> Result<(Access, Access), &'static str> {
    let from = Access::of(file);
    if uid != 0 && uid != from.uid {
        return Err("only root or its owner can do that");
    }
    if ids_of_qmail().is_some_and(|qmailr| !from.allows(Some(qmailr), 0o4)) {
        return Err("its mode keeps qmailr, the user of qmail-remote, from reading it; --config says what to do");
    }
    let of_qmail = |mode| qmail_gid().filter(|_| uid == 0).map(|gid| Access { uid: 0, gid, mode });
    let readable = from.mode & 0o044;
    let directory = of_qmail(0o750).unwrap_or(Access { mode: 0o700 | readable | readable >> 2, ..from });
    let file = of_qmail(0o640).filter(|access| from.allows(Some((NOBODY, access.gid)), 0o4));
    Ok((file.unwrap_or(Access { mode: from.mode & 0o644, ..from }), directory))
}

/// Who can read a file with a secret, by its mode and by those of all directories above it.
pub fn readers(path: &Path) -> io::Result<Readers> {
    let file = fs::metadata(path)?;
    let access = Access::of(&file);
    let everybody = can_read(path, None)?;
    let by_group = can_read(path, Some((NOBODY, file.gid())))?;
    let others = everybody || by_group && ids_of_qmail().is_some_and(|(_, gid)| gid != file.gid());
    let mut words = format!("{access}, {}", access.readers_if(everybody, by_group));
    let barrier = barrier_for_qmailr(path)?;
    let qmailr = barrier.is_none();
    if !qmailr {
        words += &format!(", not {}", not_by_qmailr());
    }
    if let Some(directory) = barrier.filter(|at| at.is_dir()) {
        words += &keeps_out(&directory);
    } else if others || !qmailr {
        let path = shell_path(path);
        let group = qmail_group();
        words += &format!("; to make it readable by qmail alone: chown root:{group} {path} && chmod 640 {path}");
    }
    Ok(Readers { words, others, qmailr })
}

fn not_by_qmailr() -> String {
    format!("by {}, the user of qmail-remote, so mail is deferred", qmailr())
}

/// Why qmail-remote cannot enter a directory, or cannot read a file without a secret. None if it can.
pub fn not_for_qmailr(path: &Path) -> io::Result<Option<String>> {
    let Some(barrier) = barrier_for_qmailr(path)? else { return Ok(None) };
    let access = Access::of(&fs::metadata(path)?);
    let done = if path.is_dir() { "entered" } else { "read" };
    let above = if path.canonicalize()? == barrier { String::new() } else { keeps_out(&barrier) };
    Ok(Some(format!("{access}, cannot be {done} {}{above}", not_by_qmailr())))
}

fn keeps_out(directory: &Path) -> String {
    format!("; {} does not let {} in", directory.display(), qmailr())
}

/// Files are judged for this user and group from now on, and not for those of the name qmailr.
pub fn judge_for(of_qmail: Ids) {
    let _ = OF_QMAIL.set(of_qmail); // it was set to the same: a run is about one home
}

/// The user of qmail-remote, and its group.
fn ids_of_qmail() -> Option<Ids> {
    OF_QMAIL.get().copied().or_else(|| ids_of(QMAILR))
}

/// Its name.
fn qmailr() -> String {
    let Some((uid, _)) = OF_QMAIL.get() else { return QMAILR.to_owned() };
    let name = name_of("/etc/passwd", *uid);
    if name == uid.to_string() { format!("uid {uid}") } else { name }
}

/// Whether the user of qmail-remote is known.
pub fn has_qmailr() -> bool {
    ids_of_qmail().is_some()
}

/// The group of that user; if it is not known, the group qmail, as in qmail's manual.
fn qmail_gid() -> Option<u32> {
    ids_of_qmail().map(|(_, gid)| gid).or_else(|| id_of("/etc/group", "qmail"))
}

fn qmail_group() -> String {
    qmail_gid().map_or("qmail".to_owned(), |gid| name_of("/etc/group", gid))
}

fn barrier_for_qmailr(path: &Path) -> io::Result<Option<PathBuf>> {
    match ids_of_qmail() {
        Some(ids) => barrier(path, Some(ids)),
        None => Ok(None), // without such a user there is nothing to say
    }
}

/// `who` as for [`Access::allows`].
fn can_read(path: &Path, who: Option<(u32, u32)>) -> io::Result<bool> {
    Ok(barrier(path, who)?.is_none())
}

/// The program, or the directory above it, whose mode keeps a user and its group from running it. None if they can. The interpreter of
/// a script must read it, too.
pub fn not_runnable(program: &Path, is_script: bool, ids: Ids) -> io::Result<Option<PathBuf>> {
    let barrier = first_barrier(program, Some(ids), 0o1)?;
    if barrier.is_none() && is_script { first_barrier(program, Some(ids), 0o4) } else { Ok(barrier) }
}

/// Why the user of qmail-remote cannot run a program. None if it can, or is not known.
pub fn not_for_qmailr_to_run(program: &Path) -> io::Result<Option<String>> {
    let Some(ids) = ids_of_qmail() else { return Ok(None) };
    let barrier = not_runnable(program, false, ids)?;
    Ok(barrier.map(|barrier| format!("cannot be run {}: see the mode of {}", not_by_qmailr(), barrier.display())))
}

/// The file or directory, or the one above it, whose mode keeps `who` out. None if they can read the file, or enter the directory.
fn barrier(path: &Path, who: Option<(u32, u32)>) -> io::Result<Option<PathBuf>> {
    first_barrier(path, who, 0o4)
}

/// The same for any permission to the file; `who` and `bit` are as for [`Access::allows`].
fn first_barrier(path: &Path, who: Option<(u32, u32)>, bit: u32) -> io::Result<Option<PathBuf>> {
    let path = path.canonicalize()?;
    for at in path.ancestors() {
        let file = fs::metadata(at)?;
        if !Access::of(&file).allows(who, if file.is_dir() { 0o1 } else { bit }) {
            return Ok(Some(at.to_owned()));
        }
    }
    Ok(None)
}

/// The fields of each line of /etc/passwd or /etc/group.
fn lines(file: &str) -> Vec<Vec<String>> {
    let content = fs::read(file).unwrap_or_default();
    let content = String::from_utf8_lossy(&content);
    content.lines().map(|line| line.split(':').map(str::to_owned).collect()).collect()
}

/// The name of a user or group, or its number if it has no name.
fn name_of(file: &str, id: u32) -> String {
    denied::name(file, &id.to_string())
}

/// The number of a user or group.
fn id_of(file: &str, name: &str) -> Option<u32> {
    lines(file).into_iter().find(|fields| fields[0] == name)?.get(2)?.parse().ok()
}

/// The group of a user.
pub fn group_of(uid: u32) -> Option<u32> {
    let uid = uid.to_string();
    lines("/etc/passwd").into_iter().find(|fields| fields.get(2) == Some(&uid))?.get(3)?.parse().ok()
}

/// The numbers of the user of this name and of its group.
pub fn ids_of(user: &str) -> Option<Ids> {
    let fields = lines("/etc/passwd").into_iter().find(|fields| fields.first().is_some_and(|name| name == user))?;
    Some((fields.get(2)?.parse().ok()?, fields.get(3)?.parse().ok()?))
}
