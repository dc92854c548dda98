//! The client of AUTH: which mechanism to try, when to stop (RFC 4954 section 4). What is said within a try is the mechanism's.
//!
//! It speaks in lines without line end. On each connection [`Client::begin`] gives the first line; each reply goes to
//! [`Client::step`], the end of the connection to [`Client::closed`]. What it remembers over connections is what keeps a
//! user from being locked out: no more than three tries for a message, two on a connection, and only one more after a
//! try that showed the password was answered 535.

pub mod choice;
mod tries;
mod why;

use crate::cause::{Attempts, Cause};
use crate::detect::Offer;
use crate::login::{Login, LoginKind};
use crate::mask::Mask;
use crate::mechanisms::{self, Cancel, Exchange, Mechanism, Response};
use crate::secret::Secret;
use crate::{base64_length, base64_secret};
use tries::{CONNECTIONS, End, TRIES_FOR_A_MESSAGE, TRIES_ON_A_CONNECTION, Try};

/// A command line with its CRLF (RFC 5321 section 4.5.3.1.4). RFC 4954 allows more, but servers are known that do not.
const COMMAND_LINE: usize = 512;

/// What may be sent over a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Permission {
    /// Any mechanism: nobody listens, or that is accepted.
    Any,
    /// Only mechanisms that do not show the password.
    ChallengeOnly,
}

/// What to do next.
pub enum Step {
    /// Send this line and the line end, then give the reply to [`Client::step`]. It may be empty.
    Send(Secret),
    /// Go on with the mail: the relay accepted the login, or the TLS client certificate is the only login and EXTERNAL is not
    /// offered.
    Proceed,
    /// Close, connect to the same relay again, and [`Client::begin`] there. The text is that of [`Step::Failed`], for when
    /// no connection can be made.
    Reconnect(Attempts),
    /// There is no login now: the relay defers it, or what it says has no place in one. The text is as that of
    /// [`Step::Failed`].
    Deferred(Attempts),
    /// There is no login, and somebody has to look at the set-up. The text says why and what to do, without naming relay or user.
    Failed(Attempts),
}

/// The client. It lives as long as the message, over all connections.
pub struct Client {
    login: Login,
    source: Option<String>,
    configured: Option<Vec<&'static Mechanism>>,
    order: Vec<&'static Mechanism>,
    offer: Offer,
    permission: Permission,
    over_tls: bool,
    tries: Vec<Try>,
    tries_allowed: usize,
    tries_here: usize,
    connections: usize,
    /// [`Cancel::NotProven`] was seen.
    is_distrusted: bool,
    mask: Mask,
    /// It may repeat a secret.
    refusal: Secret,
}

impl Client {
    /// One for this login that tries mechanisms in the order configured, and no others, if one is. `source` is where the login
    /// stands, for reports: `control/smtproutes line 1`.
    pub fn new(login: Login, source: Option<String>, configured: Option<Vec<&'static Mechanism>>) -> Client {
        let mask = match &login {
            Login::Password(login) => Mask::new(&login.user, &login.password),
            Login::Certificate { .. } => Mask::default(),
        };
        Client {
            login,
            source,
            configured,
            order: Vec::new(),
            offer: Offer::default(),
            permission: Permission::ChallengeOnly,
            over_tls: false,
            tries: Vec::new(),
            tries_allowed: TRIES_FOR_A_MESSAGE,
            tries_here: 0,
            connections: 0,
            is_distrusted: false,
            mask,
            refusal: Secret::default(),
        }
    }

    /// What it logs in with.
    pub fn login(&self) -> &Login {
        &self.login
    }

    /// Where that stands. None: nothing says.
    pub fn source(&self) -> Option<&str> {
        self.source.as_deref()
    }

    /// What must not be shown of a server's words, now and in all later replies.
    pub fn mask(&self) -> &Mask {
        &self.mask
    }

    /// The whole text of the relay's last refusal, for a report that has no other reply to show.
    pub fn refusal(&self) -> &[u8] {
        &self.refusal
    }

    /// Keeps the whole text of a refusal for [`Client::refusal`].
    pub fn keep_refusal(&mut self, reply: &[u8]) {
        self.refusal = Secret::from(reply);
    }

    /// Starts on a new connection whose EHLO reply made this offer.
    pub fn begin(&mut self, offer: Offer, permission: Permission, over_tls: bool) -> Step {
        self.order = self.configured.clone().unwrap_or_else(|| mechanisms::order(over_tls));
        let kind = self.login.kind();
        self.order.retain(|mechanism| mechanism.kind() == Some(kind));
        self.end_try(End::Closed); // nothing of the connection before is answered on this one
        self.offer = offer;
        self.permission = permission;
        self.over_tls = over_tls;
        self.tries_here = 0;
        self.connections += 1;
        if kind == LoginKind::Certificate && self.usable().next().is_none() {
            return Step::Proceed;
        }
        self.next()
    }

    /// Takes a reply: its code and the text of its last line behind the code.
    pub fn step(&mut self, code: u16, text: &[u8]) -> Step {
        match code {
            334 => return self.answer(text),
            235 => return self.conclude(text),
            221 | 421 if self.is_good_bye() => return self.hang_up(End::Code(code)),
            _ => self.end_try(End::Code(code)),
        }
        match code {
            400..=499 => Step::Deferred(self.no_login(Cause::Deferred)),
            500..=599 => self.next(),
            _ => self.out_of_place(),
        }
    }

