//! The log of a check: prints events as lines when they happen, or as one JSON object at the end. The last line sums up what was
//! learnt from them.

use super::{Fact, Value, json, text};
use crate::cause::User;
use crate::check::arguments::Options;
use crate::check::program::Program;
use crate::check::steps;
use crate::check::user::RunsAs;
use crate::event::{Event, Sink};
use crate::report::Verdict;
use crate::smtp::ehlo::Capabilities;
use crate::smtp_command::Command;
use crate::verdict::Fate;
use qmail_auth::LoginKind;
use std::cell::RefCell;

pub struct Recorder {
    options: Options,
    /// The user can read other files than qmail-remote can.
    is_another_user: bool,
    /// None: there is no home.
    program: Option<Program>,
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
    /// The steps so far, for the JSON object at the end.
    steps: Vec<json::Step>,
    /// Whether all is well, and the last line, which is not yet printed.
    end: Option<(bool, Vec<u8>)>,
    is_good: bool,
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
    user: Option<Vec<u8>>,
    kind: LoginKind,
    by_mechanism: bool,
}

impl Recorder {
    pub fn new(options: Options, RunsAs { uid, words, is_another, .. }: RunsAs, program: Option<Program>) -> Recorder {
        let fact = Fact::new("user", "user", words).with("uid", Value::Number(uid.into()));
        let state = RefCell::new(State { facts: vec![fact], ..State::default() });
        Recorder { options, is_another_user: is_another, program, state }
    }

    /// Whether all is well, and the last line, with all octets as they are.
    fn end(&self, known: &Known, verdict: &Verdict) -> (bool, Vec<u8>) {
        let domain = &self.options.domain[..];
        let fate = match verdict.fate() {
            Fate::Delivered => return self.would_go_out(domain, &known.how()),
            Fate::Deferred => "wait",
            Fate::Bounced => "bounce",
        };
        let lost = known.lost.as_ref().map_or_else(String::new, |why| format!(" What happened: {why}."));
        let would = format!(" would {fate}: ");
        let why = steps::one_line(verdict.text());
        let user = if self.is_another_user { " This user can read other files than qmail-remote can." } else { "" };
        (false, [b"NOT OK: mail for ", domain, would.as_bytes(), &why, lost.as_bytes(), user.as_bytes()].concat())
    }

    fn would_go_out(&self, domain: &[u8], how: &[u8]) -> (bool, Vec<u8>) {
        if let Some(program) = self.program.as_ref().filter(|program| program.is_wrong()) {
            let would = format!(" would {} ", program.wrong());
            return (false, [b"NOT OK: mail for ", domain, would.as_bytes(), how].concat());
        }
        let doubt = self.program.as_ref().and_then(Program::doubt).unwrap_or_default();
        let user = if self.is_another_user { ", if qmail-remote can read the same files as this user" } else { "" };
        (true, [b"OK: mail for ", domain, b" would go out ", how, doubt.as_bytes(), user.as_bytes()].concat())
    }
}

impl Known {
    fn learn(&mut self, event: &Event) {
        match event {
            Event::Route { source, .. } => self.source = Some((*source).to_owned()),
            Event::Credentials { user, kind, .. } => {
                self.login = Some(Login { user: user.map(<[u8]>::to_vec), kind: *kind, by_mechanism: false });
            }
            Event::Connected { host, port, .. } => {
                (self.relay, self.tls, self.is_verified, self.lost) = (format!("{host}:{port}"), None, false, None);
            }
            Event::Reply(Some(Command::Ehlo), text) => self.offers_auth = Capabilities::read(text).auth.offered,
            Event::Tls(session) => {
                (self.tls, self.is_verified) = (Some(session.version()), matches!(session.verified(), Some(Ok(_))));
            }
            Event::LoggedIn(mechanism) => {
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
    fn how(&self) -> Vec<u8> {
        let who = match &self.login {
            None => b"without a login".to_vec(),
            Some(Login { user: None, .. }) => format!("as {}", User::OfCertificate).into_bytes(),
            Some(Login { user: Some(user), .. }) => [b"as ", &user[..]].concat(),
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
            (Some(_), _) => "; what it says to this sender shows only at MAIL".to_owned(),
            _ => String::new(),
        };
        let rest = format!(" through {} {over}{unverified}{unknown}", self.relay);
        [who, rest.into_bytes()].concat()
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
        if let (Event::Home(_), Some(program)) = (event, &self.program) {
            state.facts.push(steps::program(program));
        }
        if let Event::End(verdict) = event {
            let (ok, last) = self.end(&state.known, verdict);
            state.is_good = ok;
            state.end = Some((ok, last));
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
            state.steps.extend(facts.map(|fact| json::Step { fact, ms }));
        } else {
            facts.for_each(|fact| out += &text::line(&fact, dialogue.then_some(ms), colour));
        }
        if let Some((ok, verdict)) = state.end.take() {
            let Options { domain, sender, .. } = &self.options;
            out += &if json {
                json::Document { host: domain, sender, steps: &state.steps, ok, verdict: &verdict }.to_text()
            } else {
                text::verdict(ok, &verdict, colour)
            };
        }
        out.into_bytes()
    }

    fn is_good(&self) -> bool {
        self.state.borrow().is_good
    }
}
