//! contrib/qmail_auth_login.c in a qmail tree without AUTH (tests/c/tree), compiled strictly and once more with sanitizers: each server
//! sees a login and a mail, or the report is Z and MAIL was never sent; and no secret is told.

use crate::support::host::{Host, TLS_VERIFIED};
use crate::support::login::{asking_for_the_user, assert_no_secret, assert_not_repeated, repeating_the_login};
use crate::support::server::{Action, Event, Rules, Server, Session, scram};
use crate::support::tree::{Change, MODERN, Tree, standards};
use crate::support::{ehlo, rspawn};
use qmail_auth::LoginKind;
use qmail_auth::mechanisms::{self, Mechanism};
use std::os::unix::process::ExitStatusExt;

#[test]
fn the_story() {
    for host in Host::all() {
        let offer = || Rules::offering(&["AUTH CRAM-MD5 PLAIN LOGIN"]);
        let log = host.assert_mail("in clear by permission", offer(), "CRAM-MD5");
        let after_login = log.commands().split_off(3);
        assert_eq!(after_login[..2], ["MAIL FROM:<sender@example.net>", "RCPT TO:<recipient@example.org>"]);
        let host = Host { flags: TLS_VERIFIED, ..host };
        let log = host.assert_mail("over TLS", offer(), "PLAIN");
        assert_eq!(log.commands()[1..3], ["AUTH PLAIN AG15dXNlcgBzZWNyZXRwYXNz", "MAIL FROM:<sender@example.net>"]);
        let host = Host { flags: 0, ..host };
        host.assert_mail("in clear without permission", offer(), "CRAM-MD5");
        let says = ["login failed: offered PLAIN, LOGIN; tried nothing; the password must not go out without TLS"];
        let log = host.assert_no_mail("nothing but in clear", Rules::offering(&["AUTH PLAIN LOGIN"]), &says);
        assert_eq!(log.auth_tries(), 0);
        let refused = Rules::default().answering(&[("ANSWER CRAM-MD5", "535 5.7.8 no")]);
        let log = host.assert_no_mail(
            "CRAM-MD5 refused",
            refused,
            &["tried CRAM-MD5 (535); check user and password; the other ways would show"],
        );
        assert_eq!(log.auth_tries(), 1);
    }
}

/// Without -PLUS, since the library knows no TLS. The server has to prove itself.
#[test]
fn scram() {
    for host in Host::all() {
        for mechanism in scram::NAMES {
            let offer = format!("AUTH {mechanism}");
            let rules = || Rules::offering(&[&offer]);
            for flags in [0, TLS_VERIFIED] {
                let host = Host { flags, ..host };
                if mechanism.ends_with("-PLUS") {
                    let says =
                        if flags == 0 { "a mechanism with -PLUS needs TLS 1.3" } else { "can be used; usable would" };
                    host.assert_no_mail(mechanism, rules(), &["tried nothing; ", says]);
                    continue;
                }
                host.assert_mail(mechanism, rules(), mechanism);
                let place = format!("AUTH {mechanism} ");
                let log = host.assert_no_mail(
                    "no proof",
                    Rules::offering(&[&format!("{offer} PLAIN LOGIN CRAM-MD5")]).answering(&[
                        ("AUTH PLAIN", "504 no"),
                        ("AUTH LOGIN", "504 no"),
                        (&place, "235 ok"),
                    ]),
                    &["the relay could not prove that it knows the password; nothing more is sent to it"],
                );
                let commands = log.commands();
                let last = commands.iter().rfind(|line| line.starts_with("AUTH ")).unwrap();
                assert!(last.starts_with(&place) && log.auth_tries() <= 3, "{commands:?}");
            }
        }
    }
}

