//! The package while a qmail runs: what that was started with counts, and nothing that a user of the machine can set.

use super::debian::{Debian, OURS, PROGRAM, RELEASES, SOURCE};
use super::others::refusal;
use crate::support::executable;
use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::process::{Command, Stdio};

/// `start COMMAND...`: in the background, until it is there: the last program of those that start each other.
const START: &str = r#"start() {
    "$@" &
    tries=0
    until case $(readlink /proc/$!/exe) in *bin/dash | *bin/env | *bin/setpriv | '') false ;; esac; do
        sleep 0.01
        tries=$((tries + 1))
        [ $tries -lt 1000 ]
    done
}
"#;

/// Runs a shell script in there, with [`START`] and a /proc. What it leaves running ends with it. What it says, and it must
/// succeed.
fn script(debian: &Debian, script: &str) -> String {
    let enter = "mount -t proc proc \"$1/proc\" && exec chroot \"$1\" sh -ec \"$2\" 2>&1";
    let mut unshare = Command::new("unshare");
    unshare.args(["--mount", "--pid", "--fork", "--kill-child=KILL", "sh", "-c", enter, "sh"]);
    unshare.arg(debian.root()).arg(format!("{START}{script}")).env_clear().env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin");
    let output = unshare.env("LC_ALL", "C.UTF-8").stdin(Stdio::null()).output().unwrap();
    let words = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success(), "{words}{}", String::from_utf8_lossy(&output.stderr));
    words
}

/// A Debian with qmail from source, whose programs do no more than wait: `qmail-rspawn 1000 &`. And a user of number 1000.
fn with_qmail(release: &str) -> Debian {
    let debian = Debian::new(release);
    debian.put_stock(SOURCE, "stock");
    debian.put_control("/var/qmail/control");
    for name in ["qmail-rspawn", "qmail-send", "qmail-queue"] {
        put_program(&debian, &format!("/var/qmail/bin/{name}"));
    }
    // As `make setup` leaves them: nobody can read this one, and this one is run by anybody as another.
    let set = |name, mode| fs::set_permissions(debian.path(name), fs::Permissions::from_mode(mode)).unwrap();
    set("/var/qmail/bin/qmail-rspawn", 0o711);
    set("/var/qmail/bin/qmail-queue", 0o4711);
    fs::create_dir_all(debian.path("/proc")).unwrap();
    let users = fs::read_to_string(debian.path("/etc/passwd")).unwrap();
    let users = format!("{users}qmailr:x:7796:7796::/:/bin/sh\nuser:x:1000:1000::/home/user:/bin/sh\n");
    fs::write(debian.path("/etc/passwd"), users).unwrap();
    fs::create_dir(debian.path("/home/user")).unwrap();
    debian
}

fn put_program(debian: &Debian, name: &str) {
    executable::copy(&debian.path("/usr/bin/sleep"), &debian.path(name));
}

/// To be run by the user.
const AS_USER: &str = "setpriv --reuid 1000 --regid 1000 --clear-groups";

/// A removal that is refused changes nothing, and afterwards all can go.
#[test]
fn a_qmail_that_runs_our_program_by_qmailremote() {
    for release in RELEASES {
        let debian = with_qmail(release);
        debian.install();
        symlink(PROGRAM, debian.path("/var/qmail/ours")).unwrap(); // by a link, too
        for (name, start) in [
            ("/var/qmail/ours", "env QMAILREMOTE=/var/qmail/ours /var/qmail/bin/qmail-rspawn 1000"),
            (PROGRAM, &format!("env QMAILREMOTE={PROGRAM} /var/qmail/bin/qmail-send 1000")),
            (
                "/var/qmail/ours",
                "env QMAILREMOTE=/var/qmail/ours setpriv --reuid 7796 /var/qmail/bin/qmail-rspawn 1000",
            ),
            // What follows it in another value is no second one, and what would come behind it does not count.
            (PROGRAM, &format!("env A='\nQMAILREMOTE=/x' QMAILREMOTE={PROGRAM} Q=x /var/qmail/bin/qmail-rspawn 1000")),
        ] {
            let words = script(
                &debian,
                &format!(
                    "start {start}; cp -p /var/qmail/bin/qmail-rspawn /new; mv /new /var/qmail/bin/qmail-rspawn\n\
                     while :; do /bin/true; done & \n\
                     if timeout 60 dpkg --remove qmail-remote-auth; then echo was removed; fi"
                ),
            );
            assert!(words.contains(&refusal(name)) && !words.contains("was removed"), "{start}: {words}");
            assert_eq!(debian.run(SOURCE, &[]), OURS, "{start}");
        }
        script(&debian, "start /var/qmail/bin/qmail-rspawn 1000; dpkg --purge qmail-remote-auth");
        assert_eq!(debian.run(SOURCE, &[]), "Kstock\n\0");
    }
}

