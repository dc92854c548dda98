//! One TLS connection, as its client: received octets go in, and octets to send come out.

use super::client_certificate::ClientCertificate;
use super::verifier::Verifier;
use super::{Failure, library};
use crate::cause::tls::{CertificateCause, TlsCause};
use crate::policy::{Security, Verification};
use rustls::client::Resumption;
use rustls::crypto::ring;
use rustls::pki_types::{ServerName, UnixTime};
use rustls::time_provider::TimeProvider;
use rustls::{CipherSuite, ClientConfig, ClientConnection, Error, ProtocolVersion};
use std::io::{Read, Write};
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

/// One TLS connection. It holds no socket: the caller moves the octets.
pub struct Session {
    connection: ClientConnection,
    verifier: Arc<Verifier>,
    client: Option<Arc<ClientCertificate>>,
    /// The relay has sent its close_notify.
    closed: bool,
}

impl Session {
    /// Starts a connection to the relay of this name and address. `unix` is the time for verifying certificates. Fails only with
    /// [`Failure::SetUp`].
    pub fn start(
        security: &Security,
        verification: Verification,
        (name, peer): (&str, IpAddr),
        unix: u64,
    ) -> Result<Session, Failure> {
        let mut provider = ring::default_provider();
        // First the suite that every server must have (RFC 8446 section 9.1): it needs the least computing.
        provider.cipher_suites.sort_by_key(|suite| suite.suite() != CipherSuite::TLS13_AES_128_GCM_SHA256);
        let provider = Arc::new(provider);
        let verifier = Arc::new(Verifier::new(security, verification, &provider));
        let name = ServerName::try_from(name.strip_suffix('.').unwrap_or(name).to_owned())
            .or_else(|error| if verification == Verification::Off { Ok(peer.into()) } else { Err(error) })
            .map_err(|_| Failure::SetUp(TlsCause::NoSuchName { name: name.to_owned() }))?;
        let client = ClientCertificate::read(security, &provider).map_err(Failure::SetUp)?.map(Arc::new);
        let clock = Arc::new(GivenTime(UnixTime::since_unix_epoch(Duration::from_secs(unix))));
        let builder = ClientConfig::builder_with_details(provider, clock)
            .with_safe_default_protocol_versions() // 1.3 and 1.2
            .map_err(|error| set_up(&error))?
            .dangerous() // rustls names it so, since our own verifier decides
            .with_custom_certificate_verifier(verifier.clone());
        let mut config = match client.clone() {
            None => builder.with_no_client_auth(),
            Some(client) => builder.with_client_cert_resolver(client),
        };
        config.resumption = Resumption::disabled(); // each message has its own process, so there is nothing to resume
        let mut connection = ClientConnection::new(Arc::new(config), name).map_err(|error| set_up(&error))?;
        connection.set_buffer_limit(None); // the channel asks for more of the message only when little is pending
        Ok(Session { connection, verifier, client, closed: false })
    }

    /// Decrypts octets from the relay and appends to `plain`. On an error `plain` has what was decrypted before it.
    pub fn receive(&mut self, mut octets: &[u8], plain: &mut Vec<u8>) -> Result<(), Failure> {
        while !octets.is_empty() && !self.closed {
            let taken = self.connection.read_tls(&mut octets);
            let state = self.connection.process_new_packets();
            let _ = self.connection.reader().read_to_end(plain); // ends with WouldBlock, or when the relay has closed
            self.closed = state.map_err(|error| self.failure(&error))?.peer_has_closed();
            // The relay sends more than the library keeps. The error has no name of its own.
            taken.map_err(|_| Failure::Relay(TlsCause::NotUnderstood { name: "BufferFull".to_owned() }))?;
        }
        Ok(())
    }

    /// Encrypts `plain`; [`Session::take`] returns the octets to send. Must not be called after a failure.
    pub fn send(&mut self, plain: &[u8]) {
        let _ = self.connection.writer().write_all(plain); // the buffer has no limit, so this cannot fail
    }