#[test]
fn what_servers_say_of_their_mechanisms() {
    for host in Host::all() {
        for (case, lines, mechanism) in [
            ("AUTH= alone", &["AUTH=LOGIN"][..], "LOGIN"),
            ("lower case", &["auth plain login"], "PLAIN"),
            ("trailing blanks", &["AUTH LOGIN PLAIN   "], "PLAIN"),
            ("two lines", &["AUTH LOGIN", "AUTH CRAM-MD5"], "CRAM-MD5"),
            ("AUTH and AUTH=", &["AUTH", "AUTH=PLAIN"], "PLAIN"),
            ("a decoy before", &["AUTHPLAIN CRAM-MD5", "AUTH LOGIN"], "LOGIN"),
            ("beginnings of names", &["AUTH PLAIN-CLIENTTOKEN CRAM-MD5-X SCRAM-SHA-256 LOGIN"], "LOGIN"),
        ] {
            host.assert_mail(case, Rules::offering(lines), mechanism);
        }
        for (case, lines, says) in [
            ("a decoy alone", &["AUTHPLAIN CRAM-MD5"][..], "offers no AUTH here"),
            ("no AUTH line", &["PIPELINING"], "offers no AUTH here"),
            ("an empty AUTH line", &["AUTH "], "offered nothing; tried nothing; none of what the relay offers can be"),
            ("none usable", &["AUTH GSSAPI NTLM"], "offered GSSAPI, NTLM; tried nothing; none of what the relay"),
        ] {
            let log = host.assert_no_mail(case, Rules::offering(lines), &["login failed: ", says]);
            assert_eq!(log.auth_tries(), 0, "{case}");
        }
        let helo_only = Rules { helo_only: true, ..Rules::default() };
        host.assert_no_mail("HELO only", helo_only, &["offers no AUTH here"]);
    }
}

/// The host keeps 5000 octets. What it has kept counts, and the beginning of a mechanism's name is none.
#[test]
fn an_ehlo_reply_that_is_cut() {
    let before = "250-smtp.example.jp\n250-AUTH ".len();
    for host in Host::all() {
        for (kept, offered, mechanism) in
            [("PLAIN ", "LOGIN", Some("PLAIN")), ("", "PLAIN-CLIENTTOKEN", None), ("", "PLAINER", None)]
        {
            // The cut is behind the first five letters of the second name.
            let padding = " ".repeat(5000 - before - kept.len() - 5);
            let rules = Rules::offering(&[&format!("AUTH {kept}{padding}{offered} GSSAPI"), "8BITMIME"]);
            match mechanism {
                Some(mechanism) => _ = host.assert_mail(offered, rules, mechanism),
                None => _ = host.assert_no_mail(offered, rules, &["offered nothing; tried nothing"]),
            }
        }
    }
    let is_usable = |name: &str| mechanisms::usable(name).and_then(Mechanism::kind) == Some(LoginKind::Password);
    for row in ehlo::rows() {
        let host = &Host::all()[0];
        let usable = row.mechanisms.iter().any(|name| is_usable(name));
        let rules = Rules { ehlo_raw: Some(row.reply.clone()), ..Rules::default() }.answering(&[("AUTH", "454 later")]);
        let says = if usable { "login was deferred: " } else { "login failed: " };
        host.assert_no_mail(row.id, rules, &[says]);
    }
}

#[test]
fn one_mechanism_refused_another_works() {
    for host in Host::all() {
        for code in ["500", "501", "502", "503", "504", "534", "535", "553"] {
            let refused = format!("{code} no");
            let rules = Rules::offering(&["AUTH PLAIN LOGIN"]).answering(&[("AUTH PLAIN", &refused)]);
            host.assert_mail(code, rules, "LOGIN");
            for place in ["AUTH CRAM-MD5", "ANSWER CRAM-MD5"] {
                host.assert_mail(place, Rules::default().answering(&[(place, &refused)]), "PLAIN");
            }
        }
        let rules = Rules::offering(&["AUTH CRAM-MD5 PLAIN"]).answering(&[("AUTH CRAM-MD5", "334 not base64!")]);
        let log = host.assert_mail("challenge", rules, "PLAIN");
        assert_eq!(log.commands()[1..3], ["AUTH CRAM-MD5", "*"]);
    }
}

