//! The server: it behaves well up to where the plan says, and from there on by the dice.

use super::plan::{Plan, Stage, chance, pick, skewed};
use super::replies::{DIFFERENT, dressed, ehlo, malformed, refusals};
use super::tally::KINDS;
use super::wire::{Break, HANDSHAKE_FAILURE, Record, Wire};
use fastrand::Rng;
use rustls::ServerConfig;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread::sleep;
use std::time::Duration;

/// A reply without end. A client that hears so much of it has no limit.
pub const ENDLESS: usize = 30_000_000;

/// `None`: the connection is over.
type Over = Option<()>;

/// Serves one connection after the other, up to the one from `waker`.
pub fn serve(
    listener: &TcpListener,
    plan: &Plan,
    config: &Arc<ServerConfig>,
    waker: &Mutex<Option<SocketAddr>>,
) -> Vec<Record> {
    let (mut rng, mut turn) = (plan.dice(), Turn { passed: 0, done: false });
    let mut records = Vec::new();
    loop {
        let (stream, peer) = listener.accept().unwrap();
        if *waker.lock().unwrap() == Some(peer) {
            return records;
        }
        records.push(Connection::new(stream, plan, config, &mut rng, &mut turn).serve());
    }
}

/// Where the server is on its way to turn bad.
struct Turn {
    passed: usize,
    done: bool,
}

struct Connection<'a> {
    plan: &'a Plan,
    config: &'a Arc<ServerConfig>,
    rng: &'a mut Rng,
    turn: &'a mut Turn,
    wire: Wire,
    /// What the client said last.
    line: Vec<u8>,
    /// How many more answers a login has until it is done.
    answers: usize,
}

