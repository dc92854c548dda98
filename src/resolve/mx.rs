//! Reads a DNS answer as the resolver returned it (RFC 1035 section 4): whether it has records of a type, and its MX records in
//! full. It came from the network, so everything is bounded: pointers in names go backwards only, and a name has a greatest length.

use std::ops::Range;

/// The length of the header, which comes before the first question.
const HEADER: usize = 12;
const MX: u16 = 15;
const IN: u16 = 1;
/// A name in text, without the dot at its end (RFC 1035 section 3.1).
const LONGEST_NAME: usize = 253;
/// A name has at most 127 labels, so more pointers are useless.
const POINTERS: usize = 128;

/// One mail exchanger.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Exchange {
    /// The lowest is tried first.
    pub preference: u16,
    /// The name as it stands in the answer, without a dot at its end; empty for the root. It need not be a legal host name.
    pub name: Vec<u8>,
}

/// The answer ends too early, is truncated, or has a name that is not legal.
#[derive(Debug, PartialEq, Eq)]
pub struct Malformed;

/// The MX records of an answer, in its order, whatever name they belong to: where the name asked for is an alias, they are those of
/// its target.
pub fn exchanges(answer: &[u8]) -> Result<Vec<Exchange>, Malformed> {
    let mut exchanges = Vec::new();
    for Range { start: data, end } in records(answer, MX)? {
        let (exchange, behind) = name(answer, data + 2)?;
        if behind > end {
            return Err(Malformed);
        }
        exchanges.push(Exchange { preference: number(answer, data)?, name: exchange });
    }
    Ok(exchanges)
}

/// Whether an answer has a record of this type. An answer with an alias alone has none: the target of the alias has none.
pub fn has(answer: &[u8], kind: u16) -> Result<bool, Malformed> {
    Ok(!records(answer, kind)?.is_empty())
}

/// The range of the data of each record of this type.
fn records(answer: &[u8], wanted: u16) -> Result<Vec<Range<usize>>, Malformed> {
    let (truncated, mut at) = (answer.get(2).ok_or(Malformed)? & 2 != 0, HEADER);
    if truncated {
        return Err(Malformed);
    }
    for _ in 0..number(answer, 4)? {
        at = name(answer, at)?.1 + 4;
    }
    let mut records = Vec::new();
    for _ in 0..number(answer, 6)? {
        at = name(answer, at)?.1;
        let (kind, class, length) = (number(answer, at)?, number(answer, at + 2)?, number(answer, at + 8)?);
        let data = at + 10;
        at = data + usize::from(length);
        if at > answer.len() {
            return Err(Malformed);
        }
        if (kind, class) == (wanted, IN) {
            records.push(data..at);
        }
    }
    Ok(records)
}

fn number(answer: &[u8], at: usize) -> Result<u16, Malformed> {
    let octets = answer.get(at..at + 2).ok_or(Malformed)?;
    Ok(u16::from_be_bytes([octets[0], octets[1]]))
}

/// The name that begins at `start`, and the offset after it (RFC 1035 section 4.1.4).
fn name(answer: &[u8], start: usize) -> Result<(Vec<u8>, usize), Malformed> {
    let (mut name, mut at, mut end, mut pointers) = (Vec::new(), start, None, 0);
    loop {
        let length = usize::from(*answer.get(at).ok_or(Malformed)?);
        match length >> 6 {
            0 if length == 0 => return Ok((name, end.unwrap_or(at + 1))),
            0 => {
                let label = answer.get(at + 1..at + 1 + length).ok_or(Malformed)?;
                if !name.is_empty() {
                    name.push(b'.');
                }
                name.extend_from_slice(label);
                at += 1 + length;
            }
            3 => {
                end.get_or_insert(at + 2);
                pointers += 1;
                let to = usize::from(number(answer, at)? & 0x3fff);
                if to >= at {
                    return Err(Malformed);
                }
                at = to;
            }
            _ => return Err(Malformed),
        }
        if name.len() > LONGEST_NAME || pointers > POINTERS {
            return Err(Malformed);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The answer for example.org with these records: type, class, data. The question is its own first name.
    fn answer(records: &[(u16, u16, &[u8])]) -> Vec<u8> {
        let count = (records.len() as u16).to_be_bytes();
        let mut answer = [&[0, 1, 0x81, 0x80, 0, 1][..], &count, &[0; 4], b"\x07example\x03org\0\0\x0f\0\x01"].concat();
        for (kind, class, data) in records {
            answer.extend_from_slice(b"\xc0\x0c");
            answer.extend_from_slice(&kind.to_be_bytes());
            answer.extend_from_slice(&class.to_be_bytes());
            answer.extend_from_slice(&[0, 0, 0, 60]);
            answer.extend_from_slice(&(data.len() as u16).to_be_bytes());
            answer.extend_from_slice(data);
        }
        answer
    }

    fn mx(preference: u16, name: &[u8]) -> Exchange {
        Exchange { preference, name: name.to_vec() }
    }

    #[test]
    fn answers() {
        let whole = answer(&[
            (5, 1, b"\x05alias\xc0\x0c"),
            (MX, IN, b"\0\x0a\x02mx\xc0\x0c"),
            (MX, IN, b"\x01\0\x01a\x01b\0"),
            (MX, 3, b"\0\0\x05chaos\0"),
            (MX, IN, b"\0\0\0"),
            (MX, IN, b"\0\x05\x03a.b\0"),
        ]);
        let expected = vec![mx(10, b"mx.example.org"), mx(256, b"a.b"), mx(0, b""), mx(5, b"a.b")];
        assert_eq!(exchanges(&whole), Ok(expected));
        assert_eq!([MX, 5, 1].map(|kind| has(&whole, kind)), [Ok(true), Ok(true), Ok(false)]);
        // Cut anywhere it is an error, never another list.
        for end in 0..whole.len() {
            assert_eq!(exchanges(&whole[..end]), Err(Malformed), "cut at {end}");
            assert_eq!(has(&whole[..end], 1), Err(Malformed), "cut at {end}");
        }
        let mut cut = whole.clone();
        cut[2] |= 2;
        assert_eq!(exchanges(&cut), Err(Malformed), "TC");
        assert_eq!(exchanges(&answer(&[])), Ok(vec![]));
    }

    #[test]
    fn names_that_are_none() {
        for data in [
            &b"\0\x01\xc0\x2a"[..], // to itself
            b"\0\x01\xff\xff",      // beyond the end
            b"\0\x01\x40a\0",       // a reserved kind of label
            b"\0\x01\x01a",         // into the next record, or beyond the end
            b"\0",                  // no name at all
            b"\0\x01\xc0",          // half a pointer
        ] {
            assert_eq!(exchanges(&answer(&[(MX, IN, data)])), Err(Malformed), "{data:?}");
        }
        let long =
            [&b"\0\x01"[..], &b"\x3faaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa".repeat(4), b"\0"]
                .concat();
        assert_eq!(exchanges(&answer(&[(MX, IN, &long)])), Err(Malformed));
        // A chain of pointers, each to the one before it.
        let mut chain = vec![0, 0];
        let start = answer(&[(16, IN, &[])]).len();
        for i in 0..200u16 {
            let to = 0xc000 | (start as u16 + if i == 0 { 0 } else { 2 * i });
            chain.extend_from_slice(&to.to_be_bytes());
        }
        let last = (0xc000 | (start as u16 + 400)).to_be_bytes();
        let record = [&b"\0\x01"[..], &last].concat();
        assert_eq!(exchanges(&answer(&[(16, IN, &chain), (MX, IN, &record)])), Err(Malformed));
    }
}