#[test]
fn forms_of_the_exchange() {
    for host in Host::all() {
        let bare_only = Rules::offering(&["AUTH PLAIN"]).answering(&[("AUTH PLAIN A", "501 5.5.2 no")]);
        let log = host.assert_mail("no initial response", bare_only, "PLAIN");
        assert_eq!(log.commands()[2..4], ["AUTH PLAIN", "AG15dXNlcgBzZWNyZXRwYXNz"]);
        for prompt in ["334 ", "334", "334 Username:", "334 VXNlciBOYW1lAA==", "334-more\r\n334 VXNlcm5hbWU6 words"] {
            host.assert_mail(prompt, asking_for_the_user(prompt), "LOGIN");
        }
        // The challenge is that of the last line, and ends at a blank.
        let challenge = "334-of two lines\r\n334 PDE4OTYuNjk3MTcwOTUyQHBvc3RvZmZpY2UucmVzdG9uLm1jaS5uZXQ+ and words";
        let rules = Rules::offering(&["AUTH CRAM-MD5"]).answering(&[
            ("AUTH", challenge),
            ("ANSWER CRAM-MD5 dGltIGI5MTNhNjAyYzdlZGE3YTQ5NWI0ZTZlNzMzNGQzODkw", "235 ok"),
        ]);
        assert_eq!(Host { login: " tim tanstaaftanstaaf", ..host }.mail(rules).0.letters(), "rK");
        // A challenge that the host has cut is not answered: what would be sent counts as a wrong password.
        let challenge = format!("334-{}\r\n334 PDE4OTYuNjk3MTcw", "x".repeat(5000 - 4 - 1 - 4 - 8));
        let rules = Rules::default().answering(&[("AUTH CRAM-MD5", &challenge)]);
        let log = host.assert_mail("a challenge cut", rules, "PLAIN");
        assert_eq!(log.commands()[1..3], ["AUTH CRAM-MD5", "*"]);
        // Longer than a command line; with blanks.
        let long: &str = format!(" myuser {}", "p q".repeat(930)).leak();
        let rules = Rules::offering(&["AUTH PLAIN"]).login("myuser", &long[8..]);
        let log = Host { login: long, ..host }.assert_mail("long", rules, "PLAIN");
        assert_eq!(log.commands()[1], "AUTH PLAIN");
        // Too long for qmail_auth_login.
        let long = format!(" myuser {}", "p".repeat(4000)).leak();
        let says = ["user and password are too long for this program"];
        Host { login: long, ..host }.assert_no_mail("too long", Rules::offering(&["AUTH PLAIN"]), &says);
    }
}

#[test]
fn refused() {
    for host in Host::all() {
        for (code, advice) in [
            ("535 5.7.8 Error: authentication failed", "check user and password"),
            ("534 5.7.9 no", "check user and password"),
            ("550 5.7.30 Basic authentication is not supported", "the relay refused each way to log in"),
            ("504 no", "the relay refused each way to log in"),
        ] {
            let rules = Rules::default().answering(&[("AUTH", code), ("ANSWER", code)]);
            let log = host.assert_no_mail(code, rules, &["login failed: ", &code[..3], "CRAM-MD5", advice, code]);
            assert!(log.auth_tries() <= 3 && log.connections.len() == 2, "{code}: {:?}", log.commands());
            for connection in &log.connections {
                assert!(connection.commands().iter().filter(|line| line.starts_with("AUTH")).count() <= 2, "{code}");
            }
        }
        // A password that was shown and refused is shown once more, and no more.
        let rules = Rules::offering(&["AUTH PLAIN LOGIN"]).answering(&[("AUTH PLAIN", "535 no"), ("ANSWER", "535 no")]);
        let log = host.assert_no_mail("shown twice", rules, &["tried PLAIN (535), LOGIN (535); check user"]);
        assert_eq!(log.auth_tries(), 2);
        let rules = Rules::default().login("myuser", "another");
        let says = ["tried CRAM-MD5 (535), PLAIN (535), LOGIN (535); check user", "Remote host said: 535 5.7.8 "];
        assert_eq!(host.assert_no_mail("wrong password", rules, &says).auth_tries(), 3);
        // A host with one connection makes the tries of one, and says that there are others.
        let host = Host { again: false, ..host };
        let rules = Rules::default().login("myuser", "another");
        let says = ["login failed: ", "tried CRAM-MD5 (535), PLAIN (535); check user"];
        let log = host.assert_no_mail("wrong password, one connection", rules, &says);
        assert_eq!((log.auth_tries(), log.connections.len()), (2, 1));
    }
}

#[test]
fn put_off() {
    for host in Host::all() {
        let later = "454 4.7.0 Temporary authentication failure";
        for place in ["AUTH", "ANSWER"] {
            let says = ["login was deferred: ", "CRAM-MD5 (454); the relay defers the login", later];
            let log = host.assert_no_mail(place, Rules::default().answering(&[(place, later)]), &says);
            assert_eq!(log.auth_tries(), 1, "a 4xx is not answered with another try");
            let log = host.assert_no_mail(place, Rules::default().answering(&[(place, "421 busy")]), &says[..1]);
            assert_eq!((log.auth_tries(), log.connections.len()), (1, 1));
        }
        let out_of_place: [(&str, Rules); 6] = [
            ("250", Rules::default().answering(&[("AUTH", "250 what?")])),
            ("354", Rules::default().answering(&[("ANSWER", "354 go ahead")])),
            ("no code", Rules::default().answering(&[("AUTH", "hello there")])),
            (
                "after a cancelled login",
                Rules::default().answering(&[("AUTH", "334 !"), ("ANSWER CRAM-MD5 *", "235 ok")]),
            ),
            ("334 to *", Rules::default().answering(&[("AUTH", "334 !"), ("ANSWER CRAM-MD5 *", "334 more")])),
            ("334 without end", Rules::offering(&["AUTH LOGIN"]).answering(&[("AUTH", "334 a"), ("ANSWER", "334 a")])),
        ];
        for (case, rules) in out_of_place {
            let log = host.assert_no_mail(case, rules, &["login was deferred: ", "has no place in a login"]);
            assert_eq!(log.auth_tries(), 1, "{case}");
        }
    }
}

