//! The package beside what others have under the name: qmail as a package, before it or after; diversions; scripts; nothing.

use super::debian::{DEBIAN, Debian, OURS, PROGRAM, RELEASES, SOURCE, stock};
use crate::support::deb::{package, version};
use crate::support::executable;
use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};

/// A package of qmail, as /qmail-VERSION.deb.
fn put_qmail(debian: &Debian, version: &str, text: &str) {
    let rspawn = stock("rspawn");
    let files = [(SOURCE, &*stock(text)), ("/var/qmail/bin/qmail-rspawn", &*rspawn)];
    package("qmail", version, &debian.path(&format!("/qmail-{version}.deb")), &files, &[]);
}

#[test]
fn a_qmail_that_is_a_package() {
    for release in RELEASES {
        let debian = Debian::new(release);
        debian.put_control("/var/qmail/control");
        let kept = &format!("{SOURCE}.stock");
        put_qmail(&debian, "1", "first");
        put_qmail(&debian, "2", "second");
        debian.run("dpkg", &["--install", "/qmail-1.deb"]);
        let dpkg = |what: &str, arguments: &[&str]| {
            debian.quietly(&format!("{release}: {what}"), SOURCE, &[SOURCE], || drop(debian.run("dpkg", arguments)));
        };
        dpkg("install", &["--install", "/package.deb"]);
        assert_eq!(debian.run(SOURCE, &[]), OURS);

        dpkg("upgrade of qmail", &["--install", "/qmail-2.deb"]);
        assert_eq!(debian.run(SOURCE, &[]), OURS);
        assert_eq!(debian.run(kept, &[]), "Ksecond\n\0");

        dpkg("removal of qmail", &["--remove", "qmail"]);
        dpkg("qmail again", &["--install", "/qmail-1.deb"]);
        assert_eq!(debian.run(SOURCE, &[]), OURS);
        assert_eq!(debian.run(kept, &[]), "Kfirst\n\0");

        dpkg("our removal", &["--remove", "qmail-remote-auth"]);
        assert_eq!(debian.run(SOURCE, &[]), "Kfirst\n\0");
        assert_eq!(debian.run("dpkg", &["--verify", "qmail"]), "");
        dpkg("our purge", &["--purge", "qmail-remote-auth"]);
        assert!(!debian.path(kept).exists());
        assert_eq!(debian.diversions(), "");
    }
}

/// There is no diversion before, which would send the program of a qmail package to a name that nobody runs.
#[test]
fn a_qmail_that_comes_later() {
    for release in RELEASES {
        let debian = Debian::new(release);
        let before = debian.names();
        debian.install();
        for name in [SOURCE, DEBIAN, "/var/qmail", "/var/lib/qmail"] {
            assert!(debian.path(name).symlink_metadata().is_err(), "{name} was made where there is no qmail");
        }
        assert_eq!(debian.diversions(), "");
        debian.run("dpkg", &["--purge", "qmail-remote-auth"]);
        assert_eq!(debian.names(), before);

        // As a package, which dpkg tells us of.
        debian.install();
        debian.put_control("/var/qmail/control");
        put_qmail(&debian, "1", "first");
        debian.run("dpkg", &["--install", "/qmail-1.deb"]);
        assert_eq!(debian.run(SOURCE, &[]), OURS);
        assert_eq!(debian.run(&format!("{SOURCE}.stock"), &[]), "Kfirst\n\0");

        // From source, after that one.
        debian.run("dpkg", &["--purge", "qmail"]);
        debian.put_stock(SOURCE, "second");
        debian.quietly(release, SOURCE, &[SOURCE], || drop(debian.run("dpkg-reconfigure", &["qmail-remote-auth"])));
        assert_eq!(debian.run(SOURCE, &[]), OURS);
        debian.quietly(release, SOURCE, &[SOURCE], || drop(debian.run("dpkg", &["--purge", "qmail-remote-auth"])));
        assert_eq!(debian.run(SOURCE, &[]), "Ksecond\n\0");
        assert_eq!(debian.diversions(), "");
    }
}

