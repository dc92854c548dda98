//! The greeting and EHLO (RFC 5321 sections 3.1 and 3.2), and what comes next: STARTTLS, the login or the mail.

use super::{Ending, Session};
use crate::cause::{AddressFailure, LoginCause};
use crate::resolve::resolution::known;
use crate::smtp::ehlo::Capabilities;
use crate::smtp_command::Command;
use qmail_auth::client::Client;
use qmail_auth::reply::Reply;
use qmail_auth::{Login, LoginKind};

impl Session {
    /// Sends EHLO: after the greeting, and again over TLS.
    pub(super) fn say_hello(&mut self) {
        self.send(Command::Ehlo, [b"EHLO ", &self.envelope.helohost[..]].concat());
    }

    /// The server has answered EHLO by its capabilities or by a refusal.
    pub(super) fn ehlo_reply(&mut self, reply: &Reply) {
        if reply.class() == 2 {
            self.capabilities = Capabilities::read(&reply.text);
            return self.secure();
        }
        self.hello_deferred = reply.class() == 4;
        self.send(Command::Helo, [b"HELO ", &self.envelope.helohost[..]].concat());
    }

    /// The server is greeted: first TLS, then the login, then the mail.
    pub(super) fn secure(&mut self) {
        if let Some(session) = self.channel.tls() {
            if self.login_kind() == Some(LoginKind::Certificate) && !session.showed_certificate() {
                return self.finish(self.reporter().login_failed(&LoginCause::CertificateNotAsked, None));
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
                let verdict = self.reporter().starttls_missing();
                self.end(Ending::NextAddress(verdict, AddressFailure::NoStarttls.to_string()));
            }
        }
    }

    /// The route itself names this machine, and the connection goes to it. A name that DNS resolves to this machine does not count.
    fn is_on_loopback(&self) -> bool {
        self.peer.to_canonical().is_loopback() && known(&self.envelope.relay.name).contains(&self.peer)
    }

    /// The login that is configured, if there is one.
    pub(super) fn credentials(&self) -> Option<&Login> {
        self.auth.as_ref().map(Client::login)
    }

    fn login_kind(&self) -> Option<LoginKind> {
        self.credentials().map(Login::kind)
    }
}
