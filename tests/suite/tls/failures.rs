//! Every way in which TLS comes to nothing: with credentials the mail waits and no secret is shown, without it goes out.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpStream};

use crate::support::Home;
use crate::support::certificate::{Authority, Identity};
use crate::support::login::{MESSAGE, assert_no_secret, deliver_to};
use crate::support::namespace::{RELAY, inside};
use crate::support::server::{Action, Event, Rules, Server, Tls};

const NAMES: [&str; 3] = ["127.0.0.1", RELAY, "relay.example"];

/// A record of TLS: an alert, and a ServerHello of TLS 1.1.
const HANDSHAKE_FAILURE: &[u8] = &[21, 3, 3, 0, 2, 2, 40];
const PROTOCOL_VERSION: &[u8] = &[21, 3, 1, 0, 2, 2, 70];
fn server_hello_1_1() -> Vec<u8> {
    let mut hello = vec![22, 3, 2, 0, 42, 2, 0, 0, 38, 3, 2];
    hello.extend([7; 32]); // random
    hello.extend([0, 0, 0x2f, 0]); // no session, TLS_RSA_WITH_AES_128_CBC_SHA, no compression
    hello
}

/// What goes wrong; what the report says of it; and without credentials: what of TLS the success line says, or none.
fn failures() -> Vec<(&'static str, Rules, &'static str, Option<&'static str>)> {
    let ca = Authority::new("Stranger CA");
    let mine = |odd: fn(&mut rcgen::CertificateParams)| Tls::of(&Identity::self_signed(&NAMES, false, odd));
    let unverified = Some("tls=TLSv1.3 cert=unverified");
    let in_clear = Some("tls=none cert=unverified");
    let with = |tls: Tls| Rules::over_tls(tls);
    let raw = |octets: &[u8]| Rules::over_tls(Tls::Raw(octets.to_vec()));
    let at_starttls = |reply: &str| with(mine(|_| {})).answering(&[("STARTTLS", reply)]);
    let old = "no common version: the relay knows neither TLS 1.3 nor 1.2";
    let injected = "250-relay\r\n250 AUTH PLAIN\r\n";
    vec![
        ("self-signed", with(mine(|_| {})), "it is self-signed; if it is known to be the relay's own", unverified),
        (
            "self-signed, a CA",
            with(Tls::of(&Identity::self_signed(&NAMES, true, |_| {}))),
            "it is self-signed; if it is known to be the relay's own",
            unverified,
        ),
        ("unknown CA", with(Tls::of(&ca.issue(&NAMES))), "it is issued by CN=Stranger CA, unknown to", unverified),
        (
            "unknown CA below another",
            with(Tls::of(&ca.intermediate("Middle CA").issue(&NAMES))),
            "it is issued by CN=Middle CA, unknown to",
            unverified,
        ),
        (
            "STARTTLS not offered",
            Rules::default(),
            "no STARTTLS is offered: stripped on the way, or the wrong port?",
            in_clear,
        ),
        ("STARTTLS answered 454", at_starttls("454 4.7.0 no"), "STARTTLS is refused", in_clear),
        ("STARTTLS answered 500", at_starttls("500 5.5.1 what?"), "STARTTLS is refused", in_clear),
        ("handshake refused", raw(HANDSHAKE_FAILURE), "the relay ended it (alert HandshakeFailure)", in_clear),
        ("TLS 1.1 only, said by an alert", raw(PROTOCOL_VERSION), old, in_clear),
        ("TLS 1.1 only, said by a ServerHello", raw(&server_hello_1_1()), old, in_clear),
        (
            "garbage instead of a ServerHello",
            raw(b"\x16\x03\x03garbage and more garbage"),
            "TLS failed: what came is no TLS",
            in_clear,
        ),
        ("a line instead of a ServerHello", raw(b"500 what?\r\n"), "TLS failed: what came is no TLS", in_clear),
        (
            "closed in the handshake",
            raw(b""),
            "the relay closed the connection in the handshake; its log says why",
            in_clear,
        ),
        (
            "octets in clear behind the 220",
            at_starttls(&format!("220 go\r\n{injected}")),
            "the server spoke in clear after STARTTLS",
            None,
        ),
        (
            "octets in clear in the next segment",
            with(Tls::RawAtOnce(injected.into())),
            "TLS failed: what came is no TLS",
            in_clear,
        ),
    ]
}

