//! A login by an access token: what counts as a refusal of the token, and a new one in its place.

use super::{Client, Login, LoginKind, Try};
use crate::mechanisms::decoded;
use crate::secret::Secret;

impl Client {
    /// The relay has refused the token, and the limits leave one more try: with another one.
    pub fn wants_new_token(&self) -> bool {
        let is_refused = self.tries.last().is_some_and(|last| last.token_refused && !last.replaced);
        is_refused && self.tries.len() < self.tries_allowed && self.past.failures == 0
    }

    /// Puts this token in the place of the one before, before [`Client::begin`]. It may be tried, whatever became of that. Both are masked
    /// from now on.
    pub fn set_token(&mut self, token: &[u8]) {
        let Login::Token(login) = &mut self.login else { return };
        self.mask.add_token(token);
        login.token = Secret::from(token);
        self.tries.iter_mut().for_each(|t| t.replaced = true);
    }

    /// There is a new token, and it was not tried.
    pub fn has_untried_token(&self) -> bool {
        self.tries.last().is_some_and(|last| last.replaced)
    }

    /// Notes whether a reply refuses the token that was sent. 501 5.5.127 is Exchange's for one that ends soon.
    pub(super) fn note_refusal_of_token(&mut self, code: u16, text: &[u8]) {
        let ends_soon = code == 501 && text.trim_ascii_start().starts_with(b"5.5.127");
        if let Some(last) = self.tries.last_mut().filter(|last| last.end.is_none()) {
            let is_shown = last.mechanism.kind() == Some(LoginKind::Token) && last.showed_password();
            last.token_refused = is_shown && (code == 535 || ends_soon);
        }
    }
}

impl Try {
    /// Keeps a challenge that says why the relay refuses the token (RFC 7628 section 3.2.2).
    pub(super) fn note_what_is_said(&mut self, challenge: &[u8]) {
        if self.mechanism.kind() == Some(LoginKind::Token) {
            let said = decoded(challenge).filter(|said| said.first() == Some(&b'{'));
            self.said = said.or(self.said.take());
        }
    }
}
