//! The server's side of TLS, and of what goes wrong in its place.

use std::io::{self, BufRead, Read, Write};
use std::net::TcpStream;
use std::sync::Arc;

use super::super::certificate::Identity;
use super::Manner;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::danger::ClientCertVerifier;
use rustls::sign::{CertifiedKey, SingleCertAndKey};
use rustls::{ServerConfig, ServerConnection, StreamOwned, SupportedProtocolVersion};

/// What becomes of STARTTLS, or of a connection that is TLS from its first octet.
#[derive(Clone)]
pub enum Tls {
    /// A handshake.
    Handshake(Arc<ServerConfig>),
    /// A handshake; then each octet comes in a record of its own.
    OctetByOctet(Arc<ServerConfig>),
    /// These octets once the client has begun its handshake; then the end of our side.
    Raw(Vec<u8>),
    /// These octets once the client has taken the `220`, whether it has begun or not.
    RawAtOnce(Vec<u8>),
}

impl Tls {
    /// With this certificate alone.
    pub fn of(identity: &Identity) -> Tls {
        Tls::new(vec![identity.der.clone()], identity.key())
    }

    pub fn new(chain: Vec<CertificateDer<'static>>, key: PrivateKeyDer<'static>) -> Tls {
        Tls::with(rustls::ALL_VERSIONS, None, chain, key)
    }

    /// Shows a certificate with a key that need not be its own.
    pub fn unchecked(
        versions: &[&'static SupportedProtocolVersion],
        certificate: CertificateDer<'static>,
        key: PrivateKeyDer<'static>,
    ) -> Tls {
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let key = provider.key_provider.load_private_key(key).unwrap();
        let resolver = SingleCertAndKey::from(CertifiedKey::new(vec![certificate], key));
        let builder = ServerConfig::builder_with_provider(provider).with_protocol_versions(versions).unwrap();
        Tls::Handshake(Arc::new(builder.with_no_client_auth().with_cert_resolver(Arc::new(resolver))))
    }

    /// With these versions only, and with a client certificate if there is a verifier for it.
    pub fn with(
        versions: &[&'static SupportedProtocolVersion],
        clients: Option<Arc<dyn ClientCertVerifier>>,
        chain: Vec<CertificateDer<'static>>,
        key: PrivateKeyDer<'static>,
    ) -> Tls {
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let builder = ServerConfig::builder_with_provider(provider).with_protocol_versions(versions).unwrap();
        let builder = match clients {
            Some(verifier) => builder.with_client_cert_verifier(verifier),
            None => builder.with_no_client_auth(),
        };
        Tls::Handshake(Arc::new(builder.with_single_cert(chain, key).unwrap()))
    }
}

/// The octets of a connection, in clear or over TLS.
pub(super) enum Wire<'a> {
    Clear(&'a TcpStream),
    Tls(Box<StreamOwned<ServerConnection, &'a TcpStream>>, bool, Manner),
}

impl<'a> Wire<'a> {
    pub fn start_tls(
        stream: &'a TcpStream,
        config: Arc<ServerConfig>,
        octet_by_octet: bool,
        manner: Manner,
    ) -> Wire<'a> {
        let connection = ServerConnection::new(config).unwrap();
        Wire::Tls(Box::new(StreamOwned::new(connection, stream)), octet_by_octet, manner)
    }

    /// `TLSv1_3`, once there is one.
    pub fn version(&self) -> Option<String> {
        match self {
            Wire::Clear(_) => None,
            Wire::Tls(tls, ..) => Some(format!("{:?}", tls.conn.protocol_version()?)),
        }
    }

    /// What a login over TLS 1.3 can be bound to (RFC 9266).
    pub fn binding(&self) -> Option<[u8; 32]> {
        match self {
            Wire::Clear(_) => None,
            Wire::Tls(tls, ..) => tls.conn.export_keying_material([0; 32], b"EXPORTER-Channel-Binding", Some(b"")).ok(),
        }
    }

    /// The name that the client asked for.
    pub fn server_name(&self) -> Option<String> {
        match self {
            Wire::Clear(_) => None,
            Wire::Tls(tls, ..) => tls.conn.server_name().map(str::to_owned),
        }
    }

    /// The client showed a certificate.
    pub fn knows_client(&self) -> bool {
        matches!(self, Wire::Tls(tls, ..) if tls.conn.peer_certificates().is_some())
    }
}

impl Read for Wire<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self {
            Wire::Clear(stream) => stream.read(buffer),
            Wire::Tls(tls, _, Manner::Prompt) => tls.read(buffer),
            Wire::Tls(tls, _, Manner::Relay) => {
                let record = tls.fill_buf()?;
                let count = record.len().min(buffer.len());
                buffer[..count].copy_from_slice(&record[..count]);
                tls.consume(count);
                Ok(count)
            }
        }
    }
}

impl Write for Wire<'_> {
    fn write(&mut self, octets: &[u8]) -> io::Result<usize> {
        match self {
            Wire::Clear(stream) => stream.write(octets),
            Wire::Tls(tls, false, _) => tls.write(octets),
            Wire::Tls(tls, true, _) => {
                let count = tls.write(&octets[..octets.len().min(1)])?;
                tls.flush()?;
                Ok(count)
            }
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match self {
            Wire::Clear(stream) => stream.flush(),
            Wire::Tls(tls, ..) => tls.flush(),
        }
    }
}
