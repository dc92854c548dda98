//! control/relays/HOST/: the settings of one relay. As with qmail's own control files, each file has one value in its first line.

use super::files::{Control, ControlError, first_line};
use super::routes::credentials;
use super::{Credentials, Route, tokens};
use crate::cause::ControlCause;
use crate::policy::PemFile;
use qmail_auth::mechanisms::{self, Mechanism};
use qmail_auth::{Login, LoginKind};
use std::ffi::OsStr;
use std::net::{IpAddr, Ipv4Addr};
use std::os::unix::ffi::OsStrExt;

/// The files that are read in a relay's directory.
pub const NAMES: [&str; 8] =
    ["user", "password", "tls", "cafile", "mechanisms", "clientcert", "clientkey", tokens::DIRECTORY];

/// The directory of a relay, `control/relays/smtp.example.jp`, whether it exists or not. None: the relay's name cannot be the name
/// of a directory.
pub fn directory(host: &str) -> Option<String> {
    let name = normal(host);
    is_legal(&name).then(|| format!("control/relays/{name}"))
}

/// Adds to a route what control/tlscafile and control/relays say about its relay. A login that the route already has wins.
pub fn complete(control: &Control, route: &mut Route) -> Result<(), ControlError> {
    read(control, route)?;
    match &route.credentials {
        Some(Credentials { login: Login::Token(_), source }) if route.tokens.is_none() => {
            Err(ControlError { place: source.clone(), why: ControlCause::NoPassword })
        }
        _ => Ok(()),
    }
}

fn read(control: &Control, route: &mut Route) -> Result<(), ControlError> {
    route.security.cafile = pem_file(control, "tlscafile")?;
    let name = normal(&route.host);
    let directory = format!("relays/{name}");
    route.security.directory = self::directory(&route.host);
    if !control.exists("relays")? {
        return Ok(());
    }
    let relays = control.names("relays")?;
    not_under_another_name(&relays, &name)?;
    if !is_legal(&name) || !control.exists(&directory)? {
        return not_beside_the_directories(control, &relays);
    }
    route.security.client = client_certificate(control, &directory)?;
    if let Some(file) = pem_file(control, &format!("{directory}/cafile"))? {
        route.security.cafile = Some(file);
    }
    let there = control.names(&directory)?;
    no_misnamed_file(&there, &directory, route)?;
    if has(control, &directory, &there, tokens::DIRECTORY)? {
        token_login(control, &directory, &there, name, route)?;
    } else if route.credentials.is_none() {
        route.credentials = read_login(control, &directory, route.security.client.is_some())?;
    }
    if let Some(word) = control.first_line(&format!("{directory}/tls"))? {
        route.security.policy =
            String::from_utf8_lossy(&word).parse().map_err(|why| ControlError::of(&format!("{directory}/tls"), why))?;
    }
    if let Some(names) = control.first_line(&format!("{directory}/mechanisms"))? {
        let known = known_mechanisms(&names).ok_or_else(|| {
            let names = mechanisms::all_usable().map(|mechanism| mechanism.name).collect::<Vec<_>>().join(", ");
            ControlError::of(&format!("{directory}/mechanisms"), ControlCause::NoMechanism { names })
        })?;
        route.mechanisms = Some(known);
    }
    Ok(())
}

/// The PEM file whose path is the first line of a control file.
pub(super) fn pem_file(control: &Control, name: &str) -> Result<Option<PemFile>, ControlError> {
    let Some(line) = control.first_line(name)? else { return Ok(None) };
    let source = format!("control/{name}");
    if line.is_empty() || line.iter().any(u8::is_ascii_control) {
        return Err(ControlError { place: source, why: ControlCause::NoPath });
    }
    Ok(Some(PemFile { path: control.home.join(OsStr::from_bytes(&line)), source }))
}

/// The client certificate and its key. One without the other is an error.
fn client_certificate(control: &Control, directory: &str) -> Result<Option<(PemFile, PemFile)>, ControlError> {
    let [certificate, key] = ["clientcert", "clientkey"].map(|name| pem_file(control, &format!("{directory}/{name}")));
    match (certificate?, key?) {
        (None, None) => Ok(None),
        (Some(certificate), Some(key)) => Ok(Some((certificate, key))),
        _ => Err(ControlError::of(directory, ControlCause::Incomplete)),
    }
}

/// The name of a relay's directory: in lower case and without a trailing dot; an IP address in its canonical form, without
/// brackets.
fn normal(host: &str) -> String {
    let bare = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
    match bare.parse::<IpAddr>() {
        Ok(address) => address.to_string(),
        Err(_) => bare.strip_suffix('.').unwrap_or(bare).to_ascii_lowercase(),
    }
}

