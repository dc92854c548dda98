//! The file `memory` of an account: what its last logins came to, so that a wrong password is not tried for each mail of the queue.
//!
//! It is text, one fact a line. The first is the [stamp](super::stamp); then come, each for the login of one place (`source`):
//!
//! ```text
//! stamp 2a7f09c3d1b4e865
//! good PLAIN control/smtproutes:1
//! refused 2 1764328800 1764330600 control/smtproutes:1 535 5.7.8 no
//! deferred 1 1764328800 1764328860 control/smtproutes:1 454 4.7.0 later
//! no CRAM-MD5 control/smtproutes:1
//! hide control/smtproutes:1
//! renewing control/relays/smtp.example.jp
//! ```
//!
//! In the account of a login by token a second number follows the first: the state of the token that was refused or deferred. With another
//! token that is void, and the rest counts.
//!
//! `refused` is for a person to fix, `deferred` is not; the numbers say how often in a row, when, and until when no login is tried.
//! Anything odd in it, and it counts as absent: all that it can do is save tries.

mod file;

use crate::cause::EarlierLogin;
use file::one_line;

/// The most octets of the file.
pub const MOST: usize = 1024;
/// Minutes until the next try after the first refusal, the second, and so on; the last is for all others.
const REFUSED: [u64; 3] = [15, 30, 60];
/// The same after deferrals: a relay that restarts must not stop mail for longer than it takes.
const DEFERRED: [u64; 5] = [1, 2, 4, 8, 15];
/// Seconds. A time further ahead was written by a clock that has been set back since, and is ignored.
const TOO_FAR_AHEAD: u64 = 2 * 60 * 60;

/// All that is remembered of an account.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct Memory {
    stamp: u64,
    /// The state of the token. 0: the login is by none, or its token is not the account's.
    token: u64,
    facts: Vec<Fact>,
}

/// One line: a fact about the login that is written at this place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fact {
    /// `control/smtproutes:1`, or `control/relays/smtp.example.jp`. No blank is in it.
    pub source: String,
    /// What is known of it.
    pub what: What,
}

/// What is known of a login.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum What {
    /// This mechanism logged in last time.
    Good(String),
    /// This mechanism is of no use: the relay does not know it, or refuses it before it has the password or a proof.
    No(String),
    /// It may be another relay, so the password is not shown to it.
    Hide,
    /// The login failed for something that a person must fix.
    Refused(Failure),
    /// The relay did not take it then, for reasons of its own.
    Deferred(Failure),
    /// The token was refused, and the delivery that found that out is getting another one.
    Renewing,
}

/// When a login failed, and when it may be tried again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure {
    /// How often in a row.
    pub count: u32,
    /// The last time: Unix time, in seconds.
    pub at: u64,
    /// It is not tried before that.
    pub until: u64,
    /// What the relay said, masked, or what it did.
    pub words: String,
}

/// What is to be remembered of a login.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Learnt {
    /// None: nothing.
    pub outcome: Option<Outcome>,
    /// The mechanisms that are of no use.
    pub useless: Vec<&'static str>,
    /// See [`What::Hide`].
    pub hide: bool,
}

/// What a login came to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// It was accepted by this mechanism.
    LoggedIn(&'static str),
    /// It failed for something that a person must fix; with the relay's words.
    Refused(String),
    /// The relay closed the connection when it had the password.
    ClosedBehindPassword,
    /// The relay deferred it, closed, or was silent.
    Deferred(String),
}

impl Memory {
    /// What the file says under this stamp. Another stamp makes all of it void: somebody has changed something.
    pub fn of(file: &[u8], stamp: u64) -> Memory {
        let memory = Memory::parse(file).filter(|memory| memory.stamp == stamp);
        memory.unwrap_or(Memory { stamp, ..Memory::default() })
    }

    /// What of it counts with a token of this state: what became of another one says nothing of this.
    pub fn with_token(mut self, token: u64) -> Memory {
        if self.token != token {
            self.token = token;
            self.facts.retain(|fact| fact.what.failure().is_none() && fact.what != What::Renewing);
        }
        self
    }

