//! What is known of this login from earlier messages, and what this one adds for later ones. Where it is kept is the caller's business.

use super::{Client, End, Try};
use crate::mechanisms::Mechanism;
use alloc::vec::Vec;

/// What is known of earlier logins with the same user and password at the same relay.
#[derive(Default)]
pub struct Past {
    /// The mechanism of the last login. It is tried first.
    pub good: Option<&'static Mechanism>,
    /// Mechanisms that were of no use: the relay does not know them, or refused them before it had the password or a proof. They are
    /// tried last, and not at all in a delivery that has failed already. Most recently tried first.
    pub useless: Vec<&'static Mechanism>,
    /// How often in a row the login was refused, or the connection closed when the relay had the password.
    pub failures: usize,
    /// How often in a row it was deferred.
    pub deferrals: usize,
    /// How many tries the message has, if that is fewer than usual.
    pub tries: Option<usize>,
    /// It is a check: all this orders the mechanisms, but does not end the login early.
    pub is_check: bool,
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
    /// The relay could not prove that it knows the password.
    NotProven,
    /// The relay closed the connection when it had the password; `twice`: on two connections.
    ClosedBehindPassword {
        /// On each of two connections.
        twice: bool,
    },
    /// The relay has deferred it, closed the connection, or did not answer.
    Deferred,
    /// Nothing was tried, the relay did not understand what was, or SCRAM ended before a proof and another mechanism is left.
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
        if self.server_failed_proof {
            return Conclusion::NotProven;
        }
        let counts = |t: &Try| !t.replaced || self.has_untried_token();
        if self.tries.iter().any(|t| t.is_refused_for_good() && !t.has_no_hash() && counts(t)) {
            return Conclusion::Refused;
        }
        let is_closed = |t: &&Try| t.end == Some(End::Closed) && t.showed_password_or_proof();
        // A lost try says nothing, but that the relay hung up.
        let has_ended_early = self.tries.iter().any(Try::ended_before_proof);
        let last = self.tries.iter().rfind(|t| !t.lost || !has_ended_early);
        match (self.tries.iter().filter(is_closed).count(), last.map(|last| last.end)) {
            (2.., _) => Conclusion::ClosedBehindPassword { twice: true },
            (1, Some(Some(End::Closed))) => Conclusion::ClosedBehindPassword { twice: false },
            (_, Some(None | Some(End::Closed | End::Code(221 | 400..=499)))) => Conclusion::Deferred,
            _ if !has_ended_early => Conclusion::Nothing,
            // Once: a relay may have many such mechanisms, and count each try.
            _ if !self.past.ends_at_first_failure()
                && self.past.useless.is_empty()
                && self.permitted().any(|one| !self.is_tried(one)) =>
            {
                Conclusion::Nothing
            }
            _ => Conclusion::Refused,
        }
    }

    fn is_tried(&self, mechanism: &Mechanism) -> bool {
        self.tries.iter().any(|t| t.mechanism == mechanism)
    }

    /// The mechanisms that have shown to be of no use.
    pub fn useless(&self) -> impl Iterator<Item = &'static Mechanism> + '_ {
        let accepted = self.accepted(); // in its other form, maybe
        self.tries
            .iter()
            .filter(|t| t.is_useless() && !t.lost)
            .map(|t| t.mechanism)
            .filter(move |one| Some(*one) != accepted)
    }

    /// Puts the mechanisms of this connection in order by the past, once its offer is known. From the second failure or deferral on each
    /// one has its turn to be the first: the mechanism may be the wrong one, and not the password.
    pub(super) fn order_by_past(&mut self) {
        self.put_first(self.past.good);
        let all: Vec<_> = self.permitted().collect();
        let usual = all.iter().position(|one| !self.past.useless.contains(one)).unwrap_or_default();
        // The most recently tried goes last.
        let mut last: Vec<_> = self.past.useless.iter().rev().copied().filter(|one| self.order.contains(one)).collect();
        self.order.retain(|one| !self.past.useless.contains(one));
        self.order.append(&mut last);
        let turn = self.past.failures.saturating_sub(1) + self.past.deferrals.saturating_sub(1);
        if turn > 0 {
            self.put_first((usual + turn).checked_rem(all.len()).map(|place| all[place]));
        }
    }

    fn put_first(&mut self, first: Option<&'static Mechanism>) {
        if let Some(place) = self.order.iter().position(|mechanism| Some(*mechanism) == first) {
            self.order[..=place].rotate_right(1);
        }
    }

    /// There have been as many failures as there may be before a try by this mechanism.
    pub(super) fn has_failed(&self, next: &'static Mechanism) -> bool {
        let failures = || self.tries.iter().filter(|t| t.is_failure());
        let is_useless = !self.past.is_check && self.past.useless.contains(&next);
        let most = if self.past.ends_at_first_failure() || is_useless {
            1
        } else if next.is_scram() || failures().any(|t| t.mechanism.is_scram()) {
            2
        } else {
            return false;
        };
        failures().count() >= most
    }
}

impl Past {
    /// The login ends when the relay has refused it for more than the command, or closed the connection when it had the password:
    /// the password is wrong now. Then a missing hash for SCRAM counts as a refusal, too.
    fn ends_at_first_failure(&self) -> bool {
        !self.is_check && (self.failures > 0 || self.good.is_some())
    }
}
