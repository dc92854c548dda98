//! One mail through qmail-remote to a relay that demands a login, made visible. `script/demo` builds and runs it.

#[allow(dead_code)] // the tests use the rest
mod certificate;
#[allow(dead_code)]
mod server;

use std::env;
use std::ffi::OsString;
use std::fs;
use std::io::{self, Seek, Write};
use std::process::{Command, ExitCode, Output, Stdio};

use certificate::Authority;
use server::{ConnectionLog, Rules, Server, Tls, Who};

const USER: &str = "myuser";
const PASSWORD: &str = "secretpass";
const CAFILE: &str = "control/demo-ca.pem"; // from qmail's home
const RECIPIENT: &str = "friend@example.org";
const MESSAGE: &str = "\
From: me@home.example
To: friend@example.org
Subject: through the relay

A line that begins with a dot,
.as this one does, arrives as it was.
";

fn main() -> io::Result<ExitCode> {
    let Some(program) = env::args_os().nth(1) else {
        eprintln!("usage: demo path/of/qmail-remote");
        return Ok(ExitCode::FAILURE);
    };

    let ca = Authority::new("CA of this demonstration");
    let identity = ca.issue(&["127.0.0.1"]);
    let rules = Rules::over_tls(Tls::of(&identity)).login(USER, PASSWORD);
    let server = Server::start(rules);
    let route = format!(":127.0.0.1:{} {USER} {PASSWORD}\n", server.port());
    let Output { status, stdout: report, .. } = deliver(program, &route, &ca.pem)?;
    let log = server.finish();

    println!("qmail has a mail for {RECIPIENT}, and its provider's relay takes mail only after a login.");
    println!("This is the one delivery: qmail-remote as qmail-rspawn runs it, against a relay on this machine.");
    section("control/smtproutes: all mail by this relay, with this user and password");
    print!("{}", route.replace(PASSWORD, "<secret>"));
    section("control/tlscafile: whom to trust; a provider's relay is verified by Debian's CAs, without this file");
    println!("{CAFILE}");
    section("The dialogue (C: qmail-remote, S: the relay)");
    log.connections.iter().for_each(dialogue);
    section("The report that qmail-rspawn reads from it");
    print!("{}", shown(&report));
    section("The message as the relay received it");
    for message in &log.messages {
        println!("from <{}> to <{}>", message.sender, message.recipients.join(">, <"));
        String::from_utf8_lossy(&message.content).lines().for_each(|line| println!("  {line}"));
    }

    section("Outcome");
    let verified = String::from_utf8_lossy(&report).contains(" cert=verified ");
    let encrypted = verified && log.connections.iter().all(|connection| connection.tls.is_some());
    let logged_in = log.logins().iter().any(|login| login.ends_with(USER));
    // Any exit status but 0 would make a bounce of it, whatever the report says.
    let delivered = status.success() && report.split(|&octet| octet == 0).any(|piece| piece.starts_with(b"K"));
    let same = matches!(&log.messages[..], [message] if message.content == MESSAGE.as_bytes());
    let mut good = true;
    for (what, is_so) in [
        ("the connection was TLS and the relay's certificate verified", encrypted),
        ("the relay saw the login", logged_in),
        ("qmail-remote reports K: delivered", delivered),
        ("the message arrived once, octet for octet", same),
    ] {
        println!("{} {what}", if is_so { "yes:" } else { "NO: " });
        good &= is_so;
    }
    Ok(if good { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Runs the program as qmail-rspawn does, in a qmail home of its own: the message is descriptor 0, the report is what
/// comes out of 1 and 2.
fn deliver(program: OsString, route: &str, ca: &str) -> io::Result<Output> {
    let home = tempfile::tempdir()?;
    let control = home.path().join("control");
    fs::create_dir(&control)?;
    fs::write(control.join("me"), "home.example\n")?;
    fs::write(control.join("smtproutes"), route)?;
    fs::write(control.join("tlscafile"), CAFILE)?;
    fs::write(home.path().join(CAFILE), ca)?;
    fs::write(control.join("timeoutremote"), "20\n")?;

    let mut message = tempfile::tempfile()?;
    message.write_all(MESSAGE.as_bytes())?;
    message.rewind()?;
    let mut output = Command::new(program)
        .args(["example.org", "me@home.example", RECIPIENT])
        .env_clear()
        .env("QMAILHOME", home.path())
        .stdin(message)
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .output()?;
    output.stdout.append(&mut output.stderr);
    Ok(output)
}

fn section(title: &str) {
    println!("\n{title}\n{}", "-".repeat(title.len()));
}

/// Prints the lines of a connection, but of a login only that it took place.
fn dialogue(connection: &ConnectionLog) {
    let (mut asked, mut starting) = (false, false);
    for (who, line) in &connection.dialogue {
        let line = String::from_utf8_lossy(line);
        match who {
            Who::Server => println!("S: {line}"),
            Who::Message => println!("C: {line}"),
            Who::Client if asked => println!("C: <secret>"),
            Who::Client => match line.split(' ').collect::<Vec<_>>()[..] {
                [verb, mechanism, _] if verb.eq_ignore_ascii_case("AUTH") => println!("C: {verb} {mechanism} <secret>"),
                _ => println!("C: {line}"),
            },
        }
        asked = *who == Who::Server && line.starts_with("334");
        if *who == Who::Client && line == "STARTTLS" {
            starting = true;
        } else if starting {
            starting = false;
            println!("   (from here on TLS)");
        }
    }
}

/// The report with its NULs and ends of line made visible, each piece on a line.
fn shown(report: &[u8]) -> String {
    let pieces = report.split_inclusive(|&octet| octet == 0);
    let shown = |piece| String::from_utf8_lossy(piece).replace('\n', "\\n").replace('\0', "\\0") + "\n";
    pieces.map(shown).collect()
}
