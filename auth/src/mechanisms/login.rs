//! LOGIN (draft-murchison-sasl-login): the user to the first prompt, the password to the second, whatever the prompts say.

use super::{Cancel, Exchange, Response};
use crate::login::PasswordLogin;
use crate::secret::Secret;
use alloc::boxed::Box;
use core::array::IntoIter;

/// The answers still to be given.
struct Login(IntoIter<Secret, 2>);

pub(super) fn start(login: &PasswordLogin) -> Box<dyn Exchange> {
    Box::new(Login([&login.user[..], &login.password].map(Secret::from).into_iter()))
}

impl Exchange for Login {
    fn respond(&mut self, _: &[u8]) -> Result<Response, Cancel> {
        self.0.next().map(Response::new).ok_or(Cancel::NoAnswer)
    }
}
