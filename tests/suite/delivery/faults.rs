//! What the system denies: memory, descriptors, calls, disk; signals and clocks that are not as usual. What can be ridden out
//! changes nothing. Whatever else happens, qmail-rspawn reads a K only where the server has taken the message, and never reads
//! a D. docs/dev/testing.md tells how many runs that is.

use crate::support::executable;
use crate::support::faults::{Bench, Kind, MESSAGE, RECIPIENTS, Run, SENDER, wrong};
use crate::support::names::Names;
use crate::support::namespace::{WITH_A_NAME_SERVER, inside_with};
use crate::support::server::{Action, Event, Rules, Server};
use crate::support::{Delivered, Home, program, run};
use std::fs::{self, File};
use std::io::{ErrorKind, Read, Write};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::os::unix::process::ExitStatusExt;
use std::process::{Command, Stdio};
use std::sync::mpsc::channel;
use std::thread;
use std::time::Duration;

/// What is tallied of the runs with a fault.
#[derive(Default)]
struct Tally {
    /// K, Z, died by a signal.
    fates: [u64; 3],
    /// The run ended before the fault could happen: how often the process waits is not always the same.
    missed: u64,
}

impl Tally {
    fn add(&mut self, case: &str, run: &Run) {
        assert_eq!(wrong(run), None, "{case}: {:?}, {:?}", run.delivered, run.log.messages);
        self.fates[run.fate()] += 1;
        self.missed += u64::from(run.hit == 0);
    }

    /// Says what there was. Most of the faults have happened, and some had to show.
    fn close(&self, case: &str) {
        let [delivered, put_off, died] = self.fates;
        println!("{case}: {delivered} K, {put_off} Z, {died} by a signal; {} without the fault", self.missed);
        assert!(put_off + died > 0, "{case}: nothing failed");
        assert!(self.missed * 10 <= delivered + put_off + died, "{case}: too few faults");
    }
}

/// Denies the first, then the second and so on, until there are no more; alone, and with all that follow.
fn deny_each(what: &str, kind: Kind) {
    let bench = Bench::new(kind);
    let good = bench.run_by(bench.command(), MESSAGE);
    let unhurt = bench.run(what, 0);
    assert_eq!(unhurt.delivered.letters(), "rrK", "{:?}", unhurt.delivered);
    assert_eq!(unhurt.delivered.stdout, good.delivered.stdout, "the shim alone changes the report");
    assert!(unhurt.counted > 50, "{what} {kind:?}: {} are none", unhurt.counted);
    let bench = bench.impatient();
    for word in [what.to_owned(), format!("{what}-from")] {
        let mut tally = Tally::default();
        (1..=unhurt.counted).for_each(|number| {
            tally.add(&format!("{word} {number} {kind:?}"), &bench.run(&word, number));
        });
        tally.close(&format!("{word} 1 to {} {kind:?}", unhurt.counted));
    }
}

#[test]
fn no_memory() {
    [Kind::Clear, Kind::Auth, Kind::Account, Kind::Tls].into_iter().for_each(|kind| deny_each("alloc", kind));
}

#[test]
fn a_system_call_fails() {
    [Kind::Clear, Kind::Auth, Kind::Account, Kind::Tls].into_iter().for_each(|kind| deny_each("call", kind));
}

/// What the resolver asks of the kernel, which the shim does not see.
const RESOLVERS_CALLS: [(&str, &str); 12] = [
    ("openat", "EMFILE"),
    ("read", "EIO"),
    ("mmap", "ENOMEM"),
    ("brk", "ENOMEM"),
    ("socket", "EMFILE"),
    ("connect", "ENETUNREACH"),
    ("poll", "ENOMEM"),
    ("sendto", "ENETUNREACH"),
    ("sendmmsg", "ENOBUFS"),
    ("recvfrom", "ECONNREFUSED"),
    ("recvmsg", "ENOMEM"),
    ("newfstatat", "EIO"),
];

