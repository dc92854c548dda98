//! A mail to a list of 2,000, as qmail-rspawn sends it: a process for each, 100 at a time, through Debian's Postfix over STARTTLS
//! with AUTH. All arrive, each once, and no process is large.
//!
//! `cargo test --test system load:: -- --nocapture` prints what docs/dev/testing.md has. Needs root and what support/chroot.rs needs.

use crate::support::Home;
use crate::support::postfix::postfix;
use crate::support::relay::{Endpoint, PASSWORD, USER};
use std::collections::BTreeSet;
use std::fs;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

const SENDER: &str = "list@example.net";
const MAILS: usize = 2000;
const AT_ONCE: usize = 100;
/// Postfix stores mail for r1 to r100.
const MAILBOXES: usize = 100;

/// KiB, of its own: what it shares with others, which is the files of programs and libraries, is there once for all.
const LARGEST: usize = 1024;

#[test]
fn a_list_mail() {
    let endpoint = &Endpoint::all()[0];
    let mut relay = postfix(std::slice::from_ref(endpoint));
    let home = Home::with_route(&format!("{}:587 {USER} {PASSWORD}", endpoint.address));
    home.control("tlscafile", "control/ca.pem\n");
    home.control("ca.pem", &endpoint.ca.pem);
    let (next, done) = (AtomicUsize::new(0), AtomicBool::new(false));
    let start = Instant::now();
    let deliver = || loop {
        let number = next.fetch_add(1, Ordering::Relaxed);
        if number >= MAILS {
            return;
        }
        let message = format!("Subject: to the list\nX-Number: {number}\n\nOne line.\n");
        let recipient = format!("r{}@example.org", number % MAILBOXES + 1);
        let delivered = home.deliver(SENDER, &[&recipient], message.as_bytes());
        assert_eq!(delivered.letters(), "rK", "{number}: {delivered:?}");
        assert!(delivered.verdict().ends_with(&format!("\ntls=TLSv1.3 cert=verified auth=PLAIN user={USER}\n")));
    };
    let (processes, own) = thread::scope(|scope| {
        let watcher = scope.spawn(|| watch(&home, &done));
        let workers: Vec<_> = (0..AT_ONCE).map(|_| scope.spawn(deliver)).collect();
        let ended: Vec<_> = workers.into_iter().map(|worker| worker.join()).collect();
        done.store(true, Ordering::Relaxed);
        ended.into_iter().for_each(|ended| ended.expect("a delivery that failed"));
        watcher.join().unwrap()
    });
    let seconds = start.elapsed().as_secs_f64();
    println!(
        "{MAILS} mails in {seconds:.0} s, {processes} processes at the most, each with {own} KiB of its own at the most"
    );
    assert!(processes <= AT_ONCE && own > 0 && own < LARGEST, "{processes} processes, one of {own} KiB");

    let mut numbers = BTreeSet::new();
    for recipient in (1..=MAILBOXES).cycle().take(MAILS) {
        let mail = relay.take(&format!("r{recipient}"));
        let mail = String::from_utf8(mail).unwrap();
        let number: usize = mail.split("\nX-Number: ").nth(1).unwrap().lines().next().unwrap().parse().unwrap();
        assert!(
            mail.ends_with("\n\nOne line.\n") && number % MAILBOXES + 1 == recipient && numbers.insert(number),
            "{mail}"
        );
    }
    assert_eq!(numbers.len(), MAILS);
    relay.assert_logins(&vec!["PLAIN"; MAILS]); // so none was sent twice
}

/// How many deliveries from this home there were at one time, and the most memory that one of them had of its own, in KiB.
fn watch(home: &Home, done: &AtomicBool) -> (usize, usize) {
    let (mut processes, mut own) = (0, 0);
    while !done.load(Ordering::Relaxed) {
        let children: Vec<usize> = fs::read_dir("/proc")
            .unwrap()
            .filter_map(|entry| memory(home, &entry.unwrap().file_name().into_string().ok()?))
            .collect();
        processes = processes.max(children.len());
        own = own.max(children.into_iter().max().unwrap_or_default());
        thread::sleep(Duration::from_millis(10)); // to look now and then, and for nothing to happen
    }
    (processes, own)
}

/// Of a process that is a delivery from this home. Other tests have theirs.
fn memory(home: &Home, pid: &str) -> Option<usize> {
    // First: what has this environment has been executed, and its memory is no longer that of the process that it was forked from.
    let environment = fs::read(format!("/proc/{pid}/environ")).ok()?;
    let qmailhome = format!("QMAILHOME={}", home.path().display());
    let is_ours = environment.split(|c| *c == 0).any(|variable| variable == qmailhome.as_bytes());
    let status = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let field = |name: &str| {
        status.lines().find_map(|line| Some(line.strip_prefix(name)?.trim().split(' ').next()?.to_owned()))
    };
    is_ours.then(|| field("RssAnon:")?.parse().ok())?
}
