//! Logging in to servers that are odd: each sees a login and a delivery, or the report is Z and MAIL was never sent.

use crate::support::Home;
use crate::support::login::{MESSAGE, asking_for_the_user, assert_deferred, assert_delivered, deliver, deliver_by};
use crate::support::server::{Action, Event, Log, Rules, Server};

#[test]
fn the_story() {
    let log = assert_delivered("the provider's own line", Rules::offering(&["AUTH CRAM-MD5 PLAIN LOGIN"]), "CRAM-MD5");
    assert_eq!(log.commands()[1], "AUTH CRAM-MD5");
    let after_login: Vec<String> = log.commands().split_off(3);
    assert_eq!(after_login, ["MAIL FROM:<sender@example.net>", "RCPT TO:<recipient@example.org>", "DATA", "QUIT"]);
}

#[test]
fn what_servers_say_of_their_mechanisms() {
    let many: String = (0..200).map(|i| format!(" X-MECHANISM-{i:04}-XXX")).collect();
    let padded = format!("AUTH{}{many} PLAIN", " ".repeat(1900));
    assert!(padded.len() > 6000);
    for (case, lines, mechanism) in [
        ("AUTH= alone", &["AUTH=LOGIN"][..], "LOGIN"),
        ("lower case", &["auth plain login"], "PLAIN"),
        ("trailing blanks", &["AUTH LOGIN PLAIN   "], "PLAIN"),
        ("tabs", &["AUTH\tLOGIN\t\tPLAIN"], "PLAIN"),
        ("two lines", &["AUTH LOGIN", "AUTH CRAM-MD5"], "CRAM-MD5"),
        ("AUTH and AUTH=", &["AUTH", "AUTH=PLAIN"], "PLAIN"),
        ("200 mechanisms in 6 KB", &[&*padded], "PLAIN"),
        ("a decoy before", &["AUTHPLAIN CRAM-MD5", "AUTH LOGIN"], "LOGIN"),
        ("beginnings of names", &["AUTH PLAIN-CLIENTTOKEN CRAM-MD5-X SCRAM-SHA-256 LOGIN"], "LOGIN"),
        ("the provider's, pipelined", &["PIPELINING", "AUTH CRAM-MD5 PLAIN LOGIN"], "CRAM-MD5"),
    ] {
        assert_delivered(case, Rules::offering(lines), mechanism);
    }
    for (case, lines, says) in [
        ("a decoy alone", &["AUTHPLAIN CRAM-MD5"][..], "offers no AUTH here"),
        ("no AUTH line", &["PIPELINING"], "offers no AUTH here"),
        ("an empty AUTH line", &["AUTH "], "offered nothing; tried nothing; none of what the relay offers can be used"),
        (
            "none usable",
            &["AUTH GSSAPI NTLM"],
            "offered GSSAPI, NTLM; tried nothing; none of what the relay offers can be",
        ),
    ] {
        let log = assert_deferred(case, Rules::offering(lines), &[says, "as myuser at 127.0.0.1:"]);
        assert_eq!(log.auth_tries(), 0, "{case}");
    }
    let helo_only = Rules { helo_only: true, ..Rules::default() };
    assert_deferred("HELO only", helo_only, &["offers no AUTH here"]);
}

#[test]
fn one_mechanism_refused_another_works() {
    for code in [
        "504 5.5.4 no such mechanism",
        "502 5.5.1 invalid input",
        "553 5.3.0 auth failure",
        "501 5.5.2 syntax",
        "500 5.5.1 unknown",
        "535 5.7.8 no",
        "534 5.7.9 too weak",
        "503 5.5.1 not now",
    ] {
        let rules = Rules::offering(&["AUTH PLAIN LOGIN"]).answering(&[("AUTH PLAIN", code)]);
        assert_delivered(code, rules, "LOGIN");
        for place in ["AUTH LOGIN", "ANSWER LOGIN"] {
            let rules = Rules::offering(&["AUTH LOGIN PLAIN"]).answering(&[(place, code)]);
            let home_order = assert_in_order(rules, "LOGIN PLAIN");
            assert_eq!(home_order.logins(), ["PLAIN myuser"], "{code} to {place}");
        }
    }
    for place in ["AUTH CRAM-MD5", "ANSWER CRAM-MD5"] {
        let rules = Rules::offering(&["AUTH CRAM-MD5 PLAIN LOGIN"]).answering(&[(place, "535 5.7.8 no")]);
        assert_delivered(place, rules, "PLAIN");
    }
    // A challenge that is no base64: the exchange is cancelled, and the next mechanism used.
    let rules = Rules::offering(&["AUTH CRAM-MD5 PLAIN"]).answering(&[("AUTH CRAM-MD5", "334 not base64!")]);
    let log = assert_delivered("challenge", rules, "PLAIN");
    assert_eq!(log.commands()[1..3], ["AUTH CRAM-MD5", "*"]);
}

