//! The addresses that a mail can go to, in the order to try them, and what became of each.

use super::tcpto;
use crate::cause::AddressFailure;
use crate::want::Address;
use std::net::IpAddr;

/// An address, and the host that it belongs to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Candidate {
    /// The address to connect to.
    pub address: Address,
    /// The name of the host: the relay's as its route has it, or the MX's.
    pub host: String,
    /// What queue/lock/tcpto says of it.
    pub tcpto: tcpto::Found,
}

/// The addresses that are left to try, and what became of the others.
#[derive(Default)]
pub struct Addresses {
    list: std::collections::VecDeque<Candidate>,
    /// What became of those that were tried or skipped, in that order.
    failures: Vec<(IpAddr, String)>,
    /// There are addresses that are not in the list, and why not.
    others: Option<String>,
    /// At least one address could not be reached.
    unreached: bool,
}

impl Addresses {
    /// Starts with the first of `list`. `others`: there are more addresses, which are not known now or are not tried; and why.
    pub fn new(list: Vec<Candidate>, others: Option<String>) -> Addresses {
        Addresses { list: list.into(), failures: Vec::new(), unreached: others.is_some(), others }
    }

    /// At least one address could not be reached, so a permanent failure is not certain.
    pub fn has_unreached(&self) -> bool {
        self.unreached
    }

    /// The address to connect to. None: all have been tried.
    pub fn current(&self) -> Option<&Candidate> {
        self.list.front()
    }

    /// The current address cannot be reached: goes on to the next. `why` is kept for the report.
    pub fn unreachable(&mut self, why: &str) {
        self.unreached = true;
        self.next(why);
    }

    /// Goes on to the next address. `why` the current one failed is kept for the report.
    pub fn next(&mut self, why: &str) {
        if let Some(candidate) = self.list.pop_front() {
            self.failures.push((candidate.address.ip, why.to_owned()));
        }
        self.skip();
    }

    /// At least one address can have a record in queue/lock/tcpto.
    pub fn has_ipv4(&self) -> bool {
        self.list.iter().any(|candidate| candidate.address.ip.is_ipv4())
    }

    /// Reads what queue/lock/tcpto says of each address.
    pub fn look(&mut self, file: &[u8], unix: u64, pid: u32) {
        for candidate in &mut self.list {
            if let IpAddr::V4(ip) = candidate.address.ip {
                candidate.tcpto = tcpto::look(file, ip, unix, pid);
            }
        }
        self.skip();
    }

    fn skip(&mut self) {
        while let Some(candidate) = self.list.front().filter(|candidate| candidate.tcpto.rests) {
            self.failures.push((candidate.address.ip, AddressFailure::Skipped.to_string()));
            self.list.pop_front();
            self.unreached = true;
        }
    }

    /// There is at least one more address after the current one.
    pub fn has_more(&self) -> bool {
        self.list.iter().skip(1).any(|candidate| !candidate.tcpto.rests)
    }

    /// Drops all addresses after the current one.
    pub fn no_more(&mut self) {
        self.list.truncate(1);
    }

    /// What became of the addresses tried so far except `but`, and of those not tried: `192.0.2.1: Connection refused, ...`.
    pub fn failures(&self, but: Option<IpAddr>) -> String {
        let told = self.failures.iter().filter(|(ip, _)| Some(*ip) != but);
        told.map(|(ip, why)| format!("{ip}: {why}")).chain(self.others.clone()).collect::<Vec<_>>().join(", ")
    }
}
