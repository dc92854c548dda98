//! Which certificates of a PEM file are trust anchors (RFC 5280 section 6.1.1), and why others are not. The TLS library takes an
//! anchor as it is given, so what it says of itself, and its dates, are checked here.

use super::certificate::{Unfit, claims};
use super::pem;
use crate::cause::tls::{PemCause, Placeholder, TlsCause};
use crate::policy::{PemFile, Security};

/// What Debian's package ca-certificates makes.
const BUNDLE: &str = "/etc/ssl/certs/ca-certificates.crt";

/// The control file whose CAs are those of every relay that has none of its own.
const OF_ALL: &str = "control/tlscafile";

/// What a certificate counts as.
pub enum Standing {
    /// An anchor: what it has issued is trusted.
    Anchor,
    /// A server's own: trusted itself, and nothing that it has issued.
    Itself,
    /// It would be an anchor but for this.
    Unfit(Unfit),
}

/// A PEM file with CAs.
pub struct Trusted {
    /// Where it is, and who says so.
    pub file: PemFile,
    /// Debian's: whoever put a CA there put it before all programs of this machine, so it need not say that it is one.
    is_bundle: bool,
    /// A certificate that is not made for others would be trusted for every relay.
    is_for_all: bool,
}

impl Trusted {
    /// The one that counts for a relay.
    pub fn of(security: &Security) -> Trusted {
        let bundle = || PemFile { path: BUNDLE.into(), source: Placeholder::Bundle.to_string() };
        let file = security.cafile.clone().unwrap_or_else(bundle);
        Trusted { is_bundle: security.cafile.is_none(), is_for_all: file.source == OF_ALL, file }
    }

    /// Calls `take` for each certificate in which one of these parts may stand. What cannot be decoded is passed over. No certificate at
    /// all is an error.
    pub fn for_each(&self, parts: &[&[u8]], unix: u64, mut take: impl FnMut(&[u8], Standing)) -> Result<(), TlsCause> {
        let text = pem::read(&self.file).map_err(|why| self.no_cas(why))?;
        let mut is_empty = true;
        pem::for_each_with(parts, &text, |certificate| {
            is_empty = false;
            if let Some(certificate) = certificate {
                take(certificate, self.standing(certificate, unix));
            }
        });
        match is_empty {
            true => Err(self.no_cas(pem::wrong(&self.file, PemCause::NoCertificate))),
            false => Ok(()),
        }
    }

    /// A server's has names to be verified by, also where the tool that made it calls it a CA's, or says that it is none. CAs of old
    /// say nothing. One that cannot be understood, its dates perhaps, is trusted for nothing.
    fn standing(&self, der: &[u8], unix: u64) -> Standing {
        let Some(claims) = claims(der) else { return Standing::Itself };
        let (from, until) = claims.validity;
        match claims.is_ca {
            _ if !self.is_bundle && claims.has_names => Standing::Itself,
            None | Some(false) if self.is_for_all => Standing::Unfit(Unfit::NoCa),
            Some(false) if !self.is_bundle => Standing::Itself,
            _ if unix > until => Standing::Unfit(Unfit::Expired(until)),
            _ if unix < from => Standing::Unfit(Unfit::NotYetValid(from)),
            _ => Standing::Anchor,
        }
    }

    fn no_cas(&self, why: TlsCause) -> TlsCause {
        if self.is_bundle { TlsCause::NoCas { why: why.to_string() } } else { why }
    }

    /// A certificate that stands here is trusted itself. In the bundle it is a CA like others.
    pub fn can_pin(&self) -> bool {
        !self.is_bundle
    }
}
