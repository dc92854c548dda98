//! What this program wants from c-glue, and what may have happened: besides what a delivery has of that, locks and files of an account,
//! the person at the terminal, and the browser.

use crate::want;
use std::io;
use std::path::Path;

/// The one thing to do next. Deadlines are in milliseconds of the monotonic clock.
#[derive(Debug, PartialEq, Eq)]
pub enum Want<'a> {
    /// What a delivery can want, too: [`Happened::Net`]; [`Happened::Released`] for [`want::Want::Release`].
    Net(want::Want<'a>),
    /// Make `NAME.new` for this file, with room for what it may hold: [`Happened::Stored`].
    Prepare(&'a Path),
    /// Write this into `NAME.new` and give it the file's name, so that it is on the disk: [`Happened::Stored`].
    Replace(&'a Path, &'a [u8]),
    /// Listen at a free port of 127.0.0.1: [`Happened::Listening`].
    Listen,
    /// Wait for a line of descriptor 0 and for browsers at that port: [`Happened::Line`], [`Happened::Browser`] or
    /// [`Happened::TimedOut`].
    Hear(u64),
    /// Send this to the browser that was heard last, and close: [`Happened::Answered`].
    Answer(&'a [u8]),
    /// Do nothing until the deadline: [`Happened::TimedOut`].
    Wait(u64),
    /// Write this to descriptor 1, whole. Nothing happens then.
    Print(&'a [u8]),
    /// The end.
    Done,
}

/// What happened.
#[derive(Debug)]
pub enum Happened<'a> {
    /// What can happen to a delivery, too.
    Net(want::Happened<'a>),
    /// The lock is about to be released, at this Unix time.
    Released(u64),
    /// The file is prepared or replaced.
    Stored(Result<(), io::Error>),
    /// The port.
    Listening(Result<u16, io::Error>),
    /// Octets of descriptor 0; none at its end.
    Line(&'a [u8]),
    /// Octets of the browser with this number, which is below [`BROWSERS`]; none where it has connected anew.
    Browser(usize, &'a [u8]),
    /// The answer is sent.
    Answered,
    /// The deadline passed.
    TimedOut(u64),
}

/// How many browsers may be connected at once: some connect twice and speak once.
pub const BROWSERS: usize = 4;

/// A machine that c-glue runs.
pub trait Machine {
    /// What to do now. `now` is in milliseconds of the monotonic clock.
    fn want(&mut self, now: u64) -> Want<'_>;
    /// Takes what happened when C tried what was wanted.
    fn happened(&mut self, event: Happened);
    /// The exit status, once it is done.
    fn status(&self) -> u8;
}

/// Ends the process by a signal: the caller did something else than what was wanted.
pub fn out_of_turn(event: &Happened) -> ! {
    // No more than its name: the octets may hold secrets.
    panic!("out of turn: {:?}", std::mem::discriminant(event))
}
