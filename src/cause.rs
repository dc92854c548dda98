//! Every text that a report can have, in its own place and nowhere else: it is what people search for. README.md and the manual
//! explain each of them, and tests hold both against [`texts()`]. What a text means for the mail is decided in `verdict`.
//!
//! Where stock qmail-remote has a text for it, it is stock's, since programs that analyse logs know that.

pub mod login;
pub mod oauth;
pub mod tls;

use login::{AccountTrouble, Meaning, NoToken, TlsDemand};
use qmail_auth::Login;
use qmail_auth::cause::Attempts;
use qmail_auth::texts;
use std::error::Error;
use std::net::IpAddr;
use tls::NoTls;

// Message reports and recipient reports.

texts! {
    /// What the first line of a report says.
    #[derive(Debug)]
    pub enum Cause {
        // All went well.
        Accepted { peer: IpAddr } => "{peer} accepted message.",
        Checked => "",

        // What qmail-remote was asked to do, and its control files.
        InvokedImproperly => "I (qmail-remote) was invoked improperly. (#5.3.5)",
        NoHome => "Unable to switch to home directory. (#4.3.0) No control directory found.",
        ControlFiles { why: String } => "Unable to read control files. (#4.3.0) {why}",
        Address { whose: &'static str, why: AddressError } => "The {whose} address {why}. (#5.1.3)",

        // Where the mail goes.
        HostUnknown { why: LookupCause } => "Sorry, I couldn't find any host by that name. (#4.1.2) {why}",
        NoSuchHost { host: String } => "Sorry, I couldn't find any host named {host}. (#5.1.2)",
        NoSuchNonAsciiHost { host: String } =>
            "Sorry, I couldn't find any host named {host}. (#5.1.2) A non-ASCII domain has a form in ASCII, xn--..., for mail without a route.",
        NoExchanger => "Sorry, I couldn't find a mail exchanger or IP address. (#5.4.4)",
        NullMx =>
            "Sorry, I couldn't find a mail exchanger or IP address. (#5.4.4) It says by a null MX that it takes no mail (RFC 7505).",
        BestPreferenceIsOurs => "Sorry. Although I'm listed as a best-preference MX or A for that host,",
        NoOwnAddresses { why: String } =>
            "The addresses of this machine cannot be found out: {why}. (#4.3.5) Where a service manager restricts address families (systemd: RestrictAddressFamilies), allow AF_NETLINK.",
        NoAddressFrom { source: IpAddr, target: Target } =>
            "control/outgoingip is {source}, and no address can be reached from it. (#4.4.1) {target}",
        CannotSendFrom { source: IpAddr, why: String } => "control/outgoingip: cannot send from {source}: {why}. (#4.3.5)",
        NoConnection { target: Target, failures: String } =>
            "Sorry, I wasn't able to establish an SMTP connection. (#4.4.1) {target}: {failures}",

        // What the server does.
        ServerRefuses { peer: IpAddr, what: Refusal, notes: String } => "Connected to {peer} but {what}.{notes}",
        Died { peer: IpAddr, duplicate: Duplicate, notes: String } =>
            "Connected to {peer} but connection died. {duplicate}(#4.4.2){notes}",
        Protocol { peer: IpAddr, what: String, duplicate: Duplicate, notes: String } =>
            "Connected to {peer} but {what}. {duplicate}(#4.5.0){notes}",
        NoTls { peer: IpAddr, what: NoTls, relay: String, notes: String } =>
            "Connected to {peer} but {what} Relay {relay}.{notes}",
        NonAscii { peer: IpAddr } =>
            "Connected to {peer} but it takes no non-ASCII addresses (no SMTPUTF8), and the sender's or a recipient's is one. (#5.6.7)",

        // The login, and what the server says of it later.
        LoginFailed { peer: IpAddr, user: User, relay: String, why: String, notes: String } =>
            "Connected to {peer} but login failed as {user} at {relay}: {why}. (#4.7.8){notes}",
        LoginRefusedBefore { relay: String, user: User, at: String, words: String, until: String, file: String } =>
            "Login refused before. (#4.7.8) Relay {relay} as {user} at {at} UTC: {words}. Not tried again until {until}; to try now, touch {file} or run qmail-remote-check DOMAIN SENDER.",
        LoginBusy { relay: String, user: User } =>
            "Login not tried. (#4.7.8) Another delivery has been logging in to {relay} as {user} for more than 60 seconds.",
        NoToken { relay: String, user: User, why: NoToken } =>
            "No token to log in with. (#4.7.8) Relay {relay} as {user}: {why}.",
        LoginWanted { peer: IpAddr, what: LoginCause, notes: String } => "Connected to {peer} but {what}{notes}",

        // The mail.
        SenderRejected { peer: IpAddr, because: Because } => "Connected to {peer} but sender was rejected{because}",
        RecipientRefused { peer: IpAddr, because: Because } => "{peer} does not like recipient{because}",
        AllRecipientsRefused { peer: IpAddr } => "Giving up on {peer}.",
        DataFailed { peer: IpAddr, because: Because } => "{peer} failed on DATA command{because}",
        MessageFailed { peer: IpAddr, because: Because } => "{peer} failed after I sent the message{because}",
        MessageUnreadable { why: String } => "Unable to read message. (#4.3.0) {why}",
        MessageChanged { first: u64, second: u64 } =>
            "Unable to read message. (#4.3.0) It reads differently the second time: {first} octets, then {second}.",
        PartialFinalLine => "SMTP cannot transfer messages with partial final lines. (#5.6.2)",
    }
}

texts! {
    /// What a report says beside its cause: at the end of the first line, or in another one.
    pub enum Note {
        How { tls: &'static str, certificate: &'static str, auth: LoggedIn } => "tls={tls} cert={certificate} auth={auth}",
        NoOtherToken { why: NoToken } => "No other token: {why}.",
        NotInLocals => "it isn't in my control/locals file, so I don't treat it as local. (#5.4.6)",
        OtherAddresses { failures: String } => "Other addresses: {failures}",
        Certificate { why: String } => " The relay's certificate: {why}.",
        TlsBrokeOff { why: String } => " TLS broke off: {why}.",
        TlsFailedBefore { why: String } => " Before that: TLS failed: {why}.",
        LoginBefore { user: User, relay: String, attempts: Attempts } =>
            " Before that: login as {user} at {relay}: {attempts}.",
    }
}

texts! {
    /// Where a mail goes.
    #[derive(Debug, Clone)]
    pub enum Target {
        Relay { relay: String } => "Relay {relay}",
        Domain { domain: String } => "mail exchanger of {domain}",
    }
}

texts! {
    /// The server may have taken the message.
    #[derive(Debug)]
    pub enum Duplicate {
        Impossible => "",
        Possible => "Possible duplicate! ",
    }
}

texts! {
    /// A server does not want us.
    #[derive(Debug, Clone, Copy)]
    pub enum Refusal {
        Greeting => "greeting failed",
        Hello => "my name was rejected",
    }
}

texts! {
    /// What became of one address, in the list of them.
    pub enum AddressFailure {
        Skipped => "skipped: timed out recently (see qmail-tcpto)",
        Refused { what: Refusal, code: u16 } => "{what} ({code})",
        NoStarttls => "no STARTTLS",
        SpokeInClear => "spoke in clear after STARTTLS",
        TlsFailed { why: String } => "TLS failed: {why}",
        NoSmtputf8 => "no SMTPUTF8",
        OutOfStep => "a reply came out of step",
        Silent => "nothing was said in time",
        Died => "connection died",
    }
}

texts! {
    /// Why an address cannot be sent.
    #[derive(Debug, PartialEq, Eq)]
    pub enum AddressError {
        Control => "contains a control character",
        Host => "has a blank or an angle bracket in its host part",
        NotUtf8 => "has non-ASCII octets that are not UTF-8",
    }
}

impl Error for AddressError {}

// The login.

texts! {
    /// Who logs in.
    #[derive(Debug)]
    pub enum User {
        Named { name: String } => "{name}",
        OfCertificate => "the client certificate's user",
    }
}

impl User {
    /// Of a login.
    pub fn of(login: &Login) -> User {
        match login.user() {
            None => User::OfCertificate,
            Some(user) => User::Named { name: String::from_utf8_lossy(user).into_owned() },
        }
    }
}

texts! {
    /// How a login failed that is remembered, in the place of the server's words.
    pub enum EarlierLogin {
        Closed => "the relay closed the connection",
        ClosedBehindPassword => "the relay closed the connection when it had the password",
        ClosedTwice => "the relay closed the connection twice when it had the password",
        Silent => "the relay did not answer",
        NotProven => "the relay could not prove that it knows the password",
    }
}

texts! {
    /// How the server knows us.
    pub enum LoggedIn {
        No => "none",
        ByMechanism { mechanism: &'static str } => "{mechanism}",
        AsUser { mechanism: &'static str, user: String } => "{mechanism} user={user}",
    }
}

texts! {
    /// A refusal is about our login, our account or TLS, not about this mail.
    #[derive(Debug)]
    pub enum LoginCause {
        CertificateNotAsked =>
            "the relay asks for no client certificate, or for none with our kind of key, and there is no password",
        NoneConfigured { relay: String } =>
            "it demands a login and none is configured for {relay}: add user and password. (#4.7.0)",
        NoRoute { target: String } =>
            "it demands a login, and no route leads to {target}: name a relay in control/smtproutes. (#4.7.0)",
        RelayingDenied { relay: String } =>
            "perhaps because there is no login: it offers AUTH, and none is configured for {relay}: add user and password. (#4.7.0)",
        Tls { demand: TlsDemand, relay: String } => "{demand}. (#4.7.4) Relay {relay}.",
        Meant { user: User, relay: String, meaning: Meaning } => "it refuses the login as {user} at {relay}: {meaning}. (#4.7.0)",
        Another { user: User, relay: String } => "it demands another login than that of {user} at {relay}. (#4.7.0)",
        CertificateInDoubt { relay: String } =>
            "perhaps it does not take our client certificate for a login at {relay}. (#4.7.0)",
        Account { user: User, relay: String, trouble: AccountTrouble } => "{user} at {relay} {trouble}. (#4.7.0)",
    }
}

texts! {
    /// What follows a refusal: the full stop and the login behind which it came, where it is about the mail.
    #[derive(Debug)]
    pub enum Because {
        Mail => ".",
        MailAs { user: User, relay: String } => ". Logged in as {user} at {relay}.",
        Sender { user: User, relay: String } =>
            ". {user} at {relay} may send only from the addresses that the relay knows for it: permit this sender there, or give it a login of its own in control/authsenders.",
        Login { what: LoginCause } => ": {what}",
    }
}

// Control files.

texts! {
    /// What is wrong with a control file, or with a line in one.
    #[derive(Debug, PartialEq, Eq)]
    pub enum ControlCause {
        // Any file.
        System { why: String } => "{why}",
        DanglingLink => "a link that leads nowhere",
        File { why: FileError } => "{why}",
        HiddenMark => "the line begins with a byte order mark; remove it",
        HiddenLine => "a CR inside the line: lines must end in LF alone, so convert the file",
        NoIpAddress => "no IP address in the first line",
        BadHostName => "a host name has no blanks or control characters",
        NoHostName => "no host name",

        // A line of smtproutes or authsenders; a login.
        NoRelay => "the relay is no host name or IP address",
        NumberForRelay =>
            "the relay is a number; a line for all mail begins with a colon (:RELAY:PORT), which was perhaps forgotten",
        BracketedName => "brackets are for IP addresses alone; write the relay's name without them",
        NoPort => "the port is no number from 1 to 65535",
        NulInLine => "a NUL in the line",
        CrAtEnd => "a CR at the line's end, which would be part of the password or the name: convert the file to Unix line ends",
        NoUser => "no user before the password",
        NoPassword => "a user without a password (write both or neither)",
        ControlInUser => "a control character in the user (a CR at its end?)",
        NulInPassword => "a NUL in the password",
        NoKey => "neither sender:relay nor sender|user|password can be seen in it",
        LoginWithoutRoute =>
            "a login for the relay of the route, and control/smtproutes has no route for this mail",

        // control/relays.
        OtherNameBeside { name: String } => "not read, since {name} is there; remove it",
        OtherName { name: String } => "not read; rename it to {name}, or remove it",
        IllegalName =>
            "not read; names here have only letters, digits, dots and hyphens: give the relay such a name in its route",
        NotInADirectory => "not read; move it into the directory of its relay",
        NoNameThatIsRead { names: String } => "no file in it has a name that is read; the names are {names}",
        Incomplete => "clientcert and clientkey belong together",
        NoPath => "no path of a PEM file in the first line",
        UnknownWord { words: String } => "not one of {words}",
        NoMechanism { names: String } => "none of {names} in the first line",

        // control/relays/HOST/oauth.
        PasswordAndTokens => "it has both password and oauth, and a login is by one of them: move the other one away",
        NoUserForToken =>
            "missing, and the tokens of oauth are for a user: write it there, or give each sender one in control/authsenders",
        NeededForToken => "missing, and without it no token can be had; qmail-remote-oauth consent writes it",
        NoVisibleWord => "the first line is empty, or has other than visible ASCII",
        NoUrl => "no URL such as https://HOST/PATH in the first line",
        UrlInClear => "a URL of http, which shows secrets to everybody on the way: only https is allowed, or http to a loopback address",
    }
}

impl Error for ControlCause {}

texts! {
    /// A file is not one that can be read.
    #[derive(Debug, Clone, PartialEq, Eq)]
    pub enum FileError {
        Denied { who: String, fix: String } => "Permission denied for {who}: {fix}",
        DeniedBehind { who: String, directory: String } =>
            "Permission denied for {who}, who may not enter {directory}: put the file where this user can read it",
        Fifo => "is a FIFO",
        NotPlainText => "UTF-16, or damaged; write it again as plain text: iconv -f UTF-16 -t UTF-8",
    }
}

impl Error for FileError {}

// The resolver.

texts! {
    /// What is not known of a name, or which addresses of it are not tried.
    #[derive(Debug)]
    pub enum LookupCause {
        OfRelay { host: String, source: String, why: String } => "Relay {host} of {source}: {why}",
        OfMx { domain: String, why: String } => "MX of {domain}: {why}",
        OfHost { why: String } => "{why}",
        NotUnderstood => "the answer about its MX cannot be understood",
        NoAddress => "no address",
        NotLookedUp { limit: usize } => "not looked up behind {limit} other mail exchangers",
        TooMany { limit: usize } => "more than {limit} addresses, and no more are tried",
        OtherFamily => "more of the other family, left out for control/outgoingip",
    }
}

/// All texts, each with its `{fields}`, and those that the login has.
pub fn texts() -> Vec<&'static str> {
    [
        Cause::TEXTS,
        Note::TEXTS,
        Target::TEXTS,
        Duplicate::TEXTS,
        Refusal::TEXTS,
        AddressFailure::TEXTS,
        AddressError::TEXTS,
        User::TEXTS,
        EarlierLogin::TEXTS,
        LoggedIn::TEXTS,
        LoginCause::TEXTS,
        Because::TEXTS,
        login::TlsDemand::TEXTS,
        login::WhyInClear::TEXTS,
        login::NoToken::TEXTS,
        login::Advice::TEXTS,
        login::AccountTrouble::TEXTS,
        login::Meaning::TEXTS,
        tls::NoTls::TEXTS,
        tls::Instead::TEXTS,
        tls::TlsNeed::TEXTS,
        tls::TlsCause::TEXTS,
        tls::PemCause::TEXTS,
        tls::CertificateCause::TEXTS,
        tls::Flaw::TEXTS,
        tls::RsaLength::TEXTS,
        tls::ChainFlaw::TEXTS,
        tls::Pin::TEXTS,
        tls::Also::TEXTS,
        tls::OtherNames::TEXTS,
        tls::Whose::TEXTS,
        tls::Names::TEXTS,
        tls::Placeholder::TEXTS,
        ControlCause::TEXTS,
        FileError::TEXTS,
        LookupCause::TEXTS,
    ]
    .into_iter()
    .flatten()
    .copied()
    .chain(qmail_auth::cause::texts())
    .collect()
}

#[cfg(test)]
mod tests {
    #[test]
    fn all_are_listed() {
        let list = include_str!("cause.rs");
        let sources = [list, include_str!("cause/login.rs"), include_str!("cause/tls.rs")].concat();
        let names: Vec<&str> =
            sources.split("\n    pub enum ").skip(1).filter_map(|behind| behind.split(' ').next()).collect();
        assert!(names.len() > 20, "{names:?}");
        for name in names {
            assert!(list.contains(&format!("{name}::TEXTS,\n")), "{name} is not in texts()");
        }
    }
}
