//! qmail-remote-check, and what must hold of whatever it prints.

use super::Home;
use super::login::assert_no_secret;
use super::server::{Rules, Server};
use std::ffi::OsStr;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;
use std::process::{Command, Stdio};

/// The program under test.
pub fn program() -> PathBuf {
    super::built("qmail-remote-check", env!("CARGO_BIN_EXE_qmail-remote-check"))
}

/// Root, and not only in a namespace: it can become any user.
pub fn is_root() -> bool {
    let map = fs::read_to_string("/proc/self/uid_map").unwrap();
    let ids: Vec<&str> = map.split_whitespace().collect();
    fs::metadata("/proc/self").unwrap().uid() == 0 && ids == ["0", "0", "4294967295"]
}

/// What to check, and against whom.
pub struct Setting {
    pub home: Home,
    pub server: Option<Server>,
}

impl Setting {
    /// A relay at a free port of this address, and the login behind it in the route.
    pub fn new(address: &str, rules: Rules, login: &str) -> Setting {
        Setting::named(address, (address, 0), rules, login)
    }

    /// The relay has this name in its route.
    pub fn named(name: &str, address: (&str, u16), rules: Rules, login: &str) -> Setting {
        let server = Server::start_on(address, rules);
        let home = Home::with_route(&format!("{name}:{} {login}", server.port()));
        Setting { home, server: Some(server) }
    }

    /// No relay.
    pub fn alone(home: Home) -> Setting {
        Setting { home, server: None }
    }

    /// With this control file.
    pub fn control(self, name: &str, content: impl AsRef<[u8]>) -> Setting {
        self.home.control(name, content);
        self
    }
}

/// What the program did.
#[derive(Debug)]
pub struct Checked {
    pub stdout: String,
    pub stderr: String,
    pub status: Option<i32>,
}

impl Checked {
    /// The last line, which is the answer.
    pub fn last_line(&self) -> &str {
        self.stdout.lines().last().unwrap_or_default()
    }

    /// The object of `--json`.
    pub fn json(&self) -> serde_json::Value {
        serde_json::from_str(&self.stdout).unwrap_or_else(|error| panic!("{error}: {}", self.stdout))
    }
}

/// The command in this home.
pub fn command<S: AsRef<OsStr>>(home: &Home, arguments: &[S]) -> Command {
    let mut command = Command::new(program());
    command.env_clear().env("QMAILHOME", home.path()).args(arguments);
    command
}

/// Runs it to its end.
pub fn run(command: Command) -> Checked {
    run_with(command, Stdio::null())
}

/// The same with this on descriptor 0.
pub fn run_with(mut command: Command, stdin: Stdio) -> Checked {
    let output = command.stdin(stdin).stdout(Stdio::piped()).stderr(Stdio::piped()).output().unwrap();
    let [stdout, stderr] = [output.stdout, output.stderr].map(|octets| String::from_utf8(octets).unwrap());
    Checked { stdout, stderr, status: output.status.code() }
}

/// A check in each form of output: `run` makes it with these options, and answers the lines that the relay got. The answer says
/// this, and `ok` is whether it is good. No mail is sent, nothing secret shown, and there is nothing but printable ASCII.
pub fn in_each_form(
    case: &str,
    ok: bool,
    says: &[impl AsRef<str>],
    mut run: impl FnMut(&[&str]) -> (Checked, Vec<String>),
) -> Checked {
    let mut first = None;
    for form in [&[][..], &["--dialogue"], &["--json"], &["--json", "--dialogue"]] {
        let (checked, lines) = run(form);
        let Checked { stdout, stderr, status } = &checked;
        assert_eq!((*status, stderr.as_str()), (Some(i32::from(!ok)), ""), "{case} {form:?}: {stdout}");
        assert!(stdout.bytes().all(|octet| octet == b'\n' || (b' '..=b'~').contains(&octet)), "{case}: {stdout:?}");
        let answer = match form.contains(&"--json") {
            false => checked.last_line().to_owned(),
            true => {
                let json = checked.json();
                assert_eq!(json["ok"], ok, "{case}: {stdout}");
                as_text(json["verdict"].as_str().unwrap())
            }
        };
        let begin = if ok { "OK: mail for example.org would go out " } else { "NOT OK: mail for example.org would " };
        assert!(answer.starts_with(begin), "{case}: {answer}");
        for words in says.iter().map(AsRef::as_ref) {
            assert!(answer.contains(words), "{case}: {words:?} is not in {answer:?}");
        }
        assert_nothing_secret(case, stdout, &lines);
        assert!(!lines.iter().any(|line| line.starts_with("MAIL")), "{case}: {lines:?}");
        first.get_or_insert(checked);
    }
    first.unwrap()
}

/// What text shows of this: `\xNN` for each octet that is not printable ASCII, and in the object is as it was.
fn as_text(verdict: &str) -> String {
    let shown = |octet: u8| match octet {
        b' '..=b'~' => char::from(octet).to_string(),
        _ => format!("\\x{octet:02x}"),
    };
    verdict.bytes().map(shown).collect()
}

/// The same of mail for example.org, each time in a new setting.
fn of_setting(case: &str, setting: impl Fn() -> Setting, ok: bool, says: &[&str]) -> Checked {
    in_each_form(case, ok, says, |form| {
        let Setting { home, server } = setting();
        let checked = run(command(&home, &[form, &["example.org", "sender@example.net"]].concat()));
        (checked, server.map(|server| server.finish().commands()).unwrap_or_default())
    })
}

/// The mail would not go out.
pub fn broken(case: &str, setting: impl Fn() -> Setting, says: &[&str]) -> Checked {
    of_setting(case, setting, false, says)
}

/// It would.
pub fn good(case: &str, setting: impl Fn() -> Setting, says: &[&str]) -> Checked {
    of_setting(case, setting, true, says)
}

/// Neither the password `secretpass` of `myuser`, nor its forms in AUTH, nor its hex, nor what was sent in AUTH.
fn assert_nothing_secret(case: &str, text: &str, lines: &[String]) {
    assert_no_secret(case, text);
    let lower = text.to_lowercase();
    let hex: String = b"secretpass".iter().map(|octet| format!("{octet:02x}")).collect();
    assert!(!lower.contains(&hex) && !lower.contains(&hex.replace("73", "\\x73")), "{case}: {text}");
    for sent in lines
        .iter()
        .flat_map(|line| line.split(' '))
        .filter(|word| word.len() > 11 && !word.contains('.') && !word.starts_with("SCRAM-"))
    {
        assert!(!lower.contains(&sent.to_lowercase()), "{case}: {sent} is in {text}");
    }
}
