//! `--convert`: the shell commands that move the logins of control/smtproutes into control/relays, where each relay has its own
//! directory and a password its own file. They find each secret by the place where it stands, so none is printed.
//!
//! A login is moved only where all mail keeps its route and its login by that; of the others a comment says why not.

use super::lines::{Line, Lines, Stray};
use super::notes::{shell_path, shell_word};
use super::printable;
use super::readers::qmail_group;
use crate::control::files::{Control, ControlError};
use crate::control::senders::{self, Sender};
use crate::control::{Credentials, Route, relays, routes};
use crate::event::Log;
use qmail_auth::{Login, PasswordLogin};
use std::error::Error;
use std::path::Path;

/// As far as `\{n\}` of sed counts.
const LONGEST: usize = 32767;

/// The commands, and comments; and whether the control files cannot be read.
pub fn convert(home: &Path) -> (Vec<String>, bool) {
    let control = Control { home: home.to_owned(), log: Log::default() };
    let (lines, is_wrong) = match commands(&control) {
        Ok(lines) => (lines, false),
        Err(why) => (vec![format!("# {why}; nothing can be moved.")], true),
    };
    (lines.iter().map(|line| printable(line.as_bytes())).collect(), is_wrong)
}

fn commands(control: &Control) -> Result<Vec<String>, Box<dyn Error>> {
    let (smtproutes, authsenders) = (Lines::read(control, routes::FILE)?, Lines::read(control, senders::FILE)?);
    if control.has_mark(routes::FILE) {
        let how = r"sed -i '1s/^\xef\xbb\xbf//' control/smtproutes";
        return Err(format!("control/{} begins with a byte order mark; remove it: {how}", routes::FILE).into());
    }
    let mut said = Vec::new();
    let mut moves = Vec::new();
    for line in smtproutes.lines.iter().filter(|line| line.has_login()) {
        match moved(control, line, &smtproutes, &authsenders)? {
            Ok(found) => moves.push(found),
            Err(why) => said.push(format!("# {} stays: {why}.", line.source)),
        }
    }
    for (file, lines) in [(routes::FILE, &smtproutes), (senders::FILE, &authsenders)] {
        said.extend(lines.strays.iter().map(|(number, stray)| match stray {
            Stray::Comment => format!("# control/{file} line {number} stays: a comment with a login in it; delete it."),
            Stray::Ignored => format!("# control/{file} line {number} stays: it has no colon, so it does not count."),
            Stray::Unclear(_) => format!("# control/{file} line {number} stays: it cannot be understood."),
        }));
    }
    for line in authsenders.lines.iter().filter(|line| line.has_login()) {
        said.push(format!("# {} stays: a login by sender, for which control/relays has no place.", line.source));
    }
    if moves.is_empty() {
        said.push("# There is no login in control/smtproutes that can be moved.".to_owned());
    } else {
        said.extend(script(&control.home, &moves));
    }
    Ok(said)
}

/// A login to be moved.
struct Move<'a> {
    number: usize,
    /// The line up to the first octet of its password.
    before: Vec<u8>,
    /// How much of it stays: the key and the relay.
    stays: usize,
    /// `relays/smtp.example.jp`.
    directory: String,
    login: &'a PasswordLogin,
    /// The directory has this login already.
    is_there: bool,
}

/// The relay and the login that stand in a line itself.
fn own_login(line: &Line) -> Option<(&Route, &PasswordLogin)> {
    let Ok(Some(Sender::Relay(route))) = &line.says else { return None };
    let Credentials { login: Login::Password(login), source } = route.credentials.as_ref()? else { return None };
    (*source == route.source).then_some((route, login))
}

fn is_same(one: &PasswordLogin, other: &PasswordLogin) -> bool {
    one.user == other.user && one.clear_allowed == other.clear_allowed && *one.password == *other.password
}

/// What is to be done for a line, or why its login stays where it is.
fn moved<'a>(
    control: &Control,
    line: &'a Line,
    smtproutes: &Lines,
    authsenders: &Lines,
) -> Result<Result<Move<'a>, String>, ControlError> {
    if line.is_doubtful() {
        return Ok(Err("no host has a blank or a bar in it, so it does not count".to_owned()));
    }
    if let Some(number) = line.replaced_by {
        return Ok(Err(format!("line {number} has the same key, so it does not count; delete it")));
    }
    let (_, login) = match (own_login(line), &line.says) {
        (Some(found), _) => found,
        (None, Err(why)) => return Ok(Err(why.to_string())),
        _ => return Ok(Err("there is no login in it".to_owned())),
    };
    let Some(directory) = &line.directory else {
        return Ok(Err("the relay's name can be no directory's: letters, digits, dots and hyphens".to_owned()));
    };
    let in_control = directory.strip_prefix("control/").unwrap_or(directory);
    let of_relay = |other: &&Line| other.directory.as_ref() == Some(directory);
    let another = smtproutes
        .that_count()
        .filter(of_relay)
        .find(|other| own_login(other).is_some_and(|(_, other)| !is_same(other, login)));
    if let Some(another) = another {
        return Ok(Err(format!("line {} has another login for the same relay", another.number)));
    }
    let is_there = match relays::login(control, in_control, false) {
        Ok(None) => false,
        Ok(Some(Credentials { login: Login::Password(there), .. })) if is_same(&there, login) => true,
        _ => return Ok(Err(format!("{directory} has another login, or a part of one"))),
    };
    let without = smtproutes.that_count().chain(authsenders.that_count()).filter(of_relay);
    let without = without.into_iter().find(|other| other.goes_without());
    if let (Some(other), false) = (without, is_there) {
        return Ok(Err(format!(
            "{} goes to the same relay without a login of its own, and would get this one",
            other.source
        )));
    }
    let before = [&line.key[..], b":", &line.value[..line.value.len() - login.password.len()]].concat();
    if login.user.ends_with(b" ") || before.len() > LONGEST {
        return Ok(Err("a file cannot keep the blank at the user's end, or the line is too long".to_owned()));
    }
    let stays = line.key.len() + 1 + routes::relay_end(&line.value);
    let directory = in_control.to_owned();
    Ok(Ok(Move { number: line.number, before, stays, directory, login, is_there }))
}

