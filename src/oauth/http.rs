//! One request and its reply in HTTP/1.1 (RFC 9112), as octets. A redirect is a reply as any other: the request holds secrets, so it is
//! not sent to anybody else.

use crate::cause::oauth::HttpCause;
use crate::control::tokens::Url;
use httparse::{EMPTY_HEADER, Response, Status};
use qmail_auth::secret::Secret;

/// The most octets of the head of a reply, and the most header fields.
const HEAD: usize = 16 * 1024;
const FIELDS: usize = 100;

/// The most octets of its body. The largest that is known has three tokens of 3 KB each.
const BODY: usize = 64 * 1024;

/// The most octets before a chunk: its size, and extensions that nobody uses.
const CHUNK_HEAD: usize = 1024;

/// Fields of a form as application/x-www-form-urlencoded (RFC 6749 appendix B).
pub fn form(fields: &[(&str, &[u8])]) -> Secret {
    let length = |(name, value): &(&str, &[u8])| name.len() + 3 * value.len() + 2;
    let mut form = Secret::with_room(fields.iter().map(length).sum());
    for (name, value) in fields {
        if !form.is_empty() {
            form.add(b"&");
        }
        form.add(name.as_bytes());
        form.add(b"=");
        for octet in *value {
            match octet {
                b'-' | b'.' | b'_' | b'~' => form.add(&[*octet]),
                octet if octet.is_ascii_alphanumeric() => form.add(&[*octet]),
                octet => {
                    const DIGITS: &[u8; 16] = b"0123456789ABCDEF";
                    form.add(&[b'%', DIGITS[usize::from(octet >> 4)], DIGITS[usize::from(octet & 15)]]);
                }
            }
        }
    }
    form
}

/// A request that posts this form.
pub fn post(url: &Url, form: &[u8]) -> Secret {
    let head = format!(
        "POST {} HTTP/1.1\r\nHost: {}\r\nContent-Type: application/x-www-form-urlencoded\r\nContent-Length: {}\r\n\
         Accept: application/json\r\nAccept-Encoding: identity\r\nUser-Agent: qmail-remote-auth\r\nConnection: close\r\n\r\n",
        url.target,
        url.authority,
        form.len()
    );
    let mut request = Secret::with_room(head.len() + form.len());
    request.add(head.as_bytes());
    request.add(form);
    request
}

/// A whole reply.
pub struct Reply {
    /// The status code.
    pub code: u16,
    /// Its body, which may hold tokens.
    pub body: Secret,
}

/// A reply on its way.
#[derive(Default)]
pub struct Reader {
    stage: Stage,
    code: u16,
    /// What was received, and how much of it is understood.
    received: Secret,
    at: usize,
    body: Secret,
    /// How many octets came.
    count: usize,
}

#[derive(Default, Clone, Copy, PartialEq, Eq)]
enum Stage {
    #[default]
    Head,
    /// A body of so many octets.
    Length(usize),
    Chunks,
    /// The body ends with the connection.
    ToEnd,
    Done,
}

/// What becomes of a stage.
enum Step {
    /// It needs more octets.
    More,
    /// So many octets are understood, and this is next.
    Next(usize, Stage),
}

impl Reader {
    /// Takes what the server said. Answers whether the reply is whole; what is said behind it does not matter.
    pub fn add(&mut self, octets: &[u8]) -> Result<bool, HttpCause> {
        self.count += octets.len();
        if self.stage != Stage::Done && self.count > HEAD + 4 * BODY {
            return Err(HttpCause::TooLong);
        }
        self.received.add(octets);
        while self.stage != Stage::Done {
            match self.step()? {
                Step::More => return Ok(false),
                Step::Next(count, stage) => {
                    self.at += count;
                    self.stage = stage;
                }
            }
        }
        Ok(true)
    }

    /// The server has closed. Answers whether the reply is whole.
    pub fn closed(&mut self) -> Result<(), HttpCause> {
        match self.stage {
            Stage::Done => Ok(()),
            Stage::ToEnd => {
                self.body = Secret::from(self.rest());
                self.stage = Stage::Done;
                Ok(())
            }
            Stage::Head if self.count == 0 => Err(HttpCause::Closed),
            Stage::Head | Stage::Length(_) | Stage::Chunks => Err(HttpCause::Cut),
        }
    }

    /// The reply, once it is whole.
    pub fn into_reply(self) -> Reply {
        Reply { code: self.code, body: self.body }
    }

    fn rest(&self) -> &[u8] {
        &self.received[self.at..]
    }

