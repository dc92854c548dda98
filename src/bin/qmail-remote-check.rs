//! qmail-remote-check: says what the control files mean. No network, and no mail.

use qmail_auth::check::config::config;
use qmail_auth::control::home::{self, Surroundings};
use std::env;
use std::io::{Write, stdout};
use std::path::Path;
use std::process::ExitCode;

fn main() -> ExitCode {
    if !env::args_os().skip(1).eq(["--config"]) {
        eprintln!("usage: qmail-remote-check --config");
        return ExitCode::from(2);
    }
    let (qmailhome, cwd) = (env::var_os("QMAILHOME"), env::current_dir().ok());
    let surroundings =
        Surroundings { qmailhome: qmailhome.as_deref().map(Path::new), cwd: cwd.as_deref(), ..Surroundings::default() };
    let Some(home) = home::find(&surroundings) else {
        eprintln!(
            "qmail-remote-check: no home of qmail: neither /var/qmail nor /var/lib/qmail has control; QMAILHOME may name it"
        );
        return ExitCode::FAILURE;
    };
    let lines = config(&home).join("\n") + "\n";
    match stdout().write_all(lines.as_bytes()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(_) => ExitCode::FAILURE,
    }
}
