//! What stock qmail-remote does and what this one does, case by case. The cases are data: tests/compliance/*.toml, whose form
//! `Case` below explains. `QMAIL_REMOTE_UNDER_TEST=/path/to/qmail-remote script/test compliance` runs them against another
//! program, which is to have /var/qmail for its home.
//!
//! Two differences go through all cases, so the runner knows them:
//! - This program says EHLO first. Servers here do not know it unless a case says so, and a refused EHLO is left out of the
//!   octets that a case expects.
//! - The report of a message that was taken has one more line here, of TLS and the login.

mod support;

use serde::Deserialize;
use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::SystemTime;
use support::dns::Dns;
use support::namespace::inside;
use support::run;
use support::server::{Action, Log, Rules, Server};

const HOME: &str = "/var/qmail";
const EHLO: &str = "EHLO";
/// The last line of a K here.
const HOW: &str = "tls=none cert=unverified auth=none\n";

/// One delivery, and what must come of it.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Case {
    name: String,
    /// What it rests on: a habit of stock, an RFC.
    fact: String,
    /// The arguments; most cases have those of `argv`.
    #[serde(default = "argv")]
    argv: Vec<String>,
    /// Control files; `me` and short timeouts are there.
    #[serde(default)]
    control: BTreeMap<String, String>,
    /// Servers by address (port 25) or address and port: what they reply to what begins so, the longest first. CONNECT is the
    /// greeting, EHLO has what is offered, line by line, `.` is the end of a message. `close` ends the connection, also behind a reply: `421 busy close`. One at
    /// 192.0.2.7 with ordinary replies, where the case names none.
    #[serde(default = "servers")]
    servers: BTreeMap<String, BTreeMap<String, String>>,
    #[serde(default = "message")]
    message: String,
    /// queue/lock/tcpto before: address, count, seconds ago. The file is not there where a case has none.
    tcpto: Option<Vec<(String, u8, u64)>>,
    /// The same afterwards, without times, up to the last record that is not free.
    tcpto_after: Option<Vec<(String, u8)>>,
    /// Each with its letter, without its NUL. `{any}` stands for anything within it.
    reports: Vec<String>,
    /// Lines that the servers got, `> 192.0.2.7` before those of each connection; `\n` and other octets as escapes where a
    /// line does not end in CRLF. Not looked at, where a case has none.
    wire: Option<Vec<String>>,
    /// Another program does otherwise, and that is wanted.
    stock: Option<Stock>,
    /// Why another program cannot run it.
    only_ours: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Stock {
    /// Why this program does not do so.
    why: String,
    reports: Option<Vec<String>>,
    wire: Option<Vec<String>>,
}

#[derive(Deserialize)]
struct File {
    case: Vec<Case>,
}

fn argv() -> Vec<String> {
    ["example.test", "a@example.net", "b@example.test"].map(str::to_owned).into()
}

fn servers() -> BTreeMap<String, BTreeMap<String, String>> {
    BTreeMap::from([("192.0.2.7".to_owned(), BTreeMap::new())])
}

fn message() -> String {
    "Subject: x\n\nhello\n".to_owned()
}

fn cases() -> Vec<Case> {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/compliance");
    let mut files: Vec<PathBuf> = fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    let read = |path: &PathBuf| {
        let file: File = toml::from_str(&fs::read_to_string(path).unwrap()).unwrap_or_else(|e| panic!("{path:?}: {e}"));
        file.case
    };
    files.iter().flat_map(read).collect()
}

#[test]
fn compliance() {
    if !inside("compliance") {
        return;
    }
    // 192.0.2.0/24 and 2001:db8::/64 lead here, but only 192.0.2.1 and 2001:db8::1 are addresses of an interface.
    shell(
        "ip route add local 192.0.2.0/24 dev lo && ip -6 route add local 2001:db8::/64 dev lo && echo 1 >/proc/sys/net/ipv6/ip_nonlocal_bind",
    );
    shell("mount -t tmpfs none /var && mkdir -p /var/empty /var/run");
    let _dns = Dns::start();
    let other = std::env::var_os("QMAIL_REMOTE_UNDER_TEST").filter(|path| !path.is_empty()).map(PathBuf::from);
    let cases = cases();
    let (mut failures, mut different, mut skipped) = (Vec::new(), 0, 0);
    for case in &cases {
        if other.is_some() && case.only_ours.as_ref().is_some_and(|why| !why.is_empty()) {
            skipped += 1;
            continue;
        }
        different += usize::from(case.stock.is_some());
        if let Err(why) = check(case, other.as_deref()) {
            failures.push(format!("{}\n  rests on: {}\n{why}", case.name, case.fact));
        }
    }
    if other.is_none() {
        each_of_equal_exchangers();
    }
    println!("{} cases, {different} of them other than stock's on purpose, {skipped} left out", cases.len());
    assert!(failures.is_empty(), "{} failed:\n\n{}", failures.len(), failures.join("\n\n"));
    assert!(cases.len() >= 80);
}

/// Exchangers of one preference are shuffled in each process anew; in stock all those of one second begin with the same.
fn each_of_equal_exchangers() {
    new_home();
    let servers = ["192.0.2.7", "192.0.2.8"].map(|address| start(address, &BTreeMap::new()));
    for _ in 0..40 {
        let mut command = Command::new(support::program());
        command.env_clear().current_dir("/").args(["equal.test", "a@example.net", "b@equal.test"]);
        assert_eq!(run(command, b"\n").letters(), "rK");
    }
    let counts = servers.map(|server| server.finish().messages.len());
    assert!(counts.iter().all(|count| *count > 0), "{counts:?}");
}

fn shell(script: &str) {
    assert!(Command::new("sh").args(["-ec", script]).status().unwrap().success(), "{script}");
}