/// A wrapper that signs mail, say. It stays, and the words say how to have both.
#[test]
fn a_name_that_someone_else_diverted() {
    for release in RELEASES {
        let debian = Debian::new(release);
        debian.put_stock(SOURCE, "stock");
        let divert = format!("dpkg-divert --package wrapper --no-rename --divert {SOURCE}.unsigned --add {SOURCE}");
        executable::copy(&debian.path(SOURCE), &debian.path(&format!("{SOURCE}.unsigned")));
        let files = [(SOURCE, &*stock("wrapper"))];
        package("wrapper", "1", &debian.path("/wrapper.deb"), &files, &[("preinst", &divert)]);
        debian.run("dpkg", &["--install", "/wrapper.deb"]);
        let before = debian.names();
        let (installed, words) = debian.attempt("dpkg", &["--install", "/package.deb"]);
        assert!(installed, "{words}");
        let said = format!(
            "qmail-remote-auth: {SOURCE} is diverted by wrapper and stays as it is. \
             If the program there runs {SOURCE}.unsigned, have it run {PROGRAM} instead.\n"
        );
        assert!(words.contains(&said), "{words}");
        assert_eq!(debian.run(SOURCE, &[]), "Kwrapper\n\0");
        debian.run("dpkg", &["--purge", "qmail-remote-auth"]);
        assert_eq!(debian.names(), before);
        assert!(debian.diversions().ends_with("by wrapper\n"));
    }
}

/// The same where /var/qmail leads to Debian's link to it.
#[test]
fn a_link_to_such_a_name() {
    let debian = Debian::new(RELEASES[0]);
    debian.put_stock(DEBIAN, "stock");
    fs::create_dir_all(debian.path("/var/qmail/bin")).unwrap();
    symlink(DEBIAN, debian.path(SOURCE)).unwrap();
    debian.run("dpkg-divert", &["--local", "--no-rename", "--divert", "/usr/sbin/mine", "--add", DEBIAN]);
    let before = debian.names();
    debian.install();
    assert_eq!(debian.run(SOURCE, &[]), "Kstock\n\0");
    debian.run("dpkg", &["--purge", "qmail-remote-auth"]);
    assert_eq!(debian.names(), before);
}

/// What a removal says that would leave this name without a program.
pub fn refusal(name: &str) -> String {
    format!("{name} leads to a program of this package, without which qmail would bounce all mail")
}

/// A wrapper that was put there by hand, before us or over us. What runs our program is what qmail would run without it, so it
/// cannot be removed from under it.
#[test]
fn a_script_under_the_name() {
    for release in RELEASES {
        let debian = Debian::new(release);
        debian.put_control("/var/qmail/control");
        for over_ours in [false, true] {
            debian.put_stock(SOURCE, "stock");
            if over_ours {
                debian.install();
            }
            fs::rename(debian.path(SOURCE), debian.path(&format!("{SOURCE}.orig"))).unwrap();
            executable::write_script(&debian.path(SOURCE), &format!("exec {SOURCE}.orig \"$@\""));
            let runs = if over_ours { OURS } else { "Kstock\n\0" };
            let (installed, words) = debian.attempt("dpkg", &["--install", "/package.deb"]);
            assert!(installed, "{words}");
            let said = format!("{SOURCE} is a script, which may sign mail, so it stays as it is. ");
            assert!(words.contains(&said) && words.contains(&format!("have it run {PROGRAM} instead")), "{words}");
            assert_eq!(debian.run(SOURCE, &[]), runs);

            executable::write_script(&debian.path(SOURCE), &format!("exec {PROGRAM} \"$@\""));
            let remove = || {
                let (removed, words) = debian.attempt("dpkg", &["--remove", "qmail-remote-auth"]);
                assert!(!removed && words.contains(&refusal(SOURCE)), "{words}");
            };
            debian.quietly(release, SOURCE, &[SOURCE], remove);

            executable::write_script(&debian.path(SOURCE), &format!("exec {SOURCE}.orig \"$@\""));
            debian.run("dpkg", &["--purge", "qmail-remote-auth"]);
            assert_eq!(debian.run(SOURCE, &[]), runs);
            assert_eq!(debian.diversions(), "");
            fs::remove_file(debian.path(SOURCE)).unwrap();
        }
    }
}

#[test]
fn a_link_of_the_admins_to_our_program() {
    let debian = Debian::new(RELEASES[0]);
    debian.put_control("/var/qmail/control");
    debian.install();
    fs::create_dir_all(debian.path("/var/qmail/bin")).unwrap();
    symlink(PROGRAM, debian.path(SOURCE)).unwrap();
    debian.quietly("install again", SOURCE, &[SOURCE], || debian.install());
    let (removed, words) = debian.attempt("dpkg", &["--remove", "qmail-remote-auth"]);
    assert!(!removed && words.contains(&refusal(SOURCE)), "{words}");
    assert_eq!(debian.run(SOURCE, &[]), OURS);
    fs::remove_file(debian.path(SOURCE)).unwrap();
    debian.run("dpkg", &["--purge", "qmail-remote-auth"]);
}

