//! The arguments of qmail-remote-check.

use lexopt::prelude::*;
use std::ffi::OsString;
use std::io::IsTerminal;
use std::os::unix::ffi::OsStringExt;

/// For `--help`, and below what is wrong with the arguments.
pub const USAGE: &str = "\
usage: qmail-remote-check [--dialogue] [--json] [--no-login] HOST [SENDER]
       qmail-remote-check --config | --convert [--write] | --help | --version
Shows what would become of a mail from SENDER (or a bounce) to HOST, the part behind
the @ of its recipient: route, connection, TLS, login. Sends no mail.
  --dialogue  show each line, both ways, and when
  --json      write one JSON object
  --no-login  stop before AUTH
  --config    say what the control files mean, what is wrong with them, and who can
              read secrets; no network. Exit status 1 where mail would be put off
  --convert   say which logins of smtproutes can be moved into control/relays, and what
              becomes of each line; with --write, do it
Exit status: 0 it would go out, 1 it would not, 2 arguments.
Run it as qmail runs qmail-remote: user qmailr, group qmail.
";

/// What is to be done.
pub enum Command {
    /// A check.
    Check(Options),
    /// To say what the control files mean.
    Config,
    /// To say how the logins of smtproutes get into control/relays.
    Convert {
        /// To move them, too.
        write: bool,
    },
    /// To show [`USAGE`].
    Help,
    /// To show the version.
    Version,
}

/// What to check, and how to show it.
pub struct Options {
    /// The recipient's domain.
    pub host: Vec<u8>,
    /// The envelope sender; empty for a bounce.
    pub sender: Vec<u8>,
    /// To log in.
    pub login: bool,
    /// To show each line.
    pub dialogue: bool,
    /// To write JSON.
    pub json: bool,
    /// The output is for a terminal, and nobody wants it without colours.
    pub colour: bool,
}

/// Understands the arguments, or says why it cannot.
pub fn parse(arguments: Vec<OsString>) -> Result<Command, String> {
    let mut parser = lexopt::Parser::from_args(arguments);
    let (mut login, mut dialogue, mut json, mut writes) = (true, false, false, false);
    let mut alone = None;
    let mut values = Vec::new();
    while let Some(argument) = parser.next().map_err(|error| error.to_string())? {
        match argument {
            Long("dialogue") => dialogue = true,
            Long("json") => json = true,
            Long("no-login") => login = false,
            Long("config") if alone.is_none() => alone = Some(("--config", Command::Config)),
            Long("convert") if alone.is_none() => alone = Some(("--convert", Command::Convert { write: false })),
            Long("write") => writes = true,
            Long("help") | Short('h') => return Ok(Command::Help),
            Long("version") | Short('V') => return Ok(Command::Version),
            Value(value) if values.len() < 2 => values.push(value.into_vec()),
            other => return Err(other.unexpected().to_string()),
        }
    }
    match &mut alone {
        Some((_, Command::Convert { write })) => *write = writes,
        _ if writes => return Err("--write goes with --convert only".to_owned()),
        _ => {}
    }
    if let Some((name, command)) = alone {
        let is_alone = login && !dialogue && !json && values.is_empty();
        return if is_alone { Ok(command) } else { Err(format!("{name} stands alone")) };
    }
    let mut values = values.into_iter();
    let host = values.next().ok_or("no HOST")?;
    if host.contains(&b'@') {
        return Err("HOST is only what stands behind the @".to_owned());
    }
    // https://no-color.org: set, and not empty.
    let no_colour = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
    let colour = std::io::stdout().is_terminal() && !no_colour && !json;
    Ok(Command::Check(Options { host, sender: values.next().unwrap_or_default(), login, dialogue, json, colour }))
}
