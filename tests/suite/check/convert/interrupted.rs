//! A run that finds something in its way, is denied a system call or killed, or overtaken by somebody who writes the same files.

use super::{NOTHING, WRITE, control_files, convert, has, meanings, mode, said, set, smtproutes, write};
use crate::support::Home;
use crate::support::check::program;
use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::symlink;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

/// A home with something of everything; the line that stays has a secret, too.
fn busy_home() -> Home {
    let home = Home::new();
    let routes = "example.org:smtp.example.jp:587 myuser secretpass\n:backup.example.jp -other secret|word\n\
                  other.net:backup.example.jp -other secret|word\nexample.com:under_score a stays";
    set(&home.control("smtproutes", routes), 0o640);
    home.control("relays/backup.example.jp/tls", "may\n");
    set(&home.path().join("control/relays/backup.example.jp"), 0o750);
    home
}

/// Its state when all is done, without the old file.
fn done(home: &Home) -> BTreeMap<String, (u32, u32, u32, Vec<u8>)> {
    let mut files = control_files(home);
    files.retain(|name, _| !name.contains('~') && name != "smtproutes.before-convert");
    files
}

/// The calls that can fail, and how.
const CALLS: [(&str, &str); 11] = [
    ("mkdir", "EROFS"),
    ("openat", "EIO"),
    ("write", "ENOSPC"),
    ("fchown", "EPERM"),
    ("fchmod", "EPERM"),
    ("fsync", "EIO"),
    ("rename", "EROFS"),
    ("rmdir", "EIO"),
    ("unlink", "EIO"),
    ("statx", "EIO"),
    ("read", "EIO"),
];

/// What strace is told, for each call of `main`: that it fails; and from where something is written on, that the process is killed
/// there.
fn faults(trace: &str) -> Vec<String> {
    let mut faults = Vec::new();
    let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
    let (mut has_begun, mut writes) = (false, false);
    for line in trace.lines() {
        has_begun |= line.contains(" prctl("); // no core dumps
        writes |= line.contains(" mkdir(");
        for (call, error) in CALLS.iter().filter(|(call, _)| line.contains(&format!(" {call}("))) {
            let number = counts.entry(call).or_default();
            *number += 1;
            if has_begun {
                faults.push(format!("inject={call}:error={error}:when={number}"));
            }
            if writes && !["statx", "read"].contains(call) {
                faults.push(format!("inject={call}:signal=KILL:when={number}"));
            }
        }
    }
    faults
}

/// The system denies any one call, or the process is killed there: mail goes as before, no secret is left where it was not or
/// is not to be, and it can be done again.
#[test]
fn any_of_its_system_calls_fails_or_is_its_last() {
    let good = busy_home();
    let (meant, before) = (meanings(&good), smtproutes(&good));
    let trace = good.path().join("trace");
    let calls = CALLS.map(|(call, _)| call).join(",");
    assert!(traced(&good, &trace, &(calls + ",prctl"), "inject=fsync:retval=0").status().unwrap().success());
    let expected = done(&good);
    let faults = faults(&fs::read_to_string(&trace).unwrap());
    assert!(faults.len() > 150, "{faults:?}");
    for fault in faults {
        let home = busy_home();
        let trace = home.path().join("trace");
        let call = fault.split(['=', ':']).nth(1).unwrap();
        let output = traced(&home, &trace, call, &fault).output().unwrap();
        let is_killed = output.status.signal() == Some(9);
        let said = String::from_utf8_lossy(&output.stdout);
        let case = format!("{fault} {output:?}");
        assert!(is_killed || fs::read_to_string(&trace).unwrap().contains(") (INJECTED)"), "{case}");
        assert_eq!(meanings(&home), meant, "{case}");
        assert!(!["secret", "|word", "stays\n"].iter().any(|secret| said.contains(secret)), "{case}");
        let is_new = smtproutes(&home) != before;
        let is_said = |words: &[&str]| words.iter().any(|words| said.contains(words));
        let is_right = match output.status.code() {
            Some(0) => is_new && said.ends_with("\nDone.\n"),
            Some(1) if is_new => {
                said.is_empty() || is_said(&["\nDone, but a power cut may undo it: control/smtproutes: "])
            }
            status => is_killed || status == Some(1) && is_said(&["\nNOT DONE: ", "nothing can be moved."]),
        };
        assert!(is_right, "{case}");
        for (name, (mode, .., content)) in control_files(&home) {
            match &name.split('/').collect::<Vec<_>>()[..] {
                _ if name.contains('~') => {
                    let is_open = mode & 0o007 != 0 && !content.is_empty();
                    assert!(is_killed && !is_open && !has(&content, b"secret"), "{case} {name}");
                }
                ["relays", _] => assert_eq!(mode, 0o750, "{case} {name}: mail could not enter it"),
                ["relays", _, "password"] | ["smtproutes"] => {}
                ["smtproutes.before-convert"] => assert!((is_new || is_killed) && mode == 0o600, "{case}"),
                _ => assert!(!has(&content, b"secret"), "{case} {name}"),
            }
        }
        if is_new && done(&home) != expected && said.contains(": Input/output error.") {
            fs::remove_file(home.path().join("control/smtproutes.before-convert")).unwrap();
            write(&home); // what could not be read then
        } else if !is_new {
            write(&home);
        }
        assert_eq!(done(&home), expected, "{case}, and again");
    }
}

