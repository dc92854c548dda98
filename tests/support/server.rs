//! A submission server on a thread: SMTP with PIPELINING, STARTTLS and AUTH as RFC 5321, 3207 and 4954 have it, and a hook in
//! front of every reply, so that a test writes down only where its server is odd.

mod auth;
mod log;
mod reply;
pub mod scram;
mod session;
mod tls;

pub use log::{ConnectionLog, Log, Login, Message, Who};
pub use tls::Tls;

use std::fs;
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream, ToSocketAddrs};
use std::panic::resume_unwind;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::sync::{Arc, Mutex, Weak};
use std::thread::{self, JoinHandle};
use std::time::Duration;

/// How long the server waits for its peers to close, and then, once cut off, for its threads to end. Only a test that
/// is about to fail gets near it.
const PATIENCE: Duration = Duration::from_secs(10);

/// What the hook may do instead of the ordinary reply.
pub enum Action {
    /// The ordinary thing.
    Default,
    /// These octets and not the ordinary reply; none at all is allowed. What they mean to the peer is what happens: a
    /// 354 makes the message follow, a 334 the next line of a login, a 235 is a login; otherwise the command takes
    /// effect only if they begin with the code of the ordinary reply.
    Reply(Vec<u8>),
    /// The same in several writes.
    Pieces(Vec<Vec<u8>>),
    /// These octets, then the end of our side; what the peer still says is read to its end, so the octets arrive.
    ReplyAndClose(Vec<u8>),
    /// These octets, then the socket is closed at once in both directions: what the peer sends from then on fails.
    ReplyAndDrop(Vec<u8>),
    /// The end of our side, without a word; what the peer still says is read to its end.
    Close,
    /// Not a word more, but what the peer says is read until it closes.
    Silence,
}

impl Action {
    /// `Reply` with this text, the last line end added where it is missing.
    pub fn reply(text: impl AsRef<[u8]>) -> Action {
        Action::Reply(line(text))
    }

    /// `ReplyAndClose`, in the same manner.
    pub fn reply_and_close(text: impl AsRef<[u8]>) -> Action {
        Action::ReplyAndClose(line(text))
    }

    /// `ReplyAndDrop`, in the same manner.
    pub fn reply_and_drop(text: impl AsRef<[u8]>) -> Action {
        Action::ReplyAndDrop(line(text))
    }
}

/// What the hook is asked about, before anything is said.
#[derive(Debug)]
pub enum Event<'a> {
    /// A connection; the ordinary reply is the greeting.
    Connect,
    /// A command line, without its line end.
    Command(&'a str),
    /// A line that answers a 334.
    Answer { mechanism: &'a str, line: &'a str },
    /// In the middle of a message, at the end of a line, once every 16 KiB: so many octets came. Ordinarily nothing is
    /// said here. A reply is the early verdict: the message is read on to its dot, which then gets none.
    Data(usize),
    /// The dot after a message.
    Dot,
}

impl Event<'_> {
    /// How the event reads in the table of [`Rules::answering`]: `CONNECT`, the command line, `ANSWER MECHANISM LINE`,
    /// `...` in the middle of a message, `.` at its end.
    pub fn text(&self) -> String {
        match self {
            Event::Connect => "CONNECT".into(),
            Event::Command(line) => (*line).into(),
            Event::Answer { mechanism, line } => format!("ANSWER {mechanism} {line}"),
            Event::Data(_) => "...".into(),
            Event::Dot => ".".into(),
        }
    }
}

/// Where a connection stands; what the hook sees is the state before the event takes effect.
#[derive(Clone, Debug, Default)]
pub struct Session {
    /// 0 for the first connection that the server got.
    pub connection: usize,
    /// The name that EHLO or HELO gave.
    pub hello: Option<String>,
    pub login: Option<Login>,
    pub over_tls: bool,
    /// AUTH commands of this connection, the one that the hook is asked about included.
    pub auth_tries: usize,
    pub sender: Option<String>,
    pub recipients: Vec<String>,
}

pub type Hook = Box<dyn FnMut(&Event, &Session) -> Action + Send>;

