//! control/relays/HOST/: what belongs to one relay, one value in the first line of each file, in qmail's manner.

use super::Route;
use super::files::{Control, ControlError};
use super::routes::credentials;
use crate::auth::Credentials;
use crate::auth::mechanism::Mechanism;
use crate::secret::Secret;
use crate::tls::policy::{PemFile, TlsPolicy};
use std::ffi::OsStr;
use std::net::IpAddr;
use std::os::unix::ffi::OsStrExt;

/// The files that a relay's directory may have.
pub const NAMES: [&str; 7] = ["user", "password", "tls", "cafile", "mechanisms", "clientcert", "clientkey"];

/// A relay's directory, `control/relays/smtp.example.jp`, whether it is there or not; None where the name can be no
/// directory's.
pub fn directory(host: &str) -> Option<String> {
    let name = normal(host);
    is_legal(&name).then(|| format!("control/relays/{name}"))
}

/// Adds to a route what control/relays says of its relay. What the route's own line says of the login wins.
pub fn complete(control: &Control, mut route: Route) -> Result<Route, ControlError> {
    route.security.cafile = pem_file(control, "tlscafile")?;
    let name = normal(&route.host);
    let directory = format!("relays/{name}");
    route.security.directory = self::directory(&route.host);
    if !control.exists("relays")? {
        return Ok(route);
    }
    not_under_another_name(control, &name)?;
    if !is_legal(&name) || !control.exists(&directory)? {
        return Ok(route);
    }
    route.security.client = client_certificate(control, &directory)?;
    if route.credentials.is_none() {
        route.credentials = login(control, &directory, route.security.client.is_some())?;
    }
    if let Some(file) = pem_file(control, &format!("{directory}/cafile"))? {
        route.security.cafile = Some(file);
    }
    if let Some(word) = control.first_line(&format!("{directory}/tls"))? {
        route.security.policy = TlsPolicy::from_word(&word)
            .ok_or_else(|| ControlError(format!("control/{directory}/tls: not one of verify, encrypt, may, none")))?;
    }
    if let Some(names) = control.first_line(&format!("{directory}/mechanisms"))? {
        let known = mechanisms(&names).ok_or_else(|| {
            let all = Mechanism::OVER_TLS.map(Mechanism::name).join(", ");
            ControlError(format!("control/{directory}/mechanisms: none of {all} in the first line"))
        })?;
        route.mechanisms = Some(known);
    }
    Ok(route)
}

/// The PEM file whose path is the first line of a control file.
fn pem_file(control: &Control, name: &str) -> Result<Option<PemFile>, ControlError> {
    let Some(line) = control.first_line(name)? else { return Ok(None) };
    let source = format!("control/{name}");
    if line.is_empty() || line.iter().any(u8::is_ascii_control) {
        return Err(ControlError(format!("{source}: no path of a PEM file in the first line")));
    }
    Ok(Some(PemFile { path: control.home.join(OsStr::from_bytes(&line)), source }))
}

fn client_certificate(control: &Control, directory: &str) -> Result<Option<(PemFile, PemFile)>, ControlError> {
    let [certificate, key] = ["clientcert", "clientkey"].map(|name| pem_file(control, &format!("{directory}/{name}")));
    match (certificate?, key?) {
        (None, None) => Ok(None),
        (Some(certificate), Some(key)) => Ok(Some((certificate, key))),
        _ => Err(ControlError(format!("control/{directory}: clientcert and clientkey belong together"))),
    }
}

/// A relay's name as its directory has it: in lower case, without a trailing dot; an IP address in its usual form and
/// without brackets.
fn normal(host: &str) -> String {
    let bare = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
    match bare.parse::<IpAddr>() {
        Ok(address) => address.to_string(),
        Err(_) => bare.strip_suffix('.').unwrap_or(bare).to_ascii_lowercase(),
    }
}

/// The name becomes a path, so it is of letters, digits, dots and hyphens, with no empty label, or an IP address.
fn is_legal(name: &str) -> bool {
    let label = |label: &str| !label.is_empty() && label.bytes().all(|c| c.is_ascii_alphanumeric() || c == b'-');
    name.parse::<IpAddr>().is_ok() || name.split('.').all(label)
}

/// Fails where a directory is the relay's but for the form of its name: what was written there must not be passed over
/// in silence.
fn not_under_another_name(control: &Control, name: &str) -> Result<(), ControlError> {
    for entry in control.names("relays")? {
        if normal(&entry) == name && (entry != name || !is_legal(name)) {
            let right = if is_legal(name) { name } else { "of letters, digits, dots and hyphens" };
            return Err(ControlError(format!("control/relays/{entry}: the name must be {right}")));
        }
    }
    Ok(())
}

/// The user and the password in `relays/HOST`; with a client certificate, the password or both may be missing.
pub fn login(control: &Control, directory: &str, has_certificate: bool) -> Result<Option<Credentials>, ControlError> {
    let user_file = format!("{directory}/user");
    let password_file = format!("{directory}/password");
    let user = control.first_line(&user_file)?;
    let password = control.read(&password_file)?;
    let source = format!("control/{directory}");
    if password.is_none() && has_certificate {
        let user = user.map_or_else(Vec::new, |user| user.to_vec());
        return Ok(Some(Credentials {
            user,
            password: Secret::default(),
            by_certificate: true,
            clear_allowed: false,
            source,
        }));
    }
    if user.is_none() && password.is_none() {
        return Ok(None);
    }
    let user = user.unwrap_or_default();
    // The password is the line to its last octet: blanks and CR at its end belong to it.
    let password = password.as_ref().and_then(|content| content.split(|c| *c == b'\n').next()).unwrap_or_default();
    credentials(&user, password, &source)
        .map(Some)
        .map_err(|why| ControlError(format!("control/{user_file} and control/{password_file}: {why}")))
}

/// Names with blanks between. One that this program does not know is passed over, as it can be another version's.
fn mechanisms(names: &[u8]) -> Option<Vec<Mechanism>> {
    let names = std::str::from_utf8(names).ok()?;
    let known: Vec<Mechanism> = names.split_ascii_whitespace().filter_map(Mechanism::from_name).collect();
    (!known.is_empty()).then_some(known)
}
