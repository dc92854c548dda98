//! TLS (RFC 8446, RFC 5246) as octets in and octets out. Only this directory uses the TLS library; a test checks that.
//!
//! There is no socket and no clock here: the SMTP session carries the octets, and the time for verifying certificates is an
//! argument. `session` is one TLS connection. `verifier` decides about the relay's certificate, with the CAs of `trust`.
//! `client_certificate` is the certificate that we show. `pem` reads PEM files, and `certificate` reads certificates. `library` and
//! `oid` have the words for what the TLS library says.
//! `session_view` and `pem_check` are for qmail-remote-check.

mod certificate;
mod client_certificate;
mod library;
mod oid;
mod pem;
pub mod pem_check;
pub mod primitives;
mod session;
pub mod session_view;
mod trust;
mod verifier;

use crate::cause::tls::TlsCause;
pub use certificate::date;
pub use session::Session;

/// Why there is no TLS, and what to do about it.
#[derive(Debug)]
pub enum Failure {
    /// Our own set-up is wrong: a file that is missing or cannot be used.
    SetUp(TlsCause),
    /// The relay caused it, or somebody on the way to it.
    Relay(TlsCause),
    /// The same, and what was received is not TLS at all.
    NotTls(TlsCause),
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::path::{Path, PathBuf};

    fn sources(directory: &Path) -> Vec<PathBuf> {
        let paths = fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().path());
        paths.flat_map(|path| if path.is_dir() { sources(&path) } else { vec![path] }).collect()
    }

    /// src/control must not depend on TLS either: what control files say about it is in src/policy.rs.
    #[test]
    fn only_this_directory_names_the_tls_library() {
        let src = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
        let mut here = 0;
        for path in sources(&src) {
            let source = fs::read_to_string(&path).unwrap();
            let is_here = path.starts_with(src.join("tls"));
            here += usize::from(is_here);
            assert!(is_here || !source.contains("rustls"), "{} names the TLS library", path.display());
            let is_control = path.starts_with(src.join("control"));
            assert!(!is_control || !source.contains("crate::tls"), "{} names src/tls", path.display());
        }
        assert!(here > 5);
    }
}
