//! `--config`: the control files in words, what is wrong with them, and who can read each file with a secret. No network, and
//! never the secret.

mod directories;
pub mod notes;

use crate::check::lines::{Line, Lines, Stray};
use crate::control::files::{Control, ControlError};
use crate::control::routes;
use crate::control::senders::{self, Sender};
use crate::control::{Credentials, Route};
use crate::event::Log;
use crate::policy::TlsPolicy;
use notes::Notes;
use qmail_auth::{Login, LoginKind, mechanisms};
use std::path::Path;

/// What there is to say about the control files of this home, a line each; and whether they put mail off.
pub fn config(home: &Path) -> (Vec<String>, bool) {
    let control = Control { home: home.to_owned(), log: Log::default() };
    let mut notes = Notes::default();
    notes.say(format!("home {}", home.display()));
    general(&control, &mut notes);
    let mut are_read = true;
    let [smtproutes, authsenders] = [routes::FILE, senders::FILE].map(|file| {
        Lines::read(&control, file).unwrap_or_else(|why| {
            notes.warn_of_delay(&format!("{why}; mail is put off"));
            are_read = false;
            Lines::default()
        })
    });
    for (lines, file) in [(&smtproutes, routes::FILE), (&authsenders, senders::FILE)] {
        let mut strays = lines.strays.iter().peekable();
        for line in &lines.lines {
            while let Some((number, stray)) = strays.next_if(|(number, _)| *number < line.number) {
                say_stray(&format!("control/{file} line {number}"), stray, &mut notes);
            }
            say_line(line, file, &mut notes);
        }
        strays.for_each(|(number, stray)| say_stray(&format!("control/{file} line {number}"), stray, &mut notes));
    }
    if are_read {
        between_the_files(&smtproutes, &authsenders, &mut notes);
    }
    directories::look(&control, &smtproutes, &authsenders, &mut notes);
    notes.end()
}

/// What does not depend on the mail.
fn general(control: &Control, notes: &mut Notes) {
    let mut off = |why: ControlError| notes.warn_of_delay(&format!("{why}; mail is put off"));
    let hello = control.helohost().map_err(&mut off).ok();
    let outgoingip = control.ip("outgoingip").map_err(&mut off).ok().flatten();
    let mut seconds = |name: &str, default| control.number(name, default).map_err(&mut off).ok();
    let (connect, remote) = (seconds("timeoutconnect", 60), seconds("timeoutremote", 1200));
    for (name, _) in [("timeoutconnect", connect), ("timeoutremote", remote)].iter().filter(|(_, set)| *set == Some(0))
    {
        notes.warn_of_delay(&format!("control/{name}: 0 seconds are over at once; mail is put off"));
    }
    let said = [
        hello.map(|name| format!("EHLO {}", String::from_utf8_lossy(&name))),
        outgoingip.map(|ip| format!("from {ip}")),
        connect.map(|seconds| format!("timeoutconnect {seconds} seconds")),
        remote.map(|seconds| format!("timeoutremote {seconds} seconds")),
    ];
    notes.say(format!("each connection: {}", said.into_iter().flatten().collect::<Vec<_>>().join(", ")));
}

fn say_stray(source: &str, stray: &Stray, notes: &mut Notes) {
    match stray {
        Stray::Ignored => notes.warn(&format!("{source}: no colon, so it does not count")),
        Stray::Unclear(why) => notes.warn_of_delay(&format!("{why}; mail is put off")),
        Stray::Comment => {
            notes.warn(&format!("{source}: a comment with a login in it; if that is still good, delete it"))
        }
    }
}

fn say_line(line: &Line, file: &str, notes: &mut Notes) {
    let Line { source, key, .. } = line;
    let of_senders = file == senders::FILE;
    if line.is_doubtful() {
        let why = match of_senders {
            // RFC 5321 section 4.1.2: in quotes it may.
            true => "hardly any sender has a blank or a bar in it, so this is not looked into; was a colon forgotten?",
            false => {
                "no host has a blank or a bar in it, so it does not count; was a colon or the name before it forgotten?"
            }
        };
        return notes.warn(&format!("{source}: {why}"));
    }
    let mail = match (&key[..], of_senders) {
        ([], false) => "mail for all other hosts".to_owned(),
        ([], true) => "mail from all other senders".to_owned(),
        (key, false) => format!("mail for {}", String::from_utf8_lossy(key)),
        (key, true) => format!("mail from {}", String::from_utf8_lossy(key)),
    };
    if let Some(number) = line.replaced_by {
        return notes
            .warn(&format!("{source}: {mail} goes by line {number}, which has the same key, so this does not count"));
    }
    match &line.says {
        Ok(None) if of_senders => notes.say(format!("{source}: {mail} goes as if there were no such file")),
        Ok(None) => notes.say(format!("{source}: {mail} goes to the domain's mail exchangers")),
        Ok(Some(Sender::Login(login))) => {
            notes.say(format!("{source}: {mail} logs in as {} at its route's relay", user(&login.login)));
            say_clear(login, source, notes);
        }
        Ok(Some(Sender::Relay(route))) => say_route(route, &mail, of_senders, notes),
        Err(why) => notes.warn_of_delay(&format!("{why}; {mail} is put off")),
    }
    if let Some(why) = misses(key, of_senders) {
        notes.warn(&format!("{source}: {why}, so it does not count"));
    }
}

