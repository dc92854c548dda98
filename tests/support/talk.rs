//! A delivery without a network, step by step, and a relay that the test plays, in clear or over TLS.

use super::Home;
use super::certificate::{Authority, Identity};
use super::server::Tls;
use super::server_side::ServerSide;
use qmail_remote::control::home::Surroundings;
use qmail_remote::delivery::Delivery;
use qmail_remote::want::{Address, Happened, Want};
use rustls::version::{TLS12, TLS13};
use rustls::{ServerConfig, ServerConnection};
use std::io::ErrorKind;
use std::sync::Arc;
use std::time::SystemTime;

/// A delivery in this home to the domain, from a@example.net to this recipient.
pub fn delivery(home: &Home, domain: &str, recipients: &[&str]) -> Delivery {
    let surroundings = Surroundings { qmailhome: Some(home.path()), ..Default::default() };
    let arguments = [&[domain, "a@example.net"], recipients].concat();
    Delivery::new(&arguments.iter().map(|argument| argument.as_bytes()).collect::<Vec<_>>(), &surroundings)
}

/// Gives a delivery the addresses of a host.
pub fn resolved(delivery: &mut Delivery, ips: &[&str]) {
    let addresses = ips.iter().map(|ip| Address { ip: ip.parse().unwrap(), scope: 0 });
    delivery.happened(Happened::Resolved(addresses.collect()));
}

/// Gives a delivery the addresses of its relay, and no queue/lock/tcpto.
pub fn resolve(delivery: &mut Delivery, ips: &[&str]) {
    resolved(delivery, ips);
    assert!(delivery.tcpto(b"", 0).is_none());
}

/// What it has to send, as it is on the wire.
pub fn outgoing(delivery: &mut Delivery, now: u64) -> Vec<u8> {
    let Want::Io(octets, _) = delivery.want(now) else { panic!("{:?}", delivery.want(now)) };
    octets.to_vec()
}

/// The kernel takes all of that.
pub fn sent(delivery: &mut Delivery, now: u64) -> Vec<u8> {
    let octets = outgoing(delivery, now);
    delivery.happened(Happened::Sent(now, octets.len()));
    octets
}

/// It closes the connection, and says this for the last time.
pub fn closed(delivery: &mut Delivery, now: u64) -> Vec<u8> {
    let Want::Close(octets) = delivery.want(now) else { panic!("{:?}", delivery.want(now)) };
    let octets = octets.to_vec();
    delivery.happened(Happened::Disconnected(now));
    octets
}

pub fn report(delivery: &mut Delivery) -> String {
    let Want::Done(report) = delivery.want(0) else { panic!("{:?}", delivery.want(0)) };
    String::from_utf8_lossy(report).into_owned()
}

pub fn deadline(delivery: &mut Delivery, now: u64) -> u64 {
    let Want::Io(_, deadline) = delivery.want(now) else { panic!("{:?}", delivery.want(now)) };
    deadline
}

/// A delivery, and the relay that the test plays.
pub struct Talk {
    pub delivery: Delivery,
    config: Arc<ServerConfig>,
    side: ServerSide,
    pub now: u64,
    _home: Home,
}

impl Talk {
    /// Connected to the first of two addresses. `login` as in a route line; by a certificate that verifies.
    pub fn new(port: u16, login: &str) -> Talk {
        let ca = Authority::new("My CA");
        Talk::with(port, login, &ca.pem, &ca.issue(&["relay.example"]), &[&TLS12, &TLS13])
    }

    /// The same for a mail to so many recipients.
    pub fn with_recipients(port: u16, recipients: usize) -> Talk {
        let ca = Authority::new("My CA");
        let identity = ca.issue(&["relay.example"]);
        let recipients: Vec<String> = (1..=recipients).map(|n| format!("recipient{n}@example.org")).collect();
        Talk::start((port, ""), &ca.pem, &identity, &[&TLS12, &TLS13], &recipients)
    }

