//! The consent of a user: by a code (`device`), or in a browser that comes back (`browser`). What comes of it is stored as a renewal does
//! it.

mod browser;
mod device;

use super::accounts::Account;
use super::answer::{Device, Granted, Refused, Remedy};
use super::exchange::Exchange;
use super::hidden::Hidden;
use super::http::form;
use super::redirect::{AuthorizationRequest, Brought};
use super::renewal::{Ending, NOT_SAID, ending_of, hidden, with_client};
use super::store::{LOCK, REFRESH, TROUBLE, refresh_content};
use super::want::{BROWSERS, Happened, Want, out_of_turn};
use crate::account::token::{ACCESS, Access};
use crate::cause::oauth::{ConsentCause, ProviderCause};
use crate::control::tokens::Url;
use crate::report::os_error;
use crate::want;
use qmail_auth::secret::Secret;
use std::fmt::Display;
use std::io::{self, ErrorKind};
use std::path::PathBuf;

/// How long a browser is waited for, in milliseconds.
const PATIENCE: u64 = 900_000;

/// How long the lock is waited for once there are tokens, in milliseconds: without it they are lost, and the consent with them.
const LOCK_PATIENCE: u64 = 600_000;

/// The most octets of what a browser or a person says.
const MOST: usize = 32 * 1024;

/// The longest pause between two questions after a failure, in milliseconds.
const PAUSE: u64 = 60_000;

/// How the user consents.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Way {
    /// By a code.
    Device,
    /// By a browser that comes back.
    Browser,
}

/// What came of it.
pub enum Consented {
    /// Tokens are stored.
    Yes(Access),
    /// None; why.
    No(String),
}

/// A consent on its way.
pub struct Consent {
    account: Account,
    way: Way,
    stage: Stage,
    /// Lines for the person.
    said: String,
    hidden: Hidden,
    path: PathBuf,
    request: Option<AuthorizationRequest>,
    redirect: String,
    page: String,
    browsers: [Secret; BROWSERS],
    line: Secret,
}