    fn step(&mut self) -> Result<Step, HttpCause> {
        match self.stage {
            Stage::Head => self.head(),
            Stage::Length(length) if self.rest().len() < length => Ok(Step::More),
            Stage::Length(length) => {
                self.body.add(&self.received[self.at..][..length]);
                Ok(Step::Next(length, Stage::Done))
            }
            Stage::Chunks => self.chunk(),
            Stage::ToEnd if self.rest().len() > BODY => Err(HttpCause::TooLong),
            Stage::ToEnd | Stage::Done => Ok(Step::More),
        }
    }

    fn head(&mut self) -> Result<Step, HttpCause> {
        let mut fields = [EMPTY_HEADER; FIELDS];
        let mut head = Response::new(&mut fields);
        let length = match head.parse(&self.received[self.at..]) {
            Ok(Status::Complete(length)) if length <= HEAD => length,
            Ok(Status::Partial) if self.rest().len() <= HEAD => return Ok(Step::More),
            Ok(_) => return Err(HttpCause::TooLong),
            Err(_) => return Err(HttpCause::NotUnderstood),
        };
        self.code = head.code.unwrap_or_default();
        if (100..200).contains(&self.code) {
            return Ok(Step::Next(length, Stage::Head)); // RFC 9110 section 15.2: the reply is still to come
        }
        if !(200..600).contains(&self.code) {
            return Err(HttpCause::NotUnderstood);
        }
        let values = |name: &'static str| {
            head.headers.iter().filter(move |field| field.name.eq_ignore_ascii_case(name)).map(|field| field.value)
        };
        if values("content-encoding").any(|coding| !coding.eq_ignore_ascii_case(b"identity")) {
            return Err(HttpCause::Compressed);
        }
        Ok(Step::Next(length, framing(self.code, values("transfer-encoding"), values("content-length"))?))
    }

    fn chunk(&mut self) -> Result<Step, HttpCause> {
        match httparse::parse_chunk_size(self.rest()) {
            Ok(Status::Complete((_, 0))) => Ok(Step::Next(0, Stage::Done)), // what may follow are trailers
            Ok(Status::Complete((start, size))) => {
                let size = usize::try_from(size).ok().filter(|size| self.body.len() + size <= BODY);
                let end = start + size.ok_or(HttpCause::TooLong)?;
                let Some(line_end) = self.rest().get(end..end + 2) else { return Ok(Step::More) };
                if line_end != b"\r\n" {
                    return Err(HttpCause::NotUnderstood);
                }
                self.body.add(&self.received[self.at + start..self.at + end]);
                Ok(Step::Next(end + 2, Stage::Chunks))
            }
            Ok(Status::Partial) if self.rest().len() <= CHUNK_HEAD => Ok(Step::More),
            Ok(Status::Partial) => Err(HttpCause::TooLong),
            Err(_) => Err(HttpCause::NotUnderstood),
        }
    }
}

