//! Reads replies (RFC 5321 section 4.2) from a whole stream at once. The program's reader, which gets it in pieces, is compared
//! with it.

/// The replies up to the first error, or to the end of the octets.
#[derive(Debug, PartialEq)]
pub struct Replies {
    pub replies: Vec<Reply>,
    /// What is wrong after them. None if the rest can still become a reply.
    pub error: Option<Error>,
}

#[derive(Debug, PartialEq)]
pub struct Reply {
    /// The place of its first octet.
    pub start: usize,
    pub code: u16,
    /// Without CR.
    pub text: Vec<u8>,
}

#[derive(Debug, PartialEq)]
pub enum Error {
    Malformed,
    TooLong,
}

const OCTETS: usize = 65536;
const LINES: usize = 512;

pub fn replies(octets: &[u8]) -> Replies {
    let mut replies = Vec::new();
    let mut start = 0;
    loop {
        start += octets[start..].iter().take_while(|c| b"\r\n".contains(c)).count(); // empty lines are part of no reply
        match reply(&octets[start..]) {
            Ok(None) => return Replies { replies, error: None },
            Err(error) => return Replies { replies, error: Some(error) },
            Ok(Some((code, text, length))) => {
                replies.push(Reply { start, code, text });
                start += length;
            }
        }
    }
}

/// Code, text and length of the first reply, if it is complete.
fn reply(octets: &[u8]) -> Result<Option<(u16, Vec<u8>, usize)>, Error> {
    let (mut text, mut length, mut lines, mut first) = (String::new(), 0, 0, None);
    for line in octets.split_inclusive(|c| *c == b'\n') {
        length += line.len();
        if length > OCTETS {
            return Err(Error::TooLong);
        }
        // One character for one octet.
        let line: String = line.iter().map(|c| char::from(*c)).filter(|c| *c != '\r').collect();
        let Some(content) = line.strip_suffix('\n') else { return Ok(None) };
        if content.is_empty() {
            continue;
        }
        lines += 1;
        let mut rest = content.chars().skip(3);
        let code = content.get(..3).filter(|code| code.chars().all(|c| c.is_ascii_digit()));
        let code: u16 = code.and_then(|code| code.parse().ok()).ok_or(Error::Malformed)?;
        let sign = rest.next();
        if !(100..600).contains(&code)
            || !matches!(sign, None | Some(' ' | '-' | '\t'))
            || *first.get_or_insert(code) != code
        {
            return Err(Error::Malformed);
        }
        text += &line;
        if sign != Some('-') {
            return Ok(Some((code, text.chars().map(|c| c as u8).collect(), length)));
        }
        if lines == LINES {
            return Err(Error::TooLong);
        }
    }
    Ok(None)
}
