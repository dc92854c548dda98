//! What a delivery costs, ours and others'. `script/bench` builds and runs it.

#[allow(dead_code)] // the tests use the rest
mod certificate;
#[allow(dead_code)]
mod cost;
mod sink;

use std::path::Path;

fn main() {
    let program = std::env::args().nth(1).expect("usage: bench path/of/qmail-remote");
    for (name, count) in cost::counts(Path::new(&program)) {
        println!("{name} = {count}");
    }
}
