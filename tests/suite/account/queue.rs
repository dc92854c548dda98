//! Many deliveries and several logins: how often the relay is asked for them together.

use super::{RIGHT, Relay, Table, WRONG, account, deliver, is_refused_before, later, remembered, with_accounts};
use crate::support::{Home, program};
use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::path::PathBuf;
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

/// Both locks of an account.
fn locks(home: &Home) -> [PathBuf; 2] {
    ["open", "open2"].map(|name| account(home).join(name))
}

/// Holds these locks until the end of its input.
fn hold(locks: &[PathBuf]) -> Child {
    let mut holder = Command::new("flock");
    for lock in &locks[1..] {
        holder.arg(lock).arg("flock");
    }
    holder.arg(&locks[0]).args(["sh", "-c", "echo locked; read -r _"]);
    let mut holder = holder.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    assert_eq!(holder.stdout.as_mut().unwrap().read(&mut [0; 7]).unwrap(), 7);
    holder
}

fn release(mut holder: Child) {
    drop(holder.stdin.take());
    holder.wait().unwrap();
}

/// A delivery that waits for a lock.
fn start_and_wait(home: &Home) -> Child {
    let mut delivery = start(home, "a@example.net");
    let waits = format!("-> FLOCK  ADVISORY  WRITE {} ", delivery.id());
    while !fs::read_to_string("/proc/locks").unwrap().contains(&waits) {
        assert!(delivery.try_wait().unwrap().is_none(), "it did not wait");
        thread::yield_now();
    }
    delivery
}

/// As if it had waited for 60 seconds.
fn time_is_over(delivery: Child) -> String {
    assert!(Command::new("kill").args(["-ALRM", &delivery.id().to_string()]).status().unwrap().success());
    String::from_utf8_lossy(&delivery.wait_with_output().unwrap().stdout).into_owned()
}

/// A process that has the lock and is stopped is not waited for without end. Where the last login worked the others go on; else
/// they do not try.
#[test]
fn a_lock_that_is_kept() {
    let relay = Relay::start(RIGHT);
    let home = relay.home("myuser secretpass");
    deliver(&home);
    let locks = locks(&home);
    let holder = hold(&locks);
    relay.heard();
    let delivery = start_and_wait(&home);
    assert_eq!(relay.heard(), "CONNECT", "nothing is said before the lock is held");
    let report = time_is_over(delivery);
    assert!(report.starts_with("r\0K"), "{report}");
    // It goes on with what is remembered, and writes it.
    let delivery = start_and_wait(&home);
    relay.says(WRONG);
    let report = time_is_over(delivery);
    assert!(report.contains("tried PLAIN (535); check user and password"), "{report}");
    assert!(is_refused_before(&deliver(&home)));
    later(&home, 900);
    relay.heard();
    let report = time_is_over(start_and_wait(&home));
    let port = relay.server.port();
    assert_eq!(
        report,
        format!(
            "ZLogin not tried. (#4.7.8) Another delivery has been logging in to 127.0.0.1:{port} (control/smtproutes line 1) as \
             myuser for more than 60 seconds.\n\0"
        )
    );
    assert_eq!(relay.heard(), "CONNECT");
    release(holder);
    // One that is held stops nobody where the last login worked.
    relay.says(RIGHT);
    assert_eq!(deliver(&home).letters(), "rK");
    for lock in locks {
        let holder = hold(&[lock]);
        assert_eq!(deliver(&home).letters(), "rK");
        release(holder);
    }
}

/// Replies of a relay that takes all.
fn serve(connection: &TcpStream) {
    let mut in_message = false;
    for line in BufReader::new(connection).lines() {
        let reply = match (&line.unwrap()[..], in_message) {
            (".", true) => "250 ok",
            (_, true) => continue,
            (line, _) if line.starts_with("EHLO") => "250-x\r\n250 AUTH PLAIN",
            (line, _) if line.starts_with("AUTH") => "235 ok",
            ("DATA", _) => "354 go on",
            ("QUIT", _) => return,
            _ => "250 ok",
        };
        in_message = reply.starts_with("354");
        { connection }.write_all(format!("{reply}\r\n").as_bytes()).unwrap();
    }
}