    /// The state of its token, if it is that of a login by token.
    pub fn token(&self) -> Option<u64> {
        (self.token != 0).then_some(self.token)
    }

    /// The token of the login at this place was refused, and this delivery is getting another one.
    pub fn renewing(&mut self, source: &str) {
        self.facts.retain(|fact| fact.source != source || fact.what != What::Renewing);
        self.facts.insert(0, Fact { source: source.to_owned(), what: What::Renewing });
    }

    /// Whether this was written under this stamp.
    pub fn is_of(&self, stamp: u64) -> bool {
        self.stamp == stamp
    }

    /// All of it counts with this token, too.
    pub fn move_to(&mut self, token: u64) {
        self.token = token;
    }

    /// All facts.
    pub fn facts(&self) -> &[Fact] {
        &self.facts
    }

    /// All that is known of the login at this place.
    pub fn of_source<'a>(&'a self, source: &'a str) -> impl Iterator<Item = &'a What> {
        self.facts.iter().filter(move |fact| fact.source == source).map(|fact| &fact.what)
    }

    /// The failure because of which the login at this place is not tried now.
    pub fn holds<'a>(&'a self, source: &'a str, now: u64) -> Option<&'a Failure> {
        let mut failures = self.of_source(source).filter_map(What::failure);
        failures.find(|failure| failure.holds(now))
    }

    /// How often in a row the login at this place was refused, or the connection closed when the relay had the password.
    pub fn failures(&self, source: &str, now: u64) -> u32 {
        self.count(source, now, |what| match what {
            What::Deferred(failure) => failure.is_closed_behind_password(),
            _ => true,
        })
    }

    /// How often in a row the login at this place was deferred otherwise.
    pub fn deferrals(&self, source: &str, now: u64) -> u32 {
        self.count(source, now, |what| matches!(what, What::Deferred(failure) if !failure.is_closed_behind_password()))
    }

    fn count(&self, source: &str, now: u64, is_counted: impl Fn(&What) -> bool) -> u32 {
        let counted = self.of_source(source).filter(|what| is_counted(what)).filter_map(What::failure);
        counted.filter(|failure| failure.counts(now)).map(|failure| failure.count).next().unwrap_or_default()
    }

    /// What is to be remembered after this login at this place. None: it is known already.
    pub fn after(&self, source: &str, Learnt { outcome, useless, hide }: &Learnt, now: u64) -> Option<Memory> {
        let with_outcome = |memory: &Memory| outcome.as_ref().and_then(|outcome| memory.with(source, outcome, now));
        if useless.is_empty() && !hide {
            return with_outcome(self); // as it is for most mails
        }
        let mut memory = self.clone();
        let useless_facts = useless.iter().map(|name| What::No((*name).to_owned()));
        for what in useless_facts.chain(hide.then_some(What::Hide)) {
            memory.facts.retain(|fact| fact.source != source || fact.what != what);
            memory.facts.insert(0, Fact { source: source.to_owned(), what });
        }
        let is_useless = |what: &What| matches!(what, What::Good(name) if useless.contains(&&name[..]));
        memory.facts.retain(|fact| fact.source != source || !is_useless(&fact.what));
        let memory = with_outcome(&memory).unwrap_or(memory);
        (memory != *self).then_some(memory)
    }

