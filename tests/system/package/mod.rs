//! The package in bookworm and trixie: installed, upgraded, broken on the way and removed, over stand-ins of stock qmail,
//! while mail is delivered and the names are looked at all the time.
//!
//! Needs root, what support/chroot.rs and script/deb need, and a Debian no newer than those it installs into.

mod accounts;
mod debian;
mod failures;
mod others;
mod running;
mod words;

use crate::support::deb::{package, version};
use crate::support::rspawn;
use debian::{DEBIAN, Debian, OURS, PROGRAM, RELEASES, SOURCE, stock, watch};
use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::ExitStatus;
use std::slice;
use std::thread;
use std::time::Duration;

/// The next version of the package in there, as /next.deb: its program differs, and says the same.
fn put_next(debian: &Debian) {
    version("0.1.0-2", &debian.path("/next.deb"), |tree| {
        let program = tree.join(&PROGRAM[1..]);
        let mut content = fs::read(&program).unwrap();
        content.extend(b"the next version");
        fs::write(&program, content).unwrap();
    });
}

/// Install, install again, upgrade, remove, purge.
fn life(debian: &Debian, taken: &str, run: &str, after_purge: &[String]) {
    let kept = format!("{taken}.stock");
    let (names, names_and_stock) = ([taken, run], [taken, run, &kept]);
    let stock = fs::read(debian.path(taken)).unwrap();
    let next = "/next.deb";
    put_next(debian);
    assert_eq!(debian.run(run, &[]), "Kstock\n\0");

    // Once it is there stock must stay aside as well: mail that meets it then goes out without a login.
    let steps: [(&str, &[&str], &[&str]); 3] = [
        ("install", &names, &["--install", "/package.deb"]),
        ("install again", &names_and_stock, &["--install", "/package.deb"]),
        ("upgrade", &names_and_stock, &["--install", next]),
    ];
    for (what, watched, dpkg) in steps {
        debian.quietly(what, run, watched, || drop(debian.run("dpkg", dpkg)));
        assert_eq!(debian.run(run, &[]), OURS, "{what}");
        assert_eq!(fs::read(debian.path(taken)).unwrap(), fs::read(debian.path(PROGRAM)).unwrap(), "{what}");
        assert_eq!(fs::read(debian.path(&kept)).unwrap(), stock, "{what}");
        let diversion = format!("diversion of {taken} to {kept} by qmail-remote-auth\n");
        assert_eq!(debian.diversions(), diversion, "{what}");
    }
    debian.quietly("remove", run, &names, || drop(debian.run("dpkg", &["--remove", "qmail-remote-auth"])));
    assert_eq!(debian.run(run, &[]), "Kstock\n\0");
    assert_eq!(debian.diversions(), "");
    debian.quietly("purge", run, &names, || drop(debian.run("dpkg", &["--purge", "qmail-remote-auth"])));
    debian.quietly("install for a purge", run, &names, || debian.install());
    debian.quietly("purge at once", run, &names, || drop(debian.run("dpkg", &["--purge", "qmail-remote-auth"])));

    fs::remove_file(debian.path(next)).unwrap();
    assert_eq!(debian.names(), after_purge);
    assert_eq!(fs::read(debian.path(taken)).unwrap(), stock);
    assert_eq!(debian.diversions(), "");
}

#[test]
fn takes_the_place_of_source_qmail() {
    for release in RELEASES {
        let debian = Debian::new(release);
        debian.put_stock(SOURCE, "stock");
        debian.put_control("/var/qmail/control");
        life(&debian, SOURCE, SOURCE, &debian.names());
    }
}

#[test]
fn takes_the_place_of_debians_qmail() {
    for release in RELEASES {
        let debian = Debian::new(release);
        debian.put_stock(DEBIAN, "stock");
        debian.put_control("/etc/qmail");
        fs::create_dir_all(debian.path("/var/lib/qmail/bin")).unwrap();
        symlink(DEBIAN, debian.path("/var/lib/qmail/bin/qmail-remote")).unwrap();
        symlink("/etc/qmail", debian.path("/var/lib/qmail/control")).unwrap();
        // README.Debian told admins to make this link. So the name of source qmail exists as well, and is not to be taken.
        symlink("lib/qmail", debian.path("/var/qmail")).unwrap();
        life(&debian, DEBIAN, SOURCE, &debian.names());
        assert_eq!(fs::read_link(debian.path("/var/lib/qmail/bin/qmail-remote")).unwrap(), Path::new(DEBIAN));
    }
}

