//! What one delivery costs a program: a relay and a qmail home for it, and one measure after another of the whole process.
//! Counts come from valgrind and strace, so that they hold on another machine.

use std::collections::BTreeMap;
use std::fs::{self, DirBuilder, File};
use std::net::{SocketAddr, TcpListener};
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, SystemTime};

use super::certificate::Chain;
use super::delay::Line;
use super::server::Manner;
use super::sink::{self, Sink, Tls};

pub const USER: &str = "myuser";
pub const PASSWORD: &str = "secretpass";

/// Debian's CAs, in which a client looks for the relay's.
pub const BUNDLE: &str = "/etc/ssl/certs/ca-certificates.crt";

/// How long octets to or from a far relay are on their way: so long that what a client says without waiting comes together.
const DELAY: Duration = Duration::from_millis(20);

/// How the relay is spoken to.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Way {
    Clear,
    ClearAuth,
    StartTlsAuth,
    Port465Auth,
}

impl Way {
    pub const ALL: [Way; 4] = [Way::Clear, Way::ClearAuth, Way::StartTlsAuth, Way::Port465Auth];

    /// As a key of tests/data/cost.toml.
    pub fn name(self) -> &'static str {
        match self {
            Way::Clear => "clear",
            Way::ClearAuth => "clear_auth",
            Way::StartTlsAuth => "starttls_auth",
            Way::Port465Auth => "port_465_auth",
        }
    }

    pub fn logs_in(self) -> bool {
        self != Way::Clear
    }

    pub fn tls(self) -> Tls {
        match self {
            Way::Clear | Way::ClearAuth => Tls::Never,
            Way::StartTlsAuth => Tls::OnCommand,
            Way::Port465Auth => Tls::AtOnce,
        }
    }
}

/// A relay for each way, and the files of a client: a qmail home, CAs, messages.
pub struct Place {
    dir: tempfile::TempDir,
    pub chain: Chain,
    sinks: [Sink; 4],
    /// None but in [`Place::new`].
    lines: Vec<Line>,
}

/// One delivery of this message to so many recipients.
pub struct Mail {
    pub way: Way,
    /// The relay's, or that of the long line to it.
    pub address: SocketAddr,
    pub recipients: Vec<String>,
    pub message: PathBuf,
}

/// A program and how it is run.
pub struct Run {
    pub program: PathBuf,
    pub arguments: Vec<String>,
    /// All of its environment.
    pub env: Vec<(&'static str, String)>,
    /// Descriptor 0.
    pub stdin: PathBuf,
    /// Descriptor 3, for the one program that wants its message there.
    pub third: Option<PathBuf>,
    /// What stdout has once the mail is delivered; the exit status is 0 as well.
    pub says: &'static str,
}

impl Place {
    /// Whose relays add nothing to what a client costs.
    pub fn new() -> Place {
        Place::offering("PLAIN LOGIN")
    }

    /// The same, with other mechanisms.
    fn offering(mechanisms: &str) -> Place {
        let far = sink::listeners();
        let addresses = far.each_ref().map(|listener| listener.local_addr().unwrap());
        let mut place = Place::with(sink::listeners(), mechanisms, Manner::Prompt, |name| {
            Chain::shortest(&[name, &addresses[0].ip().to_string()])
        });
        let ends = place.sinks.iter().map(|sink| sink.address);
        place.lines = far.into_iter().zip(ends).map(|(listener, end)| Line::start(listener, end, DELAY)).collect();
        place
    }

    /// Whose relays listen there, offer these mechanisms, do so in this manner, and show such a chain for that address.
    pub fn with(
        listeners: [TcpListener; 4],
        mechanisms: &str,
        manner: Manner,
        chain: impl FnOnce(&str) -> Chain,
    ) -> Place {
        let chain = chain(&listeners[0].local_addr().unwrap().ip().to_string());
        let mut ways = Way::ALL.iter();
        let sinks = listeners.map(|listener| {
            let way = ways.next().unwrap();
            Sink::start(listener, way.tls(), mechanisms, way.logs_in(), manner, &chain)
        });
        let place = Place { dir: tempfile::tempdir().unwrap(), chain, sinks, lines: Vec::new() };
        fs::create_dir(place.path("control")).unwrap();
        place.write("control/me", "client.example.net\n");
        place.write("control/tlscafile", place.path("cas.pem").display().to_string() + "\n");
        place.write("small", message(1024));
        place.write("large", message(10 << 20));
        place.trust_debians_cas_too();
        place
    }

    /// The file of CAs is what people have.
    pub fn trust_debians_cas_too(&self) {
        let bundle = fs::read_to_string(BUNDLE).unwrap_or_else(|error| panic!("{BUNDLE}: {error}"));
        self.write("cas.pem", bundle + &self.chain.root.pem);
    }

