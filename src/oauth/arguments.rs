//! The arguments of qmail-remote-oauth. No secret is among them: other users see them.

use crate::cause::ControlCause;
use crate::control::tokens::Url;
use lexopt::prelude::*;
use std::ffi::OsString;
use std::path::PathBuf;

/// Printed for `--help`, and after an error in the arguments.
pub const USAGE: &str = "\
usage: qmail-remote-oauth consent HOST USER [PROVIDER] [option ...]
       qmail-remote-oauth token HOST USER [--renew]
       qmail-remote-oauth renew | status | --help | --version
Logs qmail-remote in to the relay HOST as USER by tokens (OAuth 2.0) and no password.
  consent  ask the provider, once, and log in to the relay with the token; as
           root it writes what is missing in control/relays/HOST
    --microsoft TENANT | --google | --token URL [--device URL] [--authorize URL]
                     the provider
    --client ID      the id of your application there
    --secret-file F  a file with its secret, if it has one
    --scope SCOPE    what to ask for
    --cafile F       the CAs of the provider
    --app            the application itself logs in, and nobody consents
    --browser        by a browser on this machine, or the address it ends at
  token    print the token and its end (Unix time), for qmail-remote
    --renew          the relay has refused the one that is there
  renew    renew the tokens that were not renewed for six days
  status   say of each account until when its token is good
Exit status of token: 0, or 75 later, or 78 something must be done; line 1 says what.
";

/// Microsoft's endpoints are below this and the tenant.
const MICROSOFT: &str = "https://login.microsoftonline.com/";

/// Google gives a refresh token only if these are in the query.
const GOOGLE: &str = "https://accounts.google.com/o/oauth2/v2/auth?access_type=offline&prompt=consent";

/// What to do.
pub enum Command {
    /// Ask for the consent of a user.
    Consent(Box<Wanted>),
    /// Print a token.
    Token {
        host: String,
        user: Vec<u8>,
        is_refused: bool,
    },
    /// Renew what would die.
    Renew,
    /// Tell of each account.
    Status,
    Help,
    Version,
}

/// A consent, and what control/relays/HOST/oauth is to have for it.
pub struct Wanted {
    pub host: String,
    pub user: Vec<u8>,
    /// Values by the names of their files.
    pub values: Vec<(&'static str, String)>,
    pub secret_file: Option<PathBuf>,
    pub in_browser: bool,
}

/// Parses the arguments, without the program's name. An error is for descriptor 2.
pub fn parse(arguments: Vec<OsString>) -> Result<Command, String> {
    let mut parser = lexopt::Parser::from_args(arguments);
    let command = match parser.next().map_err(|error| error.to_string())? {
        Some(Value(word)) => word.to_string_lossy().into_owned(),
        Some(Long("help") | Short('h')) => return Ok(Command::Help),
        Some(Long("version") | Short('V')) => return Ok(Command::Version),
        Some(other) => return Err(other.unexpected().to_string()),
        None => return Err("a command is missing".to_owned()),
    };
    let parsed = match &command[..] {
        "consent" => consent(&mut parser),
        "token" => token(&mut parser),
        "renew" => Ok(Command::Renew),
        "status" => Ok(Command::Status),
        _ => return Err(format!("there is no command {command}")),
    }?;
    match parser.next().map_err(|error| error.to_string())? {
        None => Ok(parsed),
        Some(other) => Err(other.unexpected().to_string()),
    }
}

fn token(parser: &mut lexopt::Parser) -> Result<Command, String> {
    let mut account = Vec::new();
    let mut is_refused = false;
    while let Some(argument) = parser.next().map_err(|error| error.to_string())? {
        match argument {
            Long("renew") => is_refused = true,
            Value(value) if account.len() < 2 => account.push(value),
            other => return Err(other.unexpected().to_string()),
        }
    }
    let (host, user) = names(account)?;
    Ok(Command::Token { host, user, is_refused })
}

fn consent(parser: &mut lexopt::Parser) -> Result<Command, String> {
    let mut account = Vec::new();
    let mut options = Options::default();
    while let Some(argument) = parser.next().map_err(|error| error.to_string())? {
        match argument {
            Long("microsoft") => options.provider(Provider::Microsoft(value(parser)?))?,
            Long("google") => options.provider(Provider::Google)?,
            Long("token") => options.provider(Provider::Other(url(parser, "--token")?))?,
            Long("device") => options.add("device", url(parser, "--device")?)?,
            Long("authorize") => options.add("authorize", url(parser, "--authorize")?)?,
            Long("client") => options.add("client", value(parser)?)?,
            Long("scope") => options.add("scope", value(parser)?)?,
            Long("cafile") => options.add("cafile", path(parser)?.to_string_lossy().into_owned())?,
            Long("secret-file") => options.secret_file = Some(path(parser)?),
            Long("app") => options.is_app = true,
            Long("browser") => options.in_browser = true,
            Value(value) if account.len() < 2 => account.push(value),
            other => return Err(other.unexpected().to_string()),
        }
    }
    let (host, user) = names(account)?;
    if std::str::from_utf8(&user).is_err() {
        return Err("USER is not UTF-8".to_owned()); // it goes into JSON and addresses, which are
    }
    let (secret_file, in_browser) = (options.secret_file.take(), options.in_browser);
    if in_browser && options.is_app {
        return Err("nobody consents with --app, so there is nothing for --browser".to_owned());
    }
    Ok(Command::Consent(Box::new(Wanted { host, user, values: options.values()?, secret_file, in_browser })))
}

fn names(account: Vec<OsString>) -> Result<(String, Vec<u8>), String> {
    let [host, user] = <[OsString; 2]>::try_from(account).map_err(|_| "HOST and USER are needed")?;
    let host = host.into_string().map_err(|_| "HOST is no name of a relay")?;
    let user = std::os::unix::ffi::OsStringExt::into_vec(user);
    if user.is_empty() || user.iter().any(u8::is_ascii_control) {
        return Err("USER is empty, or has a control character".to_owned());
    }
    Ok((host, user))
}

enum Provider {
    Microsoft(String),
    Google,
    Other(String),
}

#[derive(Default)]
struct Options {
    provider: Option<Provider>,
    values: Vec<(&'static str, String)>,
    secret_file: Option<PathBuf>,
    is_app: bool,
    in_browser: bool,
}

impl Options {
    fn provider(&mut self, provider: Provider) -> Result<(), String> {
        match self.provider.replace(provider) {
            None => Ok(()),
            Some(_) => Err("one of --microsoft, --google and --token is enough".to_owned()),
        }
    }

