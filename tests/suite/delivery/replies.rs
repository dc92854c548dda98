//! What servers answer to the mail itself, with and without PIPELINING, and what the reports say then.

use crate::support::server::{Action, Event, Log, Rules, Server};
use crate::support::{Delivered, Home, run_with};
use std::fs::{self, OpenOptions};
use std::net::TcpListener;
use std::os::unix::fs::FileExt;

const MESSAGE: &[u8] = b"Subject: delivery\n\nhello\n";
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

fn both(table: &[(&str, &str)], check: impl Fn(Delivered, Log)) {
    for pipelining in [true, false] {
        let (delivered, log) = deliver_to(rules(pipelining).answering(table), &RECIPIENTS, MESSAGE);
        check(delivered, log);
    }
}

/// The whole output, in stock's words.
fn assert_output(delivered: &Delivered, expected: &str) {
    delivered.reports();
    assert_eq!(String::from_utf8_lossy(&delivered.stdout), expected);
}

#[test]
fn accepted() {
    both(&[(".", "250-2.0.0 queued\r\n250 as 1\x002")], |delivered, log| {
        assert_output(
            &delivered,
            "r\0r\0K127.0.0.1 accepted message.\nRemote host said: 250-2.0.0 queued\n250 as 1?2\ntls=none cert=unverified auth=none\n\0",
        );
        assert_eq!(log.messages.len(), 1);
        assert_eq!(
            (log.messages[0].content.as_slice(), log.messages[0].sender.as_str()),
            (MESSAGE, "sender@example.net")
        );
        assert_eq!(log.messages[0].recipients, RECIPIENTS);
        assert_eq!(log.commands().last().unwrap(), "QUIT");
    });
}

#[test]
fn mail_refused_has_no_letters_before_the_verdict() {
    both(&[("MAIL", "451 4.3.0 later"), ("RCPT", "503 no"), ("DATA", "503 no")], |delivered, log| {
        assert_output(
            &delivered,
            "ZConnected to 127.0.0.1 but sender was rejected.\nRemote host said: 451 4.3.0 later\n\0",
        );
        assert!(log.messages.is_empty());
    });
    for code in ["500", "550", "553", "571"] {
        both(&[("MAIL", code), ("RCPT", "250 ok"), ("DATA", "503 no")], |delivered, _| {
            assert_output(
                &delivered,
                &format!("DConnected to 127.0.0.1 but sender was rejected.\nRemote host said: {code}\n\0"),
            );
        });
    }
    // A 354 although MAIL was refused: nothing more is said, since it would be a message.
    both(&[("MAIL", "550 no"), ("DATA", "354 go")], |delivered, log| {
        assert_eq!(delivered.letters(), "D");
        assert!(
            log.commands().iter().all(|line| !line.starts_with("QUIT")) || !log.saw("DATA"),
            "{:?}",
            log.commands()
        );
    });
}

#[test]
fn recipients_refused() {
    both(&[("RCPT TO:<one", "550 5.1.1 no such user")], |delivered, log| {
        assert_eq!(delivered.letters(), "hrK");
        assert_eq!(
            delivered.reports()[0],
            "h127.0.0.1 does not like recipient.\nRemote host said: 550 5.1.1 no such user\n"
        );
        assert_eq!(log.messages[0].recipients, ["two@example.org"]);
    });
    both(&[("RCPT TO:<two", "450 4.2.1 busy")], |delivered, log| {
        assert_eq!(delivered.letters(), "rsK");
        assert_eq!(log.messages[0].recipients, ["one@example.org"]);
    });
    for (one, two, letters) in [("550 no", "550 no", "hhD"), ("450 no", "450 no", "ssD"), ("550 no", "450 no", "hsD")] {
        for data in ["354 go", "503 no recipients", "250 what"] {
            both(&[("RCPT TO:<one", one), ("RCPT TO:<two", two), ("DATA", data)], |delivered, log| {
                assert_eq!(delivered.letters(), letters, "{data}");
                assert_eq!(delivered.verdict(), "DGiving up on 127.0.0.1.\n", "{data}");
                let raw = &log.connections[0].raw;
                assert!(log.messages.is_empty());
                // Nothing behind DATA when it was taken for one.
                assert!(!data.starts_with("354") || !log.saw("DATA") || raw.ends_with(b"DATA\r\n"), "{raw:?}");
            });
        }
    }
}

