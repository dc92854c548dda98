//! A login by an access token: which token is shown, when a program is run for another one, and what is sent of it.

mod check;
mod mechanisms;
mod program;
mod refused;
mod remembered;
mod supply;

use crate::support::executable::write_script;
use crate::support::server::{Action, Event, Rules, Server, Session};
use crate::support::{Delivered, Home};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use std::fs::{self, DirBuilder, OpenOptions};
use std::io::{Read, Write};
use std::mem;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::SystemTime;

/// Why a token is refused, as Dovecot says it.
const JSON: &str = r#"{"status":"401","schemes":"bearer","scope":"mail"}"#;

/// A relay that takes some tokens.
struct Relay {
    server: Server,
    good: Arc<Mutex<Vec<String>>>,
    heard: Arc<Mutex<Vec<String>>>,
}

impl Relay {
    fn start(good: &[&str]) -> Relay {
        Relay::offering("AUTH PLAIN LOGIN XOAUTH2 OAUTHBEARER", "535 5.7.8 no", good)
    }

    /// It offers this, and says that of a token that it does not take, behind the JSON.
    fn offering(auth: &str, refusal: &'static str, good: &[&str]) -> Relay {
        let good = Arc::new(Mutex::new(good.iter().map(|token| (*token).to_owned()).collect::<Vec<_>>()));
        let heard = Arc::new(Mutex::new(Vec::new()));
        let (tokens, notes) = (good.clone(), heard.clone());
        let mut is_refused = false;
        let rules = Rules::offering(&["PIPELINING", auth]).hooked(move |event: &Event, _: &Session| {
            let base64 = match event {
                Event::Connect => {
                    notes.lock().unwrap().push("CONNECT".to_owned());
                    return Action::Default;
                }
                Event::Command(line) if line.starts_with("AUTH ") => {
                    is_refused = false;
                    let mut words = line.split(' ').skip(1);
                    notes.lock().unwrap().push(words.next().unwrap().to_owned());
                    match words.next() {
                        Some(base64) => base64,
                        None => return Action::reply("334 "),
                    }
                }
                Event::Answer { line, .. } => line,
                _ => return Action::Default,
            };
            if is_refused {
                notes.lock().unwrap().push(format!("end {base64:?}"));
                return Action::reply(refusal);
            }
            let message = String::from_utf8(STANDARD.decode(base64).unwrap()).unwrap();
            let Some((_, token)) = message.split_once("auth=Bearer ") else { return Action::reply("535 5.7.8 no") };
            let token = token.trim_end_matches('\x01').to_owned();
            notes.lock().unwrap().push(token.clone());
            if tokens.lock().unwrap().contains(&token) {
                return Action::reply("235 2.7.0 ok");
            }
            is_refused = true;
            Action::reply(format!("334 {}", STANDARD.encode(JSON)))
        });
        Relay { server: Server::start(rules), good, heard }
    }

    /// From now on it takes these.
    fn takes(&self, good: &[&str]) {
        *self.good.lock().unwrap() = good.iter().map(|token| (*token).to_owned()).collect();
    }

    /// What it has heard since the last call: connections, mechanisms, tokens.
    fn heard(&self) -> String {
        mem::take(&mut *self.heard.lock().unwrap()).join(", ")
    }

    /// A home whose mail goes there, as me@example.com by a token, and HOME/accounts.
    fn home(&self) -> Home {
        home_to(&self.server)
    }

    fn home_without_user(&self) -> Home {
        home_without_user(&self.server)
    }
}

fn home_to(server: &Server) -> Home {
    let home = home_without_user(server);
    home.control("relays/127.0.0.1/user", "me@example.com\n");
    home
}

fn home_without_user(server: &Server) -> Home {
    let home = Home::with_route(&format!("127.0.0.1:{}", server.port()));
    fs::create_dir_all(home.path().join("control/relays/127.0.0.1/oauth")).unwrap();
    DirBuilder::new().mode(0o700).create(home.path().join("accounts")).unwrap();
    home
}

/// The directory of me@example.com at the relay.
fn account(home: &Home) -> PathBuf {
    home.path().join("accounts/127.0.0.1/me@example.com")
}

/// Stores a token that was asked for so many seconds ago and is good for so many from now on.
fn store(home: &Home, token: &str, age: i64, left: i64) {
    DirBuilder::new().mode(0o700).recursive(true).create(account(home)).unwrap();
    let new = account(home).join("access.of-a-test");
    let mut file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&new).unwrap();
    write!(file, "{token}\n{}\n{}\n", unix() - age, unix() + left).unwrap();
    fs::rename(new, account(home).join("access")).unwrap();
}

/// The token that is kept.
fn stored(home: &Home) -> Option<String> {
    let text = fs::read_to_string(account(home).join("access")).ok()?;
    text.lines().next().map(str::to_owned)
}

/// A process that holds the lock of the login until its input ends.
fn lock_holder(home: &Home) -> Child {
    let mut holder = Command::new("flock");
    holder.arg(account(home).join("open")).args(["sh", "-c", "echo locked; read -r _"]);
    let mut holder = holder.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    assert_eq!(holder.stdout.as_mut().unwrap().read(&mut [0; 7]).unwrap(), 7);
    holder
}

/// Tokens come from a script, which notes each run.
fn with_script(home: &Home, script: &str) {
    let path = home.path().join("token-program");
    write_script(&path, &format!("echo run >>{}\n{script}", home.path().join("runs").display()));
    home.control("relays/127.0.0.1/oauth/command", format!("{} a  b\n", path.display()));
}

/// How often it has been run since the last call.
fn runs(home: &Home) -> usize {
    let path = home.path().join("runs");
    let count = fs::read_to_string(&path).unwrap_or_default().lines().count();
    _ = fs::remove_file(path);
    count
}

fn deliver(home: &Home) -> Delivered {
    let delivered = home.deliver("a@example.net", &["b@example.org"], b"Subject: token\n\n");
    assert!(!delivered.verdict().contains("secret-"), "{}", delivered.verdict());
    delivered
}

fn unix() -> i64 {
    SystemTime::UNIX_EPOCH.elapsed().unwrap().as_secs() as i64
}
