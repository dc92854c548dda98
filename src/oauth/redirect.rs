//! What a browser brings back from the provider (RFC 6749 section 4.1.2), by itself or pasted; and the proof that who asks for the token
//! is who sent it there (PKCE, RFC 7636).

use super::answer::of_browser;
use super::http::form;
use crate::account::token::is_token;
use crate::control::tokens::{Provider, Url};
use crate::tls::primitives::{random, sha256};
use base64::prelude::{BASE64_URL_SAFE_NO_PAD, Engine};
use qmail_auth::secret::Secret;

/// The secrets of one consent: 256 bits each, as RFC 7636 section 4.1 has it.
pub struct AuthorizationRequest {
    /// It is shown to the token endpoint alone.
    pub code_verifier: Secret,
    /// An answer counts only with this (RFC 6749 section 10.12).
    pub state: Secret,
}

/// What the browser brings.
pub enum Brought {
    /// The code for the token endpoint.
    Code(Secret),
    /// The user or the provider has refused.
    Refused(String),
    /// Nothing of this consent.
    Nothing,
}

impl AuthorizationRequest {
    /// New secrets. None: the system has no random numbers.
    pub fn new() -> Option<AuthorizationRequest> {
        let new = || Some(Secret::from(BASE64_URL_SAFE_NO_PAD.encode(random::<32>()?).into_bytes()));
        Some(AuthorizationRequest { code_verifier: new()?, state: new()? })
    }

    /// The address for the browser.
    pub fn address(&self, provider: &Provider, authorize: &Url, user: &str, redirect: &str) -> String {
        let challenge = BASE64_URL_SAFE_NO_PAD.encode(sha256(&self.code_verifier));
        let scope = provider.scope.iter().map(|scope| ("scope", scope.as_bytes()));
        let fields = [
            ("response_type", &b"code"[..]),
            ("client_id", provider.client.as_bytes()),
            ("redirect_uri", redirect.as_bytes()),
            ("state", &self.state),
            ("code_challenge", challenge.as_bytes()),
            ("code_challenge_method", b"S256"),
            ("login_hint", user.as_bytes()),
        ];
        let fields: Vec<_> = fields.into_iter().chain(scope).collect();
        let sign = if authorize.target.contains('?') { '&' } else { '?' };
        format!("{authorize}{sign}{}", String::from_utf8_lossy(&form(&fields)))
    }

    /// The address that the browser comes back to. Microsoft lets an application have any port only behind this name.
    pub fn redirect(authorize: &Url, port: u16) -> String {
        let is_microsoft = authorize.host == "login.microsoftonline.com";
        format!("http://{}:{port}/", if is_microsoft { "localhost" } else { "127.0.0.1" })
    }

    /// Reads an address, or what is behind its `?`.
    pub fn brought(&self, address: &[u8]) -> Brought {
        let query = address.iter().position(|c| *c == b'?').map_or(address, |at| &address[at + 1..]);
        let query = query.split(|c| *c == b'#').next().unwrap_or_default();
        let fields: Vec<(&[u8], Secret)> = query.split(|c| *c == b'&').filter_map(field).collect();
        let value = |name: &[u8]| {
            let mut found = fields.iter().filter(|(other, _)| *other == name).map(|(_, value)| value);
            found.next().filter(|_| found.next().is_none()) // twice is none
        };
        if value(b"state").is_none_or(|state| **state != *self.state) {
            return Brought::Nothing;
        }
        match (value(b"code"), value(b"error")) {
            (_, Some(error)) => {
                let description = value(b"error_description").map_or(&b""[..], |text| text);
                Brought::Refused(of_browser(error, description))
            }
            (Some(code), None) if is_token(code) => Brought::Code(Secret::from(&code[..])),
            _ => Brought::Nothing,
        }
    }
}

