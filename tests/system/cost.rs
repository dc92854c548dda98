//! What a delivery costs, in counts that hold on another machine: instructions, system calls, round trips and size of the program
//! in the package, against those of tests/data/cost.toml.
//!
//! Needs root (for port 465) and what script/deb needs. When a count may rise: `UPDATE=1 cargo test --test system cost::`, and the
//! commit says why.

use crate::support::cost::{self, Mail, Place, Way};
use crate::support::deb;
use crate::support::provider::{HOST, Provider, USER, put};
use std::collections::BTreeMap;
use std::fs;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::Command;

const COMMITTED: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/data/cost.toml");

/// What is allowed above a committed count, per cent: keys are random, and glibc and ring take other paths on another processor.
const TOLERANCE: u64 = 10;

/// The program of the package, in this directory.
fn program(dir: &Path) -> PathBuf {
    deb::output(Command::new("dpkg-deb").arg("-x").arg(&deb::packages().program).arg(dir));
    dir.join("usr/libexec/qmail-remote-auth/qmail-remote")
}

#[test]
fn no_count_rises() {
    let dir = tempfile::tempdir().unwrap();
    let counts = cost::counts(&program(dir.path()));

    if std::env::var_os("UPDATE").is_some() {
        let lines: String = counts.iter().map(|(name, count)| format!("{name} = {count}\n")).collect();
        fs::write(COMMITTED, format!("# The cost of a delivery: UPDATE=1 cargo test --test system cost::\n{lines}"))
            .unwrap();
    }
    let committed: BTreeMap<String, u64> = toml::from_str(&fs::read_to_string(Path::new(COMMITTED)).unwrap()).unwrap();
    assert!(
        counts.keys().eq(committed.keys()),
        "other counts than in {COMMITTED}: UPDATE=1 cargo test --test system cost::"
    );
    let risen: Vec<String> = counts
        .iter()
        .map(|(name, &count)| (name, count, committed[name]))
        .filter(|(_, count, before)| *count > before + before * TOLERANCE / 100)
        .map(|(name, count, before)| format!("{name}: {count}, was {before}"))
        .collect();
    assert!(
        risen.is_empty(),
        "a delivery costs more than {TOLERANCE} % above tests/data/cost.toml; if that must be: \
         UPDATE=1 cargo test --test system cost::\n{}",
        risen.join("\n")
    );
    for (name, count) in &counts {
        println!("{name}: {count}, committed {}", committed[name]);
    }
    // The memory of a login may not cost more than this. Over TLS what is received comes in more pieces or fewer.
    for (what, most) in [("instructions", 15_000), ("calls", 12)] {
        let [without, with] = ["", "_with_account"].map(|account| counts[&format!("{what}_clear_auth{account}")]);
        assert!(with <= without + most, "{what}: {with} with an account, {without} without");
    }
    // A login by SCRAM is what its rounds cost.
    let [plain, scram] =
        ["password_of_10", "scram_sha_256"].map(|what| counts[&format!("instructions_clear_auth_{what}")]);
    assert!(scram < plain + 30_000_000, "SCRAM-SHA-256 costs {scram} instructions, and PLAIN {plain}");
    // So is one by a token.
    let of = |what: &str| counts[&format!("instructions_clear_auth_{what}_with_account")];
    for length in [cost::PASSWORD.len(), 2000] {
        let [password, token] = ["password", "token"].map(|what| of(&format!("{what}_of_{length}")));
        assert!(token < password + 30_000, "{length}: {token} by a token, {password} by PLAIN");
    }
    // What committed counts may never become: a token is as long as these, and it is read, sent, cleared, and known in replies.
    let of_password = |length: usize| counts[&format!("instructions_clear_auth_password_of_{length}")];
    for length in [2000, 8000] {
        let more = of_password(length) - of_password(cost::PASSWORD.len());
        assert!(more < 50 * length as u64, "a password of {length} characters costs {more} instructions");
    }
}

/// Over TLS, by a CA in a file with Debian's: once in an hour, in which a delivery waits for it.
#[test]
fn a_renewal_of_a_token() {
    let dir = tempfile::tempdir().unwrap();
    program(dir.path());
    let (provider, log) = (Provider::start(true), dir.path().join("log"));
    let home = provider.home();
    home.control("provider.pem", fs::read_to_string(cost::BUNDLE).unwrap() + &provider.ca);
    put(&home, 4000, -1, Some("refresh-token-number-0"));
    let mut valgrind = Command::new("valgrind");
    valgrind.args(["--tool=callgrind", "--callgrind-out-file=/dev/null"]);
    valgrind.arg(format!("--log-file={}", log.display())).arg(dir.path().join("usr/bin/qmail-remote-oauth"));
    let output = valgrind.args(["token", HOST, USER]).env("QMAILHOME", home.path()).output().unwrap();
    assert!(output.status.success() && output.stdout.starts_with(b"access-token-number-"), "{output:?}");
    let count = cost::collected(&fs::read_to_string(log).unwrap());
    println!("a renewal takes {count} instructions");
    assert!(count < 4_000_000, "a renewal takes {count} instructions");
}

