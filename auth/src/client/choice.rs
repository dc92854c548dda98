//! Which mechanisms a client will try, and why not the others. qmail-remote-check shows it before the login.

use super::{Channel, Client, Permission, Try};
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

    /// The mechanism for the next try: the first one permitted that was not tried, lost tries apart. Else one that may have been refused
    /// only for its form. The `bool`: the command is to go without an initial response, which is what a mechanism that was of no use
    /// before begins with.
    pub(super) fn candidate(&self) -> Option<(&'static Mechanism, bool)> {
        let all_tries = |mechanism: &Mechanism, are: fn(&Try) -> bool| {
            self.tries.iter().filter(|t| t.mechanism == mechanism).all(are)
        };
        let new =
            self.permitted().find(|mechanism| all_tries(mechanism, Try::is_void) && !self.is_refused_alike(mechanism));
        if let Some(mechanism) = new {
            return Some((mechanism, self.past.useless.contains(&mechanism)));
        }
        let in_other_form = |mechanism: &'static Mechanism| {
            let is_token = mechanism.kind() == Some(LoginKind::Token); // a server may have taken the token from a line that it cut
            let mut tries = self.tries.iter().filter(|t| t.mechanism == mechanism && !t.is_void());
            let has_other = mechanism.has_bare_form && !is_token;
            let the_try = tries.next().filter(|t| has_other && t.is_refused_for_its_form());
            the_try.filter(|_| tries.next().is_none()).map(|t| (mechanism, t.initial_response))
        };
        self.permitted().find_map(in_other_form)
    }

    /// The relay has refused a login that was bound to the connection. It may not know this kind of binding, so the next try has none. Or it
    /// has refused a token, and so by the other mechanism, too.
    fn is_refused_alike(&self, mechanism: &Mechanism) -> bool {
        let is_refused = |t: &Try| match t.mechanism.kind() {
            Some(LoginKind::Token) => t.mechanism != mechanism,
            _ => t.mechanism.is_bound() && mechanism.is_bound() && !t.is_about_command(),
        };
        self.tries.iter().filter(|t| !t.is_void() && t.end.is_some()).any(is_refused)
    }

    /// The mechanisms of the order that the relay offers.
    pub(super) fn usable(&self) -> impl Iterator<Item = &'static Mechanism> + '_ {
        let offered = |mechanism: &&Mechanism| self.offer.names.iter().any(|name| name == mechanism.name);
        self.order.iter().copied().filter(offered)
    }

    /// The mechanisms of [`Client::usable`] that the permission allows on this connection.
    pub(super) fn permitted(&self) -> impl Iterator<Item = &'static Mechanism> + '_ {
        let any = self.permission == Permission::Any && !self.may_be_another();
        let most = if self.login.kind() == LoginKind::Token { 1 } else { usize::MAX };
        self.usable().take(most).filter(move |mechanism| {
            (any || mechanism.shows_password.is_none()) && (self.channel == Channel::Tls13 || !mechanism.is_bound())
        })
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
            (Permission::Any, _) if client.may_be_another() => Some(PassedOver::MayBeAnother),
            (Permission::Any, _) => None,
            (Permission::ChallengeOnly, Channel::Tls | Channel::Tls13) => Some(PassedOver::NotVerified),
            (Permission::ChallengeOnly, Channel::Clear) => Some(PassedOver::InClear),
        }
    }
}
