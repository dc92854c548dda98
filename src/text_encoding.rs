//! Text files that an editor saved in another encoding, or with a byte order mark (RFC 3629 section 6). Neither can be seen in the
//! editor.

use crate::cause::FileError;
use qmail_auth::secret::Secret;

/// The byte order mark of UTF-8. If it is not removed, it becomes part of the first word.
pub const MARK: &[u8] = b"\xef\xbb\xbf";

/// Removes the mark. Fails for UTF-16, which has other marks, or a NUL beside each ASCII character. A file that a power cut has
/// filled with NULs fails, too.
pub fn skip_mark(text: &mut Secret) -> Result<(), FileError> {
    match text[..] {
        [0xff, 0xfe, ..] | [0xfe, 0xff, ..] | [0, ..] | [_, 0, ..] => Err(FileError::NotPlainText),
        _ => {
            while text.cut_prefix(MARK) {}
            Ok(())
        }
    }
}
