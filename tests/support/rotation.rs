//! A login at a provider that gives a new refresh token each time, and makes all of them void where an old one comes again.

use super::Home;
use super::provider::{HOST, USER, account, command, put, run, token};
use std::fs;

/// The file of the refresh token.
pub fn refresh(home: &Home) -> String {
    fs::read_to_string(account(home).join("refresh")).unwrap()
}

/// As if the access token were over.
pub fn is_over(home: &Home) {
    put(home, 4000, -1, None);
}

/// From one consent to the next one. `asked` is how often the token endpoint was asked, where that is known.
pub fn from_consent_to_consent(home: &Home, consent: impl Fn(), asked: Option<&dyn Fn() -> usize>) {
    consent();
    assert_eq!(token(home).0, Some(0));
    let first = refresh(home);
    is_over(home);
    let (status, text) = token(home);
    assert!(status == Some(0) && text.lines().next().unwrap().len() > 200, "{text}");
    assert_ne!(refresh(home), first, "it was replaced");

    // A hundred mails at once ask once.
    is_over(home);
    let before = asked.map(|asked| asked());
    let children: Vec<_> = (0..100).map(|_| command(home, &["token", HOST, USER]).spawn().unwrap()).collect();
    let mut outputs: Vec<_> = children.into_iter().map(|child| child.wait_with_output().unwrap()).collect();
    outputs.dedup_by(|a, b| (&a.stdout, a.status) == (&b.stdout, b.status));
    assert!(outputs.len() == 1 && outputs[0].status.success(), "{outputs:?}");
    assert_eq!(asked.map(|asked| asked()), before.map(|before| before + 1));
    is_over(home);
    assert_eq!(run(home, &["renew"]).0, Some(0), "and the login lives");

    // What they save each other from: an old one ends all.
    let last = refresh(home);
    for old in [first, last] {
        fs::write(account(home).join("refresh"), old).unwrap();
        let _ = fs::remove_file(account(home).join("trouble"));
        is_over(home);
        let (status, text) = token(home);
        let says = format!("consent anew: qmail-remote-oauth consent {HOST} {USER}");
        assert!(status == Some(78) && text.contains(&says), "{text}");
    }
    consent();
    is_over(home);
    assert_eq!(token(home).0, Some(0));
}
