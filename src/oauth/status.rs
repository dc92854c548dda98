//! `status`: of each account, until when its token is good, and what was wrong last.

use super::renewal::Account;
use super::store::{Trouble, directories, user_of};
use super::{account, answer::printable};
use crate::account::token::{Access, Fitness};
use crate::account::{directory, time};
use crate::control::tokens::Grant;
use std::path::Path;

/// Relay and user of each account of this home.
pub fn accounts(home: &Path, uid: u32) -> Vec<(String, Vec<u8>)> {
    let Some(accounts) = directory::of_home(home, uid) else { return Vec::new() };
    let users = |host: String| {
        let users = directories(&accounts.join(&host));
        users.into_iter().filter_map(move |user| Some((host.clone(), user_of(&user)?)))
    };
    directories(&accounts).into_iter().flat_map(users).collect()
}

/// The list, and whether something is wrong.
pub fn list(home: &Path, uid: u32, unix: u64) -> (String, bool) {
    let mut lines = String::new();
    let mut is_wrong = false;
    for (host, user) in accounts(home, uid) {
        if !home.join("control/relays").join(&host).join("oauth").is_dir() {
            continue; // it logs in otherwise
        }
        let (words, is_good) = match account(home, &host, &user, uid) {
            Ok(account) => of_account(&account, unix),
            Err(cause) => (cause.to_string(), false),
        };
        is_wrong |= !is_good;
        lines += &printable(format!("{host} {}: {words}", String::from_utf8_lossy(&user)).as_bytes(), 4000);
        lines += "\n";
    }
    if lines.is_empty() {
        lines = "no account has tokens\n".to_owned();
    }
    (lines, is_wrong)
}

fn of_account(account: &Account, unix: u64) -> (String, bool) {
    let is_renewable = account.provider.grant == Grant::App || account.store.is_renewable();
    let token = account.store.access().map_or_else(|| "no token".to_owned(), |access| until(&access, unix));
    let renewable = match (account.provider.grant, is_renewable) {
        (Grant::App, _) => "of the application",
        (Grant::User, true) => "renewable",
        (Grant::User, false) => "not renewable: run qmail-remote-oauth consent",
    };
    let trouble = account.store.trouble(account.stamp);
    let is_good = is_renewable && trouble.is_none();
    let trouble =
        trouble.map_or_else(String::new, |Trouble { at, words, .. }| format!("; at {} UTC: {words}", time(at)));
    (format!("{token}, {renewable}{trouble}"), is_good)
}

fn until(access: &Access, unix: u64) -> String {
    let end = time(access.end);
    match access.fitness(unix) {
        Fitness::Dead => format!("token until {end} UTC, over"),
        Fitness::Good | Fitness::NearEnd => {
            format!("token until {end} UTC ({} minutes)", access.end.saturating_sub(unix) / 60)
        }
    }
}
