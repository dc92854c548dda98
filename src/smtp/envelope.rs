//! What is to be delivered, and to which relay: the same on all connections of a delivery.

use super::data::MessageFacts;
use crate::account::Account;
use crate::account::supply::Supply;
use crate::event::Log;
use crate::policy::Security;
use qmail_auth::Login;
use qmail_auth::client::Client;

/// The mail and its login, which move from connection to connection.
pub struct Mail {
    /// The mail.
    pub envelope: Envelope,
    /// The login, if one is configured.
    pub auth: Option<Client>,
    /// What is remembered of that login.
    pub account: Option<Box<Account>>,
    /// Where the token of that login comes from. None: it is by something else.
    pub supply: Option<Box<Supply>>,
}

/// What is the same on all connections of a delivery.
pub struct Envelope {
    /// The name to say in EHLO.
    pub helohost: Vec<u8>,
    /// The sender's path (see [`super::address::path`]).
    pub sender: Vec<u8>,
    /// The recipients' paths; at least one.
    pub recipients: Vec<Vec<u8>>,
    /// The server that it goes to.
    pub relay: Relay,
    /// What is known of the message.
    pub facts: Facts,
    /// Milliseconds, for each reply and for each write.
    pub timeout: u64,
    /// How far to go.
    pub goal: Goal,
    /// Receives the events.
    pub log: Log,
}

/// Where to stop; reaching it is reported as K.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Goal {
    /// The mail is sent.
    Sent,
    /// No mail: the login is done, or none is needed.
    LoggedIn,
    /// No mail and no login: it is known how to log in.
    LoginKnown,
}

/// What is known of the message. It is read once before it is sent (the prescan), if the server wants to know something of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Facts {
    /// There was no prescan yet.
    NotYet,
    /// There is none: the message cannot be read twice.
    Never,
    /// It has been read once.
    Known(MessageFacts),
}

/// The server that the mail goes to.
pub struct Relay {
    /// Its name as its route gives it, which its certificate must be for; or that of a mail exchanger.
    pub name: String,
    /// Where it is configured, for reports: `smtp.example.jp:587 (control/smtproutes line 1)`.
    pub shown: String,
    /// No route names it: it is a mail exchanger of the recipient's domain.
    pub is_direct: bool,
    /// What the control files say of TLS with it.
    pub security: Security,
    /// TLS is there from the first octet (RFC 8314 section 3.3), not by STARTTLS.
    pub implicit_tls: bool,
}

impl Relay {
    /// If TLS fails, the mail goes out over a new connection in clear.
    pub fn falls_back(&self, login: Option<&Login>) -> bool {
        self.security.policy.falls_back(login) && !self.implicit_tls
    }
}
