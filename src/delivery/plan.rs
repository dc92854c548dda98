//! What is known of a delivery before anything is sent: the arguments and the control files. By that each session begins.

use crate::account::supply::Supply;
use crate::account::{Account, directory};
use crate::cause::{Cause, Target};
use crate::control::files::{Control, Seen};
use crate::control::home::{self, Surroundings};
use crate::control::{Credentials, Route, Settings, tokens};
use crate::event::{Event, Log};
use crate::policy::Security;
use crate::report::Verdict;
use crate::resolve::addresses::Addresses;
use crate::resolve::resolution::Resolution;
use crate::smtp::address;
use crate::smtp::envelope::{Envelope, Facts, Goal, Mail, Relay};
use crate::smtp::session::Session;
use qmail_auth::client::Client;
use qmail_auth::{Login, TokenLogin};
use std::net::IpAddr;
use std::path::{Path, PathBuf};

const SMTP: u16 = 25;
/// TLS from the first octet (RFC 8314 section 3.3).
pub(crate) const SUBMISSIONS: u16 = 465;

/// What is the same for all connections of a delivery.
pub struct Plan {
    /// The port to connect to.
    pub port: u16,
    /// For reports.
    pub target: Target,
    /// The address to send from.
    pub outgoingip: Option<IpAddr>,
    /// queue/lock/tcpto. None: a check, which does not use it.
    pub tcpto: Option<PathBuf>,
    /// Process id; staggers the retries of addresses in tcpto.
    pub pid: u32,
    /// Milliseconds that a connection may take.
    pub timeoutconnect: u64,
    /// How many milliseconds servers may still be silent before AUTH or MAIL. All addresses share one timeoutremote.
    pub patience: u64,
}

impl Plan {
    /// The session over a connection to the current address.
    pub(super) fn session(
        &self,
        addresses: &Addresses,
        tls_failure: &Option<String>,
        mut mail: Mail,
        now: u64,
        unix: u64,
    ) -> Session {
        let candidate = addresses.current().expect("the address of the connection");
        let (host, ip) = (&candidate.host[..], candidate.address.ip);
        let relay = &mut mail.envelope.relay;
        if relay.is_direct {
            relay.name = host.to_owned();
            relay.shown = format!("{host} ({})", self.target);
        }
        // A silent server must leave time for the others.
        let patience = if addresses.has_more() { self.patience / 4 * 3 } else { self.patience };
        let connected = Event::Connected { host, address: ip, port: self.port, source: self.outgoingip };
        mail.envelope.log.notify(&connected);
        Session::new(mail, ip, tls_failure.clone(), patience, now, unix)
    }
}

/// The arguments of qmail-remote(8).
pub struct Arguments<'a> {
    /// The recipients' host.
    pub host: &'a [u8],
    /// The envelope sender.
    pub sender: &'a [u8],
    /// At least one.
    pub recipients: &'a [&'a [u8]],
}