/// A resolver that cannot ask is no name that does not exist.
#[test]
fn a_mail_exchanger() {
    if !inside_with(here!(), &WITH_A_NAME_SERVER, "ip route add local 192.0.2.0/24 dev lo") {
        return;
    }
    let _names = Names::start();
    deny_each("alloc", Kind::Mx);
    deny_each("call", Kind::Mx);
    let bench = Bench::new(Kind::Mx).impatient();
    let traced = |arguments: &[&str]| {
        let mut strace = Command::new("strace");
        let command = bench.command();
        strace.env_clear().env("PATH", "/usr/bin:/bin").arg("-o").arg(bench.home.path().join("trace")).args(arguments);
        strace.arg("-E").arg(format!("QMAILHOME={}", bench.home.path().display()));
        strace.arg(program()).args(command.get_args());
        let run = bench.run_by(strace, MESSAGE);
        (run, fs::read_to_string(bench.home.path().join("trace")).unwrap())
    };
    let (good, trace) = traced(&[]);
    assert_eq!(good.delivered.letters(), "rrK", "{trace}");
    let main = trace.lines().position(|line| line.starts_with("fcntl(1, F_GETFL")).unwrap();
    let mut tally = Tally::default();
    for (call, error) in RESOLVERS_CALLS {
        let all: Vec<usize> = trace
            .lines()
            .enumerate()
            .filter(|(_, line)| line.starts_with(&format!("{call}(")))
            .map(|(at, _)| at)
            .collect();
        let before = all.iter().filter(|at| **at < main).count();
        for number in before + 1..=all.len() {
            let (mut run, trace) = traced(&["-e", &format!("inject={call}:error={error}:when={number}")]);
            run.hit = u64::from(trace.contains("(INJECTED)"));
            tally.add(&format!("{call} {number}"), &run);
        }
    }
    tally.close("system calls of the resolver");
}

/// Interrupted, not ready, less than asked for; a time of day that jumps; a tcpto that cannot be kept: neither the report nor
/// what the server gets is another.
#[test]
fn ridden_out() {
    for kind in Kind::ROUTED {
        let bench = Bench::new(kind);
        let long = b"a line of a long message, sixty-four octets long with its end..\n".repeat(8 << 10);
        for message in [MESSAGE, &long] {
            let good = bench.run_by(bench.command(), message);
            let mut faults: Vec<(&str, u64)> = (1..=30).map(|seed| ("shake", seed)).collect();
            if message == MESSAGE {
                faults.extend((1..=10).map(|seed| ("clock", seed)));
                faults.extend((1..=3).flat_map(|place| [("tcpto", place), ("tcpto-from", place)]));
            }
            for (word, number) in faults {
                let run = bench.run_by(bench.faulty(word, number), message);
                let case = format!("{word} {number} {kind:?}, {} octets", message.len());
                assert!(run.hit > 0 || word.starts_with("tcpto"), "{case} did not happen: {}", run.counted);
                assert_same(&case, &run, &good);
            }
        }
    }
}

/// The server's end is heard as one whatever the call before it came to: it is no call to be made again, and again.
#[test]
fn the_end_behind_a_call_that_was_put_off() {
    let bench = Bench::new(Kind::Clear);
    for seed in 1..=20 {
        drop(bench.server()); // for the files of a run
        let server = Server::start(Rules::default().hooked(|event, _| match event {
            Event::Command(line) if line.starts_with("EHLO") => Action::Close,
            _ => Action::Default,
        }));
        bench.home.control("smtproutes", format!(":127.0.0.1:{}\n", server.port()));
        let faulty = bench.faulty("shake", seed);
        let mut command = Command::new("timeout"); // or a failure would have no end
        command.env_clear().env("PATH", "/usr/bin:/bin").args(["20", "env"]);
        for (name, value) in faulty.get_envs() {
            command.arg(format!("{}={}", name.to_str().unwrap(), value.unwrap().to_str().unwrap()));
        }
        command.arg(faulty.get_program()).args(faulty.get_args());
        let expected = "ZConnected to 127.0.0.1 but connection died. (#4.4.2)\n\0";
        let delivered = run(command, MESSAGE);
        assert_eq!(String::from_utf8_lossy(&delivered.stdout), expected, "shake {seed}: {delivered:?}");
        server.finish();
    }
}

