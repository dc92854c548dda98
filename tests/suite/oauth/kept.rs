//! What comes with a token that cannot be used, or that cannot be kept: no good refresh token is thrown away, and the provider is not
//! asked for each mail.

use crate::support::Home;
use crate::support::provider::{HOST, Provider, Reply, USER, account, put, run, token, unix};
use std::fs;

/// At the end of its life.
fn over(provider: &Provider) -> Home {
    let home = provider.home();
    put(&home, 4000, -1, Some("refresh-token-number-0"));
    home
}

fn file(home: &Home, name: &str) -> String {
    fs::read_to_string(account(home).join(name)).unwrap_or_default()
}

/// For how long nobody asks again.
fn pause(home: &Home) -> u64 {
    let trouble = file(home, "trouble");
    let until: u64 = trouble.lines().nth(1).unwrap_or_default().split(' ').nth(2).unwrap_or("0").parse().unwrap();
    until.saturating_sub(unix())
}

/// The old refresh token is void as soon as there is a new one.
#[test]
fn a_good_refresh_token_with_a_bad_access_token() {
    let provider = Provider::start(true);
    let too_long = "t".repeat(8001);
    for (access, says) in [
        (&format!("\"access_token\":\"{too_long}\"")[..], "a token that is too long, or has other than visible ASCII"),
        ("\"access_token\":\"a b\"", "a token that is too long, or has other than visible ASCII"),
        ("\"access_token\":\"a\",\"token_type\":\"mac\"", "its reply has no bearer token"),
        ("\"x\":1", "its reply has no bearer token"),
        (
            "\"access_token\":\"a\",\"expires_in\":30",
            "its token is good for 30 seconds; it must be good for longer than a minute",
        ),
    ] {
        let home = over(&provider);
        let body = format!("{{{access},\"refresh_token\":\"refresh-token-that-is-new\"}}");
        provider.hook(move |_| Reply::Json(200, body.clone()));
        let (status, text) = token(&home);
        assert!(status == Some(78) && text.contains(says), "{text}");
        assert_eq!(file(&home, "refresh"), "refresh-token-that-is-new\n");
        assert!((800..=900).contains(&pause(&home)), "{says}");
        let mut names: Vec<_> = fs::read_dir(account(&home)).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        names.sort();
        assert_eq!(names, ["access", "lock", "refresh", "trouble"]);
        // For the mails behind it nobody asks.
        for _ in 0..3 {
            assert_eq!(token(&home).0, Some(78));
        }
        assert_eq!(provider.requests().len(), 1);
        fs::remove_file(account(&home).join("trouble")).unwrap();
        provider.says(200, r#"{"access_token":"good-one","refresh_token":""}"#);
        let (status, text) = token(&home);
        assert!(status == Some(0) && text.starts_with("good-one\n"), "{text}");
        assert_eq!(provider.requests()[0].field("refresh_token"), "refresh-token-that-is-new");
        assert_eq!(file(&home, "refresh"), "refresh-token-that-is-new\n", "an empty one is none");
    }
}

/// Of no use to a delivery. With ten minutes left mail goes out with the old one.
#[test]
fn a_life_of_less_than_a_minute() {
    let provider = Provider::start(true);
    provider.state.lock().unwrap().life = 60;
    let home = provider.home();
    put(&home, 3000, 600, Some("refresh-token-number-0"));
    for _ in 0..3 {
        let (status, text) = token(&home);
        assert!(status == Some(0) && text.starts_with("access-token-of-old\n"), "{text}");
    }
    assert_eq!(provider.requests().len(), 1);
    assert_eq!(file(&home, "refresh").trim_end(), provider.state.lock().unwrap().refresh);
    let (status, text) = run(&home, &["status"]);
    assert!(status == Some(1) && text.contains("its token is good for 60 seconds; it must be"), "{text}");
    // A consent to it is no use either.
    let home = provider.home();
    home.control(&format!("relays/{HOST}/oauth/device"), format!("{}\n", provider.url("/device")));
    provider.state.lock().unwrap().device = Some("granted");
    let (status, text) = run(&home, &["consent", HOST, USER]);
    assert!(status == Some(1) && text.contains("\nNOT DONE: no token: 127.0.0.1: its token is good for 60 "), "{text}");
}

/// It is used once, and for a minute nobody asks for another.
#[test]
fn a_token_that_cannot_be_kept() {
    let provider = Provider::start(true);
    for name in ["access", "refresh"] {
        let home = over(&provider);
        let sent = provider.state.lock().unwrap().refresh.clone();
        fs::write(account(&home).join("refresh"), format!("{sent}\n")).unwrap();
        let path = account(&home).join(name);
        let in_the_way = path.clone();
        if name == "access" {
            fs::remove_file(&path).unwrap();
            fs::create_dir(&path).unwrap();
        } else {
            provider.hook(move |_| {
                fs::remove_file(&in_the_way).unwrap();
                fs::create_dir(&in_the_way).unwrap();
                Reply::Ordinary
            });
        }
        let (status, text) = token(&home);
        assert!(status == Some(0) && text.starts_with("access-token-number-"), "{text}");
        assert!((30..=60).contains(&pause(&home)), "{name}");
        let says = format!("/{HOST}/{USER}/{name}: Is a directory");
        let (status, text) = run(&home, &["status"]);
        assert!(status == Some(1) && text.contains(&says), "{text}");
        if name == "access" {
            for _ in 0..5 {
                let (status, text) = token(&home);
                assert!(status == Some(75) && text.contains(&says), "{text}");
            }
        } else {
            assert_eq!(token(&home).0, Some(0), "the access token is there");
        }
        assert_eq!(provider.requests().len(), 1, "{name}");
        // In the end nothing is lost.
        provider.hook(|_| Reply::Ordinary);
        fs::remove_dir(&path).unwrap();
        fs::remove_file(account(&home).join("trouble")).unwrap();
        put(&home, 4000, -1, None);
        assert_eq!(token(&home).0, Some(0), "{name}");
        provider.requests();
    }
}
