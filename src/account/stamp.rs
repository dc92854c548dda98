//! The stamp of an account: a number that changes when anything changes that a login may depend on. It is made of the states of a
//! fixed list of files, absent ones too, so it is the same for every mail to the account, and touching one of them is enough.
//!
//! It says nothing of what is in the files.

use crate::control::files::{Control, FileState, state};
use crate::control::{relays, routes, senders, tokens};
use crate::policy::Security;
use std::fs;
use std::path::Path;

/// The files for all relays.
const GENERAL: [&str; 6] = ["me", "helohost", "outgoingip", routes::FILE, senders::FILE, "tlscafile"];

/// The stamp of the accounts at a relay. `security` is what control/relays and control/tlscafile say of it. Files that were read
/// for this mail are not asked about again. `with_tokens`: the login is by a token.
pub fn of(control: &Control, security: &Security, with_tokens: bool) -> u64 {
    let mut stamp = 0;
    GENERAL.iter().for_each(|name| stamp = with(stamp, of_control_file(control, name)));
    let directory = security.directory.as_deref().and_then(|directory| directory.strip_prefix("control/"));
    if let Some(directory) = directory.filter(|directory| is_there(control, directory)) {
        for name in relays::NAMES.into_iter().filter(|name| *name != tokens::DIRECTORY) {
            stamp = with(stamp, of_control_file(control, &[directory, "/", name].concat()));
        }
        if with_tokens {
            // What a token is asked for with makes no difference before there is another token.
            stamp = with(stamp, of_control_file(control, &[directory, "/", tokens::COMMAND].concat()));
        }
    }
    security.files().fold(stamp, |stamp, file| with(stamp, of_file(&file.path)))
}

/// The stamp of files with these names in a directory, and of the file behind them, if there is one.
pub fn of_files(directory: &Path, names: &[&str], one_more: Option<&Path>) -> u64 {
    let stamp = names.iter().fold(0, |stamp, name| with(stamp, of_file(&directory.join(name))));
    one_more.into_iter().fold(stamp, |stamp, path| with(stamp, of_file(path)))
}

/// The state of the file of an access token, as a number that is not 0.
pub fn of_token(file: &Path) -> u64 {
    with(0, of_file(file)).max(1)
}

/// The same with its state. Each step can be undone, so a change of one number is never lost in the end.
fn with(stamp: u64, file: Option<FileState>) -> u64 {
    let add = |stamp: u64, number: &u64| (stamp.rotate_left(5) ^ number).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    file.map_or(add(stamp, &1), |state| state.iter().fold(stamp, add))
}

/// Whether a relay may have its directory: nobody has found that it has none.
fn is_there(control: &Control, directory: &str) -> bool {
    let is_absent = |name: &str| control.seen.as_ref().and_then(|seen| seen.file(name)) == Some(None);
    !is_absent("relays") && !is_absent(directory)
}

fn of_control_file(control: &Control, name: &str) -> Option<FileState> {
    match control.seen.as_ref().and_then(|seen| seen.file(name)) {
        Some(state) => state,
        None => of_file(&control.home.join("control").join(name)),
    }
}

/// What cannot be asked about counts as absent.
fn of_file(path: &Path) -> Option<FileState> {
    fs::metadata(path).ok().map(|file| state(&file))
}
