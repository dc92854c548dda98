//! The arguments of qmail-remote-check.

use lexopt::prelude::*;
use std::ffi::OsString;
use std::io::IsTerminal;
use std::os::unix::ffi::OsStringExt;

/// Printed for `--help`, and after an error in the arguments.
pub const USAGE: &str = "\
usage: qmail-remote-check [--dialogue] [--json] [--no-login] HOST [SENDER]
       qmail-remote-check --accounts | --config | --convert [--write] | --help | --version
Shows what would happen to a mail from SENDER (or a bounce) to HOST, the domain of its
recipient: route, connection, TLS, login. Sends no mail.
  --dialogue  show each line, in both directions, with its time
  --json      write one JSON object
  --no-login  stop before AUTH
  --accounts  say what is remembered of logins, a line for each account; no network
  --config    say what the control files mean, what is wrong with them, and who can
              read secrets; no network. Exit status 1 if mail would be deferred
  --convert   say which logins of smtproutes can be moved into control/relays, and how
              each line would change; with --write, move them
Exit status: 0 it would go out, 1 it would not, 2 the arguments are wrong.
Run it as qmail runs qmail-remote: user qmailr, group qmail.
";

pub enum Command {
    /// Check what would happen to a mail.
    Check(Options),
    /// Tell what is remembered of logins.
    Accounts,
    /// Explain the control files.
    Config,
    /// Plan how the logins of smtproutes move into control/relays; with `write`, move them.
    Convert {
        write: bool,
    },
    Help,
    Version,
}

/// What to check, and how to show it.
pub struct Options {
    /// The recipient's domain.
    pub host: Vec<u8>,
    /// The envelope sender; empty for a bounce.
    pub sender: Vec<u8>,
    pub login: bool,
    /// Show each line of the dialogue.
    pub dialogue: bool,
    pub json: bool,
    /// The output is text for a terminal, and NO_COLOR is not set.
    pub colour: bool,
}

/// Parses the arguments, without the program's name. An error is for descriptor 2.
pub fn parse(arguments: Vec<OsString>) -> Result<Command, String> {
    let mut parser = lexopt::Parser::from_args(arguments);
    let (mut login, mut dialogue, mut json, mut with_write) = (true, false, false, false);
    // --accounts, --config and --convert take nothing beside them.
    let mut alone = None;
    let mut values = Vec::new();
    while let Some(argument) = parser.next().map_err(|error| error.to_string())? {
        match argument {
            Long("dialogue") => dialogue = true,
            Long("json") => json = true,
            Long("no-login") => login = false,
            Long("accounts") if alone.is_none() => alone = Some(("--accounts", Command::Accounts)),
            Long("config") if alone.is_none() => alone = Some(("--config", Command::Config)),
            Long("convert") if alone.is_none() => alone = Some(("--convert", Command::Convert { write: false })),
            Long("write") => with_write = true,
            Long("help") | Short('h') => return Ok(Command::Help),
            Long("version") | Short('V') => return Ok(Command::Version),
            Value(value) if values.len() < 2 => values.push(value.into_vec()),
            other => return Err(other.unexpected().to_string()),
        }
    }
    match &mut alone {
        Some((_, Command::Convert { write })) => *write = with_write,
        _ if with_write => return Err("--write is only for --convert".to_owned()),
        _ => {}
    }
    if let Some((name, command)) = alone {
        let is_alone = login && !dialogue && !json && values.is_empty();
        return if is_alone { Ok(command) } else { Err(format!("{name} takes no other arguments")) };
    }
    let mut values = values.into_iter();
    let host = values.next().ok_or("HOST is missing")?;
    if host.contains(&b'@') {
        return Err("HOST is only the part behind the @".to_owned());
    }
    // https://no-color.org: it counts if it is set and not empty.
    let no_colour = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
    let colour = std::io::stdout().is_terminal() && !no_colour && !json;
    Ok(Command::Check(Options { host, sender: values.next().unwrap_or_default(), login, dialogue, json, colour }))
}
