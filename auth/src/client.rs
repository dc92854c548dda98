//! The AUTH machine: which mechanism to try, what to answer, when to stop (RFC 4954 section 4).
//!
//! It speaks in lines without line end. On each connection [`Client::begin`] gives the first line; each reply goes to
//! [`Client::step`], the end of the connection to [`Client::closed`]. What it remembers over connections is what keeps a
//! user from being locked out: no more than three tries for a message, two on a connection, and only one more after a
//! try that showed the password was answered 535.

pub mod choice;

use crate::detect::Offer;
use crate::mask::Mask;
use crate::mechanisms::Mechanism;
use crate::mechanisms::cram_md5;
use crate::mechanisms::plain::{plain, plain_length};
use crate::secret::Secret;
use crate::{Login, LoginKind, base64_secret};

/// Some servers close after three failures, so no connection sees more than two tries.
const TRIES_ON_A_CONNECTION: usize = 2;
const TRIES_FOR_A_MESSAGE: usize = 3;
const CONNECTIONS: usize = 2;
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
    /// Send this line and the line end, then give the reply to [`Client::step`].
    Send(Secret),
    /// Go on with the mail: the relay accepted the login, or the client certificate is all there is to show and it offers
    /// nothing that asks for it again.
    Proceed,
    /// Close, connect to the same relay again, and [`Client::begin`] there. The text is that of [`Step::Failed`], for when
    /// no connection can be made.
    Reconnect(String),
    /// There is no login now: the relay puts it off, or what it says has no place in one. The text is as that of
    /// [`Step::Failed`].
    Deferred(String),
    /// There is no login, and the set-up is to be looked at. The text says why and what to do, without naming relay or user.
    Failed(String),
}

/// How one try ended: with a reply code, or the relay closed.
#[derive(Clone, Copy, PartialEq, Eq)]
enum End {
    Code(u16),
    Closed,
}

struct Try {
    mechanism: Mechanism,
    /// PLAIN with its initial response; the other form is bare.
    initial_response: bool,
    /// The `334` replies answered.
    answers: usize,
    cancelled: bool,
    end: Option<End>,
    /// The relay was closing already, because of a refusal before: it has not refused this mechanism.
    lost: bool,
}

impl Try {
    /// No reply to the AUTH command has come.
    fn is_unanswered(&self) -> bool {
        self.end.is_none() && self.answers == 0 && !self.cancelled
    }

    fn showed_password(&self) -> bool {
        match self.mechanism {
            Mechanism::Plain => self.initial_response || self.answers > 0,
            Mechanism::Login => self.answers > 1,
            Mechanism::CramMd5 | Mechanism::External => false,
        }
    }
}

/// The machine. It lives as long as the message, over all connections.
pub struct Client {
    login: Login,
    source: Option<String>,
    configured: Option<Vec<Mechanism>>,
    order: Vec<Mechanism>,
    offer: Offer,
    permission: Permission,
    over_tls: bool,
    tries: Vec<Try>,
    tries_allowed: usize,
    tries_here: usize,
    connections: usize,
    mask: Mask,
    /// It may repeat a secret.
    refusal: Secret,
}

