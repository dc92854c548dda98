//! qmail-remote-check against set-ups that are broken, each in one way, and good ones: the answer names the cause.

use crate::support::Home;
use crate::support::certificate::Authority;
use crate::support::check::{Setting, broken, good};
use crate::support::namespace::{RELAY, inside};
use crate::support::server::{Action, Event, Rules, Server, Tls};
use std::net::TcpListener;

const LOGIN: &str = "myuser secretpass";

/// At 127.0.0.1, where a login may go in clear.
fn loopback(rules: Rules) -> Setting {
    Setting::new("127.0.0.1", rules, LOGIN)
}

fn answering(event: &'static str, reply: &'static str) -> impl Fn() -> Setting {
    move || loopback(Rules::default().answering(&[(event, reply)]))
}

#[test]
fn no_connection() {
    broken(
        "wrong port",
        || {
            let listener = TcpListener::bind("127.0.0.1:0").unwrap();
            let port = listener.local_addr().unwrap().port();
            Setting::alone(Home::with_route(&format!("127.0.0.1:{port} {LOGIN}")))
        },
        &["would wait: ", "control/smtproutes line 1): 127.0.0.1: Connection refused"],
    );
    broken(
        "name unknown",
        || Setting::alone(Home::with_route(&format!("nowhere.invalid:587 {LOGIN}"))),
        &["couldn't find any host by that name. (#4.1.2) Relay nowhere.invalid of control/smtproutes line 1"],
    );
    broken(
        "an address to send from that is not here",
        || Setting::alone(Home::with_route("127.0.0.1:25")).control("outgoingip", "192.0.2.99\n"),
        &["control/outgoingip: cannot send from 192.0.2.99"],
    );
    broken(
        "no route, and no host can have the name",
        || Setting::alone(Home::new()).control("smtproutes", "example.org:a..b\n"),
        &["control/smtproutes line 1: the relay is no host name or IP address"],
    );
    if inside(here!()) {
        broken(
            "unreachable",
            || Setting::alone(Home::with_route("198.51.100.7:587")).control("timeoutconnect", "1\n"),
            &["198.51.100.7: Connection timed out"],
        );
    }
}

#[test]
fn control_files() {
    let home = |files: &'static [(&str, &str)]| {
        move || {
            let home = Home::new();
            files.iter().for_each(|(name, content)| drop(home.control(name, content)));
            Setting::alone(home)
        }
    };
    for (case, files, says) in [
        ("me is empty", &[("me", "\n")][..], "control/me: no host name"),
        ("me of two words", &[("me", "a b\n")], "control/me: a host name has no blanks"),
        (
            "user without password",
            &[("smtproutes", ":relay.example:587 myuser\n")],
            "control/smtproutes line 1: a user without a password",
        ),
        (
            "password without user",
            &[("smtproutes", ":relay.example:587\n"), ("relays/relay.example/password", "secretpass\n")],
            "control/relays/relay.example/user and control/relays/relay.example/password: no user before the password",
        ),
        (
            "route without a port number",
            &[("smtproutes", ":relay.example:submission myuser secretpass\n")],
            "control/smtproutes line 1: the port is no number",
        ),
        (
            "the more special route is the broken one",
            &[("smtproutes", ":relay.example:587 myuser secretpass\nexample.org:relay.example:0\n")],
            "control/smtproutes line 2: the port is no number",
        ),
        (
            "authsenders malformed",
            &[("smtproutes", ":relay.example\n"), ("authsenders", "sender@example.net\n")],
            "control/authsenders line 1: neither sender:relay nor sender|user|password",
        ),
        (
            "authsenders has a login and there is no route",
            &[("authsenders", "sender@example.net|myuser|secretpass\n")],
            "control/smtproutes has no route for this mail",
        ),
        (
            "tls of another word",
            &[("smtproutes", ":relay.example\n"), ("relays/relay.example/tls", "yes\n")],
            "control/relays/relay.example/tls: not one of verify, encrypt, may, none",
        ),
        (
            "mechanisms of another word",
            &[("smtproutes", ":relay.example\n"), ("relays/relay.example/mechanisms", "NTLM\n")],
            "control/relays/relay.example/mechanisms: none of PLAIN",
        ),
        (
            "the relay's directory in capitals",
            &[("smtproutes", ":relay.example\n"), ("relays/Relay.Example/password", "secretpass\n")],
            "control/relays/Relay.Example: not read; rename it to relay.example, or remove it",
        ),
        (
            "clientcert alone",
            &[("smtproutes", ":relay.example\n"), ("relays/relay.example/clientcert", "x.pem\n")],
            "control/relays/relay.example: clientcert and clientkey belong together",
        ),
    ] {
        broken(case, home(files), &["Unable to read control files. (#4.3.0) ", says]);
    }
    broken(
        "no me",
        || {
            let home = Home::with_route("127.0.0.1:25");
            std::fs::remove_file(home.path().join("control/me")).unwrap();
            Setting::alone(home)
        },
        &["control/me: no host name"],
    );
    broken(
        "no home",
        || {
            let home = Home::new();
            std::fs::remove_dir_all(home.path().join("control")).unwrap();
            Setting::alone(home)
        },
        &["No control directory found."],
    );
}