    /// Announces the end (close_notify): nothing more will be sent.
    pub fn send_close(&mut self) {
        self.connection.send_close_notify();
    }

    /// Appends the octets to send to `out`.
    pub fn take(&mut self, out: &mut Vec<u8>) {
        while self.connection.wants_write() {
            self.connection.write_tls(out).expect("a vector takes all");
        }
    }

    /// Whether the handshake is still going on.
    pub fn is_handshaking(&self) -> bool {
        self.connection.is_handshaking()
    }

    /// Whether the relay has announced that it sends nothing more.
    pub fn is_closed(&self) -> bool {
        self.closed
    }

    /// `TLSv1.3` or `TLSv1.2`.
    pub fn version(&self) -> &'static str {
        match self.connection.protocol_version() {
            Some(ProtocolVersion::TLSv1_3) => "TLSv1.3",
            _ => "TLSv1.2", // no other version is enabled
        }
    }

    /// Whether a login can be bound to this connection. With TLS 1.2 no binding is left that is unique (RFC 9266), and a server that
    /// knows none for it may break down over one.
    pub fn can_bind(&self) -> bool {
        self.connection.protocol_version() == Some(ProtocolVersion::TLSv1_3)
    }

    /// The channel binding tls-exporter (RFC 9266 section 2). None: the handshake is not over.
    pub fn binding(&self) -> Option<[u8; 32]> {
        self.connection.export_keying_material([0; 32], b"EXPORTER-Channel-Binding", Some(b"")).ok()
    }

    /// Whether the relay's certificate was verified.
    pub fn is_verified(&self) -> bool {
        matches!(self.verifier.result.get(), Some(Ok(())))
    }

    /// Whether the client certificate was shown, that is, the relay has asked for it.
    pub fn showed_certificate(&self) -> bool {
        self.client.as_ref().is_some_and(|client| client.is_shown())
    }

    /// Why the relay's certificate does not verify. None: it does, or was not verified.
    pub fn certificate_error(&self) -> Option<&CertificateCause> {
        match self.verifier.result.get() {
            Some(Err(Failure::Relay(TlsCause::Certificate { why }))) => Some(why),
            _ => None,
        }
    }

    /// The cipher suite, `TLS_AES_128_GCM_SHA256`. None before it is agreed on.
    pub fn cipher(&self) -> Option<String> {
        let suite = self.connection.negotiated_cipher_suite()?.suite();
        Some(format!("{suite:?}").replace("TLS13_", "TLS_")) // the name in the IANA registry
    }

    /// The relay's certificate in DER, verified or not.
    pub fn certificate(&self) -> Option<&[u8]> {
        let accepted = self.connection.peer_certificates().and_then(<[_]>::first);
        accepted.or_else(|| self.verifier.rejected.get()).map(AsRef::as_ref)
    }

    /// The PEM file with the CAs, and the control file with its path.
    pub fn trusted(&self) -> String {
        self.verifier.trusted.file.to_string()
    }

    /// The cause of a failed connection. If the CAs could not be read, or the certificate had to verify and did not, that is the
    /// cause, whatever the library's error is.
    fn failure(&self, error: &Error) -> Failure {
        match self.verifier.result.get() {
            Some(Err(Failure::SetUp(why))) => return Failure::SetUp(why.clone()),
            Some(Err(Failure::Relay(why))) if self.verifier.verification == Verification::Required => {
                return Failure::Relay(why.clone());
            }
            _ => {}
        }
        if let Some(why) = self.verifier.no_proof.get() {
            return Failure::Relay(why.clone());
        }
        library::failure(error)
    }
}

fn set_up(error: &Error) -> Failure {
    Failure::SetUp(TlsCause::Library { name: library::name(error) })
}

/// A clock that stands still: nothing here reads the system's.
#[derive(Debug)]
struct GivenTime(UnixTime);

impl TimeProvider for GivenTime {
    fn current_time(&self) -> Option<UnixTime> {
        Some(self.0)
    }
}
