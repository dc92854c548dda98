//! The addresses of a relay, in the order to try them.

use std::net::IpAddr;

/// An address to connect to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Address {
    /// IPv4 or IPv6.
    pub ip: IpAddr,
    /// The interface of a link-local IPv6 address, else 0.
    pub scope: u32,
}

/// The addresses that are left, and what became of those before.
#[derive(Default)]
pub struct Addresses {
    list: std::vec::IntoIter<Address>,
    current: Option<Address>,
    failures: Vec<String>,
}

impl Addresses {
    /// Starts with the first of these.
    pub fn new(list: Vec<Address>) -> Addresses {
        let mut list = list.into_iter();
        Addresses { current: list.next(), list, failures: Vec::new() }
    }

    /// The address to connect to; None when all were tried.
    pub fn current(&self) -> Option<Address> {
        self.current
    }

    /// Goes on to the next. `why` the current one failed is kept for the report.
    pub fn next(&mut self, why: &str) {
        if let Some(address) = self.current.take() {
            self.failures.push(format!("{}: {why}", address.ip));
        }
        self.current = self.list.next();
    }

    /// What became of all that were tried: `192.0.2.1: Connection refused, ...`.
    pub fn failures(&self) -> String {
        self.failures.join(", ")
    }
}