/// What a shell is to do. First it looks whether the lines are as they were; the last step puts the new file in the place of
/// the old, so that at each moment the one or the other has the login.
fn script(home: &Path, moves: &[Move]) -> Vec<String> {
    let control = home.join("control");
    let group = qmail_group();
    // A link would be replaced by a file.
    let file = match control.join(routes::FILE) {
        path if path.is_symlink() => path.canonicalize().unwrap_or(path),
        _ => routes::FILE.into(),
    };
    let mut script: Vec<String> = [
        "# Read this, then run it as root: qmail-remote-check --convert | sh",
        "(",
        "set -eu",
        "umask 077",
        "export LC_ALL=C",
        "new= fresh=",
        r#"trap 'rm -f "$new"; [ ! -d "$fresh" ] || rmdir "$fresh"' EXIT"#,
        "trap 'exit 1' HUP INT TERM # dash would not come to the line before",
        "# A new directory comes with its owner and mode, or mail would be put off that meets it without.",
        "directory() {",
        r#"    if [ -d "$1" ]; then return; fi"#,
        r#"    fresh=$(mktemp -d "$1.XXXXXX")"#,
        &format!(r#"    chown root:{group} "$fresh""#),
        r#"    chmod 750 "$fresh""#,
        r#"    mv -T "$fresh" "$1""#,
        "}",
        &format!("cd {}", shell_path(&control)),
        &format!("old={}", shell_path(&file)),
    ]
    .map(str::to_owned)
    .into();
    script.push("# The lines as they are now, up to the password.".to_owned());
    for Move { number, before, .. } in moves {
        let text = shell_word(before);
        script
            .push(format!(r#"[ "$(sed -n '{number}s/^\(.\{{{}\}}\).*/\1/p' "$old")" = {text} ] || {{"#, before.len()));
        script.push(format!("    echo 'control/smtproutes line {number} is not as it was: nothing was changed' >&2"));
        script.push("    exit 1".to_owned());
        script.push("}".to_owned());
    }
    let mut sync = Vec::new();
    let mut done: Vec<&str> = Vec::new();
    for Move { number, before, directory, login, is_there, .. } in moves {
        if done.contains(&&directory[..]) {
            continue;
        }
        let path = shell_word(directory.as_bytes());
        if !is_there {
            let sign: &[u8] = if login.clear_allowed { b"-" } else { b"" };
            let user = shell_word(&[sign, &login.user].concat());
            let length = before.len();
            if done.is_empty() {
                script.push("directory relays".to_owned());
            }
            script.push(format!("directory {path}"));
            script.push(format!(r"printf '%s\n' {user} >{path}/user"));
            script.push(format!(
                r#"sed -n '{number}{{s/^.\{{{length}\}}//;s/[[:blank:]]*$//;p;}}' "$old" >{path}/password"#
            ));
        }
        // Also where they are there: as long as the line has the login, nobody sees that qmail cannot read them.
        script.push(format!("chown root:{group} {path}/user {path}/password"));
        script.push(format!("chmod 640 {path}/user {path}/password"));
        sync.push(format!("{path}/user {path}/password {path} relays "));
        done.push(directory);
    }
    script.push("# The lines as they will be:".to_owned());
    let mut edits = String::new();
    for Move { number, before, stays, .. } in moves {
        script.push(format!("#   line {number}  {}", printable(&before[..*stays])));
        edits += &format!(r" -e '{number}s/^\(.\{{{stays}\}}\).*/\1/'");
    }
    script.push(r#"new=$(mktemp "$old.XXXXXX")"#.to_owned());
    script.push(r#"cp -p --attributes-only "$old" "$new""#.to_owned());
    script.push(format!(r#"sed{edits} "$old" >"$new""#));
    script.push(format!(r#"sync {}"$new" # or a power cut could leave empty files"#, sync.concat()));
    script.push(r#"mv -f "$new" "$old""#.to_owned());
    script.push(")".to_owned());
    script
}
