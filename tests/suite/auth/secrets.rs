//! A relay that repeats what it was told and what is never the same twice, or is long: nothing of it stands in a report.

use crate::support::login::{assert_not_repeated, deliver, deliver_by, repeating_the_login};
use crate::support::server::{Action, Event, Rules, Server};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;

#[test]
fn a_server_that_echoes_the_secret() {
    for mechanism in ["PLAIN", "LOGIN", "CRAM-MD5", "SCRAM-SHA-256", "SCRAM-SHA-512", "SCRAM-SHA-1"] {
        let (delivered, log) = deliver(repeating_the_login(mechanism));
        let verdict = delivered.verdict();
        assert!(verdict.starts_with('Z') && !log.saw("MAIL"), "{mechanism}");
        assert!(verdict.contains("535-you said") && verdict.contains("password <secret>"), "{verdict}");
        assert!(verdict.to_lowercase().matches("myuser").count() > 2, "the user is no secret: {verdict}");
        assert_not_repeated(mechanism, &log, &verdict);
    }
}

/// What a report shows of this reply to MAIL.
fn shown(password: &str, reply: &str) -> String {
    let server = Server::start(Rules::default().login("myuser", password).answering(&[("MAIL", reply)]));
    let (delivered, log) = deliver_by(server, &format!("myuser {password}"));
    assert!(log.saw("MAIL"), "{delivered:?}");
    delivered.verdict().split_once("Remote host said: ").unwrap().1.trim_end().to_owned()
}

/// A digest, from which passwords can be guessed without asking the relay: in capitals, cut, folded, and after the login.
#[test]
fn a_server_that_repeats_the_digest() {
    let mut digest = String::new();
    let rules = Rules::offering(&["AUTH CRAM-MD5"]).hooked(move |event, _| match event {
        Event::Answer { line, .. } => {
            digest = String::from_utf8(STANDARD.decode(line).unwrap()).unwrap().split_off("myuser ".len());
            Action::Default
        }
        Event::Command(line) if line.starts_with("MAIL") => {
            let (begin, end) = digest.split_at(12);
            let capitals = digest.to_uppercase();
            Action::reply(format!(
                "550-MYUSER {capitals}\r\n550-cut {}\r\n550-in lines {begin}\r\n550-{end}\r\n550 {} is no run",
                &digest[5..17],
                &digest[..7]
            ))
        }
        _ => Action::Default,
    });
    let verdict = deliver(rules).0.verdict();
    assert!(verdict.contains("550-MYUSER <secret>\n550-cut <secret>\n550-in lines <secret>\n550 "), "{verdict}");
    assert!(verdict.ends_with(" is no run\n"), "{verdict}");
}

/// In lines of a reply.
fn folded(text: &str) -> String {
    text.as_bytes().chunks(70).map(String::from_utf8_lossy).collect::<Vec<_>>().join("\r\n550-")
}

/// As long as a token is. It is masked whole; its base64 and hexadecimal digits also in pieces, from wherever.
#[test]
fn a_long_password() {
    let mut random = 1_u64;
    let mut next = || {
        random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        char::from(b'!' + (random >> 33) as u8 % 94)
    };
    let password: String = (0..2000).map(|_| next()).filter(|c| !"\\|".contains(*c)).collect();
    let plain = STANDARD.encode(format!("\0myuser\0{password}"));
    let login = STANDARD.encode(&password);
    let hex: String = password.bytes().map(|octet| format!("{octet:02x}")).collect();
    let said = format!("550-no {}, no\r\n550 end", folded(&password));
    assert_eq!(shown(&password, &said), "550-no <secret>, no\n550 end");
    for form in [&plain, &login, &hex] {
        let form = if form.ends_with('=') { &form[..form.len() - 2] } else { form };
        for piece in [&form[..8], &form[1001..1009], &form[777..1500], &form[form.len() - 8..], form] {
            for said in [piece.to_owned(), piece.to_uppercase()] {
                let said = format!("550-no {}\r\n550 (end)", folded(&said));
                assert_eq!(shown(&password, &said), "550-no <secret>\n550 (end)");
            }
        }
    }
}
