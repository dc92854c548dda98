//! EXTERNAL (RFC 4422 appendix A): sends the authorization identity, which may be empty. The credential is the client certificate
//! of TLS.

use super::{Cancel, Exchange, Response};
use crate::secret::Secret;
use alloc::boxed::Box;

/// The identity; None once it has answered a challenge.
struct External(Option<Secret>);

pub(super) fn start(identity: Option<&[u8]>) -> Box<dyn Exchange> {
    Box::new(External(Some(Secret::from(identity.unwrap_or_default()))))
}

impl Exchange for External {
    fn initial_response(&self) -> Option<Response> {
        self.0.as_deref().map(|identity| Response::new(Secret::from(&identity[..])))
    }

    /// Needed where the server has ignored the initial response.
    fn respond(&mut self, _: &[u8]) -> Result<Response, Cancel> {
        self.0.take().map(Response::new).ok_or(Cancel::NoAnswer)
    }
}