fn traced(home: &Home, trace: &Path, calls: &str, inject: &str) -> Command {
    let mut strace = Command::new("strace");
    strace.arg("-f").arg("-o").arg(trace).arg("-e").arg(format!("trace={calls},fsync"));
    if calls != "fsync" {
        strace.args(["-e", "inject=fsync:retval=0"]); // the disk has better things to do
    }
    strace.args(["-e", inject]);
    strace.arg(program()).args(WRITE).env("QMAILHOME", home.path()).stdout(Stdio::piped());
    strace
}

/// A run that has stopped when it had made its plan and its first directory.
struct Stopped {
    strace: Child,
    pid: String,
}

impl Stopped {
    fn start(home: &Home) -> Stopped {
        let trace = home.path().join("trace");
        let mut strace = traced(home, &trace, "mkdir", "inject=mkdir:signal=STOP:when=1");
        let mut run = Stopped { strace: strace.spawn().unwrap(), pid: String::new() };
        let end = Instant::now() + Duration::from_secs(60);
        while run.pid.is_empty() {
            let text = fs::read_to_string(&trace).unwrap_or_default();
            if text.contains("stopped by SIGSTOP") {
                run.pid = text.split(' ').next().unwrap().to_owned();
            }
            assert!(Instant::now() < end, "{text}");
            thread::sleep(Duration::from_millis(5));
        }
        run
    }

    fn go_on(self) -> (Option<i32>, String) {
        assert!(Command::new("sh").args(["-c", "kill -CONT \"$1\"", "sh", &self.pid]).status().unwrap().success());
        said(&self.strace.wait_with_output().unwrap())
    }
}