#[test]
fn before_the_login() {
    broken("greeting 554", answering("CONNECT", "554 5.7.1 go away"), &["greeting failed", "554 5.7.1 go away"]);
    broken(
        "EHLO and HELO refused",
        || loopback(Rules::default().answering(&[("EHLO", "502 no"), ("HELO", "550 who are you?")])),
        &["my name was rejected", "550 who are you?"],
    );
    let web = answering("CONNECT", "HTTP/1.1 400 Bad Request secretpass");
    let checked = broken("no mail server", web, &["it sent what is no SMTP reply"]);
    assert!(checked.stdout.contains("\nno reply      HTTP/1.1 400 Bad Request <secret>\n"), "{}", checked.stdout);
    let closed =
        |begin: &'static str| {
            move || {
                loopback(Rules::default().hooked(move |event, _| {
                    if event.text().starts_with(begin) { Action::Close } else { Action::Default }
                }))
            }
        };
    broken(
        "closed at once",
        closed("CONNECT"),
        &["connection died", "the relay closed the connection before its greeting"],
    );
    broken("closed after EHLO", closed("EHLO"), &["the relay closed the connection before its reply to EHLO"]);
    let silent = |begin: &'static str| {
        move || {
            let rules = Rules::default().hooked(move |event, _| {
                if event.text().starts_with(begin) { Action::Silence } else { Action::Default }
            });
            loopback(rules).control("timeoutremote", "1\n")
        }
    };
    broken("silent", silent("CONNECT"), &["no greeting came within 1 s (control/timeoutremote)"]);
    broken("silent after AUTH", silent("AUTH"), &["no reply to AUTH came within 1 s (control/timeoutremote)"]);
}

