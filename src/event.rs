//! Events: what happens in a delivery, for a program that shows it: qmail-remote-check.
//!
//! qmail-remote has no sink: each event costs it one null check. So an event refers to what exists anyway, and any further work is
//! left to the sink.
//!
//! No event holds a secret. Lines of AUTH are cut before the secret, and the server's words are masked, or come as a view that
//! masks them ([`View`], [`Choice`]).

use crate::account::Account;
use crate::account::supply::Supply;
use crate::policy::Security;
use crate::report::Verdict;
use crate::resolve::addresses::Candidate;
use crate::smtp_command::Command;
use crate::tls::session_view::View;
use qmail_auth::LoginKind;
use qmail_auth::client::choice::Choice;
use qmail_auth::mechanisms::Mechanism;
use std::net::IpAddr;
use std::path::Path;
use std::rc::Rc;

/// One event.
pub enum Event<'a> {
    /// qmail's home was found.
    Home(&'a Path),
    /// A file or directory of control was looked for: its name, and whether it exists.
    File(&'a str, bool),
    /// A control file names a relay.
    Route {
        /// A host name or an IP address.
        host: &'a str,
        /// The port to connect to.
        port: u16,
        /// `control/smtproutes line 1`.
        source: &'a str,
        /// What the control files say of TLS with it.
        security: &'a Security,
    },
    /// No control file names a relay, so the mail goes to the domain's mail exchangers.
    NoRoute,
    /// A login is configured for the relay.
    Credentials {
        /// The user. None: the one that the client certificate names.
        user: Option<&'a [u8]>,
        /// The kind of login.
        kind: LoginKind,
        /// The password may go out in clear.
        clear_allowed: bool,
        /// `control/smtproutes line 1`.
        source: &'a str,
    },
    /// No login is configured.
    NoCredentials,
    /// What is remembered of that login, and the Unix time.
    Remembered(&'a Account, u64),
    /// The token of that login as it is now, and the Unix time.
    Token(&'a Supply, u64),
    /// The relay says why it refuses the token.
    TokenRefused(&'a str),
    /// The addresses to try, in this order.
    Addresses(&'a [Candidate]),
    /// A connection was made.
    Connected {
        /// The name of the relay or mail exchanger.
        host: &'a str,
        /// Remote address.
        address: IpAddr,
        /// Remote port.
        port: u16,
        /// Local address, if that is configured.
        source: Option<IpAddr>,
    },
    /// No connection to this address, and why.
    NotConnected(IpAddr, &'a str),
    /// A line is sent; without its line end.
    Sent(&'a [u8]),
    /// A line of a login is sent: the part that may be shown. A secret follows it, unless the part is `*`.
    SentSecret(&'a [u8]),
    /// A reply to this command. None: it answers nothing. Each line has its LF.
    Reply(Option<Command>, &'a [u8]),
    /// Octets that are not a reply.
    NoReply(&'a [u8]),
    /// The TLS handshake is done.
    Tls(View<'a>),
    /// The TLS handshake failed, or TLS did later.
    TlsFailed(View<'a>),
    /// The login begins: which mechanisms will be tried.
    Mechanisms(Choice<'a>),
    /// The login is done, by this mechanism. None: by the client certificate alone. And how often the password was hashed for it, if it
    /// was (SCRAM).
    LoggedIn(Option<&'static Mechanism>, Option<u64>),
    /// The connection was lost while the reply to this command was awaited. With milliseconds: nothing came for so long. None: the
    /// relay closed it.
    Lost(Option<Command>, Option<u64>),
    /// This connection did not succeed: what comes next, and the verdict if that fails, too.
    Next(Next, &'a Verdict),
    /// The delivery is over, with this verdict.
    End(&'a Verdict),
}

/// What comes after a connection that did not succeed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Next {
    /// Another connection to the same address.
    Connection,
    /// The same with another token.
    Token,
    /// The next address.
    Address,
}

/// A receiver of events, which makes output of them.
pub trait Sink {
    /// Takes one event.
    fn event(&self, event: &Event);

    /// The output for the events since the last call. `now` is in milliseconds, monotonic.
    fn output(&self, now: u64) -> Vec<u8>;

    /// The delivery is over, and all is well.
    fn is_good(&self) -> bool;
}

/// The sink of a delivery, if it has one.
#[derive(Clone, Default)]
pub struct Log(Option<Rc<dyn Sink>>);

impl Log {
    /// Events go to this sink.
    pub fn to(sink: Rc<dyn Sink>) -> Log {
        // Without black_box the optimiser sees that there is only one kind of sink, and links it into qmail-remote, too.
        Log(Some(std::hint::black_box(sink)))
    }

    /// There is a sink.
    pub fn is_on(&self) -> bool {
        self.0.is_some()
    }

    /// Passes an event to the sink, if there is one.
    #[inline]
    pub fn notify(&self, event: &Event) {
        if let Some(sink) = &self.0 {
            sink.event(event);
        }
    }

    /// The output of the sink; empty without one.
    pub fn output(&self, now: u64) -> Vec<u8> {
        self.0.as_ref().map_or_else(Vec::new, |sink| sink.output(now))
    }

    /// The sink says that all is well; false without one.
    pub fn is_good(&self) -> bool {
        self.0.as_ref().is_some_and(|sink| sink.is_good())
    }
}
