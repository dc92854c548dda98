//! The process is killed at each of its system calls, or one of them fails: no login is lost by that.

use crate::support::Home;
use crate::support::provider::{HOST, Provider, Reply, USER, account, command, program, put, run, token};
use std::collections::BTreeMap;
use std::fs;
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::{Command, Output, Stdio};
use std::sync::{Arc, OnceLock};
use std::thread;

/// The token under strace(1), with this fault.
fn traced(home: &Home, trace: &Path, fault: Option<&str>) -> Output {
    let mut strace = Command::new("strace");
    strace.arg("-o").arg(trace);
    if let Some(fault) = fault {
        strace.args(["-e", fault]);
    }
    strace.arg(program()).args(["token", HOST, USER]).env_clear().env("QMAILHOME", home.path());
    strace.env("PATH", "/usr/bin:/bin").stdin(Stdio::null()).output().expect("strace is needed")
}

/// The names of the calls, in order, from where files of the home are read.
fn calls(trace: &Path) -> Vec<(String, usize)> {
    let text = fs::read_to_string(trace).unwrap();
    let mut counts: BTreeMap<String, usize> = BTreeMap::new();
    let mut calls = Vec::new();
    for line in text.lines() {
        let Some((name, _)) = line.split_once('(').filter(|(name, _)| name.bytes().all(|c| c != b' ')) else {
            continue;
        };
        let number = counts.entry(name.to_owned()).or_default();
        *number += 1;
        calls.push((name.to_owned(), *number));
    }
    let begin = calls.iter().position(|(name, _)| name == "prctl").expect("no core dumps");
    calls.split_off(begin)
}

fn over(provider: &Provider, home: &Home) -> String {
    let refresh = provider.state.lock().unwrap().refresh.clone();
    put(home, 4000, -1, Some(&refresh));
    refresh
}

/// A refresh token is on the disk, whole.
fn is_stored(home: &Home, refresh: &str) -> bool {
    ["refresh", "refresh.new"].iter().any(|name| {
        let content = fs::read(account(home).join(name)).unwrap_or_default();
        content.starts_with(format!("{refresh}\n").as_bytes())
    })
}

/// Killed, and once more.
fn killed_anywhere(rotates: bool) {
    let provider = Provider::start(rotates);
    let home = provider.home();
    let trace = home.path().join("trace");
    over(&provider, &home);
    assert!(traced(&home, &trace, None).status.success());
    let calls = calls(&trace);
    assert!(calls.len() > 60, "{calls:?}");
    let mut lost = 0;
    for (name, number) in &calls {
        let home = provider.home();
        let before = over(&provider, &home);
        let output = traced(&home, &trace, Some(&format!("inject={name}:signal=KILL:when={number}")));
        let case = format!("{name} {number}: {output:?}");
        // Octets of the network come in more pieces or in fewer.
        let may_be_fewer = ["poll", "recvfrom", "sendto", "setsockopt"].contains(&&name[..]);
        assert!(output.status.signal() == Some(9) || may_be_fewer && output.status.success(), "{case}");
        provider.settle();
        let now = provider.state.lock().unwrap().refresh.clone();
        let is_known = is_stored(&home, &now);
        assert!(is_known || now != before, "{case}");
        assert!(rotates || is_known, "{case}");
        let (status, text) = token(&home);
        if is_known {
            assert_eq!(status, Some(0), "{case}: {text}");
        } else {
            lost += 1;
            assert!(status == Some(78) && text.contains("consent anew"), "{case}: {text}");
            provider.state.lock().unwrap().is_revoked = false;
        }
        let mut names: Vec<String> = fs::read_dir(account(&home))
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort();
        assert!(!is_known || names == ["access", "lock", "refresh"], "{case}: {names:?}");
    }
    // Between the provider's answer and the write are few: it may come with any of those.
    assert!(if rotates { lost < 30 } else { lost == 0 }, "{lost} of {}", calls.len());
}

#[test]
fn killed_at_any_of_its_system_calls_where_the_refresh_token_stays() {
    killed_anywhere(false);
}

#[test]
fn killed_at_any_of_its_system_calls_where_it_is_replaced() {
    killed_anywhere(true);
}

/// Calls that can fail, and how.
const FAULTS: [(&str, &str); 11] = [
    ("openat", "EMFILE"),
    ("flock", "ENOLCK"),
    ("pwrite64", "ENOSPC"),
    ("ftruncate", "EIO"),
    ("fsync", "EIO"),
    ("rename", "EROFS"),
    ("connect", "ECONNREFUSED"),
    ("socket", "EMFILE"),
    ("statx", "EACCES"),
    ("read", "EIO"),
    ("recvfrom", "ECONNRESET"),
];