#[test]
fn logins_that_fail() {
    broken(
        "wrong password",
        || loopback(Rules::default().login("myuser", "another")),
        &[
            "login failed as myuser at 127.0.0.1:",
            "check user and password in control/smtproutes line 1. (#4.7.8)",
            "Remote host said: 535 5.7.8",
        ],
    );
    broken("454", answering("AUTH", "454 4.7.0 Temporary authentication failure"), &["defers the login", "454 4.7.0"]);
    broken("530", answering("AUTH", "530 5.7.0 Must issue a STARTTLS command first"), &["530 5.7.0 Must issue"]);
    broken("534", answering("AUTH", "534 5.7.9 use an app password"), &["534 5.7.9 use an app password"]);
    broken(
        "each mechanism refused",
        answering("AUTH", "504 5.5.4 no such mechanism"),
        &["tried CRAM-MD5 (504), PLAIN (504)", "504 5.5.4 no such mechanism"],
    );
    broken(
        "nothing usable",
        || loopback(Rules::offering(&["AUTH GSSAPI NTLM XOAUTH2"])),
        &["offered GSSAPI, NTLM, XOAUTH2; tried nothing; none of what the relay offers can be used"],
    );
    broken(
        "no AUTH",
        || loopback(Rules::offering(&["PIPELINING"])),
        &["offers no AUTH here; perhaps only on ports 587 and 465"],
    );
    broken(
        "the one mechanism that is configured is not offered",
        || loopback(Rules::offering(&["AUTH PLAIN"])).control("relays/127.0.0.1/mechanisms", "CRAM-MD5\n"),
        &["none of what the relay offers can be used; usable would be: CRAM-MD5"],
    );
    let closing = || {
        loopback(Rules::default().hooked(|event, _| match event {
            Event::Answer { .. } => Action::reply_and_drop("535 5.7.8 no"),
            Event::Command(line) if line.starts_with("AUTH PLAIN") => Action::reply_and_drop("535 5.7.8 no"),
            _ => Action::Default,
        }))
    };
    broken("closed after each refusal", closing, &["tried CRAM-MD5 (535), "]);
    // It repeats all that it was told, and the password.
    for offered in ["AUTH PLAIN", "AUTH LOGIN", "AUTH CRAM-MD5"] {
        let echo = || {
            let mut said = Vec::new();
            loopback(Rules::offering(&["PIPELINING", offered]).hooked(move |event, _| {
                let (Event::Command(line) | Event::Answer { line, .. }) = event else { return Action::Default };
                said.push((*line).to_owned());
                let all = said.join(" / ");
                match event {
                    Event::Command("AUTH LOGIN" | "AUTH CRAM-MD5") => Action::Default,
                    Event::Answer { mechanism: "LOGIN", .. } if said.len() == 3 => Action::Default,
                    Event::Command(line) if !line.starts_with("AUTH") => Action::Default,
                    _ => Action::reply(format!(
                        "535-{all}\r\n535-s e\0cretpass 73656372\r\n535-6574\r\n535 \x1b[2J\u{e9} secretpass {}",
                        all.to_uppercase()
                    )),
                }
            }))
        };
        broken(
            offered,
            echo,
            &[
                "Remote host said: 535-EHLO client.example.net / AUTH",
                "535-<secret> <secret> 535 \\x1b[2J\\xc3\\xa9 <secret>",
            ],
        );
    }
}

/// What would end the mail is in hand already.
#[test]
fn a_reply_behind_the_last() {
    let says = ["would wait: ", "a reply came out of step"];
    broken("behind 235", answering("AUTH", "235 ok\r\n421 4.7.0 bye"), &says);
    for ehlo in ["250 smtp.example.jp\r\n250 stray\r\n", "250 smtp.example.jp\r\n250-stray\r\n"] {
        let rules = || Rules { ehlo_raw: Some(ehlo.into()), auth_required: false, ..Rules::default() };
        let setting = || Setting::new("127.0.0.1", rules(), "").control("timeoutremote", "1\n");
        let checked = broken(ehlo, setting, &["would wait: "]);
        assert!(ehlo.contains('-') || checked.last_line().contains(says[1]), "{}", checked.stdout);
    }
}

/// It is the greeting, or, from a server that is known to have none, the keyword.
#[test]
fn an_ehlo_reply_of_one_line() {
    for (ehlo, offered) in [("250 AUTH LOGIN", "AUTH LOGIN"), ("250 auth=login", "auth=login")] {
        let rules = || Rules { ehlo_raw: Some(format!("{ehlo}\r\n").into()), ..Rules::offering(&["AUTH LOGIN"]) };
        let checked = good(ehlo, || loopback(rules()), &["go out as myuser"]);
        assert!(checked.stdout.contains(&format!("\noffered       in clear: {offered}\n")), "{}", checked.stdout);
    }
    let rules = || Rules { ehlo_raw: Some("250 smtp.example.jp\r\n".into()), auth_required: false, ..Rules::default() };
    let checked = good("greeting", || Setting::new("127.0.0.1", rules(), ""), &["go out without a login"]);
    assert!(checked.stdout.contains("\noffered       in clear: nothing\n"), "{}", checked.stdout);
}

