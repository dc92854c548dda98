//! Measures the parts of a delivery inside one process: `cargo bench`. script/bench measures whole deliveries.

#[allow(dead_code)] // the tests use the rest
#[path = "../tests/support/certificate.rs"]
mod certificate;

use certificate::Authority;
use divan::counter::BytesCount;
use divan::{Bencher, black_box};
use qmail_auth::cram_md5;
use qmail_auth::reply::ReplyReader;
use qmail_remote::control::files::Control;
use qmail_remote::control::routes;
use qmail_remote::event::Log;
use qmail_remote::policy::{PemFile, Security, Verification};
use qmail_remote::smtp::data::{DotStuffer, Prescan};
use qmail_remote::smtp::ehlo::Capabilities;
use qmail_remote::tls::Session;
use rustls::{ServerConfig, ServerConnection};
use std::fs;
use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;
use std::time::SystemTime;

fn main() {
    divan::main();
}

#[divan::bench]
fn ehlo() -> bool {
    let reply = b"250-smtp.example.jp\r\n250-PIPELINING\r\n250-SIZE 52428800\r\n250-ETRN\r\n250-STARTTLS\r\n\
        250-AUTH CRAM-MD5 PLAIN LOGIN\r\n250-ENHANCEDSTATUSCODES\r\n250-8BITMIME\r\n250 SMTPUTF8\r\n";
    let whole = ReplyReader::default().read(&mut black_box(&reply[..])).unwrap().unwrap();
    Capabilities::read(&whole.text).starttls
}

/// control/smtproutes with so many lines, the last of which matches.
#[divan::bench(args = [1, 100, 10_000])]
fn route(bencher: Bencher, lines: usize) {
    let home = tempfile::tempdir().unwrap();
    let mut content: String = (1..lines).map(|n| format!("domain{n}.example:relay{n}.example:587\n")).collect();
    content += "example.org:relay.example:587 myuser secretpass\n";
    fs::create_dir(home.path().join("control")).unwrap();
    fs::write(home.path().join("control/smtproutes"), content).unwrap();
    let control = Control { home: home.path().into(), log: Log::default(), seen: None };
    bencher.bench_local(|| routes::find(&control, black_box(b"example.org")).unwrap().unwrap().port);
}

#[divan::bench]
fn login_by_cram_md5() -> usize {
    let challenge = b"PDE4OTYuNjk3MTcwOTUyQHBvc3RvZmZpY2UucmVzdG9uLm1jaS5uZXQ+"; // RFC 2195 section 2
    cram_md5(black_box(b"tim"), black_box(b"tanstaaftanstaaf"), challenge).unwrap().len()
}

/// How many octets of a message are read from its file at once.
const PIECE: usize = 128 * 1024;

/// The lengths of lines: a usual one, and the worst, a message of empty lines.
const LINES: [usize; 2] = [76, 0];

fn piece(line: usize) -> Vec<u8> {
    ("x".repeat(line) + "\n").into_bytes().into_iter().cycle().take(PIECE).collect()
}

#[divan::bench(args = LINES)]
fn message_dots(bencher: Bencher, line: usize) {
    let (piece, mut out) = (piece(line), Vec::with_capacity(2 * PIECE));
    bencher.counter(BytesCount::new(PIECE)).bench_local(|| {
        out.clear();
        DotStuffer::default().push(black_box(&piece), &mut out);
        out.len()
    });
}

#[divan::bench(args = LINES)]
fn message_prescan(bencher: Bencher, line: usize) {
    let piece = piece(line);
    bencher.counter(BytesCount::new(PIECE)).bench_local(|| {
        let mut prescan = Prescan::default();
        prescan.push(black_box(&piece));
        prescan.finish().size
    });
}

/// A plain copy of the same octets, as the lower limit.
#[divan::bench]
fn message_memcpy(bencher: Bencher) {
    let (piece, mut out) = (piece(76), Vec::with_capacity(2 * PIECE));
    bencher.counter(BytesCount::new(PIECE)).bench_local(|| {
        out.clear();
        out.extend_from_slice(black_box(&piece));
        out.len()
    });
}

/// A TLS 1.3 handshake, with the server's part: the certificate is not checked, is verified with a file of one CA, or with all of Debian's
/// CAs before that one. The reader of CAs is private, so the difference between the last two shows its cost.
#[divan::bench(args = ["unverified", "verified", "verified, Debian's CAs"])]
fn handshake(bencher: Bencher, kind: &str) {
    let ca = Authority::new("CA of the measurement");
    let identity = ca.issue(&["relay.example"]);
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = ServerConfig::builder_with_provider(provider).with_protocol_versions(rustls::ALL_VERSIONS).unwrap();
    let chain = vec![identity.der.clone()];
    let server = Arc::new(builder.with_no_client_auth().with_single_cert(chain, identity.key()).unwrap());

    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("cas.pem");
    let debian = if kind.ends_with("CAs") {
        fs::read_to_string("/etc/ssl/certs/ca-certificates.crt").expect("Debian's package ca-certificates")
    } else {
        String::new()
    };
    fs::write(&path, debian + &ca.pem).unwrap();
    let cafile = Some(PemFile { path, source: "control/tlscafile".into() });
    let security = Security { cafile, ..Security::default() };
    let verification = if kind == "unverified" { Verification::Off } else { Verification::Required };
    let unix = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap().as_secs();
    let peer = IpAddr::V4(Ipv4Addr::LOCALHOST);
    bencher.bench_local(|| {
        let mut session = Session::start(&security, verification, ("relay.example", peer), unix).unwrap();
        let mut server = ServerConnection::new(server.clone()).unwrap();
        let (mut out, mut back, mut plain) = (Vec::new(), Vec::new(), Vec::new());
        while session.is_handshaking() || server.is_handshaking() {
            session.take(&mut out);
            let mut sent = &out[..];
            while !sent.is_empty() {
                server.read_tls(&mut sent).unwrap();
                server.process_new_packets().unwrap();
            }
            out.clear();
            while server.wants_write() {
                server.write_tls(&mut back).unwrap();
            }
            session.receive(&back, &mut plain).unwrap();
            back.clear();
        }
        assert_eq!(session.is_verified(), verification == Verification::Required);
    });
}
