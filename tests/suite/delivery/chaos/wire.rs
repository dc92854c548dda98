//! The octets of one connection of the server, in clear or over TLS: whole or in pieces, broken on purpose, and a record of both sides.

use super::plan::{chance, skewed};
use crate::support::server_side::ServerSide;
use fastrand::Rng;
use rustls::ServerConfig;
use std::io::{Read, Write};
use std::net::{Shutdown, TcpStream};
use std::sync::Arc;
use std::thread::sleep;
use std::time::Duration;

/// What both sides said on one connection, without TLS around it.
#[derive(Default)]
pub struct Record {
    /// What the client said, and where in it TLS began.
    pub heard: Vec<u8>,
    pub tls_at: Option<usize>,
    /// What the server said, in the order of its writes. What was broken on purpose is not there.
    pub said: Vec<Chunk>,
    /// The client was heard to the end that it made, so it said no more than that.
    pub heard_all: bool,
    /// How the server misbehaved, of [`KINDS`](super::tally::KINDS).
    pub did: Vec<&'static str>,
}

/// One write.
pub struct Chunk {
    pub octets: Vec<u8>,
    /// How much the server had heard by then.
    pub heard: usize,
    /// It went to the kernel at once, so who receives its beginning receives all of it.
    pub whole: bool,
}

/// How to break an encrypted reply.
#[derive(Clone, Copy, Debug)]
pub enum Break {
    /// An octet of it is another.
    Flip,
    /// It ends too early, and so does the connection.
    Cut,
    /// No TLS comes before it.
    Garbage,
    /// An alert in clear comes before it.
    Alert,
    /// There is an alert in its place, over TLS as it should be.
    FatalAlert,
}

pub const HANDSHAKE_FAILURE: &[u8] = &[21, 3, 3, 0, 2, 2, 40];

pub struct Wire {
    stream: TcpStream,
    side: ServerSide,
    /// Up to where what was heard is understood.
    cursor: usize,
    pub record: Record,
    /// Octets come in pieces.
    pub pieces: bool,
}

impl Wire {
    pub fn new(stream: TcpStream, pieces: bool) -> Wire {
        stream.set_nodelay(true).unwrap();
        Wire { stream, side: ServerSide::default(), cursor: 0, record: Record::default(), pieces }
    }

    pub fn is_tls(&self) -> bool {
        self.side.tls.is_some()
    }

    /// The next line, without its CRLF. None: the client has ended its side, or is gone.
    pub fn line(&mut self) -> Option<Vec<u8>> {
        let mut searched = self.cursor;
        loop {
            let heard = &self.record.heard;
            if let Some(at) = memchr::memmem::find(&heard[searched..], b"\r\n") {
                let line = heard[self.cursor..searched + at].to_vec();
                self.cursor = searched + at + 2;
                return Some(line);
            }
            searched = heard.len().saturating_sub(1).max(self.cursor);
            self.hear()?;
        }
    }

    /// Reads a message up to its dot, or until so many octets of it are there: true at the dot.
    pub fn message(&mut self, limit: usize) -> Option<bool> {
        let start = self.cursor;
        let mut searched = start - 2; // the dot may be the first line
        loop {
            let heard = &self.record.heard;
            if let Some(at) = memchr::memmem::find(&heard[searched..], b"\r\n.\r\n") {
                self.cursor = searched + at + 5;
                return Some(true);
            }
            if heard.len() - start >= limit {
                return Some(false);
            }
            searched = heard.len().saturating_sub(4).max(start - 2);
            self.hear()?;
        }
    }

    /// All that the client still says.
    pub fn hear_out(&mut self) -> Option<()> {
        loop {
            self.hear()?;
        }
    }

    fn hear(&mut self) -> Option<()> {
        let mut room = [0; 1 << 16];
        // After a reset, too, all that came is read first; but the client's kernel has thrown away what it had not yet sent.
        let count = self.stream.read(&mut room).ok()?;
        self.record.heard_all = count == 0;
        if count == 0 {
            return None;
        }
        self.side.hear(&room[..count], &mut self.record.heard).ok()
    }

