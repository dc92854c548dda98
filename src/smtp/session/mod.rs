//! The SMTP session of one connection, sans-IO: octets and times in, octets and one ending out.
//!
//! In the order of a session: `greeting` (and EHLO), `starttls`, `login`, `transaction` (the mail). `replies` makes replies of the
//! server's octets, `reporter` makes verdicts and recipient reports. What a reply means is decided in [`crate::verdict`].
//!
//! Replies are matched one to one to commands. A reply whose first octet came before the kernel had taken its command answers
//! nothing, and the mail is deferred; but an early refusal of the message counts as a refusal.

mod greeting;
mod login;
mod opening;
mod replies;
mod reporter;
mod starttls;
mod transaction;

use super::channel::Channel;
use super::data::{DotStuffer, Prescan};
use super::ehlo::Capabilities;
use super::envelope::{Envelope, Facts, Mail};
use crate::account::Account;
use crate::account::supply::Supply;
use crate::cause::AddressFailure;
use crate::event::Event;
use crate::policy::TlsPolicy;
use crate::report::{RecipientReport, Verdict, os_error};
use crate::smtp_command::Command;
use crate::verdict::{About, Fate, Judgement};
use crate::want::{Happened, Want, out_of_turn};
use qmail_auth::client::{Client, Permission};
use qmail_auth::mask::Mask;
use qmail_auth::reply::{Reply, ReplyReader};
use reporter::Reporter;
use starttls::TlsState;
use std::collections::VecDeque;
use std::mem;
use std::net::IpAddr;

/// More of the message is read while fewer octets than this are pending.
const LOW_WATER: usize = 64 * 1024;

/// How a session ended.
pub enum Ending {
    /// The delivery is over.
    Report(Vec<RecipientReport>, Verdict),
    /// The server fails for reasons of its own: the next address is tried (RFC 5321 section 5.1). With the verdict if there is
    /// none, and a few words about this address.
    NextAddress(Verdict, String),
    /// The login goes on over a new connection to the same address. With the verdict if that cannot be made.
    Reconnect(Verdict),
    /// TLS failed, and the mail may go out in clear over a new connection to the same address. With the verdict if that cannot be
    /// made, and why TLS failed.
    ReconnectInClear(Verdict, String),
    /// The relay refuses the access token, and the login goes on with another one, if it is to be had. With the verdict if it is not.
    RefusedToken(Verdict),
}

/// How far the message is.
enum Sending {
    /// Nothing of it has been read.
    No,
    /// It is read once before MAIL, since the server wants to know something of it.
    Prescan(Prescan),
    /// It is being sent.
    Body(DotStuffer),
    /// All of it is queued. The final dot ends at this offset of the channel.
    Dot(u64),
}

/// What is known of the ending.
enum Outcome {
    Open,
    /// A check has reached its goal.
    Checked,
    /// The verdict is known. The replies to commands already sent are still read, and dropped.
    Decided(Verdict),
    Ended(Ending),
}

/// One connection, from greeting to ending.
pub struct Session {
    envelope: Envelope,
    auth: Option<Client>,
    account: Option<Box<Account>>,
    supply: Option<Box<Supply>>,
    /// A login that waits for the lock of its account.
    opening: Option<Permission>,
    /// On this connection it has waited.
    has_waited: bool,
    peer: IpAddr,
    /// Unix time in seconds, to verify certificates by.
    unix: u64,
    /// Why TLS failed on the connection before. If it did, this one is in clear.
    tls_failure: Option<String>,
    policy: TlsPolicy,
    /// How many milliseconds the server may be silent before AUTH or MAIL.
    patience: u64,
    /// AUTH or MAIL was sent: from here on no other address is tried.
    is_committed: bool,
    deadline: u64,
    reader: ReplyReader,
    /// The reply being read began before its command was sent.
    early: bool,
    channel: Channel,
    tls: TlsState,
    /// The commands without a reply so far, each with the offset of the channel where it ends.
    unanswered: VecDeque<(Command, u64)>,
    /// The kernel takes no more. What the server has sent is still read to its end.
    write_failed: bool,
    capabilities: Capabilities,
    recipients: Vec<RecipientReport>,
    sending: Sending,
    /// EHLO was deferred, so the capabilities of the server are not known.
    hello_deferred: bool,
    /// The login waits for random octets; Some(true): and for the keying material of TLS.
    wants_random: Option<bool>,
    outcome: Outcome,
}

impl Session {
    /// Begins on a connection to `peer`, made at `now` (milliseconds, monotonic) and `unix` (seconds). `tls_failure`: why TLS
    /// failed on the connection before, so that this one stays in clear. `patience`: how many milliseconds the server may be silent
    /// before AUTH or MAIL.
    pub fn new(
        Mail { envelope, auth, account, supply }: Mail,
        peer: IpAddr,
        tls_failure: Option<String>,
        patience: u64,
        now: u64,
        unix: u64,
    ) -> Session {
        let mut session = Session {
            deadline: now.saturating_add(patience),
            patience,
            is_committed: false,
            policy: if tls_failure.is_some() { TlsPolicy::None } else { envelope.relay.security.policy },
            tls_failure,
            envelope,
            auth,
            account,
            supply,
            opening: None,
            has_waited: false,
            peer,
            unix,
            reader: ReplyReader::default(),
            early: false,
            channel: Channel::default(),
            tls: TlsState::Clear,
            unanswered: VecDeque::from([(Command::Greeting, 0)]),
            write_failed: false,
            capabilities: Capabilities::default(),
            recipients: Vec::new(),
            sending: Sending::No,
            hello_deferred: false,
            wants_random: None,
            outcome: Outcome::Open,
        };
        if session.envelope.relay.implicit_tls {
            session.start_tls();
        }
        session
    }

