//! `--convert`: moves the logins of control/smtproutes into control/relays, where each relay has a directory and its password a
//! file. This module makes the plan and prints it without secrets; `write` carries it out.
//!
//! A login is moved only if all mail keeps its route and its login. For each other line the plan says why it stays.

mod write;

use super::lines::{Keyless, Line, Lines};
use super::printable;
use crate::control::files::{Control, ControlError, first_line, strip_blanks};
use crate::control::senders::{self, Sender};
use crate::control::tokens::DIRECTORY;
use crate::control::{Credentials, relays, routes};
use crate::event::Log;
use crate::text_encoding;
use qmail_auth::secret::Secret;
use qmail_auth::{Login, PasswordLogin};
use std::collections::HashMap;
use std::error::Error;
use std::net::IpAddr;
use std::path::Path;
use write::Writer;

/// The lines of the plan, and whether it failed: the control files cannot be read.
pub fn plan(home: &Path) -> (Vec<String>, bool) {
    run(home, None)
}

/// Carries the plan out as the user `uid`. Returns the lines of the plan, with the outcome in the last line, and whether it failed.
pub fn write(home: &Path, uid: u32) -> (Vec<String>, bool) {
    run(home, Some(uid))
}

fn run(home: &Path, uid: Option<u32>) -> (Vec<String>, bool) {
    let control = Control { home: home.to_owned(), log: Log::default(), seen: None };
    let (lines, is_wrong) =
        convert(&control, uid).unwrap_or_else(|why| (vec![format!("{why}; nothing can be moved.")], true));
    (lines.iter().map(|line| printable(line.as_bytes())).collect(), is_wrong)
}

fn convert(control: &Control, uid: Option<u32>) -> Result<(Vec<String>, bool), Box<dyn Error>> {
    let contents = Contents::read(control)?;
    // A line without its own login needs nothing from control/relays here.
    let smtproutes = Lines::parse(routes::FILE, &contents.smtproutes).complete(control, Line::has_login);
    let authsenders = Lines::parse(senders::FILE, &contents.authsenders);
    if control.has_mark(routes::FILE) {
        let how = r"sed -i '1s/^\xef\xbb\xbf//' control/smtproutes";
        return Err(format!("control/{} begins with a byte order mark; remove it: {how}", routes::FILE).into());
    }
    let mut said = Vec::new();
    let mut moves = Vec::new();
    let by_relay = by_relay(&smtproutes, &authsenders);
    for line in smtproutes.lines.iter().filter(|line| line.has_login()) {
        match plan_move(control, line, &by_relay) {
            Ok(found) => {
                said.push(found.describe());
                moves.push(found);
            }
            Err(why) => said.push(format!("{} stays: {why}.", line.source)),
        }
    }
    for (file, lines) in [(routes::FILE, &smtproutes), (senders::FILE, &authsenders)] {
        said.extend(lines.keyless.iter().map(|(number, line)| {
            let why = match line {
                Keyless::CommentedLogin => "a comment with a login in it; delete it",
                Keyless::NoColon => "it has no colon, so it does not count",
                Keyless::UnknownSender(_) => "it cannot be understood",
            };
            format!("control/{file} line {number} stays: {why}.")
        }));
    }
    for line in authsenders.lines.iter().filter(|line| line.has_login()) {
        said.push(format!("{} stays: a login by sender, for which control/relays has no place.", line.source));
    }
    if moves.is_empty() {
        said.push("Nothing to do: there is no login in control/smtproutes that can be moved.".to_owned());
        return Ok((said, false));
    }
    let writer = Writer::new(control, &contents, uid.unwrap_or(0));
    if let Ok(writer) = &writer {
        said.extend(writer.describe());
    }
    let (last, is_wrong) = match (uid, writer) {
        (None, Ok(_)) => {
            ("Nothing was changed. To do it, as root: qmail-remote-check --convert --write".to_owned(), false)
        }
        (None, Err(why)) => (format!("Nothing was changed, and --write would change nothing: {why}."), false),
        (Some(_), Err(why)) => (format!("NOT DONE: {why}. Nothing was changed."), true),
        (Some(_), Ok(writer)) => match writer.write(&moves) {
            Ok(()) => ("Done.".to_owned(), false),
            Err(why) => (why, true),
        },
    };
    said.push(last);
    Ok((said, is_wrong))
}