/// A token comes out, or a line that says why not, and the next run has one.
#[test]
fn any_of_its_system_calls_fails() {
    for rotates in [false, true] {
        let provider = Provider::start(rotates);
        let home = provider.home();
        let trace = home.path().join("trace");
        over(&provider, &home);
        assert!(traced(&home, &trace, None).status.success());
        let calls = calls(&trace);
        let mut count = 0;
        for (name, number) in &calls {
            let Some((_, error)) = FAULTS.iter().find(|(call, _)| call == name) else { continue };
            let home = provider.home();
            let before = over(&provider, &home);
            count += 1;
            let output = traced(&home, &trace, Some(&format!("inject={name}:error={error}:when={number}")));
            let text = String::from_utf8_lossy(&output.stdout).into_owned();
            let case = format!("{name} {number}: {output:?}");
            match output.status.code() {
                Some(0) => assert!(text.starts_with("access-token-number-") && text.lines().count() == 2, "{case}"),
                Some(75 | 78) => assert_eq!(text.lines().count(), 1, "{case}"),
                _ => panic!("{case}"),
            }
            provider.settle();
            let now = provider.state.lock().unwrap().refresh.clone();
            let is_known = is_stored(&home, &now);
            assert!(is_known || rotates && now != before, "{case}");
            // The trouble that it may have written does not count here.
            let _ = fs::remove_file(account(&home).join("trouble"));
            let (status, text) = token(&home);
            assert!(status == Some(0) || !is_known, "{case}: {text}");
            provider.state.lock().unwrap().is_revoked = false;
        }
        assert!(count > 20, "{count} of {calls:?}");
    }
}

/// Somebody stops qmail, and all its processes, while the provider has made the old token void.
#[test]
fn told_to_end() {
    for signal in ["TERM", "INT", "HUP"] {
        let provider = Provider::start(true);
        let home = provider.home();
        over(&provider, &home);
        let process = Arc::new(OnceLock::<u32>::new());
        let hooked = process.clone();
        provider.hook(move |_| {
            let process = loop {
                if let Some(process) = hooked.get() {
                    break process.to_string();
                }
                thread::yield_now();
            };
            assert!(Command::new("kill").args([&format!("-{signal}"), &process]).status().unwrap().success());
            Reply::Ordinary
        });
        let child = command(&home, &["token", HOST, USER]).spawn().unwrap();
        process.set(child.id()).unwrap();
        let output = child.wait_with_output().unwrap();
        assert!(output.status.success() && output.stdout.starts_with(b"access-token-number-"), "{signal}: {output:?}");
        let refresh = provider.state.lock().unwrap().refresh.clone();
        assert!(is_stored(&home, &refresh), "{signal}");
    }
}

/// The new refresh token cannot be written, once.
#[test]
fn one_of_its_system_calls_fails_and_is_made_again() {
    for error in ["ENOSPC", "EIO"] {
        let provider = Provider::start(true);
        let home = provider.home();
        let before = over(&provider, &home);
        let fault = format!("inject=pwrite64:error={error}:when=3"); // the first two make room
        assert!(traced(&home, &home.path().join("trace"), Some(&fault)).status.success());
        let now = provider.state.lock().unwrap().refresh.clone();
        assert!(now != before && is_stored(&home, &now), "{error}");
        assert!(!account(&home).join("trouble").exists());
    }
}

/// What must be on the disk before the next step.
#[test]
fn system_calls_in_this_order() {
    let provider = Provider::start(true);
    let home = provider.home();
    over(&provider, &home);
    let trace = home.path().join("trace");
    assert!(traced(&home, &trace, None).status.success());
    let text = fs::read_to_string(&trace).unwrap();
    let mut rest = &text[..];
    for step in [
        "/lock\", ",
        "flock(",
        "/refresh.new\", ",
        "pwrite64(",
        "\\0",
        "16384",
        "fsync(",
        "/access.new\", ",
        "pwrite64(",
        "16384",
        "fsync(",
        "connect(",
        "/refresh.new\", ",
        "pwrite64(",
        "\"refresh-token-number-",
        "ftruncate(",
        "fsync(",
        "rename(",
        "/refresh\")",
        "O_DIRECTORY",
        "fsync(",
        "/access.new\", ",
        "pwrite64(",
        "\"access-token-number-",
        "ftruncate(",
        "fsync(",
        "rename(",
        "/access\")",
        "O_DIRECTORY",
        "fsync(",
        "write(1, ",
    ] {
        let (_, behind) = rest.split_once(step).unwrap_or_else(|| panic!("no {step} in {rest}"));
        rest = behind;
    }
}

/// A disk that is full shows before the old token is used.
#[test]
fn no_room() {
    let provider = Provider::start(true);
    let home = provider.home();
    over(&provider, &home);
    let mut limited = Command::new("prlimit");
    limited.arg("--fsize=8192").arg(program()).args(["token", HOST, USER]);
    let output = limited.env_clear().env("PATH", "/usr/bin:/bin").env("QMAILHOME", home.path()).output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(output.status.code() == Some(75) && text.ends_with("/refresh: File too large\n"), "{text}");
    assert!(provider.requests().is_empty());
    assert_eq!(token(&home).0, Some(0));
}

/// A new token that was written and not renamed counts, and one that was not written does not.
#[test]
fn what_a_killed_process_leaves() {
    let provider = Provider::start(true);
    let home = provider.home();
    over(&provider, &home);
    fs::write(account(&home).join("refresh"), "refresh-token-of-old\n").unwrap();
    let new = format!("refresh-token-number-0\n{}", "\0".repeat(16_000));
    fs::write(account(&home).join("refresh.new"), new).unwrap();
    assert_eq!(token(&home).0, Some(0));
    for part in
        [String::new(), "\0".repeat(16_384), "refresh-tok".to_owned(), format!("refresh-tok{}", "\0".repeat(100))]
    {
        over(&provider, &home);
        fs::write(account(&home).join("refresh.new"), part).unwrap();
        assert_eq!(token(&home).0, Some(0));
    }
    let _ = run(&home, &["status"]);
}