/// The same report, and the same mail in the same words to the server.
fn assert_same(case: &str, run: &Run, good: &Run) {
    assert_eq!(run.delivered.letters(), "rrK", "{case}: {:?}", run.delivered);
    assert_eq!(run.delivered.stdout, good.delivered.stdout, "{case}");
    assert_eq!(run.log.connections.len(), 1, "{case}");
    // Nobody waits for a QUIT, so it is not sent again.
    let raws = [run, good].map(|run| &run.log.connections[0].raw);
    let missing = raws[1].strip_prefix(&raws[0][..]).unwrap_or_else(|| panic!("{case}: {:?}", run.log.commands()));
    assert!(b"QUIT\r\n".ends_with(missing), "{case}: {:?}", run.log.commands());
    assert!(run.log.messages[0].content == good.log.messages[0].content, "{case}");
}

/// Signals as qmail-rspawn and stranger parents leave them.
#[test]
fn signals() {
    for kind in Kind::ROUTED {
        let bench = Bench::new(kind);
        let good = bench.run_by(bench.command(), MESSAGE);
        for options in [
            &["--block-signal=CHLD"][..],
            &["--ignore-signal=TERM,ALRM"],
            &["--block-signal=TERM,ALRM"],
            &["--default-signal=PIPE"],
            &["--ignore-signal=PIPE"],
            &["--ignore-signal", "--block-signal"],
        ] {
            let run = bench.run_by(by_env(options, &bench.command()), MESSAGE);
            assert_same(&format!("{options:?} {kind:?}"), &run, &good);
        }
    }
    // A death by a signal remains one where all of them are ignored and blocked.
    let bench = Bench::new(Kind::Clear);
    let server = bench.server();
    let mut command = by_env(&["--ignore-signal", "--block-signal"], &bench.command());
    command.stdin(Stdio::null()).stdout(File::create("/dev/full").unwrap()).stderr(Stdio::null());
    assert!(command.status().unwrap().signal().is_some());
    assert_eq!(server.finish().messages.len(), 1, "the report was to be lost, not the mail");
    // So is a report on a file that may not grow so long, whatever becomes of the signal for that.
    for options in [&[][..], &["--ignore-signal=XFSZ"], &["--block-signal=XFSZ"]] {
        let server = bench.server();
        let mut limited = Command::new("prlimit");
        let command = by_env(options, &bench.command());
        limited.arg("--fsize=20").arg(command.get_program()).args(command.get_args());
        limited.env_clear().env("PATH", "/usr/bin:/bin").stdin(Stdio::null()).stderr(Stdio::null());
        let status = limited.stdout(File::create(bench.home.path().join("report")).unwrap()).status().unwrap();
        assert!(status.signal().is_some(), "{options:?}: {status}");
        assert_eq!(server.finish().messages.len(), 1, "{options:?}");
    }
}

/// The command run by env(1), which has options for signals.
fn by_env(options: &[&str], command: &Command) -> Command {
    let mut env = Command::new("env");
    env.env_clear().env("PATH", "/usr/bin:/bin").args(options);
    for (name, value) in command.get_envs() {
        env.arg(format!("{}={}", name.to_str().unwrap(), value.unwrap().to_str().unwrap()));
    }
    env.arg(command.get_program()).args(command.get_args());
    env
}

/// The monotonic clock goes on by an hour at any of its readings: a process that was stopped, or a machine that slept.
#[test]
fn an_hour_passes() {
    for kind in Kind::ROUTED {
        let bench = Bench::new(kind);
        let readings = bench.run("leap", 0).counted;
        assert!(readings > 10);
        let mut tally = Tally::default();
        (1..=readings).for_each(|number| tally.add(&format!("leap {number} {kind:?}"), &bench.run("leap", number)));
        let [delivered, put_off, died] = tally.fates;
        println!("leap 1 to {readings} {kind:?}: {delivered} K, {put_off} Z, {died} by a signal");
        assert_eq!(died, 0);
    }
}

