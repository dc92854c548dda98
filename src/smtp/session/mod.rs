//! The session of one connection, without I/O: octets and times in, octets and one ending out. What to say next is in
//! `handshake`, up to the login, and in `transaction`, for the mail; `replies` is how the server's octets become replies.
//!
//! TLS is begun where the policy wants it, and all that was learnt before is forgotten (RFC 3207 section 4.2).
//!
//! Replies are matched one to one to commands. A reply whose first octet was in hand before its command was given to
//! the kernel answers nothing: it ends the delivery with Z, except that an early refusal of the message counts as one.

mod greeting;
mod login;
mod replies;
mod reports;
mod starttls;
mod transaction;

use super::channel::Channel;
use super::data::{DotStuffer, Prescan};
use super::ehlo::Capabilities;
use super::envelope::{Envelope, Facts, Mail};
use crate::cause::AddressFailure;
use crate::command::Command;
use crate::event::Event;
use crate::policy::TlsPolicy;
use crate::report::{RecipientReport, Verdict, os_error};
use crate::verdict::{About, Fate, Judgement};
use crate::want::{Happened, Want, out_of_turn};
use qmail_auth::client::Client;
use qmail_auth::mask::Mask;
use qmail_auth::reply::{Reply, ReplyReader};
use reports::Reporter;
use std::collections::VecDeque;
use std::mem;
use std::net::IpAddr;

/// As long as fewer octets are pending, more of the message is wanted.
const LOW_WATER: usize = 64 * 1024;

/// How a connection ended.
pub enum Ending {
    /// The delivery is over.
    Report(Vec<RecipientReport>, Verdict),
    /// The server fails for reasons of its own: try the next address (RFC 5321 section 5.1); this is the verdict if there is none,
    /// and what became of this address in a few words.
    NextAddress(Verdict, String),
    /// Connect to the same address again and go on with the login; this is the verdict if there is no connection.
    Reconnect(Verdict),
    /// The same, but without TLS, which came to nothing; and why.
    ReconnectInClear(Verdict, String),
}

/// What the message is up to.
enum Sending {
    /// It is not begun.
    No,
    /// It is read once before MAIL, for what the server wants to know of it.
    Prescan(Prescan),
    /// It is on its way.
    Body(DotStuffer),
    /// It was put in with its final dot, which ends at this place.
    Dot(u64),
}

/// How far TLS is.
enum TlsState {
    /// All is in clear.
    Clear,
    /// Begun, and nothing was said over it yet.
    Starting,
    /// A reply came over it, so it is there for good.
    Up,
    /// It broke off after that, and why.
    Broke(String),
}

/// What is known of the end.
enum Outcome {
    Open,
    /// All that a check is for is done.
    Checked,
    /// The verdict is known; the replies still to come are read and dropped.
    Decided(Verdict),
    Ended(Ending),
}

/// One connection, from greeting to ending.
pub struct Session {
    envelope: Envelope,
    auth: Option<Client>,
    peer: IpAddr,
    /// Unix time, to verify certificates by.
    unix: u64,
    /// Why TLS came to nothing on a connection before this, which is then in clear.
    tls_failure: Option<String>,
    policy: TlsPolicy,
    /// For how many milliseconds the server may be silent before AUTH or MAIL.
    patience: u64,
    /// AUTH or MAIL was said: from here on no other address is tried.
    is_committed: bool,
    deadline: u64,
    reader: ReplyReader,
    /// The reply being read began before its command was sent.
    early: bool,
    channel: Channel,
    tls: TlsState,
    /// The commands whose replies are still to come, each with the place in the stream where it ends.
    unanswered: VecDeque<(Command, u64)>,
    /// The kernel takes no more. What the server has said is still read to its end.
    write_failed: bool,
    capabilities: Capabilities,
    recipients: Vec<RecipientReport>,
    sending: Sending,
    /// EHLO was deferred, so it is not known what the server can do.
    hello_deferred: bool,
    outcome: Outcome,
}

