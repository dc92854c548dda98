//! A TLS session and the relay's certificate as qmail-remote-check shows them.

use super::{Session, certificate};
use qmail_auth::mask::Mask;

/// A read-only view of a session that is safe to show: secrets in the relay's certificate are masked.
#[derive(Clone, Copy)]
pub struct View<'a> {
    session: &'a Session,
    mask: Option<&'a Mask>,
}

/// What a relay's certificate says, masked.
pub struct Certificate {
    /// The names and IP addresses that it is for.
    pub names: Vec<String>,
    /// The issuer: `CN=...`.
    pub issuer: String,
    /// The last second of its validity, in UTC.
    pub until: String,
}

impl Session {
    /// A view of this session.
    pub fn view<'a>(&'a self, mask: Option<&'a Mask>) -> View<'a> {
        View { session: self, mask }
    }
}

impl View<'_> {
    /// `TLSv1.3` or `TLSv1.2`.
    pub fn version(&self) -> &'static str {
        self.session.version()
    }

    /// The cipher suite, `TLS_AES_128_GCM_SHA256`. None before it is agreed on.
    pub fn cipher(&self) -> Option<String> {
        self.session.cipher()
    }

    /// Whether the handshake is still going on.
    pub fn is_handshaking(&self) -> bool {
        self.session.is_handshaking()
    }

    /// The relay's certificate. None: there is none yet, or it cannot be parsed.
    pub fn certificate(&self) -> Option<Certificate> {
        let (names, issuer, until) = certificate::summary(self.session.certificate()?)?;
        Some(Certificate {
            names: names.iter().map(|name| self.masked(name)).collect(),
            issuer: self.masked(&issuer),
            until,
        })
    }

    /// The file with the CAs that the certificate was verified with, or why it does not verify. None: it was not verified.
    pub fn verified(&self) -> Option<Result<String, String>> {
        match (self.session.is_verified(), self.session.certificate_error()) {
            (true, _) => Some(Ok(self.session.trusted())),
            (false, error) => error.map(|why| Err(self.masked(&why.to_string()))),
        }
    }

    fn masked(&self, words: &str) -> String {
        let Some(mask) = self.mask else { return words.to_owned() };
        let masked = match words.strip_suffix("...") {
            Some(begin) => [&mask.apply_cut(begin.as_bytes())[..], b"..."].concat(), // `certificate` cut a long name
            None => mask.apply(words.as_bytes()),
        };
        String::from_utf8_lossy(&masked).into()
    }
}
