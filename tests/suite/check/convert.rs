//! `qmail-remote-check --convert`: its commands, run by sh, leave each mail its route and its login, and show no secret.

use crate::support::Home;
use base64::Engine;
use qmail_auth::Login;
use qmail_remote::control::Settings;
use qmail_remote::control::files::Control;
use qmail_remote::event::Log;
use std::collections::BTreeMap;
use std::fs;
use std::io::Write;
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::path::Path;
use std::process::{Command, Output, Stdio};

fn convert(home: &Home) -> (Option<i32>, String) {
    let mut command = Command::new(crate::support::check::program());
    let output = command.arg("--convert").env("QMAILHOME", home.path()).output().unwrap();
    assert!(output.stderr.is_empty(), "{output:?}");
    (output.status.code(), String::from_utf8(output.stdout).unwrap())
}

/// Runs commands as `| sh` would, with a chown that only writes down what it is told, into the file `chowned`.
fn sh(home: &Home, commands: &str) -> Output {
    let bin = home.path().join("bin");
    fs::create_dir_all(&bin).unwrap();
    let chown = bin.join("chown");
    fs::write(&chown, format!("#!/bin/sh\necho \"$*\" >>'{}'\n", home.path().join("chowned").display())).unwrap();
    fs::set_permissions(&chown, fs::Permissions::from_mode(0o755)).unwrap();
    let path = format!("{}:/usr/bin:/bin", bin.display());
    let mut shell = Command::new("sh");
    shell.env("PATH", path).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut shell = shell.spawn().unwrap();
    shell.stdin.take().unwrap().write_all(commands.as_bytes()).unwrap();
    shell.wait_with_output().unwrap()
}

/// Relay, port, user, password and whether clear text is allowed, for a mail.
fn meaning(home: &Home, host: &str, sender: &str) -> String {
    let control = Control { home: home.path().to_owned(), log: Log::default() };
    match Settings::read(&control, host.as_bytes(), sender.as_bytes()) {
        Err(error) => format!("{error:?}"),
        Ok(settings) => settings.route.map_or("MX".to_owned(), |route| {
            let login = route.credentials.map(|credentials| match credentials.login {
                Login::Password(login) => (login.user.clone(), login.password.to_vec(), login.clear_allowed),
                Login::Certificate { .. } => panic!("a client certificate"),
            });
            format!("{}:{} {login:?}", route.host, route.port)
        }),
    }
}

fn files(directory: &Path, all: &mut BTreeMap<String, Vec<u8>>) {
    for entry in fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            files(&path, all);
        } else {
            all.insert(path.display().to_string(), fs::read(&path).unwrap());
        }
    }
}

fn control_files(home: &Home) -> BTreeMap<String, Vec<u8>> {
    let mut all = BTreeMap::new();
    files(&home.path().join("control"), &mut all);
    all
}

const HOSTS: [&str; 5] = ["example.org", "a.example.org", "example.com", "other.net", "EXAMPLE.COM"];
const SENDERS: [&str; 5] = ["me@example.net", "boss@example.net", "x@other.example", "a b@example.net", ""];

fn meanings(home: &Home) -> Vec<String> {
    HOSTS.iter().flat_map(|host| SENDERS.map(|sender| meaning(home, host, sender))).collect()
}

fn assert_hidden(text: &str, user: &[u8], password: &[u8]) {
    let base64 = |octets: &[u8]| base64::engine::general_purpose::STANDARD.encode(octets);
    let hex: String = password.iter().map(|c| format!("{c:02x}")).collect();
    let plain = [b"\0", user, b"\0", password].concat();
    let shown = String::from_utf8_lossy(password);
    for secret in [shown.into_owned(), base64(password), base64(&plain), hex] {
        assert!(!text.to_lowercase().contains(&secret.to_lowercase()), "{secret} is in {text}");
    }
    assert!(text.bytes().all(|c| c == b'\n' || (b' '..=b'~').contains(&c)), "{text:?}");
}

