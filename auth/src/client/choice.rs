//! Which mechanisms a client will try, and why not the others. qmail-remote-check shows it before the login.

use super::{Channel, Client, Permission};
use crate::cause::PassedOver;
use crate::login::LoginKind;
use crate::mechanisms::{self, Mechanism};
use alloc::borrow::ToOwned;
use alloc::string::String;
use alloc::vec::Vec;

/// A read-only view of a client that is safe to show: it does not give the password, and the relay's words are masked.
#[derive(Clone, Copy)]
pub struct Choice<'a>(&'a Client);

impl Client {
    /// The choice of mechanisms that [`Client::begin`] has made.
    pub fn choice(&self) -> Choice<'_> {
        Choice(self)
    }
}

impl Choice<'_> {
    /// The reply to EHLO had an AUTH line.
    pub fn is_offered(&self) -> bool {
        self.0.offer.offered
    }

    /// The mechanisms that may be tried, in order. The next one is tried when the relay refuses one, up to the limit of tries.
    pub fn order(&self) -> Vec<&'static Mechanism> {
        self.0.permitted().collect()
    }

    /// The mechanisms that will not be tried, each with the reason: first those that the relay offers, then those that it does not; of
    /// these, SCRAM only where the configuration names it.
    pub fn passed_over(&self) -> Vec<(String, PassedOver)> {
        let Choice(client) = self;
        let names = &client.offer.names;
        let is_offered = |mechanism: &Mechanism| names.iter().any(|name| name == mechanism.name);
        let shown = |name: &String| String::from_utf8_lossy(&client.mask.apply(name.as_bytes())).into_owned();
        let offered = names.iter().filter_map(|name| Some((shown(name), self.why_not(name)?)));
        // Many relays have none of the SCRAMs, and what they do have should not drown in that.
        let is_told = |mechanism: &Mechanism| client.configured.is_some() || !mechanism.is_scram();
        let missing = client.order.iter().filter(|mechanism| !is_offered(mechanism) && is_told(mechanism));
        offered.chain(missing.map(|mechanism| (mechanism.name.to_owned(), PassedOver::NotOffered))).collect()
    }

    /// Why an offered mechanism will not be tried. None: it may be.
    fn why_not(&self, name: &str) -> Option<PassedOver> {
        let Choice(client) = self;
        let Some(mechanism) = mechanisms::usable(name) else { return Some(PassedOver::Unknown) };
        let kind = client.login.kind();
        if mechanism.kind() != Some(kind) {
            return Some(match (kind, mechanism.kind()) {
                (LoginKind::Password, _) => PassedOver::NoCertificate,
                (LoginKind::Token, _) => PassedOver::NoPasswordButToken,
                (LoginKind::Certificate, Some(LoginKind::Token)) => PassedOver::NoToken,
                (LoginKind::Certificate, _) => PassedOver::NoPassword,
            });
        }
        let is_in_order = client.order.contains(&mechanism);
        if !is_in_order && client.configured.is_some() {
            return Some(PassedOver::NotConfigured);
        }
        if mechanism.is_bound() && client.channel != Channel::Tls13 {
            return Some(PassedOver::NotBindable);
        }
        if !is_in_order {
            return Some(PassedOver::NotNeeded);
        }
        if let Some(first) = client.usable().next().filter(|first| kind == LoginKind::Token && *first != mechanism) {
            return Some(PassedOver::OneForToken { mechanism: first.name });
        }
        match (client.permission, client.channel) {
            _ if mechanism.shows_password.is_none() => None,
            (Permission::Any, _) => None,
            (Permission::ChallengeOnly, Channel::Tls | Channel::Tls13) => Some(PassedOver::NotVerified),
            (Permission::ChallengeOnly, Channel::Clear) => Some(PassedOver::InClear),
        }
    }
}
