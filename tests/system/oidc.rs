//! Tokens of a second real provider, the npm package oidc-provider, over HTTPS: it is strict about PKCE, makes long tokens, and its replies
//! are of another form than glewlwyd's (tokens.rs). All stays on the loopback, but for npm. Needs root and what support/chroot.rs needs,
//! and npm(1).

use crate::support::bearer::{of_dovecot, relay_by_signature};
use crate::support::browser::{field, open};
use crate::support::executable::copy;
use crate::support::oidc::{APPLICATION, CANCEL, CLIENT, Oidc, SCOPE, SECRET, USER};
use crate::support::provider::{HOST, account, command, program, put, relay, run, token};
use crate::support::rotation::{self, is_over, refresh};
use crate::support::{Delivered, Home, run as deliver};
use std::fs;
use std::io::{BufRead, BufReader, Lines, Write};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

/// A consent that is going on.
struct Consent {
    child: Child,
    input: ChildStdin,
    lines: Lines<BufReader<ChildStdout>>,
}

impl Consent {
    /// With this endpoint and no file but those of `home`.
    fn start(provider: &Oidc, home: &Home, endpoint: &[&str]) -> Consent {
        let tokens = provider.url("/token");
        let cafile = home.control("provider.pem", &provider.ca);
        let arguments = [
            &["consent", HOST, USER, "--token", &tokens, "--cafile", cafile.to_str().unwrap()],
            &["--client", CLIENT, "--scope", SCOPE][..],
            endpoint,
        ];
        let mut command = command(home, &arguments.concat());
        let mut child = command.stdin(Stdio::piped()).stderr(Stdio::inherit()).spawn().unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        Consent { input: child.stdin.take().unwrap(), lines, child }
    }

    /// In a browser; the address for it, too.
    fn in_browser(provider: &Oidc, home: &Home) -> (Consent, String) {
        // It gives a refresh token only to those who ask for the consent.
        let authorize = provider.url("/auth?prompt=consent");
        let mut consent = Consent::start(provider, home, &["--authorize", &authorize]);
        let address = consent.line("https://");
        (consent, address)
    }

    /// By a device code; the address where it is entered and the code, too.
    fn by_a_code(provider: &Oidc, home: &Home) -> (Consent, String, String) {
        let mut consent = Consent::start(provider, home, &["--device", &provider.url("/device/auth")]);
        let line = consent.line("In a browser on any machine open ");
        let words: Vec<&str> = line.split_whitespace().collect();
        let [.., address, "and", "enter", code] = words[..] else { panic!("{line}") };
        (consent, address.to_owned(), code.to_owned())
    }

    /// The next line that begins so.
    fn line(&mut self, begin: &str) -> String {
        self.lines.find_map(|line| line.ok().filter(|line| line.starts_with(begin))).expect("it has ended")
    }

    fn end(mut self) -> (Option<i32>, String) {
        let rest: Vec<String> = self.lines.by_ref().map(Result::unwrap).collect();
        (self.child.wait().unwrap().code(), rest.join("\n"))
    }

    /// It ends well: tokens are stored, and the relay takes the new one.
    fn ends_well(self) {
        let (status, text) = self.end();
        let consented =
            text.contains(&format!("consented     scope {SCOPE}, until ")) && text.contains(", renewable\n");
        assert!(status == Some(0) && consented && text.contains("\nlogin         235 "), "{text}");
    }
}

