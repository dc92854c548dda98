//! What a provider says: tokens, a code for the user, or a refusal and what that means (RFC 6749 section 5, RFC 8628 section 3).
//!
//! Refusals are told apart by `error` alone. Descriptions are for people: Microsoft says of its AADSTS numbers that nobody must depend
//! on them.

use super::exchange::Failed;
use super::hidden::Hidden;
use super::http::Reply;
use crate::account::token::{Access, USABLE, is_token};
use crate::cause::oauth::ProviderCause;
use qmail_auth::secret::Secret;
use serde_json::{Map, Value};

/// The life of a token whose provider does not tell it, in seconds.
const LIFE: u64 = 3600;
/// The longest life that is believed: a year.
const LONGEST: u64 = 366 * 86_400;

/// How often the provider may be asked whether the user has consented, in seconds (RFC 8628 section 3.2).
const INTERVAL: u64 = 5;
/// The longest interval and time that are waited.
const LONGEST_INTERVAL: u64 = 120;
const LONGEST_WAIT: u64 = 3600;

/// The most characters of a provider's words that are shown, and that are looked at.
const WORDS: usize = 300;
const MOST: usize = 4000;

/// Tokens.
pub struct Granted {
    /// The access token.
    pub access: Secret,
    /// How long it is good, in seconds.
    pub life: u64,
    /// The refresh token. None: the one that was sent stays (RFC 6749 section 6).
    pub refresh: Option<Secret>,
}

/// Why there is no access token.
pub struct Refused {
    /// Who can do something about it.
    pub remedy: Remedy,
    /// The cause.
    pub why: ProviderCause,
    /// What it means while a user consents.
    pub consent: Option<Consenting>,
    /// A refresh token that came all the same: the one that was sent may be void now.
    pub refresh: Option<Secret>,
}

impl From<Failed> for Refused {
    /// There was no reply.
    fn from(Failed { why, is_set_up }: Failed) -> Refused {
        Refused::new(if is_set_up { Remedy::SetUp(&["cafile"]) } else { Remedy::Later }, why)
    }
}

impl Granted {
    /// What is to be stored of tokens that were asked for at this Unix time: the access token, and the refresh token if there is one.
    pub fn into_access(self, unix: u64) -> (Access, Option<Secret>) {
        let Granted { access, life, refresh } = self;
        (Access { token: access, begin: unix, end: unix.saturating_add(life) }, refresh)
    }
}

impl Refused {
    /// It means nothing else.
    pub fn new(remedy: Remedy, why: ProviderCause) -> Refused {
        Refused { remedy, why, consent: None, refresh: None }
    }
}

/// How far a consent is (RFC 8628 section 3.5).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Consenting {
    /// The user has not consented yet.
    Pending,
    /// The same, and it is asked too often.
    SlowDown,
    /// The user has refused, or a policy has.
    Denied,
    /// The user was too slow.
    Expired,
}

/// Who can do something about a refusal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Remedy {
    /// Time.
    Later,
    /// The user, by another consent.
    Consent,
    /// The administrator, in these files.
    SetUp(&'static [&'static str]),
    /// One of these two: the provider does not say why.
    NotSaid,
}

/// What the device authorization endpoint says.
pub struct Device {
    /// It stands for this consent at the token endpoint.
    pub code: Secret,
    /// The user enters this.
    pub user_code: String,
    /// The user enters it here.
    pub address: String,
    /// Seconds between two questions.
    pub interval: u64,
    /// How long the user has, in seconds.
    pub life: u64,
}

/// Reads a reply of the token endpoint. `hidden` has what was sent to it.
pub fn tokens(reply: &Reply, hidden: &Hidden) -> Result<Granted, Refused> {
    let refused = |why| Refused::new(Remedy::SetUp(&["token"]), why);
    let mut json = match object(reply) {
        Some(json) if reply.code == 200 => json,
        Some(json) => return Err(refusal(reply.code, &json, hidden)),
        None if reply.code == 200 => return Err(refused(ProviderCause::NoJson { code: 200 })),
        None => return Err(refusal(reply.code, &Map::new(), hidden)),
    };
    let is_bearer =
        json.get("token_type").is_none_or(|kind| kind.as_str().is_some_and(|kind| kind.eq_ignore_ascii_case("bearer")));
    let life = number(&json, "expires_in").unwrap_or(LIFE).min(LONGEST);
    let refresh = take(&mut json, "refresh_token").filter(|token| !token.is_empty());
    let access = match take(&mut json, "access_token").filter(|_| is_bearer) {
        None => Err(ProviderCause::NoBearerToken),
        Some(access) if !is_token(&access) => Err(ProviderCause::BadToken),
        Some(_) if life <= USABLE => Err(ProviderCause::ShortLife { seconds: life }),
        Some(access) => Ok(access),
    };
    match (access, refresh) {
        (access, Some(refresh)) if !is_token(&refresh) => Err(refused(access.err().unwrap_or(ProviderCause::BadToken))),
        (Ok(access), refresh) => Ok(Granted { access, life, refresh }),
        (Err(why), refresh) => Err(Refused { refresh, ..refused(why) }),
    }
}

