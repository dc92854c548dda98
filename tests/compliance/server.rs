//! Servers that say what a case has written down, and record what they are told. They know as little SMTP as possible.

use super::case::{Script, octets, text};
use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, ErrorKind, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};
use std::time::Duration;

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

type Record = Arc<Mutex<Vec<Connection>>>;

/// The servers of a case.
pub struct Servers {
    record: Record,
    stop: Arc<AtomicBool>,
    threads: Vec<JoinHandle<()>>,
}

impl Servers {
    pub fn start(scripts: BTreeMap<String, Script>) -> Servers {
        let (record, stop) = (Record::default(), Arc::new(AtomicBool::new(false)));
        let threads = scripts.into_iter().map(|(place, script)| {
            let address: SocketAddr =
                place.parse().unwrap_or_else(|_| SocketAddr::new(place.parse().expect("an address"), 25));
            let listener = TcpListener::bind(address).unwrap_or_else(|error| panic!("{address}: {error}"));
            listener.set_nonblocking(true).unwrap();
            let (record, stop) = (record.clone(), stop.clone());
            thread::spawn(move || accept(&listener, &place, &script, &record, &stop))
        });
        let threads = threads.collect();
        Servers { record, stop, threads }
    }

    /// The connections in the order they were made. The client has ended, so there will be no more.
    pub fn finish(self) -> Vec<Connection> {
        self.stop.store(true, Ordering::SeqCst);
        self.threads.into_iter().for_each(|thread| thread.join().unwrap());
        std::mem::take(&mut *self.record.lock().unwrap())
    }
}

/// Serves one connection after the other: a delivery has no two at a time.
fn accept(listener: &TcpListener, place: &str, script: &Script, record: &Record, stop: &AtomicBool) {
    loop {
        let last = stop.load(Ordering::SeqCst);
        match listener.accept() {
            Ok((stream, peer)) => {
                stream.set_nonblocking(false).unwrap();
                stream.set_nodelay(true).unwrap();
                let number = {
                    let mut record = record.lock().unwrap();
                    let peer = peer.ip().to_string();
                    record.push(Connection { server: place.to_owned(), peer, lines: Vec::new() });
                    record.len() - 1
                };
                let lines = serve(&stream, script);
                record.lock().unwrap()[number].lines = lines;
            }
            Err(error) if error.kind() == ErrorKind::WouldBlock && last => return,
            Err(error) if error.kind() == ErrorKind::WouldBlock => thread::sleep(Duration::from_millis(2)),
            Err(error) => panic!("{error}"),
        }
    }
}

/// Speaks until the client closes. Returns its lines, without a refused EHLO: stock says HELO at once.
fn serve(stream: &TcpStream, script: &Script) -> Vec<String> {
    let mut input = BufReader::new(stream);
    let mut lines = Vec::new();
    let mut in_message = false;
    let mut speaking = say(stream, script, "greeting") != Said::Close;
    while let Some(line) = read_line(&mut input) {
        if !speaking && line.starts_with("EHLO ") {
            continue; // it may have been on its way when this end was closed
        }
        if in_message && line != "." || !speaking {
            lines.push(line);
            continue;
        }
        let said = say(stream, script, &line);
        in_message = line == "DATA" && said == Said::Reply('3');
        speaking = said != Said::Close;
        if !line.starts_with("EHLO ") || said == Said::Reply('2') {
            lines.push(line);
        }
    }
    lines
}

/// A line up to CRLF; what comes before the end without one is marked.
fn read_line(input: &mut BufReader<&TcpStream>) -> Option<String> {
    let mut line = Vec::new();
    while !line.ends_with(b"\r\n") {
        match input.read_until(b'\n', &mut line) {
            Ok(0) | Err(_) if line.is_empty() => return None,
            Ok(0) | Err(_) => return Some(text(&line) + "{end}"),
            Ok(_) => {}
        }
    }
    line.truncate(line.len() - 2);
    Some(text(&line))
}

#[derive(PartialEq)]
enum Said {
    /// With this first digit.
    Reply(char),
    Nothing,
    Close,
}

fn say(mut stream: &TcpStream, script: &Script, line: &str) -> Said {
    // The longest key that fits, so that one recipient can be told from the others.
    let own = script.iter().filter(|(key, _)| line.starts_with(key.as_str())).max_by_key(|(key, _)| key.len());
    let usual = USUAL.iter().find(|(key, _)| line.starts_with(key)).map(|(_, reply)| vec![(*reply).to_owned()]);
    let steps = own.map(|(_, reply)| reply.steps().to_vec()).or(usual).unwrap_or_default();
    let mut said = Said::Nothing;
    for step in steps {
        match step.as_str() {
            "silence" => {}
            "close" => {
                let _ = stream.shutdown(Shutdown::Write);
                return Said::Close;
            }
            reply => {
                let reply = match reply.strip_prefix("raw ") {
                    Some(raw) => raw.to_owned(),
                    None => reply.replace('\n', "\r\n") + "\r\n",
                };
                let _ = stream.write_all(&octets(&reply));
                said = Said::Reply(reply.chars().next().unwrap_or(' '));
            }
        }
    }
    said
}
