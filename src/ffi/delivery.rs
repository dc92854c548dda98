//! c-glue/delivery.h: the delivery machine as c-glue sees it. Private to this program; the comments here are the header's.

use super::address::{from_address, qmail_auth_address};
use super::{octets, text};
use crate::control::home::Surroundings;
use crate::delivery::{Delivery, Want};
use crate::resolve::addresses::Address;
use std::ffi::{CString, OsStr, c_char, c_int};
use std::io::Error;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

/// One delivery. Made by qmail_auth_delivery_new, freed by qmail_auth_delivery_free. Every other function takes it and does
/// nothing for NULL. Where an errno is asked for it is errno as the failed call left it.
#[allow(non_camel_case_types)] // the C name
pub struct qmail_auth_delivery {
    machine: Delivery,
    /// The name last wanted, as a C string.
    name: CString,
    /// What was last to be printed.
    printed: Vec<u8>,
}

impl qmail_auth_delivery {
    /// For C, which frees it.
    pub(super) fn boxed(machine: Delivery) -> *mut qmail_auth_delivery {
        Box::into_raw(Box::new(qmail_auth_delivery { machine, name: CString::default(), printed: Vec::new() }))
    }

    /// Its report is a K.
    pub(super) fn is_good(&self) -> bool {
        self.machine.is_good()
    }
}

/// The one thing to do next.
#[allow(non_camel_case_types)] // the C name
#[repr(C)]
#[derive(Clone, Copy)]
pub enum qmail_auth_what {
    /// Look up the MX records of `name`.
    Mx,
    /// Look up the addresses of `name`.
    Addresses,
    /// Tell the addresses of this machine.
    OwnAddresses,
    /// Lock the file `name`, tell what is in it, write the change, unlock it.
    Tcpto,
    /// Connect to `address` and `port` until `deadline`, from `source` if it has a length.
    Connect,
    /// Receive, and send what the kernel takes of `octets`, until `deadline`.
    Io,
    /// Read the whole message and go back to its start.
    Measure,
    /// Read on in the message, and receive, until `deadline`.
    Message,
    /// Send `octets` if the kernel takes them at once, and close.
    Close,
    /// Write `octets` to the report pipe, whole, and exit 0. After a check there are none.
    Done,
    /// Write `octets` to descriptor 1, whole. Only a check wants this.
    Print,
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
    /// To connect from.
    pub source: qmail_auth_address,
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
/// the name that the program was executed by; each may be NULL. `pid` is that of the process. Reads the control files.
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
    pid: u32,
) -> *mut qmail_auth_delivery {
    // SAFETY: the contract of this function.
    let (arguments, [qmailhome, cwd, execfn]) =
        unsafe { (self::arguments(argc, argv), paths([qmailhome, cwd, execfn])) };
    qmail_auth_delivery::boxed(Delivery::new(&arguments, &Surroundings { qmailhome, cwd, execfn, pid }))
}

/// The arguments of main without the program's name.
///
/// # Safety
/// `argv` is NULL or points to `argc` NUL-terminated strings that stay as they are while the slices are used.
pub(super) unsafe fn arguments<'a>(argc: c_int, argv: *const *const c_char) -> Vec<&'a [u8]> {
    let count = if argv.is_null() { 0 } else { usize::try_from(argc).unwrap_or_default() };
    // SAFETY: the contract of this function: argv has argc strings, and argv[0] is not ours to read.
    (1..count).map_while(|i| unsafe { text(*argv.add(i)) }).collect()
}

