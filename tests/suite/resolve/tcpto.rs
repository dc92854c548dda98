//! queue/lock/tcpto, octet for octet, and what comes of it; and many deliveries that share it.

use crate::support::namespace::{inside, inside_with};
use crate::support::server::{Rules, Server};
use crate::support::{Delivered, Home};
use qmail_remote::resolve::tcpto::{self, Change, Found};
use std::fs;
use std::io::Read;
use std::net::Ipv4Addr;
use std::os::unix::fs::{FileTypeExt, PermissionsExt};
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::thread;
use std::time::SystemTime;

const EMPTY: [u8; 1024] = [0; 1024];

fn ip(last: u8) -> Ipv4Addr {
    Ipv4Addr::new(192, 0, 2, last)
}

fn record(last: u8, count: u8, time: u32) -> [u8; 16] {
    let [a, b, c, d] = time.to_le_bytes();
    [192, 0, 2, last, count, 0, 0, 0, a, b, c, d, 0, 0, 0, 0]
}

fn write(file: &mut [u8], change: Option<Change>) {
    if let Some(Change { offset, record }) = change {
        file[offset..offset + 16].copy_from_slice(&record);
    }
}

/// A series of timeouts and connections, each at its time, and the records after each.
#[test]
fn a_series() {
    let mut file = EMPTY.to_vec();
    let start = 1_700_000_000;
    // Address, seconds after the start, timeout or connection; the first two records behind it.
    type Step = (u8, u64, bool, [(u8, u8, u32); 2]);
    let series: &[Step] = &[
        (7, 0, false, [(0, 0, 0), (0, 0, 0)]), // a connection adds nothing
        (1, 0, true, [(1, 1, 0), (0, 0, 0)]),
        (1, 119, true, [(1, 1, 0), (0, 0, 0)]), // counts as the one before
        (1, 120, true, [(1, 2, 120), (0, 0, 0)]),
        (2, 130, true, [(1, 2, 120), (2, 1, 130)]),
        (1, 240, true, [(1, 3, 240), (2, 1, 130)]),
        (2, 300, false, [(1, 3, 240), (2, 0, 130)]), // the time stays
        (2, 310, true, [(1, 3, 240), (2, 1, 310)]),  // and does not count for a free record
        (2, 320, false, [(1, 3, 240), (2, 0, 310)]),
        (3, 330, true, [(1, 3, 240), (3, 1, 330)]), // a free record is taken
    ];
    for (number, (last, after, timed_out, expected)) in series.iter().enumerate() {
        let change = match timed_out {
            true => tcpto::timed_out(&file, ip(*last), start + after),
            false => tcpto::answered(&file, ip(*last)),
        };
        write(&mut file, change);
        let mut whole = EMPTY.to_vec();
        for (place, (last, count, after)) in expected.iter().enumerate().filter(|(_, (last, ..))| *last > 0) {
            whole[place * 16..][..16].copy_from_slice(&record(*last, *count, start as u32 + after));
        }
        assert_eq!(file, whole, "step {number}");
    }
    for step in 0..12 {
        let change = tcpto::timed_out(&file, ip(1), start + 1000 + 120 * step);
        write(&mut file, change);
    }
    assert_eq!(file[..16], record(1, 10, start as u32 + 1000 + 120 * 11), "no more than 10");
}

