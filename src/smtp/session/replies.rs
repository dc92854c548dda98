//! What comes from the server: its octets become replies, one by one; or it closes, or says nothing in time.

use super::{Outcome, Session, TlsState};
use crate::cause::tls::TlsCause;
use crate::cause::{AddressFailure, Cause};
use crate::event::Event;
use crate::smtp_command::Command;
use crate::tls::{self, Failure};
use qmail_auth::reply::Reply;

impl Session {
    /// Takes octets from the server, in clear or encrypted.
    pub(super) fn received(&mut self, now: u64, octets: &[u8]) {
        match self.channel.tls() {
            None => self.read(now, octets),
            Some(session) => {
                let was_handshaking = session.is_handshaking();
                self.received_over_tls(now, octets, was_handshaking);
            }
        }
        // Only after all octets in hand are read: a reply that answers nothing would end a mail, too.
        if matches!(self.outcome, Outcome::Checked) && self.reader.is_empty() {
            self.finish(Cause::Checked.into());
        }
        // Only a whole reply extends the deadline, not any number of octets.
        if !self.is_over() && now >= self.deadline {
            self.timed_out();
        }
    }

    fn received_over_tls(&mut self, now: u64, octets: &[u8], was_handshaking: bool) {
        let mut plain = Vec::new();
        let decrypted = self.channel.decrypt(octets, &mut plain);
        self.write_failed |= decrypted.is_err(); // what came before the failure counts, but nothing can be sent any more
        if was_handshaking && self.channel.tls().is_some_and(|session| !session.is_handshaking()) {
            self.renew_deadline(now);
            if let Some(session) = self.channel.tls() {
                self.envelope.log.notify(&Event::Tls(session.view(self.mask())));
            }
            if !self.envelope.relay.implicit_tls {
                self.say_hello();
            }
        }
        self.read(now, &plain);
        if !self.is_over() {
            match decrypted {
                Err(failure) => self.tls_failed(failure),
                Ok(()) if self.channel.tls().is_some_and(tls::Session::is_closed) => self.closed(),
                Ok(()) => {}
            }
        }
    }

    /// Takes octets in clear, and acts on each reply that they complete.
    fn read(&mut self, now: u64, mut input: &[u8]) {
        while !input.is_empty() && !self.is_over() {
            if self.reader.is_empty() {
                if let [b'\r' | b'\n', rest @ ..] = input {
                    input = rest; // an empty line, or the end of a line in LF CR: no reply begins here
                    continue;
                }
                self.early = self.unanswered.front().is_none_or(|(_, end)| !self.channel.is_sent(*end));
            }
            match self.reader.read(&mut input) {
                None => {}
                Some(Ok(reply)) => {
                    self.renew_deadline(now);
                    if let TlsState::Starting = self.tls {
                        self.tls = TlsState::Up;
                    }
                    self.reply(&reply, input);
                }
                Some(Err(error)) => {
                    if self.envelope.log.is_on() {
                        let text = self.reader.text(); // it may end inside a secret
                        let masked = self.mask().map(|mask| mask.apply_cut(text));
                        self.envelope.log.notify(&Event::NoReply(masked.as_deref().unwrap_or(text)));
                    }
                    self.server_failed(error.to_string(), self.reporter().no_reply(&error));
                }
            }
        }
    }

    /// A reply that no command is unanswered for.
    pub(super) fn unasked(&mut self, reply: &Reply) {
        match reply.code {
            221 | 421 if self.wants_random.is_some() => self.login_closed(false), // it came together with the refusal
            _ => self.out_of_step(reply),
        }
    }

    /// The server closed, or the connection is lost.
    pub(super) fn closed(&mut self) {
        if self.is_starting_tls() {
            let done = self.channel.tls().is_some_and(|session| !session.is_handshaking());
            let when = if done { TlsCause::ClosedAfterHandshake } else { TlsCause::ClosedInHandshake };
            return self.tls_failed(Failure::Relay(when));
        }
        match self.unanswered.front() {
            Some((Command::Auth, end)) => self.login_closed(self.channel.is_sent(*end)),
            None if self.wants_random.is_some() => self.login_closed(false),
            _ => self.lost(None),
        }
    }

    /// The deadline passed without a word from the server.
    pub(super) fn timed_out(&mut self) {
        if self.is_starting_tls() {
            return self.tls_failed(Failure::Relay(TlsCause::Silent));
        }
        self.lost(Some(if self.is_committed { self.envelope.timeout } else { self.patience }));
    }

    fn lost(&mut self, silence: Option<u64>) {
        self.envelope.log.notify(&Event::Lost(self.awaited(), silence));
        let why = if silence.is_some() { AddressFailure::Silent } else { AddressFailure::Died };
        self.server_failed(why.to_string(), self.reporter().died());
    }

    /// The command that the next reply answers.
    pub(super) fn awaited(&self) -> Option<Command> {
        self.unanswered.front().map(|(command, _)| *command)
    }
}
