//! Replies do not depend on how the stream is cut, stay within the limits, and are the same for a second reader.
#![no_main]

use qmail_auth::reply::{ReplyError, ReplyReader, is_cut, last_text};
use support::replies::{Error, Replies, Reply, replies};
use support::{Server, pieces};

libfuzzer_sys::fuzz_target!(|input: &[u8]| {
    let mut server = Server::default();
    let segments: Vec<Vec<u8>> = pieces(input).map(|piece| server.octets(piece)).collect();
    let whole = segments.concat();
    let expected = replies(&whole);
    assert_eq!(read(&segments), expected);
    assert_eq!(read(&[whole]), expected);
    for Reply { code, text, .. } in &expected.replies {
        let lines: Vec<_> = text.split_inclusive(|c| *c == b'\n').collect();
        assert!(text.len() <= 65536 && lines.len() <= 512 && !is_cut(text));
        assert!(text.ends_with(b"\n") && lines.iter().all(|line| line.starts_with(code.to_string().as_bytes())));
        let last = lines[lines.len() - 1];
        assert_eq!(last_text(text), last[..last.len() - 1].get(4..).unwrap_or_default());
    }
});

/// Reads with the program's reader.
fn read(segments: &[Vec<u8>]) -> Replies {
    let mut reader = ReplyReader::default();
    let (mut found, mut taken, mut start) = (Vec::new(), 0, 0);
    for segment in segments {
        let mut rest = &segment[..];
        while !rest.is_empty() {
            assert_eq!(reader.is_empty(), taken == start);
            if let (true, [b'\r' | b'\n', behind @ ..]) = (reader.is_empty(), rest) {
                rest = behind; // the session skips empty lines as well
                (taken, start) = (taken + 1, taken + 1);
                continue;
            }
            let before = rest.len();
            let read = reader.read(&mut rest);
            taken += before - rest.len();
            match read {
                None => assert!(rest.is_empty() && reader.text().len() <= 65536),
                Some(Ok(reply)) => {
                    found.push(Reply { start, code: reply.code, text: reply.text });
                    start = taken;
                }
                Some(Err(error)) => {
                    let error = if error == ReplyError::TooLong { Error::TooLong } else { Error::Malformed };
                    return Replies { replies: found, error: Some(error) };
                }
            }
        }
    }
    Replies { replies: found, error: None }
}