#[test]
fn each_password_arrives_octet_for_octet() {
    let passwords: [&[u8]; 13] = [
        b"secretpass",
        b"two words  and\tmore",
        b"|bars||in|it|",
        b"quo'te\"s`date`$(date)$HOME\\n\\",
        b"-secret",
        b"\\1&/[.*]^$\\{3\\}",
        b"p\xc3\xa4ss\xff\xfe\x81\x88word",
        b"%s%n#!~;<>(){}?*",
        b"con\x01trol\x1b[2J\x7fs",
        b"mid\rdle",
        b"'secret",
        b"secret:pass:word",
        b"# secret",
    ];
    for (turn, password) in passwords.into_iter().enumerate() {
        for (before, user) in [
            (&b":smtp.example.jp:587 myuser "[..], &b"myuser"[..]),
            (b"example.org:smtp.example.jp:587 \t -myuser\t ", b"myuser"),
            (b".example.org:[192.0.2.1];465|my $user's|", b"my $user's"),
            (b"EXAMPLE.com:Smtp.Example.JP.|\\u\xe4\xff%d|", b"\\u\xe4\xff%d"),
        ] {
            let after = [&b"\n"[..], b"", b" \t\n"][turn % 3];
            let home = Home::new();
            let line = [b"# a comment\n# nul\0\xff\nother.net:\n", before, password, after].concat();
            let smtproutes = home.control("smtproutes", line);
            fs::set_permissions(&smtproutes, fs::Permissions::from_mode(0o604)).unwrap();
            let meant = meanings(&home);
            let (status, commands) = convert(&home);
            assert_eq!(status, Some(0));
            assert_hidden(&commands, user, password);
            let output = sh(&home, &commands);
            assert!(output.status.success(), "{}\n{commands}", String::from_utf8_lossy(&output.stderr));
            assert_eq!(meanings(&home), meant, "{commands}");
            let after = fs::read(&smtproutes).unwrap();
            let end = before.iter().rposition(|c| b" \t|".contains(c)).unwrap();
            assert!(!after.windows(password.len()).any(|part| part == password), "{commands}");
            assert!(!after.ends_with(&before[..end]) && after.starts_with(b"# a comment\n# nul\0\xff\nother.net:\n"));
            assert_eq!(smtproutes.metadata().unwrap().mode() & 0o7777, 0o604);
            // Again: nothing happens.
            let now = control_files(&home);
            assert!(!sh(&home, &commands).status.success());
            assert_eq!(control_files(&home), now);
            let (_, commands) = convert(&home);
            assert_eq!(commands, "# There is no login in control/smtproutes that can be moved.\n");
        }
    }
}

#[test]
fn owners_modes_and_a_link() {
    let home = Home::new();
    home.control("smtproutes", ":smtp.example.jp:587 myuser secretpass\n");
    let control = home.path().join("control");
    let real = home.path().join("routes");
    fs::rename(control.join("smtproutes"), &real).unwrap();
    symlink(&real, control.join("smtproutes")).unwrap();
    let (_, commands) = convert(&home);
    assert!(commands.contains("\n#   line 1  :smtp.example.jp:587\n"), "{commands}");
    assert!(sh(&home, &commands).status.success(), "{commands}");
    assert_eq!(fs::read(&real).unwrap(), b":smtp.example.jp:587\n");
    assert!(control.join("smtproutes").is_symlink());
    let directory = "relays/smtp.example.jp";
    for (name, mode) in [("relays", 0o750), (directory, 0o750)] {
        assert_eq!(control.join(name).metadata().unwrap().mode() & 0o7777, mode, "{name}");
    }
    for name in ["user", "password"] {
        assert_eq!(control.join(directory).join(name).metadata().unwrap().mode() & 0o7777, 0o640, "{name}");
    }
    // A directory gets its owner under the name that it has before its own.
    let chowned = fs::read_to_string(home.path().join("chowned")).unwrap();
    let words: Vec<&str> = chowned.split_whitespace().collect();
    let [owner, relays, _, relay, _, user, password] = words[..] else { panic!("{chowned}") };
    assert!(owner.starts_with("root:") && words[2] == owner && words[4] == owner, "{chowned}");
    assert!(relays.starts_with("relays.") && relay.starts_with(&format!("{directory}.")), "{chowned}");
    assert_eq!([user, password], ["user", "password"].map(|name| format!("{directory}/{name}")));
}

