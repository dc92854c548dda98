//! control/relays/HOST/oauth/: where the tokens of a relay come from (OAuth 2.0, RFC 6749). As in the directory above it, each file
//! has one value in its first line.

use super::files::{Control, ControlError};
use super::relays::{intended_name, is_legal, pem_file};
use crate::cause::ControlCause;
use crate::policy::PemFile;
use qmail_auth::secret::Secret;
use std::fmt::{self, Display, Formatter};
use std::net::IpAddr;
use std::str::FromStr;

/// The directory in that of a relay.
pub const DIRECTORY: &str = "oauth";

/// The file with another program for them, in that of the relay.
pub const COMMAND: &str = "oauth/command";

/// The files that are read in it.
pub const NAMES: [&str; 9] =
    ["client", "secret", "grant", "token", "device", "authorize", "scope", "cafile", "command"];

/// The provider of a relay's tokens.
pub struct Provider {
    /// The directory: `control/relays/smtp.example.jp/oauth`.
    pub directory: String,
    /// The id of the application that the administrator has registered.
    pub client: String,
    /// Its secret. None: it is a public client (RFC 6749 section 2.1), which must send none.
    pub secret: Option<Secret>,
    /// Who logs in.
    pub grant: Grant,
    /// The token endpoint.
    pub token: Url,
    /// The device authorization endpoint (RFC 8628).
    pub device: Option<Url>,
    /// The authorization endpoint, which a browser opens.
    pub authorize: Option<Url>,
    /// What a token is to be good for.
    pub scope: Option<String>,
    /// The CAs of the provider. None: Debian's bundle.
    pub cafile: Option<PemFile>,
}

/// Who logs in with a token.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub enum Grant {
    /// A user, who has consented to it.
    #[default]
    User,
    /// The application itself (RFC 6749 section 4.4): nobody consents, and there is no refresh token.
    App,
}

impl Provider {
    /// The provider for this directory of a relay, `control/relays/HOST`. None: the relay has no directory `oauth`.
    pub fn read(control: &Control, relay: &str) -> Result<Option<Provider>, ControlError> {
        let Some(directory) = directory(control, relay)? else { return Ok(None) };
        no_misnamed_file(control, &directory)?;
        let name = format!("{directory}/secret");
        let secret = control.first_line(&name)?;
        secret.as_ref().map(|line| visible(&name, line)).transpose()?;
        let grant = value(control, &directory, "grant")?.map(|word| word.parse()).transpose();
        Ok(Some(Provider {
            client: needed(&directory, "client", value(control, &directory, "client")?)?,
            secret,
            grant: grant.map_err(|why| ControlError::of(&format!("{directory}/grant"), why))?.unwrap_or_default(),
            token: needed(&directory, "token", url(control, &directory, "token")?)?,
            device: url(control, &directory, "device")?,
            authorize: url(control, &directory, "authorize")?,
            scope: scope(control, &directory)?,
            cafile: pem_file(control, &format!("{directory}/cafile"))?,
            directory: format!("control/{directory}"),
        }))
    }
}

/// Where the tokens of a login come from, for a delivery.
pub struct Source {
    /// The name of the relay's directory.
    pub host: String,
    /// The program in `oauth/command`: words with blanks between them, at least one. None: the one of this package.
    pub command: Option<String>,
}

/// The program that prints a token in the place of ours, for a relay's directory: its words. None: there is none.
pub fn command(control: &Control, relay: &str) -> Result<Option<String>, ControlError> {
    let name = format!("{}/{COMMAND}", in_control(relay));
    let Some(line) = control.first_line(&name)? else { return Ok(None) };
    Ok(Some(words(&name, &line)?.to_owned()))
}

/// `control/relays/HOST` as a path in control.
fn in_control(relay: &str) -> &str {
    relay.strip_prefix("control/").unwrap_or(relay)
}

/// The directory, as a path in control. None: there is none.
fn directory(control: &Control, relay: &str) -> Result<Option<String>, ControlError> {
    let directory = format!("{}/{DIRECTORY}", in_control(relay));
    Ok(control.exists(&directory)?.then_some(directory))
}

/// Fails if a file there has nearly one of the names: its setting must not be ignored silently.
fn no_misnamed_file(control: &Control, directory: &str) -> Result<(), ControlError> {
    let there = control.names(directory)?;
    let found = there.iter().find_map(|entry| Some((entry, intended_name(entry, &NAMES, &there)?)));
    let Some((entry, name)) = found.filter(|(entry, _)| !entry.ends_with('~') && !entry.ends_with(".pem")) else {
        return Ok(());
    };
    Err(ControlError::of(&format!("{directory}/{entry}"), ControlCause::OtherName { name: name.to_owned() }))
}

fn needed<T>(directory: &str, name: &str, value: Option<T>) -> Result<T, ControlError> {
    value.ok_or_else(|| ControlError::of(&format!("{directory}/{name}"), ControlCause::NeededForToken))
}

/// A line of ASCII without control characters: what a client's id and secret may have (RFC 6749 appendix A).
fn visible<'a>(name: &str, line: &'a [u8]) -> Result<&'a str, ControlError> {
    let text = std::str::from_utf8(line).ok().filter(|text| is_visible(text.as_bytes()));
    text.ok_or_else(|| ControlError::of(name, ControlCause::NoVisibleWord))
}

/// Whether a value can be an id or a secret.
pub fn is_visible(value: &[u8]) -> bool {
    !value.is_empty() && value.iter().all(|c| matches!(c, b' '..=b'~'))
}

