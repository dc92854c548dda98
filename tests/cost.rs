//! What a delivery costs, in counts that hold on another machine: instructions and system calls of the program in the package,
//! against those of tests/data/cost.toml.
//!
//! `cargo test --test cost`, as root (for port 465); plain `cargo test` leaves it out, since it needs what script/deb needs. When a
//! count may rise: `UPDATE=1 cargo test --test cost`, and the commit says why.

#[path = "support/cargo.rs"]
mod cargo;
#[path = "support/certificate.rs"]
#[allow(dead_code)] // other tests use the rest
mod certificate;
#[path = "support/cost.rs"]
#[allow(dead_code)] // script/bench uses the rest
mod cost;
#[path = "support/deb.rs"]
#[allow(dead_code)]
mod deb;
#[path = "support/delay.rs"]
mod delay;
#[path = "support/sink.rs"]
mod sink;

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::process::Command;

const COMMITTED: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/data/cost.toml");

/// What is allowed above a committed count, per cent: keys are random, and glibc and ring take other paths on another processor.
const TOLERANCE: u64 = 10;

#[test]
fn no_count_rises() {
    let dir = tempfile::tempdir().unwrap();
    deb::output(Command::new("dpkg-deb").arg("-x").arg(&deb::packages().program).arg(dir.path()));
    let counts = cost::counts(&dir.path().join("usr/libexec/qmail-remote-auth/qmail-remote"));

    if std::env::var_os("UPDATE").is_some() {
        let lines: String = counts.iter().map(|(name, count)| format!("{name} = {count}\n")).collect();
        fs::write(COMMITTED, format!("# The cost of a delivery: UPDATE=1 cargo test --test cost\n{lines}")).unwrap();
    }
    let committed: BTreeMap<String, u64> = toml::from_str(&fs::read_to_string(Path::new(COMMITTED)).unwrap()).unwrap();
    assert!(counts.keys().eq(committed.keys()), "other counts than in {COMMITTED}: UPDATE=1 cargo test --test cost");
    let risen: Vec<String> = counts
        .iter()
        .map(|(name, &count)| (name, count, committed[name]))
        .filter(|(_, count, before)| *count > before + before * TOLERANCE / 100)
        .map(|(name, count, before)| format!("{name}: {count}, was {before}"))
        .collect();
    assert!(
        risen.is_empty(),
        "a delivery costs more than {TOLERANCE} % above tests/data/cost.toml; if that must be: UPDATE=1 cargo test --test cost\n{}",
        risen.join("\n")
    );
    for (name, count) in &counts {
        println!("{name}: {count}, committed {}", committed[name]);
    }
}
