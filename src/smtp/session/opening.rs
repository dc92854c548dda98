//! The login and its account: before AUTH the lock is taken, so that one delivery at a time finds out whether the password is wrong,
//! and behind the login it is released, so that others need not wait for the mail.

use super::Session;
use crate::account::Account;
use crate::smtp::envelope::Goal;
use crate::want::Want;
use qmail_auth::client::Permission;
use std::io::ErrorKind;

impl Session {
    /// What is wanted of the account before anything else.
    pub(super) fn want_of<'a>(&self, account: &'a Account) -> Option<Want<'a>> {
        match self.opening {
            Some(_) => account.lock_wanted().map(|(file, wait)| Want::Lock(file, wait)),
            None => account.is_concluded().then_some(Want::Release),
        }
    }

    /// Whether the login must wait for the lock. On the next connection of the same login it is still held.
    pub(super) fn waits_for_lock(&mut self, permission: Permission) -> bool {
        let logs_in = self.auth.is_some() && self.envelope.goal != Goal::LoginKnown;
        let waits = logs_in && self.account.as_deref_mut().is_some_and(Account::begin);
        self.opening = waits.then_some(permission);
        waits
    }

    /// The lock is not to be had. Then another one is wanted. If others have that for so long, too, nobody knows what comes of
    /// their login, so this delivery tries only where the last login worked. Else it goes on as if there were no account.
    pub(super) fn not_locked(&mut self, now: u64, unix: u64, why: ErrorKind) {
        let account = self.account.as_deref_mut().expect("its lock was wanted");
        if account.is_other_lock_wanted() {
            return;
        }
        let is_busy = matches!(why, ErrorKind::WouldBlock | ErrorKind::Interrupted);
        if !is_busy {
            self.account = None;
        } else if !account.may_go_on_without_lock() {
            let auth = self.auth.as_ref().expect("the account is that of a login");
            let cause = account.busy(auth, &self.envelope.relay.shown);
            return self.finish(cause.into());
        }
        self.locked(now, unix);
    }

    /// The lock is held. What others have found out meanwhile counts.
    pub(super) fn locked(&mut self, now: u64, unix: u64) {
        let permission = self.opening.take().expect("it was wanted");
        self.renew_deadline(now);
        self.has_waited = true;
        if let (Some(account), Some(auth)) = (&mut self.account, &mut self.auth) {
            account.locked();
            if let Some(token) = self.supply.as_mut().and_then(|supply| supply.look_again()) {
                auth.set_token(&token); // the delivery before this one has had it replaced
            }
            if let Some(cause) = account.refused_before(auth, &self.envelope.relay.shown, unix) {
                return self.finish(cause.into());
            }
            auth.remember(account.past(unix));
        }
        self.begin_login(permission);
    }

    /// The login is done.
    pub(super) fn login_concluded(&mut self) {
        if let (Some(account), Some(auth)) = (&mut self.account, &self.auth) {
            account.conclude(auth);
        }
    }

    /// Writes what came of the login.
    pub fn release(&mut self, unix: u64) {
        self.account.iter_mut().for_each(|account| account.release(unix));
    }
}
