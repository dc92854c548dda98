//! Buffers that are cleared from memory when dropped, for passwords and everything made from them.
//!
//! All clearing is in this file, so that one switch can turn it off: [`keep_secrets`], which a debug build of qmail-remote calls if
//! [`KEEP`] is in the environment. The test that looks for secrets in memory uses it to show that it would find one.

use alloc::vec::Vec;
use core::ops::Deref;
use core::sync::atomic::{AtomicBool, Ordering};
use zeroize::Zeroize;

/// An environment variable. A release build ignores it.
pub const KEEP: &str = "QMAIL_REMOTE_AUTH_TEST_KEEPS_SECRETS";

static KEEPS: AtomicBool = AtomicBool::new(false);

/// Makes a debug build keep the secrets of this process in memory from now on.
pub fn keep_secrets() {
    KEEPS.store(true, Ordering::Relaxed);
}

/// Octets that are cleared when dropped. Moving it does not copy them, and growing it clears the old buffer.
#[derive(Default)]
pub struct Secret(Vec<u8>);

impl Secret {
    /// An empty secret with room for this many octets.
    pub fn with_room(octets: usize) -> Secret {
        Secret(Vec::with_capacity(octets))
    }

    /// Appends octets.
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

    /// Gives up the octets. They are no longer cleared when dropped: clearing them, if they are a secret, is now the caller's duty.
    pub fn into_octets(mut self) -> Vec<u8> {
        core::mem::take(&mut self.0)
    }

    /// Removes the prefix if the octets begin with it, and returns whether they did.
    pub fn cut_prefix(&mut self, prefix: &[u8]) -> bool {
        let begins = self.0.starts_with(prefix);
        if begins {
            self.0.drain(..prefix.len()); // this leaves a copy in the spare capacity, which is cleared too
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

/// Overwrites the whole buffer, spare capacity included, and leaves it empty.
pub fn clear(octets: &mut Vec<u8>) {
    if keeps() {
        core::mem::forget(core::mem::take(octets)); // freed memory could be overwritten by its next owner
    } else {
        octets.clear();
        octets.spare_capacity_mut().zeroize(); // in one go, not octet by octet: control files can be large
    }
}

/// Overwrites octets or numbers that are not in a vector.
pub fn clear_array<T>(array: &mut [T])
where
    [T]: Zeroize,
{
    if !keeps() {
        array.zeroize();
    }
}

fn keeps() -> bool {
    cfg!(debug_assertions) && KEEPS.load(Ordering::Relaxed)
}