fn check(case: &Case, other: Option<&Path>) -> Result<(), String> {
    prepare(case);
    let servers: Vec<_> = case.servers.iter().map(|(address, replies)| (address, start(address, replies))).collect();
    let mut command = Command::new(other.map_or_else(support::program, Path::to_owned));
    command.env_clear().current_dir("/").args(&case.argv);
    let delivered = run(command, case.message.as_bytes());
    let wire: Vec<String> = servers
        .into_iter()
        .flat_map(|(address, server)| wire(address, !case.servers[address].contains_key(EHLO), &server.finish()))
        .collect();
    let mut reports = delivered.reports();
    if let Some(last) = reports.last_mut().filter(|last| other.is_none() && last.starts_with('K')) {
        let stripped = last.strip_suffix(HOW).ok_or(format!("no line of how it went: {last:?}"))?;
        *last = stripped.to_owned();
    }
    let mut expected = (&case.reports, case.wire.as_ref());
    if let (Some(stock), true) = (&case.stock, other.is_some()) {
        assert!(!stock.why.is_empty(), "{}", case.name);
        expected = (stock.reports.as_ref().unwrap_or(expected.0), stock.wire.as_ref().or(expected.1));
    }
    compare("reports", expected.0, &reports)?;
    if let Some(expected) = expected.1 {
        compare("wire", expected, &wire)?;
    }
    let after = fs::read(format!("{HOME}/queue/lock/tcpto")).ok().map(|file| records(&file));
    match &case.tcpto_after {
        Some(expected) if after.as_ref() != Some(expected) => Err(format!("  tcpto: {after:?}, not {expected:?}")),
        _ => Ok(()),
    }
}

/// A home with nothing in it but what each has.
fn new_home() {
    let _ = fs::remove_dir_all(HOME);
    for (name, content) in [("me", "client.example.net\n"), ("timeoutconnect", "1\n"), ("timeoutremote", "20\n")] {
        write(&format!("control/{name}"), content.as_bytes());
    }
}

fn write(name: &str, content: &[u8]) {
    let path = Path::new(HOME).join(name);
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, content).unwrap();
}

/// The home of a case.
fn prepare(case: &Case) {
    new_home();
    for (name, content) in &case.control {
        write(&format!("control/{name}"), content.as_bytes());
    }
    let Some(known) = &case.tcpto else { return };
    let now = SystemTime::UNIX_EPOCH.elapsed().unwrap().as_secs();
    let mut file = vec![0; 1024];
    for (record, (ip, count, ago)) in file.chunks_mut(16).zip(known) {
        record[..4].copy_from_slice(&ip.parse::<std::net::Ipv4Addr>().unwrap().octets());
        record[4] = *count;
        record[8..12].copy_from_slice(&((now - ago) as u32).to_le_bytes());
    }
    write("queue/lock/tcpto", &file);
}

fn records(file: &[u8]) -> Vec<(String, u8)> {
    let ip = |record: &[u8]| record[..4].iter().map(u8::to_string).collect::<Vec<_>>().join(".");
    let mut records: Vec<_> = file.chunks(16).map(|record| (ip(record), record[4])).collect();
    while records.last().is_some_and(|(_, count)| *count == 0) {
        records.pop();
    }
    records
}

fn start(address: &str, replies: &BTreeMap<String, String>) -> Server {
    let with_port = if address.contains("]:") || address.split(':').count() == 2 {
        address.to_owned()
    } else {
        format!("{address}:25")
    };
    let mut table: Vec<(String, String)> = replies.clone().into_iter().collect();
    table.sort_by_key(|(begin, _)| std::cmp::Reverse(begin.len()));
    table.retain(|(begin, _)| begin != EHLO);
    let offered: Vec<&str> = replies.get(EHLO).iter().flat_map(|lines| lines.lines()).collect();
    let helo_only = !replies.contains_key(EHLO);
    let rules = Rules { auth_required: false, helo_only, greeting: "220 hi".to_owned(), ..Rules::offering(&offered) };
    Server::start_on(
        &with_port[..],
        rules.hooked(move |event, _| {
            let text = event.text();
            match table.iter().find(|(begin, _)| text.starts_with(begin)) {
                None => Action::Default,
                Some((_, reply)) if reply == "close" => Action::Close,
                Some((_, reply)) => match reply.strip_suffix(" close") {
                    Some(reply) => Action::reply_and_close(reply),
                    None => Action::reply(reply),
                },
            }
        }),
    )
}

/// The lines that a server got, a mark before those of each connection.
fn wire(address: &str, helo_only: bool, log: &Log) -> Vec<String> {
    let mut lines = Vec::new();
    for connection in &log.connections {
        lines.push(format!("> {address}"));
        let got = connection.raw.split_inclusive(|c| *c == b'\n').enumerate();
        let got = got.filter(|(i, line)| !(*i == 0 && helo_only && line.starts_with(b"EHLO ")));
        lines.extend(got.map(|(_, line)| match line.strip_suffix(b"\r\n") {
            Some(line) if !line.contains(&b'\r') => String::from_utf8_lossy(line).into_owned(),
            _ => line.escape_ascii().to_string(),
        }));
    }
    lines
}

fn compare(what: &str, expected: &[String], got: &[String]) -> Result<(), String> {
    let fits = |(pattern, text): (&String, &String)| match pattern.split_once("{any}") {
        None => pattern == text,
        Some((begin, end)) => text.len() >= begin.len() + end.len() && text.starts_with(begin) && text.ends_with(end),
    };
    match expected.len() == got.len() && expected.iter().zip(got).all(fits) {
        true => Ok(()),
        false => Err(format!("  {what}: {got:#?}, not {expected:#?}")),
    }
}
