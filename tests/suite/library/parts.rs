//! The second change of docs/linking.md, in a tree with an AUTH patch (tests/c/tree): `auth_plain`, `auth_login` and `auth_cram` in
//! functions of that page, compiled strictly and once more with sanitizers.

use crate::support::host::Host;
use crate::support::login::{asking_for_the_user, assert_no_secret, repeating_the_login};
use crate::support::server::{Action, Event, Rules};
use crate::support::tree::{Change, MODERN, Tree, standards};

#[test]
fn each_mechanism() {
    for host in Host::with_parts() {
        let log = host.assert_mail("PLAIN", Rules::offering(&["AUTH PLAIN"]), "PLAIN");
        assert_eq!(log.commands()[1..4], ["AUTH PLAIN", "AG15dXNlcgBzZWNyZXRwYXNz", "MAIL FROM:<sender@example.net>"]);
        let log = host.assert_mail("LOGIN", Rules::offering(&["AUTH LOGIN"]), "LOGIN");
        assert_eq!(log.commands()[1..4], ["AUTH LOGIN", "bXl1c2Vy", "c2VjcmV0cGFzcw=="]);
        host.assert_mail("CRAM-MD5", Rules::offering(&["AUTH CRAM-MD5 PLAIN LOGIN"]), "CRAM-MD5");
        for prompt in ["334 ", "334", "334 Username:", "334-more\r\n334 VXNlcm5hbWU6"] {
            host.assert_mail(prompt, asking_for_the_user(prompt), "LOGIN");
        }
        let long: &str = format!("|myuser|{}", "p q".repeat(930)).leak();
        for offer in ["AUTH PLAIN", "AUTH LOGIN", "AUTH CRAM-MD5"] {
            let rules = Rules::offering(&[offer]).login("myuser", &long[8..]);
            Host { login: long, ..host }.assert_mail("long", rules, &offer[5..]);
        }
    }
}

/// Each end without 235 is Z, at once, and its report shows no secret.
#[test]
fn refused() {
    for host in Host::with_parts() {
        for mechanism in ["PLAIN", "LOGIN", "CRAM-MD5"] {
            let offer = format!("AUTH {mechanism}");
            for code in ["432", "454", "501", "504", "530", "534", "535", "538", "550", "250", "354"] {
                for place in ["AUTH", "ANSWER"] {
                    let reply = format!("{code} no");
                    let rules = Rules::offering(&[&offer]).answering(&[(place, &reply)]);
                    let says = ["but the login was refused", &format!("Remote host said: {code}\n")];
                    let log = host.assert_no_mail(&format!("{mechanism}, {reply} to {place}"), rules, &says);
                    assert_eq!((log.auth_tries(), log.connections.len()), (1, 1));
                }
            }
            let (delivered, _) = host.mail(repeating_the_login(mechanism));
            assert_eq!(delivered.letters(), "Z");
            assert_no_secret(mechanism, &delivered.verdict());
            let closed = Rules::offering(&[&offer]).hooked(|event, _| match event {
                Event::Answer { .. } => Action::Close,
                _ => Action::Default,
            });
            let host = Host { again: false, ..host };
            host.assert_no_mail("closed", closed, &["connection died"]);
        }
    }
}

/// A challenge that is no base64 is not answered, nor one that is not there.
#[test]
fn no_challenge() {
    for host in Host::with_parts() {
        for (reply, sent) in [("334 not base64!", vec!["AUTH CRAM-MD5", "*"]), ("334", vec!["AUTH CRAM-MD5"])] {
            let rules = Rules::offering(&["AUTH CRAM-MD5"]).answering(&[("AUTH", reply)]);
            let log = host.assert_no_mail(reply, rules, &["but the login was refused"]);
            assert_eq!(log.commands()[1..=sent.len()], sent);
        }
        // Three octets that add up to 334, and leave a text shorter than a code, as the tree drops the CR among them.
        let rules = Rules::offering(&["AUTH CRAM-MD5"]).hooked(|event, _| match event {
            Event::Command(line) if line.starts_with("AUTH") => Action::Reply(b"6\r\x84\n".into()),
            _ => Action::Default,
        });
        host.assert_no_mail("a short one", rules, &["but the login was refused"]);
    }
}

/// A stralloc has no NUL at its end. With the page's line the relay never sees what stands there instead.
#[test]
fn a_nul_behind_user_and_password() {
    let tree = Tree::new("no-nul", Change::Parts, MODERN);
    tree.replace("qmail-remote.c", "#include \"page-nul.c\"\n", "");
    let without = Host::new(tree.program(), Change::Parts);
    let tree = Tree::new("no-nul-login", Change::Login, MODERN);
    tree.replace("qmail-remote.c", "#include \"page-nul.c\"\n", "");
    let login_without = Host::new(tree.program(), Change::Login);
    let whole = Host::new(Tree::new("nul-login", Change::Login, MODERN).program(), Change::Login);
    let [with, _] = Host::with_parts();
    for (mechanism, wrong) in [("PLAIN", "AG15dXNlcloAc2VjcmV0cGFzc1o="), ("LOGIN", "bXl1c2VyWg==")] {
        let rules = || Rules::offering(&[&format!("AUTH {mechanism}")]);
        for host in [&without, &login_without] {
            let (delivered, log) = host.mail(rules());
            assert_eq!(delivered.letters(), "Z");
            assert!(log.commands().join(" ").contains(wrong), "the test sees nothing: {:?}", log.commands());
        }
        for host in [&with, &whole] {
            host.assert_mail(mechanism, rules(), mechanism);
        }
    }
}

/// The page's lines behind the place where the patch reads the route.
#[test]
fn a_login_with_a_part_missing() {
    for host in Host::with_parts() {
        for login in ["|myuser|", "||secretpass", "||", "|myuser"] {
            let says = ["Unable to read control files"];
            let log = Host { login, ..host }.assert_no_mail(login, Rules::default(), &says);
            assert_eq!(log.connections.len(), 0, "{login}");
        }
    }
}

/// Old C, new C, and C++. Each with a mail by each mechanism.
#[test]
fn every_compiler() {
    for compiler in standards() {
        let name = format!("parts-{}", compiler.rsplit('=').next().unwrap());
        let host = Host::new(Tree::new(&name, Change::Parts, compiler).program(), Change::Parts);
        for mechanism in ["PLAIN", "LOGIN", "CRAM-MD5"] {
            host.assert_mail(compiler, Rules::offering(&[&format!("AUTH {mechanism}")]), mechanism);
        }
    }
}
