//! A scripted server without a socket: it answers line by line, and its octets can be cut short or into pieces. The
//! machine alone and the whole program are both tested against it.

/// What the client says begins with the first, then the server says the second. An empty first is the greeting; `.` is the
/// end of a message.
pub type Script = &'static [(&'static str, &'static str)];

/// With PIPELINING, PLAIN and two recipients.
pub const PIPELINED: Script = &[
    ("", "220 relay.example ESMTP\r\n"),
    ("EHLO client.example.net", "250-relay.example\r\n250-PIPELINING\r\n250 AUTH PLAIN\r\n"),
    ("AUTH PLAIN AG15dXNlcgBzZWNyZXRwYXNz", "235 2.7.0 ok\r\n"),
    ("MAIL FROM:<sender@example.net>", "250 sender ok\r\n"),
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

/// The message of both, as it lies in the queue.
pub const MESSAGE: &[u8] = b"Subject: offsets\n\n.a line that begins with a dot\n.\nthe end\n";
/// The same between the `354` and the final dot.
pub const MESSAGE_ON_THE_WIRE: &[u8] = b"Subject: offsets\r\n\r\n..a line that begins with a dot\r\n..\r\nthe end\r\n";

/// The recipients of a script.
pub fn recipients(script: Script) -> Vec<&'static str> {
    let path = |line: &'static str| line.strip_prefix("RCPT TO:<")?.strip_suffix('>');
    script.iter().filter_map(|(line, _)| path(line)).collect()
}

/// How many octets the server has said when it has said its replies up to and including the one to `command`.
pub fn octets_up_to(script: Script, command: &str) -> usize {
    let place = script.iter().position(|(line, _)| *line == command).unwrap();
    script[..=place].iter().map(|(_, reply)| reply.len()).sum()
}

/// How many octets the server says in all.
pub fn octets(script: Script) -> usize {
    script.iter().map(|(_, reply)| reply.len()).sum()
}

/// The server's side of one connection.
pub struct Player {
    script: Script,
    heard: Vec<u8>,
    /// The next step of the script.
    next: usize,
    said: Vec<u8>,
    /// The final dot was heard.
    pub dot: bool,
}

impl Player {
    pub fn new(script: Script) -> Player {
        Player { script, heard: Vec::new(), next: 1, said: script[0].1.into(), dot: false }
    }

    /// All that the server has said so far.
    pub fn said(&self) -> &[u8] {
        &self.said
    }

    /// The client's octets. Panics when they are not those of the script.
    pub fn hear(&mut self, octets: &[u8]) {
        self.heard.extend_from_slice(octets);
        while let Some((line, reply)) = self.script.get(self.next) {
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
            self.said.extend_from_slice(reply.as_bytes());
            self.next += 1;
        }
        assert!(self.heard.is_empty(), "more than the script: {:?}", self.heard);
    }
}
