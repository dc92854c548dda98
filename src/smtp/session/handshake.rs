//! From the greeting to the login (RFC 5321 section 3.1, RFC 3207, RFC 4954): what comes before mail.

use super::{Ending, Outcome, Session, TlsState};
use crate::cause::tls::TlsCause;
use crate::cause::{AddressFailure, LoginCause, Refusal};
use crate::command::Command;
use crate::event::Event;
use crate::report::Verdict;
use crate::resolve::resolution::known;
use crate::smtp::ehlo::Capabilities;
use crate::smtp::envelope::{Goal, Relay};
use crate::tls::{self, Failure};
use qmail_auth::client::{Client, Permission, Step};
use qmail_auth::mask;
use qmail_auth::reply::Reply;
use qmail_auth::{Login, LoginKind};

impl Session {
    pub(super) fn greeting_reply(&mut self, reply: &Reply) {
        match reply.code {
            220 => self.say_hello(),
            _ => self.refused(Command::Greeting, Refusal::Greeting, reply),
        }
    }

    /// EHLO, on this connection and again over TLS.
    pub(super) fn say_hello(&mut self) {
        self.send(Command::Ehlo, [b"EHLO ", &self.envelope.helohost[..]].concat());
    }

    pub(super) fn hello_reply(&mut self, command: Command, reply: &Reply) {
        match (command, reply.code, reply.class()) {
            (Command::Ehlo, 250, _) => {
                self.capabilities = Capabilities::read(&reply.text);
                self.secure();
            }
            (Command::Ehlo, code, class @ (4 | 5)) if code != 421 => {
                self.hello_deferred = class == 4;
                self.send(Command::Helo, [b"HELO ", &self.envelope.helohost[..]].concat());
            }
            (_, 250, _) => self.secure(),
            _ => self.refused(command, Refusal::Hello, reply),
        }
    }

    fn refused(&mut self, command: Command, what: Refusal, reply: &Reply) {
        let verdict = self.words().refused(command, reply);
        self.end(Ending::NextAddress(verdict, AddressFailure::Refused { what, code: reply.code }.to_string()));
    }

    /// The server has said hello: first TLS, then the login, then the mail.
    fn secure(&mut self) {
        if let Some(session) = self.channel.tls() {
            if self.login_kind() == Some(LoginKind::Certificate) && !session.showed_certificate() {
                return self.finish(self.words().login_failed(&LoginCause::CertificateNotAsked, None));
            }
            let permission = self.policy.over_tls(self.credentials(), session.is_verified());
            return self.begin_login(permission);
        }
        if self.capabilities.starttls && self.policy.begins_tls(self.credentials()) {
            return self.send(Command::StartTls, b"STARTTLS".to_vec());
        }
        match self.policy.in_clear(self.credentials(), self.is_on_loopback()) {
            Some(permission) => self.begin_login(permission),
            None => {
                self.end(Ending::NextAddress(self.words().starttls_missing(), AddressFailure::NoStarttls.to_string()))
            }
        }
    }

    /// The route itself names this machine, and so the connection goes to it. What DNS says is no permission.
    fn is_on_loopback(&self) -> bool {
        self.peer.to_canonical().is_loopback() && known(&self.envelope.relay.name).contains(&self.peer)
    }

    /// What to log in with, if there is anything.
    pub(super) fn credentials(&self) -> Option<&Login> {
        self.auth.as_ref().map(Client::login)
    }

    fn login_kind(&self) -> Option<LoginKind> {
        self.credentials().map(Login::kind)
    }

    /// `behind` is what was received behind the reply: in clear, by whoever may have been on the way.
    pub(super) fn starttls_reply(&mut self, reply: &Reply, behind: &[u8]) {
        match reply.code {
            220 if !behind.is_empty() => {
                self.server_failed(AddressFailure::SpokeInClear.to_string(), self.words().clear_behind_starttls());
            }
            220 => self.start_tls(),
            ..400 => self.out_of_step(reply),
            code => self.no_tls(TlsCause::Refused { code }.to_string(), self.words().refused(Command::StartTls, reply)),
        }
    }

