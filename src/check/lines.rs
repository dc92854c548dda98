//! All lines of control/smtproutes or control/authsenders, each with the meaning that it has for a delivery.

use crate::control::files::{Control, ControlError};
use crate::control::senders::{self, Sender};
use crate::control::{Credentials, relays, routes};
use qmail_auth::LoginKind;
use qmail_auth::secret::Secret;

/// The lines of one of the two files; none if the file is missing.
#[derive(Default)]
pub struct Lines {
    /// The lines with a key.
    pub lines: Vec<Line>,
    /// The other lines that are worth a note, with their numbers.
    pub keyless: Vec<(usize, Keyless)>,
    /// The file has a login in it, or perhaps a part of one.
    pub has_secret: bool,
}

pub struct Line {
    /// `control/smtproutes line 1`.
    pub source: String,
    /// Its number in the file.
    pub number: usize,
    /// What is before the colon. If that colon was forgotten, this can be a part of the password.
    pub key: Secret,
    /// What is after the colon.
    pub value: Secret,
    /// The meaning of the value. None for an empty one.
    pub meaning: Result<Option<Sender>, ControlError>,
    /// The directory of its relay, from [`relays::directory`].
    pub directory: Option<String>,
    /// The number of a later line with the same key, which counts instead of this one.
    pub replaced_by: Option<usize>,
}

/// A line without a key.
pub enum Keyless {
    /// In smtproutes: without a colon a line is ignored.
    NoColon,
    /// In authsenders: a line that is for an unknown sender defers all mail.
    UnknownSender(ControlError),
    /// A comment with a login in it.
    CommentedLogin,
}

impl Line {
    /// The key has a blank or a bar in it. Then it is hardly a name. More likely the colon before a login was forgotten, and the
    /// first colon of the line is inside the password.
    pub fn is_doubtful(&self) -> bool {
        self.key.iter().any(|c| b" \t|".contains(c))
    }

    /// The line itself has a login, valid or not.
    pub fn has_login(&self) -> bool {
        self.key.iter().chain(self.value.iter()).any(|c| b" \t|".contains(c))
    }

    /// The login is a user alone, for a token.
    fn has_user_alone(&self) -> bool {
        let credentials = match &self.meaning {
            Ok(Some(Sender::Relay(route))) => route.credentials.as_ref(),
            Ok(Some(Sender::Login(credentials))) => Some(credentials),
            _ => None,
        };
        credentials.is_some_and(|credentials| credentials.login.kind() == LoginKind::Token)
    }

    /// The value is a relay without a login. The key is not looked at, as a sender may have a blank in it.
    pub fn is_relay_alone(&self) -> bool {
        !self.value.is_empty() && routes::relay_end(&self.value) == self.value.len()
    }
}

impl Lines {
    /// Reads `file`, which is [`routes::FILE`] or [`senders::FILE`], and what control/relays adds to its lines.
    pub fn read(control: &Control, file: &'static str) -> Result<Lines, ControlError> {
        let content = control.read(file)?.unwrap_or_default();
        Ok(Lines::parse(file, &content).complete(control, |_| true))
    }

    /// The lines of a file with this content, without control/relays.
    pub fn parse(file: &'static str, content: &[u8]) -> Lines {
        let mut found = Lines::default();
        for entry in entries(file, content) {
            let (key, value, number) = match entry {
                Ok(entry) => entry,
                Err(keyless) => {
                    found.keyless.push(keyless);
                    continue;
                }
            };
            let meaning = understand(file, value, number);
            let directory = match &meaning {
                Ok(Some(Sender::Relay(route))) => relays::directory(&route.host),
                _ => None,
            };
            let source = format!("control/{file} line {number}");
            let (key, value) = (Secret::from(key), Secret::from(value));
            found.lines.push(Line { source, number, key, value, meaning, directory, replaced_by: None });
        }
        mark_replaced(&mut found.lines);
        let comments = content.split(|c| *c == b'\n').zip(1..).filter(|(line, _)| is_commented_login(file, line));
        found.keyless.extend(comments.map(|(_, number)| (number, Keyless::CommentedLogin)));
        found.keyless.sort_by_key(|(number, _)| *number);
        let has_login = |line: &[u8]| line.iter().any(|c| b" \t|".contains(c));
        let in_comment = found.keyless.iter().any(|(_, line)| matches!(line, Keyless::CommentedLogin));
        // A user alone is no secret: the login is by a token, which is elsewhere.
        let logins = routes::lines(content).filter(|(line, _)| has_login(line)).count();
        let users = found.lines.iter().filter(|line| line.has_user_alone()).count();
        found.has_secret = in_comment || logins > users;
        found
    }