#[test]
fn the_server_closes() {
    let close = |close_with: &'static str, connections: usize| {
        move |event: &Event, session: &Session| match event {
            Event::Command(line) if line.starts_with("AUTH") && session.connection < connections => match close_with {
                "" => Action::Close,
                said => Action::reply_and_close(said),
            },
            _ => Action::Default,
        }
    };
    for host in Host::all() {
        let log = host.assert_mail("without a word", Rules::default().hooked(close("", 1)), "PLAIN");
        assert_eq!(log.connections.len(), 2);
        let log = host.assert_mail("with a refusal", Rules::default().hooked(close("535 no", 1)), "PLAIN");
        assert_eq!(log.connections.len(), 2);
        let always = Rules::default().hooked(close("", 9));
        let says =
            ["login failed: ", "tried CRAM-MD5 (connection closed), PLAIN (connection closed); the relay refused"];
        let log = host.assert_no_mail("always", always, &says);
        assert_eq!((log.auth_tries(), log.connections.len()), (2, 2));
        // A good-bye to the AUTH behind a refusal is about that refusal.
        for good_bye in ["421 4.7.0 too many errors", "221 bye", ""] {
            let rules = Rules::offering(&["AUTH CRAM-MD5 PLAIN"]).hooked(move |event, session| match event {
                _ if session.connection > 0 => Action::Default,
                Event::Answer { mechanism: "CRAM-MD5", .. } => Action::reply("535 5.7.8 no"),
                Event::Command(line) if line.starts_with("AUTH PLAIN") && good_bye.is_empty() => Action::Close,
                Event::Command(line) if line.starts_with("AUTH PLAIN") => Action::reply_and_close(good_bye),
                _ => Action::Default,
            });
            let log = host.assert_mail(good_bye, rules, "PLAIN");
            assert_eq!(log.connections.len(), 2, "{good_bye}");
        }
        // The second connection is not to be had.
        let rules = Rules::default().hooked(|event, session| match (event, session.connection) {
            (Event::Command(line), 0) if line.starts_with("AUTH") => Action::Close,
            (Event::Connect, 1) => Action::reply("421 4.7.0 too many failed logins"),
            _ => Action::Default,
        });
        host.assert_no_mail("second refused", rules, &["greeting failed"]);
        let host = Host { again: false, ..host };
        let rules = Rules::default().hooked(close("", 1));
        assert_eq!(host.assert_no_mail("once", rules, &["connection died"]).connections.len(), 1);
    }
}

#[test]
fn no_credentials() {
    for host in Host::all() {
        for login in ["", " myuser", " myuser ", "  secretpass"] {
            let says = ["login failed: user or password is missing"];
            let log =
                Host { login, variable: Some("HOST_INSISTS"), ..host }.assert_no_mail(login, Rules::default(), &says);
            assert_eq!(log.auth_tries(), 0);
        }
    }
}

/// The host's own part: what refuses the mail for want of a login, or of another one, does not bounce it.
#[test]
fn a_login_demanded_although_there_was_one() {
    for host in Host::all() {
        for reply in ["530 5.7.0 Authentication required", "535 5.7.1 no", "534 5.7.9 no", "538 5.7.11 no"] {
            for place in ["MAIL", "RCPT", "DATA", "."] {
                let (delivered, log) = host.mail(Rules::default().answering(&[(place, reply)]));
                let verdict = rspawn::verdict(delivered.status, &delivered.stdout);
                let letters = match place {
                    "MAIL" => "Z",
                    "RCPT" => "sD", // the letter of the recipient decides
                    _ => "rZ",
                };
                assert_eq!(delivered.letters(), letters, "{reply} to {place}");
                assert_eq!((verdict, log.logins().len()), ('Z', 1), "{reply} to {place}");
            }
        }
        let (delivered, _) = host.mail(Rules::default().answering(&[("MAIL", "550 5.1.8 no such sender")]));
        assert_eq!(delivered.letters(), "D");
    }
}

