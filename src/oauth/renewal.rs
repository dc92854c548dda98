//! The token of one account: the one that is there, or a new one. This is where nothing may be lost by haste: many deliveries want it
//! at once, and a refresh token that is used twice may end the login for good.
//!
//! Who asks holds the lock, and reads the files again behind it: meanwhile somebody else may have asked. Room for the answer is on the
//! disk before that. `refresh` is stored before `access`.

use super::accounts::Account;
use super::answer::{self, Granted, Refused, Remedy};
use super::exchange::{Answer, Exchange, Failed};
use super::hidden::Hidden;
use super::http::form;
use super::store::{self, LOCK, REFRESH, TROUBLE, Trouble, refresh_content};
use super::want::{Happened, Want, out_of_turn};
use crate::account::time;
use crate::account::token::{ACCESS, Access, Fitness, is_young};
use crate::cause::oauth::TokenCause;
use crate::control::tokens::{Grant, Provider};
use crate::want;
use qmail_auth::secret::Secret;
use std::io::{self, ErrorKind};
use std::path::PathBuf;

/// How long nobody asks again, in seconds: where it may be better soon, and where a person must do something.
const SOON: u64 = 60;
const BY_A_PERSON: u64 = store::LONGEST;

/// How often it is tried again to store a new refresh token: nobody else has it, and the old one may be void.
const ATTEMPTS: u32 = 3;

/// The files to look at where a provider does not say what is wrong.
pub const NOT_SAID: [&str; 3] = ["client", "secret", "token"];

/// Why a token is wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Purpose {
    /// A login.
    Login,
    /// The relay has refused the one that is there.
    Refused,
    /// The refresh token is to stay alive, or an administrator wants to know whether it works: what went wrong before does not count.
    Test,
}

/// What came out.
pub enum Ending {
    /// A token, and what could not be stored of it.
    Token(Access, Option<TokenCause>),
    /// None now.
    Later(TokenCause),
    /// None until somebody does something.
    SetUp(TokenCause),
}

/// One token.
pub struct Renewal {
    account: Account,
    purpose: Purpose,
    stage: Stage,
    /// What can be used if there is no other.
    old: Option<Access>,
    /// The one that was there at first.
    seen: Option<Secret>,
    refresh: Option<Secret>,
    hidden: Hidden,
    /// How often the new refresh token could not be stored.
    attempts: u32,
    /// Unix time when the lock was taken.
    unix: u64,
    path: PathBuf,
}

