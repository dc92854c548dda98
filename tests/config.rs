//! `qmail-remote-check --config`: the control files in words, and never a secret.

mod support;

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::process::{Command, Output};
use support::Home;

fn check(home: &Home, arguments: &[&str]) -> (Option<i32>, String) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_qmail-remote-check"));
    let Output { status, stdout, stderr } = command.args(arguments).env("QMAILHOME", home.path()).output().unwrap();
    (status.code(), String::from_utf8([stdout, stderr].concat()).unwrap())
}

/// What it says in a home with these lines, but for the first line and those of files with secrets.
fn said(smtproutes: &[u8], authsenders: &[u8]) -> Vec<String> {
    let home = Home::new();
    home.control("smtproutes", smtproutes);
    home.control("authsenders", authsenders);
    let (status, text) = check(&home, &["--config"]);
    assert_eq!(status, Some(0), "{text}");
    for secret in ["secret", "c2VjcmV0"] {
        assert!(!text.replace(" holds a secret: ", "").contains(secret), "{text}");
    }
    let lines: Vec<&str> = text.lines().collect();
    assert_eq!(lines[0], format!("home {}", home.path().display()));
    lines[1..].iter().filter(|line| !line.contains(" holds a secret: ")).map(|line| (*line).to_owned()).collect()
}

#[test]
fn routes_and_senders_with_a_login() {
    let none: [&str; 0] = [];
    assert_eq!(said(b"", b""), none);
    assert_eq!(
        said(b"example.org:relay:587\n:\n# x:relay user secretpass\nno colon\n", b"@example.org:relay\na@b:\n"),
        none
    );
    assert_eq!(
        said(
            b"example.org:relay:587 user secretpass\n.example.org:[2001:db8::1]|-user|secretpass\n:relay\n",
            b"boss@example.org:relay:465|boss|secretpass\n@example.org|another|secretpass\n:relay user secretpass\n"
        ),
        [
            "control/smtproutes line 1: mail for example.org goes to relay:587 with a login as user",
            "control/smtproutes line 2: mail for .example.org goes to 2001:db8::1:25 with a login as user",
            "control/authsenders line 1: mail from boss@example.org goes to relay:465 with a login as boss",
            "control/authsenders line 2: mail from @example.org logs in as another at its route's relay",
            "control/authsenders line 3: mail from all other senders goes to relay:25 with a login as user",
        ]
    );
}

#[test]
fn lines_that_put_mail_off() {
    assert_eq!(
        said(b"example.org:relay|user\n:relay:smtp user secretpass\n", b"example.org secretpass\n"),
        [
            "control/smtproutes line 1: a user without a password; mail for example.org is put off",
            "control/smtproutes line 2: the port is no number from 1 to 65535; mail for all other hosts is put off",
            "control/authsenders line 1: neither sender:relay nor sender|user|password can be seen in it; mail is put off",
        ]
    );
}

/// Where a colon was forgotten, the first one there is may be the password's.
#[test]
fn what_may_be_a_secret_or_moves_the_cursor_is_not_said() {
    assert_eq!(
        said(b"relay|user|secret:relay|a|b\nrelay user secret:relay a b\nx\x1b[2J.example\xc2\x9b1m:relay a b\n", b""),
        [
            "control/smtproutes line 1: mail for a name with a blank or a bar in it goes to relay:25 with a login as a",
            "control/smtproutes line 2: mail for a name with a blank or a bar in it goes to relay:25 with a login as a",
            "control/smtproutes line 3: mail for x?[2J.example?1m goes to relay:25 with a login as a",
        ]
    );
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
            let begin = format!("{} holds a secret: mode {mode:04o} ", file.display());
            let line = text.lines().find(|line| line.starts_with(&begin));
            assert!(line.is_some_and(|line| line.contains(&format!(", readable {words}"))), "{begin}: {text}");
        }
    }
    fs::remove_file(&key).unwrap();
    let (_, text) = check(&home, &["--config"]);
    assert!(text.contains("key.pem holds a secret: No such file or directory"), "{text}");
}

#[test]
fn usage_and_no_home() {
    let home = Home::new();
    for arguments in [[].as_slice(), &["--konfig"], &["--config", "more"]] {
        assert_eq!(check(&home, arguments).0, Some(2), "{arguments:?}");
    }
    fs::remove_dir_all(home.path().join("control")).unwrap();
    let (status, text) = check(&home, &["--config"]);
    assert!(status == Some(1) && text.contains("no home of qmail"), "{text}");
}