/// Reads a reply of the device authorization endpoint.
pub fn device(reply: &Reply, hidden: &Hidden) -> Result<Device, Refused> {
    let json = object(reply);
    if reply.code != 200 {
        let refused = refusal(reply.code, &json.unwrap_or_default(), hidden);
        let is_redirect = matches!(refused.why, ProviderCause::Redirect { .. });
        return Err(match refused.consent {
            None | Some(Consenting::SlowDown) if !is_redirect => refused,
            _ => Refused { remedy: Remedy::SetUp(&["device"]), ..refused },
        });
    }
    let refused = |why| Refused::new(Remedy::SetUp(&["device"]), why);
    let mut json = json.ok_or_else(|| refused(ProviderCause::NoJson { code: 200 }))?;
    let shown = |json: &Map<String, Value>, name: &str| {
        let text = json.get(name)?.as_str()?.trim();
        (1..=500).contains(&text.len()).then(|| printable(text.as_bytes(), 500))
    };
    // Google has the older name.
    let address = shown(&json, "verification_uri").or_else(|| shown(&json, "verification_url"));
    let user_code = shown(&json, "user_code");
    let code = take(&mut json, "device_code").filter(|code| is_token(code));
    let (Some(address), Some(user_code), Some(code)) = (address, user_code, code) else {
        return Err(refused(ProviderCause::NoCode));
    };
    let interval = number(&json, "interval").unwrap_or(INTERVAL).clamp(1, LONGEST_INTERVAL);
    let life = number(&json, "expires_in").unwrap_or(900).min(LONGEST_WAIT);
    Ok(Device { code, user_code, address, interval, life })
}

/// The words of a refusal that a browser brought (RFC 6749 section 4.1.2.1).
pub fn of_browser(error: &[u8], description: &[u8]) -> String {
    printable(&[error, b" ", first_line(description)].concat(), WORDS)
}

fn object(reply: &Reply) -> Option<Map<String, Value>> {
    match serde_json::from_slice(&reply.body) {
        Ok(Value::Object(json)) => Some(json),
        _ => None,
    }
}

fn take(json: &mut Map<String, Value>, name: &str) -> Option<Secret> {
    match json.remove(name) {
        Some(Value::String(text)) => Some(Secret::from(text.into_bytes())),
        _ => None,
    }
}

/// A number; some providers write it as a string.
fn number(json: &Map<String, Value>, name: &str) -> Option<u64> {
    match json.get(name)? {
        Value::Number(number) => number.as_u64().or_else(|| number.as_f64().filter(|n| *n >= 0.0).map(|n| n as u64)),
        Value::String(digits) => digits.parse().ok(),
        _ => None,
    }
}

fn refusal(code: u16, json: &Map<String, Value>, hidden: &Hidden) -> Refused {
    let error = json.get("error").and_then(Value::as_str).unwrap_or_default();
    if let 300..400 = code {
        return Refused::new(Remedy::SetUp(&["token"]), ProviderCause::Redirect { code });
    }
    let consent = match error {
        "authorization_pending" => Some(Consenting::Pending),
        "slow_down" => Some(Consenting::SlowDown),
        "access_denied" | "authorization_declined" => Some(Consenting::Denied),
        "expired_token" | "code_expired" => Some(Consenting::Expired),
        _ => None,
    };
    let remedy = match (code, error) {
        _ if consent == Some(Consenting::SlowDown) => Remedy::Later,
        _ if consent.is_some() => Remedy::Consent,
        (408 | 429 | 500..600, _) | (_, "temporarily_unavailable" | "server_error") => Remedy::Later,
        (_, "invalid_grant" | "interaction_required" | "consent_required" | "login_required") => Remedy::Consent,
        (_, "invalid_client") => Remedy::SetUp(&["client", "secret"]),
        (_, "unauthorized_client" | "unsupported_grant_type") => Remedy::SetUp(&["client", "grant"]),
        (_, "invalid_scope") => Remedy::SetUp(&["scope"]),
        // glewlwyd refuses a refresh token that is no good so, without a word.
        _ => Remedy::NotSaid,
    };
    Refused { consent, ..Refused::new(remedy, words(code, json, hidden)) }
}