impl Client {
    /// One for this login that tries mechanisms in the order configured, and no others, if one is. `source` is where the login
    /// stands, for reports: `control/smtproutes line 1`.
    pub fn new(login: Login, source: Option<String>, configured: Option<Vec<Mechanism>>) -> Client {
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

    /// The octets for the user and the password; of a certificate the identity alone.
    fn words(&self) -> (&[u8], &[u8]) {
        match &self.login {
            Login::Password(login) => (&login.user, &login.password),
            Login::Certificate { identity } => (identity.as_deref().unwrap_or_default(), &[]),
        }
    }

    fn is_by_certificate(&self) -> bool {
        self.login.kind() == LoginKind::Certificate
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
        let usual: &[Mechanism] = if over_tls { &Mechanism::OVER_TLS } else { &Mechanism::IN_CLEAR };
        self.order = self.configured.as_deref().unwrap_or(usual).to_vec();
        let by_certificate = self.is_by_certificate();
        self.order.retain(|mechanism| (*mechanism == Mechanism::External) == by_certificate);
        self.end_try(End::Closed); // nothing of the connection before is answered on this one
        self.offer = offer;
        self.permission = permission;
        self.over_tls = over_tls;
        self.tries_here = 0;
        self.connections += 1;
        if self.is_by_certificate() && self.usable().next().is_none() {
            return Step::Proceed;
        }
        self.next()
    }

    /// Takes a reply: its code and the text of its last line behind the code.
    pub fn step(&mut self, code: u16, text: &[u8]) -> Step {
        match code {
            334 => return self.answer(text),
            221 | 421 if self.is_good_bye() => return self.hang_up(End::Code(code)),
            _ => self.end_try(End::Code(code)),
        }
        match code {
            235 if self.accepted().is_some() => Step::Proceed,
            400..=499 => {
                Step::Deferred(self.why("the relay puts the login off; it is tried again with the next delivery"))
            }
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

    /// A 221, a 421 or the end of the connection is now about a refusal before on this connection: nothing but the AUTH
    /// command of the try under way can have reached the relay.
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

    /// The mechanism that the relay accepted.
    pub fn accepted(&self) -> Option<Mechanism> {
        self.tries.iter().find(|t| t.end == Some(End::Code(235)) && !t.cancelled).map(|t| t.mechanism)
    }

    /// What was tried in vain: nothing before the first try, and nothing after a login.
    pub fn story(&self) -> Option<String> {
        (self.accepted().is_none() && !self.tries.is_empty()).then(|| format!("tried {}", self.tried()))
    }

    fn end_try(&mut self, end: End) {
        let made = self.tries.len();
        let Some(last) = self.tries.last_mut().filter(|last| last.end.is_none()) else { return };
        last.end = Some(end);
        if last.showed_password() && [End::Code(535), End::Code(221), End::Code(421), End::Closed].contains(&end) {
            self.tries_allowed = self.tries_allowed.min(made + 1);
        }
    }

    /// Answers a `334`. Its text counts for a challenge only: prompts are empty, mistyped or no base64 at all.
    fn answer(&mut self, text: &[u8]) -> Step {
        let (user, password) = self.words();
        let (user, password) = (Secret::from(user), Secret::from(password));
        let Some(last) = self.tries.last_mut().filter(|last| last.end.is_none()) else { return self.out_of_place() };
        let answer = match (last.mechanism, last.answers) {
            _ if last.cancelled => return self.out_of_place(),
            (Mechanism::Plain, 0) => Some(plain(&user, &password)), // also where the initial response was ignored
            (Mechanism::Login | Mechanism::External, 0) => {
                self.mask.add_sent(Secret::from(&user[..]), user.len());
                Some(base64_secret(&user)) // for EXTERNAL, whose initial response was ignored
            }
            (Mechanism::Login, 1) => Some(base64_secret(&password)),
            (Mechanism::CramMd5, 0) => cram_md5::answer(&user, &password, text).ok().map(|answer| {
                let base64 = base64_secret(&answer);
                self.mask.add_sent(answer, user.len() + 1); // who has the digest can try passwords against it
                base64
            }),
            _ => None,
        };
        let Some(answer) = answer else {
            last.cancelled = true;
            return Step::Send(Secret::from(&b"*"[..])); // RFC 4954 section 4: the relay answers 501
        };
        last.answers += 1;
        Step::Send(answer)
    }

    /// The next try, or why there is none.
    fn next(&mut self) -> Step {
        if self.accepted().is_some() {
            return self.out_of_place();
        }
        let Some((mechanism, bare)) = self.candidate() else { return Step::Failed(self.nothing_left()) };
        if self.tries.len() >= self.tries_allowed {
            return Step::Failed(self.nothing_left());
        }
        if self.tries_here >= TRIES_ON_A_CONNECTION {
            let why = self.nothing_left();
            return if self.connections < CONNECTIONS { Step::Reconnect(why) } else { Step::Failed(why) };
        }
        self.tries_here += 1;
        let mut line = Secret::with_room(COMMAND_LINE);
        line.add(b"AUTH ");
        line.add(mechanism.name().as_bytes());
        let (user, password) = self.words();
        let (user, password) = (Secret::from(user), Secret::from(password));
        let fits = line.len() + 1 + plain_length(&user, &password) + 2 <= COMMAND_LINE;
        let initial_response = mechanism == Mechanism::Plain && !bare && fits;
        if initial_response {
            line.add(b" ");
            line.add(&plain(&user, &password));
        }
        if mechanism == Mechanism::External {
            line.add(b" ");
            match &user[..] {
                [] => line.add(b"="), // RFC 4954 section 4: an initial response of no octets
                identity => {
                    self.mask.add_sent(Secret::from(identity), identity.len());
                    line.add(&base64_secret(identity));
                }
            }
        }
        self.tries.push(Try { mechanism, initial_response, answers: 0, cancelled: false, end: None, lost: false });
        Step::Send(line)
    }

    /// The first mechanism that is configured, offered, permitted and not yet tried; when there is none, PLAIN in its
    /// bare form, if what the relay refused may have been the initial response. The second is true for the bare form.
    fn candidate(&self) -> Option<(Mechanism, bool)> {
        let tried = |mechanism| self.tries.iter().any(|t| t.mechanism == mechanism && !t.lost);
        if let Some(mechanism) = self.permitted().find(|mechanism| !tried(*mechanism)) {
            return Some((mechanism, false));
        }
        let mut plain = self.tries.iter().filter(|t| t.mechanism == Mechanism::Plain);
        let syntax = |end| [500, 501, 502, 504, 555].map(|code| Some(End::Code(code))).contains(&end);
        let again = plain.all(|t| t.initial_response && t.answers == 0 && syntax(t.end));
        self.permitted().find(|mechanism| *mechanism == Mechanism::Plain && again).map(|mechanism| (mechanism, true))
    }

    fn usable(&self) -> impl Iterator<Item = Mechanism> + '_ {
        let offered = |mechanism: &Mechanism| self.offer.names.iter().any(|name| name == mechanism.name());
        self.order.iter().copied().filter(offered)
    }

    fn permitted(&self) -> impl Iterator<Item = Mechanism> + '_ {
        self.usable().filter(|mechanism| match self.permission {
            Permission::Any => true,
            Permission::ChallengeOnly => !mechanism.shows_password(),
        })
    }

    fn nothing_left(&self) -> String {
        let usable: Vec<_> = self.usable().map(Mechanism::name).collect();
        let source = self.source.as_deref();
        if !self.tries.is_empty() {
            let about_password = |t: &Try| matches!(t.end, Some(End::Code(534 | 535 | 553)));
            let hint = match (self.permission, self.over_tls) {
                (Permission::Any, _) => "",
                (_, true) => ", and the password must not be shown to a relay whose certificate does not verify",
                (_, false) => ", without leave to send the password in clear",
            };
            match self.tries.iter().any(about_password) {
                true if self.is_by_certificate() => {
                    self.why("check the client certificate, and whom the relay knows it for")
                }
                true => {
                    let place = source.map_or_else(String::new, |source| format!(" in {source}"));
                    self.why(&format!("check user and password{place}{hint}"))
                }
                false => self.why(&format!("the relay refused each way to log in{hint}")),
            }
        } else if !self.offer.offered {
            self.why("the relay offers no AUTH here; perhaps only on ports 587 and 465, or only over TLS")
        } else if self.permitted().next().is_some() {
            self.why("the relay closed the connection before a login")
        } else if usable.is_empty() {
            let usable: Vec<_> = self.order.iter().map(|mechanism| mechanism.name()).collect();
            let usable = list(&usable, usable.len());
            self.why(&format!("none of what the relay offers can be used; usable would be: {usable}"))
        } else {
            let user = String::from_utf8_lossy(self.words().0);
            self.why(&match (self.over_tls, source) {
                (true, _) => "the password must not be shown to a relay whose certificate does not verify".to_owned(),
                (false, None) => "the password must not go out without TLS that is verified".to_owned(),
                (false, Some(source)) => {
                    format!("the password must not go out in clear; to allow it write the user as -{user} in {source}")
                }
            })
        }
    }

    fn out_of_place(&self) -> Step {
        Step::Deferred(self.why("the relay's reply has no place in a login"))
    }

    /// What was offered and tried, and then this.
    fn why(&self, why: &str) -> String {
        // The relay's own words: a hostile one could offer what was sent to it before.
        let shown = |name: &String| String::from_utf8_lossy(&self.mask.apply(name.as_bytes())).into_owned();
        let offered: Vec<String> = self.offer.names.iter().take(SHOWN + 1).map(shown).collect();
        format!("offered {}; tried {}; {why}", list(&offered, self.offer.names.len()), self.tried())
    }

    fn tried(&self) -> String {
        let tries: Vec<String> =
            self.tries.iter().map(|t| format!("{} ({})", t.mechanism.name(), t.outcome())).collect();
        list(&tries, tries.len())
    }
}

impl Try {
    fn outcome(&self) -> String {
        match self.end {
            Some(End::Code(code)) => code.to_string(),
            Some(End::Closed) => "connection closed".to_owned(),
            None => "no answer".to_owned(),
        }
    }
}

/// Words for a report: no more than a line's worth, since a server may offer thousands.
const SHOWN: usize = 20;

fn list<S: AsRef<str>>(words: &[S], of: usize) -> String {
    match words.iter().take(SHOWN).map(AsRef::as_ref).collect::<Vec<_>>().join(", ") {
        none if none.is_empty() => "nothing".to_owned(),
        shown if of > SHOWN => format!("{shown} and {} more", of - SHOWN),
        shown => shown,
    }
}
