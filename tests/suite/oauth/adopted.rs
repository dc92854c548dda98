//! A refresh token that has not its name yet may be the only one that is good: it is taken over, or nobody is asked. And a file that does
//! not count is named.

use crate::support::Home;
use crate::support::check::is_root;
use crate::support::provider::{HOST, Provider, Reply, USER, account, program, put, run, token};
use std::fs::{self, Permissions};
use std::os::unix::fs::{PermissionsExt, chown, symlink};
use std::path::Path;
use std::process::{Command, Stdio};

/// The one that is good, with the room that was made for it.
fn new_token() -> String {
    format!("refresh-token-number-0\n{}", "\0".repeat(16_361))
}

/// Killed between its write and its name: the token in `refresh` is void.
fn interrupted(provider: &Provider) -> Home {
    let home = provider.home();
    home.control(&format!("relays/{HOST}/oauth/device"), format!("{}\n", provider.url("/device")));
    put(&home, 9 * 86_400, -1, Some("refresh-token-of-old"));
    fs::write(account(&home).join("refresh.new"), new_token()).unwrap();
    home
}

/// Runs it under strace(1), with this fault at calls with this path.
fn with_fault(home: &Home, path: &Path, fault: &str, arguments: &[&str]) -> (Option<i32>, String) {
    let mut strace = Command::new("strace");
    strace.args(["-o", "/dev/null", "-e", fault, "-P"]).arg(path).arg(program()).args(arguments);
    strace.env_clear().env("PATH", "/usr/bin:/bin").env("QMAILHOME", home.path()).stdin(Stdio::null());
    let output = strace.output().expect("strace is needed");
    (output.status.code(), String::from_utf8(output.stdout).unwrap())
}

fn assert_is_untouched(provider: &Provider, home: &Home, case: &str) {
    assert!(provider.requests().is_empty(), "{case}");
    assert_eq!(fs::read_to_string(account(home).join("refresh.new")).unwrap(), new_token(), "{case}");
}

/// One call fails once; then all is well.
#[test]
fn it_cannot_be_adopted_while_system_calls_fail() {
    for (call, error, words) in [
        ("openat", "ENFILE", "refresh.new: Too many open files in system"),
        ("read", "EIO", "refresh.new: Input/output error"),
        ("rename", "EROFS", "refresh.new: Read-only file system"),
    ] {
        for (arguments, status) in [(&["token", HOST, USER][..], 75), (&["renew"], 1), (&["consent", HOST, USER], 1)] {
            let provider = Provider::start(true);
            let home = interrupted(&provider);
            let fault = format!("inject={call}:error={error}:when=1");
            let case = format!("{arguments:?} {call}");
            let (ended, text) = with_fault(&home, &account(&home).join("refresh.new"), &fault, arguments);
            assert!(ended == Some(status) && text.contains(words), "{case}: {text}");
            assert!(!text.contains("In a browser"), "{case}: nobody is asked: {text}");
            assert_is_untouched(&provider, &home, &case);
            if arguments[0] == "token" {
                let (status, text) = run(&home, &["status"]);
                assert!(status == Some(1) && text.contains(", renewable; at ") && text.contains(words), "{text}");
                fs::remove_file(account(&home).join("trouble")).unwrap();
                assert_eq!(token(&home).0, Some(0), "{case}");
                assert_eq!(provider.requests()[0].field("refresh_token"), "refresh-token-number-0");
            }
        }
    }
}

/// Until somebody does something.
#[test]
fn it_cannot_be_adopted() {
    let provider = Provider::start(true);
    type Change = fn(&Path);
    let cases: [(&str, Change); 3] = [
        ("/refresh.new: Is a directory", |account| {
            fs::remove_file(account.join("refresh")).unwrap();
            fs::create_dir_all(account.join("refresh/x")).unwrap();
        }),
        ("/refresh.new does not count: it must be a file of uid ", |account| {
            fs::set_permissions(account.join("refresh.new"), Permissions::from_mode(0o660)).unwrap();
        }),
        ("/refresh.new does not count: it must be a file of uid ", |account| {
            fs::rename(account.join("refresh.new"), account.join("elsewhere")).unwrap();
            symlink("elsewhere", account.join("refresh.new")).unwrap();
        }),
    ];
    for (says, change) in cases {
        let home = interrupted(&provider);
        change(&account(&home));
        for (arguments, status) in
            [(&["token", HOST, USER][..], 75), (&["token", HOST, USER], 75), (&["consent", HOST, USER], 1)]
        {
            let (ended, text) = run(&home, arguments);
            assert!(ended == Some(status) && text.contains(says), "{arguments:?}: {text}");
            assert!(!text.contains("In a browser"), "{text}");
            assert_is_untouched(&provider, &home, says);
        }
        let (status, text) = run(&home, &["status"]);
        assert!(status == Some(1) && text.contains(says), "{text}");
    }
    // With ten minutes left mail goes out all the same.
    let home = interrupted(&provider);
    put(&home, 3000, 600, None);
    fs::remove_file(account(&home).join("refresh")).unwrap();
    fs::create_dir_all(account(&home).join("refresh/x")).unwrap();
    let (status, text) = token(&home);
    assert!(status == Some(0) && text.starts_with("access-token-of-old\n"), "{text}");
    assert_is_untouched(&provider, &home, "near its end");
}

