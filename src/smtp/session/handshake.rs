//! From the greeting to the login (RFC 5321 section 3.1, RFC 3207, RFC 4954): what comes before mail.

use super::{Ending, Session};
use crate::event::Event;
use crate::report::Verdict;
use crate::resolve::resolution::known;
use crate::smtp::command::Command;
use crate::smtp::ehlo::Capabilities;
use crate::smtp::envelope::{Goal, Relay};
use crate::tls::{self, Failure};
use qmail_auth::Credentials;
use qmail_auth::client::{Auth, Permission, Step};
use qmail_auth::mask;
use qmail_auth::reply::Reply;

impl Session {
    pub(super) fn greeting_reply(&mut self, reply: &Reply) {
        match reply.code {
            220 => self.say_hello(),
            _ => self.refused("greeting failed", reply),
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
            _ => self.refused("my name was rejected", reply),
        }
    }

    fn refused(&mut self, what: &str, reply: &Reply) {
        let verdict = self.words().refused(what, reply);
        self.end(Ending::NextAddress(verdict, format!("{what} ({})", reply.code)));
    }

    /// The server has said hello: first TLS, then the login, then the mail.
    fn secure(&mut self) {
        if let Some(session) = self.channel.tls() {
            if self.credentials().is_some_and(|login| login.by_certificate) && !session.showed_certificate() {
                let why = "the relay asks for no client certificate, or for none with our kind of key, and there is no password";
                return self.finish(self.words().login_failed(why, None));
            }
            let permission = self.policy.over_tls(self.credentials(), session.is_verified());
            return self.begin_login(permission);
        }
        if self.capabilities.starttls && self.policy.begins_tls(self.credentials()) {
            return self.send(Command::StartTls, b"STARTTLS".to_vec());
        }
        match self.policy.in_clear(self.credentials(), self.is_on_loopback()) {
            Some(permission) => self.begin_login(permission),
            None => self.end(Ending::NextAddress(self.words().starttls_missing(), "no STARTTLS".to_owned())),
        }
    }

    /// The route itself names this machine, and so the connection goes to it. What DNS says is no leave.
    fn is_on_loopback(&self) -> bool {
        self.peer.to_canonical().is_loopback() && known(&self.envelope.relay.name).contains(&self.peer)
    }

    pub(super) fn credentials(&self) -> Option<&Credentials> {
        self.auth.as_ref().map(Auth::credentials)
    }

    /// `behind` is what was received behind the reply: in clear, by whoever may have been on the way.
    pub(super) fn starttls_reply(&mut self, reply: &Reply, behind: &[u8]) {
        match reply.code {
            220 if !behind.is_empty() => {
                self.server_failed("spoke in clear after STARTTLS".to_owned(), self.words().clear_behind_starttls());
            }
            220 => self.start_tls(),
            ..400 => self.out_of_step(reply),
            code => self.no_tls(format!("STARTTLS is refused ({code})"), self.words().starttls_refused(reply)),
        }
    }

    /// Begins the handshake, and forgets what was learnt before it (RFC 3207 section 4.2).
    pub(super) fn start_tls(&mut self) {
        self.capabilities = Capabilities::default();
        let verification = self.policy.verification(self.credentials());
        let Relay { security, name, .. } = &self.envelope.relay;
        match tls::Session::start(security, verification, (name, self.peer), self.unix) {
            Ok(session) => self.channel.start_tls(session),
            Err(failure) => self.tls_failed(failure),
        }
    }

    /// TLS has begun and nothing was said over it yet.
    pub(super) fn is_starting_tls(&self) -> bool {
        self.channel.tls().is_some() && !self.tls_holds
    }

    pub(super) fn tls_failed(&mut self, failure: Failure) {
        if let Some(session) = self.channel.tls() {
            self.envelope.log.tell(&Event::TlsFailed(session.view(self.mask())));
        }
        match failure {
            Failure::SetUp(why) => self.abandon(self.words().tls_failed(&why)),
            Failure::Relay(why) | Failure::NotTls(why) if self.tls_holds => {
                self.tls_broke = Some(why);
                self.closed();
            }
            Failure::Relay(why) => self.handshake_failed(why),
            Failure::NotTls(why) => {
                let hint = match self.envelope.relay.implicit_tls {
                    true => "is this the right port? 587 has STARTTLS, 465 TLS at once",
                    false => "it may have come in clear from somebody on the way",
                };
                self.handshake_failed(format!("{why}; {hint}"));
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
            false => Ending::NextAddress(verdict, format!("TLS failed: {}", self.words().masked(&why))),
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
                    Step::Send(_) if self.envelope.goal == Goal::LoginKnown => self.is_checked = true,
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
                self.envelope.log.tell(&Event::LoggedIn(self.auth.as_ref().and_then(Auth::accepted)));
                self.send_mail(); // and no EHLO or RSET before it: either drops the login on some server
            }
            Step::Reconnect(why) => self.end(Ending::Reconnect(self.words().login_failed(&why, reply))),
            Step::Deferred(why) | Step::Failed(why) => self.finish(self.words().login_failed(&why, reply)),
        }
    }
}