/// Whether a name may become part of a path: an IP address, or labels of letters, digits and hyphens, none of them empty.
pub(super) fn is_legal(name: &str) -> bool {
    let label = |label: &str| !label.is_empty() && label.bytes().all(|c| c.is_ascii_alphanumeric() || c == b'-');
    name.parse::<IpAddr>().is_ok() || name.split('.').all(label)
}

/// Fails if a directory was made for this relay under another form of its name: its settings must not be ignored silently.
fn not_under_another_name(relays: &[String], name: &str) -> Result<(), ControlError> {
    let is_right = |entry: &String| *entry == name && is_legal(name);
    match relays.iter().find(|entry| !is_right(entry) && is_for(entry, name)) {
        None => Ok(()),
        Some(entry) => {
            let why = if !is_legal(name) {
                ControlCause::IllegalName
            } else if relays.iter().any(is_right) {
                ControlCause::OtherNameBeside { name: name.to_owned() }
            } else {
                ControlCause::OtherName { name: name.to_owned() }
            };
            Err(ControlError::of(&format!("relays/{entry}"), why))
        }
    }
}

/// Whether a directory of this name was made for the relay, in any form that a relay's name has elsewhere: `[HOST]:PORT`,
/// `USER@HOST`, in upper case, with blanks around it or a dot at its end; an IP address with leading zeros, or with `IPv6:` before
/// it.
pub fn is_for(entry: &str, name: &str) -> bool {
    let bare = entry.trim_matches(|c: char| c.is_whitespace() || c.is_control() || c == '\u{feff}');
    let pieces = |signs: &'static [char]| bare.split(signs).map(|piece| piece.trim_end_matches('.'));
    let address = address(name);
    let is_it = |piece: &str| match address {
        Some(_) => self::address(piece) == address,
        None => piece.eq_ignore_ascii_case(name),
    };
    pieces(&['[', ']', ';', '@']).chain(pieces(&['[', ']', ';', '@', ':'])).any(is_it)
}

/// An IP address in any of its forms, `IPv6:` before it included (RFC 5321 section 4.1.3).
pub fn address(text: &str) -> Option<IpAddr> {
    let bare = match text.split_at_checked("IPv6:".len()) {
        Some((tag, bare)) if tag.eq_ignore_ascii_case("IPv6:") => bare,
        _ => text,
    };
    bare.parse().ok().or_else(|| Some(ipv4(bare)?.into())).as_ref().map(IpAddr::to_canonical)
}

/// An IPv4 address in the forms of inet_aton(3): two to four numbers, the last of which fills the remaining octets. Unlike there, a
/// number with a leading 0 is decimal.
fn ipv4(text: &str) -> Option<Ipv4Addr> {
    let number = |part: &str| part.parse::<u32>().ok().filter(|_| part.bytes().all(|c| c.is_ascii_digit()));
    let numbers: Vec<u32> = text.split('.').map(number).collect::<Option<_>>()?;
    let (last, first) = numbers.split_last().filter(|(_, first)| (1..4).contains(&first.len()))?;
    let is_octet = first.iter().all(|number| *number < 256);
    let rest = 8 * (4 - first.len());
    let begin = first.iter().fold(0, |begin, number| begin << 8 | number);
    (is_octet && u64::from(*last) < 1 << rest).then(|| Ipv4Addr::from(begin << rest | last))
}

/// Fails if control/relays itself has files that belong into a relay's directory. Called only for a relay without a directory.
fn not_beside_the_directories(control: &Control, relays: &[String]) -> Result<(), ControlError> {
    let is_file = |entry: &&String| control.home.join("control/relays").join(entry).is_file();
    match relays.iter().filter(|entry| NAMES.contains(&&entry[..])).find(is_file) {
        Some(entry) => Err(ControlError::of(&format!("relays/{entry}"), ControlCause::NotInADirectory)),
        None => Ok(()),
    }
}

/// Fails if a file in the relay's directory has nearly one of the [`NAMES`], or if no file there has one of them: it would be
/// ignored silently. Files that are [put aside](is_put_aside) are allowed, but not those of a login: the mail would go without it.
/// If the route already has a login, these files are not used, so their names do not matter.
fn no_misnamed_file(there: &[String], directory: &str, route: &Route) -> Result<(), ControlError> {
    let is_pem_file = |entry: &str| route.security.files().any(|file| file.path.file_name() == Some(OsStr::new(entry)));
    let has_login = route.credentials.is_some();
    for entry in there.iter().filter(|entry| !is_pem_file(entry)) {
        let is_of_login = |name: &str| ["user", "password", tokens::DIRECTORY].contains(&name);
        if let Some(name) = intended_name(entry, &NAMES, there) {
            if is_of_login(name) && has_login || !is_of_login(name) && is_put_aside(entry) {
                continue;
            }
            let why = ControlCause::OtherName { name: name.to_owned() };
            return Err(ControlError::of(&format!("{directory}/{entry}"), why));
        }
    }
    let has_ours = has_login || there.iter().any(|entry| NAMES.contains(&&entry[..]));
    match there.iter().find(|entry| !has_ours && !entry.starts_with('.') && !is_pem_file(entry)) {
        Some(_) => Err(ControlError::of(directory, ControlCause::NoNameThatIsRead { names: NAMES.join(", ") })),
        None => Ok(()),
    }
}

