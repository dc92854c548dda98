//! `--convert`: moves the logins of control/smtproutes into control/relays, where each relay has its own directory and a password
//! its own file. Here is the plan, in words and without a secret; `write` carries it out.
//!
//! A login is moved only where all mail keeps its route and its login by that; of each other line the plan says why it stays.

mod write;

use super::lines::{Line, Lines, Stray};
use super::printable;
use crate::control::files::{Control, ControlError, first_line, strip_blanks};
use crate::control::senders::{self, Sender};
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

/// The plan, a line each; and whether the control files cannot be read.
pub fn plan(home: &Path) -> (Vec<String>, bool) {
    run(home, None)
}

/// Carries the plan out as the user with this number. The plan, and in the last line what came of it; and whether it failed.
pub fn write(home: &Path, uid: u32) -> (Vec<String>, bool) {
    run(home, Some(uid))
}

fn run(home: &Path, uid: Option<u32>) -> (Vec<String>, bool) {
    let control = Control { home: home.to_owned(), log: Log::default() };
    let (lines, is_wrong) =
        convert(&control, uid).unwrap_or_else(|why| (vec![format!("{why}; nothing can be moved.")], true));
    (lines.iter().map(|line| printable(line.as_bytes())).collect(), is_wrong)
}

fn convert(control: &Control, uid: Option<u32>) -> Result<(Vec<String>, bool), Box<dyn Error>> {
    let contents = Contents::read(control)?;
    // Where a line has no login of its own, what control/relays adds to it does not count here.
    let smtproutes = Lines::of(routes::FILE, &contents.smtproutes).complete(control, Line::has_login);
    let authsenders = Lines::of(senders::FILE, &contents.authsenders);
    if control.has_mark(routes::FILE) {
        let how = r"sed -i '1s/^\xef\xbb\xbf//' control/smtproutes";
        return Err(format!("control/{} begins with a byte order mark; remove it: {how}", routes::FILE).into());
    }
    let mut said = Vec::new();
    let mut moves = Vec::new();
    let by_relay = by_relay(&smtproutes, &authsenders);
    for line in smtproutes.lines.iter().filter(|line| line.has_login()) {
        match moved(control, line, &by_relay) {
            Ok(found) => {
                said.push(found.in_words());
                moves.push(found);
            }
            Err(why) => said.push(format!("{} stays: {why}.", line.source)),
        }
    }
    for (file, lines) in [(routes::FILE, &smtproutes), (senders::FILE, &authsenders)] {
        said.extend(lines.strays.iter().map(|(number, stray)| match stray {
            Stray::Comment => format!("control/{file} line {number} stays: a comment with a login in it; delete it."),
            Stray::Ignored => format!("control/{file} line {number} stays: it has no colon, so it does not count."),
            Stray::Unclear(_) => format!("control/{file} line {number} stays: it cannot be understood."),
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
        said.extend(writer.in_words());
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

/// The two files that say where a mail goes, as they are at one time. Empty where there is no such file.
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

/// A login to be moved.
struct Move<'a> {
    line: &'a Line,
    login: &'a PasswordLogin,
    /// How many octets stay of what is behind the line's key: its relay.
    relay: usize,
    /// `relays/smtp.example.jp`
    directory: &'a str,
    /// What this directory does not have yet, of [`files_of`] the login.
    missing: Vec<(&'static str, Secret)>,
}

impl Move<'_> {
    fn in_words(&self) -> String {
        let Move { line: Line { source, key, value, .. }, login, relay, directory, missing } = self;
        let [user, key, relay] = [&login.user, &key[..], &value[..*relay]].map(printable);
        let done = if missing.is_empty() { "is there already, in" } else { "moves to" };
        format!(
            "{source}: the login of {user} {done} control/{directory}/user and password; the line becomes {key}:{relay}"
        )
    }

    /// How many octets of the line stay.
    fn stays(&self) -> usize {
        self.line.key.len() + 1 + self.relay
    }
}

/// What the lines that count say of one relay.
#[derive(Default)]
struct Relay<'a> {
    /// The first login that stands in a line, and the first that is not the same.
    login: Option<(&'a Line, &'a PasswordLogin)>,
    other_login: Option<&'a Line>,
    /// The first line without a login of its own.
    without: Option<&'a Line>,
    /// The first line with the same address in another form.
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
        if line.goes_without() {
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
    let of_routes = smtproutes.that_count().map(|line| (line, own_login(line)));
    let of_senders = authsenders.that_count().map(|line| (line, None)); // a sender's login is for no other mail
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

/// The login that stands in a line itself.
fn own_login(line: &Line) -> Option<&PasswordLogin> {
    let Ok(Some(Sender::Relay(route))) = &line.says else { return None };
    let Credentials { login: Login::Password(login), source } = route.credentials.as_ref()? else { return None };
    (*source == route.source).then_some(login)
}

fn is_same(one: &PasswordLogin, other: &PasswordLogin) -> bool {
    one.user == other.user && one.clear_allowed == other.clear_allowed && *one.password == *other.password
}

/// What is to be done for a line, or why its login stays where it is.
fn moved<'a>(control: &Control, line: &'a Line, by_relay: &HashMap<&str, Relay>) -> Result<Move<'a>, String> {
    if line.is_doubtful() {
        return Err("no host has a blank or a bar in it, so it does not count".to_owned());
    }
    if let Some(number) = line.replaced_by {
        return Err(format!("line {number} has the same key, so it does not count; delete it"));
    }
    let login = match (own_login(line), &line.says) {
        (Some(login), _) => login,
        (None, Err(why)) => return Err(why.to_string()),
        _ => return Err("there is no login in it".to_owned()),
    };
    let Some(directory) = &line.directory else {
        return Err("the relay's name can be no directory's: letters, digits, dots and hyphens".to_owned());
    };
    let relay = &by_relay[&directory[..]];
    if let Some(another) = relay.another(login) {
        return Err(format!("line {} has another login for the same relay", another.number));
    }
    let directory = directory.strip_prefix("control/").unwrap_or(directory);
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

/// The files of a login, and what their first lines are.
fn files_of(login: &PasswordLogin) -> [(&'static str, Secret); 2] {
    let sign: &[u8] = if login.clear_allowed { b"-" } else { b"" };
    let user = [sign, &login.user].concat();
    [("user", Secret::from(user)), ("password", Secret::from(&login.password[..]))]
}

/// Those of the files that are not in the relay's directory. An error where another login is there, or a file would not say what the line
/// does.
fn missing(control: &Control, directory: &str, login: &PasswordLogin) -> Result<Vec<(&'static str, Secret)>, String> {
    let mut missing = Vec::new();
    for (name, value) in files_of(login) {
        let mut read = Secret::from(&value[..]);
        if text_encoding::skip_mark(&mut read).is_err() || *read != *value {
            return Err(format!("a file cannot keep the mark of an encoding that begins the {name}"));
        }
        let line = |content| if name == "user" { strip_blanks(first_line(content)) } else { first_line(content) };
        if line(&value) != &value[..] {
            return Err(format!("a file cannot keep the blank at the {name}'s end"));
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
