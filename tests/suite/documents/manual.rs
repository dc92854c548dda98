//! The manual pages: they are sound, they name all that there is to name, and their example is a program that works.
//!
//! Needs mandoc(1), of the Debian package of that name. Where groff(1) is there it must have nothing to say either.

use crate::support::c;
use crate::support::text::{read, source, sources};
use std::collections::BTreeSet;
use std::fs;
use std::io::{ErrorKind, Write};
use std::path::PathBuf;
use std::process::{Command, Stdio};

/// Pages of others that ours refer to: qmail's, Debian's, and qmail-remote-check, which comes with the program of that name.
const OTHERS: [(&str, &str); 19] = [
    ("cat", "1"),
    ("dpkg", "1"),
    ("dpkg-divert", "1"),
    ("openssl", "1"),
    ("pkg-config", "1"),
    ("sh", "1"),
    ("getrlimit", "2"),
    ("explicit_bzero", "3"),
    ("qmail-control", "5"),
    ("dpkg-reconfigure", "8"),
    ("qmail-remote", "8"),
    ("qmail-remote-check", "8"),
    ("qmail-rspawn", "8"),
    ("qmail-send", "8"),
    ("qmail-showctl", "8"),
    ("qmail-start", "8"),
    ("qmail-tcpok", "8"),
    ("qmail-tcpto", "8"),
    ("softlimit", "8"),
];

/// All pages of the package: `qmail-auth.3` and so on.
fn pages() -> Vec<PathBuf> {
    let is_page = |path: &PathBuf| path.extension().is_some_and(|end| matches!(end.as_encoded_bytes(), [b'1'..=b'9']));
    let pages: Vec<PathBuf> =
        fs::read_dir(source("debian")).unwrap().map(|entry| entry.unwrap().path()).filter(is_page).collect();
    assert!(pages.len() >= 2, "{pages:?}");
    pages
}

/// Which other pages there are depends on the machine, so mandoc looks for them among files of ours: our pages, and empty
/// ones for those of others.
#[test]
fn mandoc_has_nothing_to_say() {
    let man = tempfile::tempdir().unwrap();
    let put = |name: &str, section: &str| {
        let directory = man.path().join(format!("man{section}"));
        fs::create_dir_all(&directory).unwrap();
        fs::write(directory.join(format!("{name}.{section}")), "").unwrap();
    };
    OTHERS.iter().for_each(|(name, section)| put(name, section));
    for page in pages() {
        put(page.file_stem().unwrap().to_str().unwrap(), page.extension().unwrap().to_str().unwrap());
    }
    let mut mandoc = Command::new("mandoc");
    mandoc.args(["-Tlint", "-Wstyle"]).args(pages()).env("MANPATH", man.path());
    let output = mandoc.output().expect("mandoc(1) is needed");
    let findings = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success() && findings.is_empty(), "{}: {findings}", output.status);
}

#[test]
fn groff_has_nothing_to_say() {
    for page in pages() {
        let output = match Command::new("groff").args(["-mandoc", "-ww", "-Tutf8"]).arg(&page).output() {
            Err(error) if error.kind() == ErrorKind::NotFound => return,
            output => output.unwrap(),
        };
        let warnings = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success() && warnings.is_empty(), "{}: {warnings}", page.display());
    }
}

/// A name of a control file is a string of small letters in src/control, alone or behind the directory of a relay. The others are values.
#[test]
fn every_control_file_has_its_place() {
    let page = read("debian/qmail-remote-auth.8") + &read("debian/qmail-remote-oauth.8");
    let items: BTreeSet<&str> = page.lines().filter_map(|line| line.strip_prefix(".It Pa control/")).collect();
    let mut names = BTreeSet::new();
    let sources = sources(&source("src/control"), &[]).concat();
    for line in sources.lines().filter(|line| !line.trim_start().starts_with("//")) {
        let strings = line.split('"').skip(1).step_by(2);
        let bare = strings.map(|string| string.strip_prefix("{directory}/").unwrap_or(string));
        names.extend(bare.filter(|name| !name.is_empty() && name.bytes().all(|c| c.is_ascii_lowercase())));
    }
    for other in ["control", "relays", "oauth", "app", "http", "https", "localhost"] {
        assert!(names.remove(other), "src/control has other strings than this test thinks: {names:?}");
    }
    for name in names {
        let of_relay = ["relays/HOST", "relays/HOST/oauth"].map(|directory| format!("{directory}/{name}"));
        let has = items.contains(name) || of_relay.iter().any(|name| items.contains(&name[..]));
        assert!(has, "control file {name} has no item in qmail-remote-auth.8");
    }
}

/// Each text of DIAGNOSTICS is one of the program's, but for the `...`.
#[test]
fn the_program_says_so() {
    let page = read("debian/qmail-remote-auth.8").replace("\\\n", "");
    let diagnostics = section(&page, ".Sh DIAGNOSTICS", ".Sh ");
    let said = qmail_remote::cause::texts().join("\n");
    let texts: Vec<&str> =
        diagnostics.lines().filter_map(|line| line.strip_prefix(".It Sy \"")?.strip_suffix('"')).collect();
    assert!(texts.len() > 50, "{texts:?}");
    for text in texts {
        for part in text.split("...").map(|part| part.trim_matches([' ', ','])) {
            assert!(said.contains(part), "{part:?} of {text:?} is in no report");
        }
    }
}

