//! A provider that is not one: whatever it says, there is an end to it, nothing of it is followed, and it is told in one line.

use crate::support::provider::{HOST, Provider, Reply, account, put, token};
use std::fs;
use std::time::{Duration, Instant};

/// The line that comes of this reply, and that it comes soon.
fn says(provider: &Provider, status: i32, words: &str, reply: impl FnMut() -> Reply + Send + 'static) {
    let mut reply = reply;
    provider.hook(move |_| reply());
    let home = provider.home();
    put(&home, 4000, -1, Some("refresh-token-number-0"));
    let start = Instant::now();
    let (ended, text) = token(&home);
    assert!(start.elapsed() < Duration::from_secs(15), "{words}: {:?}", start.elapsed());
    assert!(ended == Some(status) && text.contains(words), "{words}: {ended:?} {text}");
    assert!(
        text.lines().count() == 1 && text.len() < 2100 && text.trim_end().bytes().all(|c| matches!(c, b' '..=b'~')),
        "{text:?}"
    );
    assert_eq!(provider.requests().len(), 1, "{words}");
    assert!(fs::read_to_string(account(&home).join("access")).unwrap().starts_with("access-token-of-old\n"));
    assert_eq!(fs::read_to_string(account(&home).join("refresh")).unwrap(), "refresh-token-number-0\n");
}

const OK: &[u8] = b"HTTP/1.1 200 OK\r\n";

#[test]
fn replies() {
    let provider = Provider::start(false);
    let raw =
        |head: &'static str, body: Vec<u8>| move || Reply::Raw([OK, head.as_bytes(), b"\r\n\r\n", &body].concat());
    says(&provider, 75, "the reply is too long, or has no end", || {
        Reply::Endless([OK, b"X: "].concat(), b"y".repeat(10_000))
    });
    says(&provider, 75, "what came is no HTTP reply", || Reply::Endless(OK.into(), b"X: y\r\n".repeat(1000)));
    says(&provider, 75, "the reply is too long, or has no end", || {
        Reply::Endless([OK, b"Transfer-Encoding: chunked\r\n\r\n"].concat(), b"4\r\n    \r\n".repeat(1000))
    });
    says(&provider, 75, "the reply is too long, or has no end", || {
        Reply::Endless([OK, b"\r\n"].concat(), vec![b' '; 10_000])
    });
    says(&provider, 75, "the reply is too long, or has no end", || {
        Reply::Endless(b"HTTP/1.1 100 x\r\n\r\n".into(), b"HTTP/1.1 100 x\r\n\r\n".repeat(1000))
    });
    says(&provider, 75, "the reply is too long", raw("Content-Length: 70000", Vec::new()));
    says(&provider, 75, "the reply is compressed", raw("Content-Encoding: gzip", b"\x1f\x8b\x08".into()));
    says(&provider, 75, "what came is no HTTP reply", || Reply::Raw(b"220 smtp.example.jp ESMTP\r\n".into()));
    says(&provider, 75, "the connection was closed without a reply", || Reply::Raw(Vec::new()));
    says(&provider, 75, "the connection was closed within the reply", raw("Content-Length: 10", b"{".into()));
    let location = "HTTP/1.1 307 x\r\nLocation: https://127.0.0.1:1/\r\nContent-Length: 0\r\n\r\n";
    says(&provider, 78, "HTTP 307, a redirect, which is not followed", || Reply::Raw(location.into()));
    says(&provider, 78, "its reply is no JSON object", || Reply::Json(200, "[".repeat(60_000)));
    says(&provider, 78, "its reply is no JSON object", || Reply::Json(200, "{\"a\":".repeat(10_000)));
    for token in ["a\\r\\nb", "a b", "", "\\u0000", &"t".repeat(8001)] {
        let body = format!("{{\"access_token\":\"{token}\"}}");
        says(&provider, 78, "a token that is too long, or has other than visible ASCII", move || {
            Reply::Json(200, body.clone())
        });
    }
    let words = format!(
        "{{\"error\":\"{0}\",\"error_description\":\"\\u001b]0;x\\u0007\\u202e\\r\\n{0}\"}}",
        "x".repeat(20_000)
    );
    says(&provider, 78, "HTTP 400 xxx", move || Reply::Json(400, words.clone()));
}

/// The longest token that is allowed goes its way whole.
#[test]
fn the_longest_token() {
    let provider = Provider::start(false);
    let home = provider.home();
    put(&home, 4000, -1, Some("refresh-token-number-0"));
    let longest = "t".repeat(8000);
    let body = format!("{{\"access_token\":\"{longest}\",\"refresh_token\":\"{}\"}}", "r".repeat(8000));
    provider.hook(move |_| Reply::Json(200, body.clone()));
    let (status, text) = token(&home);
    assert!(status == Some(0) && text.starts_with(&format!("{longest}\n")));
    assert_eq!(token(&home), (status, text));
    assert_eq!(fs::read_to_string(account(&home).join("refresh")).unwrap(), "r".repeat(8000) + "\n");
}

/// One that says nothing costs 20 seconds, and one that speaks slowly no more.
fn no_end_in_time(reply: impl Fn() -> Reply + Send + 'static) {
    let provider = Provider::start(false);
    let home = provider.home();
    put(&home, 4000, -1, Some("refresh-token-number-0"));
    provider.hook(move |_| reply());
    let start = Instant::now();
    let (status, text) = token(&home);
    assert!(status == Some(75) && text.contains("nothing was said in time"), "{text}");
    assert!((Duration::from_secs(20)..Duration::from_secs(40)).contains(&start.elapsed()), "{:?}", start.elapsed());
}

#[test]
fn silence() {
    no_end_in_time(|| Reply::Silence);
}

#[test]
fn octet_by_octet() {
    no_end_in_time(|| Reply::Slow([OK, b"Content-Length: 60000\r\n\r\n", &[b' '; 60_000]].concat()));
}

#[test]
fn tls() {
    let provider = Provider::start(false);
    for (change, words) in [
        ("another CA", "TLS failed: its certificate does not verify: "),
        ("no file", "TLS failed: "),
        ("another name", "TLS failed: its certificate does not verify: it is for 127.0.0.1, not for localhost"),
        ("nobody", "no connection: 127.0.0.1: Connection refused"),
    ] {
        let home = provider.home();
        put(&home, 4000, -1, Some("refresh-token-number-0"));
        let place = format!("relays/{HOST}/oauth/token");
        match change {
            "another CA" => home.control("provider.pem", &Provider::start(false).ca),
            "no file" => home.control(&format!("relays/{HOST}/oauth/cafile"), "/nonexistent\n"),
            "another name" => {
                home.control(&place, format!("{}\n", provider.url("/token").replace("127.0.0.1", "localhost")))
            }
            _ => home.control(&place, "https://127.0.0.1:1/token\n"),
        };
        let (status, text) = token(&home);
        assert!(status == Some(if change == "no file" { 78 } else { 75 }) && text.contains(words), "{change}: {text}");
        assert!(!text.contains("the relay"), "{text}");
        assert!(provider.requests().is_empty(), "{change}");
    }
}
