//! A mail server that costs little: it takes the login it knows and every message, throws the message away, and counts it. What is
//! measured against it is the client.

use rustls::{ServerConfig, ServerConnection, StreamOwned};
use std::io::{self, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;

use super::certificate::Identity;

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

/// A server that serves until the process ends.
pub struct Sink {
    pub address: SocketAddr,
    taken: Arc<AtomicUsize>,
}

impl Sink {
    /// Serves connections to this listener; `auth` is whether it demands a login.
    pub fn start(listener: TcpListener, tls: Tls, auth: bool, identity: &Identity) -> Sink {
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let builder =
            ServerConfig::builder_with_provider(provider).with_protocol_versions(rustls::ALL_VERSIONS).unwrap();
        let chain = vec![identity.der.clone()];
        let config = Arc::new(builder.with_no_client_auth().with_single_cert(chain, identity.key()).unwrap());
        let address = listener.local_addr().unwrap();
        let taken = Arc::new(AtomicUsize::new(0));
        let counter = taken.clone();
        thread::spawn(move || {
            for stream in listener.incoming() {
                let (config, counter) = (config.clone(), counter.clone());
                // A client that goes away in the middle is not counted, which its caller sees.
                thread::spawn(move || serve(stream?, tls, auth, config, &counter));
            }
        });
        Sink { address, taken }
    }

    /// How many messages came since the last call.
    pub fn taken(&self) -> usize {
        self.taken.swap(0, Ordering::SeqCst)
    }
}

fn serve(stream: TcpStream, tls: Tls, auth: bool, config: Arc<ServerConfig>, taken: &AtomicUsize) -> io::Result<()> {
    stream.set_nodelay(true)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    let over_tls = |stream| StreamOwned::new(ServerConnection::new(config).unwrap(), stream);
    match tls {
        Tls::AtOnce => Session::new(over_tls(stream), false, auth).run(true, taken).map(drop),
        Tls::Never => Session::new(stream, false, auth).run(true, taken).map(drop),
        Tls::OnCommand => match Session::new(stream, true, auth).run(true, taken)? {
            Some(stream) => Session::new(over_tls(stream), false, auth).run(false, taken).map(drop),
            None => Ok(()),
        },
    }
}

struct Session<S> {
    stream: S,
    offers_tls: bool,
    /// MAIL is refused: a login is missing.
    closed: bool,
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

impl<S: Read + Write> Session<S> {
    fn new(stream: S, offers_tls: bool, closed: bool) -> Session<S> {
        Session { stream, offers_tls, closed, buffer: vec![0; 256 * 1024], start: 0, end: 0, replies: Vec::new() }
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
                    self.log_in(PLAIN.contains(&&said[..]));
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
                    self.reply("250 2.0.0 Ok: queued");
                }
                ["QUIT"] => {
                    self.reply("221 2.0.0 Bye");
                    self.flush()?;
                    return Ok(None);
                }
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

    /// Replies to commands that came together go together.
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
        let count = self.stream.read(&mut self.buffer[self.end..])?;
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
        match TcpListener::bind((address, 465)) {
            Ok(at_465) => {
                let any = || TcpListener::bind((address, 0)).unwrap();
                return [any(), any(), any(), at_465];
            }
            Err(error) => why = Some(error),
        }
    }
    panic!("port 465 of no loopback address can be had ({why:?}); only root can have it");
}
