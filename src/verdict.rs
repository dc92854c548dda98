//! What becomes of a mail: delivered, deferred or bounced. Every such decision is made here, by tables without any state: [`judge`]
//! and [`judge_recipient`] for a server's reply, [`without_smtputf8`] for an address that a server cannot take, [`fate`] for all
//! else that can end a delivery. docs/dev/design.md, "Nothing is lost", has the same tables in prose.
//!
//! The ground rule: when in doubt, defer. A mail that is bounced is gone; one that is deferred is tried again, and its report says
//! what to do.

mod about;
pub mod account_refusals;
pub mod login_refusals;

pub use about::{About, LoginState};

use crate::cause::Cause;
use crate::smtp_command::Command;
use about::about;
use qmail_auth::reply::Reply;

/// What becomes of a mail.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fate {
    /// A server has it.
    Delivered,
    /// qmail-send tries it again later.
    Deferred,
    /// It goes back to its sender.
    Bounced,
}

impl Fate {
    /// The letter that begins the message report (qmail-remote(8)).
    pub fn letter(self) -> u8 {
        match self {
            Fate::Delivered => b'K',
            Fate::Deferred => b'Z',
            Fate::Bounced => b'D',
        }
    }
}

/// What becomes of one recipient, if the mail is accepted for any.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RecipientFate {
    /// The mail is for this one, too.
    Accepted,
    /// This one is tried again later.
    RefusedForNow,
    /// The mail bounces for this one.
    RefusedForGood,
}

impl RecipientFate {
    /// The letter that begins the recipient report (qmail-remote(8)).
    pub fn letter(self) -> u8 {
        match self {
            RecipientFate::Accepted => b'r',
            RecipientFate::RefusedForNow => b's',
            RecipientFate::RefusedForGood => b'h',
        }
    }
}

/// What a reply decides.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Judgement {
    /// Nothing yet: the session goes on.
    Proceed,
    /// This server is of no use, which says nothing about the mail: the next address is tried (RFC 5321 section 5.1). If there is
    /// none the mail is deferred.
    NextAddress,
    /// The fate of the mail.
    Mail(Fate, About),
}

impl Judgement {
    /// The fate of the mail, as far as this reply decides it.
    pub fn fate(self) -> Fate {
        match self {
            Judgement::Mail(fate, _) => fate,
            _ => Fate::Deferred,
        }
    }

    /// What a refusal is about.
    pub fn about(self) -> About {
        match self {
            Judgement::Mail(_, about) => about,
            _ => About::Unknown,
        }
    }
}

/// What the reply to a command decides for the mail.
pub fn judge(command: Command, reply: &Reply, login: LoginState) -> Judgement {
    let about = || about(command, reply, login);
    match (command, reply.code, reply.class()) {
        (Command::Greeting, 220, _) => Judgement::Proceed,
        (Command::Ehlo | Command::Helo, 250, _) => Judgement::Proceed,
        (Command::Ehlo, code, 4 | 5) if code != 421 => Judgement::Proceed, // by HELO
        (Command::StartTls, 220, _) => Judgement::Proceed,
        (Command::Greeting | Command::Ehlo | Command::Helo | Command::StartTls, ..) => Judgement::NextAddress,

        // Whatever is said to a login is not about the mail. After a 5xx another mechanism may be tried.
        (Command::Auth, 235 | 334, _) => Judgement::Proceed,
        (Command::Auth, ..) => Judgement::Mail(Fate::Deferred, About::Login),

        (Command::Mail, _, 2) => Judgement::Proceed,
        (Command::Data, 354, _) => Judgement::Proceed,
        (Command::EndOfData, _, 2) => Judgement::Mail(Fate::Delivered, About::Mail),
        (Command::Mail | Command::Data | Command::EndOfData, _, 4) => Judgement::Mail(Fate::Deferred, about()),
        (Command::Mail | Command::Data | Command::EndOfData, _, 5) => match about() {
            About::Mail => Judgement::Mail(Fate::Bounced, About::Mail),
            ours => Judgement::Mail(Fate::Deferred, ours),
        },

        (Command::Rcpt(_), _, 2 | 4 | 5) => Judgement::Proceed, // see judge_recipient

        // 1xx, 3xx, and 2xx to DATA: out of step.
        (Command::Mail | Command::Rcpt(_) | Command::Data | Command::EndOfData, ..) => {
            Judgement::Mail(Fate::Deferred, About::Unknown)
        }
    }
}

