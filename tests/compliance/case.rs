//! What a case says, as its file has it. The head of tests/compliance/main.rs explains the fields to those who write cases.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::Deserialize;
use serde::de::Error as _;
use std::collections::BTreeMap;
use toml::Value;
use toml::de::Error;

pub const MESSAGE: &str = "Subject: hello\n\nhello\n";

/// The beginning of a delivery in which nothing is odd.
const ENVELOPE: [&str; 3] = ["HELO client.example.net", "MAIL FROM:<sender@example.net>", "RCPT TO:<one@example.org>"];

/// The rest of it.
const DATA: [&str; 6] = ["DATA", "Subject: hello", "", "hello", ".", "QUIT"];

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Case {
    pub name: String,
    pub fact: String,
    #[serde(default = "usual_arguments")]
    pub argv: Vec<String>,
    #[serde(default)]
    pub control: BTreeMap<String, String>,
    #[serde(default)]
    pub no_control: Vec<String>,
    #[serde(default = "usual_message")]
    pub message: String,
    pub server: Option<Script>,
    #[serde(default)]
    pub servers: BTreeMap<String, Script>,
    pub tcpto: Option<Tcpto>,
    #[serde(default)]
    pub stdout: Vec<String>,
    #[serde(default)]
    pub wire: Vec<String>,
    pub config: Option<Config>,
    pub check: Option<Check>,
    #[serde(default)]
    pub runs: Option<Runs>,
    pub stock: Option<Stock>,
    pub only_ours: Option<String>,
}

fn usual_arguments() -> Vec<String> {
    ["example.org", "sender@example.net", "one@example.org"].map(String::from).into()
}

fn usual_message() -> String {
    MESSAGE.to_owned()
}

/// What a server says, by the beginning of what it answers.
pub type Script = BTreeMap<String, Reply>;

#[derive(Deserialize, Clone)]
#[serde(untagged)]
pub enum Reply {
    One(String),
    Steps(Vec<String>),
    /// The first time, the second, and so on; the last from then on.
    Turns {
        turns: Vec<Reply>,
    },
}

impl Reply {
    pub fn steps(&self, turn: usize) -> &[String] {
        match self {
            Reply::One(step) => std::slice::from_ref(step),
            Reply::Steps(steps) => steps,
            Reply::Turns { turns } => turns[turn.min(turns.len() - 1)].steps(0),
        }
    }
}

/// What `qmail-remote-check --config` says.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    pub status: i32,
    pub says: Vec<String>,
}

/// What qmail-remote-check says of mail for the first of the arguments, from the second.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Check {
    pub ok: bool,
    /// Words of the answer.
    pub says: Vec<String>,
    /// Whole lines that stand before it.
    #[serde(default)]
    pub prints: Vec<String>,
}

/// queue/lock/tcpto before and after.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Tcpto {
    /// `ADDRESS COUNT SECONDS`: so many timeouts, the last so many seconds ago.
    #[serde(default)]
    pub before: Vec<String>,
    /// How many octets the file has, if not 1024.
    pub octets: Option<usize>,
    /// `ADDRESS COUNT now` or `ADDRESS COUNT past`.
    pub after: Vec<String>,
}

/// The case is run so many times, and over all runs each of these addresses is the first connected to.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Runs {
    pub count: usize,
    pub first: Vec<String>,
}

/// Where stock qmail-remote differs, and why that is wanted.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Stock {
    pub why: String,
    pub stdout: Option<Vec<String>>,
    pub wire: Option<Vec<String>>,
    pub tcpto_after: Option<Vec<String>>,
    pub first: Option<Vec<String>>,
}

impl Case {
    /// The servers of the case: the usual one where none is named.
    pub fn all_servers(&self) -> BTreeMap<String, Script> {
        let mut servers = self.servers.clone();
        match &self.server {
            Some(script) => servers.insert(super::USUAL_SERVER.to_owned(), script.clone()),
            None if servers.is_empty() => servers.insert(super::USUAL_SERVER.to_owned(), Script::new()),
            None => None,
        };
        servers
    }
}