    /// What is to be remembered after this outcome. None: it is known already. While a failure holds, another one changes nothing: it
    /// comes from a check, or from a delivery that logged in at the same time.
    fn with(&self, source: &str, outcome: &Outcome, now: u64) -> Option<Memory> {
        if let Outcome::LoggedIn(good) = outcome {
            let is_known = |what: &What| matches!(what, What::Good(known) if known == good);
            if self.facts.iter().any(|fact| fact.source == source) && self.of_source(source).all(is_known) {
                return None; // as it is for most mails
            }
        }
        let (has_failed, is_for_good) = match outcome {
            Outcome::LoggedIn(_) => (false, false),
            Outcome::Deferred(_) | Outcome::ClosedBehindPassword => (true, false),
            Outcome::Refused(_) => (true, true),
        };
        let holds = |what: &What| match what {
            What::Refused(failure) => failure.holds(now),
            What::Deferred(failure) => !is_for_good && failure.holds(now),
            What::Good(_) | What::No(_) | What::Hide | What::Renewing => false,
        };
        if has_failed && self.of_source(source).any(holds) {
            return None;
        }
        let (ours, others): (Vec<Fact>, Vec<Fact>) = self.facts.iter().cloned().partition(|fact| fact.source == source);
        let mut known: Vec<What> = ours.into_iter().map(|fact| fact.what).collect();
        known.retain(|what| what.failure().is_none_or(|failure| failure.counts(now)));
        learn(&mut known, outcome, now);
        let facts = known.into_iter().map(|what| Fact { source: source.to_owned(), what });
        let after = Memory { stamp: self.stamp, token: self.token, facts: facts.chain(others).collect() };
        (after != *self).then_some(after)
    }
}

/// Applies this outcome to the facts about one login.
fn learn(known: &mut Vec<What>, outcome: &Outcome, now: u64) {
    known.retain(|what| *what != What::Renewing);
    match outcome {
        Outcome::LoggedIn(good) => {
            let is_proven = good.starts_with("SCRAM-");
            known.retain(|what| match what {
                What::No(name) => name != good,
                What::Hide => !is_proven,
                What::Good(_) | What::Refused(_) | What::Deferred(_) | What::Renewing => false,
            });
            known.insert(0, What::Good((*good).to_owned()));
        }
        Outcome::Refused(words) => learn_refusal(known, words, now),
        Outcome::Deferred(words) => learn_deferral(known, words, now),
        Outcome::ClosedBehindPassword => {
            let has_been_so = known.iter().any(|what| match what {
                What::Refused(_) => true,
                What::Deferred(failure) => failure.is_closed_behind_password(),
                What::Good(_) | What::No(_) | What::Hide | What::Renewing => false,
            });
            if has_been_so {
                learn_refusal(known, &EarlierLogin::ClosedTwice.to_string(), now);
            } else {
                learn_deferral(known, &EarlierLogin::ClosedBehindPassword.to_string(), now);
            }
        }
    }
}

/// A refusal makes an earlier failure of either kind void.
fn learn_refusal(known: &mut Vec<What>, words: &str, now: u64) {
    let before = known.iter().find(|what| matches!(what, What::Refused(_))).and_then(What::failure);
    let failure = Failure::after(before, &REFUSED, words, now);
    known.retain(|what| what.failure().is_none());
    known.insert(0, What::Refused(failure));
}

/// A deferral says nothing against an earlier refusal.
fn learn_deferral(known: &mut Vec<What>, words: &str, now: u64) {
    let before = known.iter().find(|what| matches!(what, What::Deferred(_))).and_then(What::failure);
    let failure = Failure::after(before, &DEFERRED, words, now);
    known.retain(|what| !matches!(what, What::Deferred(_)));
    known.insert(0, What::Deferred(failure));
}

impl What {
    /// The failure, if that is what is known.
    pub fn failure(&self) -> Option<&Failure> {
        match self {
            What::Refused(failure) | What::Deferred(failure) => Some(failure),
            What::Good(_) | What::No(_) | What::Hide | What::Renewing => None,
        }
    }
}

impl Failure {
    /// One more failure.
    fn after(before: Option<&Failure>, minutes: &[u64], words: &str, now: u64) -> Failure {
        let count = before.map_or(1, |before| before.count.saturating_add(1));
        let place = usize::try_from(count).unwrap_or(usize::MAX).min(minutes.len());
        Failure { count, at: now, until: now + 60 * minutes[place - 1], words: one_line(words) }
    }

    fn holds(&self, now: u64) -> bool {
        self.counts(now) && now < self.until
    }

    /// Its times are none that this clock can have given.
    fn counts(&self, now: u64) -> bool {
        self.at.max(self.until) <= now.saturating_add(TOO_FAR_AHEAD)
    }

    fn is_closed_behind_password(&self) -> bool {
        self.words == EarlierLogin::ClosedBehindPassword.to_string()
    }
}
