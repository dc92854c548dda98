//! Runs cases and compares.

use super::case::{Case, Check, Config, Stock, Tcpto, all_fit, cases, expand, octets, text};
use super::server::{Connection, Servers};
use super::{DIRECTORY, USUAL_SERVER, support};
use crate::support::certificate::Authority;
use crate::support::names::Names;
use std::env;
use std::ffi::OsString;
use std::fs;
use std::net::Ipv4Addr;
use std::os::unix::ffi::OsStringExt;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{SystemTime, UNIX_EPOCH};

const HOME: &str = "/var/qmail";
const TCPTO: &str = "/var/qmail/queue/lock/tcpto";

/// Whom the cases are run against.
struct Program {
    path: PathBuf,
    is_ours: bool,
}

/// Runs the cases of a topic, all of them, and fails with the list of those that failed.
pub fn all(topic: &str) {
    let path = Path::new(DIRECTORY).join(topic).with_extension("toml");
    let cases =
        cases(&fs::read_to_string(&path).unwrap()).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    let program = set_up();
    let _names = Names::start();
    let only = env::var("CASE").unwrap_or_default();
    let (mut passed, mut marked, mut skipped, mut failed) = (0, 0, 0, Vec::new());
    for case in cases.iter().filter(|case| case.name.contains(&only)) {
        let is_for_ours = case.only_ours.is_some() || case.config.is_some() || case.check.is_some();
        if is_for_ours && !program.is_ours {
            skipped += 1;
            continue;
        }
        match check(case, &program) {
            Ok(()) if case.stock.is_some() && !program.is_ours => marked += 1,
            Ok(()) => passed += 1,
            Err(why) => failed.push(format!("{topic}: {}\n  ({})\n{why}", case.name, case.fact)),
        }
    }
    let failures = failed.len();
    println!("{topic}: {passed} passed, {marked} different as marked, {skipped} only for ours, {failures} failed");
    assert!(failed.is_empty(), "{}", failed.join("\n"));
}

/// An empty /var of our own, with the program in it: its home is compiled in, and so it need not be readable elsewhere.
fn set_up() -> Program {
    let other = env::var_os("QMAIL_REMOTE_UNDER_TEST").filter(|path| !path.is_empty());
    let is_ours = other.is_none();
    let content = fs::read(other.map_or_else(support::program, PathBuf::from)).unwrap();
    let mounted = Command::new("mount").args(["-t", "tmpfs", "tmpfs", "/var"]).status().unwrap();
    assert!(mounted.success());
    fs::create_dir_all("/var/tmp").unwrap(); // perhaps TMPDIR
    fs::create_dir_all("/etc/ssl/certs").unwrap();
    fs::write("/etc/ssl/certs/ca-certificates.crt", Authority::new("Debian's CA").pem).unwrap();
    let path = Path::new("/var/program/bin/qmail-remote").to_owned();
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(&path, content).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
    Program { path, is_ours }
}

fn check(case: &Case, program: &Program) -> Result<(), String> {
    let stock = case.stock.as_ref().filter(|_| !program.is_ours);
    if case.stock.as_ref().is_some_and(|stock| stock.why.is_empty() || !differs(case, stock)) || case.fact.is_empty() {
        return Err("  a case needs a fact, and a difference a reason and something that differs".to_owned());
    }
    if let Some(expected) = &case.config {
        return config(case, expected);
    }
    if let Some(expected) = &case.check {
        check_mail(case, expected);
        return Ok(());
    }
    let stdout = stock.and_then(|stock| stock.stdout.as_ref()).unwrap_or(&case.stdout);
    let wire = stock.and_then(|stock| stock.wire.as_ref()).unwrap_or(&case.wire);
    let mut wire = expand(wire);
    if !program.is_ours {
        // Stock knows no EHLO; where that is all, it is no difference of the case.
        wire.iter_mut()
            .for_each(|line| *line = line.replacen("EHLO ", "HELO ", usize::from(line.starts_with("EHLO "))));
    }
    let mut firsts = Vec::new();
    for _ in 0..case.runs.as_ref().map_or(1, |runs| runs.count) {
        let (said, connections) = deliver(case, program)?;
        firsts.extend(connections.first().map(|first| first.server.clone()));
        compare("stdout", stdout, &said)?;
        compare("wire", &wire, &lines(&wire, &connections))?;
        if let Some(tcpto) = &case.tcpto {
            let after = stock.and_then(|stock| stock.tcpto_after.as_ref()).unwrap_or(&tcpto.after);
            compare("tcpto", after, &tcpto_after(tcpto)?)?;
        }
    }
    if let Some(runs) = &case.runs {
        firsts.sort();
        firsts.dedup();
        let expected = stock.and_then(|stock| stock.first.as_ref()).unwrap_or(&runs.first);
        compare("the first connection of all runs", expected, &firsts)?;
    }
    Ok(())
}

