//! What the package says of itself, and what its installation says of the control files.

use super::debian::{Debian, PROGRAM, RELEASES, SOURCE};
use crate::support::deb::{TREE, output, packages};
use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown};
use std::process::Command;

/// A library that is missing, or too new for it, would bounce the whole queue: it needs none. Which libc is in it is told.
#[test]
fn needs_no_library() {
    let dir = tempfile::tempdir().unwrap();
    output(Command::new("dpkg-deb").arg("--extract").arg(&packages().program).arg(dir.path()));
    let program = dir.path().join(&PROGRAM[1..]);
    assert_eq!(program.metadata().unwrap().mode() & 0o7777, 0o755);
    fs::create_dir(dir.path().join("debian")).unwrap();
    fs::write(dir.path().join("debian/control"), "Source: x\n\nPackage: x\nArchitecture: any\n").unwrap();
    let check = dir.path().join("usr/bin/qmail-remote-check");
    let mut shlibdeps = Command::new("dpkg-shlibdeps");
    assert_eq!(output(shlibdeps.arg("-O").args([program, check]).current_dir(dir.path())), "");
    let field = |name: &str| output(Command::new("dpkg-deb").arg("--field").arg(&packages().program).arg(name));
    assert_eq!(field("Depends"), "ca-certificates\n");
    assert!(field("Built-Using").starts_with("glibc (= "), "{}", field("Built-Using"));
}

/// Their licences ask for it.
#[test]
fn copyright_names_every_crate_that_is_linked_in() {
    let copyright = include_str!("../../../debian/copyright");
    let mut cargo = Command::new(env!("CARGO"));
    cargo.current_dir(TREE).args([
        "tree",
        "--offline",
        "--package",
        "qmail-remote-auth",
        "--edges",
        "normal,no-proc-macro",
        "--prefix",
        "none",
    ]);
    let tree = output(&mut cargo);
    assert!(tree.starts_with("qmail-remote-auth v"), "{tree}");
    let others = tree.lines().filter(|line| !line.contains("(/")); // without those of this tree
    for name in others.filter_map(|line| line.split(' ').next()) {
        assert!(copyright.contains(&format!("crates/{name}/*\n")), "debian/copyright lacks {name}");
    }
    ["glibc", "libgcc"].iter().for_each(|name| assert!(copyright.contains(&format!("Files: {name}/*\n")), "{name}"));
}

/// Which home, which routes have a login, who can read the secrets. It changes no permission.
#[test]
fn an_installation_says_what_it_finds() {
    let debian = Debian::new(RELEASES[0]);
    let (installed, words) = debian.attempt("dpkg", &["--install", "/package.deb"]);
    let end =
        "QMAILHOME can name another\nqmail-remote-auth: run dpkg-reconfigure qmail-remote-auth once qmail is there.\n";
    assert!(installed && words.contains("no home of qmail") && words.contains(end), "{words}");
    assert!(!words.contains("warning") && !words.contains("defer"), "{words}");

    debian.run("groupadd", &["--gid", "2108", "qmail"]);
    debian.run("useradd", &["--uid", "7796", "--gid", "qmail", "qmailr"]);
    debian.put_stock(SOURCE, "stock");
    let control = debian.path("/var/qmail/control");
    let relay = |name: &str| control.join("relays").join(name);
    for name in ["smtp.example.jp", "backup.example.jp"] {
        fs::create_dir_all(relay(name)).unwrap();
        fs::write(relay(name).join("user"), "another\n").unwrap();
        fs::write(relay(name).join("password"), "hidden\n").unwrap();
    }
    fs::write(control.join("me"), "home.example\n").unwrap();
    let routes = "# relays\nexample.org:smtp.example.jp:587\n:backup.example.jp:587 myuser secretpass\nexample.com:\nx.example:relay|user\n";
    fs::write(control.join("smtproutes"), routes).unwrap();
    let set = |path: &std::path::Path, mode, group| {
        chown(path, Some(0), Some(group)).unwrap();
        fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
    };
    set(&control.join("smtproutes"), 0o644, 0);
    set(&relay("smtp.example.jp").join("password"), 0o640, 2108);
    set(&relay("backup.example.jp").join("password"), 0o600, 0);
    let modes = || debian.run("find", &["/var/qmail/control", "-printf", "%m %U:%G %p\n"]);
    let before = modes();

    let (installed, words) = debian.attempt("dpkg", &["--install", "/package.deb"]);
    assert!(installed, "{words}");
    let control = "/var/qmail/control";
    for line in [
        "home /var/qmail",
        "program /var/qmail/bin/qmail-remote: this package's",
        "control/smtproutes line 2: mail for example.org goes to smtp.example.jp:587 with a login as another (control/relays/smtp.example.jp)",
        "control/smtproutes line 3: mail for all other hosts goes to backup.example.jp:587 with a login as myuser",
        "warning: control/smtproutes line 5: a user without a password (write both or neither); mail for x.example is deferred",
        &format!(
            "warning: {control}/smtproutes holds a secret: mode 0644 root:root, readable by every user of this machine; \
             to make it readable by qmail alone: chown root:qmail {control}/smtproutes && chmod 640 {control}/smtproutes"
        ),
        &format!(
            "{control}/relays/smtp.example.jp/password holds a secret: mode 0640 root:qmail, readable by group qmail"
        ),
        &format!(
            "warning: {control}/relays/backup.example.jp/password holds a secret: mode 0600 root:root, readable by user root alone, \
             not by qmailr, the user of qmail-remote, so mail is deferred; to make it readable by qmail alone: \
             chown root:qmail {control}/relays/backup.example.jp/password && chmod 640 {control}/relays/backup.example.jp/password"
        ),
    ] {
        assert!(words.lines().any(|said| said == line), "not said: {line}\nbut: {words}");
    }
    assert!(!words.contains("secretpass") && !words.contains("hidden"), "{words}");
    assert_eq!(modes(), before);

    // As after `make setup`, until the package is configured again.
    let words_of_program = || {
        let (_, words) = debian.attempt("qmail-remote-check", &["--config"]);
        words.lines().find(|line| line.contains("program /var/qmail/bin/")).unwrap().to_owned()
    };
    debian.put_stock(SOURCE, "rebuilt");
    let warning = "warning: program /var/qmail/bin/qmail-remote: another program than this package's, ";
    assert!(words_of_program().starts_with(warning), "{}", words_of_program());
    debian.run("dpkg-reconfigure", &["qmail-remote-auth"]);
    assert_eq!(words_of_program(), "program /var/qmail/bin/qmail-remote: this package's");

    // Behind a directory that others cannot enter it is safe.
    set(&debian.path(control), 0o750, 2108);
    // 1: there are lines and files that defer mail.
    let (all_well, words) = debian.attempt("qmail-remote-check", &["--config"]);
    assert!(!all_well, "{words}");
    assert!(words.contains("smtproutes holds a secret: mode 0644 root:root, readable by"), "{words}");
    assert!(!words.contains("every user"), "{words}");
}

