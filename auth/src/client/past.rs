//! What earlier messages have learnt of this login, and what later ones can learn of this. Where it is kept is the caller's business.

use super::{Client, End, Try};
use crate::mechanisms::{self, Mechanism};
use alloc::vec::Vec;

/// What is known of earlier logins with the same user and password at the same relay.
#[derive(Default)]
pub struct Past {
    /// The mechanism of the last login. It is tried first.
    pub good: Option<&'static Mechanism>,
    /// Mechanisms that the relay has refused before any challenge, though it took the login by another one, or as it has no hash for them.
    /// They are tried last.
    pub refused: Vec<&'static Mechanism>,
    /// Which of those that can be tried goes first: 0 the first one, and from the last on the first one again. One that failed for
    /// good may be the wrong one, and not the password.
    pub turn: usize,
    /// How many tries the message has, if that is fewer than usual.
    pub tries: Option<usize>,
    /// The login ends when the relay has refused it for more than the command, or closed the connection when it had the password:
    /// the password is wrong now.
    pub one_failure: bool,
}

/// What a login came to.
#[derive(Clone, Copy, PartialEq)]
pub enum Conclusion {
    /// It is done.
    LoggedIn(&'static Mechanism),
    /// It failed for something that a person must fix.
    Refused,
    /// The relay has refused SCRAM before any challenge, and nothing else for good: it has no hash of the password for that, or knows no
    /// such user. Another mechanism is left that may do.
    NoHash,
    /// The same: the relay could not prove that it knows the password.
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
        if self.is_distrusted {
            return Conclusion::NotProven;
        }
        if self.tries.iter().any(|t| t.is_refused_for_good() && !t.has_no_hash()) {
            return Conclusion::Refused;
        }
        let is_closed = |t: &&Try| t.end == Some(End::Closed) && t.showed_password();
        match (self.tries.iter().filter(is_closed).count(), self.tries.last().map(|last| last.end)) {
            (2.., _) => Conclusion::ClosedBehindPassword { twice: true },
            (1, Some(Some(End::Closed))) => Conclusion::ClosedBehindPassword { twice: false },
            (_, Some(None | Some(End::Closed | End::Code(221 | 400..=499)))) => Conclusion::Deferred,
            _ if !self.tries.iter().any(Try::has_no_hash) => Conclusion::Nothing,
            _ if self.permitted().any(|mechanism| self.may_do(mechanism)) => Conclusion::NoHash,
            _ => Conclusion::Refused,
        }
    }

    /// The mechanism is not known to be refused.
    fn may_do(&self, mechanism: &Mechanism) -> bool {
        let is_tried = self.tries.iter().any(|t| t.mechanism == mechanism);
        !is_tried && !self.is_refused_alike(mechanism) && !self.past.has_refused(mechanism)
    }

    /// The mechanisms that were refused before any challenge, and before the relay had the password. -PLUS is left out of the name of one
    /// for which the relay has no hash, since it is so with and without.
    pub fn refused_before_challenge(&self) -> impl Iterator<Item = &'static Mechanism> + '_ {
        let is_refused = |t: &&Try| matches!(t.end, Some(End::Code(500..=599))) && t.answers == 0;
        self.tries.iter().filter(is_refused).filter(|t| !t.showed_password()).filter_map(Try::refused)
    }

    /// Those of them for which the relay has no hash of the password.
    pub fn without_hash(&self) -> impl Iterator<Item = &'static Mechanism> + '_ {
        self.tries.iter().filter(|t| t.has_no_hash()).filter_map(Try::refused)
    }

    /// Puts the mechanisms of this connection in order by the past, once its offer is known.
    pub(super) fn order_by_past(&mut self) {
        let order = core::mem::take(&mut self.order);
        let (last, rest): (Vec<_>, Vec<_>) = order.into_iter().partition(|mechanism| self.past.has_refused(mechanism));
        self.order = rest;
        self.order.extend(last);
        let first = self.order.iter().position(|mechanism| Some(*mechanism) == self.past.good);
        if let Some(first) = first {
            self.order[..=first].rotate_right(1);
        }
        if self.past.turn > 0 {
            let mut may_work: Vec<_> = self.permitted().filter(|one| !self.past.has_refused(one)).collect();
            if may_work.is_empty() {
                may_work = self.permitted().collect();
            }
            let turn = self.past.turn.checked_rem(may_work.len()).unwrap_or_default();
            if let Some(first) = may_work.get(turn) {
                self.order.retain(|mechanism| mechanism != first);
                self.order.insert(0, first);
            }
        }
    }

    /// There has been the one failure. It is none to learn that the relay has no hash for a mechanism.
    pub(super) fn has_failed(&self) -> bool {
        let is_closed = |t: &Try| matches!(t.end, Some(End::Closed | End::Code(221 | 421)));
        let is_news = |t: &Try| t.has_no_hash() && !self.past.has_refused(t.mechanism);
        let is_failure = |t: &Try| t.is_refused_for_good() && !is_news(t) || is_closed(t) && t.showed_password();
        self.past.one_failure && self.tries.iter().any(is_failure)
    }
}

impl Past {
    /// The relay has refused it, or has no hash for it: that is so with and without -PLUS.
    fn has_refused(&self, mechanism: &Mechanism) -> bool {
        self.refused.iter().any(|one| *one == mechanism || one.name == mechanism.base())
    }
}

impl Try {
    /// The mechanism that this try says something of.
    fn refused(&self) -> Option<&'static Mechanism> {
        if self.has_no_hash() { mechanisms::usable(self.mechanism.base()) } else { Some(self.mechanism) }
    }

    /// By a 5xx that is about more than the command or its mechanism (RFC 5321 section 4.2.2, RFC 4954 section 4 and 6).
    fn is_refused_for_good(&self) -> bool {
        let is_about_command = matches!(self.end, Some(End::Code(500..=504 | 555)));
        matches!(self.end, Some(End::Code(500..=599))) && !is_about_command
    }
}
