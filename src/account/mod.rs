//! What this program remembers of a login, in `HOME/accounts/HOST/USER`: so that a wrong password is not tried for each mail.
//!
//! `directory` says where that is and what counts there, `memory` is the file and its rules, `stamp` what makes it void, `token` is the
//! access token of OAuth, `supply` where a login has it from. An
//! [`Account`] is that for one delivery. All of it only saves tries: whatever fails here is as if there were no such directory.
//!
//! One login at a time is under way, two where the last one worked: c-glue holds a lock, the file `open` or `open2`, from before AUTH
//! to the outcome, and the memory is read again behind it. So of many deliveries that begin together one or two find out that the
//! password is wrong.

pub mod directory;
pub mod memory;
pub mod stamp;
pub mod supply;
pub mod token;

use crate::cause::{Cause, EarlierLogin, User};
use crate::control::files::{Control, FileState};
use crate::control::home::Surroundings;
use crate::control::{Credentials, Route};
use crate::tls::date;
use memory::{Failure, Learnt, MOST, Memory, Outcome, What};
use qmail_auth::LoginKind;
use qmail_auth::client::Client;
use qmail_auth::client::past::{Conclusion, Past};
use qmail_auth::mask::Mask;
use qmail_auth::mechanisms::{self, Mechanism};
use qmail_auth::reply::Reply;
use std::borrow::Cow;
use std::path::{Path, PathBuf};

/// How many failures a delivery may cause, where earlier ones are remembered.
const TRIES: usize = 2;

/// The files to lock. Nothing is in them.
const LOCKS: [&str; 2] = ["open", "open2"];

/// The account that a delivery logs in to.
pub struct Account {
    directory: PathBuf,
    /// The file `memory` in its directory.
    path: PathBuf,
    uid: u32,
    /// The login is by a token.
    has_token: bool,
    /// The file of the access token, where only qmail-remote-oauth replaces it.
    access: Option<PathBuf>,
    /// Its state, 0 without it.
    token: u64,
    stamp: u64,
    /// The place of the login, as in the file.
    source: String,
    memory: Memory,
    /// The file that it was read from.
    read: Option<FileState>,
    /// A check tries at once, whatever is remembered.
    obeys: bool,
    lock: Lock,
    /// The file of that lock.
    lock_file: PathBuf,
    /// Which lock to wait for.
    turn: usize,
    /// What the relay said or did last in this login.
    words: Option<String>,
}

/// How far the login is.
enum Lock {
    /// It has not begun.
    NotYet,
    /// The lock is to be taken. It is the last one, so others are waited for.
    Wanted { last: bool },
    /// It goes on.
    Held,
    /// This came out.
    Concluded(Learnt),
    /// That is written, and the lock is released.
    Released,
}

impl Account {
    /// The account of this route's login. None: there is none, or it does not count. `obeys`: a login that was refused is not tried
    /// before its time.
    pub fn open(
        accounts: PathBuf,
        control: &Control,
        route: &Route,
        &Surroundings { uid, pid, .. }: &Surroundings,
        obeys: bool,
    ) -> Option<Box<Account>> {
        let Credentials { login, source } = route.credentials.as_ref()?;
        let host = route.security.directory.as_deref()?.strip_prefix("control/relays/")?;
        let directory = directory::of_user(accounts, host, login.user(), uid)?;
        // Another program may have a new token for each delivery, so that makes nothing void.
        let own = route.tokens.as_ref().filter(|tokens| tokens.command.is_none());
        let mut account = Box::new(Account {
            path: directory::below(&directory, &[directory::MEMORY]),
            uid,
            has_token: route.tokens.is_some(),
            access: own.map(|_| directory::below(&directory, &[token::ACCESS])),
            directory,
            token: 0,
            stamp: stamp::of(control, &route.security, route.tokens.is_some()),
            source: place(control, source),
            memory: Memory::default(),
            read: None,
            obeys,
            lock: Lock::NotYet,
            lock_file: PathBuf::new(),
            turn: pid as usize % LOCKS.len(),
            words: None,
        });
        account.token = account.token_now();
        account.read();
        Some(account)
    }

    /// A new token makes void what is remembered of the one before: it may be taken where that was refused.
    fn token_now(&self) -> u64 {
        self.access.as_deref().map_or(0, stamp::of_token)
    }

    /// The relay has refused the token, and this delivery is about to get another one. Those that wait for the lock must not log in without
    /// it meanwhile: each would be refused, too.
    pub fn token_refused(&mut self) {
        if matches!(self.lock, Lock::Held) {
            self.memory.renewing(&self.source);
            self.write(&self.memory);
        }
    }

    /// This delivery has had the token replaced. What it knows of the login stays: if the relay refuses both, that counts as twice.
    pub fn token_replaced(&mut self) {
        self.token = self.token_now();
        self.memory.move_to(self.token);
        if self.remembered().any(|what| *what == What::Renewing) {
            self.token_refused();
        }
    }

