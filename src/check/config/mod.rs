//! `--config`: explains the control files, and says what is wrong with them and who can read each file with a secret. It uses no
//! network and never prints a secret.

mod directories;
mod keys;
pub(crate) mod notes;
mod tokens;

use crate::check::lines::{Keyless, Line, Lines};
use crate::control::files::{Control, ControlError};
use crate::control::routes;
use crate::control::senders::{self, Sender};
use crate::control::tokens::Source;
use crate::control::{Credentials, Relay, Route};
use crate::delivery::plan::SUBMISSIONS;
use crate::event::Log;
use crate::policy::TlsPolicy;
use notes::Notes;
use qmail_auth::{Login, LoginKind, PasswordLogin};
use std::collections::HashSet;
use std::path::Path;

/// The ports for mail from users, who log in: of STARTTLS (RFC 6409) and of TLS at once (RFC 8314).
const SUBMISSION: [u16; 2] = [587, SUBMISSIONS];

/// Lines about the control files of this home, and whether these defer mail.
pub fn config(home: &Path) -> (Vec<String>, bool) {
    let control = Control { home: home.to_owned(), log: Log::default(), seen: None };
    let mut notes = Notes::default();
    notes.say(format!("home {}", home.display()));
    general(&control, &mut notes);
    let mut are_read = true;
    let [smtproutes, authsenders] = [routes::FILE, senders::FILE].map(|file| {
        Lines::read(&control, file).unwrap_or_else(|why| {
            notes.warn_deferral(&format!("{why}; mail is deferred"));
            are_read = false;
            Lines::default()
        })
    });
    for (lines, file) in [(&smtproutes, routes::FILE), (&authsenders, senders::FILE)] {
        let elsewhere =
            if file == senders::FILE { Elsewhere::in_routes(&smtproutes) } else { Elsewhere::in_senders(&authsenders) };
        let mut keyless = lines.keyless.iter().peekable();
        for line in &lines.lines {
            while let Some((number, why)) = keyless.next_if(|(number, _)| *number < line.number) {
                explain_keyless(&format!("control/{file} line {number}"), why, &mut notes);
            }
            explain_line(line, file, &elsewhere, &control, &mut notes);
        }
        keyless.for_each(|(number, why)| explain_keyless(&format!("control/{file} line {number}"), why, &mut notes));
    }
    if are_read {
        compare_files(&smtproutes, &authsenders, &mut notes);
    }
    directories::check(&control, &smtproutes, &authsenders, &mut notes);
    notes.finish()
}

/// The settings that are the same for all mail.
fn general(control: &Control, notes: &mut Notes) {
    let mut defer =
        |why: ControlError| notes.warn_deferral(&format!("{why}{}; mail is deferred", cr_behind(&why, control)));
    let hello = control.helohost().map_err(&mut defer).ok();
    let outgoingip = control.ip("outgoingip").map_err(&mut defer).ok().flatten();
    let mut seconds = |name: &str, default| control.number(name, default).map_err(&mut defer).ok();
    let (connect, remote) = (seconds("timeoutconnect", 60), seconds("timeoutremote", 1200));
    for (name, _) in [("timeoutconnect", connect), ("timeoutremote", remote)].iter().filter(|(_, set)| *set == Some(0))
    {
        notes.warn_deferral(&format!("control/{name}: 0 seconds leave no time; mail is deferred"));
    }
    let parts = [
        hello.map(|name| format!("EHLO {}", String::from_utf8_lossy(&name))),
        outgoingip.map(|ip| format!("from {ip}")),
        connect.map(|seconds| format!("timeoutconnect {seconds} seconds")),
        remote.map(|seconds| format!("timeoutremote {seconds} seconds")),
    ];
    notes.say(format!("each connection: {}", parts.into_iter().flatten().collect::<Vec<_>>().join(", ")));
}

fn explain_keyless(source: &str, line: &Keyless, notes: &mut Notes) {
    match line {
        Keyless::NoColon => notes.warn(&format!("{source}: no colon, so it does not count")),
        Keyless::UnknownSender(why) => notes.warn_deferral(&format!("{why}; mail is deferred")),
        Keyless::CommentedLogin => {
            notes.warn(&format!("{source}: a comment with a login in it; delete it if the login is still valid"))
        }
    }
}

