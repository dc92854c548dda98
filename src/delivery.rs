//! The delivery machine: arguments and control files in, wants out, at last the report.
//!
//! C asks [`Delivery::want`], does that one thing, says how it went, and asks again. Which address, which connection
//! and which login is decided here and below, so that all of it can be tested without a network.

use crate::addresses::{Address, Addresses};
use crate::auth::choose::Auth;
use crate::control::files::{Control, ControlError};
use crate::control::home::{self, Surroundings};
use crate::control::{Route, Settings};
use crate::report::{self, Letter, RecipientReport, Verdict};
use crate::smtp::address;
use crate::smtp::dialogue::{self, Dialogue, Ending};
use crate::smtp::envelope::{Envelope, Relay};

/// TLS from the first octet (RFC 8314 section 3.3).
const SUBMISSIONS: u16 = 465;

/// The one thing to do next.
#[derive(Debug, PartialEq, Eq)]
pub enum Want<'a> {
    /// Look up the addresses of this host, then [`Delivery::resolved`] or [`Delivery::not_resolved`].
    Addresses(&'a str),
    /// Connect to this address and port until the deadline (milliseconds, monotonic), then [`Delivery::connected`] or
    /// [`Delivery::not_connected`].
    Connect(Address, u16, u64),
    /// Receive, and send what the kernel takes of this, until the deadline; then [`Delivery::received`],
    /// [`Delivery::closed`], [`Delivery::sent`], [`Delivery::send_failed`] or [`Delivery::timed_out`].
    Io(&'a [u8], u64),
    /// Read on in the message, and receive, until the deadline; then [`Delivery::message`], [`Delivery::message_end`],
    /// [`Delivery::message_failed`], [`Delivery::received`], [`Delivery::closed`] or [`Delivery::timed_out`].
    Message(u64),
    /// Send this if the kernel takes it at once, close the connection, then [`Delivery::disconnected`].
    Close(&'a [u8]),
    /// Write this report, whole, and exit 0.
    Done(&'a [u8]),
}

/// One delivery.
pub struct Delivery {
    stage: Stage,
    plan: Option<Plan>,
    addresses: Addresses,
    /// The verdict if no other connection gets further.
    refusal: Option<Verdict>,
}

enum Stage {
    Resolve,
    Connect,
    Talk(Box<Dialogue>),
    Done(Vec<u8>),
}

/// What is to be done, but for the addresses. A dialogue has the envelope and the login while it lasts.
struct Plan {
    host: String,
    port: u16,
    source: String,
    /// Why TLS came to nothing at the current address, where this mail may do without.
    tls_failure: Option<String>,
    /// Milliseconds.
    timeoutconnect: u64,
    talk: Option<(Envelope, Option<Auth>)>,
}

impl Delivery {
    /// A delivery for the arguments of qmail-remote(8): host, sender, recipients. Reads the control files.
    pub fn new(arguments: &[&[u8]], surroundings: &Surroundings) -> Delivery {
        let (stage, plan) = match plan(arguments, surroundings) {
            Ok(plan) => (Stage::Resolve, Some(plan)),
            Err(verdict) => (Stage::Done(report::output(&[], &verdict)), None),
        };
        Delivery { stage, plan, addresses: Addresses::default(), refusal: None }
    }

    /// What to do now. `now` is in milliseconds, monotonic.
    pub fn want(&self, now: u64) -> Want<'_> {
        match (&self.stage, &self.plan, self.addresses.current()) {
            (Stage::Done(report), ..) => Want::Done(report),
            (Stage::Talk(dialogue), ..) => match dialogue.want() {
                dialogue::Want::Io(octets, deadline) => Want::Io(octets, deadline),
                dialogue::Want::Message(deadline) => Want::Message(deadline),
                dialogue::Want::Close(last_words) => Want::Close(last_words),
            },
            (Stage::Connect, Some(plan), Some(address)) => {
                Want::Connect(address, plan.port, now.saturating_add(plan.timeoutconnect))
            }
            (_, plan, _) => Want::Addresses(plan.as_ref().map_or("", |plan| &plan.host)),
        }
    }

    /// The host has these addresses, in this order.
    pub fn resolved(&mut self, addresses: Vec<Address>) {
        if addresses.is_empty() {
            return self.not_resolved("no address");
        }
        self.addresses = Addresses::new(addresses);
        self.connect();
    }

    /// The host has no address, or none can be found out now. It is our set-up that names it, so the mail waits.
    pub fn not_resolved(&mut self, why: &str) {
        let Some(Plan { host, source, .. }) = &self.plan else { return };
        let line = format!("Sorry, I couldn't find any host by that name. (#4.1.2) Relay {host} of {source}: {why}");
        self.done(&[], &Verdict::new(Letter::Z, line));
    }

    /// There is a connection to the current address. `unix` is the time in seconds, to verify certificates by.
    pub fn connected(&mut self, now: u64, unix: u64) {
        let Some((plan, address)) = self.plan.as_mut().zip(self.addresses.current()) else { return };
        let Some((envelope, auth)) = plan.talk.take() else { return };
        self.stage =
            Stage::Talk(Box::new(Dialogue::new(envelope, auth, address.ip, plan.tls_failure.clone(), now, unix)));
    }

    /// There is none.
    pub fn not_connected(&mut self, why: &str) {
        self.next_address(why);
    }

    /// The server said this.
    pub fn received(&mut self, now: u64, octets: &[u8]) {
        self.talk(|dialogue| dialogue.received(now, octets));
    }

    /// The server closed, or the connection is lost for receiving.
    pub fn closed(&mut self) {
        self.talk(Dialogue::closed);
    }

    /// The kernel took this many octets of those wanted.
    pub fn sent(&mut self, now: u64, count: usize) {
        self.talk(|dialogue| dialogue.sent(now, count));
    }

    /// The kernel takes no more. What the server has said is still wanted, up to its end.
    pub fn send_failed(&mut self) {
        self.talk(Dialogue::send_failed);
    }

    /// The deadline passed with nothing to receive and nothing taken.
    pub fn timed_out(&mut self) {
        self.talk(Dialogue::timed_out);
    }

    /// The next piece of the message.
    pub fn message(&mut self, piece: &[u8]) {
        self.talk(|dialogue| dialogue.message(piece));
    }

    /// The message is read to its end.
    pub fn message_end(&mut self) {
        self.talk(Dialogue::message_end);
    }

    /// The message cannot be read.
    pub fn message_failed(&mut self, why: &str) {
        self.talk(|dialogue| dialogue.message_failed(why));
    }

    /// The connection is closed on our side.
    pub fn disconnected(&mut self) {
        let Stage::Talk(dialogue) = std::mem::replace(&mut self.stage, Stage::Connect) else { return };
        let (ending, envelope, auth) = dialogue.into_ending();
        if let Some(plan) = &mut self.plan {
            plan.talk = Some((envelope, auth));
            if let Ending::ReconnectInClear(_, why) = &ending {
                plan.tls_failure = Some(why.clone());
            }
        }
        match ending {
            Ending::Report(recipients, verdict) => self.done(&recipients, &verdict),
            Ending::Reconnect(verdict) | Ending::ReconnectInClear(verdict, _) => {
                self.refusal = Some(verdict);
                self.connect();
            }
            Ending::NextAddress(verdict) => {
                self.refusal = Some(verdict);
                self.next_address("refused");
            }
        }
    }

    fn next_address(&mut self, why: &str) {
        self.addresses.next(why);
        if let Some(plan) = &mut self.plan {
            plan.tls_failure = None;
        }
        self.connect();
    }

    fn talk(&mut self, event: impl FnOnce(&mut Dialogue)) {
        if let Stage::Talk(dialogue) = &mut self.stage {
            event(dialogue);
        }
    }

    fn connect(&mut self) {
        self.stage = Stage::Connect;
        if self.addresses.current().is_none() {
            let verdict = self.refusal.take().unwrap_or_else(|| self.no_connection());
            self.done(&[], &verdict);
        }
    }

    fn no_connection(&self) -> Verdict {
        let sorry = "Sorry, I wasn't able to establish an SMTP connection. (#4.4.1)";
        let relay = self.plan.as_ref().map(|plan| format!("{}:{} ({})", plan.host, plan.port, plan.source));
        let line = format!("{sorry} Relay {}: {}", relay.unwrap_or_default(), self.addresses.failures());
        Verdict::new(Letter::Z, line)
    }

    fn done(&mut self, recipients: &[RecipientReport], verdict: &Verdict) {
        self.stage = Stage::Done(report::output(recipients, verdict));
    }
}

/// Everything that can be said before the first system call on the network.
fn plan(arguments: &[&[u8]], surroundings: &Surroundings) -> Result<Plan, Verdict> {
    let [host, sender, recipients @ ..] = arguments else { return Err(improper()) };
    if recipients.is_empty() {
        return Err(improper());
    }
    let home = home::find(surroundings).ok_or_else(|| {
        Verdict::new(Letter::Z, "Unable to switch to home directory. (#4.3.0) No control directory found.")
    })?;
    let settings = Settings::read(&Control { home }, host).map_err(|ControlError(why)| unreadable(&why))?;
    let path = |whose: &str, address: &[u8]| {
        address::path(address)
            .map_err(|error| Verdict::new(Letter::D, format!("The {whose} address {}. (#5.1.3)", error.text())))
    };
    let sender = path("sender", sender)?;
    let recipients = recipients.iter().map(|recipient| path("recipient", recipient)).collect::<Result<_, _>>()?;

    let route = settings.route.ok_or_else(|| no_route(host))?;
    let Route { host, port, source, credentials, security, mechanisms } = route;
    let auth = credentials.map(|credentials| Auth::new(credentials, mechanisms));
    let envelope = Envelope {
        helohost: settings.helohost,
        sender,
        recipients,
        relay: Relay {
            name: host.clone(),
            shown: format!("{host}:{port} ({source})"),
            security,
            implicit_tls: port == SUBMISSIONS,
        },
        timeout: settings.timeoutremote.saturating_mul(1000),
    };
    let timeoutconnect = settings.timeoutconnect.saturating_mul(1000);
    Ok(Plan { host, port, source, tls_failure: None, timeoutconnect, talk: Some((envelope, auth)) })
}

fn improper() -> Verdict {
    Verdict::new(Letter::D, "I (qmail-remote) was invoked improperly. (#5.3.5)")
}

fn unreadable(why: &str) -> Verdict {
    Verdict::new(Letter::Z, format!("Unable to read control files. (#4.3.0) {why}"))
}

fn no_route(host: &[u8]) -> Verdict {
    let host = String::from_utf8_lossy(host);
    Verdict::new(Letter::Z, format!("No relay for {host} in control/smtproutes, and this version uses no MX. (#4.3.5)"))
}