/// The cases of a file: one with `rows` once for each of them.
pub fn cases(file: &str) -> Result<Vec<Case>, toml::de::Error> {
    let mut file: toml::Table = file.parse()?;
    let Some(Value::Array(cases)) = file.remove("case") else { return Err(Error::custom("no [[case]]")) };
    let mut all = Vec::new();
    for case in cases {
        let Value::Table(mut case) = case else { return Err(Error::custom("a case is a table")) };
        let several = case.remove("rows").map_or(Ok(Rows::Of(vec![toml::Table::new()])), Value::try_into)?;
        for row in several.all() {
            all.push(filled(Value::Table(case.clone()), &row).try_into()?);
        }
    }
    Ok(all)
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Rows {
    Of(Vec<toml::Table>),
    /// Each of the first with each of the second, and so on.
    Product(Vec<Vec<toml::Table>>),
}

impl Rows {
    fn all(self) -> Vec<toml::Table> {
        match self {
            Rows::Of(rows) => rows,
            Rows::Product(factors) => factors.into_iter().fold(vec![toml::Table::new()], |all, rows| {
                let pairs = all.iter().flat_map(|one| rows.iter().map(move |row| (one.clone(), row.clone())));
                pairs.map(|(one, row)| one.into_iter().chain(row).collect()).collect()
            }),
        }
    }
}

/// The value with the row's in it: `{name}` in a text, and in a list in the place of one.
fn filled(value: Value, row: &toml::Table) -> Value {
    match value {
        Value::String(text) => Value::String(filled_text(text, row)),
        Value::Table(table) => table
            .into_iter()
            .map(|(key, value)| (filled_text(key, row), filled(value, row)))
            .collect::<toml::Table>()
            .into(),
        Value::Array(list) => {
            let several = |value: &Value| match row.get(value.as_str()?.strip_prefix('{')?.strip_suffix('}')?)? {
                Value::Array(values) => Some(values.clone()),
                _ => None,
            };
            let list = list.into_iter().flat_map(|value| several(&value).unwrap_or_else(|| vec![value]));
            list.map(|value| filled(value, row)).collect::<Vec<_>>().into()
        }
        other => other,
    }
}

fn filled_text(mut text: String, row: &toml::Table) -> String {
    for (name, value) in row.iter().filter_map(|(name, value)| Some((name, value.as_str()?))) {
        text = text.replace(&format!("{{{name}}}"), value);
    }
    // From the inside out.
    while let Some((begin, end, new)) = braces(&text) {
        text.replace_range(begin..end, &new);
    }
    text
}

/// Where the first `{1000 x}` or `{base64 x}` stands that has no braces inside it, and what it stands for.
fn braces(text: &str) -> Option<(usize, usize, String)> {
    text.match_indices('}').find_map(|(end, _)| {
        let begin = text[..end].rfind('{')?;
        let (word, what) = text[begin + 1..end].split_once(' ')?;
        let new = match (word, word.parse()) {
            (_, Ok(count)) => what.repeat(count),
            ("base64", _) => STANDARD.encode(octets(what)),
            _ => return None,
        };
        Some((begin, end + 1, new))
    })
}

/// The lines with `{usual}` and `{data}` replaced.
pub fn expand(lines: &[String]) -> Vec<String> {
    let mut expanded = Vec::new();
    for line in lines {
        match line.as_str() {
            "{usual}" => expanded.extend(ENVELOPE.into_iter().chain(DATA).map(str::to_owned)),
            "{data}" => expanded.extend(DATA.map(str::to_owned)),
            line => expanded.push(line.to_owned()),
        }
    }
    expanded
}

/// The octets of a string of a case: each character is one.
pub fn octets(text: &str) -> Vec<u8> {
    text.chars().map(|c| u8::try_from(c).unwrap_or_else(|_| panic!("{c:?} is not one octet"))).collect()
}

/// The string for octets.
pub fn text(octets: &[u8]) -> String {
    octets.iter().map(|octet| char::from(*octet)).collect()
}

/// Whether all lines are as expected.
pub fn all_fit(expected: &[String], lines: &[String]) -> bool {
    let Some((first, others)) = expected.split_first() else { return lines.is_empty() };
    let fits_now =
        |first: &str| lines.split_first().is_some_and(|(line, rest)| fits(first, line) && all_fit(others, rest));
    match first.strip_prefix("{maybe}") {
        Some(first) => all_fit(others, lines) || fits_now(first),
        None => fits_now(first),
    }
}

/// Whether the text is as expected; `{any}` stands for anything in one line.
fn fits(expected: &str, text: &str) -> bool {
    let Some((before, after)) = expected.split_once("{any}") else { return expected == text };
    let Some(rest) = text.strip_prefix(before) else { return false };
    let line = rest.find('\n').unwrap_or(rest.len());
    (0..=line).any(|end| rest.is_char_boundary(end) && fits(after, &rest[end..]))
}
