//! What the server says: replies in all the forms that have to be understood, and what is no reply.

use super::plan::{Login, PASSWORD, Plan, Stage, chance, pick};
use fastrand::Rng;

/// Codes of all kinds, for where they have no place.
pub const DIFFERENT: [u16; 24] = [
    100, 150, 199, 200, 220, 221, 235, 250, 251, 252, 299, 300, 334, 354, 399, 421, 450, 454, 499, 500, 535, 550, 554,
    599,
];

/// The codes by which a server refuses something there.
pub fn refusals(stage: Stage) -> &'static [u16] {
    match stage {
        Stage::Greeting => &[421, 554],
        Stage::Hello => &[421, 450, 500, 502, 504, 550],
        Stage::StartTls | Stage::Handshake => &[421, 454, 500, 502],
        Stage::Auth | Stage::Answer => &[421, 432, 454, 500, 501, 504, 534, 535, 535, 538, 550, 553],
        Stage::Mail => &[421, 450, 451, 452, 530, 535, 550, 550, 552, 553, 554],
        Stage::Rcpt => &[421, 450, 451, 452, 530, 550, 550, 550, 551, 553, 554],
        Stage::Data => &[421, 451, 452, 503, 530, 554],
        Stage::InMessage | Stage::Dot => &[421, 451, 452, 534, 550, 550, 552, 554],
        Stage::Quit => &[421, 500],
    }
}

/// A whole reply with this code. It may repeat what the client said, and the password.
pub fn dressed(code: u16, stage: Stage, line: &[u8], login: Login, rng: &mut Rng) -> Vec<u8> {
    let mut lines: Vec<Vec<u8>> =
        (0..if chance(rng, 70) { 1 } else { rng.usize(1..6) }).map(|_| text(line, login, rng)).collect();
    if code == 334 && (stage == Stage::Auth || stage == Stage::Answer) && chance(rng, 85) {
        lines = vec![
            pick(rng, &["VXNlcm5hbWU6", "PDE4OTYuNjk3MTcwOTUyQHBvc3RvZmZpY2UucmVzdG9uLm1jaS5uZXQ+"])
                .as_bytes()
                .to_vec(),
        ];
    }
    let end: &[u8] = pick(rng, &[&b"\r\n"[..], b"\r\n", b"\r\n", b"\n", b"\r\r\n"]);
    let gap = rng.usize(0..40); // before no line mostly
    let mut reply = Vec::new();
    let last = lines.len() - 1;
    for (number, text) in lines.iter().enumerate() {
        if number == gap {
            reply.extend(b"\n\r\n"); // two empty lines
        }
        reply.extend(code.to_string().bytes());
        if number < last {
            reply.push(b'-');
        } else if !text.is_empty() {
            reply.push(b' ');
        }
        reply.extend(text.iter().filter(|octet| **octet != b'\n'));
        reply.extend(end);
    }
    reply
}

fn text(line: &[u8], login: Login, rng: &mut Rng) -> Vec<u8> {
    match rng.u32(0..16) {
        0 => Vec::new(),
        1 => b"5.7.30 Basic authentication is not supported".to_vec(),
        2 => [b"you said ", line].concat(),
        3 if login == Login::Token => [b"or ", &line.to_ascii_uppercase()[..]].concat(), // PLAIN was never sent
        3 => [&b"AG15dXNlcgBzZWNyZXRwYXNz c2VjcmV0cGFzcw== or "[..], &line.to_ascii_uppercase()].concat(),
        4 => format!("the password is {PASSWORD}, {}", PASSWORD.to_uppercase()).into_bytes(),
        5 => b"NUL \0 and \x80\xff\x1b[31m".to_vec(),
        6 => vec![b'x'; rng.usize(0..6000)],
        7 => b"- 550 5.7.1 K\0D".to_vec(),
        8 => b"4.2.0 later".to_vec(),
        9 => b"5.1.1 no such user".to_vec(),
        10 => (0..rng.usize(0..60)).map(|_| rng.u8(..)).filter(|octet| *octet != b'\n').collect(),
        _ => b"2.0.0 as you like".to_vec(),
    }
}

/// Octets that are no reply, up to a line's end.
pub fn malformed(rng: &mut Rng) -> Vec<u8> {
    const NONE: [&[u8]; 13] = [
        b"25\r\n",
        b"2x0 ok\r\n",
        b"2500 ok\r\n",
        b"650 ok\r\n",
        b"050 ok\r\n",
        b"250_ok\r\n",
        b"250-a\r\n251 b\r\n",
        b"250-a\r\n354 b\r\n",
        b"250-a\r\n\r\n",
        b"hello\r\n",
        b" 250 ok\r\n",
        b"\0\0\0\r\n",
        b"-250 ok\r\n",
    ];
    if chance(rng, 70) {
        return pick(rng, &NONE).to_vec();
    }
    let mut octets: Vec<u8> = (0..rng.usize(0..200)).map(|_| rng.u8(..)).collect();
    octets.extend(b"\r\n"); // without a line's end it would be silence
    octets
}

/// The reply to EHLO: everything, nothing, or something in between.
pub fn ehlo(plan: &Plan, over_tls: bool, rng: &mut Rng) -> Vec<u8> {
    let mut lines: Vec<String> = vec!["relay.example".into()];
    let all = chance(rng, 15);
    if plan.starttls && (!over_tls || all) && !plan.port_465 {
        lines.push("STARTTLS".into());
    }
    if !chance(rng, 5) {
        for keyword in
            ["PIPELINING", "8BITMIME", "SIZE 52428800", "SMTPUTF8", "CHUNKING", "DSN", "size", "XCLIENT AUTH"]
        {
            if all || chance(rng, 40) {
                lines.push(keyword.into());
            }
        }
        if plan.login != Login::None || chance(rng, 30) {
            lines.extend(auth_lines(rng));
        }
        if plan.login == Login::Token && chance(rng, 60) {
            lines.push("AUTH XOAUTH2".into());
        }
    }
    rng.shuffle(&mut lines[1..]);
    let last = lines.len() - 1;
    let ends = pick(rng, &["\r\n", "\r\n", "\n"]);
    lines
        .iter()
        .enumerate()
        .map(|(n, line)| format!("250{}{line}{ends}", if n < last { '-' } else { ' ' }))
        .collect::<String>()
        .into_bytes()
}

fn auth_lines(rng: &mut Rng) -> Vec<String> {
    match rng.u32(0..20) {
        0 => vec![],
        1 => vec!["AUTH".into()],
        2 => {
            // 10,000 mechanisms, and one that can be used behind them.
            let many: String = (0..10_000).map(|number| format!(" X{number:04}")).collect();
            vec![format!("AUTH{many} PLAIN")]
        }
        3 => vec!["AUTH XPLAIN PLAIN-CLIENTTOKEN SCRAM-SHA-256 CRAM-MD5X".into()],
        4..7 => vec!["AUTH CRAM-MD5".into()],
        7..9 => vec!["AUTH=LOGIN".into(), "AUTH LOGIN".into()],
        9..12 => vec!["auth plain login".into()],
        12 => (0..400).map(|number| format!("AUTH X{number}")).chain(["AUTH PLAIN CRAM-MD5".into()]).collect(),
        13 => vec!["AUTH PLAIN OAUTHBEARER".into()],
        _ => vec!["AUTH PLAIN LOGIN CRAM-MD5 XOAUTH2".into()],
    }
}
