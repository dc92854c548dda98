//! Envelope addresses on the wire (RFC 5321 section 4.1.2): quoted where needed, and never able to speak SMTP.

use crate::cause::AddressError;

/// The text to stand between `<` and `>`. The host part begins at the last `@`; the local part is quoted where its
/// characters need it, as stock qmail-remote does. The empty address and `#@[]` pass.
pub fn path(address: &[u8]) -> Result<Vec<u8>, AddressError> {
    if address.iter().any(u8::is_ascii_control) {
        return Err(AddressError::Control); // CR and LF would begin a command of their own
    }
    if std::str::from_utf8(address).is_err() {
        return Err(AddressError::NotUtf8); // and what else it is nobody knows (RFC 6531 section 3.3)
    }
    if address.is_empty() {
        return Ok(Vec::new());
    }
    let at = address.iter().rposition(|c| *c == b'@').unwrap_or(address.len());
    let (local, host) = address.split_at(at);
    if host.iter().any(|c| b" <>".contains(c)) {
        return Err(AddressError::Host); // it would end the path
    }
    let mut path = Vec::with_capacity(address.len() + 2);
    if needs_quotes(local) {
        path.push(b'"');
        for &c in local {
            if b"\"\\".contains(&c) {
                path.push(b'\\');
            }
            path.push(c);
        }
        path.push(b'"');
    } else {
        path.extend_from_slice(local);
    }
    path.extend_from_slice(host);
    Ok(path)
}

/// A local part that is no dot-atom (RFC 5321 section 4.1.2). Octets of 128 and over count as such, as in stock.
fn needs_quotes(local: &[u8]) -> bool {
    let atom = |c: &u8| c.is_ascii_alphanumeric() || b"!#$%&'*+-/=?^_`{|}~".contains(c);
    !local.split(|c| *c == b'.').all(|word| !word.is_empty() && word.iter().all(atom))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths() {
        for (address, expected) in [
            (&b""[..], &b""[..]),
            (b"#@[]", b"#@[]"),
            (b"user@example.org", b"user@example.org"),
            (b"first.last+tag@example.org", b"first.last+tag@example.org"),
            (b"postmaster", b"postmaster"),
            (b"a b@example.org", b"\"a b\"@example.org"),
            (b"a\"\\@example.org", b"\"a\\\"\\\\\"@example.org"),
            (b".a@example.org", b"\".a\"@example.org"),
            (b"a..b@example.org", b"\"a..b\"@example.org"),
            (b"a@b@example.org", b"\"a@b\"@example.org"),
            (b"x> SIZE=1@example.org", b"\"x> SIZE=1\"@example.org"),
            (b"@example.org", b"\"\"@example.org"),
            ("\u{fc}@example.org".as_bytes(), "\"\u{fc}\"@example.org".as_bytes()),
            ("a@\u{fc}.example".as_bytes(), "a@\u{fc}.example".as_bytes()),
        ] {
            assert_eq!(path(address).as_deref(), Ok(expected), "{address:?}");
        }
    }

    #[test]
    fn addresses_that_would_speak() {
        for address in [&b"a\r\nRSET@example.org"[..], b"a@example.org\nDATA", b"\0@x", b"a\tb@x", b"a\x7f@x"] {
            assert_eq!(path(address), Err(AddressError::Control), "{address:?}");
        }
        assert_eq!(path(b"\xfc@example.org"), Err(AddressError::NotUtf8));
        for address in [&b"a@example.org> SIZE=1"[..], b"a@b c", b"a@<b"] {
            assert_eq!(path(address), Err(AddressError::Host), "{address:?}");
        }
    }
}
