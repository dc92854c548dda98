//! One delivery with a login, and what must hold of it.

use super::server::{Log, Rules, Server};
use super::{Delivered, Home};
use std::time::Duration;

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

/// The server saw a login by this mechanism, and the message.
pub fn assert_delivered(case: &str, rules: Rules, mechanism: &str) -> Log {
    let (delivered, log) = deliver(rules);
    assert_eq!(delivered.letters(), "rK", "{case}: {delivered:?}");
    assert_eq!(log.logins(), [format!("{mechanism} myuser")], "{case}");
    assert_eq!(log.messages.len(), 1, "{case}");
    assert_eq!(log.messages[0].content, MESSAGE, "{case}");
    log
}

/// The report is Z and says this; MAIL was never sent; no secret is told.
pub fn assert_deferred(case: &str, rules: Rules, says: &[&str]) -> Log {
    let (delivered, log) = deliver(rules);
    let verdict = delivered.verdict();
    assert_eq!(delivered.letters(), "Z", "{case}: {verdict}");
    assert!(!log.saw("MAIL"), "{case}: {:?}", log.commands());
    for words in says {
        assert!(verdict.contains(words), "{case}: {words:?} is not in {verdict:?}");
    }
    assert_no_secret(case, &verdict);
    assert!(delivered.elapsed < Duration::from_secs(15), "{case}: a timeout of 20 s was waited for");
    log
}

/// Neither the password nor its base64, alone or in PLAIN's form, nor any 8 characters of that.
pub fn assert_no_secret(case: &str, text: &str) {
    let plain = "AG15dXNlcgBzZWNyZXRwYXNz";
    let pieces = (0..=plain.len() - 8).map(|start| &plain[start..start + 8]);
    for secret in pieces.chain(["secretpass", "c2VjcmV0cGFzcw"]) {
        assert!(!text.to_lowercase().contains(&secret.to_lowercase()), "{case}: {secret} is in {text:?}");
    }
}
