//! The texts of a login for reports, as types: what was tried, why there is no login, and what to do.

use crate::reply::ReplyError;
use crate::texts;
use alloc::string::String;

texts! {
    /// What was offered and tried, and with what result.
    pub enum Attempts {
        NoLogin { offered: String, tried: String, cause: Cause } => "offered {offered}; tried {tried}; {cause}",
        Before { tried: String } => "tried {tried}",
    }
}

impl Attempts {
    /// Puts another cause in the place of the client's. `explain` gets that one, and returns None to keep it. For a caller that
    /// knows more: the name of the relay, or what its words mean.
    pub fn explained(mut self, explain: impl FnOnce(&Cause) -> Option<String>) -> Attempts {
        if let Attempts::NoLogin { cause, .. } = &mut self {
            if let Some(why) = explain(cause) {
                *cause = Cause::Explained { why };
            }
        }
        self
    }
}

texts! {
    /// Why there is no login, and what to do.
    pub enum Cause {
        CheckPassword { limit: Limit } => "check user and password{limit}",
        CheckPasswordIn { source: String, limit: Limit } => "check user and password in {source}{limit}",
        CheckPasswordWithCr { source: String, limit: Limit } =>
            "check user and password in {source}, whose password ends in a CR{limit}",
        CheckToken => "the relay refused the access token; check that it is for this user, and that its scope is to send mail",
        CheckCertificate => "check the client certificate, and which user the relay knows it for",
        AllRefused { limit: Limit } => "the relay refused each way to log in{limit}",
        NoAuth => "the relay offers no AUTH here; perhaps only on ports 587 and 465, or only over TLS",
        Closed => "the relay closed the connection before a login",
        NoneUsable { usable: String } => "none of what the relay offers can be used; usable would be: {usable}; ask the relay's owner for one of these, or use another relay",
        NotVerified => "the password must not be shown to a relay whose certificate does not verify",
        InClear => "the password must not go out without TLS that is verified",
        NoHash { limit: Limit } => "the relay knows no such user, or keeps no hash of the password that SCRAM can use{limit}",
        NotBindable => "a mechanism with -PLUS needs TLS 1.3",
        MayBeAnother => "the password must not be shown, as this may be another relay",
        NoRandom => "the system gave no random octets (getrandom); it is tried again with the next delivery",
        Deferred => "the relay defers the login; it is tried again with the next delivery",
        OutOfPlace => "the relay's reply has no place in a login",
        NotProven => "the relay could not prove that it knows the password; nothing more is sent to it",
        Explained { why: String } => "{why}",
    }
}

texts! {
    /// Appended to a cause where not every mechanism was permitted: the reason.
    #[allow(clippy::empty_docs)]
    pub enum Limit {
        None => "",
        NotVerified => ", and the password must not be shown to a relay whose certificate does not verify",
        InClear => "; the other ways would show the password, and need TLS or permission to send it in clear",
        MayBeAnother => ", and the password must not be shown, as this may be another relay",
    }
}

texts! {
    /// How a try ended. It stands in brackets after the name of the mechanism.
    pub enum Outcome {
        Code { code: u16 } => "{code}",
        Said { said: String, code: u16 } => "it said {said}; {code}",
        Closed => "connection closed",
        NoAnswer => "no answer",
        Cancelled { why: Unanswerable } => "{why}",
    }
}

texts! {
    /// Why the client has cancelled a login by SCRAM. It stands in brackets after the name of the mechanism.
    #[derive(Debug, Clone, Copy, PartialEq, Eq)]
    pub enum Unanswerable {
        Rounds { rounds: u64 } => "it wants {rounds} rounds of SCRAM, and 4096 to 1000000 are done",
        Nonce => "it changed our nonce",
        Malformed => "its challenge is malformed",
        Refused => "it refused the login",
    }
}

texts! {
    /// A list of names, cut where it is too long for a report.
    pub enum Names {
        None => "nothing",
        All { names: String } => "{names}",
        Some { names: String, more: usize } => "{names} and {more} more",
    }
}

texts! {
    /// Why a mechanism will not be tried. Only qmail-remote-check says so, before the login.
    pub enum PassedOver {
        NotOffered => "the relay does not offer it",
        Unknown => "this program does not know it",
        NoPassword => "there is no password",
        NoToken => "there is no token",
        NoCertificate => "the login is a password",
        NoPasswordButToken => "the login is a token",
        OneForToken { mechanism: &'static str } => "a token is shown once, and {mechanism} is tried",
        NotConfigured => "the file mechanisms of the relay does not name it",
        NotBindable => "it needs TLS 1.3",
        MayBeAnother => "it shows the password, and this may be another relay",
        NotNeeded => "it is used where the password must not be shown, and where the file mechanisms names it",
        NotVerified => "it shows the password, and the certificate does not verify",
        InClear => "it shows the password, and there is no TLS",
    }
}

texts! {
    /// Why a call by a C program failed: the caller's own errors.
    pub enum CallError {
        Null => "a pointer is NULL, or a length is more than any object has",
        TooLong => "user and password are too long for this program",
    }
}

/// The texts that a mail report or qmail-remote-check can show. Those of [`CallError`] reach C programs only.
pub fn texts() -> impl Iterator<Item = &'static str> {
    let texts = [
        Attempts::TEXTS,
        Cause::TEXTS,
        Limit::TEXTS,
        Outcome::TEXTS,
        Unanswerable::TEXTS,
        Names::TEXTS,
        PassedOver::TEXTS,
        ReplyError::TEXTS,
    ];
    texts.into_iter().flatten().copied()
}
