//! The arguments of qmail-remote-check.

use lexopt::prelude::*;
use std::ffi::OsString;
use std::io::IsTerminal;
use std::os::unix::ffi::OsStringExt;

/// Printed for `--help`, and after an error in the arguments.
pub const USAGE: &str = "\
usage: qmail-remote-check [--dialogue] [--json] [--no-login] DOMAIN [SENDER]
       qmail-remote-check --accounts | --config | --convert [--write] | --help | --version
Shows what would happen to a mail from SENDER (or a bounce) to a recipient in DOMAIN, such
as example.org or friend@example.org: route, connection, TLS, login. Sends no mail.
  --dialogue  show each line, in both directions, with its time
  --json      write one JSON object
  --no-login  stop before AUTH
  --accounts  say what is remembered of logins, a line for each account; no network
  --config    say what the control files mean, what is wrong with them, and who can
              read secrets; no network. Exit status 1 if mail would be deferred, or
              would go by another program
  --convert   say which logins of smtproutes can be moved into control/relays, and how
              each line would change; with --write, move them
Exit status: 0 it would go out, 1 it would not, 2 the arguments are wrong.
Run it as root: it becomes the user of qmail-remote, so that it reads what qmail can read.
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
    pub domain: Vec<u8>,
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
    let domain = domain(values.next().ok_or("DOMAIN is missing")?)?;
    // https://no-color.org: it counts if it is set and not empty.
    let no_colour = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
    let colour = std::io::stdout().is_terminal() && !no_colour && !json;
    Ok(Command::Check(Options { domain, sender: values.next().unwrap_or_default(), login, dialogue, json, colour }))
}

/// What is behind the last @ of an address (RFC 5321 section 4.1.2: a quoted local part can have another one), or all of a domain.
fn domain(of: Vec<u8>) -> Result<Vec<u8>, String> {
    let domain = of.rsplit(|c| *c == b'@').next().unwrap_or_default();
    let is_literal = domain.starts_with(b"[") && domain.ends_with(b"]");
    if domain.is_empty() {
        return Err("DOMAIN is empty".to_owned());
    }
    if domain.iter().any(|c| b":;".contains(c)) && !is_literal {
        let domain = String::from_utf8_lossy(domain);
        return Err(format!(
            "{domain} is no domain with mail addresses: DOMAIN is the recipient's domain, not the relay"
        ));
    }
    Ok(domain.to_owned())
}
