//! What a delivery costs, in counts that hold on another machine: instructions, system calls, round trips and size of the program
//! in the package, against those of tests/data/cost.toml.
//!
//! `cargo test --test cost`, as root (for port 465); plain `cargo test` leaves it out, since it needs what script/deb needs. When a
//! count may rise: `UPDATE=1 cargo test --test cost`, and the commit says why.

#[path = "support/cargo.rs"]
mod cargo;
#[path = "support/certificate.rs"]
#[allow(dead_code)] // other tests use the rest
mod certificate;
#[path = "support/cost.rs"]
#[allow(dead_code)] // script/bench uses the rest
mod cost;
#[path = "support/deb.rs"]
#[allow(dead_code)]
mod deb;
#[path = "support/delay.rs"]
mod delay;
#[path = "support/sink.rs"]
mod sink;

use cost::{Place, Way};
use std::collections::BTreeMap;
use std::fs;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::process::Command;

const COMMITTED: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/data/cost.toml");

/// What is allowed above a committed count, per cent: keys are random, and glibc and ring take other paths on another processor.
const TOLERANCE: u64 = 10;

#[test]
fn no_count_rises() {
    let dir = tempfile::tempdir().unwrap();
    deb::output(Command::new("dpkg-deb").arg("-x").arg(&deb::packages().program).arg(dir.path()));
    let counts = cost::counts(&dir.path().join("usr/libexec/qmail-remote-auth/qmail-remote"));

    if std::env::var_os("UPDATE").is_some() {
        let lines: String = counts.iter().map(|(name, count)| format!("{name} = {count}\n")).collect();
        fs::write(COMMITTED, format!("# The cost of a delivery: UPDATE=1 cargo test --test cost\n{lines}")).unwrap();
    }
    let committed: BTreeMap<String, u64> = toml::from_str(&fs::read_to_string(Path::new(COMMITTED)).unwrap()).unwrap();
    assert!(counts.keys().eq(committed.keys()), "other counts than in {COMMITTED}: UPDATE=1 cargo test --test cost");
    let risen: Vec<String> = counts
        .iter()
        .map(|(name, &count)| (name, count, committed[name]))
        .filter(|(_, count, before)| *count > before + before * TOLERANCE / 100)
        .map(|(name, count, before)| format!("{name}: {count}, was {before}"))
        .collect();
    assert!(
        risen.is_empty(),
        "a delivery costs more than {TOLERANCE} % above tests/data/cost.toml; if that must be: UPDATE=1 cargo test --test cost\n{}",
        risen.join("\n")
    );
    for (name, count) in &counts {
        println!("{name}: {count}, committed {}", committed[name]);
    }
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
