//! Which certificates of a PEM file are trust anchors (RFC 5280 section 6.1.1), and why others are not. The TLS library does not
//! check an anchor, so its dates, and whether it belongs to a CA, are checked here.

use super::certificate::{Unfit, claims};
use super::pem;
use crate::cause::tls::{PemCause, Placeholder, TlsCause};
use crate::policy::{PemFile, Security};

/// The bundle that Debian's package ca-certificates makes.
const BUNDLE: &str = "/etc/ssl/certs/ca-certificates.crt";

/// The control file with the CAs for every relay that has no `cafile` of its own.
const FOR_ALL: &str = "control/tlscafile";

/// What a certificate in the file is trusted for.
pub enum Standing {
    /// It is an anchor: certificates that it has issued are trusted.
    Anchor,
    /// It belongs to a server: only this certificate itself is trusted. If it has issued others, this is why they are not. None: it
    /// cannot be parsed.
    Itself(Option<Unfit>),
    /// It would be an anchor, except for this.
    Unfit(Unfit),
}

/// A PEM file with CAs.
pub struct Trusted {
    /// The file, and the control file with its path.
    pub file: PemFile,
    /// It is Debian's bundle. All programs of this machine trust the certificates in it, so they need not say that they belong to
    /// CAs.
    is_bundle: bool,
    /// It is control/tlscafile. A certificate in it that has no names and does not say that it belongs to a CA is refused: it would
    /// be trusted for every relay.
    is_for_all: bool,
}

impl Trusted {
    /// The file that counts for a relay: its `cafile`, else control/tlscafile, else Debian's bundle.
    pub fn of(security: &Security) -> Trusted {
        let bundle = || PemFile { path: BUNDLE.into(), source: Placeholder::Bundle.to_string() };
        let file = security.cafile.clone().unwrap_or_else(bundle);
        Trusted { is_bundle: security.cafile.is_none(), is_for_all: file.source == FOR_ALL, file }
    }

    /// Calls `take` for each certificate that may contain one of these parts. Those that cannot be decoded are skipped. Fails if
    /// the file cannot be read or has no certificate.
    pub fn for_each(&self, parts: &[&[u8]], unix: u64, mut take: impl FnMut(&[u8], Standing)) -> Result<(), TlsCause> {
        let text = pem::read(&self.file, false).map_err(|why| self.no_cas(why))?;
        let mut is_empty = true;
        pem::for_each_with(parts, &text, |certificate| {
            is_empty = false;
            if let Some(certificate) = certificate {
                take(certificate, self.standing(certificate, unix));
            }
        });
        if is_empty {
            return Err(self.no_cas(pem::wrong(&self.file, PemCause::NoCertificate)));
        }
        Ok(())
    }

    /// What a certificate is trusted for. One with names is a server's, whatever it says about being a CA: some tools mark every
    /// certificate as one. Old CAs do not say that they are CAs. One that cannot be parsed cannot be an anchor.
    fn standing(&self, der: &[u8], unix: u64) -> Standing {
        let Some(claims) = claims(der) else { return Standing::Itself(None) };
        let (from, until) = claims.validity;
        match claims.is_ca {
            _ if !self.is_bundle && claims.has_names => Standing::Itself(Some(Unfit::HasNames)),
            None if self.is_for_all => Standing::Unfit(Unfit::NoCa),
            Some(false) if self.is_for_all => Standing::Unfit(Unfit::SaysNoCa),
            Some(false) if !self.is_bundle => Standing::Itself(Some(Unfit::SaysNoCa)),
            _ if unix > until => Standing::Unfit(Unfit::Expired(until)),
            _ if unix < from => Standing::Unfit(Unfit::NotYetValid(from)),
            _ => Standing::Anchor,
        }
    }

    fn no_cas(&self, why: TlsCause) -> TlsCause {
        if self.is_bundle { TlsCause::NoCas { why: why.to_string() } } else { why }
    }

    /// Whether a certificate in this file is trusted itself. One in the bundle is not: it is only an anchor.
    pub fn can_pin(&self) -> bool {
        !self.is_bundle
    }
}