/// What the reply to RCPT decides for its recipient. When all are refused, [`Cause::AllRecipientsRefused`] decides for the mail.
pub fn judge_recipient(reply: &Reply, login: LoginState) -> (RecipientFate, About) {
    if reply.class() == 2 {
        return (RecipientFate::Accepted, About::Mail);
    }
    match (reply.class(), about(Command::Rcpt(0), reply, login)) {
        (5, About::Mail) => (RecipientFate::RefusedForGood, About::Mail),
        (_, about) => (RecipientFate::RefusedForNow, about),
    }
}

/// The sender or a recipient has a non-ASCII address, and the server does not offer SMTPUTF8 (RFC 6531 section 3.2). If it has
/// deferred EHLO, it may offer that later.
pub fn without_smtputf8(ehlo_was_deferred: bool) -> Fate {
    if ehlo_was_deferred { Fate::Deferred } else { Fate::Bounced }
}

/// The fate of a mail where no reply decides it.
pub fn fate(cause: &Cause) -> Fate {
    match cause {
        Cause::Checked => Fate::Delivered, // no mail, but a check that has come to its goal

        // As stock: qmail-rspawn never does this.
        Cause::InvokedImproperly => Fate::Bounced,
        // An address must not be able to speak SMTP.
        Cause::Address { .. } => Fate::Bounced,
        // The domain itself says so.
        Cause::NoSuchHost { .. } | Cause::NoSuchNonAsciiHost { .. } | Cause::NoExchanger | Cause::NullMx => {
            Fate::Bounced
        }
        // As stock: the mail would go round in a circle.
        Cause::BestPreferenceIsOurs => Fate::Bounced,
        // The reports of the recipients say which are to be tried again; qmail-rspawn goes by those.
        Cause::AllRecipientsRefused { .. } => Fate::Bounced,
        // As stock: qmail makes up no line end.
        Cause::PartialFinalLine => Fate::Bounced,

        // Our set-up, the resolver, servers that fail, lost connections, replies out of step, TLS, the login, a disk that fails,
        // and all that somebody adds here without thinking of this.
        _ => Fate::Deferred,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cause::{AddressError, Because, Duplicate, LookupCause, Refusal, Target, User, tls::NoTls};
    use std::net::IpAddr;

    const LOGINS: [LoginState; 4] =
        [LoginState::None, LoginState::OnlyOffered, LoginState::Accepted, LoginState::CertificateShown];
    const BEFORE_MAIL: [Command; 4] = [Command::Greeting, Command::Ehlo, Command::Helo, Command::StartTls];
    const OF_MAIL: [Command; 3] = [Command::Mail, Command::Data, Command::EndOfData];

    fn reply(text: &str) -> Reply {
        Reply { code: text[..3].parse().unwrap(), text: format!("{text}\n").into_bytes() }
    }

    fn letter(command: Command, text: &str, login: LoginState) -> char {
        match judge(command, &reply(text), login) {
            Judgement::Proceed => '-',
            Judgement::NextAddress => '>',
            Judgement::Mail(fate, _) => fate.letter().into(),
        }
    }

    fn recipient(text: &str, login: LoginState) -> char {
        judge_recipient(&reply(text), login).0.letter().into()
    }

    /// `-`: the session goes on. `>`: the next address, and Z if there is none.
    #[test]
    fn before_mail_a_reply_never_bounces() {
        for login in LOGINS {
            for (command, text) in
                [(Command::Greeting, "220"), (Command::Ehlo, "250"), (Command::Helo, "250"), (Command::StartTls, "220")]
            {
                assert_eq!(letter(command, text, login), '-', "{command:?}");
            }
            for text in
                ["421 busy", "450 later", "500 no", "530 no", "550 5.1.1 no", "554 no SMTP service here", "354 ?"]
            {
                for command in BEFORE_MAIL {
                    let by_helo = command == Command::Ehlo && ["450", "500", "530", "550", "554"].contains(&&text[..3]);
                    assert_eq!(letter(command, text, login), if by_helo { '-' } else { '>' }, "{command:?}: {text}");
                }
            }
            // A login that is refused is our set-up.
            assert_eq!(["235 ok", "334 x"].map(|text| letter(Command::Auth, text, login)), ['-', '-']);
            for text in ["250 ?", "421 x", "454 4.7.0 later", "500 x", "530 x", "534 x", "535 5.7.8 no", "550 no"] {
                assert_eq!(letter(Command::Auth, text, login), 'Z', "AUTH: {text}");
            }
        }
    }

    /// docs/dev/design.md, "Nothing is lost": for MAIL, DATA and the message, and for RCPT.
    #[test]
    fn refusals() {
        use LoginState::{Accepted, CertificateShown, None, OnlyOffered};
        for (text, login, at_mail, at_data, at_message, at_rcpt) in [
            // The server takes it.
            ("250 ok", None, '-', 'Z', 'K', 'r'),
            ("250 ok", Accepted, '-', 'Z', 'K', 'r'),
            ("250 ok", CertificateShown, '-', 'Z', 'K', 'r'),
            ("251 forwarded", None, '-', 'Z', 'K', 'r'),
            ("354 go", None, 'Z', '-', 'Z', 's'),
            // This mail.
            ("450 4.2.1 later", None, 'Z', 'Z', 'Z', 's'),
            ("421 4.3.2 later", Accepted, 'Z', 'Z', 'Z', 's'),
            ("550 5.1.1 no such user", None, 'D', 'D', 'D', 'h'),
            ("550 5.1.1 no such user", Accepted, 'D', 'D', 'D', 'h'),
            ("554 5.7.1 spam", None, 'D', 'D', 'D', 'h'),
            ("554 5.7.1 spam", Accepted, 'D', 'D', 'D', 'h'),
            ("501 no status", Accepted, 'D', 'D', 'D', 'h'),
            // A login is wanted, or another.
            ("530 5.7.0 authentication required", None, 'Z', 'Z', 'Z', 's'),
            ("530 no", Accepted, 'Z', 'Z', 'Z', 's'),
            ("534 no", None, 'Z', 'Z', 'Z', 's'),
            ("535 5.7.8 no", Accepted, 'Z', 'Z', 'Z', 's'),
            ("538 no", CertificateShown, 'Z', 'Z', 'Z', 's'),
            ("530 5.7.0 Must issue a STARTTLS command first", None, 'Z', 'Z', 'Z', 's'),
            ("550 5.7.30 basic authentication is not supported", None, 'Z', 'Z', 'Z', 's'),
            ("501 5.5.127 Token will expire soon", Accepted, 'Z', 'Z', 'Z', 's'),
            ("550 5.7.300 something else", None, 'D', 'D', 'D', 'h'),
            // The same in other words, where none is configured for a relay that offers one. Elsewhere they are about the mail.
            ("553 5.7.1 <a@b>: Sender address rejected: not logged in", OnlyOffered, 'Z', 'Z', 'D', 's'),
            ("553 5.7.1 <a@b>: Sender address rejected: not logged in", None, 'D', 'D', 'D', 'h'),
            ("553 authentication is required", OnlyOffered, 'Z', 'Z', 'D', 's'),
            ("554 5.7.1 <c@d>: Relay access denied", OnlyOffered, 'Z', 'Z', 'D', 's'),
            ("554 5.7.1 <c@d>: Relay access denied", None, 'D', 'D', 'D', 'h'),
            ("554 5.7.1 <c@d>: Relay access denied", Accepted, 'D', 'D', 'D', 'h'),
            ("554 5.7.1 spam", OnlyOffered, 'D', 'D', 'D', 'h'),
            ("550 5.4.5 daily quota exceeded", OnlyOffered, 'D', 'D', 'D', 'h'),
            // A client certificate that the relay perhaps does not take for a login. The message comes after it has taken MAIL.
            ("554 5.7.1 relay access denied", CertificateShown, 'Z', 'Z', 'D', 's'),
            ("550 no status", CertificateShown, 'Z', 'Z', 'D', 's'),
            ("550 5.5.1 no", CertificateShown, 'Z', 'Z', 'D', 's'),
            ("550 5.1.1 no such user", CertificateShown, 'D', 'D', 'D', 'h'),
            ("552 5.2.2 full", CertificateShown, 'D', 'D', 'D', 'h'),
            ("552 5.3.4 too large", CertificateShown, 'D', 'D', 'D', 'h'),
            ("550 5.4.6 loop", CertificateShown, 'D', 'D', 'D', 'h'),
            ("550 5.6.1 no such media", CertificateShown, 'D', 'D', 'D', 'h'),
            // Our account. Without a login such words are about the mail.
            ("550 5.4.5 daily quota exceeded", Accepted, 'Z', 'Z', 'Z', 's'),
            ("550 5.4.5 daily quota exceeded", CertificateShown, 'Z', 'Z', 'Z', 's'),
            ("550 5.4.5 daily quota exceeded", None, 'D', 'D', 'D', 'h'),
            ("554 5.2.252 SendAsDenied", Accepted, 'Z', 'Z', 'Z', 's'),
            ("550 5.7.60 SMTP; Client does not have permissions to send as this sender", Accepted, 'Z', 'Z', 'Z', 's'),
            ("550 5.1.1 <too many messages. try again@b> unknown", Accepted, 'D', 'D', 'D', 'h'),
            ("454 Throttling failure", Accepted, 'Z', 'Z', 'Z', 's'),
            // Nothing that has a place there.
            ("150 ?", Accepted, 'Z', 'Z', 'Z', 's'),
            ("334 ?", None, 'Z', 'Z', 'Z', 's'),
        ] {
            assert_eq!(
                OF_MAIL.map(|command| letter(command, text, login)),
                [at_mail, at_data, at_message],
                "{text}, {login:?}"
            );
            assert_eq!(recipient(text, login), at_rcpt, "RCPT: {text}, {login:?}");
        }
    }

    /// The other rows of that table.
    #[test]
    fn without_a_reply() {
        let peer = IpAddr::from([192, 0, 2, 1]);
        let (host, relay, why, notes) = (String::new, String::new, String::new, String::new);
        for (cause, expected) in [
            // Our set-up or login.
            (Cause::NoHome, 'Z'),
            (Cause::ControlFiles { why: why() }, 'Z'),
            (Cause::HostUnknown { why: LookupCause::OfRelay { host: host(), source: host(), why: why() } }, 'Z'),
            (Cause::LoginFailed { peer, user: User::OfCertificate, relay: relay(), why: why(), notes: notes() }, 'Z'),
            (Cause::NoAddressFrom { source: peer, target: Target::Relay { relay: relay() } }, 'Z'),
            (Cause::CannotSendFrom { source: peer, why: why() }, 'Z'),
            // The server, once there is no other.
            (Cause::ServerRefuses { peer, what: Refusal::Greeting, notes: notes() }, 'Z'),
            (Cause::NoTls { peer, what: NoTls::Failed { why: why() }, relay: relay(), notes: notes() }, 'Z'),
            (Cause::NoConnection { target: Target::Relay { relay: relay() }, failures: why() }, 'Z'),
            // A lost connection, with and without the final dot; a reply out of step, malformed or too long.
            (Cause::Died { peer, duplicate: Duplicate::Possible, notes: notes() }, 'Z'),
            (Cause::Died { peer, duplicate: Duplicate::Impossible, notes: notes() }, 'Z'),
            (Cause::Protocol { peer, what: why(), duplicate: Duplicate::Impossible, notes: notes() }, 'Z'),
            // The message.
            (Cause::MessageUnreadable { why: why() }, 'Z'),
            (Cause::MessageChanged { first: 2, second: 1 }, 'Z'),
            (Cause::PartialFinalLine, 'D'),
            // The envelope.
            (Cause::Address { whose: "sender", why: AddressError::Control }, 'D'),
            (Cause::AllRecipientsRefused { peer }, 'D'), // behind their letters
            (Cause::InvokedImproperly, 'D'),
            // Where the mail goes, without a route.
            (Cause::NoSuchHost { host: host() }, 'D'),
            (Cause::NoSuchNonAsciiHost { host: host() }, 'D'),
            (Cause::NoExchanger, 'D'),
            (Cause::NullMx, 'D'),
            (Cause::BestPreferenceIsOurs, 'D'),
            (Cause::HostUnknown { why: LookupCause::OfMx { domain: host(), why: why() } }, 'Z'),
            (Cause::HostUnknown { why: LookupCause::OfHost { why: why() } }, 'Z'),
            (Cause::NoOwnAddresses { why: why() }, 'Z'),
            // A check that has found nothing wrong.
            (Cause::Checked, 'K'),
            // What only a reply can decide is in doubt without one.
            (Cause::Accepted { peer }, 'Z'),
            (Cause::SenderRejected { peer, because: Because::Mail }, 'Z'),
            (Cause::NonAscii { peer }, 'Z'),
        ] {
            assert_eq!(char::from(fate(&cause).letter()), expected, "{cause}");
        }
        assert_eq!([false, true].map(|deferred| char::from(without_smtputf8(deferred).letter())), ['D', 'Z']);
    }
}
