//! What is said, and what comes of it, apart from any connection.

use super::auth::{Exchange, Step};
use super::log::begins;
use super::tls::Tls;
use super::{Event, Login, Message, Rules, line};
use std::iter;

/// What a command changes, once its reply is said.
pub(super) enum Effect {
    None,
    Hello { name: String, extensions: Vec<String> },
    Exchange(String, Exchange),
    Login(Login),
    Mail(String),
    Rcpt(String),
    Data,
    Keep(Message),
    Reset,
    StartTls(Tls),
    Quit,
}

pub(super) fn ehlo_reply(rules: &Rules, starttls: bool) -> Vec<u8> {
    if let Some(raw) = &rules.ehlo_raw {
        return raw.clone();
    }
    let starttls = starttls.then_some("STARTTLS");
    let lines: Vec<&str> =
        iter::once("smtp.example.jp").chain(starttls).chain(rules.ehlo.iter().map(String::as_str)).collect();
    let (last, others) = lines.split_last().unwrap();
    let others: String = others.iter().map(|line| format!("250-{line}\r\n")).collect();
    line(format!("{others}250 {last}"))
}

/// The lines of the reply to EHLO after the first, unless it is the only one, in capitals and without their code.
pub(super) fn extensions(rules: &Rules) -> Vec<String> {
    let reply = String::from_utf8_lossy(&ehlo_reply(rules, false)).to_uppercase();
    let greeting = usize::from(reply.lines().count() > 1);
    reply.lines().skip(greeting).filter_map(|line| line.get(4..)).map(String::from).collect()
}

/// Whether an AUTH line among them names the mechanism.
pub(super) fn offered(mechanism: &str, extensions: &[String]) -> bool {
    extensions.iter().any(|line| {
        let mut words = line.split([' ', '\t', '=']);
        words.next() == Some("AUTH") && words.any(|word| word == mechanism)
    })
}

pub(super) fn login(mechanism: &str, step: Step) -> (Vec<u8>, Effect) {
    match step {
        Step::Ask(challenge, exchange) => {
            (line(format!("334 {challenge}")), Effect::Exchange(mechanism.into(), exchange))
        }
        Step::LoggedIn(user) => (line("235 2.7.0 Authentication successful"), Effect::Login((mechanism.into(), user))),
        Step::Refused(reply) => (line(reply), Effect::None),
    }
}

/// The address and the options of `FROM:<address> options`. A quoted local part may hold a `>`.
pub(super) fn path<'a>(rest: &'a str, keyword: &str) -> Option<(&'a str, &'a str)> {
    if !begins(rest, keyword) {
        return None;
    }
    let rest = rest[keyword.len()..].strip_prefix('<')?;
    let (mut quoted, mut escaped) = (false, false);
    let end = rest.find(|c| {
        let end = c == '>' && !quoted;
        quoted ^= c == '"' && !escaped;
        escaped = c == '\\' && !escaped;
        end
    })?;
    let options = &rest[end + 1..];
    (options.is_empty() || options.starts_with(' ')).then(|| (&rest[..end], options.trim_start()))
}

/// What comes of a reply that the hook has put in the place of another.
pub(super) fn effect_of(said: &[u8], event: &Event, ordinary: &[u8], effect: Effect) -> Effect {
    let mechanism = match event {
        Event::Command(text) => text.split(' ').nth(1).unwrap_or("").to_ascii_uppercase(),
        Event::Answer { mechanism, .. } => (*mechanism).into(),
        _ => String::new(),
    };
    match (said.get(..3).unwrap_or(b""), effect) {
        (b"334", Effect::Exchange(mechanism, exchange)) => Effect::Exchange(mechanism, exchange),
        (b"334", _) => Effect::Exchange(mechanism, Exchange::Scripted),
        (b"235", Effect::Login(login)) => Effect::Login(login),
        (b"235", _) => Effect::Login((mechanism, String::new())),
        (b"354", _) => Effect::Data,
        (code, effect) if ordinary.starts_with(code) && !code.is_empty() => effect,
        _ => Effect::None,
    }
}