/// Reads the arguments.
pub fn arguments<'a>(arguments: &'a [&'a [u8]]) -> Result<Arguments<'a>, Verdict> {
    match *arguments {
        [host, sender, ref recipients @ ..] if !recipients.is_empty() => Ok(Arguments { host, sender, recipients }),
        _ => Err(Cause::InvokedImproperly.into()),
    }
}

/// The plan for a mail, the mail, and how to find its addresses; or the verdict that needs none of these. A `route` that is given is
/// that of the mail, whatever the control files say.
pub fn plan(
    arguments: &Arguments,
    route: Option<Box<Route>>,
    goal: Goal,
    surroundings: &Surroundings,
    log: &Log,
) -> Result<(Plan, Mail, Resolution), Verdict> {
    let Arguments { host, sender, recipients } = *arguments;
    let home = home::find(surroundings).ok_or(Cause::NoHome)?;
    log.notify(&Event::Home(&home));
    let tcpto = (goal == Goal::Sent).then(|| home.join("queue/lock/tcpto"));
    let accounts = directory::of_home(&home, surroundings.uid);
    let control = Control { home, log: log.clone(), seen: accounts.as_ref().map(|_| Seen::default()) };
    let settings = match route {
        None => Settings::read(&control, host, sender),
        route => Settings::by(&control, route),
    };
    let settings = settings.map_err(|error| Cause::ControlFiles { why: error.to_string() })?;
    let path =
        |whose, address: &[u8]| address::path(address).map_err(|why| Verdict::from(Cause::Address { whose, why }));
    let sender = path("sender", sender)?;
    let recipients = recipients.iter().map(|recipient| path("recipient", recipient)).collect::<Result<_, _>>()?;
    if log.is_on() {
        notify_route(log, settings.route.as_deref());
    }

    let account = accounts
        .zip(settings.route.as_deref())
        .and_then(|(accounts, route)| Account::open(accounts, &control, route, surroundings, goal == Goal::Sent));
    let mut supply = None;
    let (resolution, port, target, relay, auth) = match settings.route {
        Some(route) => {
            let Route { host, port, source, mut credentials, security, mechanisms, tokens } = *route;
            if let (Some(source), Some(Credentials { login: Login::Token(login), .. })) = (tokens, &mut credentials) {
                supply = Some(token(source, login, &control.home, account.as_deref(), surroundings));
            }
            let client = credentials.map(|Credentials { login, source }| Client::new(login, Some(source), mechanisms));
            let (shown, implicit_tls) = (format!("{host}:{port} ({source})"), port == SUBMISSIONS);
            let resolution = Resolution::for_relay(&host, &source);
            let target = Target::Relay { relay: shown.clone() };
            let relay = Relay { name: host, shown, is_direct: false, security, implicit_tls };
            (resolution, port, target, relay, client)
        }
        None => {
            let target = Target::Domain { domain: String::from_utf8_lossy(host).into_owned() };
            let (name, shown, security) = (String::new(), target.to_string(), Security::default());
            let relay = Relay { name, shown, is_direct: true, security, implicit_tls: false };
            (Resolution::for_domain(host)?, SMTP, target, relay, None)
        }
    };
    if let Some(supply) = &supply {
        log.notify(&Event::Token(supply, surroundings.unix));
    }
    if let (Some(account), Some(auth)) = (&account, &auth) {
        log.notify(&Event::Remembered(account, surroundings.unix));
        if let Some(cause) = account.refused_before(auth, &relay.shown, surroundings.unix) {
            return Err(cause.into());
        }
    }
    let timeout = settings.timeoutremote.saturating_mul(1000);
    let envelope = Envelope {
        helohost: settings.helohost,
        sender,
        recipients,
        relay,
        facts: Facts::NotYet,
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
        timeoutconnect: settings.timeoutconnect.saturating_mul(1000),
        patience: timeout,
    };
    Ok((plan, Mail { envelope, auth, account, supply }, resolution))
}

/// Where the token comes from. The one that is there becomes that of the login.
fn token(
    source: tokens::Source,
    login: &mut TokenLogin,
    home: &Path,
    account: Option<&Account>,
    &Surroundings { uid, pid, .. }: &Surroundings,
) -> Box<Supply> {
    let mut supply = Box::new(Supply::new(home, account.map(Account::directory), source, &login.user, uid, pid));
    login.token = supply.look().unwrap_or_default();
    supply
}

fn notify_route(log: &Log, route: Option<&Route>) {
    let Some(Route { host, port, source, credentials, security, .. }) = route else {
        return log.notify(&Event::NoRoute);
    };
    log.notify(&Event::Route { host, port: *port, source, security });
    log.notify(&credentials.as_ref().map_or(Event::NoCredentials, |Credentials { login, source }| {
        Event::Credentials {
            user: login.user(),
            kind: login.kind(),
            clear_allowed: login.is_allowed_in_clear(),
            source,
        }
    }));
}
