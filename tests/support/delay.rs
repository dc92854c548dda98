//! A line that is long: what comes is passed on a fixed time later, in both directions, and so is a connection.

use std::io::{self, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread::{self, sleep};
use std::time::{Duration, Instant};

/// Leads from this listener to `to` until the process ends. The client's connect itself takes no time, but its connection
/// reaches the server only after `delay`.
pub fn serve(listener: TcpListener, to: SocketAddr, delay: Duration) {
    thread::spawn(move || {
        for client in listener.incoming() {
            thread::spawn(move || connect(client?, to, delay));
        }
    });
}

/// What the client says at once is on its way while its connection is.
fn connect(client: TcpStream, to: SocketAddr, delay: Duration) -> io::Result<()> {
    let from_client = taken(client.try_clone()?, delay);
    sleep(delay);
    let server = TcpStream::connect(to)?;
    for (queued, to) in [(from_client, server.try_clone()?), (taken(server, delay), client)] {
        to.set_nodelay(true)?;
        thread::spawn(move || give(to, &queued));
    }
    Ok(())
}

/// Its time, and what is to be passed on then; nothing at the end.
type Piece = (Instant, Vec<u8>);

fn taken(from: TcpStream, delay: Duration) -> Receiver<Piece> {
    let (queue, queued) = channel();
    thread::spawn(move || take(from, &queue, delay));
    queued
}

fn take(mut from: TcpStream, queue: &Sender<Piece>, delay: Duration) {
    let mut buffer = vec![0; 256 * 1024];
    loop {
        let count = from.read(&mut buffer).unwrap_or(0);
        let gone = queue.send((Instant::now() + delay, buffer[..count].to_vec())).is_err();
        if count == 0 || gone {
            return;
        }
    }
}

fn give(mut to: TcpStream, queued: &Receiver<Piece>) {
    for (due, octets) in queued {
        sleep(due.saturating_duration_since(Instant::now()));
        if octets.is_empty() {
            let _ = to.shutdown(Shutdown::Write);
        } else if to.write_all(&octets).is_err() {
            return;
        }
    }
}
