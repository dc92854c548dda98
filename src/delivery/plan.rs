//! What can be said of a delivery before the first system call on the network: the arguments, the control files.

use crate::addresses::search::Search;
use crate::auth::choose::Auth;
use crate::control::files::{Control, ControlError};
use crate::control::home::{self, Surroundings};
use crate::control::{Route, Settings};
use crate::report::{Letter, Verdict};
use crate::smtp::address;
use crate::smtp::envelope::{Envelope, Measured, Relay};
use crate::tls::policy::Security;
use std::net::IpAddr;
use std::path::PathBuf;

const SMTP: u16 = 25;
/// TLS from the first octet (RFC 8314 section 3.3).
const SUBMISSIONS: u16 = 465;

/// What is to be done, but for the addresses.
pub struct Plan {
    /// The port to connect to.
    pub port: u16,
    /// For reports: `Relay smtp.example.jp:587 (control/smtproutes line 1)`.
    pub target: String,
    /// The address to send from.
    pub outgoingip: Option<IpAddr>,
    /// queue/lock/tcpto.
    pub tcpto: PathBuf,
    /// Of this process.
    pub pid: u32,
    /// Why TLS came to nothing at the current address, where this mail may do without.
    pub tls_failure: Option<String>,
    /// Milliseconds.
    pub timeoutconnect: u64,
    /// The mail and the login, which a dialogue has while it lasts.
    pub talk: Option<(Envelope, Option<Auth>)>,
}

/// The plan for the arguments of qmail-remote(8), and where to look for its addresses; or the verdict that needs none.
pub fn plan(arguments: &[&[u8]], surroundings: &Surroundings) -> Result<(Plan, Search), Verdict> {
    let [host, sender, recipients @ ..] = arguments else { return Err(improper()) };
    if recipients.is_empty() {
        return Err(improper());
    }
    let home = home::find(surroundings).ok_or_else(|| {
        Verdict::new(Letter::Z, "Unable to switch to home directory. (#4.3.0) No control directory found.")
    })?;
    let tcpto = home.join("queue/lock/tcpto");
    let settings = Settings::read(&Control { home }, host, sender).map_err(|ControlError(why)| unreadable(&why))?;
    let path = |whose: &str, address: &[u8]| {
        address::path(address)
            .map_err(|error| Verdict::new(Letter::D, format!("The {whose} address {}. (#5.1.3)", error.text())))
    };
    let sender = path("sender", sender)?;
    let recipients = recipients.iter().map(|recipient| path("recipient", recipient)).collect::<Result<_, _>>()?;

    let (search, port, target, relay, auth) = match settings.route {
        Some(Route { host, port, source, credentials, security, mechanisms }) => {
            let (shown, implicit_tls) = (format!("{host}:{port} ({source})"), port == SUBMISSIONS);
            let search = Search::for_relay(&host, &source);
            let target = format!("Relay {shown}");
            let relay = Relay { name: host, shown, is_direct: false, security, implicit_tls };
            (search, port, target, relay, credentials.map(|credentials| Auth::new(credentials, mechanisms)))
        }
        None => {
            let target = format!("mail exchanger of {}", String::from_utf8_lossy(host));
            let (name, shown, security) = (String::new(), target.clone(), Security::default());
            let relay = Relay { name, shown, is_direct: true, security, implicit_tls: false };
            (Search::for_domain(host)?, SMTP, target, relay, None)
        }
    };
    let envelope = Envelope {
        helohost: settings.helohost,
        sender,
        recipients,
        relay,
        measured: Measured::No,
        timeout: settings.timeoutremote.saturating_mul(1000),
    };
    let plan = Plan {
        port,
        target,
        outgoingip: settings.outgoingip,
        tcpto,
        pid: surroundings.pid,
        tls_failure: None,
        timeoutconnect: settings.timeoutconnect.saturating_mul(1000),
        talk: Some((envelope, auth)),
    };
    Ok((plan, search))
}

fn improper() -> Verdict {
    Verdict::new(Letter::D, "I (qmail-remote) was invoked improperly. (#5.3.5)")
}

fn unreadable(why: &str) -> Verdict {
    Verdict::new(Letter::Z, format!("Unable to read control files. (#4.3.0) {why}"))
}
