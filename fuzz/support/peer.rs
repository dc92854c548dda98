//! The server's side of one connection: what it heard and said, in clear text, and when it had the whole message.

use crate::server_side::ServerSide;
use rustls::ServerConfig;
use std::sync::Arc;

#[derive(Default)]
pub struct Peer {
    pub heard: Vec<u8>,
    /// Without CR.
    pub said: Vec<u8>,
    /// How much it had said when MAIL was there.
    pub said_before_mail: Option<usize>,
    /// And when the final dot was.
    pub said_before_dot: Option<usize>,
    side: ServerSide,
}

impl Peer {
    /// With a configuration all is TLS from the first octet.
    pub fn new(config: Option<Arc<ServerConfig>>) -> Peer {
        let mut peer = Peer::default();
        config.into_iter().for_each(|config| peer.side.start_tls(config));
        peer
    }

    pub fn is_handshaking(&self) -> bool {
        self.side.tls.as_ref().is_some_and(|tls| tls.is_handshaking())
    }

    /// Takes octets of the client's, and answers what TLS has to say to that.
    pub fn hear(&mut self, octets: &[u8]) -> Vec<u8> {
        let before = self.heard.len();
        let _ = self.side.hear(octets, &mut self.heard); // it may be broken by now
        if self.said_before_mail.is_none() && place(self.beginning(), b"\r\nMAIL FROM:").is_some() {
            self.said_before_mail = Some(self.said.len());
        }
        if self.said_before_dot.is_none() {
            self.look_for_dot(before);
        }
        self.side.say(b"")
    }

    /// What goes over the wire for this.
    pub fn say(&mut self, octets: &[u8]) -> Vec<u8> {
        self.said.extend(octets.iter().filter(|c| **c != b'\r'));
        self.side.say(octets)
    }

    /// These go over the wire as they are. In clear that is to say them.
    pub fn say_outside_tls(&mut self, octets: &[u8]) {
        if self.side.tls.is_none() {
            self.say(octets);
        }
    }

    /// All commands up to the message are in it.
    fn beginning(&self) -> &[u8] {
        &self.heard[..self.heard.len().min(4096)]
    }

    /// No dot stands alone in the message, so the first behind DATA is the final one.
    fn look_for_dot(&mut self, before: usize) {
        let Some(data) = place(self.beginning(), b"\r\nDATA\r\n") else { return };
        let message = data + 6; // an empty one begins with the dot
        if place(&self.heard[message.max(before.saturating_sub(4))..], b"\r\n.\r\n").is_some() {
            self.said_before_dot = Some(self.said.len());
        }
    }
}

fn place(text: &[u8], word: &[u8]) -> Option<usize> {
    text.windows(word.len()).position(|window| window == word)
}
