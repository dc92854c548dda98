//! The text of the file `memory`: writing and reading it. The format is in the head of [`super`].

use super::{Fact, Failure, MOST, Memory, What};
use std::fmt::{self, Display, Formatter};

/// How the first line begins.
const STAMP: &str = "stamp ";
/// The most octets of a relay's words.
const WORDS: usize = 200;

impl Memory {
    /// Reads the file. None: something in it is odd.
    pub fn parse(file: &[u8]) -> Option<Memory> {
        let text = std::str::from_utf8(file).ok().filter(|text| text.len() <= MOST)?;
        let mut lines = text.strip_suffix('\n')?.split('\n');
        let mut numbers = lines.next()?.strip_prefix(STAMP)?.split(' ').map(number);
        let (stamp, token) = (numbers.next()??, numbers.next());
        let token = token.map_or(Some(0), |token| token.filter(|token| *token != 0))?;
        numbers.next().is_none().then_some(())?;
        Some(Memory { stamp, token, facts: lines.map(fact).collect::<Option<_>>()? })
    }
}

/// The file: what is about the login of this mail first, then all else that has room, where need be without a relay's words.
impl Display for Memory {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let lines: usize = self.facts.iter().map(|fact| line(fact, true).len()).sum();
        let token = self.token().map_or_else(String::new, |token| format!(" {token:016x}"));
        let mut text = format!("{STAMP}{:016x}{token}\n", self.stamp);
        let has_room = text.len() + lines <= MOST;
        for (place, fact) in self.facts.iter().enumerate() {
            let line = line(fact, has_room || place == 0);
            if text.len() + line.len() <= MOST {
                text += &line;
            }
        }
        f.write_str(&text)
    }
}

fn line(Fact { source, what }: &Fact, with_words: bool) -> String {
    let failure = |word, Failure { count, at, until, words }: &Failure| {
        let words = if with_words { words } else { "..." };
        format!("{word} {count} {at} {until} {source} {words}\n")
    };
    match what {
        What::Good(mechanism) => format!("good {mechanism} {source}\n"),
        What::No(mechanism) => format!("no {mechanism} {source}\n"),
        What::Hide => format!("hide {source}\n"),
        What::Renewing => format!("renewing {source}\n"),
        What::Refused(of) => failure("refused", of),
        What::Deferred(of) => failure("deferred", of),
    }
}

/// A stamp.
fn number(digits: &str) -> Option<u64> {
    let is_number = digits.len() == 16 && !digits.starts_with('+');
    is_number.then(|| u64::from_str_radix(digits, 16).ok()).flatten()
}

/// Reads one line.
fn fact(line: &str) -> Option<Fact> {
    let (word, rest) = line.split_once(' ')?;
    let what: fn(String) -> What = match word {
        "good" => What::Good,
        "no" => What::No,
        "hide" => return Some(Fact { source: word_of(rest)?, what: What::Hide }),
        "renewing" => return Some(Fact { source: word_of(rest)?, what: What::Renewing }),
        "refused" => return failure(rest, What::Refused),
        "deferred" => return failure(rest, What::Deferred),
        _ => return None,
    };
    let (mechanism, source) = rest.split_once(' ')?;
    Some(Fact { source: word_of(source)?, what: what(word_of(mechanism)?) })
}

fn failure(rest: &str, what: fn(Failure) -> What) -> Option<Fact> {
    let mut words = rest.splitn(5, ' ');
    let count = words.next()?.parse().ok().filter(|count| *count > 0)?;
    let (at, until) = (words.next()?.parse().ok()?, words.next()?.parse().ok()?);
    let source = word_of(words.next()?)?;
    let words = words.next().filter(|words| one_line(words) == *words)?.to_owned();
    Some(Fact { source, what: what(Failure { count, at, until, words }) })
}

fn word_of(text: &str) -> Option<String> {
    let is_word = !text.is_empty() && text.bytes().all(|c| c.is_ascii_graphic());
    is_word.then(|| text.to_owned())
}

/// Words of a relay as one line that is not too long. It is shown to people, so control characters are replaced.
pub(super) fn one_line(words: &str) -> String {
    let shown = |c: char| if c.is_control() { '?' } else { c };
    let mut line = String::new();
    for c in words.trim().chars().map(shown) {
        if line.len() + c.len_utf8() > WORDS {
            break;
        }
        line.push(c);
    }
    line.trim_end().to_owned()
}
