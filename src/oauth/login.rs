//! The proof behind a consent: a login at the relay with the new token. A provider gives tokens that no relay takes: for another mailbox,
//! or another scope. It is the delivery of a check, which ends before MAIL.

use super::accounts::{self, Account};
use super::want::{Happened, Want, out_of_turn};
use crate::check::lines::{Line, Lines};
use crate::control::files::Control;
use crate::control::home::Surroundings;
use crate::control::senders::{self, Sender};
use crate::control::{Credentials, Route, routes};
use crate::delivery::Delivery;
use crate::event::{Event, Log, Sink};
use crate::policy::Security;
use crate::smtp::envelope::Goal;
use crate::smtp_command::Command;
use crate::want::{self, Ran};
use qmail_auth::secret::Secret;
use qmail_auth::{Login, TokenLogin};
use std::cell::{Cell, RefCell};
use std::path::Path;
use std::rc::Rc;

/// Where mail is submitted (RFC 6409), for a relay that no route names yet.
const SUBMISSION: u16 = 587;

/// A login at the relay of an account.
pub struct Proof {
    delivery: Delivery,
    heard: Rc<Heard>,
    unix: u64,
}

impl Proof {
    /// For this account, at this Unix time.
    pub fn new(home: &Path, account: &Account, unix: u64) -> Proof {
        let control = accounts::control(home);
        let heard = Rc::new(Heard::default());
        let surroundings =
            Surroundings { qmailhome: Some(home), uid: account.store.uid, unix, ..Surroundings::default() };
        let route = route(&control, account);
        let delivery = Delivery::check_relay(route, Goal::LoggedIn, &surroundings, Log::to(heard.clone()));
        let mut proof = Proof { delivery, heard, unix };
        proof.without_program();
        proof
    }

    /// What to do now. It must not be over.
    pub fn want(&mut self, now: u64) -> Want<'_> {
        Want::Net(self.delivery.want(now))
    }

    /// The program that it may want is this one, for another token; this one is new.
    fn without_program(&mut self) {
        if let want::Want::Run(_) = self.delivery.want(0) {
            let error = std::io::ErrorKind::Unsupported.into();
            self.delivery.happened(want::Happened::Ran(Ran::Not(&error), self.unix));
        }
    }

    /// Takes what happened.
    pub fn happened(&mut self, event: Happened) {
        match event {
            Happened::Net(event) => self.delivery.happened(event),
            Happened::Released(unix) => self.delivery.release(unix),
            event => out_of_turn(&event),
        }
        self.without_program();
    }

    /// Whether the relay took the token, and its words or the reason. None: it is not over.
    pub fn ending(&self) -> Option<(bool, String)> {
        let report = self.delivery.report()?;
        if self.heard.is_logged_in.get() {
            return Some((true, self.heard.reply.borrow().clone()));
        }
        let text = report.get(1..).unwrap_or_default().split(|c| *c == 0).next().unwrap_or_default();
        Some((false, String::from_utf8_lossy(text).trim_end().replace('\n', " ")))
    }
}

/// The route that leads to this relay and logs in as this user; else one that would, to where the first one leads.
fn route(control: &Control, account: &Account) -> Box<Route> {
    let directory = format!("control/relays/{}", account.host);
    let user = account.user.as_bytes();
    let is_ours = |line: &Line| line.directory.as_deref() == Some(&directory[..]);
    let mut first = None;
    for file in [senders::FILE, routes::FILE] {
        let lines = Lines::read(control, file).unwrap_or_default();
        let ours = lines.lines.into_iter().filter(|line| line.replaced_by.is_none()).filter(is_ours);
        for line in ours {
            if let Ok(Some(Sender::Relay(route))) = line.meaning {
                if route.credentials.as_ref().is_some_and(|of| of.login.user() == Some(user)) {
                    return route;
                }
                first.get_or_insert((route.host, route.port));
            }
        }
    }
    let login = TokenLogin { user: user.to_vec(), token: Secret::default(), server: None, clear_allowed: false };
    let (host, port) = first.unwrap_or_else(|| (account.host.clone(), SUBMISSION));
    Box::new(Route {
        host,
        port,
        source: directory.clone(),
        credentials: Some(Credentials { login: Login::Token(login), source: directory }),
        security: Security::default(),
        mechanisms: None,
        tokens: None,
    })
}

/// What is told of the login.
#[derive(Default)]
struct Heard {
    /// The last reply to AUTH, masked.
    reply: RefCell<String>,
    is_logged_in: Cell<bool>,
}

impl Sink for Heard {
    fn event(&self, event: &Event) {
        match event {
            Event::Reply(Some(Command::Auth), text) => {
                *self.reply.borrow_mut() = String::from_utf8_lossy(text).trim_end().replace(['\r', '\n'], " ");
            }
            Event::LoggedIn(Some(_), _) => self.is_logged_in.set(true),
            _ => {}
        }
    }

    fn output(&self, _now: u64) -> Vec<u8> {
        Vec::new()
    }

    fn is_good(&self) -> bool {
        self.is_logged_in.get()
    }
}