/// A program that does not run where it would stand, because the file system forbids it, say, would bounce all mail.
#[test]
fn a_program_that_does_not_run() {
    for release in RELEASES {
        let debian = Debian::new(release);
        debian.put_stock(SOURCE, "stock");
        debian.put_control("/var/qmail/control");
        let clean = debian.names();
        for fault in ["exit 1", "exit 127"] {
            version("0.1.0-2", &debian.path("/faulty.deb"), |tree| {
                executable::write_script(&tree.join(&PROGRAM[1..]), fault)
            });
            for upgrade in [false, true] {
                if upgrade {
                    debian.install();
                }
                let install = || {
                    let (installed, words) = debian.attempt("dpkg", &["--install", "/faulty.deb"]);
                    let said =
                        format!("{PROGRAM} does not run as a copy in /var/qmail/bin, so {SOURCE} stays as it is.");
                    assert!(installed && words.contains(&said), "{words}");
                };
                debian.quietly(fault, SOURCE, &[SOURCE], install);
                assert_eq!(debian.run(SOURCE, &[]), if upgrade { OURS } else { "Kstock\n\0" });
                debian.run("dpkg", &["--purge", "qmail-remote-auth"]);
                assert_eq!(debian.names(), clean);
            }
        }
    }
}

/// Files with names like ours, and a `.stock` of before, are the admin's, and so is what they are links to.
#[test]
fn files_of_the_admins_beside_the_name() {
    for release in RELEASES {
        let debian = Debian::new(release);
        debian.put_stock(SOURCE, "stock");
        debian.put_control("/var/qmail/control");
        for end in ["stock.new", "stock", "old"] {
            debian.put_stock(&format!("{SOURCE}.{end}"), end);
        }
        fs::hard_link(debian.path(SOURCE), debian.path(&format!("{SOURCE}.new"))).unwrap();
        fs::hard_link(debian.path(SOURCE), debian.path(&format!("{SOURCE}.qmail-remote-auth"))).unwrap();
        let before = debian.names();
        let others = || {
            for (end, text) in [("new", "stock"), ("stock.new", "stock.new"), ("old", "old")] {
                assert_eq!(debian.run(&format!("{SOURCE}.{end}"), &[]), format!("K{text}\n\0"));
            }
        };
        let (_, words) = debian.attempt("dpkg", &["--install", "/package.deb"]);
        assert!(words.contains(&format!("{SOURCE}.stock was there already; it is {SOURCE}.stock.old now.")), "{words}");
        assert_eq!(debian.run(SOURCE, &[]), OURS);
        others();
        debian.quietly("again", SOURCE, &[SOURCE], || debian.install());
        debian.quietly("purge", SOURCE, &[SOURCE], || drop(debian.run("dpkg", &["--purge", "qmail-remote-auth"])));
        others();
        assert_eq!(debian.run(SOURCE, &[]), "Kstock\n\0");
        assert_eq!(debian.run(&format!("{SOURCE}.stock"), &[]), "Kstock\n\0");
        let kept: Vec<String> = before.into_iter().filter(|name| !name.contains(".qmail-remote-auth")).collect();
        assert_eq!(debian.names(), kept);
    }
}

/// Where the package has files for a moment, the admin has directories: they stay, and stop no removal.
#[test]
fn directories_of_the_admins_beside_the_name() {
    let debian = Debian::new(RELEASES[0]);
    debian.put_stock(SOURCE, "stock");
    debian.put_control("/var/qmail/control");
    for end in ["qmail-remote-auth", "stock.qmail-remote-auth"] {
        let directory = format!("{SOURCE}.{end}");
        let before = debian.names();
        debian.install();
        fs::create_dir(debian.path(&directory)).unwrap();
        fs::write(debian.path(&directory).join("file"), "").unwrap();
        let remove = || drop(debian.run("dpkg", &["--remove", "qmail-remote-auth"]));
        debian.quietly(end, SOURCE, &[SOURCE], remove);
        assert_eq!(debian.run(SOURCE, &[]), "Kstock\n\0", "{end}");
        assert!(debian.path(&directory).join("file").exists(), "{end}");

        let install = || {
            let (installed, words) = debian.attempt("dpkg", &["--install", "/package.deb"]);
            let said =
                format!("{directory} is a directory, so {SOURCE} stays as it is. Remove that directory, and run ");
            assert!(installed && words.contains(&said), "{words}");
        };
        debian.quietly(end, SOURCE, &[SOURCE], install);
        assert_eq!(debian.run(SOURCE, &[]), "Kstock\n\0", "{end}");
        debian.run("dpkg", &["--purge", "qmail-remote-auth"]);
        fs::remove_dir_all(debian.path(&directory)).unwrap();
        assert_eq!(debian.names(), before, "{end}");
    }
}