    /// Adds what control/relays says to the meaning of each line that `is_wanted`.
    pub fn complete(mut self, control: &Control, is_wanted: impl Fn(&Line) -> bool) -> Lines {
        for line in self.lines.iter_mut().filter(|line| is_wanted(line)) {
            line.meaning = match std::mem::replace(&mut line.meaning, Ok(None)) {
                Ok(Some(Sender::Relay(mut route))) => {
                    relays::complete(control, &mut route).map(|()| Some(Sender::Relay(route)))
                }
                other => other,
            };
        }
        self
    }

    /// The lines that count: no later line has the same key.
    pub fn effective(&self) -> impl Iterator<Item = &Line> {
        self.lines.iter().filter(|line| line.replaced_by.is_none())
    }
}

/// Of several lines with the same key the last counts. Sorting finds them without a copy of each key in lower case, which a map
/// would need: a key can be a part of a password.
fn mark_replaced(lines: &mut [Line]) {
    let in_lower_case = |line: &usize| lines[*line].key.iter().map(u8::to_ascii_lowercase);
    let mut sorted: Vec<usize> = (0..lines.len()).collect();
    sorted.sort_by(|one, other| in_lower_case(one).cmp(in_lower_case(other)));
    for pair in sorted.windows(2).rev() {
        let [line, next] = [pair[0], pair[1]];
        if lines[line].key.eq_ignore_ascii_case(&lines[next].key) {
            lines[line].replaced_by = lines[next].replaced_by.or(Some(lines[next].number));
        }
    }
}

/// Key, value and number of a line; or its number and why it has no key.
type Entry<'a> = Result<(&'a [u8], &'a [u8], usize), (usize, Keyless)>;

/// All lines but comments.
fn entries<'a>(file: &str, content: &'a [u8]) -> Vec<Entry<'a>> {
    let entry = |(line, number)| {
        if file == senders::FILE {
            senders::entry(line, number).map_err(|why| (number, Keyless::UnknownSender(why)))
        } else {
            routes::entry(line, number).ok_or((number, Keyless::NoColon))
        }
    };
    routes::lines(content).map(entry).collect()
}

fn understand(file: &str, value: &[u8], number: usize) -> Result<Option<Sender>, ControlError> {
    match file {
        _ if value.is_empty() => Ok(None),
        senders::FILE => senders::understand(value, number),
        _ => routes::understand(value, number).map(|route| Some(Sender::Relay(route))),
    }
}

/// A valid line with a login behind a `#`. Its key must be one word, which few other comments have before a colon.
fn is_commented_login(file: &str, line: &[u8]) -> bool {
    let Some(rest) = line.strip_prefix(b"#") else { return false };
    entries(file, rest.trim_ascii()).into_iter().flatten().any(|(key, value, number)| {
        let is_secret = |credentials: &Credentials| credentials.login.kind() == LoginKind::Password;
        let has_login = match understand(file, value, number) {
            Ok(Some(Sender::Relay(route))) => route.credentials.is_some_and(|credentials| is_secret(&credentials)),
            Ok(Some(Sender::Login(credentials))) => is_secret(&credentials),
            _ => false,
        };
        has_login && !key.iter().any(|c| b" \t|".contains(c))
    })
}
