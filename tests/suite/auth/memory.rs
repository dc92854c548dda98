//! The memory of the process when it writes its report: no password is in it, nor what a login made of it, in any form. Before, the
//! password is there, since it has to be known in what the relay says.

use crate::support::certificate::Authority;
use crate::support::executable;
use crate::support::namespace::inside;
use crate::support::server::{Action, Event, Rules, Server, Tls, scram};
use crate::support::{Home, program};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use qmail_auth::secret::KEEP;
use std::collections::{BTreeSet, HashMap};
use std::fs::{self, DirBuilder, File, Permissions};
use std::hash::{DefaultHasher, Hasher};
use std::io::Write;
use std::os::fd::OwnedFd;
use std::os::unix::fs::{DirBuilderExt, FileExt, MetadataExt, PermissionsExt};
use std::os::unix::net::UnixStream;
use std::os::unix::process::CommandExt;
use std::process::{Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::thread;
use std::time::{Duration, Instant, SystemTime};

const USER: &str = "myuser";
const PASSWORD: &str = "xK7-qp2Vw.Zt94mLr_8Hs+dC3";
/// Runs of this length are looked for, since a buffer's beginning may be overwritten by whoever had it next.
const RUN: usize = 10;
/// How many octets the user and what is beside it in a message have, so that behind them nothing is known.
const BESIDE: usize = 2;

/// The forms of a secret, each by its name and in octets, in lower case. None has anything that is no secret.
struct Secrets(Vec<(&'static str, Vec<u8>)>);

impl Secrets {
    /// Those of the password, and of the answers that a login by CRAM-MD5 or SCRAM-SHA-256 has sent.
    fn new(answers: &[String]) -> Secrets {
        let behind_user = (USER.len() + BESIDE).div_ceil(3) * 4;
        let mut forms = vec![
            ("password", PASSWORD.as_bytes().to_vec()),
            ("in UTF-16", PASSWORD.encode_utf16().flat_map(u16::to_le_bytes).collect()),
            ("in hexadecimal digits", hex(PASSWORD.as_bytes())),
            ("PLAIN", STANDARD.encode(format!("\0{USER}\0{PASSWORD}")).split_off(behind_user).into()),
            ("LOGIN", STANDARD.encode(PASSWORD).into()),
            ("in base64, third place", STANDARD.encode(&PASSWORD[2..]).into()),
            ("HMAC's inner key", PASSWORD.bytes().map(|octet| octet ^ 0x36).collect()),
            ("HMAC's outer key", PASSWORD.bytes().map(|octet| octet ^ 0x5c).collect()),
        ];
        for answer in answers.iter().filter(|answer| answer.starts_with("Yz1i")) {
            // SCRAM, whose message begins with `c=b`. Whoever has the salted password, or a key made of it, needs no password.
            let behind = STANDARD.decode(answer).unwrap().windows(3).position(|three| three == b",p=").unwrap() + 3;
            let salted = scram::salted("SCRAM-SHA-256", PASSWORD.as_bytes(), scram::SALT, scram::ROUNDS);
            for label in ["Client Key", "Server Key"] {
                forms.push(("a key", scram::mac("SCRAM-SHA-256", &salted, label.as_bytes())));
            }
            forms.push(("the salted password", salted));
            forms.push(("the proof", STANDARD.decode(answer).unwrap().split_off(behind)));
            forms.push(("SCRAM-SHA-256", answer[behind.div_ceil(3) * 4..].into()));
        }
        for answer in answers.iter().filter(|answer| !answer.starts_with("Yz1i")) {
            let digest = STANDARD.decode(answer).unwrap().split_off(USER.len() + 1);
            let octets = digest.chunks(2).map(|two| u8::from_str_radix(&String::from_utf8_lossy(two), 16).unwrap());
            forms.push(("the digest's octets", octets.collect()));
            forms.push(("digest", digest));
            forms.push(("CRAM-MD5", answer[behind_user..].into()));
        }
        forms.iter_mut().for_each(|(_, form)| form.make_ascii_lowercase());
        Secrets(forms)
    }

    /// Which of them are in this memory, in whatever case: themselves, or what one gets by trying all short runs.
    fn found(&self, memory: &[u8]) -> BTreeSet<&'static str> {
        let (mut runs, mut hashes) = (HashMap::new(), HashMap::new());
        for (kind, form) in &self.0 {
            runs.extend(form.windows(RUN).map(|run| (run.to_vec(), *kind)));
            hashes.extend(form.windows(8).map(|run| (hash(run), "hashes")));
        }
        &kinds(&memory.to_ascii_lowercase(), RUN, &runs) | &kinds(memory, 8, &hashes)
    }
}

/// Those whose runs, of this length, are in this memory.
fn kinds(memory: &[u8], length: usize, runs: &HashMap<Vec<u8>, &'static str>) -> BTreeSet<&'static str> {
    let mut can_begin = vec![false; 1 << 16]; // most cannot, and that is soon seen
    let index = |octets: &[u8]| usize::from(octets[0]) << 8 | usize::from(octets[1]);
    runs.keys().for_each(|run| can_begin[index(run)] = true);
    memory.windows(length).filter(|run| can_begin[index(run)]).filter_map(|run| runs.get(run).copied()).collect()
}

fn hex(octets: &[u8]) -> Vec<u8> {
    octets.iter().flat_map(|octet| format!("{octet:02x}").into_bytes()).collect()
}

/// By the hash of the standard library, which has no key.
fn hash(run: &[u8]) -> Vec<u8> {
    let mut hasher = DefaultHasher::new();
    hasher.write(run);
    hasher.finish().to_ne_bytes().into()
}

#[test]
fn each_form_would_be_found() {
    let secrets = Secrets::new(&[STANDARD.encode(format!("{USER} 0123456789abcdef0123456789abcdef"))]);
    for (kind, form) in &secrets.0 {
        for piece in [form.clone(), form.to_ascii_uppercase(), form[3..].to_vec()] {
            let memory = [&b"something before"[..], &piece, b" and behind"].concat();
            assert!(secrets.found(&memory).contains(*kind), "{kind}");
        }
        assert_eq!(
            secrets.found(&[b" ", &hash(&form[2..10])[..], b" "].concat()),
            BTreeSet::from(["hashes"]),
            "{kind}"
        );
    }
    assert!(secrets.found(USER.repeat(10).as_bytes()).is_empty());
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
    assert!(octets.windows(USER.len()).any(|octets| octets == USER.as_bytes()), "this is another memory");
    octets
}

/// A descriptor to write to for which one waits, as long as nobody reads the other.
fn full() -> (OwnedFd, OwnedFd) {
    let (mut writer, reader) = UnixStream::pair().unwrap();
    writer.set_nonblocking(true).unwrap();
    for size in [4096, 1] {
        while writer.write(&vec![0; size]).is_ok() {}
    }
    writer.set_nonblocking(false).unwrap();
    (writer.into(), reader.into())
}

/// Waits until the process waits in a system call for descriptor 1: it is its report that it cannot write.
fn wait_for_the_report(pid: u32) {
    let start = Instant::now();
    let call = || fs::read_to_string(format!("/proc/{pid}/syscall")).unwrap();
    while call().split(' ').nth(1) != Some("0x1") {
        assert!(start.elapsed() < Duration::from_secs(20), "{}", call());
        thread::sleep(Duration::from_millis(1));
    }
}

/// What the relay does.
#[derive(Clone, Copy, PartialEq, Debug)]
enum Relay {
    TakesTheMail,
    RefusesTheLogin,
}

/// One way to log in. By XOAUTH2 the password is a token: `in_relays`, and it comes from a program; else it is one that is kept.
#[derive(Clone, Copy, Debug)]
struct Way {
    mechanism: &'static str,
    over_tls: bool,
    in_relays: bool,
}

/// What is found in the memory of a delivery when its login is done, or else under way, and then when it writes its report.
fn found(way: Way, relay: Relay, keep: bool) -> (BTreeSet<&'static str>, BTreeSet<&'static str>) {
    let Way { mechanism, over_tls, in_relays } = way;
    let ca = Authority::new("My CA");
    let identity = ca.issue(&["127.0.0.1"]);
    let (reached, at_login) = channel();
    let (go_on, looked): (_, Receiver<()>) = channel();
    let (answered, answers) = channel();
    let rules = Rules { tls: over_tls.then(|| Tls::of(&identity)), ..Rules::offering(&[&format!("AUTH {mechanism}")]) };
    let (right, place) = match relay {
        Relay::TakesTheMail => (PASSWORD, "MAIL"),
        Relay::RefusesTheLogin => ("another", "AUTH"),
    };
    let is_token = mechanism == "XOAUTH2";
    let server = Server::start(rules.login(USER, right).hooked(move |event, _| {
        match event {
            Event::Answer { mechanism: "CRAM-MD5" | "SCRAM-SHA-256", line } if !line.is_empty() => {
                answered.send((*line).to_owned()).unwrap();
            }
            Event::Command(line) if line.starts_with(place) => {
                reached.send(()).unwrap();
                let _ = looked.recv(); // no word, but an end
            }
            _ => {}
        }
        match event {
            Event::Command(line) if is_token && line.starts_with("AUTH") => {
                Action::reply(if relay == Relay::TakesTheMail { "235 ok" } else { "535 no" })
            }
            _ => Action::Default,
        }
    }));
    let line_login = if in_relays || is_token { String::new() } else { format!(" {USER} {PASSWORD}") };
    let home = Home::with_route(&format!("127.0.0.1:{}{line_login}", server.port()));
    home.control("tlscafile", "control/ca.pem");
    home.control("ca.pem", &ca.pem);
    if is_token {
        token(&home, in_relays);
    } else if in_relays {
        home.control("relays/127.0.0.1/user", USER);
        home.control("relays/127.0.0.1/password", format!("{PASSWORD}\n"));
    }
    let mut command = home.command("sender@example.net", &["one@example.org"]);
    if keep {
        command.env(KEEP, "1");
    }
    let message = home.path().join("message");
    fs::write(&message, "Subject: memory\n\nhello\n").unwrap();
    let (report, _reader) = full();
    let mut child = command.stdin(File::open(message).unwrap()).stdout(report).stderr(Stdio::null()).spawn().unwrap();
    at_login.recv_timeout(Duration::from_secs(20)).unwrap();
    let before = memory(child.id());
    drop(go_on);
    server.finish();
    wait_for_the_report(child.id());
    let at_report = memory(child.id());
    child.kill().unwrap();
    child.wait().unwrap();
    let secrets = Secrets::new(&answers.iter().collect::<Vec<_>>());
    (secrets.found(&before), secrets.found(&at_report))
}

/// The password as a token, by a program or kept for 50 minutes more.
fn token(home: &Home, by_program: bool) {
    home.control("relays/127.0.0.1/user", USER);
    let now = SystemTime::UNIX_EPOCH.elapsed().unwrap().as_secs();
    let directory = home.path().join("accounts/127.0.0.1").join(USER);
    DirBuilder::new().mode(0o700).recursive(true).create(&directory).unwrap();
    let file = directory.join(if by_program { "printed" } else { "access" });
    fs::write(&file, format!("{PASSWORD}\n{}\n{}\n", if by_program { now + 3000 } else { now }, now + 3000)).unwrap();
    fs::set_permissions(&file, Permissions::from_mode(0o600)).unwrap();
    let command = if by_program { format!("/bin/cat {}\n", file.display()) } else { "/bin/false\n".to_owned() };
    home.control("relays/127.0.0.1/oauth/command", command);
}

/// In namespaces of its own the test may read the memory of a process that is not dumpable, whoever runs it.
#[test]
fn no_secret_stays_behind() {
    if !inside(here!()) {
        return;
    }
    for mechanism in ["PLAIN", "LOGIN", "CRAM-MD5", "SCRAM-SHA-256", "XOAUTH2"] {
        for [over_tls, in_relays] in [[false, false], [false, true], [true, false], [true, true]] {
            let way = Way { mechanism, over_tls, in_relays };
            for relay in [Relay::TakesTheMail, Relay::RefusesTheLogin] {
                let (before, at_report) = found(way, relay, false);
                assert!(before.contains("password"), "{way:?} {relay:?}: there is nothing to be cleared");
                assert!(at_report.is_empty(), "{way:?} {relay:?}: {at_report:?}");
            }
            // The control: it would be found. Release builds clear always.
            if cfg!(debug_assertions) {
                let (_, at_report) = found(way, Relay::TakesTheMail, true);
                let form = if mechanism == "XOAUTH2" { "LOGIN" } else { mechanism }; // the token stands at a third octet
                for expected in ["password", form] {
                    assert!(at_report.contains(expected), "{way:?}: {expected} is not found: {at_report:?}");
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
        executable::copy(&program(), &copy);
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
