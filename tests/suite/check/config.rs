//! `qmail-remote-check --config`, where certificates, or who may read a file, make the difference; the rest are cases.

use crate::support::Home;
use crate::support::certificate::{Authority, Identity};
use crate::support::namespace::inside_with;
use rcgen::{IsCa, date_time_ymd};
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Command, Output};

fn check(home: &Home, arguments: &[&str]) -> (Option<i32>, String) {
    let mut command = Command::new(crate::support::check::program());
    let Output { status, stdout, stderr } = command.args(arguments).env("QMAILHOME", home.path()).output().unwrap();
    (status.code(), String::from_utf8([stdout, stderr].concat()).unwrap())
}

/// What it says, but for the first three lines and those of files with secrets.
fn said_in(home: &Home, expected_status: i32) -> Vec<String> {
    let (status, text) = check(home, &["--config"]);
    assert_eq!(status, Some(expected_status), "{text}");
    for secret in ["secret", "c2VjcmV0"] {
        assert!(!text.replace(" holds a secret: ", "").contains(secret), "{text}");
    }
    let lines: Vec<&str> = text.lines().collect();
    assert_eq!(lines[0], format!("home {}", home.path().display()));
    assert_eq!(lines[1], format!("program {}/bin/qmail-remote: not there", home.path().display()));
    assert!(lines[2].starts_with("each connection: EHLO client.example.net, "), "{text}");
    lines[3..].iter().filter(|line| !line.contains(" holds a secret: ")).map(|line| (*line).to_owned()).collect()
}

/// A line that cannot be understood, or that does not count, has a secret as others have.
#[test]
fn a_file_with_a_secret() {
    for (line, has_secret) in [
        ("relay|user|secretpass", true),
        (":relay:x secretpass", true),
        (":relay user secretpass\n:other", true),
        ("# :relay user secretpass", true),
        ("#relay is : somewhere", false),
        (":relay:587", false),
    ] {
        let home = Home::new();
        let path = home.control("smtproutes", format!("{line}\n"));
        let (_, text) = check(&home, &["--config"]);
        assert_eq!(text.contains(&format!("{} holds a secret: ", path.display())), has_secret, "{line}: {text}");
        assert!(!text.contains("secretpass"), "{text}");
    }
}

#[test]
fn cas_that_are_none() {
    let ca = Authority::new("My CA");
    let expired = ca.another("Old CA", |params| params.not_after = date_time_ymd(2020, 2, 3));
    let mute = ca.another("Mute CA", |params| params.is_ca = IsCa::NoCa);
    let server = Identity::self_signed(&["relay"], false, |params| params.not_after = date_time_ymd(2020, 2, 3)).pem;
    let says_nothing =
        "CN=Mute CA does not say that it is a CA, so it is not trusted as one here; in the cafile of a relay it is";
    for (place, pem, status, expected) in [
        ("tlscafile", ca.pem.clone(), 0, vec![]),
        ("tlscafile", expired.clone() + &ca.pem, 0, vec!["expired, so not trusted: CN=Old CA at 2020-02-03T00:00:00Z"]),
        ("tlscafile", mute.clone() + &ca.pem, 0, vec![says_nothing]),
        ("relays/relay/cafile", mute, 0, vec![]),
        (
            "relays/relay/cafile",
            expired.clone() + &server,
            1,
            vec![
                "expired, so not trusted: CN=Old CA at 2020-02-03T00:00:00Z, CN=relay at 2020-02-03T00:00:00Z; mail by control/smtproutes line 1 is deferred",
            ],
        ),
    ] {
        let home = Home::with_route("relay:587 user secretpass");
        home.control(place, "ca.pem\n");
        let path = home.path().join("ca.pem");
        fs::write(&path, pem).unwrap();
        let lines = said_in(&home, status);
        let warnings: Vec<&str> = lines.iter().filter_map(|line| line.strip_prefix("warning: ")).collect();
        let expected: Vec<String> =
            expected.iter().map(|why| format!("{} (of control/{place}): {why}", path.display())).collect();
        assert_eq!(warnings, expected, "{lines:#?}");
    }
    // Where no certificate is looked at, none is complained of.
    let home = Home::with_route("relay:587");
    home.control("tlscafile", "ca.pem\n");
    fs::write(home.path().join("ca.pem"), expired).unwrap();
    let lines = said_in(&home, 0);
    assert!(!lines.iter().any(|line| line.contains("expired")), "{lines:#?}");
}

