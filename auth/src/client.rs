//! The AUTH client (RFC 4954 section 4): which mechanism to try, and when to stop. What is sent within one try is the mechanism's
//! business ([`Exchange`](mechanisms::Exchange)).
//!
//! It works on lines without their line ends and does no I/O. On each connection [`Client::begin`] returns the first step. Each
//! reply then goes to [`Client::step`], and the end of the connection to [`Client::closed`].
//!
//! Servers lock accounts after a few failed logins. So tries are counted over all connections of a message: at most three, and two
//! on one connection. After a try that showed the password, or proved it by SCRAM, and ended in 535 or in a closed connection, only one
//! more is made. If one of the failed logins is by SCRAM, there is no third.

pub mod choice;
pub mod past;
mod token;
mod tries;
mod why;

use crate::base64_secret;
use crate::cause::{Attempts, Cause, Unanswerable};
use crate::detect::Offer;
use crate::login::{Login, LoginKind};
use crate::mask::Mask;
use crate::mechanisms::{self, COMMAND_LINE, Cancel, Fresh, Mechanism, NONCE, Proofs, Response};
use crate::secret::Secret;
use alloc::string::String;
use alloc::vec::Vec;
use past::Past;
use tries::{CONNECTIONS, End, TRIES_FOR_A_MESSAGE, TRIES_ON_A_CONNECTION, Try};

/// Which mechanisms may be used on a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Permission {
    /// Any mechanism: nobody can read the connection, or the administrator accepts that.
    Any,
    /// Only mechanisms that do not send the password itself.
    ChallengeOnly,
}

/// The connection as the login sees it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Channel {
    /// Without TLS.
    Clear,
    /// TLS, verified or not, to which a login cannot be bound.
    Tls,
    /// TLS 1.3, verified or not. A login can be bound to it (RFC 9266).
    Tls13,
}

/// What to do next.
pub enum Step {
    /// Send this line and a CRLF, then pass the reply to [`Client::step`]. The line may be empty.
    Send(Secret),
    /// Call [`Client::random`].
    Random {
        /// The keying material of the connection is wanted, too.
        binding: bool,
    },
    /// Go on with MAIL. Either the relay has accepted the login, or the only credential is the TLS client certificate and the relay
    /// does not offer EXTERNAL.
    Proceed,
    /// Close, connect to the same relay again and call [`Client::begin`] there. If no connection can be made, report the text as
    /// for [`Step::Failed`].
    Reconnect(Attempts),
    /// No login now: the relay has deferred it, or its reply does not belong in a login. The text is like that of [`Step::Failed`].
    Deferred(Attempts),
    /// No login until somebody has looked at the set-up. The text says why and what to do; it does not name the relay.
    Failed(Attempts),
}

/// The AUTH client of one message, over all its connections.
pub struct Client {
    login: Login,
    source: Option<String>,
    /// As given to [`Client::new`].
    configured: Option<Vec<&'static Mechanism>>,
    /// The mechanisms to try on this connection, for this kind of login.
    order: Vec<&'static Mechanism>,
    offer: Offer,
    permission: Permission,
    channel: Channel,
    /// What the next exchange gets.
    fresh: Option<Fresh>,
    tries: Vec<Try>,
    tries_allowed: usize,
    tries_here: usize,
    connections: usize,
    /// The relay failed to prove that it knows the password, so nothing more is sent to it.
    server_failed_proof: bool,
    past: Past,
    mask: Mask,
    /// A [`Secret`], since the relay may repeat in it what was sent.
    refusal: Secret,
}

impl Client {
    /// A client for this login. It tries the `configured` mechanisms in their order and no others; None: all that are usable, in
    /// the order of the table. `source` is for reports and says where the login is written: `control/smtproutes line 1`.
    pub fn new(login: Login, source: Option<String>, configured: Option<Vec<&'static Mechanism>>) -> Client {
        let mut mask = Mask::default();
        match &login {
            Login::Password(login) => mask = Mask::new(&login.user, &login.password),
            Login::Token(login) => mask.add_token(&login.token),
            Login::Certificate { .. } => {}
        }
        Client {
            login,
            source,
            configured,
            order: Vec::new(),
            offer: Offer::default(),
            permission: Permission::ChallengeOnly,
            channel: Channel::Clear,
            fresh: None,
            tries: Vec::new(),
            tries_allowed: TRIES_FOR_A_MESSAGE,
            tries_here: 0,
            connections: 0,
            server_failed_proof: false,
            past: Past::default(),
            mask,
            refusal: Secret::default(),
        }
    }

    /// The login that was given to [`Client::new`].
    pub fn login(&self) -> &Login {
        &self.login
    }

    /// Where the login is written, for reports, as given to [`Client::new`].
    pub fn source(&self) -> Option<&str> {
        self.source.as_deref()
    }

