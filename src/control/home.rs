//! Finds qmail's home at run time, so that one package serves every layout.

use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

/// What the process knows about its surroundings. A missing value is None.
#[derive(Default)]
pub struct Surroundings<'a> {
    /// The environment variable QMAILHOME.
    pub qmailhome: Option<&'a Path>,
    /// The working directory. qmail-rspawn starts the program in queue/mess.
    pub cwd: Option<&'a Path>,
    /// The file name that the program was executed by (AT_EXECFN of getauxval(3)).
    pub execfn: Option<&'a Path>,
    /// The process id.
    pub pid: u32,
    /// The effective user.
    pub uid: u32,
    /// Unix time, in seconds.
    pub unix: u64,
}

/// The homes to try last.
const USUAL: [&str; 2] = ["/var/qmail", "/var/lib/qmail"];

/// Finds qmail's home: the first of these that has a directory `control`.
///
/// 1. `$QMAILHOME`. If it is set and not empty, no other is tried.
/// 2. `../..` of the working directory, if that is `.../queue/mess`. If the queue is a link to another disk, this is not the home.
/// 3. The parent of the directory that the program was executed from.
/// 4. The usual places.
///
/// If it cannot be seen whether `control` exists, it counts as existing. Reading it fails later and the mail waits: it must not be
/// sent by the rules of another home.
pub fn find(surroundings: &Surroundings) -> Option<PathBuf> {
    let has_control = |home: &&Path| match fs::metadata(home.join("control")) {
        Ok(control) => control.is_dir(),
        Err(error) => !matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory),
    };
    if let Some(home) = surroundings.qmailhome.filter(|home| !home.as_os_str().is_empty()) {
        return Some(home).filter(has_control).map(Path::to_owned);
    }
    let cwd = surroundings.cwd?; // without it, the homes below may be the wrong ones
    let program = surroundings.execfn.map(|program| cwd.join(program));
    let executed_from = program.as_deref().and_then(|program| program.parent()?.parent());
    let mess = Some(cwd).filter(|cwd| cwd.ends_with("queue/mess")).and_then(|mess| mess.ancestors().nth(2));
    mess.into_iter().chain(executed_from).chain(USUAL.map(Path::new)).find(has_control).map(Path::to_owned)
}