    /// The directory of the account.
    pub fn directory(&self) -> &Path {
        &self.directory
    }

    /// The relay had the credentials of this login some time ago and did not take them.
    pub fn is_doubtful(&self, unix: u64) -> bool {
        self.obeys && self.memory.failures(&self.source, unix) > 0
    }

    fn read(&mut self) {
        let mut buffer = [0; MOST + 1];
        let (content, file) = directory::memory(&self.path, self.uid, &mut buffer).unzip();
        self.memory = Memory::of(content.unwrap_or_default(), self.stamp).with_token(self.token);
        self.read = file;
    }

    /// What is remembered of the login that this delivery has.
    pub fn remembered(&self) -> impl Iterator<Item = &What> {
        self.memory.of_source(&self.source)
    }

    /// Why no login may be tried now: a report. `relay` is shown in it.
    pub fn refused_before(&self, auth: &Client, relay: &str, unix: u64) -> Option<Cause> {
        let Failure { at, until, words, .. } = self.memory.holds(&self.source, unix).filter(|_| self.obeys)?;
        let user = User::of(auth.login());
        let words = masked(words.trim_end_matches('.').as_bytes(), auth.mask());
        let (at, until) = (time(*at), time_after(*at, *until));
        let file = self.file_to_touch(auth.login().kind()).display().to_string();
        Some(Cause::LoginRefusedBefore { relay: relay.to_owned(), user, at, words, until, file })
    }

    /// The file that has the login, in qmail's home, which is above HOME/accounts/HOST/USER.
    fn file_to_touch(&self, kind: LoginKind) -> PathBuf {
        let home = self.directory.ancestors().nth(3).unwrap_or(Path::new("/"));
        let name = match (self.source.starts_with("control/relays/"), kind) {
            (false, _) => self.source.split(':').next().unwrap_or_default().to_owned(),
            (true, LoginKind::Password) => format!("{}/password", self.source),
            (true, LoginKind::Certificate) => format!("{}/clientcert", self.source),
            (true, LoginKind::Token) => format!("{}/user", self.source),
        };
        home.join(name)
    }

    /// What the client is to know of earlier logins.
    pub fn past(&self, unix: u64) -> Past {
        let mut past = Past { tries: Some(TRIES), is_check: !self.obeys, ..Past::default() };
        for what in self.remembered() {
            match what {
                What::Good(name) => past.good = mechanisms::usable(name),
                What::No(name) => past.useless.extend(mechanisms::usable(name)),
                What::Hide => past.may_be_another = true,
                What::Refused(_) | What::Deferred(_) | What::Renewing => {}
            }
        }
        if self.obeys {
            past.deferrals = self.memory.deferrals(&self.source, unix) as usize;
            past.failures = self.memory.failures(&self.source, unix) as usize;
        }
        past
    }

    /// The login is to begin. Answers whether a lock is to be taken first; on the next connection of the same login it is held.
    pub fn begin(&mut self) -> bool {
        let begins = matches!(self.lock, Lock::NotYet);
        if begins && self.may_be_two() {
            self.want_lock(LOCKS[1 - self.turn], false);
        } else if begins {
            self.want_lock(LOCKS[0], true);
        }
        begins
    }

    /// Whether two deliveries may log in at once, since both together cannot fail more often than one that may try twice: what worked
    /// last time and is refused is one failure. By a token it can be two, the second one with another token.
    fn may_be_two(&self) -> bool {
        self.has_worked() && !self.has_token
    }

    fn has_worked(&self) -> bool {
        let is_good = self.remembered().any(|what| matches!(what, What::Good(_)));
        is_good && self.remembered().all(|what| what.failure().is_none() && *what != What::Renewing)
    }

    fn want_lock(&mut self, name: &str, last: bool) {
        self.lock_file = directory::below(&self.directory, &[name]);
        self.lock = Lock::Wanted { last };
    }

    /// The lock to take, and whether to wait for it.
    pub fn lock_wanted(&self) -> Option<(&Path, bool)> {
        let Lock::Wanted { last } = self.lock else { return None };
        Some((&self.lock_file, last))
    }

    /// The lock is not to be had. Answers whether there is another one.
    pub fn is_other_lock_wanted(&mut self) -> bool {
        let is_other = matches!(self.lock, Lock::Wanted { last: false });
        if is_other {
            self.want_lock(LOCKS[self.turn], true);
        }
        is_other
    }

    /// Whether to log in although others have the lock for long: a check does, and a delivery where the last login worked.
    pub fn may_go_on_without_lock(&mut self) -> bool {
        self.read_again();
        !self.obeys || self.has_worked()
    }

    /// Why no login is tried while others have the lock.
    pub fn busy(&self, auth: &Client, relay: &str) -> Cause {
        Cause::LoginBusy { relay: relay.to_owned(), user: User::of(auth.login()) }
    }

