//! The dialogue of one connection, without I/O: octets and times in, octets and one ending out.
//!
//! Replies are matched one to one to commands. A reply whose first octet was in hand before its command was given to
//! the kernel answers nothing: it ends the delivery with Z, except that an early refusal of the message counts as one.

use super::data::DotStuffer;
use super::ehlo::Capabilities;
use super::outbox::Outbox;
use super::reply::{Reply, ReplyReader};
use super::words::Words;
use crate::auth::choose::{Auth, Permission, Step};
use crate::report::{Letter, RecipientReport, Verdict};
use std::collections::VecDeque;
use std::net::IpAddr;

/// As long as fewer octets are pending, more of the message is wanted.
const LOW_WATER: usize = 64 * 1024;

/// What is the same on all connections of a delivery.
pub struct Envelope {
    /// The name to say in EHLO.
    pub helohost: Vec<u8>,
    /// The sender's path (see [`super::address::path`]).
    pub sender: Vec<u8>,
    /// The recipients' paths, at least one.
    pub recipients: Vec<Vec<u8>>,
    /// The relay and where it is configured, for reports: `smtp.example.jp:587 (control/smtproutes line 1)`.
    pub relay: String,
    /// Milliseconds, for each reply and for each write.
    pub timeout: u64,
}

/// How a connection ended.
pub enum Ending {
    /// The delivery is over.
    Report(Vec<RecipientReport>, Verdict),
    /// This server does not want us: try the next address; this is the verdict if there is none.
    NextAddress(Verdict),
    /// Connect to the same address again and go on with the login; this is the verdict if there is no connection.
    Reconnect(Verdict),
}