/// A delivery with control/relays/HOST/mechanisms.
fn assert_in_order(rules: Rules, mechanisms: &str) -> Log {
    let server = Server::start(rules);
    let home = Home::with_route(&format!("127.0.0.1:{} myuser secretpass", server.port()));
    home.control("relays/127.0.0.1/mechanisms", format!("{mechanisms}\n"));
    let delivered = home.deliver("sender@example.net", &["recipient@example.org"], MESSAGE);
    assert_eq!(delivered.letters(), "rK", "{delivered:?}");
    server.finish()
}

#[test]
fn the_mechanisms_file_narrows_and_reorders() {
    let first = |mechanisms: &str| assert_in_order(Rules::default(), mechanisms).logins().remove(0);
    assert_eq!(first("LOGIN"), "LOGIN myuser");
    assert_eq!(first("plain cram-md5"), "PLAIN myuser");
    assert_eq!(first("SCRAM-SHA-256 LOGIN CRAM-MD5"), "LOGIN myuser");
}

/// Twisted's old server knows no initial response; some ignore it and ask again; LOGIN's prompts are anything.
#[test]
fn forms_of_the_exchange() {
    let bare_only = Rules::offering(&["AUTH PLAIN"]).answering(&[("AUTH PLAIN A", "501 5.5.2 no")]);
    let log = assert_delivered("no initial response", bare_only, "PLAIN");
    assert_eq!(log.commands()[1..4], ["AUTH PLAIN AG15dXNlcgBzZWNyZXRwYXNz", "AUTH PLAIN", "AG15dXNlcgBzZWNyZXRwYXNz"]);

    let ignores =
        Rules::offering(&["AUTH PLAIN"]).answering(&[("AUTH PLAIN", "334 "), ("ANSWER PLAIN AG15", "235 ok")]);
    let (delivered, log) = deliver(ignores);
    assert_eq!(delivered.letters(), "rK", "{:?}", log.commands());

    for prompt in
        ["334 ", "334", "334 Username:", "334 dxNlcm5hbWU6", "334 VXNlciBOYW1lAA==", "334 VXNlcm5hbWU6 9561591f"]
    {
        assert_delivered(prompt, asking_for_the_user(prompt), "LOGIN");
    }
    let long = "p".repeat(400);
    let server = Server::start(Rules::offering(&["AUTH PLAIN"]).login("myuser", &long));
    let (delivered, log) = deliver_by(server, &format!("myuser {long}"));
    assert_eq!(delivered.letters(), "rK");
    assert_eq!(log.commands()[1], "AUTH PLAIN"); // the line would pass 512 octets
}

#[test]
fn all_refused() {
    for (code, advice) in [
        ("535 5.7.8 Error: authentication failed", "check user and password in control/smtproutes line 1"),
        ("534 5.7.9 no", "check user and password in control/smtproutes line 1"),
        ("504 no", "the relay refused each way to log in"),
        ("501 no", "the relay refused each way to log in"),
    ] {
        let rules = Rules::default().answering(&[("AUTH", code), ("ANSWER", code)]);
        let log = assert_deferred(code, rules, &[&code[..3], "CRAM-MD5", advice]);
        assert!(log.auth_tries() <= 3, "{code}: {:?}", log.commands());
        assert!(log.connections.iter().all(|c| c.commands().iter().filter(|l| l.starts_with("AUTH")).count() <= 2));
    }
    // A password that was shown and refused is shown once more, and no more.
    let rules = Rules::offering(&["AUTH PLAIN LOGIN"]).answering(&[("AUTH PLAIN", "535 no"), ("ANSWER", "535 no")]);
    let log = assert_deferred("shown twice", rules, &["tried PLAIN (535), LOGIN (535)"]);
    assert_eq!(log.auth_tries(), 2);
}

