//! The library as C sees it: tests/c/auth.c, compiled strictly, linked with the archive, run.

use crate::support::{c, ehlo};
use std::fs;
use std::process::Command;

#[test]
fn a_c_program_reads_every_row_and_computes_the_rfcs_examples() {
    let dir = tempfile::tempdir().unwrap();
    let programs = ["auth", "auth-sanitized"].map(|name| dir.path().join(name));
    let sources = ["tests/c/auth.c", "c-glue/smtp_auth.c"];
    c::compile(&sources, &["-Ic-glue"], &programs[0]);
    c::compile(&sources, &[&["-Ic-glue"], &c::SANITIZERS[..]].concat(), &programs[1]);

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
    use qmail_auth::bits::*;
    let named = row.mechanisms.iter().map(|name| match *name {
        "PLAIN" => AUTH_PLAIN,
        "LOGIN" => AUTH_LOGIN,
        "CRAM-MD5" => AUTH_CRAM_MD5,
        "SCRAM-SHA-1" => AUTH_SCRAM_SHA_1,
        "SCRAM-SHA-256" => AUTH_SCRAM_SHA_256,
        "SCRAM-SHA-1-PLUS" => AUTH_SCRAM_SHA_1_PLUS,
        "SCRAM-SHA-256-PLUS" => AUTH_SCRAM_SHA_256_PLUS,
        "XOAUTH2" => AUTH_XOAUTH2,
        "OAUTHBEARER" => AUTH_OAUTHBEARER,
        "EXTERNAL" => AUTH_EXTERNAL,
        _ => 0,
    });
    named.fold(if row.offered() { AUTH_OFFERED } else { 0 }, |set, bit| set | bit)
}

/// What the archive adds to a program's name space is ten names and a prefix, besides Rust's own and those of ring, which
/// begin with its name and version.
#[test]
fn exported_names() {
    let output = Command::new("nm").args(["-g", "--defined-only"]).arg(c::archive()).output().unwrap();
    let listing = String::from_utf8_lossy(&output.stdout);
    let names: Vec<&str> = listing.lines().filter_map(|line| line.split(" T ").nth(1)).collect();
    let parts = ["auth_detect", "auth_plain", "auth_login", "auth_cram"];
    for name in parts.into_iter().chain(["auth_new", "auth_begin", "auth_step", "auth_why", "auth_mask", "auth_free"]) {
        assert_eq!(names.iter().filter(|exported| **exported == name).count(), 1, "{name}");
    }
    let others = names.iter().filter(|name| !name.starts_with(['_', '.']) && !name.starts_with("rust_"));
    let ours = |name: &str| ["qmail_auth_", "auth_", "ring_core_"].iter().any(|prefix| name.starts_with(prefix));
    let foreign: Vec<_> = others.filter(|name| !ours(name)).collect();
    assert!(foreign.is_empty(), "{foreign:?}");
    // smtp_auth.c is for others: it is in neither the archive nor the program.
    let output = Command::new("nm").arg(crate::support::program()).output().unwrap();
    let listing = String::from_utf8_lossy(&output.stdout);
    assert!(listing.contains(" T main\n") && !listing.contains(" smtp_auth\n"));
}