/// The logins that the other one of the two files has for mail whose own line has none.
enum Elsewhere {
    /// authsenders has a line for all senders, with a login or another relay.
    ForAllSenders(bool),
    /// smtproutes has one for these relays.
    ForRelays(HashSet<Relay>),
}

impl Elsewhere {
    fn in_senders(lines: &Lines) -> Elsewhere {
        let is_for_all = |line: &Line| line.key.is_empty() && matches!(line.meaning, Ok(Some(_)));
        Elsewhere::ForAllSenders(lines.effective().any(is_for_all))
    }

    fn in_routes(lines: &Lines) -> Elsewhere {
        let with_login = lines.effective().filter_map(|line| match &line.meaning {
            Ok(Some(Sender::Relay(route))) if !line.is_doubtful() && route.credentials.is_some() => Some(route.relay()),
            _ => None,
        });
        Elsewhere::ForRelays(with_login.collect())
    }

    fn have_login_for(&self, route: &Route) -> bool {
        match self {
            Elsewhere::ForAllSenders(have) => *have,
            Elsewhere::ForRelays(relays) => relays.contains(&route.relay()),
        }
    }
}

const NO_HOST: &str =
    "no host has a blank or a bar in it, so it does not count; was a colon or the name before it forgotten?";
/// RFC 5321 section 4.1.2 allows them in a quoted local part.
const HARDLY_A_SENDER: &str =
    "hardly any sender has a blank or a bar in it, so this line is not checked; was a colon forgotten?";

fn explain_line(line: &Line, file: &str, elsewhere: &Elsewhere, control: &Control, notes: &mut Notes) {
    let Line { source, key, .. } = line;
    let of_senders = file == senders::FILE;
    let mismatch = keys::mismatch(key, of_senders);
    let mail = match (&key[..], of_senders) {
        ([], false) => "mail for all other hosts".to_owned(),
        ([], true) => "mail from all other senders".to_owned(),
        (key, false) => format!("mail for {}", String::from_utf8_lossy(key)),
        (key, true) => format!("mail from {}", String::from_utf8_lossy(key)),
    };
    if let (Err(why), false, true) = (&line.meaning, of_senders, routes::lacks_colon(key, &line.value)) {
        let is_certain = mismatch.as_ref().is_some_and(|mismatch| mismatch.is_certain);
        let counts = line.replaced_by.is_none() && !line.is_doubtful() && !is_certain;
        let all = "all mail that no other line is for is deferred";
        let own = if counts { format!("{mail} and ") } else { String::new() };
        return notes.warn_deferral(&format!("{why}{}; {own}{all}", cr_behind(why, control)));
    }
    if line.is_doubtful() {
        let why = match keys::blanks_around(key) {
            Some(why) => why.to_string(),
            None if of_senders => HARDLY_A_SENDER.to_owned(),
            None => NO_HOST.to_owned(),
        };
        return notes.warn(&format!("{source}: {why}"));
    }
    if let Some(number) = line.replaced_by {
        return notes.warn(&format!(
            "{source}: {mail} goes by line {number}, which has the same key, so this line does not count"
        ));
    }
    match &line.meaning {
        Ok(None) if of_senders => notes.say(format!("{source}: {mail} goes as if there were no such file")),
        Ok(None) => notes.say(format!("{source}: {mail} goes to the domain's mail exchangers")),
        Ok(Some(Sender::Login(login))) => {
            let by = match login.login.kind() {
                LoginKind::Token => ", by a token: mail is deferred where that relay has no oauth",
                LoginKind::Password | LoginKind::Certificate => "",
            };
            notes.say(format!("{source}: {mail} logs in as {} at its route's relay{by}", user(&login.login)));
            warn_clear(login, source, notes);
            warn_comment(login, source, notes);
        }
        Ok(Some(Sender::Relay(route))) => explain_route(route, &mail, elsewhere, notes),
        Err(why) if mismatch.as_ref().is_some_and(|mismatch| mismatch.is_certain) => notes.warn(&why.to_string()),
        Err(why) => notes.warn_deferral(&format!("{why}{}; {mail} is deferred", cr_behind(why, control))),
    }
    if let Some(why) = mismatch {
        notes.warn(&format!("{source}: {why}"));
    }
}

