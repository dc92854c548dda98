//! Which mechanisms the machine will try, and why not the others, for whoever asks before the login.

use super::{Client, Permission};
use crate::mechanisms::Mechanism;

/// The machine as it may be shown: nothing here gives the password, and the relay's words are masked.
#[derive(Clone, Copy)]
pub struct Choice<'a>(&'a Client);

impl Client {
    /// The choice that [`Client::begin`] has made.
    pub fn choice(&self) -> Choice<'_> {
        Choice(self)
    }
}

impl Choice<'_> {
    /// The reply to EHLO had an AUTH line.
    pub fn is_offered(&self) -> bool {
        self.0.offer.offered
    }

    /// What will be tried, as long as the relay refuses, in this order.
    pub fn order(&self) -> Vec<Mechanism> {
        self.0.permitted().collect()
    }

    /// The others that the relay offers, then those that it does not offer, each with the reason.
    pub fn passed_over(&self) -> Vec<(String, &'static str)> {
        let Choice(auth) = self;
        let names = &auth.offer.names;
        let is_offered = |mechanism: Mechanism| names.iter().any(|name| name == mechanism.name());
        let shown = |name: &String| String::from_utf8_lossy(&auth.mask.apply(name.as_bytes())).into_owned();
        let offered = names.iter().filter_map(|name| Some((shown(name), self.why_not(name)?)));
        let missing = auth.order.iter().filter(|mechanism| !is_offered(**mechanism));
        offered.chain(missing.map(|mechanism| (mechanism.name().to_owned(), "the relay does not offer it"))).collect()
    }

    fn why_not(&self, name: &str) -> Option<&'static str> {
        let Choice(auth) = self;
        let Some(mechanism) = Mechanism::from_name(name) else { return Some("this program does not know it") };
        let by_certificate = auth.is_by_certificate();
        if (mechanism == Mechanism::External) != by_certificate {
            return Some(if by_certificate { "there is no password" } else { "the login is a password" });
        }
        if !auth.order.contains(&mechanism) {
            return Some("the file mechanisms of the relay does not name it");
        }
        match (auth.permission, auth.over_tls) {
            (Permission::ChallengeOnly, true) if mechanism.shows_password() => {
                Some("it shows the password, and the certificate does not verify")
            }
            (Permission::ChallengeOnly, false) if mechanism.shows_password() => {
                Some("it shows the password, and there is no TLS")
            }
            _ => None,
        }
    }
}
