//! The lines of control/smtproutes and control/authsenders, all of them, as a delivery would understand each.

use crate::control::files::{Control, ControlError};
use crate::control::senders::{self, Sender};
use crate::control::{relays, routes};
use qmail_auth::secret::Secret;

/// The lines of one of the two files. Without the file there are none.
#[derive(Default)]
pub struct Lines {
    /// Those with a key.
    pub lines: Vec<Line>,
    /// Those that are for nothing, by their numbers.
    pub strays: Vec<(usize, Stray)>,
    /// There is a login in it, or what may be a part of one.
    pub has_secret: bool,
}

/// A line with a key.
pub struct Line {
    /// `control/smtproutes line 1`.
    pub source: String,
    /// Its number in the file.
    pub number: usize,
    /// What stands before the colon. Where that was forgotten it may be of the password.
    pub key: Secret,
    /// What stands behind it.
    pub value: Secret,
    /// What that means. None: nothing of its own.
    pub says: Result<Option<Sender>, ControlError>,
    /// The directory of its relay, as [`relays::directory`] has it.
    pub directory: Option<String>,
    /// The number of the line that counts in its place, since it has the same key and comes later.
    pub replaced_by: Option<usize>,
}

/// A line that is for nothing.
pub enum Stray {
    /// Nobody looks at it: a line of smtproutes without a colon.
    Ignored,
    /// It puts off all mail: a line of authsenders whose key cannot be told.
    Unclear(ControlError),
    /// A comment with a login in it.
    Comment,
}

impl Line {
    /// A blank or a bar stands in the key. It is then hardly a name; rather a colon was forgotten, and what stands
    /// behind the first one there is may be a part of the password.
    pub fn is_doubtful(&self) -> bool {
        self.key.iter().any(|c| b" \t|".contains(c))
    }

    /// The line itself has a login, be it understood or not.
    pub fn has_login(&self) -> bool {
        self.key.iter().chain(self.value.iter()).any(|c| b" \t|".contains(c))
    }

    /// It names a relay and no login. The key does not count: a sender may have a blank in it.
    pub fn goes_without(&self) -> bool {
        !self.value.is_empty() && routes::relay_end(&self.value) == self.value.len()
    }
}

impl Lines {
    /// Reads `file`, which is [`routes::FILE`] or [`senders::FILE`], and what control/relays adds to its lines.
    pub fn read(control: &Control, file: &'static str) -> Result<Lines, ControlError> {
        let content = control.read(file)?.unwrap_or_default();
        Ok(Lines::of(file, &content).complete(control, |_| true))
    }

    /// Those of a file with this content, by itself.
    pub fn of(file: &'static str, content: &[u8]) -> Lines {
        let mut found = Lines::default();
        for entry in entries(file, content) {
            let (key, value, number) = match entry {
                Ok(entry) => entry,
                Err((number, stray)) => {
                    found.strays.push((number, stray));
                    continue;
                }
            };
            let says = understand(file, value, number);
            let directory = match &says {
                Ok(Some(Sender::Relay(route))) => relays::directory(&route.host),
                _ => None,
            };
            let source = format!("control/{file} line {number}");
            let (key, value) = (Secret::from(key), Secret::from(value));
            found.lines.push(Line { source, number, key, value, says, directory, replaced_by: None });
        }
        mark_replaced(&mut found.lines);
        let comments = content.split(|c| *c == b'\n').zip(1..).filter(|(line, _)| is_commented_login(file, line));
        found.strays.extend(comments.map(|(_, number)| (number, Stray::Comment)));
        found.strays.sort_by_key(|(number, _)| *number);
        let of_login = |line: &[u8]| line.iter().any(|c| b" \t|".contains(c));
        let is_secret = found.strays.iter().any(|(_, stray)| matches!(stray, Stray::Comment));
        found.has_secret = is_secret || routes::lines(content).any(|(line, _)| of_login(line));
        found
    }

    /// Adds to the lines that are wanted what control/relays says.
    pub fn complete(mut self, control: &Control, is_wanted: impl Fn(&Line) -> bool) -> Lines {
        for line in self.lines.iter_mut().filter(|line| is_wanted(line)) {
            line.says = match std::mem::replace(&mut line.says, Ok(None)) {
                Ok(Some(Sender::Relay(route))) => {
                    relays::complete(control, *route).map(|route| Some(Sender::Relay(Box::new(route))))
                }
                says => says,
            };
        }
        self
    }

    /// The lines that count.
    pub fn that_count(&self) -> impl Iterator<Item = &Line> {
        self.lines.iter().filter(|line| line.replaced_by.is_none())
    }
}

/// Of several lines with the same key the last counts. They are sorted to find them: a map by what a key is in lower case would
/// have copies of it.
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

type Entry<'a> = Result<(&'a [u8], &'a [u8], usize), (usize, Stray)>;

/// Each line that is no comment.
fn entries<'a>(file: &str, content: &'a [u8]) -> Vec<Entry<'a>> {
    let of_senders = file == senders::FILE;
    let entry = |(line, number)| match of_senders {
        true => senders::entry(line, number).map_err(|why| (number, Stray::Unclear(why))),
        false => routes::entry(line, number).ok_or((number, Stray::Ignored)),
    };
    routes::lines(content).map(entry).collect()
}

fn understand(file: &str, value: &[u8], number: usize) -> Result<Option<Sender>, ControlError> {
    match file {
        _ if value.is_empty() => Ok(None),
        senders::FILE => senders::understand(value, number),
        _ => routes::understand(value, number).map(|route| Some(Sender::Relay(Box::new(route)))),
    }
}

/// A line that was a good one with a login before somebody put a `#` there. The key is then one word, as in few other
/// comments.
fn is_commented_login(file: &str, line: &[u8]) -> bool {
    let Some(rest) = line.strip_prefix(b"#") else { return false };
    entries(file, rest.trim_ascii()).into_iter().flatten().any(|(key, value, number)| {
        let has_login = match understand(file, value, number) {
            Ok(Some(Sender::Relay(route))) => route.credentials.is_some(),
            Ok(Some(Sender::Login(_))) => true,
            _ => false,
        };
        has_login && !key.iter().any(|c| b" \t|".contains(c))
    })
}
