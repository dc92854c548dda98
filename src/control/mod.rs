//! qmail's control files, and those that this program adds: one file here per format.

pub mod files;
pub mod home;
pub mod relays;
pub mod routes;

use crate::auth::Credentials;
use crate::auth::choose::Mechanism;
use crate::tls::policy::Security;
use files::{Control, ControlError};

/// All that the control files say about a mail to one host.
pub struct Settings {
    /// What to say in EHLO: control/helohost, else control/me.
    pub helohost: Vec<u8>,
    /// Seconds, for each address.
    pub timeoutconnect: u64,
    /// Seconds, for each reply and each write.
    pub timeoutremote: u64,
    /// Where the mail goes. None: no route, so by MX.
    pub route: Option<Route>,
}

/// A relay, and how to log in to it.
pub struct Route {
    /// A host name or an IP address without brackets.
    pub host: String,
    /// The port to connect to.
    pub port: u16,
    /// Which line says so: `control/smtproutes line 1`.
    pub source: String,
    /// From the route's own line, else from control/relays.
    pub credentials: Option<Credentials>,
    /// What control/relays and control/tlscafile say of TLS.
    pub security: Security,
    /// control/relays/HOST/mechanisms: what to try, in this order.
    pub mechanisms: Option<Vec<Mechanism>>,
}

impl Settings {
    /// Reads what a mail to `host` needs. Nothing else is opened.
    pub fn read(control: &Control, host: &[u8]) -> Result<Settings, ControlError> {
        // Others read logins from it, before those of the routes; to send without them would be to ignore them.
        let senders = control.read("authsenders")?.unwrap_or_default();
        if senders.split(|c| *c == b'\n').any(|line| !matches!(line.trim_ascii_end(), [] | [b'#', ..])) {
            return Err(ControlError("control/authsenders: not read by this version; move it away".to_owned()));
        }
        let route = match routes::find(control, host)? {
            None => None,
            Some(route) => Some(relays::complete(control, route)?),
        };
        Ok(Settings {
            helohost: control.helohost()?,
            timeoutconnect: control.number("timeoutconnect", 60)?,
            timeoutremote: control.number("timeoutremote", 1200)?,
            route,
        })
    }
}
