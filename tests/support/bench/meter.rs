//! What a piece of work took besides its time: processors, octets on the network, connections and logins.

use super::chroot;
use super::relay::Relay;
use std::fs;
use std::path::Path;

/// Of the clock that /proc counts in, a second.
const TICKS: f64 = 100.0;

/// As it stands at one moment.
pub struct Meter {
    octets: u64,
    cpu: f64,
    log: usize,
}

/// Between two.
pub struct Used {
    pub octets: u64,
    /// Seconds of the relay's processes.
    pub cpu: f64,
    pub connections: usize,
    pub logins: usize,
}

impl Meter {
    /// On the line at its far end, else on the loopback.
    pub fn new(relay: &Relay) -> Meter {
        Meter { octets: octets(), cpu: cpu_below(relay.root()), log: relay.log().len() }
    }

    /// Once the relay has seen all its clients go.
    pub fn used(&self, relay: &mut Relay) -> Used {
        let seen = relay.wait_for("the clients to be gone", |relay| {
            let log = relay.log().split_off(self.log);
            (log.matches(": connect from ").count() == log.matches(": disconnect from ").count()).then_some(log)
        });
        Used {
            octets: octets() - self.octets,
            cpu: cpu_below(relay.root()) - self.cpu,
            connections: seen.matches(": connect from ").count(),
            logins: seen.matches(" auth=1 ").count(),
        }
    }
}

/// Seconds, user and system.
pub fn cpu_of_this_process() -> f64 {
    times(Path::new("/proc/self")).unwrap()[0]
}

/// Of all children that are gone.
pub fn cpu_of_children() -> f64 {
    times(Path::new("/proc/self")).unwrap()[1]
}

/// Seconds of all processes in a chroot, those that are gone included.
pub fn cpu_below(root: &Path) -> f64 {
    let times = chroot::processes(root).into_iter().filter_map(|process| times(&process));
    times.map(|[own, children]| own + children).sum::<f64>()
}

/// Of a process, and of its children that are gone.
fn times(process: &Path) -> Option<[f64; 2]> {
    let stat = fs::read_to_string(process.join("stat")).ok()?;
    let fields: Vec<&str> = stat.rsplit(')').next()?.split_whitespace().collect(); // proc(5): these begin with the third
    let seconds = |n: usize| Some(fields.get(n - 3)?.parse::<f64>().ok()? / TICKS);
    Some([seconds(14)? + seconds(15)?, seconds(16)? + seconds(17)?])
}

/// Of this thread's network. What goes out on the loopback comes in there, too.
fn octets() -> u64 {
    let text = fs::read_to_string("/proc/thread-self/net/dev").unwrap();
    let columns = |device: &str| {
        let line = text.lines().find_map(|line| line.trim().strip_prefix(device)?.strip_prefix(':'))?;
        let count = |n: usize| line.split_whitespace().nth(n).unwrap().parse::<u64>().unwrap();
        Some((count(0), count(8)))
    };
    match columns("far") {
        Some((received, sent)) => received + sent,
        None => columns("lo").unwrap().0,
    }
}
