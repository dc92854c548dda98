//! c-glue/delivery.h: what the machine is told of names, addresses and queue/lock/tcpto, and what C asks about an answer.

use super::address::{qmail_auth_address, to_address};
use super::delivery::{qmail_auth_delivery, tell};
use super::text;
use crate::delivery::Delivery;
use crate::resolve::addresses::Address;
use crate::resolve::mx;
use crate::resolve::resolution::NotFound;
use crate::resolve::tcpto::Change;
use std::ffi::{c_char, c_int};
use std::io::Error;

/// Why a lookup came to nothing.
#[allow(non_camel_case_types)] // the C name
#[repr(C)]
#[derive(Clone, Copy)]
pub enum qmail_auth_missing {
    /// There is no such name, or it has nothing of what was asked for.
    None,
    /// Nobody knows now.
    Unknown,
}

/// A record to write into queue/lock/tcpto.
#[allow(non_camel_case_types)] // the C name
#[repr(C)]
#[derive(Clone, Copy, Default)]
pub struct qmail_auth_change {
    /// 16, or 0: there is nothing to write.
    pub len: usize,
    /// The place in the file.
    pub offset: usize,
    /// What to write there.
    pub octets: [u8; 16],
}

/// The resolver's answer about the MX records, whole. `seed` decides between mail exchangers of one preference.
///
/// # Safety
/// `delivery` is NULL or lives; `answer` points to `len` octets.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn qmail_auth_delivery_mx(
    delivery: *mut qmail_auth_delivery,
    answer: *const c_char,
    len: usize,
    seed: u64,
) {
    // SAFETY: the contract of this function.
    let answer = unsafe { super::octets(answer, len) }.unwrap_or_default();
    // SAFETY: likewise.
    unsafe { tell(delivery, |machine| machine.mx(answer, seed)) }
}

/// Whether the resolver's answer has a record of this type, or cannot be understood: 0 proves that there is none.
///
/// # Safety
/// `answer` points to `len` octets.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn qmail_auth_answer_has(answer: *const c_char, len: usize, kind: u16) -> c_int {
    // SAFETY: the contract of this function.
    let answer = unsafe { super::octets(answer, len) }.unwrap_or_default();
    c_int::from(mx::has(answer, kind) != Ok(false))
}

/// The lookup, of MX records or of addresses, came to nothing. `why` is the resolver's text.
///
/// # Safety
/// `delivery` is NULL or lives; `why` is NULL or NUL-terminated.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn qmail_auth_delivery_not_found(
    delivery: *mut qmail_auth_delivery,
    missing: qmail_auth_missing,
    why: *const c_char,
) {
    // SAFETY: the contract of this function.
    let why = String::from_utf8_lossy(unsafe { text(why) }.unwrap_or_default()).into_owned();
    let missing = match missing {
        qmail_auth_missing::None => NotFound::None,
        qmail_auth_missing::Unknown => NotFound::Unknown,
    };
    // SAFETY: likewise.
    unsafe { tell(delivery, |machine| machine.not_found(missing, &why)) }
}

/// This machine has this address. NULL: it has no others.
///
/// # Safety
/// `delivery` is NULL or lives; `address` is NULL or points to one.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn qmail_auth_delivery_own_address(
    delivery: *mut qmail_auth_delivery,
    address: *const qmail_auth_address,
) {
    // SAFETY: the contract of this function.
    let own = unsafe { address.as_ref() }.map(to_address);
    let event = |machine: &mut Delivery| match own {
        None => machine.own_addresses_end(),
        Some(own) => machine.own_address(own.ip),
    };
    // SAFETY: likewise.
    unsafe { tell(delivery, event) }
}

/// The addresses of this machine cannot be had.
///
/// # Safety
/// `delivery` is NULL or lives.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn qmail_auth_delivery_own_addresses_failed(delivery: *mut qmail_auth_delivery, error: c_int) {
    // SAFETY: the contract of this function.
    unsafe { tell(delivery, |machine| machine.own_addresses_failed(&Error::from_raw_os_error(error))) }
}

/// What is in queue/lock/tcpto, from its start; `len` 0 where it cannot be had. `unix_time` is in seconds. Sets `change`.
///
/// # Safety
/// `delivery` is NULL or lives; `octets` points to `len` octets; `change` can be written.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn qmail_auth_delivery_tcpto(
    delivery: *mut qmail_auth_delivery,
    octets: *const c_char,
    len: usize,
    unix_time: u64,
    change: *mut qmail_auth_change,
) {
    let mut wanted = qmail_auth_change::default();
    // SAFETY: the contract of this function.
    let file = unsafe { super::octets(octets, len) }.unwrap_or_default();
    let event = |machine: &mut Delivery| {
        if let Some(Change { offset, record }) = machine.tcpto(file, unix_time) {
            wanted = qmail_auth_change { len: record.len(), offset, octets: record };
        }
    };
    // SAFETY: likewise.
    unsafe { tell(delivery, event) }
    if !change.is_null() {
        // SAFETY: not NULL, and the contract of this function.
        unsafe { change.write(wanted) };
    }
}

/// The name has these addresses, to be tried in this order. None counts as not resolved.
///
/// # Safety
/// `delivery` is NULL or lives; `addresses` points to `count` of them.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn qmail_auth_delivery_resolved(
    delivery: *mut qmail_auth_delivery,
    addresses: *const qmail_auth_address,
    count: usize,
) {
    // SAFETY: the contract of this function.
    let found = if addresses.is_null() { &[] } else { unsafe { std::slice::from_raw_parts(addresses, count) } };
    let found: Vec<Address> = found.iter().map(to_address).collect();
    // SAFETY: likewise.
    unsafe { tell(delivery, |machine| machine.resolved(found)) }
}
