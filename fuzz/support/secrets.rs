//! Finds a secret in a text, in each form that a login can send.

/// The forms of a password: itself, its base64 in LOGIN and in PLAIN, its hexadecimal digits; and other answers that were sent.
#[derive(Default)]
pub struct Secrets {
    forms: Vec<Vec<u8>>,
}

impl Secrets {
    pub fn of(user: &[u8], password: &[u8]) -> Secrets {
        let plain = [b"\0", user, b"\0", password].concat();
        Secrets {
            forms: vec![
                password.to_ascii_lowercase(),
                base64(password).to_ascii_lowercase(),
                base64(&plain).to_ascii_lowercase(),
                password.iter().flat_map(|octet| format!("{octet:02x}").into_bytes()).collect(),
            ],
        }
    }

    /// The forms of an access token that are hidden: itself, and its base64 in XOAUTH2 and in OAUTHBEARER. `server` is that of the second
    /// one.
    pub fn of_token(user: &str, token: &str, server: (&str, u16)) -> Secrets {
        let (host, port) = server;
        let xoauth2 = format!("user={user}\x01auth=Bearer {token}\x01\x01");
        let oauthbearer = format!("n,a={user},\x01host={host}\x01port={port}\x01auth=Bearer {token}\x01\x01");
        let base64 = [xoauth2, oauthbearer].map(|message| base64(message.as_bytes()).to_ascii_lowercase());
        Secrets { forms: [token.to_ascii_lowercase().into_bytes()].into_iter().chain(base64).collect() }
    }

    /// Those that must be hidden when this was sent: the first form, and those that are in it.
    pub fn once_sent(&self, sent: &[u8]) -> Secrets {
        let sent = sent.to_ascii_lowercase();
        let is_sent = |form: &[u8]| sent.windows(form.len()).any(|window| window == form);
        let forms = self.forms.iter().enumerate().filter(|(n, form)| *n == 0 || is_sent(form));
        Secrets { forms: forms.map(|(_, form)| form.clone()).collect() }
    }

    /// Adds an answer that was sent.
    pub fn add(&mut self, sent: &[u8]) {
        self.forms.push(sent.to_ascii_lowercase());
    }

    /// Whether one of them is in the text, in upper or lower case.
    pub fn is_in(&self, text: &[u8]) -> bool {
        let text = text.to_ascii_lowercase();
        self.forms.iter().any(|form| text.windows(form.len()).any(|window| window[0] == form[0] && window == form))
    }

    /// Whether one of them is in the lines of a server, even folded over several lines.
    pub fn is_in_lines(&self, text: &[u8]) -> bool {
        let is_code =
            |line: &[u8]| line.len() > 3 && line[..3].iter().all(u8::is_ascii_digit) && b"- \t".contains(&line[3]);
        let lines = text.split(|c| *c == b'\n').map(|line| if is_code(line) { &line[4..] } else { line });
        self.is_in(text) || self.is_in(&lines.collect::<Vec<_>>().concat())
    }
}

/// RFC 4648 section 4.
pub fn base64(octets: &[u8]) -> Vec<u8> {
    const ALPHABET: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = Vec::new();
    for three in octets.chunks(3) {
        let bits = three.iter().fold(0, |bits, octet| bits << 8 | usize::from(*octet)) << (8 * (3 - three.len()));
        for place in 0..4 {
            text.push(if place <= three.len() { ALPHABET[bits >> (18 - 6 * place) & 63] } else { b'=' });
        }
    }
    text
}
