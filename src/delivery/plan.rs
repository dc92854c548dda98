//! What can be said of a delivery before the first system call on the network: the arguments, the control files.

use crate::control::files::{Control, ControlError};
use crate::control::home::{self, Surroundings};
use crate::control::{Credentials, Route, Settings};
use crate::event::{Event, Log};
use crate::policy::Security;
use crate::report::{Letter, Verdict};
use crate::resolve::resolution::Resolution;
use crate::smtp::address;
use crate::smtp::envelope::{Envelope, Goal, Measured, Relay};
use qmail_auth::client::Client;
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
    /// queue/lock/tcpto. None: a check, which leaves it alone.
    pub tcpto: Option<PathBuf>,
    /// Of this process.
    pub pid: u32,
    /// Why TLS came to nothing at the current address, where this mail may do without.
    pub tls_failure: Option<String>,
    /// Milliseconds.
    pub timeoutconnect: u64,
    /// For how many milliseconds servers may still be silent before a login or MAIL, all together: one timeoutremote, however many
    /// addresses there are.
    pub patience: u64,
    /// The mail and the login, which a session has while it lasts.
    pub talk: Option<(Envelope, Option<Client>)>,
}

/// What is to be delivered.
pub struct Mail<'a> {
    /// Where to.
    pub host: &'a [u8],
    /// The envelope sender.
    pub sender: &'a [u8],
    /// At least one.
    pub recipients: &'a [&'a [u8]],
}

/// The arguments of qmail-remote(8).
pub fn mail<'a>(arguments: &'a [&'a [u8]]) -> Result<Mail<'a>, Verdict> {
    match *arguments {
        [host, sender, ref recipients @ ..] if !recipients.is_empty() => Ok(Mail { host, sender, recipients }),
        _ => Err(Verdict::new(Letter::D, "I (qmail-remote) was invoked improperly. (#5.3.5)")),
    }
}

/// The plan for a mail, and where to look for its addresses; or the verdict that needs none.
pub fn plan(mail: &Mail, goal: Goal, surroundings: &Surroundings, log: &Log) -> Result<(Plan, Resolution), Verdict> {
    let Mail { host, sender, recipients } = *mail;
    let home = home::find(surroundings).ok_or_else(|| {
        Verdict::new(Letter::Z, "Unable to switch to home directory. (#4.3.0) No control directory found.")
    })?;
    log.tell(&Event::Home(&home));
    let tcpto = (goal == Goal::Sent).then(|| home.join("queue/lock/tcpto"));
    let settings = Settings::read(&Control { home, log: log.clone() }, host, sender)
        .map_err(|ControlError(why)| unreadable(&why))?;
    let path = |whose: &str, address: &[u8]| {
        address::path(address)
            .map_err(|error| Verdict::new(Letter::D, format!("The {whose} address {}. (#5.1.3)", error.text())))
    };
    let sender = path("sender", sender)?;
    let recipients = recipients.iter().map(|recipient| path("recipient", recipient)).collect::<Result<_, _>>()?;
    if log.is_on() {
        tell_route(log, settings.route.as_ref());
    }

    let (search, port, target, relay, auth) = match settings.route {
        Some(Route { host, port, source, credentials, security, mechanisms }) => {
            let client = credentials.map(|Credentials { login, source }| Client::new(login, Some(source), mechanisms));
            let (shown, implicit_tls) = (format!("{host}:{port} ({source})"), port == SUBMISSIONS);
            let search = Resolution::for_relay(&host, &source);
            let target = format!("Relay {shown}");
            let relay = Relay { name: host, shown, is_direct: false, security, implicit_tls };
            (search, port, target, relay, client)
        }
        None => {
            let target = format!("mail exchanger of {}", String::from_utf8_lossy(host));
            let (name, shown, security) = (String::new(), target.clone(), Security::default());
            let relay = Relay { name, shown, is_direct: true, security, implicit_tls: false };
            (Resolution::for_domain(host)?, SMTP, target, relay, None)
        }
    };
    let timeout = settings.timeoutremote.saturating_mul(1000);
    let envelope = Envelope {
        helohost: settings.helohost,
        sender,
        recipients,
        relay,
        measured: Measured::No,
        timeout,
        goal,
        log: log.clone(),
    };
    let plan = Plan {
        port,
        target,
        outgoingip: settings.outgoingip,
        tcpto,
        pid: surroundings.pid,
        tls_failure: None,
        timeoutconnect: settings.timeoutconnect.saturating_mul(1000),
        patience: timeout,
        talk: Some((envelope, auth)),
    };
    Ok((plan, search))
}

fn tell_route(log: &Log, route: Option<&Route>) {
    let Some(Route { host, port, source, credentials, security, .. }) = route else {
        return log.tell(&Event::NoRoute);
    };
    log.tell(&Event::Route { host, port: *port, source, security });
    log.tell(&credentials.as_ref().map_or(Event::NoCredentials, |Credentials { login, source }| Event::Credentials {
        user: login.user(),
        kind: login.kind(),
        clear_allowed: login.is_allowed_in_clear(),
        source,
    }));
}

fn unreadable(why: &str) -> Verdict {
    Verdict::new(Letter::Z, format!("Unable to read control files. (#4.3.0) {why}"))
}
