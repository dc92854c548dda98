//! The mechanisms that the AUTH lines of an EHLO reply offer (RFC 4954 section 3).

use crate::mechanisms::{AUTH_OFFERED, MECHANISMS};
use crate::reply::keywords;
use alloc::string::String;
use alloc::vec::Vec;

/// The mechanisms that an EHLO reply offers.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct Offer {
    /// There was an AUTH line, even an empty one.
    pub offered: bool,
    /// The legal names (RFC 4422 section 3.1) of all AUTH and AUTH= lines, in upper case. Each stands once, in the order of the
    /// reply.
    pub names: Vec<String>,
}

impl Offer {
    /// Reads the parameters of AUTH lines. `AUTH=` is the form of a draft before RFC 2554; servers still send it.
    pub fn of<'a>(lines: impl IntoIterator<Item = &'a [u8]>) -> Offer {
        let mut offer = Offer::default();
        let mut sorted: Vec<u32> = Vec::new(); // indices of `names`; a set of names would be a twentieth of the C library
        for line in lines {
            offer.offered = true;
            let line = line.trim_ascii_start();
            let words = line.strip_prefix(b"=").unwrap_or(line).split(|c| b" \t".contains(c));
            for name in words.filter(|word| !word.is_empty()).filter_map(mechanism_name) {
                if let Err(place) = sorted.binary_search_by(|index| offer.names[*index as usize].cmp(&name)) {
                    sorted.insert(place, offer.names.len() as u32);
                    offer.names.push(name);
                }
            }
        }
        offer
    }
}

/// Reads the AUTH lines of an EHLO reply.
pub fn offer(reply: &[u8]) -> Offer {
    let lines = keywords(reply).filter(|(keyword, _)| keyword.eq_ignore_ascii_case(b"AUTH"));
    Offer::of(lines.map(|(_, parameters)| parameters))
}

/// The mechanisms of an EHLO reply as a set of bits: those in the [table](MECHANISMS), and [`AUTH_OFFERED`].
pub fn detect(reply: &[u8]) -> u32 {
    let offer = offer(reply);
    let known = MECHANISMS.iter().filter(|mechanism| offer.names.iter().any(|offered| offered == mechanism.name));
    known.fold(if offer.offered { AUTH_OFFERED } else { 0 }, |set, mechanism| set | mechanism.bit)
}

/// A mechanism's name in upper case. None: the word is not 1 to 20 of A-Z, 0-9, hyphen and underscore (RFC 4422 section 3.1).
fn mechanism_name(word: &[u8]) -> Option<String> {
    let legal = word.len() <= 20 && word.iter().all(|c| c.is_ascii_alphanumeric() || b"-_".contains(c));
    legal.then(|| String::from_utf8_lossy(word).to_ascii_uppercase())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mechanisms;
    use crate::reply::{REPLY_LINES, REPLY_OCTETS};

    #[test]
    fn a_cut_never_makes_a_mechanism_of_the_beginning_of_another() {
        let reply = b"250-host\n250-AUTH LOGIN SCRAM-SHA-256-PLUS PLAIN-CLIENTTOKEN\n250 OK\n";
        for cut in 0..reply.len() {
            let names = offer(&reply[..cut]).names;
            for name in names {
                assert!(["LOGIN", "SCRAM-SHA-256-PLUS", "PLAIN-CLIENTTOKEN"].contains(&&*name), "cut at {cut}: {name}");
            }
        }
        assert_eq!(offer(b"250-host\n250 AUTH LOGIN").names, ["LOGIN"]); // not cut: only the line end is missing
    }

    #[test]
    fn bounds() {
        let mut reply = b"250-host\r\n".to_vec();
        reply.extend(b"250-X\r\n".repeat(REPLY_LINES - 2));
        assert_eq!(offer(&[&reply[..], b"250 AUTH PLAIN\r\n"].concat()).names, ["PLAIN"]);
        assert_eq!(offer(&[&reply[..], b"250-X\r\n250 AUTH PLAIN\r\n"].concat()), Offer::default());

        let long = [&b"250-host\r\n250-AUTH LOGIN "[..], &b"X ".repeat(REPLY_OCTETS), b"PLAIN\r\n250 OK\r\n"].concat();
        assert_eq!(offer(&long).names, ["LOGIN", "X"]);
        assert_eq!(detect(&long), AUTH_OFFERED | mechanisms::usable("LOGIN").unwrap().bit);
    }
}
