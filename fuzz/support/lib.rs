//! Shared by the fuzz targets: cutting an input into pieces, second readers to compare with, the forms of a secret.

pub mod ehlo;
pub mod memory;
pub mod peer;
pub mod replies;
pub mod secrets;
#[path = "../../tests/support/server_side.rs"]
pub mod server_side;

/// The pieces of an input, divided by 0xff.
pub fn pieces(input: &[u8]) -> impl Iterator<Item = &[u8]> {
    input.split(|c| *c == 0xff)
}

/// Turns pieces into the octets of a server. Two octets stand for many, so that a short input can reach the limits: 0xfe for 8 KiB,
/// 0xfd for 64 lines. Only the first twelve of them count, so that no input grows to megabytes.
pub struct Server {
    left: usize,
}

impl Default for Server {
    fn default() -> Server {
        Server { left: 12 }
    }
}

impl Server {
    pub fn octets(&mut self, piece: &[u8]) -> Vec<u8> {
        let mut octets = Vec::with_capacity(piece.len());
        for &octet in piece {
            match octet {
                0xfd | 0xfe if self.left > 0 => {
                    self.left -= 1;
                    octets.extend(if octet == 0xfd { b"250-x\r\n".repeat(64) } else { vec![b'x'; 8192] });
                }
                octet => octets.push(octet),
            }
        }
        octets
    }
}
