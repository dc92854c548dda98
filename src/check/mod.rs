//! qmail-remote-check: shows what would happen to a mail, step by step, without sending one.
//!
//! A check runs the same delivery as qmail-remote, but stops after the login, and logs events. `steps` prints these. `config` is
//! `--config` and `convert` is `--convert`, which use no network; both read the control files by `lines`. `accounts` is `--accounts`. `file_readers` finds out
//! who can read a file.

mod accounts;
mod arguments;
pub mod config;
pub mod convert;
mod file_readers;
mod lines;
mod steps;

use crate::control::home::{self, Surroundings};
use crate::delivery::Delivery;
use crate::event::Log;
use crate::smtp::envelope::Goal;
use arguments::{Command, USAGE};
use std::ffi::OsString;
use std::io::{Write, stdout};
use std::path::Path;
use std::rc::Rc;
use std::time::SystemTime;
use steps::recorder::Recorder;

const NO_HOME: &str =
    "no home of qmail: neither /var/qmail nor /var/lib/qmail has a directory control; QMAILHOME can name another";

/// The exit status for wrong arguments.
const IMPROPER: u8 = 2;

/// Does what the arguments say; they come without the program's name. `Ok` is a delivery that the caller must run, `Err` the exit
/// status when everything is done. `uid` is the effective user of the process.
pub fn start(arguments: Vec<OsString>, surroundings: &Surroundings, uid: u32) -> Result<Delivery, u8> {
    match arguments::parse(arguments) {
        Ok(Command::Check(options)) => {
            let (host, sender) = (options.host.clone(), options.sender.clone());
            let goal = if options.login { Goal::LoggedIn } else { Goal::LoginKnown };
            let log = Log::to(Rc::new(Recorder::new(options, uid)));
            let surroundings = Surroundings { uid, unix: unix(), ..*surroundings };
            Ok(Delivery::check(&host, &sender, goal, &surroundings, log))
        }
        Ok(Command::Accounts) => Err(report(surroundings, |home| accounts::list(home, uid, unix()))),
        Ok(Command::Config) => Err(report(surroundings, config::config)),
        Ok(Command::Convert { write: false }) => Err(report(surroundings, convert::plan)),
        Ok(Command::Convert { write: true }) => Err(report(surroundings, |home| convert::write(home, uid))),
        Ok(Command::Help) => Err(print(USAGE)),
        Ok(Command::Version) => Err(print(concat!("qmail-remote-check ", env!("CARGO_PKG_VERSION"), "\n"))),
        Err(why) => {
            eprint!("qmail-remote-check: {}\n{USAGE}", printable(why.as_bytes()));
            Err(IMPROPER)
        }
    }
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
            let (lines, is_wrong) = of(&home);
            print(&(lines.join("\n") + "\n")) | u8::from(is_wrong)
        }
        None => {
            eprintln!("qmail-remote-check: {NO_HOME}");
            1
        }
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