/// Few descriptors, little memory.
#[test]
fn limits() {
    for kind in Kind::ROUTED {
        let bench = Bench::new(kind);
        for files in 0..=6 {
            let run = bench.run("files", files);
            assert_eq!(wrong(&run), None, "{files} descriptors {kind:?}: {:?}", run.delivered);
            println!("{files} descriptors {kind:?}: {}", ["K", "Z", "a signal"][run.fate()]);
            assert!(files > 3 || run.fate() > 0, "{files} descriptors do not do");
            assert!(files < 5 || run.fate() == 0, "{files} descriptors do: {:?}", run.delivered);
        }
        let fates = (0..64).map(|step| {
            let run = bench.run("memory", step);
            assert_eq!(wrong(&run), None, "{step} KiB {kind:?}: {:?}", run.delivered);
            run.fate()
        });
        let fates: Vec<usize> = fates.collect();
        println!("0 to 63 KiB of memory {kind:?}: {fates:?}");
        assert!(fates[0] > 0 && fates[63] == 0, "{kind:?}");
    }
}

/// A report pipe that is full, and is read late: the report comes whole, behind what was there.
#[test]
fn a_full_pipe() {
    let bench = Bench::new(Kind::Clear);
    let expected = bench.run_by(bench.command(), MESSAGE).delivered.stdout;
    for blocking in [false, true] {
        let (taken, is_taken) = channel();
        let server = Server::start(Rules { auth_required: false, ..Rules::default() }.hooked(move |event, _| {
            matches!(event, Event::Dot).then(|| taken.send(()).unwrap());
            Action::Default
        }));
        let home = Home::with_route(&format!("127.0.0.1:{}", server.port()));
        let (mut reader, mut writer) = UnixStream::pair().unwrap();
        writer.set_nonblocking(true).unwrap();
        let filled = fill(&mut writer);
        writer.set_nonblocking(!blocking).unwrap();
        let mut command = home.command(SENDER, &RECIPIENTS);
        command.stdin(Stdio::null()).stdout(OwnedFd::from(writer)).stderr(Stdio::null());
        let mut child = command.spawn().unwrap();
        drop(command); // and with it our end of the pipe
        is_taken.recv_timeout(Duration::from_secs(20)).unwrap();
        server.finish();
        // It has closed its connection, so there is nothing to wait for but the pipe.
        while !fs::read_to_string(format!("/proc/{}/stat", child.id())).unwrap().contains(") S ") {
            assert!(child.try_wait().unwrap().is_none(), "it did not wait");
            thread::yield_now();
        }
        let mut said = Vec::new();
        reader.read_to_end(&mut said).unwrap();
        assert_eq!(child.wait().unwrap().code(), Some(0));
        assert_eq!(String::from_utf8_lossy(&said[filled..]), String::from_utf8_lossy(&expected));
    }
}

fn fill(writer: &mut impl Write) -> usize {
    let mut filled = 0;
    for len in [4096, 1] {
        loop {
            match writer.write(&vec![0; len]) {
                Ok(n) => filled += n,
                Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                Err(error) => panic!("{error}"),
            }
        }
    }
    filled
}