/// A step that fails leaves smtproutes as it was, and so does a line that changed meanwhile; then it can be done again.
#[test]
fn a_run_that_is_cut_short() {
    let home = Home::new();
    let routes = "example.org:smtp.example.jp:587 myuser secretpass\n:backup.example.jp -other hidden|word\n";
    home.control("smtproutes", routes);
    let meant = meanings(&home);
    let (_, commands) = convert(&home);
    let steps: Vec<&str> = commands.lines().collect();
    let writes =
        ["fresh=$", "directory ", "printf ", "sed -n ", "chown ", "chmod ", "new=$", "cp ", "sed -e", "sync ", "mv "];
    let is_write = |step: &str| writes.iter().any(|write| step.trim_start().starts_with(write));
    for at in (0..steps.len()).filter(|at| is_write(steps[*at])) {
        for end in ["false", "sh -c 'kill -TERM $PPID'", "sh -c 'kill -KILL $PPID'"] {
            let cut = [&steps[..at], &[end], &steps[at..]].concat().join("\n");
            assert!(!sh(&home, &cut).status.success(), "{cut}");
            assert_eq!(fs::read(home.path().join("control/smtproutes")).unwrap(), routes.as_bytes());
            assert_eq!(meanings(&home), meant);
            for (name, content) in control_files(&home) {
                let is_left = ["smtproutes.", "relays.", "example.jp."].iter().any(|part| name.contains(part));
                // Nobody can clear up after a KILL, but no secret is left.
                let has_secret = ["secret", "word"].iter().any(|part| String::from_utf8_lossy(&content).contains(part));
                assert!(!is_left || end.contains("KILL") && !has_secret, "{name} is left by {end}");
                if is_left {
                    fs::remove_file(name).unwrap();
                }
            }
        }
    }
    // A pipe that breaks off: nothing is run at all.
    let now = control_files(&home);
    assert!(!sh(&home, &steps[..steps.len() - 1].join("\n")).status.success());
    assert_eq!(control_files(&home), now);
    home.control("smtproutes", routes.replace("587", "465"));
    let output = sh(&home, &commands);
    let why = "control/smtproutes line 1 is not as it was: nothing was changed\n";
    assert_eq!((output.status.code(), String::from_utf8(output.stderr).unwrap().as_str()), (Some(1), why));
    home.control("smtproutes", routes);
    assert!(sh(&home, &commands).status.success());
    assert_eq!(meanings(&home), meant);
    let routes = fs::read_to_string(home.path().join("control/smtproutes")).unwrap();
    assert_eq!(routes, "example.org:smtp.example.jp:587\n:backup.example.jp\n");
    for (name, mode) in [("", 0o750), ("smtp.example.jp", 0o750), ("smtp.example.jp/password", 0o640)] {
        let path = home.path().join("control/relays").join(name);
        assert_eq!(path.metadata().unwrap().mode() & 0o7777, mode, "{name}");
    }
}

