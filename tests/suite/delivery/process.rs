//! The process: its descriptors, its signals, its clock, and what it does when both sides speak at once.

use crate::support::login::deliver;
use crate::support::namespace::inside;
use crate::support::server::{Action, Event, Rules, Server, unread};
use crate::support::{Delivered, Home, run};
use std::fs;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

const MESSAGE: &[u8] = b"Subject: process\n\nhello\n";

/// A server that wants no login.
fn open_relay() -> Rules {
    Rules { auth_required: false, ..Rules::offering(&["PIPELINING"]) }
}

/// A shell closes descriptors on the way to the program.
fn with_closed(home: &Home, descriptors: &str) -> Command {
    let mut shell = Command::new("sh");
    let script = format!("exec \"$@\" {descriptors}");
    let command = home.command("sender@example.net", &["one@example.org"]);
    shell.env_clear().env("QMAILHOME", home.path()).arg("-c").arg(script).arg("sh").arg(command.get_program());
    shell.args(command.get_args());
    shell
}

#[test]
fn descriptors() {
    let server = Server::start(open_relay());
    let home = Home::with_route(&format!("127.0.0.1:{}", server.port()));
    // No message is not an empty message.
    let delivered = run(with_closed(&home, "<&-"), MESSAGE);
    assert_eq!(delivered.letters(), "rZ");
    assert!(delivered.verdict().contains("Unable to read message. (#4.3.0)"), "{delivered:?}");
    // A directory cannot be read either.
    let delivered = run(with_closed(&home, "</"), MESSAGE);
    assert_eq!(delivered.letters(), "rZ");
    // Nothing of ours on descriptor 2, open or not.
    assert_eq!(run(with_closed(&home, "2>&-"), MESSAGE).letters(), "rK");
    let log = server.finish();
    assert_eq!(log.messages.len(), 1);

    // Without a report pipe no mail is sent, and with one that nobody reads the report is not lost in silence: a signal,
    // which qmail-rspawn defers.
    let server = Server::start(open_relay());
    let home = Home::with_route(&format!("127.0.0.1:{}", server.port()));
    let died = |mut command: Command| command.stdin(Stdio::null()).stderr(Stdio::null()).status().unwrap().signal();
    for pipe in [">&-", "1</dev/null"] {
        assert!(died(with_closed(&home, pipe)).is_some(), "{pipe}");
    }
    assert!(server.finish().connections.is_empty());

    let server = Server::start(open_relay());
    let home = Home::with_route(&format!("127.0.0.1:{}", server.port()));
    let mut nobody = Command::new("true").stdin(Stdio::piped()).spawn().unwrap();
    let writer = nobody.stdin.take().unwrap();
    nobody.wait().unwrap();
    let mut command = home.command("sender@example.net", &["one@example.org"]);
    command.stdout(writer);
    assert!(died(command).is_some());
    server.finish();
}

/// Neither descriptor 0 nor 2 needs /dev/null, which is not in each chroot, and where it is a file nothing is written to it.
#[test]
fn without_dev_null() {
    if !inside(here!()) {
        return;
    }
    let server = Server::start(open_relay());
    let home = Home::with_route(&format!("127.0.0.1:{}", server.port()));
    assert!(Command::new("mount").args(["-t", "tmpfs", "tmpfs", "/dev"]).status().unwrap().success());
    let null = Path::new("/dev/null");
    for content in [None, Some("not what it was")] {
        content.iter().for_each(|content| fs::write(null, content).unwrap());
        for (closed, letters) in [("", "rK"), ("2>&-", "rK"), ("<&-", "rZ"), ("<&- 2>&-", "rZ")] {
            let delivered = run(with_closed(&home, closed), MESSAGE);
            assert_eq!(delivered.letters(), letters, "{content:?} {closed}: {delivered:?}");
        }
        let mut check = Command::new(crate::support::check::program());
        check.env_clear().env("QMAILHOME", home.path()).arg("example.org");
        assert!(crate::support::check::run_with(check, Stdio::piped()).last_line().starts_with("OK: "), "{content:?}");
        assert_eq!(fs::read_to_string(null).ok().as_deref(), content);
    }
    assert_eq!(server.finish().messages.len(), 4);
}

