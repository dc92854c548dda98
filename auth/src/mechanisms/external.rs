//! EXTERNAL (RFC 4422 appendix A): the identity to ask for, or nothing, where the client certificate says the rest.

use super::{Cancel, Exchange, Response};
use crate::secret::Secret;

/// The identity, until a challenge was answered with it.
struct External(Option<Secret>);

pub(super) fn start(identity: Option<&[u8]>) -> Box<dyn Exchange> {
    Box::new(External(Some(Secret::from(identity.unwrap_or_default()))))
}

impl Exchange for External {
    fn initial_response(&self) -> Option<Response> {
        self.0.as_deref().map(|identity| Response::open(Secret::from(&identity[..])))
    }

    /// Where the server has ignored the initial response.
    fn respond(&mut self, _: &[u8]) -> Result<Response, Cancel> {
        self.0.take().map(Response::open).ok_or(Cancel::NoAnswer)
    }
}
