//! The user that a check runs as. Needs root, for these users and groups.

use crate::support::check::{Checked, is_root, program, run};
use crate::support::executable;
use crate::support::namespace::inside_with;
use crate::support::server::{Rules, Server};
use std::fs::{self, Permissions};
use std::os::unix::fs::{PermissionsExt, chown};
use std::path::Path;
use std::process::Command;

const PASSWD: &str = "root:x:0:0:::\nqmailr:x:7796:2108:::\n";
const ETC: [(&str, &str); 2] = [("passwd", PASSWD), ("group", "root:x:0:\nqmail:x:2108:\n")];
const ROUTES: &str = "/var/qmail/control/smtproutes";
const TCPTO: &str = "/var/qmail/queue/lock/tcpto";
/// A copy, since another user may not get at the directory of the tests.
const CHECK: &str = "/var/qmail-remote-check";
const DENIED: &str = "NOT OK: mail for example.org would wait: Unable to read control files. (#4.3.0) control/smtproutes: \
                      Permission denied for ";

/// The home that is found without QMAILHOME, and its relay.
fn start() -> Server {
    let server = Server::start(Rules { auth_required: false, ..Rules::offering(&["PIPELINING"]) });
    for directory in ["/var/qmail/control", "/var/qmail/queue/lock"] {
        fs::create_dir_all(directory).unwrap();
    }
    fs::write("/var/qmail/control/me", "client.example.net\n").unwrap();
    fs::write(ROUTES, format!(":127.0.0.1:{}\n", server.port())).unwrap();
    executable::copy(&program(), Path::new(CHECK));
    server
}

/// Of the relay's file.
fn own(mode: u32, uid: u32, gid: u32) {
    chown(ROUTES, Some(uid), Some(gid)).unwrap();
    fs::set_permissions(ROUTES, Permissions::from_mode(mode)).unwrap();
}

/// The check by these programs, such as `setpriv`, from a directory that only root can enter.
fn check(through: &[&str], arguments: &[&str]) -> Checked {
    let words = [through, &[CHECK], arguments].concat();
    let mut command = Command::new(words[0]);
    command.args(&words[1..]).env_clear().env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin").current_dir("/var/roots");
    run(command)
}

fn check_as_root() -> Checked {
    check(&[], &["example.org"])
}

fn inside_of_root(test: &str) -> bool {
    is_root() && inside_with(test, &ETC, "mount -t tmpfs none /var && mkdir -m 700 /var/roots")
}

/// It finds what qmail finds, whatever root could read.
#[test]
fn root_becomes_the_user_of_qmail_remote() {
    if !inside_of_root(here!()) {
        return;
    }
    let server = start();
    // By name; by the owner of tcpto; that of a tcpto which is root's does not count.
    for (tcpto, (uid, gid), name) in [
        (None, (7796, 2108), "qmailr"),
        (Some((7797, 2109)), (7797, 2109), "uid 7797"),
        (Some((0, 0)), (7796, 2108), "qmailr"),
        (Some((7796, 0)), (7796, 2108), "qmailr"),
    ] {
        let _ = fs::remove_file(TCPTO);
        if let Some((owner, group)) = tcpto {
            fs::write(TCPTO, [0; 1024]).unwrap();
            chown(TCPTO, Some(owner), Some(group)).unwrap();
        }
        for (mode, owner, group, can_read) in
            [(0o600, 0, 0, false), (0o640, 0, 0, false), (0o640, 0, gid, true), (0o400, uid, 0, true)]
        {
            own(mode, owner, group);
            let case = format!("{tcpto:?} {mode:o} {owner}:{group}");
            let checked = check_as_root();
            assert!(
                checked.stdout.starts_with(&format!("user          uid {uid}\nhome          /var/qmail\n")),
                "{checked:?}"
            );
            let last = checked.last_line();
            let ok = format!(
                "OK: mail for example.org would go out without a login through 127.0.0.1:{} in clear",
                server.port()
            );
            if can_read {
                assert_eq!((checked.status, last), (Some(0), &ok[..]), "{case}");
            } else {
                assert!(checked.status == Some(1) && last.starts_with(DENIED), "{case}: {last}");
            }
            // --config, which stays root, judges by the mode.
            let config = check(&[], &["--config"]);
            let words = format!("cannot be read by {name}, the user of qmail-remote, so mail is deferred");
            assert_eq!(
                (config.status, config.stdout.contains(&words)),
                (Some(i32::from(!can_read)), !can_read),
                "{case}: {config:?}"
            );
        }
    }
    assert_eq!(server.finish().connections.len(), 8);
}

