//! README.md has each text that a report can have, so that one who searches for it finds the cause; and README.ja.md is the same
//! document. What the texts look like comes out of the sources, so a new one without its place in README fails here.

use crate::support::text::{parts, read, source, sources, strings};
use std::collections::BTreeSet;

/// Sources whose texts are in no report.
const NO_REPORTS: [&str; 4] = [
    "src/check", // the steps that qmail-remote-check prints; README has transcripts
    "src/bin",
    "src/ffi",
    "auth/src/ffi", // the C interface: what `auth_why` says more is in its manual
];

/// The strings of src and auth, but for those that are in no report.
fn all_strings(but: &[&str]) -> Vec<String> {
    let sources = ["src", "auth/src"].into_iter().flat_map(|directory| sources(&source(directory), but));
    sources.flat_map(|source| strings(&source)).collect()
}

/// Texts that are in no report, or that say what went well.
const NONE_NEEDED: [(&str, &str); 18] = [
    ("accepted message", "delivered; README has an example in What goes out how"),
    ("MAIL FROM", "goes to the relay"),
    ("RCPT TO", "goes to the relay"),
    ("Remote host said", "what follows is the relay's"),
    ("BEGIN CERTIFICATE", "is looked for"),
    ("END CERTIFICATE", "the same"),
    ("os error", "is looked for, to be cut off"),
    ("MX of", "whom the system's words are about"),
    ("mail exchanger of", "the same"),
    ("the password must not go out without TLS that is verified", "the C interface alone has no place of the login"),
    ("a new connection", "a step that qmail-remote-check shows"),
    ("the next address", "a step that qmail-remote-check shows"),
    ("frequency limited", "a relay's words, which are looked for"),
    ("too many messages. try again", "a relay's words, which are looked for"),
    ("throttling failure", "a relay's words, which are looked for"),
    ("the message", "a step that qmail-remote-check shows"),
    ("Connected to", "begins them all"),
    ("I (qmail-remote) was invoked improperly. (#5.3.5", "nobody sees it who did not run the program by hand"),
];

const SECTION: &str = "When it goes wrong";
const JAPANESE_SECTION: &str = "うまくいかないとき";

/// What stands behind this heading, up to the next of its level.
fn section<'a>(document: &'a str, heading: &str) -> &'a str {
    let (_, behind) = document.split_once(&format!("\n## {heading}\n")).unwrap_or_else(|| panic!("no {heading}"));
    behind.split("\n## ").next().unwrap()
}

/// The texts in code, each in one line. Blocks of code are no texts.
fn texts(section: &str) -> Vec<String> {
    let prose: Vec<&str> = section.lines().filter(|line| !line.starts_with("    ")).map(str::trim).collect();
    prose.join(" ").split('`').skip(1).step_by(2).map(str::to_owned).collect()
}

#[test]
fn each_text_of_the_sources_is_in_readme() {
    let texts = texts(section(&read("README.md"), SECTION));
    let said: BTreeSet<String> = all_strings(&NO_REPORTS).iter().flat_map(|string| parts(string)).collect();
    assert!(said.len() > 100, "{said:#?}");
    let is_needed = |part: &str| !NONE_NEEDED.iter().any(|(begin, _)| part.starts_with(begin));
    let missing: Vec<&String> =
        said.iter().filter(|part| is_needed(part) && !texts.iter().any(|text| text.contains(&part[..]))).collect();
    assert!(missing.is_empty(), "these texts of src/ and auth/ are not in README.md, {SECTION}: {missing:#?}");
    for (begin, _) in NONE_NEEDED {
        assert!(said.iter().any(|part| part.starts_with(begin)), "no source says {begin:?} any more");
    }
}

/// Each item of DIAGNOSTICS.
#[test]
fn each_text_of_the_manual_is_in_readme() {
    let page = read("debian/qmail-remote-auth.8").replace("\\\n", "");
    let (_, diagnostics) = page.split_once("\n.Sh DIAGNOSTICS\n").unwrap();
    let items = diagnostics.lines().filter_map(|line| line.strip_prefix(".It Sy \"")?.strip_suffix('"'));
    let texts = texts(section(&read("README.md"), SECTION));
    let missing: Vec<&str> = items.filter(|item| !texts.iter().any(|text| text.contains(item))).collect();
    assert!(missing.is_empty(), "in DIAGNOSTICS of qmail-remote-auth.8 and not in README.md: {missing:#?}");
}

/// A text of README is the program's, or a name of the field: nothing that no source says any more.
#[test]
fn each_long_text_of_readme_is_in_the_sources() {
    let said = all_strings(&[]).join("\n");
    for text in texts(section(&read("README.md"), SECTION)) {
        for part in text.split("...").map(|part| part.trim_matches([' ', ',', '-'])).filter(|part| part.contains(' ')) {
            let is_command = ["sed ", "chmod ", "chown "].iter().any(|command| part.starts_with(command));
            assert!(is_command || said.contains(part), "{part:?} of {text:?} is in no source");
        }
    }
}

/// Headings with their levels, and blocks of code.
fn shape(document: &str) -> (Vec<usize>, Vec<&str>) {
    let levels = document.lines().filter(|line| line.starts_with('#'));
    let levels = levels.map(|line| line.bytes().take_while(|c| *c == b'#').count()).collect();
    (levels, document.lines().filter(|line| line.starts_with("    ")).collect())
}

#[test]
fn the_japanese_readme_is_the_same() {
    let (english, japanese) = (read("README.md"), read("README.ja.md"));
    let ((levels, code), (their_levels, their_code)) = (shape(&english), shape(&japanese));
    assert_eq!(their_levels, levels, "headings");
    assert_eq!(their_code, code, "blocks of code");
    let ours = texts(section(&english, SECTION));
    let theirs = texts(section(&japanese, JAPANESE_SECTION));
    let [ours, theirs] = [ours, theirs].map(|texts| texts.into_iter().collect::<BTreeSet<_>>());
    assert_eq!(theirs, ours, "texts of reports, and names");
    for link in ["](docs/migrating.md)", "](docs/design.md)", "](docs/stock-behaviour.md)", "](include/qmail_auth.h)"] {
        assert!(english.contains(link) && japanese.contains(link), "{link}");
    }
    assert!(english.contains("](README.ja.md)") && japanese.contains("](README.md)"));
}
