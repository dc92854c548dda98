//! Octets that are cleared from memory when they are dropped: passwords, and what is made of them.
//!
//! All clearing is here, so that one switch can turn it off: a debug build keeps secrets where the environment has
//! [`KEEP`], which is how a test knows that it would find one.

use std::ops::{Deref, DerefMut};
use zeroize::Zeroize;

/// The environment variable that makes a debug build keep its secrets. A release build does not look at it.
pub const KEEP: &str = "QMAIL_REMOTE_AUTH_TEST_KEEPS_SECRETS";

/// Octets that are cleared when dropped. To grow it may leave a copy behind, so room is made first.
#[derive(Default)]
pub struct Secret(Vec<u8>);

impl Secret {
    /// An empty one, with room for this many octets.
    pub fn with_room(octets: usize) -> Secret {
        Secret(Vec::with_capacity(octets))
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

impl DerefMut for Secret {
    fn deref_mut(&mut self) -> &mut Vec<u8> {
        &mut self.0
    }
}

impl Drop for Secret {
    fn drop(&mut self) {
        clear(&mut self.0);
    }
}

/// Overwrites the octets, the buffer's spare room included, and leaves it empty.
pub fn clear(octets: &mut Vec<u8>) {
    match cfg!(debug_assertions) && std::env::var_os(KEEP).is_some() {
        true => std::mem::forget(std::mem::take(octets)), // or whoever gets the memory next may overwrite it
        false => {
            octets.clear();
            octets.spare_capacity_mut().zeroize(); // all of it, and not octet by octet: control files can be large
        }
    }
}
