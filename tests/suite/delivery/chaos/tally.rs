//! What came out of many runs, and whether they were worth making.

use super::check::{Outcome, Summary};
use super::plan::Plan;
use super::story::{What, story};
use super::wire::Record;
use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

/// The ways in which the server misbehaves, as far as they are told apart.
pub const KINDS: [&str; 28] = [
    "a refusal",
    "another code",
    "malformed",
    "one reply too many",
    "a reply, then closed",
    "closed",
    "a reply, then reset",
    "reset",
    "endless",
    "half a reply",
    "421, then closed",
    "an alert in clear",
    "TLS: an octet flipped",
    "TLS: a record cut",
    "TLS: octets in clear",
    "TLS: an alert in clear",
    "TLS: a fatal alert",
    "silent",
    "handshake: an alert",
    "handshake: garbage",
    "handshake: lines in clear",
    "handshake: closed",
    "handshake: reset",
    "handshake: silent",
    "handshake: an octet flipped",
    "half-closed",
    "in the message",
    "slow",
];

/// The counts of many runs.
#[derive(Default)]
pub struct Tally {
    runs: u64,
    orderly: u64,
    over_tls: u64,
    raced: u64,
    /// How far they came.
    stages: BTreeMap<What, u64>,
    /// How often the server misbehaved in this way.
    kinds: BTreeMap<&'static str, u64>,
    /// In how many runs there is this letter.
    letters: BTreeMap<char, u64>,
    /// How long the program took at most, and in which run.
    slowest: (Duration, u64),
    failures: Vec<String>,
}

impl Tally {
    pub fn add(&mut self, plan: &Plan, elapsed: Duration, result: Result<Summary, String>) {
        self.runs += 1;
        self.slowest = self.slowest.max((elapsed, plan.seed));
        self.orderly += u64::from(plan.orderly);
        match result {
            Ok(Summary { letters, deepest, over_tls, raced, did }) => {
                for kind in did {
                    *self.kinds.entry(kind).or_default() += 1;
                }
                for letter in "KZDrhs".chars().filter(|letter| letters.contains(*letter)) {
                    *self.letters.entry(letter).or_default() += 1;
                }
                *self.stages.entry(deepest).or_default() += 1;
                self.over_tls += u64::from(over_tls);
                self.raced += u64::from(raced);
            }
            Err(why) => self
                .failures
                .push(format!("CHAOS_SEED={} cargo test --test suite chaos:: -- --nocapture: {why}", plan.seed)),
        }
    }

    /// There are no failures, and enough of everything.
    pub fn assert_sound(&self, runs: u64) {
        let some: Vec<&String> = self.failures.iter().take(20).collect();
        assert!(self.failures.is_empty(), "{} of {} runs failed:\n{some:#?}", self.failures.len(), self.runs);
        assert_eq!(self.runs, runs);
        // Of a hundred runs. Few runs may miss them by chance.
        for (letter, least) in [('K', 25), ('Z', 30), ('D', 5), ('r', 25), ('h', 4), ('s', 3)] {
            let count = self.letters.get(&letter).copied().unwrap_or_default();
            assert!(count * 100 >= least * runs || runs < 500, "only {count} runs with {letter}");
        }
        for what in
            [What::Connection, What::Hello, What::Auth, What::Mail, What::Rcpt, What::Data, What::Part, What::Message]
        {
            let count = self.stages.get(&what).copied().unwrap_or_default();
            assert!(count * 100 >= runs || runs < 500, "only {count} runs end at {what:?}");
        }
        // What never happens is not tested. The rarest are one or two in a thousand runs.
        for kind in KINDS {
            assert!(self.kinds.contains_key(kind) || runs < 10_000, "the server was never this: {kind}");
        }
        assert!(self.raced * 100 <= runs, "too many of which nothing can be said");
    }
}

impl fmt::Display for Tally {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Tally { runs, orderly, over_tls, raced, .. } = self;
        writeln!(
            f,
            "{runs} runs, {orderly} orderly, {over_tls} with TLS; {raced} K that raced; {} failures",
            self.failures.len()
        )?;
        writeln!(f, "runs with a letter: {:?}", self.letters)?;
        writeln!(f, "came as far as: {:?}", self.stages)?;
        writeln!(f, "the server: {:?}", self.kinds)?;
        write!(f, "slowest: {:.1?}, seed {}", self.slowest.0, self.slowest.1)
    }
}

/// Shows a run.
pub fn show(plan: &Plan, records: &[Record], outcome: &Outcome) {
    let Plan { loopback, port_465, policy, login, trusted, tls12, starttls, turn, skip, orderly, silences, .. } = plan;
    println!("loopback {loopback}, 465 {port_465}, policy {policy:?}, {login:?}, trusted {trusted}, TLS 1.2 {tls12}");
    println!("STARTTLS {starttls}; {turn:?} + {skip}, orderly {orderly}, silences {silences}");
    println!("{} octets for {:?}", plan.message.len(), plan.recipients);
    let text = |octets: &[u8]| String::from_utf8_lossy(&octets[..octets.len().min(300)]).into_owned();
    for record in records {
        println!("a connection, heard {}, TLS from {:?}", record.heard.len(), record.tls_at);
        for step in story(record) {
            let reply = step.reply.map(|reply| format!("{} heard {} glued {}", reply.code, reply.heard, reply.glued));
            println!("  {:?} to {}: {:?}\n    => {reply:?}", step.what, step.end, text(step.line));
        }
        for chunk in &record.said {
            println!("  said having heard {}, whole {}: {:?}", chunk.heard, chunk.whole, text(&chunk.octets));
        }
    }
    println!("{}: {:?}{}", outcome.status, text(&outcome.stdout), text(&outcome.stderr));
}
