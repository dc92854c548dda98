//! c-glue/delivery.h: the delivery machine as c-glue sees it. Private to this program; the comments here are the header's.

use super::address::{from_address, qmail_auth_address};
use super::text;
use crate::control::home::Surroundings;
use crate::delivery::Delivery;
use crate::oauth::want::Machine;
use crate::want::{Address, Want};
use qmail_auth::secret::{KEEP, keep_secrets};
use std::ffi::{CString, OsStr, c_char, c_int};
use std::mem::MaybeUninit;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

/// One delivery, or what qmail-remote-oauth does. Made by qmail_auth_delivery_new, freed by qmail_auth_delivery_free. Every other
/// function takes it and does nothing for NULL, but for qmail_auth_delivery_want. Where an errno is asked for it is errno as the failed
/// call left it.
#[allow(non_camel_case_types)] // the C name
pub struct qmail_auth_delivery {
    pub(super) job: Job,
    /// The name last wanted, as a C string.
    name: CString,
    /// What was last to be printed.
    printed: Vec<u8>,
    /// The program to run and its environment, and pointers to the words of both.
    program: (Vec<CString>, Vec<*const c_char>),
}

/// What c-glue runs.
pub(super) enum Job {
    Delivery(Delivery),
    /// Behind a pointer, so that qmail-remote is linked without it.
    Machine(Box<dyn Machine>),
}

impl qmail_auth_delivery {
    /// For C, which frees it.
    pub(super) fn boxed(job: Job) -> Box<qmail_auth_delivery> {
        Box::new(qmail_auth_delivery {
            job,
            name: CString::default(),
            printed: Vec::new(),
            program: Default::default(),
        })
    }

