//! The whole program: a recorded delivery, in clear, over STARTTLS and on port 465, cut off, silenced and cut into two
//! segments at every octet of what the server says, over a socket.

use crate::support::certificate::Authority;
use crate::support::namespace::inside;
use crate::support::script::{self, MESSAGE, ONE_BY_ONE, PIPELINED, Player, Script};
use crate::support::server::{Tls, unread};
use crate::support::{Delivered, Home};
use rustls::ServerConfig;
use std::io::{ErrorKind, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

#[derive(Clone, Copy, Debug, PartialEq)]
enum Then {
    HangUp,
    Silence,
    /// It goes on, in a segment of its own.
    GoOn,
}

/// What is delivered to, and how many deliveries are made at a time.
struct Setting {
    script: Script,
    /// 0 for a free one.
    port: u16,
    /// TLS, and the CA for it.
    tls: Option<(Arc<ServerConfig>, String)>,
    at_a_time: usize,
}

impl Setting {
    fn clear(script: Script, at_a_time: usize) -> Setting {
        Setting { script, port: 0, tls: None, at_a_time }
    }

    fn over_tls(port: u16, script: Script) -> Setting {
        let at_a_time = 4;
        let ca = Authority::new("My CA");
        let names: Vec<String> = (0..at_a_time).map(address).collect();
        let relay = ca.issue(&names.iter().map(String::as_str).collect::<Vec<_>>());
        let Tls::Handshake(config) = Tls::of(&relay) else { panic!() };
        Setting { script, port, tls: Some((config, ca.pem)), at_a_time }
    }

    fn player(&self) -> Player {
        Player::new(self.script, self.tls.as_ref().map(|(config, _)| config.clone()))
    }
}

/// Each of those at a time has its own address, so that all can have the port.
fn address(worker: usize) -> String {
    format!("127.0.0.{}", worker + 1)
}

/// Serves one connection: says `limit` octets of the script, and then what `then` says. Answers the server as it
/// was left.
fn serve(listener: TcpListener, mut player: Player, limit: usize, then: Then) -> Player {
    let (mut stream, _) = listener.accept().unwrap();
    drop(listener); // so that a second connection is refused
    stream.set_nodelay(true).unwrap();
    let mut told = 0;
    loop {
        let said = player.said();
        let until = if told < limit || then != Then::GoOn { said.len().min(limit) } else { said.len() };
        if until > told {
            // The program may have ended already: with QUIT it does not wait for the last reply.
            let _ = stream.write_all(&said[told..until]);
            told = until;
            if then == Then::GoOn && told == limit {
                wait_until_read(&stream);
            }
            continue;
        }
        // A hang-up between 354 and the reply to the dot comes behind the dot, so that what must follow is certain.
        let awaits_dot = player.place_behind("DATA").is_some_and(|place| place <= limit) && !player.dot;
        if then == Then::HangUp && told == limit && !awaits_dot {
            return player;
        }
        match hear(&mut stream) {
            Some(octets) => player.hear(&octets),
            None => return player,
        }
    }
}

/// What the client says next; None when it has closed.
fn hear(stream: &mut TcpStream) -> Option<Vec<u8>> {
    let mut buffer = [0; 4096];
    match stream.read(&mut buffer) {
        Ok(0) => None,
        Ok(length) => Some(buffer[..length].to_vec()),
        Err(error) if error.kind() == ErrorKind::ConnectionReset => None,
        Err(error) => panic!("{error}"),
    }
}

/// Until the client has taken all that was said, so that what comes next is another segment.
fn wait_until_read(stream: &TcpStream) {
    let start = Instant::now();
    while unread(stream).is_some_and(|octets| octets > 0) {
        assert!(start.elapsed() < Duration::from_secs(20), "the client reads no more");
        thread::yield_now();
    }
}

/// The listener before on a port that is always the same may live on for a moment in a child that another thread starts.
fn bind(address: &str, port: u16) -> TcpListener {
    let start = Instant::now();
    loop {
        match TcpListener::bind((address, port)) {
            Err(error) if error.kind() == ErrorKind::AddrInUse && start.elapsed() < Duration::from_secs(20) => {
                thread::yield_now();
            }
            bound => return bound.unwrap(),
        }
    }
}

fn deliver(setting: &Setting, worker: usize, timeoutremote: &str, limit: usize, then: Then) -> (Delivered, Player) {
    let address = address(worker);
    let listener = bind(&address, setting.port);
    let port = listener.local_addr().unwrap().port();
    let home = Home::with_route(&format!("{address}:{port} myuser secretpass"));
    home.control("timeoutremote", timeoutremote);
    if let Some((_, ca)) = &setting.tls {
        home.control("tlscafile", "control/ca.pem");
        home.control("ca.pem", ca);
    }
    let player = setting.player();
    let server = thread::spawn(move || serve(listener, player, limit, then));
    let delivered = home.deliver("a@example.net", &script::recipients(setting.script), MESSAGE);
    (delivered, server.join().unwrap())
}

/// Every limit, some at a time: most of a silent run is spent waiting.
fn at_every_octet(
    setting: &Setting,
    timeoutremote: &str,
    then: Then,
    check: impl Fn(usize, &Delivered, &Player) + Sync,
) {
    // Over TLS the number of octets is not always the same.
    let (_, player) = deliver(setting, 0, "20", usize::MAX, Then::GoOn);
    let limits = Mutex::new(0..=player.said().len() + if setting.tls.is_some() { 4 } else { 0 });
    thread::scope(|scope| {
        for worker in 0..setting.at_a_time {
            let (limits, check) = (&limits, &check);
            scope.spawn(move || {
                while let Some(limit) = { limits.lock().unwrap().next() } {
                    let (delivered, player) = deliver(setting, worker, timeoutremote, limit, then);
                    check(limit, &delivered, &player);
                }
            });
        }
    });
}

/// K if and only if the final 250 was said whole; `Possible duplicate!` exactly when the dot had gone out.
fn check_end(limit: usize, delivered: &Delivered, player: &Player) {
    let verdict = delivered.verdict();
    let said = |command| player.place_behind(command).is_some_and(|place| place <= limit);
    assert_eq!(verdict.starts_with('K'), said("."), "{limit}: {verdict}");
    assert_eq!(verdict.starts_with('Z'), !said("."), "{limit}: {verdict}");
    assert_eq!(verdict.contains("Possible duplicate!"), player.dot && !said("."), "{limit}: {verdict}");
    assert_eq!(player.dot, said("DATA"), "{limit}: {verdict}");
}

fn hangs_up(setting: &Setting) {
    at_every_octet(setting, "20", Then::HangUp, check_end);
}

fn goes_on(setting: &Setting) {
    let expected = "r".repeat(script::recipients(setting.script).len()) + "K";
    at_every_octet(setting, "20", Then::GoOn, |limit, delivered, player| {
        assert!(player.dot && delivered.letters() == expected, "{limit}: {delivered:?}");
    });
}

#[test]
fn the_server_hangs_up_at_every_octet() {
    for script in [PIPELINED, ONE_BY_ONE] {
        hangs_up(&Setting::clear(script, 4));
    }
}

/// In clear only: each waits for a second. Over TLS the machine's own test does it, where time is a number.
#[test]
fn the_server_falls_silent_at_every_octet() {
    for script in [PIPELINED, ONE_BY_ONE] {
        at_every_octet(&Setting::clear(script, 24), "1", Then::Silence, check_end);
    }
}

#[test]
fn the_server_says_it_in_two_segments() {
    for script in [PIPELINED, ONE_BY_ONE] {
        goes_on(&Setting::clear(script, 4));
    }
}

#[test]
fn over_starttls() {
    let setting = Setting::over_tls(
        0,
        script::over_starttls("250-relay.example\r\n250 STARTTLS\r\n", "220-go\r\n220 ahead\r\n", PIPELINED),
    );
    hangs_up(&setting);
    goes_on(&setting);
}

#[test]
fn on_port_465() {
    if !inside(here!()) {
        return;
    }
    let setting = Setting::over_tls(465, ONE_BY_ONE);
    hangs_up(&setting);
    goes_on(&setting);
}
