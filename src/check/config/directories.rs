//! Checks control/relays as a whole, and each control file as a file: its name, who can read it, what an editor left in it.

use super::cr_in;
use super::notes::Notes;
use crate::cause::tls::PemCause;
use crate::check::file_readers::{self, Readers};
use crate::check::lines::{Line, Lines};
use crate::control::files::Control;
use crate::control::relays::{NAMES, intended_name, is_for};
use crate::control::senders::{self, Sender};
use crate::control::tokens;
use crate::control::{Route, routes};
use crate::policy::{Security, Verification};
use crate::report::os_error;
use crate::tls::pem_check::{self, Cas};
use qmail_auth::LoginKind;
use std::collections::{HashMap, HashSet};
use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

/// The control files that count for all relays, besides those with routes and senders.
const GENERAL: [&str; 6] = ["me", "helohost", "timeoutconnect", "timeoutremote", "outgoingip", "tlscafile"];

/// The files where a CR at the end of a line does no harm, or is an error of the line that has been reported with it.
const WITHOUT_CR: [&str; 4] = [routes::FILE, senders::FILE, "timeoutconnect", "timeoutremote"];

/// Notes what is wrong with directories and files, and at the end who can read each file with a secret.
pub fn check(control: &Control, smtproutes: &Lines, authsenders: &Lines, notes: &mut Notes) {
    check_names_in_control(control, notes);
    let mut relays = control.names("relays").unwrap_or_else(|error| {
        notes.warn_deferral(&format!("{error}; mail is deferred"));
        Vec::new()
    });
    relays.sort();
    let directory = control.home.join("control/relays");
    let effective = || [smtproutes, authsenders].into_iter().flat_map(Lines::effective);
    let mut named: HashMap<&str, Vec<&Line>> = HashMap::new();
    for line in effective() {
        line.directory.iter().for_each(|directory| named.entry(directory).or_default().push(line));
    }
    let pem_files: HashSet<&Path> =
        routes_of(effective()).flat_map(|(_, route)| route.security.files()).map(|file| &*file.path).collect();
    let mut files: Vec<String> = GENERAL.map(str::to_owned).into();
    files.extend([routes::FILE, senders::FILE].map(str::to_owned));
    let mut secrets: Vec<PathBuf> = Vec::new();
    let mut others: Vec<PathBuf> = Vec::new();
    let mut unused: Vec<PathBuf> = Vec::new();
    for relay in &relays {
        let path = directory.join(relay);
        if !path.is_dir() {
            notes.warn(&format!("control/relays/{relay}: not a directory, so it is for no relay"));
        } else if check_relay(control, relay, &named, &pem_files, notes) {
            let own = NAMES.into_iter().filter(|name| *name != tokens::DIRECTORY);
            files.extend(own.map(|name| format!("relays/{relay}/{name}")));
            if path.join(tokens::DIRECTORY).is_dir() {
                let of_tokens = tokens::NAMES.map(|name| format!("relays/{relay}/{}/{name}", tokens::DIRECTORY));
                files.extend(of_tokens);
                others.push(path.join(tokens::DIRECTORY));
                super::tokens::check(control, relay, is_used_with_tokens(effective(), relay), notes);
            }
            others.push(path);
        } else {
            unused.push(path.join("password"));
            unused.push(path.join(tokens::DIRECTORY).join("secret"));
        }
    }
    if !named.is_empty() {
        others.push(directory);
    }
    for name in files {
        let Some(has_secret) = check_file(control, &name, notes) else { continue };
        let has_secret = match &name[..] {
            routes::FILE => smtproutes.has_secret,
            senders::FILE => authsenders.has_secret,
            _ => has_secret,
        };
        let path = control.home.join("control").join(&name);
        if has_secret { secrets.push(path) } else { others.push(path) }
    }
    // Most routes have the same files: read these once.
    let mut known = HashMap::new();
    for (line, route) in routes_of(effective()) {
        let security = &route.security;
        let verification =
            security.policy.verification(route.credentials.as_ref().map(|credentials| &credentials.login));
        let files = (&security.client, &security.cafile, verification);
        for (why, defers_mail) in known.entry(files).or_insert_with(|| check_pem_files(security, verification)) {
            if *defers_mail {
                notes.warn_deferral(&format!("{why}; mail by {} is deferred", line.source));
            } else {
                notes.warn(why);
            }
        }
        secrets.extend(security.client.iter().map(|(_, key)| key.path.clone()).filter(|key| key.exists()));
    }
    for path in others {
        if let Ok(Some(words)) = file_readers::not_for_qmailr(&path) {
            notes.warn_deferral(&format!("{}: {words}", path.display()));
        }
    }
    let mut seen = HashSet::new();
    for path in secrets.iter().filter(|path| seen.insert(*path)) {
        note_readers(path, notes);
    }
    for path in unused {
        if let Ok(Readers { words, others: true, .. }) = file_readers::readers(&path) {
            notes.warn(&format!("{} holds a secret: {words}", path.display()));
        }
    }
}

