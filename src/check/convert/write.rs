//! `--convert --write`: carries the plan out so that every mail finds its login at each moment. The directories of the relays are
//! complete before a rename puts the new smtproutes in the place of the old one. Until then each line still has its own login, and
//! no mail reads the login in the directory. So it can be interrupted anywhere without harm, and run again. Directories and their
//! files are never removed after a failure: another run may have found them, and rely on them.

use super::{Contents, Move, missing};
use crate::check::file_readers::{self, Access};
use crate::control::files::Control;
use crate::control::{routes, senders};
use crate::report::os_error;
use qmail_auth::secret::Secret;
use std::collections::{HashMap, HashSet};
use std::ffi::OsString;
use std::fs::{self, File, Metadata, OpenOptions};
use std::io::{self, ErrorKind, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::process;

/// The ending of the old file's name.
const KEPT: &str = ".before-convert";

pub struct Writer<'a> {
    control: &'a Control,
    planned_from: &'a Contents,
    /// control/smtproutes. If that is a link, the file behind it, so that the link stays.
    file: PathBuf,
    status: Metadata,
    kept: PathBuf,
    of_files: Access,
    of_directories: Access,
}

impl<'a> Writer<'a> {
    /// `uid` is the user of this process. An error if it is clear beforehand that it cannot be done.
    pub fn new(control: &'a Control, planned_from: &'a Contents, uid: u32) -> Result<Writer<'a>, String> {
        let (file, status) = routes_file(control)?;
        let (of_files, of_directories) =
            file_readers::for_passwords_of(&status, uid).map_err(|why| format!("control/{}: {why}", routes::FILE))?;
        let kept = beside(&file, "", KEPT);
        let writer = Writer { control, planned_from, file, status, kept, of_files, of_directories };
        match writer.is_kept() {
            Ok(_) => Ok(writer),
            Err(_) => {
                let kept = writer.name(&writer.kept);
                Err(format!("{kept} exists, and is the name for the old file; move it away or delete it"))
            }
        }
    }

    /// Who will be able to read the files.
    pub fn describe(&self) -> [String; 2] {
        let kept = self.name(&self.kept);
        [
            format!("The files user and password become {}, {}.", self.of_files, self.of_files.readers()),
            format!(
                "control/{} keeps its owner, group and mode. The old one, with its passwords, is kept as {kept}, mode 0600: \
                 delete it once mail goes out as before.",
                routes::FILE
            ),
        ]
    }

    /// An error says what was done, and what to do next.
    pub fn write(&self, moves: &[Move]) -> Result<(), String> {
        self.relays(moves).and_then(|()| self.smtproutes(moves)).map_err(|why| {
            format!(
                "NOT DONE: {why}. control/{} is as it was, so mail goes out as before; control/relays may have some of the \
                 logins already, which lines with their own login do not read. Fix the cause, and run this again.",
                routes::FILE
            )
        })?;
        sync(self.file.parent().unwrap_or(&self.file)).map_err(|error| {
            let (file, why) = (self.name(&self.file), os_error(&error));
            format!("Done, but a power cut may undo it: {file}: {why}. Run sync.")
        })
    }

    /// Makes the directories and their missing files, and waits until they are on the disk.
    fn relays(&self, moves: &[Move]) -> Result<(), String> {
        let control = self.control.home.join("control");
        let relays = control.join("relays");
        self.directory(&relays)?;
        let mut done = HashSet::new();
        for Move { login, directory, missing: files, .. } in moves.iter().filter(|one| done.insert(one.directory)) {
            let path = control.join(directory);
            self.directory(&path)?;
            for (name, value) in files {
                let line = [&value[..], b"\n"].concat();
                self.at(&path.join(name), |path| fill(path, &Secret::from(line)).map(drop))?;
            }
            // Files that were there already may have the wrong access, which nobody noticed while the line had the login.
            for name in ["user", "password"] {
                self.at(&path.join(name), |path| finish(&open_own(path)?, self.of_files))?;
            }
            self.at(&path, sync)?;
            if !missing(self.control, directory, login)?.is_empty() {
                return Err(format!("control/{directory} was changed in the meantime"));
            }
        }
        self.at(&relays, sync)?;
        self.at(&control, sync)
    }

    /// A new directory appears with its owner and mode set: a delivery that cannot enter it would defer its mail.
    fn directory(&self, path: &Path) -> Result<(), String> {
        if path.is_dir() {
            return Ok(());
        }
        let new = unfinished(path);
        self.at(path, |path| {
            ignore_missing(fs::remove_dir(&new))?;
            fs::create_dir(&new)?;
            let finished = File::open(&new).and_then(|directory| self.of_directories.apply(&directory));
            finished.and_then(|()| fs::rename(&new, path)).inspect_err(|_| drop(fs::remove_dir(&new)))
        })
    }

    /// Replaces the old file, if it is still the one that the plan was made from.
    fn smtproutes(&self, moves: &[Move]) -> Result<(), String> {
        let new = unfinished(&self.file);
        let mut made = Made(Vec::new());
        self.at(&new, |new| {
            ignore_missing(fs::remove_file(new))?;
            let file = create(new, &self.converted(moves))?;
            made.0.push(new.to_owned());
            finish(&file, Access::of(&self.status))
        })?;
        self.at(&self.kept, |kept| {
            if self.is_kept()? {
                return File::open(kept)?.sync_all();
            }
            let file = fill(kept, &self.planned_from.smtproutes)?;
            made.0.push(kept.to_owned());
            file.sync_all()
        })?;
        self.check_unchanged()?;
        self.at(&self.file, |file| fs::rename(&new, file))?;
        made.0.clear();
        Ok(())
    }

    /// The new content: the old one without the logins that have moved.
    fn converted(&self, moves: &[Move]) -> Secret {
        let lengths: HashMap<usize, usize> = moves.iter().map(|one| (one.line.number, one.kept_length())).collect();
        let old = &self.planned_from.smtproutes;
        let mut new = Secret::with_room(old.len());
        for (line, number) in routes::all_lines(old) {
            if number > 1 {
                new.add(b"\n");
            }
            new.add(&line[..lengths.get(&number).copied().unwrap_or(line.len())]);
        }
        new
    }

    fn check_unchanged(&self) -> Result<(), String> {
        let (file, status) = routes_file(self.control)?;
        let contents = Contents::read(self.control).map_err(|why| why.to_string())?;
        let of = |status: &Metadata| (status.dev(), status.ino(), status.uid(), status.gid(), status.mode());
        if file != self.file || of(&status) != of(&self.status) || !contents.is_same(self.planned_from) {
            return Err(format!("control/{} or control/{} was changed in the meantime", routes::FILE, senders::FILE));
        }
        Ok(())
    }

    /// Whether an interrupted run has kept the old file already. An error if something else has its name.
    fn is_kept(&self) -> io::Result<bool> {
        if fs::metadata(&self.kept).is_ok_and(|kept| !kept.is_file()) {
            return Err(ErrorKind::AlreadyExists.into()); // a FIFO would be waited for
        }
        match fs::read(&self.kept).map(Secret::from) {
            Ok(content) if *content == *self.planned_from.smtproutes => Ok(true),
            Ok(content) if content.is_empty() => Ok(false),
            Err(error) if error.kind() == ErrorKind::NotFound && !self.kept.is_symlink() => Ok(false),
            Ok(_) => Err(ErrorKind::AlreadyExists.into()),
            Err(error) => Err(error),
        }
    }

    /// Calls `act` with the path, and adds the path to its error.
    fn at<T>(&self, path: &Path, act: impl FnOnce(&Path) -> io::Result<T>) -> Result<T, String> {
        act(path).map_err(|error| format!("{}: {}", self.name(path), os_error(&error)))
    }

    /// The path from qmail's home, as `control/relays`.
    fn name(&self, path: &Path) -> String {
        path.strip_prefix(&self.control.home).unwrap_or(path).display().to_string()
    }
}

