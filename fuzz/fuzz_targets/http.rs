//! Any octets of a provider's server give a reply or an error, the same however they are divided, and never a body that is too long.
#![no_main]

use qmail_remote::oauth::http::{Reader, Reply};

/// What is read of these pieces and the end of the connection.
fn read<'a>(pieces: impl Iterator<Item = &'a [u8]>) -> Result<(u16, Vec<u8>), String> {
    let mut reader = Reader::default();
    for piece in pieces {
        if reader.add(piece).map_err(|why| why.to_string())? {
            let Reply { code, body } = reader.into_reply();
            return Ok((code, body.to_vec()));
        }
    }
    reader.closed().map_err(|why| why.to_string())?;
    let Reply { code, body } = reader.into_reply();
    Ok((code, body.to_vec()))
}

libfuzzer_sys::fuzz_target!(|octets: &[u8]| {
    let whole = read(std::iter::once(octets));
    assert_eq!(read(octets.chunks(1)), whole);
    if let Ok((code, body)) = whole {
        assert!((200..600).contains(&code) && body.len() <= 64 * 1024 && body.len() <= octets.len());
    }
});
