//! Where qmail lives. Nothing is compiled in: one package serves every layout.

use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

/// What the process knows of its surroundings; each may be absent.
#[derive(Default)]
pub struct Surroundings<'a> {
    /// The environment variable QMAILHOME.
    pub qmailhome: Option<&'a Path>,
    /// The working directory; qmail-rspawn starts us in queue/mess.
    pub cwd: Option<&'a Path>,
    /// The file name that the program was executed by (AT_EXECFN).
    pub execfn: Option<&'a Path>,
    /// The number of the process.
    pub pid: u32,
}

/// Where qmail's home is looked for when nothing tells.
const USUAL: [&str; 2] = ["/var/qmail", "/var/lib/qmail"];

/// qmail's home: `$QMAILHOME`, which must have `control`; else the first that has it of `../..` of the working directory, when
/// that is `.../queue/mess` (the queue may be a link to another disk), of the parent of the directory that the program was
/// executed from, and of the usual places. Where it cannot be seen whether `control` is there it counts as there, and cannot be
/// read then: the mail waits, and does not go by what another home says.
pub fn find(surroundings: &Surroundings) -> Option<PathBuf> {
    let has_control = |home: &&Path| match fs::metadata(home.join("control")) {
        Ok(control) => control.is_dir(),
        Err(error) => !matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory),
    };
    if let Some(home) = surroundings.qmailhome.filter(|home| !home.as_os_str().is_empty()) {
        return Some(home).filter(has_control).map(Path::to_owned);
    }
    let cwd = surroundings.cwd?; // it may be that of another home than the ones below
    let program = surroundings.execfn.map(|program| cwd.join(program));
    let executed_from = program.as_deref().and_then(|program| program.parent()?.parent());
    let mess = Some(cwd).filter(|cwd| cwd.ends_with("queue/mess")).and_then(|mess| mess.ancestors().nth(2));
    mess.into_iter().chain(executed_from).chain(USUAL.map(Path::new)).find(has_control).map(Path::to_owned)
}