/// 64 records: the one goes that is the oldest, where each timeout counted makes it younger by 1024 seconds.
#[test]
fn a_full_file() {
    let mut file = EMPTY.to_vec();
    for last in 0..64u8 {
        file[usize::from(last) * 16..][..16].copy_from_slice(&record(last, 1, 1_700_000_000 + u32::from(last) * 10));
    }
    file[..16].copy_from_slice(&record(0, 2, 1_700_000_000));
    let change = tcpto::timed_out(&file, ip(100), 1_700_001_000).unwrap();
    assert_eq!(change, Change { offset: 16, record: record(100, 1, 1_700_001_000) });
    write(&mut file, Some(change));
    let change = tcpto::timed_out(&file, ip(101), 1_700_001_000).unwrap();
    assert_eq!(change.offset, 32);
    assert_eq!(tcpto::answered(&file, ip(101)), None);
    // Half a record at the end is none, and what lies beyond 64 is not looked at.
    let longer = [&file[..], &record(200, 9, 1_700_001_000)].concat();
    assert_eq!(tcpto::look(&longer, ip(200), 1_700_001_000, 0), Found::default());
    assert_eq!(tcpto::timed_out(&EMPTY[..15], ip(1), 1_700_000_000), None);
    assert_eq!(tcpto::timed_out(&EMPTY[..40], ip(1), 1_700_000_000).unwrap().offset, 0);
    // What else stands in a record stays, as stock leaves it.
    let odd = [[9; 4], [0, 5, 6, 7], [0; 4], [1, 2, 3, 4]].concat();
    assert_eq!(tcpto::timed_out(&odd, ip(1), 0).unwrap().record[..8], [192, 0, 2, 1, 1, 5, 6, 7]);
}

#[test]
fn how_long_an_address_rests() {
    let now = 1_700_000_000;
    for (count, ago, pid, rests) in [
        (0, 0, 0, false),
        (1, 0, 0, false),
        (2, 0, 0, true),
        (10, 0, 0, true),
        (2, 60 * 64 - 1, 0, true),
        (2, 60 * 64, 0, false),
        (2, 91 * 64 - 1, 31, true),
        (2, 91 * 64, 31, false),
        (2, 61 * 64 - 1, 33, true),
        (2, 61 * 64, 33, false),
        (2, -3600, 0, true), // the clock was set back
    ] {
        let file = [EMPTY[..32].to_vec(), record(1, count, (now as i64 - ago) as u32).to_vec()].concat();
        let found = tcpto::look(&file, ip(1), now, pid);
        assert_eq!(found, Found { there: true, rests }, "{count} timeouts {ago} s ago, process {pid}");
        assert_eq!(tcpto::look(&file, ip(2), now, pid), Found::default());
    }
}

fn unix() -> u32 {
    SystemTime::UNIX_EPOCH.elapsed().unwrap().as_secs() as u32
}

fn file_of(home: &Home, content: &[u8]) -> PathBuf {
    let path = home.path().join("queue/lock/tcpto");
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(&path, content).unwrap();
    path
}

fn deliver(home: &Home) -> Delivered {
    home.deliver("a@example.net", &["b@example.org"], b"\n")
}

/// A file that is not there is qmail's to make, and what cannot be locked as stock locks it is as none.
#[test]
fn files_that_are_none() {
    if !inside(here!()) {
        return;
    }
    let home = Home::with_route("198.51.100.7:587");
    home.control("timeoutconnect", "1\n");
    let path = file_of(&home, &EMPTY);
    fs::remove_file(&path).unwrap();
    assert!(deliver(&home).verdict().ends_with("198.51.100.7: Connection timed out\n"));
    assert!(!path.exists());
    assert!(Command::new("mkfifo").arg(&path).status().unwrap().success());
    assert!(deliver(&home).verdict().contains("Connection timed out"));
    assert!(fs::metadata(&path).unwrap().file_type().is_fifo());
    // One that may only be read.
    let server = Server::start(Rules { auth_required: false, ..Rules::default() });
    let home = Home::with_route(&format!("127.0.0.1:{}", server.port()));
    let path = file_of(&home, &EMPTY);
    fs::set_permissions(&path, fs::Permissions::from_mode(0o400)).unwrap();
    assert_eq!(deliver(&home).letters(), "rK");
    server.finish();
}

/// Only a timeout is one: a network that is down now would put all its addresses to rest.
#[test]
fn unreachable_is_no_timeout() {
    if !inside_with(here!(), &[], "ip route add unreachable 203.0.113.0/24") {
        return;
    }
    for (address, words) in [("203.0.113.1", "No route to host"), ("203.0.114.1", "Network is unreachable")] {
        let home = Home::with_route(&format!("{address}:587"));
        let path = file_of(&home, &EMPTY);
        let verdict = deliver(&home).verdict();
        assert!(verdict.ends_with(&format!("{address}: {words}\n")), "{verdict}");
        assert_eq!(fs::read(path).unwrap(), EMPTY, "{verdict}");
    }
}

