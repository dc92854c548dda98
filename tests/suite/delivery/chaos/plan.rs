//! What one run is, all of it by its seed: the mail, the control files, the certificate, and from where on the server misbehaves.

use fastrand::Rng;
use std::ops::Range;

pub const SENDER: &str = "sender@example.net";
pub const USER: &str = "myuser";
pub const PASSWORD: &str = "secretpass";

/// What the server is about to do, so where it can turn bad.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stage {
    Greeting,
    Hello,
    StartTls,
    Handshake,
    Auth,
    Answer,
    Mail,
    Rcpt,
    Data,
    /// In the middle of the message.
    InMessage,
    Dot,
    Quit,
}

/// Where it turns, and how often of a hundred; in the others it behaves well to the end.
const TURNS: [(Stage, u32); 12] = [
    (Stage::Greeting, 3),
    (Stage::Hello, 6),
    (Stage::StartTls, 4),
    (Stage::Handshake, 8),
    (Stage::Auth, 8),
    (Stage::Answer, 5),
    (Stage::Mail, 9),
    (Stage::Rcpt, 19),
    (Stage::Data, 8),
    (Stage::InMessage, 8),
    (Stage::Dot, 12),
    (Stage::Quit, 2),
];

/// The login that control/smtproutes has, or that of a token.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Login {
    None,
    Plain,
    /// Written `-user`: leave to show the password in clear.
    InClear,
    /// By a token, which is the same word.
    Token,
}

/// One run.
pub struct Plan {
    pub seed: u64,
    /// The server has a loopback address.
    pub loopback: bool,
    /// TLS from the first octet.
    pub port_465: bool,
    /// control/relays/HOST/tls.
    pub policy: Option<&'static str>,
    pub login: Login,
    /// The server's certificate verifies.
    pub trusted: bool,
    pub tls12: bool,
    pub starttls: bool,
    pub recipients: Vec<String>,
    pub message: Vec<u8>,
    /// Where the server turns bad, and how often it passes there well before.
    pub turn: Option<Stage>,
    pub skip: usize,
    /// Bad is then no more than a refusal, well said.
    pub orderly: bool,
    /// The server may fall silent, and timeoutremote is one second. Otherwise nothing waits for it.
    pub silences: bool,
}

impl Plan {
    /// The plan of this seed.
    pub fn new(seed: u64) -> Plan {
        let mut rng = Rng::with_seed(seed);
        let mut dice = rng.u32(0..100);
        let turn = TURNS.iter().find(|(_, often)| {
            let here = dice < *often;
            dice = dice.saturating_sub(*often);
            here
        });
        Plan {
            seed,
            loopback: rng.u32(0..10) < 7,
            port_465: rng.u32(0..10) < 2,
            policy: if rng.u32(0..10) < 6 {
                None
            } else {
                pick(&mut rng, &["may", "encrypt", "verify", "none"].map(Some))
            },
            login: match turn {
                Some((Stage::Auth | Stage::Answer, _)) => pick(&mut rng, &[Login::Plain, Login::InClear, Login::Token]),
                _ => pick(&mut rng, &[Login::None, Login::None, Login::Plain, Login::InClear, Login::Token]),
            },
            trusted: rng.u32(0..10) < 8,
            tls12: rng.bool(),
            starttls: matches!(turn, Some((Stage::StartTls, _))) || rng.u32(0..10) < 6,
            recipients: (0..rng.usize(1..5)).map(|number| format!("recipient{number}@example.org")).collect(),
            message: message(&mut rng),
            turn: turn.map(|(stage, _)| *stage),
            skip: if rng.bool() { 0 } else { rng.usize(0..4) },
            orderly: rng.bool(),
            silences: rng.u32(0..100) < 6,
        }
    }

    /// The generator of what the server does.
    pub fn dice(&self) -> Rng {
        Rng::with_seed(!self.seed)
    }

    /// Seconds.
    pub fn timeoutremote(&self) -> u64 {
        if self.silences { 1 } else { 20 }
    }
}

/// Lines of which many mean something in SMTP.
const LINES: [&[u8]; 14] = [
    b"",
    b".",
    b"..",
    b".hidden",
    b"hello",
    b"Subject: chaos",
    b"a\rb",
    b"\r.\r",
    b"ends in CR\r",
    b"\xff\xfe\0\x80",
    b"QUIT",
    b"MAIL FROM:<other@example.net>",
    b"RCPT TO:<other@example.org>",
    b"250 ok",
];

/// Most are small, some larger than the program's buffers, few larger than the kernel's as well.
fn message(rng: &mut Rng) -> Vec<u8> {
    let size = match rng.u32(0..100) {
        0..80 => rng.usize(0..400),
        80..93 => rng.usize(10_000..300_000),
        93..98 => rng.usize(300_000..1_500_000),
        _ => rng.usize(6_000_000..8_000_000),
    };
    let mut message = Vec::with_capacity(size + 1000);
    while message.len() < size {
        match rng.u32(0..4) {
            0 if size > 10_000 => message.extend(vec![b'x'; rng.usize(0..5000)]),
            0 => message.extend((0..rng.usize(0..80)).map(|_| rng.u8(..)).filter(|octet| *octet != b'\n')),
            _ => message.extend_from_slice(pick(rng, &LINES)),
        }
        message.push(b'\n');
        if message.len() > 100_000 {
            let block = message.clone();
            while message.len() < size {
                message.extend_from_slice(&block);
            }
        }
    }
    message
}

pub fn pick<T: Copy>(rng: &mut Rng, of: &[T]) -> T {
    of[rng.usize(0..of.len())]
}

/// True so many times of a hundred.
pub fn chance(rng: &mut Rng, percent: u32) -> bool {
    rng.u32(0..100) < percent
}

/// A number of the range, more often near its start.
pub fn skewed(rng: &mut Rng, range: Range<usize>) -> usize {
    let end = rng.usize(range.start + 1..=range.end);
    rng.usize(range.start..end)
}
