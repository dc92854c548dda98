//! The package: made by cargo-deb, installed by dpkg over a stand-in of stock qmail, run under its name, and removed.
//!
//! `cargo test --test package`, as root; plain `cargo test` leaves it out. Needs what support/chroot.rs needs, cargo-deb,
//! and the tools of dpkg-dev and binutils, on a Debian no newer than the one that is installed into.

mod support;

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown, symlink};
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::slice;
use std::sync::mpsc::{TryRecvError, channel};
use std::sync::{Barrier, Mutex, OnceLock, PoisonError};
use std::thread;
use std::time::Duration;
use support::chroot;

const PROGRAM: &str = "/usr/libexec/qmail-remote-auth/qmail-remote";
/// Where qmail built from source has the program, and the name that its qmail-rspawn runs.
const SOURCE: &str = "/var/qmail/bin/qmail-remote";
/// Where Debian's own qmail had it.
const DEBIAN: &str = "/usr/sbin/qmail-remote";
/// What ours says when it is run without arguments.
const OURS: &str = "DI (qmail-remote) was invoked improperly. (#5.3.5)\n\0";

#[test]
fn takes_the_place_of_source_qmail() {
    let debian = Debian::new();
    debian.put_stock(SOURCE, "stock");
    life(&debian, SOURCE, SOURCE);
}

#[test]
fn takes_the_place_of_debians_qmail() {
    let debian = Debian::new();
    debian.put_stock(DEBIAN, "stock");
    fs::create_dir_all(debian.path("/var/lib/qmail/bin")).unwrap();
    symlink(DEBIAN, debian.path("/var/lib/qmail/bin/qmail-remote")).unwrap();
    // README.Debian told admins to make this link. So the name of source qmail exists as well, and is not to be taken.
    symlink("lib/qmail", debian.path("/var/qmail")).unwrap();
    life(&debian, DEBIAN, SOURCE);
    assert_eq!(fs::read_link(debian.path("/var/lib/qmail/bin/qmail-remote")).unwrap(), Path::new(DEBIAN));
}

#[test]
fn waits_for_qmail_and_takes_its_newer_program() {
    let debian = Debian::new();
    let before = debian.names();
    debian.install();
    for name in [SOURCE, DEBIAN, "/var/qmail", "/var/lib/qmail"] {
        assert!(debian.path(name).symlink_metadata().is_err(), "{name} was made where there is no qmail");
    }
    assert_eq!(debian.run("dpkg-divert", &["--list", "*qmail*"]), "", "a later qmail would be diverted into nowhere");
    debian.run("dpkg", &["--purge", "qmail-remote-auth"]);
    assert_eq!(debian.names(), before);

    debian.install();
    debian.put_stock(SOURCE, "first");
    assert_eq!(debian.run(SOURCE, &[]), "Kfirst\n\0");
    debian.install();
    assert_eq!(debian.run(SOURCE, &[]), OURS);

    // `make setup` of a newer qmail writes into the file that has the name: ours, but not into the packaged one.
    debian.put_stock(SOURCE, "second");
    assert_eq!(debian.run(PROGRAM, &[]), OURS);
    assert_eq!(debian.run(SOURCE, &[]), "Ksecond\n\0");
    debian.install();
    assert_eq!(debian.run(SOURCE, &[]), OURS);
    debian.run("dpkg", &["--purge", "qmail-remote-auth"]);
    assert_eq!(debian.run(SOURCE, &[]), "Ksecond\n\0");
}

#[test]
fn leaves_a_name_that_someone_else_diverted() {
    let debian = Debian::new();
    debian.put_stock(SOURCE, "stock");
    debian.run("dpkg-divert", &["--local", "--no-rename", "--divert", "/var/qmail/bin/mine", "--add", SOURCE]);
    let before = debian.names();
    debian.install();
    assert_eq!(debian.run(SOURCE, &[]), "Kstock\n\0");
    debian.run("dpkg", &["--purge", "qmail-remote-auth"]);
    assert_eq!(debian.names(), before);
    assert_eq!(debian.run("dpkg-divert", &["--listpackage", SOURCE]), "LOCAL\n");
}