/// A relay with Nagle's algorithm holds its next reply until our kernel has acknowledged this one, which it would put off by 40 ms.
/// Behind the message there is no next reply.
#[test]
fn each_receive_before_the_message_is_acknowledged_at_once() {
    let dir = tempfile::tempdir().unwrap();
    let (program, place) = (program(dir.path()), Place::new());
    for way in Way::ALL {
        let run = place.qmail_remote(&program, &place.mail(way), "", ' ');
        let trace = place.trace(way, &run, "recvfrom,setsockopt");
        let calls: Vec<&str> =
            trace.lines().filter(|call| call.starts_with("recvfrom") || call.contains("QUICKACK")).collect();
        let last = calls.len() - 1;
        assert!(calls.len() > 5 && calls.len() % 2 == 1 && calls[last].starts_with("recvfrom"), "{way:?}: {trace}");
        for pair in calls[..last].chunks(2) {
            let is_set = pair[1].contains("TCP_QUICKACK, [1], 4) = 0");
            assert!(pair[0].starts_with("recvfrom") && is_set, "{way:?}: {trace}");
        }
    }
}

/// A relay that reads record by record answers each by itself.
#[test]
fn the_envelope_is_one_record_and_the_message_with_its_dot_another() {
    let dir = tempfile::tempdir().unwrap();
    let (program, place) = (program(dir.path()), Place::new());
    for way in [Way::StartTlsAuth, Way::Port465Auth] {
        let mail = Mail { recipients: cost::recipients(20), ..place.mail(way) };
        let trace = place.trace(way, &place.qmail_remote(&program, &mail, "", ' '), "sendto");
        let sends: Vec<Vec<u8>> = trace.lines().filter(|call| call.starts_with("sendto")).map(octets).collect();
        let [.., login, envelope, message, close] = &sends[..] else { panic!("{way:?}: {trace}") };
        for flight in [login, envelope, message, close] {
            let length = usize::from(u16::from_be_bytes([flight[3], flight[4]]));
            assert_eq!((flight[0], 5 + length), (23, flight.len()), "{way:?}: {trace}"); // data, to the end (RFC 8446 section 5.2)
        }
        assert!(envelope.len() > 20 * "RCPT TO:<recipient1@example.org>\r\n".len(), "{way:?}: {trace}");
        assert!(message.len() > 1024, "{way:?}: {trace}");
    }
}

/// Those that strace shows in a call.
fn octets(call: &str) -> Vec<u8> {
    let shown = call.split('"').nth(1).unwrap();
    shown.split("\\x").skip(1).map(|digits| u8::from_str_radix(digits, 16).unwrap()).collect()
}

/// A delivery that is less than the way it is named for, or that fails, must not be taken for a cheap one.
#[test]
fn the_relay_counts_only_mail_that_came_its_way() {
    let place = Place::new();
    const LOGIN: &str = "AUTH PLAIN AG15dXNlcgBzZWNyZXRwYXNz"; // myuser, secretpass
    const WRONG: &str = "AUTH PLAIN AG15dXNlcgB3cm9uZ3Bhc3M="; // myuser, wrongpass
    for (way, login, count) in [
        (Way::Clear, "NOOP", 1),
        (Way::ClearAuth, LOGIN, 1),
        (Way::ClearAuth, "AUTH LOGIN\r\nbXl1c2Vy\r\nc2VjcmV0cGFzcw==", 1),
        (Way::ClearAuth, "AUTH LOGIN bXl1c2Vy\r\nd3JvbmdwYXNz", 0),
        (Way::ClearAuth, WRONG, 0),
        (Way::ClearAuth, "NOOP", 0),
        (Way::StartTlsAuth, LOGIN, 0), // and no TLS
    ] {
        let mut stream = TcpStream::connect(place.mail(way).address).unwrap();
        let envelope = "MAIL FROM:<s@example.net>\r\nRCPT TO:<r@example.org>\r\nDATA";
        write!(stream, "EHLO client\r\n{login}\r\n{envelope}\r\nSubject: x\r\n\r\nx\r\n.\r\nQUIT\r\n").unwrap();
        let mut said = String::new();
        stream.read_to_string(&mut said).unwrap();
        assert_eq!(place.sink(way).taken(), count, "{way:?} {login}: {said}");
    }
}
