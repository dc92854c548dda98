//! Debian in a directory, for tests that need real servers or a real dpkg: made once, copied for each use.
//!
//! Needs root, mmdebstrap, and what every Debian has: flock(1), setpriv(1), unshare(1), chroot(8). The packages come
//! from mmdebstrap's own default mirror.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

/// Run under flock, so that of all threads and processes that ask at once one builds and the rest wait. The lock is
/// the kernel's: it goes with its holder, and after a run that was killed it lasts just as long as a mmdebstrap that
/// still works on. What such a run left half built is thrown away; only a whole one gets the final name.
const BUILD: &str = r#"
    final=$1 half=$1.half release=$2 packages=$3
    [ ! -d "$final" ] || exit 0
    rm -rf --one-file-system "$half"
    mmdebstrap --variant=apt ${packages:+"--include=$packages"} "$release" "$half" >"$final.log" 2>&1 ||
        { cat "$final.log"; exit 1; }
    mv -T "$half" "$final"
"#;

/// A Debian of this release (`bookworm`, `trixie`) with its essential packages, apt, and these packages. It is made on
/// the first call (half a minute) and kept under `target/chroots` for all later ones, so it must not be altered, nor
/// anything be run in it: take a [`copy`]. Another list of packages is another directory; `cargo clean` drops them all.
pub fn debian(release: &str, packages: &[&str]) -> PathBuf {
    assert_root();
    let mut name = vec![release];
    name.extend(packages);
    let pristine = chroots().join(name.join("_")); // no name of a package has an underscore
    let output = Command::new("flock")
        .arg(chroots().join("lock"))
        .args(["sh", "-c", BUILD, "build"])
        .arg(&pristine)
        .args([release, &packages.join(",")])
        .stdin(Stdio::null())
        .output()
        .expect("flock(1) is needed");
    assert!(output.status.success(), "mmdebstrap failed: {}", String::from_utf8_lossy(&output.stdout));
    pristine
}

/// A copy of such a directory, but for `usr`, whose files are the same ones by another name: they are nearly all of it, and
/// dpkg replaces files and never writes into them.
const COPY: &str = r#"
    cd "$1"
    cp -al usr "$2"
    find . -mindepth 1 -maxdepth 1 ! -name usr -exec cp -a -t "$2" {} +
    chmod --reference=. "$2"
"#;

/// A private copy of such a directory, to start servers in and install things in, by dpkg where that is in `usr`. Whoever starts
/// daemons there calls [`stop_all`] before the copy is dropped.
pub fn copy(pristine: &Path) -> tempfile::TempDir {
    assert_root();
    sweep();
    // Not in /tmp, which may be a file system without devices or with little room.
    let prefix = format!("copy-{}-", std::process::id());
    let copy = tempfile::Builder::new().prefix(&prefix).tempdir_in(chroots()).unwrap();
    let status = Command::new("sh").args(["-ec", COPY, "copy"]).arg(pristine).arg(copy.path()).status();
    assert!(status.unwrap().success(), "cannot copy {}", pristine.display());
    copy
}

/// A command that runs in the copy, with nothing of our environment, and nothing on its three descriptors: a daemon
/// that kept ours open would hang whoever reads them.
pub fn command(root: &Path, program: &str) -> Command {
    let mut command = Command::new("chroot");
    command.arg(root).arg(program);
    bare(&mut command);
    command
}

/// A shell script that runs in the copy and starts daemons there. They end with the thread that starts it, even if a
/// signal ends that: they are in a PID namespace whose first process is the shell, so it must stay, by a `wait`, and
/// not `exec` a daemon. (A daemon that changes its user loses the wish to be killed with its parent; a shell keeps it.)
pub fn daemons(root: &Path, script: &str) -> Command {
    let mut command = Command::new("setpriv");
    command.args(["--pdeathsig", "KILL", "unshare", "--pid", "--fork", "--kill-child=KILL", "chroot"]);
    command.arg(root).args(["sh", "-c", script]);
    bare(&mut command);
    command
}

fn bare(command: &mut Command) {
    command.env_clear().env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin").env("LC_ALL", "C.UTF-8");
    command.env("DEBIAN_FRONTEND", "noninteractive");
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
}

/// Kills every process that has this directory for its root, or one below it, and comes back when there is none.
pub fn stop_all(root: &Path) {
    let end = Instant::now() + Duration::from_secs(20);
    loop {
        let found = processes(root);
        if found.is_empty() {
            return;
        }
        for process in found {
            let _ = Command::new("kill").arg("-KILL").arg(process.file_name().unwrap()).stderr(Stdio::null()).status();
        }
        assert!(Instant::now() < end, "processes in a chroot outlive SIGKILL");
        sleep(Duration::from_millis(20));
    }
}

/// The directories in /proc of all processes whose root is this directory or below it, where some daemons go: they fork and leave
/// their process group, but they do not come out of there.
pub fn processes(root: &Path) -> Vec<PathBuf> {
    let root = root.canonicalize().unwrap();
    // A zombie has no root any more, so it is not found here, and its parent is free to reap it later.
    let is_there = |process: &PathBuf| fs::read_link(process.join("root")).is_ok_and(|of| of.starts_with(&root));
    fs::read_dir("/proc").unwrap().flatten().map(|entry| entry.path()).filter(is_there).collect()
}

/// Removes the copies of test runs that were killed, and ends what still runs in them.
fn sweep() {
    for entry in fs::read_dir(chroots()).unwrap().flatten() {
        let name = entry.file_name();
        let maker = name.to_str().and_then(|name| name.strip_prefix("copy-")?.split('-').next());
        if maker.is_some_and(|pid| !Path::new("/proc").join(pid).exists()) && entry.path().is_dir() {
            stop_all(&entry.path());
            let _ = fs::remove_dir_all(entry.path());
        }
    }
}

fn chroots() -> PathBuf {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("target/chroots");
    fs::create_dir_all(&dir).unwrap();
    dir
}

fn assert_root() {
    let uid = fs::metadata("/proc/self").unwrap().uid(); // its owner is the effective user
    assert!(uid == 0, "these tests start servers in a chroot, and only root can do that: run them as root");
}
