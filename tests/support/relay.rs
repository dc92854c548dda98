//! A real mail server as the relay: started in a chroot of its own, asked for its mail and its log, stopped at the end.

use super::certificate::{Authority, Identity};
use super::chroot;
use std::fs;
use std::io::Read;
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::path::Path;
use std::process::Child;
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread::sleep;
use std::time::{Duration, Instant};

pub const USER: &str = "myuser";
/// With a blank, non-ASCII octets, and signs that mean something to shells and to the servers' own files.
pub const PASSWORD: &str = "secret pässwörd {$1}%";

/// Header fields that a server puts before the message.
const ADDED: [&str; 4] = ["Return-Path: ", "X-Original-To: ", "Delivered-To: ", "Received: "];

/// What the daemons say before they have a log.
const OUTPUT: &str = "var/log/output";

/// Far beyond what any of it takes, so only a test that is about to fail gets near it.
const PATIENCE: Duration = Duration::from_secs(60);

pub struct Relay {
    pub port: u16,
    /// The mechanisms of the logins that sent mail, read out of the server's log.
    logins: fn(&str) -> Vec<String>,
    log: &'static str,
    /// How many of these logins [`Relay::assert_logins`] has seen already.
    asserted: usize,
    child: Child,
    root: tempfile::TempDir,
}

impl Relay {
    /// Starts the server that the script runs, and waits until it answers.
    pub fn start(
        root: tempfile::TempDir,
        port: u16,
        script: &str,
        log: &'static str,
        logins: fn(&str) -> Vec<String>,
    ) -> Relay {
        // It looks no name up, by its configuration. If it did, it would ask a port of this machine where nobody is.
        write(root.path(), "etc/resolv.conf", "nameserver 127.0.0.1\n");
        let output = fs::File::create(root.path().join(OUTPUT)).unwrap();
        let child = chroot::daemons(root.path(), script).stderr(output).spawn().unwrap();
        // Before anything can panic, so that a panic stops the server.
        let mut relay = Relay { port, logins, log, asserted: 0, child, root };
        relay.wait_for("a greeting", |relay| {
            assert!(relay.child.try_wait().unwrap().is_none(), "the server ended at once:\n{}", relay.words());
            let mut stream = TcpStream::connect(("127.0.0.1", port)).ok()?;
            stream.set_read_timeout(Some(PATIENCE)).unwrap();
            let mut code = [0; 3];
            stream.read_exact(&mut code).ok()?;
            (&code == b"220").then_some(())
        });
        relay
    }

    /// Takes the next mail out of a recipient's mailbox, as soon as there is one.
    pub fn take(&mut self, recipient: &str) -> Vec<u8> {
        let new = self.root.path().join("var/mail").join(recipient).join("new");
        self.wait_for("mail", |_| {
            let path = fs::read_dir(&new).ok()?.next()?.unwrap().path();
            let mail = fs::read(&path).unwrap();
            fs::remove_file(&path).unwrap();
            Some(mail)
        })
    }

    /// Takes the recipient's next mail and compares it with the message that was sent, byte for byte, once the header
    /// fields are off which the server put before it.
    pub fn assert_took(&mut self, recipient: &str, sender: &str, message: &[u8]) {
        let mail = self.take(recipient);
        let Some(added) = mail.strip_suffix(message) else {
            let same = mail.iter().rev().zip(message.iter().rev()).take_while(|(a, b)| a == b).count();
            let part = &mail[..mail.len() - same];
            let part = String::from_utf8_lossy(&part[part.len().saturating_sub(600)..]);
            panic!("{recipient}: of {} octets only the last {same} came through; before them: {part:?}", message.len());
        };
        let added = std::str::from_utf8(added).unwrap();
        let known = |line: &str| line.starts_with('\t') || ADDED.iter().any(|field| line.starts_with(field));
        assert!(added.ends_with('\n') && added.lines().all(known), "{recipient}: not the server's: {added:?}");
        assert!(added.contains(&format!("<{sender}>")), "another envelope sender: {added:?}");
    }

    /// Asserts that these mechanisms, in this order, and no others were the logins for the mail since the last call.
    pub fn assert_logins(&mut self, expected: &[&str]) {
        // The log is written by another process than the one that answered us, so it may be late.
        self.wait_for("a login in the log", |relay| {
            let logins = (relay.logins)(&relay.log()).split_off(relay.asserted);
            let begun = expected.get(..logins.len()).is_some_and(|begin| logins == begin);
            assert!(begun, "{logins:?}, not {expected:?}");
            (logins.len() == expected.len()).then_some(())
        });
        self.asserted += expected.len();
    }

