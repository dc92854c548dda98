//! What is sent of a token, and in which form.

use super::{JSON, Relay, account, deliver, store};
use crate::support::Home;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use std::fs;

#[test]
fn xoauth2_before_oauthbearer_and_never_both() {
    for (auth, mechanism, end) in [
        ("AUTH LOGIN PLAIN XOAUTH2 PLAIN-CLIENTTOKEN OAUTHBEARER XOAUTH", "XOAUTH2", r#"end """#),
        ("AUTH OAUTHBEARER XOAUTH2", "XOAUTH2", r#"end """#),
        ("AUTH LOGIN OAUTHBEARER", "OAUTHBEARER", r#"end "AQ==""#),
    ] {
        let relay = Relay::offering(auth, "535 5.7.8 no", &["secret-1"]);
        let home = relay.home();
        store(&home, "secret-1", 10, 3000);
        let delivered = deliver(&home);
        assert_eq!(delivered.letters(), "rK");
        assert!(delivered.verdict().ends_with(&format!(" auth={mechanism} user=me@example.com\n")));
        assert_eq!(relay.heard(), format!("CONNECT, {mechanism}, secret-1"));
        // What the relay says of a bad one stands in the report.
        store(&home, "secret-2", 10, 3000);
        let delivered = deliver(&home);
        assert_eq!(
            (delivered.letters(), relay.heard()),
            ("Z".into(), format!("CONNECT, {mechanism}, secret-2, {end}"))
        );
        let verdict = delivered.verdict();
        assert!(
            verdict.contains(&format!("; tried {mechanism} (it said {JSON}; 535); the relay refused the access token")),
            "{verdict}"
        );
        assert!(verdict.contains("\nRemote host said: 535 5.7.8 no\n"), "{verdict}");
    }
}

#[test]
fn neither_is_offered() {
    let relay = Relay::offering("AUTH PLAIN LOGIN", "", &[]);
    let home = relay.home();
    store(&home, "secret-1", 10, 3000);
    let verdict = deliver(&home).verdict();
    assert!(
        verdict.starts_with("ZConnected to 127.0.0.1 but login failed as me@example.com at 127.0.0.1:"),
        "{verdict}"
    );
    assert!(verdict.contains("offered PLAIN, LOGIN; tried nothing; none of what the relay offers can be used; usable would be: XOAUTH2, OAUTHBEARER"), "{verdict}");
    assert_eq!(relay.heard(), "CONNECT");
}

/// 512 octets with CRLF are the longest line (RFC 5321 section 4.5.3.1.4). Postfix would cut a longer one and refuse what is left.
#[test]
fn the_initial_response_only_in_a_short_line() {
    // "AUTH XOAUTH2 " and CRLF leave 497 octets, which is base64 of up to 372: user=me@example.com^Aauth=Bearer T^A^A has 34 besides.
    for (length, is_long) in [(338, false), (339, true), (2000, true), (8000, true)] {
        let token = format!("secret-{}", "x".repeat(length - 7));
        let relay = Relay::start(&[&token]);
        let home = relay.home();
        store(&home, &token, 10, 3000);
        assert_eq!(deliver(&home).letters(), "rK");
        assert_eq!(relay.heard(), format!("CONNECT, XOAUTH2, {token}"));
        let commands = relay.server.finish().commands().join("\n");
        let line = commands.lines().find(|line| line.starts_with("AUTH")).unwrap();
        if is_long {
            assert_eq!(line, "AUTH XOAUTH2");
        } else {
            assert!(line.len() <= 510, "{}", line.len());
            assert_eq!(line.split(' ').count(), 3);
        }
    }
}

/// Whatever the code is, the token does not go out again in the other form.
#[test]
fn no_other_form() {
    for refusal in ["535 5.7.8 no", "500 5.5.2 line too long", "501 5.5.4 no", "504 5.5.4 no", "555 5.5.2 syntax error"]
    {
        let relay = Relay::offering("AUTH XOAUTH2 OAUTHBEARER", refusal, &[]);
        let home = relay.home();
        store(&home, "secret-1", 10, 3000);
        assert_eq!(deliver(&home).letters(), "Z");
        assert_eq!(relay.heard(), r#"CONNECT, XOAUTH2, secret-1, end """#);
    }
}

/// With one of these a token is shown as a password is: RFC 7628 has a comma in front of what the user may have one in.
#[test]
fn the_message() {
    let relay = Relay::offering("AUTH OAUTHBEARER", "", &["secret-1"]);
    let port = relay.server.port();
    let home = relay.home();
    home.control("relays/127.0.0.1/user", "a,b=c\n");
    let message = |line: &str| {
        let base64 = line.split(' ').nth(2).unwrap().to_owned();
        String::from_utf8(STANDARD.decode(base64).unwrap()).unwrap()
    };
    move_to(&home, "a%2Cb%3Dc");
    assert_eq!(deliver(&home).letters(), "rK");
    let commands = relay.server.finish().commands().join("\n");
    let line = commands.lines().find(|line| line.starts_with("AUTH")).unwrap();
    assert_eq!(
        message(line),
        format!("n,a=a=2Cb=3Dc,\x01host=127.0.0.1\x01port={port}\x01auth=Bearer secret-1\x01\x01")
    );
}

/// A token of another user, in the directory of this name.
fn move_to(home: &Home, name: &str) {
    store(home, "secret-1", 10, 3000);
    fs::rename(account(home), account(home).with_file_name(name)).unwrap();
}

/// The relay repeats what it got, decoded and not.
#[test]
fn what_is_repeated_is_masked() {
    use crate::support::server::{Action, Event, Rules, Server};
    let rules = Rules::offering(&["AUTH XOAUTH2"]).hooked(|event, _| match event {
        Event::Command(line) if line.starts_with("AUTH ") => {
            let base64 = line.split(' ').nth(2).unwrap();
            let message = String::from_utf8(STANDARD.decode(base64).unwrap()).unwrap();
            let json = format!(r#"{{"you":"{}","base64":"{base64}"}}"#, message.replace('\x01', " "));
            Action::reply(format!("334 {}", STANDARD.encode(json)))
        }
        Event::Answer { .. } => Action::reply(
            "535-no secret-1 for you: dXNlcj1tZUBleGFtcGxlLmNvbQFhdXRoPUJlYXJlciBzZWNyZXQtMQEB\r\n535 SECRET-\r\n",
        ),
        _ => Action::Default,
    });
    let server = Server::start(rules);
    let home = Home::with_route(&format!("127.0.0.1:{}", server.port()));
    home.control("relays/127.0.0.1/user", "me@example.com\n");
    home.control("relays/127.0.0.1/oauth/command", "/bin/echo secret-1\n");
    let verdict = deliver(&home).verdict();
    assert!(
        verdict.contains(r#"it said {"you":"user=me@example.com auth=Bearer <secret>  ","base64":"<secret>"}; 535"#),
        "{verdict}"
    );
    assert!(verdict.contains("\nRemote host said: 535-no <secret> for you: <secret>\n535 SECRET-\n"), "{verdict}");
    server.finish();
}

/// `may`: nothing that shows the token goes out without TLS that verifies.
#[test]
fn only_where_any_mechanism_may_be_used() {
    let relay = Relay::start(&["secret-1"]);
    let home = relay.home();
    store(&home, "secret-1", 10, 3000);
    home.control("relays/127.0.0.1/tls", "may\n");
    let delivered = deliver(&home);
    assert_eq!((delivered.letters(), relay.heard()), ("Z".into(), "CONNECT".into()));
    home.control("relays/127.0.0.1/user", "-me@example.com\n"); // as for a password
    assert_eq!(deliver(&home).letters(), "rK");
}
