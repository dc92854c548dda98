//! A scripted server without a socket: it answers line by line, in clear or over TLS, and its octets can be cut short or into
//! pieces. The machine alone and the whole program are both tested against it.

use std::io::{Read, Write};
use std::sync::Arc;

use rustls::{ServerConfig, ServerConnection};

/// What the client says begins with the first, then the server says the second. An empty first is the greeting; `.` is the
/// end of a message.
pub type Script = &'static [(&'static str, &'static str)];

/// With PIPELINING, SIZE, PLAIN and two recipients.
pub const PIPELINED: Script = &[
    ("", "220 relay.example ESMTP\r\n"),
    (
        "EHLO client.example.net",
        "250-relay.example\r\n250-PIPELINING\r\n250-SIZE\r\n250-8BITMIME\r\n250 AUTH PLAIN\r\n",
    ),
    ("AUTH PLAIN AG15dXNlcgBzZWNyZXRwYXNz", "235 2.7.0 ok\r\n"),
    ("MAIL FROM:<sender@example.net> SIZE=64", "250 sender ok\r\n"),
    ("RCPT TO:<one@example.org>", "250 one ok\r\n"),
    ("RCPT TO:<two@example.org>", "250 two ok\r\n"),
    ("DATA", "354 go ahead\r\n"),
    (".", "250-2.0.0 queued\r\n250 as 1234\r\n"),
    ("QUIT", "221 bye\r\n"),
];

/// Without PIPELINING, CRAM-MD5, one recipient, a greeting of two lines.
pub const ONE_BY_ONE: Script = &[
    ("", "220-relay.example\r\n220 ESMTP\r\n"),
    ("EHLO client.example.net", "250-relay.example\r\n250 AUTH CRAM-MD5\r\n"),
    ("AUTH CRAM-MD5", "334 PDE4OTYuNjk3MTcwOTUyQHBvc3RvZmZpY2UucmVzdG9uLm1jaS5uZXQ+\r\n"),
    ("", "235 ok\r\n"),
    ("MAIL FROM:<sender@example.net>", "250 ok\r\n"),
    ("RCPT TO:<one@example.org>", "250 ok\r\n"),
    ("DATA", "354 go\r\n"),
    (".", "250 queued\r\n"),
    ("QUIT", "221 bye\r\n"),
];

/// The first over STARTTLS, where another EHLO reply holds.
pub const PIPELINED_STARTTLS: Script = &[
    ("", "220 relay.example ESMTP\r\n"),
    ("EHLO client.example.net", "250-relay.example\r\n250 STARTTLS\r\n"),
    ("STARTTLS", "220-go\r\n220 ahead\r\n"),
    (
        "EHLO client.example.net",
        "250-relay.example\r\n250-PIPELINING\r\n250-SIZE\r\n250-8BITMIME\r\n250 AUTH PLAIN\r\n",
    ),
    ("AUTH PLAIN AG15dXNlcgBzZWNyZXRwYXNz", "235 2.7.0 ok\r\n"),
    ("MAIL FROM:<sender@example.net> SIZE=64", "250 sender ok\r\n"),
    ("RCPT TO:<one@example.org>", "250 one ok\r\n"),
    ("RCPT TO:<two@example.org>", "250 two ok\r\n"),
    ("DATA", "354 go ahead\r\n"),
    (".", "250-2.0.0 queued\r\n250 as 1234\r\n"),
    ("QUIT", "221 bye\r\n"),
];

/// The second over STARTTLS.
pub const ONE_BY_ONE_STARTTLS: Script = &[
    ("", "220-relay.example\r\n220 ESMTP\r\n"),
    ("EHLO client.example.net", "250-PIPELINING\r\n250-STARTTLS\r\n250 AUTH PLAIN\r\n"),
    ("STARTTLS", "220\r\n"),
    ("EHLO client.example.net", "250-relay.example\r\n250 AUTH CRAM-MD5\r\n"),
    ("AUTH CRAM-MD5", "334 PDE4OTYuNjk3MTcwOTUyQHBvc3RvZmZpY2UucmVzdG9uLm1jaS5uZXQ+\r\n"),
    ("", "235 ok\r\n"),
    ("MAIL FROM:<sender@example.net>", "250 ok\r\n"),
    ("RCPT TO:<one@example.org>", "250 ok\r\n"),
    ("DATA", "354 go\r\n"),
    (".", "250 queued\r\n"),
    ("QUIT", "221 bye\r\n"),
];

