//! `token`: when the provider is asked and when not, and what becomes of its answer.

use crate::support::provider::{HOST, Provider, Reply, SECRET, USER, account, command, put, run, token, unix};
use std::collections::BTreeMap;
use std::fs::{self, Permissions};
use std::os::unix::fs::{MetadataExt, PermissionsExt};

const FIRST: Option<&str> = Some("refresh-token-number-0");

/// Line 1 and the number of line 2.
fn parts(text: &str) -> (&str, u64) {
    let mut lines = text.lines();
    let parts = (lines.next().unwrap(), lines.next().unwrap().parse().unwrap());
    assert_eq!(lines.next(), None, "{text}");
    parts
}

fn names(home: &crate::support::Home) -> Vec<String> {
    let entries = fs::read_dir(account(home)).unwrap().map(|entry| entry.unwrap().file_name());
    let mut names: Vec<String> = entries.map(|name| name.into_string().unwrap()).collect();
    names.sort();
    names
}

#[test]
fn a_good_token_needs_nobody() {
    let provider = Provider::start(true);
    let home = provider.home();
    put(&home, 600, 3000, FIRST);
    let (status, text) = token(&home);
    assert_eq!((status, parts(&text).0), (Some(0), "access-token-of-old"));
    assert!(provider.requests().is_empty());
    assert_eq!(names(&home), ["access", "refresh"]);
}

/// At its end, over, from the future, or not there: a new one, and the new refresh token.
#[test]
fn a_new_token() {
    let provider = Provider::start(true);
    for (age, left) in [(2800, 800), (3700, -100), (3550, 50), (-20_000, 30_000)] {
        let home = provider.home();
        let refresh = provider.state.lock().unwrap().refresh.clone();
        put(&home, age, left, Some(&refresh));
        let before = unix();
        let (status, text) = token(&home);
        assert_eq!(status, Some(0), "{text}");
        let (token, end) = parts(&text);
        assert!(token.starts_with("access-token-number-") && (before + 3600..before + 3660).contains(&end), "{text}");
        let requests = provider.requests();
        let [request] = &requests[..] else { panic!("{requests:?}") };
        assert_eq!(request.path, "/token");
        let fields: Vec<_> = request.form.iter().map(|(name, value)| (&name[..], &value[..])).collect();
        let expected = [("client_id", "1f0e-client"), ("client_secret", SECRET), ("grant_type", "refresh_token")];
        assert_eq!(fields, [&expected[..], &[("refresh_token", &refresh)]].concat());
        assert_eq!(names(&home), ["access", "lock", "refresh"]);
        let content = fs::read_to_string(account(&home).join("access")).unwrap();
        assert_eq!(content, format!("{token}\n{}\n{end}\n", end - 3600));
        let refresh = fs::read_to_string(account(&home).join("refresh")).unwrap();
        assert_eq!(refresh.trim_end(), provider.state.lock().unwrap().refresh);
        for name in names(&home) {
            assert_eq!(fs::metadata(account(&home).join(&name)).unwrap().mode() & 0o7777, 0o600, "{name}");
        }
        assert_eq!(super::token::token(&home).1, text, "the next one needs nobody");
        assert!(provider.requests().is_empty());
    }
    let home = provider.home();
    put(&home, 0, 0, Some(&provider.state.lock().unwrap().refresh.clone()));
    fs::remove_file(account(&home).join("access")).unwrap();
    assert_eq!(token(&home).0, Some(0));
}

/// Where the provider gives no new refresh token, the old one stays. A public client sends no secret.
#[test]
fn without_rotation() {
    let provider = Provider::start(false);
    let home = provider.home();
    fs::remove_file(home.path().join(format!("control/relays/{HOST}/oauth/secret"))).unwrap();
    for _ in 0..3 {
        put(&home, 4000, -1, FIRST);
        assert_eq!(token(&home).0, Some(0));
        assert_eq!(fs::read_to_string(account(&home).join("refresh")).unwrap(), "refresh-token-number-0\n");
    }
    let requests = provider.requests();
    assert!(requests.len() == 3 && requests.iter().all(|request| !request.form.contains_key("client_secret")));
}

