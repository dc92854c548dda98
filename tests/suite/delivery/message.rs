//! The message on descriptor 0: no whole file, long and refused while it goes out, another when it is read again.

use crate::support::server::{Action, Event, Log, Rules, Server};
use crate::support::{Delivered, Home, run_with};
use std::fs::{self, OpenOptions};
use std::io::Write;
use std::os::unix::fs::FileExt;
use std::process::{Command, Stdio};

const RECIPIENTS: [&str; 2] = ["one@example.org", "two@example.org"];

/// A server that wants no login, with and without PIPELINING.
fn rules(pipelining: bool) -> Rules {
    let ehlo: &[&str] = if pipelining { &["PIPELINING", "8BITMIME"] } else { &["8BITMIME"] };
    Rules { auth_required: false, ..Rules::offering(ehlo) }
}

fn deliver_to(rules: Rules, recipients: &[&str], message: &[u8]) -> (Delivered, Log) {
    let server = Server::start(rules);
    let home = Home::with_route(&format!("127.0.0.1:{}", server.port()));
    let delivered = home.deliver("sender@example.net", recipients, message);
    (delivered, server.finish())
}

fn ten_mebibytes() -> Vec<u8> {
    let line = b"a line of a long message, sixty-four octets long with its end..\n";
    b"Subject: long\n\n".iter().chain(line.iter().cycle().take(10 << 20)).copied().collect()
}

#[test]
fn refused_in_the_middle_of_a_long_message() {
    let message = ten_mebibytes();
    for pipelining in [true, false] {
        for drop in [false, true] {
            let hooked = rules(pipelining).hooked(move |event, _| match event {
                Event::Data(octets) if *octets > 1 << 20 && drop => Action::reply_and_drop("552 5.3.4 too big"),
                Event::Data(octets) if *octets > 1 << 20 => Action::reply_and_close("552 5.3.4 too big"),
                _ => Action::Default,
            });
            let (delivered, log) = deliver_to(hooked, &RECIPIENTS, &message);
            assert_eq!(delivered.letters(), "rrD", "{drop} {:?}", delivered.verdict());
            assert!(delivered.verdict().contains("552 5.3.4 too big"));
            assert!(log.messages.is_empty());
            // What is cut off is the message: no dot behind it, and no QUIT inside it.
            let raw = &log.connections[0].raw;
            assert!(!raw.ends_with(b"QUIT\r\n") && !raw.ends_with(b"\r\n.\r\n"));
        }
    }
}

/// A failing disk, or somebody who cuts the file, between the reading for SIZE and the one that is sent: a part of a message is not
/// delivered for the whole, and does not bounce for how it ends.
#[test]
fn a_message_that_reads_differently_the_second_time() {
    let message = b"Subject: x\n\n".iter().chain(&b"line\n".repeat(40_000)).copied().collect::<Vec<u8>>();
    let measured: &[&str] = &["SIZE", "8BITMIME", "PIPELINING"];
    for (name, length, octet, ehlo, letters) in [
        ("as it was", 200_012, None, measured, "rK"),
        ("cut at a line's end", 100_012, None, measured, "rZ"),
        ("cut within a line", 100_010, None, measured, "rZ"),
        ("empty", 0, None, measured, "rZ"),
        ("longer", 200_020, Some((200_019, b'\n')), measured, "rZ"),
        ("an octet above 127", 200_012, Some((150_000, b'\xe4')), measured, "rZ"),
        ("one by one", 100_012, None, &["SIZE"], "rZ"),
        ("for 8BITMIME alone", 100_012, None, &["8BITMIME"], "rZ"),
        ("never measured", 100_012, None, &["PIPELINING"], "rK"),
    ] {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("message");
        fs::write(&path, &message).unwrap();
        let change = path.clone();
        let rules = Rules { auth_required: false, ..Rules::offering(ehlo) }.hooked(move |event, _| {
            if let Event::Command(command) = event {
                if command.starts_with("MAIL") {
                    let file = OpenOptions::new().write(true).open(&change).unwrap();
                    file.set_len(length).unwrap();
                    if let Some((place, octet)) = octet {
                        file.write_all_at(&[octet], place).unwrap();
                    }
                }
            }
            Action::Default
        });
        let server = Server::start(rules);
        let home = Home::with_route(&format!("127.0.0.1:{}", server.port()));
        let file = fs::File::open(&path).unwrap();
        let delivered = run_with(home.command("sender@example.net", &["one@example.org"]), file);
        let log = server.finish();
        assert_eq!(delivered.letters(), letters, "{name}: {delivered:?}");
        assert_eq!(log.messages.len(), usize::from(letters == "rK"), "{name}");
        if letters == "rZ" {
            let says = "ZUnable to read message. (#4.3.0) It reads differently the second time: ";
            assert!(delivered.verdict().starts_with(says), "{name}: {delivered:?}");
        }
    }
}

/// A message on a pipe or a device, which may have no end, is sent unmeasured; one that was read in part already is measured and
/// sent from there.
#[test]
fn messages_that_are_no_whole_file() {
    let server = Server::start(Rules { auth_required: false, ..Rules::offering(&["SIZE", "8BITMIME"]) });
    let home = Home::with_route(&format!("127.0.0.1:{}", server.port()));
    let mut piped = home.command("a@example.net", &["b@example.org"]);
    let mut child = piped.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    child.stdin.take().unwrap().write_all("by pipe \u{fc}\n".as_bytes()).unwrap();
    assert!(String::from_utf8_lossy(&child.wait_with_output().unwrap().stdout).starts_with("r\0K"));

    let file = home.control("message", "Received: by another\nthe rest\n");
    let mut shell = Command::new("sh");
    shell.env_clear().env("QMAILHOME", home.path()).env("PATH", "/usr/bin:/bin");
    shell.args(["-c", "read -r first; exec \"$@\"", "sh"]).arg(crate::support::program());
    let output = shell
        .args(["example.org", "a@example.net", "b@example.org"])
        .stdin(std::fs::File::open(file).unwrap())
        .output();
    assert!(String::from_utf8_lossy(&output.unwrap().stdout).starts_with("r\0K"));
    let mut device = home.command("a@example.net", &["b@example.org"]);
    let output = device.stdin(std::fs::File::open("/dev/null").unwrap()).output().unwrap();
    assert!(String::from_utf8_lossy(&output.stdout).starts_with("r\0K"));
    let log = server.finish();
    let mails: Vec<_> =
        log.commands().into_iter().filter(|command| command.starts_with("MAIL")).map(|c| c.to_string()).collect();
    assert_eq!(mails, ["MAIL FROM:<a@example.net>", "MAIL FROM:<a@example.net> SIZE=10", "MAIL FROM:<a@example.net>"]);
    assert_eq!(log.messages[1].content, b"the rest\n");
}
