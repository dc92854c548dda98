//! EXTERNAL (RFC 4422 appendix A): sends the authorization identity, which may be empty. The credential is the client certificate
//! of TLS.

use super::Exchange;
use super::plain::Once;
use crate::secret::Secret;
use alloc::boxed::Box;

pub(super) fn start(identity: Option<&[u8]>) -> Box<dyn Exchange> {
    Once::boxed(Secret::from(identity.unwrap_or_default()))
}
