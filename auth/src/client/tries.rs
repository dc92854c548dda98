//! The limits of tries, so that a relay does not lock the account, and the state of each try.

use crate::cause::Unanswerable;
use crate::mechanisms::{Exchange, Mechanism};
use alloc::boxed::Box;
use alloc::vec::Vec;

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
    /// It was cancelled by `*`.
    pub(super) cancelled: bool,
    /// Why, if a report says so.
    pub(super) why_cancelled: Option<Unanswerable>,
    /// Why the relay refuses the token, in its own words.
    pub(super) said: Option<Vec<u8>>,
    /// The relay refuses the token, by whichever code.
    pub(super) token_refused: bool,
    /// The token was replaced since.
    pub(super) replaced: bool,
    /// How often the password was hashed (SCRAM).
    pub(super) rounds: Option<u64>,
    /// The relay has proved that it knows the password.
    pub(super) proven: bool,
    /// None while the try goes on.
    pub(super) end: Option<End>,
    /// The relay was already closing because of the refusal before, so it has not refused this mechanism.
    pub(super) lost: bool,
}

impl Try {
    /// A try that begins with this exchange.
    pub(super) fn new(mechanism: &'static Mechanism, exchange: Box<dyn Exchange>, initial_response: bool) -> Try {
        Try {
            mechanism,
            exchange: Some(exchange),
            initial_response,
            answers: 0,
            cancelled: false,
            why_cancelled: None,
            said: None,
            token_refused: false,
            replaced: false,
            rounds: None,
            proven: false,
            end: None,
            lost: false,
        }
    }

    /// The relay has refused SCRAM before it sent a challenge: it knows no such user, or keeps another kind of hash; or, of -PLUS, it
    /// does not know this kind of binding.
    pub(super) fn has_no_hash(&self) -> bool {
        self.mechanism.is_scram() && !self.has_sent_proof() && self.end == Some(End::Code(535))
    }

    /// It is SCRAM that ended before we sent a proof: there is no hash, or the challenge got no answer.
    pub(super) fn ended_before_proof(&self) -> bool {
        self.has_no_hash() || !self.has_sent_proof() && self.why_cancelled.is_some()
    }

    /// Our proof went out (SCRAM).
    pub(super) fn has_sent_proof(&self) -> bool {
        self.rounds.is_some()
    }

    /// Refused by a 5xx that is about the command or its mechanism, and not about our proof or our token: a relay that has said why it
    /// refuses the token means that by any code.
    pub(super) fn is_about_command(&self) -> bool {
        self.has_code_about_command() && !self.has_sent_proof() && !self.token_refused && self.said.is_none()
    }

    /// RFC 5321 section 4.2.2, RFC 4954 section 4 and 6.
    pub(super) fn has_code_about_command(&self) -> bool {
        matches!(self.end, Some(End::Code(500..=504 | 555)))
    }

    /// Refused by a 5xx that is about the login, not the command.
    pub(super) fn is_refused_for_good(&self) -> bool {
        matches!(self.end, Some(End::Code(500..=599))) && !self.is_about_command()
    }

    /// The mechanism is of no use: the relay does not know it, or refused it before it had the password or a proof.
    pub(super) fn is_useless(&self) -> bool {
        let is_early = !self.showed_password_or_proof() && (self.answers == 0 || self.mechanism.is_scram());
        self.is_about_command() || is_early && matches!(self.end, Some(End::Code(500..=599)))
    }

    /// To the relay it was a failed login.
    pub(super) fn is_failure(&self) -> bool {
        let is_closed = matches!(self.end, Some(End::Closed | End::Code(221 | 421)));
        !self.replaced && (self.is_refused_for_good() || is_closed && self.showed_password_or_proof())
    }

    /// The relay has seen a proof that is bound to the TLS connection, and refused it. Either the password is wrong, or the relay's end
    /// of TLS is another: somebody may be in the middle.
    pub(super) fn was_bound_and_refused(&self) -> bool {
        let is_refused = !self.proven && !matches!(self.end, None | Some(End::LoggedIn));
        self.mechanism.is_bound() && self.has_sent_proof() && is_refused
    }

    /// It says nothing of what a next one would come to.
    pub(super) fn is_void(&self) -> bool {
        self.lost || self.replaced
    }

    /// Whether there was no reply to the AUTH command yet.
    pub(super) fn is_unanswered(&self) -> bool {
        self.exchange.is_some() && self.answers == 0
    }

    /// The relay had the password, or a proof of it by SCRAM.
    pub(super) fn showed_password_or_proof(&self) -> bool {
        self.showed_password() || self.has_sent_proof()
    }

    pub(super) fn showed_password(&self) -> bool {
        let responses = usize::from(self.initial_response) + self.answers;
        self.mechanism.shows_password.is_some_and(|response| responses >= response)
    }

    /// Whether the relay may have refused only the initial response, or that there was none: the code is about syntax (RFC 5321 section
    /// 4.2.2, and 555 for parameters in section 4.1.1.11).
    pub(super) fn is_refused_for_its_form(&self) -> bool {
        let is_about_syntax = matches!(self.end, Some(End::Code(500 | 501 | 502 | 504 | 555)));
        self.answers == 0 && !self.cancelled && is_about_syntax
    }
}
