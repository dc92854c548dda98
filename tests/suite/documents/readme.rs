//! README.md has each text that a report can have, so that one who searches for it finds the cause; and README.ja.md is the same
//! document. The texts are those of `cause::texts()`, so a new one without its place in README fails here.

use crate::support::text::{parts, read};
use qmail_remote::cause;
use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

/// Texts that README need not explain.
const NONE_NEEDED: [(&str, &str); 6] = [
    ("accepted message", "delivered; README has an example in What goes out how"),
    ("MX of", "what the system's words are about"),
    ("mail exchanger of", "the same"),
    ("the password must not go out without TLS that is verified", "the C interface alone has no place of the login"),
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
fn each_text_of_a_report_is_in_readme() {
    let texts = texts(section(&read("README.md"), SECTION));
    let said: BTreeSet<String> = cause::texts().iter().flat_map(|text| parts(text)).collect();
    assert!(said.len() > 100, "{said:#?}");
    let is_needed = |part: &str| !NONE_NEEDED.iter().any(|(begin, _)| part.starts_with(begin));
    let missing: Vec<&String> =
        said.iter().filter(|part| is_needed(part) && !texts.iter().any(|text| text.contains(&part[..]))).collect();
    assert!(missing.is_empty(), "these texts of reports are not in README.md, {SECTION}: {missing:#?}");
    for (begin, _) in NONE_NEEDED {
        assert!(said.iter().any(|part| part.starts_with(begin)), "no report says {begin:?} any more");
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

/// A text of README is one of a report, or a name of the field: nothing that no report says any more.
#[test]
fn each_long_text_of_readme_is_one_of_a_report() {
    let said = cause::texts().join("\n");
    for text in texts(section(&read("README.md"), SECTION)) {
        for part in text.split("...").map(|part| part.trim_matches([' ', ',', '-'])).filter(|part| part.contains(' ')) {
            let is_command = ["sed ", "chmod ", "chown "].iter().any(|command| part.starts_with(command));
            assert!(is_command || said.contains(part), "{part:?} of {text:?} is in no report");
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
    for link in
        ["](docs/migrating.md)", "](docs/dev/design.md)", "](docs/stock-behaviour.md)", "](include/qmail_auth.h)"]
    {
        assert!(english.contains(link) && japanese.contains(link), "{link}");
    }
    assert!(english.contains("](README.ja.md)") && japanese.contains("](README.md)"));
}

/// A copy of the tree has other owners, so an address here would be of somebody else, or of nobody.
#[test]
fn a_vulnerability_is_reported_where_the_tree_is() {
    let text = read("SECURITY.md");
    assert!(text.contains("\"Report a\nvulnerability\"") && !text.contains("maintainer") && !text.contains(".invalid"));
    assert!(!text.contains('@') && !text.contains("mailto:"), "{text}");
}

/// In the tree, and those of README to other documents in the package, too.
#[test]
fn each_link_leads_to_a_file() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let assets = read("Cargo.toml");
    let mut count = 0;
    for directory in ["", "docs", "docs/dev"] {
        let entries = fs::read_dir(root.join(directory)).unwrap().map(|entry| entry.unwrap().file_name());
        for name in entries.map(|name| name.into_string().unwrap()).filter(|name| name.ends_with(".md")) {
            let document = fs::read_to_string(root.join(directory).join(&name)).unwrap();
            for link in document.split("](").skip(1).filter_map(|rest| rest.split_once(')')).map(|(link, _)| link) {
                let file = link.split('#').next().unwrap();
                if file.is_empty() || file.contains("://") {
                    continue;
                }
                count += 1;
                assert!(root.join(directory).join(file).is_file(), "{directory}/{name} has a link to {link}");
                if let (true, Some((directory, _))) = (name.starts_with("README"), file.rsplit_once('/')) {
                    let asset = format!("[\"{directory}/*.md\", \"usr/share/doc/qmail-remote-auth/{directory}/\"");
                    assert!(directory == "include" || assets.contains(&asset), "{file} is not in the package");
                }
            }
        }
    }
    assert!(count > 20, "{count} links");
}