/// Whether the file has an ending by which people, or dpkg and rpm, put a file aside: that switches the setting off on purpose.
fn is_put_aside(entry: &str) -> bool {
    const ENDINGS: [&str; 9] = [".old", ".orig", ".bak", ".save", ".off", ".disabled", ".dpkg-", ".rpm", ".d"];
    let ending = entry.find('.').map_or("", |dot| &entry[dot..]);
    let is = |end: &str| ending == end || end.len() > ".d".len() && ending.starts_with(end);
    entry.ends_with('~') || ENDINGS.into_iter().any(is)
}

/// The name that a file was meant to have: the same in upper case, with signs in it, or with an ending. None if the directory has a
/// file of that very name, too: then this one is a copy.
pub fn intended_name<'a>(entry: &str, names: &[&'a str], there: &[String]) -> Option<&'a str> {
    let stem = entry.split('.').next().unwrap_or_default();
    let bare: String = stem.chars().filter(char::is_ascii_alphanumeric).map(|c| c.to_ascii_lowercase()).collect();
    names.iter().copied().find(|name| *name == bare && !there.iter().any(|entry| entry == name))
}

/// The login of a relay's directory: user and password. With a client certificate the password, or both, may be missing.
fn read_login(control: &Control, directory: &str, has_certificate: bool) -> Result<Option<Credentials>, ControlError> {
    let user_file = format!("{directory}/user");
    let password_file = format!("{directory}/password");
    let user = control.first_line(&user_file)?;
    let password = control.read(&password_file)?;
    let source = format!("control/{directory}");
    if password.is_none() && has_certificate {
        let identity = user.filter(|user| !user.is_empty()).map(|user| user.to_vec());
        return Ok(Some(Credentials { login: Login::Certificate { identity }, source }));
    }
    if user.is_none() && password.is_none() {
        return Ok(None);
    }
    let user = user.unwrap_or_default();
    // The password is the whole line: blanks and CR at its end belong to it.
    let password = password.as_ref().map(|content| first_line(content)).unwrap_or_default();
    let found = match credentials(&user, password, &source) {
        Ok(Credentials { login: Login::Token(_), .. }) => Err(ControlCause::NoPassword),
        found => found.map(Some),
    };
    found.map_err(|why| ControlError { place: format!("control/{user_file} and control/{password_file}"), why })
}

/// The login of a relay with tokens: as the user of its directory, or as that of the route.
#[inline(never)]
fn token_login(
    control: &Control,
    directory: &str,
    there: &[String],
    host: String,
    route: &mut Route,
) -> Result<(), ControlError> {
    if route.credentials.as_ref().is_some_and(|credentials| credentials.login.kind() != LoginKind::Token) {
        return Ok(());
    }
    if has(control, directory, there, "password")? {
        return Err(ControlError::of(directory, ControlCause::PasswordAndTokens));
    }
    let user_file = format!("{directory}/user");
    if route.credentials.is_none() {
        let user = control.first_line(&user_file)?;
        let user = user.ok_or_else(|| ControlError::of(&user_file, ControlCause::NoUserForToken))?;
        let found = credentials(&user, &[], &format!("control/{directory}"));
        route.credentials = Some(found.map_err(|why| ControlError::of(&user_file, why))?);
    }
    if let Some(Credentials { login: Login::Token(login), .. }) = &mut route.credentials {
        login.server = Some((route.host.clone(), route.port));
    }
    route.tokens = Some(tokens::Source { command: tokens::command(control, directory)?, host });
    Ok(())
}

/// Whether an entry is in the directory. `there` has no names where the directory may be entered, but not listed.
fn has(control: &Control, directory: &str, there: &[String], name: &str) -> Result<bool, ControlError> {
    let may_have = there.is_empty() || there.iter().any(|entry| entry == name);
    Ok(may_have && control.exists(&format!("{directory}/{name}"))?)
}

/// The mechanisms in a list of names with blanks between them. Unknown names are skipped: another version may know them. None: no
/// name is known.
fn known_mechanisms(names: &[u8]) -> Option<Vec<&'static Mechanism>> {
    let names = std::str::from_utf8(names).ok()?;
    let known: Vec<_> = names.split_ascii_whitespace().filter_map(mechanisms::usable).collect();
    (!known.is_empty()).then_some(known)
}
