//! What the fuzz targets share: how an input is cut, readers to compare with, what a secret looks like.

pub mod ehlo;
pub mod memory;
pub mod peer;
pub mod replies;
pub mod secrets;

/// The pieces of an input: 0xff begins the next.
pub fn pieces(input: &[u8]) -> impl Iterator<Item = &[u8]> {
    input.split(|c| *c == 0xff)
}

/// A piece of what a server says. Some octets stand for much, so that a short input reaches the limits: 0xfe for 8 KiB,
/// 0xfd for 64 lines.
pub fn server_octets(piece: &[u8]) -> Vec<u8> {
    let mut octets = Vec::with_capacity(piece.len());
    for &octet in piece {
        match octet {
            0xfe => octets.resize(octets.len() + 8192, b'x'),
            0xfd => octets.extend(b"250-x\r\n".repeat(64)),
            octet => octets.push(octet),
        }
    }
    octets
}