    /// What to do now.
    pub fn want(&mut self) -> Want<'_> {
        if let Some(want) =
            self.account.as_deref().filter(|_| !self.is_over()).and_then(|account| self.want_of(account))
        {
            return want;
        }
        match self.sending {
            _ if self.is_over() => Want::Close(self.channel.pending()),
            _ if self.wants_random.is_some() => Want::Random,
            Sending::Prescan(_) => Want::Prescan,
            Sending::Body(_) if !self.write_failed && self.channel.waiting() < LOW_WATER => {
                Want::Message(self.deadline)
            }
            _ => Want::Io(self.channel.pending(), self.deadline),
        }
    }

    /// Takes what happened to the connection or to the message.
    pub fn happened(&mut self, event: Happened) {
        match event {
            Happened::Received(now, octets) => self.received(now, octets),
            Happened::Closed => self.closed(),
            Happened::Sent(now, count) => self.sent(now, count),
            Happened::SendFailed => self.send_failed(),
            Happened::TimedOut => self.timed_out(),
            Happened::Message(piece) => self.message(piece),
            Happened::MessageEnd => self.message_end(),
            Happened::MessageFailed(error) => self.message_failed(&os_error(error)),
            Happened::Locked { now, unix } => self.locked(now, unix),
            Happened::NotLocked { now, unix, error } => self.not_locked(now, unix, error.kind()),
            Happened::Random(octets) => self.random(octets),
            Happened::NotPrescanned => self.prescanned(Facts::Never),
            event => out_of_turn(&event),
        }
    }

    /// The ending, after [`Want::Close`], and what the next connection needs.
    pub fn into_ending(self) -> (Ending, Mail) {
        let Outcome::Ended(ending) = self.outcome else { unreachable!("nobody closes before the end") };
        (ending, Mail { envelope: self.envelope, auth: self.auth, account: self.account, supply: self.supply })
    }

    fn is_over(&self) -> bool {
        matches!(self.outcome, Outcome::Ended(_))
    }

    fn sent(&mut self, now: u64, count: usize) {
        self.renew_deadline(now);
        self.channel.sent(count);
    }

    fn renew_deadline(&mut self, now: u64) {
        let time = if self.is_committed {
            self.envelope.timeout
        } else if self.is_starting_tls() && self.envelope.relay.falls_back(self.credentials()) {
            self.patience / 4 * 3 // a handshake that does not end must leave time for the connection in clear
        } else {
            self.patience
        };
        self.deadline = now.saturating_add(time);
    }

    fn send_failed(&mut self) {
        self.write_failed = true;
        self.channel.clear();
    }

    /// Passes an event about what the server said, masked.
    fn notify_masked(&self, text: &[u8], event: impl Fn(&[u8]) -> Event) {
        if self.envelope.log.is_on() {
            let masked = self.mask().map(|mask| mask.apply(text));
            self.envelope.log.notify(&event(masked.as_deref().unwrap_or(text)));
        }
    }

    fn mask(&self) -> Option<&Mask> {
        self.auth.as_ref().map(Client::mask)
    }

    fn reporter(&self) -> Reporter<'_> {
        Reporter {
            peer: self.peer,
            relay: &self.envelope.relay,
            auth: self.auth.as_ref(),
            offers_auth: self.capabilities.auth.offered,
            tls: self.channel.tls(),
            tls_failure: self.tls_failure.as_deref(),
            tls_broke: if let TlsState::Broke(why) = &self.tls { Some(why) } else { None },
            dot_is_sent: self.dot_is_sent(),
        }
    }

    /// The kernel has taken the whole final dot, so the server may have accepted the message.
    fn dot_is_sent(&self) -> bool {
        matches!(self.sending, Sending::Dot(dot) if self.channel.is_sent(dot))
    }

    /// Acts on a reply. `behind` is what was received after it.
    fn reply(&mut self, reply: &Reply, behind: &[u8]) {
        self.notify_masked(&reply.text, |text| Event::Reply(self.awaited(), text));
        let Some((command, _)) = self.unanswered.pop_front() else { return self.unasked(reply) };
        if let Outcome::Decided(_) = self.outcome {
            return self.drop_reply(command, reply);
        }
        match (command, self.reporter().judge(command, reply)) {
            // A refusal of the message counts even before its end. Anything else that comes before its command answers nothing.
            (Command::EndOfData, Judgement::Mail(Fate::Deferred | Fate::Bounced, about)) if about != About::Unknown => {
                self.finish(self.reporter().refused(command, reply));
            }
            (Command::Auth, _) if self.early && self.is_good_bye(reply) => self.login_closed(false),
            _ if self.early => {
                if command == Command::Auth {
                    self.auth.iter_mut().for_each(Client::withdraw);
                }
                self.out_of_step(reply);
            }

            (Command::Greeting, Judgement::Proceed) => self.say_hello(),
            (Command::Ehlo, Judgement::Proceed) => self.ehlo_reply(reply),
            (Command::Helo, Judgement::Proceed) => self.secure(),
            (Command::StartTls, Judgement::Proceed) => self.starttls_accepted(behind),
            (Command::Auth, _) => self.auth_reply(reply),
            (Command::Mail, Judgement::Proceed) => self.mail_accepted(),
            (Command::Rcpt(number), Judgement::Proceed) => self.rcpt_reply(number, reply),
            (Command::Data, Judgement::Proceed) => self.begin_message(),
            (Command::EndOfData, Judgement::Mail(Fate::Delivered, _)) => self.finish(self.reporter().accepted(reply)),

            (Command::StartTls, Judgement::NextAddress) => self.starttls_refused(reply),
            (_, Judgement::NextAddress) => {
                let (verdict, why) = self.reporter().server_refuses(command, reply);
                self.end(Ending::NextAddress(verdict, why));
            }
            (Command::Mail | Command::Data, Judgement::Mail(_, about)) if about != About::Unknown => {
                self.finish(self.reporter().refused(command, reply));
            }
            (_, Judgement::Mail(..) | Judgement::Proceed) => self.out_of_step(reply),
        }
    }

    fn send(&mut self, command: Command, line: Vec<u8>) {
        if !self.write_failed {
            self.envelope.log.notify(&Event::Sent(&line));
            self.channel.put_line(&line);
        }
        self.expect(command);
    }

    fn expect(&mut self, command: Command) {
        self.is_committed |= matches!(command, Command::Auth | Command::Mail);
        let end = if self.write_failed { u64::MAX } else { self.channel.end() };
        self.unanswered.push_back((command, end));
    }

    /// The verdict is known: drains replies to commands already sent.
    fn drop_reply(&mut self, command: Command, reply: &Reply) {
        if !self.unanswered.is_empty() {
            return;
        }
        match (command, reply.code, mem::replace(&mut self.outcome, Outcome::Open)) {
            (Command::Data, 354, Outcome::Decided(verdict)) => self.abandon(verdict), // what is sent now would be a message
            (.., Outcome::Decided(verdict)) => self.finish(verdict),
            (.., other) => self.outcome = other,
        }
    }

    /// The verdict is known. The session ends once all commands are answered.
    fn finish(&mut self, verdict: Verdict) {
        if self.unanswered.is_empty() {
            let recipients = mem::take(&mut self.recipients);
            self.end(Ending::Report(recipients, verdict));
        } else {
            self.outcome = Outcome::Decided(verdict);
        }
    }

    /// Ends the session, with QUIT where the server can read it as a command: once, and not inside a message.
    fn end(&mut self, ending: Ending) {
        let in_message = match self.sending {
            Sending::No | Sending::Prescan(_) => false,
            Sending::Body(_) => true,
            Sending::Dot(dot) => !self.channel.is_sent(dot),
        };
        let has_quit = matches!(self.sending, Sending::Dot(_)) && self.capabilities.pipelining;
        if self.write_failed || in_message || self.is_starting_tls() {
            self.forget_pending();
        } else {
            if !has_quit {
                self.envelope.log.notify(&Event::Sent(b"QUIT"));
                self.channel.put_line(b"QUIT");
            }
            self.channel.put_close();
        }
        self.outcome = Outcome::Ended(ending);
    }

    /// The connection cannot be used any more. A verdict that was known before stands.
    fn abandon(&mut self, verdict: Verdict) {
        self.forget_pending();
        let recipients = mem::take(&mut self.recipients);
        self.outcome = match mem::replace(&mut self.outcome, Outcome::Open) {
            Outcome::Ended(ending) => Outcome::Ended(ending),
            Outcome::Decided(verdict) => Outcome::Ended(Ending::Report(recipients, verdict)),
            Outcome::Open | Outcome::Checked => Outcome::Ended(Ending::Report(recipients, verdict)),
        };
    }

    /// A reply that answers no command, or of a kind that does not fit its command.
    fn out_of_step(&mut self, reply: &Reply) {
        self.server_failed(AddressFailure::OutOfStep.to_string(), self.reporter().out_of_step(reply));
    }

    /// The server makes the connection useless. Before AUTH or MAIL another address may do better.
    fn server_failed(&mut self, why: String, verdict: Verdict) {
        if self.is_committed {
            return self.abandon(verdict);
        }
        self.forget_pending();
        if !self.is_over() {
            self.outcome = Outcome::Ended(Ending::NextAddress(verdict, why));
        }
    }

    /// Drops what the kernel has not taken, since it could end a message. The alert of a failed handshake may still go out.
    fn forget_pending(&mut self) {
        if !self.is_starting_tls() {
            self.channel.clear();
        }
    }
}
