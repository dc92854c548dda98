//! What is possible: connections that are kept, on which a message and the next one's envelope are one flight. No program does this;
//! it is what remains when nothing is paid twice.

use super::cost::{PASSWORD, USER};
use base64::{Engine, prelude::BASE64_STANDARD};
use rustix::net::sockopt::set_tcp_quickack;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};
use std::fs;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

const ENVELOPE: &[u8] = b"MAIL FROM:<sender@example.net>\r\nRCPT TO:<recipient1@example.org>\r\nDATA\r\n";

/// So many copies of a message over so many connections.
pub fn send(address: SocketAddr, cas: &Path, message: &Path, count: usize, connections: usize) {
    let mut roots = RootCertStore::empty();
    CertificateDer::pem_file_iter(cas).unwrap().for_each(|ca| roots.add(ca.unwrap()).unwrap());
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
    let config = Arc::new(builder.with_root_certificates(roots).with_no_client_auth());
    let lines = fs::read_to_string(message).unwrap().replace("\n.", "\n..").replace('\n', "\r\n");
    let message = lines.into_bytes();
    let next = AtomicUsize::new(0);
    thread::scope(|scope| {
        for _ in 0..connections {
            scope.spawn(|| {
                let more = || next.fetch_add(1, Ordering::Relaxed) < count;
                connection(address, config.clone(), &message, more).unwrap();
            });
        }
    });
}

/// As long as there is more.
fn connection(
    address: SocketAddr,
    config: Arc<ClientConfig>,
    message: &[u8],
    more: impl Fn() -> bool,
) -> io::Result<()> {
    let stream = TcpStream::connect(address)?;
    stream.set_nodelay(true)?;
    let mut clear = BufReader::new(Prompt(stream));
    reply(&mut clear, "220")?;
    for (command, code) in [("EHLO client.example.net\r\n", "250"), ("STARTTLS\r\n", "220")] {
        clear.get_mut().write_all(command.as_bytes())?;
        reply(&mut clear, code)?;
    }
    let tls = ClientConnection::new(config, ServerName::from(address.ip())).unwrap();
    let mut stream = BufReader::new(StreamOwned::new(tls, clear.into_inner()));
    let login = BASE64_STANDARD.encode(format!("\0{USER}\0{PASSWORD}"));
    for (command, code) in [("EHLO client.example.net\r\n", "250"), (&format!("AUTH PLAIN {login}\r\n"), "235")] {
        stream.get_mut().write_all(command.as_bytes())?;
        reply(&mut stream, code)?;
    }
    if !more() {
        return Ok(());
    }
    stream.get_mut().write_all(ENVELOPE)?;
    loop {
        ["250", "250", "354"].into_iter().try_for_each(|code| reply(&mut stream, code))?;
        let again = more();
        let next = if again { ENVELOPE } else { b"QUIT\r\n" };
        stream.get_mut().write_all(&[message, b".\r\n", next].concat())?;
        reply(&mut stream, "250")?;
        if !again {
            return reply(&mut stream, "221");
        }
    }
}

/// Reads a reply with this code.
fn reply(stream: &mut impl BufRead, code: &str) -> io::Result<()> {
    loop {
        let mut line = String::new();
        stream.read_line(&mut line)?;
        if !line.starts_with(code) {
            return Err(io::Error::other(format!("not {code}: {line:?}")));
        }
        if line.as_bytes().get(3) != Some(&b'-') {
            return Ok(());
        }
    }
}

/// A connection on which the kernel acknowledges at once, so that no relay waits for that.
struct Prompt(TcpStream);

impl Read for Prompt {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.0.read(buffer)?;
        set_tcp_quickack(&self.0, true)?;
        Ok(count)
    }
}

impl Write for Prompt {
    fn write(&mut self, octets: &[u8]) -> io::Result<usize> {
        self.0.write(octets)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.flush()
    }
}
