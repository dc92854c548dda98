//! HMAC (RFC 2104) and PBKDF2 (RFC 8018 section 5.2), for CRAM-MD5 and SCRAM. A hash function is a value here: its compression
//! function, which is RustCrypto's, and a few numbers. So there is one piece of code for all four. The code of the crate hmac is compiled
//! once for each of them, which would add a twelfth to the C library.

use crate::secret;
use core::array;
use core::ops::Deref;

/// The words of a state. Those of SHA-512, of 64 bits, are two each, the upper half first.
type Words = [u32; 16];
/// A block; one of 64 octets fills the first half.
type Block = [u8; 128];

/// A hash function.
pub struct Hash {
    /// The octets of a digest.
    digest: usize,
    /// The octets of a block.
    block: usize,
    initial: Words,
    compress: fn(&mut Words, &Block),
    /// Whether numbers begin with their lowest octet.
    is_little_endian: bool,
}

/// RFC 1321.
pub static MD5: Hash = Hash {
    digest: 16,
    block: 64,
    initial: [0x6745_2301, 0xefcd_ab89, 0x98ba_dcfe, 0x1032_5476, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0],
    compress: |words, block| compress_32(md5::block_api::compress, words, block),
    is_little_endian: true,
};

/// RFC 6234 section 6.1.
pub static SHA_1: Hash = Hash {
    digest: 20,
    block: 64,
    initial: [0x6745_2301, 0xefcd_ab89, 0x98ba_dcfe, 0x1032_5476, 0xc3d2_e1f0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0],
    compress: |words, block| compress_32(sha1::block_api::compress, words, block),
    is_little_endian: false,
};

/// RFC 6234 section 6.2.
#[rustfmt::skip] // a row is eight words
pub static SHA_256: Hash = Hash {
    digest: 32,
    block: 64,
    initial: [
        0x6a09_e667, 0xbb67_ae85, 0x3c6e_f372, 0xa54f_f53a, 0x510e_527f, 0x9b05_688c, 0x1f83_d9ab, 0x5be0_cd19,
        0, 0, 0, 0, 0, 0, 0, 0,
    ],
    compress: |words, block| compress_32(sha2::block_api::compress256, words, block),
    is_little_endian: false,
};

/// RFC 6234 section 6.4.
#[rustfmt::skip] // the same
pub static SHA_512: Hash = Hash {
    digest: 64,
    block: 128,
    initial: [
        0x6a09_e667, 0xf3bc_c908, 0xbb67_ae85, 0x84ca_a73b, 0x3c6e_f372, 0xfe94_f82b, 0xa54f_f53a, 0x5f1d_36f1,
        0x510e_527f, 0xade6_82d1, 0x9b05_688c, 0x2b3e_6c1f, 0x1f83_d9ab, 0xfb41_bd6b, 0x5be0_cd19, 0x137e_2179,
    ],
    compress: compress_64,
    is_little_endian: false,
};

/// Runs a compression function with words of 32 bits.
fn compress_32<const N: usize>(compress: fn(&mut [u32; N], &[[u8; 64]]), words: &mut Words, block: &Block) {
    let words = words.first_chunk_mut().expect("it has at most 16");
    compress(words, array::from_ref(block.first_chunk().expect("64 octets of 128")));
}

/// Runs that of SHA-512.
fn compress_64(words: &mut Words, block: &Block) {
    let mut state: [u64; 8] = array::from_fn(|n| u64::from(words[2 * n]) << 32 | u64::from(words[2 * n + 1]));
    sha2::block_api::compress512(&mut state, array::from_ref(block));
    for (two, word) in words.chunks_exact_mut(2).zip(state) {
        (two[0], two[1]) = ((word >> 32) as u32, word as u32);
    }
    secret::clear_array(&mut state);
}

impl Hash {
    /// The digest of a message.
    pub fn digest_of(&'static self, message: &[u8]) -> Digest {
        let mut hasher = self.begin();
        hasher.add(message);
        hasher.end()
    }

    fn begin(&'static self) -> Hasher {
        Hasher { hash: self, words: self.initial, block: [0; 128], length: 0 }
    }

    /// Writes the digest that this state is.
    fn write(&self, words: &Words, out: &mut [u8]) {
        for (octets, word) in out[..self.digest].chunks_exact_mut(4).zip(words) {
            octets.copy_from_slice(&if self.is_little_endian { word.to_le_bytes() } else { word.to_be_bytes() });
        }
    }
}

