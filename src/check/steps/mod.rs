//! Turns events into facts: text for people, and named fields for programs. `text` and `json` print facts. `recorder` is the log
//! that gets the events.

mod json;
pub mod recorder;
mod text;

use crate::account::supply::Supply;
use crate::account::token::Fitness;
use crate::account::{Account, time};
use crate::check::program::Program;
use crate::check::{accounts, printable};
use crate::event::{Event, Next};
use crate::policy::{Security, TlsPolicy};
use crate::resolve::addresses::Candidate;
use crate::smtp::ehlo::Capabilities;
use crate::smtp_command::Command;
use crate::tls::session_view::View;
use qmail_auth::LoginKind;
use qmail_auth::client::choice::Choice;
use qmail_auth::mechanisms::Mechanism;
use qmail_auth::reply::keywords;

/// How many octets are shown of what is not a reply. It can be anything, and endless.
const GARBAGE: usize = 253;

/// Decides the colour of a line.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Tone {
    Plain,
    Good,
    /// The check can still end well: another try may follow.
    Bad,
}

pub enum Value {
    Text(String),
    Number(u64),
    Flag(bool),
    List(Vec<String>),
}

/// One line of text, or one step of the JSON object.
pub struct Fact {
    /// The name of the step for programs.
    pub step: &'static str,
    /// The beginning of the line for people.
    pub label: &'static str,
    /// The rest of that line.
    pub text: String,
    pub tone: Tone,
    /// The same information for programs.
    pub fields: Vec<(&'static str, Value)>,
}

impl Fact {
    pub fn new(step: &'static str, label: &'static str, text: impl Into<String>) -> Fact {
        Fact { step, label, text: text.into(), tone: Tone::Plain, fields: Vec::new() }
    }

    pub fn with(mut self, key: &'static str, value: Value) -> Fact {
        self.fields.push((key, value));
        self
    }

