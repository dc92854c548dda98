//! The first change of docs/linking.md, in a tree with an AUTH patch (tests/c/tree): the patch compares the AUTH line with the wordings
//! that it knows, and `auth_detect` reads it. Both programs are run.

use crate::support::host::Host;
use crate::support::login::assert_without_mail;
use crate::support::server::Rules;
use crate::support::tree::{Change, LINKED, MODERN, Tree, standards};
use std::path::Path;
use std::sync::OnceLock;

/// The tree as its patch left it, and with the change.
fn before_and_after() -> [Host; 2] {
    static PROGRAMS: OnceLock<[&Path; 2]> = OnceLock::new();
    let changes = [Change::None, Change::Comparison];
    let programs =
        PROGRAMS.get_or_init(|| changes.map(|change| Tree::new(&format!("{change:?}"), change, MODERN).program()));
    [Host::new(programs[0], changes[0]), Host::new(programs[1], changes[1])]
}

/// The mechanism that the host begins with, by a server that sends these lines behind EHLO. None: it sent no AUTH. Then the patch
/// sends MAIL, which bounces, and the changed tree defers the mail.
fn begun(host: &Host, change: Change, reply: &str) -> Option<&'static str> {
    let rules = Rules { ehlo_raw: Some(reply.into()), ..Rules::default() };
    let (delivered, log) = host.mail(rules);
    let commands = log.commands();
    let auth = commands.iter().find_map(|line| line.strip_prefix("AUTH "));
    let mechanism = auth.map(|auth| ["PLAIN", "LOGIN", "CRAM-MD5"].into_iter().find(|name| *name == auth).unwrap());
    match (mechanism, change) {
        (Some(_), _) => assert_eq!(delivered.letters(), "rK", "{reply}: {delivered:?}"),
        (None, Change::None) => assert_eq!(delivered.letters(), "D", "{reply}"),
        (None, _) => assert_without_mail(reply, &delivered, &log, &["offers no AUTH that is known here"]),
    }
    mechanism
}

#[test]
fn what_relays_say() {
    const LOGIN: Option<&str> = Some("LOGIN");
    const PLAIN: Option<&str> = Some("PLAIN");
    const CRAM: Option<&str> = Some("CRAM-MD5");
    let [old, new] = before_and_after();
    // The lines behind the first, what the patch begins with, and the changed tree.
    for (lines, before, after) in [
        // What the patch knows stays.
        ("250 AUTH LOGIN", LOGIN, LOGIN),
        ("250 AUTH LOGIN PLAIN", LOGIN, LOGIN),
        ("250-AUTH PLAIN LOGIN\n250 8BITMIME", LOGIN, LOGIN),
        ("250 AUTH=LOGIN", LOGIN, LOGIN),
        ("250-AUTH=LOGIN\n250 AUTH LOGIN", LOGIN, LOGIN),
        ("250 AUTH LOGIN CRAM-MD5", LOGIN, CRAM),
        ("250 AUTH PLAIN DIGEST-MD5", PLAIN, PLAIN),
        // What it does not know bounced.
        ("250 AUTH PLAIN", None, PLAIN),
        ("250 AUTH CRAM-MD5", None, CRAM),
        ("250 AUTH CRAM-MD5 PLAIN LOGIN", None, CRAM),
        ("250 AUTH DIGEST-MD5 LOGIN", None, LOGIN),
        ("250 auth login", None, LOGIN),
        ("250 Auth Login", None, LOGIN),
        ("250 AUTH LOGIN ", None, LOGIN),
        ("250 AUTH  LOGIN", None, LOGIN),
        ("250 AUTH\tLOGIN", None, LOGIN),
        ("250-AUTH=PLAIN\n250 AUTH GSSAPI", None, PLAIN),
        ("250-AUTH GSSAPI\n250 AUTH PLAIN", None, PLAIN),
        ("250 AUTH XOAUTH2 PLAIN-CLIENTTOKEN PLAIN", None, PLAIN),
        // And what is no offer is still none.
        ("250 XAUTH LOGIN", None, None),
        ("250 XLOGIN", None, None),
        ("250 AUTH LOGIN-FOO", None, None),
        ("250 AUTH PLAIN-CLIENTTOKEN", None, None),
        ("250 AUTHLOGIN", None, None),
        ("250 AUTH", None, None),
        ("250 AUTH XOAUTH2", None, None),
        ("250 8BITMIME", None, None),
    ] {
        let reply = format!("250-smtp.example.jp\n{lines}\n").replace('\n', "\r\n");
        assert_eq!(begun(&old, Change::None, &reply), before, "the patch: {lines}");
        assert_eq!(begun(&new, Change::Comparison, &reply), after, "auth_detect: {lines}");
    }
    // The first line is the server's name; the patch takes it for an offer.
    let reply = "250-AUTH LOGIN\r\n250 8BITMIME\r\n";
    let (_, log) = old.mail(Rules { ehlo_raw: Some(reply.into()), ..Rules::default() });
    assert!(log.saw("AUTH LOGIN"));
    assert_eq!(begun(&new, Change::Comparison, reply), None);
}

/// The tree keeps 5000 octets. What is cut there may be the beginning of a longer name.
#[test]
fn an_ehlo_reply_that_is_cut() {
    let [old, new] = before_and_after();
    let padding = " ".repeat(5000 - "250-smtp.example.jp\n250-AUTH LOGIN".len());
    for (name, after) in [("LOGIN-FOO", None), ("PLAIN LOGIN-FOO", Some("PLAIN"))] {
        let padding = &padding[name.len() - "LOGIN-FOO".len()..];
        let reply = format!("250-smtp.example.jp\r\n250-AUTH {padding}{name}\r\n250 8BITMIME\r\n");
        assert_eq!(begun(&old, Change::None, &reply), None);
        assert_eq!(begun(&new, Change::Comparison, &reply), after);
    }
}

/// What the comparison pulled out of an archive is missing without it, and the page's line brings it back.
#[test]
fn a_function_that_the_comparison_pulled_in() {
    let tree = Tree::new("archive", Change::Comparison, MODERN);
    tree.replace("Makefile", LINKED, "`pkg-config --libs qmail-auth`");
    let output = tree.make("it");
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(!output.status.success() && said.contains("undefined reference to `case_starts'"), "{said}");
    tree.replace("Makefile", "`pkg-config --libs qmail-auth`", LINKED);
    tree.program();
}

/// Old C, new C, and C++. Each with one mail.
#[test]
fn every_compiler() {
    for compiler in standards() {
        let name = format!("comparison-{}", compiler.rsplit('=').next().unwrap());
        let tree = Tree::new(&name, Change::Comparison, compiler);
        let host = Host::new(tree.program(), Change::Comparison);
        host.assert_mail(compiler, Rules::offering(&["AUTH GSSAPI LOGIN"]), "LOGIN");
    }
}
