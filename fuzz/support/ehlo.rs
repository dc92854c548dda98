//! Reads an EHLO reply by lines and words, as include/qmail_auth.h describes for auth_detect. The program's reader is compared with
//! it.

const OCTETS: usize = 65536;
const LINES: usize = 512;

/// The words of each line that can have a keyword, in upper case. The first word is the keyword.
pub fn lines(reply: &[u8]) -> Vec<Vec<String>> {
    let is_whole = reply.len() <= OCTETS;
    // One character for one octet.
    let text: String = reply.iter().take(OCTETS).map(|c| char::from(*c)).collect();
    let mut found = Vec::new();
    for (number, line) in text.split_inclusive('\n').take(LINES).enumerate() {
        let has_end = line.ends_with('\n');
        let line = line.trim_end_matches(|c: char| c.is_ascii_whitespace());
        let goes_on = line.starts_with("250-");
        if !(goes_on || line == "250" || line.starts_with("250 ") || line.starts_with("250\t")) {
            break;
        }
        if number > 0 || !goes_on {
            found.push(words(line.get(4..).unwrap_or_default(), !has_end && (goes_on || !is_whole)));
        }
        if !goes_on {
            break;
        }
    }
    found
}

/// The words of a line. `=` ends a keyword like a blank. If the line was cut, its last word is dropped: it can be a part of a
/// longer one.
fn words(line: &str, is_cut: bool) -> Vec<String> {
    let is_blank = |c: char| " \t".contains(c);
    let end = line.find(|c| is_blank(c) || c == '=').unwrap_or(line.len());
    let (keyword, rest) = line.split_at(end);
    if is_cut && rest.is_empty() {
        return Vec::new();
    }
    let rest = rest.trim_start_matches(|c: char| c.is_ascii_whitespace());
    let rest = rest.strip_prefix('=').unwrap_or(rest);
    let mut words: Vec<&str> = rest.split(is_blank).collect();
    if is_cut {
        words.pop();
    }
    words.retain(|word| !word.is_empty());
    words.insert(0, keyword);
    words.iter().map(|word| word.to_ascii_uppercase()).collect()
}

/// Whether a line has this keyword.
pub fn offers(reply: &[u8], keyword: &str) -> bool {
    lines(reply).iter().any(|words| words.first().is_some_and(|word| word == keyword))
}

/// The mechanisms of all AUTH lines, each once; their names are as RFC 4422 section 3.1 allows.
pub fn mechanisms(reply: &[u8]) -> Vec<String> {
    let mut names: Vec<String> = Vec::new();
    for name in lines(reply)
        .into_iter()
        .filter(|words| words.first().is_some_and(|word| word == "AUTH"))
        .flat_map(|w| w.into_iter().skip(1))
    {
        let is_legal =
            name.chars().count() <= 20 && name.chars().all(|c| matches!(c, 'A'..='Z' | '0'..='9' | '-' | '_'));
        if is_legal && !names.contains(&name) {
            names.push(name);
        }
    }
    names
}
