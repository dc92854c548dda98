//! Where the token comes from, and when a program is run for another one.

use super::{Relay, account, deliver, runs, store, stored, unix, with_script};
use std::fs;
use std::os::unix::fs::MetadataExt;

#[test]
fn a_good_token_needs_no_program() {
    let relay = Relay::start(&["secret-1"]);
    let home = relay.home();
    with_script(&home, "exit 1");
    for (age, left) in [(10, 3000), (2700, 900), (2640, 960), (100, 200)] {
        store(&home, "secret-1", age, left);
        assert_eq!((deliver(&home).letters(), runs(&home)), ("rK".into(), 0), "{age} {left}");
    }
}

#[test]
fn another_one_near_its_end() {
    let relay = Relay::start(&["secret-1", "secret-2"]);
    let home = relay.home();
    let end = unix() + 3600;
    with_script(&home, &format!("echo secret-2; echo {end}"));
    store(&home, "secret-1", 2800, 800);
    assert_eq!((deliver(&home).letters(), runs(&home)), ("rK".into(), 1));
    assert_eq!(relay.heard(), "CONNECT, XOAUTH2, secret-2");
    assert_eq!(stored(&home).as_deref(), Some("secret-2"));
    let file = fs::metadata(account(&home).join("access")).unwrap();
    assert_eq!(file.mode() & 0o777, 0o600);
    assert_eq!(
        fs::read_dir(account(&home))
            .unwrap()
            .filter(|entry| { entry.as_ref().unwrap().file_name().to_str().unwrap().starts_with("access") })
            .count(),
        1
    );
    // It is kept for the next mail.
    assert_eq!((deliver(&home).letters(), runs(&home)), ("rK".into(), 0));
    assert_eq!(relay.heard(), "CONNECT, XOAUTH2, secret-2");
}

/// Without its end it is for one mail.
#[test]
fn a_token_that_does_not_say_its_end() {
    let relay = Relay::start(&["secret-1"]);
    let home = relay.home();
    for script in ["echo secret-1", "printf secret-1", "printf 'secret-1\\n\\n'"] {
        with_script(&home, script);
        for _ in 0..2 {
            assert_eq!((deliver(&home).letters(), runs(&home)), ("rK".into(), 1), "{script}");
        }
        assert_eq!(stored(&home), None);
        assert_eq!(relay.heard(), "CONNECT, XOAUTH2, secret-1, CONNECT, XOAUTH2, secret-1");
    }
}

#[test]
fn without_accounts_it_is_run_for_each_mail() {
    let relay = Relay::start(&["secret-1"]);
    let home = relay.home();
    fs::remove_dir(home.path().join("accounts")).unwrap();
    with_script(&home, &format!("echo secret-1; echo {}", unix() + 3600));
    for _ in 0..2 {
        assert_eq!((deliver(&home).letters(), runs(&home)), ("rK".into(), 1));
    }
}

/// The old one is good for a minute more; then mail waits.
#[test]
fn the_program_fails() {
    let relay = Relay::start(&["secret-1"]);
    let home = relay.home();
    with_script(&home, "echo no network: it is tried again; exit 75");
    for (left, letters) in [(800, "rK"), (70, "rK"), (50, "Z"), (-1000, "Z")] {
        store(&home, "secret-1", 3000, left);
        let delivered = deliver(&home);
        assert_eq!((delivered.letters(), runs(&home)), (letters.into(), 1), "{left}");
        assert_eq!(relay.heard().is_empty(), letters == "Z");
        if letters == "Z" {
            let verdict = delivered.verdict();
            assert!(verdict.starts_with("ZNo token to log in with. (#4.7.8) Relay 127.0.0.1:"), "{verdict}");
            assert!(verdict.contains(" (control/smtproutes line 1) as me@example.com: "), "{verdict}");
            assert!(verdict.ends_with("/token-program failed with status 75: no network: it is tried again; see control/relays/127.0.0.1/oauth/command.\n"), "{verdict}");
        }
    }
}

/// Its clock was set back since.
#[test]
fn a_token_of_the_future_is_none() {
    let relay = Relay::start(&["secret-2"]);
    let home = relay.home();
    with_script(&home, &format!("echo secret-2; echo {}", unix() + 3600));
    store(&home, "secret-1", -4000, 8000);
    assert_eq!((deliver(&home).letters(), runs(&home)), ("rK".into(), 1));
}

/// A program that was configured later than the token came from another one.
#[test]
fn a_token_older_than_the_command() {
    let relay = Relay::start(&["secret-2"]);
    let home = relay.home();
    store(&home, "secret-1", 10, 3000);
    let file = fs::File::options().write(true).open(account(&home).join("access")).unwrap();
    file.set_modified(std::time::SystemTime::now() - std::time::Duration::from_secs(10)).unwrap();
    with_script(&home, &format!("echo secret-2; echo {}", unix() + 3600));
    assert_eq!((deliver(&home).letters(), runs(&home)), ("rK".into(), 1));
    assert_eq!(relay.heard(), "CONNECT, XOAUTH2, secret-2");
}

