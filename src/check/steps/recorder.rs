//! The log of a check: prints events as lines when they happen, or as one JSON object at the end. The last line sums up what was
//! learnt from them.

use super::{Fact, Value, json, text};
use crate::cause::User;
use crate::check::arguments::Options;
use crate::check::steps;
use crate::check::{file_readers, printable};
use crate::event::{Event, Sink};
use crate::report::Verdict;
use crate::smtp::ehlo::Capabilities;
use crate::smtp_command::Command;
use crate::verdict::Fate;
use qmail_auth::LoginKind;
use std::cell::RefCell;

pub struct Recorder {
    options: Options,
    state: RefCell<State>,
}

#[derive(Default)]
struct State {
    /// Not yet printed.
    facts: Vec<Fact>,
    /// The control files read since the last other event, and whether they exist.
    files: Vec<(String, bool)>,
    /// The time of the first output.
    start: Option<u64>,
    /// The steps as JSON, for the object at the end.
    steps: Vec<String>,
    /// Whether it would go out, and the last line.
    end: Option<(bool, String)>,
    known: Known,
}

/// What the last line tells.
#[derive(Default)]
struct Known {
    login: Option<Login>,
    is_logged_in: bool,
    relay: String,
    /// The control line that names the relay; None for a mail exchanger.
    source: Option<String>,
    tls: Option<&'static str>,
    is_verified: bool,
    offers_auth: bool,
    lost: Option<String>,
}

struct Login {
    user: Option<String>,
    kind: LoginKind,
    by_mechanism: bool,
}

impl Recorder {
    /// `uid` is the user of this process.
    pub fn new(options: Options, uid: u32) -> Recorder {
        let user = match uid {
            0 => "root, who can read more than qmail-remote can: run this as qmailr, group qmail".to_owned(),
            uid if file_readers::is_qmailr(uid) => format!("uid {uid}"),
            uid => {
                format!("uid {uid}, who can read other files than qmail-remote can: run this as qmailr, group qmail")
            }
        };
        let fact = Fact::new("user", "user", user).with("uid", Value::Number(uid.into()));
        Recorder { options, state: RefCell::new(State { facts: vec![fact], ..State::default() }) }
    }

    fn end(&self, known: &Known, verdict: &Verdict) -> String {
        let host = printable(&self.options.host);
        let fate = match verdict.fate() {
            Fate::Delivered => return format!("OK: mail for {host} would go out {}", known.how()),
            Fate::Deferred => "wait",
            Fate::Bounced => "bounce",
        };
        let lost = known.lost.as_ref().map_or_else(String::new, |why| format!(" What happened: {why}."));
        format!("NOT OK: mail for {host} would {fate}: {}{lost}", printable(&steps::one_line(verdict.text())))
    }
}

impl Known {
    fn learn(&mut self, event: &Event) {
        match event {
            Event::Route { source, .. } => self.source = Some((*source).to_owned()),
            Event::Credentials { user, kind, .. } => {
                self.login = Some(Login { user: user.map(printable), kind: *kind, by_mechanism: false });
            }
            Event::Connected { host, port, .. } => {
                (self.relay, self.tls, self.is_verified, self.lost) = (format!("{host}:{port}"), None, false, None);
            }
            Event::Reply(Some(Command::Ehlo), text) => self.offers_auth = Capabilities::read(text).auth.offered,
            Event::Tls(session) => {
                (self.tls, self.is_verified) = (Some(session.version()), matches!(session.verified(), Some(Ok(_))));
            }
            Event::LoggedIn(mechanism, _) => {
                self.is_logged_in = true;
                if let Some(login) = &mut self.login {
                    login.by_mechanism = mechanism.is_some();
                }
            }
            Event::Lost(to, silence) => self.lost = Some(steps::lost(*to, *silence)),
            _ => {}
        }
    }

    /// How the mail would go out, and what is not certain about that.
    fn how(&self) -> String {
        let who = match &self.login {
            None => "without a login".to_owned(),
            Some(Login { user: None, .. }) => format!("as {}", User::OfCertificate),
            Some(Login { user: Some(user), .. }) => format!("as {user}"),
        };
        let over = self.tls.map_or_else(|| "in clear".to_owned(), |version| format!("over {version}"));
        let unverified = if self.tls.is_some() && !self.is_verified { ", its certificate not verified" } else { "" };
        let unknown = match (&self.login, &self.source) {
            (None, Some(source)) if self.offers_auth => {
                format!("; it offers AUTH and {source} has no login: whether it demands one shows only at MAIL")
            }
            (Some(_), _) if !self.is_logged_in => ", if it accepts the login, which was not tried".to_owned(),
            (Some(login), _) if login.kind == LoginKind::Certificate && !login.by_mechanism => {
                "; whether it accepts our certificate as a login shows only at MAIL".to_owned()
            }
            _ => String::new(),
        };
        format!("{who} through {} {over}{unverified}{unknown}", self.relay)
    }
}

impl State {
    /// Makes two facts of the control files: those that exist, and the others.
    fn flush_files(&mut self) {
        let files = std::mem::take(&mut self.files);
        for (step, label, exists) in [("read", "read", true), ("absent", "not there", false)] {
            let names: Vec<String> =
                files.iter().filter(|(_, found)| *found == exists).map(|(name, _)| name.clone()).collect();
            if !names.is_empty() {
                self.facts.push(Fact::new(step, label, names.join(", ")).with("files", Value::List(names)));
            }
        }
    }
}

impl Sink for Recorder {
    fn event(&self, event: &Event) {
        let mut state = self.state.borrow_mut();
        if let Event::File(name, exists) = event {
            let file = (format!("control/{name}"), *exists);
            if !state.files.contains(&file) {
                state.files.push(file);
            }
            return;
        }
        state.flush_files();
        if self.options.dialogue {
            state.facts.extend(steps::dialogue(event));
        }
        state.known.learn(event);
        let over_tls = state.known.tls.is_some();
        state.facts.extend(steps::of(event, over_tls));
        if let Event::End(verdict) = event {
            state.end = Some((verdict.fate() == Fate::Delivered, self.end(&state.known, verdict)));
        }
    }

    fn output(&self, now: u64) -> Vec<u8> {
        let mut state = self.state.borrow_mut();
        let state = &mut *state;
        let start = *state.start.get_or_insert(now);
        let ms = now.saturating_sub(start);
        let Options { json, dialogue, colour, .. } = self.options;
        let facts = state.facts.drain(..);
        let mut out = String::new();
        if json {
            state.steps.extend(facts.map(|fact| json::step(&fact, ms)));
        } else {
            facts.for_each(|fact| out += &text::line(&fact, dialogue.then_some(ms), colour));
        }
        if let Some((ok, verdict)) = state.end.take() {
            let Options { host, sender, .. } = &self.options;
            out += &if json {
                json::document(host, sender, &state.steps, ok, &verdict)
            } else {
                text::verdict(ok, &verdict, colour)
            };
        }
        out.into_bytes()
    }
}
