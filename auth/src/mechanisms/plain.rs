//! PLAIN (RFC 4616): NUL, user, NUL, password. The authorization identity before the first NUL stays empty: some servers refuse
//! one.

use super::{Cancel, Exchange, Response};
use crate::login::PasswordLogin;
use crate::secret::Secret;
use alloc::boxed::Box;

pub(super) fn start(login: &PasswordLogin) -> Box<dyn Exchange> {
    Once::boxed(message(&login.user, &login.password))
}

/// An exchange of one message, of EXTERNAL, too; None once it has answered a challenge.
pub(super) struct Once(Option<Secret>);

impl Once {
    pub(super) fn boxed(message: Secret) -> Box<dyn Exchange> {
        Box::new(Once(Some(message)))
    }
}

impl Exchange for Once {
    fn initial_response(&self) -> Option<Response> {
        self.0.as_deref().map(|message| Response::new(Secret::from(&message[..])))
    }

    /// Needed where the command went without the initial response, or where the server has ignored it.
    fn respond(&mut self, _: &[u8]) -> Result<Response, Cancel> {
        self.0.take().map(Response::new).ok_or(Cancel::NoAnswer)
    }
}

/// The message of PLAIN (RFC 4616 section 2), before base64.
pub(crate) fn message(user: &[u8], password: &[u8]) -> Secret {
    let mut message = Secret::with_room(user.len() + password.len() + 2);
    [b"\0", user, b"\0", password].into_iter().for_each(|part| message.add(part));
    message
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base64_secret;

    #[test]
    fn rfc_4616_example() {
        let base64 = base64_secret(&message(b"tim", b"tanstaaftanstaaf"));
        assert_eq!(*base64, b"AHRpbQB0YW5zdGFhZnRhbnN0YWFm"); // RFC 4616 section 4
    }
}
