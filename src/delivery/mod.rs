//! The delivery machine: arguments and control files in, wants out, at last the report.
//!
//! C asks [`Delivery::want`], does that one thing, says by [`Delivery::happened`] how it went, and asks again. Which address,
//! which connection and which login is decided here and below, so that all of it can be tested without a network.

pub(crate) mod plan;
mod token;

use crate::account::{Account, supply};
use crate::cause::{Cause, Note};
use crate::control::Route;
use crate::control::home::Surroundings;
use crate::event::{Event, Log, Next};
use crate::report::{self, RecipientReport, Verdict, os_error};
use crate::resolve::addresses::{Addresses, Candidate};
use crate::resolve::resolution::Resolution;
use crate::resolve::tcpto;
use crate::smtp::envelope::{Goal, Mail};
use crate::smtp::session::{Ending, Session};
use crate::want::{Connect, Happened, Want, out_of_turn};
use plan::{Arguments, Plan, arguments, plan};
use std::ffi::CString;
use std::io;
use std::mem;
use std::net::{IpAddr, Ipv4Addr};
use std::path::PathBuf;

/// One delivery.
pub struct Delivery {
    state: State,
    log: Log,
}

enum State {
    Running(Box<Running>),
    /// The report, and what is to be done before it is written: with the account of a login that has failed, and with
    /// queue/lock/tcpto.
    Done {
        report: Vec<u8>,
        account: Option<Box<Account>>,
        tcpto: Option<(PathBuf, Tcpto)>,
    },
    /// Between two states, within one call.
    Moving,
}

struct Running {
    plan: Plan,
    stage: Stage,
    addresses: Addresses,
    /// A pending operation on queue/lock/tcpto, which runs before the next stage.
    tcpto: Option<Tcpto>,
    /// Reported if every remaining address fails, and the address that it is about.
    refusal: Option<(Verdict, IpAddr)>,
    /// Why TLS failed at the current address, where this mail may do without.
    tls_failure: Option<String>,
    log: Log,
}

/// Each stage has the mail.
enum Stage {
    /// A program is run for the token of the login. With a lookup: before that.
    Token(Option<Resolution>, Mail),
    Resolve(Resolution, Mail),
    Connect(Mail),
    /// The session, and when its connection was made.
    Talk(Box<Session>, u64),
}

/// What is to be done with queue/lock/tcpto.
enum Tcpto {
    Look,
    TimedOut(Ipv4Addr),
    Answered(Ipv4Addr),
}

impl Delivery {
    /// A delivery for the arguments of qmail-remote(8): host, sender, recipients. Reads the control files.
    pub fn new(argv: &[&[u8]], surroundings: &Surroundings) -> Delivery {
        let log = Log::default();
        let planned = arguments(argv).and_then(|arguments| plan(&arguments, None, Goal::Sent, surroundings, &log));
        Delivery::start(planned, log, surroundings.unix)
    }

    /// A delivery that goes as far as `goal` and sends no mail, to find out what would become of one. Its report is a K when
    /// it comes to that.
    pub fn check(host: &[u8], sender: &[u8], goal: Goal, surroundings: &Surroundings, log: Log) -> Delivery {
        // Whoever the recipient is, the part behind the @ is judged as that of a mail.
        let recipient = if host.is_empty() { Vec::new() } else { [b"postmaster@", host].concat() };
        let arguments = Arguments { host, sender, recipients: &[&recipient] };
        let planned = plan(&arguments, None, goal, surroundings, &log);
        Delivery::start(planned, log, surroundings.unix)
    }

    /// The same of a mail by this route.
    pub fn check_relay(route: Box<Route>, goal: Goal, surroundings: &Surroundings, log: Log) -> Delivery {
        let arguments = Arguments { host: b"", sender: b"", recipients: &[b""] };
        let planned = plan(&arguments, Some(route), goal, surroundings, &log);
        Delivery::start(planned, log, surroundings.unix)
    }

    fn start(planned: Result<(Plan, Mail, Resolution), Verdict>, log: Log, unix: u64) -> Delivery {
        let state = match planned {
            Err(verdict) => done(&log, &verdict),
            Ok((plan, mail, resolution)) => Box::new(Running {
                plan,
                stage: Stage::Resolve(resolution, mail),
                addresses: Addresses::default(),
                tcpto: None,
                refusal: None,
                tls_failure: None,
                log: log.clone(),
            })
            .begun(unix),
        };
        Delivery { state, log }
    }

    /// What is told of all that happens.
    pub fn log(&self) -> &Log {
        &self.log
    }

    /// The report, once there is nothing else to do.
    pub fn report(&self) -> Option<&[u8]> {
        match &self.state {
            State::Done { report, account: None, tcpto: None } => Some(report),
            _ => None,
        }
    }