/// It repeats what it was told, at once and later: nothing of it is in the report.
#[test]
fn a_server_that_echoes_the_secret() {
    for host in Host::all() {
        let variables = [None, Some("HOST_FORGETS")];
        for (mechanism, variable) in ["PLAIN", "LOGIN", "CRAM-MD5"].into_iter().flat_map(|m| variables.map(|v| (m, v)))
        {
            let host = Host { variable, ..host };
            let (delivered, log) = host.mail(repeating_the_login(mechanism));
            let verdict = delivered.verdict();
            assert!(verdict.contains("535-you said") && verdict.contains("535 password **********, "), "{verdict}");
            assert_not_repeated(mechanism, &log, &verdict);
        }
        // After the login, cut into lines of seven, and where the host cuts the text.
        for (place, reply) in [("MAIL", "550"), ("RCPT", "450"), (".", "554"), (".", "250")] {
            let folded = "AG15dXN\nlcgBzZW\nNyZXRwY\nXNz secretp\nass".replace('\n', &format!("\r\n{reply}-"));
            let rules =
                Rules::offering(&["AUTH PLAIN"]).answering(&[(place, &format!("{reply}-{folded}\r\n{reply} end"))]);
            let (delivered, log) = host.mail(rules);
            assert_eq!(log.logins().len(), 1);
            let output = String::from_utf8_lossy(&delivered.stdout).replace(&format!("\n{reply}-"), "");
            assert!(output.contains("****") && output.contains("end"), "{place}: {output}");
            assert_no_secret(place, &output);
        }
        for shown in 1..10 {
            let said = format!("550-{}\r\n550-secretpass\r\n550 end", "x".repeat(5000 - 4 - 1 - 4 - shown));
            let (delivered, _) = host.mail(Rules::default().answering(&[(".", &said)]));
            let verdict = delivered.verdict();
            assert!(
                verdict.ends_with(&format!("*{}\n", "*".repeat(shown - 1))) && !verdict.contains("550-s"),
                "{verdict}"
            );
        }
        // As mechanisms, on the second connection.
        let rules = Rules::default().hooked(|event, session| match event {
            Event::Command(line) if line.starts_with("EHLO") && session.connection == 1 => {
                Action::reply("250-a\r\n250 AUTH SECRETPASS AG15DXNLCGBZZWNYZX X SECR ETPA SS Y")
            }
            Event::Command(line) if line.starts_with("AUTH") => Action::reply("535 no"),
            _ => Action::Default,
        });
        host.assert_no_mail("offered", rules, &["offered <secret>, <secret>, X, <secret>, Y;"]);
    }
}

/// Old C, new C, and C++; in a tree with a patch, whose names must not clash, and in one without.
#[test]
fn every_compiler() {
    for compiler in standards() {
        for change in [Change::Login, Change::LoginAlone] {
            let name = format!("{change:?}-{}", compiler.rsplit('=').next().unwrap());
            let host = Host::new(Tree::new(&name, change, compiler).program(), change);
            host.assert_mail(compiler, Rules::default(), "CRAM-MD5");
            let wrong = || Rules::offering(&["AUTH PLAIN"]).login("myuser", "another");
            for again in [true, false] {
                let says = ["login failed: offered PLAIN; tried PLAIN (535); check user and password"];
                Host { again, ..host }.assert_no_mail(compiler, wrong(), &says);
            }
        }
    }
}

/// The page's line for TARGETS: nothing of it is left.
#[test]
fn make_clean() {
    let tree = Tree::new("clean", Change::LoginAlone, MODERN);
    tree.program();
    let made = || [".o", ".a", "qmail-remote"].map(|end| tree.files(end).len());
    assert!(made().iter().all(|count| *count > 0));
    assert!(tree.make("clean").status.success());
    assert_eq!(made(), [0, 0, 0]);
}

const SIGABRT: i32 = 6;

/// A death by a signal defers the mail. A word on a descriptor would be in the report, or in a file that happens to be open there.
#[test]
fn no_memory() {
    let [host, _] = Host::all(); // what the sanitizers do without memory is their own affair
    for again in [true, false] {
        let server = Server::start(Rules::default());
        let host = Host { again, variable: Some("HOST_STARVES"), ..host };
        let output = host.command(server.port()).output().unwrap();
        assert_eq!(output.status.signal(), Some(SIGABRT), "{output:?}");
        assert_eq!((output.stdout, String::from_utf8_lossy(&output.stderr).as_ref()), (Vec::new(), ""));
        assert!(!server.finish().saw("MAIL"));
    }
}