    /// All that the server said, for the one who reads why a test failed.
    fn words(&self) -> String {
        self.read(OUTPUT) + &self.log()
    }

    pub fn root(&self) -> &Path {
        self.root.path()
    }

    /// What its log has by now.
    pub fn log(&self) -> String {
        self.read(self.log)
    }

    fn read(&self, file: &str) -> String {
        let content = fs::read(self.root.path().join(file)).unwrap_or_default();
        String::from_utf8_lossy(&content).into_owned()
    }

    pub fn wait_for<T>(&mut self, what: &str, mut look: impl FnMut(&mut Relay) -> Option<T>) -> T {
        let end = Instant::now() + PATIENCE;
        loop {
            if let Some(found) = look(self) {
                return found;
            }
            assert!(Instant::now() < end, "waited for {what} in vain; the server said:\n{}", self.words());
            sleep(Duration::from_millis(20));
        }
    }
}

impl Drop for Relay {
    fn drop(&mut self) {
        let _ = self.child.kill(); // and with it the namespace that the daemons are in
        let _ = self.child.wait();
        chroot::stop_all(self.root.path()); // so that no file is written while they are removed
    }
}

/// An address of the relay with TLS, by STARTTLS on port 587 and at once on port 465. Port 465 means that to a client by
/// its number, so another one would not do, and each of these has an address of its own.
pub struct Endpoint {
    pub address: Ipv4Addr,
    /// The best version that it speaks; if that is TLSv1.2, the only one.
    pub version: &'static str,
    /// The kind of its key.
    pub key: &'static str,
    pub ca: Authority,
    identity: Identity,
}

impl Endpoint {
    /// One for each version and each kind of key.
    pub fn all() -> Vec<Endpoint> {
        let kinds = [("TLSv1.3", "ECDSA"), ("TLSv1.3", "RSA"), ("TLSv1.2", "ECDSA"), ("TLSv1.2", "RSA")];
        kinds.map(|(version, key)| Endpoint::new(version, key)).into()
    }

    pub fn new(version: &'static str, key: &'static str) -> Endpoint {
        let address = free_address();
        let ca = Authority::new("CA of the relay");
        let names = [&address.to_string()[..]];
        let identity = if key == "RSA" { ca.issue_rsa(&names) } else { ca.issue(&names) };
        Endpoint { address, version, key, ca, identity }
    }

    /// Puts its key and its certificate, in this order as Postfix wants it, into `DIRECTORY/ADDRESS.pem` of the chroot.
    pub fn write_pem(&self, root: &Path, directory: &str) {
        let pem = self.identity.key_pem.clone() + &self.identity.pem;
        write(root, &format!("{directory}/{}.pem", self.address), &pem);
    }
}

/// Puts a file into the chroot. The old one goes first: where it is a link, that would lead out of the chroot.
pub fn write(root: &Path, name: &str, content: &str) {
    let path = root.join(name);
    let _ = fs::remove_file(&path);
    fs::write(path, content).unwrap();
}

/// A port of the loopback that nobody listens on. It is below those that the kernel gives to outgoing connections, so
/// none of them can take it before the server does.
pub fn free_port() -> u16 {
    let free = |port: &u16| TcpListener::bind(("127.0.0.1", *port)).is_ok();
    places(20_000).map(|place| 10_000 + place as u16).find(free).expect("no free port")
}

/// A loopback address, not of 127.0.0.0/16, where nobody listens on the ports of mail over TLS.
fn free_address() -> Ipv4Addr {
    let free = |address: &Ipv4Addr| [465, 587].iter().all(|port| TcpListener::bind((*address, *port)).is_ok());
    places(0xfe_0000).map(|place| Ipv4Addr::from(0x7f01_0000 + place)).find(free).expect("no free address")
}

/// All numbers below this one. Runs at the same time begin at different places, and go on where the last call ended.
fn places(end: u32) -> impl Iterator<Item = u32> {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let start = std::process::id().wrapping_mul(64);
    std::iter::repeat_with(move || start.wrapping_add(NEXT.fetch_add(1, Ordering::Relaxed)) % end).take(end as usize)
}
