//! The library as C sees it: tests/c/auth.c, compiled strictly, linked with the archive, run.

use crate::support::{c, ehlo};
use qmail_auth::mechanisms::{AUTH_OFFERED, MECHANISMS};
use std::fs;
use std::process::Command;

#[test]
fn a_c_program_reads_every_row_and_computes_the_rfcs_examples() {
    let dir = tempfile::tempdir().unwrap();
    let programs = ["auth", "auth-sanitized"].map(|name| dir.path().join(name));
    let sources = ["tests/c/auth.c", "contrib/qmail_auth_login.c"];
    c::compile(&sources, &["-Icontrib"], &programs[0]);
    c::compile(&sources, &[&["-Icontrib"], &c::SANITIZERS[..]].concat(), &programs[1]);

    // The rows in a form that C reads without parsing: id, LF, the bits as a decimal number, LF, the length, LF, octets.
    let mut rows = Vec::new();
    let mut count = 0;
    for row in ehlo::rows() {
        for reply in [row.reply.clone(), row.without_cr()] {
            rows.extend(format!("{} {} {}\n", row.id, bits(&row), reply.len()).into_bytes());
            rows.extend(reply);
            count += 1;
        }
    }
    let file = dir.path().join("rows");
    fs::write(&file, rows).unwrap();
    for program in &programs {
        let output = Command::new(program).arg(&file).output().unwrap();
        let said = String::from_utf8_lossy(&output.stdout);
        assert!(output.status.success(), "{said}{}", String::from_utf8_lossy(&output.stderr));
        assert_eq!(said, format!("{count} replies, all right\n"));
    }
}

fn bits(row: &ehlo::Row) -> u32 {
    let named = MECHANISMS.iter().filter(|mechanism| row.mechanisms.contains(&mechanism.name));
    named.fold(if row.offered() { AUTH_OFFERED } else { 0 }, |set, mechanism| set | mechanism.bit)
}

/// What the archive adds to a program's name space is the functions of the header, besides Rust's own names.
#[test]
fn exported_names() {
    let output = Command::new("nm").args(["-g", "--defined-only"]).arg(c::archive()).output().unwrap();
    let listing = String::from_utf8_lossy(&output.stdout);
    let names = listing.lines().filter_map(|line| line.split(" T ").nth(1));
    let mut ours: Vec<&str> =
        names.filter(|name| !name.starts_with(['_', '.']) && !name.starts_with("rust_")).collect();
    ours.sort_unstable();
    let expected = [
        "auth_begin",
        "auth_closed",
        "auth_cram",
        "auth_detect",
        "auth_free",
        "auth_login",
        "auth_mask",
        "auth_mechanism",
        "auth_new",
        "auth_new_token",
        "auth_oauthbearer",
        "auth_plain",
        "auth_prefer",
        "auth_step",
        "auth_version",
        "auth_why",
        "auth_xoauth2",
    ];
    assert_eq!(ours, expected);
    // What is in contrib is for others: it is in neither the archive nor the program.
    let output = Command::new("nm").arg(crate::support::program()).output().unwrap();
    let listing = String::from_utf8_lossy(&output.stdout);
    assert!(listing.contains(" T main\n") && !listing.contains(" qmail_auth_login\n"));
}