/// A backup of /var/qmail brings ours back under the name, but no diversion.
#[test]
fn a_diversion_that_was_lost() {
    let debian = Debian::new(RELEASES[0]);
    debian.put_stock(SOURCE, "stock");
    debian.put_control("/var/qmail/control");
    let before = debian.names();
    debian.install();
    debian.run("dpkg-divert", &["--package", "qmail-remote-auth", "--no-rename", "--remove", SOURCE]);
    debian.quietly("again", SOURCE, &[SOURCE], || debian.install());
    debian.quietly("purge", SOURCE, &[SOURCE], || drop(debian.run("dpkg", &["--purge", "qmail-remote-auth"])));
    assert_eq!(debian.run(SOURCE, &[]), "Kstock\n\0");
    assert_eq!(debian.names(), before);
}

/// What is under the name can be run by qmail, whatever the admin has made of the packaged program and of stock.
#[test]
fn modes_that_keep_qmail_from_running_it() {
    let debian = Debian::new(RELEASES[0]);
    debian.put_stock(SOURCE, "stock");
    debian.put_control("/var/qmail/control");
    fs::write(debian.path("/var/qmail/bin/qmail-rspawn"), "").unwrap();
    debian.run("dpkg-statoverride", &["--add", "root", "root", "0700", PROGRAM]);
    debian.install();
    assert_eq!(debian.path(SOURCE).metadata().unwrap().permissions().mode() & 0o777, 0o755);
    fs::set_permissions(debian.path(&format!("{SOURCE}.stock")), fs::Permissions::from_mode(0o0)).unwrap();
    debian.quietly("purge", SOURCE, &[SOURCE], || drop(debian.run("dpkg", &["--purge", "qmail-remote-auth"])));
    assert_eq!(debian.run(SOURCE, &[]), OURS);
}

/// In Debian's layout qmail-rspawn may be elsewhere than the name, and a link to our stock must not be left to dangle.
#[test]
fn links_to_debians_name() {
    let debian = Debian::new(RELEASES[0]);
    debian.put_stock(DEBIAN, "stock");
    debian.put_control("/var/qmail/control");
    fs::create_dir_all(debian.path("/var/qmail/bin")).unwrap();
    fs::write(debian.path("/var/qmail/bin/qmail-rspawn"), "").unwrap();
    symlink(DEBIAN, debian.path(SOURCE)).unwrap();
    debian.install();
    fs::remove_file(debian.path(SOURCE)).unwrap();
    symlink(format!("{DEBIAN}.stock"), debian.path(SOURCE)).unwrap();
    debian.install();
    assert_eq!(debian.run(SOURCE, &[]), "Kstock\n\0");
    let (removed, words) = debian.attempt("dpkg", &["--remove", "qmail-remote-auth"]);
    assert!(!removed && words.contains(&refusal(SOURCE)), "{words}");

    fs::remove_file(debian.path(SOURCE)).unwrap();
    symlink(DEBIAN, debian.path(SOURCE)).unwrap();
    fs::remove_file(debian.path(&format!("{DEBIAN}.stock"))).unwrap();
    debian.quietly("purge", SOURCE, &[SOURCE, DEBIAN], || drop(debian.run("dpkg", &["--purge", "qmail-remote-auth"])));
    assert_eq!(debian.run(SOURCE, &[]), OURS);
}

/// Whoever deletes the stock program and then removes the package still has mail: qmail is there, so the name is.
#[test]
fn stays_when_stock_is_gone() {
    let debian = Debian::new(RELEASES[0]);
    debian.put_stock(SOURCE, "stock");
    debian.put_control("/var/qmail/control");
    fs::write(debian.path("/var/qmail/bin/qmail-rspawn"), "").unwrap();
    debian.install();
    fs::remove_file(debian.path(&format!("{SOURCE}.stock"))).unwrap();
    debian.quietly("purge", SOURCE, &[SOURCE], || drop(debian.run("dpkg", &["--purge", "qmail-remote-auth"])));
    assert_eq!(debian.run(SOURCE, &[]), OURS);
    assert_eq!(debian.diversions(), "");
}