    /// A handshake; or one with an octet of ours broken, and then the end of our side: it may be a length that is too large.
    pub fn handshake(&mut self, config: &Arc<ServerConfig>, mut flip: bool, rng: &mut Rng) -> Option<()> {
        let early = self.record.heard.split_off(self.cursor);
        self.record.tls_at = Some(self.cursor);
        self.side.start_tls(config.clone());
        let mut octets = early;
        loop {
            let state = self.side.hear(&octets, &mut self.record.heard);
            let mut out = self.side.say(b"");
            let broken = flip && !out.is_empty();
            if broken {
                flip = false;
                let place = skewed(rng, 0..out.len());
                out[place] ^= 1 << rng.u32(0..8);
            }
            self.send(&out, rng)?;
            if broken {
                self.end()?;
            }
            state.ok()?;
            if self.side.tls.as_ref().is_some_and(|tls| !tls.is_handshaking()) {
                return Some(());
            }
            octets = vec![0; 1 << 12];
            let count = self.stream.read(&mut octets).ok().filter(|count| *count > 0)?;
            octets.truncate(count);
        }
    }

    /// Says this. None: the client is gone.
    pub fn say(&mut self, octets: &[u8], rng: &mut Rng) -> Option<()> {
        let whole = !self.pieces;
        self.record.said.push(Chunk { octets: octets.to_vec(), heard: self.record.heard.len(), whole });
        let out = self.side.say(octets);
        self.send(&out, rng)
    }

    /// Says this so that it cannot be understood.
    pub fn say_broken(&mut self, octets: &[u8], how: Break, rng: &mut Rng) -> Option<()> {
        let mut out = match how {
            Break::FatalAlert => self.fatal_alert(),
            _ => self.side.say(octets),
        };
        match how {
            Break::FatalAlert => {}
            Break::Flip => {
                let place = rng.usize(5..out.len()); // behind the head of the record
                out[place] ^= 1 << rng.u32(0..8);
            }
            Break::Cut => out.truncate(rng.usize(1..out.len())),
            Break::Garbage => out = [b"250 in clear\r\n", &out[..]].concat(),
            Break::Alert => out = [HANDSHAKE_FAILURE, &out[..]].concat(),
        }
        self.send(&out, rng)
    }

    /// Says that nothing more comes over TLS.
    pub fn say_close(&mut self, rng: &mut Rng) -> Option<()> {
        if let Some(tls) = &mut self.side.tls {
            tls.send_close_notify();
        }
        let out = self.side.say(b"");
        self.send(&out, rng)
    }

    /// What TLS says to a client whose octets cannot be decrypted.
    fn fatal_alert(&mut self) -> Vec<u8> {
        let _ = self.side.hear(b"\x17\x03\x03\0\x05broke", &mut Vec::new());
        self.side.say(b"")
    }

    /// Gives these octets to the kernel as they are.
    pub fn send(&mut self, mut octets: &[u8], rng: &mut Rng) -> Option<()> {
        while self.pieces && octets.len() > 1 && octets.len() < 4000 {
            let count = if chance(rng, 50) { 1 } else { rng.usize(1..octets.len()) };
            self.stream.write_all(&octets[..count]).ok()?;
            octets = &octets[count..];
            if chance(rng, 20) {
                sleep(Duration::from_micros(rng.u64(0..1500)));
            }
        }
        self.stream.write_all(octets).ok()
    }

    /// Ends our side.
    pub fn end(&mut self) -> Option<()> {
        self.stream.shutdown(Shutdown::Write).ok()
    }

    /// From now on closing is a reset.
    pub fn arm_reset(&self) {
        rustix::net::sockopt::set_socket_linger(&self.stream, Some(Duration::ZERO)).unwrap();
    }
}
