//! What a consent needs before it: the files in control/relays/HOST, and HOME/accounts. Files that are there stay as they are. A new one
//! has its owner and mode, and is on the disk, before it gets its name.

use super::arguments::Wanted;
use crate::account::directory;
use crate::cause::oauth::{ConsentCause, TokenCause};
use crate::check::file_readers::Ids;
use crate::control::files::{Control, strip_blanks};
use crate::control::tokens::{COMMAND, is_visible};
use crate::report::os_error;
use qmail_auth::secret::Secret;
use std::fs::{self, DirBuilder, File, OpenOptions, Permissions};
use std::io::{self, ErrorKind, Read, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt, chown, fchown};
use std::path::Path;
use std::process;

/// The most octets of a file with a secret.
const SECRET: usize = 8192;

/// Writes what is missing in the relay's directory, `relays/HOST`. `group` may read a secret. Answers the names that it has written, and
/// what else there is to say.
pub fn write(control: &Control, relay: &str, wanted: &Wanted, group: Option<u32>) -> Result<Vec<String>, String> {
    let control_error = |error: crate::control::files::ControlError| error.to_string();
    let password = format!("{relay}/password");
    if control.exists(&password).map_err(control_error)? {
        return Err(ConsentCause::Password { file: format!("control/{password}") }.to_string());
    }
    if control.exists(&format!("{relay}/{COMMAND}")).map_err(control_error)? {
        return Err(TokenCause::ByCommand { directory: format!("control/{relay}") }.to_string());
    }
    let mut missing: Vec<(String, Secret)> = Vec::new();
    let mut add = |name: &str, value: &[u8], may_differ: bool| {
        let name = format!("{relay}/{name}");
        match control.first_line(&name).map_err(control_error)? {
            None => missing.push((name, [value, b"\n"].concat().into())),
            Some(there) if **there == *value || may_differ => {}
            Some(_) => return Err(ConsentCause::Other { file: format!("control/{name}") }.to_string()),
        }
        Ok(())
    };
    for (name, value) in &wanted.values {
        add(&format!("oauth/{name}"), value.as_bytes(), false)?;
    }
    if let Some(file) = &wanted.secret_file {
        add("oauth/secret", &secret(file)?, false)?;
    }
    add("user", &wanted.user, true)?;
    for name in ["oauth/client", "oauth/token"] {
        let name = format!("{relay}/{name}");
        let is_there =
            missing.iter().any(|(other, _)| *other == name) || control.exists(&name).map_err(control_error)?;
        if !is_there {
            return Err(ConsentCause::Missing { what: format!("control/{name}") }.to_string());
        }
    }
    let directories = ["relays", relay, &format!("{relay}/oauth")].map(str::to_owned);
    let root = control.home.join("control");
    let made = if missing.is_empty() { Ok(()) } else { make(&root, &directories, &missing, group) };
    made.map_err(|(path, error)| match error.kind() {
        ErrorKind::PermissionDenied => ConsentCause::Root.to_string(),
        _ => format!("control/{path}: {}", os_error(&error)),
    })?;
    Ok(missing.into_iter().map(|(name, _)| format!("control/{name}")).collect())
}

/// The user of the relay, if control/relays/HOST/user names another.
pub fn other_user(control: &Control, relay: &str, user: &[u8]) -> Option<ConsentCause> {
    let name = format!("{relay}/user");
    let there = control.first_line(&name).ok().flatten().filter(|there| **there != *user)?;
    let user = String::from_utf8_lossy(&there).into_owned();
    Some(ConsentCause::OtherUser { file: format!("control/{name}"), user })
}

/// Makes HOME/accounts for this user, if it is not there.
pub fn make_accounts(home: &Path, ids: Option<Ids>) -> io::Result<()> {
    let path = home.join(directory::NAME);
    match DirBuilder::new().mode(0o700).create(&path) {
        Err(error) if error.kind() == ErrorKind::AlreadyExists => return Ok(()),
        made => made?,
    }
    match ids {
        Some((uid, gid)) => chown(&path, Some(uid), Some(gid)),
        None => Ok(()),
    }
}

/// The first line of the file, which is where an editor leaves it.
fn secret(path: &Path) -> Result<Secret, String> {
    let at = |why: &str| format!("{}: {why}", path.display());
    let content = beginning(path).map_err(|error| at(&os_error(&error)))?;
    let Some(content) = content else {
        return Err(ConsentCause::SecretFile { file: path.display().to_string() }.to_string());
    };
    let line = strip_blanks(crate::control::files::first_line(&content));
    if !is_visible(line) {
        return Err(at(&crate::cause::ControlCause::NoVisibleWord.to_string()));
    }
    Ok(Secret::from(line))
}

/// What is in a regular file that is not too long. None: it is another one, such as a device without end.
fn beginning(path: &Path) -> io::Result<Option<Secret>> {
    if !fs::metadata(path)?.is_file() {
        return Ok(None);
    }
    let mut content = Vec::with_capacity(SECRET + 1);
    File::open(path)?.take(SECRET as u64 + 1).read_to_end(&mut content)?;
    let content = Secret::from(content);
    Ok((content.len() <= SECRET).then_some(content))
}

fn make(
    root: &Path,
    directories: &[String],
    files: &[(String, Secret)],
    group: Option<u32>,
) -> Result<(), (String, io::Error)> {
    for name in directories {
        let made = match DirBuilder::new().mode(0o755).create(root.join(name)) {
            Err(error) if error.kind() == ErrorKind::AlreadyExists => Ok(()),
            // The umask may be narrower, and qmail-remote must get in.
            made => made.and_then(|()| fs::set_permissions(root.join(name), Permissions::from_mode(0o755))),
        };
        made.map_err(|error| (name.clone(), error))?;
    }
    for (name, content) in files {
        put(&root.join(name), content, name.ends_with("/secret"), group).map_err(|error| (name.clone(), error))?;
    }
    for name in directories {
        File::open(root.join(name))
            .and_then(|directory| directory.sync_all())
            .map_err(|error| (name.clone(), error))?;
    }
    Ok(())
}

fn put(path: &Path, content: &[u8], is_secret: bool, group: Option<u32>) -> io::Result<()> {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let new = path.with_file_name(format!(".{name}~{}", process::id()));
    let write = || {
        let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&new)?;
        file.write_all(content)?;
        if let (true, Some(group)) = (is_secret, group) {
            fchown(&file, None, Some(group))?;
        }
        file.set_permissions(Permissions::from_mode(match (is_secret, group) {
            (false, _) => 0o644,
            (true, Some(_)) => 0o640,
            (true, None) => 0o600,
        }))?;
        file.sync_all()?;
        fs::rename(&new, path)
    };
    write().inspect_err(|_| drop(fs::remove_file(&new)))
}
