//! A mail server that costs little: it takes the login it knows and every message, throws the message away, and counts it. What is
//! measured against it is the client.

use rustls::{ServerConfig, ServerConnection, StreamOwned};
use std::io::{self, BufRead, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;

use super::certificate::Chain;

/// A client that says nothing for so long will not: it waits for a greeting where TLS is to begin at once.
const PATIENCE: Duration = Duration::from_secs(10);

/// Where TLS begins.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Tls {
    Never,
    /// By STARTTLS.
    OnCommand,
    AtOnce,
}

/// How replies leave, which decides whether a client waits for the acknowledgements of a kernel.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Manner {
    /// At once, and those together whose commands came together. No wait: what a client costs by itself.
    Prompt,
    /// As from Postfix, which is as most do it: one read takes a record of TLS at the most, all replies so far go before the next, and
    /// they go by Nagle's algorithm, so that one waits until what went before it is acknowledged. Session tickets are the first.
    #[allow(dead_code)] // script/bench has such
    Relay,
}

/// What Postfix reads at once.
const READ: usize = 4096;
const BUFFER: usize = 256 * 1024;

/// A server that serves until the process ends.
pub struct Sink {
    pub address: SocketAddr,
    taken: Arc<AtomicUsize>,
}

impl Sink {
    /// Serves connections to this listener; `auth` is whether it demands a login.
    pub fn start(listener: TcpListener, tls: Tls, auth: bool, manner: Manner, chain: &Chain) -> Sink {
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let builder =
            ServerConfig::builder_with_provider(provider).with_protocol_versions(rustls::ALL_VERSIONS).unwrap();
        let builder = builder.with_no_client_auth();
        let config = Arc::new(builder.with_single_cert(chain.certificates(), chain.key()).unwrap());
        let address = listener.local_addr().unwrap();
        let taken = Arc::new(AtomicUsize::new(0));
        let counter = taken.clone();
        thread::spawn(move || {
            for stream in listener.incoming() {
                let (config, counter) = (config.clone(), counter.clone());
                // A client that goes away in the middle is not counted, which its caller sees.
                thread::spawn(move || serve(stream?, tls, auth, manner, config, &counter));
            }
        });
        Sink { address, taken }
    }

    /// How many messages came since the last call.
    pub fn taken(&self) -> usize {
        self.taken.swap(0, Ordering::SeqCst)
    }
}

fn serve(
    stream: TcpStream,
    tls: Tls,
    auth: bool,
    manner: Manner,
    config: Arc<ServerConfig>,
    taken: &AtomicUsize,
) -> io::Result<()> {
    stream.set_nodelay(manner == Manner::Prompt)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    let over_tls = |stream| Secure { stream: StreamOwned::new(ServerConnection::new(config).unwrap(), stream), manner };
    match tls {
        Tls::AtOnce => Session::new(over_tls(stream), false, auth, manner).run(true, taken).map(drop),
        Tls::Never => Session::new(stream, false, auth, manner).run(true, taken).map(drop),
        Tls::OnCommand => match Session::new(stream, true, auth, manner).run(true, taken)? {
            Some(stream) => Session::new(over_tls(stream), false, auth, manner).run(false, taken).map(drop),
            None => Ok(()),
        },
    }
}

/// A connection with TLS, read in this manner.
struct Secure {
    stream: StreamOwned<ServerConnection, TcpStream>,
    manner: Manner,
}

impl Read for Secure {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.manner == Manner::Prompt {
            return self.stream.read(buffer);
        }
        let record = self.stream.fill_buf()?;
        let count = record.len().min(buffer.len());
        buffer[..count].copy_from_slice(&record[..count]);
        self.stream.consume(count);
        Ok(count)
    }
}

impl Write for Secure {
    fn write(&mut self, octets: &[u8]) -> io::Result<usize> {
        self.stream.write(octets)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.stream.flush()
    }
}

struct Session<S> {
    stream: S,
    offers_tls: bool,
    /// MAIL is refused: a login is missing.
    closed: bool,
    /// How much is read at once.
    most: usize,
    /// What came and is not yet dealt with is `buffer[start..end]`.
    buffer: Vec<u8>,
    start: usize,
    end: usize,
    replies: Vec<u8>,
}

const END_OF_DATA: &[u8] = b"\r\n.\r\n";

/// What a login with myuser and secretpass says: by PLAIN, without and with the name once more as whom to act for; by LOGIN.
const PLAIN: [&str; 2] = ["AG15dXNlcgBzZWNyZXRwYXNz", "bXl1c2VyAG15dXNlcgBzZWNyZXRwYXNz"];
const LOGIN: [&str; 2] = ["bXl1c2Vy", "c2VjcmV0cGFzcw=="];
/// The beginning of what PLAIN says of a password that begins with secretpass.
const LONG: &str = "AG15dXNlcgBzZWNyZXRwYXNz";

/// Characters of base64 without order, the same each time.
pub fn noise() -> impl Iterator<Item = char> {
    const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut state = 1_u64;
    std::iter::repeat_with(move || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407); // Knuth, MMIX
        char::from(ALPHABET[(state >> 58) as usize])
    })
}

/// A refusal as long as a reply may be, in which there is much to be compared with secrets.
fn talk() -> String {
    let mut noise = noise();
    let lines = (1..=500).map(|n| {
        let words: String = noise.by_ref().take(124).collect();
        format!("550{}{words}", if n < 500 { '-' } else { ' ' })
    });
    lines.collect::<Vec<_>>().join("\r\n")
}

impl<S: Read + Write> Session<S> {
    fn new(stream: S, offers_tls: bool, closed: bool, manner: Manner) -> Session<S> {
        let most = if manner == Manner::Relay { READ } else { BUFFER };
        Session { stream, offers_tls, closed, most, buffer: vec![0; BUFFER], start: 0, end: 0, replies: Vec::new() }
    }