enum Stage {
    /// First it is tried whether tokens can be stored: here is the lock, then each file.
    TryLock,
    Try(&'static str),
    TryUnlock(Option<String>),
    AskDevice(Box<Exchange>),
    /// Until when it is waited, once that is known, and the same of the code's end.
    Wait(Device, Option<u64>, Option<u64>),
    Poll(Device, Box<Exchange>, Option<u64>),
    Listen,
    Hear(Option<u64>),
    /// Send the page, and what is next: the code, a refusal, or nothing.
    Page(Brought, u64),
    AskCode(Box<Exchange>),
    /// Tokens, when they were asked for, and until when the lock is waited for, once others have it.
    Lock(Granted, u64, Option<u64>),
    /// What is still to be stored, the next one last.
    Store(Vec<(&'static str, Secret)>, Access),
    Unlock(Consented),
    Done(Option<Consented>),
}

impl Consent {
    /// A consent for this account. An error if it is not known how.
    pub fn new(account: Account, in_browser: bool) -> Result<Consent, ConsentCause> {
        let way = match (&account.provider.device, &account.provider.authorize) {
            (Some(_), _) if !in_browser => Way::Device,
            (_, Some(_)) => Way::Browser,
            _ => return Err(ConsentCause::NoWay),
        };
        let (hidden, path) = (hidden(&account.provider), account.store.path(LOCK));
        Ok(Consent {
            account,
            way,
            stage: Stage::TryLock,
            said: String::new(),
            hidden,
            path,
            request: None,
            redirect: String::new(),
            page: String::new(),
            browsers: Default::default(),
            line: Secret::default(),
        })
    }

    /// What is to be said, once.
    pub fn said(&mut self) -> String {
        std::mem::take(&mut self.said)
    }

    /// Whose it is.
    pub fn account(&self) -> &Account {
        &self.account
    }

    /// What to do now. None: it is over.
    pub fn want(&mut self, now: u64) -> Option<Want<'_>> {
        match &mut self.stage {
            Stage::TryLock => Some(Want::Net(want::Want::Lock(&self.path, true))),
            Stage::Lock(.., until) => Some(Want::Net(want::Want::Lock(&self.path, until.is_some()))),
            Stage::Try(_) => Some(Want::Prepare(&self.path)),
            Stage::TryUnlock(_) | Stage::Unlock(_) => Some(Want::Net(want::Want::Release)),
            Stage::AskDevice(exchange) | Stage::Poll(_, exchange, _) | Stage::AskCode(exchange) => {
                Some(Want::Net(exchange.want(now).expect("it is not over")))
            }
            Stage::Wait(device, until, end) => {
                end.get_or_insert(now.saturating_add(device.life * 1000));
                Some(Want::Wait(*until.get_or_insert(now.saturating_add(device.interval * 1000))))
            }
            Stage::Listen => Some(Want::Listen),
            Stage::Hear(until) => Some(Want::Hear(*until.get_or_insert(now.saturating_add(PATIENCE)))),
            Stage::Page(..) => Some(Want::Answer(self.page.as_bytes())),
            Stage::Store(files, _) => {
                let (name, content) = files.last().expect("a file, or it is over");
                self.path = self.account.store.path(name);
                Some(Want::Replace(&self.path, content))
            }
            Stage::Done(_) => None,
        }
    }

    /// Takes what happened.
    pub fn happened(&mut self, event: Happened) {
        let stage = std::mem::replace(&mut self.stage, Stage::Done(None));
        self.stage = match (stage, event) {
            (Stage::TryLock, Happened::Net(want::Happened::Locked { .. })) => match self.account.store.adopt() {
                Ok(()) => self.try_file(REFRESH),
                Err(cause) => Stage::TryUnlock(Some(cause.to_string())),
            },
            (Stage::TryLock, Happened::Net(want::Happened::NotLocked { error, .. })) => self.not_locked(error),
            (Stage::Lock(granted, unix, until), Happened::Net(want::Happened::NotLocked { error, now, .. })) => {
                if !is_of_others(error) || until.is_some_and(|until| now >= until) {
                    return self.stage = self.not_locked(error);
                }
                if until.is_none() {
                    self.said += &format!("waiting for another process to release {}\n", self.path.display());
                }
                Stage::Lock(granted, unix, until.or(Some(now.saturating_add(LOCK_PATIENCE))))
            }
            (Stage::Try(name), Happened::Stored(result)) => self.tried(name, result),
            (Stage::TryUnlock(None), Happened::Released(_)) => self.begin(),
            (Stage::TryUnlock(Some(why)), Happened::Released(_)) => no(&why),
            (Stage::AskDevice(exchange), Happened::Net(event)) => self.device(exchange, event),
            (Stage::Wait(device, _, end), Happened::TimedOut(now)) => {
                if end.is_some_and(|end| now >= end) {
                    no(&ConsentCause::Expired)
                } else {
                    self.poll(device, end)
                }
            }
            (Stage::Poll(device, exchange, end), Happened::Net(event)) => self.polled(device, exchange, end, event),
            (Stage::Listen, Happened::Listening(Ok(port))) => self.listening(port),
            (Stage::Listen, Happened::Listening(Err(error))) => no(&ConsentCause::NoListener { why: os_error(&error) }),
            (Stage::Hear(until), Happened::Line(octets)) => self.line(octets, until),
            (Stage::Hear(until), Happened::Browser(number, octets)) => self.browser(number, octets, until),
            (Stage::Hear(_), Happened::TimedOut(_)) => no(&ConsentCause::Expired),
            (Stage::Page(brought, until), Happened::Answered) => self.brought(brought, until),
            (Stage::AskCode(mut exchange), Happened::Net(event)) => {
                exchange.happened(event);
                match exchange.result() {
                    None => Stage::AskCode(exchange),
                    Some(result) => self.code_answered(result),
                }
            }
            (Stage::Lock(granted, unix, _), Happened::Net(want::Happened::Locked { .. })) => self.store(granted, unix),
            (Stage::Store(files, access), Happened::Stored(result)) => self.stored(files, access, result),
            (Stage::Unlock(consented), Happened::Released(_)) => Stage::Done(Some(consented)),
            (_, event) => out_of_turn(&event),
        };
    }

    /// What came of it, once it is over.
    pub fn consented(&mut self) -> Option<Consented> {
        match &mut self.stage {
            Stage::Done(consented) => consented.take(),
            _ => None,
        }
    }

    fn try_file(&mut self, name: &'static str) -> Stage {
        self.path = self.account.store.path(name);
        Stage::Try(name)
    }

    fn tried(&mut self, name: &'static str, result: io::Result<()>) -> Stage {
        self.account.store.remove_prepared(name);
        match result {
            Ok(()) if name == REFRESH => self.try_file(ACCESS),
            Ok(()) => Stage::TryUnlock(None),
            Err(error) => Stage::TryUnlock(Some(self.account.store.cause(name, &error).to_string())),
        }
    }

    fn begin(&mut self) -> Stage {
        match self.way {
            Way::Browser => Stage::Listen,
            Way::Device => {
                let provider = &self.account.provider;
                let device = provider.device.as_ref().expect("the way");
                let scope: Vec<_> = provider.scope.iter().map(|scope| ("scope", scope.as_bytes())).collect();
                let form = form(&with_client(provider, &scope));
                let cafile = provider.cafile.as_ref();
                Stage::AskDevice(Box::new(Exchange::new(device, cafile, &provider.directory, &form)))
            }
        }
    }

    /// Asks the token endpoint.
    fn ask(&self, fields: &[(&'static str, &[u8])]) -> Box<Exchange> {
        let provider = &self.account.provider;
        let form = form(&with_client(provider, fields));
        Box::new(Exchange::new(&provider.token, provider.cafile.as_ref(), &provider.directory, &form))
    }

    fn granted(&mut self, granted: Granted, unix: u64) -> Stage {
        if granted.refresh.is_none() {
            return no(&ProviderCause::NoRefreshToken);
        }
        self.path = self.account.store.path(LOCK);
        Stage::Lock(granted, unix, None)
    }

    fn store(&mut self, granted: Granted, unix: u64) -> Stage {
        let (access, refresh) = granted.into_access(unix);
        let refresh = refresh_content(&refresh.expect("it is there"));
        Stage::Store(vec![(ACCESS, access.content()), (REFRESH, refresh)], access)
    }

    fn stored(&mut self, mut files: Vec<(&'static str, Secret)>, access: Access, result: io::Result<()>) -> Stage {
        let (name, _) = files.pop().expect("the file that was wanted");
        match result {
            Err(error) => Stage::Unlock(Consented::No(self.account.store.cause(name, &error).to_string())),
            Ok(()) if files.is_empty() => {
                self.account.store.remove(TROUBLE);
                Stage::Unlock(Consented::Yes(access))
            }
            Ok(()) => Stage::Store(files, access),
        }
    }

    /// By this endpoint.
    fn refused(&self, endpoint: &Url, refused: Refused) -> Stage {
        let remedy = match refused.remedy {
            // It is being consented to, so that is no advice.
            Remedy::Consent => Remedy::SetUp(&["client", "scope"]),
            Remedy::NotSaid => Remedy::SetUp(&NOT_SAID),
            // Nobody does that again.
            Remedy::Later => {
                let (endpoint, why) = (endpoint.host.clone(), refused.why.to_string());
                return no(&ConsentCause::NotNow { endpoint, why });
            }
            remedy => remedy,
        };
        match ending_of(&self.account, &endpoint.host, Refused { remedy, ..refused }) {
            Ending::SetUp(cause) | Ending::Later(cause) => no(&cause),
            Ending::Token(..) => unreachable!("it is refused"),
        }
    }

    fn not_locked(&self, error: &io::Error) -> Stage {
        if is_of_others(error) {
            return no(&ConsentCause::Locked { file: self.path.display().to_string() });
        }
        no(&self.account.store.cause(LOCK, error))
    }
}

/// Others have the lock.
fn is_of_others(error: &io::Error) -> bool {
    matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted)
}

/// The same with the words of the provider.
fn because(cause: &ConsentCause, why: &impl Display) -> Stage {
    no(&format!("{cause}: {why}"))
}

fn no(why: &impl ToString) -> Stage {
    Stage::Done(Some(Consented::No(why.to_string())))
}