/// It is all that is there.
#[test]
fn it_is_renewed() {
    let provider = Provider::start(true);
    let home = interrupted(&provider);
    fs::remove_file(account(&home).join("refresh")).unwrap();
    let (status, text) = run(&home, &["status"]);
    assert!(status == Some(0) && text.ends_with(" UTC, over, renewable\n"), "{text}");
    assert_eq!(run(&home, &["renew"]), (Some(0), String::new()));
    let requests = provider.requests();
    assert!(requests.len() == 1 && requests[0].field("refresh_token") == "refresh-token-number-0", "{requests:?}");
}

/// A refresh token that is there and does not count: which file, and why.
#[test]
fn it_does_not_count() {
    let provider = Provider::start(true);
    let ours = "/refresh does not count: it must be a file of uid ";
    let line = "/refresh does not count: it must be one line with a token; ";
    type Change = fn(&Path);
    let mut cases: Vec<(&str, Change)> = vec![
        (ours, |file| fs::set_permissions(file, Permissions::from_mode(0o664)).unwrap()),
        (ours, |file| {
            fs::rename(file, file.with_file_name("elsewhere")).unwrap();
            symlink("elsewhere", file).unwrap();
        }),
        (line, |file| fs::write(file, "refresh-token-number-0\r\n").unwrap()),
        (line, |file| fs::write(file, "").unwrap()),
    ];
    if is_root() {
        cases.push((ours, |file| chown(file, Some(12_345), None).unwrap()));
    }
    for (says, change) in cases {
        let home = provider.home();
        put(&home, 9 * 86_400, -1, Some("refresh-token-number-0"));
        change(&account(&home).join("refresh"));
        for (arguments, status) in [(&["token", HOST, USER][..], 78), (&["renew"], 1), (&["status"], 1)] {
            let (ended, text) = run(&home, arguments);
            assert!(ended == Some(status) && text.contains(says) && text.lines().count() == 1, "{arguments:?}: {text}");
        }
    }
    assert!(provider.requests().is_empty());
}

/// `renew` and `status` say what is wrong above an account, too; tokens of another program are not theirs.
#[test]
fn renew_says_what_fails() {
    let provider = Provider::start(true);
    let home = provider.home();
    put(&home, 9 * 86_400, -1, Some("refresh-token-number-0"));
    let client = format!("relays/{HOST}/oauth/client");
    home.control(&client, "\n");
    for command in ["renew", "status"] {
        let (status, text) = run(&home, &[command]);
        let says =
            format!("{HOST} {USER}: control/{client}: the first line is empty, or has other than visible ASCII\n");
        assert_eq!((status, text), (Some(1), says));
    }
    home.control(&format!("relays/{HOST}/oauth/command"), "/bin/echo token\n");
    assert_eq!(run(&home, &["renew"]), (Some(0), String::new()));
    let (status, text) = run(&home, &["status"]);
    assert!(status == Some(0) && text.ends_with("/command is there, so tokens come from that program\n"), "{text}");
    fs::set_permissions(home.path().join("accounts"), Permissions::from_mode(0o770)).unwrap();
    for command in ["renew", "status"] {
        let (status, text) = run(&home, &[command]);
        assert!(status == Some(1) && text.contains("/accounts does not count: it must be a directory of "), "{text}");
    }
    // One directory, and an account of another relay that is well.
    let home = provider.home();
    put(&home, 9 * 86_400, -1, Some("refresh-token-number-0"));
    let relay = account(&home).with_file_name("");
    fs::set_permissions(&relay, Permissions::from_mode(0o770)).unwrap();
    let (well, control) = (relay.with_file_name("relay.example.jp"), home.path().join("control/relays"));
    for (from, to) in [(relay, well), (control.join(HOST), control.join("relay.example.jp"))] {
        assert!(Command::new("cp").args(["-a", "--"]).args([from, to]).status().unwrap().success());
    }
    fs::set_permissions(account(&home).join("../../relay.example.jp"), Permissions::from_mode(0o700)).unwrap();
    let (status, text) = run(&home, &["renew"]);
    let says = format!("/accounts/{HOST} does not count: ");
    assert!(status == Some(1) && text.contains(&says) && text.lines().count() == 1, "{text}");
    assert_eq!(provider.requests().len(), 1);
    let (status, text) = run(&home, &["status"]);
    assert!(status == Some(1) && text.contains(&says) && text.ends_with(" minutes), renewable\n"), "{text}");
    let home = provider.home();
    fs::remove_dir(home.path().join("accounts")).unwrap();
    assert_eq!(run(&home, &["renew"]), (Some(0), String::new()));
    // A relay without tokens.
    provider.hook(|_| Reply::Silence);
    let home = provider.home();
    put(&home, 9 * 86_400, -1, Some("refresh-token-number-0"));
    fs::remove_dir_all(home.path().join("control/relays").join(HOST).join("oauth")).unwrap();
    assert_eq!(run(&home, &["renew"]), (Some(0), String::new()));
}
