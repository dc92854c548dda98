//! The transcripts of qmail-remote-check that README.md shows: the program's own, of relays of the tests. They differ from
//! a run by this alone: the user's number, the home, and the certificate's last day, which are always the same; long lines are
//! folded; and of the steps the files that are not there are left out, in all but the first also what is as in the first.
//!
//! `script/transcripts` prints them.

use crate::support::certificate::{Authority, Identity};
use crate::support::check::{Setting, command, run};
use crate::support::namespace::{RELAY, inside_with};
use crate::support::server::{Rules, Server, Tls};
use std::fs;
use std::path::Path;

const NAME: &str = "smtp.example.jp";
const HOSTS: (&str, &str) = ("hosts", "192.0.2.1 smtp.example.jp smtp.example.jp.\n");
/// Where the program looks for Debian's CAs: a file of the test's own, in the namespace.
const BUNDLE: &str = "/etc/ssl/certs/ca-certificates.crt";
const COMMAND: &str = "# qmail-remote-check example.org";
/// With the four blanks before them the lines are as long as README's others.
const WIDTH: usize = 118;
/// Where what a step says begins.
const INDENT: usize = 14;

#[test]
fn readme_has_what_the_program_says() {
    if !inside_with(here!(), &[HOSTS, ("nsswitch.conf", "hosts: files\n")], "true") {
        return;
    }
    let ca = Authority::new("Example CA");
    fs::create_dir_all(Path::new(BUNDLE).parent().unwrap()).unwrap();
    fs::write(BUNDLE, &ca.pem).unwrap();
    let right = ca.issue(&[NAME]);
    let over_tls = |identity: &Identity| Rules::over_tls(Tls::of(identity));
    let transcripts = [
        shown(over_tls(&right), "secretpass", true),
        shown(over_tls(&right), "secretpas", false),
        shown(Rules::default(), "secretpass", false),
        shown(over_tls(&ca.issue(&["mail.example.jp"])), "secretpass", false),
    ];
    fs::write(Path::new(env!("CARGO_TARGET_TMPDIR")).join("transcripts"), transcripts.join("\n")).unwrap();

    let readme = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("README.md")).unwrap();
    for transcript in &transcripts {
        assert!(readme.contains(transcript), "README.md has not what script/transcripts prints:\n{transcript}");
    }
    let answers =
        readme.lines().filter(|line| ["    OK: ", "    NOT OK: "].iter().any(|begin| line.starts_with(begin)));
    assert_eq!(answers.count(), transcripts.len(), "README.md has another transcript");
}

/// A check against such a relay with this password, as README shows it: from the beginning, or from the greeting on.
fn shown(rules: Rules, password: &str, whole: bool) -> String {
    let Setting { home, server } = Setting::named(NAME, (RELAY, 587), rules, &format!("myuser {password}"));
    fs::create_dir(home.path().join("bin")).unwrap();
    fs::copy(crate::support::program(), home.path().join("bin/qmail-remote")).unwrap();
    let checked = run(command(&home, &["example.org"]));
    server.map(Server::finish);
    assert_eq!(checked.stderr, "");
    let said = checked.stdout.replace(home.path().to_str().unwrap(), "/var/qmail");
    let begin = if whole { 0 } else { said.find("\ngreeting ").unwrap() + 1 };
    let lines = said[begin..].lines().filter(|line| !line.starts_with("not there ")).map(always_the_same);
    let first = if whole { COMMAND } else { "..." };
    let lines: Vec<String> = [first.to_owned()].into_iter().chain(lines.flat_map(|line| folded(&line))).collect();
    lines.iter().map(|line| format!("    {line}\n")).collect()
}

fn always_the_same(line: &str) -> String {
    match line.split_once("; until ") {
        Some((begin, rest)) => format!("{begin}; until 2027-01-31T00:00:00Z; {}", rest.split_once("; ").unwrap().1),
        None if line.starts_with("user ") => format!("{:INDENT$}uid 64013", "user"),
        None => line.to_owned(),
    }
}

/// The words in lines that are not too long; those of a step stay in its column.
fn folded(line: &str) -> Vec<String> {
    let indent = if line.contains("OK: ") { 0 } else { INDENT };
    let mut lines = vec![line[..indent.min(line.len())].to_owned()];
    for word in line.get(indent..).unwrap_or_default().split(' ') {
        let last = lines.last_mut().unwrap();
        if last.len() + 1 + word.len() > WIDTH && last.len() > indent {
            lines.push(" ".repeat(indent) + word);
        } else {
            *last += if last.len() > indent { " " } else { "" };
            *last += word;
        }
    }
    lines
}
