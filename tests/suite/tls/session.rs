//! SMTP over TLS: what is said in clear before it and forgotten, how octets travel in records, how it ends.

use crate::support::certificate::Authority;
use crate::support::login::assert_no_secret;
use crate::support::server::{Action, Event, Log, Rules, Server, Tls};
use crate::support::{Delivered, Home, run};
use rustls::version::{TLS12, TLS13};
use std::fs;
use std::process::Command;
use std::thread::sleep;
use std::time::{Duration, Instant};

const MESSAGE: &[u8] = b"Subject: session\n\nhello\n";

/// A relay with a certificate that verifies, and the CA for it.
struct Relay {
    ca: Authority,
    tls: Tls,
}

impl Relay {
    fn new() -> Relay {
        let ca = Authority::new("My CA");
        let identity = ca.issue(&["127.0.0.1"]);
        Relay { tls: Tls::of(&identity), ca }
    }

    fn rules(&self) -> Rules {
        Rules::over_tls(self.tls.clone())
    }

    fn home(&self, server: &Server, login: &str) -> Home {
        let home = Home::with_route(&format!("127.0.0.1:{} {login}", server.port()));
        home.control("tlscafile", "control/ca.pem");
        home.control("ca.pem", &self.ca.pem);
        home
    }

    fn deliver(&self, rules: Rules, message: &[u8]) -> (Delivered, Log) {
        let server = Server::start(rules);
        let home = self.home(&server, "myuser secretpass");
        (home.deliver("sender@example.net", &["recipient@example.org"], message), server.finish())
    }
}

/// The dialogue of one who believes nothing that was said in clear.
#[test]
fn what_was_learnt_in_clear_is_forgotten() {
    let relay = Relay::new();
    let expected =
        ["EHLO client.example.net", "STARTTLS", "EHLO client.example.net", "AUTH PLAIN AG15dXNlcgBzZWNyZXRwYXNz"];
    let (delivered, log) = relay.deliver(relay.rules(), MESSAGE);
    assert_eq!(delivered.letters(), "rK", "{delivered:?}");
    assert_eq!(log.commands()[..4], expected);
    assert_eq!(log.connections[0].server_name, None, "an IP address is no name to ask for");

    // AUTH was offered in clear only, PIPELINING was; and STARTTLS is offered again, over TLS.
    for (over_tls, letters) in [("250 STARTTLS", "Z"), ("250-STARTTLS\r\n250 AUTH PLAIN", "rK")] {
        let mut hellos = 0;
        let rules = relay.rules().hooked(move |event, _| match event {
            Event::Command(line) if line.starts_with("EHLO") => {
                hellos += 1;
                match hellos {
                    1 => Action::reply("250-a\r\n250-STARTTLS\r\n250-PIPELINING\r\n250 AUTH CRAM-MD5 PLAIN"),
                    _ => Action::reply(format!("250-a\r\n{over_tls}")),
                }
            }
            _ => Action::Default,
        });
        let (delivered, log) = relay.deliver(rules, MESSAGE);
        assert_eq!(delivered.letters(), letters, "{delivered:?}");
        assert_eq!((log.count("STARTTLS"), log.count("EHLO")), (1, 2));
        match letters {
            "Z" => {
                assert!(delivered.verdict().contains("the relay offers no AUTH here"), "{delivered:?}");
                assert!(!log.saw("AUTH") && !log.saw("MAIL"), "{:?}", log.commands());
            }
            // One by one: no PIPELINING.
            _ => assert_eq!(
                log.commands()[4..7],
                ["MAIL FROM:<sender@example.net>", "RCPT TO:<recipient@example.org>", "DATA"]
            ),
        }
    }
}

#[test]
fn mechanisms_over_tls() {
    let relay = Relay::new();
    for (offered, mechanisms, expected) in [
        ("AUTH CRAM-MD5 LOGIN PLAIN", None, "PLAIN"),
        ("AUTH CRAM-MD5 LOGIN", None, "LOGIN"),
        ("AUTH CRAM-MD5 EXTERNAL", None, "CRAM-MD5"),
        ("AUTH PLAIN LOGIN CRAM-MD5", Some("CRAM-MD5 PLAIN"), "CRAM-MD5"),
        ("AUTH PLAIN LOGIN CRAM-MD5", Some("EXTERNAL LOGIN"), "LOGIN"),
    ] {
        let server = Server::start(Rules { tls: Some(relay.tls.clone()), ..Rules::offering(&[offered]) });
        let home = relay.home(&server, "myuser secretpass");
        if let Some(names) = mechanisms {
            home.control("relays/127.0.0.1/mechanisms", names);
        }
        let delivered = home.deliver("sender@example.net", &["recipient@example.org"], MESSAGE);
        let (log, line) = (server.finish(), format!("cert=verified auth={expected} user=myuser\n"));
        assert_eq!(log.logins(), [format!("{expected} myuser")], "{offered}: {delivered:?}");
        assert!(delivered.verdict().ends_with(&line), "{offered}: {delivered:?}");
    }
    // A user with blanks stands last in the line, whole.
    let server = Server::start(relay.rules().login("my user", "pass"));
    let home = relay.home(&server, "");
    home.control("relays/127.0.0.1/user", "my user");
    home.control("relays/127.0.0.1/password", "pass");
    let delivered = home.deliver("sender@example.net", &["recipient@example.org"], MESSAGE);
    assert!(delivered.verdict().ends_with("auth=PLAIN user=my user\n"), "{delivered:?}");
    server.finish();
}

