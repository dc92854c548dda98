//! Installations that fail halfway, at each place where dpkg can fail: the name runs a program all the while, and the next
//! try or a removal finds all in order.

use super::debian::{Debian, OURS, RELEASES, SOURCE};
use crate::support::deb::{version, write_script};
use std::fs;
use std::path::Path;

/// Where it fails, and what makes the unpacked package fail there.
type Fault = (&'static str, fn(&Path));

const FAULTS: [Fault; 5] = [
    ("preinst", |tree| write_script(&tree.join("DEBIAN/preinst"), "exit 1")),
    ("unpack", |tree| fs::write(tree.join("usr/libexec/qmail-remote-auth/x"), "").unwrap()), // another package's file, below
    ("postinst before its work", |tree| before(&tree.join("DEBIAN/postinst"), "exit 1")),
    ("postinst before the last rename", |tree| {
        let script = tree.join("DEBIAN/postinst");
        let text = fs::read_to_string(&script).unwrap();
        let (begin, end) = text.split_once("    sync \"$1.qmail-remote-auth\"").unwrap();
        fs::write(script, format!("{begin}    exit 1\n{end}")).unwrap();
    }),
    ("postinst after its work", |tree| after(&tree.join("DEBIAN/postinst"), "exit 1")),
];

fn before(script: &Path, line: &str) {
    let text = fs::read_to_string(script).unwrap().replacen("set -e\n", &format!("set -e\n{line}\n"), 1);
    fs::write(script, text).unwrap();
}

fn after(script: &Path, line: &str) {
    let text = fs::read_to_string(script).unwrap() + line + "\n";
    fs::write(script, text).unwrap();
}

/// Stock qmail, with a package that owns the file of the fault in unpacking.
fn with_stock(release: &str) -> Debian {
    let debian = Debian::new(release);
    debian.put_stock(SOURCE, "stock");
    debian.put_control("/var/qmail/control");
    let file = debian.path("/package.deb");
    let files = [("/usr/libexec/qmail-remote-auth/x", file.as_path())];
    crate::support::deb::package("owner", "1", &debian.path("/owner.deb"), &files, &[]);
    debian.run("dpkg", &["--install", "/owner.deb"]);
    debian
}

fn purge(debian: &Debian, what: &str, before: &[String]) {
    debian.quietly(what, SOURCE, &[SOURCE], || drop(debian.run("dpkg", &["--purge", "qmail-remote-auth"])));
    assert_eq!(debian.names(), before, "{what}");
    assert_eq!(debian.run(SOURCE, &[]), "Kstock\n\0", "{what}");
    assert_eq!(debian.diversions(), "", "{what}");
}

#[test]
fn an_install_that_fails() {
    for release in RELEASES {
        let debian = with_stock(release);
        let clean = debian.names();
        for (fault, make) in FAULTS {
            version("0.1.0-2", &debian.path("/faulty.deb"), make);
            for then_install in [true, false] {
                let what = &format!("{release}: {fault}");
                let is_done = fault == "postinst after its work";
                let install = || {
                    let (installed, words) = debian.attempt("dpkg", &["--install", "/faulty.deb"]);
                    assert!(!installed, "{what} did not fail");
                    assert_eq!(words.contains("is this package's program now"), is_done, "{what}: {words}");
                };
                debian.quietly(what, SOURCE, &[SOURCE], install);
                let expected = if is_done { OURS } else { "Kstock\n\0" };
                assert_eq!(debian.run(SOURCE, &[]), expected, "{what}");
                if then_install {
                    debian.quietly(what, SOURCE, &[SOURCE], || debian.install());
                    assert_eq!(debian.run(SOURCE, &[]), OURS, "{what}");
                }
                purge(&debian, what, &clean);
            }
        }
    }
}

#[test]
fn an_upgrade_that_fails() {
    for release in RELEASES {
        let debian = with_stock(release);
        let clean = debian.names();
        let stock = &format!("{SOURCE}.stock");
        let prerm: (&str, fn(&Path)) = ("prerm", |tree| before(&tree.join("DEBIAN/prerm"), "exit 1"));
        for (fault, make) in FAULTS.into_iter().chain([prerm]) {
            let what = &format!("{release}: {fault}");
            version("0.1.0-2", &debian.path("/faulty.deb"), make);
            version("0.1.0-1", &debian.path("/old.deb"), |tree| {
                if fault == "prerm" {
                    make(tree); // dpkg tries the old one's first, and then the new one's
                }
            });
            debian.run("dpkg", &["--install", "/old.deb"]);
            let upgrade = || assert!(!debian.attempt("dpkg", &["--install", "/faulty.deb"]).0, "{what} did not fail");
            debian.quietly(what, SOURCE, &[SOURCE, stock], upgrade);
            let state = debian
                .run("dpkg-query", &["--show", "--showformat=${db:Status-Abbrev}${Version}", "qmail-remote-auth"]);
            let back_at_the_old = !fault.starts_with("postinst");
            assert_eq!(state, if back_at_the_old { "ii 0.1.0-1" } else { "iF 0.1.0-2" }, "{what}");
            assert_eq!(debian.run(SOURCE, &[]), OURS, "{what}");
            assert_eq!(debian.run(stock, &[]), "Kstock\n\0", "{what}");

            debian.quietly(what, SOURCE, &[SOURCE, stock], || debian.install());
            assert_eq!(debian.run(SOURCE, &[]), OURS, "{what}");
            purge(&debian, what, &clean);
        }
    }
}

/// dpkg then calls postinst, which has to take the name again.
#[test]
fn a_removal_that_fails() {
    for release in RELEASES {
        let debian = with_stock(release);
        let clean = debian.names();
        for (what, make) in [
            ("before its work", (|tree| before(&tree.join("DEBIAN/prerm"), "exit 1")) as fn(&Path)),
            ("after its work", |tree| after(&tree.join("DEBIAN/prerm"), "[ \"$1\" != remove ]")),
        ] {
            version("0.1.0-2", &debian.path("/faulty.deb"), make);
            debian.run("dpkg", &["--install", "/faulty.deb"]);
            let remove =
                || assert!(!debian.attempt("dpkg", &["--remove", "qmail-remote-auth"]).0, "prerm did not fail");
            debian.quietly(what, SOURCE, &[SOURCE], remove);
            assert_eq!(debian.run(SOURCE, &[]), OURS, "{what}");
            assert!(debian.diversions().contains(SOURCE), "{what}");
            debian.install(); // of a version whose prerm works
            purge(&debian, what, &clean);
        }
    }
}

/// Unpacked and never configured, so dpkg runs no prerm.
#[test]
fn a_removal_of_what_was_never_configured() {
    for release in RELEASES {
        let debian = with_stock(release);
        let clean = debian.names();
        debian.run("dpkg", &["--unpack", "/package.deb"]);
        purge(&debian, release, &clean);
    }
}

/// An installation that was killed before its last rename is finished by the next run, or given back.
#[test]
fn half_an_installation_is_finished_or_given_back() {
    let debian = with_stock(RELEASES[0]);
    let clean = debian.names();
    for finish in [true, false] {
        debian.run("dpkg", &["--unpack", "/package.deb"]);
        assert_eq!(debian.run(SOURCE, &[]), "Kstock\n\0");
        let stock = format!("{SOURCE}.stock");
        let divert = ["--package", "qmail-remote-auth", "--no-rename", "--divert", &stock, "--add", SOURCE];
        debian.run("dpkg-divert", &divert);
        fs::hard_link(debian.path(SOURCE), debian.path(&stock)).unwrap();
        fs::write(debian.path(&format!("{SOURCE}.qmail-remote-auth")), "half of").unwrap();
        if finish {
            debian.run("dpkg", &["--configure", "qmail-remote-auth"]);
            assert_eq!(debian.run(SOURCE, &[]), OURS);
        }
        purge(&debian, if finish { "finished" } else { "given back" }, &clean);
    }
}
