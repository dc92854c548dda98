//! The reports of a session, put together: a fate of [`crate::verdict`], a text of [`crate::cause`], the server's words, and what
//! was tried before.

use crate::cause::login::{TlsDemand, WhyInClear};
use crate::cause::tls::{Instead, NoTls, TlsNeed};
use crate::cause::{AddressFailure, Because, Cause, Duplicate, LoggedIn, LoginCause, Note, Refusal, User};
use crate::policy::{Security, TlsPolicy};
use crate::report::{RecipientReport, Verdict};
use crate::smtp::envelope::Relay;
use crate::smtp_command::Command;
use crate::tls::Session;
use crate::verdict::account_refusals;
use crate::verdict::{self, About, Judgement, LoginState, RecipientFate, login_refusals};
use qmail_auth::LoginKind;
use qmail_auth::cause::{self as auth, Attempts};
use qmail_auth::client::Client;
use qmail_auth::reply::{self, Reply, ReplyError};
use std::fmt::Display;
use std::net::IpAddr;

/// Makes the verdicts and recipient reports of a session, out of what they speak of.
pub struct Reporter<'a> {
    /// The address of the server.
    pub peer: IpAddr,
    /// The relay.
    pub relay: &'a Relay,
    /// The login, if one is configured.
    pub auth: Option<&'a Client>,
    /// The server offers AUTH. Not known any more once a login has begun.
    pub offers_auth: bool,
    /// TLS, where it was begun.
    pub tls: Option<&'a Session>,
    /// Why it came to nothing on the connection before.
    pub tls_failure: Option<&'a str>,
    /// Why it broke off.
    pub tls_broke: Option<&'a str>,
    /// The server may have taken the message.
    pub dot_is_sent: bool,
}

