//! tests/c/host.c: a host of the shape of a classic qmail-remote.c, with contrib/qmail_auth_login.c and the code of docs/linking.md.

use super::login::assert_without_mail;
use super::server::{Log, Rules, Server};
use super::{Delivered, c, run};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;
use std::time::Duration;

/// AUTH_FLAG_ of the header.
pub const TLS_VERIFIED: u32 = 1;
pub const CLEAR_ALLOWED: u32 = 2;

/// How the host is compiled, and how it is run.
pub struct Host {
    pub program: &'static Path,
    pub flags: u32,
    /// It connects again where that may help.
    pub again: bool,
    /// What stands behind the relay in the route.
    pub login: &'static str,
    /// It leaves out auth_mask.
    pub forgets: bool,
}

impl Host {
    /// Each of them, for a login with permission to show the password.
    pub fn all() -> [Host; 2] {
        static PROGRAMS: OnceLock<[PathBuf; 2]> = OnceLock::new();
        let programs = PROGRAMS.get_or_init(|| {
            let directory = Path::new(env!("CARGO_TARGET_TMPDIR")).join("contrib");
            fs::create_dir_all(&directory).unwrap();
            fs::write(directory.join("linking.c"), linking()).unwrap();
            let compile = |name: &str, flags: &[&str]| {
                let program = directory.join(name);
                let includes = ["-D_DEFAULT_SOURCE", "-Icontrib", "-I", directory.to_str().unwrap()];
                c::compile(&["tests/c/host.c", "contrib/qmail_auth_login.c"], &[&includes, flags].concat(), &program);
                program
            };
            [compile("host", &["-O2"]), compile("host-sanitized", &c::SANITIZERS)]
        });
        let (login, forgets) = (" myuser secretpass", false);
        programs.each_ref().map(|program| Host { program, flags: CLEAR_ALLOWED, again: true, login, forgets })
    }

    /// One mail by a server with these rules.
    pub fn mail(&self, rules: Rules) -> (Delivered, Log) {
        let server = Server::start(rules);
        let mut command = Command::new(self.program);
        command.env_clear().env("HOST_ROUTE", format!("{}{}", server.port(), self.login));
        command.envs(self.forgets.then_some(("HOST_FORGETS", "1")));
        command.arg(self.flags.to_string()).arg(if self.again { "again" } else { "once" });
        let delivered = run(command, b"");
        assert!(delivered.elapsed < Duration::from_secs(15), "a timeout of 20 s was waited for");
        (delivered, server.finish())
    }

    /// The server saw a login by this mechanism, and the mail.
    pub fn assert_mail(&self, case: &str, rules: Rules, mechanism: &str) -> Log {
        let (delivered, log) = self.mail(rules);
        assert_eq!(delivered.letters(), "K", "{case}: {delivered:?}");
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

/// The code of docs/linking.md.
fn linking() -> String {
    let page = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/linking.md")).unwrap();
    page.split("```c\n").skip(1).filter_map(|block| block.split("```").next()).collect()
}
