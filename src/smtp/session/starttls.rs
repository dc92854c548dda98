//! STARTTLS (RFC 3207) and the TLS handshake: how TLS begins, and what becomes of the connection where it fails.

use super::{Ending, Session};
use crate::cause::AddressFailure;
use crate::cause::tls::TlsCause;
use crate::event::Event;
use crate::report::Verdict;
use crate::smtp::ehlo::Capabilities;
use crate::smtp::envelope::Relay;
use crate::smtp_command::Command;
use crate::tls::{self, Failure};
use qmail_auth::reply::Reply;

/// How far TLS is.
pub(super) enum TlsState {
    /// The session is in clear.
    Clear,
    /// The handshake, until the first reply over TLS.
    Starting,
    /// A reply came over TLS.
    Up,
    /// TLS failed after that, and why.
    Broke(String),
}

impl Session {
    /// The server wants the handshake. `behind` is what was received after its reply: in clear, so anybody on the way may have sent
    /// it.
    pub(super) fn starttls_accepted(&mut self, behind: &[u8]) {
        if behind.is_empty() {
            self.start_tls();
        } else {
            self.server_failed(AddressFailure::SpokeInClear.to_string(), self.reporter().clear_behind_starttls());
        }
    }

    /// The server refuses STARTTLS, or its reply does not fit.
    pub(super) fn starttls_refused(&mut self, reply: &Reply) {
        let code = reply.code;
        if code < 400 {
            return self.out_of_step(reply);
        }
        self.no_tls(TlsCause::Refused { code }.to_string(), self.reporter().refused(Command::StartTls, reply));
    }

    /// Begins the handshake, and forgets all that the server said before it (RFC 3207 section 4.2).
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
            self.envelope.log.notify(&Event::TlsFailed(session.view(self.mask())));
        }
        match failure {
            Failure::SetUp(why) => self.abandon(self.reporter().tls_failed(&why)),
            Failure::Relay(why) | Failure::NotTls(why) if !self.is_starting_tls() => {
                self.tls = TlsState::Broke(why.to_string());
                self.closed();
            }
            Failure::Relay(why) => self.handshake_failed(why.to_string()),
            Failure::NotTls(why) => {
                let why = why.to_string();
                let cause = if self.envelope.relay.implicit_tls {
                    TlsCause::WrongPort { why }
                } else {
                    TlsCause::ClearOnTheWay { why }
                };
                self.handshake_failed(cause.to_string());
            }
        }
    }

    fn handshake_failed(&mut self, why: String) {
        let verdict = self.reporter().tls_failed(&why);
        self.no_tls(why, verdict);
    }

    /// There is no TLS. That is the end here, except for mail that may go out in clear.
    fn no_tls(&mut self, why: String, verdict: Verdict) {
        let ending = if self.envelope.relay.falls_back(self.credentials()) {
            Ending::ReconnectInClear(verdict, why)
        } else {
            let why = self.reporter().masked(&why);
            Ending::NextAddress(verdict, AddressFailure::TlsFailed { why }.to_string())
        };
        self.end(ending);
    }
}
