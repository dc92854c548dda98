//! What MAIL says besides the sender: SIZE, BODY=8BITMIME and SMTPUTF8, when the server offers them and they are true.

use crate::support::Home;
use crate::support::server::{Rules, Server};
use std::io::Write;
use std::process::{Command, Stdio};

fn rules(offered: &[&str]) -> Rules {
    Rules { auth_required: false, ..Rules::offering(offered) }
}

/// The MAIL line that one delivery sends, or nothing; and the report.
fn mail_line(offered: &[&str], sender: &str, recipient: &str, message: &[u8]) -> (String, String) {
    let server = Server::start(rules(offered));
    let home = Home::with_route(&format!("127.0.0.1:{}", server.port()));
    let delivered = home.deliver(sender, &[recipient], message);
    let commands = server.finish().commands();
    let mail = commands.iter().find(|command| command.starts_with("MAIL")).map(|command| command.to_string());
    (mail.unwrap_or_default(), delivered.verdict())
}

#[test]
fn size_and_body() {
    const PLAIN: &[u8] = b"Subject: x\n\n.dots\n..\nbare \r CR\n";
    const EIGHT_BIT: &[u8] = b"Subject: x\n\n\xfcber\n";
    for (offered, message, expected) in [
        (&["PIPELINING"][..], PLAIN, ""),
        (&["SIZE"], PLAIN, " SIZE=37"),
        (&["SIZE 1"], PLAIN, " SIZE=37"), // it may be less strict than it says
        (&["size 0"], PLAIN, " SIZE=37"),
        (&["8BITMIME"], PLAIN, ""),
        (&["8BITMIME", "SIZE"], PLAIN, " SIZE=37"),
        (&["8BITMIME", "SIZE"], EIGHT_BIT, " SIZE=20 BODY=8BITMIME"),
        (&["8BITMIME"], EIGHT_BIT, " BODY=8BITMIME"),
        (&["SIZE"], EIGHT_BIT, " SIZE=20"),
        (&[], EIGHT_BIT, ""),
        (&["SIZES", "8BITMIMEX", "XSIZE"], EIGHT_BIT, ""),
        (&["SIZE"], b"", " SIZE=0"),
    ] {
        let (mail, verdict) = mail_line(offered, "a@example.net", "b@example.org", message);
        assert_eq!(mail, format!("MAIL FROM:<a@example.net>{expected}"), "{offered:?}");
        assert!(verdict.starts_with('K'), "{offered:?}: {verdict}");
    }
    // A last line without an end is counted and not delivered.
    let (mail, verdict) = mail_line(&["SIZE"], "a@example.net", "b@example.org", b"partial");
    assert_eq!(mail, "MAIL FROM:<a@example.net> SIZE=7");
    assert!(verdict.starts_with("DSMTP cannot transfer messages with partial final lines. (#5.6.2)"), "{verdict}");
}

/// A message on a pipe or a device, which may have no end, is sent unmeasured; one that was read in part already is measured and sent from there.
#[test]
fn messages_that_are_no_whole_file() {
    let server = Server::start(rules(&["SIZE", "8BITMIME"]));
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

#[test]
fn addresses_beyond_ascii() {
    const HERE: &[&str] = &["SMTPUTF8", "8BITMIME"];
    for (sender, recipient, mail) in [
        ("j\u{fc}rgen@example.net", "b@example.org", "MAIL FROM:<\"j\u{fc}rgen\"@example.net> SMTPUTF8"),
        ("a@example.net", "\u{65e5}@example.org", "MAIL FROM:<a@example.net> SMTPUTF8"),
        ("a@b\u{fc}cher.example", "b@example.org", "MAIL FROM:<a@b\u{fc}cher.example> SMTPUTF8"),
        ("", "b@b\u{fc}cher.example", "MAIL FROM:<> SMTPUTF8"),
        ("a@example.net", "b@example.org", "MAIL FROM:<a@example.net>"),
    ] {
        let (line, verdict) = mail_line(HERE, sender, recipient, b"\n");
        assert_eq!(line, mail);
        assert!(verdict.starts_with('K'), "{verdict}");
        let (line, verdict) = mail_line(&["PIPELINING"], sender, recipient, b"\n");
        if mail.ends_with("SMTPUTF8") {
            assert_eq!(line, "");
            assert!(
                verdict.starts_with("DConnected to 127.0.0.1 but it takes no non-ASCII addresses (no SMTPUTF8)"),
                "{verdict}"
            );
        } else {
            assert_eq!((&line[..], &verdict[..1]), (mail, "K"));
        }
    }
    // EHLO that is put off says nothing of what the server can do.
    for (reply, letter) in [("502 what?", "D"), ("451 later", "Z")] {
        let server = Server::start(rules(HERE).answering(&[("EHLO", reply)]));
        let home = Home::with_route(&format!("127.0.0.1:{}", server.port()));
        let verdict = home.deliver("\u{fc}@example.net", &["b@example.org"], b"\n").verdict();
        assert!(verdict.starts_with(letter) && verdict.contains("no SMTPUTF8"), "{verdict}");
        assert!(!server.finish().saw("MAIL"));
    }
}