/// The provider's words: the first line of them, without secrets.
fn words(code: u16, json: &Map<String, Value>, hidden: &Hidden) -> ProviderCause {
    let text = |name: &str| json.get(name).and_then(Value::as_str).unwrap_or_default();
    let said = [text("error"), " ", text("error_description")].concat();
    let end = said.char_indices().nth(MOST).map_or(said.len(), |(end, _)| end);
    let said = hidden.hide(said[..end].trim().as_bytes()); // whole, since a secret may be divided by lines
    let blank = if said.is_empty() { "" } else { " " };
    ProviderCause::Refused { code, words: [blank, &printable(first_line(&said), WORDS)].concat() }
}

fn first_line(text: &[u8]) -> &[u8] {
    text.split(|c| matches!(c, b'\r' | b'\n')).next().unwrap_or_default()
}

/// As printable ASCII, since a terminal must not obey it, and not too long.
pub fn printable(octets: &[u8], most: usize) -> String {
    let shown = |c: char| if matches!(c, ' '..='~') { c } else { '?' };
    String::from_utf8_lossy(octets).chars().map(shown).take(most).collect::<String>().trim_end().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reply(code: u16, body: &str) -> Reply {
        Reply { code, body: Secret::from(body.as_bytes()) }
    }

    fn outcome(code: u16, body: &str) -> String {
        let mut mask = Hidden::default();
        mask.add(b"clientsecret");
        mask.add(b"0.AXkArefreshtoken");
        let text = |secret: &Secret| String::from_utf8(secret.to_vec()).unwrap();
        match tokens(&reply(code, body), &mask) {
            Ok(Granted { access, life, refresh }) => {
                format!("{} {life} {}", text(&access), refresh.map_or("-".to_owned(), |refresh| text(&refresh)))
            }
            Err(Refused { remedy, why, consent, refresh }) => {
                let consent = consent.map_or(String::new(), |consent| format!("{consent:?}, "));
                let refresh = refresh.map_or(String::new(), |refresh| format!(", with {}", text(&refresh)));
                format!("{consent}{remedy:?}: {why}{refresh}")
            }
        }
    }

    #[test]
    fn granted() {
        for (body, expected) in [
            (r#"{"access_token":"a","token_type":"Bearer","expires_in":3599,"refresh_token":"r"}"#, "a 3599 r"),
            (r#"{"access_token":"a","token_type":"bearer","expires_in":"3599"}"#, "a 3599 -"),
            (r#"{"access_token":"a","expires_in":3599.9}"#, "a 3599 -"),
            (r#"{"access_token":"a"}"#, "a 3600 -"),
            (r#"{"access_token":"a","expires_in":-1}"#, "a 3600 -"),
            (r#"{"access_token":"a","expires_in":1e300}"#, "a 31622400 -"),
            (r#"{"access_token":"a","expires_in":61,"refresh_token":""}"#, "a 61 -"),
            (r#"{"access_token":"\u0061"}"#, "a 3600 -"),
        ] {
            assert_eq!(outcome(200, body), expected, "{body}");
        }
        let longest = "t".repeat(8000);
        assert_eq!(outcome(200, &format!("{{\"access_token\":\"{longest}\"}}")), format!("{longest} 3600 -"));
        let short = "SetUp([\"token\"]): its token is good for 60 seconds; it must be good for longer than a minute";
        let bad = "SetUp([\"token\"]): its reply has a token that is too long, or has other than visible ASCII";
        let none = "SetUp([\"token\"]): its reply has no bearer token";
        let no_json = "SetUp([\"token\"]): HTTP 200, and its reply is no JSON object";
        for (body, expected) in [
            (&format!("{{\"access_token\":\"{longest}t\"}}")[..], bad),
            (r#"{"access_token":"a\r\nb"}"#, bad),
            (r#"{"access_token":"a b"}"#, bad),
            (r#"{"access_token":"é"}"#, bad),
            (r#"{"access_token":""}"#, bad),
            (r#"{"access_token":"a","refresh_token":"r\r\n"}"#, bad),
            (r#"{"access_token":"a b","refresh_token":"r"}"#, &format!("{bad}, with r")),
            (r#"{"access_token":"a b","refresh_token":"r\r\n"}"#, bad),
            (r#"{"access_token":"a","expires_in":60}"#, short),
            (r#"{"access_token":"a","expires_in":"60","refresh_token":"r"}"#, &format!("{short}, with r")),
            (r#"{"token_type":"mac","access_token":"a","refresh_token":"r"}"#, &format!("{none}, with r")),
            (r#"{"refresh_token":"r"}"#, &format!("{none}, with r")),
            (r#"{"access_token":"a","token_type":"mac"}"#, none),
            (r#"{"access_token":["a"]}"#, none),
            ("{}", none),
            ("", no_json),
            ("[]", no_json),
            ("<html>", no_json),
            (&format!("{}{}", "[".repeat(30_000), "]".repeat(30_000)), no_json),
            (&format!("{}1{}", "{\"a\":".repeat(5000), "}".repeat(5000)), no_json),
        ] {
            assert_eq!(outcome(200, body), expected, "{}", &body[..body.len().min(80)]);
        }
    }

    #[test]
    fn refused() {
        let error =
            |error: &str| format!(r#"{{"error":"{error}","error_description":"AADSTS1: why.\r\nTrace ID: 1"}}"#);
        for (code, name, expected) in [
            (400, "invalid_grant", "Consent: HTTP 400 invalid_grant AADSTS1: why."),
            (400, "interaction_required", "Consent: HTTP 400 interaction_required AADSTS1: why."),
            (401, "invalid_client", "SetUp([\"client\", \"secret\"]): HTTP 401 invalid_client AADSTS1: why."),
            (400, "unauthorized_client", "SetUp([\"client\", \"grant\"]): HTTP 400 unauthorized_client AADSTS1: why."),
            (400, "invalid_scope", "SetUp([\"scope\"]): HTTP 400 invalid_scope AADSTS1: why."),
            (400, "temporarily_unavailable", "Later: HTTP 400 temporarily_unavailable AADSTS1: why."),
            (503, "invalid_grant", "Later: HTTP 503 invalid_grant AADSTS1: why."),
            (400, "authorization_pending", "Pending, Consent: HTTP 400 authorization_pending AADSTS1: why."),
            (400, "slow_down", "SlowDown, Later: HTTP 400 slow_down AADSTS1: why."),
            (403, "access_denied", "Denied, Consent: HTTP 403 access_denied AADSTS1: why."),
            (400, "authorization_declined", "Denied, Consent: HTTP 400 authorization_declined AADSTS1: why."),
            (400, "expired_token", "Expired, Consent: HTTP 400 expired_token AADSTS1: why."),
        ] {
            assert_eq!(outcome(code, &error(name)), expected);
        }
        for (code, body, expected) in [
            (400, "", "NotSaid: HTTP 400"),
            (429, "slower", "Later: HTTP 429"),
            (500, "<html>", "Later: HTTP 500"),
            (
                302,
                "",
                "SetUp([\"token\"]): HTTP 302, a redirect, which is not followed: the URL must be that of the endpoint itself",
            ),
            (400, r#"{"error":["x"],"error_description":1}"#, "NotSaid: HTTP 400"),
            (
                400,
                r#"{"error":"invalid_grant","error_description":"\u001b[2J0.AXkArefreshtoken, clientsecret"}"#,
                "Consent: HTTP 400 invalid_grant ?[2J<secret>, <secret>",
            ),
        ] {
            assert_eq!(outcome(code, body), expected, "{body}");
        }
    }

    #[test]
    fn devices() {
        let read = |code, body: &str| device(&reply(code, body), &Hidden::default());
        let text = r#"{"device_code":"dc","user_code":"FQQV-MCSM","verification_uri":"https://a/","interval":"7","expires_in":600}"#;
        let Ok(found) = read(200, text) else { panic!() };
        assert_eq!(
            (*found.code == *b"dc", &found.user_code[..], &found.address[..]),
            (true, "FQQV-MCSM", "https://a/")
        );
        assert_eq!((found.interval, found.life), (7, 600));
        let Ok(found) = read(200, r#"{"device_code":"dc","user_code":"F","verification_url":"https://b/"}"#) else {
            panic!()
        };
        assert_eq!((&found.address[..], found.interval, found.life), ("https://b/", 5, 900));
        for (code, body) in [(200, "{}"), (200, ""), (400, r#"{"error":"slow_down"}"#), (404, "")] {
            assert!(read(code, body).is_err(), "{code} {body}");
        }
    }
}