/// The target of a browser's request, once its head is whole: the outer None where it is not. The inner one: it is not a GET.
pub fn target(request: &[u8]) -> Option<Option<&[u8]>> {
    let is_whole = request.windows(4).any(|end| end == b"\r\n\r\n") || request.windows(2).any(|end| end == b"\n\n");
    if !is_whole {
        return None;
    }
    let line = request.split(|c| matches!(c, b'\r' | b'\n')).next().unwrap_or_default();
    let mut words = line.split(|c| *c == b' ');
    Some(words.next().filter(|method| *method == b"GET").and_then(|_| words.next()))
}

/// A page for the browser, with its head.
pub fn page(is_good: bool) -> String {
    let (status, text) = if is_good {
        ("200 OK", "That is all here. qmail-remote-oauth says in its terminal how it went.")
    } else {
        ("404 Not Found", "Nothing is waited for here.")
    };
    let body = format!("<!DOCTYPE html><title>qmail-remote-oauth</title><p>{text}</p>\n");
    format!(
        "HTTP/1.1 {status}\r\nContent-Type: text/html\r\nContent-Length: {}\r\nCache-Control: no-store\r\n\
         Referrer-Policy: no-referrer\r\nConnection: close\r\n\r\n{body}",
        body.len()
    )
}

/// Name and value of a field, the value decoded.
fn field(text: &[u8]) -> Option<(&[u8], Secret)> {
    let (name, value) = text.split_at(text.iter().position(|c| *c == b'=')?);
    let mut decoded = Secret::with_room(value.len());
    let mut rest = &value[1..];
    while let Some((first, behind)) = rest.split_first() {
        rest = behind;
        match first {
            b'+' => decoded.add(b" "),
            b'%' => {
                let digits = behind.get(..2).filter(|digits| digits.iter().all(u8::is_ascii_hexdigit))?;
                decoded.add(&[u8::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok()?]);
                rest = &behind[2..];
            }
            other => decoded.add(&[*other]),
        }
    }
    Some((name, decoded))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn brought(address: &str) -> String {
        let request = AuthorizationRequest { code_verifier: Secret::default(), state: Secret::from(&b"st-at_e"[..]) };
        match request.brought(address.as_bytes()) {
            Brought::Code(code) => format!("code {}", String::from_utf8_lossy(&code)),
            Brought::Refused(words) => format!("refused {words}"),
            Brought::Nothing => "nothing".to_owned(),
        }
    }

    #[test]
    fn answers() {
        for (address, expected) in [
            ("http://127.0.0.1:4/?state=st-at_e&code=0.AX%2Fk%3D", "code 0.AX/k="),
            ("/?code=abc&state=st%2Dat_e&iss=x", "code abc"),
            ("code=abc&state=st-at_e#x", "code abc"),
            ("/?error=access_denied&error_description=no+way%0D%0Anever&state=st-at_e", "refused access_denied no way"),
            ("/?error=x%1b%5b&state=st-at_e", "refused x?["),
            ("/?code=abc", "nothing"),
            ("/?code=abc&state=other", "nothing"),
            ("/?code=abc&state=st-at_e&state=st-at_e", "nothing"),
            ("/?code=a%0Db&state=st-at_e", "nothing"),
            ("/?code=&state=st-at_e", "nothing"),
            ("/?code=%zz&state=st-at_e", "nothing"),
            ("/?state=st-at_e", "nothing"),
            ("/favicon.ico", "nothing"),
            ("", "nothing"),
        ] {
            assert_eq!(brought(address), expected, "{address}");
        }
    }

    #[test]
    fn requests() {
        assert_eq!(target(b"GET /?a HTTP/1.1\r\nHost: x\r\n"), None);
        assert_eq!(target(b"GET /?a HTTP/1.1\r\nHost: x\r\n\r\n"), Some(Some(&b"/?a"[..])));
        assert_eq!(target(b"GET /\n\n"), Some(Some(&b"/"[..])));
        assert_eq!(target(b"POST / HTTP/1.1\r\n\r\n"), Some(None));
        assert_eq!(target(b"\r\n\r\n"), Some(None));
    }

    /// RFC 7636 appendix B.
    #[test]
    fn the_example_of_the_rfc() {
        let digest = sha256(b"dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk");
        assert_eq!(BASE64_URL_SAFE_NO_PAD.encode(digest), "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM");
    }
}
