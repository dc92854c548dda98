//! Tokens of a real provider: Debian's glewlwyd, which makes all refresh tokens of a user void where an old one comes again.
//! All stays on the loopback. Needs root and what support/chroot.rs needs.

use crate::support::Home;
use crate::support::glewlwyd::{Glewlwyd, SECRET, USER, piped};
use crate::support::provider::{HOST, command, relay, run, token};
use crate::support::rotation::{self, is_over};
use std::fs;
use std::io::{BufRead, BufReader, Read};

/// The user consents.
fn consent(provider: &Glewlwyd, home: &Home) {
    let (tokens, device) = (provider.url("token"), provider.url("device_authorization"));
    let arguments =
        ["consent", HOST, USER, "--token", &tokens, "--device", &device, "--client", "public", "--scope", "smtp"];
    let mut consent = piped(command(home, &arguments));
    let mut output = BufReader::new(consent.stdout.take().unwrap());
    let (mut line, mut rest) = (String::new(), String::new());
    while !line.contains(" and enter ") && output.read_line(&mut line).unwrap() > 0 {}
    provider.approve("public", line.split_whitespace().last().unwrap());
    output.read_to_string(&mut rest).unwrap();
    assert!(consent.wait().unwrap().success() && rest.contains("\nconsented     scope smtp, until "), "{line}{rest}");
}

#[test]
fn from_consent_to_consent() {
    let (provider, relay) = (Glewlwyd::start(), relay());
    let home = Home::with_route(&format!("{HOST}:{}", relay.port()));
    rotation::from_consent_to_consent(&home, || consent(&provider, &home), None);
}

#[test]
fn an_application() {
    let (provider, relay) = (Glewlwyd::start(), relay());
    let home = Home::with_route(&format!("{HOST}:{}", relay.port()));
    let secret = home.path().join("secret");
    fs::write(&secret, SECRET).unwrap();
    let tokens = provider.url("token");
    let secret = secret.to_str().unwrap();
    let arguments = [
        "consent",
        HOST,
        USER,
        "--token",
        &tokens,
        "--client",
        "app",
        "--secret-file",
        secret,
        "--scope",
        "smtp",
        "--app",
    ];
    let (status, text) = run(&home, &arguments);
    assert!(status == Some(0) && text.contains(", of the application\n"), "{text}");
    is_over(&home);
    assert_eq!(token(&home).0, Some(0));
    home.control(&format!("relays/{HOST}/oauth/secret"), "another\n");
    is_over(&home);
    assert_eq!(token(&home).0, Some(78));
}
