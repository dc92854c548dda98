//! One delivery of each kind, one check, and one token: what is looked at closely where each run is slow (script/sanitize).

use crate::support::certificate::Authority;
use crate::support::login::MESSAGE;
use crate::support::names::Names;
use crate::support::namespace::{WITH_A_NAME_SERVER, inside_with};
use crate::support::provider::{self, Provider};
use crate::support::server::{Log, Rules, Server, Tls};
use crate::support::{Home, check, program, run};
use std::fs;
use std::process::Command;

/// One delivery by a relay at this address. Says what it saw.
fn deliver(address: (&str, u16), rules: Rules, login: &str, ca: &str, letters: &str) -> Log {
    let server = Server::start_on(address, rules);
    let home = Home::with_route(&format!("{}:{} {login}", address.0, server.port()));
    home.control("tlscafile", "control/ca.pem\n");
    home.control("ca.pem", ca);
    fs::create_dir(home.path().join("accounts")).unwrap();
    let delivered = home.deliver("sender@example.net", &["one@example.org", "two@example.org"], MESSAGE);
    assert_eq!(delivered.letters(), letters, "{delivered:?}");
    server.finish()
}

const LOGIN: &str = "myuser secretpass";
const HERE: (&str, u16) = ("127.0.0.1", 0);

fn open() -> Rules {
    Rules { auth_required: false, ..Rules::default() }
}

#[test]
fn in_clear() {
    if !inside_with(here!(), &WITH_A_NAME_SERVER, "ip route add local 192.0.2.0/24 dev lo") {
        return;
    }
    assert_eq!(deliver(HERE, open(), "", "", "rrK").messages.len(), 1);
    for mechanism in ["PLAIN", "LOGIN", "CRAM-MD5", "SCRAM-SHA-256"] {
        let log = deliver(HERE, Rules::offering(&[&format!("AUTH {mechanism}")]), LOGIN, "", "rrK");
        assert_eq!(log.logins(), [format!("{mechanism} myuser")]);
    }
    let refusing = Rules::default().answering(&[("AUTH", "535 5.7.8 no")]);
    assert!(!deliver(HERE, refusing, LOGIN, "", "Z").saw("MAIL"));
    deliver(HERE, open().answering(&[("RCPT TO:<one", "550 no"), (".", "554 no")]), "", "", "hrD");
    check(Rules::default(), "");

    let _names = Names::start();
    let exchanger = Server::start_on("192.0.2.7:25", open());
    let (home, mut command) = (Home::new(), Command::new(program()));
    command.env_clear().env("QMAILHOME", home.path()).args(["one-mx.example", "sender@example.net", "one@example.org"]);
    assert_eq!(run(command, MESSAGE).letters(), "rK");
    assert_eq!(exchanger.finish().messages.len(), 1);
}

#[test]
fn over_tls() {
    if !inside_with(here!(), &WITH_A_NAME_SERVER, "true") {
        return;
    }
    let ca = Authority::new("My CA");
    let rules = || Rules { tls: Some(Tls::of(&ca.issue(&["127.0.0.1"]))), ..Rules::default() };
    assert_eq!(deliver(HERE, rules(), LOGIN, &ca.pem, "rrK").connections[0].tls.as_deref(), Some("TLSv1_3"));
    let implicit = Rules { implicit_tls: true, ..rules() };
    assert_eq!(deliver(("127.0.0.1", 465), implicit, LOGIN, &ca.pem, "rrK").messages.len(), 1);
    assert!(!deliver(HERE, rules(), LOGIN, &Authority::new("Other CA").pem, "Z").saw("AUTH"));
    check(rules(), &ca.pem);
    let provider = Provider::start(true);
    let home = provider.home();
    provider::put(&home, 4000, -1, Some("refresh-token-number-0"));
    let (status, text) = provider::token(&home);
    assert!(status == Some(0) && text.starts_with("access-token-number-"), "{text}");
}

/// qmail-remote-check finds this relay good.
fn check(rules: Rules, ca: &str) {
    let server = Server::start(rules);
    let home = Home::with_route(&format!("127.0.0.1:{} {LOGIN}", server.port()));
    home.control("tlscafile", "control/ca.pem\n");
    home.control("ca.pem", ca);
    let said = check::run(check::command(&home, &["--dialogue", "example.org", "sender@example.net"]));
    assert_eq!(said.status, Some(0), "{said:?}");
    assert_eq!(server.finish().auth_tries(), 1);
}
