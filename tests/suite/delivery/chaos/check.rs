//! What must hold of a run, whatever the server did. The rules are those of docs/dev/design.md, written down once more.

use super::plan::{Login, PASSWORD, Plan, SENDER};
use super::server::ENDLESS;
use super::story::{Reply, Step, What, story};
use super::wire::Record;
use crate::support::rspawn;
use base64::prelude::{BASE64_STANDARD_NO_PAD, Engine};
use std::process::ExitStatus;
use std::time::Duration;

/// What a run of the program came to.
pub struct Outcome {
    pub status: ExitStatus,
    pub stdout: Vec<u8>,
    pub stderr: Vec<u8>,
    pub elapsed: Duration,
}

/// A run in which all holds.
#[derive(Debug)]
pub struct Summary {
    /// The letters of the reports.
    pub letters: String,
    /// How far the client came on a connection, and whether over TLS.
    pub deepest: What,
    pub over_tls: bool,
    /// K on a 2xx that the server said before it had the dot, and that may have come after the dot was sent: no client
    /// can know.
    pub raced: bool,
    /// How the server misbehaved.
    pub did: Vec<&'static str>,
}

/// Checks a run; or says what is wrong with it.
pub fn check(plan: &Plan, records: &[Record], outcome: &Outcome) -> Result<Summary, String> {
    let stories: Vec<Vec<Step>> = records.iter().map(story).collect();
    let letters = letters(outcome)?;
    if let Some(secret) = leak(&outcome.stdout, plan.login) {
        return Err(format!("{secret} is in the report"));
    }
    for (number, (record, steps)) in records.iter().zip(&stories).enumerate() {
        nothing_shown(plan, record, steps)?;
        if number + 1 < stories.len() && steps.iter().any(|step| step.what >= What::Mail && step.what <= What::Message)
        {
            return Err("another connection after MAIL".into());
        }
    }
    tls_is_used(plan, &stories)?;
    if records.iter().any(|record| record.said.iter().map(|chunk| chunk.octets.len()).sum::<usize>() > ENDLESS) {
        return Err("a reply without end was taken".into());
    }
    let steps = stories.last().map(Vec::as_slice).unwrap_or_default();
    transaction(plan, steps)?;
    let raced = report(plan, steps, &letters)?;
    if letters.ends_with('K')
        && steps.iter().any(|step| step.what == What::Part)
        && records.last().is_some_and(|r| r.heard_all)
    {
        return Err("K, and the message never came to its end".into());
    }
    let verdict = rspawn::verdict(outcome.status, &outcome.stdout);
    let follows = match letters.chars().next() {
        Some('h') => 'D',
        Some('s') => 'Z',
        _ => letters.chars().last().unwrap_or_default(),
    };
    if verdict != follows {
        return Err(format!("qmail-rspawn takes {letters} for {verdict}"));
    }
    if plan.orderly && !plan.silences {
        let expected = expected(plan, steps);
        if letters != expected {
            return Err(format!("{letters}, and the replies say {expected}"));
        }
    }
    let deepest = stories.iter().flatten().map(|step| step.what).filter(|what| *what != What::Quit).max();
    let over_tls = records.iter().any(|record| record.tls_at.is_some_and(|at| record.heard.len() > at));
    let did = records.iter().flat_map(|record| record.did.iter().copied()).collect();
    Ok(Summary { letters, deepest: deepest.unwrap_or(What::Connection), over_tls, raced, did })
}

/// The letters of the reports: recipients', then one of the message and no more.
fn letters(outcome: &Outcome) -> Result<String, String> {
    if outcome.status.code() != Some(0) {
        return Err(format!("it ended with {}", outcome.status));
    }
    if !outcome.stderr.is_empty() {
        return Err("output on descriptor 2".into());
    }
    let whole = outcome.stdout.strip_suffix(b"\0").ok_or("no NUL at the end of the output")?;
    let letters: String =
        whole.split(|c| *c == 0).map(|report| report.first().map_or(' ', |c| char::from(*c))).collect();
    let (message, recipients) = letters.split_at(letters.len() - letters.chars().last().map_or(0, char::len_utf8));
    let (recipients, message) = (message, recipients);
    if !["K", "Z", "D"].contains(&message) || recipients.contains(|letter| !"rhs".contains(letter)) {
        return Err(format!("no recipient reports and one message report: {letters:?}"));
    }
    Ok(letters)
}

/// A form of the password or the token that is in here, in either case, of those that the client sends.
pub fn leak(octets: &[u8], login: Login) -> Option<String> {
    let text = String::from_utf8_lossy(octets).to_lowercase();
    // Any eight characters of an initial response that have some of the secret; OAUTHBEARER has it at another place in its group.
    let sent = match login {
        Login::None => return None,
        Login::Plain | Login::InClear => vec!["AG15dXNlcgBzZWNyZXRwYXNz".to_owned()],
        Login::Token => {
            ["", " ", "  "].map(|before| BASE64_STANDARD_NO_PAD.encode([before, "   ", PASSWORD].concat())).into()
        }
    };
    let pieces = sent.iter().flat_map(|sent| (8..=sent.len() - 8).map(|start| &sent[start..start + 8]));
    let whole = ["c2VjcmV0cGFzcw", PASSWORD, "73656372657470617373"];
    pieces.chain(whole).find(|form| text.contains(&form.to_lowercase())).map(str::to_owned)
}

