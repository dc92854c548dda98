//! The documents of the tree, and what of a text stands in them.

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
