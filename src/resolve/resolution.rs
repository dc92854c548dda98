//! From a relay's name, or from the domain of a mail that no route is for, to the addresses to try (RFC 5321 section 5.1).
//!
//! Sans-IO: it names the next lookup and takes its result. Where there is nothing to try, the verdict is in stock's words: a bounce
//! only where the domain itself says so; a deferral for anything that may be different later, and always for a relay, since its
//! name comes from our own control files.

use super::addresses::Candidate;
use super::{mx, tcpto};
use crate::cause::{Cause, LookupCause, Note};
use crate::report::{Verdict, os_error};
use crate::want::{Address, Happened, NotFound, Want, out_of_turn};
use fastrand::Rng;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// A domain may have any number of mail exchangers, but each costs lookups.
const EXCHANGES: usize = 100;
/// Each address may cost a whole timeoutconnect.
const ADDRESSES: usize = 64;

/// A host to look up. The lowest preference is the best.
struct Host {
    /// As it is asked for. A name that came from DNS or from an address has a dot at its end, so that no search list applies.
    name: String,
    preference: u16,
}

/// The lookups for one mail, and what they found.
pub struct Resolution {
    target: Target,
    /// The hosts whose addresses are to be looked up, the next one last.
    hosts: Vec<Host>,
    found: Vec<(Candidate, u16)>,
    /// This machine is an exchanger of this preference, so only lower ones are tried (RFC 5321 section 5.1).
    own: Option<u16>,
    /// The best preference of a host that could not be looked up, or is one too many; and why.
    unknown: Option<(u16, String)>,
    next: Next,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Next {
    Mx,
    Hosts,
    OwnAddresses,
    Nothing,
}

enum Target {
    /// The relay of a route, and where the route is written.
    Relay(String, String),
    /// A domain: as shown, and as looked up. `exists`: DNS has returned a record of it, even if only an alias.
    Domain { shown: String, name: String, exists: bool },
}

impl Resolution {
    /// The addresses of a route's relay. `source` is where the route is written.
    pub fn for_relay(host: &str, source: &str) -> Resolution {
        let target = Target::Relay(host.to_owned(), source.to_owned());
        let known = known(host);
        if known.is_empty() {
            return Resolution::new(target, vec![Host { name: host.to_owned(), preference: 0 }], Next::Hosts);
        }
        let mut resolution = Resolution::new(target, Vec::new(), Next::Nothing);
        known.into_iter().for_each(|ip| resolution.add(Address { ip, scope: 0 }, host.to_owned(), 0));
        resolution
    }

    /// The addresses for mail to a domain, or to an address literal (RFC 5321 section 4.1.3).
    pub fn for_domain(domain: &[u8]) -> Result<Resolution, Verdict> {
        let shown = String::from_utf8_lossy(domain).into_owned();
        let bare = shown.strip_suffix('.').unwrap_or(&shown).to_owned();
        let target = Target::Domain { shown: shown.clone(), name: format!("{bare}."), exists: false };
        let mut resolution = Resolution::new(target, Vec::new(), Next::Mx);
        if let Some(ip) = literal(&shown) {
            resolution.add(Address { ip, scope: 0 }, ip.to_string(), 0);
            resolution.next = Next::OwnAddresses;
        } else if !can_be_host(&bare) {
            return Err(resolution.no_such_host());
        }
        Ok(resolution)
    }

    fn new(target: Target, hosts: Vec<Host>, next: Next) -> Resolution {
        Resolution { target, hosts, found: Vec::new(), own: None, unknown: None, next }
    }

    /// The next lookup. None: done, call [`Resolution::candidates`].
    pub fn want(&self) -> Option<Want<'_>> {
        match (self.next, self.hosts.last(), &self.target) {
            (Next::Mx, _, Target::Domain { name, .. }) => Some(Want::Mx(name)),
            (Next::Hosts, Some(host), _) => Some(Want::Addresses(&host.name)),
            (Next::OwnAddresses, ..) => Some(Want::OwnAddresses),
            _ => None,
        }
    }

    /// Takes the result of a lookup. An error is the verdict of the delivery.
    pub fn happened(&mut self, event: Happened) -> Result<(), Verdict> {
        match event {
            Happened::Mx(answer, seed) => self.mx(answer, seed),
            Happened::Resolved(addresses) => self.resolved(addresses),
            Happened::NotFound(kind, why) => self.not_found(kind, why),
            Happened::OwnAddress(ip) => {
                self.own_address(ip);
                Ok(())
            }
            Happened::OwnAddressesEnd => self.own_addresses_end(),
            Happened::OwnAddressesFailed(error) => Err(own_addresses_failed(error)),
            event => out_of_turn(&event),
        }
    }