/// Whether a login by token goes to this relay, or may: one that is for a sender alone goes to any.
fn is_used_with_tokens<'a>(mut lines: impl Iterator<Item = &'a Line>, relay: &str) -> bool {
    lines.any(|line| match &line.meaning {
        Ok(Some(Sender::Relay(route))) => {
            let directory = route.security.directory.as_deref().and_then(|path| path.strip_prefix("control/relays/"));
            route.tokens.is_some() && directory == Some(relay)
        }
        Ok(Some(Sender::Login(credentials))) => credentials.login.kind() == LoginKind::Token,
        _ => false,
    })
}

/// Each line that has a route, with that route.
fn routes_of<'a>(lines: impl Iterator<Item = &'a Line>) -> impl Iterator<Item = (&'a Line, &'a Route)> {
    lines.filter(|line| !line.is_doubtful()).filter_map(|line| match &line.meaning {
        Ok(Some(Sender::Relay(route))) => Some((line, &**route)),
        _ => None,
    })
}

/// Warns of a directory that no route uses, a login in it that no route takes, and a file with an unknown name. Returns whether a
/// route uses the directory. `named` has the lines by the directories of their relays, `pem_files` the PEM files of all routes.
fn check_relay(
    control: &Control,
    relay: &str,
    named: &HashMap<&str, Vec<&Line>>,
    pem_files: &HashSet<&Path>,
    notes: &mut Notes,
) -> bool {
    let directory = format!("control/relays/{relay}");
    let lines = named.get(&directory[..]).map_or(&[][..], |lines| lines);
    let is_named = lines.iter().any(|line| !line.is_doubtful());
    if !is_named {
        // A directory with the name of a route's relay in another form is an error, which the line of that route reports.
        let of_another = |other: &str| is_for(relay, other.strip_prefix("control/relays/").unwrap_or(other));
        if !named.keys().copied().any(of_another) {
            notes.warn(&format!("{directory}: no route leads to a relay of this name"));
        }
    } else {
        let has_login = ["user", "password"].map(|name| control.exists(&format!("relays/{relay}/{name}")));
        let takes = |line: &&Line| match &line.meaning {
            Ok(Some(Sender::Relay(route))) => route.credentials.as_ref().is_some_and(|login| login.source == directory),
            other => other.is_err(),
        };
        if has_login.contains(&Ok(true)) && !lines.iter().any(takes) {
            notes.warn(&format!("{directory}: no route uses the login, since each route to this relay has its own"));
        }
    }
    let mut there = control.names(&format!("relays/{relay}")).unwrap_or_default();
    there.sort();
    for name in &there {
        let path = control.home.join("control/relays").join(relay).join(name);
        let is_reported = is_named && intended_name(name, &NAMES, &there).is_some();
        if !NAMES.contains(&&name[..]) && !pem_files.contains(&*path) && !is_reported {
            notes.warn(&format!(
                "{directory}/{name}: a file of this name is not read; the names are {}",
                NAMES.join(", ")
            ));
        }
    }
    is_named
}

/// Whether a file of this name has a secret and nothing else.
fn is_secret(name: &str) -> bool {
    name.ends_with("/password") || name.ends_with(&format!("/{}/secret", tokens::DIRECTORY))
}

/// Warns of files in control whose name looks like a misspelt control file.
fn check_names_in_control(control: &Control, notes: &mut Notes) {
    let names = [&GENERAL[..], &[routes::FILE, senders::FILE, "relays"]].concat();
    let mut there = control.names("").unwrap_or_default();
    there.sort();
    for entry in &there {
        if let Some(name) = intended_name(entry, &names, &there) {
            notes.warn(&format!("control/{entry}: not read; the right name is {name}"));
        }
    }
}

