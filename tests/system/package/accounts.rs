//! The directory in which the program remembers failed logins: made for the user that it runs as, and purged.

use super::debian::{Debian, RELEASES, SOURCE};
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