/// A message that is being hashed.
#[derive(Clone)]
struct Hasher {
    hash: &'static Hash,
    words: Words,
    /// The beginning of the next block.
    block: Block,
    /// The octets of the message so far.
    length: usize,
}

impl Hasher {
    fn add(&mut self, mut octets: &[u8]) {
        while !octets.is_empty() {
            let used = self.length % self.hash.block;
            let (now, later) = octets.split_at(octets.len().min(self.hash.block - used));
            self.block[used..used + now.len()].copy_from_slice(now);
            self.length += now.len();
            if self.length % self.hash.block == 0 {
                (self.hash.compress)(&mut self.words, &self.block);
            }
            octets = later;
        }
    }

    /// Adds the padding: a bit, and the length in bits at the end of a block. It is always in the last 8 octets, as no message here
    /// comes near 2^64 bits.
    fn end(&mut self) -> Digest {
        let (block, bits) = (self.hash.block, self.length as u64 * 8);
        let used = self.length % block;
        let fits = used + 1 + block / 8 <= block;
        let zeros = if fits { block - 8 - 1 - used } else { 2 * block - 8 - 1 - used };
        self.add(&[0x80]);
        self.add(&[0; 2 * 128][..zeros]);
        self.add(&if self.hash.is_little_endian { bits.to_le_bytes() } else { bits.to_be_bytes() });
        let mut digest = Digest { octets: [0; 64], length: self.hash.digest };
        self.hash.write(&self.words, &mut digest.octets);
        digest
    }
}

impl Drop for Hasher {
    fn drop(&mut self) {
        secret::clear_array(&mut self.words);
        secret::clear_array(&mut self.block);
    }
}

/// A digest. It is cleared when dropped.
pub struct Digest {
    octets: [u8; 64],
    length: usize,
}

impl Digest {
    /// Replaces each octet by its exclusive or with that of the other.
    pub fn xor(&mut self, other: &[u8]) {
        self.octets.iter_mut().zip(other).for_each(|(octet, other)| *octet ^= other);
    }
}

impl Deref for Digest {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.octets[..self.length]
    }
}

impl Drop for Digest {
    fn drop(&mut self) {
        secret::clear_array(&mut self.octets);
    }
}

/// HMAC with a key, for any number of messages.
pub struct Hmac {
    /// The inner hash and the outer one, each behind the block of the key.
    keyed: [Hasher; 2],
}

impl Hmac {
    /// With this key, of any length.
    pub fn new(hash: &'static Hash, key: &[u8]) -> Hmac {
        let digest;
        let mut key = key;
        if key.len() > hash.block {
            digest = hash.digest_of(key);
            key = &digest;
        }
        let mut keyed = [hash.begin(), hash.begin()];
        for (hasher, pad) in keyed.iter_mut().zip([0x36, 0x5c]) {
            let mut block = [pad; 128];
            block.iter_mut().zip(key).for_each(|(octet, key)| *octet ^= key);
            hasher.add(&block[..hash.block]);
            secret::clear_array(&mut block);
        }
        Hmac { keyed }
    }

    /// The code of the message that these parts make.
    pub fn of(&self, parts: &[&[u8]]) -> Digest {
        let [mut inner, mut outer] = self.keyed.clone();
        parts.iter().for_each(|part| inner.add(part));
        outer.add(&inner.end());
        outer.end()
    }
}

