//! `--convert --write`: carries the plan out so that at each moment every mail finds its login. The directories of the relays are
//! complete before the new smtproutes takes the place of the old one, by a rename. Until then each line has its login itself, and no
//! mail reads the one in the directory. So whatever stops this, what it has made does no harm, and it can be run again. For the
//! same reason nothing is taken back that another run may have found there and rely on.

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

/// What the old file has behind its name.
const KEPT: &str = ".before-convert";

/// Where everything goes, and who may read it.
pub struct Writer<'a> {
    control: &'a Control,
    planned_from: &'a Contents,
    /// control/smtproutes, or what that is a link to: it stays one.
    file: PathBuf,
    status: Metadata,
    kept: PathBuf,
    of_files: Access,
    of_directories: Access,
}

impl<'a> Writer<'a> {
    /// For the user with this number. An error where it is clear before that it cannot be done.
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
                Err(format!("{kept} is there, as an earlier run names what it replaces; move it away or delete it"))
            }
        }
    }

    /// Who will be able to read what.
    pub fn in_words(&self) -> [String; 2] {
        let kept = self.name(&self.kept);
        [
            format!("The files user and password become {}, {}.", self.of_files, self.of_files.readers()),
            format!(
                "control/{} keeps its owner, group and mode. The old one, with its passwords, is kept as {kept}, mode 0600: \
                 delete that once mail goes as before.",
                routes::FILE
            ),
        ]
    }

    /// Does it. An error says what is there then, and what to do.
    pub fn write(&self, moves: &[Move]) -> Result<(), String> {
        self.relays(moves).and_then(|()| self.smtproutes(moves)).map_err(|why| {
            format!(
                "NOT DONE: {why}. control/{} is as it was, so mail goes as before; control/relays may have some of the logins \
                 already, which lines with their own do not read. Put that right, and run this again.",
                routes::FILE
            )
        })?;
        sync(self.file.parent().unwrap_or(&self.file)).map_err(|error| {
            let (file, why) = (self.name(&self.file), os_error(&error));
            format!("Done, but a power cut may undo it: {file}: {why}. Run sync.")
        })
    }

    /// Makes the directories and what is missing in them, and is sure that the disk has them.
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
            // Also those that were there: as long as the line has the login, nobody sees that qmail cannot read them.
            for name in ["user", "password"] {
                self.at(&path.join(name), |path| settle(&File::open(path)?, self.of_files))?;
            }
            self.at(&path, sync)?;
            if !missing(self.control, directory, login)?.is_empty() {
                return Err(format!("control/{directory} was changed meanwhile"));
            }
        }
        self.at(&relays, sync)?;
        self.at(&control, sync)
    }

    /// A directory comes with its owner and mode: mail that met it without could not enter it, and would wait.
    fn directory(&self, path: &Path) -> Result<(), String> {
        if path.is_dir() {
            return Ok(());
        }
        let new = unfinished(path);
        self.at(path, |path| {
            absent(fs::remove_dir(&new))?;
            fs::create_dir(&new)?;
            let finished = File::open(&new).and_then(|directory| self.of_directories.give(&directory));
            finished.and_then(|()| fs::rename(&new, path)).inspect_err(|_| drop(fs::remove_dir(&new)))
        })
    }

    /// Puts the new file in the place of the old one, if that is still what the plan was made from.
    fn smtproutes(&self, moves: &[Move]) -> Result<(), String> {
        let new = unfinished(&self.file);
        let mut made = Made(Vec::new());
        self.at(&new, |new| {
            absent(fs::remove_file(new))?;
            let file = create(new, &self.converted(moves))?;
            made.0.push(new.to_owned());
            settle(&file, Access::of(&self.status))
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

    /// The new content: of each line whose login has moved, what stays.
    fn converted(&self, moves: &[Move]) -> Secret {
        let stays: HashMap<usize, usize> = moves.iter().map(|one| (one.line.number, one.stays())).collect();
        let old = &self.planned_from.smtproutes;
        let mut new = Secret::with_room(old.len());
        for (line, number) in routes::all_lines(old) {
            if number > 1 {
                new.add(b"\n");
            }
            new.add(&line[..stays.get(&number).copied().unwrap_or(line.len())]);
        }
        new
    }

    fn check_unchanged(&self) -> Result<(), String> {
        let (file, status) = routes_file(self.control)?;
        let contents = Contents::read(self.control).map_err(|why| why.to_string())?;
        let of = |status: &Metadata| (status.dev(), status.ino(), status.uid(), status.gid(), status.mode());
        if file != self.file || of(&status) != of(&self.status) || !contents.is_same(self.planned_from) {
            return Err(format!("control/{} or control/{} was changed meanwhile", routes::FILE, senders::FILE));
        }
        Ok(())
    }

    /// The old file is kept already, by a run that was interrupted. An error where something else has the name.
    fn is_kept(&self) -> io::Result<bool> {
        match fs::read(&self.kept).map(Secret::from) {
            Ok(content) if *content == *self.planned_from.smtproutes => Ok(true),
            Ok(content) if content.is_empty() => Ok(false),
            Err(error) if error.kind() == ErrorKind::NotFound && !self.kept.is_symlink() => Ok(false),
            Ok(_) => Err(ErrorKind::AlreadyExists.into()),
            Err(error) => Err(error),
        }
    }

    /// Does that to the path; an error names it.
    fn at<T>(&self, path: &Path, act: impl FnOnce(&Path) -> io::Result<T>) -> Result<T, String> {
        act(path).map_err(|error| format!("{}: {}", self.name(path), os_error(&error)))
    }

    /// `control/relays` for what is there.
    fn name(&self, path: &Path) -> String {
        path.strip_prefix(&self.control.home).unwrap_or(path).display().to_string()
    }
}

/// Files that are to go again unless everything succeeds.
struct Made(Vec<PathBuf>);

impl Drop for Made {
    fn drop(&mut self) {
        for path in &self.0 {
            let _ = fs::remove_file(path);
        }
    }
}

/// control/smtproutes, or what it is a link to, and what the system says of it.
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

/// A name until all is in it: no relay and no control file can have it, and of those that run no process but this.
fn unfinished(path: &Path) -> PathBuf {
    beside(path, ".", &format!("~{}", process::id()))
}

/// A process of the same number, which was killed, has left nothing, or it is removed.
fn absent(removed: io::Result<()>) -> io::Result<()> {
    removed.or_else(|error| if error.kind() == ErrorKind::NotFound { Ok(()) } else { Err(error) })
}

/// A new file with this content, for its owner alone; none where there is one already, or where the content does not fit.
fn create(path: &Path, content: &[u8]) -> io::Result<File> {
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?;
    file.write_all(content).inspect_err(|_| drop(fs::remove_file(path)))?;
    Ok(file)
}

/// The same, also where a run that was interrupted has left the file empty.
fn fill(path: &Path, content: &[u8]) -> io::Result<File> {
    if fs::symlink_metadata(path).is_ok_and(|file| file.is_file() && file.len() == 0) {
        fs::remove_file(path)?;
    }
    create(path, content)
}

/// Gives the file its owner and mode, and is sure that the disk has all of it.
fn settle(file: &File, access: Access) -> io::Result<()> {
    access.give(file)?;
    file.sync_all()
}

/// Is sure that the disk has the names in this directory.
fn sync(directory: &Path) -> io::Result<()> {
    File::open(directory)?.sync_all()
}