/// What the two files with routes had in them when the plan was made. A missing file is empty.
struct Contents {
    smtproutes: Secret,
    authsenders: Secret,
}

impl Contents {
    fn read(control: &Control) -> Result<Contents, ControlError> {
        let [smtproutes, authsenders] = [routes::FILE, senders::FILE].map(|file| control.read(file));
        Ok(Contents { smtproutes: smtproutes?.unwrap_or_default(), authsenders: authsenders?.unwrap_or_default() })
    }

    fn is_same(&self, other: &Contents) -> bool {
        *self.smtproutes == *other.smtproutes && *self.authsenders == *other.authsenders
    }
}

/// A login that can move.
struct Move<'a> {
    line: &'a Line,
    login: &'a PasswordLogin,
    /// The length of the relay, which stays as the value of the line.
    relay: usize,
    /// `relays/smtp.example.jp`
    directory: &'a str,
    /// The files of the login, from [`files_of`], that this directory does not have yet.
    missing: Vec<(&'static str, Secret)>,
}

impl Move<'_> {
    fn describe(&self) -> String {
        let Move { line: Line { source, key, value, .. }, login, relay, directory, missing } = self;
        let [user, key, relay] = [&login.user, &key[..], &value[..*relay]].map(printable);
        let done = if missing.is_empty() { "is there already, in" } else { "moves to" };
        format!(
            "{source}: the login of {user} {done} control/{directory}/user and password; the line becomes {key}:{relay}"
        )
    }

    /// The length of the line without the login.
    fn kept_length(&self) -> usize {
        self.line.key.len() + 1 + self.relay
    }
}

/// What the effective lines say about one relay.
#[derive(Default)]
struct Relay<'a> {
    /// The first login in a line, and the first line with another one.
    login: Option<(&'a Line, &'a PasswordLogin)>,
    other_login: Option<&'a Line>,
    /// The first line without its own login.
    without: Option<&'a Line>,
    /// The first line that has the address of this relay in another form.
    other_form: Option<&'a Line>,
}

impl<'a> Relay<'a> {
    fn add(&mut self, line: &'a Line, login: Option<&'a PasswordLogin>) {
        match (self.login, login) {
            (None, Some(login)) => self.login = Some((line, login)),
            (Some((_, first)), Some(login)) if !is_same(first, login) => {
                self.other_login.get_or_insert(line);
            }
            _ => {}
        }
        if line.is_relay_alone() {
            self.without.get_or_insert(line);
        }
    }

    /// The first line with another login than this.
    fn another(&self, login: &PasswordLogin) -> Option<&'a Line> {
        let (line, first) = self.login?;
        if is_same(first, login) { self.other_login } else { Some(line) }
    }
}

/// The relays by their directories.
fn by_relay<'a>(smtproutes: &'a Lines, authsenders: &'a Lines) -> HashMap<&'a str, Relay<'a>> {
    let mut by_relay: HashMap<&str, Relay> = HashMap::new();
    let mut addresses: HashMap<IpAddr, (&str, &Line)> = HashMap::new();
    let of_routes = smtproutes.effective().map(|line| (line, own_login(line)));
    let of_senders = authsenders.effective().map(|line| (line, None)); // a sender's login is for no other mail
    for (line, login) in of_routes.chain(of_senders) {
        let Some(directory) = line.directory.as_deref() else { continue };
        by_relay.entry(directory).or_default().add(line, login);
        let Some(address) = directory.rsplit('/').next().and_then(relays::address) else { continue };
        let (first, first_line) = *addresses.entry(address).or_insert((directory, line));
        if first != directory {
            by_relay.entry(directory).or_default().other_form.get_or_insert(first_line);
            by_relay.entry(first).or_default().other_form.get_or_insert(line);
        }
    }
    by_relay
}

