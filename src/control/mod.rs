//! qmail's control files, and those that this program adds. Each format has its own file here.

pub mod files;
pub mod home;
pub mod relays;
pub mod routes;
pub mod senders;
pub mod tokens;

use crate::cause::ControlCause;
use crate::policy::Security;
use files::{Control, ControlError};
use qmail_auth::Login;
use qmail_auth::mechanisms::Mechanism;
use senders::Sender;
use std::net::IpAddr;

/// What the control files say about a mail from one sender to one host.
pub struct Settings {
    /// The name for EHLO: control/helohost, else control/me.
    pub helohost: Vec<u8>,
    /// The limit for connecting to one address, in seconds.
    pub timeoutconnect: u64,
    /// The limit for each reply and each write, in seconds.
    pub timeoutremote: u64,
    /// The local address to connect from. None: the system chooses.
    pub outgoingip: Option<IpAddr>,
    /// The relay that takes the mail. None: it goes by MX.
    pub route: Option<Box<Route>>,
}

/// A login, and where it is written.
pub struct Credentials {
    /// The login itself.
    pub login: Login,
    /// Where the login is written, for reports: `control/smtproutes line 1`, or `control/relays/smtp.example.jp`.
    pub source: String,
}

/// A relay, and how to log in to it.
pub struct Route {
    /// A host name or an IP address without brackets.
    pub host: String,
    /// The port to connect to.
    pub port: u16,
    /// The line of the route, for reports: `control/smtproutes line 1`.
    pub source: String,
    /// The login of control/authsenders, else of the route's own line, else of control/relays. None: no login.
    pub credentials: Option<Credentials>,
    /// What control/relays and control/tlscafile say of TLS.
    pub security: Security,
    /// The mechanisms to try, in this order, from control/relays/HOST/mechanisms. None: the order of the table of mechanisms.
    pub mechanisms: Option<Vec<&'static Mechanism>>,
    /// Where the token of the login comes from. None: the login is by something else.
    pub tokens: Option<tokens::Source>,
}

/// Port and host, in the one form for all routes to the same relay.
pub(crate) type Relay = (u16, String);

impl Route {
    pub(crate) fn relay(&self) -> Relay {
        (self.port, self.host.trim_end_matches('.').to_ascii_lowercase())
    }
}

impl Settings {
    /// Reads the settings for a mail from `sender` to `host`. No other control file is opened.
    pub fn read(control: &Control, host: &[u8], sender: &[u8]) -> Result<Settings, ControlError> {
        let route = match senders::find(control, sender)? {
            Some(Sender::Relay(mut route)) => {
                if route.credentials.is_none() {
                    let same_relay = routes::find(control, host)?.filter(|other| other.relay() == route.relay());
                    route.credentials = same_relay.and_then(|other| other.credentials);
                }
                Some(route)
            }
            Some(Sender::Login(login)) => match routes::find(control, host)? {
                Some(mut route) => {
                    route.credentials = Some(login);
                    Some(route)
                }
                None => {
                    return Err(ControlError { place: login.source, why: ControlCause::LoginWithoutRoute });
                }
            },
            None => routes::find(control, host)?,
        };
        Settings::by(control, route)
    }

    /// The settings for a mail by this route. None: it goes by MX.
    pub fn by(control: &Control, mut route: Option<Box<Route>>) -> Result<Settings, ControlError> {
        route.iter_mut().try_for_each(|route| relays::complete(control, route))?;
        Ok(Settings {
            helohost: control.helohost()?,
            timeoutconnect: control.number("timeoutconnect", 60)?,
            timeoutremote: control.number("timeoutremote", 1200)?,
            outgoingip: control.ip("outgoingip")?,
            route,
        })
    }
}
