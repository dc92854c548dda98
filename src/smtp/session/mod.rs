//! The session of one connection, without I/O: octets and times in, octets and one ending out. What to say next is in
//! `handshake`, up to the login, and in `transaction`, for the mail; `replies` is how the server's octets become replies.
//!
//! TLS is begun where the policy wants it, and all that was learnt before is forgotten (RFC 3207 section 4.2).
//!
//! Replies are matched one to one to commands. A reply whose first octet was in hand before its command was given to
//! the kernel answers nothing: it ends the delivery with Z, except that an early refusal of the message counts as one.

mod handshake;
mod replies;
mod transaction;

use super::channel::Channel;
use super::command::Command;
use super::data::{DotStuffer, Measuring};
use super::ehlo::Capabilities;
use super::envelope::Envelope;
use super::words::Words;
use crate::event::Event;
use crate::policy::TlsPolicy;
use crate::report::{RecipientReport, Verdict};
use qmail_auth::client::Client;
use qmail_auth::mask::Mask;
use qmail_auth::reply::{Reply, ReplyReader};
use std::collections::VecDeque;
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

/// What the session needs next.
pub enum Want<'a> {
    /// Send what the kernel takes of this, and receive, until the deadline (milliseconds, monotonic).
    Io(&'a [u8], u64),
    /// Read the whole message, and go back to its start.
    Measure,
    /// Read on in the message, and receive, until the deadline.
    Message(u64),
    /// Send this if the kernel takes it at once, and close.
    Close(&'a [u8]),
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
    /// A reply came over TLS, so TLS is there for good.
    tls_holds: bool,
    /// Why TLS broke off later.
    tls_broke: Option<String>,
    /// The commands whose replies are still to come, each with the place in the stream where it ends.
    unanswered: VecDeque<(Command, u64)>,
    /// The place behind the final dot, once it is in the outbox.
    dot: Option<u64>,
    /// The kernel takes no more. What the server has said is still read to its end.
    write_failed: bool,
    capabilities: Capabilities,
    recipients: Vec<RecipientReport>,
    /// The verdict is known; the replies still to come are read and dropped.
    decided: Option<Verdict>,
    message: Option<DotStuffer>,
    measuring: Option<Measuring>,
    /// EHLO was put off, so it is not known what the server can do.
    hello_deferred: bool,
    /// All that a check is for is done.
    is_checked: bool,
    ending: Option<Ending>,
}

impl Session {
    /// A connection to `peer` was made at `now`, and that is the time `unix`. `tls_failure`: why TLS came to nothing there
    /// before, so that this one is in clear. `patience`: for how many milliseconds the server may be silent before AUTH or MAIL.
    pub fn new(
        envelope: Envelope,
        auth: Option<Client>,
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
            tls_holds: false,
            tls_broke: None,
            unanswered: VecDeque::from([(Command::Greeting, 0)]),
            dot: None,
            write_failed: false,
            capabilities: Capabilities::default(),
            recipients: Vec::new(),
            decided: None,
            message: None,
            measuring: None,
            hello_deferred: false,
            is_checked: false,
            ending: None,
        };
        if session.envelope.relay.implicit_tls {
            session.start_tls();
        }
        session
    }

    /// What to do now.
    pub fn want(&mut self) -> Want<'_> {
        if self.ending.is_some() {
            Want::Close(self.channel.pending())
        } else if self.measuring.is_some() {
            Want::Measure
        } else if self.message.is_some() && !self.write_failed && self.channel.waiting() < LOW_WATER {
            Want::Message(self.deadline)
        } else {
            Want::Io(self.channel.pending(), self.deadline)
        }
    }

    /// The ending, after [`Want::Close`], and what the next connection needs.
    pub fn into_ending(self) -> (Ending, Envelope, Option<Client>) {
        let died = self.words().died();
        (self.ending.unwrap_or_else(|| Ending::Report(Vec::new(), died)), self.envelope, self.auth)
    }

    /// The kernel took this many octets.
    pub fn sent(&mut self, now: u64, count: usize) {
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

    /// The kernel takes no more.
    pub fn send_failed(&mut self) {
        self.write_failed = true;
        self.channel.clear();
    }

    /// Tells what the server said, its words masked.
    fn tell_masked(&self, text: &[u8], event: impl Fn(&[u8]) -> Event) {
        if self.envelope.log.is_on() {
            let masked = self.mask().map(|mask| mask.apply(text));
            self.envelope.log.tell(&event(masked.as_deref().unwrap_or(text)));
        }
    }

    fn mask(&self) -> Option<&Mask> {
        self.auth.as_ref().map(Client::mask)
    }

    fn words(&self) -> Words<'_> {
        Words {
            peer: self.peer,
            relay: &self.envelope.relay,
            auth: self.auth.as_ref(),
            tls: self.channel.tls(),
            tls_failure: self.tls_failure.as_deref(),
            tls_broke: self.tls_broke.as_deref(),
            dot_is_sent: self.dot_is_sent(),
        }
    }

    /// The final dot was given to the kernel whole, so the server may have taken the message.
    fn dot_is_sent(&self) -> bool {
        self.dot.is_some_and(|dot| self.channel.is_sent(dot))
    }

    /// Acts on a reply; `behind` is what was received behind it.
    fn reply(&mut self, reply: &Reply, behind: &[u8]) {
        self.tell_masked(&reply.text, |text| Event::Reply(self.waits_for(), text));
        let Some((command, _)) = self.unanswered.pop_front() else {
            return self.out_of_step(reply);
        };
        if self.decided.is_some() {
            return self.drop_reply(command, reply);
        }
        match (command, reply.code, reply.class()) {
            (Command::EndOfData, _, 4 | 5) => self.message_reply(reply),
            (Command::Auth, 221 | 421, _) if self.early && self.auth.as_ref().is_some_and(Client::is_good_bye) => {
                self.login_closed(false);
            }
            _ if self.early => self.out_of_step(reply),
            (Command::Greeting, ..) => self.greeting_reply(reply),
            (Command::Ehlo | Command::Helo, ..) => self.hello_reply(command, reply),
            (Command::StartTls, ..) => self.starttls_reply(reply, behind),
            (Command::Auth, ..) => self.auth_reply(reply),
            (Command::Mail, ..) => self.mail_reply(reply),
            (Command::Rcpt(number), ..) => self.rcpt_reply(number, reply),
            (Command::Data, ..) => self.data_reply(reply),
            (Command::EndOfData, ..) => self.message_reply(reply),
        }
    }

    fn send(&mut self, command: Command, line: Vec<u8>) {
        if !self.write_failed {
            self.envelope.log.tell(&Event::Sent(&line));
            self.channel.put_line(&line);
        }
        self.expect(command);
    }

    fn expect(&mut self, command: Command) {
        self.is_committed |= matches!(command, Command::Auth | Command::Mail);
        let end = if self.write_failed { u64::MAX } else { self.channel.end() };
        self.unanswered.push_back((command, end));
    }

    /// Before this a reply decided the fate of the mail; replies to commands that are out already are read and dropped.
    fn drop_reply(&mut self, command: Command, reply: &Reply) {
        if let Some(verdict) = self.decided.take_if(|_| self.unanswered.is_empty()) {
            match (command, reply.code) {
                (Command::Data, 354) => self.abandon(verdict), // whatever is sent now would be a message
                _ => self.finish(verdict),
            }
        }
    }

    /// The delivery is over, as soon as all that was asked is answered.
    fn finish(&mut self, verdict: Verdict) {
        if self.unanswered.is_empty() {
            let recipients = std::mem::take(&mut self.recipients);
            self.end(Ending::Report(recipients, verdict));
        } else {
            self.decided = Some(verdict);
        }
    }

    /// Ends politely where a QUIT can be understood as one: not as a line of a message, and once.
    fn end(&mut self, ending: Ending) {
        let in_message = self.message.is_some() || self.dot.is_some() && !self.dot_is_sent();
        let has_quit = self.dot.is_some() && self.capabilities.pipelining;
        if self.write_failed || in_message || self.is_starting_tls() {
            self.forget_pending();
        } else {
            if !has_quit {
                self.envelope.log.tell(&Event::Sent(b"QUIT"));
                self.channel.put_line(b"QUIT");
            }
            self.channel.put_close();
        }
        self.ending = Some(ending);
    }

    /// The connection is of no more use. A verdict that was known before stands.
    fn abandon(&mut self, verdict: Verdict) {
        let verdict = self.decided.take().unwrap_or(verdict);
        let recipients = std::mem::take(&mut self.recipients);
        self.forget_pending();
        self.ending.get_or_insert(Ending::Report(recipients, verdict));
    }

    /// A reply to nothing that was asked, or of a kind that has no place there.
    fn out_of_step(&mut self, reply: &Reply) {
        self.server_failed("a reply came out of step".to_owned(), self.words().out_of_step(reply));
    }

    /// The connection is of no more use, by the server's doing. Before a login or MAIL that says nothing of other addresses.
    fn server_failed(&mut self, why: String, verdict: Verdict) {
        if self.is_committed {
            return self.abandon(verdict);
        }
        self.forget_pending();
        self.ending.get_or_insert(Ending::NextAddress(verdict, why));
    }

    /// What the kernel has not taken must not follow, as it could end a message. An alert about a handshake may.
    fn forget_pending(&mut self) {
        if !self.is_starting_tls() {
            self.channel.clear();
        }
    }
}
