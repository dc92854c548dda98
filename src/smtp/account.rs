//! Refusals that are about our account at the relay, not about the mail: a quota, a rate, a sender that it may not send as. Relays
//! say them with a 5xx too, in words of their own, and then the mail is to wait and not to bounce.

use qmail_auth::reply::Reply;

const LIMIT: &str = "has sent as much as the relay lets it for now; if that happens often, ask for a higher limit";
const SENDER: &str = "may not send as this sender; permit it at the relay, or give this sender a login of its own in \
                      control/authsenders";

/// The enhanced status code and the words (in lower case) that such a refusal has; an empty one is not asked for. And what the account
/// then is told to have done.
const REFUSALS: [(&str, &str, &str); 7] = [
    ("5.4.5", "", LIMIT),                        // Gmail: 550 5.4.5 Daily user sending quota exceeded.
    ("", "submissionquotaexceeded", LIMIT), // Microsoft 365: 554 5.2.0 STOREDRV.Submission.Exception:SubmissionQuota...
    ("", "frequency limited", LIMIT),       // QQ: 550 Sender frequency limited
    ("", "too many messages. try again", LIMIT), // msndr: 550 Too many messages. Try again in 92 seconds.
    ("", "throttling failure", LIMIT),      // Amazon SES: 454 Throttling failure: Maximum sending rate exceeded
    ("5.2.252", "", SENDER), // Microsoft 365: 554 5.2.252 SendAsDenied; joe@example.org not allowed to send as
    ("", "sendasdenied", SENDER), // Microsoft 365: 554 5.2.0 STOREDRV.Submission.Exception:SendAsDenied...
];

/// What a 4xx or 5xx behind a login says of the account, to follow its name in a report. None: it is about the mail.
pub fn trouble(reply: &Reply) -> Option<&'static str> {
    let text = reply.text.to_ascii_lowercase();
    let says = |words: &str| memchr::memmem::find(&text, words.as_bytes()).is_some();
    let has = |status: &str| status.is_empty() || reply.has_status(status);
    let found = REFUSALS.iter().find(|(status, words, _)| has(status) && says(words));
    found.map(|(.., hint)| *hint)
}
