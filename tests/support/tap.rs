//! A tap on the wire to a provider that speaks HTTP in clear: what is said goes through, and can be read later.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Instant;

/// A request and its answer.
#[derive(Clone, Debug)]
pub struct Exchange {
    pub request: String,
    pub answer: String,
    /// When it had been answered.
    pub at: Instant,
}

impl Exchange {
    /// The body of the answer.
    pub fn body(&self) -> &str {
        self.answer.split_once("\r\n\r\n").map_or("", |(_, body)| body)
    }

    /// A field of the form that was sent, as it was sent.
    pub fn field(&self, name: &str) -> &str {
        let body = self.request.split_once("\r\n\r\n").map_or("", |(_, body)| body);
        let mut fields = body.split('&').filter_map(|field| field.split_once('='));
        fields.find(|(field, _)| *field == name).map_or("", |(_, value)| value)
    }
}

/// Both ends of it are on the loopback.
pub struct Tap {
    port: u16,
    exchanges: Arc<Mutex<Vec<Exchange>>>,
}

impl Tap {
    /// Before the server on this port. `change` has two texts of the same length: an answer with the first gets the second.
    pub fn before(server: u16, change: (&'static str, &'static str)) -> Tap {
        assert_eq!(change.0.len(), change.1.len());
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let tap = Tap { port: listener.local_addr().unwrap().port(), exchanges: Arc::default() };
        let exchanges = tap.exchanges.clone();
        thread::spawn(move || {
            for client in listener.incoming() {
                let exchanges = exchanges.clone();
                thread::spawn(move || pass(client.ok()?, server, change, &exchanges));
            }
        });
        tap
    }

    /// This URL, behind the tap.
    pub fn url(&self, url: &str) -> String {
        let path = url.splitn(4, '/').nth(3).unwrap();
        format!("http://127.0.0.1:{}/{path}", self.port)
    }

    /// What went through since [`Tap::take`].
    pub fn seen(&self) -> Vec<Exchange> {
        self.exchanges.lock().unwrap().clone()
    }

    /// What went through since the last call.
    pub fn take(&self) -> Vec<Exchange> {
        std::mem::take(&mut self.exchanges.lock().unwrap())
    }
}

/// One exchange. None: the client or the server has gone.
fn pass(mut client: TcpStream, server: u16, change: (&str, &str), exchanges: &Mutex<Vec<Exchange>>) -> Option<()> {
    let mut octets = Vec::new();
    let mut piece = [0; 4096];
    let request = loop {
        let text = String::from_utf8_lossy(&octets).into_owned();
        if let Some((head, body)) = text.split_once("\r\n\r\n") {
            let length = head.lines().find_map(|line| line.strip_prefix("Content-Length: ")).unwrap_or("0");
            if body.len() >= length.parse().ok()? {
                break text;
            }
        }
        let count = client.read(&mut piece).ok().filter(|count| *count > 0)?;
        octets.extend_from_slice(&piece[..count]);
    };
    let mut server = TcpStream::connect(("127.0.0.1", server)).ok()?;
    server.write_all(&octets).ok()?;
    let mut answer = String::new();
    server.read_to_string(&mut answer).ok()?;
    // Before the client has it, so that who has seen the client go on finds it here.
    exchanges.lock().unwrap().push(Exchange { request, answer: answer.clone(), at: Instant::now() });
    client.write_all(answer.replace(change.0, change.1).as_bytes()).ok()
}
