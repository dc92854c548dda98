//! A long line: a network namespace at its far end, where clients run, and what crosses it. tests/c/line.c carries the packets.

use super::figures::milliseconds;
use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};
use std::fs::File;
use std::io::{BufRead, BufReader};
use std::net::Ipv4Addr;
use std::os::fd::AsFd;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

/// How long a packet is on its way.
pub const DELAY: Duration = Duration::from_millis(20);
const ROUND_TRIP: Duration = DELAY.saturating_mul(2);

/// Where relays listen, and where the clients on the line come from.
pub const NEAR: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 1);
pub const FAR: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 2);

/// An acknowledgement that is held back for so long was delayed by the kernel, which does so for 40 ms. Less is work.
const HELD_BACK: Duration = Duration::from_millis(35);

/// IP and TCP with the option of time stamps, and nothing in it.
const BARE: usize = 20 + 20 + 12;

pub struct Line {
    carrier: Child,
    namespace: File,
    packets: Arc<Mutex<Vec<Packet>>>,
}

/// What a delivery over the line took.
pub struct Trip {
    /// Milliseconds.
    wall: f64,
    waits: usize,
}

impl Trip {
    pub fn milliseconds(&self) -> String {
        format!("{:.0}", self.wall)
    }

    /// In round-trip times of the line, with the waits behind it.
    pub fn cell(trip: Option<&Trip>) -> String {
        let Some(trip) = trip else { return "-".into() };
        let waits = if trip.waits > 0 { format!(" ({})", trip.waits) } else { String::new() };
        format!("{:.1}{waits}", trip.wall / ROUND_TRIP.as_secs_f64() / 1000.0)
    }
}

/// As it came from one of the ends.
struct Packet {
    far: bool,
    at: Duration,
    octets: usize,
}

impl Line {
    /// There until it is dropped, or this process ends.
    pub fn new(dir: &Path) -> Line {
        let program = dir.join("line");
        let source = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/c/line.c");
        let mut cc = Command::new("cc");
        cc.args(["-std=c99", "-D_GNU_SOURCE", "-Wall", "-Wextra", "-Werror", "-pedantic", "-O2", "-o"]);
        assert!(cc.arg(&program).arg(source).status().unwrap().success(), "{cc:?}");
        let mut command = Command::new(program);
        command.arg(DELAY.as_micros().to_string()).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut carrier = command.spawn().unwrap();
        let mut lines = BufReader::new(carrier.stdout.take().unwrap()).lines();
        assert!(lines.next().is_some_and(|line| line.is_ok()), "no line without /dev/net/tun");
        let packets: Arc<Mutex<Vec<Packet>>> = Arc::default();
        let seen = packets.clone();
        thread::spawn(move || lines.map_while(Result::ok).for_each(|line| seen.lock().unwrap().push(packet(&line))));
        let namespace = File::open(format!("/proc/{}/ns/net", carrier.id())).unwrap();
        let line = Line { carrier, namespace, packets };
        set_up("near", NEAR, FAR);
        line.at_far_end(|| {
            set_up("far", FAR, NEAR);
            ip("link set lo up");
        });
        line
    }

    /// What this does, and the processes that it starts, is at the far end.
    pub fn at_far_end<T: Send>(&self, run: impl FnOnce() -> T + Send) -> T {
        let there = || {
            move_into_link_name_space(self.namespace.as_fd(), Some(LinkNameSpaceType::Network)).unwrap();
            run()
        };
        thread::scope(|scope| scope.spawn(there).join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)))
    }

    /// Of so many the one that took the median time.
    pub fn trip(&self, times: usize, work: impl Fn() + Sync) -> Trip {
        let once = || {
            self.waits();
            let wall = self.at_far_end(|| milliseconds(&work));
            Trip { wall, waits: self.waits() }
        };
        let mut trips: Vec<Trip> = std::iter::repeat_with(once).take(times).collect();
        trips.sort_by(|a, b| a.wall.total_cmp(&b.wall));
        trips.swap_remove(times / 2)
    }

    /// How often, since the last call, both ends stood still until a kernel at last acknowledged what it had.
    fn waits(&self) -> usize {
        thread::sleep(2 * DELAY); // the last packets
        let packets = std::mem::take(&mut *self.packets.lock().unwrap());
        let waited = |pair: &&[Packet]| {
            let nothing_under_way = pair[1].at.saturating_sub(pair[0].at + DELAY) >= HELD_BACK;
            nothing_under_way && pair[0].far != pair[1].far && pair[1].octets == BARE
        };
        packets.windows(2).filter(waited).count()
    }
}

impl Drop for Line {
    fn drop(&mut self) {
        drop(self.carrier.stdin.take());
        let _ = self.carrier.wait();
    }
}

/// A line of tests/c/line.c.
fn packet(line: &str) -> Packet {
    let [end, at, octets] = line.split(' ').collect::<Vec<_>>()[..] else { panic!("no packet: {line:?}") };
    Packet { far: end == "F", at: Duration::from_nanos(at.parse().unwrap()), octets: octets.parse().unwrap() }
}

/// Without an address of IPv6, so that the kernel says nothing by itself, and with a queue that loses nothing.
fn set_up(device: &str, here: Ipv4Addr, there: Ipv4Addr) {
    ip(&format!("link set {device} addrgenmode none txqueuelen 10000 up"));
    ip(&format!("address add {here} peer {there} dev {device}"));
}

fn ip(words: &str) {
    assert!(Command::new("ip").args(words.split(' ')).status().unwrap().success(), "ip {words}");
}
