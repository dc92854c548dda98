//! The texts about TLS and about certificates.

use super::{FileError, User};
use qmail_auth::texts;
use std::error::Error;
use std::sync::Arc;

texts! {
    /// Nothing may go over this connection.
    #[derive(Debug)]
    pub enum NoTls {
        NotOffered { instead: Instead, need: TlsNeed } =>
            "no STARTTLS is offered: stripped on the way, or the wrong port? {instead}{need}. (#4.7.4)",
        SwitchedOff { file: String, need: TlsNeed } => "there is no TLS, as {file} says none, and {need}. (#4.7.4)",
        Refused => "STARTTLS is refused; the relay's log says why. (#4.7.4)",
        SpokeInClear => "the server spoke in clear after STARTTLS: somebody on the way may be tampering. (#4.7.5)",
        Failed { why: String } => "TLS failed: {why}. (#4.7.5)",
    }
}

texts! {
    /// Where there may be TLS instead.
    #[derive(Debug)]
    pub enum Instead {
        Port465 { host: String } => "try port 465 first (:{host}:465); ",
        Nowhere => "",
    }
}

texts! {
    /// What needs TLS.
    #[derive(Debug)]
    pub enum TlsNeed {
        Policy { file: String } => "{file} demands it",
        Certificate => "the client certificate needs it",
        Password { user: User, source: String } =>
            "the password must not go out in clear; only on a net that nobody else can read, write the user as -{user} in {source}",
        PasswordOnLoopback { user: User, source: String } =>
            "a relay on this machine must be named as localhost or by its address; the password must not go out in clear; only on a net that nobody else can read, write the user as -{user} in {source}",
    }
}

texts! {
    /// Why there is no TLS, and what to do about it.
    #[derive(Debug, Clone)]
    pub enum TlsCause {
        Certificate { why: Arc<CertificateCause> } => "its certificate does not verify: {why}",
        NoSuchName { name: String } => "no certificate can be for the name {name}; use another in the route",
        OldVersions =>
            "no common version: the relay knows neither TLS 1.3 nor 1.2; it must be brought up to date",
        NothingInCommon { name: String } =>
            "nothing in common (TLS library: {name}); the relay must be brought up to date",
        Alert { alert: String } => "the relay ended it (alert {alert}); its log says why",
        NoProof => "the relay does not prove that it has its certificate's key; is it the right relay?",
        KeyOfRelay { what: Flaw } => "its certificate {what}; the relay needs another",
        TooLarge =>
            "the relay sends a message of more than 64 KiB, mostly for certificates; it must send fewer of them, or one with fewer names",
        NotTls { name: String } => "what came is no TLS (TLS library: {name})",
        WrongPort { why: String } => "{why}; is this the right port? 587 has STARTTLS, 465 TLS at once",
        ClearOnTheWay { why: String } => "{why}; it may have come in clear from somebody on the way",
        NotUnderstood { name: String } =>
            "the relay's TLS cannot be understood (TLS library: {name}); the fault is in its software, or on the way to it",
        ClosedInHandshake => "the relay closed the connection in the handshake; its log says why",
        ClosedAfterHandshake => "the relay closed the connection right after the handshake; its log says why",
        Silent => "nothing was said over it in time",
        Refused { code: u16 } => "STARTTLS is refused ({code})",
        PemFile { file: String, why: PemCause } => "{file}: {why}",
        NoCas { why: String } =>
            "no CAs to verify the relay's certificate with: {why}; install that package",
        NotAPair { certificate: String, key: String } =>
            "{certificate} and {key} do not go together: the key is not that of the first certificate",
        Library { name: String } => "this program's own TLS fails (TLS library: {name})",
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
        KeyOfNoUse =>
            "the key in it cannot be used: only RSA of 2048 to 4096 bits, ECDSA on P-256 or P-384, and Ed25519 in PKCS#8 can",
        FirstCertificate { what: Flaw } => "the first certificate in it {what}",
    }
}

