//! SCRAM over connections: in clear, over TLS, bound to it; and somebody in the middle with a TLS of his own on each side.

use crate::support::Home;
use crate::support::certificate::Authority;
use crate::support::check::{command, run};
use crate::support::login::assert_no_secret;
use crate::support::server::scram::NAMES;
use crate::support::server::{Log, Rules, Server, Tls};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::version::{TLS12, TLS13};
use rustls::{ClientConfig, ClientConnection, RootCertStore, ServerConfig, ServerConnection, StreamOwned};
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

const MESSAGE: &[u8] = b"Subject: scram\n\nhello\n";

/// Without PIPELINING, so that who is in the middle has no more than a line to pass on.
const ALL: &str =
    "AUTH PLAIN LOGIN CRAM-MD5 SCRAM-SHA-1 SCRAM-SHA-256 SCRAM-SHA-512 SCRAM-SHA-1-PLUS SCRAM-SHA-256-PLUS";

/// A relay with a certificate of a CA that only somebody in the middle trusts.
struct Relay {
    ca: Authority,
    tls: Tls,
}

impl Relay {
    fn new() -> Relay {
        let ca = Authority::new("My CA");
        let tls = Tls::of(&ca.issue(&["127.0.0.1"]));
        Relay { ca, tls }
    }

    fn server(&self, offered: &str) -> Server {
        Server::start(Rules { tls: Some(self.tls.clone()), ..Rules::offering(&[offered]) })
    }
}

/// A home that does not know the CA.
fn home(port: u16, policy: &str, mechanisms: &str) -> Home {
    let home = Home::with_route(&format!("127.0.0.1:{port} myuser secretpass"));
    let other = Authority::new("Other CA");
    home.control("tlscafile", "control/ca.pem");
    home.control("ca.pem", &other.pem);
    home.control("relays/127.0.0.1/tls", policy);
    if !mechanisms.is_empty() {
        home.control("relays/127.0.0.1/mechanisms", mechanisms);
    }
    home
}

fn ends_well(verdict: &str, tls: &str, mechanism: &str) -> bool {
    verdict.ends_with(&format!("\ntls={tls} cert=unverified auth={mechanism} user=myuser\n"))
}

#[test]
fn each_mechanism() {
    let relay = Relay::new();
    for mechanism in NAMES {
        for (policy, tls) in [("encrypt", "TLSv1.3"), ("none", "none")] {
            let server = relay.server(ALL);
            let delivered =
                home(server.port(), policy, mechanism).deliver("s@example.net", &["r@example.org"], MESSAGE);
            let log = server.finish();
            if mechanism.ends_with("-PLUS") && policy == "none" {
                assert!(delivered.verdict().contains("a mechanism with -PLUS needs TLS 1.3"), "{delivered:?}");
                assert!(!log.saw("AUTH") && !log.saw("MAIL"), "{:?}", log.commands());
                continue;
            }
            assert_eq!(delivered.letters(), "rK", "{mechanism}: {delivered:?}");
            assert!(ends_well(&delivered.verdict(), tls, mechanism), "{mechanism}: {delivered:?}");
            assert_eq!(log.logins(), [format!("{mechanism} myuser")]);
        }
    }
}

/// Where the password must not be shown the best one is taken, and over TLS 1.2 nothing is bound.
#[test]
fn by_version() {
    let ca = Authority::new("My CA");
    let identity = ca.issue(&["127.0.0.1"]);
    for (version, name, mechanism) in [(&TLS13, "TLSv1.3", "SCRAM-SHA-256-PLUS"), (&TLS12, "TLSv1.2", "SCRAM-SHA-256")]
    {
        let tls = Tls::with(&[version], None, vec![identity.der.clone()], identity.key());
        let relay = Relay { ca: Authority::new("unused"), tls };
        let server = relay.server(ALL);
        let delivered = home(server.port(), "may", "").deliver("s@example.net", &["r@example.org"], MESSAGE);
        assert!(ends_well(&delivered.verdict(), name, mechanism), "{name}: {delivered:?}");
        assert_eq!(server.finish().logins(), [format!("{mechanism} myuser")]);
    }
    // In clear, where there is no TLS at all.
    let server = Server::start(Rules::offering(&[ALL]));
    let delivered = home(server.port(), "may", "").deliver("s@example.net", &["r@example.org"], MESSAGE);
    assert!(ends_well(&delivered.verdict(), "none", "SCRAM-SHA-256"), "{delivered:?}");
    server.finish();
}

