//! qmail-remote-check: what would become of a mail, step by step, without sending one.
//!
//! The delivery is the machine that qmail-remote runs, with a smaller goal and a log. `steps` makes its output of the events.
//! `config` is `--config` and `convert` is `--convert`, which use no network; `lines` is what both have read, and `file_readers` who can
//! read a file.

pub mod arguments;
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
use steps::recorder::Recorder;

const NO_HOME: &str = "no home of qmail: neither /var/qmail nor /var/lib/qmail has control; QMAILHOME may name it";

/// The exit status for arguments that cannot be understood.
pub const IMPROPER: u8 = 2;

/// Does what the arguments (without the program's name) say, or gives the delivery that is to be run for it; else the exit
/// status. `uid` is the effective one of the process.
pub fn start(arguments: Vec<OsString>, surroundings: &Surroundings, uid: u32) -> Result<Delivery, u8> {
    match arguments::parse(arguments) {
        Ok(Command::Check(options)) => {
            let (host, sender) = (options.host.clone(), options.sender.clone());
            let goal = if options.login { Goal::LoggedIn } else { Goal::LoginKnown };
            let log = Log::to(Rc::new(Recorder::new(options, uid)));
            Ok(Delivery::check(&host, &sender, goal, surroundings, log))
        }
        Ok(Command::Config) => Err(said(surroundings, config::config)),
        Ok(Command::Convert { write: false }) => Err(said(surroundings, convert::plan)),
        Ok(Command::Convert { write: true }) => Err(said(surroundings, |home| convert::write(home, uid))),
        Ok(Command::Help) => Err(print(USAGE)),
        Ok(Command::Version) => Err(print(concat!("qmail-remote-check ", env!("CARGO_PKG_VERSION"), "\n"))),
        Err(why) => {
            eprint!("qmail-remote-check: {}\n{USAGE}", printable(why.as_bytes()));
            Err(IMPROPER)
        }
    }
}

/// Prints this. The exit status: 1 where it cannot be printed.
fn print(text: &str) -> u8 {
    u8::from(stdout().write_all(text.as_bytes()).is_err())
}

/// Prints what there is to say of the home. The exit status: 1 where something is wrong there, or there is none.
fn said(surroundings: &Surroundings, of: impl FnOnce(&Path) -> (Vec<String>, bool)) -> u8 {
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

/// Octets as text in ASCII: what cannot be printed, or not everywhere, is `\xNN`.
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