/// The stock program that comes back does not log in. An upgrade brings nothing back.
#[test]
fn a_removal_names_the_logins() {
    let debian = Debian::new(RELEASES[0]);
    debian.put_stock(SOURCE, "stock");
    debian.put_control("/var/qmail/control");
    let control = debian.path("/var/qmail/control");
    let routes = "a.example:relay.example\nb.example:relay.example:587 myuser secretpass\n:relay.example:x y z\n";
    fs::write(control.join("smtproutes"), routes).unwrap();
    fs::write(control.join("authsenders"), "boss@c.example|boss|secretpass\n").unwrap();
    let said = "    control/smtproutes line 2: mail for b.example goes to relay.example:587 with a login as myuser\n    \
                control/authsenders line 1: mail from boss@c.example logs in as boss at its route's relay\n\
                qmail-remote-auth: Where the relay demands a login, this mail bounces now: ";
    debian.install();
    let (installed, words) = debian.attempt("dpkg", &["--install", "/package.deb"]);
    assert!(installed && !words.contains("bounces"), "{words}");
    let (removed, words) = debian.attempt("dpkg", &["--remove", "qmail-remote-auth"]);
    assert!(removed && words.contains(said) && !words.contains("secretpass"), "{words}");
    assert_eq!(words.matches("bounces now").count(), 1, "{words}");

    // Not all of many; and nothing at all without a login, without a home, or where the stock program does not come back.
    let many: String = (1..=22).map(|n| format!("host{n}.example:relay.example:587 myuser secretpass\n")).collect();
    fs::write(control.join("smtproutes"), many).unwrap();
    debian.install();
    let (removed, words) = debian.attempt("dpkg", &["--purge", "qmail-remote-auth"]);
    let last = " mail for host20.example goes to relay.example:587 with a login as myuser\n    and 3 more\n";
    assert!(removed && words.contains(last), "{words}");
    let quietly = |what: &str| {
        let (removed, words) = debian.attempt("dpkg", &["--remove", "qmail-remote-auth"]);
        assert!(removed && !words.contains("bounces"), "{what}: {words}");
    };
    debian.install();
    fs::remove_file(debian.path(SOURCE)).unwrap();
    debian.put_stock(SOURCE, "another"); // over ours
    quietly("another program under the name");
    fs::remove_file(control.join("authsenders")).unwrap();
    fs::write(control.join("smtproutes"), ":relay.example\n").unwrap();
    debian.install();
    quietly("no login");
    debian.install();
    fs::rename(&control, control.with_extension("away")).unwrap();
    quietly("no home");
}
