//! What is remembered of refused tokens.

use super::{Relay, account, deliver, runs, store, unix, with_script};
use crate::support::executable::write_script;
use crate::support::{Delivered, Home};
use std::fs;

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
    with_script(&home, "exit 75");
    store(&home, "secret-1", 10, 3000);
    assert_eq!(deliver(&home).letters(), "Z");
    assert_eq!((remembered(&home), runs(&home)), ("refused 1".into(), 1));
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
    assert_eq!((relay.heard(), runs(&home)), ("".into(), 0));
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
