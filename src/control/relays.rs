//! control/relays/HOST/: what belongs to one relay, one value in the first line of each file, in qmail's manner.

use super::Route;
use super::files::{Control, ControlError};
use super::routes::{RouteLine, credentials};
use crate::auth::Credentials;
use crate::auth::choose::Mechanism;
use crate::tls::TlsPolicy;
use std::net::IpAddr;

/// Adds to a line of smtproutes what control/relays says of its relay. What the line itself says of the login wins.
pub fn complete(control: &Control, line: RouteLine) -> Result<Route, ControlError> {
    let RouteLine { host, port, source, credentials } = line;
    let mut route = Route {
        port,
        source,
        credentials,
        tls: TlsPolicy::default(),
        mechanisms: Mechanism::IN_CLEAR.to_vec(),
        host: host.clone(),
    };
    if !control.exists("relays")? {
        return Ok(route);
    }
    let directory = directory(&host);
    misnamed(control, &host, directory.as_deref())?;
    let Some(directory) = directory else { return Ok(route) };
    if !control.exists(&directory)? {
        return Ok(route);
    }
    if route.credentials.is_none() {
        route.credentials = login(control, &directory)?;
    }
    if let Some(word) = control.first_line(&format!("{directory}/tls"))? {
        route.tls = TlsPolicy::from_word(&word)
            .ok_or_else(|| ControlError(format!("control/{directory}/tls: not one of verify, encrypt, may, none")))?;
    }
    if let Some(names) = control.first_line(&format!("{directory}/mechanisms"))? {
        route.mechanisms = mechanisms(&names).ok_or_else(|| {
            ControlError(format!("control/{directory}/mechanisms: none of CRAM-MD5, PLAIN, LOGIN in the first line"))
        })?;
    }
    Ok(route)
}

/// The directory of a relay, below control. The name becomes a path, so it is lower-cased, without a trailing dot, and
/// of letters, digits, dots and hyphens only; another name has none.
fn directory(host: &str) -> Option<String> {
    let name = host.strip_suffix('.').unwrap_or(host).to_ascii_lowercase();
    let label = |label: &str| !label.is_empty() && label.bytes().all(|c| c.is_ascii_alphanumeric() || c == b'-');
    let legal = name.parse::<IpAddr>().is_ok() || name.split('.').all(label); // so never `..`
    legal.then(|| format!("relays/{name}"))
}

/// Fails where a directory stands under the name as the route has it, and it is not the one that is looked up: what was
/// written there for the relay must not be passed over in silence.
fn misnamed(control: &Control, host: &str, directory: Option<&str>) -> Result<(), ControlError> {
    for written in [format!("relays/{host}"), format!("relays/[{host}]")] {
        if Some(written.as_str()) != directory && control.exists(&written)? {
            let name = directory.unwrap_or("another: a relay's name is of letters, digits, dots and hyphens");
            return Err(ControlError(format!("control/{written}: the name must be {name}")));
        }
    }
    Ok(())
}

fn login(control: &Control, directory: &str) -> Result<Option<Credentials>, ControlError> {
    let user_file = format!("{directory}/user");
    let password_file = format!("{directory}/password");
    let user = control.first_line(&user_file)?;
    let password = control.read(&password_file)?;
    if user.is_none() && password.is_none() {
        return Ok(None);
    }
    let user = user.unwrap_or_default();
    // The password is the line to its last octet: blanks and CR at its end belong to it.
    let password = password.as_ref().and_then(|content| content.split(|c| *c == b'\n').next()).unwrap_or_default();
    credentials(&user, password, &format!("control/{directory}"))
        .map(Some)
        .map_err(|why| ControlError(format!("control/{user_file} and control/{password_file}: {why}")))
}

/// Names with blanks between. One that this program does not know is passed over, as it can be another version's.
fn mechanisms(names: &[u8]) -> Option<Vec<Mechanism>> {
    let names = std::str::from_utf8(names).ok()?;
    let known: Vec<Mechanism> = names.split_ascii_whitespace().filter_map(Mechanism::from_name).collect();
    (!known.is_empty()).then_some(known)
}
