//! `--accounts`, and what a check shows of its own account: what is remembered of logins, in words.

use super::printable;
use crate::account::directory::{self, MEMORY, NAME};
use crate::account::memory::{Failure, MOST, Memory, What};
use crate::account::token::ACCESS;
use crate::account::{stamp, time};
use crate::control::files::{Control, Seen};
use crate::control::{Route, relays};
use crate::event::Log;
use crate::policy::Security;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

/// A line for each account of this home. And whether something is wrong: the directory is not there, or does not count. Root is shown
/// what counts for its owner.
pub fn list(home: &Path, uid: u32, unix: u64) -> (Vec<String>, bool) {
    let owner = fs::metadata(home.join(NAME)).map_or(uid, |directory| directory.uid());
    let uid = if uid == 0 { owner } else { uid };
    let Some(accounts) = directory::of_home(home, uid) else {
        let path = home.join(NAME);
        let why = "absent, or not a directory of this user's that nobody else can write to: nothing is remembered";
        return (vec![printable(format!("{}: {why}", path.display()).as_bytes())], true);
    };
    let control = Control { home: home.to_owned(), log: Log::default(), seen: Some(Seen::default()) };
    let mut lines = Vec::new();
    for host in directory::directories(&accounts) {
        let stamps = stamps_of(&control, &host);
        for user in directory::directories(&accounts.join(&host)) {
            let directory = accounts.join(&host).join(&user);
            let mut buffer = [0; MOST + 1];
            let file = directory::memory(&directory.join(MEMORY), uid, &mut buffer);
            let memory = file.and_then(|(content, _)| Memory::parse(content)).map(|memory| match memory.token() {
                Some(_) => memory.with_token(stamp::of_token(&directory.join(ACCESS))),
                None => memory,
            });
            let said = memory.map_or_else(String::new, |memory| facts(&memory, stamps, unix));
            let said = if said.is_empty() { "nothing is remembered" } else { &said };
            lines.push(printable(format!("{host} {user}: {said}").as_bytes()));
        }
    }
    if lines.is_empty() {
        lines.push(printable(format!("{}: no account yet", accounts.display()).as_bytes()));
    }
    (lines, false)
}

/// The stamp of a login by password, and that of a login by token. None: the control files defer mail to this relay, so there are none.
fn stamps_of(control: &Control, host: &str) -> Option<[u64; 2]> {
    let (host, source, security) = (host.to_owned(), String::new(), Security::default());
    let mut route = Route { host, port: 0, source, credentials: None, security, mechanisms: None, tokens: None };
    relays::complete(control, &mut route).ok()?;
    Some([false, true].map(|with_tokens| stamp::of(control, &route.security, with_tokens)))
}

fn facts(memory: &Memory, stamps: Option<[u64; 2]>, unix: u64) -> String {
    let facts = memory.facts().iter().map(|fact| format!("{} ({})", words(&fact.what, unix), fact.source));
    let facts = facts.collect::<Vec<_>>().join("; ");
    let is_void = !facts.is_empty() && !stamps.is_some_and(|stamps| stamps.iter().any(|stamp| memory.is_of(*stamp)));
    if is_void { facts + "; void, since a control file has changed" } else { facts }
}

/// A fact about a login.
pub fn words(what: &What, unix: u64) -> String {
    match what {
        What::Good(mechanism) => format!("logged in by {mechanism}"),
        What::No(mechanism) => format!("cannot use {mechanism}"),
        What::Renewing => "the token was refused, and a delivery is getting another one".to_owned(),
        What::Hide => "the password must not be shown, as this may be another relay".to_owned(),
        What::Refused(failure) => failed("refused", failure, unix),
        What::Deferred(failure) => failed("deferred", failure, unix),
    }
}

fn failed(how: &str, Failure { count, at, until, words }: &Failure, unix: u64) -> String {
    let often = if *count == 1 { String::new() } else { format!(" {count} times") };
    let until = if unix < *until { format!(", not tried again until {} UTC", time(*until)) } else { String::new() };
    format!("{how}{often} at {} UTC: {}{until}", time(*at), words.trim_end_matches('.'))
}
