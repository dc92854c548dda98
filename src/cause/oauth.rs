//! The texts of qmail-remote-oauth: why there is no token, and what to do about it. Deliveries show its first line in their reports.

use qmail_auth::texts;

texts! {
    /// Why there is no token.
    #[derive(Debug)]
    pub enum TokenCause {
        // Nothing was asked.
        NoHome => "no home of qmail: neither /var/qmail nor /var/lib/qmail has a directory control; QMAILHOME can name another",
        NoRelay { host: String } => "{host} cannot be the name of a relay",
        NoOauth { directory: String } => "{directory}/oauth is missing: run qmail-remote-oauth consent",
        ByCommand { directory: String } => "{directory}/oauth/command is there, so tokens come from that program",
        NoAccounts { path: String } => "{path} is missing: run qmail-remote-oauth consent",
        NotOurs { path: String, kind: &'static str, uid: u32 } =>
            "{path} does not count: it must be a {kind} of uid {uid}, no link, and nobody else may write to it; correct that",
        NoTokenIn { file: String } =>
            "{file} does not count: it must be one line with a token; correct that, or run qmail-remote-oauth consent",
        NoConsent { host: String, user: String } =>
            "no token for {user} yet: run qmail-remote-oauth consent {host} {user}",
        Locked => "another process asks for the token, and that takes too long: it is tried again",
        File { file: String, why: String } => "{file}: {why}",
        Control { why: String } => "{why}",

        // The provider was asked.
        Later { endpoint: String, why: String } => "no token now: {endpoint}: {why}: it is tried again",
        ConsentAnew { endpoint: String, why: String, host: String, user: String } =>
            "the token cannot be renewed: {endpoint}: {why}; consent anew: qmail-remote-oauth consent {host} {user}",
        SetUp { endpoint: String, why: String, see: String } => "no token: {endpoint}: {why}; see {see}",
        NotSaid { endpoint: String, why: String, see: String, host: String, user: String } =>
            "no token: {endpoint}: {why}; see {see}, or consent anew: qmail-remote-oauth consent {host} {user}",
        SaidBefore { why: String, at: String, until: String } => "{why} (since {at} UTC; asked again from {until} UTC on)",
    }
}

texts! {
    /// How asking a provider failed.
    #[derive(Debug)]
    pub enum ProviderCause {
        NoAddress { why: String } => "no address: {why}",
        NoConnection { failures: String } => "no connection: {failures}",
        Tls { why: String } => "TLS failed: {why}",
        Silent => "nothing was said in time",
        Http { why: HttpCause } => "{why}",
        Refused { code: u16, words: String } => "HTTP {code}{words}",
        Redirect { code: u16 } => "HTTP {code}, a redirect, which is not followed: the URL must be that of the endpoint itself",
        NoJson { code: u16 } => "HTTP {code}, and its reply is no JSON object",
        NoBearerToken => "its reply has no bearer token",
        BadToken => "its reply has a token that is too long, or has other than visible ASCII",
        ShortLife { seconds: u64 } =>
            "its token is good for {seconds} seconds; it must be good for longer than a minute",
        NoRefreshToken => "its reply has no refresh token, so the login would end with the access token; is offline access missing in the scope, or prompt=consent in the query of the authorize URL?",
        NoCode => "its reply has no code for the user, or no address to enter it at",
    }
}

texts! {
    /// What is wrong with an HTTP reply.
    #[derive(Debug)]
    pub enum HttpCause {
        Closed => "the connection was closed without a reply",
        Cut => "the connection was closed within the reply",
        NotUnderstood => "what came is no HTTP reply",
        TooLong => "the reply is too long, or has no end",
        Compressed => "the reply is compressed, although that was not asked for",
    }
}

texts! {
    /// Why a consent has come to nothing.
    #[derive(Debug)]
    pub enum ConsentCause {
        Root => "files in control are missing: run this as root, which writes them",
        Missing { what: String } => "{what} is not known: give it with the command, or write it into that file",
        Other { file: String } => "{file} has another value than the command; change it there, or leave the option out",
        Password { file: String } => "{file} is there, and a relay has a password or tokens, not both: move it away first",
        NoWay => "neither the device nor the authorize endpoint is known, so nobody can consent",
        NotNow { endpoint: String, why: String } => "no token now: {endpoint}: {why}; run this again",
        Denied => "the consent was refused",
        Expired => "nobody has consented in time; run this again",
        Locked { file: String } => "another process has locked {file} all the time: end that process, and run this again",
        SecretFile { file: String } => "{file} must be a regular file of at most 8 KiB, with the secret in its first line",
        AsRoot { file: String } =>
            "this runs as root, since {file} is missing or root's: tokens are root's, and qmail-remote of another user does not use them",
        NoListener { why: String } => "no port for the browser's answer: {why}",
        OtherUser { file: String, user: String } =>
            "{file} has {user}, so mail logs in as that user unless control/authsenders has the other one",
    }
}

/// All texts, each with its `{fields}`.
pub fn texts() -> Vec<&'static str> {
    [TokenCause::TEXTS, ProviderCause::TEXTS, HttpCause::TEXTS, ConsentCause::TEXTS].concat()
}
