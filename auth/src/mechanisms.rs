//! The mechanisms (RFC 4422) and the order to try them in.

pub mod cram_md5;
pub mod plain;

/// A mechanism that this library can use.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mechanism {
    /// RFC 2195.
    CramMd5,
    /// RFC 4616.
    Plain,
    /// draft-murchison-sasl-login.
    Login,
    /// RFC 4422 appendix A: the client certificate of the TLS connection.
    External,
}

impl Mechanism {
    /// In the order to try them without TLS: what does not show the password comes first.
    pub const IN_CLEAR: [Mechanism; 3] = [Mechanism::CramMd5, Mechanism::Plain, Mechanism::Login];
    /// All of them, in the order to try them over TLS: servers that offer CRAM-MD5 and cannot do it are many.
    pub const OVER_TLS: [Mechanism; 4] = [Mechanism::Plain, Mechanism::Login, Mechanism::CramMd5, Mechanism::External];

    /// The registered name.
    pub fn name(self) -> &'static str {
        match self {
            Mechanism::CramMd5 => "CRAM-MD5",
            Mechanism::Plain => "PLAIN",
            Mechanism::Login => "LOGIN",
            Mechanism::External => "EXTERNAL",
        }
    }

    /// The mechanism of a name, in upper or lower case.
    pub fn from_name(name: &str) -> Option<Mechanism> {
        Self::OVER_TLS.into_iter().find(|mechanism| mechanism.name().eq_ignore_ascii_case(name))
    }

    /// Whoever reads the connection, or is at its other end, learns the password.
    pub fn shows_password(self) -> bool {
        [Mechanism::Plain, Mechanism::Login].contains(&self)
    }
}
