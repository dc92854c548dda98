//! What is remembered of logins: the rules alone, and whole deliveries to a relay whose mind can be changed between them.

mod check;
mod directory;
mod memory;
mod no_hash;
mod queue;
mod table;
mod turns;

use crate::support::server::{Action, Event, Rules, Server};
use crate::support::{Delivered, Home};
use std::fs::{self, DirBuilder};
use std::mem;
use std::os::unix::fs::DirBuilderExt;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::SystemTime;

/// A reply for each beginning of what the relay hears, as for `Rules::answering`; `close` closes the connection.
type Table = &'static [(&'static str, &'static str)];

/// A relay that tells what it has heard so far.
struct Relay {
    server: Server,
    heard: Arc<Mutex<Vec<String>>>,
    table: Arc<Mutex<Table>>,
}

/// The relay does not take the password.
const WRONG: Table = &[("AUTH PLAIN", "535 5.7.8 no"), ("ANSWER LOGIN", "535 5.7.8 no, and no")];
/// It takes any.
const RIGHT: Table = &[("AUTH ", "235 2.7.0 ok")];

impl Relay {
    /// It offers PLAIN and LOGIN.
    fn start(table: Table) -> Relay {
        Relay::offering("AUTH PLAIN LOGIN", table)
    }

    fn offering(auth: &str, table: Table) -> Relay {
        let (heard, table) = (Arc::new(Mutex::new(Vec::new())), Arc::new(Mutex::new(table)));
        let (notes, replies) = (heard.clone(), table.clone());
        let rules = Rules::offering(&["PIPELINING", auth]).hooked(move |event: &Event, _: &_| {
            let text = event.text();
            match event {
                Event::Connect => notes.lock().unwrap().push(text.clone()),
                Event::Command(line) if line.starts_with("AUTH ") => {
                    notes.lock().unwrap().push(line.split(' ').take(2).collect::<Vec<_>>().join(" "));
                }
                _ => {}
            }
            match replies.lock().unwrap().iter().find(|(begin, _)| text.starts_with(begin)) {
                None => Action::Default,
                Some((_, "close")) => Action::Close,
                Some((_, reply)) => Action::reply(reply),
            }
        });
        Relay { server: Server::start(rules), heard, table }
    }

    /// From now on it answers by this table.
    fn says(&self, table: Table) {
        *self.table.lock().unwrap() = table;
    }

    /// What it has heard since the last call: `CONNECT`, and the AUTH commands without what follows the mechanism.
    fn heard(&self) -> String {
        mem::take(&mut *self.heard.lock().unwrap()).join(", ")
    }

    /// A home with this login behind the route to it, and HOME/accounts.
    fn home(&self, login: &str) -> Home {
        let home = Home::with_route(&format!("127.0.0.1:{} {login}", self.server.port()));
        with_accounts(home)
    }
}

fn with_accounts(home: Home) -> Home {
    DirBuilder::new().mode(0o700).create(home.path().join("accounts")).unwrap();
    home
}

/// The directory of myuser at the relay.
fn account(home: &Home) -> PathBuf {
    home.path().join("accounts/127.0.0.1/myuser")
}

/// The lines of its memory, without the stamp; none if there is no file.
fn remembered(home: &Home) -> Vec<String> {
    let text = fs::read_to_string(account(home).join("memory")).unwrap_or_default();
    text.lines().skip(1).map(str::to_owned).collect()
}

/// The first word of each line, how often, and for how many seconds.
fn facts(lines: &[String]) -> Vec<String> {
    let fact = |line: &String| match line.split(' ').collect::<Vec<_>>()[..] {
        [word @ ("refused" | "deferred"), count, at, until, source, ..] => {
            assert!(source.starts_with("control/"), "{line}");
            let [at, until]: [u64; 2] = [at, until].map(|time| time.parse().unwrap());
            format!("{word} {count} {}", until - at)
        }
        [word, mechanism, _] => format!("{word} {mechanism}"),
        [word, _] => word.to_owned(),
        _ => panic!("{line}"),
    };
    lines.iter().map(fact).collect()
}

/// Writes the memory anew, with something replaced in it.
fn rewrite(home: &Home, change: impl FnOnce(String) -> String) {
    let path = account(home).join("memory");
    let text = change(fs::read_to_string(&path).unwrap());
    fs::write(path, text).unwrap();
}

/// As if so many seconds had passed since: all times in the memory are earlier by that.
fn later(home: &Home, seconds: u64) {
    rewrite(home, |text| {
        let earlier = |line: &str| {
            let mut words: Vec<String> = line.split(' ').map(str::to_owned).collect();
            if ["refused", "deferred"].contains(&&words[0][..]) {
                for word in &mut words[2..4] {
                    *word = (word.parse::<u64>().unwrap() - seconds).to_string();
                }
            }
            words.join(" ") + "\n"
        };
        text.lines().map(earlier).collect()
    });
}

fn deliver(home: &Home) -> Delivered {
    home.deliver("a@example.net", &["b@example.org"], b"Subject: account\n\n")
}

/// The report says that the login was refused before, and nothing else was done.
fn is_refused_before(delivered: &Delivered) -> bool {
    delivered.verdict().starts_with("ZLogin refused before. (#4.7.8) Relay 127.0.0.1:")
}

fn unix() -> u64 {
    SystemTime::UNIX_EPOCH.elapsed().unwrap().as_secs()
}