#[test]
fn of_an_application() {
    let provider = Provider::start(true);
    let home = provider.home();
    home.control(&format!("relays/{HOST}/oauth/grant"), "app\n");
    let (status, text) = token(&home);
    assert_eq!(status, Some(0), "{text}");
    let requests = provider.requests();
    assert_eq!(requests[0].field("grant_type"), "client_credentials");
    assert_eq!(requests[0].field("scope"), "smtp offline_access");
    assert_eq!(names(&home), ["access", "lock"]);
    assert_eq!(token(&home).1, text);
    assert!(provider.requests().is_empty());
}

/// How many processes ended so, and said this.
fn at_once(home: &crate::support::Home, arguments: &[&str], count: usize) -> BTreeMap<(Option<i32>, String), usize> {
    let children: Vec<_> = (0..count).map(|_| command(home, arguments).spawn().unwrap()).collect();
    let mut ended = BTreeMap::new();
    for child in children {
        let output = child.wait_with_output().unwrap();
        assert!(output.stderr.is_empty(), "{output:?}");
        *ended.entry((output.status.code(), String::from_utf8(output.stdout).unwrap())).or_default() += 1;
    }
    ended
}

#[test]
fn a_hundred_at_once() {
    let provider = Provider::start(true);
    let home = provider.home();
    // Over: one asks, all have what it got.
    put(&home, 4000, -1, FIRST);
    let ended = at_once(&home, &["token", HOST, USER], 100);
    assert_eq!((ended.len(), ended.values().sum::<usize>(), provider.requests().len()), (1, 100, 1), "{ended:?}");
    assert_eq!(ended.keys().next().unwrap().0, Some(0));
    // At its end: one asks, nobody waits for it.
    let refresh = provider.state.lock().unwrap().refresh.clone();
    put(&home, 3000, 600, Some(&refresh));
    let ended = at_once(&home, &["token", HOST, USER], 100);
    assert_eq!(provider.requests().len(), 1);
    assert!(ended.keys().all(|(status, text)| *status == Some(0) && text.starts_with("access-token-")), "{ended:?}");
    // Refused by the relay: one asks.
    let refresh = provider.state.lock().unwrap().refresh.clone();
    put(&home, 600, 3000, Some(&refresh));
    let ended = at_once(&home, &["token", HOST, USER, "--renew"], 100);
    assert_eq!((ended.len(), provider.requests().len()), (1, 1), "{ended:?}");
    assert!(ended.keys().all(|(status, text)| *status == Some(0) && text.starts_with("access-token-number-")));
    // Over, and the provider is down: one asks for all.
    provider.says(503, "");
    let refresh = provider.state.lock().unwrap().refresh.clone();
    put(&home, 4000, -1, Some(&refresh));
    let ended = at_once(&home, &["token", HOST, USER], 100);
    assert_eq!(provider.requests().len(), 1);
    assert!(ended.keys().all(|(status, text)| *status == Some(75) && text.contains("HTTP 503")), "{ended:?}");
}

/// The relay has refused it: a new one, unless the one that is there is young.
#[test]
fn refused_by_the_relay() {
    let provider = Provider::start(true);
    let home = provider.home();
    put(&home, 301, 3000, FIRST);
    let (status, text) = run(&home, &["token", HOST, USER, "--renew"]);
    assert!(status == Some(0) && text.starts_with("access-token-number-"), "{text}");
    assert_eq!(run(&home, &["token", "--renew", HOST, USER]), (status, text));
    assert_eq!(provider.requests().len(), 1);
    // No old token will do.
    put(&home, 3000, 600, Some("refresh-token-of-another"));
    let (status, text) = run(&home, &["token", HOST, USER, "--renew"]);
    assert!(status == Some(78) && text.contains("consent anew: qmail-remote-oauth consent"), "{text}");
}