#[test]
fn data_and_message_refused() {
    for (event, words) in
        [("DATA", "127.0.0.1 failed on DATA command"), (".", "127.0.0.1 failed after I sent the message")]
    {
        for (reply, letters) in [("451 4.3.0 no", "rrZ"), ("554 5.7.1 spam", "rrD")] {
            both(&[(event, reply)], |delivered, log| {
                assert_eq!(delivered.letters(), letters);
                assert_eq!(delivered.verdict()[1..], format!("{words}.\nRemote host said: {reply}\n"));
                assert!(log.messages.is_empty());
                assert!(!delivered.verdict().contains("duplicate"));
            });
        }
    }
}

#[test]
fn replies_that_have_no_place() {
    for (event, reply) in [
        ("MAIL", "354 go"),
        ("MAIL", "150 wait"),
        ("RCPT", "354 go"),
        ("DATA", "250 ok"),
        ("EHLO", "220 hi"),
        ("MAIL", "no reply"),
        ("RCPT", "25"),
        ("DATA", "354x"),
        ("EHLO", "250-a\r\n251 b"),
    ] {
        both(&[(event, reply)], |delivered, log| {
            assert!(delivered.letters().ends_with('Z'), "{event} {reply}: {delivered:?}");
            assert!(log.messages.is_empty());
        });
    }
    for reply in ["354 go on", "150 wait", "garbage"] {
        both(&[(".", reply)], |delivered, _| {
            assert_eq!(delivered.letters(), "rrZ", "{reply}");
            assert!(delivered.verdict().contains("Possible duplicate!"), "{reply}: {}", delivered.verdict());
        });
    }
    // Without end: as many octets, as many lines.
    for reply in ["250-".to_owned() + &"x".repeat(70_000), "250-x\r\n".repeat(600)] {
        both(&[("EHLO", &reply)], |delivered, _| {
            assert_eq!(delivered.letters(), "Z");
            assert!(delivered.verdict().contains("a reply without end"));
        });
    }
}

