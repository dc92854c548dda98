//! Octets that are cleared from memory when they are dropped: passwords, and what is made of them.
//!
//! All clearing is here, so that one switch can turn it off: a debug build keeps secrets where the environment has
//! [`KEEP`], which is how a test knows that it would find one.

use std::ops::Deref;
use zeroize::Zeroize;

/// The environment variable that makes a debug build keep its secrets. A release build does not look at it.
pub const KEEP: &str = "QMAIL_REMOTE_AUTH_TEST_KEEPS_SECRETS";

/// Octets that are cleared when dropped. A move of it copies none of them, and where it grows it clears what it leaves behind.
#[derive(Default)]
pub struct Secret(Vec<u8>);

impl Secret {
    /// An empty one, with room for this many octets.
    pub fn with_room(octets: usize) -> Secret {
        Secret(Vec::with_capacity(octets))
    }

    /// Adds these at its end.
    pub fn add(&mut self, octets: &[u8]) {
        let length = self.0.len() + octets.len();
        if length > self.0.capacity() {
            let mut larger = Vec::with_capacity(length.max(2 * self.0.len()));
            larger.extend_from_slice(&self.0);
            clear(&mut self.0);
            self.0 = larger;
        }
        self.0.extend_from_slice(octets);
    }

    /// The octets, which whoever has them now may clear, or not if they are no secret.
    pub fn into_octets(mut self) -> Vec<u8> {
        std::mem::take(&mut self.0)
    }

    /// Cuts these off if they are its beginning. Says whether they were.
    pub fn cut_prefix(&mut self, prefix: &[u8]) -> bool {
        let begins = self.0.starts_with(prefix);
        if begins {
            self.0.drain(..prefix.len()); // what moves leaves its copy in the spare room, which is cleared too
        }
        begins
    }
}

impl From<Vec<u8>> for Secret {
    fn from(octets: Vec<u8>) -> Secret {
        Secret(octets)
    }
}

impl From<&[u8]> for Secret {
    fn from(octets: &[u8]) -> Secret {
        Secret(octets.to_vec())
    }
}

impl Deref for Secret {
    type Target = Vec<u8>;

    fn deref(&self) -> &Vec<u8> {
        &self.0
    }
}

impl Drop for Secret {
    fn drop(&mut self) {
        clear(&mut self.0);
    }
}

/// Overwrites the octets, the buffer's spare room included, and leaves it empty.
pub fn clear(octets: &mut Vec<u8>) {
    match keeps() {
        true => std::mem::forget(std::mem::take(octets)), // or whoever gets the memory next may overwrite it
        false => {
            octets.clear();
            octets.spare_capacity_mut().zeroize(); // all of it, and not octet by octet: control files can be large
        }
    }
}

/// Overwrites the octets of an array.
pub fn clear_array(octets: &mut [u8]) {
    if !keeps() {
        octets.zeroize();
    }
}

fn keeps() -> bool {
    cfg!(debug_assertions) && std::env::var_os(KEEP).is_some()
}