    /// Hides the secrets of this login in the server's replies: in those to AUTH and in all later ones.
    pub fn mask(&self) -> &Mask {
        &self.mask
    }

    /// The whole text of the last reply given to [`Client::keep_refusal`], for a report that has no other reply to show. Not
    /// masked.
    pub fn refusal(&self) -> &[u8] {
        &self.refusal
    }

    /// Keeps the whole text of a refusal for [`Client::refusal`]. It replaces the one before.
    pub fn keep_refusal(&mut self, reply: &[u8]) {
        self.refusal = Secret::from(reply);
    }

    /// Starts on a new connection, whose last EHLO reply made this offer.
    pub fn begin(&mut self, offer: Offer, permission: Permission, channel: Channel) -> Step {
        self.order = self.configured.clone().unwrap_or_else(|| mechanisms::order(channel, permission));
        let kind = self.login.kind();
        self.order.retain(|mechanism| mechanism.kind() == Some(kind));
        self.end_try(End::Closed); // a try on the connection before can get no reply any more
        self.offer = offer;
        self.permission = permission;
        self.channel = channel;
        self.fresh = None; // made for the connection before
        if channel == Channel::Tls13
            && permission == Permission::Any
            && self.configured.is_none()
            && self.permitted().next().is_none()
        {
            // What is for relays to which the password must not be shown is better than nothing.
            let hiding = mechanisms::order(channel, Permission::ChallengeOnly).into_iter();
            self.order.extend(hiding.filter(|mechanism| mechanism.is_bound() && mechanism.kind() == Some(kind)));
        }
        self.order_by_past();
        self.tries_here = 0;
        self.connections += 1;
        if kind == LoginKind::Certificate && self.usable().next().is_none() {
            return Step::Proceed;
        }
        self.next()
    }

    /// Takes the random octets that [`Step::Random`] asks for, and the exported keying material (RFC 9266 section 2) if it wants that.
    /// None: there are none to be had.
    pub fn random(&mut self, nonce: Option<[u8; NONCE]>, binding: Option<[u8; 32]>) -> Step {
        let Some(nonce) = nonce else { return Step::Deferred(self.no_login(Cause::NoRandom)) };
        self.fresh = Some(Fresh { nonce, binding });
        self.next()
    }

    /// Takes a reply: its code, and the text of its last line after the code.
    pub fn step(&mut self, code: u16, text: &[u8]) -> Step {
        match code {
            334 => return self.answer(text),
            235 => return self.conclude(text),
            221 | 421 if self.is_good_bye() => return self.hang_up(End::Code(code)),
            _ => {
                self.note_refusal_of_token(code, text);
                self.end_try(End::Code(code));
            }
        }
        match code {
            400..=499 => Step::Deferred(self.no_login(Cause::Deferred)),
            500..=599 => self.next(),
            _ => self.out_of_place(),
        }
    }

    /// The connection has ended. That refuses the mechanism as a 5xx does, unless its AUTH command never went out: then the try
    /// does not count. `line_sent` says whether the last line of [`Step::Send`] was sent.
    pub fn closed(&mut self, line_sent: bool) -> Step {
        if !line_sent {
            self.withdraw();
        }
        self.hang_up(End::Closed)
    }

    /// The AUTH command of the current try never went out, so the try does not count.
    pub fn withdraw(&mut self) {
        if self.tries.last().is_some_and(Try::is_unanswered) {
            self.tries.pop();
        }
    }

    /// Whether a 221, a 421 or the end of the connection would now mean that the server hangs up because of the refusal before. It
    /// has seen nothing since but the AUTH command of the current try, and has not refused that.
    pub fn is_good_bye(&self) -> bool {
        self.tries_here > 1 && self.tries.last().is_some_and(Try::is_unanswered)
    }

    fn hang_up(&mut self, end: End) -> Step {
        let lost = self.is_good_bye();
        self.end_try(end);
        if let Some(last) = self.tries.last_mut() {
            last.lost |= lost;
        }
        self.tries_here = TRIES_ON_A_CONNECTION;
        self.next()
    }