fn differs(case: &Case, stock: &Stock) -> bool {
    stock.stdout.as_ref().is_some_and(|stdout| *stdout != case.stdout)
        || stock.wire.as_ref().is_some_and(|wire| *wire != case.wire)
        || stock.tcpto_after.is_some()
        || stock.first.is_some()
}

fn compare(what: &str, expected: &[String], found: &[String]) -> Result<(), String> {
    if all_fit(expected, found) {
        return Ok(());
    }
    Err(format!("  {what} expected: {expected:#?}\n  {what} found: {found:#?}"))
}

/// Runs the case once. What it wrote, and the connections it made.
fn deliver(case: &Case, program: &Program) -> Result<(Vec<String>, Vec<Connection>), String> {
    make_home(case);
    let servers = Servers::start(case.all_servers());
    let mut command = Command::new(&program.path);
    command.env_clear().current_dir("/").args(case.argv.iter().map(|word| OsString::from_vec(octets(word))));
    let delivered = support::run(command, &octets(&case.message));
    let connections = servers.finish();
    if delivered.status.code() != Some(0) {
        return Err(format!("  {delivered:?}"));
    }
    let said = text(&delivered.stdout);
    let Some(said) = said.strip_suffix('\0') else { return Err(format!("  no NUL at the end: {said:?}")) };
    let mut reports: Vec<String> = said.split('\0').map(str::to_owned).collect();
    if let Some(last) = reports.last_mut().filter(|last| program.is_ours && last.starts_with('K')) {
        // Ours says how the mail went out, in a last line that stock has not. Cases have it only where it is another.
        let line = "tls=none cert=unverified auth=none\n";
        if let Some(rest) = last.strip_suffix(line) {
            *last = rest.to_owned();
        } else if !last.contains("\ntls=") {
            *last += "{no line of how it went out}";
        }
    }
    Ok((reports, connections))
}

/// Has qmail-remote-check describe the home. It begins with the home, the program and what is said in each connection, and tells of each file
/// with a secret who can read it; all this depends on no line.
fn config(case: &Case, expected: &Config) -> Result<(), String> {
    make_home(case);
    let mut command = Command::new(support::check::program());
    let output = command.arg("--config").env("QMAILHOME", HOME).output().unwrap();
    let said = text(&output.stdout);
    if output.status.code() != Some(expected.status) || said.replace(" holds a secret: ", "").contains("secret") {
        return Err(format!("  {}: {said}", output.status));
    }
    let mut lines: Vec<String> = said.lines().map(str::to_owned).collect();
    compare("--config", &[format!("home {HOME}"), format!("program {HOME}/bin/qmail-remote: not there")], &lines[..2])?;
    lines.drain(..2);
    lines.retain(|line| !line.starts_with("each connection: EHLO client.example.net, "));
    lines.retain(|line| !line.contains(" holds a secret: "));
    compare("--config", &expected.says, &lines)
}

