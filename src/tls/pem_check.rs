//! What is wrong with the PEM files for a relay, as far as it shows without a connection: for `qmail-remote-check --config`.

use super::certificate::{self, Unfit};
use super::client_certificate::ClientCertificate;
use super::trust::{Standing, Trusted};
use crate::policy::{Security, Verification};
use rustls::crypto::ring;

/// Why files cannot be used, in the words of a report.
pub fn errors(security: &Security, verification: Verification) -> Vec<String> {
    let client = ClientCertificate::read(security, &ring::default_provider()).err();
    let cas = match verification {
        Verification::Off => None,
        Verification::Required | Verification::Advisory => Trusted::of(security).for_each(&[], 0, |_, _| {}).err(),
    };
    client.into_iter().chain(cas).map(|why| why.to_string()).collect()
}

/// What is trusted for a relay at a Unix time.
#[derive(Default)]
pub struct Cas {
    /// Subjects of certificates that have expired, and when.
    pub expired: Vec<String>,
    /// Subjects of certificates that do not say that they are a CA's, where only a CA's counts.
    pub not_cas: Vec<String>,
    /// There are others, which are trusted.
    pub has_trusted: bool,
}

/// What stands in the PEM file whose CAs are trusted for a relay.
pub fn cas(security: &Security, unix: u64) -> Cas {
    let mut found = Cas::default();
    // A file that cannot be read is among the errors.
    let _ = Trusted::of(security).for_each(&[&[]], unix, |certificate, standing| {
        let subject = certificate::subject(certificate).unwrap_or_default();
        let until = certificate::validity(certificate).map_or(0, |(_, until)| until);
        match standing {
            Standing::Unfit(Unfit::NoCa) => found.not_cas.push(subject),
            _ if unix > until => found.expired.push(format!("{subject} at {}", certificate::date(until))),
            Standing::Unfit(_) => {}
            Standing::Anchor | Standing::Itself => found.has_trusted = true,
        }
    });
    found
}
