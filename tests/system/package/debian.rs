//! A Debian of a test's own, with a stand-in of stock qmail, a relay to deliver to, and an eye on the names all the time.

use crate::support::chroot;
use crate::support::deb::{output, packages};
use crate::support::rspawn;
use crate::support::server::{Rules, Server};
use std::collections::BTreeMap;
use std::fs::{self, File};
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown};
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::mpsc::{TryRecvError, channel};
use std::sync::{Barrier, Mutex, PoisonError};
use std::thread;

/// The releases that the package is for.
pub const RELEASES: [&str; 2] = ["bookworm", "trixie"];
/// Where our program is shipped.
pub const PROGRAM: &str = "/usr/libexec/qmail-remote-auth/qmail-remote";
/// Where qmail built from source has the program, and the name that its qmail-rspawn runs.
pub const SOURCE: &str = "/var/qmail/bin/qmail-remote";
/// Where Debian's own qmail had it.
pub const DEBIAN: &str = "/usr/sbin/qmail-remote";
/// What ours says when it is run without arguments.
pub const OURS: &str = "DI (qmail-remote) was invoked improperly. (#5.3.5)\n\0";

/// A Debian with our package in it as /package.deb.
pub struct Debian {
    root: tempfile::TempDir,
    /// Where the deliveries go.
    relay: Server,
}

impl Debian {
    pub fn new(release: &str) -> Debian {
        let root = chroot::copy(&chroot::debian(release, &["ca-certificates"]));
        fs::copy(&packages().program, root.path().join("package.deb")).unwrap();
        Debian { root, relay: Server::start(Rules::default()) }
    }

    pub fn root(&self) -> &Path {
        self.root.path()
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.root.path().join(name.strip_prefix('/').unwrap())
    }

    /// Writes a stand-in for qmail-remote, which reports success and names itself, as `make setup` does: into the file that
    /// has the name. With the mode and owner that it gives it, and qmail-rspawn beside it.
    pub fn put_stock(&self, name: &str, text: &str) {
        let path = self.path(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        output(Command::new("cp").args(["--no-preserve=all", "-T"]).arg(stock(text)).arg(&path));
        chown(&path, Some(0), Some(2108)).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o711)).unwrap();
    }

    /// One line in control/smtproutes, which leads to a relay of this machine that demands a login.
    pub fn put_control(&self, control: &str) {
        let dir = self.path(control);
        fs::create_dir_all(&dir).unwrap();
        fs::write(dir.join("me"), "home.example\n").unwrap();
        fs::write(dir.join("smtproutes"), format!(":127.0.0.1:{} myuser secretpass\n", self.relay.port())).unwrap();
    }

    pub fn install(&self) {
        self.run("dpkg", &["--install", "/package.deb"]);
    }

    /// What a program in there writes to stdout. It must succeed.
    pub fn run(&self, program: &str, arguments: &[&str]) -> String {
        output(&mut self.command(program, arguments))
    }

    /// All that it writes, and whether it succeeded.
    pub fn attempt(&self, program: &str, arguments: &[&str]) -> (bool, String) {
        let Output { status, stdout, stderr } = self.command(program, arguments).output().unwrap();
        (status.success(), [stderr, stdout].map(|text| String::from_utf8_lossy(&text).into_owned()).concat())
    }

    fn command(&self, program: &str, arguments: &[&str]) -> Command {
        let mut command = chroot::command(self.root.path(), program);
        command.args(arguments).stdout(Stdio::piped()).stderr(Stdio::piped());
        command
    }

    /// Each file with qmail in its path: type, mode, owner, path, target. What the package leaves is seen here.
    pub fn names(&self) -> Vec<String> {
        let found = self.run("find", &["/", "-xdev", "-path", "*qmail*", "-printf", "%y %m %U:%G %p %l\n"]);
        let mut names: Vec<String> = found.lines().map(str::to_owned).collect();
        names.sort();
        names
    }

    pub fn diversions(&self) -> String {
        self.run("dpkg-divert", &["--list", "*qmail*"])
    }

    /// Does something while mail is delivered all the time by the program `run`, and the names are looked at: none may be
    /// missing for a moment, and no mail may bounce or be deferred.
    pub fn quietly(&self, what: &str, run: &str, names: &[&str], work: impl FnOnce()) {
        let names: Vec<PathBuf> = names.iter().map(|name| self.path(name)).collect();
        let root = self.root();
        let seen = watch(&names, || rspawn::deliver(root, run), work);
        assert!(seen.looks > 100 && seen.absences == 0, "{what}: {seen:?}");
        assert!(seen.delivered > 0 && seen.others.is_empty(), "{what}: {seen:?}");
    }
}