/// Names and dates are looked at where the issuer is trusted.
fn of_a_trusted_ca(ca: &Authority) -> Vec<(&'static str, Rules, &'static str, Option<&'static str>)> {
    let with = |identity: &Identity| Rules::over_tls(Tls::of(identity));
    let unverified = Some("tls=TLSv1.3 cert=unverified");
    vec![
        (
            "wrong name",
            with(&ca.issue(&["other.example", "*.example.com", "192.0.2.99"])),
            "it is for other.example, *.example.com, 192.0.2.99, not for 192.0.2.1; if it is the relay's own, its route must have such a name",
            unverified,
        ),
        (
            "no name",
            with(&ca.issue(&[])),
            "it has no subjectAltName that counts (a CN does not, nor does an IP address as a DNS name); the relay needs one for ",
            unverified,
        ),
        (
            "expired",
            with(&ca.issue_expired(&NAMES)),
            "it expired at 2020-02-03T00:00:00Z; ask the relay's owner to renew it: mail that needs it waits until then; or the clock \
             of this machine is wrong",
            unverified,
        ),
        (
            "not yet valid",
            with(&ca.issue_not_yet_valid(&NAMES)),
            "it is not valid before 2200-03-04T00:00:00Z; check the clock of this machine",
            unverified,
        ),
    ]
}

/// The report of a connection whose TLS fails tells of the login on the one before.
#[test]
fn a_login_and_then_no_tls() {
    let ca = Authority::new("My CA");
    let identity = ca.issue(&NAMES);
    for (reply, says) in [("454 4.7.0 no", "STARTTLS is refused"), ("220 go\r\n250 x", "spoke in clear after STARTTLS")]
    {
        let rules = Rules::over_tls(Tls::of(&identity)).hooked(move |event, session| match event {
            Event::Command(line) if line.starts_with("AUTH") => Action::Close,
            Event::Command("STARTTLS") if session.connection == 1 => Action::reply(reply),
            _ => Action::Default,
        });
        let (delivered, log) = deliver_to(("127.0.0.1", 0), rules, "myuser secretpass", None, &ca.pem);
        let verdict = delivered.verdict();
        assert!(verdict.starts_with('Z') && verdict.contains(says), "{verdict}");
        assert!(
            verdict.contains("Before that: login as myuser") && verdict.contains("tried PLAIN (connection closed)"),
            "{verdict}"
        );
        assert_eq!((log.connections.len(), log.auth_tries()), (2, 1));
    }
}

/// A name that no certificate can have is one of TLS that is not verified, too.
#[test]
fn a_name_that_is_none() {
    let server =
        Server::start(Rules { auth_required: false, ..Rules::over_tls(Tls::of(&Authority::new("CA").issue(&NAMES))) });
    let home = Home::with_route(&format!("127.1:{}", server.port()));
    let delivered = home.deliver("sender@example.net", &["recipient@example.org"], MESSAGE);
    assert!(delivered.verdict().ends_with("tls=TLSv1.3 cert=unverified auth=none\n"), "{delivered:?}");
    home.control("relays/127.1/tls", "verify");
    let delivered = home.deliver("sender@example.net", &["recipient@example.org"], MESSAGE);
    assert!(delivered.verdict().contains("no certificate can be for the name 127.1; use another"), "{delivered:?}");
    server.finish();
}

