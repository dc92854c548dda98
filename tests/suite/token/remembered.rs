//! What is remembered of refused tokens.

use super::{Relay, account, deliver, home_to, lock_holder, runs, store, stored, unix, with_script};
use crate::support::executable::write_script;
use crate::support::server::{Action, Event, Rules, Server, Session};
use crate::support::{Delivered, Home};
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::sync::{Arc, OnceLock};
use std::thread;

fn remembered(home: &Home) -> String {
    let text = fs::read_to_string(account(home).join("memory")).unwrap_or_default();
    text.lines()
        .skip(1)
        .map(|line| line.split(' ').take(2).collect::<Vec<_>>().join(" "))
        .collect::<Vec<_>>()
        .join(", ")
}

/// As if so many seconds had passed since.
fn later(home: &Home, seconds: u64) {
    let path = account(home).join("memory");
    let text = fs::read_to_string(&path).unwrap();
    let earlier = |word: &str| match word.parse::<u64>() {
        Ok(time) if time > 1_000_000_000 && word.len() == 10 => (time - seconds).to_string(),
        _ => word.to_owned(),
    };
    let lines = text.lines().map(|line| line.split(' ').map(earlier).collect::<Vec<_>>().join(" ") + "\n");
    fs::write(path, lines.collect::<String>()).unwrap();
}

fn is_refused_before(delivered: &Delivered) -> bool {
    delivered.verdict().starts_with("ZLogin refused before. (#4.7.8) ")
}

#[test]
fn a_new_token_is_tried_at_once() {
    let relay = Relay::start(&["secret-2"]);
    let home = relay.home();
    store(&home, "secret-1", 10, 3000);
    assert_eq!(deliver(&home).letters(), "Z");
    assert_eq!(remembered(&home), "refused 1");
    relay.heard();
    for _ in 0..2 {
        let delivered = deliver(&home);
        assert!(is_refused_before(&delivered), "{}", delivered.verdict());
        assert!(
            delivered
                .verdict()
                .contains(&format!("touch {}/control/relays/127.0.0.1/user or run", home.path().display()))
        );
    }
    assert_eq!(relay.heard(), "");
    store(&home, "secret-2", 0, 3600); // by a consent
    assert_eq!((deliver(&home).letters(), remembered(&home)), ("rK".into(), "good XOAUTH2".into()));
    assert_eq!(relay.heard(), "CONNECT, XOAUTH2, secret-2");
}

/// Both refused: the second counts on, and no third is tried.
#[test]
fn both_are_refused() {
    let relay = Relay::start(&[]);
    let home = relay.home();
    with_script(&home, &format!("echo secret-$$; echo {}", unix() + 3600));
    store(&home, "secret-1", 400, 3000);
    assert_eq!((deliver(&home).letters(), runs(&home)), ("Z".into(), 1));
    assert_eq!(relay.heard().matches("XOAUTH2").count(), 2);
    assert_eq!(remembered(&home), "refused 1");
    assert!(is_refused_before(&deliver(&home)));
    assert_eq!((relay.heard(), runs(&home)), ("".into(), 0));
    // A quarter of an hour later there is one try. This token is young, so another one would not do better.
    for (count, wait) in [(2, 900), (3, 1800), (4, 3600)] {
        later(&home, wait);
        assert_eq!((deliver(&home).letters(), runs(&home)), ("Z".into(), 0), "{count}");
        assert_eq!(relay.heard().matches("XOAUTH2").count(), 1);
        assert_eq!(remembered(&home), format!("refused {count}"));
        assert!(is_refused_before(&deliver(&home)));
    }
}