/// What somebody writes meanwhile is not lost, be it another run of this.
#[test]
fn a_change_meanwhile_between_system_calls() {
    let new = "example.org:smtp.example.jp:587 myuser newsecret\n";
    type Change = fn(&Home) -> PathBuf;
    let changes: [Change; 5] = [
        |home| home.control("smtproutes", "example.org:smtp.example.jp:587 myuser newsecret\n"),
        |home| {
            let path = home.control("new", smtproutes(home));
            set(&path, 0o600);
            fs::rename(path, home.path().join("control/smtproutes")).unwrap();
            home.path().join("control/smtproutes")
        },
        |home| home.control("authsenders", "@example.net:another.example\n"),
        |home| home.control("relays/backup.example.jp/password", "another\n"),
        |home| {
            write(home);
            home.path().join("control/smtproutes")
        },
    ];
    for change in changes {
        let home = busy_home();
        let run = Stopped::start(&home);
        let path = change(&home);
        let (meant, there) = (meanings(&home), (fs::read(&path).unwrap(), mode(&path)));
        let (status, said) = run.go_on();
        let last = said.lines().last().unwrap();
        let whys = [
            "smtproutes or control/authsenders was changed in the meantime.",
            "relays/smtp.example.jp: Directory not empty.",
            "relays/backup.example.jp/password: File exists.",
        ];
        let is_said = whys
            .iter()
            .any(|why| last.starts_with(&format!("NOT DONE: control/{why} control/smtproutes is as it was")));
        assert!(status == Some(1) && is_said, "{said}");
        assert_eq!((meanings(&home), (fs::read(&path).unwrap(), mode(&path))), (meant, there), "{said}");
    }
    // A login that was there already went away: the line's is the last.
    let home = busy_home();
    home.control("relays/backup.example.jp/user", "-other\n");
    let password = home.control("relays/backup.example.jp/password", "secret|word\n");
    let (meant, routes, run) = (meanings(&home), smtproutes(&home), Stopped::start(&home));
    fs::remove_file(password).unwrap();
    let (status, said) = run.go_on();
    let why = "NOT DONE: control/relays/backup.example.jp/password: No such file or directory.";
    assert!(status == Some(1) && said.contains(why), "{said}");
    assert_eq!((meanings(&home), smtproutes(&home)), (meant, routes));
    // After any of it the way is free.
    let home = busy_home();
    let run = Stopped::start(&home);
    home.control("smtproutes", new);
    run.go_on();
    let (status, said) = convert(&home, WRITE);
    assert!(
        status == Some(0) && said.contains("line 1 stays: control/relays/smtp.example.jp has another login"),
        "{said}"
    );
}

/// It is said what is there and in the way, and that stays as it is.
#[test]
fn something_in_the_way() {
    let as_before = "control/smtproutes is as it was";
    type Put = fn(&Path);
    let cases: [(Put, &str, &str); 5] = [
        (|control| fs::write(control.join("smtproutes.before-convert"), "mine").unwrap(), KEPT, "Nothing was changed."),
        (|control| fs::create_dir(control.join("smtproutes.before-convert")).unwrap(), KEPT, "Nothing was changed."),
        (|control| symlink("x", control.join("smtproutes.before-convert")).unwrap(), KEPT, "Nothing was changed."),
        (|control| symlink("/dev/null", control.join("relays/there/user")).unwrap(), "/user: File exists.", as_before),
        // It is the directory of both, and can have one login.
        (|control| symlink("there", control.join("relays/backup")).unwrap(), "/user: File exists.", as_before),
    ];
    for (put, why, end) in cases {
        let home = Home::new();
        let control = home.path().join("control");
        home.control("smtproutes", ":there u secret1\nexample.org:backup u secret2\n");
        home.control("relays/there/tls", "may\n");
        put(&control);
        let (meant, before) = (meanings(&home), control_files(&home));
        let (status, said) = convert(&home, WRITE);
        let last = said.lines().last().unwrap();
        assert!(status == Some(1) && last.starts_with("NOT DONE: control/"), "{said}");
        assert!(last.contains(why) && last.contains(end), "{why} {end} {last}");
        let mut after = control_files(&home);
        after.retain(|name, _| before.contains_key(name) || !name.starts_with("relays/"));
        assert_eq!((meanings(&home), after), (meant, before), "{said}");
    }
    for (name, why) in [
        ("relays", "control/smtproutes line 1 stays: control/relays: Not a directory."),
        ("relays/there", "control/smtproutes line 1 stays: control/relays/there/clientcert: Not a directory."),
    ] {
        let home = Home::new();
        home.control("smtproutes", ":there u secret1\n");
        home.control(name, "a file\n");
        assert_eq!(convert(&home, WRITE), (Some(0), format!("{why}\n{NOTHING}")));
    }
}

const KEPT: &str =
    "control/smtproutes.before-convert exists, and is the name for the old file; move it away or delete it";