/// queue/lock/tcpto on a file system that is full: the address that timed out cannot be noted, and that is all.
#[test]
fn a_full_disk() {
    if !inside_with(here!(), &WITH_A_NAME_SERVER, "true") {
        return;
    }
    let home = Home::with_route("198.51.100.7:587");
    home.control("timeoutconnect", "1\n");
    let lock = home.path().join("queue/lock");
    fs::create_dir_all(&lock).unwrap();
    let mounted = Command::new("mount").args(["-t", "tmpfs", "-o", "size=64k", "tmpfs"]).arg(&lock).status().unwrap();
    assert!(mounted.success());
    File::create(lock.join("tcpto")).unwrap().set_len(1024).unwrap(); // without a block of its own
    let mut filler = File::create(lock.join("filler")).unwrap();
    while filler.write_all(&[1; 4096]).is_ok() {}
    drop(filler);
    let verdict = home.deliver("sender@example.net", &["one@example.org"], MESSAGE).verdict();
    assert!(verdict.starts_with("ZSorry, I wasn't able to establish an SMTP connection. (#4.4.1)"), "{verdict}");
    assert_eq!(fs::read(lock.join("tcpto")).unwrap(), [0; 1024]);
    assert!(Command::new("umount").arg(&lock).status().unwrap().success());
}

/// Where the home cannot be looked at, no mail goes by the control files of another.
#[test]
fn another_home() {
    let bench = Bench::new(Kind::Clear);
    let trap = Server::start(Rules { auth_required: false, ..Rules::default() });
    let other = Home::with_route(&format!("127.0.0.1:{}", trap.port()));
    fs::create_dir(other.path().join("bin")).unwrap();
    let copy = other.path().join("bin/qmail-remote");
    executable::copy(&program(), &copy);
    let mess = bench.home.path().join("queue/mess");
    fs::create_dir_all(&mess).unwrap();
    let faulty = |number: u64| {
        let ours = bench.faulty("call", number);
        let mut command = Command::new(&copy);
        command.current_dir(&mess).args(ours.get_args()).env_clear();
        command
            .envs(ours.get_envs().filter(|(name, _)| *name != "QMAILHOME").map(|(name, value)| (name, value.unwrap())));
        command
    };
    assert_eq!(bench.run_by(faulty(0), MESSAGE).delivered.letters(), "rrK");
    for number in 1..=30 {
        let run = bench.run_by(faulty(number), MESSAGE);
        assert_eq!(wrong(&run), None, "call {number}: {:?}", run.delivered);
    }
    assert_eq!(trap.finish().connections.len(), 0, "mail went by another home");
}

/// The controls of the checker: where no K is possible there is none, and what must not be is found.
#[test]
fn the_checker_sees() {
    let bench = Bench::new(Kind::Clear).impatient();
    for kind in Kind::ROUTED {
        let deaf = Bench::new(kind).impatient().run("send-from", 1);
        assert_eq!((deaf.delivered.letters().as_str(), deaf.log.messages.len()), ("Z", 0), "{kind:?}");
        assert_eq!(wrong(&deaf), None);
    }
    let good = || bench.run_by(bench.command(), MESSAGE);
    let nothing = || bench.run("send-from", 1);
    let saying = |run: Run, stdout: &[u8]| {
        let delivered = Delivered { stdout: stdout.to_vec(), ..run.delivered };
        wrong(&Run { delivered, ..run })
    };
    assert_eq!(saying(nothing(), b"r\0r\0Kok\n\0"), Some("a K for nothing"));
    for bounced in [&b"r\0h\0"[..], b"Dno\n\0", b"Zno\n", b"h\0Kok\n\0", b"r\0"] {
        assert_eq!(saying(nothing(), bounced), Some("a bounce"), "{bounced:?}");
    }
    assert_eq!(saying(good(), b"Zno\n\0"), Some("a Z that conceals a possible duplicate"));
    assert_eq!(saying(good(), b"ZPossible duplicate!\n\0"), None);
    let status = |code: i32| {
        let run = good();
        let delivered = Delivered { status: ExitStatusExt::from_raw(code), ..run.delivered };
        wrong(&Run { delivered, ..run })
    };
    assert_eq!(
        [status(6), status(1 << 8), status(111 << 8)],
        [None, Some("a bounce"), Some("a Z that conceals a possible duplicate")]
    );
    let other = bench.run_by(bench.command(), b"Subject: other\n");
    assert_eq!(wrong(&other), Some("the server took another message"));
}