impl Drop for Consent {
    /// Where a test fails, nobody else ends it.
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A home that sends all mail to the relay on this port.
fn home(port: u16) -> Home {
    Home::with_route(&format!("{HOST}:{port}"))
}

fn consented(provider: &Oidc, home: &Home) {
    let (consent, address) = Consent::in_browser(provider, home);
    assert_eq!(open(&provider.consent(&address, &[]).address), "HTTP/1.1 200 OK");
    consent.ends_well();
}

/// The browser comes back to the program, on a port that is free.
#[test]
fn a_browser_that_comes_back() {
    let (provider, relay) = (Oidc::start(), relay());
    let home = home(relay.port());
    let (consent, address) = Consent::in_browser(&provider, &home);
    let last = provider.consent(&address, &[]);
    assert!(last.address.starts_with(&field(&address, "redirect_uri")), "{}: {}", last.address, last.page);
    assert_eq!(open(&last.address), "HTTP/1.1 200 OK");
    consent.ends_well();
    let asked = provider.asked();
    let (status, text) = token(&home);
    let access = fs::read_to_string(account(&home).join("access")).unwrap();
    assert!(status == Some(0) && text.lines().next() == access.lines().next(), "{text}");
    assert_eq!(provider.asked(), asked, "it is good as it is");
}

/// It is on another machine, so its last address is pasted.
#[test]
fn a_pasted_address() {
    let (provider, relay) = (Oidc::start(), relay());
    let home = home(relay.port());
    let (mut consent, address) = Consent::in_browser(&provider, &home);
    let last = provider.consent(&address, &[]);
    writeln!(consent.input, "{}", last.address).unwrap();
    consent.ends_well();
    assert_eq!(token(&home).0, Some(0));
}

/// The provider looks at the proof: without it there is no code, and no token for the code of another consent.
#[test]
fn without_the_proof() {
    let (provider, relay) = (Oidc::start(), relay());
    let home = home(relay.port());
    let (consent, address) = Consent::in_browser(&provider, &home);
    let (before, challenge) = address.split_once("&code_challenge=").unwrap();
    let (challenge, behind) = challenge.split_once("&code_challenge_method=S256").unwrap();
    open(&provider.consent(&format!("{before}{behind}"), &[]).address);
    let (status, text) = consent.end();
    let refused = text.contains("NOT DONE: the consent was refused: invalid_request ") && text.contains("PKCE");
    assert!(status == Some(1) && refused, "{text}");

    let (consent, address) = Consent::in_browser(&provider, &home);
    open(&provider.consent(&address.replace(&field(&address, "code_challenge"), challenge), &[]).address);
    let (status, text) = consent.end();
    assert!(status == Some(1) && text.contains("HTTP 400 invalid_grant "), "{text}");
    assert!(!account(&home).join("refresh").exists());
}

/// What a provider does that is not asked for the consent itself: it gives no refresh token.
#[test]
fn without_a_refresh_token() {
    let (provider, relay) = (Oidc::start(), relay());
    let home = home(relay.port());
    let mut consent = Consent::start(&provider, &home, &["--authorize", &provider.url("/auth")]);
    let address = consent.line("https://");
    open(&provider.consent(&address, &[]).address);
    let (status, text) = consent.end();
    let says = "prompt=consent in the query of the authorize URL?";
    assert!(status == Some(1) && text.contains("NOT DONE: ") && text.contains(says), "{text}");
    assert!(!account(&home).join("access").exists());
}

#[test]
fn a_user_who_cancels() {
    let (provider, relay) = (Oidc::start(), relay());
    let (home, other) = (home(relay.port()), Home::new());
    let refused = "NOT DONE: the consent was refused";
    let (consent, address) = Consent::in_browser(&provider, &home);
    assert_eq!(open(&provider.consent(&address, &[CANCEL]).address), "HTTP/1.1 200 OK");
    let (status, text) = consent.end();
    assert!(
        status == Some(1) && text.ends_with(&format!("{refused}: access_denied End-User aborted interaction")),
        "{text}"
    );

    let (consent, address, code) = Consent::by_a_code(&provider, &other);
    provider.consent(&address, &[("user_code", &code), CANCEL]);
    let (status, text) = consent.end();
    let words = format!("{refused}: HTTP 400 access_denied End-User aborted interaction");
    assert!(status == Some(1) && text.ends_with(&words), "{text}");
}

/// The reply of the device endpoint has neither `message` nor `interval`.
#[test]
fn a_device_code() {
    let (provider, relay) = (Oidc::start(), relay());
    let home = home(relay.port());
    let (consent, address, code) = Consent::by_a_code(&provider, &home);
    let last = provider.consent(&address, &[("user_code", &code)]);
    assert!(last.page.contains("Sign-in Success"), "{}", last.page);
    consent.ends_well();
    let first = refresh(&home);
    is_over(&home);
    assert_eq!(token(&home).0, Some(0));
    assert_ne!(refresh(&home), first, "it was replaced");
}

#[test]
fn from_consent_to_consent() {
    let (provider, relay) = (Oidc::start(), relay());
    let home = home(relay.port());
    rotation::from_consent_to_consent(&home, || consented(&provider, &home), Some(&|| provider.asked()));
}

#[test]
fn an_application() {
    let (provider, relay) = (Oidc::start(), relay());
    let home = home(relay.port());
    let (cafile, secret) = (home.control("provider.pem", &provider.ca), home.path().join("secret"));
    fs::write(&secret, SECRET).unwrap();
    let tokens = provider.url("/token");
    let files = ["--cafile", cafile.to_str().unwrap(), "--secret-file", secret.to_str().unwrap()];
    let others = ["--token", &tokens, "--client", APPLICATION, "--scope", "smtp", "--app"];
    let (status, text) = run(&home, &[&["consent", HOST, USER], &files[..], &others].concat());
    assert!(status == Some(0) && text.contains(" UTC, of the application\n"), "{text}");
    is_over(&home);
    assert_eq!(token(&home).0, Some(0));
    home.control(&format!("relays/{HOST}/oauth/secret"), "another\n");
    is_over(&home);
    let (status, text) = token(&home);
    assert!(status == Some(78) && text.contains("invalid_client"), "{text}");
}

/// Where the package installs qmail-remote-oauth there is the one under test, and nothing else.
const INSTALLED: &str = "mount --bind \"$1\" /usr/bin; shift; exec \"$@\"";

const SENDER: &str = "sender@example.net";
const MESSAGE: &[u8] = b"Subject: with a token\n\nhello\n";

/// One mail by qmail-remote, which finds qmail-remote-oauth where it looks for it.
fn mail(home: &Home) -> Delivered {
    let programs = tempfile::tempdir().unwrap();
    copy(&program(), &programs.path().join("qmail-remote-oauth"));
    let qmail_remote = home.command(SENDER, &["r1@example.org"]);
    let mut command = Command::new("unshare");
    command.args(["--mount", "sh", "-ec", INSTALLED, "sh"]).arg(programs.path());
    command.arg(qmail_remote.get_program()).args(qmail_remote.get_args());
    command.env_clear().env("QMAILHOME", home.path());
    deliver(command, MESSAGE)
}

/// Dovecot verifies the signature, so the token arrives octet for octet, in a line that is longer than a command may be.
#[test]
fn a_long_token_at_a_relay() {
    let provider = Oidc::start();
    let mut relay = relay_by_signature(&[], &provider.key_of_tokens());
    let home = home(relay.port);
    consented(&provider, &home);
    let mut asked = provider.asked();
    // As it is, over, and refused by the relay before its end.
    let ages = [(None, 0), (Some(-1), 1), (Some(1000), 1)];
    for (mechanism, (left, requests)) in
        ["XOAUTH2", "OAUTHBEARER"].into_iter().flat_map(|name| ages.map(|age| (name, age)))
    {
        home.control(&format!("relays/{HOST}/mechanisms"), format!("{mechanism}\n"));
        if let Some(left) = left {
            put(&home, 4000, left, None);
        }
        let delivered = mail(&home);
        let case = format!("{mechanism}, {left:?}: {delivered:?}\n{}", of_dovecot(&relay));
        assert!(delivered.letters() == "rK", "{case}");
        assert!(delivered.verdict().ends_with(&format!(" auth={mechanism} user={USER}\n")), "{case}");
        relay.assert_took("r1", SENDER, MESSAGE);
        relay.assert_logins(&[&format!("{mechanism} {USER}")]);
        let access = fs::read_to_string(account(&home).join("access")).unwrap();
        let length = access.lines().next().unwrap().len();
        assert!((2500..3000).contains(&length), "{length} octets");
        asked += requests;
        assert_eq!(provider.asked(), asked, "{case}");
    }
    // A new one that the relay refuses is not replaced.
    fs::remove_file(home.path().join("control/relays").join(HOST).join("mechanisms")).unwrap();
    put(&home, 10, 3590, None);
    let verdict = mail(&home).verdict();
    let says = ["tried XOAUTH2 (it said {", "\"status\":\"401\"", "; 535); the relay refused the access token"];
    assert!(verdict.starts_with('Z') && says.iter().all(|words| verdict.contains(words)), "{verdict}");
    assert_eq!(provider.asked(), asked);
}

/// Its token is good, but not for this mailbox, and the consent says so.
#[test]
fn the_consent_of_another_user() {
    let provider = Oidc::start();
    let relay = relay_by_signature(&[], &provider.key_of_tokens());
    let home = home(relay.port);
    let (consent, address) = Consent::in_browser(&provider, &home);
    open(&provider.consent(&address, &[("login", "another@example.org")]).address);
    let (status, text) = consent.end();
    assert!(
        text.contains("tried XOAUTH2 (535); the relay refused the access token; check that it is for this user"),
        "{text}"
    );
    assert!(
        status == Some(1) && text.ends_with("NOT DONE: there is a token, but the login with it did not succeed"),
        "{text}"
    );
}
