//! A relay that repeats what it was told: nothing of it stands in a report.

use crate::support::Home;
use crate::support::login::{
    MESSAGE, assert_deferred, assert_no_secret, assert_not_repeated, deliver, deliver_by, repeating_the_login,
};
use crate::support::server::{Action, Event, Rules, Server};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;

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
                "550-MYUSER {capitals}\r\n550-cut {}\r\n550-folded {begin}\r\n550-{end}\r\n550 {} is no run",
                &digest[5..17],
                &digest[..7]
            ))
        }
        _ => Action::Default,
    });
    let verdict = deliver(rules).0.verdict();
    assert!(verdict.contains("550-MYUSER <secret>\n550-cut <secret>\n550-folded <secret>\n550 "), "{verdict}");
    assert!(verdict.ends_with(" is no run\n"), "{verdict}");
}

/// As a relay may write what is no letter, or what is not ASCII.
#[test]
fn a_password_in_other_words() {
    let password = "p@ss+w\u{f6}rd/=1";
    for written in [
        "p@ss+w\u{f6}rd/=1",
        "P@SS+W\u{f6}RD/=1",
        "p@ss+w??rd/=1",
        "p%40ss%2bw%C3%B6rd%2F%3D1",
        "p%40ss+w%c3%b6rd/=1",
        "p=40ss+w=C3=B6rd/=3D1",
        "p+40ss+2Bw+C3+B6rd/+3D1",
        "p@ss+w\\C3\\B6rd/\\=1",
    ] {
        assert_eq!(shown(password, &format!("550 no {written}, no")), "550 no <secret>, no");
    }
    // base64 has signs of its own.
    let password = "??>>~~secret";
    let plain = STANDARD.encode(format!("\0myuser\0{password}"));
    assert!("+/=".chars().all(|sign| plain.contains(sign)), "{plain}");
    let written = plain.replace('+', "%2B").replace('/', "%2F").replace('=', "%3D");
    assert_eq!(shown(password, &format!("550 no {written}, no")), "550 no <secret>, no");
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
