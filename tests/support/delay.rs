//! A line that is long: what comes is passed on a fixed time later, in both directions, and so is a connection. It counts the round
//! trips, which are whole numbers that hold in a test. Since TCP ends here, what one end waits for of the other's kernel is not seen;
//! script/bench has a line that carries packets.

use std::io::{self, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread::{self, sleep};
use std::time::{Duration, Instant};

pub struct Line {
    /// Where a client connects.
    pub address: SocketAddr,
    trips: Arc<AtomicUsize>,
}

impl Line {
    /// Leads from this listener to `to` until the process ends. The client's connect itself takes no time, but its connection
    /// reaches the server only after `delay`.
    pub fn start(listener: TcpListener, to: SocketAddr, delay: Duration) -> Line {
        let line = Line { address: listener.local_addr().unwrap(), trips: Arc::default() };
        let trips = line.trips.clone();
        thread::spawn(move || {
            for client in listener.incoming() {
                let trips = trips.clone();
                thread::spawn(move || connect(client?, to, delay, trips));
            }
        });
        line
    }

    /// How often, since the last call, a server spoke for the first time after its client: what a client that is still there has
    /// waited for. The greeting is one.
    pub fn round_trips(&self) -> usize {
        self.trips.swap(0, Ordering::SeqCst)
    }
}

/// What the client says at once is on its way while its connection is.
fn connect(client: TcpStream, to: SocketAddr, delay: Duration, trips: Arc<AtomicUsize>) -> io::Result<()> {
    let waits = Arc::new(AtomicBool::new(true));
    let asked = waits.clone();
    let from_client =
        taken(client.try_clone()?, delay, move |octets| asked.store(!octets.is_empty(), Ordering::SeqCst));
    sleep(delay);
    let server = TcpStream::connect(to)?;
    let from_server = taken(server.try_clone()?, delay, move |octets| {
        if !octets.is_empty() && waits.swap(false, Ordering::SeqCst) {
            trips.fetch_add(1, Ordering::SeqCst);
        }
    });
    for (queued, to) in [(from_client, server), (from_server, client)] {
        to.set_nodelay(true)?;
        thread::spawn(move || give(to, &queued));
    }
    Ok(())
}

/// Its time, and what is to be passed on then; nothing at the end.
type Piece = (Instant, Vec<u8>);

fn taken(from: TcpStream, delay: Duration, seen: impl FnMut(&[u8]) + Send + 'static) -> Receiver<Piece> {
    let (queue, queued) = channel();
    thread::spawn(move || take(from, &queue, delay, seen));
    queued
}

fn take(mut from: TcpStream, queue: &Sender<Piece>, delay: Duration, mut seen: impl FnMut(&[u8])) {
    let mut buffer = vec![0; 256 * 1024];
    loop {
        let count = from.read(&mut buffer).unwrap_or(0);
        seen(&buffer[..count]);
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
