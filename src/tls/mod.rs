//! TLS (RFC 8446, RFC 5246) as octets in and octets out. Only this directory names the TLS library; a test holds that.
//!
//! No socket and no clock: the SMTP session carries the octets, and the time to verify a certificate by is given. `session` is one
//! TLS connection; `verifier` decides about the relay's certificate, by the CAs of `trust`; `client_certificate` is our own. `pem`
//! reads the files, and `certificate` what a certificate says. `session_view` and `pem_check` are for qmail-remote-check.

mod certificate;
mod client_certificate;
mod pem;
pub mod pem_check;
mod session;
pub mod session_view;
mod trust;
mod verifier;

use crate::cause::tls::TlsCause;
pub use session::Session;

/// Why there is no TLS, in words with what to do about it.
#[derive(Debug)]
pub enum Failure {
    /// Something of ours: a file that is missing or not what it should be.
    SetUp(TlsCause),
    /// The relay's doing, or that of someone on the way.
    Relay(TlsCause),
    /// The same: octets that are no TLS at all.
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

    /// Control files are read without TLS, and what they say of it is in `policy`.
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