    /// Begins the handshake, and forgets what was learnt before it (RFC 3207 section 4.2).
    pub(super) fn start_tls(&mut self) {
        self.capabilities = Capabilities::default();
        let verification = self.policy.verification(self.credentials());
        let Relay { security, name, .. } = &self.envelope.relay;
        match tls::Session::start(security, verification, (name, self.peer), self.unix) {
            Ok(session) => {
                self.channel.start_tls(session);
                self.tls = TlsState::Starting;
            }
            Err(failure) => self.tls_failed(failure),
        }
    }

    pub(super) fn is_starting_tls(&self) -> bool {
        matches!(self.tls, TlsState::Starting)
    }

    pub(super) fn tls_failed(&mut self, failure: Failure) {
        if let Some(session) = self.channel.tls() {
            self.envelope.log.tell(&Event::TlsFailed(session.view(self.mask())));
        }
        match failure {
            Failure::SetUp(why) => self.abandon(self.words().tls_failed(&why)),
            Failure::Relay(why) | Failure::NotTls(why) if !self.is_starting_tls() => {
                self.tls = TlsState::Broke(why.to_string());
                self.closed();
            }
            Failure::Relay(why) => self.handshake_failed(why.to_string()),
            Failure::NotTls(why) => {
                let why = why.to_string();
                let cause = match self.envelope.relay.implicit_tls {
                    true => TlsCause::WrongPort { why },
                    false => TlsCause::ClearOnTheWay { why },
                };
                self.handshake_failed(cause.to_string());
            }
        }
    }

    fn handshake_failed(&mut self, why: String) {
        let verdict = self.words().tls_failed(&why);
        self.no_tls(why, verdict);
    }

    /// STARTTLS comes to nothing. That is the end here, but for mail that would have gone out in clear too.
    fn no_tls(&mut self, why: String, verdict: Verdict) {
        let ending = match self.envelope.relay.falls_back(self.credentials()) {
            true => Ending::ReconnectInClear(verdict, why),
            false => {
                let why = self.words().masked(&why);
                Ending::NextAddress(verdict, AddressFailure::TlsFailed { why }.to_string())
            }
        };
        self.end(ending);
    }

    fn begin_login(&mut self, permission: Permission) {
        let offer = std::mem::take(&mut self.capabilities.auth);
        let over_tls = self.channel.tls().is_some();
        match &mut self.auth {
            None => self.send_mail(),
            Some(auth) => {
                let step = auth.begin(offer, permission, over_tls);
                self.envelope.log.tell(&Event::Mechanisms(auth.choice()));
                match step {
                    Step::Send(_) if self.envelope.goal == Goal::LoginKnown => self.outcome = Outcome::Checked,
                    step => self.login(step, None),
                }
            }
        }
    }

    pub(super) fn auth_reply(&mut self, reply: &Reply) {
        let Some(auth) = &mut self.auth else { return };
        if reply.class() == 5 {
            auth.keep_refusal(&reply.text);
        }
        let step = auth.step(reply.code, reply.last_text());
        self.login(step, Some(reply));
    }

    /// The server closed in the middle of a login. `line_sent`: the line that it did not answer had gone out.
    pub(super) fn login_closed(&mut self, line_sent: bool) {
        let Some(auth) = &mut self.auth else { return self.abandon(self.words().died()) };
        let step = auth.closed(line_sent);
        self.send_failed();
        self.unanswered.clear();
        self.login(step, None);
    }

    fn login(&mut self, step: Step, reply: Option<&Reply>) {
        match step {
            Step::Send(line) => {
                if !self.write_failed {
                    self.envelope.log.tell(&Event::SentSecret(mask::open_part(&line)));
                    self.channel.put_secret_line(&line);
                }
                self.expect(Command::Auth);
            }
            Step::Proceed => {
                self.envelope.log.tell(&Event::LoggedIn(self.auth.as_ref().and_then(Client::accepted)));
                self.send_mail(); // and no EHLO or RSET before it: either drops the login on some server
            }
            Step::Reconnect(why) => self.end(Ending::Reconnect(self.words().login_failed(&why, reply))),
            Step::Deferred(why) | Step::Failed(why) => self.finish(self.words().login_failed(&why, reply)),
        }
    }
}
