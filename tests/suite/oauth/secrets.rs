//! No secret is in any output, argument or environment, and none in what is kept of a failure; the token on descriptor 1 is for
//! qmail-remote.

use crate::support::Home;
use crate::support::provider::{HOST, Provider, Reply, Request, SECRET, USER, account, command, put, run};
use base64::prelude::{BASE64_STANDARD, Engine};
use std::fs;
use std::sync::{Arc, Mutex};

/// What must not be seen, but for the tokens that the provider gives.
const SECRETS: [&str; 3] = [SECRET, "device-code-of-this-consent", "refresh-token-number-"];

fn forms(secret: &str) -> [String; 5] {
    let encoded: String = secret
        .bytes()
        .map(|octet| {
            if octet.is_ascii_alphanumeric() || octet == b'-' {
                char::from(octet).to_string()
            } else {
                format!("%{octet:02X}")
            }
        })
        .collect();
    // Where something is in front of it, as in the header of HTTP Basic (RFC 7617): what is of the secret alone.
    let behind = |name: &str| {
        let told = BASE64_STANDARD.encode(format!("{name}{secret}"));
        told[4..told.len() - 4].to_owned()
    };
    [secret.to_owned(), encoded, BASE64_STANDARD.encode(secret), behind(":"), behind("a:")]
}

fn assert_none(case: &str, text: &str) {
    for secret in SECRETS.iter().chain(&["access-token-"]) {
        for form in forms(secret) {
            assert!(!text.contains(&form), "{case}: {form} in {text}");
        }
    }
}

/// What other users see of each process.
fn processes() -> String {
    let mut seen = String::new();
    for entry in fs::read_dir("/proc").unwrap().flatten() {
        for name in ["cmdline", "environ"] {
            seen += &String::from_utf8_lossy(&fs::read(entry.path().join(name)).unwrap_or_default());
        }
    }
    seen
}

/// A home for each way to consent.
fn home(provider: &Provider) -> Home {
    let home = provider.home();
    home.control(&format!("relays/{HOST}/oauth/device"), format!("{}\n", provider.url("/device")));
    home.control(&format!("relays/{HOST}/oauth/authorize"), format!("{}\n", provider.url("/authorize")));
    home
}

/// A provider that says all it was told.
fn echo(request: &Request, code: u16, error: &str) -> Reply {
    let told: Vec<&str> = request.form.values().map(String::as_str).collect();
    let encoded: Vec<String> = told.iter().flat_map(|value| forms(value)).collect();
    let text = format!("{} {}", told.join(" "), encoded.join(" "));
    Reply::Json(code, format!("{{\"error\":\"{error}\",\"error_description\":\"{}\"}}", text.replace('"', "")))
}

#[test]
fn of_failures() {
    let provider = Provider::start(true);
    for (code, error) in [(400, "invalid_grant"), (401, "invalid_client"), (503, "x"), (400, "x")] {
        provider.hook(move |request| echo(request, code, error));
        let home = home(&provider);
        for arguments in [
            &["token", HOST, USER][..],
            &["token", HOST, USER],
            &["token", HOST, USER, "--renew"],
            &["renew"],
            &["status"],
            &["consent", HOST, USER],
        ] {
            put(&home, 9 * 86_400, -1, Some("refresh-token-number-0"));
            let (status, text) = run(&home, arguments);
            assert_ne!(status, Some(0), "{arguments:?}: {text}");
            assert_none(&format!("{arguments:?}"), &text);
        }
        let trouble = fs::read_to_string(account(&home).join("trouble")).unwrap();
        assert_none("trouble", &trouble);
        assert!(trouble.contains("<secret>"), "{trouble}");
        // A device code that comes back.
        provider.hook(
            move |request| {
                if request.path == "/device" { Reply::Ordinary } else { echo(request, 401, "invalid_client") }
            },
        );
        let (_, text) = run(&home, &["consent", HOST, USER]);
        assert_none("a device code", &text);
        assert!(text.contains("FQQV-MCSM") && text.contains("<secret>"), "{text}");
    }
}

/// While the provider has its request, and in what is printed.
#[test]
fn of_what_succeeds() {
    let provider = Provider::start(true);
    let seen = Arc::new(Mutex::new(0));
    let count = seen.clone();
    provider.hook(move |_| {
        assert_none("a process", &processes());
        *count.lock().unwrap() += 1;
        Reply::Ordinary
    });
    provider.state.lock().unwrap().device = Some("granted");
    let home = home(&provider);
    let (status, text) = run(&home, &["consent", HOST, USER]);
    assert_eq!(status, Some(0), "{text}");
    assert_none("consent", &text);
    let refresh = provider.state.lock().unwrap().refresh.clone();
    put(&home, 9 * 86_400, -1, Some(&refresh));
    let (status, text) = run(&home, &["renew"]);
    assert_eq!((status, &text[..]), (Some(0), ""));
    assert_none("status", &run(&home, &["status"]).1);
    put(&home, 4000, -1, Some(&provider.state.lock().unwrap().refresh.clone()));
    let output = command(&home, &["token", HOST, USER]).output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(text.starts_with("access-token-number-") && output.stderr.is_empty());
    assert_none("the other line", text.lines().last().unwrap());
    assert_eq!(*seen.lock().unwrap(), 4, "the hook has looked");
}
