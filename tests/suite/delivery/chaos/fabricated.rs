//! The checker sees what it is there for, in runs that are made up.

use super::check::{Outcome, check};
use super::plan::{Login, Plan};
use super::wire::{Chunk, Record, Wire};
use std::io::Write;
use std::net::{TcpListener, TcpStream};
use std::os::unix::process::ExitStatusExt;
use std::process::ExitStatus;
use std::time::Duration;

const WELL: &[(&str, &str)] = &[
    ("", "220 relay\r\n"),
    ("EHLO client\r\n", "250-relay\r\n250 AUTH PLAIN\r\n"),
    ("MAIL FROM:<sender@example.net>\r\n", "250 ok\r\n"),
    ("RCPT TO:<one@example.org>\r\n", "250 ok\r\n"),
    ("RCPT TO:<two@example.org>\r\n", "550 no\r\n"),
    ("DATA\r\n", "354 go\r\n"),
    ("..a dot\r\nand more\r\n.\r\n", "250 queued\r\n"),
    ("QUIT\r\n", "221 bye\r\n"),
];
const LOGIN: (&str, &str) = ("AUTH PLAIN AG15dXNlcgBzZWNyZXRwYXNz\r\n", "235 ok\r\n");

/// A run without chaos and without a login.
fn plan() -> Plan {
    Plan {
        loopback: false,
        port_465: false,
        policy: None,
        login: Login::None,
        trusted: true,
        recipients: vec!["one@example.org".into(), "two@example.org".into()],
        message: b".a dot\nand more\n".into(),
        orderly: false,
        silences: false,
        ..Plan::new(0)
    }
}

/// The client said the first, then the server the second.
fn record(dialogue: &[(&str, &str)]) -> Record {
    let mut record = Record::default();
    for (line, reply) in dialogue {
        record.heard.extend(line.bytes());
        record.said.push(Chunk { octets: reply.bytes().collect(), heard: record.heard.len(), whole: true });
    }
    record
}

/// The good dialogue with another line, or another reply, in the place of this one.
fn with(number: usize, line: Option<&'static str>, reply: &'static str) -> Vec<(&'static str, &'static str)> {
    let mut dialogue = WELL.to_vec();
    dialogue[number] = (line.unwrap_or(dialogue[number].0), reply);
    dialogue
}

fn outcome(stdout: &str) -> Outcome {
    Outcome { status: ExitStatus::from_raw(0), stdout: stdout.into(), stderr: Vec::new(), elapsed: Duration::ZERO }
}

fn judge(plan: &Plan, dialogue: &[(&str, &str)], stdout: &str) -> Result<String, String> {
    check(plan, &[record(dialogue)], &outcome(stdout)).map(|summary| summary.letters)
}

fn holds(dialogue: &[(&str, &str)], stdout: &str) {
    judge(&plan(), dialogue, stdout).unwrap();
}

fn fails(dialogue: &[(&str, &str)], stdout: &str, why: &str) {
    let found = judge(&plan(), dialogue, stdout).unwrap_err();
    assert!(found.contains(why), "{found:?} and not {why:?}");
}

const REPORT: &str = "r\0hno\0Kyes\0";