/// Why a key fits nothing.
fn misses(key: &[u8], of_senders: bool) -> Option<&'static str> {
    let has = |c: u8| key.contains(&c);
    match (key, of_senders) {
        ([], _) => None,
        (_, false) if has(b'@') => Some("the part of an address behind its @ has no @"),
        (_, true) if has(b'<') || has(b'>') => Some("an address is without < and > here"),
        ([b'.', ..], true) => None,
        (_, true) if !has(b'@') => Some("a sender is a whole address, or the end of one from an @ or a . on"),
        _ => None,
    }
}

/// A route that is understood.
fn say_route(route: &Route, mail: &str, of_senders: bool, notes: &mut Notes) {
    let Route { host, port, source, credentials, security, mechanisms } = route;
    let login = match credentials {
        None if of_senders => "without a login, or with that of its route where this has the same relay".to_owned(),
        None => "without a login".to_owned(),
        Some(Credentials { login, source: of }) => {
            let from = if of == source { String::new() } else { format!(" ({of})") };
            let who = match login.kind() {
                LoginKind::Password => user(login),
                LoginKind::Certificate => "its client certificate".to_owned(),
            };
            format!("with a login as {who}{from}")
        }
    };
    let mut said = format!("{source}: {mail} goes to {host}:{port} {login}");
    let directory = security.directory.as_deref().unwrap_or_default();
    if security.policy != TlsPolicy::Unset {
        said += &format!(", TLS policy {} ({directory}/tls)", security.policy);
    }
    if let Some(file) = &security.cafile {
        said += &format!(", CAs {file}");
    }
    if let Some((certificate, key)) = &security.client {
        said += &format!(", client certificate {certificate} with key {key}");
    }
    if let Some(mechanisms) = mechanisms {
        let names: Vec<&str> = mechanisms.iter().map(|mechanism| mechanism.name).collect();
        said += &format!(", mechanisms {} ({directory}/mechanisms)", names.join(", "));
    }
    notes.say(said);
    if host.bytes().all(|c| c.is_ascii_digit()) {
        notes.warn(&format!("{source}: the relay is a number; was the colon that begins the line forgotten?"));
    }
    let Some(credentials) = credentials else { return };
    if *port == 25 {
        notes.warn(&format!("{source}: a login on port 25; most relays want it on 587 or 465"));
    }
    say_clear(credentials, source, notes);
    let risk = match security.policy {
        TlsPolicy::Unset | TlsPolicy::Verify => return,
        _ if credentials.login.kind() == LoginKind::Certificate && security.policy != TlsPolicy::Encrypt => return,
        TlsPolicy::Encrypt => {
            "no certificate is checked, so whoever stands between can read the password and the mail".to_owned()
        }
        TlsPolicy::May => format!(
            "without TLS that verifies the login is by {} alone, and the mail can be read on its way",
            that_hide_the_password()
        ),
        TlsPolicy::None => format!(
            "there is no TLS, so the login is by {} alone, and the mail can be read on its way",
            that_hide_the_password()
        ),
    };
    notes.warn(&format!("{source}: {directory}/tls: {risk}"));
}

fn say_clear(Credentials { login, source: of }: &Credentials, source: &str, notes: &mut Notes) {
    if login.is_allowed_in_clear() {
        let user = user(login);
        let of = if of == source { String::new() } else { format!(" ({of})") };
        notes.warn(&format!("{source}: -{user}{of}: its password may go out in clear where there is no TLS"));
    }
}

/// What a line of one file does to the other.
fn between_the_files(smtproutes: &Lines, authsenders: &Lines, notes: &mut Notes) {
    let goes_somewhere = |line: &&Line| !line.value.is_empty() && !line.is_doubtful();
    let has_default = smtproutes.that_count().any(|line| line.key.is_empty());
    if !has_default {
        notes.say(
            "no line of control/smtproutes: mail for all other hosts goes to the domain's mail exchangers".to_owned(),
        );
    }
    let without_relay = smtproutes.that_count().find(|line| line.value.is_empty() && !line.is_doubtful());
    let logins = authsenders.that_count().filter(|line| matches!(line.says, Ok(Some(Sender::Login(_)))));
    for Line { source, .. } in logins.filter(|line| !line.is_doubtful()) {
        if !has_default {
            notes.warn_of_delay(&format!(
                "{source}: a login for the relay of the route; mail from there to hosts without a line in control/smtproutes is put off"
            ));
        }
        if let Some(Line { source: route, .. }) = without_relay {
            notes.warn_of_delay(&format!(
                "{source}: a login for the relay of the route, but {route} names none; mail from there that goes by it is put off"
            ));
        }
    }
    let takes_all = authsenders.that_count().find(|line| line.key.is_empty() && !line.value.is_empty());
    let leave_all = authsenders.that_count().all(|line| matches!(line.says, Ok(Some(Sender::Relay(_))) | Err(_)));
    if let (Some(line), true, true) = (takes_all, leave_all, smtproutes.that_count().any(|line| goes_somewhere(&line)))
    {
        notes.warn(&format!(
            "{}: takes the mail of all senders, so no line of control/smtproutes says where mail goes",
            line.source
        ));
    }
}

/// The mechanisms by which a password is proven and not shown.
fn that_hide_the_password() -> String {
    let order = mechanisms::order(false).into_iter();
    let names = order.filter(|mechanism| mechanism.shows_password.is_none()).map(|mechanism| mechanism.name);
    names.collect::<Vec<_>>().join(" or ")
}

fn user(login: &Login) -> String {
    String::from_utf8_lossy(login.user().unwrap_or_default()).into_owned()
}