    /// To the end of the connection, or to a STARTTLS, for which the stream is given back.
    fn run(mut self, greets: bool, taken: &AtomicUsize) -> io::Result<Option<S>> {
        if greets {
            self.reply("220 sink.example ESMTP");
        }
        while let Some(line) = self.line()? {
            match line.split(' ').collect::<Vec<_>>()[..] {
                ["EHLO", ..] => self.hello(),
                ["STARTTLS"] if self.offers_tls => {
                    self.reply("220 2.0.0 Ready");
                    self.flush()?;
                    return Ok(Some(self.stream));
                }
                // Or a client that knows no TLS would be taken for one whose TLS costs nothing.
                ["AUTH" | "MAIL" | "RCPT" | "DATA", ..] if self.offers_tls => {
                    self.reply("530 5.7.0 Must issue a STARTTLS command first")
                }
                ["AUTH", "PLAIN", said] => self.log_in(PLAIN.contains(&said)),
                ["AUTH", "PLAIN"] => {
                    let said = self.answer("334 ")?;
                    self.log_in(PLAIN.contains(&&said[..]) || said.starts_with(LONG));
                }
                ["AUTH", "LOGIN"] => {
                    let user = self.answer("334 VXNlcm5hbWU6")?;
                    let password = self.answer("334 UGFzc3dvcmQ6")?;
                    self.log_in([&user[..], &password] == LOGIN);
                }
                ["AUTH", "LOGIN", user] => {
                    let password = self.answer("334 UGFzc3dvcmQ6")?;
                    self.log_in([user, &password] == LOGIN);
                }
                ["MAIL" | "RCPT" | "DATA", ..] if self.closed => self.reply("530 5.7.0 Authentication required"),
                ["DATA"] => {
                    self.reply("354 Go on");
                    self.message()?;
                    // Before the client can know of it.
                    taken.fetch_add(1, Ordering::SeqCst);
                    self.reply("250 2.0.0 Ok: queued as 9D1F2C4A3B");
                }
                ["QUIT"] => {
                    self.reply("221 2.0.0 Bye");
                    self.flush()?;
                    return Ok(None);
                }
                ["RCPT", to] if to.contains("talkative") => self.reply(&talk()),
                ["MAIL" | "RCPT" | "RSET" | "NOOP" | "HELO", ..] => self.reply("250 2.1.0 Ok"),
                _ => self.reply("500 5.5.2 What?"),
            }
        }
        Ok(None)
    }

    fn hello(&mut self) {
        self.reply("250-sink.example");
        if self.offers_tls {
            self.reply("250-STARTTLS");
        }
        for line in ["250-PIPELINING", "250-SIZE 52428800", "250-8BITMIME", "250 AUTH PLAIN LOGIN"] {
            self.reply(line);
        }
    }

    /// What the client says to this.
    fn answer(&mut self, question: &str) -> io::Result<String> {
        self.reply(question);
        self.line()?.ok_or_else(|| io::ErrorKind::UnexpectedEof.into())
    }

    fn log_in(&mut self, is_right: bool) {
        if is_right {
            self.closed = false;
            self.reply("235 2.7.0 Ok");
        } else {
            self.reply("535 5.7.8 Not you");
        }
    }

    /// Replies to commands that were read together go together.
    fn reply(&mut self, line: &str) {
        self.replies.extend(line.bytes());
        self.replies.extend(b"\r\n");
    }

    fn flush(&mut self) -> io::Result<()> {
        self.stream.write_all(&self.replies)?;
        self.replies.clear();
        self.stream.flush()
    }

    /// Reads more, once all replies are out. 0: the client has closed.
    fn fill(&mut self) -> io::Result<usize> {
        self.flush()?;
        self.buffer.copy_within(self.start..self.end, 0);
        self.end -= self.start;
        self.start = 0;
        let end = self.buffer.len().min(self.end + self.most);
        let count = self.stream.read(&mut self.buffer[self.end..end])?;
        self.end += count;
        Ok(count)
    }

    fn line(&mut self) -> io::Result<Option<String>> {
        loop {
            let pending = &self.buffer[self.start..self.end];
            if let Some(length) = memchr::memchr(b'\n', pending) {
                let line = String::from_utf8_lossy(&pending[..length]).trim_end().to_owned();
                self.start += length + 1;
                return Ok(Some(line));
            }
            if self.fill()? == 0 {
                return Ok(None);
            }
        }
    }

    fn message(&mut self) -> io::Result<()> {
        loop {
            let pending = &self.buffer[self.start..self.end];
            if let Some(place) = memchr::memmem::find(pending, END_OF_DATA) {
                self.start += place + END_OF_DATA.len();
                return Ok(());
            }
            self.start = self.start.max(self.end.saturating_sub(END_OF_DATA.len() - 1));
            if self.fill()? == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
        }
    }
}

/// Ports of one loopback address: any three, and 465, which means TLS to a client by its number.
pub fn listeners() -> [TcpListener; 4] {
    let first = std::process::id();
    let addresses = (0..1000).map(|n| Ipv4Addr::from(0x7f2e_0001 + (first + n) % 0xfffe));
    let mut why = None;
    for address in addresses {
        match listeners_at(address) {
            Ok(listeners) => return listeners,
            Err(error) => why = Some(error),
        }
    }
    panic!("port 465 of no loopback address can be had ({why:?}); only root can have it");
}

/// The same of this address.
pub fn listeners_at(address: Ipv4Addr) -> io::Result<[TcpListener; 4]> {
    let at = |port| TcpListener::bind((address, port));
    Ok([at(0)?, at(0)?, at(0)?, at(465)?])
}
