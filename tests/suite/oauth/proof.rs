//! The end of a consent: the tokens are stored whoever has the lock, and a login proves them; where there is none, that is said.

use crate::support::Home;
use crate::support::provider::{HOST, Provider, Reply, USER, account, command, program, run};
use std::fs;
use std::io::Read;
use std::process::{Command, Stdio};
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

fn home(provider: &Provider) -> Home {
    let home = provider.home();
    home.control(&format!("relays/{HOST}/oauth/device"), format!("{}\n", provider.url("/device")));
    provider.state.lock().unwrap().device = Some("granted");
    home
}

/// Another process has the lock for longer than any delivery would wait, just when the user has consented.
#[test]
fn the_lock_is_taken() {
    let provider = Provider::start(true);
    let home = home(&provider);
    let path = account(&home).join("lock");
    let (sender, receiver) = mpsc::channel();
    provider.hook(move |request| {
        if request.path == "/token" {
            let mut holder = Command::new("flock");
            holder.arg(&path).args(["sh", "-c", "echo; cat"]).stdin(Stdio::piped()).stdout(Stdio::piped());
            let mut holder = holder.spawn().expect("flock is needed");
            holder.stdout.as_mut().unwrap().read_exact(&mut [0]).unwrap();
            sender.send(holder).unwrap();
        }
        Reply::Ordinary
    });
    let child = command(&home, &["consent", HOST, USER]).spawn().unwrap();
    let mut holder = receiver.recv().unwrap();
    let start = Instant::now();
    thread::sleep(Duration::from_secs(58));
    drop(holder.stdin.take());
    assert!(holder.wait().unwrap().success());
    let output = child.wait_with_output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(output.status.success() && start.elapsed() >= Duration::from_secs(58), "{text}");
    let says = format!("waiting for another process to release {}\n", account(&home).join("lock").display());
    assert_eq!(text.matches(&says).count(), 1, "{text}");
    assert!(account(&home).join("refresh").exists() && text.contains("\nlogin         235 "), "{text}");
}

/// Before anybody is asked there is nothing to lose.
#[test]
fn the_lock_is_never_released() {
    let provider = Provider::start(true);
    let home = home(&provider);
    let mut strace = Command::new("strace");
    strace.args(["-o", "/dev/null", "-e", "inject=flock:error=EAGAIN"]).arg(program());
    strace.args(["consent", HOST, USER]).env_clear().env("PATH", "/usr/bin:/bin").env("QMAILHOME", home.path());
    let output = strace.stdin(Stdio::null()).output().expect("strace is needed");
    let text = String::from_utf8(output.stdout).unwrap();
    let lock = account(&home).join("lock");
    let says =
        format!("another process has locked {} all the time: end that process, and run this again", lock.display());
    assert!(output.status.code() == Some(1) && text.ends_with(&format!("NOT DONE: {says}\n")), "{text}");
    assert!(provider.requests().is_empty());
}

/// The proof ends before it has wanted anything: the token that was stored cannot be read.
#[test]
fn no_proof() {
    let provider = Provider::start(true);
    let home = home(&provider);
    let mut strace = Command::new("strace");
    strace.args(["-o", "/dev/null", "-e", "inject=openat:error=EIO", "-P"]).arg(account(&home).join("access"));
    strace.arg(program()).args(["consent", HOST, USER]);
    strace.env_clear().env("PATH", "/usr/bin:/bin").env("QMAILHOME", home.path()).stdin(Stdio::null());
    let output = strace.output().expect("strace is needed");
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(account(&home).join("access").exists() && text.contains("\nlogin         "), "{text}");
    assert!(text.ends_with("\nNOT DONE: there is a token, but the login with it did not succeed\n"), "{text}");
    assert_eq!(output.status.code(), Some(1));
}

/// A second user of the relay: no route logs in as that one, so the first route to the relay says where it is.
#[test]
fn another_user_at_the_same_relay() {
    let provider = Provider::start(true);
    let home = home(&provider);
    let (status, text) = run(&home, &["consent", HOST, "other@example.org"]);
    assert!(status == Some(0) && text.contains("\nlogin         235 2.7.0 the token is good\n"), "{text}");
    fs::remove_file(home.path().join("control/smtproutes")).unwrap();
    let (status, text) = run(&home, &["consent", HOST, "other@example.org"]);
    assert!(status == Some(1) && text.contains("the login with it did not succeed"), "{text}");
}
