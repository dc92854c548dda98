//! `qmail-remote-check --config` and `--convert` of many lines: what they cost grows as these do. Counts, and no times.

use crate::support::{self, Home};
use std::process::Command;

/// So many lines in each of the two files, each with a key, a relay, a login and a warning of its own.
fn home(lines: usize) -> Home {
    let home = Home::new();
    let of = |sign: &str| -> String {
        (0..lines).map(|n| format!("{sign}host{n}.example:relay{n}.example user{n} secret{n}\n")).collect()
    };
    home.control("smtproutes", of(""));
    home.control("authsenders", of("@"));
    home
}

/// What a tool writes about it; `output` is its option for where. For each line of the files so many of what is printed have these words.
fn measured(argument: &str, (count, words): (usize, &str), lines: usize, tool: &[&str], output: &str) -> String {
    let home = home(lines);
    let log = home.path().join("log");
    let mut command = Command::new(tool[0]);
    command.args(&tool[1..]).arg(format!("{output}{}", log.display()));
    command.arg(support::check::program()).arg(argument).env("QMAILHOME", home.path());
    let done = command.output().unwrap_or_else(|error| panic!("{}: {error}", tool[0]));
    let said = String::from_utf8(done.stdout).unwrap();
    assert!(done.status.success(), "{said}");
    assert_eq!(said.lines().filter(|line| line.contains(words)).count(), count * lines, "{said}");
    std::fs::read_to_string(log).unwrap()
}

const WARNINGS: (usize, &str) = (2, "a login on port 25; most relays want it on 587 or 465");

#[test]
fn the_cas_are_read_once() {
    let calls = measured("--config", WARNINGS, 100, &["strace", "--trace=openat"], "--output=");
    let opened = calls.lines().filter(|call| call.contains("ca-certificates.crt"));
    assert_eq!(opened.count(), 1, "{calls}");
}

#[test]
fn twice_the_lines_cost_twice_as_much() {
    for (argument, words) in [("--config", WARNINGS), ("--convert", (1, "and password; the line becomes host"))] {
        let instructions = |lines| -> u64 {
            let tool = ["valgrind", "--tool=callgrind", "--callgrind-out-file=/dev/null"];
            let text = measured(argument, words, lines, &tool, "--log-file=");
            let collected = text.lines().find_map(|line| line.split("Collected : ").nth(1)?.trim().parse().ok());
            collected.unwrap_or_else(|| panic!("valgrind said {text:?}"))
        };
        // What does not depend on the lines, the CAs above all, is in none of the differences.
        let [one, two, four] = [1000, 2000, 4000].map(instructions);
        let (first, second) = (two - one, four - two);
        assert!(second < first * 22 / 10, "{argument}: 1000 lines more cost {first} instructions, 2000 more {second}");
    }
}
