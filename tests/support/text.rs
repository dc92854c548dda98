//! The texts that a report can have, and the documents of the tree.

use std::fs;
use std::path::{Path, PathBuf};

/// A path of the tree.
pub fn source(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(path)
}

/// A file of the tree.
pub fn read(path: &str) -> String {
    fs::read_to_string(source(path)).unwrap()
}

/// All Rust sources in a directory and below, but for what lies under one of these paths of the tree.
pub fn sources(directory: &Path, but: &[&str]) -> Vec<String> {
    let paths = fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().path());
    let wanted = paths.filter(|path| !but.iter().any(|but| path.starts_with(source(but))));
    wanted
        .flat_map(|path| if path.is_dir() { sources(&path, but) } else { vec![fs::read_to_string(path).unwrap()] })
        .collect()
}

/// The texts of all reports, each with its `{fields}`.
pub fn texts_of_reports() -> Vec<String> {
    let of_logins = sources(&source("auth/src"), &["auth/src/ffi", "auth/src/texts.rs"]);
    let of_logins = of_logins.iter().flat_map(|source| strings(source));
    qmail_remote::cause::texts().into_iter().map(str::to_owned).chain(of_logins).collect()
}

/// The strings of a source in their order, but for its comments (`doc = ` too), its unit tests, which are at its end, and what a panic would
/// say, which goes to descriptor 2 and so to /dev/null.
pub fn strings(source: &str) -> Vec<String> {
    let code = source.split("#[cfg(test)]").next().unwrap();
    let (mut strings, mut rest) = (Vec::new(), code);
    while let Some(at) = rest.find(['"', '\'', '/']) {
        let (before, found) = rest.split_at(at);
        rest = match found.as_bytes() {
            [b'"', ..] => {
                let (string, behind) = string(&found[1..]);
                if ![".expect(", "panic!(", "unreachable!(", "doc = "].iter().any(|word| before.ends_with(word)) {
                    strings.push(string);
                }
                behind
            }
            [b'/', b'/', ..] => found.split_once('\n').map_or("", |(_, rest)| rest),
            [b'\'', b'\\', _, b'\'', ..] => &found[4..],
            [b'\'', b'"', b'\'', ..] => &found[3..],
            _ => &found[1..],
        };
    }
    strings
}

/// A string from behind its quote, and what is behind it. A backslash at a line's end joins it to the next.
fn string(text: &str) -> (String, &str) {
    let mut string = String::new();
    let mut chars = text.char_indices();
    while let Some((at, c)) = chars.next() {
        match c {
            '"' => return (string, &text[at + 1..]),
            '\\' => match chars.next() {
                Some((_, '\n')) => {
                    let rest = chars.as_str().trim_start();
                    chars = text.char_indices();
                    chars.nth(text[..text.len() - rest.len()].chars().count() - 1);
                }
                Some((_, escaped)) => string.extend(['\\', escaped]),
                None => {}
            },
            c => string.push(c),
        }
    }
    panic!("a string without end: {text}");
}

/// The fixed parts of a format string that are of two words or more, without the signs and blanks around them.
pub fn parts(string: &str) -> Vec<String> {
    let mut fixed = String::new();
    let mut depth = 0;
    for c in string.chars() {
        match c {
            '{' => depth += 1,
            '}' => {
                depth -= 1;
                fixed.push('\0');
            }
            c if depth == 0 => fixed.push(c),
            _ => {}
        }
    }
    let trimmed = fixed.split('\0').map(|part| part.trim_matches(|c: char| !c.is_alphanumeric()));
    trimmed.filter(|part| part.contains(' ')).map(str::to_owned).collect()
}
