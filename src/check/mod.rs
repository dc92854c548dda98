//! qmail-remote-check: shows what would happen to a mail, step by step, without sending one.
//!
//! A check runs the same delivery as qmail-remote, but stops after the login, and logs events. `steps` prints these. `config` is
//! `--config`, `convert` is `--convert` and `accounts` is `--accounts`, which use no network. `lines` reads the control files for the
//! first two. `file_readers` finds out who can read a file, `program` which program qmail runs, and `user` which user that has.

mod accounts;
mod arguments;
pub mod config;
pub mod convert;
pub(crate) mod file_readers;
pub(crate) mod lines;
mod program;
mod steps;
pub(crate) mod user;

use crate::control::home::{self, Surroundings};
use crate::delivery::Delivery;
use crate::event::Log;
use crate::report::os_error;
use crate::smtp::envelope::Goal;
use arguments::{Command, Options, USAGE};
use file_readers::Ids;
use program::Program;
use std::ffi::OsString;
use std::io::{Write, stdout};
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::time::SystemTime;
use steps::recorder::Recorder;
use user::RunsAs;

const NO_HOME: &str =
    "no home of qmail: neither /var/qmail nor /var/lib/qmail has a directory control; QMAILHOME can name another";

/// The exit status for wrong arguments.
const IMPROPER: u8 = 2;

/// A check of a mail, before anything of it is read.
pub struct Check {
    options: Options,
    home: Option<PathBuf>,
    user: RunsAs,
    program: Option<Program>,
}

/// Does what the arguments say; they come without the program's name. `Ok` is a check to start, `Err` the exit status when
/// everything is done. `uid` is the effective user of the process.
pub fn prepare(arguments: Vec<OsString>, surroundings: &Surroundings, uid: u32) -> Result<Check, u8> {
    match arguments::parse(arguments) {
        Ok(Command::Check(options)) => {
            let (home, is_named) = (home::find(surroundings), is_named(surroundings));
            let program = home.as_deref().map(|home| Program::of(home, is_named));
            let user = RunsAs::find(home.as_deref(), is_named, uid).map_err(|why| failed(&why))?;
            Ok(Check { options, home, user, program })
        }
        Ok(Command::Accounts) => Err(report(surroundings, |home| accounts::list(home, uid, unix()))),
        Ok(Command::Config) => {
            let is_named = is_named(surroundings);
            Err(report(surroundings, |home| with_program(config::config(home), &Program::of(home, is_named))))
        }
        Ok(Command::Convert { write: false }) => Err(report(surroundings, convert::plan)),
        Ok(Command::Convert { write: true }) => Err(report(surroundings, |home| convert::write(home, uid))),
        Ok(Command::Help) => Err(print(USAGE)),
        Ok(Command::Version) => Err(print(concat!("qmail-remote-check ", env!("CARGO_PKG_VERSION"), "\n"))),
        Err(why) => {
            failed(&why);
            eprint!("{USAGE}");
            Err(IMPROPER)
        }
    }
}

impl Check {
    /// The user and group that the process must become for good before the check starts.
    pub fn change_of_user(&self) -> Option<Ids> {
        self.user.change
    }

    /// The process could not become that user.
    pub fn cannot_change_user(&self, error: &std::io::Error) {
        if let Some((uid, gid)) = self.user.change {
            failed(&format!(
                "cannot become the user of qmail-remote (uid {uid}, gid {gid}): {}. Nothing was tried.",
                os_error(error)
            ));
        }
    }

    /// Reads the control files. The delivery is for the caller to run.
    pub fn start(self) -> Delivery {
        let Check { options, home, user, program } = self;
        let uid = user.uid;
        let (domain, sender) = (options.domain.clone(), options.sender.clone());
        let goal = if options.login { Goal::LoggedIn } else { Goal::LoginKnown };
        // Without the rest of the surroundings: another user could find another home.
        let surroundings = Surroundings { qmailhome: home.as_deref(), uid, unix: unix(), ..Surroundings::default() };
        let log = Log::to(Rc::new(Recorder::new(options, user, program)));
        Delivery::check(&domain, &sender, goal, &surroundings, log)
    }
}

/// The environment names the home.
fn is_named(surroundings: &Surroundings) -> bool {
    surroundings.qmailhome.is_some_and(|home| !home.as_os_str().is_empty())
}

/// The lines of `--config`, with one on the program behind that on the home.
fn with_program((mut lines, is_wrong): (Vec<String>, bool), program: &Program) -> (Vec<String>, bool) {
    let mark = if program.deserves_warning() { "warning: " } else { "" };
    lines.insert(1, printable(format!("{mark}program {program}").as_bytes()));
    (lines, is_wrong || program.is_wrong())
}

/// Says on descriptor 2 why there is no check. Returns the exit status.
fn failed(why: &str) -> u8 {
    eprintln!("qmail-remote-check: {}", printable(why.as_bytes()));
    1
}

/// Unix time, in seconds.
fn unix() -> u64 {
    SystemTime::UNIX_EPOCH.elapsed().map_or(0, |since| since.as_secs())
}

/// Returns the exit status: 1 if the text cannot be printed.
fn print(text: &str) -> u8 {
    u8::from(stdout().write_all(text.as_bytes()).is_err())
}

/// Prints the lines that `of` makes for qmail's home. Returns the exit status: 1 if `of` says that something is wrong, or if there
/// is no home.
fn report(surroundings: &Surroundings, of: impl FnOnce(&Path) -> (Vec<String>, bool)) -> u8 {
    match home::find(surroundings) {
        Some(home) => {
            user::of_qmail(&home).into_iter().for_each(file_readers::judge_for);
            let (lines, is_wrong) = of(&home);
            print(&(lines.join("\n") + "\n")) | u8::from(is_wrong)
        }
        None => failed(NO_HOME),
    }
}

/// Octets as printable ASCII, with `\xNN` for all others: a terminal must not obey what a server or a file says.
fn printable(octets: &[u8]) -> String {
    let mut text = String::with_capacity(octets.len());
    for octet in octets {
        match octet {
            b' '..=b'~' => text.push(char::from(*octet)),
            _ => text.push_str(&format!("\\x{octet:02x}")),
        }
    }
    text
}