enum Stage {
    /// Whether it is waited for.
    Lock(bool),
    /// The file that is prepared now.
    Prepare(&'static str),
    Ask(Box<Exchange>),
    /// What is still to be stored, the next one last, and what then.
    Store(Vec<(&'static str, Secret)>, Ending),
    Unlock(Ending),
    Done(Option<Ending>),
}

impl Renewal {
    /// The token of this account at this Unix time.
    pub fn new(account: Account, purpose: Purpose, unix: u64) -> Renewal {
        let path = account.store.path(LOCK);
        let access = account.store.access();
        let seen = access.as_ref().map(|access| Secret::from(&access.token[..]));
        let (mut stage, mut old) = (Stage::Lock(true), None);
        if purpose == Purpose::Login {
            match access.map(|access| (access.fitness(unix), access)) {
                Some((Fitness::Good, access)) => stage = Stage::Done(Some(Ending::Token(access, None))),
                Some((Fitness::NearEnd, access)) => (stage, old) = (Stage::Lock(false), Some(access)),
                _ => {
                    if let Some(ending) = held(&account, unix) {
                        stage = Stage::Done(Some(ending));
                    }
                }
            }
        }
        let hidden = hidden(&account.provider);
        Renewal { account, purpose, stage, old, seen, refresh: None, hidden, attempts: 0, unix, path }
    }

    /// What to do now. None: it is over.
    pub fn want(&mut self, now: u64) -> Option<Want<'_>> {
        match &mut self.stage {
            Stage::Lock(waits) => Some(Want::Net(want::Want::Lock(&self.path, *waits))),
            Stage::Prepare(_) => Some(Want::Prepare(&self.path)),
            Stage::Ask(exchange) => Some(Want::Net(exchange.want(now).expect("it is not over"))),
            Stage::Store(files, _) => {
                let (name, content) = files.last().expect("a file, or it is over");
                self.path = self.account.store.path(name);
                Some(Want::Replace(&self.path, content))
            }
            Stage::Unlock(_) => Some(Want::Net(want::Want::Release)),
            Stage::Done(_) => None,
        }
    }

    /// Takes what happened.
    pub fn happened(&mut self, event: Happened) {
        self.stage = match (std::mem::replace(&mut self.stage, Stage::Done(None)), event) {
            (Stage::Lock(_), Happened::Net(want::Happened::Locked { unix, .. })) => self.locked(unix),
            (Stage::Lock(_), Happened::Net(want::Happened::NotLocked { error, .. })) => self.not_locked(error),
            (Stage::Prepare(name), Happened::Stored(Ok(()))) => self.prepared(name),
            (Stage::Prepare(name), Happened::Stored(Err(error))) => {
                self.account.store.remove_prepared(name);
                let cause = self.account.store.cause(name, &error);
                self.without(Ending::Later(cause))
            }
            (Stage::Ask(mut exchange), Happened::Net(event)) => {
                exchange.happened(event);
                match exchange.result() {
                    None => Stage::Ask(exchange),
                    Some(result) => self.answered(result),
                }
            }
            (Stage::Store(files, ending), Happened::Stored(result)) => self.stored(files, ending, result),
            (Stage::Unlock(ending), Happened::Released(_)) => Stage::Done(Some(ending)),
            (_, event) => out_of_turn(&event),
        };
    }

    /// What came out, once it is over.
    pub fn ending(&mut self) -> Option<Ending> {
        match &mut self.stage {
            Stage::Done(ending) => ending.take(),
            _ => None,
        }
    }

    /// Whose token it is.
    pub fn account(&self) -> &Account {
        &self.account
    }

    fn not_locked(&mut self, error: &io::Error) -> Stage {
        let cause = match error.kind() {
            ErrorKind::WouldBlock | ErrorKind::Interrupted => TokenCause::Locked,
            _ => self.account.store.cause(LOCK, error),
        };
        Stage::Done(Some(match self.old.take() {
            Some(old) => Ending::Token(old, None), // somebody else renews it
            None => Ending::Later(cause),
        }))
    }

    fn locked(&mut self, unix: u64) -> Stage {
        self.unix = unix;
        self.old = None;
        if let Some(access) = self.account.store.access() {
            let fitness = access.fitness(unix);
            let is_another = self.seen.as_ref().is_none_or(|seen| **seen != *access.token);
            let is_young = is_young(access.begin, unix);
            let will_do = match self.purpose {
                Purpose::Login => fitness == Fitness::Good,
                Purpose::Refused => fitness != Fitness::Dead && (is_another || is_young),
                Purpose::Test => fitness == Fitness::Good && is_another,
            };
            if will_do {
                return Stage::Unlock(Ending::Token(access, None));
            }
            if self.purpose == Purpose::Login && fitness == Fitness::NearEnd {
                self.old = Some(access);
            }
        }
        if self.purpose != Purpose::Test {
            if let Some(ending) = held(&self.account, unix) {
                return self.without(ending);
            }
        }
        let name = match self.account.provider.grant {
            Grant::App => ACCESS,
            Grant::User => {
                if let Err(cause) = self.account.store.adopt() {
                    return self.keep(Ending::Later(cause), None);
                }
                match self.account.store.refresh() {
                    Ok(Some(refresh)) => self.refresh = Some(refresh),
                    Ok(None) => {
                        let (host, user) = (self.account.host.clone(), self.account.user.clone());
                        return self.without(Ending::SetUp(TokenCause::NoConsent { host, user }));
                    }
                    Err(cause @ TokenCause::File { .. }) => return self.without(Ending::Later(cause)),
                    Err(cause) => return self.without(Ending::SetUp(cause)),
                }
                REFRESH
            }
        };
        self.path = self.account.store.path(name);
        Stage::Prepare(name)
    }

    fn prepared(&mut self, name: &'static str) -> Stage {
        if name == REFRESH {
            self.path = self.account.store.path(ACCESS);
            return Stage::Prepare(ACCESS);
        }
        let provider = &self.account.provider;
        let form = match &self.refresh {
            Some(refresh) => {
                self.hidden.add(refresh);
                form(&with_client(provider, &[("grant_type", b"refresh_token"), ("refresh_token", refresh)]))
            }
            None => {
                let scope = provider.scope.iter().map(|scope| ("scope", scope.as_bytes()));
                let fields: Vec<_> = [("grant_type", &b"client_credentials"[..])].into_iter().chain(scope).collect();
                form(&with_client(provider, &fields))
            }
        };
        Stage::Ask(Box::new(Exchange::new(&provider.token, provider.cafile.as_ref(), &provider.directory, &form)))
    }

    fn answered(&mut self, result: Result<Answer, Failed>) -> Stage {
        let Answer { reply, unix } = match result {
            Ok(answer) => answer,
            Err(failed) => return self.refused(failed.into()),
        };
        match answer::tokens(&reply, &self.hidden) {
            Ok(granted) => self.granted(granted, unix),
            Err(refused) => self.refused(refused),
        }
    }

    fn granted(&mut self, granted: Granted, unix: u64) -> Stage {
        let (access, refresh) = granted.into_access(unix);
        let files = [Some((ACCESS, access.content())), self.new_refresh(refresh)];
        Stage::Store(files.into_iter().flatten().collect(), Ending::Token(access, None))
    }

    /// What is to be stored of the refresh token that has come. None: nothing, and the room for it is not needed.
    fn new_refresh(&self, refresh: Option<Secret>) -> Option<(&'static str, Secret)> {
        let new = refresh.filter(|new| self.refresh.as_ref().is_some_and(|old| **new != **old));
        if new.is_none() {
            self.account.store.remove_prepared(REFRESH);
        }
        new.map(|new| (REFRESH, refresh_content(&new)))
    }

    fn stored(&mut self, mut files: Vec<(&'static str, Secret)>, mut ending: Ending, result: io::Result<()>) -> Stage {
        let (name, content) = files.pop().expect("the file that was wanted");
        if name == REFRESH && result.is_err() && self.attempts < ATTEMPTS {
            self.attempts += 1;
            files.push((name, content));
            return Stage::Store(files, ending);
        }
        match (&mut ending, result) {
            // The token can be used all the same. `refresh.new` stays: it may be whole.
            (Ending::Token(_, cause), Err(error)) if name != TROUBLE => {
                cause.get_or_insert(self.account.store.cause(name, &error));
            }
            _ => {}
        }
        match &ending {
            _ if !files.is_empty() => Stage::Store(files, ending),
            Ending::Token(_, Some(_)) if name != TROUBLE => self.keep(ending, None),
            Ending::Token(_, None) => {
                self.account.store.remove(TROUBLE);
                self.without(ending)
            }
            _ => self.without(ending),
        }
    }

    /// The provider gives no access token.
    fn refused(&mut self, mut refused: Refused) -> Stage {
        self.account.store.remove_prepared(ACCESS);
        let refresh = self.new_refresh(refused.refresh.take());
        self.keep(ending_of(&self.account, &self.account.provider.token.host, refused), refresh)
    }

    /// What went wrong is kept, so that the next deliveries do not all ask again; and before it what has come all the same.
    fn keep(&mut self, ending: Ending, refresh: Option<(&'static str, Secret)>) -> Stage {
        let (is_later, cause) = match &ending {
            Ending::Token(_, None) => unreachable!("nothing went wrong"),
            Ending::Token(_, Some(cause)) | Ending::Later(cause) => (true, cause),
            Ending::SetUp(cause) => (false, cause),
        };
        let until = self.unix + if is_later { SOON } else { BY_A_PERSON };
        let words = answer::printable(cause.to_string().as_bytes(), 2000);
        let trouble = Trouble { is_later, at: self.unix, until, words };
        let files = [Some((TROUBLE, trouble.content(self.account.stamp))), refresh];
        Stage::Store(files.into_iter().flatten().collect(), ending)
    }

    /// The end. Where there is no new token, the old one will do if it can still be used.
    fn without(&mut self, ending: Ending) -> Stage {
        Stage::Unlock(match (ending, self.old.take()) {
            (Ending::Later(_) | Ending::SetUp(_), Some(old)) => Ending::Token(old, None),
            (ending, _) => ending,
        })
    }
}

/// The end that a refusal by this endpoint means.
pub fn ending_of(account: &Account, endpoint: &str, refused: Refused) -> Ending {
    let Refused { remedy, why, .. } = refused;
    let (endpoint, why) = (endpoint.to_owned(), why.to_string());
    let (host, user) = (account.host.clone(), account.user.clone());
    let set_up =
        |endpoint, why, names| Ending::SetUp(TokenCause::SetUp { endpoint, why, see: files(&account.provider, names) });
    match (remedy, account.provider.grant) {
        (Remedy::Later, _) => Ending::Later(TokenCause::Later { endpoint, why }),
        (Remedy::Consent, Grant::User) => Ending::SetUp(TokenCause::ConsentAnew { endpoint, why, host, user }),
        (Remedy::Consent, Grant::App) => set_up(endpoint, why, &["client", "secret"]),
        (Remedy::NotSaid, Grant::User) => {
            let see = files(&account.provider, &NOT_SAID);
            Ending::SetUp(TokenCause::NotSaid { endpoint, why, see, host, user })
        }
        (Remedy::NotSaid, Grant::App) => set_up(endpoint, why, &NOT_SAID),
        (Remedy::SetUp(names), _) => set_up(endpoint, why, names),
    }
}

/// Files of the provider's directory, to name them in advice.
fn files(provider: &Provider, names: &[&str]) -> String {
    names.iter().map(|name| format!("{}/{name}", provider.directory)).collect::<Vec<_>>().join(", ")
}

/// What hides the provider's secret in its words.
pub fn hidden(provider: &Provider) -> Hidden {
    let mut hidden = Hidden::default();
    provider.secret.iter().for_each(|secret| hidden.add(secret));
    hidden
}

/// The fields of a form, and those that say who we are. A public client sends no secret.
pub fn with_client<'a>(provider: &'a Provider, fields: &[(&'static str, &'a [u8])]) -> Vec<(&'static str, &'a [u8])> {
    let secret = provider.secret.iter().map(|secret| ("client_secret", &secret[..]));
    fields.iter().copied().chain([("client_id", provider.client.as_bytes())]).chain(secret).collect()
}

/// Nobody asks now, since that has failed a short time ago.
fn held(account: &Account, unix: u64) -> Option<Ending> {
    let trouble = account.store.trouble(account.stamp).filter(|trouble| trouble.holds(unix))?;
    let Trouble { is_later, at, until, words } = trouble;
    let cause = TokenCause::SaidBefore { why: words, at: time(at), until: time(until) };
    Some(if is_later { Ending::Later(cause) } else { Ending::SetUp(cause) })
}
