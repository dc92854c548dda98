//! The limits of tries, so that a relay does not lock the account, and the state of each try.

use crate::mechanisms::{Exchange, Mechanism};
use alloc::boxed::Box;

/// Some servers close the connection after three failures, so there are fewer tries on each.
pub(super) const TRIES_ON_A_CONNECTION: usize = 2;
pub(super) const TRIES_FOR_A_MESSAGE: usize = 3;
pub(super) const CONNECTIONS: usize = 2;

/// How one try ended.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum End {
    /// By a 235 that the mechanism accepts.
    LoggedIn,
    /// By another reply, or by a 235 that the mechanism does not accept.
    Code(u16),
    /// The connection ended.
    Closed,
}

/// One AUTH command and what followed it.
pub(super) struct Try {
    pub(super) mechanism: &'static Mechanism,
    /// None once the try is cancelled or has ended.
    pub(super) exchange: Option<Box<dyn Exchange>>,
    /// The AUTH command had an initial response.
    pub(super) initial_response: bool,
    /// How many `334` replies were answered.
    pub(super) answers: usize,
    /// None while the try goes on.
    pub(super) end: Option<End>,
    /// The relay was already closing because of the refusal before, so it has not refused this mechanism.
    pub(super) lost: bool,
}

impl Try {
    /// Whether there was no reply to the AUTH command yet.
    pub(super) fn is_unanswered(&self) -> bool {
        self.exchange.is_some() && self.answers == 0
    }

    pub(super) fn showed_password(&self) -> bool {
        let responses = usize::from(self.initial_response) + self.answers;
        self.mechanism.shows_password.is_some_and(|response| responses >= response)
    }

    /// Whether the relay may have refused only the initial response: the code is about syntax (RFC 5321 section 4.2.2, and 555 for
    /// parameters in section 4.1.1.11).
    pub(super) fn is_refused_for_its_form(&self) -> bool {
        let is_about_syntax = matches!(self.end, Some(End::Code(500 | 501 | 502 | 504 | 555)));
        self.initial_response && self.answers == 0 && is_about_syntax
    }
}