/// With ten minutes left the old token is used, whatever is wrong.
#[test]
fn it_goes_on_with_the_old_one() {
    let provider = Provider::start(true);
    let home = provider.home();
    put(&home, 3000, 600, FIRST);
    provider.says(500, "");
    for _ in 0..3 {
        let (status, text) = token(&home);
        assert_eq!((status, parts(&text).0), (Some(0), "access-token-of-old"));
    }
    assert_eq!(provider.requests().len(), 1, "and is not asked for each mail");
    home.control(&format!("relays/{HOST}/oauth/token"), "https://127.0.0.1:1/token\n");
    assert_eq!(parts(&token(&home).1).0, "access-token-of-old");
    fs::remove_file(account(&home).join("refresh")).unwrap();
    assert_eq!(parts(&token(&home).1).0, "access-token-of-old");
}

/// What is wrong is kept, so that nobody asks again for a while; a change of the files or the end of that time makes it void.
#[test]
fn troubles() {
    let provider = Provider::start(false);
    for (code, body, status, says, pause) in [
        (503, "", 75, "no token now: 127.0.0.1: HTTP 503: it is tried again", 60),
        (429, "slower", 75, "no token now: 127.0.0.1: HTTP 429: it is tried again", 60),
        (
            400,
            r#"{"error":"slow_down","error_description":"wait"}"#,
            75,
            "no token now: 127.0.0.1: HTTP 400 slow_down wait: it is tried again",
            60,
        ),
        (
            403,
            r#"{"error":"access_denied","error_description":"AADSTS53003: why."}"#,
            78,
            "the token cannot be renewed: 127.0.0.1: HTTP 403 access_denied AADSTS53003: why.; consent anew: qmail-remote-oauth consent 127.0.0.1 me@example.org",
            900,
        ),
        (
            400,
            r#"{"error":"temporarily_unavailable"}"#,
            75,
            "no token now: 127.0.0.1: HTTP 400 temporarily_unavailable: ",
            60,
        ),
        (
            400,
            r#"{"error":"invalid_grant","error_description":"AADSTS50173: why.\r\nTrace"}"#,
            78,
            "the token cannot be renewed: 127.0.0.1: HTTP 400 invalid_grant AADSTS50173: why.; consent anew: qmail-remote-oauth consent 127.0.0.1 me@example.org",
            900,
        ),
        (
            401,
            r#"{"error":"invalid_client"}"#,
            78,
            "no token: 127.0.0.1: HTTP 401 invalid_client; see control/relays/127.0.0.1/oauth/client, control/relays/127.0.0.1/oauth/secret",
            900,
        ),
        (
            400,
            r#"{"error":"invalid_scope"}"#,
            78,
            "no token: 127.0.0.1: HTTP 400 invalid_scope; see control/relays/127.0.0.1/oauth/scope",
            900,
        ),
        (
            400,
            "",
            78,
            "no token: 127.0.0.1: HTTP 400; see control/relays/127.0.0.1/oauth/client, control/relays/127.0.0.1/oauth/secret, control/relays/127.0.0.1/oauth/token, or consent anew: qmail-remote-oauth consent 127.0.0.1 me@example.org",
            900,
        ),
    ] {
        let home = provider.home();
        put(&home, 4000, -1, FIRST);
        provider.says(code, body);
        let (ended, text) = token(&home);
        assert!(ended == Some(status) && text.starts_with(says), "{says}: {text}");
        assert_eq!(text.lines().count(), 1, "{text}");
        let (ended, again) = token(&home);
        assert!(ended == Some(status) && again.starts_with(text.trim_end()) && again.contains(" (since "), "{again}");
        assert_eq!(provider.requests().len(), 1, "{says}");
        assert_eq!(names(&home), ["access", "lock", "refresh", "trouble"]);
        // Its time is over.
        let path = account(&home).join("trouble");
        let trouble = fs::read_to_string(&path).unwrap();
        let until: u64 = trouble.lines().nth(1).unwrap().split(' ').nth(2).unwrap().parse().unwrap();
        assert!((unix() + pause - 20..=unix() + pause).contains(&until), "{trouble}");
        fs::write(&path, trouble.replace(&until.to_string(), &unix().to_string())).unwrap();
        token(&home);
        assert_eq!(provider.requests().len(), 1, "{says}");
        // A file was changed.
        home.control(&format!("relays/{HOST}/oauth/scope"), "another\n");
        token(&home);
        assert_eq!(provider.requests().len(), 1, "{says}");
        // The clock was set back.
        let trouble = fs::read_to_string(&path).unwrap();
        let until = trouble.lines().nth(1).unwrap().split(' ').nth(2).unwrap();
        fs::write(&path, trouble.replace(until, &(unix() + 990).to_string())).unwrap();
        provider.hook(|_| Reply::Ordinary);
        assert_eq!(token(&home).0, Some(0));
        assert_eq!(names(&home), ["access", "lock", "refresh"], "it is forgotten");
        provider.requests();
        let (stamp, _) = trouble.split_once('\n').unwrap();
        fs::write(&path, format!("{stamp}\nlater {} {} HTTP 503\n", unix() + 60, unix() + 120)).unwrap();
        put(&home, 4000, -1, FIRST);
        assert_eq!(token(&home).0, Some(0), "a minute ago by another clock");
        assert_eq!(provider.requests().len(), 1);
        provider.requests();
    }
}

