//! The border to c-glue: the one thing that a delivery wants next, and what may have happened when C has tried it.
//!
//! No socket, no clock and no file of the message is on this side. So all that is decided can be tested without them.

use qmail_auth::mechanisms::NONCE;
use std::io;
use std::net::IpAddr;
use std::path::Path;
use std::process::ExitStatus;

/// The one thing to do next. Deadlines are in milliseconds of the monotonic clock.
#[derive(Debug, PartialEq, Eq)]
pub enum Want<'a> {
    /// Look up the MX records of this name: [`Happened::Mx`] or [`Happened::NotFound`].
    Mx(&'a str),
    /// Look up the addresses of this name: [`Happened::Resolved`] or [`Happened::NotFound`].
    Addresses(&'a str),
    /// Tell the addresses of this machine: [`Happened::OwnAddress`] for each, then [`Happened::OwnAddressesEnd`]; or
    /// [`Happened::OwnAddressesFailed`].
    OwnAddresses,
    /// Lock this file, give `Delivery::tcpto` what is in it, write what that answers, and unlock it.
    Tcpto(&'a Path),
    /// Connect until the deadline: [`Happened::Connected`], [`Happened::NotConnected`] or [`Happened::NotBound`].
    Connect(Connect, u64),
    /// Lock this file of an account, so that no more than one delivery, or two, log in there at once: [`Happened::Locked`] or
    /// [`Happened::NotLocked`]. And whether to wait while others have it.
    Lock(&'a Path, bool),
    /// Call `Delivery::release`, which writes what came of the login, and release the lock.
    Release,
    /// Receive, and send what the kernel takes of this, until the deadline: [`Happened::Received`], [`Happened::Closed`],
    /// [`Happened::Sent`], [`Happened::SendFailed`] or [`Happened::TimedOut`].
    Io(&'a [u8], u64),
    /// Read the message to its end and go back to its start: [`Happened::Message`] for each piece, then
    /// [`Happened::MessageEnd`] or [`Happened::MessageFailed`]; or, where that cannot be done, [`Happened::NotPrescanned`].
    Prescan,
    /// Read on in the message, and receive, until the deadline: [`Happened::Message`], [`Happened::MessageEnd`],
    /// [`Happened::MessageFailed`], [`Happened::Received`], [`Happened::Closed`] or [`Happened::TimedOut`].
    Message(u64),
    /// Tell random octets: [`Happened::Random`].
    Random,
    /// Run the program that `Delivery::program` tells, until the deadline: [`Happened::Ran`].
    Run(u64),
    /// Send this if the kernel takes it at once, close the connection: [`Happened::Disconnected`].
    Close(&'a [u8]),
    /// Write this report, whole, and exit 0.
    Done(&'a [u8]),
}

/// A connection to make.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Connect {
    /// The address of the server.
    pub address: Address,
    /// Its port.
    pub port: u16,
    /// The local address, if that is configured.
    pub source: Option<IpAddr>,
}

/// An address to connect to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Address {
    /// IPv4 or IPv6.
    pub ip: IpAddr,
    /// The interface of a link-local IPv6 address, else 0.
    pub scope: u32,
}

/// Why a lookup came to nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NotFound {
    /// There is no such name, or it has nothing of what was asked for.
    None,
    /// Nobody knows now: the servers failed, did not answer, or refused.
    Unknown,
}

/// What happened. Times `now` are in milliseconds of the monotonic clock, `unix` is in seconds since 1970.
#[derive(Debug)]
pub enum Happened<'a> {
    /// The resolver's answer about MX records, and a number that decides between mail exchangers of one preference.
    Mx(&'a [u8], u64),
    /// The name has these addresses, in this order.
    Resolved(Vec<Address>),
    /// There are no such records, or nobody knows now; and the resolver's words.
    NotFound(NotFound, &'a str),
    /// This machine has this address.
    OwnAddress(IpAddr),
    /// All addresses of this machine have been told.
    OwnAddressesEnd,
    /// The addresses of this machine cannot be found out.
    OwnAddressesFailed(&'a io::Error),
    /// There is a connection to the wanted address. `unix` is the time to verify certificates by.
    Connected {
        /// The time.
        now: u64,
        /// The same of the other clock.
        unix: u64,
    },
    /// The lock is held.
    Locked {
        /// The time.
        now: u64,
        /// The same of the other clock.
        unix: u64,
    },
    /// It is not. Others have it where this is [`io::ErrorKind::WouldBlock`], or after the wait [`io::ErrorKind::Interrupted`].
    NotLocked {
        /// The time.
        now: u64,
        /// The same of the other clock.
        unix: u64,
        /// Why.
        error: &'a io::Error,
    },
    /// There is no connection to it.
    NotConnected(&'a io::Error),
    /// The wanted source is no address of this machine.
    NotBound(&'a io::Error),
    /// The server said this.
    Received(u64, &'a [u8]),
    /// The server closed, or the connection is lost for receiving.
    Closed,
    /// The kernel took so many octets of those wanted.
    Sent(u64, usize),
    /// The kernel takes no more. What the server has said is still wanted, up to its end.
    SendFailed,
    /// The deadline passed with nothing to receive and nothing taken.
    TimedOut,
    /// The next piece of the message.
    Message(&'a [u8]),
    /// The message is read to its end.
    MessageEnd,
    /// The message cannot be read.
    MessageFailed(&'a io::Error),
    /// The message cannot be read twice, so there is no prescan.
    NotPrescanned,
    /// Random octets, as many as a login by SCRAM needs. None: the system has none to give.
    Random(Option<[u8; NONCE]>),
    /// The program has run, or not; and Unix time.
    Ran(Ran<'a>, u64),
    /// The connection is closed on our side.
    Disconnected(u64),
}

/// What became of a program.
#[derive(Debug)]
pub enum Ran<'a> {
    /// It ended so, and printed this.
    Done(ExitStatus, &'a [u8]),
    /// It has not ended in time, and goes on alone.
    Silent,
    /// It cannot be run.
    Not(&'a io::Error),
}

/// Ends the process by a signal, which qmail-rspawn takes for a deferral: the caller did something else than what was wanted, so
/// nothing that would be reported now could be relied on.
pub fn out_of_turn(event: &Happened) -> ! {
    // No more than its name: the octets may hold secrets.
    panic!("out of turn: {:?}", std::mem::discriminant(event))
}