    fn mx(&mut self, answer: &[u8], seed: u64) -> Result<(), Verdict> {
        let Ok(mut exchanges) = mx::exchanges(answer) else {
            return self.not_found(NotFound::Unknown, &LookupCause::NotUnderstood.to_string());
        };
        if let Target::Domain { exists, .. } = &mut self.target {
            *exists = true;
        }
        if exchanges.is_empty() {
            return self.not_found(NotFound::None, ""); // an alias of a name without MX
        }
        if exchanges.len() == 1 && exchanges[0].name.is_empty() {
            return Err(Cause::NullMx.into());
        }
        Rng::with_seed(seed).shuffle(&mut exchanges);
        exchanges.sort_by_key(|exchange| exchange.preference);
        let host = |exchange: &mx::Exchange| {
            let name = std::str::from_utf8(&exchange.name).ok().filter(|name| can_be_host(name))?;
            // An address instead of a name is a mistake in the zone, which stock tolerates.
            let dot = if name.parse::<Ipv4Addr>().is_ok() { "" } else { "." };
            Some(Host { name: format!("{name}{dot}"), preference: exchange.preference })
        };
        let mut hosts: Vec<Host> = exchanges.iter().filter_map(host).collect();
        if let Some(Host { name, preference }) = hosts.get(EXCHANGES) {
            self.is_unknown(*preference, name, &LookupCause::NotLookedUp { limit: EXCHANGES }.to_string());
        }
        hosts.truncate(EXCHANGES);
        hosts.reverse();
        self.hosts = hosts;
        self.go_on(Next::Hosts)
    }

    fn resolved(&mut self, addresses: Vec<Address>) -> Result<(), Verdict> {
        if addresses.is_empty() {
            return self.not_found(NotFound::None, &LookupCause::NoAddress.to_string());
        }
        let Some(Host { name, preference }) = self.hosts.pop() else { return Ok(()) };
        let bare = match self.target {
            Target::Relay(..) => &name,
            Target::Domain { .. } => name.strip_suffix('.').unwrap_or(&name),
        };
        addresses.into_iter().for_each(|address| self.add(address, bare.to_owned(), preference));
        self.go_on(Next::Hosts)
    }

    fn not_found(&mut self, missing: NotFound, why: &str) -> Result<(), Verdict> {
        match (&self.target, self.next, missing) {
            (Target::Relay(host, source), ..) => {
                let (host, source, why) = (host.clone(), source.clone(), why.to_owned());
                Err(Cause::HostUnknown { why: LookupCause::OfRelay { host, source, why } }.into())
            }
            (Target::Domain { shown, .. }, Next::Mx, NotFound::Unknown) => {
                let (domain, why) = (shown.clone(), why.to_owned());
                Err(Cause::HostUnknown { why: LookupCause::OfMx { domain, why } }.into())
            }
            // Also for NXDOMAIN, as stock does: some servers say so about names that have addresses.
            (Target::Domain { name, .. }, Next::Mx, NotFound::None) => {
                self.hosts = vec![Host { name: name.clone(), preference: 0 }];
                self.go_on(Next::Hosts)
            }
            _ => {
                if let (NotFound::Unknown, Some(Host { name, preference })) = (missing, self.hosts.pop()) {
                    self.is_unknown(preference, &name, why);
                }
                self.go_on(Next::Hosts)
            }
        }
    }

    fn is_unknown(&mut self, preference: u16, name: &str, why: &str) {
        if self.unknown.as_ref().is_none_or(|(best, _)| preference < *best) {
            self.unknown = Some((preference, format!("{}: {why}", name.trim_end_matches('.'))));
        }
    }

    fn own_address(&mut self, own: IpAddr) {
        self.drop_from(|ip| ip.to_canonical() == own.to_canonical());
    }

    fn own_addresses_end(&mut self) -> Result<(), Verdict> {
        // Other addresses that lead to this machine.
        self.drop_from(|ip| ip.to_canonical().is_loopback() || ip.to_canonical().is_unspecified());
        if let Some(own) = self.own {
            self.found.retain(|(_, preference)| *preference < own);
            self.unknown = self.unknown.take().filter(|(preference, _)| *preference < own);
        }
        self.go_on(Next::Nothing)
    }

