//! One connection: what is read, what is said, and what it comes to.

use std::io::{BufRead, BufReader, Read, Write};
use std::mem::take;
use std::net::{Shutdown, TcpStream};
use std::sync::Mutex;
use std::time::SystemTime;

use memchr::memmem;

use super::auth::{self, Exchange};
use super::log::begins;
use super::reply::{Effect, effect_of, ehlo_reply, extensions, login, offered, path};
use super::tls::{Tls, Wire};
use super::{Action, ConnectionLog, Event, Manner, Message, Rules, Session, Who, line, unread};

/// How much of a message goes by between two [`Event::Data`].
const STRIDE: usize = 16 * 1024;

/// What Postfix reads at once, or as much as there may be.
fn read_at_once(manner: Manner) -> usize {
    if manner == Manner::Relay { 4096 } else { 1 << 16 }
}

/// Serves the connection to its end.
pub(super) fn serve(stream: &TcpStream, number: usize, rules: &Mutex<Rules>) -> ConnectionLog {
    let peer = stream.peer_addr().map_or(String::new(), |peer| peer.ip().to_string()); // known as long as there is a connection
    let manner = rules.lock().unwrap().manner;
    let mut connection = Connection {
        rules,
        stream,
        input: BufReader::with_capacity(read_at_once(manner), Wire::Clear(stream)),
        manner,
        output: Vec::new(),
        state: Session { connection: number, ..Session::default() },
        exchange: None,
        extensions: Vec::new(),
        log: ConnectionLog { peer, ..ConnectionLog::default() },
    };
    let _over = connection.run();
    let wire = connection.input.get_ref();
    let (tls, server_name, knows_client) = (wire.version(), wire.server_name(), wire.knows_client());
    ConnectionLog { login: connection.state.login, tls, server_name, knows_client, ..connection.log }
}

struct Connection<'a> {
    rules: &'a Mutex<Rules>,
    stream: &'a TcpStream,
    input: BufReader<Wire<'a>>,
    manner: Manner,
    /// Replies that wait until the client has nothing more in the pipeline.
    output: Vec<u8>,
    state: Session,
    /// A login under way, and its mechanism.
    exchange: Option<(String, Exchange)>,
    /// The keywords of the reply to EHLO, in capitals; none after HELO.
    extensions: Vec<String>,
    log: ConnectionLog,
}

/// `None` everywhere here: the connection is over.
type Over = Option<()>;