#[test]
fn set_ups_that_are_good() {
    if !inside(here!()) {
        return;
    }
    let ca = Authority::new("My CA");
    let identity = ca.issue(&["relay.example"]);
    let with = |rules: Rules, login: &str| {
        let setting = Setting::named("relay.example", (RELAY, 0), rules, login);
        setting.control("tlscafile", "control/ca.pem\n").control("ca.pem", &ca.pem)
    };
    for mechanism in ["PLAIN", "LOGIN", "CRAM-MD5"] {
        let offered = format!("AUTH {mechanism}");
        let rules = || Rules { tls: Some(Tls::of(&identity)), ..Rules::offering(&["PIPELINING", &offered]) };
        let setting = || with(rules(), LOGIN);
        let checked = good(mechanism, setting, &["go out as myuser through relay.example:"]);
        assert!(checked.last_line().ends_with(" over TLSv1.3"), "{}", checked.stdout);
        assert!(checked.stdout.contains(&format!("\nlogin         done by {mechanism}\n")), "{}", checked.stdout);
    }
    // The first is refused, and the next is good; a relay that closes is connected to again.
    for close in [false, true] {
        let setting = || {
            with(
                Rules::over_tls(Tls::of(&identity)).hooked(move |event, _| match event {
                    Event::Command(line) if line.starts_with("AUTH PLAIN") && close => Action::reply_and_drop("504 no"),
                    Event::Command(line) if line.starts_with("AUTH PLAIN") => Action::reply("504 no"),
                    _ => Action::Default,
                }),
                LOGIN,
            )
        };
        let checked = good("refused, then another", setting, &["go out as myuser through relay.example:"]);
        assert!(checked.stdout.contains("\nlogin         504 no\nlogin         trying LOGIN\n") || close);
        assert_eq!(checked.stdout.contains("\nnext          a new connection, since: "), close, "{}", checked.stdout);
    }
    let open = |tls: Option<Tls>| Rules { auth_required: false, tls, ..Rules::offering(&["PIPELINING"]) };
    let checked = good("no credentials", || with(open(None), ""), &["go out without a login through relay.example:"]);
    assert!(checked.last_line().ends_with(" in clear"), "{}", checked.stdout);
    let over = [" over TLSv1.3, its certificate not verified"];
    good("no credentials, over TLS", || with(open(Some(Tls::of(&identity))), ""), &over);
    let set = || with(open(Some(Tls::of(&identity))), "").control("relays/relay.example/tls", "verify\n");
    assert!(good("verify", set, &["without a login"]).last_line().ends_with(" over TLSv1.3"));
    let refused = Tls::Raw(vec![21, 3, 3, 0, 2, 2, 40]);
    let checked = good("TLS comes to nothing", || with(open(Some(refused.clone())), ""), &[" in clear"]);
    assert!(checked.stdout.contains("alert HandshakeFailure"), "{}", checked.stdout);
    // Whether one is demanded shows at MAIL alone.
    let says = ["it offers AUTH and control/smtproutes line 1 has no login: whether it demands one shows only at MAIL"];
    good("AUTH offered, and no credentials", || with(Rules::default(), ""), &says);
    assert!(good("loopback", || loopback(Rules::default()), &["as myuser"]).last_line().ends_with(" in clear"));
    good(
        "by leave",
        || with(Rules::default(), "-myuser secretpass"),
        &["as myuser through relay.example:", "in clear"],
    );
    // A line for the domain hides the one with the login.
    good(
        "a shadowed route",
        || {
            let setting = loopback(Rules::default());
            let port = setting.server.as_ref().unwrap().port();
            let lines = format!(":127.0.0.1:{port} {LOGIN}\n.org:127.0.0.1:{port}\n");
            setting.control("smtproutes", lines)
        },
        &["without a login", "control/smtproutes line 2 has no login"],
    );
    good(
        "a relay of authsenders",
        || {
            let server = Server::start(Rules::default());
            let home = Home::with_route("nowhere.invalid");
            home.control("authsenders", format!("@example.net:127.0.0.1:{}|myuser|secretpass\n", server.port()));
            Setting { home, server: Some(server) }
        },
        &["as myuser through 127.0.0.1:"],
    );
}