/// Nothing is asked.
#[test]
fn set_up() {
    let provider = Provider::start(true);
    let oauth = format!("relays/{HOST}/oauth");
    let remove = |home: &crate::support::Home, name: &str| {
        fs::remove_file(home.path().join("control").join(name)).unwrap();
    };
    let of = |change: &dyn Fn(&crate::support::Home)| {
        let home = provider.home();
        put(&home, 4000, -1, FIRST);
        change(&home);
        let (status, text) = token(&home);
        assert_eq!((status, text.lines().count()), (Some(78), 1), "{text}");
        text.trim_end().to_owned()
    };
    let place = format!("control/{oauth}");
    for (name, content, says) in [
        (
            "token",
            "http://login.example.jp/token\n",
            "/token: a URL of http, which shows secrets to everybody on the way",
        ),
        ("token", "login.example.jp\n", "/token: no URL such as https://HOST/PATH"),
        ("token", "\n", "/token: the first line is empty, or has other than visible ASCII"),
        ("client", "a\tb\n", "/client: the first line is empty, or has other than visible ASCII"),
        ("grant", "password\n", "/grant: not one of user, app"),
        ("secret", "\u{e9}\n", "/secret: the first line is empty, or has other than visible ASCII"),
        ("Scope.txt", "x\n", "/Scope.txt: not read; rename it to scope, or remove it"),
        ("command", "/bin/echo x\n", "/command is there, so tokens come from that program"),
    ] {
        let text = of(&|home| {
            if name.starts_with("Scope") {
                remove(home, &format!("{oauth}/scope"));
            }
            home.control(&format!("{oauth}/{name}"), content);
        });
        assert!(text.starts_with(&format!("{place}{says}")), "{text}");
    }
    for name in ["client", "token"] {
        let text = of(&|home| remove(home, &format!("{oauth}/{name}")));
        assert_eq!(
            text,
            format!(
                "{place}/{name}: missing, and without it no token can be had; qmail-remote-oauth consent writes it"
            )
        );
    }
    let text = of(&|home| fs::remove_dir_all(home.path().join(&place)).unwrap());
    assert_eq!(text, format!("{place} is missing: run qmail-remote-oauth consent"));
    let text = of(&|home| fs::remove_file(account(home).join("refresh")).unwrap());
    assert_eq!(text, "no token for me@example.org yet: run qmail-remote-oauth consent 127.0.0.1 me@example.org");
    let text = of(&|home| fs::set_permissions(home.path().join("accounts"), Permissions::from_mode(0o777)).unwrap());
    assert!(
        text.contains("/accounts does not count: it must be a directory of uid ")
            && text.ends_with(", no link, and nobody else may write to it; correct that"),
        "{text}"
    );
    let text = of(&|home| fs::remove_dir_all(home.path().join("accounts")).unwrap());
    assert!(text.ends_with("/accounts is missing: run qmail-remote-oauth consent"), "{text}");
    for directory in [account(&provider.home()), account(&provider.home()).with_file_name("")] {
        let behind = directory.components().skip_while(|part| part.as_os_str() != "accounts");
        let below: std::path::PathBuf = behind.collect();
        let text = of(&|home| {
            fs::set_permissions(home.path().join(&below), Permissions::from_mode(0o770)).unwrap();
        });
        assert!(text.contains(&format!("/{} does not count: ", below.display())), "{text}");
    }
    assert!(provider.requests().is_empty());
    let home = provider.home();
    assert_eq!(run(&home, &["token", "a/b", USER]), (Some(78), "a/b cannot be the name of a relay\n".to_owned()));
    let (status, text) = run(&home, &["token", HOST]);
    assert!(status == Some(2) && text.starts_with("qmail-remote-oauth: HOST and USER are needed\nusage: "), "{text}");
    // Files of others do not count, and neither do links.
    put(&home, 600, 3000, FIRST);
    fs::set_permissions(account(&home).join("access"), Permissions::from_mode(0o666)).unwrap();
    let (status, text) = token(&home);
    assert!(status == Some(0) && text.starts_with("access-token-number-"), "{text}");
}

