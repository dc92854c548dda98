//! The octets of one connection, in clear or over TLS: what is queued for sending, how much of it the kernel has taken, and the
//! decryption of what is received.

use crate::tls::{Failure, Session};
use qmail_auth::secret;
use std::collections::VecDeque;

/// What one TLS record can hold (RFC 8446 section 5.1).
const RECORD: usize = 1 << 14;

/// A connection's octets. An offset counts the octets queued since the start of the connection, before encryption. Over TLS the
/// octets before an offset are sent once the kernel has taken the whole record that holds them.
#[derive(Default)]
pub struct Channel {
    /// For the kernel, encrypted if there is TLS.
    octets: Vec<u8>,
    /// How many of `octets` the kernel has taken.
    taken: usize,
    /// How many octets the kernel has taken on this connection, as they are on the wire.
    sent: u64,
    /// The offset after all that was queued.
    put: u64,
    /// The offset after all that was sent.
    gone: u64,
    holds_secret: bool,
    tls: Option<Box<Session>>,
    /// Not yet encrypted. All that is queued between two sends becomes one record: a relay that reads record by record answers each
    /// separately, and its second answer may wait until the first is acknowledged (RFC 896).
    plain: Vec<u8>,
    /// The records that the kernel has not taken: where each ends, as `sent` counts, and as offsets count.
    records: VecDeque<(u64, u64)>,
}

impl Channel {
    /// The octets to send now.
    pub fn pending(&mut self) -> &[u8] {
        self.encrypt();
        &self.octets[self.taken..]
    }

    /// How many octets that is, without what TLS adds.
    pub fn waiting(&self) -> usize {
        self.octets.len() - self.taken + self.plain.len()
    }

    /// The offset after all that is queued so far.
    pub fn end(&self) -> u64 {
        self.put
    }

    /// The kernel has taken all octets before this offset.
    pub fn is_sent(&self, place: u64) -> bool {
        self.gone >= place
    }

    /// From here on everything is encrypted.
    pub fn start_tls(&mut self, session: Session) {
        self.tls = Some(Box::new(session));
        self.take_from_tls();
    }

    /// The TLS session, once it is started.
    pub fn tls(&self) -> Option<&Session> {
        self.tls.as_deref()
    }

    /// Decrypts `octets` and appends to `plain`; on failure `plain` keeps what came before it. What TLS itself has to send, such as
    /// an alert about the failure, is queued.
    pub fn decrypt(&mut self, octets: &[u8], plain: &mut Vec<u8>) -> Result<(), Failure> {
        let Some(session) = &mut self.tls else { return Ok(()) };
        let received = session.receive(octets, plain);
        self.take_from_tls();
        received
    }

    /// Queues what `fill` appends.
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

    /// Queues one line and its CRLF.
    pub fn put_line(&mut self, line: &[u8]) {
        self.put(|octets| {
            octets.extend_from_slice(line);
            octets.extend_from_slice(b"\r\n");
        });
    }

    /// Queues one line that holds a secret, and its CRLF. It is cleared once sent or encrypted. Capacity is reserved first, since
    /// growing a buffer leaves a copy behind.
    pub fn put_secret_line(&mut self, line: &[u8]) {
        self.holds_secret = self.tls.is_none();
        self.octets.reserve(line.len() + 2);
        self.plain.reserve(line.len() + 2);
        self.put_line(line);
        self.encrypt();
        secret::clear(&mut self.plain);
    }

    /// Queues the end of our side of TLS, if there is TLS.
    pub fn put_close(&mut self) {
        self.encrypt();
        if let Some(session) = &mut self.tls {
            session.send_close();
            self.take_from_tls();
        }
    }

    /// The kernel has taken `count` more octets.
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

    /// Drops what is queued.
    pub fn clear(&mut self) {
        self.clear_octets();
        self.plain.clear();
        self.records.clear();
    }

    fn clear_octets(&mut self) {
        if self.holds_secret {
            secret::clear(&mut self.octets);
        } else {
            self.octets.clear();
        }
        self.taken = 0;
        self.holds_secret = false;
    }

    /// Encrypts what is queued, in as few records as possible.
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
            } // else TLS has kept the piece, and it is not sent
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
