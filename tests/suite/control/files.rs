//! Control files as the library reads them, where no delivery can show it: each place of a line, times, what cannot be read.

use crate::support::certificate::Authority;
use crate::support::executable;
use crate::support::server::{Rules, Server, Tls};
use crate::support::{Home, program, run};
use qmail_remote::control::Settings;
use qmail_remote::control::files::Control;
use qmail_remote::event::Log;
use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::Command;

fn settings(home: &Home, host: &str) -> Result<Settings, String> {
    let control = Control { home: home.path().to_owned(), log: Log::default(), seen: None };
    Settings::read(&control, host.as_bytes(), b"sender@example.net").map_err(|error| error.to_string())
}

/// Lines that are for others are passed over by blocks, so the line that counts is tried at each place of one.
#[test]
fn a_line_at_each_place() {
    let home = Home::new();
    for before in 0..200 {
        let filler: String = (0..before).map(|n| if n % 30 == 29 { '\n' } else { 'z' }).collect();
        for (line, host) in [
            ("host.example:r", "HOST.example"),
            ("Host.example:r", "host.example"),
            (".example:r", "host.example"),
            (":r", "host.example"),
        ] {
            for after in ["", "\n", &format!("\n{}:q\n", "z".repeat(100))] {
                let smtproutes = format!("{filler}\n{line}{after}");
                home.control("smtproutes", &smtproutes);
                let route = settings(&home, host).unwrap().route.map(|route| (route.host, route.port));
                assert_eq!(route, Some(("r".to_owned(), 25)), "{smtproutes:?}");
            }
        }
    }
}

/// A FIFO would be waited for.
#[test]
fn a_fifo() {
    let home = Home::with_route("relay:587");
    let fifo = home.control("relays/relay/mechanisms", "PLAIN\n").with_file_name("tls");
    assert!(Command::new("mkfifo").arg(fifo).status().unwrap().success());
    let error = settings(&home, "example.org").err().unwrap();
    assert_eq!(error, "control/relays/relay/tls: is a FIFO");
}

/// Of the times only those of a second can be waited for.
#[test]
fn times() {
    let home = Home::with_route("relay");
    let read = |home: &Home| settings(home, "example.org").unwrap();
    for (file, seconds) in
        [("30\n", 30), ("  \n", 60), ("abc\n", 60), ("7x\n", 7), ("", 60), ("99999999999999999999", u64::MAX)]
    {
        home.control("timeoutconnect", file);
        assert_eq!(read(&home).timeoutconnect, seconds, "{file:?}");
    }
    fs::remove_file(home.path().join("control/timeoutremote")).unwrap();
    assert_eq!(read(&home).timeoutremote, 1200);
}

/// What the user that runs cannot read defers the mail; the report says who cannot, and the command that changes it. Root can read
/// everything, so as root the program runs as another user.
#[test]
fn a_file_that_only_another_may_read() {
    for (name, closed, fix) in [
        ("relays/relay/password", "control/relays/relay/password", "chown root:{group} {}; chmod 640 {}"),
        ("smtproutes", "control/smtproutes", "chown root:{group} {}; chmod 640 {}"),
        ("authsenders", "control/authsenders", "chown root:{group} {}; chmod 640 {}"),
        ("me", "control/me", "chmod 644 {}"),
        ("relays/relay/clientcert", "control/relays/relay", "chown root:{group} {}; chmod 750 {}"),
        ("authsenders", "control", "chmod 755 {}; chown root:{group} {}/authsenders; chmod 640 {}/authsenders"),
    ] {
        let home = Home::with_route("relay:587");
        home.control("relays/relay/user", "myuser\n");
        home.control("relays/relay/password", "secretpass\n");
        home.control("authsenders", "sender@example.com:relay\n");
        let closed = home.path().join(closed);
        let (who, verdict) = as_nobody(&home, &closed);
        let group = who.split("group ").nth(1).unwrap();
        let fix = fix.replace("{}", closed.to_str().unwrap()).replace("{group}", group);
        let why = format!("Permission denied for {who}: {fix}");
        assert_eq!(verdict, format!("ZUnable to read control files. (#4.3.0) control/{name}: {why}\n"));
    }
}