/// A refresh token that nobody has used for a week is used; what fails is said.
#[test]
fn renew_and_status() {
    let provider = Provider::start(true);
    let home = provider.home();
    put(&home, 3 * 86_400, 3600 - 3 * 86_400, FIRST);
    assert_eq!(run(&home, &["renew"]), (Some(0), String::new()));
    assert!(provider.requests().is_empty());
    put(&home, 7 * 86_400, 3600 - 7 * 86_400, FIRST);
    let (status, text) = run(&home, &["status"]);
    assert!(status == Some(0) && text.contains(" UTC, over, renewable\n"), "{text}");
    assert_eq!(run(&home, &["renew"]), (Some(0), String::new()));
    assert_eq!(provider.requests().len(), 1);
    let (status, text) = run(&home, &["status"]);
    assert_eq!(status, Some(0), "{text}");
    let begin = format!("{HOST} {USER}: token until ");
    assert!(text.starts_with(&begin) && text.contains(" UTC (") && text.ends_with(" minutes), renewable\n"), "{text}");
    put(&home, 7 * 86_400, -1, Some("refresh-token-of-another"));
    let (status, text) = run(&home, &["renew"]);
    let says =
        format!("{HOST} {USER}: the token cannot be renewed: 127.0.0.1: HTTP 400 invalid_grant no; consent anew: ");
    assert!(status == Some(1) && text.starts_with(&says), "{text}");
    let (status, text) = run(&home, &["status"]);
    assert!(status == Some(1) && text.contains(" UTC: the token cannot be renewed: "), "{text}");
    // It asks again all the same: somebody may want to know.
    provider.requests();
    assert_eq!(run(&home, &["renew"]).0, Some(1));
    assert_eq!(provider.requests().len(), 1);
    assert_eq!(run(&provider.home(), &["status"]), (Some(0), "no account has tokens\n".to_owned()));
    // Directories of logins by other means are left alone.
    for name in ["%", "%2Dx"] {
        fs::create_dir(account(&home).with_file_name(name)).unwrap();
    }
    let (_, text) = run(&home, &["status"]);
    assert!(text.contains(&format!("{HOST} -x: no token, not renewable: run qmail-remote-oauth consent\n")), "{text}");
    assert_eq!(text.lines().count(), 2, "{text}");
    let says = format!("no token for -x yet: run qmail-remote-oauth consent {HOST} -x\n");
    assert_eq!(run(&home, &["token", "--", HOST, "-x"]), (Some(78), says));
}