/// The same where /var/qmail leads to Debian's link to it.
#[test]
fn leaves_a_link_to_such_a_name() {
    let debian = Debian::new();
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

/// Whoever deletes the stock program and then removes the package still has mail: qmail is there, so the name is.
#[test]
fn stays_when_stock_is_gone() {
    let debian = Debian::new();
    debian.put_stock(SOURCE, "stock");
    fs::write(debian.path("/var/qmail/bin/qmail-rspawn"), "").unwrap();
    debian.install();
    fs::remove_file(debian.path(&format!("{SOURCE}.stock"))).unwrap();
    debian.run("dpkg", &["--purge", "qmail-remote-auth"]);
    assert_eq!(debian.run(SOURCE, &[]), OURS);
    assert_eq!(debian.run("dpkg-divert", &["--list", "*qmail*"]), "");
}

/// An installation that was killed before its last rename is finished by the next run, or given back: by postrm, since
/// dpkg runs no prerm for a package that was never configured.
#[test]
fn half_an_installation_is_finished_or_given_back() {
    let debian = Debian::new();
    debian.put_stock(SOURCE, "stock");
    let before = debian.names();
    for finish in [true, false] {
        debian.run("dpkg", &["--unpack", "/package.deb"]);
        assert_eq!(debian.run(SOURCE, &[]), "Kstock\n\0");
        let stock = format!("{SOURCE}.stock");
        let divert = ["--package", "qmail-remote-auth", "--no-rename", "--divert", &stock, "--add", SOURCE];
        debian.run("dpkg-divert", &divert);
        fs::hard_link(debian.path(SOURCE), debian.path(&stock)).unwrap();
        fs::write(debian.path(&format!("{SOURCE}.new")), "half of").unwrap();
        if finish {
            debian.run("dpkg", &["--configure", "qmail-remote-auth"]);
            assert_eq!(debian.run(SOURCE, &[]), OURS);
        }
        debian.run("dpkg", &["--purge", "qmail-remote-auth"]);
        assert_eq!(debian.names(), before);
        assert_eq!(debian.run("dpkg-divert", &["--list", "*qmail*"]), "");
    }
}

/// So that a count of no absences says something.
#[test]
fn the_watcher_sees_five_milliseconds() {
    let dir = tempfile::tempdir().unwrap();
    let (name, away) = (&dir.path().join("name"), &dir.path().join("away"));
    fs::write(name, "program").unwrap();
    fs::set_permissions(name, fs::Permissions::from_mode(0o711)).unwrap();
    let seen = watch(slice::from_ref(name), || thread::sleep(Duration::from_millis(5)));
    assert!(seen.looks > 100 && seen.absences == 0, "{seen:?}");
    let seen = watch(slice::from_ref(name), || {
        fs::rename(name, away).unwrap();
        thread::sleep(Duration::from_millis(5));
        fs::rename(away, name).unwrap();
    });
    assert!(seen.absences > 0, "{seen:?}");
}

/// A library that is missing, or too new for it, would bounce the whole queue.
#[test]
fn needs_libc_alone() {
    let field = output(Command::new("dpkg-deb").arg("--field").arg(deb()).arg("Depends"));
    assert!(field.starts_with("libc6 (") && !field.contains(','), "Depends: {field}");

    let dir = tempfile::tempdir().unwrap();
    output(Command::new("dpkg-deb").arg("--extract").arg(deb()).arg(dir.path()));
    let program = dir.path().join(&PROGRAM[1..]);
    assert_eq!(program.metadata().unwrap().mode() & 0o7777, 0o755);
    let libraries = output(Command::new("ldd").arg(program));
    assert!(libraries.contains("libc.so.6"), "{libraries}");
    for line in libraries.lines() {
        let allowed = ["linux-vdso.so.1", "libc.so.6", "libgcc_s.so.1", "/lib64/ld-linux", "/lib/ld-linux"];
        assert!(allowed.iter().any(|library| line.trim().starts_with(library)), "{line}");
    }
}

/// Their licences ask for it.
#[test]
fn copyright_names_every_crate_that_is_linked_in() {
    let copyright = include_str!("../debian/copyright");
    let mut cargo = Command::new(env!("CARGO"));
    cargo.current_dir(env!("CARGO_MANIFEST_DIR")).args([
        "tree",
        "--offline",
        "--edges",
        "normal,no-proc-macro",
        "--prefix",
        "none",
    ]);
    let tree = output(&mut cargo);
    assert!(tree.starts_with("qmail-remote-auth v"), "{tree}");
    for name in tree.lines().skip(1).filter_map(|line| line.split(' ').next()) {
        assert!(copyright.contains(&format!("crates/{name}/*\n")), "debian/copyright lacks {name}");
    }
}

/// Install, install again, remove, purge, with an eye on the names all the time: `taken` and, if it is another, `run`,
/// which is what qmail-rspawn runs.
fn life(debian: &Debian, taken: &str, run: &str) {
    let kept = format!("{taken}.stock");
    let names = [debian.path(taken), debian.path(run)];
    let names_and_stock = [names.as_slice(), &[debian.path(&kept)]].concat();
    let (before, stock) = (debian.names(), fs::read(&names[0]).unwrap());
    assert_eq!(debian.run(run, &[]), "Kstock\n\0");

    // The second time stock must stay aside as well: mail that meets it then goes out without a login.
    for (what, watched) in [("install", names.as_slice()), ("install again", &names_and_stock)] {
        let seen = watch(watched, || debian.install());
        assert!(seen.looks > 100 && seen.absences == 0, "{what}: {seen:?}");
        assert_eq!(debian.run(run, &[]), OURS, "{what}");
        assert_eq!(fs::read(debian.path(&kept)).unwrap(), stock, "{what}");
        let diversions = debian.run("dpkg-divert", &["--list", "*qmail*"]);
        assert_eq!(diversions, format!("diversion of {taken} to {kept} by qmail-remote-auth\n"), "{what}");
    }
    let seen = watch(&names, || drop(debian.run("dpkg", &["--remove", "qmail-remote-auth"])));
    assert!(seen.looks > 100 && seen.absences == 0, "remove: {seen:?}");
    assert_eq!(debian.run(run, &[]), "Kstock\n\0");

    debian.run("dpkg", &["--purge", "qmail-remote-auth"]);
    assert_eq!(debian.names(), before);
    assert_eq!(fs::read(&names[0]).unwrap(), stock);
    assert_eq!(debian.run("dpkg-divert", &["--list", "*qmail*"]), "");
}

/// A Debian of its own, with our package in it as /package.deb.
struct Debian {
    root: tempfile::TempDir,
}

impl Debian {
    fn new() -> Debian {
        let root = chroot::copy(&chroot::debian("bookworm", &[]));
        fs::copy(deb(), root.path().join("package.deb")).unwrap();
        Debian { root }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.root.path().join(name.strip_prefix('/').unwrap())
    }

    /// Writes a program that reports success and names itself, with the mode and owner that qmail's installer gives it.
    fn put_stock(&self, name: &str, text: &str) {
        let path = self.path(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        // By another process: while this one had it open to write, a child of another test could keep it busy.
        let stock = format!("#!/bin/sh\nprintf 'K{text}\\n\\0'\n");
        let mut shell = Command::new("sh");
        shell.args(["-c", "printf %s \"$1\" >\"$2\"", "sh", &stock]).arg(&path);
        assert!(shell.status().unwrap().success());
        chown(&path, Some(0), Some(2108)).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o711)).unwrap();
    }

    fn install(&self) {
        self.run("dpkg", &["--install", "/package.deb"]);
    }

    /// What a program in there writes to stdout. It must succeed.
    fn run(&self, program: &str, arguments: &[&str]) -> String {
        let mut command = chroot::command(self.root.path(), program);
        output(command.args(arguments).stdout(Stdio::piped()).stderr(Stdio::piped()))
    }

    /// Each file with qmail in its path: type, mode, owner, path, target. What the package leaves is seen here.
    fn names(&self) -> Vec<String> {
        let found = self.run("find", &["/", "-xdev", "-path", "*qmail*", "-printf", "%y %m %U:%G %p %l\n"]);
        let mut names: Vec<String> = found.lines().map(str::to_owned).collect();
        names.sort();
        names
    }
}

