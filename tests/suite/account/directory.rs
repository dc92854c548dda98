//! Which directories and files count, and what fails there: none of it costs a mail.

use super::{RIGHT, Relay, WRONG, account, deliver, is_refused_before, remembered, with_accounts};
use crate::support::Home;
use crate::support::server::{Rules, Server};
use std::fs::{self, Permissions};
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown, symlink};
use std::path::Path;
use std::process::{Command, Stdio};

/// A home where a delivery has been refused before, and what must be so that this is not known any more.
fn not_known_after(what: &str, change: impl FnOnce(&Home)) {
    let relay = Relay::start(WRONG);
    let home = relay.home("myuser secretpass");
    assert_eq!(deliver(&home).letters(), "Z");
    assert!(is_refused_before(&deliver(&home)));
    relay.heard();
    change(&home);
    assert!(deliver(&home).verdict().contains("login failed as myuser"), "{what}");
    assert_eq!(relay.heard(), "CONNECT, AUTH PLAIN, AUTH LOGIN", "{what}");
}

fn mode(path: &Path, mode: u32) {
    fs::set_permissions(path, Permissions::from_mode(mode)).unwrap();
}

fn replace_by_link(path: &Path) {
    let moved = path.with_extension("moved");
    fs::rename(path, &moved).unwrap();
    symlink(moved, path).unwrap();
}

#[test]
fn what_does_not_count() {
    for name in ["accounts", "accounts/127.0.0.1", "accounts/127.0.0.1/myuser", "accounts/127.0.0.1/myuser/memory"] {
        for bits in [0o770, 0o707, 0o772] {
            not_known_after(&format!("{name} of mode {bits:o}"), |home| mode(&home.path().join(name), bits));
        }
        not_known_after(&format!("{name} is a link"), |home| replace_by_link(&home.path().join(name)));
        let is_other = |home: &Home| chown(home.path().join(name), Some(65534), None).is_ok();
        let probe = tempfile::tempdir().unwrap();
        if chown(probe.path(), Some(65534), None).is_ok() {
            not_known_after(&format!("{name} is another user's"), |home| assert!(is_other(home)));
        }
        not_known_after(&format!("{name} is a FIFO"), |home| {
            let path = home.path().join(name);
            fs::rename(&path, path.with_extension("moved")).unwrap();
            assert!(Command::new("mkfifo").args(["-m", "600"]).arg(&path).status().unwrap().success());
        });
    }
    not_known_after("a directory in the place of the memory", |home| {
        fs::remove_file(account(home).join("memory")).unwrap();
        fs::create_dir(account(home).join("memory")).unwrap();
    });
    not_known_after("no account", |home| fs::remove_dir_all(home.path().join("accounts/127.0.0.1")).unwrap());
}

/// Others may look, but not write.
#[test]
fn what_others_may_read() {
    let relay = Relay::start(WRONG);
    let home = relay.home("myuser secretpass");
    mode(&home.path().join("accounts"), 0o755);
    deliver(&home);
    assert!(is_refused_before(&deliver(&home)));
    for (name, bits) in [("", 0o700), ("..", 0o700), ("memory", 0o600)] {
        assert_eq!(fs::metadata(account(&home).join(name)).unwrap().mode() & 0o7777, bits, "{name}");
    }
    let lock = fs::metadata(account(&home).join("open")).unwrap();
    assert_eq!((lock.mode() & 0o7777, lock.len()), (0o600, 0));
    assert_eq!(fs::read_dir(account(&home)).unwrap().count(), 2, "no other file is left");
}

/// A login goes on where nothing can be written.
#[test]
fn nothing_can_be_written() {
    let relay = Relay::start(RIGHT);
    let home = relay.home("myuser secretpass");
    let delivery = home.command("a@example.net", &["b@example.org"]);
    let limited = || {
        let mut limited = Command::new("prlimit");
        limited.arg("--fsize=0").arg(delivery.get_program()).args(delivery.get_args());
        limited.env_clear().env("PATH", "/usr/bin:/bin").env("QMAILHOME", home.path());
        limited.stdin(Stdio::null()).output().unwrap().stdout
    };
    assert!(limited().starts_with(b"r\0K"));
    assert_eq!(remembered(&home), [""; 0]);
    relay.says(WRONG);
    assert!(limited().starts_with(b"ZConnected to "));
    assert_eq!(fs::read_dir(account(&home)).unwrap().count(), 1, "the lock alone");
    // No lock can be made either.
    fs::remove_dir_all(account(&home)).unwrap();
    fs::write(home.path().join("accounts/127.0.0.1/myuser"), "").unwrap();
    relay.says(RIGHT);
    assert_eq!(deliver(&home).letters(), "rK");
    fs::remove_file(account(&home)).unwrap();
    fs::create_dir_all(account(&home).join("open")).unwrap();
    assert_eq!(deliver(&home).letters(), "rK");
    assert_eq!(remembered(&home), [""; 0]);
}

/// Mail without a login, and mail by MX, leave nothing there.
#[test]
fn only_for_logins() {
    let server = Server::start(Rules { auth_required: false, ..Rules::default() });
    let home = with_accounts(Home::with_route(&format!("127.0.0.1:{}", server.port())));
    assert_eq!(deliver(&home).letters(), "rK");
    assert_eq!(fs::read_dir(home.path().join("accounts")).unwrap().count(), 0);
}