    /// The file of CAs is the relay's alone.
    pub fn trust_one_ca(&self) {
        self.write("cas.pem", &self.chain.root.pem);
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    pub fn write(&self, name: &str, content: impl AsRef<[u8]>) -> PathBuf {
        let path = self.path(name);
        fs::write(&path, content).unwrap();
        path
    }

    /// Where this way ends.
    pub fn sink(&self, way: Way) -> &Sink {
        &self.sinks[way as usize]
    }

    /// The mail of 1 KiB to one recipient.
    pub fn mail(&self, way: Way) -> Mail {
        Mail { way, address: self.sink(way).address, recipients: recipients(1), message: self.path("small") }
    }

    /// That of 10 MiB.
    pub fn large_mail(&self, way: Way) -> Mail {
        Mail { message: self.path("large"), ..self.mail(way) }
    }

    /// That of 1 KiB to so many recipients, over a long line.
    pub fn far_mail(&self, way: Way, recipients: usize) -> Mail {
        Mail { address: self.lines[way as usize].address, ..self.mail(way).to(recipients) }
    }

    /// A qmail-remote as qmail-rspawn runs it. `before` are lines of smtproutes before the one that counts, `blank` is what
    /// stands between its fields.
    pub fn qmail_remote(&self, program: &Path, mail: &Mail, before: &str, blank: char) -> Run {
        // Ours does not show a password in clear to another machine, but with this sign before the user.
        let leave = if mail.way == Way::ClearAuth && !mail.address.ip().is_loopback() { "-" } else { "" };
        let login = if mail.way.logs_in() { format!("{blank}{leave}{USER}{blank}{PASSWORD}") } else { String::new() };
        self.write("control/smtproutes", format!("{before}:{}{login}\n", mail.address));
        Run {
            program: program.into(),
            arguments: [&["example.org".into(), "sender@example.net".into()], &mail.recipients[..]].concat(),
            env: vec![("QMAILHOME", self.dir.path().display().to_string())],
            stdin: mail.message.clone(),
            third: None,
            says: "K",
        }
    }

    /// The same with a password of so many characters, in a directory of the relay.
    pub fn with_password(&self, program: &Path, mail: &Mail, length: usize) -> Run {
        let run = self.qmail_remote(program, mail, "", ' ');
        self.write("control/smtproutes", format!(":{}\n", mail.address));
        let directory = format!("control/relays/{}", mail.address.ip());
        fs::create_dir_all(self.path(&directory)).unwrap();
        self.write(&format!("{directory}/user"), USER);
        self.write(
            &format!("{directory}/password"),
            PASSWORD.chars().chain(sink::noise()).take(length).collect::<String>(),
        );
        run
    }

    /// The same by a token that is good for an hour.
    pub fn with_token(&self, program: &Path, mail: &Mail, length: usize) -> Run {
        let run = self.with_password(program, mail, length);
        let directory = format!("control/relays/{}", mail.address.ip());
        let token = fs::read_to_string(self.path(&format!("{directory}/password"))).unwrap();
        fs::remove_file(self.path(&format!("{directory}/password"))).unwrap();
        fs::create_dir_all(self.path(&format!("{directory}/oauth"))).unwrap();
        let account = format!("accounts/{}/{USER}", mail.address.ip());
        DirBuilder::new().mode(0o700).recursive(true).create(self.path(&account)).unwrap();
        let now = SystemTime::UNIX_EPOCH.elapsed().unwrap().as_secs();
        self.write(&format!("{account}/access"), format!("{token}\n{now}\n{}\n", now + 3600));
        run
    }

    /// From now on what comes of a login is remembered.
    fn make_accounts(&self) {
        DirBuilder::new().mode(0o700).create(self.path("accounts")).unwrap();
    }

    /// Instructions of the whole process, by callgrind.
    pub fn instructions(&self, way: Way, run: &Run) -> u64 {
        let text =
            self.measured(way, run, &["valgrind", "--tool=callgrind", "--callgrind-out-file=/dev/null"], "--log-file=");
        collected(&text)
    }

    /// System calls of the process and its children, execve among them.
    pub fn calls(&self, way: Way, run: &Run) -> u64 {
        let text = self.measured(way, run, &["strace", "-f", "-c"], "--output=");
        let total = text.lines().find(|line| line.ends_with(" total"));
        let calls = total.and_then(|line| line.split_whitespace().nth(3)?.parse().ok());
        calls.unwrap_or_else(|| panic!("strace said {text:?}"))
    }

    /// These system calls of the process, a line each, octets in hexadecimal.
    pub fn trace(&self, way: Way, run: &Run, calls: &str) -> String {
        self.measured(way, run, &["strace", "-xx", "-s", "1000000", &format!("--trace={calls}")], "--output=")
    }

    /// Round trips of a delivery of [`Place::far_mail`], connect not counted. The least of three, since a machine with more to do
    /// may take apart what was said at once.
    pub fn round_trips(&self, way: Way, run: &Run) -> u64 {
        let once = || {
            self.lines[way as usize].round_trips();
            self.deliver(way, run, &[]).unwrap();
            self.lines[way as usize].round_trips() as u64
        };
        (0..3).map(|_| once()).min().unwrap()
    }

    /// The most memory that was resident, KiB.
    pub fn resident(&self, way: Way, run: &Run) -> u64 {
        self.measured(way, run, &["time", "--format=%M"], "--output=").trim().parse().unwrap()
    }

    /// What a tool has to say of a delivery; `output` is its option for where.
    fn measured(&self, way: Way, run: &Run, tool: &[&str], output: &str) -> String {
        let log = tempfile::NamedTempFile::new_in(self.dir.path()).unwrap();
        let output = format!("{output}{}", log.path().display());
        self.deliver(way, run, &[tool, &[&output]].concat()).unwrap();
        fs::read_to_string(log.path()).unwrap()
    }

    /// Runs it under a tool, or under none. An error: the mail was not delivered as it should be.
    pub fn deliver(&self, way: Way, run: &Run, tool: &[&str]) -> Result<(), String> {
        self.sink(way).taken();
        run.under(tool)?;
        match self.sink(way).taken() {
            1 => Ok(()),
            count => Err(format!("{count} messages came by {} {:?}", run.program.display(), run.arguments)),
        }
    }

    /// User and system time, milliseconds.
    pub fn cpu(&self, way: Way, run: &Run) -> f64 {
        let script = "TIMEFORMAT='%3U %3S'; { time \"$@\" 2>/dev/null; } 2>\"$0\""; // time(1) knows hundredths only
        let text = self.measured(way, run, &["bash", "-c", script], "");
        text.split_whitespace().map(|seconds| 1000.0 * seconds.parse::<f64>().unwrap()).sum()
    }
}

impl Mail {
    /// The same to so many recipients.
    pub fn to(self, count: usize) -> Mail {
        Mail { recipients: recipients(count), ..self }
    }
}

impl Run {
    /// Runs it under a tool, or under none, to its end. An error: the end is bad.
    pub fn under(&self, tool: &[&str]) -> Result<(), String> {
        let shell = ["sh", "-c", "exec \"$@\" 3<\"$THIRD\"", "sh"]; // gone once the program is there
        let before = if self.third.is_some() { &shell[..] } else { &[] };
        let words = [before, tool, &[self.program.to_str().unwrap()]].concat();
        let mut command = Command::new(words[0]);
        command.args(&words[1..]).args(&self.arguments).env_clear().envs(self.env.iter().cloned());
        command.envs(self.third.iter().map(|third| ("THIRD", third)));
        let output = command.stdin(File::open(&self.stdin).unwrap()).output().unwrap_or_else(|error| {
            panic!("{}: {error}", words[0]);
        });
        let said = String::from_utf8_lossy(&output.stdout);
        let why = String::from_utf8_lossy(&output.stderr);
        if output.status.success() && said.contains(self.says) {
            return Ok(());
        }
        Err(format!("{words:?} {:?}: {said}{why}", self.arguments))
    }
}

/// The instructions that callgrind has counted, by its log.
pub fn collected(log: &str) -> u64 {
    let collected = log.lines().find_map(|line| line.split("Collected : ").nth(1)?.trim().parse().ok());
    collected.unwrap_or_else(|| panic!("valgrind said {log:?}"))
}

/// So many.
pub fn recipients(count: usize) -> Vec<String> {
    (1..=count).map(|n| format!("recipient{n}@example.org")).collect()
}

/// A message of about this size: a header, and lines as base64 makes them, of which some begin with a dot.
pub fn message(size: usize) -> String {
    let mut text = String::from("From: sender@example.net\nTo: recipient1@example.org\nSubject: what it costs\n\n");
    let line = "VGhlIHF1aWNrIGJyb3duIGZveCBqdW1wcyBvdmVyIHRoZSBsYXp5IGRvZyBhbmQgcnVucyBvbi4";
    for n in 0.. {
        let left = size - text.len();
        if left <= line.len() + 1 {
            text.extend(std::iter::repeat_n('x', left - 1));
            text.push('\n');
            return text;
        }
        let first = if n % 100 == 10 { '.' } else { 'V' };
        text.push(first);
        text += &line[1..];
        text.push('\n');
    }
    unreachable!()
}

/// smtproutes of so many domains, none of which is the mail's.
pub fn other_routes(count: usize) -> String {
    (0..count).map(|n| format!("domain{n}.example:relay{n}.example:587\n")).collect()
}

/// authsenders of so many senders, none of whom is the mail's.
fn other_senders(count: usize) -> String {
    (0..count).map(|n| format!("user{n}@domain{n}.example:relay{n}.example:587|user{n}|password{n}\n")).collect()
}

/// The instructions, calls and so on of ours, as tests/data/cost.toml has them.
pub fn counts(program: &Path) -> BTreeMap<String, u64> {
    let place = Place::new();
    let mut counts = BTreeMap::new();
    for way in Way::ALL {
        let run = place.qmail_remote(program, &place.mail(way), "", ' ');
        counts.insert(format!("instructions_{}", way.name()), place.instructions(way, &run));
        counts.insert(format!("calls_{}", way.name()), place.calls(way, &run));
        let run = place.qmail_remote(program, &place.far_mail(way, 20), "", ' ');
        counts.insert(format!("round_trips_{}", way.name()), place.round_trips(way, &run));
    }
    let way = Way::StartTlsAuth;
    let run = place.qmail_remote(program, &Mail { recipients: recipients(1000), ..place.mail(way) }, "", ' ');
    counts.insert("instructions_starttls_auth_to_1000_recipients".into(), place.instructions(way, &run));
    let way = Way::ClearAuth;
    for length in [PASSWORD.len(), 2000, 8000] {
        let run = place.with_password(program, &place.mail(way), length);
        counts.insert(format!("instructions_clear_auth_password_of_{length}"), place.instructions(way, &run));
    }
    let recipients = ["recipient@example.org", "talkative@example.org"].map(String::from).into();
    let run = place.with_password(program, &Mail { recipients, ..place.mail(way) }, 8000);
    counts
        .insert("instructions_clear_auth_password_of_8000_to_a_talkative_relay".into(), place.instructions(way, &run));
    fs::remove_dir_all(place.path("control/relays")).unwrap();
    let way = Way::Clear;
    let run = place.qmail_remote(program, &place.large_mail(way), "", ' ');
    counts.insert("calls_clear_10_mib".into(), place.calls(way, &run));
    let run = place.qmail_remote(program, &place.mail(way), &other_routes(10_000), ' ');
    counts.insert("instructions_clear_after_10000_routes".into(), place.instructions(way, &run));
    // They begin as the host does, and have to be told from it by more than that.
    let run = place.qmail_remote(program, &place.mail(way), &other_routes(10_000).replace("domain", "example"), ' ');
    counts.insert("instructions_clear_after_10000_routes_that_begin_as_the_host".into(), place.instructions(way, &run));
    let run = place.qmail_remote(program, &place.mail(way), "", ' ');
    place.write("control/authsenders", other_senders(10_000));
    counts.insert("instructions_clear_after_10000_senders".into(), place.instructions(way, &run));
    fs::remove_file(place.path("control/authsenders")).unwrap();
    place.make_accounts();
    for way in [Way::ClearAuth, Way::StartTlsAuth] {
        let run = place.qmail_remote(program, &place.mail(way), "", ' ');
        place.deliver(way, &run, &[]).unwrap(); // the first one makes the account
        counts.insert(format!("instructions_{}_with_account", way.name()), place.instructions(way, &run));
        counts.insert(format!("calls_{}_with_account", way.name()), place.calls(way, &run));
    }
    let (place, way) = (Place::offering("SCRAM-SHA-256 SCRAM-SHA-512 SCRAM-SHA-1"), Way::ClearAuth);
    let run = place.with_password(program, &place.mail(way), PASSWORD.len());
    for name in ["SCRAM-SHA-256", "SCRAM-SHA-512", "SCRAM-SHA-1"] {
        place.write(&format!("control/relays/{}/mechanisms", place.mail(way).address.ip()), name);
        let key = name.to_lowercase().replace('-', "_");
        counts.insert(format!("instructions_clear_auth_{key}"), place.instructions(way, &run));
    }
    for (what, mechanism) in [("password", "PLAIN"), ("token", "XOAUTH2")] {
        let place = Place::offering(mechanism);
        place.make_accounts();
        for length in [PASSWORD.len(), 2000] {
            let run = match what {
                "token" => place.with_token(program, &place.mail(way), length),
                _ => place.with_password(program, &place.mail(way), length),
            };
            place.deliver(way, &run, &[]).unwrap(); // the first one makes the memory of the account
            let key = format!("instructions_clear_auth_{what}_of_{length}_with_account");
            counts.insert(key, place.instructions(way, &run));
        }
    }
    counts.insert("octets_of_the_program".into(), fs::metadata(program).unwrap().len());
    counts
}