/// Whatever users have in their environments, and whatever their programs are called: the removal is neither refused nor made to
/// wait. Nor by a name in qmail's own that can be no program.
#[test]
fn a_name_that_keeps_no_package() {
    for release in RELEASES {
        let debian = with_qmail(release);
        debian.install();
        put_program(&debian, "/home/user/qmail-rspawn");
        symlink("/dev/zero", debian.path("/var/qmail/device")).unwrap();
        symlink("/proc/kmsg", debian.path("/var/qmail/proc")).unwrap();
        let names = [
            "/home/user/fifo",
            "/home/user",
            "/home/user/missing",
            "/usr/libexec/qmail-remote-auth/*",
            "*",
            "-r",
            "libexec/qmail-remote-auth/qmail-remote",
            "/x /usr/libexec/qmail-remote-auth/qmail-remote",
            "/x\n/usr/libexec/qmail-remote-auth/qmail-remote",
            "/usr/libexec/qmail-remote-auth/qmail-remote\n",
            "/usr/libexec/qmail-remote-auth/qmail-remote\u{1b}[2J",
            "/var/qmail/device",
            "/var/qmail/proc",
            "",
        ];
        let mut start = String::from("cd /usr; mkfifo /home/user/fifo\n");
        for name in names {
            start += &format!("start env QMAILREMOTE='{name}' /var/qmail/bin/qmail-rspawn 1000\n");
        }
        for name in names.into_iter().chain([PROGRAM, "/home/user/link"]) {
            for program in
                ["sleep", "/home/user/qmail-rspawn", "/var/qmail/bin/qmail-rspawn", "/var/qmail/bin/qmail-queue"]
            {
                start += &format!("start env QMAILREMOTE='{name}' {AS_USER} {program} 1000\n");
            }
        }
        symlink(PROGRAM, debian.path("/home/user/link")).unwrap();
        let words = script(&debian, &format!("{start} timeout 60 dpkg --remove qmail-remote-auth"));
        assert!(!words.contains("would bounce all mail"), "{words}");
        assert_eq!(debian.run(SOURCE, &[]), "Kstock\n\0");
    }
}

/// The name itself is opened only where that ends.
#[test]
fn a_name_that_is_no_file() {
    let debian = with_qmail(RELEASES[0]);
    for (make, is_there) in
        [("mkfifo", "test -p"), ("ln -s /dev/zero", "test -c"), ("ln -s /home/user/fifo", "test -p")]
    {
        debian.install();
        let remove = format!(
            "rm -f {SOURCE} /home/user/fifo; mkfifo /home/user/fifo; {make} {SOURCE}\n\
             timeout 60 dpkg --remove qmail-remote-auth; {is_there} {SOURCE}; timeout 60 dpkg --install /package.deb\n\
             {is_there} {SOURCE}; timeout 60 dpkg --purge qmail-remote-auth; rm {SOURCE}; mv {SOURCE}.stock {SOURCE}"
        );
        script(&debian, &remove);
        assert_eq!(debian.run(SOURCE, &[]), "Kstock\n\0", "{make}");
    }
}

/// Under a limit that qmail was started with, each mail would wait for ever. So the place is not taken, and the words say why.
#[test]
fn a_limit_that_is_too_small() {
    for release in RELEASES {
        let debian = with_qmail(release);
        let install = |limits: &str| {
            let start = format!(
                "start /var/qmail/bin/qmail-rspawn 1000; start /var/qmail/bin/qmail-rspawn 1000\n\
                 prlimit --pid $! {limits}; echo process $!; timeout 60 dpkg --install /package.deb"
            );
            let words = script(&debian, &start);
            let process = words.split("process ").nth(1).unwrap().lines().next().unwrap().to_owned();
            (words, process)
        };
        for (limit, name, needed) in [
            ("as=2000000", "2000000 for address space", 3_300_000),
            ("as=3000000", "3000000 for address space", 3_300_000),
            ("data=200000:unlimited", "200000 for data size", 700_000), // the soft one counts
            ("data=400000", "400000 for data size", 700_000),
            ("stack=8192", "8192 for stack size", 65_536),
            ("nofile=4", "4 for open files", 8),
        ] {
            let (words, process) = install(&format!("--{limit}"));
            let said = format!(
                "qmail-rspawn (process {process}) has a limit of {name}, and a delivery needs {needed}, so {SOURCE} stays as it is."
            );
            assert!(words.contains(&said), "{limit}: {words}");
            assert_eq!(debian.run(SOURCE, &[]), "Kstock\n\0", "{limit}");
        }
        let (words, _) = install("--as=3300000 --data=700000 --stack=65536 --nofile=8 --fsize=0");
        assert!(!words.contains("has a limit"), "{words}");
        assert_eq!(debian.run(SOURCE, &[]), OURS);

        // Of a user's process, which may be one of qmail's programs, it is of no matter.
        debian.run("dpkg", &["--purge", "qmail-remote-auth"]);
        let words = script(
            &debian,
            &format!(
                "start {AS_USER} sh -c 'ulimit -n 4; exec /var/qmail/bin/qmail-rspawn 1000'\n\
                 dpkg --install /package.deb"
            ),
        );
        assert!(!words.contains("has a limit"), "{words}");
        assert_eq!(debian.run(SOURCE, &[]), OURS);
    }
}
