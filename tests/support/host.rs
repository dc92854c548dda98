//! A mail by the qmail-remote of tests/c/tree, a host of the shape of a classic one.

use super::login::assert_without_mail;
use super::server::{Log, Rules, Server};
use super::tree::{Change, MODERN, Tree};
use super::{Delivered, c, run};
use std::path::Path;
use std::process::Command;
use std::sync::OnceLock;
use std::time::Duration;

/// AUTH_FLAG_ of the header.
pub const TLS_VERIFIED: u32 = 1;
pub const CLEAR_ALLOWED: u32 = 2;

/// Which program, and how it is run.
pub struct Host {
    pub program: &'static Path,
    pub flags: u32,
    /// It connects again where that may help.
    pub again: bool,
    /// What stands behind the relay in the route.
    pub login: &'static str,
    /// Of the variables that tests/c/tree/qmail-remote.c reads, one to set.
    pub variable: Option<&'static str>,
}

impl Host {
    /// The whole login, in a tree without a patch, with permission to show the password: compiled as ever and with sanitizers.
    pub fn all() -> [Host; 2] {
        static PROGRAMS: OnceLock<[&Path; 2]> = OnceLock::new();
        let programs = PROGRAMS.get_or_init(|| both("login-alone", Change::LoginAlone));
        programs.map(|program| Host::new(program, Change::LoginAlone))
    }

    /// The parts, in a tree with a patch, in the same two ways.
    pub fn with_parts() -> [Host; 2] {
        static PROGRAMS: OnceLock<[&Path; 2]> = OnceLock::new();
        PROGRAMS.get_or_init(|| both("parts", Change::Parts)).map(|program| Host::new(program, Change::Parts))
    }

    pub fn new(program: &'static Path, change: Change) -> Host {
        let login = if change == Change::LoginAlone { " myuser secretpass" } else { "|myuser|secretpass" };
        Host { program, flags: CLEAR_ALLOWED, again: true, login, variable: None }
    }

    /// One mail by a server with these rules.
    pub fn mail(&self, rules: Rules) -> (Delivered, Log) {
        let server = Server::start(rules);
        let delivered = run(self.command(server.port()), b"");
        assert!(delivered.elapsed < Duration::from_secs(15), "a timeout of 20 s was waited for");
        (delivered, server.finish())
    }

    /// The command for a mail by the server on this port.
    pub fn command(&self, port: u16) -> Command {
        self.command_by(&format!("127.0.0.1:{port}{}", self.login))
    }

    /// The command for a mail by this route.
    pub fn command_by(&self, route: &str) -> Command {
        let mut command = Command::new(self.program);
        command.env_clear().env("HOST_ROUTE", route).envs(self.variable.map(|name| (name, "1")));
        command.arg(self.flags.to_string()).arg(if self.again { "again" } else { "once" });
        command
    }

    /// The server saw a login by this mechanism, and the mail.
    pub fn assert_mail(&self, case: &str, rules: Rules, mechanism: &str) -> Log {
        let (delivered, log) = self.mail(rules);
        assert_eq!(delivered.letters(), "rK", "{case}: {delivered:?}");
        assert_eq!(log.logins(), [format!("{mechanism} myuser")], "{case}");
        assert_eq!(log.messages.len(), 1, "{case}");
        log
    }

    /// The report is Z and says this; MAIL was never sent; no secret is told.
    pub fn assert_no_mail(&self, case: &str, rules: Rules, says: &[&str]) -> Log {
        let (delivered, log) = self.mail(rules);
        assert_without_mail(case, &delivered, &log, says);
        log
    }
}

fn both(name: &str, change: Change) -> [&'static Path; 2] {
    let sanitized = format!("{} {}", MODERN, c::SANITIZERS.join(" "));
    let optimized = format!("{} -O2", MODERN);
    [Tree::new(name, change, &optimized), Tree::new(&format!("{name}-sanitized"), change, &sanitized)]
        .map(|tree| tree.program())
}
