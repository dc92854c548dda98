//! SCRAM with a server that alters what it should say: nobody is logged in by a server that does not prove that it knows the password,
//! and such a server learns nothing more.
//!
//! The first octet of the input chooses the mechanism. Then comes a piece for each reply: a letter for its code, a letter for what is
//! done with the right message, a place in that, and a text. `h`: it is sent as it is. `c`: it is cut there. `i`: the text is put in.
//! `o`: the text overwrites what is there. `x`: the text is sent instead. A capital letter does the same to its base64.
#![no_main]

#[path = "../../tests/support/server/scram.rs"]
#[allow(dead_code)] // the tests use the rest
mod scram;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use qmail_auth::client::{Channel, Client, Permission, Step};
use qmail_auth::detect::Offer;
use qmail_auth::{Login, PasswordLogin, mechanisms};
use scram::{NAMES, Scram};
use support::pieces;
use support::secrets::Secrets;

const BINDING: [u8; 32] = [9; 32];
const PASSWORD: &[u8] = b"Q9secretQ9";
/// More are computed in the tests; here each takes its time.
const ROUNDS: u64 = 8192;

libfuzzer_sys::fuzz_target!(|input: &[u8]| {
    let Some((choice, replies)) = input.split_first() else { return };
    let mechanism = NAMES[usize::from(*choice) % NAMES.len()];
    let order = [mechanism, "PLAIN", "LOGIN"];
    let configured = order.iter().filter_map(|name| mechanisms::usable(name)).collect();
    let login = PasswordLogin { user: b"u,=".to_vec(), password: PASSWORD.to_vec().into(), clear_allowed: false };
    let client = Client::new(Login::Password(login), None, Some(configured));
    let mut dialogue =
        Dialogue { client, server: None, right: Vec::new(), answered: false, proven: false, over: false };
    let offer = Offer { offered: true, names: order.map(str::to_owned).to_vec() };
    let step = dialogue.client.begin(offer, Permission::Any, Channel::Tls13);
    dialogue.take(step);
    for piece in pieces(replies) {
        if dialogue.over || !dialogue.reply(piece) {
            return;
        }
    }
});

struct Dialogue {
    client: Client,
    server: Option<Scram>,
    /// What an honest server would say now.
    right: Vec<u8>,
    /// The client has sent its proof.
    answered: bool,
    /// The server has sent its own.
    proven: bool,
    over: bool,
}

impl Dialogue {
    /// Says something to the client. False: that would take too long, or the server cannot follow.
    fn reply(&mut self, piece: &[u8]) -> bool {
        let [code, what, place, text @ ..] = piece else { return true };
        let code = match code {
            b'l' => 235,
            b'r' => 535,
            b'n' => 501,
            b'd' => 454,
            _ => 334,
        };
        let said = if what.is_ascii_uppercase() {
            altered(STANDARD.encode(&self.right).as_bytes(), *what, *place, text)
        } else {
            STANDARD.encode(altered(&self.right, *what, *place, text)).into_bytes()
        };
        // Some servers have blanks before it, and words behind it.
        let start = said.iter().position(|c| !b" \t".contains(c)).unwrap_or(said.len());
        let word = said[start..].split(|c| b" \t\r\n".contains(c)).next().unwrap_or_default();
        let message = STANDARD.decode(word).unwrap_or_default();
        let rounds = String::from_utf8_lossy(&message);
        let rounds = rounds.split(",i=").nth(1).and_then(|rounds| rounds.split(',').next()?.parse::<u64>().ok());
        if rounds.is_some_and(|rounds| rounds > ROUNDS && rounds <= 1_000_000) {
            return false;
        }
        let is_right = message.split(|c| *c == b',').next() == Some(&self.right[..]);
        self.proven |= self.answered && is_right && (code == 334 || code == 235);
        if let Some(server) = self.server.as_mut().filter(|_| code == 334 && !self.answered) {
            let Ok(first) = String::from_utf8(message.clone()) else {
                self.client.step(code, &said);
                return false; // the server's side is text
            };
            server.first = first;
        }
        let is_final = code == 334 && self.answered;
        let step = self.client.step(code, &said);
        if is_final && !self.proven && !message.starts_with(b"e=") {
            assert!(matches!(&step, Step::Send(line) if **line == *b"*"), "a proof that is none is believed");
            let step = self.client.step(501, b"");
            assert!(matches!(step, Step::Failed(_)), "something is sent to a server without a proof");
            self.over = true;
            return true;
        }
        self.take(step);
        true
    }

    fn take(&mut self, step: Step) {
        match step {
            Step::Random { binding } => {
                let step = self.client.random(Some([7; 18]), binding.then_some(BINDING));
                self.take(step);
            }
            Step::Proceed => {
                assert!(self.proven, "a login at a server that does not know the password");
                self.over = true;
            }
            Step::Send(line) => self.heard(&line),
            Step::Reconnect(why) | Step::Deferred(why) | Step::Failed(why) => {
                let secrets = Secrets::of(b"u,=", PASSWORD);
                assert!(!secrets.is_in(why.to_string().as_bytes()));
                self.over = true;
            }
        }
    }

    /// The server's side.
    fn heard(&mut self, line: &[u8]) {
        assert!(line.len() <= 510);
        let line = String::from_utf8(line.to_vec()).expect("ASCII");
        let mut words = line.split(' ');
        match (words.next().unwrap_or_default(), &self.server) {
            ("AUTH", _) => {
                let mechanism = words.next().unwrap();
                // What shows the password comes only when SCRAM is over, and not here.
                self.over = !mechanism.starts_with("SCRAM");
                let message = words.next().and_then(|message| STANDARD.decode(message).ok());
                self.server = message.and_then(|message| Scram::start(mechanism, &message, PASSWORD, Some(BINDING)));
                self.right = self.server.as_ref().map_or_else(Vec::new, |server| server.first.clone().into_bytes());
            }
            ("*", _) => (self.right, self.answered) = (Vec::new(), false),
            ("", _) | (_, None) => self.right.clear(),
            (line, Some(server)) => {
                let message = STANDARD.decode(line).expect("base64");
                if message.starts_with(b"c=") {
                    let proof = server.proof(&message).expect("the client proves that it knows the password");
                    (self.right, self.answered) = (proof.into_bytes(), true);
                }
            }
        }
    }
}

fn altered(right: &[u8], what: u8, place: u8, text: &[u8]) -> Vec<u8> {
    let place = usize::from(place).min(right.len());
    let (before, behind) = right.split_at(place);
    match what.to_ascii_lowercase() {
        b'h' => right.to_vec(),
        b'c' => before.to_vec(),
        b'i' => [before, text, behind].concat(),
        b'o' => [before, text, behind.get(text.len()..).unwrap_or_default()].concat(),
        _ => text.to_vec(),
    }
}
