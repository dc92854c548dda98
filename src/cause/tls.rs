//! The texts about TLS and about certificates.

use super::{FileError, User};
use qmail_auth::texts;
use std::error::Error;

texts! {
    /// Nothing may go over this connection.
    #[derive(Debug)]
    pub enum NoTls {
        NotOffered { need: TlsNeed } =>
            "no STARTTLS is offered: stripped on the way, or the wrong port? {need}. (#4.7.4)",
        SwitchedOff { file: String, need: TlsNeed } => "there is no TLS, as {file} says none, and {need}. (#4.7.4)",
        Refused => "STARTTLS is refused; the relay's log says why. (#4.7.4)",
        SpokeInClear => "the server spoke in clear after STARTTLS: somebody on the way may be tampering. (#4.7.5)",
        Failed { why: String } => "TLS failed: {why}. (#4.7.5)",
    }
}

texts! {
    /// What needs TLS.
    #[derive(Debug)]
    pub enum TlsNeed {
        Policy { file: String } => "{file} demands it",
        Certificate => "the client certificate needs it",
        Password { user: User, source: String } =>
            "the password must not go out in clear; to allow it write the user as -{user} in {source}",
        PasswordOnLoopback { user: User, source: String } =>
            "a relay on this machine must be named as localhost or by its address; the password must not go out in clear; to allow it write the user as -{user} in {source}",
    }
}

texts! {
    /// Why there is no TLS, and what to do about it.
    #[derive(Debug, Clone)]
    pub enum TlsCause {
        Certificate { why: CertificateCause } => "its certificate does not verify: {why}",
        NoSuchName { name: String } => "no certificate can be for the name {name}; use another in the route",
        OldVersions =>
            "no common version: the relay knows neither TLS 1.3 nor 1.2; it must be brought up to date",
        NothingInCommon { what: String } => "nothing in common ({what}); the relay must be brought up to date",
        Alert { alert: String } => "the relay ended it (alert {alert}); its log says why",
        NoProof => "the relay does not prove that it has its certificate's key, or the key is too short",
        NotTls { what: String } => "what came is no TLS ({what})",
        WrongPort { why: String } => "{why}; is this the right port? 587 has STARTTLS, 465 TLS at once",
        ClearOnTheWay { why: String } => "{why}; it may have come in clear from somebody on the way",
        NotUnderstood { why: String } => "the relay's TLS cannot be understood ({why})",
        ClosedInHandshake => "the relay closed the connection in the handshake",
        ClosedAfterHandshake => "the relay closed the connection right after the handshake",
        Silent => "nothing was said over it in time",
        Refused { code: u16 } => "STARTTLS is refused ({code})",
        PemFile { file: String, why: PemCause } => "{file}: {why}",
        NoCas { why: String } =>
            "no CAs to verify the relay's certificate with: {why}; install that package",
        NotAPair { certificate: String, key: String, why: String } =>
            "{certificate} and {key} do not go together: {why}",
        Library { why: String } => "{why}",
    }
}

impl Error for TlsCause {}

texts! {
    /// What is wrong with a PEM file.
    #[derive(Debug, Clone)]
    pub enum PemCause {
        NotRegular => "not a regular file",
        System { why: String } => "{why}",
        File { why: FileError } => "{why}",
        NoCertificate => "no certificate in it (in a PEM file it is between lines of -----BEGIN and -----END)",
        BadCertificate => "a certificate in it is no base64, or has no end",
        NoKey =>
            "no key in it (in a PEM file it is between lines of -----BEGIN and -----END), or one that is encrypted",
    }
}

texts! {
    /// What is wrong with a relay's certificate, and what to do about it.
    #[derive(Debug, Clone)]
    pub enum CertificateCause {
        Expired { whose: Whose, date: String } => "{whose} expired at {date}; the relay must renew it",
        NotYetValid { whose: Whose, date: String } =>
            "{whose} is not valid before {date}; check the clock of this machine",
        NoNames => "it has no subjectAltName, so it is for no name (a CN does not count); the relay needs another",
        WrongName { names: Names, name: String } =>
            "it is for {names}, not for {name}; if it is the relay's own, its route must have such a name",
        CaExpired { ca: String, file: String, date: String } =>
            "the CA {ca} of {file} expired at {date}; put its new certificate there",
        CaNotYetValid { ca: String, file: String, date: String } =>
            "the CA {ca} of {file} is not valid before {date}; check the clock of this machine",
        IssuerNoCa { issuer: String, file: String, place: String } =>
            "it is issued by {issuer}, whose certificate in {file} does not say that it is a CA; put one there that does, or write the path of a PEM file with it into {place}, to trust it for this relay alone",
        Unusable { file: String, why: String } => "it stands in {file}, but cannot be used: {why}",
        SelfSigned { place: String } =>
            "it is self-signed; if it is known to be the relay's own, save it as a PEM file and write the path of that into {place}",
        OfCa { place: String } =>
            "it is one for a CA and not for a server; if it is known to be the relay's own, save it as a PEM file and write the path of that into {place}",
        UnknownIssuer { issuer: String, file: String, place: String } =>
            "it is issued by {issuer}, unknown to {file}; if that CA is to be trusted, save its certificate as a PEM file and write the path of that into {place}",
        OtherKey { issuer: String, file: String, place: String } =>
            "it is issued by {issuer}, but not by the one of that name in {file}; if that CA is to be trusted, save its certificate as a PEM file and write the path of that into {place}",
        Library { why: String } => "{why}",
    }
}

texts! {
    /// Which certificate of a chain.
    #[derive(Debug, Clone, Copy)]
    pub enum Whose {
        Leaf => "it",
        Ca => "the certificate of a CA that it depends on",
    }
}

texts! {
    /// The names that a certificate is for.
    #[derive(Debug, Clone)]
    pub enum Names {
        All { names: String } => "{names}",
        First { names: String, more: usize } => "{names} and {more} more",
    }
}

texts! {
    /// What stands in the place of something that a certificate does not say, or of a file that nobody has configured.
    pub enum Placeholder {
        Issuer => "nobody",
        Date => "a date beyond 9999",
        Bundle => "Debian's package ca-certificates",
    }
}