texts! {
    /// What is wrong with a relay's certificate, and what to do about it.
    #[derive(Debug)]
    pub enum CertificateCause {
        Expired { whose: Whose, date: String } =>
            "{whose} expired at {date}; ask the relay's owner to renew it: mail that needs it waits until then; or the clock of this machine is wrong",
        NotYetValid { whose: Whose, date: String } =>
            "{whose} is not valid before {date}; check the clock of this machine",
        NoNames { name: String } =>
            "it has no subjectAltName that counts (a CN does not, nor does an IP address as a DNS name); the relay needs one for {name}",
        WrongName { names: Names, name: String, also: Also } =>
            "it is for {names}, not for {name}; if it is the relay's own, its route must have such a name{also}",
        AddressAsName { address: String, others: OtherNames, also: Also } =>
            "it has {address} only as a DNS name, which does not count for an address; the relay needs one with subjectAltName IP:{address}{others}{also}",
        CaExpired { ca: String, file: String, date: String } =>
            "the CA {ca} of {file} expired at {date}; put its new certificate there; or the clock of this machine is wrong",
        CaNotYetValid { ca: String, file: String, date: String } =>
            "the CA {ca} of {file} is not valid before {date}; check the clock of this machine",
        IssuerNoCa { issuer: String, file: String, place: String } =>
            "it is issued by {issuer}, whose certificate in {file} does not say that it is a CA; put one there that does, or write the path of a PEM file with it into {place}, to trust it for this relay alone",
        IssuerSaysNoCa { issuer: String, file: String, pin: Pin } =>
            "it is issued by {issuer}, whose certificate in {file} says that it is not a CA; put one there that is{pin}",
        IssuerHasNames { issuer: String, file: String, pin: Pin } =>
            "it is issued by {issuer}, whose certificate in {file} has names of servers (subjectAltName), so it is trusted for itself alone and not as a CA; put one of the CA there without such names{pin}",
        Unusable { file: String, what: Flaw } =>
            "it stands in {file}, but cannot be used: it {what}; the relay needs another",
        SelfSigned { place: String } =>
            "it is self-signed; if it is known to be the relay's own, save it as a PEM file and write the path of that into {place}",
        OfCa { place: String } =>
            "it is one for a CA and not for a server; if it is known to be the relay's own, save it as a PEM file and write the path of that into {place}",
        UnknownIssuer { issuer: String, file: String, place: String } =>
            "it is issued by {issuer}, unknown to {file}; if that CA is to be trusted, save its certificate as a PEM file and write the path of that into {place}",
        OtherKey { issuer: String, file: String, place: String } =>
            "it is issued by {issuer}, but not by the one of that name in {file}; if that CA is to be trusted, save its certificate as a PEM file and write the path of that into {place}",
        Flawed { whose: Whose, what: Flaw, pin: Pin } => "{whose} {what}; the relay needs another{pin}",
        KeyOfCa { ca: String, length: RsaLength, pin: Pin } =>
            "it depends on the CA {ca}, whose RSA key {length}; the relay needs a certificate of another CA{pin}",
        Chain { what: ChainFlaw, pin: Pin } => "{what}; the relay needs another{pin}",
        Library { name: String } => "it cannot be verified (TLS library: {name})",
    }
}

texts! {
    /// What is wrong with a certificate, whatever its issuer.
    #[derive(Debug, Clone)]
    pub enum Flaw {
        Malformed => "is malformed",
        NotVersion3 => "is not of X.509 version 3",
        CriticalExtension => "has a critical extension that this program does not know",
        NeverValid => "is valid at no time, as its end is before its beginning",
        NotForServers => "is not for servers (extended key usage)",
        RsaKey { length: RsaLength } => "has an RSA key that {length}",
        Signature { algorithm: String } => "is signed with {algorithm}, which this program does not verify",
        SignatureByKey { algorithm: String, key: String } =>
            "is signed with {algorithm} by a key of the kind {key}, which this program does not verify",
    }
}

texts! {
    /// The length of an RSA key with which nothing can be verified.
    #[derive(Debug, Clone, PartialEq, Eq)]
    pub enum RsaLength {
        Short { bits: usize } => "is too short with {bits} bits (2048 are needed)",
        Long { bits: usize } => "is too long with {bits} bits (up to 8192 can be used)",
    }
}

texts! {
    /// What is wrong with the CAs that a relay's certificate depends on.
    #[derive(Debug)]
    pub enum ChainFlaw {
        NotACa => "it depends on a certificate that is not a CA's",
        Names => "a CA that it depends on may not issue certificates for its names (name constraints)",
        Length => "a CA that it depends on may not have so many CAs below it (path length constraint)",
        Depth => "there are too many CAs between it and one that is trusted",
        Effort => "the CAs that it depends on take too long to verify",
    }
}

texts! {
    /// The relay's certificate can be trusted itself, and then verifies.
    #[derive(Debug)]
    pub enum Pin {
        Helps { place: String } =>
            "; or, if the relay's certificate is known to be its own, save that one as a PEM file and write the path of that into {place}",
        DoesNotHelp => "",
    }
}

texts! {
    /// What is wrong beside the name.
    #[derive(Debug)]
    pub enum Also {
        Nothing => "",
        Issuer { why: Box<CertificateCause> } => "; besides, {why}",
    }
}

texts! {
    /// The names of a certificate by which a route can name the relay instead.
    #[derive(Debug)]
    pub enum OtherNames {
        None => "",
        Some { names: Names } => ", or its route one of its names: {names}",
    }
}

texts! {
    /// Which certificate of a chain.
    #[derive(Debug, Clone, Copy)]
    pub enum Whose {
        Leaf => "it",
        Ca => "the certificate of a CA that it depends on",
        LeafOrCa => "it, or the certificate of a CA that it depends on,",
    }
}

texts! {
    /// The names that a certificate is for.
    #[derive(Debug)]
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
        Algorithm => "an algorithm without a name",
        CafileOfThatName => "control/relays/HOST/cafile (HOST: that name)",
    }
}
