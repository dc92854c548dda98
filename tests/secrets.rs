//! A relay that repeats what it was told: nothing of it stands in a report.

mod support;

use support::Home;
use support::login::{MESSAGE, assert_deferred, assert_no_secret, assert_not_repeated, deliver, repeating_the_login};
use support::server::{Action, Event, Rules, Server};

#[test]
fn a_server_that_echoes_the_secret_later() {
    // Cut into lines of seven, in a reply to RCPT, and behind stock's limit of 5000 octets.
    let folded = |reply: &str| "AG15dXN\nlcgBzZW\nNyZXRwY\nXNz secretp\nass".replace('\n', &format!("\r\n{reply}-"));
    for (event, reply) in [("MAIL", "550"), ("RCPT", "550"), ("RCPT", "450"), ("DATA", "451"), (".", "554")] {
        let said = format!("{reply}-{}\r\n{reply} end", folded(reply));
        let rules = Rules::offering(&["AUTH PLAIN"]).answering(&[(event, &said)]);
        let (delivered, log) = deliver(rules);
        assert!(log.saw("MAIL"));
        let output = String::from_utf8_lossy(&delivered.stdout).replace(&format!("\n{reply}-"), "");
        assert!(output.contains("<secret>"), "{event}: {output}");
        assert_no_secret(event, &output);
    }
    let long = format!("550-{}\r\n550-secretpass\r\n550 end", "x".repeat(4985));
    let (delivered, _) = deliver(Rules::default().answering(&[(".", &long)]));
    let verdict = delivered.verdict();
    assert!(verdict.len() < 5100 && verdict.ends_with("550-<secre\n"), "{}: {verdict}", verdict.len());
    // A hostile server offers as mechanisms what it was told before.
    let rules = Rules::default().hooked(|event, session| match event {
        Event::Command(line) if line.starts_with("EHLO") && session.connection == 1 => {
            Action::reply("250-a\r\n250 AUTH SECRETPASS AG15DXNLCGBZZWNYZX X")
        }
        Event::Command(line) if line.starts_with("AUTH") => Action::reply("535 no"),
        _ => Action::Default,
    });
    assert_deferred("offered", rules, &["offered <secret>, <secret>, X;"]);
}

#[test]
fn a_password_with_a_cr() {
    let server = Server::start(Rules::default().hooked(|event, _| match event {
        Event::Command(line) if line.starts_with("AUTH") => Action::reply("535 no secretpass\r of mine"),
        _ => Action::Default,
    }));
    let home = Home::with_route(&format!("127.0.0.1:{}", server.port()));
    home.control("relays/127.0.0.1/user", "myuser\n");
    home.control("relays/127.0.0.1/password", "secretpass\r\n");
    let verdict = home.deliver("sender@example.net", &["recipient@example.org"], MESSAGE).verdict();
    assert!(verdict.contains("535 no <secret> of mine"), "{verdict}");
}

/// From a login before, and repeats it in a form that is not sent now.
#[test]
fn a_server_that_knows_the_secret() {
    for (case, table) in [
        ("before anything is sent", &[("CONNECT", "554 AG15dXNlcgBzZWNyZXRwYXNz")][..]),
        ("LOGIN's form after PLAIN", &[("AUTH PLAIN", "535 c2VjcmV0cGFzcw=="), ("AUTH LOGIN", "535 c2VjcmV0cGFzcw==")]),
        (
            "a tab behind the code",
            &[("AUTH PLAIN", "535-secret\r\n535\tpass"), ("AUTH LOGIN", "535-secret\r\n535\tpass")],
        ),
    ] {
        assert_deferred(case, Rules::offering(&["AUTH PLAIN LOGIN"]).answering(table), &["<secret>"]);
    }
}

#[test]
fn a_server_that_echoes_the_secret() {
    for mechanism in ["PLAIN", "LOGIN", "CRAM-MD5"] {
        let (delivered, log) = deliver(repeating_the_login(mechanism));
        let verdict = delivered.verdict();
        assert!(verdict.starts_with('Z') && !log.saw("MAIL"), "{mechanism}");
        assert!(verdict.contains("535-you said") && verdict.contains("password <secret>"), "{verdict}");
        assert_not_repeated(mechanism, &log, &verdict);
    }
}