#[test]
fn who_can_read_what() {
    let home = Home::new();
    fs::set_permissions(home.path(), fs::Permissions::from_mode(0o755)).unwrap();
    home.control("smtproutes", ":relay.example\n");
    let password = home.control("relays/relay.example/password", "secretpass\n");
    home.control("relays/relay.example/user", "user\n");
    home.control("relays/relay.example/clientcert", "certificate.pem\n");
    home.control("relays/relay.example/clientkey", "key.pem\n");
    let key = home.path().join("key.pem");
    fs::write(&key, "").unwrap();
    for (mode, words) in [(0o644, "by every user of this machine; to"), (0o640, "by group "), (0o600, "by user ")] {
        fs::set_permissions(&password, fs::Permissions::from_mode(mode)).unwrap();
        fs::set_permissions(&key, fs::Permissions::from_mode(mode)).unwrap();
        let (_, text) = check(&home, &["--config"]);
        for file in [&password, &key] {
            let mark = if mode == 0o644 { "warning: " } else { "" };
            let begin = format!("{mark}{} holds a secret: mode {mode:04o} ", file.display());
            let line = text.lines().find(|line| line.starts_with(&begin));
            assert!(line.is_some_and(|line| line.contains(&format!(", readable {words}"))), "{begin}: {text}");
        }
    }
    // The group may read the file, and cannot get at it.
    fs::set_permissions(&password, fs::Permissions::from_mode(0o640)).unwrap();
    fs::set_permissions(home.path(), fs::Permissions::from_mode(0o700)).unwrap();
    let (_, text) = check(&home, &["--config"]);
    let line = text.lines().find(|line| line.starts_with(&format!("{} holds a secret: mode 0640", password.display())));
    assert!(line.is_some_and(|line| line.contains(", readable by user ") && !line.contains("by group")), "{text}");
    // What turns the text around is not printed.
    home.control("relays/relay.example/clientcert", "\u{202e}mep.pem\n");
    assert!(check(&home, &["--config"]).1.contains("\\xe2\\x80\\xaemep.pem (of control/relays/"));
    home.control("relays/relay.example/clientcert", "certificate.pem\n");
}

/// A PEM file may stand beside the file that names it.
#[test]
fn a_pem_file_in_the_directory_of_its_relay() {
    let home = Home::new();
    home.control("smtproutes", ":127.0.0.1:1025 user secretpass\n");
    home.control("relays/127.0.0.1/cafile", "control/relays/127.0.0.1/bridge.pem\n");
    home.control("relays/127.0.0.1/bridge.pem", Authority::new("My CA").pem);
    home.control("relays/127.0.0.1/another.pem", "");
    let lines = said_in(&home, 0);
    let unread: Vec<&String> = lines.iter().filter(|line| line.contains("a file of this name is not read")).collect();
    assert!(unread.len() == 1 && unread[0].contains("/another.pem: "), "{lines:#?}");
}

/// As the delivery would say it, which would wait.
#[test]
fn pem_files_that_are_of_no_use() {
    let ca = Authority::new("My CA");
    let [identity, another] = [&["client"], &["another"]].map(|names| ca.issue(names));
    for (file, content, why) in [
        ("ca.pem", "", "ca.pem (of control/tlscafile): no certificate in it (in a PEM file it is between lines"),
        ("ca.pem", &identity.key_pem, "ca.pem (of control/tlscafile): no certificate in it"),
        ("key.pem", &another.key_pem, "key.pem (of control/relays/relay.example/clientkey) do not go together: "),
        ("key.pem", &identity.pem, "key.pem (of control/relays/relay.example/clientkey): no key in it"),
        ("key.pem", "-", "key.pem (of control/relays/relay.example/clientkey): No such file or directory"),
        ("certificate.pem", &ca.pem[..99], "clientcert): a certificate in it is no base64, or has no end"),
        (
            "certificate.pem",
            "-",
            "certificate.pem (of control/relays/relay.example/clientcert): No such file or directory",
        ),
        ("", "", ""),
    ] {
        let home = Home::new();
        home.control("smtproutes", ":relay.example:587\n");
        home.control("tlscafile", "ca.pem\n");
        home.control("relays/relay.example/clientcert", "certificate.pem\n");
        home.control("relays/relay.example/clientkey", "key.pem\n");
        for (name, good) in [("ca.pem", &ca.pem), ("certificate.pem", &identity.pem), ("key.pem", &identity.key_pem)] {
            match (name == file, content) {
                (false, _) => fs::write(home.path().join(name), good).unwrap(),
                (true, "-") => {}
                (true, bad) => fs::write(home.path().join(name), bad).unwrap(),
            }
        }
        let (status, text) = check(&home, &["--config"]);
        assert_eq!(status, Some(i32::from(!file.is_empty())), "{file}: {text}");
        assert!(
            text.contains(why) && text.contains("; mail by control/smtproutes line 1 is deferred") != file.is_empty(),
            "{text}"
        );
    }
}

