//! Checks control/relays/HOST/oauth, and what else a login by token needs: without it each mail with one waits.

use super::directories::check_pem_files;
use super::notes::Notes;
use crate::account::directory;
use crate::account::supply::PATH;
use crate::check::file_readers;
use crate::control::files::Control;
use crate::control::tokens::{self, DIRECTORY, Provider};
use crate::policy::{Security, TlsPolicy, Verification};
use qmail_auth::mechanisms;
use std::ffi::OsStr;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

/// The mechanisms that take a token.
const MECHANISMS: [&str; 2] = ["XOAUTH2", "OAUTHBEARER"];

/// Notes what is wrong for this relay, which has a directory `oauth`. `is_used`: a login by token goes there.
pub fn check(control: &Control, relay: &str, is_used: bool, notes: &mut Notes) {
    let directory = format!("control/relays/{relay}");
    let cafile = Provider::read(control, &directory).ok().flatten().and_then(|provider| provider.cafile);
    let mut there = control.names(&format!("relays/{relay}/{DIRECTORY}")).unwrap_or_default();
    there.sort();
    let is_cafile = |name: &str| cafile.as_ref().is_some_and(|file| file.path.file_name() == Some(OsStr::new(name)));
    for name in there.iter().filter(|name| !tokens::NAMES.contains(&&name[..]) && !is_cafile(name)) {
        let names = tokens::NAMES.join(", ");
        notes.warn(&format!("{directory}/{DIRECTORY}/{name}: a file of this name is not read; the names are {names}"));
    }
    if !is_used {
        return;
    }
    let mut defers = |why: String| notes.warn_deferral(&format!("{why}; mail with a login by token is deferred"));
    match tokens::command(control, &directory) {
        Ok(Some(words)) => {
            let program = words.split_ascii_whitespace().next().unwrap_or_default();
            of_command(program, &directory).into_iter().for_each(&mut defers);
        }
        Ok(None) => {
            match Provider::read(control, &directory) {
                Ok(provider) => provider.iter().flat_map(of_cafile).for_each(&mut defers),
                Err(why) => defers(why.to_string()),
            }
            of_accounts(&control.home).into_iter().for_each(&mut defers);
        }
        Err(why) => defers(why.to_string()),
    }
    let file = format!("relays/{relay}/mechanisms");
    if let Ok(Some(line)) = control.first_line(&file) {
        let named = String::from_utf8_lossy(&line).into_owned();
        let known: Vec<_> = named.split_ascii_whitespace().filter_map(mechanisms::usable).collect();
        // Where none is known, that is an error of its own.
        if !known.is_empty() && !known.iter().any(|mechanism| MECHANISMS.contains(&mechanism.name)) {
            defers(format!("control/{file}: it names neither {}, which take a token", MECHANISMS.join(" nor ")));
        }
    }
}

/// What is wrong with the program of `command`.
fn of_command(program: &str, directory: &str) -> Option<String> {
    let is_executable = |path: &Path| fs::metadata(path).is_ok_and(|file| file.is_file() && file.mode() & 0o111 != 0);
    let path = match program.split_once('/') {
        Some(("", _)) => Some(PathBuf::from(program)),
        Some(_) => None,
        None => PATH.split(':').map(|place| Path::new(place).join(program)).find(|path| is_executable(path)),
    };
    let Some(path) = path.filter(|path| is_executable(path)) else {
        return Some(format!("{directory}/{}: {program} is not the path of a program, from / on", tokens::COMMAND));
    };
    let words = file_readers::not_for_qmailr_to_run(&path).ok().flatten()?;
    Some(format!("{directory}/{}: {}: {words}", tokens::COMMAND, path.display()))
}

/// What is wrong with the CAs of the provider.
fn of_cafile(provider: &Provider) -> Vec<String> {
    let security = Security {
        policy: TlsPolicy::Verify,
        cafile: provider.cafile.clone().filter(|_| provider.token.is_https),
        client: None,
        directory: Some(provider.directory.clone()),
    };
    let found = check_pem_files(&security, Verification::Required).into_iter();
    found.filter(|(_, defers)| *defers).map(|(why, _)| why).collect()
}

/// What is wrong with the directory in which tokens are.
fn of_accounts(home: &Path) -> Option<String> {
    let path = home.join(directory::NAME);
    let owner = fs::metadata(home.join("queue/lock/tcpto")).or_else(|_| fs::metadata(&path));
    let is_right = owner.is_ok_and(|owner| directory::of_home(home, owner.uid()).is_some());
    let why = "is missing, or not a directory of qmail-remote's user that nobody else can write to";
    (!is_right).then(|| format!("{} {why}: run qmail-remote-oauth consent, or see its owner and mode", path.display()))
}