/// How the end of the body is found (RFC 9112 section 6.3).
fn framing<'a>(
    code: u16,
    mut codings: impl Iterator<Item = &'a [u8]>,
    mut lengths: impl Iterator<Item = &'a [u8]>,
) -> Result<Stage, HttpCause> {
    if [204, 304].contains(&code) {
        return Ok(Stage::Done);
    }
    if let Some(coding) = codings.next() {
        let is_chunked = coding.eq_ignore_ascii_case(b"chunked") && codings.next().is_none();
        return if is_chunked { Ok(Stage::Chunks) } else { Err(HttpCause::NotUnderstood) };
    }
    let Some(length) = lengths.next() else { return Ok(Stage::ToEnd) };
    let digits = std::str::from_utf8(length).ok().filter(|digits| digits.bytes().all(|c| c.is_ascii_digit()));
    if digits.is_none_or(str::is_empty) || lengths.any(|other| other != length) {
        return Err(HttpCause::NotUnderstood);
    }
    match digits.and_then(|digits| digits.parse().ok()) {
        Some(length) if length <= BODY => Ok(Stage::Length(length)),
        _ => Err(HttpCause::TooLong),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The code and the body, or the cause; whole, and octet by octet. The server closes behind it.
    fn read(octets: &str) -> Result<(u16, String), String> {
        let read = |pieces: &mut dyn Iterator<Item = &[u8]>| {
            let mut reader = Reader::default();
            let mut is_whole = false;
            for piece in pieces {
                is_whole |= reader.add(piece)?;
            }
            if !is_whole {
                reader.closed()?;
            }
            let Reply { code, body } = reader.into_reply();
            Ok((code, String::from_utf8(body.to_vec()).unwrap()))
        };
        let whole = read(&mut std::iter::once(octets.as_bytes())).map_err(|why: HttpCause| why.to_string());
        if octets.len() < 2000 {
            let pieces = read(&mut octets.as_bytes().chunks(1)).map_err(|why| why.to_string());
            assert_eq!(pieces, whole, "{octets}");
        }
        whole
    }

    #[test]
    fn replies() {
        for (octets, code, body) in [
            ("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}", 200, "{}"),
            ("HTTP/1.1 200 OK\r\ncontent-length: 2\r\nContent-Length: 2\r\n\r\n{}and more", 200, "{}"),
            ("HTTP/1.0 400 no\r\n\r\n{\"a\":1}", 400, "{\"a\":1}"),
            ("HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n", 400, ""),
            ("HTTP/1.1 200\r\nTransfer-Encoding: chunked\r\n\r\n1\r\n{\r\n1;x=y\r\n}\r\n0\r\nT: x\r\n\r\n", 200, "{}"),
            ("HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 x\r\nLink: y\r\n\r\nHTTP/1.1 200 OK\r\n\r\n{}", 200, "{}"),
            ("HTTP/1.1 204 No Content\r\n\r\n", 204, ""),
            ("HTTP/1.1 302 Found\r\nLocation: https://elsewhere.example/\r\nContent-Length: 0\r\n\r\n", 302, ""),
        ] {
            assert_eq!(read(octets), Ok((code, body.to_owned())), "{octets}");
        }
        let head = "HTTP/1.1 200 OK\r\n";
        let chunked = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n";
        let (many, long) = ("X: y\r\n".repeat(FIELDS + 1), "x".repeat(BODY + 1));
        for (octets, why) in [
            (String::new(), HttpCause::Closed),
            ("220 smtp.example.jp ESMTP\r\n".into(), HttpCause::NotUnderstood),
            (format!("{}Content-Length: 0\r\n\r\n", "HTTP/1.1 002 OK\r\n"), HttpCause::NotUnderstood),
            ("HTTP/1.1 200 OK\r\n".into(), HttpCause::Cut),
            (format!("{head}Content-Length: 3\r\n\r\n{{}}"), HttpCause::Cut),
            (format!("{chunked}3\r\n{{}}"), HttpCause::Cut),
            (format!("{chunked}2\r\n{{}}0\r\n\r\n"), HttpCause::NotUnderstood),
            (format!("{chunked}x\r\n"), HttpCause::NotUnderstood),
            (format!("{chunked}ffffffff\r\n"), HttpCause::TooLong),
            (format!("{chunked}fffffffffffffffff\r\n"), HttpCause::NotUnderstood),
            (format!("{chunked}{}", "1\r\nx\r\n".repeat(BODY + 1)), HttpCause::TooLong),
            (format!("{chunked}1;{}", "x".repeat(2 * CHUNK_HEAD)), HttpCause::TooLong),
            (format!("{head}Content-Length: 1\r\nContent-Length: 2\r\n\r\n{{}}"), HttpCause::NotUnderstood),
            (format!("{head}Content-Length: +2\r\n\r\n{{}}"), HttpCause::NotUnderstood),
            (format!("{head}Content-Length: 99999999999999999999\r\n\r\n"), HttpCause::TooLong),
            (format!("{head}Content-Length: {}\r\n\r\n", BODY + 1), HttpCause::TooLong),
            (format!("{head}Transfer-Encoding: gzip, chunked\r\n\r\n"), HttpCause::NotUnderstood),
            (format!("{head}Content-Encoding: gzip\r\nContent-Length: 2\r\n\r\n{{}}"), HttpCause::Compressed),
            (format!("{head}{many}\r\n"), HttpCause::NotUnderstood),
            (format!("{head}X: {}", "x".repeat(HEAD)), HttpCause::TooLong),
            (format!("{head}\r\n{long}"), HttpCause::TooLong),
            ("HTTP/1.1 100 Continue\r\n\r\n".repeat(20_000), HttpCause::TooLong),
        ] {
            let begin = octets.get(..80).unwrap_or(&octets);
            assert_eq!(read(&octets), Err(why.to_string()), "{begin}");
        }
    }

    #[test]
    fn requests() {
        let form = form(&[("a", b"x"), ("secret", b"+/= %&\xc3\xa9~-._")]);
        assert_eq!(*form, b"a=x&secret=%2B%2F%3D%20%25%26%C3%A9~-._");
        let request = post(&"https://login.example.jp:8443/t?v=2".parse().unwrap(), &form);
        let request = String::from_utf8(request.to_vec()).unwrap();
        assert!(request.starts_with("POST /t?v=2 HTTP/1.1\r\nHost: login.example.jp:8443\r\n"), "{request}");
        assert!(
            request.contains("\r\nContent-Length: 39\r\n") && request.contains("\r\nConnection: close\r\n\r\na=x&")
        );
    }
}