#[derive(Debug, Default)]
struct Seen {
    looks: u64,
    absences: u64,
}

/// Looks at the names without pause while something is done. A name counts as absent as soon as it could not be run.
fn watch(names: &[PathBuf], work: impl FnOnce()) -> Seen {
    static TURN: Mutex<()> = Mutex::new(()); // a watcher that shares its processor with another may blink
    let _turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
    let there = |name: &PathBuf| {
        // Not through a link: its target is a path in the chroot.
        name.symlink_metadata().is_ok_and(|m| m.is_symlink() || m.len() > 0 && m.mode() & 0o111 == 0o111)
    };
    let (working, done) = channel::<()>();
    let begin = &Barrier::new(2);
    thread::scope(|scope| {
        let working = working; // dropped when the work panics, too
        let watcher = scope.spawn(move || {
            let mut seen = Seen::default();
            begin.wait();
            while done.try_recv() == Err(TryRecvError::Empty) {
                seen.looks += 1;
                seen.absences += u64::from(!names.iter().all(there));
            }
            seen
        });
        begin.wait();
        work();
        drop(working);
        watcher.join().unwrap()
    })
}

/// The package, made once for all tests here, in a directory of its own.
fn deb() -> &'static Path {
    static DEB: OnceLock<PathBuf> = OnceLock::new();
    DEB.get_or_init(|| {
        let cargo_deb = |arguments: &[&str]| {
            let mut command = Command::new(env!("CARGO"));
            command.arg("deb").args(arguments).current_dir(env!("CARGO_MANIFEST_DIR"));
            command
        };
        let version = cargo_deb(&["--version"]).output().unwrap();
        assert!(version.status.success(), "cargo-deb is needed: cargo install cargo-deb --locked --version 3.6.4");

        let tmp = Path::new(env!("CARGO_TARGET_TMPDIR"));
        let dir = tmp.join("package");
        let _ = fs::remove_dir_all(&dir); // of an earlier run
        fs::create_dir_all(&dir).unwrap();
        // Offline, for all that the package is made of has been built for this very test.
        let mut build = cargo_deb(&["--offline", "--output"]);
        output(build.arg(&dir).env("CARGO_TARGET_DIR", tmp.parent().unwrap()));
        let made: Vec<PathBuf> = fs::read_dir(&dir).unwrap().map(|entry| entry.unwrap().path()).collect();
        let [deb] = made.as_slice() else { panic!("not one package: {made:?}") };
        deb.clone()
    })
}

/// The stdout of a command that must succeed.
fn output(command: &mut Command) -> String {
    let Output { status, stdout, stderr } = command.output().unwrap_or_else(|e| panic!("{command:?}: {e}"));
    let stdout = String::from_utf8_lossy(&stdout).into_owned();
    assert!(status.success(), "{command:?}: {status}\n{stdout}{}", String::from_utf8_lossy(&stderr));
    stdout
}
