//! A mail server that costs little: it takes the login it knows and every message, throws the message away, and counts it. What is
//! measured against it is the client.

use std::io;
use std::mem::forget;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use super::certificate::Chain;
use super::server::{self, Action, Event, Manner, Rules, Server};

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
    /// Serves connections to this listener and offers these mechanisms; `auth` is whether it demands a login.
    pub fn start(listener: TcpListener, tls: Tls, mechanisms: &str, auth: bool, manner: Manner, chain: &Chain) -> Sink {
        let address = listener.local_addr().unwrap();
        let taken = Arc::new(AtomicUsize::new(0));
        let (counter, talk) = (taken.clone(), talk());
        let rules = Rules {
            greeting: "220 sink.example ESMTP".into(),
            auth_required: auth,
            tls: (tls != Tls::Never).then(|| server::Tls::new(chain.certificates(), chain.key())),
            implicit_tls: tls == Tls::AtOnce,
            forgets: true,
            manner,
            ..Rules::offering(&["PIPELINING", "SIZE 52428800", "8BITMIME", &format!("AUTH {mechanisms}")])
        };
        forget(Server::serve(
            listener,
            rules.hooked(move |event, session| match event {
                // Or a client that knows no TLS would be taken for one whose TLS costs nothing.
                Event::Command(line)
                    if tls == Tls::OnCommand
                        && !session.over_tls
                        && ["AUTH", "MAIL", "RCPT", "DATA"].contains(&line.split(' ').next().unwrap()) =>
                {
                    Action::reply("530 5.7.0 Must issue a STARTTLS command first")
                }
                Event::Command(line) if line.strip_prefix("AUTH PLAIN ").is_some_and(is_right) => {
                    Action::reply("235 2.7.0 Ok")
                }
                Event::Answer { mechanism: "PLAIN", line } if is_right(line) => Action::reply("235 2.7.0 Ok"),
                Event::Command("AUTH XOAUTH2") => Action::reply("334 "),
                Event::Command(line) if line.strip_prefix("AUTH XOAUTH2 ").is_some_and(has_right_token) => {
                    Action::reply("235 2.7.0 Ok")
                }
                Event::Answer { line, .. } if has_right_token(line) => Action::reply("235 2.7.0 Ok"),
                Event::Command(line) if line.starts_with("RCPT") && line.contains("talkative") => Action::reply(&talk),
                Event::Command("DATA") if !session.recipients.is_empty() => Action::reply("354 Go on"),
                Event::Dot => {
                    // Before the client can know of it.
                    counter.fetch_add(1, Ordering::SeqCst);
                    Action::Default
                }
                _ => Action::Default,
            }),
        ));
        Sink { address, taken }
    }

    /// How many messages came since the last call.
    pub fn taken(&self) -> usize {
        self.taken.swap(0, Ordering::SeqCst)
    }
}

/// What PLAIN says of a login by myuser whose password begins with secretpass, without and with the name once more as whom to act for.
fn is_right(said: &str) -> bool {
    ["AG15dXNlcgBzZWNyZXRwYXNz", "bXl1c2VyAG15dXNlcgBzZWNyZXRwYXNz"].iter().any(|right| said.starts_with(right))
}

/// What XOAUTH2 says of a login by myuser whose token begins with secretpass.
fn has_right_token(said: &str) -> bool {
    said.starts_with("dXNlcj1teXVzZXIBYXV0aD1CZWFyZXIgc2VjcmV0cGFz")
}

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