/// What may be shown on a connection, from the tables of docs/dev/design.md.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Leave {
    /// Nothing goes out, the mail neither.
    Nothing,
    /// No password.
    Challenge,
    All,
}

fn leave(plan: &Plan, over_tls: bool) -> Leave {
    use Leave::{All, Challenge, Nothing};
    let verified = over_tls && plan.trusted;
    match (plan.login, plan.policy) {
        (_, Some("verify")) => {
            if verified {
                All
            } else {
                Nothing
            }
        }
        (_, Some("encrypt")) => {
            if over_tls {
                All
            } else {
                Nothing
            }
        }
        (Login::None, _) => All,
        (_, None) if over_tls => {
            if verified {
                All
            } else {
                Nothing
            }
        }
        (login, None) => {
            if plan.loopback || login == Login::InClear {
                All
            } else {
                Nothing
            }
        }
        (Login::InClear, Some(_)) if !over_tls => All,
        _ => {
            if verified {
                All
            } else {
                Challenge
            }
        }
    }
}

/// No secret was shown, and nothing sent, but where that is allowed.
fn nothing_shown(plan: &Plan, record: &Record, steps: &[Step]) -> Result<(), String> {
    let tls_at = record.tls_at.unwrap_or(record.heard.len());
    let mut logged_in = plan.login == Login::None;
    for step in steps {
        let over_tls = record.tls_at.is_some() && step.end > tls_at;
        let line = String::from_utf8_lossy(&step.line[..step.line.len().min(200)]).into_owned();
        match leave(plan, over_tls) {
            Leave::Nothing if step.what >= What::Auth && step.what <= What::Message => {
                return Err(format!("{line:?} where nothing may go out (TLS: {over_tls})"));
            }
            Leave::Challenge | Leave::Nothing => {
                let shows = line.starts_with("AUTH ") && line != "AUTH CRAM-MD5" && !line.starts_with("AUTH SCRAM-");
                if shows || step.what < What::Mail && leak(step.line, plan.login).is_some() {
                    return Err(format!("{line:?} shows the password (TLS: {over_tls})"));
                }
            }
            Leave::All => {}
        }
        logged_in |=
            matches!(step.what, What::Auth | What::Answer) && step.reply.as_ref().is_some_and(|r| r.code == 235);
        if step.what == What::Mail && !logged_in {
            return Err("MAIL without the login that is configured".into());
        }
    }
    Ok(())
}

/// Where TLS is offered nothing goes out in clear, but for mail that may do without where it came to nothing.
fn tls_is_used(plan: &Plan, stories: &[Vec<Step>]) -> Result<(), String> {
    let does_without = plan.policy == Some("may") || plan.policy.is_none() && plan.login == Login::None;
    let mut failed = false;
    for steps in stories {
        let starts = steps.iter().any(|step| step.what == What::StartTls);
        let offered = steps.iter().any(|step| {
            let offers = |line: &String| line.get(4..).is_some_and(|keyword| keyword.eq_ignore_ascii_case("STARTTLS"));
            let reply = step.reply.as_ref().filter(|reply| step.line.starts_with(b"EHLO ") && reply.code == 250);
            reply.is_some_and(|reply| reply.lines.iter().skip(1).any(offers))
        });
        let sends = steps.iter().any(|step| step.what >= What::Auth && step.what <= What::Message);
        let must = plan.policy != Some("none") && !plan.port_465 && (offered || failed);
        if sends && must && !starts && !(failed && does_without) {
            return Err("sent in clear where TLS was to be had".into());
        }
        failed |= starts;
    }
    Ok(())
}

/// The client said the right things in the right order.
fn transaction(plan: &Plan, steps: &[Step]) -> Result<(), String> {
    let mails = steps.iter().filter(|step| step.what == What::Mail).count();
    let begin = format!("MAIL FROM:<{SENDER}>");
    if mails > 1 || steps.iter().any(|step| step.what == What::Mail && !step.line.starts_with(begin.as_bytes())) {
        return Err("not one MAIL from the sender".into());
    }
    for (number, step) in steps.iter().filter(|step| step.what == What::Rcpt).enumerate() {
        let line = plan.recipients.get(number).map(|recipient| format!("RCPT TO:<{recipient}>"));
        if line.is_none_or(|line| line.as_bytes() != step.line) {
            return Err(format!("{:?} is not recipient {number}", String::from_utf8_lossy(step.line)));
        }
    }
    match steps.iter().find(|step| step.what == What::Message) {
        Some(step) if arrived(step.line).as_deref() != Some(&unix(&plan.message)) => {
            Err("the message is another".into())
        }
        _ => Ok(()),
    }
}

