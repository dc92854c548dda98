//! Refusals that are about the login: which replies count as one, and what they mean at the provider that sends them.

use crate::cause::login::Meaning;
use qmail_auth::reply::{self, Reply};

/// RFC 4954 section 6; of Microsoft 365, 5.7.30 is for a login by password, which it no longer takes, and 5.5.127 for a token that ends
/// soon.
pub fn demands_login(reply: &Reply) -> bool {
    let basic_authentication_is_off = reply.code == 550 && reply.has_status("5.7.30");
    let token_ends_soon = reply.code == 501 && reply.has_status("5.5.127");
    matches!(reply.code, 530 | 534 | 535 | 538) || basic_authentication_is_off || token_ends_soon
}

/// The same codes where TLS must come first: 538 of RFC 4954 section 4, and 530 of RFC 3207 section 4, `Must issue a STARTTLS command
/// first`. Some servers say that in other words.
pub fn demands_tls(reply: &Reply) -> bool {
    let says = |names: &[&str]| {
        let mut words = reply.text.split(|c| !c.is_ascii_alphanumeric());
        words.any(|word| names.iter().any(|name| word.eq_ignore_ascii_case(name.as_bytes())))
    };
    let in_other_words = || says(&["TLS", "SSL"]) && !says(&["authentication", "authenticate", "auth", "login"]);
    reply.code == 538 || reply.code == 530 && (says(&["STARTTLS"]) || in_other_words())
}

/// What a refusal demands, where no login is configured.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Demand {
    /// A login.
    Login,
    /// A login, or permission by address, to relay mail to others.
    ToRelay,
}

/// How relays refuse mail without a login by other codes than those of RFC 4954, in lower case.
const WITHOUT_LOGIN: [(&str, Demand); 8] = [
    ("not logged in", Demand::Login), // Postfix, reject_sender_login_mismatch: 553 5.7.1 <...>: Sender address rejected: not logged in
    ("authentication is required", Demand::Login), // NetEase: 553 authentication is required,smtp13,...
    ("authentication required", Demand::Login), // as 530 of RFC 4954, by 550, 553 or 554
    ("relay access denied", Demand::ToRelay), // Postfix: 554 5.7.1 <...>: Relay access denied
    ("relaying denied", Demand::ToRelay), // sendmail: 550 5.7.1 <...>... Relaying denied
    ("relay not permitted", Demand::ToRelay), // Exim's configuration as it comes: 550 relay not permitted
    ("unable to relay", Demand::ToRelay), // Exchange: 550 5.7.54 SMTP; Unable to relay recipient in non-accepted domain
    ("allowed rcpthosts", Demand::ToRelay), // qmail: 553 sorry, that domain isn't in my list of allowed rcpthosts (#5.7.1)
];

/// Whether a refusal is for want of a login, which the relay offers.
pub fn for_want_of_login(reply: &Reply) -> Option<Demand> {
    let text = reply.text.to_ascii_lowercase();
    let found = WITHOUT_LOGIN.iter().find(|(words, _)| memchr::memmem::find(&text, words.as_bytes()).is_some());
    found.map(|(_, demand)| *demand)
}

/// The password may be wrong all the same, so the advice to check it stays.
const IN_DOUBT: bool = true;
const CERTAIN: bool = false;

