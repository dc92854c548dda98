//! What a delivery costs, ours and others' beside it, into docs/cost.md and its pictures. `script/bench` builds and runs it.

#[path = "bench/clients.rs"]
mod clients;
#[path = "bench/figures.rs"]
mod figures;
#[path = "bench/page.rs"]
mod page;

#[allow(dead_code)] // the tests use the rest
mod certificate;
#[allow(dead_code)]
mod cost;
mod delay;
mod sink;

use clients::Client;
use cost::Place;
use figures::Figures;
use std::path::Path;

fn main() {
    let mut arguments = std::env::args().skip(1);
    let (Some(ours), Some(peers)) = (arguments.next(), arguments.next()) else {
        eprintln!(
            "usage: bench path/of/our/qmail-remote directory/of/peers|counts [[NAME=]path/of/another/qmail-remote ...]"
        );
        std::process::exit(2);
    };
    if peers == "counts" {
        for (name, count) in cost::counts(Path::new(&ours)) {
            println!("{name} = {count}");
        }
        return;
    }
    let place = Place::new();
    let mut clients = vec![Client::ours(ours.into())];
    clients.extend(arguments.map(|argument| Client::qmail_remote(&argument)));
    if clients.len() > 1 {
        std::os::unix::fs::symlink(place.path(""), "/var/qmail").unwrap(); // in the namespace of script/bench
    }
    clients.extend(Client::peers(Path::new(&peers)));
    let measured: Vec<Figures> = clients.iter().map(|client| Figures::measure(&place, client)).collect();
    page::write(&measured);
}
