//! A server that misbehaves by the dice, against the program as qmail-rspawn runs it: whatever the server does, no mail is lost,
//! none is bounced that the server has not refused, no secret gets out, and the program comes to an end.
//!
//! `cargo test --test suite chaos::` makes 500 runs, `CHAOS_RUNS=20000` so many; each is known by its number, which is the seed of
//! all that is random in it. `CHAOS_SEED=123 cargo test --test suite chaos:: -- --nocapture` makes that run alone and shows what
//! was said.

mod check;
mod fabricated;
mod plan;
mod replies;
mod server;
mod story;
mod tally;
mod wire;

use crate::support::Home;
use crate::support::certificate::{Authority, Identity};
use crate::support::namespace::inside_with;
use crate::support::server::Tls;
use check::{Outcome, check};
use plan::{Login, PASSWORD, Plan, SENDER, USER};
use rustls::ServerConfig;
use std::env;
use std::io::{Read, Seek, SeekFrom, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::channel;
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};
use tally::Tally;
use wire::Record;

const RUNS: u64 = 500;
/// At a time. Most of them wait.
const WORKERS: usize = 8;
/// More than all the deadlines of a run in which the server falls silent, which is then one second each; in the other runs
/// nothing waits for a deadline.
const BOUND: Duration = Duration::from_secs(120);

/// The certificates of all runs.
struct Relays {
    /// PEM of the CA that the program is told to trust.
    cas: String,
    /// By whether it verifies, then by whether it is TLS 1.2.
    configs: [[Arc<ServerConfig>; 2]; 2],
}

/// Where the servers of a worker listen, all the time: what a process is just about to start keeps open for a moment cannot be
/// bound again. By whether the address is not loopback, then by whether the port is 465.
struct Place([[TcpListener; 2]; 2]);

impl Place {
    fn new(worker: usize) -> Place {
        let listen = |address: &str| [0, 465].map(|port| TcpListener::bind((address, port)).unwrap());
        Place([true, false].map(|loopback| listen(&address(worker, loopback))))
    }
}

/// The address of a worker's servers.
fn address(worker: usize, loopback: bool) -> String {
    if loopback { format!("127.0.0.{}", 10 + worker) } else { format!("192.0.2.{}", 10 + worker) }
}

impl Relays {
    fn new() -> Relays {
        let (ours, stranger) = (Authority::new("Chaos CA"), Authority::new("Stranger CA"));
        let names: Vec<String> =
            (0..WORKERS).flat_map(|worker| [address(worker, true), address(worker, false)]).collect();
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        let config = |identity: &Identity, version| match Tls::with(
            &[version],
            None,
            vec![identity.der.clone()],
            identity.key(),
        ) {
            Tls::Handshake(config) => config,
            _ => unreachable!(),
        };
        let configs = [stranger.issue(&names), ours.issue(&names)].map(|identity| {
            [&rustls::version::TLS13, &rustls::version::TLS12].map(|version| config(&identity, version))
        });
        Relays { cas: ours.pem, configs }
    }
}

#[test]
fn chaos() {
    // All of 192.0.2.0/24 is this machine; and segments are short, so that the kernel's buffers are, too.
    if !inside_with(here!(), &[], "ip address add 192.0.2.100/24 dev lo && ip link set lo mtu 1500") {
        return;
    }
    let number = |name: &str| env::var(name).ok().map(|text| text.parse::<u64>().expect(name));
    let relays = Relays::new();
    if let Some(seed) = number("CHAOS_SEED") {
        let (records, outcome) = run(&Plan::new(seed), &Place::new(0), &relays);
        tally::show(&Plan::new(seed), &records, &outcome);
        check(&Plan::new(seed), &records, &outcome).unwrap();
        return;
    }
    let runs = number("CHAOS_RUNS").unwrap_or(RUNS);
    let (next, tally) = (AtomicU64::new(0), Mutex::new(Tally::default()));
    thread::scope(|scope| {
        for worker in 0..WORKERS {
            let (next, tally, relays) = (&next, &tally, &relays);
            scope.spawn(move || {
                let place = Place::new(worker);
                loop {
                    let seed = next.fetch_add(1, Ordering::Relaxed);
                    if seed >= runs {
                        return;
                    }
                    let plan = Plan::new(seed);
                    let (records, outcome) = run(&plan, &place, relays);
                    let result = check(&plan, &records, &outcome);
                    tally.lock().unwrap().add(&plan, outcome.elapsed, result);
                }
            });
        }
    });
    let tally = tally.into_inner().unwrap();
    println!("{tally}");
    tally.assert_sound(runs);
}

/// One run: what the server recorded, and what the program came to.
fn run(plan: &Plan, place: &Place, relays: &Relays) -> (Vec<Record>, Outcome) {
    let listener = &place.0[usize::from(!plan.loopback)][usize::from(plan.port_465)];
    let address = listener.local_addr().unwrap();
    let home = home(plan, address, relays);
    let config = &relays.configs[usize::from(plan.trusted)][usize::from(plan.tls12)];
    let waker = Mutex::new(None);
    thread::scope(|scope| {
        let server = scope.spawn(|| server::serve(listener, plan, config, &waker));
        let recipients: Vec<&str> = plan.recipients.iter().map(String::as_str).collect();
        let outcome = outcome(plan, home.command(SENDER, &recipients));
        {
            // Under the lock, so that the server that accepts it knows it.
            let mut waker = waker.lock().unwrap();
            *waker = Some(TcpStream::connect(address).and_then(|wake| wake.local_addr()).unwrap());
        }
        (server.join().unwrap(), outcome)
    })
}

fn home(plan: &Plan, address: SocketAddr, relays: &Relays) -> Home {
    let login = match plan.login {
        Login::None | Login::Token => String::new(),
        Login::Plain => format!(" {USER} {PASSWORD}"),
        Login::InClear => format!(" -{USER} {PASSWORD}"),
    };
    let home = Home::with_route(&format!("{address}{login}"));
    home.control("timeoutconnect", "2\n");
    home.control("timeoutremote", format!("{}\n", plan.timeoutremote()));
    home.control("tlscafile", "control/cas.pem\n");
    home.control("cas.pem", &relays.cas);
    if plan.login == Login::Token {
        home.control(&format!("relays/{}/user", address.ip()), format!("{USER}\n"));
        home.control(&format!("relays/{}/oauth/command", address.ip()), format!("/bin/echo {PASSWORD}\n"));
    }
    if let Some(word) = plan.policy {
        home.control(&format!("relays/{}/tls", address.ip()), format!("{word}\n"));
    }
    home
}

/// Runs the program to its end. One that comes to none is a failure.
fn outcome(plan: &Plan, mut command: Command) -> Outcome {
    let mut message = tempfile::tempfile().unwrap();
    message.write_all(&plan.message).unwrap();
    message.seek(SeekFrom::Start(0)).unwrap();
    let start = Instant::now();
    let mut child = command.stdin(message).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let (mut stdout, mut stderr) = (child.stdout.take().unwrap(), child.stderr.take().unwrap());
    let (done, ended) = channel();
    thread::spawn(move || {
        let (mut report, mut errors) = (Vec::new(), Vec::new());
        stdout.read_to_end(&mut report).unwrap();
        stderr.read_to_end(&mut errors).unwrap();
        let _ = done.send((report, errors));
    });
    let read = ended.recv_timeout(BOUND);
    if read.is_err() {
        child.kill().unwrap(); // so it has a status that is a failure
    }
    let status = child.wait().unwrap();
    let (stdout, stderr) = read.unwrap_or_default();
    Outcome { status, stdout, stderr, elapsed: start.elapsed() }
}