    /// The mechanism that logged in. None: there is no login yet.
    pub fn accepted(&self) -> Option<&'static Mechanism> {
        self.tries.iter().find(|t| t.end == Some(End::LoggedIn)).map(|t| t.mechanism)
    }

    /// How often the password was hashed for the login. None: it was not done by SCRAM.
    pub fn rounds(&self) -> Option<u64> {
        self.tries.iter().find(|t| t.end == Some(End::LoggedIn)).and_then(|t| t.rounds)
    }

    fn end_try(&mut self, end: End) {
        let made = self.tries.len();
        let Some(last) = self.tries.last_mut().filter(|last| last.end.is_none()) else { return };
        // What comes then only answers our `*`, and a server may say anything to that.
        let end = match last.why_cancelled {
            Some(Unanswerable::Refused) => End::Code(535),
            Some(_) => End::Code(501),
            None => end,
        };
        last.end = Some(end);
        last.exchange = None; // clears the copy of the login in it
        if last.showed_password_or_proof() && matches!(end, End::Code(535 | 221 | 421) | End::Closed) {
            self.tries_allowed = self.tries_allowed.min(made + 1);
        }
    }

    /// Takes a 235. It counts as a login only if an exchange is under way and accepts it.
    fn conclude(&mut self, text: &[u8]) -> Step {
        let exchange = self.tries.last_mut().and_then(|last| last.exchange.as_mut());
        match exchange.map(|exchange| exchange.accepts(text)) {
            Some(true) => {
                self.end_try(End::LoggedIn);
                Step::Proceed
            }
            Some(false) => {
                self.end_try(End::Code(235));
                self.server_failed_proof = true;
                self.next()
            }
            None => {
                self.end_try(End::Code(235));
                self.out_of_place()
            }
        }
    }

    /// Answers a `334`.
    fn answer(&mut self, challenge: &[u8]) -> Step {
        let Some(last) = self.tries.last_mut() else { return self.out_of_place() };
        last.note_what_is_said(challenge);
        let Some(exchange) = &mut last.exchange else { return self.out_of_place() };
        match exchange.respond(challenge) {
            Ok(response) => {
                last.answers += 1;
                match exchange.proofs() {
                    None => {}
                    Some(Proofs::Ours(rounds, Response { octets, mask_from })) => {
                        last.rounds = Some(rounds);
                        self.mask.add_sent(octets, mask_from);
                    }
                    Some(Proofs::Both) => last.proven = true,
                }
                Step::Send(self.encode_and_mask(response))
            }
            Err(cancel) => {
                last.exchange = None;
                last.cancelled = true;
                match cancel {
                    Cancel::NoAnswer => {}
                    Cancel::Because(why) => last.why_cancelled = Some(why),
                    Cancel::NotProven => self.server_failed_proof = true,
                }
                Step::Send(Secret::from(&b"*"[..])) // RFC 4954 section 4: the relay answers 501
            }
        }
    }

    /// The base64 to send for a response. The relay may repeat it, so the mask gets to know it.
    fn encode_and_mask(&mut self, Response { octets, mask_from }: Response) -> Secret {
        let base64 = base64_secret(&octets);
        self.mask.add_sent(octets, mask_from);
        base64
    }

    /// The next try, or why there is none.
    fn next(&mut self) -> Step {
        if self.accepted().is_some() {
            return self.out_of_place();
        }
        let Some((mechanism, bare)) = self.candidate() else { return Step::Failed(self.nothing_left()) };
        if self.tries.len() >= self.tries_allowed || self.server_failed_proof || self.has_failed(mechanism) {
            return Step::Failed(self.nothing_left());
        }
        if self.tries_here >= TRIES_ON_A_CONNECTION {
            let why = self.nothing_left();
            return if self.connections < CONNECTIONS { Step::Reconnect(why) } else { Step::Failed(why) };
        }
        // Each exchange has its own: a nonce that was used is known, and could be answered by what was recorded.
        let fresh = self.fresh.take();
        if mechanism.is_scram() && fresh.is_none() {
            return Step::Random { binding: mechanism.is_bound() };
        }
        let Some(exchange) = mechanism.exchange(&self.login, fresh) else {
            return Step::Failed(self.nothing_left());
        };
        self.tries_here += 1;
        let mut line = Secret::with_room(COMMAND_LINE);
        line.add(b"AUTH ");
        line.add(mechanism.name.as_bytes());
        let fits = |response: &Response| mechanisms::has_room(mechanism.name, response.octets.len());
        let initial =
            exchange.initial_response().filter(|response| !mechanism.has_bare_form || !bare && fits(response));
        let initial_response = initial.is_some();
        if let Some(response) = initial {
            line.add(b" ");
            match &self.encode_and_mask(response)[..] {
                [] => line.add(b"="), // RFC 4954 section 4: this stands for an empty initial response
                base64 => line.add(base64),
            }
        }
        self.tries.push(Try::new(mechanism, exchange, initial_response));
        Step::Send(line)
    }

    /// The relay failed to prove that it knows the password, or refused the proof of a login that was bound to the connection, now or
    /// earlier. So it may be another one, and the password is not shown to it.
    pub fn may_be_another(&self) -> bool {
        self.server_failed_proof || self.past.may_be_another || self.tries.iter().any(Try::was_bound_and_refused)
    }

    fn out_of_place(&self) -> Step {
        Step::Deferred(self.no_login(Cause::OutOfPlace))
    }
}