    fn add(&mut self, name: &'static str, value: String) -> Result<(), String> {
        let is_right = !value.trim().is_empty() && value.bytes().all(|c| matches!(c, b' '..=b'~'));
        if !is_right || self.values.iter().any(|(other, _)| *other == name) {
            return Err(format!("--{name} is there twice, is empty, or has other than visible ASCII"));
        }
        self.values.push((name, value));
        Ok(())
    }

    /// All values, with those that the provider is known by.
    fn values(self) -> Result<Vec<(&'static str, String)>, String> {
        let mut values = self.values;
        let mut add = |name, value: String| {
            if !values.iter().any(|(other, _)| *other == name) {
                values.push((name, value));
            }
        };
        let is_app = self.is_app;
        match self.provider {
            None => {}
            Some(Provider::Other(token)) => add("token", token),
            Some(Provider::Google) if is_app => {
                return Err("Google has no --app that needs no signed request; see oauth/command".to_owned());
            }
            Some(Provider::Google) => {
                add("token", "https://oauth2.googleapis.com/token".to_owned());
                add("authorize", GOOGLE.to_owned());
                add("scope", "https://mail.google.com/".to_owned());
            }
            Some(Provider::Microsoft(tenant)) => {
                let is_name = |c: u8| c.is_ascii_alphanumeric() || b".-".contains(&c);
                if tenant.is_empty() || !tenant.bytes().all(is_name) {
                    return Err("TENANT is a domain, an id, or consumers".to_owned());
                }
                let endpoint = |name: &str| format!("{MICROSOFT}{tenant}/oauth2/v2.0/{name}");
                add("token", endpoint("token"));
                if is_app {
                    add("scope", "https://outlook.office365.com/.default".to_owned());
                } else {
                    add("device", endpoint("devicecode"));
                    add("authorize", endpoint("authorize"));
                    add("scope", "https://outlook.office.com/SMTP.Send offline_access".to_owned());
                }
            }
        }
        if is_app {
            add("grant", "app".to_owned());
        }
        Ok(values)
    }
}

fn value(parser: &mut lexopt::Parser) -> Result<String, String> {
    let value = parser.value().map_err(|error| error.to_string())?;
    value.into_string().map_err(|value| format!("{} is no text", value.to_string_lossy()))
}

fn url(parser: &mut lexopt::Parser, option: &str) -> Result<String, String> {
    let text = value(parser)?;
    text.parse::<Url>().map(|_| ()).map_err(|why: ControlCause| format!("{option}: {why}"))?;
    Ok(text)
}

/// As an absolute path: in a control file, a relative one begins at qmail's home.
fn path(parser: &mut lexopt::Parser) -> Result<PathBuf, String> {
    let path = parser.value().map_err(|error| error.to_string())?;
    std::path::absolute(&path).map_err(|error| format!("{}: {error}", path.to_string_lossy()))
}