    pub fn with(
        port: u16,
        login: &str,
        cas: &str,
        identity: &Identity,
        versions: &[&'static rustls::SupportedProtocolVersion],
    ) -> Talk {
        Talk::start((port, login), cas, identity, versions, &["b@example.org".to_owned()])
    }

    fn start(
        (port, login): (u16, &str),
        cas: &str,
        identity: &Identity,
        versions: &[&'static rustls::SupportedProtocolVersion],
        recipients: &[String],
    ) -> Talk {
        let home = Home::with_route(&format!("relay.example:{port} {login}"));
        home.control("tlscafile", "control/ca.pem");
        home.control("ca.pem", cas);
        let mut delivery = delivery(&home, "example.org", &recipients.iter().map(String::as_str).collect::<Vec<_>>());
        resolve(&mut delivery, &["192.0.2.1", "192.0.2.2"]);
        let config = config(versions, identity);
        let mut talk = Talk { delivery, config, side: ServerSide::default(), now: 0, _home: home };
        talk.connect();
        talk
    }

    /// From the next connection on the relay shows this certificate.
    pub fn shows(&mut self, identity: &Identity) {
        self.config = config(&[&TLS12, &TLS13], identity);
    }

    pub fn connect(&mut self) {
        assert!(matches!(self.delivery.want(self.now), Want::Connect(..)));
        self.side = ServerSide::default();
        self.delivery
            .happened(Happened::Connected { now: self.now, unix: SystemTime::UNIX_EPOCH.elapsed().unwrap().as_secs() });
    }

    /// There is no connection to the address that is wanted now.
    pub fn not_connected(&mut self) {
        assert!(matches!(self.delivery.want(self.now), Want::Connect(..)), "{:?}", self.delivery.want(self.now));
        self.delivery.happened(Happened::NotConnected(&ErrorKind::ConnectionRefused.into()));
    }

    /// Takes all that the client has to send. Answers what it said, in clear or decrypted.
    pub fn client(&mut self) -> String {
        self.client_sends(usize::MAX)
    }

    /// The same where the kernel takes no more than so many octets.
    pub fn client_sends(&mut self, most: usize) -> String {
        let octets = self.outgoing();
        let octets = octets[..octets.len().min(most)].to_vec();
        if !octets.is_empty() {
            self.delivery.happened(Happened::Sent(self.now, octets.len()));
        }
        let mut said = Vec::new();
        self.side.hear(&octets, &mut said).unwrap();
        String::from_utf8(said).unwrap()
    }

    /// What the client has to send, as it is on the wire.
    pub fn outgoing(&mut self) -> Vec<u8> {
        outgoing(&mut self.delivery, self.now)
    }

    /// The octets of the relay on the wire for this, and for what its TLS has to say.
    pub fn wire(&mut self, text: &str) -> Vec<u8> {
        self.side.say(text.as_bytes())
    }

    /// TLS of the relay, once it has begun.
    pub fn tls(&mut self) -> &mut ServerConnection {
        self.side.tls.as_mut().unwrap()
    }

    /// The relay says this.
    pub fn relay(&mut self, text: &str) {
        let octets = self.wire(text);
        self.delivery.happened(Happened::Received(self.now, &octets));
    }

    /// Up to the `220` to STARTTLS. The client then says its ClientHello.
    pub fn starttls(&mut self) {
        self.relay("220 hi\r\n");
        assert_eq!(self.client(), "EHLO client.example.net\r\n");
        self.relay("250-a\r\n250-PIPELINING\r\n250-AUTH PLAIN\r\n250 STARTTLS\r\n");
        assert_eq!(self.client(), "STARTTLS\r\n");
        self.relay("220 go\r\n");
        self.begin_tls();
    }

    pub fn begin_tls(&mut self) {
        self.side.start_tls(self.config.clone());
    }

    /// The handshake, up to the EHLO behind it.
    pub fn handshake(&mut self) {
        let mut said = String::new();
        while said.is_empty() {
            said = self.client();
            self.relay("");
        }
        assert_eq!(said, "EHLO client.example.net\r\n");
    }

    /// The connection is closed by the client, which says this for the last time on the wire.
    pub fn closed(&mut self) -> Vec<u8> {
        closed(&mut self.delivery, self.now)
    }

    pub fn report(&mut self) -> String {
        report(&mut self.delivery)
    }

    pub fn deadline(&mut self) -> u64 {
        deadline(&mut self.delivery, self.now)
    }
}

fn config(versions: &[&'static rustls::SupportedProtocolVersion], identity: &Identity) -> Arc<ServerConfig> {
    let Tls::Handshake(config) = Tls::with(versions, None, vec![identity.der.clone()], identity.key()) else {
        panic!()
    };
    config
}
