//! What earlier messages have learnt of this login, and what later ones can learn of this. Where it is kept is the caller's business.

use super::{Client, End, Try};
use crate::mechanisms::Mechanism;
use alloc::vec::Vec;

/// What is known of earlier logins with the same user and password at the same relay.
#[derive(Default)]
pub struct Past {
    /// The mechanism of the last login. It is tried first.
    pub good: Option<&'static Mechanism>,
    /// Mechanisms that the relay has refused before any challenge, though it took the login by another one; or SCRAM that came to no
    /// proof. They are tried last.
    pub refused: Vec<&'static Mechanism>,
    /// How often in a row the login failed. From the second time on each one goes first in turn: the mechanism may be the wrong one, and
    /// not the password.
    pub failures: usize,
    /// How many tries the message has, if that is fewer than usual.
    pub tries: Option<usize>,
    /// The login ends when the relay has refused it for more than the command, or closed the connection when it had the password:
    /// the password is wrong now. That there is no hash for SCRAM is a refusal as others then.
    pub one_failure: bool,
    /// See [`Client::may_be_another`].
    pub may_be_another: bool,
}

/// What a login came to.
#[derive(Clone, Copy, PartialEq)]
pub enum Conclusion {
    /// It is done.
    LoggedIn(&'static Mechanism),
    /// It failed for something that a person must fix.
    Refused,
    /// SCRAM came to no proof, and nothing else failed for good. Another mechanism is left that may do.
    NoHash,
    /// The relay could not prove that it knows the password.
    NotProven,
    /// The relay closed the connection when it had the password; `twice`: on two connections.
    ClosedBehindPassword {
        /// On each of two connections.
        twice: bool,
    },
    /// The relay has deferred it, closed the connection, or did not answer.
    Deferred,
    /// Nothing was tried, or the relay did not understand what was.
    Nothing,
}

impl Client {
    /// Tells the client of earlier logins, before [`Client::begin`].
    pub fn remember(&mut self, past: Past) {
        self.tries_allowed = past.tries.unwrap_or(self.tries_allowed).min(self.tries_allowed);
        self.past = past;
    }

    /// What this login came to so far, over all its connections.
    pub fn conclusion(&self) -> Conclusion {
        if let Some(mechanism) = self.accepted() {
            return Conclusion::LoggedIn(mechanism);
        }
        if self.has_not_proved {
            return Conclusion::NotProven;
        }
        if self.tries.iter().any(|t| t.is_refused_for_good() && !t.is_of_no_use() && !t.replaced) {
            return Conclusion::Refused;
        }
        let is_closed = |t: &&Try| t.end == Some(End::Closed) && t.told_password();
        match (self.tries.iter().filter(is_closed).count(), self.tries.last().map(|last| last.end)) {
            (2.., _) => Conclusion::ClosedBehindPassword { twice: true },
            (1, Some(Some(End::Closed))) => Conclusion::ClosedBehindPassword { twice: false },
            (_, Some(None | Some(End::Closed | End::Code(221 | 400..=499)))) => Conclusion::Deferred,
            _ if !self.tries.iter().any(Try::is_of_no_use) => Conclusion::Nothing,
            _ if !self.past.one_failure && self.permitted().any(|mechanism| self.may_do(mechanism)) => {
                Conclusion::NoHash
            }
            _ => Conclusion::Refused,
        }
    }

    /// The mechanism is not known to be refused.
    fn may_do(&self, mechanism: &'static Mechanism) -> bool {
        !self.tries.iter().any(|t| t.mechanism == mechanism) && !self.past.refused.contains(&mechanism)
    }

    /// The mechanisms that were refused before any challenge or instead of an answer to it, and before the relay had the password.
    pub fn refused_before_challenge(&self) -> impl Iterator<Item = &'static Mechanism> + '_ {
        let is_refused = |t: &&Try| matches!(t.end, Some(End::Code(500..=599))) && t.answers == 0;
        self.tries.iter().filter(is_refused).filter(|t| !t.showed_password()).map(|t| t.mechanism)
    }

    /// Puts the mechanisms of this connection in order by the past, once its offer is known.
    pub(super) fn order_by_past(&mut self) {
        let order = core::mem::take(&mut self.order);
        let is_refused = |mechanism: &&'static Mechanism| self.past.refused.contains(mechanism);
        let (last, rest): (Vec<_>, Vec<_>) = order.into_iter().partition(is_refused);
        self.order = rest;
        self.order.extend(last);
        let first = self.order.iter().position(|mechanism| Some(*mechanism) == self.past.good);
        if let Some(first) = first {
            self.order[..=first].rotate_right(1);
        }
        let turn = self.past.failures.saturating_sub(1);
        let permitted: Vec<_> = self.permitted().collect();
        if let Some(first) = turn.checked_rem(permitted.len()).filter(|turn| *turn > 0).map(|turn| permitted[turn]) {
            self.order.retain(|mechanism| *mechanism != first);
            self.order.insert(0, first);
        }
    }

    /// There have been as many failures as there may be.
    pub(super) fn has_failed(&self) -> bool {
        let failures = || self.tries.iter().filter(|t| t.is_failure());
        let most = if self.past.one_failure {
            1
        } else if failures().any(|t| t.mechanism.is_scram()) {
            2
        } else {
            return false;
        };
        failures().count() >= most
    }
}