/// How the server behaves.
pub struct Rules {
    pub greeting: String,
    /// The lines of the reply to EHLO after the first.
    pub ehlo: Vec<String>,
    /// The whole reply to EHLO instead, as on the wire, for those that no list of lines can say.
    pub ehlo_raw: Option<Vec<u8>>,
    /// EHLO is an unknown command, HELO is not.
    pub helo_only: bool,
    pub user: Vec<u8>,
    pub password: Vec<u8>,
    /// MAIL without a login gets 530.
    pub auth_required: bool,
    pub hook: Option<Hook>,
    /// What follows on STARTTLS, which is then offered in clear as the first extension.
    pub tls: Option<Tls>,
    /// TLS is there from the first octet, and STARTTLS is not offered.
    pub implicit_tls: bool,
    /// Messages are read to their dot and forgotten, as fast as that can be done.
    pub forgets: bool,
    /// How replies leave, which decides whether a client waits for the acknowledgements of a kernel.
    pub manner: Manner,
}

/// How a server reads and writes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Manner {
    /// At once, and those together whose commands came together. No wait: what a client costs by itself.
    Prompt,
    /// As from Postfix, which is as most do it: one read takes a record of TLS at the most, all replies so far go before the next,
    /// and they go by Nagle's algorithm, so that one waits until what went before it is acknowledged. Session tickets are the first.
    Relay,
}

impl Default for Rules {
    fn default() -> Rules {
        let ehlo = ["PIPELINING", "8BITMIME", "SIZE 52428800", "AUTH CRAM-MD5 PLAIN LOGIN"];
        Rules {
            greeting: "220 smtp.example.jp ESMTP".into(),
            ehlo: ehlo.map(String::from).into(),
            ehlo_raw: None,
            helo_only: false,
            user: b"myuser".into(),
            password: b"secretpass".into(),
            auth_required: true,
            hook: None,
            tls: None,
            implicit_tls: false,
            forgets: false,
            manner: Manner::Prompt,
        }
    }
}

impl Rules {
    /// The default, with these lines after the first in the reply to EHLO.
    pub fn offering(ehlo: &[&str]) -> Rules {
        Rules { ehlo: ehlo.iter().map(|&line| line.into()).collect(), ..Rules::default() }
    }

    /// The default, with TLS.
    pub fn over_tls(tls: Tls) -> Rules {
        Rules { tls: Some(tls), ..Rules::default() }
    }

    /// With another user and password.
    pub fn login(self, user: impl AsRef<[u8]>, password: impl AsRef<[u8]>) -> Rules {
        Rules { user: user.as_ref().into(), password: password.as_ref().into(), ..self }
    }

    /// With this hook.
    pub fn hooked(self, hook: impl FnMut(&Event, &Session) -> Action + Send + 'static) -> Rules {
        Rules { hook: Some(Box::new(hook)), ..self }
    }

    /// With a table of replies, of beginnings of [`Event::text`] in either case; the first that fits is the reply. So
    /// `("AUTH PLAIN", "504 5.5.4 no")` refuses a mechanism, `("ANSWER CRAM-MD5", "535 5.7.8 no")` its login, and
    /// `("", "421 4.3.2 closing")` everything.
    pub fn answering(self, table: &[(&str, &str)]) -> Rules {
        let table: Vec<(String, Vec<u8>)> = table.iter().map(|&(begin, reply)| (begin.into(), line(reply))).collect();
        self.hooked(move |event, _| {
            let text = event.text();
            match table.iter().find(|(begin, _)| log::begins(&text, begin)) {
                Some((_, reply)) => Action::Reply(reply.clone()),
                None => Action::Default,
            }
        })
    }
}

/// The text with a line end, unless it has one.
fn line(text: impl AsRef<[u8]>) -> Vec<u8> {
    let mut line = text.as_ref().to_vec();
    if !line.ends_with(b"\n") {
        line.extend(b"\r\n");
    }
    line
}

/// A server that listens and serves until [`Server::finish`].
pub struct Server {
    address: SocketAddr,
    /// The address of the connection that the server makes to itself to end its waiting for others.
    waker: Arc<Mutex<Option<SocketAddr>>>,
    /// Disconnected when the last thread of a connection has ended.
    ended: Receiver<()>,
    accepting: Option<JoinHandle<Vec<Connection>>>,
}

struct Connection {
    stream: Weak<TcpStream>,
    thread: JoinHandle<ConnectionLog>,
}

impl Server {
    /// Listens on a free port of 127.0.0.1.
    pub fn start(rules: Rules) -> Server {
        Server::start_on("127.0.0.1:0", rules)
    }

