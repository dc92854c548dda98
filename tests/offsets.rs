//! The whole program: a recorded delivery cut off, silenced and cut into two segments at every octet of what the server
//! says, over a socket.

mod support;

use std::io::{ErrorKind, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::Mutex;
use std::thread;
use std::time::{Duration, Instant};
use support::script::{self, MESSAGE, ONE_BY_ONE, PIPELINED, Player, Script};
use support::server::unread;
use support::{Delivered, Home};

#[derive(Clone, Copy, Debug, PartialEq)]
enum Then {
    HangUp,
    Silence,
    /// It goes on, in a segment of its own.
    GoOn,
}

/// Serves one connection: says `limit` octets of the script, and then what `then` says. Answers whether the final dot
/// was heard.
fn serve(listener: TcpListener, script: Script, limit: usize, then: Then) -> bool {
    let (mut stream, _) = listener.accept().unwrap();
    drop(listener); // so that a second connection is refused
    stream.set_nodelay(true).unwrap();
    let mut player = Player::new(script);
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
        let awaits_dot = limit >= script::octets_up_to(script, "DATA") && !player.dot;
        if then == Then::HangUp && told == limit && !awaits_dot {
            return player.dot;
        }
        match hear(&mut stream) {
            Some(octets) => player.hear(&octets),
            None => return player.dot,
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

fn deliver(script: Script, timeoutremote: &str, limit: usize, then: Then) -> (Delivered, bool) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let home = Home::with_route(&format!("127.0.0.1:{port} myuser secretpass"));
    home.control("timeoutremote", timeoutremote);
    let server = thread::spawn(move || serve(listener, script, limit, then));
    let delivered = home.deliver("sender@example.net", &script::recipients(script), MESSAGE);
    (delivered, server.join().unwrap())
}

/// Every limit, some at a time: most of a silent run is spent waiting.
fn at_every_octet(script: Script, at_a_time: usize, check: impl Fn(usize) + Sync) {
    let limits = Mutex::new(0..=script::octets(script));
    thread::scope(|scope| {
        for _ in 0..at_a_time {
            scope.spawn(|| {
                while let Some(limit) = { limits.lock().unwrap().next() } {
                    check(limit);
                }
            });
        }
    });
}

/// K if and only if the final 250 was said whole; `Possible duplicate!` exactly when the dot had gone out.
fn check(script: Script, limit: usize, (delivered, dot): &(Delivered, bool)) {
    let verdict = delivered.verdict();
    let accepted = limit >= script::octets_up_to(script, ".");
    assert_eq!(verdict.starts_with('K'), accepted, "{limit}: {verdict}");
    assert_eq!(verdict.starts_with('Z'), !accepted, "{limit}: {verdict}");
    assert_eq!(verdict.contains("Possible duplicate!"), *dot && !accepted, "{limit}: {verdict}");
    assert_eq!(*dot, limit >= script::octets_up_to(script, "DATA"), "{limit}: {verdict}");
}

#[test]
fn the_server_hangs_up_at_every_octet() {
    for script in [PIPELINED, ONE_BY_ONE] {
        at_every_octet(script, 4, |limit| check(script, limit, &deliver(script, "20", limit, Then::HangUp)));
    }
}

#[test]
fn the_server_falls_silent_at_every_octet() {
    for script in [PIPELINED, ONE_BY_ONE] {
        at_every_octet(script, 24, |limit| check(script, limit, &deliver(script, "1", limit, Then::Silence)));
    }
}

#[test]
fn the_server_says_it_in_two_segments() {
    for script in [PIPELINED, ONE_BY_ONE] {
        let expected = "r".repeat(script::recipients(script).len()) + "K";
        at_every_octet(script, 4, |limit| {
            let (delivered, dot) = deliver(script, "20", limit, Then::GoOn);
            assert!(dot && delivered.letters() == expected, "{limit}: {delivered:?}");
        });
    }
}