#[test]
fn a_wrong_password_is_reported_at_once() {
    let rules = Rules::default().login("myuser", "another");
    let log =
        assert_deferred("wrong password", rules, &["535 5.7.8", "tried CRAM-MD5 (535), PLAIN (535), LOGIN (535)"]);
    assert_eq!(log.auth_tries(), 3);
}

#[test]
fn put_off() {
    for place in ["AUTH", "ANSWER"] {
        let rules = Rules::default().answering(&[(place, "454 4.7.0 Temporary authentication failure")]);
        let log = assert_deferred(place, rules, &["CRAM-MD5 (454)", "defers the login", "454 4.7.0 Temporary"]);
        assert_eq!(log.auth_tries(), 1, "a 4xx is not answered with another try");
    }
    let cancelled = [("AUTH CRAM-MD5", "334 not base64!"), ("ANSWER CRAM-MD5 *", "235 ok")];
    assert_deferred("235 to a cancelled login", Rules::default().answering(&cancelled), &["has no place in a login"]);
    let rules = Rules::default().answering(&[("AUTH", "250 what?")]);
    assert_deferred("2xx but 235", rules, &["has no place in a login"]);
}

#[test]
fn the_connection_closed_after_a_refusal() {
    // Kerio closes after failures; the next connection goes on with the next mechanism.
    let rules = Rules::default().hooked(|event, session| match event {
        Event::Answer { .. } if session.connection == 0 => Action::reply_and_close("535 5.7.8 no"),
        _ => Action::Default,
    });
    let (delivered, log) = deliver(rules);
    assert_eq!(delivered.letters(), "rK", "{delivered:?}");
    assert_eq!(log.connections.len(), 2);
    assert!(!log.connections[1].commands().contains(&"AUTH CRAM-MD5".to_owned()));

    let rules = Rules::default().hooked(|event, session| match event {
        Event::Command(line) if line.starts_with("AUTH") && session.connection == 0 => Action::Close,
        _ => Action::Default,
    });
    assert_delivered("closed without a word", rules, "PLAIN");

    let always = Rules::default().hooked(|event, _| match event {
        Event::Command(line) if line.starts_with("AUTH") => Action::reply_and_drop("535 5.7.8 no"),
        _ => Action::Default,
    });
    let log = assert_deferred("always closed", always, &["tried CRAM-MD5 (535), "]);
    assert!(log.auth_tries() <= 3 && log.connections.len() <= 2);
}

/// Credentials are configured and accepted, and yet: nothing bounces for trouble with the login.
#[test]
fn a_login_demanded_although_there_was_one() {
    for reply in [
        "530 5.7.0 Authentication required",
        "535 5.7.1 no",
        "534 5.7.9 no",
        "538 5.7.11 Encryption required",
        "550 5.7.30 Basic authentication is not supported for Client Submission.",
        "550-5.7.30 Basic authentication is not supported\r\n550 see https://example.org",
        "550  5.7.30 no",
    ] {
        let (delivered, _) = deliver(Rules::default().answering(&[("MAIL", reply)]));
        assert_eq!(delivered.letters(), "Z", "{reply}");
        assert!(delivered.verdict().contains("demands another login than that of myuser"), "{delivered:?}");
        let (delivered, _) = deliver(Rules::default().answering(&[("RCPT", reply)]));
        assert_eq!(delivered.letters(), "sD", "{reply}"); // qmail-rspawn's verdict is that of the letter: put off
        let (delivered, _) = deliver(Rules::default().answering(&[(".", reply)]));
        assert_eq!(delivered.letters(), "rZ", "{reply}");
        let (delivered, _) = deliver(Rules::default().answering(&[("DATA", reply)]));
        assert_eq!(delivered.letters(), "rZ", "{reply}");
    }
    let server = Server::start(Rules::default());
    let home = Home::with_route(&format!("127.0.0.1:{}", server.port()));
    let delivered = home.deliver("sender@example.net", &["recipient@example.org"], MESSAGE);
    assert_eq!(delivered.letters(), "Z");
    assert!(delivered.verdict().contains("it demands a login and none is configured for 127.0.0.1:"), "{delivered:?}");
}