#[test]
fn the_check_says_what_is_bound() {
    let relay = Relay::new();
    let server = relay.server(ALL);
    let checked = run(command(&home(server.port(), "may", ""), &["example.org"]));
    server.finish();
    let text = checked.stdout;
    for line in [
        "to try: SCRAM-SHA-256-PLUS, SCRAM-SHA-1-PLUS, SCRAM-SHA-256, SCRAM-SHA-512, SCRAM-SHA-1, CRAM-MD5; not: PLAIN (it shows",
        "done by SCRAM-SHA-256-PLUS, bound to the TLS connection (tls-exporter), 4096 rounds\n",
    ] {
        assert!(text.contains(line), "{line}: {text}");
    }
    let server = relay.server(ALL);
    let checked = run(command(&home(server.port(), "none", ""), &["example.org"]));
    server.finish();
    let text = checked.stdout;
    for line in ["SCRAM-SHA-256-PLUS (it needs TLS 1.3)", "done by SCRAM-SHA-256, 4096 rounds\n"] {
        assert!(text.contains(line), "{line}: {text}");
    }
    let server = relay.server(ALL);
    let checked = run(command(&home(server.port(), "encrypt", ""), &["example.org"]));
    server.finish();
    let text = checked.stdout;
    for line in ["SCRAM-SHA-256-PLUS (it is used where the password must not be shown", "done by PLAIN\n"] {
        assert!(text.contains(line), "{line}: {text}");
    }
}

/// What is between two ends of TLS, line by line.
struct Middle {
    address: SocketAddr,
    is_over: Arc<AtomicBool>,
    thread: thread::JoinHandle<Vec<String>>,
}

impl Middle {
    /// Passes all on to this server, over as many connections as there may be.
    fn before(server: &Server, relay: &Relay) -> Middle {
        let identity = Authority::new("His CA").issue(&["127.0.0.1"]);
        let config = ServerConfig::builder().with_no_client_auth();
        let config = Arc::new(config.with_single_cert(vec![identity.der.clone()], identity.key()).unwrap());
        let mut roots = RootCertStore::empty();
        roots.add(CertificateDer::from_pem_slice(relay.ca.pem.as_bytes()).unwrap()).unwrap();
        let to_server = Arc::new(ClientConfig::builder().with_root_certificates(roots).with_no_client_auth());
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let (address, server) = (listener.local_addr().unwrap(), server.address());
        let is_over = Arc::new(AtomicBool::new(false));
        let called_off = is_over.clone();
        let thread = thread::spawn(move || {
            let mut seen = Vec::new();
            loop {
                let (client, _) = listener.accept().unwrap();
                if called_off.load(Ordering::SeqCst) {
                    return seen;
                }
                let _over = pass(&client, &TcpStream::connect(server).unwrap(), &config, &to_server, &mut seen);
            }
        });
        Middle { address, is_over, thread }
    }

    /// All that the client has said.
    fn seen(self) -> Vec<String> {
        self.is_over.store(true, Ordering::SeqCst);
        drop(TcpStream::connect(self.address).unwrap()); // ends his wait for another
        self.thread.join().unwrap()
    }
}

trait Stream: Read + Write {}
impl<T: Read + Write> Stream for T {}

