//! How many tries a login has, so that a relay does not lock the account; and what is known of each try.

use crate::mechanisms::{Exchange, Mechanism};

/// Some servers close after three failures, so no connection sees more than two tries.
pub(super) const TRIES_ON_A_CONNECTION: usize = 2;
pub(super) const TRIES_FOR_A_MESSAGE: usize = 3;
pub(super) const CONNECTIONS: usize = 2;

/// How one try ended.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum End {
    /// By a 235 that the mechanism accepts.
    LoggedIn,
    /// By another reply, or by a 235 that it does not accept.
    Code(u16),
    /// The relay closed.
    Closed,
}

pub(super) struct Try {
    pub(super) mechanism: &'static Mechanism,
    /// None: cancelled, or over.
    pub(super) exchange: Option<Box<dyn Exchange>>,
    /// It stood in the AUTH command.
    pub(super) initial_response: bool,
    /// The `334` replies answered.
    pub(super) answers: usize,
    pub(super) end: Option<End>,
    /// The relay was closing already, because of a refusal before: it has not refused this mechanism.
    pub(super) lost: bool,
}

impl Try {
    /// No reply to the AUTH command has come.
    pub(super) fn is_unanswered(&self) -> bool {
        self.exchange.is_some() && self.answers == 0
    }

    pub(super) fn showed_password(&self) -> bool {
        let responses = usize::from(self.initial_response) + self.answers;
        self.mechanism.shows_password.is_some_and(|response| responses >= response)
    }

    /// It may be the initial response that the relay does not know.
    pub(super) fn is_refused_for_its_form(&self) -> bool {
        let is_about_syntax = matches!(self.end, Some(End::Code(500 | 501 | 502 | 504 | 555)));
        self.initial_response && self.answers == 0 && is_about_syntax
    }
}