/// After a refusal some time ago another token is had first, and the one try is made with that, or with the old one.
#[test]
fn another_one_before_the_next_try() {
    let relay = Relay::start(&[]);
    let home = relay.home();
    with_script(&home, "exit 75");
    store(&home, "secret-1", 400, 3000);
    assert_eq!((deliver(&home).letters(), runs(&home)), ("Z".into(), 1));
    assert_eq!(relay.heard(), r#"CONNECT, XOAUTH2, secret-1, end """#);
    later(&home, 900);
    assert_eq!((deliver(&home).letters(), runs(&home)), ("Z".into(), 1));
    assert_eq!(
        (relay.heard(), remembered(&home)),
        (r#"CONNECT, XOAUTH2, secret-1, end """#.into(), "refused 2".into())
    );
    later(&home, 1800);
    let script = home.path().join("token-program");
    write_script(
        &script,
        &format!("echo run >>{}\necho secret-2; echo {}", home.path().join("runs").display(), unix() + 3600),
    );
    assert_eq!((deliver(&home).letters(), runs(&home)), ("Z".into(), 1));
    assert_eq!(
        (relay.heard(), remembered(&home)),
        (r#"CONNECT, XOAUTH2, secret-2, end """#.into(), "refused 3".into())
    );
    relay.takes(&["secret-2"]);
    assert!(is_refused_before(&deliver(&home)));
    later(&home, 3600);
    assert_eq!((deliver(&home).letters(), remembered(&home)), ("rK".into(), "good XOAUTH2".into()));
}

/// A program has another token for each of many deliveries, and the relay refuses them all.
#[test]
fn many_at_once_by_another_program() {
    let relay = Relay::start(&[]);
    let home = relay.home();
    with_script(&home, &format!("echo secret-$$; echo {}", unix() + 3600));
    for (wait, most) in [(0, 2), (900, 1)] {
        if wait > 0 {
            later(&home, wait);
        }
        thread::scope(|scope| {
            (0..20).for_each(|_| _ = scope.spawn(|| assert_eq!(deliver(&home).letters(), "Z")));
        });
        let logins = relay.heard().matches("XOAUTH2").count();
        assert!((1..=most).contains(&logins), "{logins}");
    }
    assert_eq!(remembered(&home), "refused 2");
}

/// By a token a delivery may fail twice, so they log in one by one, also where the last login worked.
#[test]
fn one_login_at_a_time() {
    let relay = Relay::start(&["secret-1"]);
    let home = relay.home();
    store(&home, "secret-1", 10, 3000);
    assert_eq!((deliver(&home).letters(), remembered(&home)), ("rK".into(), "good XOAUTH2".into()));
    relay.heard();
    let mut holder = lock_holder(&home);
    let inode = format!(":{} ", fs::metadata(account(&home).join("open")).unwrap().ino());
    thread::scope(|scope| {
        let delivery = scope.spawn(|| deliver(&home));
        let waits = |line: &str| line.contains("-> FLOCK") && line.contains(&inode);
        while !fs::read_to_string("/proc/locks").unwrap().lines().any(waits) {
            assert!(!delivery.is_finished());
            thread::yield_now();
        }
        assert_eq!(relay.heard(), "CONNECT");
        drop(holder.stdin.take());
        assert_eq!(delivery.join().unwrap().letters(), "rK");
    });
    holder.wait().unwrap();
}

/// While one delivery has another token, those that wait for the lock know that this one is refused.
#[test]
fn it_is_known_before_the_program_has_run() {
    let relay = Relay::start(&["secret-1"]);
    let home = relay.home();
    let (memory, seen) = (account(&home).join("memory"), home.path().join("seen"));
    with_script(&home, &format!("cp {} {}; echo secret-2; echo {}", memory.display(), seen.display(), unix() + 3600));
    store(&home, "secret-1", 400, 3000);
    assert_eq!((deliver(&home).letters(), remembered(&home)), ("rK".into(), "good XOAUTH2".into()));
    relay.takes(&["secret-2"]);
    assert_eq!((deliver(&home).letters(), runs(&home), remembered(&home)), ("rK".into(), 1, "good XOAUTH2".into()));
    let seen = fs::read_to_string(seen).unwrap();
    let place = "control/relays/127.0.0.1\n";
    assert!(seen.ends_with(&format!("\nrenewing {place}good XOAUTH2 {place}")), "{seen}");
}

/// A relay that refuses the first token, and on the next connection says this before a login.
fn refuses_then(relay_says: &'static str) -> Server {
    let mut connections = 0;
    Server::start(Rules::offering(&["AUTH XOAUTH2"]).hooked(move |event: &Event, _: &Session| match event {
        Event::Connect => {
            connections += 1;
            Action::Default
        }
        Event::Command(line) if line.starts_with("EHLO") && connections % 2 == 0 => Action::reply(relay_says),
        Event::Command(line) if line.starts_with("AUTH") => Action::reply("535 5.7.8 no"),
        _ => Action::Default,
    }))
}

/// A login that was refused counts, whatever becomes of the connection for the next token.
#[test]
fn no_second_login() {
    for reply in ["421 4.3.2 bye", "250 no AUTH any more"] {
        let server = refuses_then(reply);
        let home = home_to(&server);
        with_script(&home, &format!("echo secret-$$; echo {}", unix() + 3600));
        store(&home, "secret-1", 400, 3000);
        assert_eq!((deliver(&home).letters(), remembered(&home)), ("Z".into(), "refused 1".into()), "{reply}");
        assert!(is_refused_before(&deliver(&home)));
    }
}

/// A relay that says why it refuses the token refuses it by any code.
#[test]
fn refused_by_another_code() {
    for refusal in ["500 5.5.1 no", "501 5.5.4 no", "504 5.5.4 no", "554 no"] {
        let relay = Relay::offering("AUTH XOAUTH2", refusal, &[]);
        let home = relay.home();
        store(&home, "secret-1", 10, 3000);
        assert_eq!((deliver(&home).letters(), remembered(&home)), ("Z".into(), "refused 1".into()), "{refusal}");
    }
}

/// What is refused is a token that was replaced meanwhile, as by a consent.
#[test]
fn the_refusal_of_an_old_token() {
    let home = Arc::new(OnceLock::<Home>::new());
    let hooked = home.clone();
    let server =
        Server::start(Rules::offering(&["AUTH XOAUTH2"]).hooked(move |event: &Event, _: &Session| match event {
            Event::Command(line) if line.starts_with("AUTH") => match stored(hooked.get().unwrap()).as_deref() {
                Some("secret-1") => {
                    store(hooked.get().unwrap(), "secret-2", 0, 3600);
                    Action::reply("535 5.7.8 no")
                }
                _ => Action::reply("235 ok"),
            },
            _ => Action::Default,
        }));
    let home = home.get_or_init(|| home_to(&server));
    store(home, "secret-1", 10, 3000);
    assert_eq!((deliver(home).letters(), remembered(home)), ("Z".into(), String::new()));
    assert_eq!((deliver(home).letters(), remembered(home)), ("rK".into(), "good XOAUTH2".into()));
}

/// An hour is over: that is no reason to forget which mechanism is good.
#[test]
fn a_renewal_forgets_nothing() {
    let relay = Relay::start(&["secret-1", "secret-2"]);
    let home = relay.home();
    with_script(&home, &format!("echo secret-2; echo {}", unix() + 3600));
    store(&home, "secret-1", 10, 3000);
    assert_eq!((deliver(&home).letters(), remembered(&home)), ("rK".into(), "good XOAUTH2".into()));
    home.control(
        "relays/127.0.0.1/oauth/command",
        fs::read(home.path().join("control/relays/127.0.0.1/oauth/command")).unwrap(),
    );
    store(&home, "secret-1", 3000, 100);
    assert_eq!((deliver(&home).letters(), runs(&home)), ("rK".into(), 1));
    assert_eq!(remembered(&home), "good XOAUTH2");
}
