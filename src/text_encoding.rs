//! What editors put before a text, or make of all of it, beside what one sees (RFC 3629 section 6).

use crate::cause::FileError;
use qmail_auth::secret::Secret;

/// The byte order mark of UTF-8. It says nothing, and would be a part of the first word.
pub const MARK: &[u8] = b"\xef\xbb\xbf";

/// Cuts off that mark. An error for UTF-16, which has another mark or a NUL beside each ASCII character, and for what a power cut has
/// filled with NULs.
pub fn skip_mark(text: &mut Secret) -> Result<(), FileError> {
    match text[..] {
        [0xff, 0xfe, ..] | [0xfe, 0xff, ..] | [0, ..] | [_, 0, ..] => Err(FileError::NotPlainText),
        _ => {
            while text.cut_prefix(MARK) {}
            Ok(())
        }
    }
}
