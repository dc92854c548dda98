//! Refusals that are about our account at the relay, not about the mail: a quota, a rate, a sender that it may not use. Relays
//! send them with a 5xx too, in words of their own. The mail waits then and does not bounce.

use crate::cause::login::AccountTrouble;
use qmail_auth::reply::Reply;

/// How such refusals are recognised: by an enhanced status code, or by words, which are in lower case here. An empty one is not
/// looked for.
const REFUSALS: [(&str, &str, AccountTrouble); 9] = [
    ("5.4.5", "", AccountTrouble::Limit), // Gmail: 550 5.4.5 Daily user sending quota exceeded.
    ("", "submissionquotaexceeded", AccountTrouble::Limit), // Microsoft 365: 554 5.2.0 STOREDRV.Submission.Exception:SubmissionQuota...
    ("", "frequency limited", AccountTrouble::Limit),       // QQ: 550 Sender frequency limited
    ("", "too many messages. try again", AccountTrouble::Limit), // msndr: 550 Too many messages. Try again in 92 seconds.
    ("", "throttling failure", AccountTrouble::Limit), // Amazon SES: 454 Throttling failure: Maximum sending rate exceeded
    ("5.2.252", "", AccountTrouble::Sender), // Microsoft 365: 554 5.2.252 SendAsDenied; joe@example.org not allowed to send as
    ("5.7.60", "send as this sender", AccountTrouble::Sender), // Exchange: 550 5.7.60 SMTP; Client does not have permissions to send ...
    ("", "sendasdenied", AccountTrouble::Sender), // Microsoft 365: 554 5.2.0 STOREDRV.Submission.Exception:SendAsDenied...
    ("", "mapiexceptionlogonfailed", AccountTrouble::Mailbox), // Microsoft 365: 430 4.2.0 STOREDRV; mailbox logon failure; ... of an app
];

/// What a 4xx or 5xx after a login says about the account. None: it is about the mail.
pub fn trouble(reply: &Reply) -> Option<AccountTrouble> {
    if reply.has_status("5.1.1") {
        return None; // there is no such user, whatever words its address has
    }
    let text = reply.text.to_ascii_lowercase();
    let says = |words: &str| memchr::memmem::find(&text, words.as_bytes()).is_some();
    let has = |status: &str| status.is_empty() || reply.has_status(status);
    let found = REFUSALS.iter().find(|(status, words, _)| has(status) && says(words));
    found.map(|(.., trouble)| *trouble)
}

/// How relays say that a login may not use this sender, in lower case. Such a refusal bounces the mail as any other; only its report
/// says what to do.
const NOT_OWNED: [&str; 6] = [
    "not owned by", // Postfix, reject_sender_login_mismatch, and Yandex: 553 5.7.1 Sender address rejected: not owned by user joe
    "same as authorization user", // QQ: 501 mail from address must be same as authorization user
    "must equal authorized user", // NetEase: 553 Mail from must equal authorized user
    "sender address is not allowed", // GMX: 550 Sender address is not allowed.
    "email address is not verified", // Amazon SES: 554 Message rejected: Email address is not verified.
    "verified sender identity", // SendGrid: 550 The from address does not match a verified Sender Identity.
];

/// Whether a refusal says that the login may not use this sender.
pub fn is_of_sender(reply: &Reply) -> bool {
    let text = reply.text.to_ascii_lowercase();
    NOT_OWNED.iter().any(|words| memchr::memmem::find(&text, words.as_bytes()).is_some())
}
