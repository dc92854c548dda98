//! LOGIN (draft-murchison-sasl-login): the user to the first prompt, the password to the second, whatever the prompts say.

use crate::base64_secret;
use crate::secret::Secret;

/// The base64 to send for LOGIN: of the user to the first `334`, of the password to the second.
pub fn login(user_or_password: &[u8]) -> Secret {
    base64_secret(user_or_password)
}
