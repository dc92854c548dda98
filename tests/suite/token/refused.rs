//! The relay refuses a token that is not at its end: once more, with another one.

use super::{Relay, deliver, lock_holder, runs, store, stored, unix, with_script};

#[test]
fn another_token_on_another_connection() {
    for refusal in ["535 5.7.8 no", "501 5.5.127 Token will expire soon"] {
        let relay = Relay::offering("AUTH XOAUTH2", refusal, &["secret-2"]);
        let home = relay.home();
        with_script(&home, &format!("echo secret-2; echo {}", unix() + 3600));
        store(&home, "secret-1", 400, 3000);
        assert_eq!((deliver(&home).letters(), runs(&home)), ("rK".into(), 1));
        assert_eq!(relay.heard(), r#"CONNECT, XOAUTH2, secret-1, end "", CONNECT, XOAUTH2, secret-2"#);
        assert_eq!(stored(&home).as_deref(), Some("secret-2"));
        let log = relay.server.finish();
        assert_eq!(log.connections.len(), 2);
        assert_eq!(log.commands().iter().filter(|line| **line == "QUIT").count(), 2);
    }
}

#[test]
fn only_one_more() {
    let relay = Relay::start(&[]);
    let home = relay.home();
    with_script(&home, &format!("echo secret-2; echo {}", unix() + 3600));
    store(&home, "secret-1", 400, 3000);
    let delivered = deliver(&home);
    assert_eq!((delivered.letters(), runs(&home)), ("Z".into(), 1));
    assert_eq!(relay.heard(), r#"CONNECT, XOAUTH2, secret-1, end "", CONNECT, XOAUTH2, secret-2, end """#);
    let verdict = delivered.verdict();
    assert!(
        verdict.contains("; tried XOAUTH2 (it said {") && verdict.contains("535), XOAUTH2 (it said {"),
        "{verdict}"
    );
}

#[test]
fn the_same_token_again() {
    for script in ["echo secret-1", "echo secret-1; echo 4000000000"] {
        let relay = Relay::start(&[]);
        let home = relay.home();
        with_script(&home, script);
        let delivered = deliver(&home);
        assert_eq!((delivered.letters(), runs(&home)), ("Z".into(), 2), "{script}");
        assert_eq!(relay.heard(), r#"CONNECT, XOAUTH2, secret-1, end """#);
        let verdict = delivered.verdict();
        assert!(verdict.contains("the relay refused the access token; check that it is for this user"), "{verdict}");
        assert!(
            verdict.ends_with("\nRemote host said: 535 5.7.8 no\nNo other token: the same one came again.\n"),
            "{verdict}"
        );
    }
}

#[test]
fn there_is_no_other() {
    let relay = Relay::start(&[]);
    let home = relay.home();
    with_script(&home, "echo it is refused; exit 78");
    store(&home, "secret-1", 400, 3000);
    let verdict = deliver(&home).verdict();
    assert!(
        verdict.ends_with(
            "/token-program failed with status 78: it is refused; see control/relays/127.0.0.1/oauth/command.\n"
        ),
        "{verdict}"
    );
    assert!(verdict.contains("\nNo other token: /"), "{verdict}");
    assert_eq!(relay.heard(), r#"CONNECT, XOAUTH2, secret-1, end """#);
}

/// Codes that are not about the token, and a relay that defers.
#[test]
fn other_refusals() {
    for refusal in
        ["534 5.7.9 no", "454 4.7.0 later", "451 4.7.0 later", "501 5.5.4 no", "550 5.7.30 off", "421 4.3.2 bye"]
    {
        let relay = Relay::offering("AUTH XOAUTH2", refusal, &["secret-2"]);
        let home = relay.home();
        with_script(&home, "echo secret-2");
        store(&home, "secret-1", 400, 3000);
        assert_eq!((deliver(&home).letters(), runs(&home)), ("Z".into(), 0), "{refusal}");
        assert_eq!(relay.heard(), r#"CONNECT, XOAUTH2, secret-1, end """#);
    }
}

/// Another delivery has had the token replaced while this one waited for the lock.
#[test]
fn the_token_is_read_again_behind_the_lock() {
    let relay = Relay::start(&["secret-2"]);
    let home = relay.home();
    with_script(&home, "exit 1");
    store(&home, "secret-1", 10, 3000);
    let mut holder = lock_holder(&home);
    let delivered = std::thread::scope(|scope| {
        let delivery = scope.spawn(|| deliver(&home));
        while relay.heard.lock().unwrap().is_empty() {
            std::thread::yield_now();
        }
        store(&home, "secret-2", 0, 3600);
        drop(holder.stdin.take());
        delivery.join().unwrap()
    });
    holder.wait().unwrap();
    assert_eq!((delivered.letters(), runs(&home)), ("rK".into(), 0));
    assert_eq!(relay.heard(), "CONNECT, XOAUTH2, secret-2");
}
