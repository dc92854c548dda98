//! qmail's control files, and those that this program adds: one file here per format.

pub mod files;
pub mod home;
pub mod relays;
pub mod routes;
pub mod senders;

use crate::cause::ControlCause;
use crate::policy::Security;
use files::{Control, ControlError};
use qmail_auth::Login;
use qmail_auth::mechanisms::Mechanism;
use senders::Sender;
use std::net::IpAddr;

/// All that the control files say about a mail to one host.
pub struct Settings {
    /// What to say in EHLO: control/helohost, else control/me.
    pub helohost: Vec<u8>,
    /// Seconds, for each address.
    pub timeoutconnect: u64,
    /// Seconds, for each reply and each write.
    pub timeoutremote: u64,
    /// The address to send from.
    pub outgoingip: Option<IpAddr>,
    /// Where the mail goes. None: no route, so by MX.
    pub route: Option<Route>,
}

/// A login, and where it stands.
pub struct Credentials {
    /// What to log in with.
    pub login: Login,
    /// For reports: `control/smtproutes line 1`, or `control/relays/smtp.example.jp`.
    pub source: String,
}

/// A relay, and how to log in to it.
pub struct Route {
    /// A host name or an IP address without brackets.
    pub host: String,
    /// The port to connect to.
    pub port: u16,
    /// Which line says so: `control/smtproutes line 1`.
    pub source: String,
    /// From control/authsenders, else from the route's own line, else from control/relays.
    pub credentials: Option<Credentials>,
    /// What control/relays and control/tlscafile say of TLS.
    pub security: Security,
    /// control/relays/HOST/mechanisms: what to try, in this order.
    pub mechanisms: Option<Vec<&'static Mechanism>>,
}

impl Route {
    fn is_same_relay(&self, other: &Route) -> bool {
        let bare = |route: &Route| route.host.trim_end_matches('.').to_ascii_lowercase();
        self.port == other.port && bare(self) == bare(other)
    }
}

impl Settings {
    /// Reads what a mail from `sender` to `host` needs. Nothing else is opened.
    pub fn read(control: &Control, host: &[u8], sender: &[u8]) -> Result<Settings, ControlError> {
        let route = match senders::find(control, sender)? {
            Some(Sender::Relay(mut route)) => {
                if route.credentials.is_none() {
                    let same_relay = routes::find(control, host)?.filter(|other| other.is_same_relay(&route));
                    route.credentials = same_relay.and_then(|other| other.credentials);
                }
                Some(*route)
            }
            Some(Sender::Login(login)) => match routes::find(control, host)? {
                Some(route) => Some(Route { credentials: Some(login), ..route }),
                None => {
                    return Err(ControlError { place: login.source, why: ControlCause::LoginWithoutRoute });
                }
            },
            None => routes::find(control, host)?,
        };
        let route = route.map(|route| relays::complete(control, route)).transpose()?;
        Ok(Settings {
            helohost: control.helohost()?,
            timeoutconnect: control.number("timeoutconnect", 60)?,
            timeoutremote: control.number("timeoutremote", 1200)?,
            outgoingip: control.ip("outgoingip")?,
            route,
        })
    }
}