/// The message of all, as it lies in the queue.
pub const MESSAGE: &[u8] = b"Subject: offsets\n\n.a line that begins with a dot\n.\nthe end\n";
/// The same between the `354` and the final dot.
pub const MESSAGE_ON_THE_WIRE: &[u8] = b"Subject: offsets\r\n\r\n..a line that begins with a dot\r\n..\r\nthe end\r\n";

/// The recipients of a script.
pub fn recipients(script: Script) -> Vec<&'static str> {
    let path = |line: &'static str| line.strip_prefix("RCPT TO:<")?.strip_suffix('>');
    script.iter().filter_map(|(line, _)| path(line)).collect()
}

/// The server's side of one connection. Places in what it says are counted in octets on the wire.
pub struct Player {
    script: Script,
    heard: Vec<u8>,
    /// The next step of the script.
    next: usize,
    said: Vec<u8>,
    /// The place behind each reply that is said.
    places: Vec<usize>,
    config: Option<Arc<ServerConfig>>,
    tls: Option<ServerConnection>,
    /// The final dot was heard.
    pub dot: bool,
}

impl Player {
    /// TLS, if there is a configuration for it, begins with STARTTLS where the script has that, else with the first octet.
    pub fn new(script: Script, config: Option<Arc<ServerConfig>>) -> Player {
        let (said, places) = (Vec::new(), Vec::new());
        let mut player = Player { script, heard: Vec::new(), next: 0, said, places, config, tls: None, dot: false };
        if !script.iter().any(|(line, _)| *line == "STARTTLS") {
            player.start_tls();
        }
        player.reply();
        player
    }

    /// All that the server has said so far.
    pub fn said(&self) -> &[u8] {
        &self.said
    }

    /// The place behind the reply to `command`, once it is said.
    pub fn place_behind(&self, command: &str) -> Option<usize> {
        self.places.get(self.script.iter().position(|(line, _)| *line == command).unwrap()).copied()
    }

    /// The client's octets. Panics when they are not those of the script.
    pub fn hear(&mut self, mut octets: &[u8]) {
        let Some(tls) = &mut self.tls else {
            self.heard.extend_from_slice(octets);
            return self.go_on();
        };
        while !octets.is_empty() && tls.read_tls(&mut octets).unwrap() > 0 {
            tls.process_new_packets().unwrap();
            let _ = tls.reader().read_to_end(&mut self.heard);
        }
        self.take_from_tls();
        self.go_on();
    }

    fn go_on(&mut self) {
        while let Some((line, _)) = self.script.get(self.next) {
            let end = match *line {
                "." => {
                    let whole = [MESSAGE_ON_THE_WIRE, b".\r\n"].concat();
                    let length = self.heard.len().min(whole.len());
                    assert_eq!(self.heard[..length], whole[..length]);
                    if length < whole.len() {
                        return;
                    }
                    self.dot = true;
                    length
                }
                line => {
                    let Some(end) = self.heard.windows(2).position(|end| end == b"\r\n") else { return };
                    let heard = String::from_utf8_lossy(&self.heard[..end]).into_owned();
                    assert!(
                        if line.is_empty() { !heard.contains(' ') } else { heard == line },
                        "{heard:?}, not {line:?}"
                    );
                    end + 2
                }
            };
            self.heard.drain(..end);
            self.reply();
            if *line == "STARTTLS" {
                self.start_tls();
            }
        }
        assert!(self.heard.is_empty(), "more than the script: {:?}", self.heard);
    }

    fn reply(&mut self) {
        let reply = self.script[self.next].1.as_bytes();
        self.next += 1;
        match &mut self.tls {
            None => self.said.extend_from_slice(reply),
            Some(tls) => tls.writer().write_all(reply).unwrap(),
        }
        self.take_from_tls();
        self.places.push(self.said.len());
    }

    fn start_tls(&mut self) {
        self.tls = self.config.clone().map(|config| ServerConnection::new(config).unwrap());
    }

    fn take_from_tls(&mut self) {
        if let Some(tls) = &mut self.tls {
            while tls.wants_write() {
                tls.write_tls(&mut self.said).unwrap();
            }
        }
    }
}