/// Strings as paths.
///
/// # Safety
/// Each is NULL or NUL-terminated, and stays as it is while the path is used.
pub(super) unsafe fn paths<'a>(names: [*const c_char; 3]) -> [Option<&'a Path>; 3] {
    names.map(|name| {
        // SAFETY: the contract of this function.
        let octets = unsafe { text(name) };
        octets.map(|octets| Path::new(OsStr::from_bytes(octets)))
    })
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
        source: qmail_auth_address::default(),
        name: c"".as_ptr(),
        octets: c"".as_ptr(),
        len: 0,
        deadline: 0,
    };
    // SAFETY: the contract of this function.
    if let Some(qmail_auth_delivery { machine, name, printed }) = unsafe { delivery.as_mut() } {
        *printed = machine.log().output(now);
        let is_check = machine.log().is_on();
        let (what, octets): (_, &[u8]) = match machine.want(now) {
            _ if !printed.is_empty() => (qmail_auth_what::Print, printed),
            // A name holds no NUL; an empty one is not found.
            Want::Mx(host) => {
                *name = CString::new(host).unwrap_or_default();
                (qmail_auth_what::Mx, b"")
            }
            Want::Addresses(host) => {
                *name = CString::new(host).unwrap_or_default();
                (qmail_auth_what::Addresses, b"")
            }
            Want::OwnAddresses => (qmail_auth_what::OwnAddresses, b""),
            Want::Tcpto(path) => {
                *name = CString::new(path.as_os_str().as_bytes()).unwrap_or_default();
                (qmail_auth_what::Tcpto, b"")
            }
            Want::Connect(connect, deadline) => {
                (wanted.address, wanted.port, wanted.deadline) =
                    (from_address(connect.address), connect.port, deadline);
                wanted.source = connect.source.map(|ip| from_address(Address { ip, scope: 0 })).unwrap_or_default();
                (qmail_auth_what::Connect, b"")
            }
            Want::Measure => (qmail_auth_what::Measure, b""),
            Want::Io(octets, deadline) => {
                wanted.deadline = deadline;
                (qmail_auth_what::Io, octets)
            }
            Want::Message(deadline) => {
                wanted.deadline = deadline;
                (qmail_auth_what::Message, b"")
            }
            Want::Close(octets) => (qmail_auth_what::Close, octets),
            Want::Done(_) if is_check => (qmail_auth_what::Done, b""), // it has printed what there is to say
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

/// Gives the machine of a delivery an event.
///
/// # Safety
/// `delivery` is NULL or lives.
pub(super) unsafe fn tell(delivery: *mut qmail_auth_delivery, event: impl FnOnce(&mut Delivery)) {
    // SAFETY: the contract of this function.
    if let Some(delivery) = unsafe { delivery.as_mut() } {
        event(&mut delivery.machine);
    }
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
    unsafe { tell(delivery, |machine| machine.not_connected(&Error::from_raw_os_error(error))) }
}

/// There can be none from the wanted source.
///
/// # Safety
/// `delivery` is NULL or lives.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn qmail_auth_delivery_not_bound(delivery: *mut qmail_auth_delivery, error: c_int) {
    // SAFETY: the contract of this function.
    unsafe { tell(delivery, |machine| machine.not_bound(&Error::from_raw_os_error(error))) }
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
        None => machine.message_failed(&Error::other("no buffer")),
        Some([]) => machine.message_end(),
        Some(piece) => machine.message(piece),
    };
    // SAFETY: likewise.
    unsafe { tell(delivery, event) }
}

/// The message cannot be read twice, so it is not measured.
///
/// # Safety
/// `delivery` is NULL or lives.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn qmail_auth_delivery_not_measured(delivery: *mut qmail_auth_delivery) {
    // SAFETY: the contract of this function.
    unsafe { tell(delivery, Delivery::not_measured) }
}

/// The message cannot be read.
///
/// # Safety
/// `delivery` is NULL or lives.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn qmail_auth_delivery_message_failed(delivery: *mut qmail_auth_delivery, error: c_int) {
    // SAFETY: the contract of this function.
    unsafe { tell(delivery, |machine| machine.message_failed(&Error::from_raw_os_error(error))) }
}

/// The connection is closed on our side.
///
/// # Safety
/// `delivery` is NULL or lives.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn qmail_auth_delivery_disconnected(delivery: *mut qmail_auth_delivery, now: u64) {
    // SAFETY: the contract of this function.
    unsafe { tell(delivery, |machine| machine.disconnected(now)) }
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