/// The relay refuses, and is done with this connection: it says so at once, or when the next AUTH has come. That AUTH it
/// has not refused, so it is made again on the next connection.
#[test]
fn a_good_bye_after_a_refusal() {
    for (early, good_bye) in [
        (true, "421 4.7.0 too many errors"),
        (true, "221 bye"),
        (true, ""),
        (false, "421 4.7.0 too many errors"),
        (false, "221 bye"),
        (false, ""),
    ] {
        let rules = Rules::offering(&["AUTH CRAM-MD5 PLAIN"]).hooked(move |event, session| match event {
            _ if session.connection > 0 => Action::Default,
            Event::Answer { mechanism: "CRAM-MD5", .. } if early && good_bye.is_empty() => {
                Action::reply_and_close("535 5.7.8 no")
            }
            Event::Answer { mechanism: "CRAM-MD5", .. } if early => {
                Action::reply_and_close(format!("535 5.7.8 no\r\n{good_bye}"))
            }
            Event::Answer { mechanism: "CRAM-MD5", .. } => Action::reply("535 5.7.8 no"),
            Event::Command(line) if line.starts_with("AUTH PLAIN") && good_bye.is_empty() => Action::Close,
            Event::Command(line) if line.starts_with("AUTH PLAIN") => Action::reply_and_close(good_bye),
            _ => Action::Default,
        });
        let log = assert_delivered(good_bye, rules, "PLAIN");
        assert_eq!(log.connections.len(), 2, "{early} {good_bye}");
    }
    // At the first AUTH, or in the middle of a login, it is a 4xx like others.
    for place in ["AUTH", "ANSWER"] {
        let log = assert_deferred(place, Rules::default().answering(&[(place, "421 busy")]), &["defers the login"]);
        assert_eq!(log.connections.len(), 1);
    }
    // What it said is told.
    let rules = Rules::offering(&["AUTH PLAIN LOGIN"]).hooked(|event, _| match event {
        Event::Command(line) if line.starts_with("AUTH PLAIN") => Action::reply("535 use an app password"),
        Event::Command(line) if line.starts_with("AUTH") => Action::reply_and_close("421 locked until noon"),
        _ => Action::Default,
    });
    assert_deferred("locked", rules, &["PLAIN (535), LOGIN (421)", "Remote host said: "]);
    let rules = Rules::offering(&["AUTH LOGIN"]).hooked(|event, _| match event {
        Event::Answer { .. } => Action::reply_and_close("535-5.7.8 use\r\n535 an app password"),
        _ => Action::Default,
    });
    assert_deferred("app", rules, &["Remote host said: 535-5.7.8 use\n535 an app password\n"]);
    // Also where the end came without a word.
    let rules = Rules::offering(&["AUTH PLAIN LOGIN"]).hooked(|event, _| match event {
        Event::Command(line) if line.starts_with("AUTH PLAIN") => Action::reply("535 use an app password"),
        Event::Command(line) if line.starts_with("AUTH") => Action::Close,
        _ => Action::Default,
    });
    let says = ["PLAIN (535), LOGIN (connection closed)", "Remote host said: 535 use an app password\n"];
    assert_deferred("no word", rules, &says);
}

/// The second connection fails in another way; what was tried on the first is told all the same.
#[test]
fn a_reconnect_that_is_refused() {
    for (case, second) in [("421", "421 4.7.0 too many failed logins"), ("closed", "")] {
        let rules = Rules::default().hooked(move |event, session| match (event, session.connection) {
            (Event::Command(line), 0) if line.starts_with("AUTH") => Action::reply("535 5.7.8 no"),
            (Event::Connect, 1) if second.is_empty() => Action::Close,
            (Event::Connect, 1) => Action::reply(second),
            _ => Action::Default,
        });
        assert_deferred(
            case,
            rules,
            &["Before that: login as myuser at 127.0.0.1:", "tried CRAM-MD5 (535), PLAIN (535)."],
        );
    }
    // It closes as soon as it has made its offer. Whether our AUTH still went out is a matter of luck; that it is told is not.
    let rules = Rules::default().hooked(|event, _| match event {
        Event::Command(line) if line.starts_with("EHLO") => Action::reply_and_close("250-a\r\n250 AUTH PLAIN"),
        _ => Action::Default,
    });
    let (delivered, log) = deliver(rules);
    let says = if log.saw("AUTH") { "tried PLAIN (connection closed)" } else { "closed the connection before a login" };
    assert!(delivered.verdict().starts_with('Z') && delivered.verdict().contains(says), "{}", delivered.verdict());
}
