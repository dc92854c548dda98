//! c-glue/delivery.h: an IP address, as C has it.

use crate::want::Address;
use std::net::IpAddr;

/// An IP address.
#[allow(non_camel_case_types)] // the C name
#[repr(C)]
#[derive(Clone, Copy, Default)]
pub struct qmail_auth_address {
    /// 4 or 16: how many octets count.
    pub len: u32,
    /// The interface of a link-local IPv6 address, else 0.
    pub scope: u32,
    /// In network order.
    pub octets: [u8; 16],
}

pub(super) fn from_address(address: Address) -> qmail_auth_address {
    let mut to = qmail_auth_address { scope: address.scope, ..Default::default() };
    let mut put = |from: &[u8]| {
        to.octets[..from.len()].copy_from_slice(from);
        to.len = from.len() as u32;
    };
    match address.ip {
        IpAddr::V4(ip) => put(&ip.octets()),
        IpAddr::V6(ip) => put(&ip.octets()),
    }
    to
}

pub(super) fn to_address(from: &qmail_auth_address) -> Address {
    let [a, b, c, d, ..] = from.octets;
    let ip = if from.len == 4 { IpAddr::from([a, b, c, d]) } else { IpAddr::from(from.octets) };
    Address { ip, scope: from.scope }
}
