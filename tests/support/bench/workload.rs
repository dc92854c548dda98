//! A load: 1,000 mails of 10 KiB, 20 at a time, through Debian's Postfix over STARTTLS with a login. Each is sent by a process of its
//! own, as from qmail-rspawn; beside that what Debian's Postfix takes as the client, and what is possible.

use super::clients::Client;
use super::cost::{Mail, Place, Run, Way, message};
use super::debian::{NAMES, Postfix, SUBMISSION};
use super::figures::{median, milliseconds};
use super::limit;
use super::line::{self, Line};
use super::meter::{Meter, Used, cpu_below, cpu_of_children, cpu_of_this_process};
use super::page::{Table, number, pair};
use super::relay::Relay;
use std::net::Ipv4Addr;
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

const MAILS: usize = 1000;
const AT_ONCE: usize = 20;

/// How often on this machine, in turn, where the times are compared; the median counts.
const ROUNDS: usize = 5;

/// Who sends.
enum Sender<'a> {
    Processes(&'a Client),
    Postfix {
        reuse: bool,
    },
    /// As many connections as there are mails at a time, which are kept.
    Limit,
}

/// What a load took. Seconds.
struct Load {
    wall: f64,
    /// Of the client's processes.
    cpu: f64,
    relay: Used,
}

/// Where a load goes: nearby, or over the line.
struct Goal<'a> {
    place: &'a Place,
    message: &'a Path,
    address: Ipv4Addr,
    name: &'a str,
}

impl Sender<'_> {
    fn label(&self) -> String {
        match self {
            Sender::Processes(client) => client.label(),
            Sender::Postfix { reuse: false } => "Debian's Postfix".into(),
            Sender::Postfix { reuse: true } => "Debian's Postfix, smtp_tls_connection_reuse".into(),
            Sender::Limit => format!("possible: {AT_ONCE} connections, kept"),
        }
    }

    fn rounds(&self) -> usize {
        match self {
            Sender::Processes(client) if !client.is_qmail_remote() => 1,
            Sender::Postfix { reuse: true } | Sender::Limit => 1,
            _ => ROUNDS,
        }
    }
}

pub fn measure(place: &Place, line: &Line, relay: &mut Relay, clients: &[Client]) -> Table {
    let message = &place.write("workload", message(10 * 1024));
    let near = Goal { place, message, address: Ipv4Addr::LOCALHOST, name: NAMES[0] };
    let far = Goal { address: line::NEAR, name: NAMES[1], ..near };
    let able = clients.iter().filter(|client| client.run(place, &near.mail()).under(&[]).is_ok());
    let mut senders: Vec<Sender> = able.map(Sender::Processes).collect();
    senders.extend([Sender::Postfix { reuse: false }, Sender::Postfix { reuse: true }, Sender::Limit]);
    let mut loads: Vec<Vec<Load>> = senders.iter().map(|_| Vec::new()).collect();
    for round in 0..ROUNDS {
        for (sender, loads) in senders.iter().zip(&mut loads).filter(|(sender, _)| round < sender.rounds()) {
            eprintln!("1,000 mails on this machine: {}", sender.label());
            loads.push(sender.load(&near, relay));
        }
    }
    let row = |(sender, near): (&Sender, Vec<Load>)| {
        eprintln!("1,000 mails over the line: {}", sender.label());
        (sender.label(), cells(&near, &line.at_far_end(|| sender.load(&far, relay))))
    };
    Table {
        title: "1,000 mails of 10 KiB through Debian's Postfix, STARTTLS + AUTH, 20 at a time, on this machine / on the line:",
        columns: vec!["s", "client's CPU, s", "relay's CPU, s", "connections", "logins", "MB on the network"],
        rows: senders.iter().zip(loads).map(row).collect(),
    }
}

fn cells(near: &[Load], far: &Load) -> Vec<String> {
    let column = |value: fn(&Load) -> f64, places| {
        let mut near = near.iter().map(value);
        let near = median(near.len(), || near.next().unwrap());
        pair([near, value(far)].map(|value| number(Some(value), places)))
    };
    vec![
        column(|load| load.wall, 1),
        column(|load| load.cpu, 1),
        column(|load| load.relay.cpu, 1),
        column(|load| load.relay.connections as f64, 0),
        column(|load| load.relay.logins as f64, 0),
        column(|load| load.relay.octets as f64 / 1e6, 1),
    ]
}

impl Goal<'_> {
    fn mail(&self) -> Mail {
        let mail = self.place.mail(Way::StartTlsAuth);
        Mail { address: (self.address, SUBMISSION).into(), message: self.message.into(), ..mail }
    }
}

impl Sender<'_> {
    /// From where this thread is.
    fn load(&self, goal: &Goal, relay: &mut Relay) -> Load {
        match self {
            Sender::Processes(client) => {
                let run = client.run(goal.place, &goal.mail());
                load(relay, cpu_of_children, || processes(&run))
            }
            Sender::Postfix { reuse } => {
                let mut postfix = Postfix::start(goal.place, goal.name, *reuse);
                postfix.queue(MAILS, goal.message);
                let root = postfix.root().to_owned();
                load(relay, || cpu_below(&root), || postfix.send(MAILS))
            }
            Sender::Limit => {
                let (mail, cas) = (goal.mail(), goal.place.path("cas.pem"));
                let send = || limit::send(mail.address, &cas, &mail.message, MAILS, AT_ONCE);
                load(relay, cpu_of_this_process, send)
            }
        }
    }
}

fn load(relay: &mut Relay, cpu: impl Fn() -> f64, work: impl FnOnce()) -> Load {
    let (meter, before) = (Meter::new(relay), cpu());
    let wall = milliseconds(work) / 1000.0;
    Load { wall, cpu: cpu() - before, relay: meter.used(relay) }
}

/// As qmail-rspawn does: each with the message on descriptor 0 and a pipe on 1, and the next when one has ended.
fn processes(run: &Run) {
    let next = AtomicUsize::new(0);
    let work = || {
        while next.fetch_add(1, Ordering::Relaxed) < MAILS {
            run.under(&[]).unwrap();
        }
    };
    thread::scope(|scope| (0..AT_ONCE).for_each(|_| drop(scope.spawn(work))));
}