/// A CR that is behind an error in a whole file, as its first line ends in it. Empty if there is none.
fn cr_behind(ControlError { place, .. }: &ControlError, control: &Control) -> String {
    let ends_in_cr = |name: &&str| {
        let file = name.strip_prefix("control/").map(|file| control.first_line(file));
        matches!(file, Some(Ok(Some(line))) if line.ends_with(b"\r"))
    };
    place.split(" and ").find(ends_in_cr).map_or_else(String::new, |name| format!(" ({})", cr_in(name)))
}

/// In words: the first line of this file ends in a CR.
fn cr_in(name: &str) -> String {
    format!("a CR at the end of line 1 of {name}")
}

fn explain_route(route: &Route, mail: &str, elsewhere: &Elsewhere, notes: &mut Notes) {
    let Route { host, port, source, credentials, security, mechanisms, tokens } = route;
    let login = match credentials {
        None if matches!(elsewhere, Elsewhere::ForRelays(_)) => {
            "without a login, or with that of its route if that has the same relay".to_owned()
        }
        None => "without a login".to_owned(),
        Some(Credentials { login, source: of }) => {
            let from = if of == source { String::new() } else { format!(" ({of})") };
            let who = match login.kind() {
                LoginKind::Password => user(login),
                LoginKind::Token => format!("{} by a token", user(login)),
                LoginKind::Certificate => "its client certificate".to_owned(),
            };
            format!("with a login as {who}{from}")
        }
    };
    let mut text = format!("{source}: {mail} goes to {host}:{port} {login}");
    let directory = security.directory.as_deref().unwrap_or_default();
    if security.policy != TlsPolicy::Unset {
        text += &format!(", TLS policy {} ({directory}/tls)", security.policy);
    }
    if let Some(file) = &security.cafile {
        text += &format!(", CAs {file}");
    }
    if let Some((certificate, key)) = &security.client {
        text += &format!(", client certificate {certificate} with key {key}");
    }
    if let Some(mechanisms) = mechanisms {
        let names: Vec<&str> = mechanisms.iter().map(|mechanism| mechanism.name).collect();
        text += &format!(", mechanisms {} ({directory}/mechanisms)", names.join(", "));
    }
    if let Some(program) =
        tokens.as_ref().and_then(|Source { command, .. }| command.as_ref()?.split_ascii_whitespace().next())
    {
        text += &format!(", tokens by {program} ({directory}/oauth/command)"); // the other words may be anything
    }
    notes.say(text);
    if host.bytes().all(|c| c.is_ascii_digit()) {
        notes.warn(&format!("{source}: the relay is a number; was the colon at the start of the line forgotten?"));
    }
    let Some(credentials) = credentials else {
        if SUBMISSION.contains(port) && !elsewhere.have_login_for(route) {
            notes
                .warn(&format!("{source}: port {port} mostly wants a login, and there is none: add user and password"));
        }
        return;
    };
    if *port == 25 {
        notes.warn(&format!("{source}: a login on port 25; most relays want it on 587 or 465"));
    }
    warn_clear(credentials, source, notes);
    warn_comment(credentials, source, notes);
    // A login that is bound to TLS can be passed on by nobody; where it cannot be made, the mail waits.
    let (mut is_bound, mut hides) = (false, credentials.login.kind() == LoginKind::Certificate);
    if let (Some(names), LoginKind::Password) = (mechanisms, credentials.login.kind()) {
        is_bound = names.iter().all(|name| name.is_bound());
        hides = names.iter().all(|name| name.shows_password.is_none());
    }
    let has_tls = security.policy != TlsPolicy::None || *port == SUBMISSIONS;
    let alone = "the login is by SCRAM or CRAM-MD5 alone, and the mail can be read on its way";
    let risk = match security.policy {
        TlsPolicy::Unset | TlsPolicy::Verify => return,
        _ if is_bound && has_tls => return,
        TlsPolicy::None if is_bound => {
            let why = "there is no TLS, to which the login must be bound; the mail is deferred";
            return notes.warn_deferral(&format!("{source}: {directory}/tls: {why}"));
        }
        TlsPolicy::May | TlsPolicy::None if credentials.login.kind() == LoginKind::Certificate => return,
        TlsPolicy::Encrypt => {
            let what = if hides { "the mail" } else { "the password and the mail" };
            format!("the certificate is not checked, so anyone on the way can read {what}")
        }
        TlsPolicy::None if !has_tls => format!("there is no TLS, so {alone}"),
        TlsPolicy::May | TlsPolicy::None => format!("without TLS that verifies, {alone}"),
    };
    notes.warn(&format!("{source}: {directory}/tls: {risk}"));
}