impl Reporter<'_> {
    /// The server has taken the message. The last line says how it was sent, for whoever reads logs.
    pub fn accepted(&self, reply: &Reply) -> Verdict {
        let auth = match self.auth.and_then(|auth| Some((auth.accepted()?.name, auth.login().user()))) {
            None => LoggedIn::No,
            Some((mechanism, None)) => LoggedIn::ByMechanism { mechanism },
            Some((mechanism, Some(user))) => {
                LoggedIn::AsUser { mechanism, user: String::from_utf8_lossy(user).into_owned() }
            }
        };
        let tls = self.tls.map_or("none", Session::version);
        let certificate = if self.tls.is_some_and(Session::is_verified) { "verified" } else { "unverified" };
        let fate = self.judge(Command::EndOfData, reply).fate();
        let verdict = self.with_reply(Verdict::new(fate, &Cause::Accepted { peer: self.peer }), reply);
        verdict.with_note(&Note::How { tls, certificate, auth })
    }

    /// A 4xx or 5xx to this command.
    pub fn refused(&self, command: Command, reply: &Reply) -> Verdict {
        let (peer, judgement) = (self.peer, self.judge(command, reply));
        let cause = match (command, judgement.about()) {
            (Command::StartTls, _) => self.no_tls(NoTls::Refused),
            (_, about @ (About::Login | About::Certificate)) => {
                Cause::LoginWanted { peer, what: self.login_cause(about, reply), notes: self.before() }
            }
            (_, About::Tls) => {
                Cause::LoginWanted { peer, what: self.login_cause(About::Tls, reply), notes: self.login_before() }
            }
            (Command::Mail, about) => Cause::SenderRejected { peer, because: self.because(command, about, reply) },
            (Command::Data, about) => Cause::DataFailed { peer, because: self.because(command, about, reply) },
            (_, about) => Cause::MessageFailed { peer, because: self.because(command, about, reply) },
        };
        self.with_reply(Verdict::new(judgement.fate(), &cause), reply)
    }

    /// The report of a recipient with this reply.
    pub fn recipient_report(&self, reply: &Reply) -> RecipientReport {
        match verdict::judge_recipient(reply, self.login()) {
            (RecipientFate::Accepted, _) => RecipientReport::accepted(),
            (fate, about) => {
                let because = self.because(Command::Rcpt(0), about, reply); // whichever: all are alike
                let cause = Cause::RecipientRefused { peer: self.peer, because };
                RecipientReport::refused(fate, &cause, &reply.text, self.auth.map(Client::mask))
            }
        }
    }

    /// What a reply decides.
    pub fn judge(&self, command: Command, reply: &Reply) -> Judgement {
        verdict::judge(command, reply, self.login())
    }

    fn login(&self) -> LoginState {
        match self.auth {
            None if self.offers_auth && !self.relay.is_direct => LoginState::OnlyOffered,
            None => LoginState::None,
            Some(auth) if auth.login().kind() == LoginKind::Certificate && auth.accepted().is_none() => {
                LoginState::CertificateShown
            }
            Some(_) => LoginState::Accepted,
        }
    }

    /// The server does not want us, as it says in its greeting or to EHLO and HELO. And what became of its address.
    pub fn server_refuses(&self, command: Command, reply: &Reply) -> (Verdict, String) {
        let what = if command == Command::Greeting { Refusal::Greeting } else { Refusal::Hello };
        let cause = Cause::ServerRefuses { peer: self.peer, what, notes: self.before() };
        let why = AddressFailure::Refused { what, code: reply.code }.to_string();
        (self.with_reply(cause.into(), reply), why)
    }

    /// A refusal of the mail may be about something of ours. If it is not, it may still be due to the login that we have made. Where
    /// it is about the sender the login is named; not elsewhere, as a bounce may go to anybody.
    fn because(&self, command: Command, about: About, reply: &Reply) -> Because {
        let relay = || self.relay.shown.clone();
        match (about, self.auth.filter(|auth| auth.accepted().is_some())) {
            (About::Mail, Some(auth)) if account_refusals::is_of_sender(reply) => {
                Because::Sender { user: User::of(auth.login()), relay: relay() }
            }
            (About::Mail, Some(auth)) if command == Command::Mail => {
                Because::MailAs { user: User::of(auth.login()), relay: relay() }
            }
            (About::Mail | About::Unknown, _) => Because::Mail,
            (about, _) => Because::Login { what: self.login_cause(about, reply) },
        }
    }

    fn login_cause(&self, about: About, reply: &Reply) -> LoginCause {
        let relay = self.relay.shown.clone();
        // A 530 over TLS is about a login, whatever it says about TLS.
        if about == About::Tls && (self.tls.is_none() || reply.code == 538) {
            return LoginCause::Tls { demand: TlsDemand::OfRelay { why: self.why_in_clear() }, relay };
        }
        if let (About::Login, Some(auth), Some((meaning, _))) = (about, self.auth, login_refusals::meaning(reply)) {
            if auth.login().kind() != LoginKind::Token || login_refusals::is_of_tokens(meaning) {
                return LoginCause::Meant { user: User::of(auth.login()), relay, meaning };
            }
        }
        match (about, self.auth) {
            (About::Relaying, _) => LoginCause::RelayingDenied { relay },
            (About::Account(trouble), Some(auth)) => {
                LoginCause::Account { user: User::of(auth.login()), relay, trouble }
            }
            (About::Certificate, _) => LoginCause::CertificateInDoubt { relay },
            (_, Some(auth)) => LoginCause::Another { user: User::of(auth.login()), relay },
            (_, None) if self.relay.is_direct => LoginCause::NoRoute { target: relay },
            (_, None) => LoginCause::NoneConfigured { relay },
        }
    }

    /// An address is non-ASCII and the server does not offer SMTPUTF8.
    pub fn non_ascii_address(&self, ehlo_was_deferred: bool) -> Verdict {
        Verdict::new(verdict::without_smtputf8(ehlo_was_deferred), &Cause::NonAscii { peer: self.peer })
    }

    /// Why this connection has no TLS.
    fn why_in_clear(&self) -> WhyInClear {
        let Security { policy, directory, .. } = &self.relay.security;
        match (self.tls, self.tls_failure, directory) {
            (Some(_), ..) => WhyInClear::IsNot,
            (None, Some(why), _) => WhyInClear::Failed { why: self.masked(why) },
            (None, None, Some(directory)) if *policy == TlsPolicy::None => {
                WhyInClear::SwitchedOff { file: format!("{directory}/tls") }
            }
            _ if self.relay.is_direct => WhyInClear::NotOfferedByExchanger,
            _ => WhyInClear::NotOffered { host: self.host_in_route() },
        }
    }

    /// STARTTLS is not there, and nothing may go out without it.
    pub fn starttls_missing(&self) -> Verdict {
        let Security { policy, directory, .. } = &self.relay.security;
        let file = format!("{}/tls", directory.as_deref().unwrap_or_default());
        let need = match self.auth {
            Some(auth) if !policy.demands_tls() && auth.login().kind() == LoginKind::Certificate => {
                TlsNeed::Certificate
            }
            Some(auth) if !policy.demands_tls() => {
                let (user, source) = (User::of(auth.login()), auth.source().unwrap_or_default().to_owned());
                if self.peer.to_canonical().is_loopback() {
                    TlsNeed::PasswordOnLoopback { user, source }
                } else {
                    TlsNeed::Password { user, source }
                }
            }
            _ => TlsNeed::Policy { file: file.clone() },
        };
        self.no_tls(if *policy == TlsPolicy::None {
            NoTls::SwitchedOff { file, need }
        } else {
            NoTls::NotOffered { instead: self.instead_of_starttls(), need }
        })
        .into()
    }

    /// The other port where a relay has TLS (RFC 8314 section 3.3). What has no route has no port; nor is there a bridge on loopback
    /// that has it.
    fn instead_of_starttls(&self) -> Instead {
        if self.relay.is_direct || self.peer.to_canonical().is_loopback() {
            return Instead::Nowhere;
        }
        Instead::Port465 { host: self.host_in_route() }
    }

    /// The relay as a route has it: an IPv6 address in brackets.
    fn host_in_route(&self) -> String {
        let name = &self.relay.name;
        if name.contains(':') { format!("[{name}]") } else { name.clone() }
    }

    /// Octets came behind the reply to STARTTLS that were not encrypted: somebody on the way wants them taken for the relay's.
    pub fn clear_behind_starttls(&self) -> Verdict {
        self.no_tls(NoTls::SpokeInClear).into()
    }

    /// TLS did not come about.
    pub fn tls_failed(&self, why: &impl Display) -> Verdict {
        let why = self.masked(&why.to_string()); // a certificate has words of the relay's
        self.no_tls(NoTls::Failed { why }).into()
    }

    fn no_tls(&self, what: NoTls) -> Cause {
        Cause::NoTls { peer: self.peer, what, relay: self.relay.shown.clone(), notes: self.before() }
    }

    /// The line without what the relay repeats of the login.
    pub fn masked(&self, line: &str) -> String {
        let masked = self.auth.map(|auth| auth.mask().apply(line.as_bytes()));
        masked.map_or_else(|| line.to_owned(), |masked| String::from_utf8_lossy(&masked).into_owned())
    }

    /// The AUTH client has not logged in. `reply` is the last one, if it is the reason.
    pub fn not_logged_in(&self, attempts: Attempts, reply: Option<&Reply>) -> Verdict {
        let reply =
            reply.filter(|reply| self.auth.is_none_or(|auth| login_refusals::tells_more(reply, auth.refusal())));
        let why = attempts.explained(|cause| self.explanation(cause, reply));
        self.login_failed(&why, reply)
    }

    /// What the AUTH client cannot know: why there is no TLS, and what the relay's words mean at its provider.
    fn explanation(&self, cause: &auth::Cause, reply: Option<&Reply>) -> Option<String> {
        use auth::Cause::{AllRefused, CheckPassword, CheckPasswordIn, CheckPasswordWithCr};
        use auth::Cause::{CheckToken, Closed, Deferred, InClear, NoAuth, NoHash};
        let auth = self.auth?;
        if let (InClear, Some(source)) = (cause, auth.source()) {
            let why = self.why_in_clear();
            return Some(
                TlsDemand::OfPassword { why, user: User::of(auth.login()), source: source.to_owned() }.to_string(),
            );
        }
        if let (NoAuth, None, why @ (WhyInClear::SwitchedOff { .. } | WhyInClear::Failed { .. })) =
            (cause, self.tls, self.why_in_clear())
        {
            return Some(TlsDemand::OfAuth { why }.to_string());
        }
        if !matches!(
            cause,
            AllRefused { .. }
                | CheckPassword { .. }
                | CheckPasswordIn { .. }
                | CheckPasswordWithCr { .. }
                | CheckToken
                | Closed
                | NoHash { .. }
                | Deferred
        ) {
            return None;
        }
        let text = reply.map_or(auth.refusal(), |reply| &reply.text);
        let reply = Reply { code: reply::code_of(text)?, text: text.to_vec() };
        if login_refusals::demands_tls(&reply) {
            return Some(TlsDemand::OfRelay { why: self.why_in_clear() }.to_string());
        }
        let is_token = auth.login().kind() == LoginKind::Token;
        let (meaning, in_doubt) = login_refusals::meaning(&reply)
            .filter(|(meaning, _)| !is_token || login_refusals::is_of_tokens(*meaning))?;
        Some(if in_doubt { format!("{cause}; {meaning}") } else { meaning.to_string() })
    }

    /// There is no login, so no MAIL is sent.
    pub fn login_failed(&self, why: &impl Display, reply: Option<&Reply>) -> Verdict {
        let user = self.auth.map_or(User::OfCertificate, |auth| User::of(auth.login()));
        let diagnosis =
            self.tls.and_then(Session::certificate_error).map(|why| Note::Certificate { why: why.to_string() });
        let diagnosis = diagnosis.map_or_else(String::new, |note| note.to_string());
        let (peer, relay, why) = (self.peer, self.relay.shown.clone(), why.to_string());
        let is_said = self.tls_failure.is_some_and(|failure| why.contains(&self.masked(failure)));
        let before = if is_said { String::new() } else { self.tls_before() };
        let notes = self.masked(&(diagnosis + &self.tls_end() + &before));
        let verdict = Verdict::from(Cause::LoginFailed { peer, user, relay, why, notes });
        match reply {
            Some(reply) => self.with_reply(verdict, reply),
            None => self.with_refusal(verdict),
        }
    }

    /// The connection is lost, or the server fell silent.
    pub fn died(&self) -> Verdict {
        let before = self.before();
        let is_alone = before.is_empty();
        let notes = self.tls_end() + &before;
        let verdict = Verdict::from(Cause::Died { peer: self.peer, duplicate: self.duplicate(), notes });
        if is_alone { verdict } else { self.with_refusal(verdict) }
    }

    /// A reply to nothing that was asked, or of a kind that has no place there.
    pub fn out_of_step(&self, reply: &Reply) -> Verdict {
        self.with_reply(self.protocol_error(&AddressFailure::OutOfStep), reply)
    }

    /// Octets that are no reply.
    pub fn no_reply(&self, error: &ReplyError) -> Verdict {
        self.protocol_error(error)
    }

    fn protocol_error(&self, what: &impl Display) -> Verdict {
        let (what, notes) = (what.to_string(), self.before());
        Cause::Protocol { peer: self.peer, what, duplicate: self.duplicate(), notes }.into()
    }

    fn with_reply(&self, verdict: Verdict, reply: &Reply) -> Verdict {
        verdict.with_reply(&reply.text, self.auth.map(Client::mask))
    }

    /// With the last refusal of a login, if there is one.
    fn with_refusal(&self, verdict: Verdict) -> Verdict {
        match self.auth.filter(|auth| !auth.refusal().is_empty()) {
            None => verdict,
            Some(auth) => verdict.with_reply(auth.refusal(), Some(auth.mask())),
        }
    }

    /// TLS or a login that was tried in vain before is perhaps why.
    fn before(&self) -> String {
        self.masked(&self.tls_before()) + &self.login_before()
    }

    fn login_before(&self) -> String {
        let attempts = self.auth.and_then(|auth| Some((User::of(auth.login()), auth.attempts()?)));
        attempts.map_or_else(String::new, |(user, attempts)| {
            Note::LoginBefore { user, relay: self.relay.shown.clone(), attempts }.to_string()
        })
    }

    fn tls_before(&self) -> String {
        self.tls_failure.map_or_else(String::new, |why| Note::TlsFailedBefore { why: why.to_owned() }.to_string())
    }

    fn tls_end(&self) -> String {
        self.tls_broke.map_or_else(String::new, |why| Note::TlsBrokeOff { why: why.to_owned() }.to_string())
    }

    fn duplicate(&self) -> Duplicate {
        if self.dot_is_sent { Duplicate::Possible } else { Duplicate::Impossible }
    }
}