/// PBKDF2 with HMAC, of the length of a digest, but not of MD5, whose numbers are written in another order. `rounds` is at least 1.
pub fn pbkdf2(hash: &'static Hash, password: &[u8], salt: &[u8], rounds: u64) -> Digest {
    let hmac = Hmac::new(hash, password);
    let mut sum = hmac.of(&[salt, &1_u32.to_be_bytes()]);
    // Each further message of both hashes is one digest behind the block of the key. So it takes one compression, and always has the
    // same padding.
    let (digest, end) = (hash.digest, hash.block);
    let mut block = [0; 128];
    block[..digest].copy_from_slice(&sum);
    block[digest] = 0x80;
    block[end - 8..end].copy_from_slice(&(8 * (end + digest) as u64).to_be_bytes());
    let mut words = [0; 16];
    for _ in 1..rounds {
        for keyed in &hmac.keyed {
            words = keyed.words;
            (hash.compress)(&mut words, &block);
            hash.write(&words, &mut block);
        }
        sum.xor(&block[..digest]);
    }
    secret::clear_array(&mut words);
    secret::clear_array(&mut block);
    sum
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hex(octets: &[u8]) -> String {
        octets.iter().map(|octet| format!("{octet:02x}")).collect()
    }

    /// RFC 1321 appendix A.5; RFC 6234 section 8.5, TEST1.
    #[test]
    fn digests() {
        for (hash, expected) in [
            (&MD5, "900150983cd24fb0d6963f7d28e17f72"),
            (&SHA_1, "a9993e364706816aba3e25717850c26c9cd0d89d"),
            (&SHA_256, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"),
            (
                &SHA_512,
                "ddaf35a193617abacc417349ae20413112e6fa4e89a97ea20a9eeee64b55d39a\
                 2192992a274fc1a836ba3c23a3feebbd454d4423643ce80e2a9ac94fa54ca49f",
            ),
        ] {
            assert_eq!(hex(&hash.digest_of(b"abc")), expected);
        }
    }

    /// Each way in which a message can end in a block, against RustCrypto's own code for that.
    #[test]
    fn each_length() {
        use sha2::Digest;
        for length in 0..400 {
            let message: Vec<u8> = (0..length).map(|n: usize| n as u8).collect();
            assert_eq!(*MD5.digest_of(&message), *md5::Md5::digest(&message), "{length}");
            assert_eq!(*SHA_1.digest_of(&message), *sha1::Sha1::digest(&message), "{length}");
            assert_eq!(*SHA_256.digest_of(&message), *sha2::Sha256::digest(&message), "{length}");
            assert_eq!(*SHA_512.digest_of(&message), *sha2::Sha512::digest(&message), "{length}");
        }
    }

    /// RFC 2202 section 2 and 3, RFC 4231: test cases 2 and 6 (a key longer than a block).
    #[test]
    fn hmac() {
        let of =
            |hash: &'static Hash, key: &[u8], text: &[u8]| hex(&Hmac::new(hash, key).of(&[&text[..5], &text[5..]]));
        let short = (&b"Jefe"[..], &b"what do ya want for nothing?"[..]);
        let long = (&[0xaa; 131][..], &b"Test Using Larger Than Block-Size Key - Hash Key First"[..]);
        assert_eq!(of(&MD5, short.0, short.1), "750c783e6ab0b503eaa86e310a5db738");
        assert_eq!(of(&SHA_1, short.0, short.1), "effcdf6ae5eb2fa2d27416d5f184df9c259a7c79");
        assert_eq!(of(&SHA_1, &long.0[..80], long.1), "aa4ae5e15272d00e95705637ce8a3b55ed402112");
        assert_eq!(of(&SHA_256, long.0, long.1), "60e431591ee0b67f0d8a26aacbf5b77f8e0bc6213728c5140546040f0ee37f54");
        assert!(
            of(&SHA_512, long.0, long.1)
                .starts_with("80b24263c7c1a3ebb71493c1dd7be8b49b46d1f41b4aeec1121b013783f8f352")
        );
    }

    /// RFC 6070 section 2, and RFC 7914 section 11.
    #[test]
    fn rounds() {
        for (hash, password, salt, rounds, expected) in [
            (&SHA_1, "password", "salt", 1, "0c60c80f961f0e71f3a9b524af6012062fe037a6"),
            (&SHA_1, "password", "salt", 2, "ea6c014dc72d6f8ccd1ed92ace1d41f0d8de8957"),
            (&SHA_1, "password", "salt", 4096, "4b007901b765489abead49d926f721d065a429c1"),
            (&SHA_256, "passwd", "salt", 1, "55ac046e56e3089fec1691c22544b605f94185216dde0465e68b9d57c20dacbc"),
            (&SHA_256, "Password", "NaCl", 80000, "4ddcd8f60b98be21830cee5ef22701f9641a4418d04c0414aeff08876b34ab56"),
        ] {
            assert_eq!(hex(&pbkdf2(hash, password.as_bytes(), salt.as_bytes(), rounds)), expected);
        }
    }
}