#[test]
fn a_reply_before_its_command_is_none() {
    both(&[("DATA", "354 go\r\n250 ok")], |delivered, _| {
        assert_eq!(delivered.letters(), "rrZ");
        assert!(delivered.verdict().contains("a reply came out of step"), "{delivered:?}");
        assert!(!delivered.verdict().contains("duplicate"));
    });
    both(&[("DATA", "354 go\r\n552 too big")], |delivered, _| assert_eq!(delivered.letters(), "rrD"));
    both(&[("DATA", "354 go\r\n452 too busy")], |delivered, _| assert_eq!(delivered.letters(), "rrZ"));
    both(&[("EHLO", "250 ok\r\n250 ok\r\n250 ok\r\n250 ok\r\n354 ok\r\n250 ok")], |delivered, _| {
        assert_eq!(delivered.letters(), "Z");
    });
    both(&[("CONNECT", "220 hi\r\n250 hi")], |delivered, _| assert_eq!(delivered.letters(), "Z"));
    // An empty line is part of no reply, and neither is a CR behind a line's end.
    both(&[("CONNECT", "\r\n220 hi\n\r\n"), ("EHLO", "250-ok\r\n\n250 PIPELINING\n\r\n\r\n")], |delivered, _| {
        assert_eq!(delivered.letters(), "rrK");
    });
    for pipelining in [true, false] {
        let hooked = rules(pipelining).hooked(|event, _| match event {
            Event::Connect => Action::Reply(b"220 hi\n\r".to_vec()),
            Event::Dot => Action::Reply(b"250 ok\n\r".to_vec()),
            _ => Action::Default,
        });
        assert_eq!(deliver_to(hooked, &RECIPIENTS, MESSAGE).0.letters(), "rrK");
    }
    // One octet of the reply before the dot is enough.
    for pipelining in [true, false] {
        let hooked = rules(pipelining).hooked(|event, _| match event {
            Event::Command("DATA") => Action::Reply(b"354 go\r\n2".to_vec()),
            Event::Dot => Action::Reply(b"50 ok\r\n".to_vec()),
            _ => Action::Default,
        });
        let (delivered, _) = deliver_to(hooked, &RECIPIENTS, MESSAGE);
        assert_eq!(delivered.letters(), "rrZ");
        assert!(delivered.verdict().contains("out of step. Possible duplicate!"), "{delivered:?}");
    }
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

#[test]
fn greeting_and_name_refused() {
    for greeting in ["554 5.7.1 go away", "421 too busy", "250 ok", "220-a\r\n554 b"] {
        both(&[("CONNECT", greeting)], |delivered, log| {
            assert_eq!(delivered.letters(), "Z", "{greeting}");
            assert!(!log.saw("EHLO"), "{greeting}");
        });
    }
    both(&[("CONNECT", "554-no\r\n554 go away")], |delivered, _| {
        let expected = "ZConnected to 127.0.0.1 but greeting failed.\nRemote host said: 554-no\n554 go away\n\0";
        assert_output(&delivered, expected);
    });
    both(&[("EHLO", "502 what?"), ("HELO", "550 no")], |delivered, log| {
        let expected = "ZConnected to 127.0.0.1 but my name was rejected.\nRemote host said: 550 no\n\0";
        assert_output(&delivered, expected);
        assert_eq!(log.commands()[..2], ["EHLO client.example.net", "HELO client.example.net"]);
    });
    both(&[("EHLO", "421 too busy")], |delivered, log| {
        assert_eq!(delivered.letters(), "Z");
        assert!(!log.saw("HELO"));
    });
    both(&[("EHLO", "502 what?")], |delivered, log| {
        assert_eq!(delivered.letters(), "rrK");
        assert_eq!(log.commands()[2], "MAIL FROM:<sender@example.net>");
    });
}

#[test]
fn what_stands_in_the_queue_file() {
    let (delivered, log) = deliver_to(rules(true), &RECIPIENTS, b"Subject: partial\n\nno end");
    assert_output(&delivered, "r\0r\0DSMTP cannot transfer messages with partial final lines. (#5.6.2)\n\0");
    assert!(log.messages.is_empty());
    for message in [&b""[..], b"\n", b"Subject: no body\n", b".\n..\n.x\n\n.\n", b"\xff\0\x80\n"] {
        let (delivered, log) = deliver_to(rules(true), &RECIPIENTS, message);
        assert_eq!((delivered.letters().as_str(), log.messages[0].content.as_slice()), ("rrK", message));
    }
    // A bare CR is a line's end, and a dot behind it is doubled: no receiver sees the end of the message there.
    let (delivered, log) = deliver_to(rules(true), &RECIPIENTS, b"a\r.\r\nb\r.\rQUIT\r\n");
    assert_eq!(delivered.letters(), "rrK");
    assert_eq!(log.messages[0].raw, b"a\r\n..\r\nb\r\n..\r\nQUIT\r\n.\r\n");
}

/// An address must not be able to speak SMTP, and is refused before there is a connection.
#[test]
fn addresses() {
    let refused = |sender: &str, recipient: &str, says: &str| {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let home = Home::with_route(&format!("127.0.0.1:{}", listener.local_addr().unwrap().port()));
        let delivered = home.deliver(sender, &[recipient], MESSAGE);
        assert_eq!(delivered.letters(), "D", "{sender:?} {recipient:?}");
        assert!(delivered.verdict().contains(says), "{:?}", delivered.verdict());
        listener.set_nonblocking(true).unwrap();
        assert!(listener.accept().is_err(), "there was a connection");
    };
    refused("a\nRSET@example.net", "one@example.org", "The sender address contains a control character.");
    refused("a@example.net\r\nDATA", "one@example.org", "The sender address contains a control character.");
    refused("a@example.net", "one\x01@example.org", "The recipient address contains a control character.");
    refused("a@example.net", "one@example.org> X", "The recipient address has a blank or an angle bracket");
    for (sender, line) in [("", "MAIL FROM:<>"), ("#@[]", "MAIL FROM:<#@[]>"), ("a b@c", "MAIL FROM:<\"a b\"@c>")] {
        let server = Server::start(rules(true));
        let home = Home::with_route(&format!("127.0.0.1:{}", server.port()));
        assert_eq!(home.deliver(sender, &["one@example.org"], MESSAGE).letters(), "rK");
        assert!(server.finish().saw(line), "{line}");
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