#[test]
fn with_credentials_each_failure_puts_the_mail_off() {
    if !inside(here!()) {
        return;
    }
    let ca = Authority::new("Trusted CA");
    for (name, rules, says, _) in failures().into_iter().chain(of_a_trusted_ca(&ca)) {
        let (delivered, log) = deliver_to((RELAY, 0), rules, "myuser secretpass", None, &ca.pem);
        let verdict = delivered.verdict();
        assert_eq!(delivered.letters(), "Z", "{name}: {verdict}");
        assert!(verdict.contains(says), "{name}: {says:?} is not in {verdict:?}");
        assert!(!log.saw("MAIL") && !log.saw("AUTH"), "{name}: {:?}", log.commands());
        assert_eq!(log.connections.len(), 1, "{name}");
        let raw = String::from_utf8_lossy(&log.connections[0].raw).into_owned();
        assert_no_secret(name, &raw);
        assert_no_secret(name, &verdict);
    }
}

/// What the `tls` file demands it demands of mail without credentials, too.
#[test]
fn encrypt_and_verify_do_not_fall_back() {
    if !inside(here!()) {
        return;
    }
    for policy in ["encrypt", "verify"] {
        for login in ["", "-myuser secretpass"] {
            for (name, rules, says, success) in failures() {
                if success.is_some_and(|success| success.starts_with("tls=TLS")) {
                    continue; // it goes out with encrypt, which is in the tables
                }
                let (delivered, log) =
                    deliver_to((RELAY, 0), Rules { auth_required: false, ..rules }, login, Some(policy), "");
                let verdict = delivered.verdict();
                assert!(verdict.starts_with('Z') && verdict.contains(says), "{name}, {policy}, {login}: {verdict}");
                assert!(
                    log.connections.len() == 1 && !log.saw("MAIL"),
                    "{name}, {policy}, {login}: {:?}",
                    log.commands()
                );
            }
        }
    }
}

#[test]
fn without_credentials_the_mail_goes_out() {
    if !inside(here!()) {
        return;
    }
    let ca = Authority::new("Trusted CA");
    let cases = || failures().into_iter().chain(of_a_trusted_ca(&ca));
    for (name, rules, says, success) in cases() {
        let (delivered, log) = deliver_to((RELAY, 0), Rules { auth_required: false, ..rules }, "", None, &ca.pem);
        let verdict = delivered.verdict();
        let Some(success) = success else {
            assert_eq!(delivered.letters(), "Z", "{name}: {verdict}");
            assert!(verdict.contains(says) && !log.saw("MAIL"), "{name}: {says:?} is not in {verdict:?}");
            continue;
        };
        assert_eq!(delivered.letters(), "rK", "{name}: {verdict}");
        assert!(verdict.ends_with(&format!("\n{success} auth=none\n")), "{name}: {verdict}");
        let again = success.starts_with("tls=none") && log.connections[0].commands().contains(&"STARTTLS".to_owned());
        assert_eq!(log.connections.len(), if again { 2 } else { 1 }, "{name}");
        assert_eq!(log.connections[0].messages.is_empty(), again, "{name}");
    }
    // On port 465 there is nothing to fall back to.
    for (name, rules, says, success) in cases() {
        let at_starttls = name.contains("STARTTLS") || name.contains("220");
        if at_starttls || !success.is_some_and(|success| success.starts_with("tls=none")) {
            continue;
        }
        for (login, policy) in [("", None), ("", Some("may")), ("myuser secretpass", Some("may"))] {
            let rules = Rules {
                implicit_tls: true,
                auth_required: false,
                tls: rules.tls.clone(),
                ..Rules::offering(&["PIPELINING", "AUTH CRAM-MD5"])
            };
            let (delivered, log) = deliver_to((RELAY, 465), rules, login, policy, &ca.pem);
            assert_eq!(delivered.letters(), "Z", "{name}: {delivered:?}");
            let says = if name.contains("next segment") { "TLS failed" } else { says };
            assert!(delivered.verdict().contains(says), "{name}: {says:?} is not in {:?}", delivered.verdict());
            assert!(log.commands().is_empty() && log.connections.len() == 1, "{name}: {:?}", log.commands());
        }
    }
    // A server that does not know that 465 is TLS from the first octet, and greets.
    let (delivered, _) = deliver_to((RELAY, 465), Rules::default(), "", None, &ca.pem);
    assert!(delivered.verdict().contains("is this the right port? 587 has STARTTLS, 465 TLS at once"), "{delivered:?}");
}