#[test]
fn lost_mail_is_seen() {
    holds(WELL, REPORT);
    fails(&WELL[..2], "Kyes\0", "no message was asked for");
    fails(&with(6, None, "451 later\r\n"), REPORT, "K, and the reply to the message was Some(451)");
    fails(&with(6, None, "550 no\r\n"), REPORT, "K, and the reply to the message was Some(550)");
    fails(&with(6, None, "250-queued\r\n"), REPORT, "K, and the reply to the message was None");
    fails(&with(6, None, "hello\r\n250 queued\r\n"), REPORT, "K, and the reply to the message was None");
    fails(&with(3, None, "450 later\r\n"), REPORT, "r for recipient 0");
    fails(&with(3, Some("RCPT TO:<three@example.org>\r\n"), "250 ok\r\n"), REPORT, "is not recipient 0");
    fails(&with(2, None, "450 later\r\n"), REPORT, "MAIL was not accepted");
    // The server spoke of the message before it had it: in one piece with the 354 that answers nothing.
    let mut early = with(5, None, "354 go\r\n250 queued\r\n");
    early[6].1 = "";
    fails(&early, REPORT, "K, and the reply to the message was None");
    // A message that is not ours, one with a bare LF, one that does not end.
    for message in
        ["..a dot\r\nand mor\r\n.\r\n", "..a dot\r\n.\r\n", "..a dot\nand more\r\n.\r\n", ".a dot\r\nand more\r\n.\r\n"]
    {
        fails(&with(6, Some(message), "250 queued\r\n"), REPORT, "the message is another");
    }
    let cut = with(6, Some("..a dot\r\nand more\r\n"), "250 queued\r\n");
    let cut = Record { heard_all: true, ..record(&cut[..7]) };
    assert!(check(&plan(), &[cut], &outcome(REPORT)).unwrap_err().contains("never came to its end"));
    // Sent on two connections.
    let twice = [record(WELL), record(WELL)];
    assert!(check(&plan(), &twice, &outcome(REPORT)).unwrap_err().contains("another connection after MAIL"));
}

#[test]
fn false_bounces_are_seen() {
    for (number, letters) in [(2, ""), (5, "r\0hno\0"), (6, "r\0hno\0")] {
        for (reply, is_final) in [
            ("550 no\r\n", true),
            ("451 later\r\n", false),
            ("250 ok\r\n", false),
            ("530 log in\r\n", false),
            ("550-5.7.30 off\r\n550 no\r\n", false),
            ("550 no", false),
            ("", false),
        ] {
            let end = if number == 6 { 7 } else { number + 1 };
            let dialogue = &with(number, None, reply)[..end];
            match is_final {
                true => holds(dialogue, &format!("{letters}Dno\0")),
                false => fails(dialogue, &format!("{letters}Dno\0"), "refused nothing for good"),
            }
        }
    }
    fails(&with(4, None, "450 later\r\n"), REPORT, "h for recipient 1");
    fails(&with(4, None, "535 log in\r\n"), REPORT, "h for recipient 1");
    fails(&with(0, None, "554 no\r\n")[..1], "Dno\0", "refused nothing for good");
    let refused = with(3, None, "550 no\r\n");
    holds(&refused[..5], "hno\0hno\0Dno\0");
    fails(&refused[..5], "hno\0Dno\0", "refused nothing for good");
    fails(&with(2, None, "550 no\r\n")[..3], "hno\0hno\0Dno\0", "MAIL was not accepted");
    // Where the server says all in its place, a mail that it took must not wait, nor one that it refused.
    let orderly = Plan { orderly: true, ..plan() };
    assert_eq!(judge(&orderly, WELL, REPORT).unwrap(), "rhK");
    assert!(judge(&orderly, WELL, "r\0hno\0Zlater\0").unwrap_err().contains("say rhK"));
    assert!(judge(&orderly, &with(2, None, "550 no\r\n")[..3], "Zlater\0").unwrap_err().contains("say D"));
}

#[test]
fn unsound_output_is_seen() {
    for (stdout, why) in [
        ("", "no NUL"),
        ("r\0hno\0Kyes", "no NUL"),
        ("r\0hno\0", "one message report"),
        ("r\0hno\0Kyes\0Dno\0", "one message report"),
        ("Kyes\0r\0", "one message report"),
        ("r\0\0Kyes\0", "one message report"),
        ("r\0hno\0s\0Kyes\0", "for 2 recipients"),
    ] {
        fails(WELL, stdout, why);
    }
    let fails = |outcome, why: &str| assert!(check(&plan(), &[record(WELL)], &outcome).unwrap_err().contains(why));
    fails(Outcome { status: ExitStatus::from_raw(6), ..outcome(REPORT) }, "it ended with signal: 6");
    fails(Outcome { status: ExitStatus::from_raw(101 << 8), ..outcome(REPORT) }, "it ended with exit status: 101");
    fails(Outcome { stderr: b"panicked".into(), ..outcome(REPORT) }, "descriptor 2");
}

