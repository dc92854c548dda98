//! The login (RFC 4954). The AUTH client decides what to send; here its lines are sent, and its endings become those of the
//! session.

use super::{Ending, Outcome, Session};
use crate::event::Event;
use crate::smtp::envelope::Goal;
use crate::smtp_command::Command;
use crate::tls;
use crate::verdict::login_refusals;
use crate::want::{Happened, out_of_turn};
use qmail_auth::client::{Channel, Client, Permission, Step};
use qmail_auth::mask;
use qmail_auth::mechanisms::NONCE;
use qmail_auth::reply::Reply;

impl Session {
    /// Logs in, or sends the mail where no login is configured.
    pub(super) fn begin_login(&mut self, permission: Permission) {
        if self.waits_for_lock(permission) {
            return;
        }
        let channel = match self.channel.tls() {
            None => Channel::Clear,
            Some(session) if session.can_bind() => Channel::Tls13,
            Some(_) => Channel::Tls,
        };
        match &mut self.auth {
            None => self.send_mail(),
            Some(auth) => {
                let offer = std::mem::take(&mut self.capabilities.auth);
                let step = auth.begin(offer, permission, channel);
                self.envelope.log.notify(&Event::Mechanisms(auth.choice()));
                match step {
                    Step::Send(_) | Step::Random { .. } if self.envelope.goal == Goal::LoginKnown => {
                        self.outcome = Outcome::Checked
                    }
                    step => self.login(step, None),
                }
            }
        }
    }

    /// A reply to AUTH or to a line of the login.
    pub(super) fn auth_reply(&mut self, reply: &Reply) {
        let auth = self.auth.as_mut().expect("AUTH is sent for a login alone");
        if reply.class() == 5 && login_refusals::tells_more(reply, auth.refusal()) {
            auth.keep_refusal(&reply.text);
        }
        if let Some(account) = &mut self.account {
            account.answered(reply, auth.mask());
        }
        let step = auth.step(reply.code, reply.last_text());
        if reply.code == 334 && self.envelope.log.is_on() {
            auth.last_said().iter().for_each(|said| self.envelope.log.notify(&Event::TokenRefused(said)));
        }
        self.login(step, Some(reply));
    }

    /// The server hangs up over an earlier refusal of the login, or since this delivery has waited to begin it.
    pub(super) fn is_good_bye(&self, reply: &Reply) -> bool {
        matches!(reply.code, 221 | 421) && (self.has_waited || self.auth.as_ref().is_some_and(Client::is_good_bye))
    }

    /// The server closed during the login. `line_sent`: the line that it did not answer was sent.
    pub(super) fn login_closed(&mut self, line_sent: bool) {
        let auth = self.auth.as_mut().expect("AUTH is sent for a login alone");
        self.wants_random = None;
        let step = auth.closed(line_sent);
        self.account.iter_mut().for_each(|account| account.closed());
        self.send_failed();
        self.unanswered.clear();
        self.login(step, None);
    }

    /// The random octets that the login waits for.
    pub(super) fn random(&mut self, octets: Option<[u8; NONCE]>) {
        let Some(binding) = self.wants_random.take() else { out_of_turn(&Happened::Random(octets)) };
        let binding = self.channel.tls().filter(|_| binding).and_then(tls::Session::binding);
        let auth = self.auth.as_mut().expect("only a login needs random octets");
        let step = auth.random(octets, binding);
        self.login(step, None);
    }

    fn login(&mut self, step: Step, reply: Option<&Reply>) {
        match step {
            Step::Random { binding } => self.wants_random = Some(binding),
            Step::Send(line) => {
                self.account.iter_mut().for_each(|account| account.asked());
                if !self.write_failed {
                    self.envelope.log.notify(&Event::SentSecret(mask::showable_part(&line)));
                    self.channel.put_secret_line(&line);
                }
                self.expect(Command::Auth);
            }
            Step::Proceed => {
                let auth = self.auth.as_ref();
                self.envelope
                    .log
                    .notify(&Event::LoggedIn(auth.and_then(Client::accepted), auth.and_then(Client::rounds)));
                self.login_concluded();
                self.send_mail(); // without EHLO or RSET before it: on some servers either drops the login
            }
            Step::Failed(why) if self.is_worth_another_token() => {
                self.end(Ending::RefusedToken(self.reporter().not_logged_in(why, reply)));
            }
            Step::Reconnect(why) => self.end(Ending::Reconnect(self.reporter().not_logged_in(why, reply))),
            Step::Deferred(why) | Step::Failed(why) => self.finish(self.reporter().not_logged_in(why, reply)),
        }
    }

    /// The relay refuses the token, and that may be for its age.
    fn is_worth_another_token(&self) -> bool {
        let is_refused = self.auth.as_ref().is_some_and(Client::wants_new_token);
        is_refused && self.supply.as_ref().is_some_and(|supply| supply.is_worth_another(self.unix))
    }
}