/// Whoever has the file locked, be it to read alone, is waited for.
#[test]
fn the_lock() {
    let server = Server::start(Rules { auth_required: false, ..Rules::default() });
    let home = Home::with_route(&format!("127.0.0.1:{}", server.port()));
    let path = file_of(&home, &EMPTY);
    let mut holder = Command::new("flock");
    holder.arg("--shared").arg(&path).args(["sh", "-c", "echo locked; read -r _"]);
    let mut holder = holder.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    assert_eq!(holder.stdout.as_mut().unwrap().read(&mut [0; 7]).unwrap(), 7);
    let mut delivery = home.command("a@example.net", &["b@example.org"]);
    let mut delivery = delivery.stdin(Stdio::null()).stdout(Stdio::piped()).spawn().unwrap();
    let waits = format!("-> FLOCK  ADVISORY  WRITE {} ", delivery.id());
    while !fs::read_to_string("/proc/locks").unwrap().contains(&waits) {
        assert!(delivery.try_wait().unwrap().is_none(), "it did not wait");
        thread::yield_now();
    }
    drop(holder.stdin.take());
    assert!(holder.wait().unwrap().code().is_some());
    assert!(String::from_utf8_lossy(&delivery.wait_with_output().unwrap().stdout).starts_with("r\0K"));
    server.finish();
}

/// Who has it and is stopped is not waited for without end, and what is in the file does not count then. The signal is the timer's.
#[test]
fn a_lock_that_is_kept() {
    let server = Server::start(Rules { auth_required: false, ..Rules::default() });
    let home = Home::with_route(&format!("127.0.0.1:{}", server.port()));
    let rests = [&[127, 0, 0, 1][..], &record(0, 9, unix())[4..], &EMPTY[16..]].concat();
    let path = file_of(&home, &rests);
    let mut holder = Command::new("flock");
    holder.arg(&path).args(["sh", "-c", "echo locked; read -r _"]);
    let mut holder = holder.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    assert_eq!(holder.stdout.as_mut().unwrap().read(&mut [0; 7]).unwrap(), 7);
    let mut delivery = home.command("a@example.net", &["b@example.org"]);
    let mut delivery = delivery.stdin(Stdio::null()).stdout(Stdio::piped()).spawn().unwrap();
    let waits = format!("-> FLOCK  ADVISORY  WRITE {} ", delivery.id());
    while !fs::read_to_string("/proc/locks").unwrap().contains(&waits) && delivery.try_wait().unwrap().is_none() {
        thread::yield_now();
    }
    let _ = Command::new("kill").args(["-ALRM", &delivery.id().to_string()]).stderr(Stdio::null()).status();
    assert!(String::from_utf8_lossy(&delivery.wait_with_output().unwrap().stdout).starts_with("r\0K"));
    drop(holder.stdin.take());
    holder.wait().unwrap();
    assert_eq!(fs::read(&path).unwrap(), rests);
    assert_eq!(server.finish().messages.len(), 1);
}

/// Where no file may grow so long (RLIMIT_FSIZE), the record stays as it is and the mail goes out.
#[test]
fn a_limit_on_files() {
    let server = Server::start(Rules { auth_required: false, ..Rules::default() });
    let home = Home::with_route(&format!("127.0.0.1:{}", server.port()));
    let known = [&[127, 0, 0, 1][..], &record(0, 1, unix() - 1000)[4..], &EMPTY[16..]].concat();
    let path = file_of(&home, &known);
    let delivery = home.command("a@example.net", &["b@example.org"]);
    let mut limited = Command::new("prlimit");
    limited.arg("--fsize=0").arg(delivery.get_program()).args(delivery.get_args());
    limited.env_clear().env("PATH", "/usr/bin:/bin").env("QMAILHOME", home.path());
    let output = limited.stdin(Stdio::null()).output().unwrap();
    assert!(output.stdout.starts_with(b"r\0K"), "{output:?}");
    assert_eq!(fs::read(&path).unwrap(), known);
    assert_eq!(server.finish().messages.len(), 1);
}