/// The message that came over the wire, with LF for its line ends. None: a CR or LF of it ends no line.
fn arrived(wire: &[u8]) -> Option<Vec<u8>> {
    let mut message = Vec::with_capacity(wire.len());
    let mut rest = wire;
    while !rest.is_empty() {
        rest = rest.strip_prefix(b".").unwrap_or(rest);
        let end = memchr::memchr2(b'\r', b'\n', rest)?;
        message.extend_from_slice(&rest[..end]);
        message.push(b'\n');
        rest = rest[end..].strip_prefix(b"\r\n")?;
    }
    Some(message)
}

/// The message as it lies in the queue, where a CR, alone or before an LF, is a line's end, too.
fn unix(message: &[u8]) -> Vec<u8> {
    let mut unix = Vec::with_capacity(message.len());
    for (place, octet) in message.iter().enumerate() {
        match octet {
            b'\r' if message.get(place + 1) == Some(&b'\n') => {}
            b'\r' => unix.push(b'\n'),
            other => unix.push(*other),
        }
    }
    unix
}

/// The reply to the first of these.
fn reply_to<'a>(steps: &'a [Step], what: &[What]) -> Option<&'a Reply> {
    steps.iter().find(|step| what.contains(&step.what))?.reply.as_ref()
}

/// The reports say no more than the server did. True: a K that raced.
fn report(plan: &Plan, steps: &[Step], letters: &str) -> Result<bool, String> {
    let (recipients, message) = letters.split_at(letters.len() - 1);
    let mail = reply_to(steps, &[What::Mail]);
    let rcpts: Vec<Option<&Reply>> =
        steps.iter().filter(|step| step.what == What::Rcpt).map(|step| step.reply.as_ref()).collect();
    if !recipients.is_empty() && mail.is_none_or(|reply| reply.class() != 2) {
        return Err(format!("{letters}, and MAIL was not accepted"));
    }
    if recipients.len() > plan.recipients.len() {
        return Err(format!("{letters}, for {} recipients", plan.recipients.len()));
    }
    for (number, letter) in recipients.chars().enumerate() {
        let reply = rcpts.get(number).copied().flatten();
        let holds = match letter {
            'r' => reply.is_some_and(|reply| reply.class() == 2),
            'h' => reply.is_some_and(Reply::refuses_for_good),
            _ => true,
        };
        if !holds {
            return Err(format!(
                "{letter} for recipient {number}, and the server said {:?}",
                reply.map(|reply| reply.code)
            ));
        }
    }
    let refused = |what: &[What]| reply_to(steps, what).is_some_and(Reply::refuses_for_good);
    let all_refused = recipients.len() == plan.recipients.len() && !recipients.contains('r');
    match message {
        "D" if refused(&[What::Mail])
            || refused(&[What::Data])
            || refused(&[What::Part, What::Message])
            || all_refused =>
        {
            Ok(false)
        }
        "D" => Err("D, and the server refused nothing for good".into()),
        "K" => accepted(steps, recipients),
        _ => Ok(false),
    }
}

fn accepted(steps: &[Step], recipients: &str) -> Result<bool, String> {
    let Some(step) = steps.iter().find(|step| [What::Part, What::Message].contains(&step.what)) else {
        return Err("K, and no message was asked for".into());
    };
    if !recipients.contains('r') {
        return Err("K without a recipient".into());
    }
    match &step.reply {
        Some(reply) if reply.class() == 2 => {
            let raced = step.what == What::Part || reply.heard < step.end;
            Ok(raced)
        }
        other => Err(format!("K, and the reply to the message was {:?}", other.as_ref().map(|reply| reply.code))),
    }
}

/// The letters that are due where the server said all in its place.
fn expected(plan: &Plan, steps: &[Step]) -> String {
    let verdict = |reply: Option<&Reply>| if reply.is_some_and(Reply::refuses_for_good) { "D" } else { "Z" };
    let Some(mail) = reply_to(steps, &[What::Mail]) else { return "Z".into() };
    if mail.class() != 2 {
        return verdict(Some(mail)).into();
    }
    let rcpts = steps.iter().filter(|step| step.what == What::Rcpt).filter_map(|step| step.reply.as_ref());
    let recipients: String = rcpts
        .map(|reply| match reply.class() {
            2 => 'r',
            _ if reply.refuses_for_good() => 'h',
            _ => 's',
        })
        .collect();
    if recipients.len() == plan.recipients.len() && !recipients.contains('r') {
        return recipients + "D";
    }
    let message = match reply_to(steps, &[What::Message]) {
        Some(reply) if reply.class() == 2 => "K",
        Some(reply) => verdict(Some(reply)),
        None => verdict(reply_to(steps, &[What::Data])),
    };
    recipients + message
}
