//! The servers of a case: those of the other tests, which here say what the case has written down and nothing else.

use super::case::{Script, octets, text};
use crate::support::server::{Action, ConnectionLog, Event, Rules, Server, Who};
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

/// What is answered where the case says nothing.
const USUAL: [(&str, &str); 5] =
    [("greeting", "220 ready"), ("EHLO", "502 unknown"), ("DATA", "354 go on"), ("QUIT", "221 bye"), ("", "250 ok")];

/// A connection, and the lines that came over it.
pub struct Connection {
    /// `192.0.2.7`, and `:2525` behind it where the port is not 25.
    pub server: String,
    /// The address that it came from.
    pub peer: String,
    pub lines: Vec<String>,
}

/// The servers of a case.
pub struct Servers {
    servers: Vec<(String, Server)>,
    /// Whose connection it was, in the order they were made: a delivery has no two at a time.
    order: Arc<Mutex<Vec<String>>>,
}

impl Servers {
    pub fn start(scripts: BTreeMap<String, Script>) -> Servers {
        let order = Arc::new(Mutex::new(Vec::new()));
        let servers = scripts.into_iter().map(|(place, script)| {
            let address: SocketAddr =
                place.parse().unwrap_or_else(|_| SocketAddr::new(place.parse().expect("an address"), 25));
            let (order, here, mut speaker) = (order.clone(), place.clone(), Speaker { script, said: BTreeMap::new() });
            let rules = Rules::default().hooked(move |event, _| match event {
                Event::Connect => {
                    order.lock().unwrap().push(here.clone());
                    speaker.answer("greeting")
                }
                Event::Command(line) | Event::Answer { line, .. } => speaker.answer(line),
                Event::Data(_) => Action::Default,
                Event::Dot => speaker.answer("."),
            });
            (place, Server::start_on(address, rules))
        });
        let servers = servers.collect();
        Servers { servers, order }
    }

    /// The connections in their order. The client has ended, so there will be no more.
    pub fn finish(self) -> Vec<Connection> {
        let logs = self.servers.into_iter().map(|(place, server)| (place, server.finish().connections.into_iter()));
        let mut logs: BTreeMap<_, _> = logs.collect();
        let order = std::mem::take(&mut *self.order.lock().unwrap());
        let connection = |server: String| {
            let log = logs.get_mut(&server).unwrap().next().unwrap();
            Connection { peer: log.peer.clone(), lines: lines(&log), server }
        };
        order.into_iter().map(connection).collect()
    }
}

/// All lines of the client, those of messages too, without a refused EHLO: stock says HELO at once. What comes before the end
/// without a line end is marked.
fn lines(log: &ConnectionLog) -> Vec<String> {
    let said = text(&log.raw);
    let mut lines: Vec<String> = said.split("\r\n").map(str::to_owned).collect();
    match lines.pop() {
        Some(last) if !last.is_empty() => lines.push(last + "{end}"),
        _ => {}
    }
    let is_hello = |line: &str| line.starts_with("EHLO ");
    let replies = log.dialogue.iter().skip(1).map(Some).chain([None]);
    let hellos =
        log.dialogue.iter().zip(replies).filter(|((who, line), _)| *who == Who::Client && is_hello(&text(line)));
    let mut taken = hellos.map(|(_, reply)| matches!(reply, Some((Who::Server, reply)) if reply.starts_with(b"2")));
    lines.retain(|line| !is_hello(line) || taken.next() == Some(true));
    lines
}

/// What one server says.
struct Speaker {
    script: Script,
    /// How often it has answered by each key.
    said: BTreeMap<String, usize>,
}

impl Speaker {
    /// By the longest key that fits, so that one recipient can be told from the others.
    fn answer(&mut self, line: &str) -> Action {
        let Some((key, reply)) =
            self.script.iter().filter(|(key, _)| line.starts_with(key.as_str())).max_by_key(|(key, _)| key.len())
        else {
            let (_, reply) = USUAL.iter().find(|(key, _)| line.starts_with(key)).unwrap();
            return Action::reply(reply);
        };
        let turn = self.said.entry(key.clone()).or_default();
        let steps = reply.steps(*turn);
        *turn += 1;
        action(steps)
    }
}

fn action(steps: &[String]) -> Action {
    let said = steps.iter().take_while(|step| *step != "close").filter(|step| *step != "silence");
    let pieces: Vec<Vec<u8>> = said
        .map(|step| match step.strip_prefix("raw ") {
            Some(raw) => octets(raw),
            None => octets(&(step.replace('\n', "\r\n") + "\r\n")),
        })
        .collect();
    match steps.iter().any(|step| step == "close") {
        true => Action::ReplyAndClose(pieces.concat()),
        false => Action::Pieces(pieces),
    }
}