    /// The lock is held. What others have written meanwhile counts.
    pub fn locked(&mut self) {
        self.lock = Lock::Held;
        self.read_again();
    }

    fn read_again(&mut self) {
        let token = self.token_now();
        if token != self.token || !directory::is_still(&self.path, self.read) {
            self.token = token;
            self.read();
        }
    }

    /// A line of the login is sent.
    pub fn asked(&mut self) {
        self.words = None;
    }

    /// The relay has answered it.
    pub fn answered(&mut self, reply: &Reply, mask: &Mask) {
        if matches!(reply.class(), 4 | 5) {
            self.words = Some(first_line(&reply.text, mask));
        }
    }

    /// The relay has closed the connection instead.
    pub fn closed(&mut self) {
        self.words = Some(EarlierLogin::Closed.to_string());
    }

    /// The login is over, one way or the other.
    pub fn conclude(&mut self, auth: &Client) {
        if !matches!(self.lock, Lock::Held) {
            return;
        }
        if self.access.is_some() && auth.has_untried_token() {
            self.lock = Lock::Concluded(Learnt::default()); // what was refused is that no more
            return;
        }
        let silent = || EarlierLogin::Silent.to_string();
        let words = self.words.take();
        let outcome = match auth.conclusion() {
            Conclusion::LoggedIn(mechanism) => Some(Outcome::LoggedIn(mechanism.name)),
            Conclusion::Refused => Some(Outcome::Refused(first_line(auth.refusal(), auth.mask()))),
            Conclusion::NotProven => Some(Outcome::Refused(EarlierLogin::NotProven.to_string())),
            Conclusion::ClosedBehindPassword { twice: true } => {
                Some(Outcome::Refused(EarlierLogin::ClosedTwice.to_string()))
            }
            Conclusion::ClosedBehindPassword { twice: false } => Some(Outcome::ClosedBehindPassword),
            Conclusion::Deferred => Some(Outcome::Deferred(words.unwrap_or_else(silent))),
            Conclusion::Nothing => None,
        };
        let useless = auth.useless().map(|mechanism| mechanism.name).collect();
        let hide = auth.may_be_another() && !auth.accepted().is_some_and(Mechanism::is_scram);
        self.lock = Lock::Concluded(Learnt { outcome, useless, hide });
    }

    /// There is something to write, or the lock to release.
    pub fn is_concluded(&self) -> bool {
        matches!(self.lock, Lock::Concluded(_))
    }

    /// Writes what came out, before the lock is released.
    pub fn release(&mut self, unix: u64) {
        let Lock::Concluded(learnt) = std::mem::replace(&mut self.lock, Lock::Released) else { return };
        if self.memory.after(&self.source, &learnt, unix).is_none() {
            return; // as it is for most mails
        }
        let is_of_another_token = self.token_now() != self.token;
        if is_of_another_token && !matches!(learnt.outcome, Some(Outcome::LoggedIn(_))) {
            return;
        }
        self.read_again(); // under the other lock somebody may have written
        if let Some(memory) = self.memory.after(&self.source, &learnt, unix) {
            self.write(&memory);
        }
    }

    fn write(&self, memory: &Memory) {
        let mut new = self.lock_file.as_os_str().to_owned(); // two may write at once
        new.push(".new");
        let _ = directory::replace(&self.path, new.as_ref(), &memory.to_string()); // then it is not remembered
    }
}

/// The place of a login as the memory has it. Lines of one file with the same login are one: the first counts for all.
fn place(control: &Control, source: &str) -> String {
    let line = source.rsplit_once(' ').and_then(|(file, number)| Some((file.strip_suffix(" line")?, number)));
    let Some((file, number)) = line else { return source.to_owned() };
    let first = control.seen.as_ref().and_then(|seen| seen.login(file.strip_prefix("control/")?));
    let first = first.map_or(Cow::Borrowed(number), |first| first.to_string().into());
    [file, ":", &first].concat()
}

/// The first line of a reply.
fn first_line(reply: &[u8], mask: &Mask) -> String {
    let text = masked(reply, mask); // whole, since a secret may be divided by lines
    let line = text.lines().next().unwrap_or_default();
    if line.as_bytes().get(3) == Some(&b'-') { line.replacen('-', " ", 1) } else { line.to_owned() }
}

fn masked(text: &[u8], mask: &Mask) -> String {
    String::from_utf8_lossy(&mask.apply(text)).into_owned()
}

/// A Unix time in UTC: `2026-11-28 11:20:33`.
pub fn time(unix: u64) -> String {
    date(unix).replacen('T', " ", 1).trim_end_matches('Z').to_owned()
}

/// The same without the day, if that is the one before.
fn time_after(before: u64, unix: u64) -> String {
    let (before, time) = (time(before), time(unix));
    match (before.split_once(' '), time.split_once(' ')) {
        (Some((one, _)), Some((day, clock))) if one == day => clock.to_owned(),
        _ => time,
    }
}
