//! What a delivery costs, ours and others' beside it, into docs/dev/cost.md. `script/bench` builds and runs it.

#[path = "bench/clients.rs"]
mod clients;
#[path = "bench/debian.rs"]
mod debian;
#[path = "bench/figures.rs"]
mod figures;
#[path = "bench/limit.rs"]
mod limit;
#[path = "bench/line.rs"]
mod line;
#[path = "bench/meter.rs"]
mod meter;
#[path = "bench/page.rs"]
mod page;
#[path = "bench/submission.rs"]
mod submission;
#[path = "bench/tables.rs"]
mod tables;
#[path = "bench/workload.rs"]
mod workload;

#[allow(dead_code)] // the tests use the rest
mod certificate;
#[allow(dead_code)]
mod chroot;
#[allow(dead_code)]
mod cost;
mod delay;
#[allow(dead_code)]
mod postfix;
#[allow(dead_code)]
mod relay;
#[allow(dead_code)]
mod server;
mod sink;

use certificate::Chain;
use clients::Client;
use cost::Place;
use figures::{Figures, Places};
use line::Line;
use server::Manner;
use std::path::Path;

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match &arguments.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        ["prepare"] => debian::prepare(),
        ["counts", ours] => {
            for (name, count) in cost::counts(Path::new(ours)) {
                println!("{name} = {count}");
            }
        }
        ["all", ours, peers, others @ ..] => {
            let mut clients = vec![Client::ours(ours.into())];
            clients.extend(others.iter().map(|argument| Client::qmail_remote(argument)));
            clients.extend(Client::peers(Path::new(peers)));
            all(&clients);
        }
        _ => {
            eprintln!(
                "usage: bench prepare | counts OURS | all OURS PEERS [[NAME=]OTHER ...]: script/bench knows them"
            );
            std::process::exit(2);
        }
    }
}

fn all(clients: &[Client]) {
    let dir = tempfile::tempdir().unwrap();
    let line = Line::new(dir.path());
    let places = Places {
        prompt: Place::new(),
        near: Place::with(sink::listeners(), "PLAIN LOGIN", Manner::Relay, |name| Chain::shortest(&[name])),
        far: Place::with(sink::listeners_at(line::NEAR).unwrap(), "PLAIN LOGIN", Manner::Relay, |name| {
            Chain::shortest(&[name])
        }),
        chains: [Chain::lets_encrypt as fn(&[&str]) -> Chain, Chain::rsa].map(|chain| {
            let (near, far) = ("127.0.0.1", line::NEAR.to_string());
            let chain = |name: &str| chain(&[name, near, &far, debian::NAMES[0], debian::NAMES[1]]);
            Place::with(sink::listeners(), "PLAIN LOGIN", Manner::Prompt, chain)
        }),
    };
    let measured: Vec<Figures> = clients.iter().map(|client| Figures::measure(&places, &line, client)).collect();
    let mut tables = tables::all(&measured, &Figures::of_nothing(&places.prompt));
    let place = &places.chains[0];
    let mut relay = debian::relay(place);
    tables.push(submission::measure(place, &line, clients));
    tables.push(workload::measure(place, &line, &mut relay, clients));
    page::write(&tables);
}
