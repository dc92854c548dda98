//! The server's side of SCRAM (RFC 5802): what it sends, and what it has to believe.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, KeyInit, Mac};
use sha1::Sha1;
use sha2::{Digest, Sha256, Sha512};

pub const SALT: &[u8] = b"salt of a test";
pub const ROUNDS: usize = 4096;

/// The mechanisms of this file, in the order in which a server may offer them.
pub const NAMES: [&str; 5] =
    ["SCRAM-SHA-256-PLUS", "SCRAM-SHA-1-PLUS", "SCRAM-SHA-256", "SCRAM-SHA-512", "SCRAM-SHA-1"];

/// A login that has got its first message.
#[derive(Clone)]
pub struct Scram {
    mechanism: String,
    password: Vec<u8>,
    /// What the client must have bound to: header and channel binding.
    binding: Vec<u8>,
    client_first: String,
    pub user: String,
    /// The challenge, before base64.
    pub first: String,
}

impl Scram {
    /// Reads the client's first message. `binding` is that of the connection. None: the message is wrong.
    pub fn start(mechanism: &str, message: &[u8], password: &[u8], binding: Option<[u8; 32]>) -> Option<Scram> {
        let message = String::from_utf8(message.to_vec()).ok()?;
        let header = if mechanism.ends_with("-PLUS") { "p=tls-exporter,," } else { "n,," };
        let client_first = message.strip_prefix(header)?.to_owned();
        let (user, nonce) = client_first.strip_prefix("n=")?.split_once(",r=")?;
        let user = user.replace("=2C", ",").replace("=3D", "=");
        let first = format!("r={nonce}\"it's=\\the server's,s={},i={ROUNDS}", STANDARD.encode(SALT)).replace(' ', "_");
        let bound = if mechanism.ends_with("-PLUS") { binding?.to_vec() } else { Vec::new() };
        let binding = [header.as_bytes(), &bound].concat();
        Some(Scram { mechanism: mechanism.to_owned(), password: password.to_vec(), binding, client_first, user, first })
    }

    /// Reads the client's last message: the server's own proof. None: that of the client is wrong.
    pub fn proof(&self, message: &[u8]) -> Option<String> {
        let message = String::from_utf8(message.to_vec()).ok()?;
        let (without_proof, proof) = message.split_once(",p=")?;
        let nonce = self.first.split(',').next()?;
        let expected = format!("c={},{nonce}", STANDARD.encode(&self.binding));
        let signed = format!("{},{},{without_proof}", self.client_first, self.first);
        let mac = |key: &[u8], text: &[u8]| mac(&self.mechanism, key, text);
        let mut attributes = self.first.split(',');
        let salt = STANDARD.decode(attributes.find_map(|attribute| attribute.strip_prefix("s="))?).ok()?;
        let rounds = attributes.find_map(|attribute| attribute.strip_prefix("i="))?.parse().ok()?;
        let salted = salted(&self.mechanism, &self.password, &salt, rounds);
        let client_key = mac(&salted, b"Client Key");
        let signature = mac(&hash(&self.mechanism, &client_key), signed.as_bytes());
        let right: Vec<u8> = client_key.iter().zip(signature).map(|(key, signature)| key ^ signature).collect();
        let is_right = without_proof == expected && STANDARD.decode(proof).ok()? == right;
        let proof = mac(&mac(&salted, b"Server Key"), signed.as_bytes());
        is_right.then(|| format!("v={}", STANDARD.encode(proof)))
    }
}

/// The password as it is hashed, in so many rounds (RFC 8018 section 5.2).
pub fn salted(mechanism: &str, password: &[u8], salt: &[u8], rounds: usize) -> Vec<u8> {
    let mut last = mac(mechanism, password, &[salt, &[0, 0, 0, 1]].concat());
    let mut sum = last.clone();
    for _ in 1..rounds {
        last = mac(mechanism, password, &last);
        sum.iter_mut().zip(&last).for_each(|(sum, last)| *sum ^= last);
    }
    sum
}

/// HMAC with the hash of this mechanism.
pub fn mac(mechanism: &str, key: &[u8], text: &[u8]) -> Vec<u8> {
    match mechanism.trim_end_matches("-PLUS") {
        "SCRAM-SHA-1" => Hmac::<Sha1>::new_from_slice(key).unwrap().chain_update(text).finalize().into_bytes().to_vec(),
        "SCRAM-SHA-256" => {
            Hmac::<Sha256>::new_from_slice(key).unwrap().chain_update(text).finalize().into_bytes().to_vec()
        }
        _ => Hmac::<Sha512>::new_from_slice(key).unwrap().chain_update(text).finalize().into_bytes().to_vec(),
    }
}

fn hash(mechanism: &str, text: &[u8]) -> Vec<u8> {
    match mechanism.trim_end_matches("-PLUS") {
        "SCRAM-SHA-1" => Sha1::digest(text).to_vec(),
        "SCRAM-SHA-256" => Sha256::digest(text).to_vec(),
        _ => Sha512::digest(text).to_vec(),
    }
}