    fn good(self, is_good: bool) -> Fact {
        Fact { tone: if is_good { Tone::Good } else { Tone::Bad }, ..self }
    }
}

impl From<&str> for Value {
    fn from(text: &str) -> Value {
        Value::Text(text.to_owned())
    }
}

/// Octets that are not UTF-8 become U+FFFD.
impl From<&[u8]> for Value {
    fn from(octets: &[u8]) -> Value {
        String::from_utf8_lossy(octets).into_owned().into()
    }
}

impl From<String> for Value {
    fn from(text: String) -> Value {
        Value::Text(text)
    }
}

/// The facts of an event; `over_tls` says whether TLS has begun. The recorder handles files and the end, as it needs all of them.
pub fn of(event: &Event, over_tls: bool) -> Vec<Fact> {
    match event {
        Event::Home(path) => {
            let path = path.display().to_string();
            vec![Fact::new("home", "home", &path).with("path", path.into())]
        }
        Event::Route { host, port, source, security } => vec![
            Fact::new("route", "route", format!("{host} port {port} ({source})"))
                .with("relay", (*host).into())
                .with("port", Value::Number((*port).into()))
                .with("source", (*source).into()),
            policy(security),
        ],
        Event::NoRoute => vec![Fact::new("route", "route", "none: to the domain's mail exchangers")],
        Event::Credentials { user, kind, clear_allowed, source } => {
            let what = match kind {
                LoginKind::Password => "password",
                LoginKind::Certificate => "the client certificate is the login",
                LoginKind::Token => "a token",
            };
            let clear = if *clear_allowed { ", which may go out in clear (-user)" } else { "" };
            let who = user.map_or_else(String::new, |user| format!("user {}, ", printable(user)));
            vec![
                Fact::new("credentials", "credentials", format!("{who}{what} from {source}{clear}"))
                    .with("user", user.unwrap_or_default().into())
                    .with("by_certificate", Value::Flag(*kind == LoginKind::Certificate))
                    .with("by_token", Value::Flag(*kind == LoginKind::Token))
                    .with("clear_allowed", Value::Flag(*clear_allowed))
                    .with("source", (*source).into()),
            ]
        }
        Event::NoCredentials => vec![Fact::new("credentials", "credentials", "none: no login")],
        Event::Token(supply, unix) => vec![token(supply, *unix)],
        Event::TokenRefused(said) => vec![
            Fact::new("token_refused", "login", format!("334 {said}: the relay does not accept the token"))
                .with("said", (*said).into())
                .good(false),
        ],
        Event::Remembered(account, unix) => vec![remembered(account, *unix)],
        Event::Addresses(candidates) => vec![addresses(candidates)],
        Event::Connected { host, address, port, source } => {
            let from = source.map_or_else(String::new, |source| format!(" from {source}"));
            let fact = Fact::new("connected", "connected", format!("to {address} port {port}{from}"))
                .with("host", (*host).into())
                .with("address", address.to_string().into())
                .with("port", Value::Number((*port).into()));
            vec![match source {
                Some(source) => fact.with("from", source.to_string().into()),
                None => fact,
            }]
        }
        Event::NotConnected(address, why) => vec![
            Fact::new("not_connected", "not connected", format!("to {address}: {why}"))
                .with("address", address.to_string().into())
                .with("why", (*why).into())
                .good(false),
        ],
        Event::Sent(b"QUIT") => vec![Fact::new("quit", "QUIT", "")],
        Event::SentSecret(open) => open.strip_prefix(b"AUTH ").map_or_else(Vec::new, |rest| {
            let mechanism = rest.split(|c| *c == b' ').next().unwrap_or_default();
            let text = format!("trying {}", printable(mechanism));
            vec![Fact::new("try", "login", text).with("mechanism", mechanism.into())]
        }),
        Event::Reply(to, text) => reply(*to, text, over_tls).into_iter().collect(),
        Event::NoReply(text) => {
            let begin = &text[..text.len().min(GARBAGE)];
            vec![Fact::new("no_reply", "no reply", printable(begin)).with("begin", begin.into()).good(false)]
        }
        Event::Tls(session) => session_facts(session),
        Event::TlsFailed(session) if session.is_handshaking() => certificate(session).into_iter().collect(),
        Event::Mechanisms(choice) => vec![mechanisms(choice)],
        Event::LoggedIn(mechanism, rounds) => {
            let (mut how, name) = match mechanism {
                Some(mechanism) => (format!("done by {mechanism}"), mechanism.name),
                None => ("by the client certificate alone, which the relay asked for".to_owned(), "certificate"),
            };
            let is_bound = mechanism.is_some_and(Mechanism::is_bound);
            if is_bound {
                how += ", bound to the TLS connection (tls-exporter)";
            }
            if let Some(rounds) = rounds {
                how += &format!(", {rounds} rounds");
            }
            let fact = Fact::new("logged_in", "login", how).with("by", name.into()).good(true);
            vec![match rounds {
                Some(rounds) => fact.with("bound", Value::Flag(is_bound)).with("rounds", Value::Number(*rounds)),
                None => fact,
            }]
        }
        Event::Lost(to, silence) => {
            let why = lost(*to, *silence);
            vec![Fact::new("lost", "lost", &why).with("why", why.into()).good(false)]
        }
        Event::Next(what, verdict) => {
            let what = match what {
                Next::Connection => "a new connection",
                Next::Token => "another token",
                Next::Address => "the next address",
            };
            let why = one_line(verdict.text());
            vec![
                Fact::new("next", "next", format!("{what}, since: {}", printable(&why)))
                    .with("what", what.into())
                    .with("why", why[..].into())
                    .good(false),
            ]
        }
        Event::Sent(_) | Event::TlsFailed(_) | Event::File(..) | Event::End(_) => Vec::new(),
    }
}

/// The program that qmail runs.
fn program(program: &Program) -> Fact {
    let fact = Fact::new("program", "program", program.to_string())
        .with("path", program.path().into())
        .with("is", program.word().into());
    if program.is_wrong() { fact.good(false) } else { fact }
}

/// The lines of an event as they were sent or received.
pub fn dialogue(event: &Event) -> Vec<Fact> {
    let fact = |step, label, line: &[u8]| Fact::new(step, label, printable(line)).with("line", line.into());
    match event {
        Event::Sent(sent) => vec![fact("sent", "C:", sent)],
        Event::SentSecret(open) => {
            let is_whole = *open == b"*" || !open.is_empty() && !open.ends_with(b" ");
            let secret: &[u8] = if is_whole { b"" } else { b"<secret>" };
            vec![fact("sent", "C:", &[open, secret].concat())]
        }
        Event::Reply(_, text) | Event::NoReply(text) => lines(text).map(|line| fact("received", "S:", line)).collect(),
        _ => Vec::new(),
    }
}

/// Why a connection was lost.
pub fn lost(to: Option<Command>, silence: Option<u64>) -> String {
    let (reply, hint) = match to {
        Some(Command::Greeting) => {
            ("greeting".to_owned(), "; does the port speak TLS from its first octet, as 465 does?")
        }
        _ => (format!("reply to {}", to.map_or("nothing", Command::name)), ""),
    };
    match silence {
        Some(ms) => format!("no {reply} came within {} s (control/timeoutremote){hint}", ms / 1000),
        None => format!("the relay closed the connection before its {reply}"),
    }
}

/// Joins lines by blanks.
pub fn one_line(text: &[u8]) -> Vec<u8> {
    lines(text).collect::<Vec<_>>().join(&b' ')
}

fn lines(text: &[u8]) -> impl Iterator<Item = &[u8]> {
    text.strip_suffix(b"\n").unwrap_or(text).split(|c| *c == b'\n')
}

fn policy(security: &Security) -> Fact {
    let file = security.directory.as_ref().map(|directory| format!("{directory}/tls"));
    let cas = security.cafile.as_ref().map_or_else(|| "of Debian".to_owned(), ToString::to_string);
    let mut text = match (security.policy, &file) {
        (_, None) => "there can be no files for this name".to_owned(),
        (TlsPolicy::Unset, Some(file)) => format!("no {file}"),
        (policy, Some(file)) => format!("{policy} ({file})"),
    };
    text += &format!("; CAs {cas}");
    let mut fact = Fact::new("policy", "TLS policy", "").with("tls", security.policy.to_string().into());
    if let Some(file) = &security.cafile {
        fact = fact.with("cafile", file.path.display().to_string().into());
    }
    if let Some((certificate, _)) = &security.client {
        text += &format!("; client certificate: {certificate}");
        fact = fact.with("clientcert", certificate.path.display().to_string().into());
    }
    Fact { text, ..fact }
}

/// The token of a login: until when it is good, whether another one can be had, and from where.
fn token(supply: &Supply, unix: u64) -> Fact {
    let until = match (supply.end(), supply.fitness(unix), supply.command()) {
        (None, _, None) => "none yet".to_owned(),
        (None, _, Some(_)) => "asked for with each mail".to_owned(),
        (Some(end), Fitness::Dead, _) => format!("until {} UTC, over", time(end)),
        (Some(end), Fitness::Good | Fitness::NearEnd, _) => {
            format!("until {} UTC ({} minutes)", time(end), end.saturating_sub(unix) / 60)
        }
    };
    let renewable = if supply.is_renewable() { "renewable" } else { "not renewable" };
    let account = supply.place_of_account().unwrap_or_else(|| "no directory accounts".to_owned());
    let from = match supply.command() {
        Some(program) => format!("by {program}, kept in {account}"), // the other words may be anything
        None => format!("from {account}"),
    };
    let fact = Fact::new("token", "token", format!("{until}, {renewable}, {from}"))
        .with("renewable", Value::Flag(supply.is_renewable()))
        .with("from", account.into());
    match supply.end() {
        Some(end) => fact.with("until", Value::Number(end)),
        None => fact,
    }
}

fn remembered(account: &Account, unix: u64) -> Fact {
    let facts: Vec<String> = account.remembered().map(|what| accounts::words(what, unix)).collect();
    let text = if facts.is_empty() { "nothing".to_owned() } else { facts.join("; ") };
    Fact::new("remembered", "remembered", printable(text.as_bytes())).with("facts", Value::List(facts))
}

fn addresses(candidates: &[Candidate]) -> Fact {
    let describe = |Candidate { address, host, .. }: &Candidate| match address.ip.to_string() {
        ip if ip == *host => ip,
        ip => format!("{ip} of {host}"),
    };
    let text = candidates.iter().map(describe).collect::<Vec<_>>().join(", ");
    let [ips, hosts] = [|c: &Candidate| c.address.ip.to_string(), |c: &Candidate| c.host.clone()]
        .map(|part| Value::List(candidates.iter().map(part).collect()));
    Fact::new("addresses", "addresses", text).with("addresses", ips).with("hosts", hosts)
}

fn reply(to: Option<Command>, text: &[u8], over_tls: bool) -> Option<Fact> {
    let code = text.get(..3).unwrap_or_default();
    let (is_good, whole) = (code.starts_with(b"2"), one_line(text));
    let words = printable(&whole);
    let step = |step, label, text: &str| Fact::new(step, label, text).with("reply", whole[..].into());
    Some(match to? {
        Command::Greeting if is_good => step("greeting", "greeting", &words),
        Command::Greeting => step("greeting", "greeting", &words).good(false),
        Command::Ehlo if code == b"250" => {
            let offered = extensions(text);
            let over = if over_tls { "over TLS: " } else { "in clear: " };
            let text = offered.iter().map(|line| printable(line)).collect::<Vec<_>>();
            let list = offered.iter().map(|line| String::from_utf8_lossy(line).into_owned()).collect();
            Fact::new("offered", "offered", over.to_owned() + &listed(&text))
                .with("over_tls", Value::Flag(over_tls))
                .with("extensions", Value::List(list))
        }
        hello @ (Command::Ehlo | Command::Helo) => {
            step("hello", "hello", &format!("{}: {words}", hello.name())).good(code == b"250")
        }
        Command::StartTls if code != b"220" => step("starttls", "STARTTLS", &words).good(false),
        Command::Auth if code != b"334" => step("answer", "login", &words).good(is_good),
        _ => return None,
    })
}

/// What a reply to EHLO offers. A reply of one line is a keyword if the delivery knows it, else only the greeting (RFC 5321 section
/// 4.1.1.1).
fn extensions(reply: &[u8]) -> Vec<Vec<u8>> {
    let is_greeting = lines(reply).nth(1).is_none() && Capabilities::read(reply) == Capabilities::default();
    let offered = keywords(reply).filter(|_| !is_greeting);
    offered.map(|(keyword, parameters)| [keyword, parameters].concat()).collect()
}

fn listed(words: &[String]) -> String {
    if words.is_empty() { "nothing".to_owned() } else { words.join(", ") }
}

fn session_facts(session: &View) -> Vec<Fact> {
    let (version, cipher) = (session.version(), session.cipher().unwrap_or_default());
    let tls = Fact::new("tls", "TLS", format!("{version}, {cipher}"))
        .with("version", version.into())
        .with("cipher", cipher.into());
    [tls].into_iter().chain(certificate(session)).collect()
}

fn certificate(session: &View) -> Option<Fact> {
    let certificate = session.certificate()?;
    let names = listed(&certificate.names);
    let verified = session.verified();
    let outcome = match &verified {
        Some(Ok(by)) => format!("verified by {by}"),
        Some(Err(why)) => format!("NOT verified: {why}"),
        None => "not checked, since nothing requires it".to_owned(),
    };
    let text = format!("for {names}; issued by {}; until {}; {outcome}", certificate.issuer, certificate.until);
    let fact = Fact::new("certificate", "certificate", text)
        .with("names", Value::List(certificate.names))
        .with("issuer", certificate.issuer.into())
        .with("until", certificate.until.into())
        .with("verified", Value::Flag(matches!(verified, Some(Ok(_)))));
    Some(match verified {
        Some(Ok(_)) => fact.good(true),
        Some(Err(why)) => fact.with("why", why.into()).good(false),
        None => fact,
    })
}

fn mechanisms(choice: &Choice) -> Fact {
    let order: Vec<String> = choice.order().iter().map(|mechanism| mechanism.name.to_owned()).collect();
    let passed_over: Vec<String> = choice.passed_over().iter().map(|(name, why)| format!("{name} ({why})")).collect();
    let text = if !choice.is_offered() {
        "none: the relay offers no AUTH".to_owned()
    } else if passed_over.is_empty() {
        format!("to try: {}", listed(&order))
    } else {
        format!("to try: {}; not: {}", listed(&order), passed_over.join(", "))
    };
    let fact = Fact::new("mechanisms", "mechanisms", text)
        .with("offered", Value::Flag(choice.is_offered()))
        .with("order", Value::List(order))
        .with("passed_over", Value::List(passed_over));
    if choice.is_offered() && !choice.order().is_empty() { fact } else { fact.good(false) }
}
