//! What happens in a delivery, for a program that shows it to somebody: qmail-remote-check.
//!
//! A mail's delivery has no sink, and pays the test of a pointer for each event. So an event is made of what is there
//! anyway, and whatever costs more is left to the sink.
//!
//! No secret enters an event. What is sent in AUTH is named and not given, and the server's words are masked before, or come
//! as a view that masks them ([`View`], [`Choice`]).

use crate::command::Command;
use crate::policy::Security;
use crate::report::Verdict;
use crate::resolve::addresses::Candidate;
use crate::tls::view::View;
use qmail_auth::LoginKind;
use qmail_auth::client::choice::Choice;
use qmail_auth::mechanisms::Mechanism;
use std::net::IpAddr;
use std::path::Path;
use std::rc::Rc;

/// One thing that happened.
pub enum Event<'a> {
    /// qmail's home was found.
    Home(&'a Path),
    /// A file or directory of control was asked for: its name there, and whether it is there.
    File(&'a str, bool),
    /// A control file names a relay.
    Route {
        /// A host name or an IP address.
        host: &'a str,
        /// The port to connect to.
        port: u16,
        /// `control/smtproutes line 1`.
        source: &'a str,
        /// What control says of TLS with it.
        security: &'a Security,
    },
    /// None does, so the mail goes to the domain's mail exchangers.
    NoRoute,
    /// There is a login for the relay.
    Credentials {
        /// The name that it is for. None: the one that the client certificate names.
        user: Option<&'a [u8]>,
        /// What it is.
        kind: LoginKind,
        /// The password may go out in clear.
        clear_allowed: bool,
        /// `control/smtproutes line 1`.
        source: &'a str,
    },
    /// There is none.
    NoCredentials,
    /// These are to be tried, in this order.
    Addresses(&'a [Candidate]),
    /// There is a connection.
    Connected {
        /// Whose address it is: the relay's name, or a mail exchanger's.
        host: &'a str,
        /// To where.
        address: IpAddr,
        /// To where.
        port: u16,
        /// From where, if that is configured.
        source: Option<IpAddr>,
    },
    /// There is none to this address.
    NotConnected(IpAddr, &'a str),
    /// A line was put on its way, without its line end.
    Sent(&'a [u8]),
    /// The same of a line of a login: as much of it as may be shown, and behind that, unless this is `*`, a secret.
    SentSecret(&'a [u8]),
    /// A reply to this came; None: to nothing that was said. Each line has its LF.
    Reply(Option<Command>, &'a [u8]),
    /// This came, and it is no reply.
    NoReply(&'a [u8]),
    /// The TLS handshake is over.
    Tls(View<'a>),
    /// It failed, or TLS did later.
    TlsFailed(View<'a>),
    /// The login begins.
    Mechanisms(Choice<'a>),
    /// It is done, by this mechanism, or by the client certificate alone.
    LoggedIn(Option<&'a Mechanism>),
    /// The connection is lost while the reply to this was waited for; None: to nothing. The second is for how many milliseconds, if nothing
    /// came; else the relay has closed it.
    Lost(Option<Command>, Option<u64>),
    /// There is no more to be had from this connection: this is what comes next, and the verdict if nothing came.
    Next(Next, &'a Verdict),
    /// The delivery is over.
    End(&'a Verdict),
}

/// What comes after a connection that did not do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Next {
    /// Another connection to the same address.
    Connection,
    /// The next address.
    Address,
}

/// Takes events, and makes of them what is to be printed.
pub trait Sink {
    /// Takes one.
    fn event(&self, event: &Event);

    /// What is to be printed of those since the last call. `now` is in milliseconds, monotonic.
    fn output(&self, now: u64) -> Vec<u8>;
}

/// Where events go, if anywhere.
#[derive(Clone, Default)]
pub struct Log(Option<Rc<dyn Sink>>);

impl Log {
    /// They go here.
    pub fn to(sink: Rc<dyn Sink>) -> Log {
        // Or the optimiser finds that there is one kind of sink only, and has it called by name in qmail-remote too.
        Log(Some(std::hint::black_box(sink)))
    }

    /// They go somewhere.
    pub fn is_on(&self) -> bool {
        self.0.is_some()
    }

    /// Tells of one.
    #[inline]
    pub fn tell(&self, event: &Event) {
        if let Some(sink) = &self.0 {
            sink.event(event);
        }
    }

    /// What is to be printed.
    pub fn output(&self, now: u64) -> Vec<u8> {
        self.0.as_ref().map_or_else(Vec::new, |sink| sink.output(now))
    }
}