#[test]
fn secrets_are_seen() {
    let mut logged_in = WELL.to_vec();
    logged_in.insert(2, LOGIN);
    let login = |login, policy, loopback| Plan { login, policy, loopback, ..plan() };
    for (plan, allowed) in [
        (login(Login::Plain, None, false), false),
        (login(Login::Plain, None, true), true),
        (login(Login::InClear, None, false), true),
        (login(Login::Plain, Some("may"), true), false),
        (login(Login::InClear, Some("may"), false), true),
        (login(Login::InClear, Some("none"), false), true),
        (login(Login::InClear, Some("encrypt"), true), false),
        (login(Login::InClear, Some("verify"), true), false),
    ] {
        assert_eq!(judge(&plan, &logged_in, REPORT).is_ok(), allowed, "{:?} {:?}", plan.login, plan.policy);
        // The same over TLS, from the octet behind the greeting on.
        let over_tls = |trusted| {
            let record = Record { tls_at: Some(0), ..record(&logged_in) };
            let plan = Plan { trusted, recipients: plan.recipients.clone(), message: plan.message.clone(), ..plan };
            check(&plan, &[record], &outcome(REPORT)).is_ok()
        };
        assert!(over_tls(true));
        assert_eq!(over_tls(false), plan.policy == Some("encrypt"), "{:?} {:?}", plan.login, plan.policy);
    }
    let plan = login(Login::Plain, None, true);
    assert!(judge(&plan, WELL, REPORT).unwrap_err().contains("MAIL without the login"));
    for secret in ["secretpass", "SECRETPASS", "c2VjcmV0cGFzcw==", "cgBzZWNy", "73656372657470617373"] {
        let stdout = format!("r\0hno\0Kyes, {secret}\0");
        assert!(judge(&plan, &logged_in, &stdout).unwrap_err().contains("is in the report"), "{secret}");
    }
    // In clear where there is TLS, at once or after it failed.
    let mut offered = logged_in.clone();
    offered[1].1 = "250-relay\r\n250-STARTTLS\r\n250 AUTH PLAIN\r\n";
    assert!(judge(&plan, &offered, REPORT).unwrap_err().contains("where TLS was to be had"));
    let again = |plan: &Plan| {
        let failed = record(&[WELL[0], offered[1], ("STARTTLS\r\n", "454 no\r\n")]);
        check(plan, &[failed, record(&logged_in)], &outcome(REPORT))
    };
    assert!(again(&plan).unwrap_err().contains("where TLS was to be had"));
    again(&Plan { login: Login::InClear, policy: Some("may"), ..self::plan() }).unwrap();
    // In clear where the mail itself must not go.
    let verify = login(Login::None, Some("verify"), true);
    assert!(judge(&verify, WELL, REPORT).unwrap_err().contains("where nothing may go out"));
}

/// A client that closes before it has read all resets the connection, and what its kernel had not yet sent never comes.
#[test]
fn a_reset_is_no_end_of_what_was_said() {
    for resets in [false, true] {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let mut client = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let (server, _) = listener.accept().unwrap();
        if resets {
            (&server).write_all(b"421 unread\r\n").unwrap();
            client.peek(&mut [0]).unwrap();
        }
        client.write_all(b"EHLO client\r\n").unwrap();
        drop(client);
        let mut wire = Wire::new(server, false);
        assert_eq!(wire.hear_out(), None);
        assert_eq!(wire.record.heard, b"EHLO client\r\n");
        assert_eq!(wire.record.heard_all, !resets);
    }
}
