//! Where qmail's home is, and what is found there, for the layouts that are in use.

use crate::support::namespace::inside;
use crate::support::server::{Rules, Server};
use crate::support::{Home, program, run};
use qmail_remote::control::home::{self, Surroundings};
use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::process::Command;

#[test]
fn where_home_is() {
    let [one, other] = [Home::new(), Home::new()];
    let mess = other.path().join("queue/mess");
    let bin = other.path().join("bin/qmail-remote");
    let find = |qmailhome: Option<&Path>, cwd: Option<&Path>, execfn: Option<&Path>| {
        home::find(&Surroundings { qmailhome, cwd, execfn, ..Default::default() })
    };
    let found = |home: &Home| Some(home.path().to_owned());
    assert_eq!(find(Some(one.path()), Some(&mess), Some(&bin)), found(&one));
    assert_eq!(find(None, Some(&mess), None), found(&other));
    assert_eq!(find(Some(Path::new("")), Some(&mess), None), found(&other));
    assert_eq!(find(None, Some(&mess), Some(&one.path().join("bin/qmail-remote"))), found(&other));
    assert_eq!(find(None, Some(Path::new("/")), Some(&bin)), found(&other));
    assert_eq!(find(None, Some(&other.path().join("bin")), Some(Path::new("./qmail-remote"))), found(&other));
    assert_eq!(find(None, Some(other.path()), Some(Path::new("bin/qmail-remote"))), found(&other));
    // Without the working directory it is not known whether another home comes first.
    assert_eq!(find(None, None, Some(&bin)), None);
    // A home that is named and has no control directory is an error, not a reason to take another.
    let empty = tempfile::tempdir().unwrap();
    assert_eq!(find(Some(empty.path()), Some(&mess), Some(&bin)), None);
    // But a queue may be a link to another disk, and qmail-rspawn then starts us there.
    assert_eq!(find(None, Some(&empty.path().join("queue/mess")), Some(&bin)), found(&other));
}

/// The program itself, in the three ways that it is found.
#[test]
fn home_of_the_program() {
    let server = Server::start(Rules::default());
    let home = Home::with_route(&format!("127.0.0.1:{} myuser secretpass", server.port()));
    let mess = home.path().join("queue/mess");
    fs::create_dir_all(&mess).unwrap();
    fs::create_dir(home.path().join("bin")).unwrap();
    symlink(program(), home.path().join("bin/qmail-remote")).unwrap();
    let deliver = |mut command: Command| {
        command.env_clear().args(["example.org", "a@example.net", "b@example.org"]);
        assert_eq!(run(command, b"\n").letters(), "rK");
    };
    let mut from_mess = Command::new(program());
    from_mess.current_dir(&mess);
    deliver(from_mess);
    let mut from_bin = Command::new(home.path().join("bin/qmail-remote"));
    from_bin.current_dir("/");
    deliver(from_bin);
    assert_eq!(server.finish().messages.len(), 2);

    let empty = tempfile::tempdir().unwrap();
    let mut command = home.command("a@example.net", &["b@example.org"]);
    command.env("QMAILHOME", empty.path());
    assert!(run(command, b"\n").verdict().starts_with("ZUnable to switch to home directory. (#4.3.0)"));
}

/// Nothing tells where home is: the usual places, with `control` a directory or, as Debian has it, a link.
#[test]
fn usual_places() {
    if !inside(here!()) {
        return;
    }
    assert!(Command::new("mount").args(["-t", "tmpfs", "none", "/var"]).status().unwrap().success());
    let verdict = || {
        let mut command = Command::new(program());
        command.env_clear().current_dir("/").args(["example.org", "a@example.net", "b@example.org"]);
        run(command, b"\n").verdict()
    };
    // A relay that does not resolve, so the report names it.
    let by = |route: &str| {
        let verdict = verdict();
        assert!(verdict.contains(&format!("Relay {route}.invalid of control/smtproutes line 1")), "{route}: {verdict}");
    };
    assert_eq!(verdict(), "ZUnable to switch to home directory. (#4.3.0) No control directory found.\n");
    let control = |directory: &str, route: &str| {
        fs::create_dir_all(directory).unwrap();
        fs::write(format!("{directory}/me"), "client.example.net\n").unwrap();
        fs::write(format!("{directory}/smtproutes"), format!(":{route}.invalid\n")).unwrap();
    };
    // Debian: /var/lib/qmail/control leads to /etc/qmail.
    control("/etc/qmail", "debian");
    fs::create_dir_all("/var/lib/qmail").unwrap();
    symlink("/etc/qmail", "/var/lib/qmail/control").unwrap();
    by("debian");
    // A directory without control is no home.
    fs::create_dir_all("/var/qmail/bin").unwrap();
    by("debian");
    control("/var/qmail/control", "stock");
    by("stock");
    // /var/qmail as Debian's README advises it.
    fs::remove_dir_all("/var/qmail").unwrap();
    symlink("/var/lib/qmail", "/var/qmail").unwrap();
    by("debian");
}