#[test]
fn what_stays() {
    for (smtproutes, authsenders, why) in [
        (
            ":relay u secret1\nexample.org:relay v secret2\n",
            "",
            "line 1 stays: line 2 has another login for the same relay.",
        ),
        (
            ":relay u secret1\n:relay v secret2\n",
            "",
            "line 1 stays: line 2 has the same key, so it does not count; delete it.",
        ),
        (
            ":relay u secret1\na.org:RELAY:26\n",
            "",
            "line 1 stays: control/smtproutes line 2 goes to the same relay without a login",
        ),
        (
            ":relay u secret1\n",
            "@a.org:relay:26\n",
            "line 1 stays: control/authsenders line 1 goes to the same relay without",
        ),
        (
            ":relay u secret1\n",
            "a b@example.net:relay:26\n",
            "line 1 stays: control/authsenders line 1 goes to the same relay without",
        ),
        (":under_score u secret1\n", "", "line 1 stays: the relay's name can be no directory's"),
        (":there u secret1\n", "", "line 1 stays: control/relays/there has another login, or a part of one."),
        (":relay|u |secret1\n", "", "line 1 stays: a file cannot keep the blank at the user's end"),
        (
            "relay u secret1:relay a secret2\n",
            "",
            "line 1 stays: no host has a blank or a bar in it, so it does not count.",
        ),
        (":relay|u|secret1\r\n", "", "line 1 stays: control/smtproutes line 1: a CR at the line's end"),
        ("relay|u|secret1\n", "", "line 1 stays: it has no colon, so it does not count."),
        ("# :relay|u|secret1\n", "", "line 1 stays: a comment with a login in it; delete it."),
        (
            "",
            "a@b.org|u|secret1\n",
            "control/authsenders line 1 stays: a login by sender, for which control/relays has no place.",
        ),
    ] {
        let home = Home::new();
        home.control("smtproutes", smtproutes);
        home.control("authsenders", authsenders);
        home.control("relays/there/user", "u\n");
        home.control("relays/there/password", "secret1 \n");
        let meant = meanings(&home);
        let (status, commands) = convert(&home);
        assert_eq!(status, Some(0));
        assert!(commands.contains(why), "{smtproutes}{authsenders}{commands}");
        assert!(!commands.contains("secret"), "{commands}");
        assert!(sh(&home, &commands).status.success());
        assert_eq!(meanings(&home), meant);
    }
    // The directory has the same login already: the line's goes, and the files only get their owner and mode. As root made them,
    // or a run that was cut short, qmail cannot read them, and does not have to as long as the line has the login.
    let home = Home::new();
    home.control("smtproutes", ":there -u secret1\nexample.org:there\n");
    home.control("relays/there/user", "-u\n");
    let password = home.control("relays/there/password", "secret1\nmore\n");
    fs::set_permissions(&password, fs::Permissions::from_mode(0o600)).unwrap();
    let meant = meanings(&home);
    let (_, commands) = convert(&home);
    assert!(sh(&home, &commands).status.success());
    assert_eq!(password.metadata().unwrap().mode() & 0o7777, 0o640, "{commands}");
    let chowned = fs::read_to_string(home.path().join("chowned")).unwrap();
    assert!(chowned.ends_with(" relays/there/user relays/there/password\n"), "{chowned}");
    assert_eq!((meanings(&home), fs::read(&password).unwrap()), (meant, b"secret1\nmore\n".to_vec()));
    assert_eq!(fs::read(home.path().join("control/smtproutes")).unwrap(), b":there\nexample.org:there\n");
    // It went away meanwhile: the line's is the last.
    let routes = ":there -u secret1\n";
    home.control("smtproutes", routes);
    let (_, commands) = convert(&home);
    fs::remove_dir_all(password.parent().unwrap()).unwrap();
    assert!(!sh(&home, &commands).status.success(), "{commands}");
    assert_eq!(fs::read(home.path().join("control/smtproutes")).unwrap(), routes.as_bytes());
    // sed would count the mark.
    home.control("smtproutes", "\u{feff}:there -u secret1\n");
    let why = r"# control/smtproutes begins with a byte order mark; remove it: sed -i '1s/^\xef\xbb\xbf//' control/smtproutes; nothing can be moved.";
    assert_eq!(convert(&home), (Some(1), format!("{why}\n")));
    assert!(
        Command::new("sed")
            .args(["-i", r"1s/^\xef\xbb\xbf//", "control/smtproutes"])
            .current_dir(home.path())
            .status()
            .unwrap()
            .success()
    );
    assert_eq!(fs::read(home.path().join("control/smtproutes")).unwrap(), routes.as_bytes());
    fs::remove_file(home.path().join("control/smtproutes")).unwrap();
    fs::create_dir(home.path().join("control/smtproutes")).unwrap();
    assert_eq!(convert(&home), (Some(1), "# control/smtproutes: Is a directory; nothing can be moved.\n".to_owned()));
}