/// A link leads to the directory that is closed.
#[test]
fn a_link_into_a_directory_that_only_another_may_enter() {
    let home = Home::with_route("relay:587");
    home.control("relays/relay/user", "myuser\n");
    let vault = home.path().join("vault");
    fs::create_dir(&vault).unwrap();
    fs::write(vault.join("password"), "secretpass\n").unwrap();
    symlink("../../../vault/password", home.path().join("control/relays/relay/password")).unwrap();
    let (_, verdict) = as_nobody(&home, &vault);
    assert!(verdict.contains("control/relays/relay/password: Permission denied for user "), "{verdict}");
    assert!(verdict.contains(": chmod 755 /") && verdict.contains("/vault; chown root:"), "{verdict}");
    assert!(verdict.trim_end().ends_with("control/relays/relay/password"), "{verdict}");
}

/// The same for PEM files. One may have a key in it, and a directory that is not qmail's may be closed on purpose.
#[test]
fn a_pem_file_that_only_another_may_read() {
    let certificate = Authority::new("My CA").issue(&["127.0.0.1"]);
    for (name, closed, why) in [
        ("cafile", "my.pem", "Permission denied for {who}: chmod 644 {}"),
        ("clientcert", "my.pem", "Permission denied for {who}: chown root:{group} {}; chmod 640 {}"),
        ("clientkey", "my.pem", "Permission denied for {who}: chown root:{group} {}; chmod 640 {}"),
        ("cafile", "", "Permission denied for {who}, who may not enter {}: put the file where this user can read it"),
    ] {
        let server = Server::start(Rules::over_tls(Tls::of(&certificate)));
        let home = Home::with_route(&format!("127.0.0.1:{}", server.port()));
        let outside = tempfile::tempdir().unwrap();
        let pem = outside.path().join("my.pem");
        fs::write(&pem, certificate.pem.clone() + &certificate.key_pem).unwrap();
        fs::set_permissions(outside.path(), fs::Permissions::from_mode(0o755)).unwrap();
        let relay = |name: &str, path: &Path| home.control(&format!("relays/127.0.0.1/{name}"), path.to_str().unwrap());
        if name.starts_with("client") {
            let copy = outside.path().join("copy.pem");
            fs::copy(&pem, &copy).unwrap();
            relay("clientcert", &copy);
            relay("clientkey", &copy);
        }
        relay(name, &pem);
        home.control("relays/127.0.0.1/tls", "verify");
        let closed = if closed.is_empty() { outside.path().to_owned() } else { pem.clone() };
        let (who, verdict) = as_nobody(&home, &closed);
        let group = who.split("group ").nth(1).unwrap();
        let why = why.replace("{who}", &who).replace("{group}", group).replace("{}", closed.to_str().unwrap());
        let expected = format!("{} (of control/relays/127.0.0.1/{name}): {why}. (#4.7.5)", pem.display());
        assert!(verdict.starts_with('Z') && verdict.contains(&expected), "{verdict}");
        server.finish();
    }
}

/// A mail by a user to whom this file or directory is closed: who that is, and the report.
fn as_nobody(home: &Home, closed: &Path) -> (String, String) {
    let copy = home.path().join("qmail-remote");
    executable::copy(&program(), &copy);
    for open in [home.path(), &copy] {
        fs::set_permissions(open, fs::Permissions::from_mode(0o755)).unwrap();
    }
    let mode = fs::metadata(closed).unwrap().permissions();
    fs::set_permissions(closed, fs::Permissions::from_mode(0o000)).unwrap();
    let mut command = Command::new(copy);
    command.env_clear().env("QMAILHOME", home.path()).args(["example.org", "a@example.net", "b@example.org"]);
    let is_root = fs::metadata("/proc/self").unwrap().uid() == 0;
    let id = |option| {
        let id = Command::new("id").args([option, "-n"]).output().unwrap();
        String::from_utf8(id.stdout).unwrap().trim().to_owned()
    };
    let who = if is_root {
        command.uid(65534).gid(65534);
        "user nobody, group nogroup".to_owned()
    } else {
        format!("user {}, group {}", id("-u"), id("-g"))
    };
    let verdict = run(command, b"\n").verdict();
    fs::set_permissions(closed, mode).unwrap();
    (who, verdict)
}
