//! What a server has seen, for the test to look at.

/// The mechanism and the user of a login.
pub type Login = (String, String);

/// Everything, when all is over.
#[derive(Debug)]
pub struct Log {
    /// In the order of their coming.
    pub connections: Vec<ConnectionLog>,
    /// The messages that got 250, of all connections.
    pub messages: Vec<Message>,
}

/// One connection.
#[derive(Debug, Default)]
pub struct ConnectionLog {
    /// The address that it came from.
    pub peer: String,
    /// The lines of both sides in their order, without line ends.
    pub dialogue: Vec<(Who, Vec<u8>)>,
    /// Every octet that the peer sent.
    pub raw: Vec<u8>,
    pub login: Option<Login>,
    pub messages: Vec<Message>,
    /// `TLSv1_3`, once the handshake was over.
    pub tls: Option<String>,
    /// The name that the client asked for in it.
    pub server_name: Option<String>,
    /// The client showed a certificate.
    pub knows_client: bool,
}

/// Whose line it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Who {
    /// A command, or an answer within AUTH.
    Client,
    Server,
    /// A note of ours where the client sent a message, its dot included.
    Message,
}

/// A message that was taken.
#[derive(Clone, Debug)]
pub struct Message {
    pub sender: String,
    pub recipients: Vec<String>,
    /// As it was before its transport: ends of line are LF, no dot is stuffed.
    pub content: Vec<u8>,
    /// As it came over the wire, the dot and its CRLF included.
    pub raw: Vec<u8>,
    pub login: Option<Login>,
}

impl Log {
    pub(super) fn new(connections: Vec<ConnectionLog>) -> Log {
        let messages = connections.iter().flat_map(|connection| connection.messages.clone()).collect();
        Log { connections, messages }
    }

    /// The client's lines of all connections: commands, and answers within AUTH.
    pub fn commands(&self) -> Vec<String> {
        self.connections.iter().flat_map(ConnectionLog::commands).collect()
    }

    /// Whether a line of the client begins like this, in either case.
    pub fn saw(&self, begin: &str) -> bool {
        self.count(begin) > 0
    }

    /// How many lines of the client do.
    pub fn count(&self, begin: &str) -> usize {
        self.commands().iter().filter(|line| begins(line, begin)).count()
    }

    /// How many AUTH commands there were.
    pub fn auth_tries(&self) -> usize {
        self.count("AUTH ")
    }

    /// `MECHANISM USER` of each connection that logged in.
    pub fn logins(&self) -> Vec<String> {
        let logins = self.connections.iter().filter_map(|connection| connection.login.as_ref());
        logins.map(|(mechanism, user)| format!("{mechanism} {user}")).collect()
    }
}

impl ConnectionLog {
    /// The client's lines of this connection.
    pub fn commands(&self) -> Vec<String> {
        self.lines(Who::Client)
    }

    /// The server's lines of this connection.
    pub fn replies(&self) -> Vec<String> {
        self.lines(Who::Server)
    }

    fn lines(&self, who: Who) -> Vec<String> {
        let lines = self.dialogue.iter().filter(|(whose, _)| *whose == who);
        lines.map(|(_, line)| String::from_utf8_lossy(line).into_owned()).collect()
    }
}

/// Whether the text begins like this, in either case.
pub(super) fn begins(text: &str, begin: &str) -> bool {
    text.as_bytes().get(..begin.len()).is_some_and(|head| head.eq_ignore_ascii_case(begin.as_bytes()))
}
