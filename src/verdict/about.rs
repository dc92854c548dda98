//! What a refusal is about. A mistake in our set-up must not bounce the queue, so only what is certainly about the mail counts as that.

use super::account_refusals;
use super::login_refusals::{self, Demand, demands_login, demands_tls};
use crate::cause::login::AccountTrouble;
use crate::smtp_command::Command;
use qmail_auth::reply::Reply;

/// What we have shown the server of a login, as far as its replies are read by that.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LoginState {
    /// None is configured.
    None,
    /// None is configured for the relay of a route, which offers AUTH.
    OnlyOffered,
    /// It has accepted one.
    Accepted,
    /// It has seen a client certificate, and nothing says whether it takes that for a login.
    CertificateShown,
}

/// What a refusal is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum About {
    /// This mail, its sender or its recipient.
    Mail,
    /// The login: the server demands one, or another.
    Login,
    /// The login, perhaps: the relay does not relay for those who have not logged in.
    Relaying,
    /// TLS, which the server demands.
    Tls,
    /// The login, perhaps, as the client certificate may be none to the server.
    Certificate,
    /// Our account at the relay.
    Account(AccountTrouble),
    /// Nothing that a reply at this place can be about.
    Unknown,
}

/// What a 4xx or 5xx to MAIL, RCPT, DATA or the message is about.
pub fn about(command: Command, reply: &Reply, login: LoginState) -> About {
    if demands_login(reply) {
        return if demands_tls(reply) { About::Tls } else { About::Login };
    }
    // When the message was sent, MAIL and RCPT had been accepted, without a login or with the certificate.
    if login == LoginState::OnlyOffered && command != Command::EndOfData {
        match login_refusals::for_want_of_login(reply) {
            Some(Demand::Login) => return About::Login,
            Some(Demand::ToRelay) => return About::Relaying,
            None => {}
        }
    }
    if login == LoginState::CertificateShown && command != Command::EndOfData && may_be_about_login(reply) {
        return About::Certificate;
    }
    match (login, account_refusals::trouble(reply)) {
        (LoginState::None | LoginState::OnlyOffered, _) | (_, None) => About::Mail,
        (_, Some(trouble)) => About::Account(trouble),
    }
}

/// A refusal for good, and its status does not say that it is about something else (RFC 3463 section 2: 5.7 is policy, 5.5
/// protocol, 5.0 anything).
fn may_be_about_login(reply: &Reply) -> bool {
    let about_another_thing = ["5.1.", "5.2.", "5.3.", "5.4.", "5.6."].iter().any(|status| reply.has_status(status));
    reply.class() == 5 && !about_another_thing
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_refusal_is_about() {
        for (text, login, expected) in [
            ("550 5.1.1 no", LoginState::Accepted, About::Mail),
            ("530 no", LoginState::None, About::Login),
            ("530 5.7.0 Must issue a STARTTLS command first", LoginState::Accepted, About::Tls),
            ("530 no", LoginState::CertificateShown, About::Login),
            ("554 5.7.1 no", LoginState::CertificateShown, About::Certificate),
            ("550 5.4.5 quota", LoginState::Accepted, About::Account(AccountTrouble::Limit)),
            ("454 Throttling failure", LoginState::Accepted, About::Account(AccountTrouble::Limit)),
            (
                "554 5.2.0 STOREDRV.Submission.Exception:SendAsDeniedException",
                LoginState::Accepted,
                About::Account(AccountTrouble::Sender),
            ),
        ] {
            let reply = Reply { code: text[..3].parse().unwrap(), text: format!("{text}\n").into_bytes() };
            for command in [Command::Mail, Command::Rcpt(0)] {
                assert_eq!(about(command, &reply, login), expected, "{text}");
            }
        }
    }
}