/// Passes one connection on, from the greeting to its end. None: it is over.
fn pass(
    client: &TcpStream,
    server: &TcpStream,
    config: &Arc<ServerConfig>,
    to_server: &Arc<ClientConfig>,
    seen: &mut Vec<String>,
) -> Option<()> {
    let mut ends: [BufReader<Box<dyn Stream>>; 2] =
        [client, server].map(|end| BufReader::new(Box::new(end.try_clone().unwrap()) as Box<dyn Stream>));
    reply(&mut ends)?;
    loop {
        let command = line(&mut ends[0])?;
        ends[1].get_mut().write_all(command.as_bytes()).ok()?;
        seen.push(command.trim_end().to_owned());
        let code = reply(&mut ends)?;
        if command == "STARTTLS\r\n" {
            let name = ServerName::try_from("127.0.0.1").unwrap();
            let here = ServerConnection::new(config.clone()).unwrap();
            let there = ClientConnection::new(to_server.clone(), name).unwrap();
            ends = [
                BufReader::new(Box::new(StreamOwned::new(here, client.try_clone().unwrap()))),
                BufReader::new(Box::new(StreamOwned::new(there, server.try_clone().unwrap()))),
            ];
        }
        if code.starts_with("354") {
            while line(&mut ends[0]).inspect(|line| ends[1].get_mut().write_all(line.as_bytes()).unwrap())? != ".\r\n" {
            }
            reply(&mut ends)?;
        }
    }
}

fn line(from: &mut impl BufRead) -> Option<String> {
    let mut line = String::new();
    from.read_line(&mut line).ok().filter(|octets| *octets > 0)?;
    Some(line)
}

/// Passes a reply to the client.
fn reply([client, server]: &mut [BufReader<Box<dyn Stream>>; 2]) -> Option<String> {
    loop {
        let line = line(server)?;
        client.get_mut().write_all(line.as_bytes()).ok()?;
        client.get_mut().flush().ok()?;
        if line.as_bytes().get(3) == Some(&b' ') {
            return Some(line);
        }
    }
}

/// What a delivery through somebody in the middle says, and what he and the relay have seen.
fn through(policy: &str, mechanisms: &str) -> (String, Vec<String>, Log) {
    let relay = Relay::new();
    let server = relay.server(ALL);
    let middle = Middle::before(&server, &relay);
    let home = home(middle.address.port(), policy, mechanisms);
    let delivered = home.deliver("s@example.net", &["r@example.org"], MESSAGE);
    let seen = middle.seen();
    let log = server.finish();
    assert_eq!(log.connections[0].tls.as_deref(), Some("TLSv1_3"), "he is in the middle");
    let tried: Vec<String> =
        seen.iter().filter_map(|line| line.strip_prefix("AUTH ")?.split(' ').next()).map(str::to_owned).collect();
    seen.iter().for_each(|line| assert_no_secret("in the middle", line));
    (delivered.verdict(), tried, log)
}

#[test]
fn somebody_in_the_middle() {
    // Without a binding all can be passed on: this is what -PLUS is for.
    let (verdict, tried, _) = through("encrypt", "SCRAM-SHA-256");
    assert!(ends_well(&verdict, "TLSv1.3", "SCRAM-SHA-256"), "{verdict}");
    assert_eq!(tried, ["SCRAM-SHA-256"]);
    // Alone, it is -PLUS or nothing.
    for mechanism in ["SCRAM-SHA-256-PLUS", "SCRAM-SHA-1-PLUS"] {
        let (verdict, tried, log) = through("encrypt", mechanism);
        assert!(
            verdict.starts_with('Z') && verdict.contains(&format!("tried {mechanism} (535); check user and")),
            "{verdict}"
        );
        assert!(tried == [mechanism] && !log.saw("MAIL") && log.logins().is_empty(), "{:?}", log.commands());
    }
    // What shows the password is named behind it, and is not tried.
    let (verdict, tried, log) = through("encrypt", "SCRAM-SHA-256-PLUS PLAIN LOGIN");
    assert!(verdict.contains("the password must not be shown, as this may be another relay"), "{verdict}");
    assert!(tried == ["SCRAM-SHA-256-PLUS"] && !log.saw("MAIL"), "{:?}", log.commands());
    // Where the mail may go out in clear, too, it does so by what he can pass on; the password is not shown.
    let (verdict, tried, _) = through("may", "");
    assert!(ends_well(&verdict, "TLSv1.3", "SCRAM-SHA-256"), "{verdict}");
    assert_eq!(tried, ["SCRAM-SHA-256-PLUS", "SCRAM-SHA-256"]);
}
