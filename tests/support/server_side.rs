//! The server's side of a connection without a socket: octets in clear, or TLS around them.

use rustls::{Error, ServerConfig, ServerConnection};
use std::io::{Read, Write};
use std::sync::Arc;

#[derive(Default)]
pub struct ServerSide {
    pub tls: Option<ServerConnection>,
}

impl ServerSide {
    /// From here on all is TLS.
    pub fn start_tls(&mut self, config: Arc<ServerConfig>) {
        let mut tls = ServerConnection::new(config).unwrap();
        tls.set_buffer_limit(None); // or it takes no more than 64 KiB at once
        self.tls = Some(tls);
    }

    /// Puts what the client's octets say behind what was heard so far. What was said before an error is there, too.
    pub fn hear(&mut self, mut octets: &[u8], heard: &mut Vec<u8>) -> Result<(), Error> {
        let Some(tls) = &mut self.tls else {
            heard.extend_from_slice(octets);
            return Ok(());
        };
        while !octets.is_empty() && tls.read_tls(&mut octets).is_ok_and(|count| count > 0) {
            let state = tls.process_new_packets();
            let _ = tls.reader().read_to_end(heard); // it ends in WouldBlock
            state?;
        }
        Ok(())
    }

    /// What goes over the wire for this, and for what TLS itself has to say.
    pub fn say(&mut self, octets: &[u8]) -> Vec<u8> {
        let Some(tls) = &mut self.tls else { return octets.to_vec() };
        tls.writer().write_all(octets).unwrap();
        let mut wire = Vec::new();
        while tls.wants_write() {
            tls.write_tls(&mut wire).unwrap();
        }
        wire
    }
}