/// Each version, one octet in each record, certificates with either kind of key.
#[test]
fn versions_and_records() {
    let ca = Authority::new("My CA");
    for identity in [ca.issue(&["127.0.0.1"]), ca.issue_rsa(&["127.0.0.1"])] {
        for (version, name) in [(&TLS12, "TLSv1.2"), (&TLS13, "TLSv1.3")] {
            let whole = Tls::with(&[version], None, vec![identity.der.clone()], identity.key());
            let Tls::Handshake(config) = whole.clone() else { panic!() };
            for tls in [whole, Tls::OctetByOctet(config)] {
                let relay = Relay { ca: Authority::new("unused"), tls };
                let server = Server::start(relay.rules());
                let home = relay.home(&server, "myuser secretpass");
                home.control("ca.pem", &ca.pem);
                let delivered = home.deliver("sender@example.net", &["a@example.org", "b@example.org"], MESSAGE);
                assert_eq!(delivered.letters(), "rrK", "{delivered:?}");
                let line = format!("tls={name} cert=verified auth=PLAIN user=myuser\n");
                assert!(delivered.verdict().ends_with(&line), "{delivered:?}");
                assert_eq!(server.finish().messages[0].content, MESSAGE);
            }
        }
    }
}

/// The server reads 64 KiB in the first second, and then as it can.
#[test]
fn ten_mebibytes_to_a_slow_reader() {
    let relay = Relay::new();
    let mut start = None;
    let rules = relay.rules().hooked(move |event, _| {
        if let Event::Data(_) = event {
            // Every 16 KiB; the slowness is what is tested.
            if start.get_or_insert_with(Instant::now).elapsed() < Duration::from_secs(1) {
                sleep(Duration::from_millis(250));
            }
        }
        Action::Default
    });
    let message = b"sixty-four octets of a long message, with its end of line, now.\n".repeat(10 << 14);
    let (delivered, log) = relay.deliver(rules, &message);
    assert_eq!(delivered.letters(), "rK", "{delivered:?}");
    assert!(log.messages[0].content == message, "{} octets", log.messages[0].content.len());
}

/// Most servers close without close_notify. The final 250 counts, with PIPELINING and without.
#[test]
fn no_close_notify() {
    let relay = Relay::new();
    for ehlo in [&["PIPELINING", "AUTH PLAIN"][..], &["AUTH PLAIN"]] {
        for action in [Action::reply_and_drop as fn(&'static str) -> Action, Action::reply_and_close] {
            let rules = Rules { tls: Some(relay.tls.clone()), ..Rules::offering(ehlo) };
            let rules = rules.hooked(move |event, _| match event {
                Event::Dot => action("250 2.0.0 taken"),
                _ => Action::Default,
            });
            let (delivered, _) = relay.deliver(rules, MESSAGE);
            assert_eq!(delivered.letters(), "rK", "{delivered:?}");
        }
        for (at, says) in
            [(".", "connection died. Possible duplicate! (#4.4.2)"), ("DATA", "connection died. (#4.4.2)")]
        {
            let rules = Rules { tls: Some(relay.tls.clone()), ..Rules::offering(ehlo) };
            let rules = rules.hooked(move |event, _| if event.text() == at { Action::Close } else { Action::Default });
            let (delivered, _) = relay.deliver(rules, MESSAGE);
            assert!(delivered.verdict().starts_with('Z') && delivered.verdict().contains(says), "{delivered:?}");
        }
    }
}

/// A relay that closes on a login: the next connection is over TLS again.
#[test]
fn a_second_connection() {
    let relay = Relay::new();
    let rules = relay.rules().hooked(|event, session| match event {
        Event::Command(line) if line.starts_with("AUTH PLAIN") && session.connection == 0 => Action::Close,
        _ => Action::Default,
    });
    let (delivered, log) = relay.deliver(rules, MESSAGE);
    assert_eq!(delivered.letters(), "rK", "{delivered:?}");
    assert_eq!(log.logins(), ["LOGIN myuser"]);
    for connection in &log.connections {
        assert_eq!(connection.tls.as_deref(), Some("TLSv1_3"));
    }
    // Secrets are masked as they are in clear.
    let rules = relay.rules().answering(&[("AUTH", "535 no AG15dXNlcgBzZWNyZXRwYXNz")]);
    let (delivered, _) = relay.deliver(rules, MESSAGE);
    assert!(delivered.verdict().contains("535 no <secret>"), "{delivered:?}");
    assert_no_secret("refused", &delivered.verdict());
}

/// The CAs are read where a certificate is to be verified, once, and nowhere else.
#[test]
fn files_opened() {
    let relay = Relay::new();
    let open = || Rules { auth_required: false, ..Rules::default() };
    for (case, rules, login, reads) in [
        ("no TLS", open(), "", 0),
        ("TLS that is not verified", Rules { auth_required: false, ..relay.rules() }, "", 0),
        ("a login in clear", Rules::default(), "myuser secretpass", 0),
        ("a login over TLS", relay.rules(), "myuser secretpass", 1),
    ] {
        let server = Server::start(rules);
        let home = relay.home(&server, login);
        let trace = home.path().join("trace");
        let command = home.command("sender@example.net", &["one@example.org"]);
        let mut strace = Command::new("strace");
        strace.arg("-o").arg(&trace).args(["-e", "trace=open,openat,openat2"]);
        strace.arg(command.get_program()).args(command.get_args()).env_clear().env("QMAILHOME", home.path());
        strace.env("PATH", "/usr/bin:/bin");
        assert_eq!(run(strace, MESSAGE).letters(), "rK", "{case}");
        server.finish();
        let calls = fs::read_to_string(trace).unwrap();
        assert_eq!(calls.matches("/control/ca.pem\"").count(), reads, "{case}: {calls}");
        assert!(!calls.contains("/etc/ssl") && !calls.contains("ca-certificates"), "{case}: {calls}");
        assert!(calls.contains("/control/smtproutes\""), "{case}: {calls}");
    }
}