/// Words with blanks between them, at least one.
fn words<'a>(name: &str, line: &'a [u8]) -> Result<&'a str, ControlError> {
    let text = std::str::from_utf8(line).ok().map(str::trim_ascii);
    let is_right = |text: &&str| !text.is_empty() && text.bytes().all(|c| c.is_ascii_graphic() || b" \t".contains(&c));
    text.filter(is_right).ok_or_else(|| ControlError::of(name, ControlCause::NoVisibleWord))
}

fn value(control: &Control, directory: &str, name: &str) -> Result<Option<String>, ControlError> {
    let name = format!("{directory}/{name}");
    let Some(line) = control.first_line(&name)? else { return Ok(None) };
    visible(&name, &line).map(|word| Some(word.to_owned()))
}

fn url(control: &Control, directory: &str, name: &str) -> Result<Option<Url>, ControlError> {
    let Some(text) = value(control, directory, name)? else { return Ok(None) };
    text.parse().map(Some).map_err(|why| ControlError::of(&format!("{directory}/{name}"), why))
}

fn scope(control: &Control, directory: &str) -> Result<Option<String>, ControlError> {
    let name = format!("{directory}/scope");
    let Some(line) = control.first_line(&name)? else { return Ok(None) };
    Ok(Some(words(&name, &line)?.split_ascii_whitespace().collect::<Vec<_>>().join(" ")))
}

impl Display for Grant {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Grant::User => "user",
            Grant::App => "app",
        })
    }
}

impl FromStr for Grant {
    type Err = ControlCause;

    fn from_str(word: &str) -> Result<Grant, ControlCause> {
        let grants = [Grant::User, Grant::App];
        let found = grants.into_iter().find(|grant| grant.to_string() == word);
        found.ok_or_else(|| ControlCause::UnknownWord { words: grants.map(|grant| grant.to_string()).join(", ") })
    }
}

/// A URL that secrets may be sent to: https, or http to a loopback address.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Url {
    /// Over TLS.
    pub is_https: bool,
    /// A name, or an IP address without brackets.
    pub host: String,
    /// The port to connect to.
    pub port: u16,
    /// Host and port as they are written.
    pub authority: String,
    /// Path and query; at least `/`.
    pub target: String,
}

impl FromStr for Url {
    type Err = ControlCause;

    fn from_str(text: &str) -> Result<Url, ControlCause> {
        let read = || {
            let (scheme, rest) = text.split_once("://")?;
            let is_https = scheme.eq_ignore_ascii_case("https");
            let (authority, target) = rest.split_at(rest.find(['/', '?']).unwrap_or(rest.len()));
            let (host, port) = match authority.strip_prefix('[') {
                Some(rest) => rest.split_once(']').filter(|(host, _)| host.contains(':'))?,
                None => authority.split_at(authority.find(':').unwrap_or(authority.len())),
            };
            let port = match port {
                "" => {
                    if is_https {
                        443
                    } else {
                        80
                    }
                }
                port => port
                    .strip_prefix(':')
                    .filter(|port| !port.starts_with('+'))?
                    .parse()
                    .ok()
                    .filter(|port| *port > 0)?,
            };
            let slash = if target.starts_with('/') { "" } else { "/" };
            let is_known = is_https || scheme.eq_ignore_ascii_case("http");
            let is_right = is_known && is_legal(host) && text.bytes().all(|c| c.is_ascii_graphic() && c != b'#');
            let (host, authority) = (host.to_ascii_lowercase(), authority.to_owned());
            is_right.then(|| Url { is_https, host, port, authority, target: [slash, target].concat() })
        };
        let url = read().ok_or(ControlCause::NoUrl)?;
        if url.is_https || url.is_loopback() { Ok(url) } else { Err(ControlCause::UrlInClear) }
    }
}

impl Url {
    /// The host itself is a loopback address, or `localhost` (RFC 6761 section 6.3). Another name may lead anywhere.
    fn is_loopback(&self) -> bool {
        self.host == "localhost" || self.host.parse::<IpAddr>().is_ok_and(|ip| ip.is_loopback())
    }
}

impl Display for Url {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let scheme = if self.is_https { "https://" } else { "http://" };
        write!(f, "{scheme}{}{}", self.authority, self.target)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls() {
        for (text, host, port, target) in [
            ("https://login.example.jp/a/token", "login.example.jp", 443, "/a/token"),
            ("HTTPS://Login.example.jp:8443", "login.example.jp", 8443, "/"),
            ("https://login.example.jp?x=1", "login.example.jp", 443, "/?x=1"),
            ("https://[2001:db8::1]:444/t", "2001:db8::1", 444, "/t"),
            ("http://127.0.0.2:8080/t", "127.0.0.2", 8080, "/t"),
            ("http://[::1]/t", "::1", 80, "/t"),
            ("http://localhost/t", "localhost", 80, "/t"),
        ] {
            let url: Url = text.parse().unwrap();
            assert_eq!((&url.host[..], url.port, &url.target[..]), (host, port, target));
        }
        for text in [
            "",
            "login.example.jp",
            "https://",
            "ftp://h/",
            "https://u:p@h/",
            "https://u@h/",
            "https://h/#x",
            "https://h/a b",
            "https://h:0/",
            "https://h:+1/",
            "https://h:65536/",
            "https://h:/",
            "https://[::1/",
            "https://[h]/",
            "https://h..x/",
            "https://h_x/",
            "https://::1/",
            "https://h/\u{e9}",
        ] {
            assert_eq!(text.parse::<Url>(), Err(ControlCause::NoUrl), "{text}");
        }
        for text in
            ["http://login.example.jp/", "http://localhost.example/", "http://127.0.0.1.example/", "http://10.0.0.1/"]
        {
            assert_eq!(text.parse::<Url>(), Err(ControlCause::UrlInClear), "{text}");
        }
    }
}