/// A program that reports success with this text, or does what the text says: `exit 1`.
pub fn stock(text: &str) -> PathBuf {
    static MADE: Mutex<BTreeMap<String, PathBuf>> = Mutex::new(BTreeMap::new());
    let mut made = MADE.lock().unwrap_or_else(PoisonError::into_inner);
    let make = || {
        let dir = Path::new(env!("CARGO_TARGET_TMPDIR")).join("stock");
        fs::create_dir_all(&dir).unwrap();
        let path = dir.join(text);
        let source = "#include <stdlib.h>\n#include <unistd.h>\n\
                      int main(void) { return write(1, \"K\" TEXT \"\\n\", sizeof TEXT + 2) < 0 ? 111 : STATUS; }";
        let (says, status) = text.split_once(" exit ").unwrap_or((text, "0"));
        let mut compiler = Command::new("sh");
        compiler.args(["-c", "printf '%s' \"$1\" | cc -xc -DSTATUS=\"$2\" -DTEXT=\"\\\"$3\\\"\" -o \"$4\" -", "sh"]);
        output(compiler.args([source, status, says]).arg(&path));
        path
    };
    made.entry(text.to_owned()).or_insert_with(make).clone()
}

#[derive(Debug, Default)]
pub struct Seen {
    pub looks: u64,
    pub absences: u64,
    /// Deliveries that ended well.
    pub delivered: u64,
    /// The reports of the others, with their letter.
    pub others: Vec<(char, String)>,
}

/// Opens the names without pause, and delivers mail after mail, while something is done. A name counts as absent as soon as it
/// could not be run.
pub fn watch(names: &[PathBuf], deliver: impl Fn() -> (char, String) + Sync, work: impl FnOnce()) -> Seen {
    static TURN: Mutex<()> = Mutex::new(()); // a watcher that shares its processor with another may blink
    let _turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
    let there = |name: &PathBuf| match name.symlink_metadata() {
        Ok(link) if link.is_symlink() => true, // its target is a path in the chroot
        Ok(_) => {
            File::open(name).and_then(|file| file.metadata()).is_ok_and(|m| m.len() > 0 && m.mode() & 0o111 == 0o111)
        }
        Err(_) => false,
    };
    let (working, done) = channel::<()>();
    let (delivering, enough) = channel::<()>();
    let begin = &Barrier::new(3);
    let deliver = &deliver;
    thread::scope(|scope| {
        let (working, delivering) = (working, delivering); // dropped when the work panics, too
        let watcher = scope.spawn(move || {
            let (mut looks, mut absences) = (0, 0);
            begin.wait();
            while done.try_recv() == Err(TryRecvError::Empty) {
                looks += 1;
                absences += u64::from(!names.iter().all(there));
            }
            (looks, absences)
        });
        let rspawn = scope.spawn(move || {
            let (mut delivered, mut others) = (0, Vec::new());
            begin.wait();
            loop {
                match deliver() {
                    ('K', _) => delivered += 1,
                    other => others.push(other),
                }
                if enough.try_recv() != Err(TryRecvError::Empty) {
                    return (delivered, others);
                }
            }
        });
        begin.wait();
        work();
        drop((working, delivering));
        let ((looks, absences), (delivered, others)) = (watcher.join().unwrap(), rspawn.join().unwrap());
        Seen { looks, absences, delivered, others }
    })
}
