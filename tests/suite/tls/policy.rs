//! TLS, the policy: every cell of the tables of docs/dev/design.md.

use crate::support::Delivered;
use crate::support::certificate::Authority;
use crate::support::login::{assert_no_secret, deliver_to};
use crate::support::namespace::{RELAY, inside};
use crate::support::server::{Log, Rules, Tls};

const NAMES: [&str; 3] = ["127.0.0.1", RELAY, "relay.example"];

/// What is to become of a delivery.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Cell {
    /// Put off, without a login.
    Z,
    /// Any mechanism, in clear.
    AnyInClear,
    /// Any over a peer at a loopback address, else deferred.
    AnyAtLoopback,
    /// SCRAM or CRAM-MD5 and no mechanism that shows the password, in clear.
    CramInClear,
    /// The same over TLS, unverified.
    CramOverTls,
    /// Any mechanism over TLS; or, without credentials, none.
    OverTls,
    /// The same over TLS that is verified.
    Verified,
    /// No login, in clear.
    Clear,
}
use Cell::*;

/// The login, the `tls` file, and the cells: no TLS offered; TLS whose certificate does not verify; TLS verified.
type Row = (&'static str, Option<&'static str>, [Cell; 3]);

const TABLES: [Row; 15] = [
    ("myuser secretpass", None, [AnyAtLoopback, Z, Verified]),
    ("-myuser secretpass", None, [AnyInClear, Z, Verified]),
    ("myuser secretpass", Some("verify"), [Z, Z, Verified]),
    ("-myuser secretpass", Some("verify"), [Z, Z, Verified]),
    ("myuser secretpass", Some("encrypt"), [Z, OverTls, OverTls]),
    ("-myuser secretpass", Some("encrypt"), [Z, OverTls, OverTls]),
    ("myuser secretpass", Some("may"), [CramInClear, CramOverTls, Verified]),
    ("-myuser secretpass", Some("may"), [AnyInClear, CramOverTls, Verified]),
    ("myuser secretpass", Some("none"), [CramInClear, CramInClear, CramInClear]),
    ("-myuser secretpass", Some("none"), [AnyInClear, AnyInClear, AnyInClear]),
    ("", None, [Clear, OverTls, OverTls]),
    ("", Some("may"), [Clear, OverTls, OverTls]),
    ("", Some("verify"), [Z, Z, Verified]),
    ("", Some("encrypt"), [Z, OverTls, OverTls]),
    ("", Some("none"), [Clear, Clear, Clear]),
];

/// On port 465 TLS is there whatever the file says; `none` is as `may`.
fn on_465(login: &str, policy: Option<&str>, cell: Cell, column: usize) -> Cell {
    match (cell, policy) {
        (CramInClear | AnyInClear, Some("none")) => [Z, CramOverTls, Verified][column],
        (Clear, _) if login.is_empty() => OverTls,
        (cell, _) => cell,
    }
}

const CRAM_AND_PLAIN: &str = "AUTH CRAM-MD5 PLAIN";
const SCRAM_TOO: &str = "AUTH CRAM-MD5 PLAIN SCRAM-SHA-256";

fn check(name: &str, cell: Cell, address: &str, offered: &str, delivered: &Delivered, log: &Log) {
    let login = name.contains("secretpass");
    let cell = match cell {
        AnyAtLoopback if address == "127.0.0.1" => AnyInClear,
        AnyAtLoopback => Z,
        CramInClear | CramOverTls if offered == "AUTH PLAIN" => Z,
        cell => cell,
    };
    if cell == Z {
        assert_eq!(delivered.letters(), "Z", "{name}: {delivered:?}");
        assert!(!log.saw("MAIL") && !log.saw("AUTH"), "{name}: {:?}", log.commands());
        if name.contains("CramOverTls") {
            let says =
                "a relay whose certificate does not verify. (#4.7.8) The relay's certificate: it is issued by CN=";
            assert!(delivered.verdict().contains(says), "{name}: {delivered:?}");
        }
        return;
    }
    assert_eq!(delivered.letters(), "rK", "{name}: {delivered:?}");
    assert_eq!(log.messages.len(), 1, "{name}");
    let over_tls = [OverTls, CramOverTls, Verified].contains(&cell);
    let mechanism = match offered {
        _ if !login => None,
        SCRAM_TOO if cell == CramInClear || cell == CramOverTls => Some("SCRAM-SHA-256"),
        CRAM_AND_PLAIN | SCRAM_TOO if !over_tls || cell == CramOverTls => Some("CRAM-MD5"),
        _ => Some("PLAIN"),
    };
    assert_eq!(log.logins(), mechanism.map(|name| format!("{name} myuser")).as_slice(), "{name}");
    let tls = if over_tls { "TLSv1.3" } else { "none" };
    let certificate = if cell == Verified { "verified" } else { "unverified" };
    let auth = mechanism.map_or("none".to_owned(), |mechanism| format!("{mechanism} user=myuser"));
    let line = format!("\ntls={tls} cert={certificate} auth={auth}\n");
    assert!(delivered.verdict().ends_with(&line), "{name}: {line:?} is not the end of {:?}", delivered.verdict());
    let taking = log.connections.last().unwrap();
    assert_eq!(taking.tls.as_deref(), over_tls.then_some("TLSv1_3"), "{name}");
}

#[test]
fn every_cell_of_the_tables() {
    if !inside(here!()) {
        return;
    }
    let trusted = Authority::new("Trusted CA");
    let [good, bad] = [&trusted, &Authority::new("Other CA")].map(|ca| Tls::of(&ca.issue(&NAMES)));
    for (login, policy, cells) in TABLES {
        for (column, server) in [None, Some(&bad), Some(&good)].into_iter().enumerate() {
            for address in ["127.0.0.1", RELAY] {
                for implicit_tls in [false, true] {
                    for offered in ["AUTH PLAIN", CRAM_AND_PLAIN, SCRAM_TOO] {
                        if implicit_tls && server.is_none() {
                            continue; // what is no TLS on port 465 is in the other test
                        }
                        let (port, cell) = match implicit_tls {
                            true => (465, on_465(login, policy, cells[column], column)),
                            false => (0, cells[column]),
                        };
                        let state = ["no TLS offered", "TLS not verified", "TLS verified"][column];
                        let name =
                            format!("{login:?}, tls file {policy:?}, {state}, {address}:{port}, {offered}: {cell:?}");
                        let rules = Rules {
                            tls: server.cloned(),
                            implicit_tls,
                            auth_required: !login.is_empty(),
                            ..Rules::offering(&["PIPELINING", offered])
                        };
                        let (delivered, log) = deliver_to((address, port), rules, login, policy, &trusted.pem);
                        check(&name, cell, address, offered, &delivered, &log);
                        assert_no_secret(&name, &delivered.verdict());
                    }
                }
            }
        }
    }
}
