//! The texts about what a relay demands of a login, and what its refusal means at that provider.

use super::User;
use qmail_auth::texts;

texts! {
    /// Who demands TLS, or may, on a connection in clear.
    #[derive(Debug)]
    pub enum TlsDemand {
        OfAuth { why: WhyInClear } => "the relay offers no AUTH here, perhaps only over TLS, and {why}",
        OfRelay { why: WhyInClear } => "it demands TLS, and {why}",
        OfPassword { why: WhyInClear, user: User, source: String } =>
            "the password must not go out in clear, and {why}; only on a net that nobody else can read, write the user as -{user} in {source}",
    }
}

texts! {
    /// Why a connection is in clear, and what to do about it.
    #[derive(Debug)]
    pub enum WhyInClear {
        SwitchedOff { file: String } => "{file} says none: remove that file, or write may",
        NotOffered { host: String } =>
            "no STARTTLS is offered (stripped on the way?): first try port 465, where TLS begins at once (:{host}:465)",
        NotOfferedByExchanger => "no STARTTLS is offered (stripped on the way?)",
        Failed { why: String } => "TLS failed: {why}",
        IsNot => "this connection has it: the relay's owner must look into that",
    }
}

texts! {
    /// Why there is no access token to log in with, or no other one.
    #[derive(Debug)]
    pub enum NoToken {
        Said { words: String, advice: Advice } => "{words}{advice}",
        NotRun { program: String, why: String, advice: Advice } => "{program} cannot be run: {why}{advice}",
        Silent { program: String } => "{program} was not done within 60 seconds; it is tried again",
        Failed { program: String, how: String, advice: Advice } => "{program} failed with {how}{advice}",
        Malformed { program: String } =>
            "what {program} printed is no token: line 1 must be the token, visible ASCII of at most 8000 characters, and line 2 its end as Unix time, or nothing",
        Over { program: String } => "the token that {program} printed is at its end",
        Same => "the same one came again",
    }
}

texts! {
    /// What to do for a token.
    #[derive(Debug)]
    pub enum Advice {
        None => "",
        Consent { host: String, user: String } => "; if that stays: qmail-remote-oauth consent {host} {user}",
        Command { file: String } => "; see {file}",
    }
}

texts! {
    /// What the account at the relay has done, or cannot do.
    #[derive(Debug, Clone, Copy, PartialEq, Eq)]
    pub enum AccountTrouble {
        Limit => "has sent as much as the relay lets it for now; if that happens often, ask for a higher limit",
        Sender =>
            "may not send as this sender; permit it at the relay, or give this sender a login of its own in control/authsenders",
        Mailbox =>
            "may not open the mailbox; in Microsoft 365 the application needs FullAccess to it: Add-MailboxPermission",
    }
}

texts! {
    /// What a refusal of the login means at the provider that sends it, and what to do.
    #[derive(Debug, Clone, Copy, PartialEq, Eq)]
    pub enum Meaning {
        SmtpAuthDisabled =>
            "Microsoft 365 has SMTP AUTH disabled for this mailbox or the whole organization; its administrator can permit it by Set-CASMailbox -Identity MAILBOX -SmtpClientAuthenticationDisabled $false",
        SecurityDefaults =>
            "the organization's security defaults in Microsoft Entra forbid a login by password; its administrator can replace them by policies that permit this one",
        Policy =>
            "a policy of the organization forbids this login, such as Conditional Access or multi-factor authentication; its administrator finds it in the sign-in log of Microsoft Entra",
        OauthAlone =>
            "the provider takes no password for this account any more; log in by OAuth: man qmail-remote-oauth",
        ExchangeRefuses =>
            "Exchange says so, too, where SMTP AUTH is disabled for the mailbox, or where it wants more than a password: ask its administrator",
        GoogleAppPassword =>
            "Google wants an app password and not that of the account: make one at https://myaccount.google.com/apppasswords and write that as the password, without blanks",
        GoogleSuspects =>
            "Google suspects this login: log in once in a browser as this user, confirm it there, and use an app password",
        YahooAppPassword =>
            "Yahoo wants an app password and not that of the account, and after wrong ones it refuses all for a while: make one in the settings of the account",
        AppPassword =>
            "the provider wants an app password and not that of the account: make one in the settings of the account",
        AuthorizationCode =>
            "the provider wants SMTP switched on in the settings of the mailbox, and the authorization code from there in the place of the password",
        SmtpCredentials =>
            "Amazon SES wants its SMTP credentials, which are not the access key; GMX and WEB.DE want POP3 and IMAP switched on in the settings of the mailbox",
        ApiKey => "SendGrid wants the word apikey as the user, and as the password an API key that may send mail",
        TooManyLogins =>
            "too many logins of this account for now, and each mail is one; if that stays, send less or by a relay that permits more",
        SentTooMuch =>
            "the account has sent as much as the provider lets it for now; if that happens often, ask for a higher limit",
    }
}
