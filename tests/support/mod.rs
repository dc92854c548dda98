//! What the tests share: a qmail home in a temporary directory, and a delivery run in it as qmail-rspawn would.
#![allow(dead_code)] // each test program uses its own part of this

pub mod bearer;
pub mod browser;
pub mod c;
pub mod cargo;
pub mod certificate;
pub mod check;
pub mod chroot;
pub mod cost;
pub mod deb;
pub mod delay;
pub mod ehlo;
pub mod executable;
pub mod exim;
pub mod faults;
pub mod glewlwyd;
pub mod home;
pub mod host;
pub mod login;
pub mod names;
#[macro_use]
pub mod namespace;
pub mod oidc;
pub mod postfix;
pub mod provider;
pub mod receivers;
pub mod relay;
pub mod reports;
pub mod rotation;
pub mod rspawn;
pub mod script;
pub mod server;
pub mod server_side;
pub mod silent;
pub mod sink;
pub mod talk;
pub mod tap;
pub mod text;
pub mod tree;
pub mod trixie;

pub use home::Home;
use std::env;
use std::ffi::OsStr;
use std::fs::File;
use std::io::{Seek, SeekFrom, Write};
use std::path::PathBuf;
use std::process::{Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

impl Home {
    /// The command `qmail-remote example.org SENDER RECIPIENT...` in this home, its three descriptors not yet set.
    pub fn command<S: AsRef<OsStr>>(&self, sender: S, recipients: &[S]) -> Command {
        let mut command = Command::new(program());
        command.env_clear().env("QMAILHOME", self.path());
        command.arg("example.org").arg(sender).args(recipients);
        command
    }

    /// Runs one delivery to its end.
    pub fn deliver<S: AsRef<OsStr>>(&self, sender: S, recipients: &[S], message: &[u8]) -> Delivered {
        run(self.command(sender, recipients), message)
    }
}

/// The program under test: as cargo built it, or that in the directory that the environment's PROGRAMS names, which
/// script/sanitize has built in another way.
pub fn program() -> PathBuf {
    built("qmail-remote", env!("CARGO_BIN_EXE_qmail-remote"))
}

/// The program of this name in $PROGRAMS, else the one that cargo built.
fn built(name: &str, by_cargo: &str) -> PathBuf {
    env::var_os("PROGRAMS").map_or(by_cargo.into(), |programs| PathBuf::from(programs).join(name))
}

/// Runs a prepared command with the message as a file on descriptor 0, which is how qmail-rspawn gives it.
pub fn run(command: Command, message: &[u8]) -> Delivered {
    let mut file = tempfile::tempfile().unwrap();
    file.write_all(message).unwrap();
    file.seek(SeekFrom::Start(0)).unwrap();
    run_with(command, file)
}

/// The same with a file that is there already.
pub fn run_with(mut command: Command, file: File) -> Delivered {
    let start = Instant::now();
    let output = command.stdin(file).stdout(Stdio::piped()).stderr(Stdio::piped()).output().unwrap();
    assert!(output.stderr.is_empty(), "descriptor 2 is the report pipe: {:?}", String::from_utf8_lossy(&output.stderr));
    Delivered { stdout: output.stdout, status: output.status, elapsed: start.elapsed() }
}

/// What qmail-rspawn would have seen.
pub struct Delivered {
    pub stdout: Vec<u8>,
    pub status: ExitStatus,
    pub elapsed: Duration,
}

impl std::fmt::Debug for Delivered {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{:?}, {}, in {:?}", String::from_utf8_lossy(&self.stdout), self.status, self.elapsed)
    }
}

impl Delivered {
    /// The reports, in order, each with its letter, without its NUL. Panics on anything that qmail-rspawn would
    /// misread: a status but 0, or what [`reports::reports`] finds.
    pub fn reports(&self) -> Vec<String> {
        assert_eq!(self.status.code(), Some(0), "{self:?}");
        reports::reports(&self.stdout)
    }

    /// The message report: K, Z or D and its text.
    pub fn verdict(&self) -> String {
        self.reports().pop().unwrap()
    }

    /// The letters of the recipient reports, then that of the message report.
    pub fn letters(&self) -> String {
        self.reports().iter().map(|report| &report[..1]).collect()
    }
}
