//! `status`: of each account, until when its token is good, and what was wrong last.

use super::accounts::{self, Account};
use super::answer::printable;
use super::store::Trouble;
use crate::account::time;
use crate::account::token::{Access, Fitness};
use crate::cause::oauth::TokenCause;
use crate::control::tokens::Grant;
use std::path::Path;

/// The list, and whether something is wrong.
pub fn list(home: &Path, uid: u32, unix: u64) -> (String, bool) {
    let found = accounts::find(home, uid);
    let line = |text: String| printable(text.as_bytes(), 4000) + "\n";
    let mut lines: String = found.wrong.iter().map(|cause| line(cause.to_string())).collect();
    let mut is_wrong = !found.wrong.is_empty();
    for (host, user) in found.accounts {
        let (words, is_good) = match Account::of(home, &host, &user, uid) {
            Ok(account) => of_account(&account, unix),
            Err(cause @ TokenCause::ByCommand { .. }) => (cause.to_string(), true),
            Err(cause) => (cause.to_string(), false),
        };
        is_wrong |= !is_good;
        lines += &line(format!("{host} {}: {words}", String::from_utf8_lossy(&user)));
    }
    if lines.is_empty() {
        lines = "no account has tokens\n".to_owned();
    }
    (lines, is_wrong)
}

fn of_account(account: &Account, unix: u64) -> (String, bool) {
    let token = account.store.access().map_or_else(|| "no token".to_owned(), |access| until(&access, unix));
    let (renewable, is_renewable) = match (account.provider.grant, account.store.is_renewable()) {
        (Grant::App, _) => ("of the application".to_owned(), true),
        (Grant::User, Ok(true)) => ("renewable".to_owned(), true),
        (Grant::User, Ok(false)) => ("not renewable: run qmail-remote-oauth consent".to_owned(), false),
        (Grant::User, Err(cause)) => (format!("not renewable: {cause}"), false),
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
