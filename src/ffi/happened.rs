//! c-glue/delivery.h: what happened, function by function: each is one event of [`Happened`]. And what C asks about an answer.

use super::address::{qmail_auth_address, to_address};
use super::delivery::{Job, qmail_auth_delivery};
use super::{octets, text};
use crate::resolve::mx;
use crate::resolve::tcpto::Change;
use crate::want::{Happened, NotFound, Ran};
use std::ffi::{c_char, c_int};
use std::io::Error;
use std::mem::MaybeUninit;
use std::os::unix::process::ExitStatusExt;
use std::process::ExitStatus;

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

fn happened(delivery: Option<&mut qmail_auth_delivery>, event: Happened) {
    match delivery.map(|delivery| &mut delivery.job) {
        Some(Job::Delivery(delivery)) => delivery.happened(event),
        Some(Job::Machine(machine)) => super::oauth::happened_on_the_network(&mut **machine, event),
        None => {}
    }
}

/// The resolver's answer about the MX records, whole. `seed` decides between mail exchangers of one preference.
///
/// # Safety
/// `answer` points to `len` octets.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn qmail_auth_delivery_mx(
    delivery: Option<&mut qmail_auth_delivery>,
    answer: *const c_char,
    len: usize,
    seed: u64,
) {
    // SAFETY: the contract of this function.
    let answer = unsafe { octets(answer, len) }.unwrap_or_default();
    happened(delivery, Happened::Mx(answer, seed));
}

/// Whether the resolver's answer has a record of this type, or cannot be understood: 0 proves that there is none.
///
/// # Safety
/// `answer` points to `len` octets.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn qmail_auth_answer_has(answer: *const c_char, len: usize, kind: u16) -> c_int {
    // SAFETY: the contract of this function.
    let answer = unsafe { octets(answer, len) }.unwrap_or_default();
    c_int::from(mx::has(answer, kind) != Ok(false))
}

/// The lookup, of MX records or of addresses, came to nothing. `why` is the resolver's text.
///
/// # Safety
/// `why` is NULL or NUL-terminated.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn qmail_auth_delivery_not_found(
    delivery: Option<&mut qmail_auth_delivery>,
    missing: qmail_auth_missing,
    why: *const c_char,
) {
    // SAFETY: the contract of this function.
    let why = String::from_utf8_lossy(unsafe { text(why) }.unwrap_or_default());
    let kind = match missing {
        qmail_auth_missing::None => NotFound::None,
        qmail_auth_missing::Unknown => NotFound::Unknown,
    };
    happened(delivery, Happened::NotFound(kind, &why));
}

/// This machine has this address. NULL: all have been told.
#[unsafe(no_mangle)]
pub extern "C" fn qmail_auth_delivery_own_address(
    delivery: Option<&mut qmail_auth_delivery>,
    address: Option<&qmail_auth_address>,
) {
    happened(
        delivery,
        address.map_or(Happened::OwnAddressesEnd, |address| Happened::OwnAddress(to_address(address).ip)),
    );
}

/// The addresses of this machine cannot be found out.
#[unsafe(no_mangle)]
pub extern "C" fn qmail_auth_delivery_own_addresses_failed(delivery: Option<&mut qmail_auth_delivery>, error: c_int) {
    happened(delivery, Happened::OwnAddressesFailed(&Error::from_raw_os_error(error)));
}

/// The name has these addresses, to be tried in this order. None counts as not resolved.
///
/// # Safety
/// `addresses` points to `count` of them.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn qmail_auth_delivery_resolved(
    delivery: Option<&mut qmail_auth_delivery>,
    addresses: *const qmail_auth_address,
    count: usize,
) {
    // SAFETY: the contract of this function.
    let found = if addresses.is_null() { &[] } else { unsafe { std::slice::from_raw_parts(addresses, count) } };
    happened(delivery, Happened::Resolved(found.iter().map(to_address).collect()));
}

/// What is in queue/lock/tcpto, from its start; `len` 0 where it cannot be read. `unix_time` is in seconds. Sets `change`.
///
/// # Safety
/// `octets` points to `len` octets.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn qmail_auth_delivery_tcpto(
    delivery: Option<&mut qmail_auth_delivery>,
    octets: *const c_char,
    len: usize,
    unix_time: u64,
    change: Option<&mut MaybeUninit<qmail_auth_change>>,
) {
    // SAFETY: the contract of this function.
    let file = unsafe { self::octets(octets, len) }.unwrap_or_default();
    let wanted = delivery.and_then(|delivery| delivery.mail()?.tcpto(file, unix_time));
    if let Some(change) = change {
        change.write(wanted.map_or_else(Default::default, |Change { offset, record }| qmail_auth_change {
            len: record.len(),
            offset,
            octets: record,
        }));
    }
}

/// The lock of the account is held; or it is not, and then `error` is not 0. `unix_time` is in seconds.
#[unsafe(no_mangle)]
pub extern "C" fn qmail_auth_delivery_locked(
    delivery: Option<&mut qmail_auth_delivery>,
    now: u64,
    unix_time: u64,
    error: c_int,
) {
    let unix = unix_time;
    match error {
        0 => happened(delivery, Happened::Locked { now, unix }),
        _ => happened(delivery, Happened::NotLocked { now, unix, error: &Error::from_raw_os_error(error) }),
    }
}

/// The lock is to be released: writes what came of the login into the memory of the account. `unix_time` is in seconds.
#[unsafe(no_mangle)]
pub extern "C" fn qmail_auth_delivery_release(delivery: Option<&mut qmail_auth_delivery>, unix_time: u64) {
    match delivery.map(|delivery| &mut delivery.job) {
        Some(Job::Delivery(delivery)) => delivery.release(unix_time),
        Some(Job::Machine(machine)) => super::oauth::released(&mut **machine, unix_time),
        None => {}
    }
}