/// The login in the line itself, not that of control/relays.
fn own_login(line: &Line) -> Option<&PasswordLogin> {
    let Ok(Some(Sender::Relay(route))) = &line.meaning else { return None };
    let Credentials { login: Login::Password(login), source } = route.credentials.as_ref()? else { return None };
    (*source == route.source).then_some(login)
}

fn is_same(one: &PasswordLogin, other: &PasswordLogin) -> bool {
    one.user == other.user && one.clear_allowed == other.clear_allowed && *one.password == *other.password
}

/// How the login of a line moves, or why it stays.
fn plan_move<'a>(control: &Control, line: &'a Line, by_relay: &HashMap<&str, Relay>) -> Result<Move<'a>, String> {
    if line.is_doubtful() {
        return Err("no host has a blank or a bar in it, so it does not count".to_owned());
    }
    if let Some(number) = line.replaced_by {
        return Err(format!("line {number} has the same key, so it does not count; delete it"));
    }
    let login = match (own_login(line), &line.meaning) {
        (Some(login), _) => login,
        (None, Err(why)) => return Err(why.to_string()),
        _ => return Err("there is no login in it".to_owned()),
    };
    let Some(directory) = &line.directory else {
        return Err("the relay's name cannot be that of a directory: letters, digits, dots and hyphens".to_owned());
    };
    let relay = &by_relay[&directory[..]];
    if let Some(another) = relay.another(login) {
        return Err(format!("line {} has another login for the same relay", another.number));
    }
    let directory = directory.strip_prefix("control/").unwrap_or(directory);
    if control.exists(&format!("{directory}/{DIRECTORY}")).map_err(|why| why.to_string())? {
        return Err(format!("control/{directory}/{DIRECTORY} is there, and beside it there can be no password"));
    }
    let missing = missing(control, directory, login)?;
    if let (Some(without), false) = (relay.without, missing.is_empty()) {
        let source = &without.source;
        return Err(format!("{source} goes to the same relay without a login of its own, and would get this one"));
    }
    if let (Some(other), false) = (relay.other_form, missing.is_empty()) {
        return Err(format!(
            "{} has the same address in another form, and would find the directory under a wrong name",
            other.source
        ));
    }
    Ok(Move { line, login, relay: routes::relay_end(&line.value), directory, missing })
}

/// The files of a login, each with its first line.
fn files_of(login: &PasswordLogin) -> [(&'static str, Secret); 2] {
    let sign: &[u8] = if login.clear_allowed { b"-" } else { b"" };
    let user = [sign, &login.user].concat();
    [("user", Secret::from(user)), ("password", Secret::from(&login.password[..]))]
}

/// The files of a login that the relay's directory does not have. An error if it has another login, or if a file cannot hold what
/// the line says.
fn missing(control: &Control, directory: &str, login: &PasswordLogin) -> Result<Vec<(&'static str, Secret)>, String> {
    let mut missing = Vec::new();
    for (name, value) in files_of(login) {
        let mut read = Secret::from(&value[..]);
        if text_encoding::skip_mark(&mut read).is_err() || *read != *value {
            return Err(format!("a file cannot hold the mark of an encoding at the start of the {name}"));
        }
        let line = |content| if name == "user" { strip_blanks(first_line(content)) } else { first_line(content) };
        if line(&value) != &value[..] {
            return Err(format!("a file cannot hold the blank at the end of the {name}"));
        }
        match control.read(&format!("{directory}/{name}")).map_err(|why| why.to_string())? {
            Some(content) if line(&content) == &value[..] => {}
            // An interrupted run may have left it empty.
            None => missing.push((name, value)),
            Some(content) if content.is_empty() => missing.push((name, value)),
            Some(_) => return Err(format!("control/{directory} has another login, or a part of one")),
        }
    }
    Ok(missing)
}