    /// What to do now. `now` is in milliseconds, monotonic.
    pub fn want(&mut self, now: u64) -> Want<'_> {
        match &mut self.state {
            State::Running(running) => running.want(now),
            State::Done { account: Some(_), .. } => Want::Release,
            State::Done { tcpto: Some((file, _)), .. } => Want::Tcpto(file),
            State::Done { report, .. } => Want::Done(report),
            State::Moving => unreachable!("no call ends between two states"),
        }
    }

    /// Takes what happened when C tried what was wanted. Anything else ends the process by a signal.
    pub fn happened(&mut self, event: Happened) {
        if let State::Running(running) = &mut self.state {
            if let Stage::Talk(session, _) = &mut running.stage {
                if !matches!(event, Happened::Disconnected(_)) {
                    return session.happened(event);
                }
            }
        }
        self.go_on(|running| running.happened(event));
    }

    /// What is in queue/lock/tcpto, nothing if it cannot be read; and the time. Answers what to write.
    pub fn tcpto(&mut self, file: &[u8], unix: u64) -> Option<tcpto::Change> {
        let pending = match &mut self.state {
            State::Running(running) => running.tcpto.take(),
            State::Done { tcpto, .. } => tcpto.take().map(|(_, pending)| pending),
            State::Moving => None,
        };
        match pending.expect("it was wanted") {
            Tcpto::TimedOut(ip) => tcpto::timed_out(file, ip, unix),
            Tcpto::Answered(ip) => tcpto::answered(file, ip),
            Tcpto::Look => {
                self.go_on(|mut running| {
                    running.addresses.look(file, unix, running.plan.pid);
                    running.connect_or_report()
                });
                None
            }
        }
    }

    /// Writes what came of the login into the memory of its account, at this Unix time, before the lock is released.
    pub fn release(&mut self, unix: u64) {
        match &mut self.state {
            State::Running(running) => match &mut running.stage {
                Stage::Talk(session, _) => session.release(unix),
                Stage::Token(..) | Stage::Resolve(..) | Stage::Connect(_) => {}
            },
            State::Done { account, .. } => account.take().iter_mut().for_each(|account| account.release(unix)),
            State::Moving => {}
        }
    }

    /// The program that is to be run, as words, and its environment.
    pub fn program(&self) -> Option<(Vec<CString>, Vec<CString>)> {
        match &self.state {
            State::Running(running) => running.program(),
            State::Done { .. } | State::Moving => None,
        }
    }

    fn go_on(&mut self, step: impl FnOnce(Box<Running>) -> State) {
        let State::Running(running) = mem::replace(&mut self.state, State::Moving) else {
            unreachable!("nothing is wanted after the report")
        };
        self.state = step(running);
    }
}

