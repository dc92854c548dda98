//! What happened on one connection, read from its record: each line of the client, and the reply to it. The n-th reply is to
//! the n-th line, the first of all is the greeting; that is all that SMTP says about which reply is to what.

use super::wire::Record;

/// A line of the client, or a message, and the reply to it as far as there is one that may count.
pub struct Step<'a> {
    pub what: What,
    /// Without its line end; a message without its dot.
    pub line: &'a [u8],
    /// The place behind it in what was heard.
    pub end: usize,
    pub reply: Option<Reply>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum What {
    /// The greeting is to this.
    Connection,
    Hello,
    StartTls,
    Auth,
    /// A line of a login.
    Answer,
    Mail,
    Rcpt,
    Data,
    /// A message without its end.
    Part,
    /// A message.
    Message,
    Quit,
}

#[derive(Clone, Debug)]
pub struct Reply {
    pub code: u16,
    pub lines: Vec<String>,
    /// How much the server had heard when it began to say this.
    pub heard: usize,
    /// It came with the end of the reply before, for certain: in one piece, which the client received as one.
    pub glued: bool,
}

impl Reply {
    pub fn class(&self) -> u16 {
        self.code / 100
    }

    /// A refusal that is about our login, and never about the mail.
    pub fn demands_login(&self) -> bool {
        let basic_is_off = |line: &String| line.get(4..).is_some_and(|text| text.trim_start().starts_with("5.7.30"));
        [530, 534, 535, 538].contains(&self.code) || self.code == 550 && self.lines.iter().any(basic_is_off)
    }

    /// A refusal of the mail itself.
    pub fn refuses_for_good(&self) -> bool {
        self.class() == 5 && !self.demands_login()
    }
}

/// What the server said, reply by reply, up to where it is none.
fn replies(record: &Record) -> Vec<Reply> {
    const OCTETS: usize = 64 * 1024;
    const LINES: usize = 512;
    /// What goes in one segment, and less than the client receives at once.
    const SEGMENT: usize = 1200;
    const ONE_PIECE: usize = 8 * 1024;

    let mut replies = Vec::new();
    let mut begun: Option<Reply> = None;
    let (mut line, mut octets, mut all) = (Vec::new(), 0, 0);
    for chunk in &record.said {
        let small = chunk.whole && chunk.octets.len() < SEGMENT && all < ONE_PIECE;
        let mut replied = false;
        all += chunk.octets.len();
        for octet in &chunk.octets {
            if b"\r\n".contains(octet) && begun.is_none() {
                continue; // an empty line
            }
            octets += 1;
            let reply = begun.get_or_insert_with(|| {
                let (heard, glued) = (chunk.heard, replied && small);
                Reply { code: 0, lines: Vec::new(), heard, glued }
            });
            match octet {
                b'\r' => continue,
                b'\n' if line.is_empty() => continue,
                b'\n' => {}
                _ => {
                    line.push(*octet);
                    continue;
                }
            }
            let Some((code, more)) = code(&line) else { return replies };
            if !reply.lines.is_empty() && reply.code != code || octets > OCTETS || reply.lines.len() >= LINES {
                return replies;
            }
            reply.code = code;
            reply.lines.push(String::from_utf8_lossy(&line).into_owned());
            line.clear();
            if !more {
                replies.extend(begun.take());
                (octets, replied) = (0, true);
            }
        }
    }
    replies
}

/// The code of a line, and whether others follow.
fn code(line: &[u8]) -> Option<(u16, bool)> {
    let digits = line.get(..3)?;
    let behind = line.get(3).copied().unwrap_or(b' ');
    let code: u16 =
        std::str::from_utf8(digits).ok().filter(|text| text.bytes().all(|c| c.is_ascii_digit()))?.parse().ok()?;
    ((100..600).contains(&code) && b" -\t".contains(&behind)).then_some((code, behind == b'-'))
}

/// The steps of a connection.
pub fn story(record: &Record) -> Vec<Step<'_>> {
    let mut replies = replies(record).into_iter().map(Some).collect::<Vec<_>>().into_iter();
    let mut counts = true;
    let mut pipelining = false;
    let mut next = |what: What, end: usize| {
        let reply = replies.next().flatten().filter(|_| counts)?;
        // Pipelined lines are out before the replies to those before them come, and a refusal of a message may be early.
        let may_be_early = match what {
            What::Connection => true,
            What::Rcpt | What::Data => pipelining,
            What::Part | What::Message => [4, 5].contains(&reply.class()),
            _ => false,
        };
        if reply.glued && reply.heard < end && !may_be_early {
            counts = false; // it answers nothing, and that is the end of the delivery
            return None;
        }
        if what == What::Hello && reply.code == 250 {
            let offers = |line: &String| line.get(4..).unwrap_or_default().to_uppercase().starts_with("PIPELINING");
            pipelining = reply.lines.iter().any(offers);
        }
        Some(reply)
    };

    let heard = &record.heard[..];
    let mut steps = vec![Step { what: What::Connection, line: b"", end: 0, reply: next(What::Connection, 0) }];
    let mut place = 0;
    while let Some(length) = memchr::memmem::find(&heard[place..], b"\r\n") {
        let line = &heard[place..place + length];
        place += length + 2;
        let what = what(line);
        steps.push(Step { what, line, end: place, reply: next(what, place) });
        if what != What::Data
            || steps.last().is_none_or(|step| step.reply.as_ref().is_none_or(|reply| reply.code != 354))
        {
            continue;
        }
        let end = memchr::memmem::find(&heard[place - 2..], b"\r\n.\r\n").map(|at| place + at);
        let (what, line, end) = match end {
            Some(dot) => (What::Message, &heard[place..dot], dot + 3),
            None => (What::Part, &heard[place..], heard.len().max(place)),
        };
        let reach = if what == What::Part { usize::MAX } else { end };
        steps.push(Step { what, line, end, reply: next(what, reach) });
        place = end;
    }
    steps
}

fn what(line: &[u8]) -> What {
    let begins = |verb: &str| line.starts_with(verb.as_bytes());
    match () {
        () if begins("EHLO ") || begins("HELO ") => What::Hello,
        () if line == b"STARTTLS" => What::StartTls,
        () if begins("AUTH ") => What::Auth,
        () if begins("MAIL FROM:<") => What::Mail,
        () if begins("RCPT TO:<") => What::Rcpt,
        () if line == b"DATA" => What::Data,
        () if line == b"QUIT" => What::Quit,
        () => What::Answer,
    }
}