/// It is not opened, which would wait for a writer, and the installation with it.
#[test]
fn a_pem_file_that_is_a_fifo() {
    for (login, status, rest) in
        [(" user secretpass", 1, "; mail by control/smtproutes line 1 is deferred"), ("", 0, "")]
    {
        let home = Home::with_route(&format!("relay:587{login}"));
        let fifo = home.control("tlscafile", "control/fifo\n").with_file_name("fifo");
        assert!(Command::new("mkfifo").arg(&fifo).status().unwrap().success());
        let mut command = Command::new("timeout"); // of a minute, for a program that waits
        command.arg("60").arg(crate::support::check::program()).arg("--config").env("QMAILHOME", home.path());
        let output = command.output().unwrap();
        let text = String::from_utf8_lossy(&output.stdout);
        let warning = format!("warning: {} (of control/tlscafile): not a regular file{rest}", fifo.display());
        assert!(output.status.code() == Some(status) && text.lines().any(|line| line == warning), "{output:?}");
    }
}

/// What qmail-remote, which runs as qmailr, does in these homes; asked by root, who can read everything.
#[test]
fn what_qmail_cannot_get_at() {
    let etc = [("passwd", "root:x:0:0:::\nqmailr:x:7796:2108:::\n"), ("group", "root:x:0:\nqmail:x:2108:\n")];
    if !inside_with(here!(), &etc, "true") {
        return;
    }
    let set = |path: &Path, mode| fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
    let home = Home::new();
    home.control("smtproutes", ":relay.example\n");
    home.control("tlscafile", "control/ca.pem\n"); // Debian's are not in this /etc
    home.control("ca.pem", Authority::new("My CA").pem);
    let control = home.path().join("control");
    let relays = control.join("relays");
    let relay = relays.join("relay.example");
    fs::create_dir_all(&relay).unwrap();
    for open in [home.path(), &control, &relays, &relay] {
        set(open, 0o755);
    }
    assert_eq!(check(&home, &["--config"]).0, Some(0));
    // It is looked into, even where it is empty.
    for shut in [&relays, &relay] {
        set(shut, 0o700);
        let why = "mode 0700 root:root, cannot be entered by qmailr, the user of qmail-remote, so mail is deferred";
        let lines = said_in(&home, 1);
        assert!(lines.contains(&format!("warning: {}: {why}", shut.display())), "{lines:#?}");
        set(shut, 0o755);
    }
    // A chown of the file would be no help.
    let password = home.control("relays/relay.example/password", "secretpass\n");
    home.control("relays/relay.example/user", "user\n");
    set(&password, 0o644);
    set(&relay, 0o700);
    let (status, text) = check(&home, &["--config"]);
    let line = text.lines().find(|line| line.contains(" holds a secret: ")).unwrap();
    let end = format!("so mail is deferred; {} does not let qmailr in", relay.display());
    assert!(status == Some(1) && line.starts_with("warning: ") && line.ends_with(&end), "{text}");
    // qmailr can read it as its owner, and a group as well that is not qmail's.
    set(&relay, 0o755);
    let passwd = fs::read_to_string("/etc/passwd").unwrap();
    fs::write("/etc/passwd", passwd.replace("qmailr:x:7796", "qmailr:x:0")).unwrap();
    for (mode, mark, end) in [(0o640, "warning: ", "&& chmod 640 "), (0o600, "", ", readable by user root alone")] {
        set(&password, mode);
        let (status, text) = check(&home, &["--config"]);
        let line = text.lines().find(|line| line.contains(" holds a secret: ")).unwrap();
        let begins = line.starts_with(&format!("{mark}{} holds", password.display()));
        assert!(status == Some(0) && begins && line.contains(end), "{text}");
    }
    fs::write("/etc/passwd", passwd).unwrap();
    fs::remove_file(&password).unwrap();
    fs::create_dir(&password).unwrap();
    let why = "warning: control/relays/relay.example/password: Is a directory; mail is deferred".to_owned();
    let lines = said_in(&home, 1);
    assert!(lines.contains(&why), "{lines:#?}");
    fs::remove_dir_all(&relay).unwrap();
    // What no mail comes to.
    home.control("relays/README", "none of it\n");
    set(&home.control("relays/unused.example/password", "secretpass\n"), 0o600);
    let lines = said_in(&home, 0);
    for why in ["control/relays/README: not a directory", "control/relays/unused.example: no route leads to a relay"] {
        assert!(lines.iter().any(|line| line.contains(why)), "{why}: {lines:#?}");
    }
    set(&relays.join("unused.example"), 0o755);
    set(&relays.join("unused.example/password"), 0o644);
    let (status, text) = check(&home, &["--config"]);
    let line = text.lines().find(|line| line.contains("unused.example/password holds a secret: ")).unwrap();
    assert!(status == Some(0) && line.starts_with("warning: ") && line.contains("by every user"), "{text}");
}

#[test]
fn usage_and_no_home() {
    let home = Home::new();
    for arguments in [[].as_slice(), &["--konfig"], &["--config", "more"], &["--convert", "--config"]] {
        assert_eq!(check(&home, arguments).0, Some(2), "{arguments:?}");
    }
    fs::remove_dir_all(home.path().join("control")).unwrap();
    let (status, text) = check(&home, &["--config"]);
    assert!(status == Some(1) && text.contains("no home of qmail"), "{text}");
}
