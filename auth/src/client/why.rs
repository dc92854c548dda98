//! Why a client has not logged in: what was offered, what was tried, and what to do about it.

use super::{Channel, Client, End, Permission, Try};
use crate::cause::{Attempts, Cause, Limit, Names, Outcome};
use crate::login::Login;
use crate::mechanisms::Mechanism;
use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;

impl Client {
    /// The failed tries. None before the first try, and after a login.
    pub fn attempts(&self) -> Option<Attempts> {
        (self.accepted().is_none() && !self.tries.is_empty()).then(|| Attempts::Before { tried: self.tried() })
    }

    /// The text when no try is left.
    pub(super) fn nothing_left(&self) -> Attempts {
        self.no_login(match (self.permission, self.channel != Channel::Clear) {
            _ if self.server_failed_proof => Cause::NotProven,
            (Permission::Any, _) if !self.tries.is_empty() && self.hides_something() => {
                self.refused(Limit::MayBeAnother)
            }
            // With another mechanism left, which the next delivery may try, the permission is not what was missing.
            _ if !self.tries.is_empty() && (self.permission == Permission::Any || self.candidate().is_some()) => {
                self.refused(Limit::None)
            }
            (Permission::ChallengeOnly, true) if !self.tries.is_empty() => self.refused(Limit::NotVerified),
            (Permission::ChallengeOnly, false) if !self.tries.is_empty() => self.refused(Limit::InClear),
            _ if !self.offer.offered => Cause::NoAuth,
            _ if self.permitted().next().is_some() => Cause::Closed,
            _ if self.usable().next().is_none() => {
                let usable: Vec<_> = self.order.iter().map(|mechanism| mechanism.name).collect();
                Cause::NoneUsable { usable: list(&usable, usable.len()) }
            }
            _ if self.usable().all(Mechanism::is_bound) => Cause::NotBindable,
            (Permission::Any, _) => Cause::MayBeAnother,
            (_, true) => Cause::NotVerified,
            (_, false) => Cause::InClear,
        })
    }

    /// A mechanism is left, but it would show the password to what may be another relay.
    fn hides_something(&self) -> bool {
        self.may_be_another() && self.usable().any(|mechanism| mechanism.shows_password.is_some())
    }

    /// The cause when the relay has refused every permitted mechanism. 534, 535 and 553 are about the credentials.
    fn refused(&self, limit: Limit) -> Cause {
        let is_about_password = |t: &Try| {
            let is_code = matches!(t.end, Some(End::Code(534 | 535 | 553))) && !t.has_no_hash();
            let is_answer_to_proof = t.has_sent_proof() && t.has_code_about_command();
            t.token_refused || (is_code || is_answer_to_proof) && !t.proven
        };
        let is_about_password = self.tries.iter().any(is_about_password);
        match (&self.login, &self.source) {
            _ if !is_about_password && self.tries.iter().any(Try::has_no_hash) => Cause::NoHash { limit },
            _ if !is_about_password => Cause::AllRefused { limit },
            (Login::Certificate { .. }, _) => Cause::CheckCertificate,
            (Login::Token(_), _) => Cause::CheckToken,
            // It is rarely meant, and cannot be seen.
            (Login::Password(login), Some(source)) if login.password.ends_with(b"\r") => {
                Cause::CheckPasswordWithCr { source: source.clone(), limit }
            }
            (Login::Password(_), Some(source)) => Cause::CheckPasswordIn { source: source.clone(), limit },
            (Login::Password(_), None) => Cause::CheckPassword { limit },
        }
    }

    /// The text for a login that ends for this cause.
    pub(super) fn no_login(&self, cause: Cause) -> Attempts {
        // These names are the relay's own words: a hostile one could offer as mechanisms, in parts, what was sent to it before.
        let names: Vec<&str> = self.offer.names.iter().take(SHOWN + 1).map(String::as_str).collect();
        let shown = self.mask.apply(names.join(" ").as_bytes());
        let shown = String::from_utf8_lossy(&shown);
        let offered: Vec<&str> = shown.split(' ').filter(|name| !name.is_empty()).collect();
        Attempts::NoLogin { offered: list(&offered, self.offer.names.len()), tried: self.tried(), cause }
    }

    /// Why the relay has refused the token of a try, if it has said that before its reply.
    fn said(&self, t: &Try) -> Option<String> {
        let mut shown = self.mask.apply(t.said.as_ref()?);
        shown.truncate(SAID);
        shown.iter_mut().filter(|octet| !(b' '..=b'~').contains(*octet)).for_each(|octet| *octet = b'?');
        Some(String::from_utf8_lossy(&shown).into_owned())
    }

    /// The same of the last try.
    pub fn last_said(&self) -> Option<String> {
        self.tries.last().and_then(|last| self.said(last))
    }

    fn tried(&self) -> String {
        let tries: Vec<String> =
            self.tries.iter().map(|t| format!("{} ({})", t.mechanism, t.outcome(self.said(t)))).collect();
        list(&tries, tries.len())
    }
}

impl Try {
    fn outcome(&self, said: Option<String>) -> Outcome {
        match (self.why_cancelled, self.end) {
            (Some(why), _) => Outcome::Cancelled { why },
            (None, Some(End::LoggedIn)) => Outcome::Code { code: 235 },
            (None, Some(End::Code(code))) => match said {
                Some(said) => Outcome::Said { said, code },
                None => Outcome::Code { code },
            },
            (None, Some(End::Closed)) => Outcome::Closed,
            (None, None) => Outcome::NoAnswer,
        }
    }
}

/// How many octets a report shows of why a token is refused.
const SAID: usize = 500;

/// How many names a report shows. A server may offer thousands.
const SHOWN: usize = 20;

/// A list of names for a report. There are `of` names in all; `words` need not have more than [`SHOWN`] of them.
fn list<S: AsRef<str>>(words: &[S], of: usize) -> String {
    let names = words.iter().take(SHOWN).map(AsRef::as_ref).collect::<Vec<_>>().join(", ");
    match of.checked_sub(SHOWN) {
        _ if names.is_empty() => Names::None,
        None | Some(0) => Names::All { names },
        Some(more) => Names::Some { names, more },
    }
    .to_string()
}