    /// Listens on this address and port, 0 for a free one.
    pub fn start_on(address: impl ToSocketAddrs, rules: Rules) -> Server {
        Server::serve(TcpListener::bind(address).unwrap(), rules)
    }

    /// Serves those who connect to this listener.
    pub fn serve(listener: TcpListener, rules: Rules) -> Server {
        let address = listener.local_addr().unwrap();
        let waker = Arc::new(Mutex::new(None));
        let (alive, ended) = channel();
        let accepting = thread::spawn({
            let waker = waker.clone();
            move || accept(&listener, &waker, &Arc::new(Mutex::new(rules)), &alive)
        });
        Server { address, waker, ended, accepting: Some(accepting) }
    }

    pub fn address(&self) -> SocketAddr {
        self.address
    }

    pub fn port(&self) -> u16 {
        self.address.port()
    }

    /// Serves those who have connected to the end of their connections, and says what happened. A peer that does not
    /// close is cut off. Panics where a hook has, with its message.
    pub fn finish(mut self) -> Log {
        let connections = self.stop().into_iter().map(|end| end.unwrap_or_else(|panic| resume_unwind(panic)));
        Log::new(connections.collect())
    }

    fn stop(&mut self) -> Vec<thread::Result<ConnectionLog>> {
        let Some(accepting) = self.accepting.take() else { return Vec::new() };
        {
            // Under the lock, so that whoever accepts the connection finds its address written down.
            let mut waker = self.waker.lock().unwrap();
            *waker = Some(TcpStream::connect(self.address).and_then(|wake| wake.local_addr()).unwrap());
        }
        let connections = accepting.join().unwrap();
        let ended = |this: &Server| this.ended.recv_timeout(PATIENCE) == Err(RecvTimeoutError::Disconnected);
        if !ended(self) {
            for stream in connections.iter().filter_map(|connection| connection.stream.upgrade()) {
                let _ = stream.shutdown(Shutdown::Both);
            }
            assert!(ended(self), "a connection is held up, by its hook perhaps");
        }
        connections.into_iter().map(|connection| connection.thread.join()).collect()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // A test that fails has said why already.
        if !thread::panicking() {
            self.stop();
        }
    }
}

/// Gives each connection a thread of its own, until the one comes that the server makes to itself.
fn accept(
    listener: &TcpListener,
    waker: &Mutex<Option<SocketAddr>>,
    rules: &Arc<Mutex<Rules>>,
    alive: &Sender<()>,
) -> Vec<Connection> {
    let mut connections = Vec::new();
    loop {
        let (stream, peer) = listener.accept().unwrap();
        if *waker.lock().unwrap() == Some(peer) {
            return connections;
        }
        {
            let rules = rules.lock().unwrap();
            stream.set_nodelay(rules.manner == Manner::Prompt).unwrap();
            // A client that says nothing for so long will not: it waits for a greeting where TLS is to begin at once.
            stream.set_read_timeout(rules.forgets.then_some(PATIENCE)).unwrap();
        }
        let stream = Arc::new(stream);
        // Weak, so that the session alone decides when the socket is closed.
        let weak = Arc::downgrade(&stream);
        let (number, rules, alive) = (connections.len(), rules.clone(), alive.clone());
        let thread = thread::spawn(move || {
            let _alive = alive;
            session::serve(&stream, number, &rules)
        });
        connections.push(Connection { stream: weak, thread });
    }
}

/// How many octets of what was written to this stream its peer, a process on this machine, has not yet taken from its
/// kernel. None: the peer has closed.
pub fn unread(stream: &TcpStream) -> Option<u64> {
    let place = |address: SocketAddr| match address {
        SocketAddr::V4(v4) => format!("{:08X}:{:04X}", u32::from_ne_bytes(v4.ip().octets()), v4.port()),
        SocketAddr::V6(_) => panic!("another table"),
    };
    let [peer, here] = [stream.peer_addr().ok()?, stream.local_addr().ok()?].map(place);
    let table = fs::read_to_string("/proc/net/tcp").unwrap();
    let mut connections = table.lines().map(|line| line.split_whitespace().collect::<Vec<_>>());
    let fields = connections.find(|fields| fields[1] == peer && fields[2] == here)?;
    u64::from_str_radix(fields[4].split(':').nth(1)?, 16).ok()
}
