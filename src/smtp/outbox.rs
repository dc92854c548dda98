//! What is to be sent, and how much of it the kernel has taken.

use zeroize::Zeroize;

/// Octets on their way out. A place in the stream is counted from the beginning of the connection.
#[derive(Default)]
pub struct Outbox {
    octets: Vec<u8>,
    taken: usize,
    /// Octets of this connection that the kernel has taken.
    sent: u64,
    holds_secret: bool,
}

impl Outbox {
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

    /// Adds one line and its CRLF.
    pub fn put_line(&mut self, line: &[u8]) {
        self.octets.extend_from_slice(line);
        self.octets.extend_from_slice(b"\r\n");
    }

    /// Adds one line that holds a secret. It is cleared once sent; the room is made first, so that no copy stays behind.
    pub fn put_secret_line(&mut self, line: &[u8]) {
        self.holds_secret = true;
        self.octets.reserve(line.len() + 2);
        self.put_line(line);
    }

    /// The buffer itself, to add the message to.
    pub fn octets(&mut self) -> &mut Vec<u8> {
        self.octets.drain(..self.taken);
        self.taken = 0;
        &mut self.octets
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
        if self.holds_secret {
            self.octets.zeroize();
        }
        self.octets.clear();
        self.taken = 0;
        self.holds_secret = false;
    }
}

impl Drop for Outbox {
    fn drop(&mut self) {
        self.clear();
    }
}
