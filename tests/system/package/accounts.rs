//! What logins need beside the program: the directory in which they are remembered, made for the user that it runs as, and purged; and
//! the timer that renews tokens.

use super::debian::{Debian, RELEASES, SOURCE};
use crate::support::executable::write_script;
use std::fs;
use std::os::unix::fs::{MetadataExt, chown, symlink};

#[test]
fn made_for_the_owner_of_tcpto() {
    let debian = Debian::new(RELEASES[0]);
    debian.put_stock(SOURCE, "stock");
    debian.put_control("/var/qmail/control");
    let (tcpto, accounts) = (debian.path("/var/qmail/queue/lock/tcpto"), debian.path("/var/qmail/accounts"));
    let install = || debian.attempt("dpkg", &["--install", "/package.deb"]).1;

    install();
    assert!(!accounts.exists(), "without tcpto");
    fs::create_dir_all(tcpto.parent().unwrap()).unwrap();
    fs::write(&tcpto, [0; 1024]).unwrap();
    install();
    assert!(!accounts.exists(), "root's tcpto");
    fs::remove_file(&tcpto).unwrap();
    symlink("/etc/hosts", &tcpto).unwrap();
    install();
    assert!(!accounts.exists(), "a link");
    fs::remove_file(&tcpto).unwrap();
    fs::write(&tcpto, [0; 1024]).unwrap();
    chown(&tcpto, Some(7796), Some(2108)).unwrap();
    let words = install();
    assert!(words.contains("/var/qmail/accounts is for what is remembered of failed logins"), "{words}");
    let made = fs::symlink_metadata(&accounts).unwrap();
    assert_eq!((made.mode() & 0o7777, made.uid(), made.gid()), (0o700, 7796, 2108));

    // What is there stays as it is, until the package is purged.
    chown(&accounts, Some(7797), None).unwrap();
    fs::create_dir_all(accounts.join("smtp.example.jp/myuser")).unwrap();
    assert!(!install().contains("is for what is remembered"));
    assert_eq!(fs::symlink_metadata(&accounts).unwrap().uid(), 7797);
    debian.run("dpkg", &["--remove", "qmail-remote-auth"]);
    assert!(accounts.join("smtp.example.jp/myuser").is_dir());
    let (_, words) = debian.attempt("dpkg", &["--purge", "qmail-remote-auth"]);
    assert!(
        words.contains("removing /var/qmail/accounts, which has what was remembered of logins, and their tokens."),
        "{words}"
    );
    assert!(!accounts.exists() && tcpto.exists());
}

/// Where systemd runs, the timer does so from the installation on. No unit of the package is left to it after the removal.
#[test]
fn the_timer_is_started_and_stopped() {
    let debian = Debian::new(RELEASES[0]);
    debian.put_stock(SOURCE, "stock");
    debian.put_control("/var/qmail/control");
    for link in ["/usr/bin/systemctl", "/bin/systemctl"] {
        let _ = fs::remove_file(debian.path(link));
    }
    write_script(&debian.path("/usr/bin/systemctl"), "echo \"$@\" >>/systemctl.log");
    let log = || fs::read_to_string(debian.path("/systemctl.log")).unwrap_or_default();
    debian.run("dpkg", &["--install", "/package.deb"]);
    assert_eq!(log(), "", "no systemd runs");
    fs::create_dir_all(debian.path("/run/systemd/system")).unwrap();
    debian.run("dpkg", &["--install", "/package.deb"]);
    assert_eq!(log(), "daemon-reload\nstart qmail-remote-oauth.timer\n");
    fs::remove_file(debian.path("/systemctl.log")).unwrap();
    debian.run("dpkg", &["--remove", "qmail-remote-auth"]);
    assert_eq!(log(), "stop qmail-remote-oauth.timer\ndaemon-reload\ndaemon-reload\n");
}