    /// The relay closed the connection, which refuses the mechanism as a 5xx does. But a try whose AUTH command was not
    /// sent (`line_sent` is about the last line that [`Step::Send`] gave) was none.
    pub fn closed(&mut self, line_sent: bool) -> Step {
        if !line_sent && self.tries.last().is_some_and(Try::is_unanswered) {
            self.tries.pop();
        }
        self.hang_up(End::Closed)
    }

    /// The server is hanging up over the refusal before: on this connection nothing but the AUTH command of the try under way can
    /// have reached it since. So is a 221, a 421 or the end of the connection now to be understood.
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

    /// The mechanism that the relay accepted, and that accepted the relay.
    pub fn accepted(&self) -> Option<&'static Mechanism> {
        self.tries.iter().find(|t| t.end == Some(End::LoggedIn)).map(|t| t.mechanism)
    }

    fn end_try(&mut self, end: End) {
        let made = self.tries.len();
        let Some(last) = self.tries.last_mut().filter(|last| last.end.is_none()) else { return };
        last.end = Some(end);
        last.exchange = None; // it has the login
        if last.showed_password() && matches!(end, End::Code(535 | 221 | 421) | End::Closed) {
            self.tries_allowed = self.tries_allowed.min(made + 1);
        }
    }

    /// Takes a 235. It is a login where it ends an exchange that accepts it, and nothing else is one.
    fn conclude(&mut self, text: &[u8]) -> Step {
        let exchange = self.tries.last_mut().and_then(|last| last.exchange.as_mut());
        match exchange.map(|exchange| exchange.accepts(text)) {
            Some(true) => {
                self.end_try(End::LoggedIn);
                Step::Proceed
            }
            Some(false) => {
                self.end_try(End::Code(235));
                self.is_distrusted = true;
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
        let Some(exchange) = &mut last.exchange else { return self.out_of_place() };
        match exchange.respond(challenge) {
            Ok(response) => {
                last.answers += 1;
                Step::Send(self.masked_later(response))
            }
            Err(cancel) => {
                last.exchange = None;
                self.is_distrusted |= cancel == Cancel::NotProven;
                Step::Send(Secret::from(&b"*"[..])) // RFC 4954 section 4: the relay answers 501
            }
        }
    }

    /// The base64 of what is now sent; the relay may repeat it.
    fn masked_later(&mut self, Response { octets, open }: Response) -> Secret {
        let base64 = base64_secret(&octets);
        self.mask.add_sent(octets, open);
        base64
    }

    /// The next try, or why there is none.
    fn next(&mut self) -> Step {
        if self.accepted().is_some() {
            return self.out_of_place();
        }
        let Some((mechanism, bare, exchange)) = self.candidate() else { return Step::Failed(self.nothing_left()) };
        if self.tries.len() >= self.tries_allowed || self.is_distrusted {
            return Step::Failed(self.nothing_left());
        }
        if self.tries_here >= TRIES_ON_A_CONNECTION {
            let why = self.nothing_left();
            return if self.connections < CONNECTIONS { Step::Reconnect(why) } else { Step::Failed(why) };
        }
        self.tries_here += 1;
        let mut line = Secret::with_room(COMMAND_LINE);
        line.add(b"AUTH ");
        line.add(mechanism.name.as_bytes());
        let fits = |response: &Response| line.len() + 1 + base64_length(response.octets.len()) + 2 <= COMMAND_LINE;
        let initial =
            exchange.initial_response().filter(|response| !mechanism.has_bare_form || !bare && fits(response));
        let initial_response = initial.is_some();
        if let Some(response) = initial {
            line.add(b" ");
            match &self.masked_later(response)[..] {
                [] => line.add(b"="), // RFC 4954 section 4: an initial response of no octets
                base64 => line.add(base64),
            }
        }
        let exchange = Some(exchange);
        self.tries.push(Try { mechanism, exchange, initial_response, answers: 0, end: None, lost: false });
        Step::Send(line)
    }

    /// The first mechanism that is configured, offered, permitted and not yet tried, with a new exchange; when there is none, one
    /// that has a bare form, if what the relay refused may have been the initial response. The second is true for the bare form.
    fn candidate(&self) -> Option<(&'static Mechanism, bool, Box<dyn Exchange>)> {
        let all_tries = |mechanism: &Mechanism, are: fn(&Try) -> bool| {
            self.tries.iter().filter(|t| t.mechanism == mechanism).all(are)
        };
        let new = self.permitted().find(|mechanism| all_tries(mechanism, |t| t.lost));
        let again =
            |mechanism: &&Mechanism| mechanism.has_bare_form && all_tries(mechanism, Try::is_refused_for_its_form);
        let (mechanism, bare) = match new {
            Some(mechanism) => (mechanism, false),
            None => (self.permitted().find(again)?, true),
        };
        Some((mechanism, bare, mechanism.exchange(&self.login)?))
    }

    fn usable(&self) -> impl Iterator<Item = &'static Mechanism> + '_ {
        let offered = |mechanism: &&Mechanism| self.offer.names.iter().any(|name| name == mechanism.name);
        self.order.iter().copied().filter(offered)
    }

    fn permitted(&self) -> impl Iterator<Item = &'static Mechanism> + '_ {
        self.usable().filter(|mechanism| match self.permission {
            Permission::Any => true,
            Permission::ChallengeOnly => mechanism.shows_password.is_none(),
        })
    }

    fn out_of_place(&self) -> Step {
        Step::Deferred(self.no_login(Cause::OutOfPlace))
    }
}
