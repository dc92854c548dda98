//! A scripted server without a socket: it answers line by line, in clear or over TLS, and its octets can be cut short or into
//! pieces. The machine alone and the whole program are both tested against it.

use super::server_side::ServerSide;
use rustls::ServerConfig;
use std::sync::Arc;

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
    ("MAIL FROM:<a@example.net> SIZE=64", "250 sender ok\r\n"),
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
    ("MAIL FROM:<a@example.net>", "250 ok\r\n"),
    ("RCPT TO:<one@example.org>", "250 ok\r\n"),
    ("DATA", "354 go\r\n"),
    (".", "250 queued\r\n"),
    ("QUIT", "221 bye\r\n"),
];

/// The same over STARTTLS, where another EHLO reply holds: what the server says to EHLO before it, and to STARTTLS.
pub fn over_starttls(hello: &'static str, go: &'static str, script: Script) -> Script {
    let front = [script[0], ("EHLO client.example.net", hello), ("STARTTLS", go)];
    [&front, &script[1..]].concat().leak()
}

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
    side: ServerSide,
    /// The final dot was heard.
    pub dot: bool,
}

impl Player {
    /// TLS, if there is a configuration for it, begins with STARTTLS where the script has that, else with the first octet.
    pub fn new(script: Script, config: Option<Arc<ServerConfig>>) -> Player {
        let (heard, said, places, side) = (Vec::new(), Vec::new(), Vec::new(), ServerSide::default());
        let mut player = Player { script, heard, next: 0, said, places, config, side, dot: false };
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
    pub fn hear(&mut self, octets: &[u8]) {
        self.side.hear(octets, &mut self.heard).unwrap();
        self.say(b"");
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
        self.say(reply);
        self.places.push(self.said.len());
    }

    fn say(&mut self, octets: &[u8]) {
        self.said.extend(self.side.say(octets));
    }

    fn start_tls(&mut self) {
        self.config.iter().for_each(|config| self.side.start_tls(config.clone()));
    }
}
