//! The figures as tables.

use super::cost::Way;
use super::figures::Figures;
use super::line::Trip;
use super::page::{Table, number, pair};

const WAYS: [&str; 4] = ["no AUTH, clear", "AUTH, clear", "STARTTLS + AUTH", "port 465 + AUTH"];

/// What no program can do better: connect, greeting, EHLO, envelope and message, each a round trip; then AUTH; STARTTLS, the handshake
/// and EHLO again; or the handshake alone. Over TLS with these relays one more, in which the session tickets are acknowledged.
const POSSIBLE: [u32; 4] = [5, 6, 10, 8];

pub fn all(measured: &[Figures], nothing: &Figures) -> Vec<Table> {
    let elsewhere = elsewhere();
    let is_missing = |row: &&Figures| measured.iter().all(|here| here.label != row.label.trim_end_matches(" *"));
    let all: Vec<&Figures> = measured.iter().chain(elsewhere.iter().filter(is_missing)).collect();
    vec![instructions(&all), chains(measured), trips(measured), rest(&all, nothing)]
}

/// Not measured here, since Debian has no package of it.
pub const SAGREDO: &str = "sagredo's patch (OpenSSL, checks no certificate) *";

/// Programs that Debian has no package of.
fn elsewhere() -> [Figures; 2] {
    let stock = Figures {
        label: "stock notqmail *".into(),
        instructions: [Some(0.28e6), None, None, None],
        resident: [Some(1180.0), None],
        calls: [Some(115.0), Some(31108.0)],
        cpu_large: [Some(113.0), None],
        ..Figures::default()
    };
    let sagredo = Figures {
        label: SAGREDO.into(),
        instructions: [3.94e6, 3.95e6, 20.5e6, 20.5e6].map(Some),
        resident: [3204.0, 6584.0].map(Some),
        calls: [153.0, 7835.0].map(Some),
        cpu_large: [27.0, 36.0].map(Some),
        ..Figures::default()
    };
    [stock, sagredo]
}

fn instructions(rows: &[&Figures]) -> Table {
    let cells = |row: &&Figures| (row.label.clone(), row.instructions.map(millions).to_vec());
    Table { title: "Million instructions, 1 KiB:", columns: WAYS.to_vec(), rows: rows.iter().map(cells).collect() }
}

fn chains(rows: &[Figures]) -> Table {
    let cells = |row: &Figures| (row.label.clone(), row.chains.map(|both| pair(both.map(millions))).to_vec());
    let can = |row: &&Figures| row.instructions[Way::StartTlsAuth as usize].is_some();
    Table {
        title: "Million instructions, 1 KiB, STARTTLS + AUTH, by the relay's chain; with all CAs of Debian / with one in the file:",
        columns: vec!["P-256, from the root", "as Let's Encrypt's for ECDSA", "RSA"],
        rows: rows.iter().filter(can).map(cells).collect(),
    }
}

fn trips(rows: &[Figures]) -> Table {
    let cells = |row: &Figures| {
        let [one, many] = &row.trips;
        let both = [0, 1, 2, 3].map(|way| pair([&one[way], &many[way]].map(|trip| Trip::cell(trip.as_ref()))));
        (row.label.clone(), both.to_vec())
    };
    let possible = ("possible".into(), POSSIBLE.map(|count| count.to_string()).to_vec());
    Table {
        title: "Round-trip times of the line, connect included (and waits, if any), to 1 / 20 recipients:",
        columns: WAYS.to_vec(),
        rows: rows.iter().map(cells).chain([possible]).collect(),
    }
}

fn rest(rows: &[&Figures], nothing: &Figures) -> Table {
    let cells = |row: &&Figures| {
        let cells = [
            (row.resident, 0),
            (row.calls, 0),
            (row.cpu, 2),
            (row.cpu_large, 0),
            (row.wall, 1),
            (row.wall_of_relays, 1),
            (row.per_second, 0),
        ];
        (row.label.clone(), cells.map(|(both, places)| pair(both.map(|value| number(value, places)))).to_vec())
    };
    Table {
        title: "The rest, clear / STARTTLS + AUTH, but system calls in clear, of 1 KiB / 10 MiB:",
        columns: vec![
            "memory KiB",
            "system calls",
            "CPU ms, 1 KiB",
            "CPU ms, 10 MiB",
            "ms, 1 KiB",
            "ms, 1 KiB, relay with Nagle",
            "mails a second, 20 at once",
        ],
        rows: rows.iter().chain([&nothing]).map(cells).collect(),
    }
}

fn millions(count: Option<f64>) -> String {
    number(count.map(|count| count / 1e6), 2)
}
