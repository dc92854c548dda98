//! qmail-remote-check and tokens.

use super::{JSON, Relay, account, store, unix, with_script};
use crate::support::Home;
use crate::support::certificate::Authority;
use crate::support::check::{Checked, command, run};
use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;

fn check(home: &Home, arguments: &[&str]) -> Checked {
    let checked = run(command(home, arguments));
    assert!(!checked.stdout.contains("secret-") && !checked.stderr.contains("secret-"), "{checked:?}");
    checked
}

#[test]
fn until_when_and_from_where() {
    let relay = Relay::start(&["secret-1"]);
    let home = relay.home();
    store(&home, "secret-1", 10, 3090);
    let said = check(&home, &["example.org"]).stdout;
    assert!(said.contains("\ncredentials   user me@example.com, a token from control/relays/127.0.0.1\n"), "{said}");
    assert!(
        said.contains("\ntoken         until 20")
            && said.contains(" UTC (51 minutes), not renewable, from accounts/127.0.0.1/me@example.com\n"),
        "{said}"
    );
    assert!(said.contains("\nlogin         done by XOAUTH2\n"), "{said}");
    assert!(said.contains("OAUTHBEARER (a token is shown once, and XOAUTH2 is tried)"), "{said}");
    assert!(said.contains("LOGIN (the login is a token)"), "{said}");
    fs::write(account(&home).join("refresh"), "").unwrap();
    let checked = check(&home, &["--json", "example.org"]);
    let steps = checked.json()["steps"].as_array().unwrap().clone();
    let step = |name: &str| steps.iter().find(|step| step["step"] == name).unwrap().clone();
    assert_eq!(step("token")["renewable"], true);
    assert_eq!(step("token")["from"], "accounts/127.0.0.1/me@example.com");
    assert!(step("token")["until"].as_i64().unwrap() > unix());
    assert_eq!(step("credentials")["by_token"], true);
}

#[test]
fn a_refused_token() {
    let relay = Relay::start(&[]);
    let home = relay.home();
    with_script(&home, "echo secret-2");
    let checked = check(&home, &["example.org"]);
    let said = checked.stdout;
    assert_eq!(checked.status, Some(1), "{said}");
    assert!(
        said.contains("\ntoken         none yet")
            || said.contains("\ntoken         asked for with each mail, renewable, by /"),
        "{said}"
    );
    assert!(said.contains(&format!("\nlogin         334 {JSON}: the relay does not accept the token\n")), "{said}");
    assert!(said.contains("\nnext          another token, since: "), "{said}");
    assert!(said.contains("No other token: the same one came again."), "{said}");
}

/// What it finds wrong in `oauth`, for each of these files.
#[test]
fn config() {
    let relay = Relay::start(&[]);
    let home = relay.home();
    for (name, value) in [
        ("client", "1f0e"),
        ("secret", "secret-3"),
        ("token", "https://login.example.jp/token"),
        ("device", "https://login.example.jp/device"),
        ("scope", "a b"),
    ] {
        home.control(&format!("relays/127.0.0.1/oauth/{name}"), format!("{value}\n"));
    }
    let config = || {
        let checked = check(&home, &["--config"]);
        (checked.status.unwrap(), checked.stdout)
    };
    let (status, said) = config();
    assert_eq!(status, 0, "{said}");
    assert!(said.contains(" with a login as me@example.com by a token (control/relays/127.0.0.1)"), "{said}");
    assert!(said.contains("control/relays/127.0.0.1/oauth/secret holds a secret: "), "{said}");
    let mechanisms = "relays/127.0.0.1/mechanisms";
    home.control(mechanisms, "PLAIN LOGIN\n");
    let (status, said) = config();
    assert!(
        status == 1 && said.contains("/mechanisms: it names neither XOAUTH2 nor OAUTHBEARER, which take"),
        "{said}"
    );
    home.control(mechanisms, "plain xoauth2\n");
    assert_eq!(config().0, 0);
    home.control("relays/127.0.0.1/oauth/cafile", "/nonexistent.pem\n");
    let (status, said) = config();
    assert!(status == 1 && said.contains("/nonexistent.pem (of control/relays/127.0.0.1/oauth/cafile): "), "{said}");
    fs::remove_file(home.path().join("control/relays/127.0.0.1/oauth/cafile")).unwrap();
    // None of these is wrong.
    let ca = Authority::new("CA of the provider").pem;
    home.control("relays/127.0.0.1/oauth/ca.crt", &ca);
    home.control("relays/127.0.0.1/oauth/cafile", "control/relays/127.0.0.1/oauth/ca.crt\n");
    home.control("authsenders", "@other.example|you@example.com\n");
    let (status, said) = config();
    assert!(status == 0 && !said.contains("is not read") && !said.contains("authsenders holds"), "{said}");
    fs::remove_file(home.path().join("control/authsenders")).unwrap();
    fs::remove_file(home.path().join("control/relays/127.0.0.1/oauth/cafile")).unwrap();
    fs::remove_file(home.path().join("control/relays/127.0.0.1/oauth/ca.crt")).unwrap();
    let accounts = home.path().join("accounts");
    for mode in [0o770, 0o700] {
        fs::set_permissions(&accounts, Permissions::from_mode(mode)).unwrap();
        let (status, said) = config();
        let is_told = said.contains("/accounts is missing, or not a directory of qmail-remote's user that nobody else");
        assert_eq!((status == 1, is_told), (mode == 0o770, mode == 0o770), "{said}");
    }
    fs::rename(&accounts, home.path().join("accounts.old")).unwrap();
    assert!(config().1.contains("/accounts is missing"));
    home.control("relays/127.0.0.1/oauth/token", "http://login.example.jp/token\n");
    let (status, said) = config();
    assert!(
        status == 1 && said.contains("oauth/token: a URL of http, which shows secrets to everybody on the way"),
        "{said}"
    );
    fs::remove_file(home.path().join("control/relays/127.0.0.1/oauth/token")).unwrap();
    let (status, said) = config();
    assert!(status == 1 && said.contains("oauth/token: missing, and without it no token can be had"), "{said}");
    for command in ["/nonexistent/x y", "./x", "/etc/passwd", "no-such-program-anywhere x"] {
        home.control("relays/127.0.0.1/oauth/command", format!("{command}\n"));
        let (status, said) = config();
        assert!(
            status == 1 && said.contains(" is not the path of a program, from / on; mail with a login by"),
            "{said}"
        );
    }
    home.control("relays/127.0.0.1/oauth/command", "/bin/false x\n");
    let (status, said) = config();
    assert!(status == 0 && said.contains(", tokens by /bin/false (control/relays/127.0.0.1/oauth/command)"), "{said}");
    home.control("relays/127.0.0.1/password", "secretpass\n");
    let (status, said) = config();
    assert!(status == 1 && said.contains("control/relays/127.0.0.1: it has both password and oauth"), "{said}");
}

/// What is there for another day, while the login is by a password.
#[test]
fn tokens_that_are_not_used() {
    let home = Home::with_route("127.0.0.1:587 joe secretpass");
    home.control("relays/127.0.0.1/oauth/client", "1f0e\n");
    let checked = check(&home, &["--config"]);
    assert!(checked.status == Some(0) && !checked.stdout.contains("deferred"), "{}", checked.stdout);
}