    /// The result: the addresses that can be reached from `source`, at most `ADDRESSES`; and what else there is, whose answer is
    /// therefore not known.
    pub fn candidates(self, source: Option<IpAddr>) -> (Vec<Candidate>, Option<String>) {
        let mut others = self.unknown.map(|(_, why)| why);
        let all = self.found.len();
        let found = self.found.into_iter().map(|(candidate, _)| candidate);
        let of_family = |one: &Candidate| source.is_none_or(|source| source.is_ipv4() == one.address.ip.is_ipv4());
        let mut found: Vec<Candidate> = found.filter(of_family).collect();
        if found.len() < all {
            others = Some(LookupCause::OtherFamily.to_string());
        }
        if found.len() > ADDRESSES {
            found.truncate(ADDRESSES);
            others = Some(LookupCause::TooMany { limit: ADDRESSES }.to_string());
        }
        (found, others)
    }

    fn add(&mut self, address: Address, host: String, preference: u16) {
        self.found.push((Candidate { address, host, tcpto: tcpto::Found::default() }, preference));
    }

    fn drop_from(&mut self, is_own: impl Fn(IpAddr) -> bool) {
        let own =
            self.found.iter().filter(|(candidate, _)| is_own(candidate.address.ip)).map(|(_, preference)| *preference);
        self.own = own.chain(self.own).min();
    }

    /// Goes on to the next step that has something to look up.
    fn go_on(&mut self, next: Next) -> Result<(), Verdict> {
        self.next = next;
        if next == Next::Hosts && self.hosts.is_empty() {
            self.next = match self.target {
                Target::Relay(..) => Next::Nothing,
                Target::Domain { .. } => Next::OwnAddresses,
            };
        }
        let looked_up = [Next::OwnAddresses, Next::Nothing].contains(&self.next);
        if looked_up && self.found.is_empty() { Err(self.nothing_to_try()) } else { Ok(()) }
    }

    fn nothing_to_try(&self) -> Verdict {
        match (&self.target, &self.unknown) {
            (_, Some((_, why))) => Cause::HostUnknown { why: LookupCause::OfHost { why: why.clone() } }.into(),
            _ if self.own.is_some() => Verdict::from(Cause::BestPreferenceIsOurs).with_note(&Note::NotInLocals),
            (Target::Domain { exists: true, .. }, _) => Cause::NoExchanger.into(),
            _ => self.no_such_host(),
        }
    }

    fn no_such_host(&self) -> Verdict {
        let (Target::Domain { shown, .. } | Target::Relay(shown, _)) = &self.target;
        let host = shown.clone();
        if host.is_ascii() { Cause::NoSuchHost { host } } else { Cause::NoSuchNonAsciiHost { host } }.into()
    }
}

/// Without them a mail loop cannot be detected.
fn own_addresses_failed(error: &io::Error) -> Verdict {
    Cause::NoOwnAddresses { why: os_error(error) }.into()
}

/// The addresses of a relay that needs no lookup; the resolver takes a sixth of the memory of a delivery. The resolver would return
/// an address as it is. `localhost` is loopback whatever DNS and a search list say (RFC 6761 section 6.3), IPv4 first, since most
/// servers for this machine alone listen there.
pub fn known(host: &str) -> Vec<IpAddr> {
    if host.trim_end_matches('.').eq_ignore_ascii_case("localhost") {
        return vec![Ipv4Addr::LOCALHOST.into(), Ipv6Addr::LOCALHOST.into()];
    }
    host.parse().into_iter().collect()
}

/// An address literal: `192.0.2.1`, which stock accepts, too, `[192.0.2.1]`, `[IPv6:2001:db8::1]`.
fn literal(host: &str) -> Option<IpAddr> {
    let Some(inner) = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')) else {
        return host.parse::<Ipv4Addr>().ok().map(IpAddr::from);
    };
    match inner.get(..5).filter(|tag| tag.eq_ignore_ascii_case("IPv6:")) {
        Some(_) => inner[5..].parse::<Ipv6Addr>().ok().map(IpAddr::from),
        None => inner.parse::<Ipv4Addr>().ok().map(IpAddr::from),
    }
}

/// A name that can be looked up: labels of 1 to 63 letters, digits, hyphens and underscores, 253 characters in all. The resolver
/// would read others differently, a backslash for example.
fn can_be_host(name: &str) -> bool {
    let label = |label: &str| {
        (1..=63).contains(&label.len()) && label.bytes().all(|c| c.is_ascii_alphanumeric() || b"-_".contains(&c))
    };
    name.len() <= 253 && name.split('.').all(label)
}