#[test]
fn what_is_no_token() {
    let relay = Relay::start(&[]);
    let home = relay.home();
    let is_none = "printed is no token: line 1 must be the token";
    for (script, says) in [
        ("exit 0", is_none),
        ("echo; echo 5", is_none),
        ("printf 'secret-1\\r\\n'", is_none),
        ("echo secret-1 secret-2", is_none),
        ("printf 'secret-1\\0\\n'", is_none),
        ("printf 'secret-\\303\\251\\n'", is_none),
        ("head -c 8001 /dev/zero | tr '\\0' x", is_none),
        ("echo secret-1; echo tomorrow", is_none),
        ("echo secret-1; echo -5", is_none),
        ("echo secret-1; echo 99999999999999999999", is_none),
        ("echo secret-1; echo 1700000000", "printed is at its end"),
        ("yes secret-1 | tr -d '\\n'", "failed with "),
        ("exit 7", "failed with status 7; see control/relays/127.0.0.1/oauth/command"),
        ("kill -9 $$", "failed with signal 9; see"),
        // What it prints may be a token all the same.
        ("printf 'expired: secret-%040d of me'; exit 1", "failed with status 1: expired: ... of me; see"),
        ("echo secret-1; exit 1", "failed with status 1; see"),
        ("printf '\\tsecret-1 \\r\\n'; exit 1", "failed with status 1; see"),
        ("printf 'secret-1\\0\\n'; exit 1", "failed with status 1; see"),
        ("echo Bearer secret-1abcdefghijk; exit 1", "failed with status 1: Bearer ...; see"),
        (
            "echo no file /etc/oauth2/token-1.json; exit 1",
            "failed with status 1: no file /etc/oauth2/token-1.json; see",
        ),
        ("printf '%0995d secret-%040d of me'; exit 1", "failed with status 1: ... ... of me; see"),
        ("echo secret-1; echo 1800000000000", is_none), // milliseconds
    ] {
        with_script(&home, script);
        let verdict = deliver(&home).verdict();
        assert!(verdict.starts_with("ZNo token to log in with. ") && verdict.contains(says), "{script}: {verdict}");
        assert_eq!(relay.heard(), "");
    }
    home.control("relays/127.0.0.1/oauth/command", "/nonexistent/program\n");
    let verdict = deliver(&home).verdict();
    assert!(
        verdict.contains(": /nonexistent/program cannot be run: No such file or directory; see control/"),
        "{verdict}"
    );
    home.control("relays/127.0.0.1/oauth/command", "\n");
    let verdict = deliver(&home).verdict();
    assert!(verdict.contains("control/relays/127.0.0.1/oauth/command: the first line is empty"), "{verdict}");
}

/// Each sender may have a mailbox of its own.
#[test]
fn users_of_authsenders() {
    let relay = Relay::start(&["secret-1"]);
    let home = relay.home_without_user();
    store(&home, "secret-1", 10, 3000);
    let verdict = deliver(&home).verdict();
    assert!(
        verdict.contains("control/relays/127.0.0.1/user: missing, and the tokens of oauth are for a user"),
        "{verdict}"
    );
    for line in [
        "@example.net:|me@example.com|",
        "@example.net|me@example.com",
        &format!("@example.net:127.0.0.1:{}|me@example.com", relay.server.port()),
    ] {
        home.control("authsenders", format!("{line}\n"));
        let delivered = deliver(&home);
        assert_eq!(delivered.letters(), "rK", "{line}: {}", delivered.verdict());
        assert_eq!(relay.heard(), "CONNECT, XOAUTH2, secret-1");
    }
    fs::remove_dir(home.path().join("control/relays/127.0.0.1/oauth")).unwrap();
    let verdict = deliver(&home).verdict();
    assert!(
        verdict.contains("control/authsenders line 1: a user without a password (write both or neither)"),
        "{verdict}"
    );
    fs::remove_dir(home.path().join("control/relays/127.0.0.1")).unwrap();
    let verdict = deliver(&home).verdict();
    assert!(
        verdict.contains("control/authsenders line 1: a user without a password (write both or neither)"),
        "{verdict}"
    );
    home.control("smtproutes", format!(":127.0.0.1:{} me@example.com\n", relay.server.port()));
    _ = fs::remove_file(home.path().join("control/authsenders"));
    fs::create_dir_all(home.path().join("control/relays/127.0.0.1/oauth")).unwrap();
    let verdict = deliver(&home).verdict();
    assert!(
        verdict.contains("control/smtproutes line 1: a user without a password (write both or neither)"),
        "{verdict}"
    );
}

#[test]
fn password_and_tokens() {
    let relay = Relay::start(&["secret-1"]);
    let home = relay.home();
    store(&home, "secret-1", 10, 3000);
    home.control("relays/127.0.0.1/password", "secretpass\n");
    let verdict = deliver(&home).verdict();
    assert!(verdict.contains("control/relays/127.0.0.1: it has both password and oauth"), "{verdict}");
    // A line with a login of its own needs neither.
    home.control("smtproutes", format!(":127.0.0.1:{} myuser secretpass\n", relay.server.port()));
    deliver(&home);
    assert!(relay.heard().starts_with("CONNECT, PLAIN"), "{}", relay.heard());
}
