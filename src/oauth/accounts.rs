//! The accounts that have tokens: where each one's come from, and where they are.

use super::arguments::Wanted;
use super::set_up;
use super::store::{Store, user_of};
use crate::account::{directory, stamp};
use crate::cause::oauth::TokenCause;
use crate::check::file_readers::Ids;
use crate::control::files::{Control, ControlError};
use crate::control::relays;
use crate::control::tokens::{self, DIRECTORY, Provider};
use crate::event::Log;
use crate::report::os_error;
use std::fs::{self, DirBuilder};
use std::io::{self, ErrorKind};
use std::os::unix::fs::{DirBuilderExt, MetadataExt};
use std::path::{Path, PathBuf};

/// An account of a relay whose provider is known.
pub struct Account {
    /// The relay, as the name of its directory.
    pub host: String,
    /// The user.
    pub user: String,
    /// Where its tokens come from.
    pub provider: Provider,
    /// Its files.
    pub store: Store,
    /// Of the files that say where tokens come from.
    pub stamp: u64,
}

impl Account {
    /// The account of this user at this relay.
    pub fn of(home: &Path, host: &str, user: &[u8], uid: u32) -> Result<Account, TokenCause> {
        let relay = relays::directory(host).ok_or_else(|| TokenCause::NoRelay { host: host.to_owned() })?;
        let provider = provider(home, &relay)?.ok_or_else(|| TokenCause::NoOauth { directory: relay.clone() })?;
        let name = relay.trim_start_matches("control/relays/").to_owned();
        let cafile = provider.cafile.as_ref().map(|file| &*file.path);
        Ok(Account {
            stamp: stamp::of_files(&home.join(&relay).join(DIRECTORY), &tokens::NAMES, cafile),
            store: Store { directory: of_user(home, &name, user, uid)?, uid },
            host: name,
            user: String::from_utf8_lossy(user).into_owned(),
            provider,
        })
    }
}

/// The accounts of a home.
#[derive(Default)]
pub struct Found {
    /// Relay and user of each one whose relay takes tokens.
    pub accounts: Vec<(String, Vec<u8>)>,
    /// Directories that do not count.
    pub wrong: Vec<TokenCause>,
}

/// Looks for the accounts of this home.
pub fn find(home: &Path, uid: u32) -> Found {
    let mut found = Found::default();
    let accounts = home.join(directory::NAME);
    match counts(&accounts, uid) {
        Ok(true) => {}
        Ok(false) => return found,
        Err(cause) => {
            found.wrong.push(cause);
            return found;
        }
    }
    for host in directory::directories(&accounts) {
        let relay = accounts.join(&host);
        if !home.join("control/relays").join(&host).join(DIRECTORY).is_dir() {
            continue; // it takes logins of another kind
        }
        match counts(&relay, uid) {
            Ok(_) => {
                let users = directory::directories(&relay).into_iter().filter_map(|user| user_of(&user));
                found.accounts.extend(users.map(|user| (host.clone(), user)));
            }
            Err(cause) => found.wrong.push(cause),
        }
    }
    found
}

/// The control files of a home.
pub fn control(home: &Path) -> Control {
    Control { home: home.to_owned(), log: Log::default(), seen: None }
}

/// Writes what a consent needs. Answers the control files that are new.
pub fn set_up(home: &Path, wanted: &Wanted, ids: Option<Ids>, uid: u32) -> Result<Vec<String>, String> {
    let relay =
        relays::directory(&wanted.host).ok_or_else(|| TokenCause::NoRelay { host: wanted.host.clone() }.to_string())?;
    let relay = relay.trim_start_matches("control/");
    let written = set_up::write(&control(home), relay, wanted, ids.map(|(_, gid)| gid))?;
    let made = if uid == 0 || ids.is_none() { set_up::make_accounts(home, ids) } else { Ok(()) };
    made.map_err(|error| format!("{}: {}", home.join(directory::NAME).display(), os_error(&error)))?;
    Ok(written)
}

/// The provider of a relay. None: it has none.
fn provider(home: &Path, relay: &str) -> Result<Option<Provider>, TokenCause> {
    let control = control(home);
    let of_control = |error: ControlError| TokenCause::Control { why: error.to_string() };
    if tokens::command(&control, relay).map_err(of_control)?.is_some() {
        return Err(TokenCause::ByCommand { directory: relay.to_owned() });
    }
    Provider::read(&control, relay).map_err(of_control)
}

/// The directory of a user, which is made if it is not there.
fn of_user(home: &Path, host: &str, user: &[u8], uid: u32) -> Result<PathBuf, TokenCause> {
    let accounts = home.join(directory::NAME);
    if !counts(&accounts, uid)? {
        return Err(TokenCause::NoAccounts { path: accounts.display().to_string() });
    }
    let relay = accounts.join(host);
    let user = relay.join(&*directory::name(Some(user)));
    for path in [&relay, &user] {
        if counts(path, uid)? {
            continue;
        }
        match DirBuilder::new().mode(0o700).create(path) {
            Err(error) if error.kind() != ErrorKind::AlreadyExists => return Err(file(path, &error)),
            _ => counts(path, uid)?, // another process may have made it in between
        };
    }
    Ok(user)
}

/// Whether this directory is there. An error if it does not count.
fn counts(path: &Path, uid: u32) -> Result<bool, TokenCause> {
    match fs::symlink_metadata(path) {
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(false),
        Err(error) => Err(file(path, &error)),
        Ok(there) if there.is_dir() && there.uid() == uid && there.mode() & 0o022 == 0 => Ok(true),
        Ok(_) => Err(TokenCause::NotOurs { path: path.display().to_string(), kind: "directory", uid }),
    }
}

fn file(path: &Path, error: &io::Error) -> TokenCause {
    TokenCause::File { file: path.display().to_string(), why: os_error(error) }
}
