//! The rules of what is remembered of a login: the table of times and counts, what counts for which login, and the file's text.

use qmail_remote::account::memory::{Learnt, MOST, Memory, Outcome, What};

const A: &str = "control/smtproutes:1";
const B: &str = "control/relays/smtp.example.jp";
const NOW: u64 = 1_764_328_800;

fn empty() -> Memory {
    Memory::of(b"", 7)
}

fn next(memory: &Memory, source: &str, outcome: &Outcome, now: u64) -> Memory {
    next_without(memory, source, &[], outcome, now)
}

/// The same, and these mechanisms were of no use.
fn next_without(memory: &Memory, source: &str, useless: &[&'static str], outcome: &Outcome, now: u64) -> Memory {
    let after = memory.after(source, &learnt(useless, Some(outcome)), now).expect("something new");
    assert_eq!(Memory::of(after.to_string().as_bytes(), 7), after);
    after
}

fn learnt(useless: &[&'static str], outcome: Option<&Outcome>) -> Learnt {
    Learnt { outcome: outcome.cloned(), useless: useless.to_vec(), hide: false }
}

fn refused() -> Outcome {
    Outcome::Refused("535 5.7.8 no".to_owned())
}

fn deferred() -> Outcome {
    Outcome::Deferred("454 4.7.0 later".to_owned())
}

/// How many minutes no login is tried after each of these outcomes, the next of which comes as soon as it may.
fn minutes(outcomes: &[Outcome]) -> Vec<u64> {
    let (mut memory, mut now, mut found) = (empty(), NOW, Vec::new());
    for outcome in outcomes {
        memory = next(&memory, A, outcome, now);
        let until = memory.holds(A, now).map_or(now, |failure| failure.until);
        assert!(until == now || memory.holds(A, until - 1).is_some() && memory.holds(A, until).is_none());
        assert!(memory.holds(B, now).is_none());
        found.push((until - now) / 60);
        now = until;
    }
    found
}

#[test]
fn the_times_of_the_table() {
    let good = || Outcome::LoggedIn("PLAIN");
    assert_eq!(minutes(&[(); 6].map(|()| refused())), [15, 30, 60, 60, 60, 60]);
    assert_eq!(minutes(&[(); 7].map(|()| deferred())), [1, 2, 4, 8, 15, 15, 15]);
    assert_eq!(minutes(&[refused(), refused(), good(), refused()]), [15, 30, 0, 15]);
    // What a relay defers in between makes a password no better, and is no reason to wait for longer itself.
    assert_eq!(minutes(&[refused(), deferred(), refused(), deferred()]), [15, 1, 30, 1]);
    assert_eq!(minutes(&[deferred(), deferred(), deferred(), refused()]), [1, 2, 4, 15]);
    let closed = || Outcome::ClosedBehindPassword;
    assert_eq!(minutes(&[closed(), closed(), closed()]), [1, 15, 30]);
    assert_eq!(minutes(&[closed(), deferred(), closed()]), [1, 2, 4]);
    assert_eq!(minutes(&[closed(), good(), closed()]), [1, 0, 1]);
}

#[test]
fn one_try_after_the_relay_had_the_password() {
    let doubtful = |outcome: Outcome| next(&empty(), A, &outcome, NOW).failures(A, NOW + 7200) == 1;
    assert!(doubtful(refused()) && doubtful(Outcome::ClosedBehindPassword));
    assert!(!doubtful(deferred()) && !doubtful(Outcome::LoggedIn("PLAIN")));
}

#[test]
fn a_login_is_remembered_and_a_refusal_forgotten() {
    let memory = next(&empty(), A, &refused(), NOW);
    let memory = next_without(&memory, A, &["CRAM-MD5"], &Outcome::LoggedIn("LOGIN"), NOW + 900);
    assert_eq!(memory.to_string(), format!("stamp 0000000000000007\ngood LOGIN {A}\nno CRAM-MD5 {A}\n"));
    assert_eq!(memory.after(A, &learnt(&[], Some(&Outcome::LoggedIn("LOGIN"))), NOW + 999), None, "nothing new");
    let memory = next(&memory, A, &Outcome::LoggedIn("CRAM-MD5"), NOW + 999);
    assert_eq!(memory.to_string(), format!("stamp 0000000000000007\ngood CRAM-MD5 {A}\n"));
    // A refusal does not make another mechanism the good one.
    let memory = next(&memory, A, &refused(), NOW + 999);
    assert!(memory.of_source(A).any(|what| *what == What::Good("CRAM-MD5".to_owned())));
}

/// It may be another relay, until SCRAM has logged in or somebody has changed something.
#[test]
fn the_password_is_hidden() {
    let hides = |memory: &Memory| memory.of_source(A).any(|what| *what == What::Hide);
    let hide = |memory: &Memory, outcome: &Outcome| {
        let learnt = Learnt { hide: true, ..learnt(&[], Some(outcome)) };
        let after = memory.after(A, &learnt, NOW).expect("something new");
        assert_eq!(Memory::of(after.to_string().as_bytes(), 7), after);
        after
    };
    let memory = hide(&empty(), &refused());
    let lines = format!("refused 1 {NOW} {} {A} 535 5.7.8 no\nhide {A}\n", NOW + 900);
    assert_eq!(memory.to_string(), format!("stamp 0000000000000007\n{lines}"));
    assert!(hides(&hide(&empty(), &deferred())) && hides(&hide(&empty(), &Outcome::ClosedBehindPassword)));
    assert!(hides(&next(&next(&memory, A, &refused(), NOW + 2700), A, &deferred(), NOW + 9999)));
    assert!(hides(&next(&memory, A, &Outcome::LoggedIn("CRAM-MD5"), NOW + 2700)), "which proves nothing");
    assert!(!hides(&next(&memory, A, &Outcome::LoggedIn("SCRAM-SHA-1"), NOW + 2700)));
    assert!(memory.of_source(B).next().is_none());
    assert!(!hides(&Memory::of(memory.to_string().as_bytes(), 8)));
}

#[test]
fn what_is_of_no_use() {
    let no = |memory: &Memory| memory.of_source(A).filter(|what| matches!(what, What::No(_))).count();
    let memory = next(&empty(), A, &Outcome::LoggedIn("SCRAM-SHA-1"), NOW);
    let memory = memory.after(A, &learnt(&["SCRAM-SHA-1", "SCRAM-SHA-256"], None), NOW).expect("something new");
    assert_eq!(memory.to_string(), format!("stamp 0000000000000007\nno SCRAM-SHA-256 {A}\nno SCRAM-SHA-1 {A}\n"));
    assert_eq!(memory.after(A, &learnt(&["SCRAM-SHA-1", "SCRAM-SHA-256"], None), NOW), None);
    // What was tried last comes first.
    let memory = memory.after(A, &learnt(&["SCRAM-SHA-1"], None), NOW).expect("something new");
    assert_eq!(memory.to_string(), format!("stamp 0000000000000007\nno SCRAM-SHA-1 {A}\nno SCRAM-SHA-256 {A}\n"));
    assert_eq!(no(&memory.after(B, &learnt(&["SCRAM-SHA-1"], None), NOW).unwrap()), 2);
    assert_eq!(no(&next(&memory, A, &Outcome::LoggedIn("SCRAM-SHA-1"), NOW)), 1);
}

#[test]
fn two_logins_do_not_stop_each_other() {
    let memory = next(&empty(), A, &refused(), NOW);
    let memory = next(&memory, B, &Outcome::LoggedIn("PLAIN"), NOW);
    assert!(memory.holds(A, NOW).is_some() && memory.holds(B, NOW).is_none());
    let memory = next(&memory, B, &refused(), NOW);
    let memory = next(&memory, A, &Outcome::LoggedIn("PLAIN"), NOW);
    assert!(memory.holds(A, NOW).is_none() && memory.holds(B, NOW).is_some());
}

#[test]
fn times_ahead() {
    let memory = next(&empty(), A, &refused(), NOW);
    for (now, holds) in [(NOW - 6299, true), (NOW - 6301, false), (0, false), (NOW, true), (NOW + 900, false)] {
        assert_eq!(memory.holds(A, now).is_some(), holds, "{now}");
    }
    assert_eq!(memory.failures(A, NOW - 6301), 0);
    let again = next(&memory, A, &refused(), NOW - 100_000);
    assert_eq!(again.holds(A, NOW - 100_000).unwrap().count, 1);
    for times in [format!("{NOW} {}", u64::MAX), format!("{} {}", u64::MAX, NOW + 900)] {
        let file = format!("stamp 0000000000000007\nrefused 1 {times} {A} 535 no\n");
        assert!(Memory::of(file.as_bytes(), 7).holds(A, NOW).is_none(), "{file}");
    }
}

#[test]
fn anything_odd_is_absent() {
    let whole = next(&next_without(&empty(), A, &["LOGIN"], &Outcome::LoggedIn("PLAIN"), NOW), A, &refused(), NOW);
    let whole = next(&whole, B, &deferred(), NOW).to_string();
    assert_eq!(Memory::parse(whole.as_bytes()).unwrap().facts().len(), 4);
    for end in 0..whole.len() {
        let at_line_end = whole.as_bytes()[..end].ends_with(b"\n");
        assert_eq!(Memory::parse(&whole.as_bytes()[..end]).is_some(), at_line_end, "torn at {end}");
    }
    for odd in ["", "\n", "stamp 7\n", "stamp 000000000000000g\n", "good PLAIN x\n", "stamp +000000000000007\n\n"] {
        assert_eq!(Memory::parse(odd.as_bytes()), None, "{odd:?}");
    }
    for odd in [
        "",
        "good",
        "good PLAIN",
        "good  x",
        "good PLAIN x y",
        "fine PLAIN x",
        "no PLAIN ",
        "refused 1 2 3 x",
        "refused 0 1 2 x 535 no",
        "refused 1 2 x 535 no",
        "refused -1 2 3 x 535 no",
        "refused 1 2 3  535 no",
        "refused 99999999999 2 3 x no",
        "refused 1 2 3 x 535\tno",
        "good PL\u{c4}IN x",
        "refused 1 2 3 x no ",
    ] {
        let file = format!("stamp 0000000000000007\n{odd}\n");
        assert_eq!(Memory::parse(file.as_bytes()), None, "{odd:?}");
        assert_eq!(Memory::of(file.as_bytes(), 7), empty());
    }
    assert_eq!(Memory::parse(b"stamp 0000000000000007\ngood PLAIN \xff\n"), None);
    assert_eq!(Memory::of(whole.as_bytes(), 8).facts(), [], "another stamp");
    let long = format!("stamp 0000000000000007\ngood PLAIN {}\n", "x".repeat(MOST));
    assert_eq!(Memory::parse(long.as_bytes()), None);
}

#[test]
fn no_more_than_fits() {
    let mut memory = empty();
    for n in 0..40 {
        let words = Outcome::Refused(format!("535 {}\u{e9}\r\n535 two", "x".repeat(n * 9)));
        memory = memory.after(&format!("control/authsenders:{n}"), &learnt(&[], Some(&words)), NOW + n as u64).unwrap();
        let text = memory.to_string();
        assert!(text.len() <= MOST && text.lines().count() > 1 + n.min(11), "{text}");
        memory = Memory::parse(text.as_bytes()).unwrap();
        let source = format!("control/authsenders:{n}");
        assert!(memory.holds(&source, NOW + 1).unwrap().words.starts_with("535 "), "its own words are there: {text}");
        assert_eq!(memory.holds(&format!("control/authsenders:{n}"), NOW + 1).unwrap().at, NOW + n as u64);
    }
    for (words, expected) in [
        ("\u{3042}".repeat(99), "\u{3042}".repeat(66)),
        ("  535 no\u{1b}[1m \0\u{9b}  ".to_owned(), "535 no?[1m ??".to_owned()),
        (String::new(), String::new()),
    ] {
        let memory = next(&empty(), A, &Outcome::Refused(words), NOW);
        assert_eq!(memory.holds(A, NOW).unwrap().words, expected);
    }
}

/// What became of one token says nothing of the next; what the relay can do does.
#[test]
fn another_token() {
    let lines = [
        format!("renewing {A}\n"),
        format!("good XOAUTH2 {A}\n"),
        format!("no OAUTHBEARER {A}\n"),
        format!("refused 2 {NOW} {} {A} 535 no\n", NOW + 60),
        format!("deferred 1 {NOW} {} {B} 454 later\n", NOW + 60),
    ];
    let file = format!("stamp 0000000000000007 0000000000000005\n{}", lines.concat());
    let memory = Memory::of(file.as_bytes(), 7);
    assert_eq!((memory.to_string(), memory.token()), (file.clone(), Some(5)));
    assert_eq!(memory.clone().with_token(5), memory);
    let kept = format!("stamp 0000000000000007 0000000000000006\n{}{}", lines[1], lines[2]);
    assert_eq!(memory.clone().with_token(6).to_string(), kept);
    let mut moved = memory.clone();
    moved.move_to(6);
    assert_eq!(moved.to_string(), file.replace("0005\n", "0006\n"));
    let after = next(&memory, A, &Outcome::LoggedIn("XOAUTH2"), NOW + 60);
    assert!(!after.to_string().contains("renewing") && after.token() == Some(5), "{after}");
    let mut renewing = empty();
    (0..2).for_each(|_| renewing.renewing(A));
    assert_eq!(renewing.to_string(), format!("stamp 0000000000000007\nrenewing {A}\n"));
    for odd in ["0000000000000000", "5", "0000000000000005 0000000000000005", "", "+000000000000005"] {
        assert_eq!(Memory::parse(format!("stamp 0000000000000007 {odd}\n").as_bytes()), None, "{odd}");
    }
}
