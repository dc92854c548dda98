//! Deliveries of each kind under a fault, and what must hold of each.

use super::certificate::Authority;
use super::login::assert_no_secret;
use super::rspawn::verdict;
use super::server::{Log, Rules, Server, Tls};
use super::{Delivered, Home, c, program, run};
use std::fs::{self, DirBuilder};
use std::net::Ipv4Addr;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

pub const MESSAGE: &[u8] = b"Subject: faults\n\n.a line that begins with a dot\n.\nthe end\n";
pub const SENDER: &str = "sender@example.net";
pub const RECIPIENTS: [&str; 2] = ["one@example.org", "two@example.org"];

/// A kind of delivery.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Kind {
    /// Without a login, all in few flights.
    Clear,
    /// A login in clear, which loopback allows, one by one.
    Auth,
    /// The same, where what comes of a login is remembered, and nothing is known yet.
    Account,
    /// A login over STARTTLS with a certificate that verifies.
    Tls,
    /// Without a route, to the domain's mail exchanger; only in namespaces where [`EXCHANGER`] can be had.
    Mx,
}

impl Kind {
    pub const ROUTED: [Kind; 3] = [Kind::Clear, Kind::Auth, Kind::Tls];
}

/// The address of the mail exchanger of one-mx.example in tests/compliance/zone.conf.
const EXCHANGER: &str = "192.0.2.7";

/// A home for deliveries of a kind, each to a server of its own.
pub struct Bench {
    kind: Kind,
    tls: Tls,
    pub home: Home,
}

impl Bench {
    pub fn new(kind: Kind) -> Bench {
        let ca = Authority::new("My CA");
        let home = Home::new();
        if kind == Kind::Tls {
            home.control("relays/127.0.0.1/user", "myuser\n");
            home.control("relays/127.0.0.1/password", "secretpass\n");
            home.control("relays/127.0.0.1/cafile", "control/ca.pem\n");
            home.control("ca.pem", &ca.pem);
        }
        Bench { kind, tls: Tls::of(&ca.issue(&["127.0.0.1"])), home }
    }

    /// With a short timeoutremote, for where nothing can be sent and what the server says is waited for. A machine that is busy
    /// may be too slow for it, so no K is to be expected then.
    pub fn impatient(self) -> Bench {
        self.home.control("timeoutremote", "1\n");
        self
    }

    /// One delivery under this fault.
    pub fn run(&self, word: &str, number: u64) -> Run {
        self.run_by(self.faulty(word, number), MESSAGE)
    }

    /// The command of a delivery under this fault.
    pub fn faulty(&self, word: &str, number: u64) -> Command {
        let mut command = self.command();
        command.env("LD_PRELOAD", shim()).env("FAULT", format!("{word} {number}"));
        command.env("FAULT_COUNTS", self.home.path().join("counts"));
        command
    }

    /// The command of a delivery.
    pub fn command(&self) -> Command {
        let host = if self.kind == Kind::Mx { "one-mx.example" } else { "example.org" };
        let mut command = Command::new(program());
        command.env_clear().env("QMAILHOME", self.home.path()).args([host, SENDER]).args(RECIPIENTS);
        command
    }

    /// One delivery of this message by this command.
    pub fn run_by(&self, command: Command, message: &[u8]) -> Run {
        let server = self.server();
        let delivered = run(command, message);
        let log = server.finish();
        let counts = fs::read(self.home.path().join("counts")).unwrap();
        let [counted, hit] = [0, 8].map(|at| u64::from_ne_bytes(counts[at..at + 8].try_into().unwrap()));
        Run { delivered, log, counted, hit }
    }

    /// The server that the home leads to; and the home's files that a delivery changes, as they are before it: a record of
    /// that address in queue/lock/tcpto, nothing known of the account, and no counts.
    pub fn server(&self) -> Server {
        let address = if self.kind == Kind::Mx { (EXCHANGER, 25) } else { ("127.0.0.1", 0) };
        let rules = match self.kind {
            Kind::Clear | Kind::Mx => Rules { auth_required: false, ..Rules::default() },
            Kind::Auth | Kind::Account => Rules::offering(&["AUTH PLAIN"]),
            Kind::Tls => {
                Rules { tls: Some(self.tls.clone()), ..Rules::offering(&["PIPELINING", "SIZE", "AUTH PLAIN"]) }
            }
        };
        let server = Server::start_on(address, rules);
        let login = if matches!(self.kind, Kind::Auth | Kind::Account) { " myuser secretpass" } else { "" };
        if self.kind != Kind::Mx {
            self.home.control("smtproutes", format!(":127.0.0.1:{}{login}\n", server.port()));
        }
        if self.kind == Kind::Account {
            let accounts = self.home.path().join("accounts");
            let _ = fs::remove_dir_all(&accounts); // absent before the first delivery
            DirBuilder::new().mode(0o700).create(accounts).unwrap();
        }
        let tcpto = self.home.path().join("queue/lock/tcpto");
        fs::create_dir_all(tcpto.parent().unwrap()).unwrap();
        let mut records = vec![0; 1024];
        records[..4].copy_from_slice(&address.0.parse::<Ipv4Addr>().unwrap().octets());
        records[4] = 5;
        fs::write(tcpto, records).unwrap();
        fs::write(self.home.path().join("counts"), [0; 16]).unwrap();
        server
    }
}

/// tests/c/faults.c, compiled.
pub fn shim() -> &'static Path {
    static SHIM: OnceLock<PathBuf> = OnceLock::new();
    SHIM.get_or_init(|| {
        let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join("faults.so");
        // Another process may be using it, so it is replaced whole.
        let new = path.with_extension(std::process::id().to_string());
        c::preload("faults.c", &new);
        fs::rename(new, &path).unwrap();
        path
    })
}

/// What became of a delivery.
pub struct Run {
    pub delivered: Delivered,
    pub log: Log,
    /// Calls that could have failed.
    pub counted: u64,
    /// Those that did.
    pub hit: u64,
}

impl Run {
    /// 0: K. 1: Z. 2: died by a signal. 3: D.
    pub fn fate(&self) -> usize {
        match verdict(self.delivered.status, &self.delivered.stdout) {
            _ if self.delivered.status.code().is_none() => 2,
            'K' => 0,
            'Z' => 1,
            _ => 3,
        }
    }
}

/// What is wrong with a run, if anything is: a bounce; a K for what the server has not taken once, whole, for both recipients; a
/// Z for what it has taken that does not say so, unless by a signal.
pub fn wrong(run: &Run) -> Option<&'static str> {
    let said = String::from_utf8_lossy(&run.delivered.stdout);
    assert_no_secret("a fault", &said);
    let taken = match &run.log.messages[..] {
        [] => false,
        [one] if one.content == MESSAGE && one.recipients == RECIPIENTS && one.sender == SENDER => true,
        [_] => return Some("the server took another message"),
        _ => return Some("the server took more than one"),
    };
    match (run.fate(), taken) {
        (0, false) => Some("a K for nothing"),
        (1, true) if !said.contains("Possible duplicate!") => Some("a Z that conceals a possible duplicate"),
        (3, _) => Some("a bounce"),
        _ => None,
    }
}