/// What the process makes of itself, read while the server lets it wait.
#[test]
fn the_process() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let home = Home::with_route(&format!("127.0.0.1:{}", listener.local_addr().unwrap().port()));
    let mut command = home.command("sender@example.net", &["one@example.org"]);
    let child = command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
    let connection = listener.accept().unwrap();
    let of_process = |name: &str| fs::read_to_string(format!("/proc/{}/{name}", child.id())).unwrap();
    let limits = of_process("limits");
    let core = limits.lines().find(|line| line.starts_with("Max core file size")).unwrap();
    assert_eq!(core.split_whitespace().rev().take(3).collect::<Vec<_>>(), ["bytes", "0", "0"], "{core}");
    let status = of_process("status");
    let ignored = status.lines().find_map(|line| line.strip_prefix("SigIgn:")).unwrap().trim();
    let sigpipe = 1 << (13 - 1);
    assert_ne!(u64::from_str_radix(ignored, 16).unwrap() & sigpipe, 0, "SIGPIPE is not ignored");
    drop(connection);
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.stdout, b"ZConnected to 127.0.0.1 but connection died. (#4.4.2)\n\0");
}

/// What shows in no other way: flights are not held back for acknowledgements (TCP_NODELAY, before connect), and nobody
/// may look into the process.
#[test]
fn system_calls() {
    let server = Server::start(open_relay());
    let home = Home::with_route(&format!("127.0.0.1:{}", server.port()));
    let trace = home.path().join("trace");
    let command = home.command("sender@example.net", &["one@example.org"]);
    let mut strace = Command::new("strace");
    strace.arg("-o").arg(&trace).args(["-e", "trace=prctl,setsockopt,connect"]);
    strace.arg(command.get_program()).args(command.get_args()).env_clear().env("QMAILHOME", home.path());
    strace.env("PATH", "/usr/bin:/bin");
    assert_eq!(run(strace, MESSAGE).letters(), "rK");
    server.finish();
    let calls = fs::read_to_string(trace).unwrap();
    let place =
        |what: &str| calls.lines().position(|line| line.contains(what)).unwrap_or_else(|| panic!("{what}: {calls}"));
    assert!(place("TCP_NODELAY") < place("connect("), "{calls}");
    assert!(place("PR_SET_DUMPABLE, SUID_DUMP_DISABLE") < place("connect("), "{calls}");
}

/// Both sides have much to say, and neither waits for the other to have read it.
#[test]
fn a_long_message_to_a_slow_reader_that_talks() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let server = thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        let greeting = "220-".to_owned() + &"x".repeat(60_000) + "\r\n220 hi\r\n";
        stream.write_all(greeting.as_bytes()).unwrap();
        for reply in ["250-a\r\n250 PIPELINING\r\n", "250 a\r\n250 b\r\n354 go\r\n"] {
            read_until(&mut stream, if reply.contains("354") { b"DATA\r\n" } else { b"\r\n" });
            stream.write_all(reply.as_bytes()).unwrap();
        }
        let octets = read_until(&mut stream, b"\r\n.\r\nQUIT\r\n");
        stream.write_all(b"250 ok\r\n").unwrap();
        octets
    });
    let home = Home::with_route(&format!("127.0.0.1:{port}"));
    let message = b"sixty-four octets of a long message, with its end of line, now.\n".repeat(10 << 14);
    let delivered = home.deliver("sender@example.net", &["one@example.org"], &message);
    assert_eq!(delivered.letters(), "rK");
    assert_eq!(server.join().unwrap(), message.len() + message.iter().filter(|c| **c == b'\n').count() + 3 + 6);
}