/// There is a connection to the wanted address. `unix_time` is in seconds, to verify certificates by.
#[unsafe(no_mangle)]
pub extern "C" fn qmail_auth_delivery_connected(delivery: Option<&mut qmail_auth_delivery>, now: u64, unix_time: u64) {
    happened(delivery, Happened::Connected { now, unix: unix_time });
}

/// There is no connection to it.
#[unsafe(no_mangle)]
pub extern "C" fn qmail_auth_delivery_not_connected(delivery: Option<&mut qmail_auth_delivery>, error: c_int) {
    happened(delivery, Happened::NotConnected(&Error::from_raw_os_error(error)));
}

/// The wanted source is no address of this machine.
#[unsafe(no_mangle)]
pub extern "C" fn qmail_auth_delivery_not_bound(delivery: Option<&mut qmail_auth_delivery>, error: c_int) {
    happened(delivery, Happened::NotBound(&Error::from_raw_os_error(error)));
}

/// The server said this. What it said must be told before what was sent after it.
///
/// # Safety
/// `octets` points to `len` octets.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn qmail_auth_delivery_received(
    delivery: Option<&mut qmail_auth_delivery>,
    now: u64,
    octets: *const c_char,
    len: usize,
) {
    // SAFETY: the contract of this function.
    let said = unsafe { self::octets(octets, len) }.unwrap_or_default();
    happened(delivery, Happened::Received(now, said));
}

/// The server closed, or receiving failed.
#[unsafe(no_mangle)]
pub extern "C" fn qmail_auth_delivery_closed(delivery: Option<&mut qmail_auth_delivery>) {
    happened(delivery, Happened::Closed);
}

/// The kernel took this many of the wanted octets.
#[unsafe(no_mangle)]
pub extern "C" fn qmail_auth_delivery_sent(delivery: Option<&mut qmail_auth_delivery>, now: u64, count: usize) {
    happened(delivery, Happened::Sent(now, count));
}

/// Sending failed. Go on receiving: what the server has said is wanted to its end.
#[unsafe(no_mangle)]
pub extern "C" fn qmail_auth_delivery_send_failed(delivery: Option<&mut qmail_auth_delivery>) {
    happened(delivery, Happened::SendFailed);
}

/// The deadline passed, with nothing to receive and nothing taken.
#[unsafe(no_mangle)]
pub extern "C" fn qmail_auth_delivery_timed_out(delivery: Option<&mut qmail_auth_delivery>) {
    happened(delivery, Happened::TimedOut);
}

/// The next piece of the message; its end for `len` 0.
///
/// # Safety
/// `octets` points to `len` octets.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn qmail_auth_delivery_message(
    delivery: Option<&mut qmail_auth_delivery>,
    octets: *const c_char,
    len: usize,
) {
    // SAFETY: the contract of this function.
    match unsafe { self::octets(octets, len) } {
        None => happened(delivery, Happened::MessageFailed(&Error::other("no buffer"))),
        Some([]) => happened(delivery, Happened::MessageEnd),
        Some(piece) => happened(delivery, Happened::Message(piece)),
    }
}

/// The message cannot be read twice, so there is no prescan.
#[unsafe(no_mangle)]
pub extern "C" fn qmail_auth_delivery_not_prescanned(delivery: Option<&mut qmail_auth_delivery>) {
    happened(delivery, Happened::NotPrescanned);
}

/// The message cannot be read.
#[unsafe(no_mangle)]
pub extern "C" fn qmail_auth_delivery_message_failed(delivery: Option<&mut qmail_auth_delivery>, error: c_int) {
    happened(delivery, Happened::MessageFailed(&Error::from_raw_os_error(error)));
}

/// Random octets, in any number from 18 on. NULL: the system has none to give.
///
/// # Safety
/// `octets` is NULL or points to `len` octets.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn qmail_auth_delivery_random(
    delivery: Option<&mut qmail_auth_delivery>,
    octets: *const c_char,
    len: usize,
) {
    // SAFETY: the contract of this function.
    let random = unsafe { self::octets(octets, len) }.and_then(|octets| octets.first_chunk().copied());
    happened(delivery, Happened::Random(random));
}

/// The program has ended with this status, as waitpid(2) has it, and printed this. `unix_time` is in seconds.
///
/// # Safety
/// `printed` points to `len` octets.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn qmail_auth_delivery_ran(
    delivery: Option<&mut qmail_auth_delivery>,
    status: c_int,
    printed: *const c_char,
    len: usize,
    unix_time: u64,
) {
    // SAFETY: the contract of this function.
    let printed = unsafe { octets(printed, len) }.unwrap_or_default();
    happened(delivery, Happened::Ran(Ran::Done(ExitStatus::from_raw(status), printed), unix_time));
}

/// The program cannot be run; or where `error` is 0 it has not ended in time. `unix_time` is in seconds.
#[unsafe(no_mangle)]
pub extern "C" fn qmail_auth_delivery_not_run(
    delivery: Option<&mut qmail_auth_delivery>,
    error: c_int,
    unix_time: u64,
) {
    let why = Error::from_raw_os_error(error);
    happened(delivery, Happened::Ran(if error == 0 { Ran::Silent } else { Ran::Not(&why) }, unix_time));
}

/// The connection is closed on our side.
#[unsafe(no_mangle)]
pub extern "C" fn qmail_auth_delivery_disconnected(delivery: Option<&mut qmail_auth_delivery>, now: u64) {
    happened(delivery, Happened::Disconnected(now));
}
