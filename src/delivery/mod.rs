//! The delivery machine: arguments and control files in, wants out, at last the report.
//!
//! C asks [`Delivery::want`], does that one thing, says how it went, and asks again. Which address, which connection
//! and which login is decided here and below, so that all of it can be tested without a network.

mod plan;

use crate::control::home::Surroundings;
use crate::event::{Event, Log};
use crate::report::{self, Letter, RecipientReport, Verdict, os_error};
use crate::resolve::addresses::{Address, Addresses};
use crate::resolve::resolution::{Lookup, NotFound, Resolution};
use crate::resolve::tcpto;
use crate::smtp::envelope::Goal;
use crate::smtp::session::{self, Ending, Session};
use plan::{Mail, Plan, mail, plan};
use std::io;
use std::net::{IpAddr, Ipv4Addr};
use std::path::Path;

/// The one thing to do next.
#[derive(Debug, PartialEq, Eq)]
pub enum Want<'a> {
    /// Look up the MX records of this name, then [`Delivery::mx`] or [`Delivery::not_found`].
    Mx(&'a str),
    /// Look up the addresses of this host, then [`Delivery::resolved`] or [`Delivery::not_found`].
    Addresses(&'a str),
    /// Give [`Delivery::own_address`] each address of this machine, then [`Delivery::own_addresses_end`]; or
    /// [`Delivery::own_addresses_failed`].
    OwnAddresses,
    /// Lock this file, give [`Delivery::tcpto`] what is in it, write what that answers, and unlock it.
    Tcpto(&'a Path),
    /// Connect until the deadline (milliseconds, monotonic), then [`Delivery::connected`], [`Delivery::not_connected`] or
    /// [`Delivery::not_bound`].
    Connect(Connect, u64),
    /// Receive, and send what the kernel takes of this, until the deadline; then [`Delivery::received`],
    /// [`Delivery::closed`], [`Delivery::sent`], [`Delivery::send_failed`] or [`Delivery::timed_out`].
    Io(&'a [u8], u64),
    /// Read the message to its end and go back to its start: [`Delivery::message`] for each piece, then
    /// [`Delivery::message_end`], [`Delivery::message_failed`] or, where that cannot be done, [`Delivery::not_measured`].
    Measure,
    /// Read on in the message, and receive, until the deadline; then [`Delivery::message`], [`Delivery::message_end`],
    /// [`Delivery::message_failed`], [`Delivery::received`], [`Delivery::closed`] or [`Delivery::timed_out`].
    Message(u64),
    /// Send this if the kernel takes it at once, close the connection, then [`Delivery::disconnected`].
    Close(&'a [u8]),
    /// Write this report, whole, and exit 0.
    Done(&'a [u8]),
}

/// A connection to make.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Connect {
    /// Where to.
    pub address: Address,
    /// Where to.
    pub port: u16,
    /// From where, if that is configured.
    pub source: Option<IpAddr>,
}

/// One delivery.
pub struct Delivery {
    stage: Stage,
    plan: Option<Plan>,
    addresses: Addresses,
    /// What queue/lock/tcpto is wanted for before anything else.
    tcpto: Option<Tcpto>,
    /// The verdict if no other connection gets further, and the address that it is about.
    refusal: Option<(Verdict, IpAddr)>,
    log: Log,
}

/// What is to be done with queue/lock/tcpto.
enum Tcpto {
    Look,
    TimedOut(Ipv4Addr),
    Answered(Ipv4Addr),
}

enum Stage {
    Resolution(Resolution),
    Connect,
    /// The session, and when its connection was made.
    Talk(Box<Session>, u64),
    Done(Vec<u8>),
}

impl Delivery {
    /// A delivery for the arguments of qmail-remote(8): host, sender, recipients. Reads the control files.
    pub fn new(arguments: &[&[u8]], surroundings: &Surroundings) -> Delivery {
        let log = Log::default();
        let planned = mail(arguments).and_then(|mail| plan(&mail, Goal::Sent, surroundings, &log));
        Delivery::start(planned, log)
    }

    /// A delivery that goes as far as `goal` and sends no mail, to find out what would become of one. Its report is a K when
    /// it comes to that.
    pub fn check(host: &[u8], sender: &[u8], goal: Goal, surroundings: &Surroundings, log: Log) -> Delivery {
        // Whoever it is, the part behind the @ is judged as that of a mail.
        let recipient = if host.is_empty() { Vec::new() } else { [b"postmaster@", host].concat() };
        let planned = plan(&Mail { host, sender, recipients: &[&recipient] }, goal, surroundings, &log);
        Delivery::start(planned, log)
    }

    fn start(planned: Result<(Plan, Resolution), Verdict>, log: Log) -> Delivery {
        let (stage, plan) = match planned {
            Ok((plan, search)) => (Stage::Resolution(search), Some(plan)),
            Err(verdict) => {
                log.tell(&Event::End(&verdict));
                (Stage::Done(report::output(&[], &verdict)), None)
            }
        };
        let mut delivery = Delivery { stage, plan, addresses: Addresses::default(), tcpto: None, refusal: None, log };
        delivery.search(|_| Ok(())); // a relay that is an address needs none
        delivery
    }

    /// What is told of all that happens.
    pub fn log(&self) -> &Log {
        &self.log
    }

    /// It is over, and its report is a K.
    pub fn is_good(&self) -> bool {
        matches!(&self.stage, Stage::Done(report) if report.starts_with(b"K"))
    }

    /// What to do now. `now` is in milliseconds, monotonic.
    pub fn want(&mut self, now: u64) -> Want<'_> {
        let nothing = Want::Done(&[]); // there is always a plan until the report is there
        let Some(plan) = &self.plan else {
            return if let Stage::Done(report) = &self.stage { Want::Done(report) } else { nothing };
        };
        if let (Some(_), Some(file)) = (&self.tcpto, &plan.tcpto) {
            return Want::Tcpto(file);
        }
        match &mut self.stage {
            Stage::Done(report) => Want::Done(report),
            Stage::Talk(session, _) => match session.want() {
                session::Want::Io(octets, deadline) => Want::Io(octets, deadline),
                session::Want::Measure => Want::Measure,
                session::Want::Message(deadline) => Want::Message(deadline),
                session::Want::Close(last_words) => Want::Close(last_words),
            },
            Stage::Resolution(search) => match search.need() {
                Lookup::Mx(name) => Want::Mx(name),
                Lookup::Addresses(name) => Want::Addresses(name),
                Lookup::OwnAddresses => Want::OwnAddresses,
                Lookup::Done => nothing,
            },
            Stage::Connect => self.addresses.current().map_or(nothing, |candidate| {
                let connect = Connect { address: candidate.address, port: plan.port, source: plan.outgoingip };
                Want::Connect(connect, now.saturating_add(plan.timeoutconnect))
            }),
        }
    }

    /// The resolver's answer about MX records. `seed` decides between mail exchangers of one preference.
    pub fn mx(&mut self, answer: &[u8], seed: u64) {
        self.search(|search| search.mx(answer, seed));
    }

    /// The host has these addresses, in this order.
    pub fn resolved(&mut self, addresses: Vec<Address>) {
        self.search(|search| search.resolved(addresses));
    }

    /// There are no such records, or nobody knows now.
    pub fn not_found(&mut self, missing: NotFound, why: &str) {
        self.search(|search| search.not_found(missing, why));
    }

    /// This machine has this address.
    pub fn own_address(&mut self, ip: IpAddr) {
        self.search(|search| {
            search.own_address(ip);
            Ok(())
        });
    }

    /// And no others.
    pub fn own_addresses_end(&mut self) {
        self.search(Resolution::own_addresses_end);
    }

    /// They cannot be had.
    pub fn own_addresses_failed(&mut self, error: &io::Error) {
        self.search(|search| search.own_addresses_failed(error));
    }

    fn search(&mut self, event: impl FnOnce(&mut Resolution) -> Result<(), Verdict>) {
        let Stage::Resolution(search) = &mut self.stage else { return };
        if let Err(verdict) = event(search) {
            return self.done(&[], &verdict);
        }
        if search.need() == Lookup::Done {
            let Stage::Resolution(search) = std::mem::replace(&mut self.stage, Stage::Connect) else { return };
            self.found(search);
        }
    }

    /// The search is over.
    fn found(&mut self, search: Resolution) {
        let Some(Plan { outgoingip, target, .. }) = &self.plan else { return };
        let (found, others) = search.candidates(*outgoingip);
        if let (Some(source), []) = (outgoingip, &found[..]) {
            let line =
                format!("control/outgoingip is {source}, and no address can be reached from it. (#4.4.1) {target}");
            return self.done(&[], &Verdict::new(Letter::Z, line));
        }
        self.log.tell(&Event::Addresses(&found));
        self.addresses = Addresses::new(found, others);
        self.tcpto = self.addresses.has_ipv4().then_some(Tcpto::Look);
    }

    /// What is in queue/lock/tcpto, nothing if it cannot be had; and the time. Answers what to write.
    pub fn tcpto(&mut self, file: &[u8], unix: u64) -> Option<tcpto::Change> {
        match self.tcpto.take()? {
            Tcpto::TimedOut(ip) => tcpto::timed_out(file, ip, unix),
            Tcpto::Answered(ip) => tcpto::answered(file, ip),
            Tcpto::Look => {
                self.addresses.look(file, unix, self.plan.as_ref()?.pid);
                self.connect();
                None
            }
        }
    }

    /// There is a connection to the current address. `unix` is the time in seconds, to verify certificates by.
    pub fn connected(&mut self, now: u64, unix: u64) {
        let Some((plan, candidate)) = self.plan.as_mut().zip(self.addresses.current()) else { return };
        let Some((mut envelope, auth)) = plan.talk.take() else { return };
        let (relay, ip) = (&mut envelope.relay, candidate.address.ip);
        if relay.is_direct {
            relay.name = candidate.host.clone();
            relay.shown = format!("{} ({})", relay.name, plan.target);
        }
        // A silent server must leave time for the others.
        let patience = if self.addresses.has_more() { plan.patience / 4 * 3 } else { plan.patience };
        let (host, port, source) = (&candidate.host[..], plan.port, plan.outgoingip);
        self.log.tell(&Event::Connected { host, address: ip, port, source });
        self.tcpto = match ip {
            IpAddr::V4(ip) if candidate.tcpto.there => Some(Tcpto::Answered(ip)),
            _ => None,
        };
        let session = Session::new(envelope, auth, ip, plan.tls_failure.clone(), patience, now, unix);
        self.stage = Stage::Talk(Box::new(session), now);
    }

    /// There is none.
    pub fn not_connected(&mut self, error: &io::Error) {
        let current = self.addresses.current().map(|candidate| (candidate.address.ip, candidate.tcpto.there));
        self.tcpto = match (current, error.kind()) {
            (Some((IpAddr::V4(ip), _)), io::ErrorKind::TimedOut) => Some(Tcpto::TimedOut(ip)),
            (Some((IpAddr::V4(ip), true)), _) => Some(Tcpto::Answered(ip)), // a refusal is an answer, too
            _ => None,
        };
        let why = os_error(error);
        if let Some((ip, _)) = current {
            self.log.tell(&Event::NotConnected(ip, &why));
        }
        self.addresses.unreachable(&why);
        self.at_next_address();
    }

    /// The address to send from is none of ours.
    pub fn not_bound(&mut self, error: &io::Error) {
        let Some(Plan { outgoingip: Some(source), .. }) = &self.plan else { return };
        let line = format!("control/outgoingip: cannot send from {source}: {}. (#4.3.5)", os_error(error));
        self.done(&[], &Verdict::new(Letter::Z, line));
    }

    /// The server said this.
    pub fn received(&mut self, now: u64, octets: &[u8]) {
        self.talk(|session| session.received(now, octets));
    }

    /// The server closed, or the connection is lost for receiving.
    pub fn closed(&mut self) {
        self.talk(Session::closed);
    }

    /// The kernel took this many octets of those wanted.
    pub fn sent(&mut self, now: u64, count: usize) {
        self.talk(|session| session.sent(now, count));
    }

    /// The kernel takes no more. What the server has said is still wanted, up to its end.
    pub fn send_failed(&mut self) {
        self.talk(Session::send_failed);
    }

    /// The deadline passed with nothing to receive and nothing taken.
    pub fn timed_out(&mut self) {
        self.talk(Session::timed_out);
    }

    /// The next piece of the message.
    pub fn message(&mut self, piece: &[u8]) {
        self.talk(|session| session.message(piece));
    }

    /// The message cannot be read twice.
    pub fn not_measured(&mut self) {
        self.talk(Session::not_measured);
    }

    /// The message is read to its end.
    pub fn message_end(&mut self) {
        self.talk(Session::message_end);
    }

    /// The message cannot be read.
    pub fn message_failed(&mut self, error: &io::Error) {
        self.talk(|session| session.message_failed(&os_error(error)));
    }

    /// The connection is closed on our side.
    pub fn disconnected(&mut self, now: u64) {
        let Stage::Talk(session, since) = std::mem::replace(&mut self.stage, Stage::Connect) else { return };
        let Some(peer) = self.addresses.current().map(|candidate| candidate.address.ip) else { return };
        let (ending, envelope, auth) = session.into_ending();
        let tried_login = auth.as_ref().is_some_and(|auth| auth.story().is_some());
        if let Some(plan) = &mut self.plan {
            plan.talk = Some((envelope, auth));
            if !matches!(ending, Ending::Reconnect(_)) {
                plan.patience = plan.patience.saturating_sub(now.saturating_sub(since)); // a login has its own time
            }
            if let Ending::ReconnectInClear(_, why) = &ending {
                plan.tls_failure = Some(why.clone());
            }
        }
        match ending {
            Ending::Report(recipients, verdict) => self.done(&recipients, &verdict),
            Ending::Reconnect(verdict) => {
                if tried_login {
                    self.addresses.no_more(); // what is refused here would be refused there, and counted twice
                }
                self.reconnect(verdict, peer);
            }
            Ending::ReconnectInClear(verdict, _) => self.reconnect(verdict, peer),
            Ending::NextAddress(verdict, why) => {
                if self.addresses.has_more() {
                    self.log.tell(&Event::Next("the next address", &verdict));
                }
                // What one puts off may be taken later, whatever the others say.
                if !verdict.is_final() || self.refusal.as_ref().is_none_or(|(refusal, _)| refusal.is_final()) {
                    self.refusal = Some((verdict, peer));
                }
                self.addresses.next(&why);
                self.at_next_address();
            }
        }
    }

    /// To the same address.
    fn reconnect(&mut self, verdict: Verdict, peer: IpAddr) {
        self.log.tell(&Event::Next("a new connection", &verdict));
        self.refusal = Some((verdict, peer));
        self.connect();
    }

    fn at_next_address(&mut self) {
        if let Some(plan) = &mut self.plan {
            plan.tls_failure = None;
        }
        self.connect();
    }

    fn talk(&mut self, event: impl FnOnce(&mut Session)) {
        if let Stage::Talk(session, _) = &mut self.stage {
            event(session);
        }
    }

    fn connect(&mut self) {
        self.stage = Stage::Connect;
        if self.addresses.current().is_none() {
            let unreached = self.addresses.has_unreached();
            let refusal = self.refusal.take().filter(|(refusal, _)| !(refusal.is_final() && unreached));
            let verdict = match refusal {
                None => self.no_connection(),
                Some((refusal, peer)) => match self.addresses.failures(Some(peer)) {
                    none if none.is_empty() => refusal,
                    others => refusal.and_line(format!("Other addresses: {others}")),
                },
            };
            self.done(&[], &verdict);
        }
    }

    fn no_connection(&self) -> Verdict {
        let sorry = "Sorry, I wasn't able to establish an SMTP connection. (#4.4.1)";
        let target = self.plan.as_ref().map(|plan| &plan.target[..]).unwrap_or_default();
        let line = format!("{sorry} {target}: {}", self.addresses.failures(None));
        Verdict::new(Letter::Z, line)
    }

    fn done(&mut self, recipients: &[RecipientReport], verdict: &Verdict) {
        self.log.tell(&Event::End(verdict));
        self.stage = Stage::Done(report::output(recipients, verdict));
        if let Some(plan) = &mut self.plan {
            plan.talk = None; // and with it the login: its secrets are cleared before anybody has the report
        }
    }
}
