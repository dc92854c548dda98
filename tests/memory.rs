//! The memory of the process once the relay has said 235: no password is in it, in no form that was sent.

mod support;

use base64::Engine;
use qmail_auth::secret::KEEP;
use std::collections::HashSet;
use std::fs::{self, File, Permissions};
use std::os::unix::fs::{FileExt, MetadataExt, PermissionsExt};
use std::os::unix::process::CommandExt;
use std::process::{Command, Stdio};
use std::sync::mpsc::channel;
use std::time::Duration;
use support::certificate::Authority;
use support::namespace::inside;
use support::server::{Action, Event, Rules, Server, Tls};
use support::{Home, program};

const USER: &str = "myuser";
const PASSWORD: &str = "xK7-qp2Vw.Zt94mLr_8Hs+dC3";
/// Runs of this length are looked for, since a buffer's beginning may be overwritten by whoever had it next.
const RUN: usize = 10;

/// Every run of a secret that is nowhere else: the password, what LOGIN sends for it, and what PLAIN does, behind the user.
struct Secrets {
    password: Vec<Vec<u8>>,
    login: Vec<Vec<u8>>,
    plain: Vec<Vec<u8>>,
}

impl Secrets {
    fn new() -> Secrets {
        let runs = |secret: &[u8]| secret.windows(RUN).map(<[u8]>::to_vec).collect();
        let base64 = |text: &str| base64::engine::general_purpose::STANDARD.encode(text).into_bytes();
        let plain = base64(&format!("\0{USER}\0{PASSWORD}"));
        let behind_user = (USER.len() + 2).div_ceil(3) * 4;
        Secrets {
            password: runs(PASSWORD.as_bytes()),
            login: runs(&base64(PASSWORD)),
            plain: runs(&plain[behind_user..]),
        }
    }

    /// Which of them are in this memory.
    fn found(&self, memory: &[u8]) -> Vec<&'static str> {
        let all: HashSet<&[u8]> = memory.windows(RUN).collect();
        let kinds = [("password", &self.password), ("login", &self.login), ("plain", &self.plain)];
        kinds
            .into_iter()
            .filter(|(_, runs)| runs.iter().any(|run| all.contains(&run[..])))
            .map(|(kind, _)| kind)
            .collect()
    }
}

/// All that can be read of the memory of a process, except for what comes unchanged from its files.
fn memory(pid: u32) -> Vec<u8> {
    let maps = fs::read_to_string(format!("/proc/{pid}/maps")).unwrap();
    let memory = File::open(format!("/proc/{pid}/mem")).unwrap();
    let mut octets = Vec::new();
    for line in maps.lines().filter(|line| line.split(' ').nth(1).is_some_and(|access| access.starts_with("rw"))) {
        let (start, end) = line.split(' ').next().unwrap().split_once('-').unwrap();
        let [start, end] = [start, end].map(|address| u64::from_str_radix(address, 16).unwrap());
        let mut part = vec![0; (end - start) as usize];
        memory.read_exact_at(&mut part, start).unwrap_or_else(|error| panic!("{line}: {error}"));
        octets.extend(part);
    }
    assert!(octets.len() > 100_000, "{maps}");
    octets
}

/// What is found in the memory of a delivery that has logged in by this mechanism.
fn found(mechanism: &str, over_tls: bool, in_relays: bool, keep: bool) -> Vec<&'static str> {
    let ca = Authority::new("My CA");
    let identity = ca.issue(&["127.0.0.1"]);
    let (reached, at_mail) = channel();
    let rules = Rules { tls: over_tls.then(|| Tls::of(&identity)), ..Rules::offering(&[&format!("AUTH {mechanism}")]) };
    let server = Server::start(rules.login(USER, PASSWORD).hooked(move |event, session| match event {
        Event::Command(line) if line.starts_with("MAIL") => {
            assert!(session.login.is_some());
            reached.send(()).unwrap();
            Action::Silence
        }
        _ => Action::Default,
    }));
    let line_login = if in_relays { String::new() } else { format!(" {USER} {PASSWORD}") };
    let home = Home::with_route(&format!("127.0.0.1:{}{line_login}", server.port()));
    home.control("tlscafile", "control/ca.pem");
    home.control("ca.pem", &ca.pem);
    if in_relays {
        home.control("relays/127.0.0.1/user", USER);
        home.control("relays/127.0.0.1/password", format!("{PASSWORD}\n"));
    }
    let mut command = home.command("sender@example.net", &["one@example.org"]);
    if keep {
        command.env(KEEP, "1");
    }
    let mut child = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    at_mail.recv_timeout(Duration::from_secs(20)).unwrap();
    let memory = memory(child.id());
    child.kill().unwrap();
    child.wait().unwrap();
    server.finish();
    assert!(memory.windows(USER.len()).any(|octets| octets == USER.as_bytes()), "this is another memory");
    Secrets::new().found(&memory)
}

/// In namespaces of its own the test may read the memory of a process that is not dumpable, whoever runs it.
#[test]
fn no_secret_stays_behind() {
    if !inside("no_secret_stays_behind") {
        return;
    }
    for mechanism in ["PLAIN", "LOGIN", "CRAM-MD5"] {
        for over_tls in [false, true] {
            for in_relays in [false, true] {
                let case = format!("{mechanism}, TLS {over_tls}, in control/relays {in_relays}");
                assert!(found(mechanism, over_tls, in_relays, false).is_empty(), "{case}");
                // The control: it would be found. Release builds clear always.
                if cfg!(debug_assertions) {
                    let found = found(mechanism, over_tls, in_relays, true);
                    let sent = match mechanism {
                        "PLAIN" => Some("plain"),
                        "LOGIN" => Some("login"),
                        _ => None,
                    };
                    for expected in ["password"].into_iter().chain(sent) {
                        assert!(found.contains(&expected), "{case}: {expected} is not found: {found:?}");
                    }
                }
            }
        }
    }
}

/// Of a process that is not dumpable the kernel gives the files of /proc/PID to root: nobody else may look into it.
#[test]
fn not_dumpable() {
    let (reached, connected) = channel();
    let server = Server::start(Rules::default().hooked(move |_, _| {
        reached.send(()).unwrap();
        Action::Silence
    }));
    let home = Home::with_route(&format!("127.0.0.1:{}", server.port()));
    let mut command = home.command("sender@example.net", &["one@example.org"]);
    let mut uid = fs::metadata("/proc/self").unwrap().uid();
    if uid == 0 {
        // Root's own processes say nothing, so it is run by another user, from a place where that one may.
        uid = 65534;
        let copy = home.path().join("qmail-remote");
        fs::set_permissions(home.path(), Permissions::from_mode(0o755)).unwrap();
        // By another process: a file that this one has had open for writing may be busy, in a child of another test.
        assert!(Command::new("cp").arg(program()).arg(&copy).status().unwrap().success());
        let mut as_other = Command::new(copy);
        as_other.env_clear().env("QMAILHOME", home.path()).args(command.get_args()).uid(uid).gid(uid);
        command = as_other;
    }
    let mut child = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    connected.recv_timeout(Duration::from_secs(20)).unwrap();
    let owner = fs::metadata(format!("/proc/{}/mem", child.id())).unwrap().uid();
    let status = fs::read_to_string(format!("/proc/{}/status", child.id())).unwrap();
    child.kill().unwrap();
    child.wait().unwrap();
    assert!(status.lines().any(|line| line.starts_with(&format!("Uid:\t{uid}\t"))), "{status}");
    assert_eq!(owner, 0);
}
