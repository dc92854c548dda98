//! The name server of the cases: dnsmasq with zone.conf, and behind it one of our own for what dnsmasq cannot say.

use std::net::{Ipv4Addr, TcpStream, UdpSocket};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

const ZONE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/compliance/zone.conf");

pub const A: u16 = 1;
const CNAME: u16 = 5;
pub const MX: u16 = 15;
const AAAA: u16 = 28;
const SERVFAIL: u8 = 2;

/// Stopped when dropped.
pub struct Names {
    dnsmasq: Child,
}

impl Names {
    pub fn start() -> Names {
        let behind = UdpSocket::bind("127.0.0.1:5300").unwrap();
        thread::spawn(move || answer(&behind));
        let mut command = Command::new("dnsmasq");
        // It is not to change its user or groups, which it may not where root is root of a user namespace.
        command.args(["--no-daemon", "--user=root"]).arg(format!("--conf-file={ZONE}"));
        command.stdin(Stdio::null()).stderr(Stdio::null());
        let mut dnsmasq = command.spawn().expect("dnsmasq, of the Debian package dnsmasq-base");
        let start = Instant::now();
        while TcpStream::connect("127.0.0.1:53").is_err() {
            assert!(dnsmasq.try_wait().unwrap().is_none() && start.elapsed() < Duration::from_secs(10), "no dnsmasq");
            thread::sleep(Duration::from_millis(5));
        }
        Names { dnsmasq }
    }
}

impl Drop for Names {
    fn drop(&mut self) {
        let _ = self.dnsmasq.kill();
        let _ = self.dnsmasq.wait();
    }
}

fn answer(socket: &UdpSocket) {
    let mut buffer = [0; 1024];
    while let Ok((length, peer)) = socket.recv_from(&mut buffer) {
        if let Some(reply) = reply(&buffer[..length]) {
            let _ = socket.send_to(&reply, peer);
        }
    }
}

/// The reply to a query (RFC 1035 section 4.1); for a name not known here, that it has nothing of the kind.
fn reply(query: &[u8]) -> Option<Vec<u8>> {
    let (name, kind, _) = question(query)?;
    let records: Vec<(u16, Vec<u8>)> = match (name.as_str(), kind) {
        ("silent.odd.example", _) => return None,
        ("null-mx.odd.example", MX) => vec![(MX, vec![0, 0, 0])],
        ("null-mx.odd.example", A) => vec![(A, Ipv4Addr::new(192, 0, 2, 7).octets().to_vec())],
        ("null-among-mx.odd.example", MX) => vec![mx(0, ""), mx(10, "b.example")],
        ("no-names-mx.odd.example", MX) => vec![mx(10, "a b.example"), mx(10, "a\\.b.example"), mx(20, "")],
        // A resolver gives the whole chain at once, as far as it exists.
        ("alias-of-mx.odd.example", MX) => vec![cname("target.odd.example"), mx(10, "a.example")],
        ("alias-of-host.odd.example", A) => {
            vec![cname("target.odd.example"), (A, Ipv4Addr::new(192, 0, 2, 8).octets().to_vec())]
        }
        ("alias-of-mx.odd.example" | "alias-of-host.odd.example", _) => vec![cname("target.odd.example")],
        // And the chain alone, where it leads to nothing.
        ("alias-of-nothing.odd.example", _) => vec![cname("nothing.odd.example")],
        ("alias-a-fails.odd.example", _) => vec![cname("another-target.odd.example")], // dnsmasq knows nothing of it yet
        ("alias-circle.odd.example", _) => vec![cname("alias-circle-2.odd.example"), cname("alias-circle.odd.example")],
        _ => vec![],
    };
    let fails = matches!(
        (name.as_str(), kind),
        ("servfail.odd.example", _)
            | ("a-fails.odd.example" | "alias-a-fails.odd.example", A)
            | ("aaaa-fails.odd.example", AAAA)
    );
    let code = if fails { SERVFAIL } else { 0 };
    let records = if fails { vec![] } else { records };
    response(query, code, records)
}

/// The reply with these records: the first is of the name asked about, those behind a CNAME of its target.
pub fn response(query: &[u8], code: u8, records: Vec<(u16, Vec<u8>)>) -> Option<Vec<u8>> {
    let (name, _, end) = question(query)?;
    let mut reply =
        [&query[..2], &[0x81, 0x80 | code, 0, 1, 0, u8::try_from(records.len()).ok()?, 0, 0, 0, 0]].concat();
    reply.extend_from_slice(&query[12..end]);
    let mut owner = wire_name(&name);
    for (kind, data) in records {
        reply.extend_from_slice(&owner);
        reply.extend(kind.to_be_bytes());
        reply.extend([0, 1, 0, 0, 0, 60]); // IN, a minute
        reply.extend(u16::try_from(data.len()).ok()?.to_be_bytes());
        reply.extend_from_slice(&data);
        if kind == CNAME {
            owner = data;
        }
    }
    Some(reply)
}

fn cname(target: &str) -> (u16, Vec<u8>) {
    (CNAME, wire_name(target))
}

pub fn mx(preference: u16, host: &str) -> (u16, Vec<u8>) {
    (MX, [&preference.to_be_bytes()[..], &wire_name(host)].concat())
}

fn wire_name(name: &str) -> Vec<u8> {
    let labels = name.split('.').filter(|label| !label.is_empty());
    let mut wire: Vec<u8> = labels.flat_map(|label| [&[label.len() as u8], label.as_bytes()].concat()).collect();
    wire.push(0);
    wire
}

/// The name asked about, in lower case, the type, and the place behind the question.
pub fn question(query: &[u8]) -> Option<(String, u16, usize)> {
    let (mut labels, mut place) = (Vec::new(), 12);
    loop {
        let length = usize::from(*query.get(place)?);
        place += 1;
        if length == 0 {
            let kind = u16::from_be_bytes(query.get(place..place + 2)?.try_into().ok()?);
            return Some((labels.join("."), kind, place + 4));
        }
        let label = query.get(place..place + length)?;
        labels.push(String::from_utf8_lossy(label).to_ascii_lowercase());
        place += length;
    }
}