/// 500 deliveries at once, of one tcpto file and of one smtproutes of 10,000 lines: each takes its own route, the file holds
/// whole records of the addresses that timed out, each once, and no process is left.
#[test]
fn many_at_once() {
    if !inside(here!()) {
        return;
    }
    let open = || Rules { auth_required: false, ..Rules::default() };
    let servers = [("192.0.2.1", 2501), ("2001:db8::1", 2502)].map(|address| Server::start_on(address, open()));
    let home = Home::new();
    home.control("timeoutconnect", "1\n");
    home.control("timeoutremote", "300\n");
    let mut routes: Vec<String> = (0..9_990).map(|i| format!("host{i}.example:192.0.2.77:1\n")).collect();
    routes.insert(5_000, "one.example:192.0.2.1:2501\n".to_owned());
    routes.insert(8_000, ".two.example:[2001:db8::1]:2502\n".to_owned());
    (1..=8).for_each(|i| routes.push(format!("hole{i}.example:198.51.100.1{i}\n")));
    assert_eq!(routes.len(), 10_000);
    home.control("smtproutes", routes.concat());
    let path = file_of(&home, &EMPTY);

    let host = |i: usize| match i % 5 {
        0 | 1 => "one.example".to_owned(),
        2 | 3 => format!("a{i}.two.example"),
        _ => format!("hole{}.example", i / 5 % 8 + 1),
    };
    let start = |i: usize| {
        let mut command = Command::new(crate::support::program());
        command.env_clear().env("QMAILHOME", home.path()).args([&host(i), "a@example.net"]);
        command.arg(format!("user{i}@{}", host(i))).stdin(fs::File::open("/dev/null").unwrap());
        command.stdout(Stdio::piped()).spawn().unwrap()
    };
    let running: Vec<_> = (0..500).map(start).collect();
    for (i, child) in running.into_iter().enumerate() {
        let output = child.wait_with_output().unwrap();
        let said = String::from_utf8_lossy(&output.stdout).into_owned();
        assert_eq!(output.status.code(), Some(0), "{i}: {said}");
        match i % 5 {
            4 => assert!(
                said.starts_with("ZSorry, I wasn't able to establish")
                    && said.contains(&format!(": 198.51.100.1{}: ", i / 5 % 8 + 1)),
                "{i}: {said}"
            ),
            _ => assert!(said.starts_with("r\0K"), "{i}: {said}"),
        }
    }
    for (number, server) in servers.into_iter().enumerate() {
        let log = server.finish();
        assert_eq!(log.messages.len(), 200);
        let ours = if number == 0 { "@one.example" } else { ".two.example" };
        assert!(log.messages.iter().all(|message| message.recipients[0].ends_with(ours)));
    }
    let content = fs::read(&path).unwrap();
    assert_eq!(content.len(), 1024);
    let mut found: Vec<u8> = content.chunks(16).filter(|record| record[4] > 0).map(|record| record[3]).collect();
    found.sort_unstable();
    assert_eq!(found, [11, 12, 13, 14, 15, 16, 17, 18]);
    for record in content.chunks(16).filter(|record| record[4] > 0) {
        assert_eq!((&record[..3], &record[5..8], &record[12..]), (&[198, 51, 100][..], &[0; 3][..], &[0; 4][..]));
    }
    let ours = home.path().to_string_lossy().into_owned();
    let environments =
        fs::read_dir("/proc").unwrap().filter_map(|entry| fs::read(entry.ok()?.path().join("environ")).ok());
    let is_ours = |environment: &Vec<u8>| String::from_utf8_lossy(environment).contains(&ours);
    assert_eq!(environments.filter(is_ours).count(), 0, "processes are left");
}
