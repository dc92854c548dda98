//! What the server does: octets, which become replies one by one, its end, or nothing at all.

use super::{Outcome, Session, TlsState};
use crate::cause::tls::TlsCause;
use crate::cause::{AddressFailure, Cause};
use crate::command::Command;
use crate::event::Event;
use crate::tls::{self, Failure};

impl Session {
    /// The server sent this.
    pub(super) fn received(&mut self, now: u64, octets: &[u8]) {
        match self.channel.tls() {
            None => self.read(now, octets),
            Some(session) => {
                let was_handshaking = session.is_handshaking();
                self.received_over_tls(now, octets, was_handshaking);
            }
        }
        // Not before all that is in hand is read: a reply that answers nothing would be the end of a mail, too.
        if matches!(self.outcome, Outcome::Checked) && self.reader.is_empty() {
            self.finish(Cause::Checked.into());
        }
        // Octets that make no reply do not extend the deadline, however many come.
        if !self.is_over() && now >= self.deadline {
            self.timed_out();
        }
    }

    fn received_over_tls(&mut self, now: u64, octets: &[u8], was_handshaking: bool) {
        let mut plain = Vec::new();
        let decrypted = self.channel.decrypt(octets, &mut plain);
        self.write_failed |= decrypted.is_err(); // what was said before the failure counts, but nothing can be answered
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

    /// The server said this.
    fn read(&mut self, now: u64, mut input: &[u8]) {
        while !input.is_empty() && !self.is_over() {
            if self.reader.is_empty() {
                if let [b'\r' | b'\n', rest @ ..] = input {
                    input = rest; // of an empty line, or of one that ended in LF CR: it begins no reply
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
                        let text = self.reader.text(); // up to where it was no reply any more, so a secret may be cut
                        let masked = self.mask().map(|mask| mask.apply_cut(text));
                        self.envelope.log.notify(&Event::NoReply(masked.as_deref().unwrap_or(text)));
                    }
                    self.server_failed(error.to_string(), self.reporter().no_reply(&error));
                }
            }
        }
    }

    /// The server has said its last: it closed, or the connection is lost.
    pub(super) fn closed(&mut self) {
        if self.is_starting_tls() {
            let done = self.channel.tls().is_some_and(|session| !session.is_handshaking());
            let when = if done { TlsCause::ClosedAfterHandshake } else { TlsCause::ClosedInHandshake };
            return self.tls_failed(Failure::Relay(when));
        }
        match self.unanswered.front() {
            Some((Command::Auth, end)) => self.login_closed(self.channel.is_sent(*end)),
            _ => self.lost(None),
        }
    }

    /// The deadline passed, and the server had said nothing.
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

    /// What the next reply would be to.
    pub(super) fn awaited(&self) -> Option<Command> {
        self.unanswered.front().map(|(command, _)| *command)
    }
}