/// A reply that lies in the kernel before its command is sent answers nothing: the program asks the kernel first. It takes 16 KiB at
/// once, which the greeting is here, so that it has something to send while there is more to be read.
#[test]
fn what_was_said_is_heard_before_more_is_sent() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let home = Home::with_route(&format!("127.0.0.1:{}", listener.local_addr().unwrap().port()));
    let server = thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        let end = "\r\n220 hi\r\n";
        let greeting = format!("{:x<1$}{end}", "220-", 16 * 1024 - end.len());
        stream.write_all((greeting + "250 early\r\n").as_bytes()).unwrap();
        let mut heard = Vec::new();
        let _ = stream.read_to_end(&mut heard);
        heard
    });
    let delivered = home.deliver("sender@example.net", &["one@example.org"], MESSAGE);
    assert!(delivered.verdict().contains("a reply came out of step. (#4.5.0)"), "{delivered:?}");
    assert_eq!(server.join().unwrap(), b"");
}

fn read_until(stream: &mut TcpStream, end: &[u8]) -> usize {
    let mut tail = Vec::new();
    let mut buffer = [0; 2048];
    let mut total = 0;
    while !tail.ends_with(end) {
        let length = stream.read(&mut buffer).unwrap();
        assert!(length > 0);
        total += length;
        tail.extend_from_slice(&buffer[..length]);
        tail.drain(..tail.len().saturating_sub(64));
    }
    total
}

/// The message comes from a pipe here and does not come: the server is heard all the same, and timeoutremote holds.
#[test]
fn a_message_that_is_waited_for() {
    for (said, timeout, expected) in [
        (&b"250 early\r\n"[..], "20", "a reply came out of step. (#4.5.0)"),
        (b"552 too late\r\n", "20", "failed after I sent the message."),
        (b"", "1", "connection died. (#4.4.2)"),
    ] {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let home = Home::with_route(&format!("127.0.0.1:{}", listener.local_addr().unwrap().port()));
        home.control("timeoutremote", timeout);
        let mut command = home.command("sender@example.net", &["one@example.org"]);
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let queue = child.stdin.take().unwrap();
        let (mut stream, _) = listener.accept().unwrap();
        for (reply, command) in [("220 hi\r\n", "\r\n"), ("250-a\r\n250 PIPELINING\r\n", "DATA\r\n")] {
            stream.write_all(reply.as_bytes()).unwrap();
            read_until(&mut stream, command.as_bytes());
        }
        stream.write_all(b"250 a\r\n250 b\r\n354 go\r\n").unwrap();
        wait_until(|| unread(&stream) == Some(0));
        stream.write_all(said).unwrap();
        let output = child.wait_with_output().unwrap();
        drop(queue);
        let delivered = Delivered { stdout: output.stdout, status: output.status, elapsed: Duration::ZERO };
        assert!(delivered.verdict().contains(expected), "{}", delivered.verdict());
        assert_eq!(delivered.letters(), if said.starts_with(b"552") { "rD" } else { "rZ" });
    }
}

/// The relay closes as soon as it has made its offer. Whether our AUTH still went out is a matter of luck; that it is told is not.
#[test]
fn an_offer_and_the_end_at_once() {
    let (delivered, log) = deliver(Rules::default().hooked(|event, _| match event {
        Event::Command(line) if line.starts_with("EHLO") => Action::reply_and_close("250-a\r\n250 AUTH PLAIN"),
        _ => Action::Default,
    }));
    let says = if log.saw("AUTH") { "tried PLAIN (connection closed)" } else { "closed the connection before a login" };
    assert!(delivered.verdict().starts_with('Z') && delivered.verdict().contains(says), "{}", delivered.verdict());
}

/// The relay closes with each refusal, and whether the next AUTH still went out is a matter of luck: two connections are enough, and
/// three tries.
#[test]
fn closed_behind_each_refusal() {
    let (delivered, log) = deliver(Rules::default().hooked(|event, _| match event {
        Event::Command(line) if line.starts_with("AUTH") => Action::reply_and_drop("535 5.7.8 no"),
        _ => Action::Default,
    }));
    let verdict = delivered.verdict();
    assert!(verdict.starts_with('Z') && verdict.contains("tried CRAM-MD5 (535), ") && !log.saw("MAIL"), "{verdict}");
    assert!(log.auth_tries() <= 3 && log.connections.len() <= 2, "{:?}", log.commands());
}

fn wait_until(done: impl Fn() -> bool) {
    let start = Instant::now();
    while !done() {
        assert!(start.elapsed() < Duration::from_secs(20));
        thread::yield_now();
    }
}
