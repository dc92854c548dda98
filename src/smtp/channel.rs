//! The octets of one connection, in clear or over TLS: what is to be sent, how much of it the kernel has taken, and what was
//! received.

use crate::tls::{Failure, Session};
use qmail_auth::secret;
use std::collections::VecDeque;

/// What one TLS record can hold (RFC 8446 section 5.1).
const RECORD: usize = 1 << 14;

/// Octets on their way. A place in the stream that goes out is counted in octets as they were put in. Over TLS what lies before it
/// has gone out once the kernel has taken all of its record.
#[derive(Default)]
pub struct Channel {
    /// For the kernel.
    octets: Vec<u8>,
    /// How many of `octets` the kernel has taken.
    taken: usize,
    /// How many octets it has taken on this connection in all, as they are on the wire.
    sent: u64,
    /// The place behind all that was put in.
    put: u64,
    /// The place behind all that has gone out.
    gone: u64,
    holds_secret: bool,
    tls: Option<Box<Session>>,
    /// What is not yet encrypted. A relay that reads record by record answers each by itself, and its second answer may wait until
    /// the first is acknowledged (RFC 896): so what is put in between two sends becomes one record.
    plain: Vec<u8>,
    /// The records that the kernel has not yet taken: where each ends, as `sent` counts, and the place of that end.
    records: VecDeque<(u64, u64)>,
}

impl Channel {
    /// What is to be sent: all that was put in and has not gone out.
    pub fn pending(&mut self) -> &[u8] {
        self.encrypt();
        &self.octets[self.taken..]
    }

    /// How many octets that is, but for what TLS adds to them.
    pub fn waiting(&self) -> usize {
        self.octets.len() - self.taken + self.plain.len()
    }

    /// The place behind all that was put in so far.
    pub fn end(&self) -> u64 {
        self.put
    }

    /// The kernel has taken all before this place.
    pub fn is_sent(&self, place: u64) -> bool {
        self.gone >= place
    }

    /// From here on all is TLS.
    pub fn start_tls(&mut self, session: Session) {
        self.tls = Some(Box::new(session));
        self.take_from_tls();
    }

    /// The TLS session, if all is TLS by now.
    pub fn tls(&self) -> Option<&Session> {
        self.tls.as_deref()
    }

    /// Decrypts what was received, behind what is in `plain`, which holds what was said before a failure also. What TLS
    /// itself has to answer, the alert about a failure too, is then among what is to be sent.
    pub fn decrypt(&mut self, octets: &[u8], plain: &mut Vec<u8>) -> Result<(), Failure> {
        let Some(session) = &mut self.tls else { return Ok(()) };
        let received = session.receive(octets, plain);
        self.take_from_tls();
        received
    }

    /// Adds what `fill` puts behind the octets it is given.
    pub fn put(&mut self, fill: impl FnOnce(&mut Vec<u8>)) {
        let buffer = match self.tls {
            None => {
                self.octets.drain(..self.taken);
                self.taken = 0;
                &mut self.octets
            }
            Some(_) => &mut self.plain,
        };
        let before = buffer.len();
        fill(buffer);
        self.put += (buffer.len() - before) as u64;
    }

    /// Adds one line and its CRLF.
    pub fn put_line(&mut self, line: &[u8]) {
        self.put(|octets| {
            octets.extend_from_slice(line);
            octets.extend_from_slice(b"\r\n");
        });
    }

    /// Adds one line that holds a secret. It is cleared once sent or encrypted; the room is made first, so that no copy stays
    /// behind.
    pub fn put_secret_line(&mut self, line: &[u8]) {
        self.holds_secret = self.tls.is_none();
        self.octets.reserve(line.len() + 2);
        self.plain.reserve(line.len() + 2);
        self.put_line(line);
        self.encrypt();
        secret::clear(&mut self.plain);
    }

    /// Ends our side of TLS, if there is TLS.
    pub fn put_close(&mut self) {
        self.encrypt();
        if let Some(session) = &mut self.tls {
            session.send_close();
            self.take_from_tls();
        }
    }

    /// The kernel took this many more octets.
    pub fn sent(&mut self, count: usize) {
        let count = count.min(self.octets.len() - self.taken);
        self.taken += count;
        self.sent += count as u64;
        if self.tls.is_none() {
            self.gone += count as u64;
        }
        while let Some(&(_, place)) = self.records.front().filter(|(end, _)| *end <= self.sent) {
            self.gone = place;
            self.records.pop_front();
        }
        if self.taken == self.octets.len() {
            self.clear_octets();
        }
    }

    /// Forgets what is pending: it can no longer be sent.
    pub fn clear(&mut self) {
        self.clear_octets();
        self.plain.clear();
        self.records.clear();
    }

    fn clear_octets(&mut self) {
        match self.holds_secret {
            true => secret::clear(&mut self.octets),
            false => self.octets.clear(),
        }
        self.taken = 0;
        self.holds_secret = false;
    }

    /// Makes records of what is not yet encrypted, as few as can be.
    fn encrypt(&mut self) {
        let Some(session) = self.tls.as_mut().filter(|_| !self.plain.is_empty()) else { return };
        self.octets.drain(..self.taken);
        self.taken = 0;
        let mut place = self.put - self.plain.len() as u64;
        for piece in self.plain.chunks(RECORD) {
            let before = self.octets.len();
            session.send(piece);
            session.take(&mut self.octets);
            place += piece.len() as u64;
            if self.octets.len() > before {
                self.records.push_back((self.sent + self.octets.len() as u64, place));
            } // else TLS holds it back, and it has not gone out
        }
        self.plain.clear();
    }

    fn take_from_tls(&mut self) {
        if let Some(session) = &mut self.tls {
            self.octets.drain(..self.taken);
            self.taken = 0;
            session.take(&mut self.octets);
        }
    }
}

impl Drop for Channel {
    fn drop(&mut self) {
        self.clear();
    }
}