/// `make setup` of a newer qmail writes into the file that has the name: ours, but not into the packaged one.
#[test]
fn takes_the_program_of_a_qmail_built_again() {
    for release in RELEASES {
        let debian = Debian::new(release);
        debian.put_stock(SOURCE, "first");
        debian.put_control("/var/qmail/control");
        debian.install();
        for (text, how, arguments) in [
            ("second", "dpkg", ["--install", "/package.deb"].as_slice()),
            ("third", "dpkg-reconfigure", &["qmail-remote-auth"]),
        ] {
            debian.put_stock(SOURCE, text);
            assert_eq!(debian.run(PROGRAM, &[]), OURS);
            assert_eq!(debian.run(SOURCE, &[]), format!("K{text}\n\0"));
            debian.quietly(how, SOURCE, &[SOURCE], || drop(debian.run(how, arguments)));
            assert_eq!(debian.run(SOURCE, &[]), OURS, "{how}");
        }
        debian.quietly("purge", SOURCE, &[SOURCE], || drop(debian.run("dpkg", &["--purge", "qmail-remote-auth"])));
        assert_eq!(debian.run(SOURCE, &[]), "Kthird\n\0");

        // Given back although it is ours no more. What was stock before that is kept, by us and by whoever comes next.
        debian.install();
        debian.put_stock(SOURCE, "fourth");
        debian.run("dpkg", &["--purge", "qmail-remote-auth"]);
        assert_eq!(debian.run(SOURCE, &[]), "Kfourth\n\0");
        assert_eq!(debian.run(&format!("{SOURCE}.stock"), &[]), "Kthird\n\0");
        debian.install();
        assert_eq!(debian.run(&format!("{SOURCE}.stock"), &[]), "Kfourth\n\0");
        assert_eq!(debian.run(&format!("{SOURCE}.stock.old"), &[]), "Kthird\n\0");
    }
}

/// So that a count of no absences says something.
#[test]
fn the_watcher_sees_five_milliseconds() {
    let dir = tempfile::tempdir().unwrap();
    let (name, away) = (&dir.path().join("name"), &dir.path().join("away"));
    fs::write(name, "program").unwrap();
    fs::set_permissions(name, fs::Permissions::from_mode(0o711)).unwrap();
    let deliver = || ('K', String::new());
    let seen = watch(slice::from_ref(name), deliver, || thread::sleep(Duration::from_millis(5)));
    assert!(seen.looks > 100 && seen.absences == 0, "{seen:?}");
    // Twenty times: on a machine that does other things as well, one can pass between two looks.
    let seen = watch(slice::from_ref(name), deliver, || {
        for _ in 0..20 {
            fs::rename(name, away).unwrap();
            thread::sleep(Duration::from_millis(5));
            fs::rename(away, name).unwrap();
        }
    });
    assert!(seen.absences > 0, "{seen:?}");
}

/// Nor is it the watcher's fault: what Debian's Policy shows for such a package leaves gaps.
#[test]
fn the_textbook_diversion_leaves_gaps() {
    let debian = Debian::new(RELEASES[0]);
    debian.put_stock(SOURCE, "stock");
    let divert =
        |what: &str| format!("dpkg-divert --package textbook --{what} --rename --divert {SOURCE}.textbook {SOURCE}");
    let scripts = [
        ("preinst", &*format!("case $1 in install | upgrade) {} ;; esac", divert("add"))),
        ("postrm", &*format!("case $1 in remove | abort-install) {} ;; esac", divert("remove"))),
    ];
    package("textbook", "1", &debian.path("/textbook.deb"), &[(SOURCE, &stock("textbook"))], &scripts);
    let (names, root) = ([debian.path(SOURCE)], debian.root());
    for dpkg in [["--install", "/textbook.deb"], ["--purge", "textbook"]] {
        let seen = watch(&names, || rspawn::deliver(root, SOURCE), || drop(debian.run("dpkg", &dpkg)));
        assert!(seen.absences > 0, "{dpkg:?}: {seen:?}");
    }
}

/// So that a count of no bounces says something.
#[test]
fn what_bounces() {
    let debian = Debian::new(RELEASES[0]);
    for (text, expected) in [("stock", 'K'), ("stock exit 1", 'D'), ("stock exit 100", 'D'), ("stock exit 111", 'Z')] {
        debian.put_stock(SOURCE, text);
        assert_eq!(rspawn::deliver(debian.root(), SOURCE).0, expected, "{text}");
    }
    fs::set_permissions(debian.path(SOURCE), fs::Permissions::from_mode(0o644)).unwrap();
    assert_eq!(rspawn::deliver(debian.root(), SOURCE).0, 'D', "not executable");
    fs::remove_file(debian.path(SOURCE)).unwrap();
    assert_eq!(rspawn::deliver(debian.root(), SOURCE).0, 'D', "missing");
    symlink("/nowhere", debian.path(SOURCE)).unwrap();
    assert_eq!(rspawn::deliver(debian.root(), SOURCE).0, 'D', "a link that leads nowhere");

    let ended = ExitStatus::from_raw(0);
    for (report, expected) in [
        (b"r\0Kok\n\0".as_slice(), 'K'),
        (b"Kok\n\0Dno\n\0", 'K'),
        (b"hno\0Kok\n\0", 'D'),
        (b"slater\0Kok\n\0", 'Z'),
        (b"r\0Zlater\n\0", 'Z'),
        (b"r\0", 'D'),
        (b"r\0Kok\n", 'D'),
        (b"Kok\n", 'D'),
        (b"", 'Z'),
        (b"Khread panicked\nr\0Zlater\n\0", 'K'),
    ] {
        assert_eq!(rspawn::verdict(ended, report), expected, "{:?}", String::from_utf8_lossy(report));
    }
    assert_eq!(rspawn::verdict(ExitStatus::from_raw(6), b"Kok\n\0"), 'Z', "killed by a signal");
}
