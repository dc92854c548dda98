//! The server's side of one connection: what it received and sent, as clear text, and when it had the whole message.

use crate::server_side::ServerSide;
use rustls::ServerConfig;
use std::sync::Arc;

#[derive(Default)]
pub struct Peer {
    pub heard: Vec<u8>,
    /// Without CR.
    pub said: Vec<u8>,
    /// The length of `said` when MAIL was received.
    pub said_before_mail: Option<usize>,
    /// The length of `said` when the final dot was received.
    pub said_before_dot: Option<usize>,
    side: ServerSide,
}

impl Peer {
    /// With a configuration, TLS begins at the first octet.
    pub fn new(config: Option<Arc<ServerConfig>>) -> Peer {
        let mut peer = Peer::default();
        config.into_iter().for_each(|config| peer.side.start_tls(config));
        peer
    }

    pub fn is_handshaking(&self) -> bool {
        self.side.tls.as_ref().is_some_and(|tls| tls.is_handshaking())
    }

    /// Takes octets from the client, and returns what TLS answers.
    pub fn hear(&mut self, octets: &[u8]) -> Vec<u8> {
        let before = self.heard.len();
        let _ = self.side.hear(octets, &mut self.heard); // TLS may have failed before
        if self.said_before_mail.is_none() && place(self.beginning(), b"\r\nMAIL FROM:").is_some() {
            self.said_before_mail = Some(self.said.len());
        }
        if self.said_before_dot.is_none() {
            self.look_for_dot(before);
        }
        self.side.say(b"")
    }

    /// The octets to send for this.
    pub fn say(&mut self, octets: &[u8]) -> Vec<u8> {
        self.said.extend(octets.iter().filter(|c| **c != b'\r'));
        self.side.say(octets)
    }

    /// For octets that are sent as they are. Without TLS that is the same as `say`.
    pub fn say_outside_tls(&mut self, octets: &[u8]) {
        if self.side.tls.is_none() {
            self.say(octets);
        }
    }

    /// Long enough for all commands before the message.
    fn beginning(&self) -> &[u8] {
        &self.heard[..self.heard.len().min(4096)]
    }

    /// No line of the message is a dot alone after dot-stuffing, so the first after DATA is the final dot.
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
