//! The stamp of an account: a number that changes when anything changes that a login may depend on. It is made of the states of a
//! fixed list of files, absent ones too, so it is the same for every mail to the account, and touching one of them is enough.
//!
//! It says nothing of what is in the files. Another release of this program may compute another number.

use crate::control::files::{Control, FileState, state};
use crate::control::{relays, routes, senders};
use crate::policy::Security;
use std::fs;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::path::Path;

/// The files for all relays.
const GENERAL: [&str; 6] = ["me", "helohost", "outgoingip", routes::FILE, senders::FILE, "tlscafile"];

/// The stamp of the accounts at a relay. `security` is what control/relays and control/tlscafile say of it. Files that were read
/// for this mail are not asked about again.
pub fn of(control: &Control, security: &Security) -> u64 {
    let mut hasher = DefaultHasher::new();
    let mut add = |state: Option<FileState>| state.hash(&mut hasher);
    GENERAL.iter().for_each(|name| add(of_control_file(control, name)));
    if let Some(directory) = security.directory.as_deref().and_then(|directory| directory.strip_prefix("control/")) {
        relays::NAMES.iter().for_each(|name| add(of_control_file(control, &format!("{directory}/{name}"))));
    }
    security.files().for_each(|file| add(of_file(&file.path)));
    hasher.finish()
}

fn of_control_file(control: &Control, name: &str) -> Option<FileState> {
    let seen = |name: &str| control.seen.as_ref().and_then(|seen| seen.file(name));
    let is_absent = |name: &&Path| name.to_str().and_then(seen) == Some(None);
    match seen(name) {
        Some(state) => state,
        None if Path::new(name).ancestors().skip(1).any(|above| is_absent(&above)) => None,
        None => of_file(&control.home.join("control").join(name)),
    }
}

/// What cannot be asked about counts as absent.
fn of_file(path: &Path) -> Option<FileState> {
    fs::metadata(path).ok().map(|file| state(&file))
}