/// For good, with its group alone, and before a control file is opened or anything sent.
#[test]
fn nothing_is_opened_before() {
    if !inside_of_root(here!()) {
        return;
    }
    let server = start();
    let calls = "trace=setgroups,setgid,setuid,getresuid,getresgid,openat,socket,connect";
    let checked = check(&["setpriv", "--groups", "0,5", "strace", "-o", "/var/trace", "-e", calls], &["example.org"]);
    assert_eq!(checked.status, Some(0), "{checked:?}");
    server.finish();
    let trace = fs::read_to_string("/var/trace").unwrap();
    let at = |call: &str| trace.find(call).unwrap_or_else(|| panic!("no {call} in {trace}"));
    let order = [
        "setgroups(1, [2108]) ",
        "setgid(2108) ",
        "setuid(7796) ",
        "getresuid([7796], [7796], [7796])",
        "getresgid([2108], [2108], [2108])",
        "setuid(0) ",
        "/var/qmail/control/",
        "socket(",
    ];
    assert!(order.map(at).is_sorted(), "{trace}");
}

/// Then nothing is tried at all.
#[test]
fn a_user_that_root_cannot_become() {
    if !inside_of_root(here!()) {
        return;
    }
    let server = start();
    let denied = "qmail-remote-check: cannot become the user of qmail-remote (uid 7796, gid 2108): Operation not permitted. Nothing was tried.\n";
    for way in [
        ["setpriv", "--bounding-set", "-setuid"],
        ["setpriv", "--bounding-set", "-setgid"],
        ["setpriv", "--securebits", "+no_setuid_fixup"], // root's capabilities stay
    ] {
        let checked = check(&way, &["example.org"]);
        assert_eq!((checked.status, &checked.stdout[..], &checked.stderr[..]), (Some(1), "", denied), "{way:?}");
    }
    fs::write("/etc/passwd", "root:x:0:0:::\n").unwrap();
    let unknown = "qmail-remote-check: /var/qmail/queue/lock/tcpto is missing or root's, and there is no user qmailr, ";
    let checked = check_as_root();
    assert_eq!((checked.status, &checked.stdout[..]), (Some(1), ""));
    assert!(checked.stderr.starts_with(unknown), "{}", checked.stderr);
    assert!(server.finish().connections.is_empty());
}

/// Whoever else runs it cannot become that user, so an OK is not certain.
#[test]
fn another_user() {
    if !inside_of_root(here!()) {
        return;
    }
    let _server = start();
    let by = |uid: &str| check(&["setpriv", "--reuid", uid, "--regid", "2108", "--clear-groups"], &["example.org"]);
    assert!(by("7796").last_line().ends_with(" in clear"));
    let checked = by("1000");
    assert_eq!(checked.status, Some(0));
    assert!(
        checked.last_line().ends_with(" in clear, if qmail-remote can read the same files as this user"),
        "{checked:?}"
    );
    own(0o600, 0, 0);
    let checked = by("1000");
    assert!(checked.status == Some(1) && checked.last_line().starts_with(DENIED), "{checked:?}");
    assert!(checked.last_line().ends_with(" This user can read other files than qmail-remote can."), "{checked:?}");
}
