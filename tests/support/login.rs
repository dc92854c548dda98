//! One delivery with a login, and what must hold of it.

use super::server::{Action, Event, Log, Rules, Server};
use super::{Delivered, Home};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;

/// What is sent.
pub const MESSAGE: &[u8] = b"Subject: login\n\nhello\n";

pub fn deliver_by(server: Server, login: &str) -> (Delivered, Log) {
    let home = Home::with_route(&format!("127.0.0.1:{} {login}", server.port()));
    let delivered = home.deliver("sender@example.net", &["recipient@example.org"], MESSAGE);
    (delivered, server.finish())
}

/// One delivery to a server at this address, with these CAs; `login` and `tls` as control files have them, or nothing.
pub fn deliver_to(
    address: (&str, u16),
    rules: Rules,
    login: &str,
    policy: Option<&str>,
    cas: &str,
) -> (Delivered, Log) {
    let server = Server::start_on(address, rules);
    let home = Home::with_route(&format!("{}:{} {login}", address.0, server.port()));
    home.control("tlscafile", "control/cas.pem\n");
    home.control("cas.pem", cas);
    if let Some(word) = policy {
        home.control(&format!("relays/{}/tls", address.0), format!("{word}\n"));
    }
    let delivered = home.deliver("sender@example.net", &["recipient@example.org"], MESSAGE);
    (delivered, server.finish())
}

pub fn deliver(rules: Rules) -> (Delivered, Log) {
    deliver_by(Server::start(rules), "myuser secretpass")
}

/// The report is Z and says this; MAIL was never sent; no secret is told.
pub fn assert_without_mail(case: &str, delivered: &Delivered, log: &Log, says: &[&str]) {
    let verdict = delivered.verdict();
    assert_eq!(delivered.letters(), "Z", "{case}: {verdict}");
    assert!(!log.saw("MAIL"), "{case}: {:?}", log.commands());
    for words in says {
        assert!(verdict.contains(words), "{case}: {words:?} is not in {verdict:?}");
    }
    assert_no_secret(case, &verdict);
}

/// A server that asks for the user of AUTH LOGIN in these words.
pub fn asking_for_the_user(prompt: &'static str) -> Rules {
    let mut asked = 0;
    Rules::offering(&["AUTH LOGIN"]).hooked(move |event, _| match event {
        Event::Command(line) if line.starts_with("AUTH") => Action::reply(prompt),
        Event::Answer { .. } if asked == 0 => {
            asked += 1;
            Action::reply(prompt)
        }
        _ => Action::Default,
    })
}

/// A server that refuses the login and repeats all that it has been sent for it, also decoded, and the password.
pub fn repeating_the_login(mechanism: &str) -> Rules {
    let mut said = Vec::new();
    Rules::offering(&[&format!("AUTH {mechanism}")]).hooked(move |event, _| {
        let (Event::Command(line) | Event::Answer { line, .. }) = event else { return Action::Default };
        if line.starts_with("EHLO") || line.starts_with("QUIT") {
            return Action::Default;
        }
        said.push((*line).to_owned());
        let words = said.iter().flat_map(|line| line.split(' '));
        let all = [said.join(" / "), words.filter_map(decoded).collect::<Vec<_>>().join(" / ")].join(" that is ");
        match event {
            Event::Command("AUTH LOGIN" | "AUTH CRAM-MD5") => Action::Default,
            Event::Command(line) if line.starts_with("AUTH SCRAM") => Action::Default,
            Event::Answer { mechanism: "LOGIN", .. } if said.len() == 2 => Action::Default,
            _ => Action::reply(format!("535-you said {all}\r\n535 password secretpass, {}", all.to_uppercase())),
        }
    })
}

/// Nothing of the login that was sent is told.
pub fn assert_not_repeated(case: &str, log: &Log, verdict: &str) {
    assert_no_secret(case, verdict);
    let verdict = verdict.to_lowercase();
    for sent in log
        .commands()
        .iter()
        .flat_map(|line| line.split(' '))
        .filter(|word| word.len() > 11 && !word.starts_with("SCRAM-"))
    {
        assert!(sent.contains('.') || !verdict.contains(&sent.to_lowercase()), "{case}: {sent} is in {verdict}");
        let decoded = decoded(sent).unwrap_or_default();
        let digest = decoded.split_once(' ').or_else(|| decoded.split_once(",p=")).map_or("", |(_, digest)| digest);
        for piece in (8..=digest.len()).map(|end| &digest[end - 8..end]) {
            assert!(!verdict.contains(piece), "{case}: {piece} of {decoded} is in {verdict}");
        }
    }
}

/// What a word says that is base64, and long enough to be no other. Many servers show what they cannot print as `?`.
fn decoded(word: &str) -> Option<String> {
    let octets = STANDARD.decode(word).ok().filter(|octets| octets.len() > 3)?;
    Some(octets.iter().map(|octet| if (b' '..=b'~').contains(octet) { char::from(*octet) } else { '?' }).collect())
}

/// Neither the password nor its base64, alone or in PLAIN's form, nor any 8 characters of that.
pub fn assert_no_secret(case: &str, text: &str) {
    let plain = "AG15dXNlcgBzZWNyZXRwYXNz";
    let pieces = (0..=plain.len() - 8).map(|start| &plain[start..start + 8]);
    for secret in pieces.chain(["secretpass", "c2VjcmV0cGFzcw"]) {
        assert!(!text.to_lowercase().contains(&secret.to_lowercase()), "{case}: {secret} is in {text:?}");
    }
}