/// Has qmail-remote-check try, in each form of its output.
fn check_mail(case: &Case, expected: &Check) {
    let checked = support::check::in_each_form(&case.name, expected.ok, &expected.says, |form| {
        make_home(case);
        let servers = Servers::start(case.all_servers());
        let mut command = Command::new(support::check::program());
        command.env_clear().env("QMAILHOME", HOME).args(form).args(&case.argv[..2]);
        let checked = support::check::run(command);
        (checked, servers.finish().into_iter().flat_map(|connection| connection.lines).collect())
    });
    for line in &expected.prints {
        assert!(
            checked.stdout.lines().any(|said| said == line),
            "{}: {line:?} is not in {}",
            case.name,
            checked.stdout
        );
    }
}

fn make_home(case: &Case) {
    let _ = fs::remove_dir_all(HOME);
    let control = Path::new(HOME).join("control");
    fs::create_dir_all(&control).unwrap();
    fs::create_dir_all(Path::new(TCPTO).parent().unwrap()).unwrap();
    let route = format!(":{USUAL_SERVER}\n");
    let usual =
        [("me", "client.example.net\n"), ("timeoutconnect", "20\n"), ("timeoutremote", "20\n"), ("smtproutes", &route)];
    for (name, content) in usual.into_iter().filter(|(name, _)| !case.no_control.iter().any(|no| no == name)) {
        fs::write(control.join(name), content).unwrap();
    }
    for (name, content) in &case.control {
        let path = control.join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        let _ = fs::remove_file(control.join(name.trim_end_matches('/')));
        if name.ends_with('/') {
            fs::create_dir_all(path).unwrap();
        } else if let Some(target) = content.strip_prefix("->") {
            symlink(target, path).unwrap();
        } else {
            fs::write(path, octets(content)).unwrap();
        }
    }
    if let Some(tcpto) = &case.tcpto {
        fs::write(TCPTO, tcpto_before(tcpto)).unwrap();
    }
}

/// The record of the wire in the form that the case has it in.
fn lines(expected: &[String], connections: &[Connection]) -> Vec<String> {
    let has_head = expected.first().is_some_and(|line| line.starts_with("=> "));
    let lone = connections.len() == 1 && connections[0].server == USUAL_SERVER && !has_head;
    let has_peer = expected.iter().any(|line| line.starts_with("=> ") && line.contains(" from "));
    let mut lines = Vec::new();
    for Connection { server, peer, lines: said } in connections {
        if has_peer {
            lines.push(format!("=> {server} from {peer}"));
        } else if !lone {
            lines.push(format!("=> {server}"));
        }
        lines.extend_from_slice(said);
    }
    lines
}

fn unix_time() -> u32 {
    u32::try_from(SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs()).unwrap()
}

/// The file: 64 records of an IPv4 address, a count, and a time in little-endian order at the eighth octet.
fn tcpto_before(tcpto: &Tcpto) -> Vec<u8> {
    let mut file = Vec::new();
    for record in &tcpto.before {
        let [address, count, ago] = record.split(' ').collect::<Vec<_>>()[..] else { panic!("{record:?}") };
        file.extend(address.parse::<Ipv4Addr>().unwrap().octets());
        file.extend([count.parse().unwrap(), 0, 0, 0]);
        file.extend((unix_time() - ago.parse::<u32>().unwrap()).to_le_bytes());
        file.extend([0; 4]);
    }
    file.resize(tcpto.octets.unwrap_or(1024), 0);
    file
}

fn tcpto_after(tcpto: &Tcpto) -> Result<Vec<String>, String> {
    let file = fs::read(TCPTO).unwrap();
    if file.len() != tcpto.octets.unwrap_or(1024) {
        return Err(format!("  tcpto has {} octets", file.len()));
    }
    let used = file.chunks_exact(16).filter(|record| record[4] != 0);
    let line = |record: &[u8]| {
        let when = u32::from_le_bytes(record[8..12].try_into().unwrap());
        let age = if unix_time().abs_diff(when) < 10 { "now" } else { "past" };
        format!("{} {} {age}", Ipv4Addr::new(record[0], record[1], record[2], record[3]), record[4])
    };
    Ok(used.map(line).collect())
}
