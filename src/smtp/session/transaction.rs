//! The mail transaction (RFC 5321 section 3.3): MAIL, RCPT, DATA, the message.

use super::{Ending, Outcome, Sending, Session};
use crate::cause::{AddressFailure, Cause};
use crate::report::RecipientReport;
use crate::smtp::data::{DotStuffer, Prescan};
use crate::smtp::ehlo::Capabilities;
use crate::smtp::envelope::{Envelope, Facts, Goal};
use crate::smtp_command::Command;
use crate::want::{Happened, out_of_turn};
use qmail_auth::reply::Reply;
use std::mem;

impl Session {
    /// Sends MAIL; with PIPELINING (RFC 2920) all up to DATA in the same flight. Before that the message is read once, if the
    /// server wants to know something of it.
    pub(super) fn send_mail(&mut self) {
        let Envelope { sender, recipients, facts, .. } = &self.envelope;
        let non_ascii = !sender.is_ascii() || !recipients.iter().all(|recipient| recipient.is_ascii());
        let Capabilities { size, eight_bit_mime, smtputf8, .. } = self.capabilities;
        if non_ascii && !smtputf8 {
            let verdict = self.reporter().non_ascii_address(self.hello_deferred);
            if self.envelope.relay.is_direct {
                // Another exchanger may offer it.
                return self.end(Ending::NextAddress(verdict, AddressFailure::NoSmtputf8.to_string()));
            }
            return self.finish(verdict);
        }
        if self.envelope.goal != Goal::Sent {
            self.outcome = Outcome::Checked;
            return;
        }
        if (size || eight_bit_mime) && *facts == Facts::NotYet {
            self.sending = Sending::Prescan(Prescan::default());
            return;
        }
        let mut line = [b"MAIL FROM:<", &sender[..], b">"].concat();
        if let Facts::Known(facts) = facts {
            if size {
                line.extend_from_slice(format!(" SIZE={}", facts.size).as_bytes());
            }
            if eight_bit_mime && facts.is_8bit {
                line.extend_from_slice(b" BODY=8BITMIME");
            }
        }
        if non_ascii {
            line.extend_from_slice(b" SMTPUTF8");
        }
        self.send(Command::Mail, line);
        if self.capabilities.pipelining {
            (0..self.envelope.recipients.len()).for_each(|number| self.send_rcpt(number));
            self.send(Command::Data, b"DATA".to_vec());
        }
    }

    /// The server has accepted the sender.
    pub(super) fn mail_accepted(&mut self) {
        if !self.capabilities.pipelining {
            self.send_rcpt(0);
        }
    }

    fn send_rcpt(&mut self, number: usize) {
        let line = [b"RCPT TO:<", &self.envelope.recipients[number][..], b">"].concat();
        self.send(Command::Rcpt(number), line);
    }

    /// The server has accepted or refused a recipient.
    pub(super) fn rcpt_reply(&mut self, number: usize, reply: &Reply) {
        self.recipients.push(self.reporter().recipient_report(reply));
        if number + 1 < self.envelope.recipients.len() {
            if !self.capabilities.pipelining {
                self.send_rcpt(number + 1);
            }
        } else if !self.recipients.iter().any(RecipientReport::is_accepted) {
            self.finish(Cause::AllRecipientsRefused { peer: self.peer }.into());
        } else if !self.capabilities.pipelining {
            self.send(Command::Data, b"DATA".to_vec());
        }
    }

    /// The server wants the message.
    pub(super) fn begin_message(&mut self) {
        self.sending = Sending::Body(DotStuffer::default());
        self.unanswered.push_back((Command::EndOfData, u64::MAX));
    }

    /// The prescan is done, or cannot be made.
    pub(super) fn prescanned(&mut self, facts: Facts) {
        self.sending = Sending::No;
        self.envelope.facts = facts;
        self.send_mail();
    }

    /// The next piece of the message.
    pub(super) fn message(&mut self, piece: &[u8]) {
        match &mut self.sending {
            Sending::Prescan(prescan) => prescan.push(piece),
            Sending::Body(stuffer) => self.channel.put(|octets| stuffer.push(piece, octets)),
            Sending::No | Sending::Dot(_) => out_of_turn(&Happened::Message(piece)),
        }
    }

    /// The message ends here.
    pub(super) fn message_end(&mut self) {
        let mut stuffer = match mem::replace(&mut self.sending, Sending::No) {
            Sending::Prescan(prescan) => return self.prescanned(Facts::Known(prescan.finish())),
            Sending::Body(stuffer) => stuffer,
            Sending::No | Sending::Dot(_) => out_of_turn(&Happened::MessageEnd),
        };
        match (self.envelope.facts, stuffer.facts()) {
            (Facts::Known(first), second) if first != second => {
                let cause = Cause::MessageChanged { first: first.size, second: second.size };
                return self.abandon(cause.into()); // a failing disk, or somebody has cut the file
            }
            _ => {}
        }
        let mut finished = Ok(());
        self.channel.put(|octets| finished = stuffer.finish(octets));
        if finished.is_err() {
            return self.abandon(Cause::PartialFinalLine.into());
        }
        let dot = self.channel.end();
        self.sending = Sending::Dot(dot);
        self.unanswered.iter_mut().for_each(|(_, end)| *end = dot);
        if self.capabilities.pipelining {
            self.channel.put_line(b"QUIT"); // in the same flight; nobody waits for its reply
        }
    }

    /// The message cannot be read. No dot is sent.
    pub(super) fn message_failed(&mut self, why: &str) {
        self.abandon(Cause::MessageUnreadable { why: why.to_owned() }.into());
    }
}