/// The test's own server: a handshake has random octets, and one in some hundred holds a CRLF.
#[test]
fn a_handshake_is_no_command() {
    let server =
        Server::start(Rules { implicit_tls: true, ..Rules::over_tls(Tls::RawAtOnce(b"500 what?\r\n".into())) });
    let mut client = TcpStream::connect(server.address()).unwrap();
    client.write_all(b"\x16\x03\x01\x00\x08a\r\nb\r\ncdQUIT\r\n").unwrap();
    client.shutdown(Shutdown::Write).unwrap();
    client.read_to_end(&mut Vec::new()).unwrap();
    assert_eq!(server.finish().commands(), ["QUIT"]);
}

/// `may` with credentials falls back as mail without them does, but then shows no password.
#[test]
fn may_falls_back_to_what_shows_no_password() {
    if !inside(here!()) {
        return;
    }
    for (offered, mechanism) in [("AUTH CRAM-MD5 PLAIN", Some("CRAM-MD5 myuser")), ("AUTH PLAIN LOGIN", None)] {
        let rules = Rules { tls: Some(Tls::Raw(HANDSHAKE_FAILURE.to_vec())), ..Rules::offering(&[offered]) };
        let (delivered, log) = deliver_to((RELAY, 0), rules, "myuser secretpass", Some("may"), "");
        assert_eq!(delivered.letters(), if mechanism.is_some() { "rK" } else { "Z" }, "{delivered:?}");
        assert_eq!(log.logins(), mechanism.as_slice(), "{offered}");
        assert_eq!(log.count("AUTH"), usize::from(mechanism.is_some()), "{offered}");
        let story = "TLS failed: the relay ended it (alert HandshakeFailure)";
        assert_eq!(delivered.verdict().contains(story), mechanism.is_none(), "{delivered:?}");
    }
    // Without credentials too the report of the second connection says why there was one.
    for (event, reply) in [("MAIL", "530 5.7.0 Must issue a STARTTLS command first"), ("EHLO", "421 no")] {
        let mut hellos = 0;
        let raw = Rules::over_tls(Tls::Raw(HANDSHAKE_FAILURE.to_vec()));
        let rules = raw.hooked(move |met, _| {
            let text = met.text();
            hellos += usize::from(text.starts_with("EHLO"));
            if text.starts_with(event) && hellos == 2 { Action::reply(reply) } else { Action::Default }
        });
        let (delivered, log) = deliver_to((RELAY, 0), Rules { auth_required: false, ..rules }, "", None, "");
        let verdict = delivered.verdict();
        assert!(verdict.starts_with('Z') && log.connections.len() == 2, "{verdict}");
        assert!(verdict.contains("TLS failed: ") && verdict.contains(reply), "{verdict}");
    }
}

/// A 530 over TLS is about a login, whatever it says about TLS. A 538 is not, and no setting can help.
#[test]
fn refusals_over_tls() {
    if !inside(here!()) {
        return;
    }
    let ca = Authority::new("My CA");
    let identity = ca.issue(&["relay.example"]);
    for (reply, says) in [
        ("530 5.7.0 Authentication required. STARTTLS active", "it demands a login and none is configured for "),
        ("530 5.7.0 No SSL client certificate presented", "it demands a login and none is configured for "),
        (
            "538 5.7.11 Encryption required",
            "it demands TLS, and this connection has it: the relay's owner must look into that",
        ),
    ] {
        let rules = Rules { auth_required: false, ..Rules::over_tls(Tls::of(&identity)) };
        let server = Server::start_on((RELAY, 0), rules.answering(&[("MAIL", reply)]));
        let home = Home::with_route(&format!("relay.example:{}", server.port()));
        let delivered = home.deliver("sender@example.net", &["recipient@example.org"], MESSAGE);
        server.finish();
        assert!(delivered.letters() == "Z" && delivered.verdict().contains(says), "{reply}: {delivered:?}");
    }
}