/// How such a reply is recognised: by its code, its enhanced status code and words, which are in lower case here. Zero or an empty
/// string stands for any. The first row that fits counts.
#[rustfmt::skip] // a table
const REFUSALS: [(u16, &str, &str, Meaning, bool); 21] = [
    // Microsoft 365, "Authentication unsuccessful, SmtpClientAuthentication is disabled for the Tenant" or "the Mailbox":
    // learn.microsoft.com/exchange/clients-and-mobile-in-exchange-online/authenticated-client-smtp-submission
    (535, "5.7.139", "smtpclientauthentication is disabled", Meaning::SmtpAuthDisabled, CERTAIN),
    // "user is locked by your organization's security defaults policy": the same page
    (535, "5.7.139", "security defaults", Meaning::SecurityDefaults, CERTAIN),
    // "basic authentication is disabled": github.com/rpremraj/mailR/issues/107
    (535, "5.7.139", "basic authentication", Meaning::OauthAlone, CERTAIN),
    // "the request did not meet the criteria to be authenticated successfully. Contact your administrator":
    // github.com/gophish/gophish/issues/3220
    (535, "5.7.139", "did not meet the criteria", Meaning::Policy, CERTAIN),
    // "the user credentials were incorrect", and what else there may be: github.com/codassassin/email-bomber-v2.0/issues/1
    (535, "5.7.139", "", Meaning::ExchangeRefuses, IN_DOUBT),
    // Exchange: [MS-SMTPNTLM] 2.2.1.4; with SMTP AUTH disabled: github.com/simonrob/email-oauth2-proxy/issues/297
    (535, "5.7.3", "", Meaning::ExchangeRefuses, IN_DOUBT),
    // "Basic authentication is not supported for Client Submission": techcommunity.microsoft.com/blog/exchange/.../4489835
    (550, "5.7.30", "", Meaning::OauthAlone, CERTAIN),
    // Gmail: support.google.com/a/answer/3726730
    (534, "5.7.9", "application-specific password", Meaning::GoogleAppPassword, CERTAIN),
    (535, "5.7.8", "username and password not accepted", Meaning::GoogleAppPassword, IN_DOUBT),
    (534, "", "web browser", Meaning::GoogleSuspects, CERTAIN), // 5.7.14, 5.7.9
    (454, "4.7.0", "too many login attempts", Meaning::TooManyLogins, CERTAIN),
    // Yahoo, "Too many bad auth attempts": github.com/nedimf/maildroid/issues/17, help.yahoo.com/kb/SLN15241.html
    (535, "", "#auth005", Meaning::YahooAppPassword, CERTAIN),
    // Mail.ru, "NEOBHODIM parol prilozheniya ... Application password is REQUIRED": help.mail.ru/mail/security/protection/external
    (535, "", "parol prilozheniya", Meaning::AppPassword, CERTAIN),
    // QQ, "Login Fail. Please enter your authorization code": github.com/pppscn/SmsForwarder/issues/507
    (535, "", "enter your authorization", Meaning::AuthorizationCode, CERTAIN),
    // QQ, "Login fail. Account is abnormal, service is not open, password is incorrect, ...", and its page of help in Chinese words:
    // service.mail.qq.com/cgi-bin/help?subtype=1&&id=28&&no=1001256
    (535, "", "account is abnormal", Meaning::AuthorizationCode, IN_DOUBT),
    (535, "", "mail.qq.com", Meaning::AuthorizationCode, CERTAIN),
    // NetEase (163, 126), "User has no permission": github.com/testerSunshine/12306/issues/62, github.com/open-falcon/mail-provider/issues/6
    (550, "", "user has no permission", Meaning::AuthorizationCode, CERTAIN),
    // Amazon SES: docs.aws.amazon.com/ses/latest/dg/troubleshoot-smtp.html; GMX, WEB.DE: www.gmx.net/mail/tipps/posts/pop3-imap/36
    (535, "", "authentication credentials invalid", Meaning::SmtpCredentials, IN_DOUBT),
    // SendGrid: support.sendgrid.com/hc/en-us/articles/18322114821403, and "Maximum credits exceeded": github.com/mautic/mautic/issues/8721
    (535, "", "authorization grant is invalid", Meaning::ApiKey, IN_DOUBT),
    (451, "", "maximum credits exceeded", Meaning::SentTooMuch, CERTAIN),
    // msndr, "Too many messages. Try again in 92 seconds.": the same words as in account_refusals
    (550, "", "too many messages. try again", Meaning::SentTooMuch, CERTAIN),
];

/// What a refusal of the login means, and whether the password may be wrong all the same. None: no provider is known for it.
pub fn meaning(reply: &Reply) -> Option<(Meaning, bool)> {
    let text = reply.text.to_ascii_lowercase();
    let found = REFUSALS.iter().find(|(code, status, words, ..)| {
        reply.code == *code
            && (status.is_empty() || reply.has_status(status))
            && memchr::memmem::find(&text, words.as_bytes()).is_some()
    });
    found.map(|(.., meaning, in_doubt)| (*meaning, *in_doubt))
}

/// Whether this can be what a refusal of an access token means: the others are about passwords.
pub fn is_of_tokens(meaning: Meaning) -> bool {
    use Meaning::{ExchangeRefuses, Policy, SecurityDefaults, SentTooMuch, SmtpAuthDisabled, TooManyLogins};
    matches!(meaning, SmtpAuthDisabled | SecurityDefaults | Policy | ExchangeRefuses | TooManyLogins | SentTooMuch)
}

/// Whether a reply is of more use for a report than the refusal before it, of another mechanism. The last one often says only that
/// the relay has had enough.
pub fn tells_more(reply: &Reply, before: &[u8]) -> bool {
    let before = reply::code_of(before).and_then(|code| meaning(&Reply { code, text: before.to_vec() }));
    before.is_none_or(|(_, in_doubt)| in_doubt && meaning(reply).is_some())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reply(text: &str) -> Reply {
        Reply { code: text[..3].parse().unwrap(), text: format!("{text}\n").into_bytes() }
    }

    #[test]
    fn tls_first() {
        for (text, expected) in [
            ("530 5.7.0 Must issue a STARTTLS command first", true),
            ("530-Must issue\n530 a starttls command first", true),
            ("530 5.7.7 Email sending without SSL/TLS encryption is not allowed.", true),
            ("538 5.7.11 Encryption required", true),
            ("530 5.7.0 Authentication required", false),
            ("530 5.7.0 No, says mx.atlstore.example", false),
            ("530 5.7.0 Authentication required, over SSL/TLS", false),
            ("550 5.7.1 STARTTLS first", false), // about the mail, by its code
        ] {
            assert_eq!(demands_tls(&reply(text)), expected, "{text}");
            assert!(demands_login(&reply(text)) || !expected, "{text}");
        }
    }

    /// Each row has a reply of its own, and none is hidden by one above it.
    #[test]
    fn each_row_is_found() {
        for (code, status, words, meaning, in_doubt) in REFUSALS {
            assert_eq!(words, words.to_ascii_lowercase());
            let text = format!("{code}-{status} Sorry.\n{code} {status} It is: {}!", words.to_ascii_uppercase());
            assert_eq!(super::meaning(&reply(&text)), Some((meaning, in_doubt)), "{text}");
        }
        for text in ["535 5.7.8 no", "535 5.7.1390 no", "535 5.7.30 no", "454 4.7.0 later", "550 5.7.300 no"] {
            assert_eq!(meaning(&reply(text)), None, "{text}");
        }
    }
}
