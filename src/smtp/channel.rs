//! The octets of one connection, in clear or over TLS: what is to be sent, how much of it the kernel has taken, and what was
//! received.

use crate::secret;
use crate::tls::{Failure, Session};

/// Octets on their way. A place in the stream that goes out is counted in octets for the kernel, so over TLS in encrypted
/// ones: what lies before it has gone out once the kernel has taken all of its record.
#[derive(Default)]
pub struct Channel {
    octets: Vec<u8>,
    taken: usize,
    /// Octets of this connection that the kernel has taken.
    sent: u64,
    holds_secret: bool,
    tls: Option<Box<Session>>,
    /// Room for what is to be encrypted.
    plain: Vec<u8>,
}

impl Channel {
    /// What the kernel has not yet taken.
    pub fn pending(&self) -> &[u8] {
        &self.octets[self.taken..]
    }

    /// The place behind all that was put in so far.
    pub fn end(&self) -> u64 {
        self.sent + self.pending().len() as u64
    }

    /// The kernel has taken all before this place.
    pub fn is_sent(&self, place: u64) -> bool {
        self.sent >= place
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
        match &mut self.tls {
            None => {
                self.octets.drain(..self.taken);
                self.taken = 0;
                fill(&mut self.octets);
            }
            Some(session) => {
                fill(&mut self.plain);
                session.send(&self.plain);
                self.plain.clear();
                self.take_from_tls();
            }
        }
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
        secret::clear(&mut self.plain);
    }

    /// Ends our side of TLS, if there is TLS.
    pub fn put_close(&mut self) {
        if let Some(session) = &mut self.tls {
            session.send_close();
            self.take_from_tls();
        }
    }

    /// The kernel took this many more octets.
    pub fn sent(&mut self, count: usize) {
        let count = count.min(self.pending().len());
        self.taken += count;
        self.sent += count as u64;
        if self.taken == self.octets.len() {
            self.clear();
        }
    }

    /// Forgets what is pending: it can no longer be sent.
    pub fn clear(&mut self) {
        match self.holds_secret {
            true => secret::clear(&mut self.octets),
            false => self.octets.clear(),
        }
        self.taken = 0;
        self.holds_secret = false;
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