    /// The delivery, if it is one.
    pub(super) fn mail(&mut self) -> Option<&mut Delivery> {
        match &mut self.job {
            Job::Delivery(delivery) => Some(delivery),
            Job::Machine(_) => None,
        }
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
    /// Lock the file `name` of an account; wait for it if `wait` is not 0.
    Lock,
    /// Tell the delivery to write what came of the login, and release that lock.
    Release,
    /// Connect to `address` and `port` until `deadline`, from `source` if it has a length.
    Connect,
    /// Receive, and send what the kernel takes of `octets`, until `deadline`.
    Io,
    /// Read the whole message and go back to its start.
    Prescan,
    /// Read on in the message, and receive, until `deadline`.
    Message,
    /// Tell random octets.
    Random,
    /// Run the program of qmail_auth_delivery_program until `deadline`.
    Run,
    /// Send `octets` if the kernel takes them at once, and close.
    Close,
    /// Write `octets` to the report pipe, whole, and exit 0. After a check there are none.
    Done,
    /// Write `octets` to descriptor 1, whole. No delivery wants this.
    Print,
    // qmail-remote-oauth alone wants these.
    /// Make room in `name` with `.new` behind it.
    Prepare,
    /// Write `octets` there, and rename it to `name`.
    Replace,
    /// Listen at a port of 127.0.0.1.
    Listen,
    /// Read from descriptor 0, and what browsers send there, until `deadline`.
    Hear,
    /// Send `octets` to the browser that was heard last, and close.
    Answer,
    /// Do nothing until `deadline`.
    Wait,
}

/// What is wanted. Pointers are good until the next call with the same delivery.
#[allow(non_camel_case_types)] // the C name
#[repr(C)]
pub struct qmail_auth_want {
    /// Which of the members below count.
    pub what: qmail_auth_what,
    /// A number, not in network order.
    pub port: u16,
    /// 1 or 0.
    pub wait: c_int,
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
/// the name that the program was executed by; each may be NULL. `pid` is that of the process, `uid` its effective user, `unix_time`
/// in seconds. Reads the control files.
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
    uid: u32,
    unix_time: u64,
) -> Box<qmail_auth_delivery> {
    if cfg!(debug_assertions) && std::env::var_os(KEEP).is_some() {
        keep_secrets();
    }
    // SAFETY: the contract of this function.
    let (arguments, [qmailhome, cwd, execfn]) =
        unsafe { (self::arguments(argc, argv), paths([qmailhome, cwd, execfn])) };
    let surroundings = Surroundings { qmailhome, cwd, execfn, pid, uid, unix: unix_time };
    qmail_auth_delivery::boxed(Job::Delivery(Delivery::new(&arguments, &surroundings)))
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

/// What to do now; `now` is in milliseconds of the monotonic clock. Without a delivery the process ends by a signal.
#[unsafe(no_mangle)]
pub extern "C" fn qmail_auth_delivery_want(
    delivery: Option<&mut qmail_auth_delivery>,
    now: u64,
    want: Option<&mut MaybeUninit<qmail_auth_want>>,
) {
    let qmail_auth_delivery { job, name, printed, .. } = delivery.expect("a delivery");
    let wanted = match job {
        Job::Machine(machine) => super::oauth::wanted(machine.want(now), name),
        Job::Delivery(delivery) => {
            *printed = delivery.log().output(now);
            let is_check = delivery.log().is_on();
            match delivery.want(now) {
                _ if !printed.is_empty() => qmail_auth_want::of(qmail_auth_what::Print, printed, name),
                Want::Done(_) if is_check => qmail_auth_want::of(qmail_auth_what::Done, b"", name), // it has printed all
                other => of_delivery(other, name),
            }
        }
    };
    if let Some(want) = want {
        want.write(wanted);
    }
}

impl qmail_auth_want {
    pub(super) fn of(what: qmail_auth_what, octets: &[u8], name: &CString) -> qmail_auth_want {
        qmail_auth_want {
            what,
            port: 0,
            wait: 0,
            address: qmail_auth_address::default(),
            source: qmail_auth_address::default(),
            name: name.as_ptr(),
            octets: octets.as_ptr().cast(),
            len: octets.len(),
            deadline: 0,
        }
    }
}

/// Keeps a name as a C string.
pub(super) fn keep(name: &mut CString, octets: &[u8]) {
    if name.as_bytes() != octets {
        *name = CString::new(octets).unwrap_or_default(); // no name holds a NUL
    }
}

/// What a delivery wants, in C.
pub(super) fn of_delivery(want: Want, name: &mut CString) -> qmail_auth_want {
    let mut wanted = qmail_auth_want::of(qmail_auth_what::Done, b"", name);
    let mut c_name = |octets: &[u8]| keep(name, octets);
    let (what, octets): (_, &[u8]) = match want {
        Want::Mx(host) => {
            c_name(host.as_bytes());
            (qmail_auth_what::Mx, b"")
        }
        Want::Addresses(host) => {
            c_name(host.as_bytes());
            (qmail_auth_what::Addresses, b"")
        }
        Want::OwnAddresses => (qmail_auth_what::OwnAddresses, b""),
        Want::Tcpto(path) => {
            c_name(path.as_os_str().as_bytes());
            (qmail_auth_what::Tcpto, b"")
        }
        Want::Lock(path, wait) => {
            c_name(path.as_os_str().as_bytes());
            wanted.wait = c_int::from(wait);
            (qmail_auth_what::Lock, b"")
        }
        Want::Release => (qmail_auth_what::Release, b""),
        Want::Connect(connect, deadline) => {
            (wanted.address, wanted.port, wanted.deadline) = (from_address(connect.address), connect.port, deadline);
            wanted.source = connect.source.map(|ip| from_address(Address { ip, scope: 0 })).unwrap_or_default();
            (qmail_auth_what::Connect, b"")
        }
        Want::Prescan => (qmail_auth_what::Prescan, b""),
        Want::Io(octets, deadline) => {
            wanted.deadline = deadline;
            (qmail_auth_what::Io, octets)
        }
        Want::Message(deadline) => {
            wanted.deadline = deadline;
            (qmail_auth_what::Message, b"")
        }
        Want::Random => (qmail_auth_what::Random, b""),
        Want::Run(deadline) => {
            wanted.deadline = deadline;
            (qmail_auth_what::Run, b"")
        }
        Want::Close(octets) => (qmail_auth_what::Close, octets),
        Want::Done(octets) => (qmail_auth_what::Done, octets),
    };
    (wanted.what, wanted.octets, wanted.len, wanted.name) = (what, octets.as_ptr().cast(), octets.len(), name.as_ptr());
    wanted
}

/// The words of the program to run, NULL behind the last. Sets `environment`, which is not NULL, to its environment, in the same form.
/// Both are good until the next call with the same delivery. NULL where no program is wanted.
#[unsafe(no_mangle)]
pub extern "C" fn qmail_auth_delivery_program(
    delivery: Option<&mut qmail_auth_delivery>,
    environment: Option<&mut MaybeUninit<*const *const c_char>>,
) -> *const *const c_char {
    let Some(delivery) = delivery else { return std::ptr::null() };
    let Some((words, settings)) = delivery.mail().and_then(|mail| mail.program()) else { return std::ptr::null() };
    let behind = words.len() + 1;
    let strings: Vec<CString> = words.into_iter().chain(settings).collect();
    let mut pointers: Vec<*const c_char> = strings.iter().map(|word| word.as_ptr()).collect();
    pointers.insert(behind - 1, std::ptr::null());
    pointers.push(std::ptr::null());
    delivery.program = (strings, pointers);
    let (words, settings) = delivery.program.1.split_at(behind);
    environment.expect("a place for it").write(settings.as_ptr());
    words.as_ptr()
}

/// Frees a delivery, and clears its secrets. Does nothing for NULL.
#[unsafe(no_mangle)]
pub extern "C" fn qmail_auth_delivery_free(delivery: Option<Box<qmail_auth_delivery>>) {
    drop(delivery);
}