impl Session {
    /// A connection to `peer` was made at `now`, and that is the time `unix`. `tls_failure`: why TLS came to nothing there
    /// before, so that this one is in clear. `patience`: for how many milliseconds the server may be silent before AUTH or MAIL.
    pub fn new(
        Mail { envelope, auth }: Mail,
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
            outcome: Outcome::Open,
        };
        if session.envelope.relay.implicit_tls {
            session.start_tls();
        }
        session
    }

    /// What to do now.
    pub fn want(&mut self) -> Want<'_> {
        match self.sending {
            _ if self.is_over() => Want::Close(self.channel.pending()),
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
            Happened::NotPrescanned => self.prescanned(Facts::Never),
            event => out_of_turn(&event),
        }
    }

    /// The ending, after [`Want::Close`], and what the next connection needs.
    pub fn into_ending(self) -> (Ending, Mail) {
        let Outcome::Ended(ending) = self.outcome else { unreachable!("nobody closes before the end") };
        (ending, Mail { envelope: self.envelope, auth: self.auth })
    }

    fn is_over(&self) -> bool {
        matches!(self.outcome, Outcome::Ended(_))
    }

    fn sent(&mut self, now: u64, count: usize) {
        self.renew_deadline(now);
        self.channel.sent(count);
    }

    fn renew_deadline(&mut self, now: u64) {
        let time = match self.is_committed {
            true => self.envelope.timeout,
            // A handshake that comes to no end must leave time for the connection in clear.
            false if self.is_starting_tls() && self.envelope.relay.falls_back(self.credentials()) => {
                self.patience / 4 * 3
            }
            false => self.patience,
        };
        self.deadline = now.saturating_add(time);
    }

    fn send_failed(&mut self) {
        self.write_failed = true;
        self.channel.clear();
    }

    /// Tells what the server said, its words masked.
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
            tls: self.channel.tls(),
            tls_failure: self.tls_failure.as_deref(),
            tls_broke: if let TlsState::Broke(why) = &self.tls { Some(why) } else { None },
            dot_is_sent: self.dot_is_sent(),
        }
    }

    /// The final dot was given to the kernel whole, so the server may have taken the message.
    fn dot_is_sent(&self) -> bool {
        matches!(self.sending, Sending::Dot(dot) if self.channel.is_sent(dot))
    }

    /// Acts on a reply; `behind` is what was received behind it.
    fn reply(&mut self, reply: &Reply, behind: &[u8]) {
        self.notify_masked(&reply.text, |text| Event::Reply(self.awaited(), text));
        let Some((command, _)) = self.unanswered.pop_front() else {
            return self.out_of_step(reply);
        };
        if let Outcome::Decided(_) = self.outcome {
            return self.drop_reply(command, reply);
        }
        match (command, self.reporter().judge(command, reply)) {
            // A refusal of the message counts even before its end. All else that comes before its command is sent answers nothing.
            (Command::EndOfData, Judgement::Mail(Fate::Deferred | Fate::Bounced, about)) if about != About::Unknown => {
                self.finish(self.reporter().refused(command, reply));
            }
            (Command::Auth, _) if self.early && self.is_good_bye(reply) => self.login_closed(false),
            _ if self.early => self.out_of_step(reply),

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

    /// The server hangs up over an earlier refusal of the login.
    fn is_good_bye(&self, reply: &Reply) -> bool {
        matches!(reply.code, 221 | 421) && self.auth.as_ref().is_some_and(Client::is_good_bye)
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

    /// The delivery is over, as soon as all that was asked is answered.
    fn finish(&mut self, verdict: Verdict) {
        if self.unanswered.is_empty() {
            let recipients = mem::take(&mut self.recipients);
            self.end(Ending::Report(recipients, verdict));
        } else {
            self.outcome = Outcome::Decided(verdict);
        }
    }

    /// Ends politely where a QUIT can be understood as one: not as a line of a message, and once.
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

    /// The connection is of no more use. A verdict that was known before stands.
    fn abandon(&mut self, verdict: Verdict) {
        self.forget_pending();
        let recipients = mem::take(&mut self.recipients);
        self.outcome = match mem::replace(&mut self.outcome, Outcome::Open) {
            Outcome::Ended(ending) => Outcome::Ended(ending),
            Outcome::Decided(verdict) => Outcome::Ended(Ending::Report(recipients, verdict)),
            Outcome::Open | Outcome::Checked => Outcome::Ended(Ending::Report(recipients, verdict)),
        };
    }

    /// A reply to nothing that was asked, or of a kind that has no place there.
    fn out_of_step(&mut self, reply: &Reply) {
        self.server_failed(AddressFailure::OutOfStep.to_string(), self.reporter().out_of_step(reply));
    }

    /// The connection is of no more use, by the server's doing. Before a login or MAIL that says nothing of other addresses.
    fn server_failed(&mut self, why: String, verdict: Verdict) {
        if self.is_committed {
            return self.abandon(verdict);
        }
        self.forget_pending();
        if !self.is_over() {
            self.outcome = Outcome::Ended(Ending::NextAddress(verdict, why));
        }
    }

    /// What the kernel has not taken must not follow, as it could end a message. An alert about a handshake may.
    fn forget_pending(&mut self) {
        if !self.is_starting_tls() {
            self.channel.clear();
        }
    }
}
