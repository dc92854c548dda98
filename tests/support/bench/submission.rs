//! One mail after another through Debian's Postfix, over STARTTLS with a login: on this machine, and over the line.

use super::clients::Client;
use super::cost::{Mail, Place, Way};
use super::debian::SUBMISSION;
use super::figures::{median, milliseconds};
use super::line::{self, Line, Trip};
use super::page::{Table, number};
use super::tables::SAGREDO;
use std::net::Ipv4Addr;

/// How often; the median counts.
const NEAR: usize = 15;
const FAR: usize = 5;

pub fn measure(place: &Place, line: &Line, clients: &[Client]) -> Table {
    let mut rows = Vec::new();
    for client in clients {
        let mail = |address: Ipv4Addr| Mail { address: (address, SUBMISSION).into(), ..place.mail(Way::StartTlsAuth) };
        let run = client.run(place, &mail(Ipv4Addr::LOCALHOST));
        if let Err(why) = run.under(&[]) {
            assert!(!client.is_ours(), "{why}");
            eprintln!("not by {}: {why}", client.name);
            continue;
        }
        let near = median(NEAR, || milliseconds(|| run.under(&[]).unwrap()));
        let run = client.run(place, &mail(line::NEAR));
        let far = line.trip(FAR, || run.under(&[]).unwrap());
        rows.push((client.label(), vec![number(Some(near), 1), far.milliseconds(), Trip::cell(Some(&far))]));
    }
    if rows.iter().all(|(name, _)| name != SAGREDO.trim_end_matches(" *")) {
        rows.push((SAGREDO.into(), ["53", "-", "15.5"].map(String::from).to_vec()));
    }
    Table {
        title: "Through Debian's Postfix, 1 KiB, STARTTLS + AUTH, one after another:",
        columns: vec![
            "ms on this machine",
            "ms on the line",
            "round-trip times of the line, connect included (and waits)",
        ],
        rows,
    }
}
