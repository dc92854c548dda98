//! c-glue/delivery.h: the delivery machine as c-glue sees it. Private to this program; the comments here are the header's.

use super::{octets, text};
use crate::addresses::Address;
use crate::control::home::Surroundings;
use crate::delivery::{Delivery, Want};
use crate::report::os_error;
use std::ffi::{CString, OsStr, c_char, c_int};
use std::net::IpAddr;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

/// One delivery. Made by qmail_auth_delivery_new, freed by qmail_auth_delivery_free. Every other function takes it and does
/// nothing for NULL. Where an errno is asked for it is errno as the failed call left it.
#[allow(non_camel_case_types)] // the C name
pub struct qmail_auth_delivery {
    machine: Delivery,
    /// The name last wanted, as a C string.
    name: CString,
}

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

/// The one thing to do next.
#[allow(non_camel_case_types)] // the C name
#[repr(C)]
#[derive(Clone, Copy)]
pub enum qmail_auth_what {
    /// Look up `name`.
    Addresses,
    /// Connect to `address` and `port` until `deadline`.
    Connect,
    /// Receive, and send what the kernel takes of `octets`, until `deadline`.
    Io,
    /// Read on in the message, and receive, until `deadline`.
    Message,
    /// Send `octets` if the kernel takes them at once, and close.
    Close,
    /// Write `octets` to the report pipe, whole, and exit 0.
    Done,
}

/// What is wanted. Pointers are good until the next call with the same delivery.
#[allow(non_camel_case_types)] // the C name
#[repr(C)]
pub struct qmail_auth_want {
    /// Which of the members below count.
    pub what: qmail_auth_what,
    /// A number, not in network order.
    pub port: u16,
    /// To connect to.
    pub address: qmail_auth_address,
    /// NUL-terminated.
    pub name: *const c_char,
    /// To send or write.
    pub octets: *const c_char,
    /// How many there are.
    pub len: usize,
    /// Milliseconds of the monotonic clock.
    pub deadline: u64,
}

/// Starts a delivery with main's arguments. `qmailhome` is the environment variable, `cwd` the working directory, `execfn`
/// the name that the program was executed by; each may be NULL. Reads the control files.
///
/// # Safety
/// `argv` points to `argc` NUL-terminated strings, the others are NULL or NUL-terminated.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn qmail_auth_delivery_new(
    argc: c_int,
    argv: *const *const c_char,
    qmailhome: *const c_char,
    cwd: *const c_char,
    execfn: *const c_char,
) -> *mut qmail_auth_delivery {
    let count = if argv.is_null() { 0 } else { usize::try_from(argc).unwrap_or_default() };
    // SAFETY: the contract of this function: argv has argc strings, and argv[0] is not ours to read.
    let arguments: Vec<&[u8]> = (1..count).map_while(|i| unsafe { text(*argv.add(i)) }).collect();
    let [qmailhome, cwd, execfn] = [qmailhome, cwd, execfn].map(|name| {
        // SAFETY: likewise for the three strings.
        let octets = unsafe { text(name) };
        octets.map(|octets| Path::new(OsStr::from_bytes(octets)))
    });
    let machine = Delivery::new(&arguments, &Surroundings { qmailhome, cwd, execfn });
    Box::into_raw(Box::new(qmail_auth_delivery { machine, name: CString::default() }))
}

/// What to do now; `now` is in milliseconds of the monotonic clock. For NULL: write an empty report.
///
/// # Safety
/// `delivery` is NULL or lives; `want` points to a struct that can be written.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn qmail_auth_delivery_want(
    delivery: *mut qmail_auth_delivery,
    now: u64,
    want: *mut qmail_auth_want,
) {
    let mut wanted = qmail_auth_want {
        what: qmail_auth_what::Done,
        port: 0,
        address: qmail_auth_address::default(),
        name: c"".as_ptr(),
        octets: c"".as_ptr(),
        len: 0,
        deadline: 0,
    };
    // SAFETY: the contract of this function.
    if let Some(qmail_auth_delivery { machine, name }) = unsafe { delivery.as_mut() } {
        let (what, octets): (_, &[u8]) = match machine.want(now) {
            Want::Addresses(host) => {
                *name = CString::new(host).unwrap_or_default(); // a name holds no NUL; an empty one is not found
                (qmail_auth_what::Addresses, b"")
            }
            Want::Connect(address, port, deadline) => {
                (wanted.address, wanted.port, wanted.deadline) = (from_address(address), port, deadline);
                (qmail_auth_what::Connect, b"")
            }
            Want::Io(octets, deadline) => {
                wanted.deadline = deadline;
                (qmail_auth_what::Io, octets)
            }
            Want::Message(deadline) => {
                wanted.deadline = deadline;
                (qmail_auth_what::Message, b"")
            }
            Want::Close(octets) => (qmail_auth_what::Close, octets),
            Want::Done(octets) => (qmail_auth_what::Done, octets),
        };
        (wanted.what, wanted.octets, wanted.len, wanted.name) =
            (what, octets.as_ptr().cast(), octets.len(), name.as_ptr());
    }
    if !want.is_null() {
        // SAFETY: not NULL, and the contract of this function.
        unsafe { want.write(wanted) };
    }
}

