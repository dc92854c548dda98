//! qmail-remote-check against relays that repeat what they are told, and that are good over TLS; the rest are cases.

use crate::support::Home;
use crate::support::certificate::Authority;
use crate::support::check::{Setting, broken, good};
use crate::support::namespace::{RELAY, inside};
use crate::support::server::{Action, Event, Rules, Tls};

const LOGIN: &str = "myuser secretpass";

/// At 127.0.0.1, where a login may go in clear.
fn loopback(rules: Rules) -> Setting {
    Setting::new("127.0.0.1", rules, LOGIN)
}

#[test]
fn no_home() {
    let setting = || {
        let home = Home::new();
        std::fs::remove_dir_all(home.path().join("control")).unwrap();
        Setting::alone(home)
    };
    broken("no home", setting, &["No control directory found."]);
}

#[test]
fn a_relay_that_repeats_the_login() {
    for offered in ["AUTH PLAIN", "AUTH LOGIN", "AUTH CRAM-MD5", "AUTH SCRAM-SHA-256"] {
        let echo = || {
            let mut said = Vec::new();
            loopback(Rules::offering(&["PIPELINING", offered]).hooked(move |event, _| {
                let (Event::Command(line) | Event::Answer { line, .. }) = event else { return Action::Default };
                said.push((*line).to_owned());
                let all = said.join(" / ");
                match event {
                    Event::Command("AUTH LOGIN" | "AUTH CRAM-MD5") => Action::Default,
                    Event::Command(line) if line.starts_with("AUTH SCRAM") => Action::Default,
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
    for mechanism in ["PLAIN", "LOGIN", "CRAM-MD5", "SCRAM-SHA-256"] {
        let offered = format!("AUTH {mechanism}");
        let rules = || Rules { tls: Some(Tls::of(&identity)), ..Rules::offering(&["PIPELINING", &offered]) };
        let setting = || with(rules(), LOGIN);
        let checked = good(mechanism, setting, &["go out as myuser through relay.example:"]);
        let end = " over TLSv1.3; what it says to this sender shows only at MAIL";
        assert!(checked.last_line().ends_with(end), "{}", checked.stdout);
        assert!(checked.stdout.contains(&format!("\nlogin         done by {mechanism}")), "{}", checked.stdout);
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
    let over = [" over TLSv1.3, its certificate not verified"];
    good("no credentials, over TLS", || with(open(Some(Tls::of(&identity))), ""), &over);
    let set = || with(open(Some(Tls::of(&identity))), "").control("relays/relay.example/tls", "verify\n");
    assert!(good("verify", set, &["without a login"]).last_line().ends_with(" over TLSv1.3"));
    let refused = Tls::Raw(vec![21, 3, 3, 0, 2, 2, 40]);
    let checked = good("TLS comes to nothing", || with(open(Some(refused.clone())), ""), &[" in clear"]);
    assert!(checked.stdout.contains("alert HandshakeFailure"), "{}", checked.stdout);
}
