//! Many deliveries and several logins: how often the relay is asked for them together.

use super::{RIGHT, Relay, WRONG, account, deliver, is_refused_before, later, remembered, with_accounts};
use crate::support::Home;
use std::fs;
use std::io::Read;
use std::process::{Child, Command, Stdio};
use std::thread;

fn start(home: &Home, sender: &str) -> Child {
    let mut command = home.command(sender, &["b@example.org"]);
    command.stdin(fs::File::open("/dev/null").unwrap()).stdout(Stdio::piped()).spawn().unwrap()
}

fn many(home: &Home, count: usize) -> Vec<String> {
    let running: Vec<Child> = (0..count).map(|_| start(home, "a@example.net")).collect();
    let report = |child: Child| String::from_utf8_lossy(&child.wait_with_output().unwrap().stdout).into_owned();
    running.into_iter().map(report).collect()
}

/// So many at once, with a wrong password: two failures, and none for a quarter of an hour.
fn wrong_at_once(count: usize) {
    let relay = Relay::start(WRONG);
    let home = relay.home("myuser secretpass");
    let reports = many(&home, count);
    assert!(reports.iter().all(|report| report.starts_with('Z')), "{reports:?}");
    let failed = reports.iter().filter(|report| report.contains("login failed as myuser")).count();
    assert_eq!(failed, 1, "{reports:?}");
    assert_eq!(relay.heard().matches("AUTH").count(), 2);
    let reports = many(&home, count);
    assert!(reports.iter().all(|report| report.starts_with("ZLogin refused before.")), "{reports:?}");
    assert_eq!(relay.heard(), "");
    later(&home, 900);
    many(&home, count);
    assert_eq!(relay.heard().matches("AUTH").count(), 1);
    // It is fixed at the relay, where no file changes: one file is touched.
    relay.says(RIGHT);
    fs::File::open(home.path().join("control/smtproutes")).unwrap().set_modified(std::time::SystemTime::now()).unwrap();
    assert!(many(&home, count).iter().all(|report| report.starts_with("r\0K")));
    // It is changed there while mail goes out.
    relay.says(WRONG);
    relay.heard();
    let reports = many(&home, count);
    let heard = relay.heard().matches("AUTH").count();
    assert!((1..=2).contains(&heard), "{heard}: {reports:?}");
    assert!(reports.iter().filter(|report| report.contains("login failed as myuser")).count() == heard, "{reports:?}");
    later(&home, 900);
    many(&home, count);
    assert_eq!(relay.heard().matches("AUTH").count(), 1);
}

#[test]
fn twenty_at_once() {
    wrong_at_once(20);
}

#[test]
fn two_hundred_and_fifty_five_at_once() {
    wrong_at_once(255);
}

/// Logins with one user: each place has its own memory, and lines with the same login share one.
#[test]
fn senders() {
    let relay = Relay::start(&[
        ("AUTH PLAIN AG15dXNlcgBzZWNyZXRwYXNzMQ", "235 ok"),
        ("AUTH PLAIN AG15dXNlcgBzZWNyZXRwYXNz", "535 no"),
        ("AUTH PLAIN", "235 ok"),
        ("ANSWER LOGIN", "535 no"),
    ]);
    let port = relay.server.port();
    let home = with_accounts(Home::new());
    let line = |sender: &str, password: &str| format!("{sender}@example.net:127.0.0.1:{port}|myuser|{password}\n");
    let lines = [line("a", "secretpass"), line("b", "another"), line("c", "secretpass"), line("d", "secretpass1")];
    home.control("authsenders", "# senders\n".to_owned() + &lines.concat());
    let send = |sender: &str| home.deliver(&format!("{sender}@example.net")[..], &["b@example.org"], b"\n").letters();
    let before = |sender: &str| {
        is_refused_before(&home.deliver(&format!("{sender}@example.net")[..], &["b@example.org"], b"\n"))
    };
    assert_eq!([send("c"), send("b"), send("d")], ["Z", "rK", "rK"]);
    relay.heard();
    assert!(before("a") && before("c"));
    assert_eq!([send("b"), send("d")], ["rK", "rK"]);
    assert_eq!(relay.heard(), "CONNECT, AUTH PLAIN, CONNECT, AUTH PLAIN");
    let mut known: Vec<String> = remembered(&home).into_iter().map(|line| line[..4].to_owned()).collect();
    known.sort();
    assert_eq!(known, ["good", "good", "refu"]);
    // Another user there.
    home.control(
        "authsenders",
        format!("a@example.net:127.0.0.1:{port}|myuser|secretpass\n@example.net:127.0.0.1:{port}|other/user|x\n"),
    );
    assert_eq!([send("a"), send("b")], ["Z", "rK"]);
    assert!(before("a") && !before("b"));
    assert!(home.path().join("accounts/127.0.0.1/other%2Fuser/memory").is_file());
}

