//! The words of the session's reports: stock qmail-remote's where it has some, since people's log analysers know them.

use super::account;
use super::envelope::Relay;
use crate::policy::{Security, TlsPolicy};
use crate::report::{Letter, RecipientReport, Verdict};
use crate::tls::Session;
use qmail_auth::LoginKind;
use qmail_auth::client::Client;
use qmail_auth::reply::{Reply, ReplyError};
use std::net::IpAddr;

/// What the words speak of.
pub struct Words<'a> {
    /// The address of the server.
    pub peer: IpAddr,
    /// The relay.
    pub relay: &'a Relay,
    /// The login, if one is configured.
    pub auth: Option<&'a Client>,
    /// TLS, where it was begun.
    pub tls: Option<&'a Session>,
    /// Why it came to nothing on the connection before.
    pub tls_failure: Option<&'a str>,
    /// Why it broke off.
    pub tls_broke: Option<&'a str>,
    /// The server may have taken the message.
    pub dot_is_sent: bool,
}

impl Words<'_> {
    /// A line of ours, and the server's words below it.
    pub fn said(&self, letter: Letter, line: &str, reply: &Reply) -> Verdict {
        Verdict::with_reply(letter, line, &reply.text, self.auth.map(Client::mask))
    }

    /// The server has taken the message. The last line says how it was brought there, for whoever reads logs.
    pub fn accepted(&self, reply: &Reply) -> Verdict {
        let tls = self.tls.map_or("none", Session::version);
        let certificate = if self.tls.is_some_and(Session::is_verified) { "verified" } else { "unverified" };
        let auth = match self.auth.and_then(|auth| Some((auth.accepted()?.name(), auth.login().user()))) {
            None => "none".to_owned(),
            Some((mechanism, None)) => mechanism.to_owned(),
            Some((mechanism, Some(user))) => format!("{mechanism} user={}", String::from_utf8_lossy(user)),
        };
        let how = format!("tls={tls} cert={certificate} auth={auth}");
        self.said(Letter::K, &format!("{} accepted message.", self.peer), reply).and_line(how)
    }

    /// A 4xx or 5xx to MAIL or DATA, when the server knows nothing of the message yet.
    pub fn command_refused(&self, reply: &Reply, what: &str) -> Verdict {
        match self.is_login_in_doubt(reply) {
            true => self.login_refusal(reply),
            false => self.refusal(reply, what),
        }
    }

    /// A 4xx or 5xx about this mail.
    pub fn refusal(&self, reply: &Reply, what: &str) -> Verdict {
        let peer = self.peer;
        if demands_login(reply) {
            return self.login_refusal(reply);
        }
        let connected = if what.starts_with("but ") { "Connected to " } else { "" };
        let (letter, why) = match self.account_trouble(reply) {
            Some(trouble) => (Letter::Z, trouble),
            None => (if reply.class() == 5 { Letter::D } else { Letter::Z }, ".".to_owned()),
        };
        self.said(letter, &format!("{connected}{peer} {what}{why}"), reply)
    }

    /// The report of a recipient with this reply.
    pub fn recipient_report(&self, reply: &Reply) -> RecipientReport {
        if reply.class() == 2 {
            return RecipientReport::accepted();
        }
        let ours = match demands_login(reply) || self.is_login_in_doubt(reply) {
            true => Some(format!(": {}", self.login_demanded(reply))),
            false => self.account_trouble(reply),
        };
        let for_good = reply.class() == 5 && ours.is_none();
        let line = format!("{} does not like recipient{}", self.peer, ours.as_deref().unwrap_or("."));
        RecipientReport::refused(for_good, line, &reply.text, self.auth.map(Client::mask))
    }

    /// What a refusal has to say of the account that we have logged in to; None where it is about the mail, or there is none.
    fn account_trouble(&self, reply: &Reply) -> Option<String> {
        let user = user(self.auth?);
        account::trouble(reply).map(|hint| format!(": {user} at {} {hint}. (#4.7.0)", self.relay.shown))
    }

    /// An address has characters beyond ASCII and the server cannot take it. `hello` says whether it said all that it can do.
    pub fn address_beyond_ascii(&self, hello: bool) -> Verdict {
        let line = format!(
            "Connected to {} but it takes no addresses beyond ASCII (no SMTPUTF8), and the sender's or a recipient's is one. (#5.6.7)",
            self.peer
        );
        Verdict::new(if hello { Letter::D } else { Letter::Z }, line)
    }

    /// The client certificate was shown and nothing says that the relay takes it for a login. So a refusal before the
    /// message counts as one of it, unless its status is about something else (RFC 3463 section 2: 5.7 is policy, 5.5
    /// protocol, 5.0 anything).
    fn is_login_in_doubt(&self, reply: &Reply) -> bool {
        let in_doubt =
            self.auth.is_some_and(|auth| auth.login().kind() == LoginKind::Certificate && auth.accepted().is_none());
        let about_another_thing = ["5.1.", "5.2.", "5.3.", "5.4.", "5.6."].iter().any(|s| reply.has_status(s));
        in_doubt && reply.class() == 5 && !about_another_thing
    }

    fn login_refusal(&self, reply: &Reply) -> Verdict {
        let line = format!("Connected to {} but {}{}", self.peer, self.login_demanded(reply), self.story());
        self.said(Letter::Z, &line, reply)
    }

    fn login_demanded(&self, reply: &Reply) -> String {
        let relay = &self.relay.shown;
        match self.auth {
            Some(_) if !demands_login(reply) => {
                format!("perhaps it does not take our client certificate for a login at {relay}. (#4.7.0)")
            }
            None if self.relay.is_direct => {
                format!(
                    "it demands a login, and no route leads to {relay}: name a relay in control/smtproutes. (#4.7.0)"
                )
            }
            None => format!("it demands a login and none is configured for {relay}: add user and password. (#4.7.0)"),
            Some(auth) => format!("it demands another login than that of {} at {relay}. (#4.7.0)", user(auth)),
        }
    }

    /// STARTTLS is not there, and nothing may go out without it.
    pub fn starttls_missing(&self) -> Verdict {
        let Security { policy, directory, .. } = &self.relay.security;
        let file = format!("{}/tls", directory.as_deref().unwrap_or_default());
        let why = match self.auth {
            _ if policy.demands_tls() => format!("{file} demands it"),
            Some(auth) if auth.login().kind() == LoginKind::Certificate => "the client certificate needs it".to_owned(),
            auth => {
                let source = auth.and_then(Client::source).unwrap_or_default();
                let user = auth.map(user).unwrap_or_default();
                let tunnel = match self.peer.to_canonical().is_loopback() {
                    true => "a relay on this machine must be named as localhost or by its address; ",
                    false => "",
                };
                format!(
                    "{tunnel}the password must not go out in clear; to allow it write the user as -{user} in {source}"
                )
            }
        };
        let line = match policy {
            TlsPolicy::None => format!("there is no TLS, as {file} says none, and {why}"),
            _ => format!("no STARTTLS is offered: stripped on the way, or the wrong port? {why}"),
        };
        self.tls_verdict(&line, "#4.7.4", None)
    }

    /// STARTTLS is offered and refused.
    pub fn starttls_refused(&self, reply: &Reply) -> Verdict {
        self.tls_verdict("STARTTLS is refused; the relay's log says why", "#4.7.4", Some(reply))
    }

    /// Octets came behind the reply to STARTTLS that were not encrypted: somebody on the way wants them taken for the relay's.
    pub fn clear_behind_starttls(&self) -> Verdict {
        let line = "the server spoke in clear after STARTTLS: somebody on the way may be tampering";
        self.tls_verdict(line, "#4.7.5", None)
    }

    /// TLS did not come about.
    pub fn tls_failed(&self, why: &str) -> Verdict {
        let why = self.masked(why); // a certificate has words of the relay's
        self.tls_verdict(&format!("TLS failed: {why}"), "#4.7.5", None)
    }

    fn tls_verdict(&self, what: &str, status: &str, reply: Option<&Reply>) -> Verdict {
        let line =
            format!("Connected to {} but {what}. ({status}) Relay {}.{}", self.peer, self.relay.shown, self.story());
        self.with_text(line, reply.map(|reply| &reply.text[..]))
    }

    /// The line without what the relay repeats of the login.
    pub fn masked(&self, line: &str) -> String {
        let masked = self.auth.map(|auth| auth.mask().apply(line.as_bytes()));
        masked.map_or_else(|| line.to_owned(), |masked| String::from_utf8_lossy(&masked).into_owned())
    }

    /// There is no login, so no MAIL is sent.
    pub fn login_failed(&self, why: &str, reply: Option<&Reply>) -> Verdict {
        let user = self.auth.map(user).unwrap_or_default();
        let login = format!("login failed as {user} at {}", self.relay.shown);
        let complaint =
            self.tls.and_then(Session::certificate_error).map(|why| format!(" The relay's certificate: {why}."));
        let tls = self.masked(&(complaint.unwrap_or_default() + &self.tls_end() + &self.tls_story()));
        let line = format!("Connected to {} but {login}: {why}. (#4.7.8){tls}", self.peer);
        self.with_text(line, reply.map(|reply| &reply.text[..]).or_else(|| Some(self.auth?.refusal())))
    }

    fn with_text(&self, line: String, text: Option<&[u8]>) -> Verdict {
        match text.filter(|text| !text.is_empty()) {
            None => Verdict::new(Letter::Z, line),
            Some(text) => Verdict::with_reply(Letter::Z, line, text, self.auth.map(Client::mask)),
        }
    }

    /// The server does not want us at all.
    pub fn refused(&self, what: &str, reply: &Reply) -> Verdict {
        self.said(Letter::Z, &format!("Connected to {} but {what}.{}", self.peer, self.story()), reply)
    }

    /// The connection is lost, or the server fell silent.
    pub fn died(&self) -> Verdict {
        let line = format!("Connected to {} but connection died. {}(#4.4.2)", self.peer, self.duplicate());
        let story = self.story();
        let refusal = self.auth.map(Client::refusal).filter(|_| !story.is_empty());
        self.with_text(line + &self.tls_end() + &story, refusal)
    }

    fn tls_end(&self) -> String {
        self.tls_broke.map_or_else(String::new, |why| format!(" TLS broke off: {why}."))
    }

    /// A reply to nothing that was asked, or of a kind that has no place there.
    pub fn out_of_step(&self, reply: &Reply) -> Verdict {
        self.said(Letter::Z, &self.protocol_error("a reply came out of step"), reply)
    }

    /// Octets that are no reply.
    pub fn no_reply(&self, error: &ReplyError) -> Verdict {
        Verdict::new(Letter::Z, self.protocol_error(&error.to_string()))
    }

    fn protocol_error(&self, what: &str) -> String {
        format!("Connected to {} but {what}. {}(#4.5.0){}", self.peer, self.duplicate(), self.story())
    }

    /// TLS or a login that was tried in vain before is perhaps why.
    fn story(&self) -> String {
        let story = self.auth.and_then(|auth| Some((user(auth), auth.story()?)));
        let login =
            story.map(|(user, story)| format!(" Before that: login as {user} at {}: {story}.", self.relay.shown));
        self.masked(&self.tls_story()) + &login.unwrap_or_default()
    }

    fn tls_story(&self) -> String {
        self.tls_failure.map_or_else(String::new, |why| format!(" Before that: TLS failed: {why}."))
    }

    fn duplicate(&self) -> &'static str {
        if self.dot_is_sent { "Possible duplicate! " } else { "" }
    }
}

/// Whom the login is for.
fn user(auth: &Client) -> String {
    match auth.login().user() {
        None => "whom the client certificate names".to_owned(),
        Some(user) => String::from_utf8_lossy(user).into_owned(),
    }
}

/// A refusal that is about our login, not about this mail: a typing error there must not bounce the queue.
fn demands_login(reply: &Reply) -> bool {
    let basic_authentication_is_off = reply.has_status("5.7.30");
    matches!(reply.code, 530 | 534 | 535 | 538) || reply.code == 550 && basic_authentication_is_off
}