/// Warns of what an editor or a system with other line ends leaves in a file. None if there is no such file, else whether it is a
/// password.
fn check_file(control: &Control, name: &str, notes: &mut Notes) -> Option<bool> {
    let path = control.home.join("control").join(name);
    let content = match control.read(name) {
        Ok(content) => content?,
        Err(why) => {
            let for_qmailr = match file_readers::not_for_qmailr(&path) {
                Ok(None) if file_readers::has_qmailr() && path.is_file() && File::open(&path).is_err() => {
                    format!(" for this user; {} can read it", file_readers::QMAILR)
                }
                Ok(Some(words)) => format!("; {words}"),
                _ => "; mail is deferred".to_owned(),
            };
            notes.warn_deferral(&format!("{why}{for_qmailr}"));
            return control.exists(name).is_ok_and(|exists| exists).then_some(is_secret(name));
        }
    };
    if control.has_mark(name) {
        notes.warn(&format!(
            "control/{name}: begins with a byte order mark, which stock qmail takes for a part of the first line"
        ));
    }
    let lines = content.split(|c| *c == b'\n').zip(1..);
    let with_cr: Vec<usize> = lines.filter(|(line, _)| line.ends_with(b"\r")).map(|(_, number)| number).collect();
    if let [first, rest @ ..] = &with_cr[..] {
        let is_harmless = WITHOUT_CR.contains(&name) || name.ends_with("/mechanisms");
        if !is_harmless && !notes.have_said(&cr_in(&format!("control/{name}"))) {
            let more = if rest.is_empty() { String::new() } else { format!(" and {} more", rest.len()) };
            notes.warn(&format!("control/{name}: a CR at the end of line {first}{more}, which counts as a part of it"));
        }
    }
    let is_password = name.ends_with("/password");
    let first = content.split(|c| *c == b'\n').next().unwrap_or_default();
    if is_password && (first.ends_with(b" ") || first.ends_with(b"\t")) {
        notes.warn(&format!("control/{name}: blanks at the line's end, which here count as a part of the password"));
    }
    Some(is_secret(name))
}

/// What is wrong with the PEM files of a route, for a delivery and for the user that it runs as, and whether that defers mail.
pub(super) fn check_pem_files(security: &Security, verification: Verification) -> Vec<(String, bool)> {
    let is_needed = verification != Verification::Off;
    let own = security.client.iter().flat_map(|(certificate, key)| [(certificate, true), (key, true)]);
    let mut found: Vec<(String, bool)> =
        pem_check::errors(security, verification).into_iter().map(|why| (why, true)).collect();
    for (file, is_needed) in own.chain(security.cafile.iter().map(|file| (file, is_needed))) {
        let why = match (opened(&file.path), file_readers::not_for_qmailr(&file.path)) {
            (Err(error), _) if !is_needed => os_error(&error),
            (Ok(_), Ok(Some(words))) => words,
            _ => continue,
        };
        found.push((format!("{file}: {why}"), is_needed));
    }
    if let Some(file) = security.cafile.as_ref().filter(|_| is_needed) {
        let unix = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
        let Cas { expired, not_cas, has_trusted } = pem_check::cas(security, unix);
        if !expired.is_empty() {
            let why = format!("{file}: expired, so not trusted: {}", expired.join(", "));
            found.push((why, verification == Verification::Required && !has_trusted));
        }
        for subject in not_cas {
            let words =
                "does not say that it is a CA, so it is not trusted as one here; in the cafile of a relay it is";
            found.push((format!("{file}: {subject} {words}"), false));
        }
    }
    found
}

/// Opens a regular file. Opening a FIFO would wait for a writer.
fn opened(path: &Path) -> io::Result<File> {
    if fs::metadata(path)?.is_file() {
        File::open(path)
    } else {
        Err(io::Error::other(PemCause::NotRegular.to_string()))
    }
}

fn note_readers(path: &Path, notes: &mut Notes) {
    let path_name = path.display();
    match file_readers::readers(path) {
        Ok(readers) => {
            let text = format!("{path_name} holds a secret: {}", readers.words);
            match (readers.qmailr, readers.others) {
                (false, _) => notes.warn_deferral(&text),
                (true, true) => notes.warn(&text),
                (true, false) => notes.say(text),
            }
        }
        Err(error) => notes.warn(&format!("{path_name} holds a secret: {}", os_error(&error))),
    }
}