/// Touching or editing any of its files makes the memory void, and so does removing it.
#[test]
fn touch_edit_and_remove() {
    let relay = Relay::start(WRONG);
    let home = relay.home("myuser secretpass");
    home.control("relays/127.0.0.1/mechanisms", "PLAIN LOGIN\n");
    home.control("relays/127.0.0.1/cafile", "control/ca.pem\n");
    home.control("ca.pem", "");
    deliver(&home);
    let again = |what: &str| {
        deliver(&home);
        tries_again_once(&relay, &home, what);
    };
    relay.heard();
    for name in ["me", "smtproutes", "relays/127.0.0.1/mechanisms", "relays/127.0.0.1/cafile", "ca.pem"] {
        let file = fs::File::open(home.path().join("control").join(name)).unwrap();
        file.set_modified(std::time::SystemTime::UNIX_EPOCH).unwrap();
        again(name);
    }
    for name in ["helohost", "outgoingip", "authsenders", "tlscafile", "relays/127.0.0.1/tls", "relays/127.0.0.1/user"]
    {
        let content = match name {
            "helohost" => "a.example.net\n",
            "outgoingip" => "127.0.0.1\n",
            "tlscafile" => "control/ca.pem\n",
            "relays/127.0.0.1/tls" => "none\n",
            _ => "\n",
        };
        // The route has a login, so the user there is not read.
        home.control(name, content);
        if name.ends_with("/tls") {
            home.control("smtproutes", format!(":127.0.0.1:{} -myuser secretpass\n", relay.server.port()));
        }
        again(name);
    }
    fs::remove_file(account(&home).join("memory")).unwrap();
    again("no memory");
    // What does not belong to it.
    for name in ["timeoutremote", "locals", "relays/192.0.2.1/user"] {
        home.control(name, "20\n");
        assert!(is_refused_before(&deliver(&home)), "{name}");
    }
}

/// It has been tried, twice, and is not any more.
fn tries_again_once(relay: &Relay, home: &Home, what: &str) {
    assert_eq!(relay.heard(), "CONNECT, AUTH PLAIN, AUTH LOGIN", "{what}");
    assert!(is_refused_before(&deliver(home)), "{what}");
    assert_eq!(relay.heard(), "");
}

/// A process that has the lock and is stopped is not waited for without end; the login then goes on as if nothing were remembered.
#[test]
fn a_lock_that_is_kept() {
    let relay = Relay::start(RIGHT);
    let home = relay.home("myuser secretpass");
    deliver(&home);
    let known = fs::read(account(&home).join("memory")).unwrap();
    // Where the last login worked there are two locks.
    let locks = ["open", "open2"].map(|kind| account(&home).join(format!("{}.{kind}", relay.server.port())));
    let mut holder = Command::new("flock");
    holder.arg(&locks[0]).arg("flock").arg(&locks[1]).args(["sh", "-c", "echo locked; read -r _"]);
    let mut holder = holder.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    assert_eq!(holder.stdout.as_mut().unwrap().read(&mut [0; 7]).unwrap(), 7);
    relay.says(WRONG);
    relay.heard();
    let mut delivery = start(&home, "a@example.net");
    let waits = format!("-> FLOCK  ADVISORY  WRITE {} ", delivery.id());
    while !fs::read_to_string("/proc/locks").unwrap().contains(&waits) {
        assert!(delivery.try_wait().unwrap().is_none(), "it did not wait");
        thread::yield_now();
    }
    assert_eq!(relay.heard(), "CONNECT", "nothing is said before the lock is held");
    assert!(Command::new("kill").args(["-ALRM", &delivery.id().to_string()]).status().unwrap().success());
    let report = String::from_utf8_lossy(&delivery.wait_with_output().unwrap().stdout).into_owned();
    assert!(report.contains("tried PLAIN (535), LOGIN (535)"), "{report}");
    drop(holder.stdin.take());
    holder.wait().unwrap();
    assert_eq!(fs::read(account(&home).join("memory")).unwrap(), known);
    // One that is held stops nobody.
    relay.says(RIGHT);
    for lock in &locks {
        let mut holder = Command::new("flock");
        holder.arg(lock).args(["sh", "-c", "echo locked; read -r _"]);
        let mut holder = holder.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        assert_eq!(holder.stdout.as_mut().unwrap().read(&mut [0; 7]).unwrap(), 7);
        assert_eq!(deliver(&home).letters(), "rK");
        drop(holder.stdin.take());
        holder.wait().unwrap();
    }
}