impl Connection<'_> {
    fn run(&mut self) -> Over {
        let (greeting, implicit) = {
            let rules = self.rules.lock().unwrap();
            (line(&rules.greeting), rules.tls.clone().filter(|_| rules.implicit_tls))
        };
        if let Some(tls) = implicit {
            self.start_tls(tls)?;
        }
        self.react(&Event::Connect, greeting, Effect::None)?;
        loop {
            let octets = self.read_line(Who::Client)?;
            let text = String::from_utf8_lossy(&octets[..octets.len() - 2]).into_owned();
            if let Some((mechanism, exchange)) = self.exchange.take() {
                let step = exchange.answer(&text, &self.rules.lock().unwrap());
                let (reply, effect) = login(&mechanism, step);
                self.react(&Event::Answer { mechanism: &mechanism, line: &text }, reply, effect)?;
            } else {
                self.state.auth_tries += usize::from(begins(&text, "AUTH "));
                let (reply, effect) = self.command(&text, &self.rules.lock().unwrap());
                self.react(&Event::Command(&text), reply, effect)?;
            }
        }
    }

    /// The ordinary reply to a command, and what comes of it.
    fn command(&self, text: &str, rules: &Rules) -> (Vec<u8>, Effect) {
        let refused = |reply: &str| (line(reply), Effect::None);
        if text.contains(['\r', '\n']) {
            return refused("500 5.5.2 Error: bare <CR> or <LF>");
        }
        let (verb, rest) = text.split_once(' ').unwrap_or((text, ""));
        let state = &self.state;
        match verb.to_ascii_uppercase().as_str() {
            "EHLO" if !rules.helo_only => {
                let effect = Effect::Hello { name: rest.into(), extensions: extensions(rules) };
                (ehlo_reply(rules, self.offers_tls(rules)), effect)
            }
            "HELO" => (line("250 smtp.example.jp"), Effect::Hello { name: rest.into(), extensions: Vec::new() }),
            "NOOP" => (line("250 2.0.0 Ok"), Effect::None),
            "RSET" => (line("250 2.0.0 Ok"), Effect::Reset),
            "STARTTLS" => match rules.tls.clone().filter(|_| self.offers_tls(rules)) {
                Some(tls) => (line("220 2.0.0 Ready to start TLS"), Effect::StartTls(tls)),
                None => refused("502 5.5.1 Error: command not implemented"),
            },
            "QUIT" => (line("221 2.0.0 Bye"), Effect::Quit),
            "AUTH" | "MAIL" | "RCPT" | "DATA" if state.hello.is_none() => {
                refused("503 5.5.1 Error: send HELO/EHLO first")
            }
            "AUTH" if state.login.is_some() => refused("503 5.5.1 Error: already authenticated"),
            "AUTH" if state.sender.is_some() => refused("503 5.5.1 Error: MAIL transaction in progress"),
            "AUTH" => {
                let (name, initial) = match rest.split_once(' ') {
                    Some((name, initial)) => (name, Some(initial)),
                    None => (rest, None),
                };
                let mechanism = name.to_ascii_uppercase();
                if !offered(&mechanism, &extensions(rules)) {
                    return refused("504 5.5.4 Unrecognized authentication type");
                }
                login(
                    &mechanism,
                    auth::start(&mechanism, initial, &self.challenge(), self.input.get_ref().binding(), rules),
                )
            }
            "MAIL" if rules.auth_required && state.login.is_none() => refused("530 5.7.0 Authentication required"),
            "MAIL" if state.sender.is_some() => refused("503 5.5.1 Error: nested MAIL command"),
            "MAIL" => match path(rest, "FROM:") {
                Some((_, options)) if !self.knows(options) => refused("555 5.5.4 Unsupported option"),
                Some((sender, _)) => (line("250 2.1.0 Ok"), Effect::Mail(sender.into())),
                None => refused("501 5.5.4 Syntax: MAIL FROM:<address>"),
            },
            "RCPT" if state.sender.is_none() => refused("503 5.5.1 Error: need MAIL command"),
            "RCPT" => match path(rest, "TO:") {
                Some((recipient, "")) if !recipient.is_empty() => {
                    (line("250 2.1.5 Ok"), Effect::Rcpt(recipient.into()))
                }
                _ => refused("501 5.5.4 Syntax: RCPT TO:<address>"),
            },
            "DATA" if state.recipients.is_empty() => refused("554 5.5.1 Error: no valid recipients"),
            "DATA" => (line("354 End data with <CR><LF>.<CR><LF>"), Effect::Data),
            _ => refused("502 5.5.2 Error: command not recognized"),
        }
    }

    /// STARTTLS is to be had: not over TLS, which some servers offer and none takes.
    fn offers_tls(&self, rules: &Rules) -> bool {
        rules.tls.is_some() && matches!(self.input.get_ref(), Wire::Clear(_))
    }

    /// Everything said before is forgotten (RFC 3207 section 4.2).
    fn start_tls(&mut self, tls: Tls) -> Over {
        self.flush()?;
        let (config, octet_by_octet) = match tls {
            Tls::Handshake(config) => (config, false),
            Tls::OctetByOctet(config) => (config, true),
            Tls::Raw(octets) => {
                self.input.fill_buf().ok()?;
                return self.close(&octets);
            }
            Tls::RawAtOnce(octets) => {
                while unread(self.stream).is_some_and(|octets| octets > 0) {
                    std::thread::yield_now();
                }
                return self.close(&octets);
            }
        };
        let wire = Wire::start_tls(self.stream, config, octet_by_octet, self.manner);
        self.input = BufReader::with_capacity(read_at_once(self.manner), wire);
        self.state = Session { connection: self.state.connection, over_tls: true, ..Session::default() };
        Some(())
    }

    /// A challenge that no other connection gets.
    fn challenge(&self) -> String {
        let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap().as_nanos();
        format!("<{}.{now}@smtp.example.jp>", self.state.connection)
    }

    /// Whether all options of MAIL belong to extensions that the reply to EHLO named.
    fn knows(&self, options: &str) -> bool {
        options.split_whitespace().all(|option| {
            let extension = match option.split('=').next().unwrap_or("").to_ascii_uppercase().as_str() {
                "BODY" => "8BITMIME".to_owned(),
                keyword => keyword.to_owned(),
            };
            self.extensions.iter().any(|line| line.split([' ', '=']).next() == Some(&extension))
        })
    }

    /// Asks the hook, says what is to be said, and lets it take effect.
    fn react(&mut self, event: &Event, reply: Vec<u8>, effect: Effect) -> Over {
        let action = match &mut self.rules.lock().unwrap().hook {
            Some(hook) => hook(event, &self.state),
            None => Action::Default,
        };
        match action {
            Action::Default => {
                self.say(&reply);
                self.apply(effect)
            }
            Action::Reply(said) => {
                self.say(&said);
                self.apply(effect_of(&said, event, &reply, effect))
            }
            Action::Pieces(pieces) => {
                for piece in &pieces {
                    self.say(piece);
                    self.flush()?;
                }
                self.apply(effect_of(&pieces.concat(), event, &reply, effect))
            }
            Action::ReplyAndClose(said) => self.close(&said),
            Action::Close => self.close(b""),
            Action::ReplyAndDrop(said) => {
                self.say(&said);
                self.flush()?;
                None
            }
            Action::Silence => self.hear_out(),
        }
    }

    fn apply(&mut self, effect: Effect) -> Over {
        let state = &mut self.state;
        match effect {
            Effect::None => {}
            Effect::Hello { name, extensions } => {
                (state.hello, self.extensions) = (Some(name), extensions);
                (state.sender, state.recipients) = (None, Vec::new());
            }
            Effect::Exchange(mechanism, exchange) => self.exchange = Some((mechanism, exchange)),
            Effect::Login(login) => state.login = Some(login),
            Effect::Mail(sender) => state.sender = Some(sender),
            Effect::Rcpt(recipient) => state.recipients.push(recipient),
            Effect::Data => return self.message(),
            Effect::Keep(message) => self.log.messages.push(message),
            Effect::Reset => (state.sender, state.recipients) = (None, Vec::new()),
            Effect::StartTls(tls) => return self.start_tls(tls),
            Effect::Quit => return self.close(b""),
        }
        Some(())
    }

    /// Reads a message to its dot, and keeps none of it.
    fn forget(&mut self) -> Over {
        const END: &[u8] = b"\r\n.\r\n";
        let mut seam = b"\r\n".to_vec(); // the dot may be the first line
        loop {
            self.flush()?;
            let octets = self.input.fill_buf().ok().filter(|octets| !octets.is_empty())?;
            // The end may have begun with the last octets of what was read before.
            let before = seam.len();
            seam.extend(&octets[..octets.len().min(END.len() - 1)]);
            let place = memmem::find(&seam, END).map(|place| place + END.len() - before);
            if let Some(end) = place.or_else(|| memmem::find(octets, END).map(|place| place + END.len())) {
                self.input.consume(end);
                return self.react(&Event::Dot, line("250 2.0.0 Ok: queued as 9D1F2C4A3B"), Effect::Reset);
            }
            let length = octets.len();
            match length.checked_sub(END.len() - 1) {
                Some(start) => seam = octets[start..].to_vec(),
                None => drop(seam.drain(..seam.len().saturating_sub(END.len() - 1))),
            }
            self.input.consume(length);
        }
    }

    /// Reads a message to its dot.
    fn message(&mut self) -> Over {
        if self.rules.lock().unwrap().forgets {
            return self.forget();
        }
        let (mut raw, mut content, mut bare) = (Vec::new(), Vec::new(), false);
        let mut spoken = false;
        loop {
            let Some(octets) = self.read_line(Who::Message) else {
                self.note(Who::Message, format!("<{} octets of a message, then no more>", raw.len()).as_bytes());
                return None;
            };
            let strides = raw.len() / STRIDE;
            raw.extend(&octets);
            if octets == b".\r\n" {
                break;
            }
            let text = &octets[..octets.len() - 2];
            bare |= text.contains(&b'\n');
            content.extend(text.strip_prefix(b".").unwrap_or(text));
            content.push(b'\n');
            if raw.len() / STRIDE > strides {
                let said = self.output.len();
                self.react(&Event::Data(raw.len()), Vec::new(), Effect::None)?;
                spoken |= self.output.len() > said;
                self.flush()?;
            }
        }
        self.note(Who::Message, format!("<message, {} octets>", raw.len()).as_bytes());
        let (sender, recipients) = (take(&mut self.state.sender).unwrap_or_default(), take(&mut self.state.recipients));
        let message = Message { sender, recipients, content, raw, login: self.state.login.clone() };
        let (reply, effect) = match (spoken, bare) {
            (true, _) => (Vec::new(), Effect::None),
            (_, true) => (line("550 5.5.2 Error: bare <LF> received"), Effect::None),
            _ => (line("250 2.0.0 Ok: queued as 3F2A11C07"), Effect::Keep(message)),
        };
        self.react(&Event::Dot, reply, effect)
    }

    /// The next line of the client, with its CRLF, which alone ends one. What waits to be said is said before the
    /// server waits for more.
    fn read_line(&mut self, whose: Who) -> Option<Vec<u8>> {
        let mut line = Vec::new();
        if whose == Who::Client {
            self.pass_records()?;
        }
        while !line.ends_with(b"\r\n") {
            if !self.input.buffer().contains(&b'\n') {
                self.flush()?;
            }
            if !matches!(self.input.read_until(b'\n', &mut line), Ok(1..)) {
                self.log.raw.extend(&line);
                return None;
            }
        }
        self.log.raw.extend(&line);
        if whose == Who::Client {
            self.note(whose, &line[..line.len() - 2]);
        }
        Some(line)
    }

    /// Records of TLS where a command has its place are no lines, though their random octets may well hold a CRLF.
    fn pass_records(&mut self) -> Over {
        loop {
            if self.input.buffer().is_empty() {
                self.flush()?;
            }
            // The content types of RFC 8446 section 5.1. No command begins with such an octet.
            if !matches!(self.input.fill_buf().ok()?, [20..=23, ..]) {
                return Some(());
            }
            let mut header = [0; 5];
            self.input.read_exact(&mut header).ok()?;
            let mut fragment = vec![0; u16::from_be_bytes([header[3], header[4]]).into()];
            self.input.read_exact(&mut fragment).ok()?;
            self.log.raw.extend(header.iter().chain(&fragment));
        }
    }

    fn say(&mut self, octets: &[u8]) {
        self.output.extend(octets);
        for line in octets.split_inclusive(|&octet| octet == b'\n') {
            let line = line.strip_suffix(b"\n").unwrap_or(line);
            self.note(Who::Server, line.strip_suffix(b"\r").unwrap_or(line));
        }
    }

    fn note(&mut self, who: Who, line: &[u8]) {
        self.log.dialogue.push((who, line.into()));
    }

    fn flush(&mut self) -> Over {
        let output = take(&mut self.output);
        self.input.get_mut().write_all(&output).ok()?;
        self.input.get_mut().flush().ok()
    }

    /// Ends our side in order: a socket closed with octets unread would take back what was said last.
    fn close(&mut self, said: &[u8]) -> Over {
        self.say(said);
        self.flush()?;
        self.stream.shutdown(Shutdown::Write).ok()?;
        self.hear_out()
    }

    fn hear_out(&mut self) -> Over {
        loop {
            self.read_line(Who::Client)?;
        }
    }
}