/// What the dialogue needs next.
pub enum Want<'a> {
    /// Send what the kernel takes of this, and receive, until the deadline (milliseconds, monotonic).
    Io(&'a [u8], u64),
    /// Read on in the message, and receive, until the deadline.
    Message(u64),
    /// Send this if the kernel takes it at once, and close.
    Close(&'a [u8]),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Command {
    Greeting,
    Ehlo,
    Helo,
    Auth,
    Mail,
    Rcpt(usize),
    Data,
    EndOfData,
}

/// One connection, from greeting to ending.
pub struct Dialogue {
    envelope: Envelope,
    auth: Option<Auth>,
    peer: IpAddr,
    permission: Permission,
    deadline: u64,
    reader: ReplyReader,
    /// The reply being read began before its command was sent.
    early: bool,
    out: Outbox,
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
    ending: Option<Ending>,
    last_words: &'static [u8],
}

impl Dialogue {
    /// A connection to `peer` was made at `now`. `permission` is what a login may send there.
    pub fn new(envelope: Envelope, auth: Option<Auth>, peer: IpAddr, permission: Permission, now: u64) -> Dialogue {
        Dialogue {
            deadline: now.saturating_add(envelope.timeout),
            envelope,
            auth,
            peer,
            permission,
            reader: ReplyReader::default(),
            early: false,
            out: Outbox::default(),
            unanswered: VecDeque::from([(Command::Greeting, 0)]),
            dot: None,
            write_failed: false,
            capabilities: Capabilities::default(),
            recipients: Vec::new(),
            decided: None,
            message: None,
            ending: None,
            last_words: b"",
        }
    }

    /// What to do now.
    pub fn want(&self) -> Want<'_> {
        if self.ending.is_some() {
            Want::Close(self.last_words)
        } else if self.message.is_some() && !self.write_failed && self.out.pending().len() < LOW_WATER {
            Want::Message(self.deadline)
        } else {
            Want::Io(self.out.pending(), self.deadline)
        }
    }

    /// The ending, after [`Want::Close`], and what the next connection needs.
    pub fn into_ending(self) -> (Ending, Envelope, Option<Auth>) {
        let died = self.words().died();
        (self.ending.unwrap_or_else(|| Ending::Report(Vec::new(), died)), self.envelope, self.auth)
    }

    /// The server said this.
    pub fn received(&mut self, now: u64, mut input: &[u8]) {
        while !input.is_empty() && self.ending.is_none() {
            if self.reader.is_empty() {
                if let [b'\r', rest @ ..] = input {
                    input = rest; // of a line that ended in LF CR; it begins no reply
                    continue;
                }
                self.early = self.unanswered.front().is_none_or(|(_, end)| !self.out.is_sent(*end));
            }
            match self.reader.read(&mut input) {
                None => {}
                Some(Ok(reply)) => {
                    self.deadline = now.saturating_add(self.envelope.timeout);
                    self.reply(&reply);
                }
                Some(Err(error)) => self.abandon(self.words().no_reply(error)),
            }
        }
    }

    /// The server has said its last: it closed, or the connection is lost.
    pub fn closed(&mut self) {
        match self.unanswered.front() {
            Some((Command::Auth, end)) => self.login_closed(self.out.is_sent(*end)),
            _ => self.abandon(self.words().died()),
        }
    }

    /// The deadline passed, and the server had said nothing.
    pub fn timed_out(&mut self) {
        self.abandon(self.words().died());
    }

    /// The kernel took this many octets.
    pub fn sent(&mut self, now: u64, count: usize) {
        self.deadline = now.saturating_add(self.envelope.timeout);
        self.out.sent(count);
    }

    /// The kernel takes no more.
    pub fn send_failed(&mut self) {
        self.write_failed = true;
        self.out.clear();
    }

    /// The next piece of the message.
    pub fn message(&mut self, piece: &[u8]) {
        if let Some(stuffer) = &mut self.message {
            stuffer.push(piece, self.out.octets());
        }
    }

    /// The message ends here.
    pub fn message_end(&mut self) {
        let Some(mut stuffer) = self.message.take() else { return };
        if stuffer.finish(self.out.octets()).is_err() {
            let line = "SMTP cannot transfer messages with partial final lines. (#5.6.2)";
            return self.abandon(Verdict::new(Letter::D, line));
        }
        let dot = self.out.end();
        self.dot = Some(dot);
        self.unanswered.iter_mut().for_each(|(_, end)| *end = dot);
        if self.capabilities.pipelining {
            self.out.put_line(b"QUIT"); // in the same flight; its reply is not waited for
        }
    }

    /// The message cannot be read. No dot is sent.
    pub fn message_failed(&mut self, why: &str) {
        self.abandon(Verdict::new(Letter::Z, format!("Unable to read message. (#4.3.0) {why}")));
    }

    fn words(&self) -> Words<'_> {
        Words {
            peer: self.peer,
            relay: &self.envelope.relay,
            auth: self.auth.as_ref(),
            dot_is_sent: self.dot_is_sent(),
        }
    }

    /// The final dot was given to the kernel whole, so the server may have taken the message.
    fn dot_is_sent(&self) -> bool {
        self.dot.is_some_and(|dot| self.out.is_sent(dot))
    }

    fn reply(&mut self, reply: &Reply) {
        let Some((command, _)) = self.unanswered.pop_front() else {
            return self.abandon(self.words().out_of_step(reply));
        };
        if self.decided.is_some() {
            return self.drop_reply(command, reply);
        }
        match (command, reply.code, reply.class()) {
            (Command::EndOfData, _, 4 | 5) => self.decide(reply, "failed after I sent the message"),
            (Command::Auth, 221 | 421, _) if self.early && self.auth.as_ref().is_some_and(Auth::is_good_bye) => {
                self.login_closed(false);
            }
            _ if self.early => self.abandon(self.words().out_of_step(reply)),
            (Command::EndOfData, _, 2) => {
                let verdict = self.words().said(Letter::K, &format!("{} accepted message.", self.peer), reply);
                self.finish(verdict);
            }
            (Command::Greeting, 220, _) => self.send(Command::Ehlo, [b"EHLO ", &self.envelope.helohost[..]].concat()),
            (Command::Greeting, ..) => self.refused("greeting failed", reply),
            (Command::Ehlo, 250, _) => {
                self.capabilities = Capabilities::read(reply);
                self.begin_login();
            }
            (Command::Ehlo, code, 4 | 5) if code != 421 => {
                self.send(Command::Helo, [b"HELO ", &self.envelope.helohost[..]].concat())
            }
            (Command::Helo, 250, _) => self.begin_login(),
            (Command::Ehlo | Command::Helo, ..) => self.refused("my name was rejected", reply),
            (Command::Auth, code, _) => {
                if let Some(auth) = &mut self.auth {
                    if reply.class() == 5 {
                        auth.keep_refusal(&reply.text);
                    }
                    let step = auth.step(code, reply.last_text());
                    self.login(step, Some(reply));
                }
            }
            (Command::Mail, _, 2) if !self.capabilities.pipelining => self.send_rcpt(0),
            (Command::Mail, _, 2) => {}
            (Command::Mail, _, 4 | 5) => self.decide(reply, "but sender was rejected"),
            (Command::Rcpt(number), _, 2 | 4 | 5) => self.recipient(number, reply),
            (Command::Data, 354, _) => {
                self.message = Some(DotStuffer::default());
                self.unanswered.push_back((Command::EndOfData, u64::MAX));
            }
            (Command::Data, _, 4 | 5) => self.decide(reply, "failed on DATA command"),
            _ => self.abandon(self.words().out_of_step(reply)),
        }
    }

    /// The server closed in the middle of a login. `line_sent`: the line that it did not answer had gone out.
    fn login_closed(&mut self, line_sent: bool) {
        let Some(auth) = &mut self.auth else { return self.abandon(self.words().died()) };
        let step = auth.closed(line_sent);
        self.send_failed();
        self.unanswered.clear();
        self.login(step, None);
    }

    fn begin_login(&mut self) {
        let offer = std::mem::take(&mut self.capabilities.auth);
        match &mut self.auth {
            None => self.send_mail(),
            Some(auth) => {
                let step = auth.begin(offer, self.permission);
                self.login(step, None);
            }
        }
    }

    fn login(&mut self, step: Step, reply: Option<&Reply>) {
        match step {
            Step::Send(line) => {
                if !self.write_failed {
                    self.out.put_secret_line(&line);
                }
                self.expect(Command::Auth);
            }
            Step::LoggedIn => self.send_mail(), // and no EHLO or RSET before it: either drops the login on some server
            Step::Reconnect(why) => self.end(Ending::Reconnect(self.words().login_failed(&why, reply))),
            Step::Failed(why) => self.finish(self.words().login_failed(&why, reply)),
        }
    }

    fn send_mail(&mut self) {
        self.send(Command::Mail, [b"MAIL FROM:<", &self.envelope.sender[..], b">"].concat());
        if self.capabilities.pipelining {
            (0..self.envelope.recipients.len()).for_each(|number| self.send_rcpt(number));
            self.send(Command::Data, b"DATA".to_vec());
        }
    }

    fn send_rcpt(&mut self, number: usize) {
        let line = [b"RCPT TO:<", &self.envelope.recipients[number][..], b">"].concat();
        self.send(Command::Rcpt(number), line);
    }

    fn recipient(&mut self, number: usize, reply: &Reply) {
        self.recipients.push(self.words().recipient_report(reply));
        if number + 1 < self.envelope.recipients.len() {
            if !self.capabilities.pipelining {
                self.send_rcpt(number + 1);
            }
        } else if !self.recipients.iter().any(RecipientReport::is_accepted) {
            self.finish(Verdict::new(Letter::D, format!("Giving up on {}.", self.peer)));
        } else if !self.capabilities.pipelining {
            self.send(Command::Data, b"DATA".to_vec());
        }
    }

    fn send(&mut self, command: Command, line: Vec<u8>) {
        if !self.write_failed {
            self.out.put_line(&line);
        }
        self.expect(command);
    }

    fn expect(&mut self, command: Command) {
        let end = if self.write_failed { u64::MAX } else { self.out.end() };
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

    fn decide(&mut self, reply: &Reply, what: &str) {
        self.finish(self.words().refusal(reply, what));
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

    fn refused(&mut self, what: &str, reply: &Reply) {
        let verdict = self.words().refused(what, reply);
        self.end(Ending::NextAddress(verdict));
    }

    /// Ends politely where a QUIT can be understood as one: not as a line of a message, and once.
    fn end(&mut self, ending: Ending) {
        let in_message = self.message.is_some() || self.dot.is_some() && !self.dot_is_sent();
        let has_quit = self.dot.is_some() && self.capabilities.pipelining;
        if !self.write_failed && !in_message && !has_quit {
            self.last_words = b"QUIT\r\n";
        }
        self.ending = Some(ending);
    }

    /// The connection is of no more use. A verdict that was known before stands.
    fn abandon(&mut self, verdict: Verdict) {
        let verdict = self.decided.take().unwrap_or(verdict);
        let recipients = std::mem::take(&mut self.recipients);
        self.ending.get_or_insert(Ending::Report(recipients, verdict));
    }
}