impl<'a> Connection<'a> {
    fn new(
        stream: TcpStream,
        plan: &'a Plan,
        config: &'a Arc<ServerConfig>,
        rng: &'a mut Rng,
        turn: &'a mut Turn,
    ) -> Connection<'a> {
        let pieces = chance(rng, 40);
        Connection { plan, config, rng, turn, wire: Wire::new(stream, pieces), line: Vec::new(), answers: 0 }
    }

    fn serve(mut self) -> Record {
        let _over = self.run();
        self.wire.record
    }

    fn run(&mut self) -> Over {
        if self.plan.port_465 {
            self.handshake()?;
        }
        self.react(Stage::Greeting, 220)?;
        loop {
            self.line = self.wire.line()?;
            let (stage, code) = self.usual();
            match (stage, self.react(stage, code)?) {
                (Stage::StartTls, 220) => self.handshake()?,
                (Stage::Data, 354) => self.message()?,
                _ => {}
            }
        }
    }

    /// What the line asks for, and the code of the usual reply.
    fn usual(&mut self) -> (Stage, u16) {
        let line = String::from_utf8_lossy(&self.line).into_owned();
        match line.split([' ', ':']).next().unwrap_or_default() {
            "EHLO" | "HELO" => (Stage::Hello, 250),
            "STARTTLS" => (Stage::StartTls, 220),
            "AUTH" => {
                self.answers = match &line[5..] {
                    "LOGIN" => 2,
                    "PLAIN" | "CRAM-MD5" => 1,
                    _ => 0,
                };
                (Stage::Auth, if self.answers > 0 { 334 } else { 235 })
            }
            "MAIL" => (Stage::Mail, 250),
            "RCPT" => (Stage::Rcpt, 250),
            "DATA" => (Stage::Data, 354),
            "QUIT" => (Stage::Quit, 221),
            _ => {
                self.answers = self.answers.saturating_sub(1);
                (Stage::Answer, if self.answers > 0 { 334 } else { 235 })
            }
        }
    }

    /// It is the turn to be bad here.
    fn is_bad(&mut self, stage: Stage) -> bool {
        if self.turn.done {
            return chance(self.rng, 25);
        }
        if self.plan.turn == Some(stage) {
            self.turn.done = self.turn.passed == self.plan.skip;
            self.turn.passed += 1;
        }
        self.turn.done
    }

    /// Says something to what the client said: the code of it.
    fn react(&mut self, stage: Stage, usual: u16) -> Option<u16> {
        if self.plan.silences && chance(self.rng, 20) {
            self.did("slow"); // but each reply comes within the second that it has
            sleep(Duration::from_millis(self.rng.u64(100..500)));
        } else if chance(self.rng, 8) {
            sleep(Duration::from_micros(self.rng.u64(0..3000)));
        }
        if !self.is_bad(stage) {
            return self.say(stage, usual);
        }
        if self.plan.orderly || chance(self.rng, 15) {
            self.did("a refusal");
            let code = pick(self.rng, refusals(stage));
            return self.say(stage, code);
        }
        if self.plan.silences && chance(self.rng, 50) {
            return self.silence(stage, usual);
        }
        if stage == Stage::StartTls && chance(self.rng, 60) {
            return self.say_two(stage, usual); // in clear behind the 220, where somebody on the way could put it
        }
        match self.rng.u32(0..20) {
            0..5 => {
                self.did("another code");
                let code = pick(self.rng, &DIFFERENT);
                self.say(stage, code)
            }
            5 => {
                self.did("malformed");
                let octets = malformed(self.rng);
                self.wire.say(&octets, self.rng)?;
                Some(0)
            }
            6..9 => self.say_two(stage, usual),
            9 => {
                self.did("a reply, then closed");
                self.say(stage, usual)?;
                self.close()
            }
            10 => {
                self.did("closed");
                self.close()
            }
            11 => {
                self.did("a reply, then reset");
                self.say(stage, usual)?;
                self.reset()
            }
            12 => {
                self.did("reset");
                self.reset()
            }
            13 | 14 => self.endless(),
            15..19 if self.wire.is_tls() => self.break_tls(stage, usual),
            15 => {
                self.did("an alert in clear");
                self.wire.say(HANDSHAKE_FAILURE, self.rng)?;
                self.close()
            }
            16..18 => {
                self.did("half a reply"); // the rest of it is lost
                let reply = self.reply(stage, usual);
                let end = self.rng.usize(0..reply.len());
                self.wire.say(&reply[..end], self.rng)?;
                if chance(self.rng, 50) { self.close() } else { self.reset() }
            }
            _ => {
                self.did("421, then closed");
                self.say(stage, 421)?;
                self.close()
            }
        }
    }

    /// Keeps in the record how it misbehaves.
    fn did(&mut self, kind: &'static str) {
        assert!(KINDS.contains(&kind), "{kind}");
        self.wire.record.did.push(kind);
    }

    fn reply(&mut self, stage: Stage, code: u16) -> Vec<u8> {
        match (stage, code) {
            (Stage::Hello, 250) if self.line.starts_with(b"EHLO") => ehlo(self.plan, self.wire.is_tls(), self.rng),
            _ => dressed(code, stage, &self.line, self.plan.login, self.rng),
        }
    }

    fn say(&mut self, stage: Stage, code: u16) -> Option<u16> {
        let reply = self.reply(stage, code);
        self.wire.say(&reply, self.rng)?;
        Some(code)
    }

    /// The reply, and one that nobody asked for, in one piece or in two.
    fn say_two(&mut self, stage: Stage, usual: u16) -> Option<u16> {
        self.did("one reply too many");
        let mut reply = self.reply(stage, usual);
        let codes = if chance(self.rng, 50) { refusals(stage) } else { &DIFFERENT };
        let code = pick(self.rng, codes);
        let other = self.reply(Stage::Quit, code);
        if chance(self.rng, 60) {
            reply.extend(other);
            self.wire.pieces &= chance(self.rng, 30);
            self.wire.say(&reply, self.rng)?;
        } else {
            self.wire.say(&reply, self.rng)?;
            if chance(self.rng, 50) {
                sleep(Duration::from_micros(self.rng.u64(0..2000)));
            }
            self.wire.say(&other, self.rng)?;
        }
        Some(usual)
    }

    fn close<T>(&mut self) -> Option<T> {
        if chance(self.rng, 30) {
            self.wire.say_close(self.rng)?;
        }
        if chance(self.rng, 60) {
            self.did("half-closed");
            self.wire.end()?; // and what the client still says is read
            self.wire.hear_out()?;
        }
        None
    }

    fn reset<T>(&mut self) -> Option<T> {
        self.wire.arm_reset();
        None
    }

    /// A line or a reply without end, or octets that make none.
    fn endless<T>(&mut self) -> Option<T> {
        self.did("endless");
        let piece: &[u8] =
            pick(self.rng, &[&b"250 endless "[..], b"250-endless\r\n", b"354-\n", b"\r", b"250-\r\n", b"\0"]);
        let octets = piece.repeat(4000 / piece.len());
        // CRs that begin no reply are no part of one, and are read until the deadline.
        let most = if piece == b"\r" { ENDLESS / 100 } else { ENDLESS };
        for _ in 0..=most / octets.len() {
            self.wire.say(&octets, self.rng)?;
        }
        self.close()
    }

    fn break_tls(&mut self, stage: Stage, usual: u16) -> Option<u16> {
        let reply = self.reply(stage, usual);
        let (how, kind) = pick(
            self.rng,
            &[
                (Break::Flip, "TLS: an octet flipped"),
                (Break::Cut, "TLS: a record cut"),
                (Break::Garbage, "TLS: octets in clear"),
                (Break::Alert, "TLS: an alert in clear"),
                (Break::FatalAlert, "TLS: a fatal alert"),
            ],
        );
        self.did(kind);
        match how {
            Break::Cut => {
                self.wire.say_broken(&reply, Break::Cut, self.rng)?;
                return if chance(self.rng, 50) { self.close() } else { self.reset() };
            }
            how => self.wire.say_broken(&reply, how, self.rng)?,
        }
        self.wire.hear_out()?;
        None
    }

    /// Nothing more comes that ends a reply.
    fn silence<T>(&mut self, stage: Stage, usual: u16) -> Option<T> {
        self.did("silent");
        let reply = self.reply(stage, usual);
        match self.rng.u32(0..3) {
            0 => {}
            1 => self.wire.say(&reply[..self.rng.usize(0..reply.len())], self.rng)?,
            _ => loop {
                self.wire.say(b"\r", self.rng)?; // such octets begin no reply, and must not put the deadline off
                sleep(Duration::from_millis(50));
            },
        }
        self.wire.hear_out()?;
        None
    }

    fn handshake(&mut self) -> Over {
        let bad = self.is_bad(Stage::Handshake) && !self.plan.orderly;
        let kinds: Vec<&str> = KINDS.into_iter().filter(|kind| kind.starts_with("handshake: ")).collect();
        let kind = if bad { Some(pick(self.rng, &kinds)) } else { None };
        let kind = kind.filter(|kind| self.plan.silences || *kind != "handshake: silent");
        kind.into_iter().for_each(|kind| self.did(kind));
        match kind {
            Some("handshake: an alert") => {
                self.wire.send(HANDSHAKE_FAILURE, self.rng)?;
                self.close()
            }
            Some("handshake: garbage") => {
                let garbage: Vec<u8> = (0..self.rng.usize(5..2000)).map(|_| self.rng.u8(..)).collect();
                self.wire.send(&garbage, self.rng)?;
                self.close()
            }
            Some("handshake: lines in clear") => {
                self.wire.say(b"500 what?\r\n250 and more of it\r\n", self.rng)?;
                self.close()
            }
            Some("handshake: closed") => self.close(),
            Some("handshake: reset") => self.reset(),
            Some("handshake: silent") => self.wire.hear_out(),
            Some("handshake: an octet flipped") => self.wire.handshake(self.config, true, self.rng),
            Some(other) => unreachable!("{other}"),
            None => self.wire.handshake(self.config, false, self.rng),
        }
    }

    /// Takes a message; the reply is to its dot, or comes before it.
    fn message(&mut self) -> Over {
        self.line = b".".to_vec();
        if chance(self.rng, 20) {
            self.stall(); // until the kernel takes no more, if the message is long
        }
        if self.is_bad(Stage::InMessage) {
            let limit = skewed(self.rng, 0..self.plan.message.len() + 2);
            if !self.wire.message(limit)? {
                return self.interrupt();
            }
        } else {
            self.wire.message(usize::MAX)?;
        }
        self.react(Stage::Dot, 250)?;
        Some(())
    }

    fn stall(&mut self) {
        sleep(Duration::from_micros(self.rng.u64(0..30_000)));
    }

    /// Does something in the middle of the message.
    fn interrupt(&mut self) -> Over {
        self.did("in the message");
        if self.plan.orderly {
            self.stall();
        } else {
            match self.rng.u32(0..7) {
                0 => return self.close(),
                1 => return self.reset(),
                2 => return self.endless(),
                3 => self.stall(),
                4 if self.plan.silences => return self.wire.hear_out(),
                _ => {
                    self.react(Stage::InMessage, 250)?;
                    if chance(self.rng, 60) {
                        return self.wire.hear_out();
                    }
                }
            }
        }
        self.wire.message(usize::MAX)?;
        self.react(Stage::Dot, 250)?;
        Some(())
    }
}
