//! A TLS session and the relay's certificate as qmail-remote-check shows them.

use super::{Session, certificate};
use qmail_auth::mask::Mask;

/// A session as it may be shown: the words of the relay's certificate are masked.
#[derive(Clone, Copy)]
pub struct View<'a> {
    session: &'a Session,
    mask: Option<&'a Mask>,
}

/// A relay's certificate in words.
pub struct Certificate {
    /// The names and IP addresses that it is for.
    pub names: Vec<String>,
    /// Who issued it: `CN=...`.
    pub issuer: String,
    /// The last second of its validity, in UTC.
    pub until: String,
}

impl Session {
    /// As it may be shown.
    pub fn view<'a>(&'a self, mask: Option<&'a Mask>) -> View<'a> {
        View { session: self, mask }
    }
}

impl View<'_> {
    /// `TLSv1.3` or `TLSv1.2`.
    pub fn version(&self) -> &'static str {
        self.session.version()
    }

    /// `TLS_AES_128_GCM_SHA256`, once that is agreed on.
    pub fn cipher(&self) -> Option<String> {
        self.session.cipher()
    }

    /// The handshake is not over.
    pub fn is_handshaking(&self) -> bool {
        self.session.is_handshaking()
    }

    /// The relay's certificate, as far as it can be read.
    pub fn certificate(&self) -> Option<Certificate> {
        let (names, issuer, until) = certificate::summary(self.session.certificate()?)?;
        Some(Certificate {
            names: names.iter().map(|name| self.masked(name)).collect(),
            issuer: self.masked(&issuer),
            until,
        })
    }

    /// The CAs that the certificate is verified by, or why it does not verify. None: nothing asks for that.
    pub fn verified(&self) -> Option<Result<String, String>> {
        match (self.session.is_verified(), self.session.certificate_error()) {
            (true, _) => Some(Ok(self.session.trusted())),
            (false, error) => error.map(|why| Err(self.masked(&why.to_string()))),
        }
    }

    fn masked(&self, words: &str) -> String {
        let Some(mask) = self.mask else { return words.to_owned() };
        let masked = match words.strip_suffix("...") {
            Some(begin) => [&mask.apply_cut(begin.as_bytes())[..], b"..."].concat(), // certificate cut a long name here
            None => mask.apply(words.as_bytes()),
        };
        String::from_utf8_lossy(&masked).into()
    }
}