impl Running {
    fn want(&mut self, now: u64) -> Want<'_> {
        if let (Some(_), Some(file)) = (&self.tcpto, &self.plan.tcpto) {
            return Want::Tcpto(file);
        }
        match &mut self.stage {
            Stage::Talk(session, _) => session.want(),
            Stage::Token(..) => Want::Run(now.saturating_add(supply::TIME)),
            Stage::Resolve(resolution, _) => resolution.want().expect("a lookup, or the next stage"),
            Stage::Connect(_) => {
                let candidate = self.addresses.current().expect("an address, or the report");
                let connect =
                    Connect { address: candidate.address, port: self.plan.port, source: self.plan.outgoingip };
                Want::Connect(connect, now.saturating_add(self.plan.timeoutconnect))
            }
        }
    }

    fn happened(mut self: Box<Self>, event: Happened) -> State {
        match (self.stage, event) {
            (stage @ Stage::Token(..), Happened::Ran(ran, unix)) => {
                self.stage = stage;
                self.ran(ran, unix)
            }
            (Stage::Resolve(mut resolution, mail), event) => match resolution.happened(event) {
                Err(verdict) => done(&self.log, &verdict),
                Ok(()) => {
                    self.stage = Stage::Resolve(resolution, mail);
                    self.resolved_or_not()
                }
            },
            (Stage::Connect(mail), Happened::Connected { now, unix }) => {
                self.tcpto = self.addresses.current().and_then(answered);
                let session = self.plan.session(&self.addresses, &self.tls_failure, mail, now, unix);
                self.stage = Stage::Talk(Box::new(session), now);
                State::Running(self)
            }
            (Stage::Connect(mail), Happened::NotConnected(error)) => {
                self.stage = Stage::Connect(mail);
                self.not_connected(error)
            }
            (Stage::Connect(mail), Happened::NotBound(error)) => {
                let source = self.plan.outgoingip.expect("the source that was wanted");
                self.stage = Stage::Connect(mail);
                self.report(&[], &Cause::CannotSendFrom { source, why: os_error(error) }.into())
            }
            (Stage::Talk(session, since), Happened::Disconnected(now)) => {
                let (ending, mail) = session.into_ending();
                let has_tried = mail.auth.as_ref().is_some_and(|auth| auth.attempts().is_some());
                self.stage = Stage::Connect(mail);
                self.ended(ending, has_tried, now.saturating_sub(since))
            }
            (_, event) => out_of_turn(&event),
        }
    }

    /// To the first address, once there is no more to look up. A relay that is an address needs no lookup.
    fn resolved_or_not(mut self: Box<Self>) -> State {
        match self.stage {
            Stage::Resolve(resolution, mail) if resolution.want().is_none() => {
                let Plan { outgoingip, target, .. } = &self.plan;
                let (found, others) = resolution.candidates(*outgoingip);
                if let (Some(source), []) = (outgoingip, &found[..]) {
                    let cause = Cause::NoAddressFrom { source: *source, target: target.clone() };
                    return done(&self.log, &cause.into());
                }
                self.log.notify(&Event::Addresses(&found));
                self.addresses = Addresses::new(found, others);
                self.tcpto = self.addresses.has_ipv4().then_some(Tcpto::Look);
                self.stage = Stage::Connect(mail);
            }
            stage => self.stage = stage,
        }
        State::Running(self)
    }

    fn not_connected(mut self: Box<Self>, error: &io::Error) -> State {
        let candidate = self.addresses.current().expect("the address that was wanted");
        let ip = candidate.address.ip;
        self.tcpto = match (ip, error.kind()) {
            (IpAddr::V4(ip), io::ErrorKind::TimedOut) => Some(Tcpto::TimedOut(ip)),
            _ => answered(candidate), // a refusal is an answer, too
        };
        let why = os_error(error);
        self.log.notify(&Event::NotConnected(ip, &why));
        self.addresses.unreachable(&why);
        self.at_next_address()
    }

    /// After a connection that lasted so many milliseconds. `has_tried`: a login was tried in vain.
    fn ended(mut self: Box<Self>, ending: Ending, has_tried: bool, lasted: u64) -> State {
        let peer = self.addresses.current().expect("the address of the connection").address.ip;
        if !matches!(ending, Ending::Reconnect(_) | Ending::RefusedToken(_)) {
            self.plan.patience = self.plan.patience.saturating_sub(lasted); // a login has its own time
        }
        match ending {
            Ending::Report(recipients, verdict) => self.report(&recipients, &verdict),
            Ending::Reconnect(verdict) => {
                if has_tried {
                    self.addresses.no_more(); // what is refused here would be refused there, and counted twice
                }
                self.reconnect(verdict, peer)
            }
            Ending::RefusedToken(verdict) => self.refused_token(verdict, peer),
            Ending::ReconnectInClear(verdict, why) => {
                self.tls_failure = Some(why);
                self.reconnect(verdict, peer)
            }
            Ending::NextAddress(verdict, why) => {
                if self.addresses.has_more() {
                    self.log.notify(&Event::Next(Next::Address, &verdict));
                }
                // What one defers may be taken later, whatever the others say.
                if !verdict.bounces() || self.refusal.as_ref().is_none_or(|(refusal, _)| refusal.bounces()) {
                    self.refusal = Some((verdict, peer));
                }
                self.addresses.next(&why);
                self.at_next_address()
            }
        }
    }

    /// To the same address.
    fn reconnect(mut self: Box<Self>, verdict: Verdict, peer: IpAddr) -> State {
        self.log.notify(&Event::Next(Next::Connection, &verdict));
        self.refusal = Some((verdict, peer));
        State::Running(self)
    }

    fn at_next_address(mut self: Box<Self>) -> State {
        self.tls_failure = None;
        self.connect_or_report()
    }

    /// To the current address, or the report where none is left.
    fn connect_or_report(mut self: Box<Self>) -> State {
        if self.addresses.current().is_some() {
            return State::Running(self);
        }
        let unreached = self.addresses.has_unreached();
        let refusal = self.refusal.take().filter(|(refusal, _)| !(refusal.bounces() && unreached));
        let verdict = match refusal {
            None => {
                let (target, failures) = (self.plan.target.clone(), self.addresses.failures(None));
                Cause::NoConnection { target, failures }.into()
            }
            Some((refusal, peer)) => match self.addresses.failures(Some(peer)) {
                none if none.is_empty() => refusal,
                failures => refusal.with_note(&Note::OtherAddresses { failures }),
            },
        };
        self.report(&[], &verdict)
    }

    /// The end. The mail is dropped with all else, and with it the login: its secrets are cleared before anybody has the report.
    fn report(self: Box<Self>, recipients: &[RecipientReport], verdict: &Verdict) -> State {
        self.log.notify(&Event::End(verdict));
        let account = match self.stage {
            Stage::Connect(mail) => to_release(mail),
            Stage::Token(..) | Stage::Resolve(..) | Stage::Talk(..) => None,
        };
        State::Done { report: report::output(recipients, verdict), account, tcpto: self.plan.tcpto.zip(self.tcpto) }
    }
}

/// The account, where its lock is held still.
fn to_release(Mail { auth, account, .. }: Mail) -> Option<Box<Account>> {
    let mut account = account?;
    account.conclude(&auth?);
    account.is_concluded().then_some(account)
}

/// An address answers, which queue/lock/tcpto is to know if it has a record of it.
fn answered(candidate: &Candidate) -> Option<Tcpto> {
    match candidate.address.ip {
        IpAddr::V4(ip) if candidate.tcpto.there => Some(Tcpto::Answered(ip)),
        _ => None,
    }
}

/// The end before there was anything to do with queue/lock/tcpto.
fn done(log: &Log, verdict: &Verdict) -> State {
    log.notify(&Event::End(verdict));
    State::Done { report: report::output(&[], verdict), account: None, tcpto: None }
}
