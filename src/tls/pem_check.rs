//! Checks the PEM files of a relay without a connection, for `qmail-remote-check --config`.

use super::certificate::{self, Unfit};
use super::client_certificate::ClientCertificate;
use super::trust::{Standing, Trusted};
use crate::policy::{Security, Verification};
use rustls::crypto::ring;

/// Why PEM files of a relay cannot be used, in the words of a report. Empty if all can.
pub fn errors(security: &Security, verification: Verification) -> Vec<String> {
    let client = ClientCertificate::read(security, &ring::default_provider()).err();
    let cas = match verification {
        Verification::Off => None,
        Verification::Required | Verification::Advisory => Trusted::of(security).for_each(&[], 0, |_, _| {}).err(),
    };
    client.into_iter().chain(cas).map(|why| why.to_string()).collect()
}

/// The certificates in a relay's PEM file of CAs, sorted by whether they are trusted.
#[derive(Default)]
pub struct Cas {
    /// The subjects of certificates that have expired, each with the time.
    pub expired: Vec<String>,
    /// The subjects of certificates that do not say that they belong to a CA, although only CAs count in this file.
    pub not_cas: Vec<String>,
    /// There is at least one certificate that is trusted.
    pub has_trusted: bool,
}

/// Examines the PEM file of CAs for a relay, at this Unix time.
pub fn cas(security: &Security, unix: u64) -> Cas {
    let mut found = Cas::default();
    // If the file cannot be read, `errors` says so.
    let _ = Trusted::of(security).for_each(&[&[]], unix, |certificate, standing| {
        let subject = certificate::subject(certificate).unwrap_or_default();
        let until = certificate::validity(certificate).map_or(0, |(_, until)| until);
        match standing {
            Standing::Unfit(Unfit::NoCa | Unfit::SaysNoCa) => found.not_cas.push(subject),
            _ if unix > until => found.expired.push(format!("{subject} at {}", certificate::date(until))),
            Standing::Unfit(_) => {}
            Standing::Anchor | Standing::Itself(_) => found.has_trusted = true,
        }
    });
    found
}