#[test]
fn every_prototype_and_constant_is_there() {
    let page = read("debian/qmail-auth.3");
    let header = read("include/qmail_auth.h");
    let code: String = header.split("/*").map(|part| part.split_once("*/").map_or(part, |(_, code)| code)).collect();
    let code: Vec<&str> = code.lines().collect();

    let joined = code.iter().copied().filter(|line| !line.starts_with('#')).collect::<Vec<_>>().join(" ");
    let prototypes =
        joined.split([';', '{', '}', '"', '/']).filter(|text| text.contains("auth_") && text.contains('('));
    let of_header: BTreeSet<String> = prototypes.map(plain).collect();
    assert!(of_header.len() >= 4, "{of_header:?}");
    let mut of_page = BTreeSet::new();
    let (mut result, mut name, mut arguments) = ("", "", Vec::new());
    for line in section(&page, ".Sh SYNOPSIS", ".Sh ").lines() {
        match line.split_once(' ') {
            Some((".Ft", text)) => result = text,
            Some((".Fo", text)) => (name, arguments) = (text, Vec::new()),
            Some((".Fa", text)) => arguments.push(text.trim_matches('"')),
            _ if line == ".Fc" => {
                of_page.insert(plain(&format!("{result} {name}({})", arguments.join(", "))));
            }
            _ => {}
        }
    }
    assert_eq!(of_page, of_header);

    let words = code.iter().flat_map(|line| line.split(|c: char| !c.is_ascii_alphanumeric() && c != '_'));
    for constant in words.filter(|word| word.starts_with("AUTH_")) {
        assert!(page.contains(&format!("\n.It Dv {constant}\n")), "{constant} has no item in qmail-auth.3");
    }
}

/// What is behind a line that begins so, up to the next that begins with `end`.
fn section<'a>(page: &'a str, begin: &str, end: &str) -> &'a str {
    let (_, behind) = page.split_once(&format!("\n{begin}\n")).unwrap();
    behind.split(&format!("\n{end}")).next().unwrap()
}

/// Blanks in one form, a star at the name that it is for.
fn plain(prototype: &str) -> String {
    prototype.split_ascii_whitespace().collect::<Vec<_>>().join(" ").replace("* ", "*")
}

/// The program of EXAMPLES, as a reader sees it, against one offer after the other.
#[test]
fn the_example_logs_in() {
    const PLAIN: &str = "AUTH PLAIN AHRpbQB0YW5zdGFhZnRhbnN0YWFm\r\n";
    const LOGIN: &str = "AUTH LOGIN\r\ndGlt\r\ndGFuc3RhYWZ0YW5zdGFhZg==\r\n";
    const CRAM_MD5: &str = "AUTH CRAM-MD5\r\ndGltIGI5MTNhNjAyYzdlZGE3YTQ5NWI0ZTZlNzMzNGQzODkw\r\n";
    const CHALLENGE: &str = "334 PDE4OTYuNjk3MTcwOTUyQHBvc3RvZmZpY2UucmVzdG9uLm1jaS5uZXQ+\r\n";
    let prompts = "334 VXNlcm5hbWU6\r\n334 UGFzc3dvcmQ6\r\n235 ok\r\n";
    let challenge = &format!("{CHALLENGE}235 ok\r\n")[..];

    let dir = tempfile::tempdir().unwrap();
    let (file, program) = (dir.path().join("example.c"), dir.path().join("example"));
    fs::write(&file, example()).unwrap();
    c::program(file.to_str().unwrap(), &program);
    for (argument, offered, replies, sent, succeeds) in [
        ("verified", "CRAM-MD5 PLAIN LOGIN", "235 ok\r\n", PLAIN, true),
        ("verified", "CRAM-MD5 PLAIN LOGIN", "535 no\r\n", PLAIN, false),
        ("verified", "CRAM-MD5 LOGIN", prompts, LOGIN, true),
        ("verified", "LOGIN", "504 no\r\n", "AUTH LOGIN\r\n", false),
        ("verified", "CRAM-MD5", challenge, CRAM_MD5, true),
        ("unverified", "CRAM-MD5 PLAIN LOGIN", challenge, CRAM_MD5, true),
        ("unverified", "CRAM-MD5", "334 ?\r\n501 cancelled\r\n", "AUTH CRAM-MD5\r\n*\r\n", false),
        ("unverified", "PLAIN LOGIN", "", "", false),
        ("verified", "GSSAPI", "", "", false),
    ] {
        let mut child =
            Command::new(&program).arg(argument).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        let said = format!("250-mail.example\r\n250-PIPELINING\r\n250 AUTH {offered}\r\n{replies}");
        child.stdin.take().unwrap().write_all(said.as_bytes()).unwrap();
        let output = child.wait_with_output().unwrap();
        assert_eq!(String::from_utf8_lossy(&output.stdout), sent, "{argument}, {offered}");
        assert_eq!(output.status.success(), succeeds, "{argument}, {offered}, {replies}");
    }
}

/// From its first line to its last brace.
fn example() -> String {
    let mandoc = Command::new("mandoc").arg("-Tascii").arg(source("debian/qmail-auth.3")).output();
    let mut page = String::new();
    for c in String::from_utf8(mandoc.expect("mandoc(1) is needed").stdout).unwrap().chars() {
        match c {
            '\u{8}' => drop(page.pop()), // what follows is printed over it: that is how a terminal gets bold letters
            c => page.push(c),
        }
    }
    let lines: Vec<&str> =
        section(&page, "EXAMPLES", "SEE ALSO").lines().map(|line| line.get(5..).unwrap_or("")).collect();
    let first = lines.iter().position(|line| line.starts_with("#include")).unwrap();
    let last = lines.iter().rposition(|line| *line == "}").unwrap();
    lines[first..=last].join("\n") + "\n"
}