/// While a delivery waits for the lock, the relay gets tired of it. That is no end of a login, and it comes back with the lock.
#[test]
fn the_relay_hangs_up_on_who_waits() {
    for word in ["421 4.4.2 idle\r\n", "221 bye\r\n", ""] {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let home = with_accounts(Home::with_route(&format!("127.0.0.1:{port} myuser secretpass")));
        let greeted = || {
            let mut connection = listener.accept().unwrap().0;
            connection.write_all(b"220 x\r\n").unwrap();
            connection
        };
        let delivery = thread::scope(|scope| {
            let first = scope.spawn(|| serve(&greeted()));
            assert_eq!(deliver(&home).letters(), "rK");
            first.join().unwrap();
            let holder = hold(&locks(&home));
            let first = scope.spawn(|| {
                let mut connection = greeted();
                let mut line = String::new();
                BufReader::new(&connection).read_line(&mut line).unwrap();
                connection.write_all(b"250-x\r\n250 AUTH PLAIN\r\n").unwrap();
                connection
            });
            let delivery = start_and_wait(&home);
            let mut connection = first.join().unwrap();
            connection.write_all(word.as_bytes()).unwrap();
            connection.shutdown(Shutdown::Both).unwrap();
            let second = scope.spawn(|| serve(&greeted()));
            release(holder);
            second.join().unwrap();
            delivery
        });
        let report = String::from_utf8_lossy(&delivery.wait_with_output().unwrap().stdout).into_owned();
        assert!(report.starts_with("r\0K"), "{word:?}: {report}");
        assert_eq!(remembered(&home), ["good PLAIN control/smtproutes:1"], "{word:?}");
    }
}

/// Whatever is refused, and at whichever port: all together have two failures.
#[test]
fn two_failures_for_all() {
    for reply in ["535 no", "534 5.7.9 no", "550 5.7.30 no", "554 no", "close"] {
        let table = |reply| -> Table { vec![("AUTH PLAIN", reply), ("ANSWER LOGIN c2Vj", reply)].leak() };
        let relay = Relay::start(RIGHT);
        let home = relay.home("myuser secretpass");
        deliver(&home);
        relay.says(table(reply));
        relay.heard();
        many(&home, 10);
        let heard = relay.heard().matches("AUTH").count();
        assert!((1..=2).contains(&heard), "{reply}: {heard}");
        let known = remembered(&home);
        assert!(
            known[0].contains(" 1 ") && known[1..] == ["good PLAIN control/smtproutes:1"],
            "both count as one: {known:?}"
        );
    }
    let [one, other] = [Relay::start(WRONG), Relay::start(WRONG)];
    let home = with_accounts(Home::new());
    let route = |domain: &str, relay: &Relay| format!("{domain}:127.0.0.1:{} myuser secretpass\n", relay.server.port());
    home.control("smtproutes", route("example.org", &one) + &route("example.com", &other));
    let deliver_to = |domain: &str| {
        let mut command = Command::new(program());
        command.env_clear().env("QMAILHOME", home.path()).args([domain, "a@example.net", "b@example.org"]);
        command.stdin(fs::File::open("/dev/null").unwrap()).stdout(Stdio::piped()).spawn().unwrap()
    };
    let running = ["example.org", "example.com"].map(|domain| (0..5).map(|_| deliver_to(domain)).collect::<Vec<_>>());
    for mut child in running.into_iter().flatten() {
        child.wait().unwrap();
    }
    let heard = one.heard() + &other.heard();
    assert_eq!(heard.matches("AUTH").count(), 2, "{heard}");
}