fn warn_clear(Credentials { login, source: of }: &Credentials, source: &str, notes: &mut Notes) {
    if login.is_allowed_in_clear() {
        let user = user(login);
        let of = if of == source { String::new() } else { format!(" ({of})") };
        notes.warn(&format!("{source}: -{user}{of}: the password may go out in clear where there is no TLS"));
    }
}

/// Warns of a comment that stands where a login does: a line has no place for one.
fn warn_comment(Credentials { login, source: of }: &Credentials, source: &str, notes: &mut Notes) {
    let Login::Password(PasswordLogin { user, password, .. }) = login else { return };
    let of = if of == source { String::new() } else { format!(" ({of})") };
    if user.starts_with(b"#") {
        notes.warn(&format!("{source}: the user{of} begins with a #: a comment here is taken for a login"));
    }
    let has_blank_before = password.windows(2).any(|two| matches!(two, [b' ' | b'\t', b'#']));
    if has_blank_before || password.starts_with(b"# ") {
        notes.warn(&format!("{source}: the password{of} has a # beside a blank: a comment here is a part of it"));
    }
}

/// Warns of lines in one file that make lines of the other one fail or useless.
fn compare_files(smtproutes: &Lines, authsenders: &Lines, notes: &mut Notes) {
    let goes_somewhere = |line: &&Line| !line.value.is_empty() && !line.is_doubtful();
    let has_default = smtproutes.effective().any(|line| line.key.is_empty());
    let waits = smtproutes.lines.iter().any(|line| routes::lacks_colon(&line.key, &line.value));
    if !has_default && !waits {
        notes.say(
            "no line of control/smtproutes: mail for all other hosts goes to the domain's mail exchangers".to_owned(),
        );
    }
    let without_relay = smtproutes.effective().find(|line| line.value.is_empty() && !line.is_doubtful());
    let logins = authsenders.effective().filter(|line| matches!(line.meaning, Ok(Some(Sender::Login(_)))));
    for Line { source, .. } in logins.filter(|line| !line.is_doubtful()) {
        if !has_default {
            notes.warn_deferral(&format!(
                "{source}: a login for the relay of the route; its mail to hosts without a line in control/smtproutes is deferred"
            ));
        }
        if let Some(Line { source: route, .. }) = without_relay {
            notes.warn_deferral(&format!(
                "{source}: a login for the relay of the route, but {route} names no relay; mail by both lines is deferred"
            ));
        }
    }
    let takes_all = authsenders.effective().find(|line| line.key.is_empty() && !line.value.is_empty());
    let leave_all = authsenders.effective().all(|line| matches!(line.meaning, Ok(Some(Sender::Relay(_))) | Err(_)));
    if let (Some(line), true, true) = (takes_all, leave_all, smtproutes.effective().any(|line| goes_somewhere(&line))) {
        notes.warn(&format!(
            "{}: takes the mail of all senders, so no line of control/smtproutes says where mail goes",
            line.source
        ));
    }
}

fn user(login: &Login) -> String {
    String::from_utf8_lossy(login.user().unwrap_or_default()).into_owned()
}