fn from_address(address: Address) -> qmail_auth_address {
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

fn to_address(from: &qmail_auth_address) -> Address {
    let [a, b, c, d, ..] = from.octets;
    let ip = if from.len == 4 { IpAddr::from([a, b, c, d]) } else { IpAddr::from(from.octets) };
    Address { ip, scope: from.scope }
}

/// Gives the machine of a delivery an event.
///
/// # Safety
/// `delivery` is NULL or lives.
unsafe fn tell(delivery: *mut qmail_auth_delivery, event: impl FnOnce(&mut Delivery)) {
    // SAFETY: the contract of this function.
    if let Some(delivery) = unsafe { delivery.as_mut() } {
        event(&mut delivery.machine);
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

/// The name has no address, or none can be found out now. `why` is the resolver's text.
///
/// # Safety
/// `delivery` is NULL or lives; `why` is NULL or NUL-terminated.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn qmail_auth_delivery_not_resolved(delivery: *mut qmail_auth_delivery, why: *const c_char) {
    // SAFETY: the contract of this function.
    let why = String::from_utf8_lossy(unsafe { text(why) }.unwrap_or_default()).into_owned();
    // SAFETY: likewise.
    unsafe { tell(delivery, |machine| machine.not_resolved(&why)) }
}

/// There is a connection to the wanted address. `unix_time` is in seconds, to verify certificates by.
///
/// # Safety
/// `delivery` is NULL or lives.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn qmail_auth_delivery_connected(delivery: *mut qmail_auth_delivery, now: u64, unix_time: u64) {
    // SAFETY: the contract of this function.
    unsafe { tell(delivery, |machine| machine.connected(now, unix_time)) }
}

/// There is none.
///
/// # Safety
/// `delivery` is NULL or lives.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn qmail_auth_delivery_not_connected(delivery: *mut qmail_auth_delivery, error: c_int) {
    // SAFETY: the contract of this function.
    unsafe { tell(delivery, |machine| machine.not_connected(&os_error(error))) }
}

/// The server said this. What it said must be told before what was sent after it.
///
/// # Safety
/// `delivery` is NULL or lives; `octets` points to `len` octets.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn qmail_auth_delivery_received(
    delivery: *mut qmail_auth_delivery,
    now: u64,
    octets: *const c_char,
    len: usize,
) {
    // SAFETY: the contract of this function.
    let said = unsafe { self::octets(octets, len) }.unwrap_or_default();
    // SAFETY: likewise.
    unsafe { tell(delivery, |machine| machine.received(now, said)) }
}

/// The server closed, or receiving failed.
///
/// # Safety
/// `delivery` is NULL or lives.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn qmail_auth_delivery_closed(delivery: *mut qmail_auth_delivery) {
    // SAFETY: the contract of this function.
    unsafe { tell(delivery, Delivery::closed) }
}

/// The kernel took this many of the wanted octets.
///
/// # Safety
/// `delivery` is NULL or lives.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn qmail_auth_delivery_sent(delivery: *mut qmail_auth_delivery, now: u64, count: usize) {
    // SAFETY: the contract of this function.
    unsafe { tell(delivery, |machine| machine.sent(now, count)) }
}

/// Sending failed. Go on receiving: what the server has said is wanted to its end.
///
/// # Safety
/// `delivery` is NULL or lives.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn qmail_auth_delivery_send_failed(delivery: *mut qmail_auth_delivery) {
    // SAFETY: the contract of this function.
    unsafe { tell(delivery, Delivery::send_failed) }
}

/// The deadline passed, with nothing to receive and nothing taken.
///
/// # Safety
/// `delivery` is NULL or lives.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn qmail_auth_delivery_timed_out(delivery: *mut qmail_auth_delivery) {
    // SAFETY: the contract of this function.
    unsafe { tell(delivery, Delivery::timed_out) }
}

/// The next piece of the message; its end for `len` 0.
///
/// # Safety
/// `delivery` is NULL or lives; `octets` points to `len` octets.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn qmail_auth_delivery_message(
    delivery: *mut qmail_auth_delivery,
    octets: *const c_char,
    len: usize,
) {
    // SAFETY: the contract of this function.
    let piece = unsafe { self::octets(octets, len) };
    let event = |machine: &mut Delivery| match piece {
        None => machine.message_failed("no buffer"),
        Some([]) => machine.message_end(),
        Some(piece) => machine.message(piece),
    };
    // SAFETY: likewise.
    unsafe { tell(delivery, event) }
}

/// The message cannot be read.
///
/// # Safety
/// `delivery` is NULL or lives.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn qmail_auth_delivery_message_failed(delivery: *mut qmail_auth_delivery, error: c_int) {
    // SAFETY: the contract of this function.
    unsafe { tell(delivery, |machine| machine.message_failed(&os_error(error))) }
}

/// The connection is closed on our side.
///
/// # Safety
/// `delivery` is NULL or lives.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn qmail_auth_delivery_disconnected(delivery: *mut qmail_auth_delivery) {
    // SAFETY: the contract of this function.
    unsafe { tell(delivery, Delivery::disconnected) }
}

/// Frees a delivery, and clears its secrets. Does nothing for NULL.
///
/// # Safety
/// `delivery` is NULL or lives, and is not used again.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn qmail_auth_delivery_free(delivery: *mut qmail_auth_delivery) {
    if !delivery.is_null() {
        // SAFETY: it came from Box::into_raw in qmail_auth_delivery_new.
        drop(unsafe { Box::from_raw(delivery) });
    }
}