/// Files to remove if a later step fails.
struct Made(Vec<PathBuf>);

impl Drop for Made {
    fn drop(&mut self) {
        for path in &self.0 {
            let _ = fs::remove_file(path);
        }
    }
}

/// control/smtproutes, or the file that it is a link to, with its metadata.
fn routes_file(control: &Control) -> Result<(PathBuf, Metadata), String> {
    let path = control.home.join("control").join(routes::FILE);
    let found = || {
        let path = if fs::symlink_metadata(&path)?.is_symlink() { path.canonicalize()? } else { path };
        fs::metadata(&path).map(|status| (path, status))
    };
    found().map_err(|error| format!("control/{}: {}", routes::FILE, os_error(&error)))
}

fn beside(path: &Path, before: &str, behind: &str) -> PathBuf {
    let mut name = OsString::from(before);
    name.push(path.file_name().unwrap_or_default());
    name.push(behind);
    path.with_file_name(name)
}

/// The name of a file or directory that is not yet complete. No relay and no control file can have it, and no other process uses
/// it.
fn unfinished(path: &Path) -> PathBuf {
    beside(path, ".", &format!("~{}", process::id()))
}

/// For removing what a killed process with the same number may have left.
fn ignore_missing(removed: io::Result<()>) -> io::Result<()> {
    removed.or_else(|error| if error.kind() == ErrorKind::NotFound { Ok(()) } else { Err(error) })
}

/// Makes a new file that only its owner can read. If not all of the content can be written, there is no file.
fn create(path: &Path, content: &[u8]) -> io::Result<File> {
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?;
    file.write_all(content).inspect_err(|_| drop(fs::remove_file(path)))?;
    Ok(file)
}

/// The same, but replaces an empty file, which an interrupted run may have left.
fn fill(path: &Path, content: &[u8]) -> io::Result<File> {
    if fs::symlink_metadata(path).is_ok_and(|file| file.is_file() && file.len() == 0) {
        fs::remove_file(path)?;
    }
    create(path, content)
}

/// Opens a file that no other name leads to. Another program may need the access that the file behind a link has.
fn open_own(path: &Path) -> io::Result<File> {
    let status = fs::symlink_metadata(path)?;
    if status.is_file() && status.nlink() == 1 {
        let file = File::open(path)?;
        let opened = file.metadata()?;
        if (opened.dev(), opened.ino()) == (status.dev(), status.ino()) {
            return Ok(file);
        }
    }
    Err(io::Error::other("a link, whose file may be used elsewhere; put a file there instead"))
}

/// Sets owner and mode, and waits until the file is on the disk.
fn finish(file: &File, access: Access) -> io::Result<()> {
    access.apply(file)?;
    file.sync_all()
}

/// Waits until the names in this directory are on the disk.
fn sync(directory: &Path) -> io::Result<()> {
    File::open(directory)?.sync_all()
}
