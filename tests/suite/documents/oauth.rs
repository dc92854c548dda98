//! The manual of qmail-remote-oauth has each of its texts, options and files, and no other text; its guide is in two languages.

use crate::support::provider::{Provider, run};
use crate::support::text::{parts, read};
use qmail_remote::cause::oauth;
use std::collections::BTreeSet;

/// The texts of DIAGNOSTICS.
fn texts() -> Vec<String> {
    let page = read("debian/qmail-remote-oauth.8").replace("\\\n", "");
    let (_, diagnostics) = page.split_once("\n.Sh DIAGNOSTICS\n").unwrap();
    let item = |line: &str| Some(line.strip_prefix(".It Sy \"")?.strip_suffix('"')?.to_owned());
    diagnostics.lines().filter_map(item).collect()
}

#[test]
fn each_text_is_in_the_manual() {
    let texts = texts();
    let said: BTreeSet<String> = oauth::texts().iter().flat_map(|text| parts(text)).collect();
    assert!(said.len() > 30, "{said:#?}");
    let missing: Vec<&String> = said.iter().filter(|part| !texts.iter().any(|text| text.contains(&part[..]))).collect();
    assert!(missing.is_empty(), "not in DIAGNOSTICS of qmail-remote-oauth.8: {missing:#?}");
}

#[test]
fn each_text_of_the_manual_is_said() {
    let said = oauth::texts().join("\n");
    for text in texts() {
        for part in text.split("...").map(|part| part.trim_matches([' ', ',', ':', '('])) {
            assert!(said.contains(part), "{part:?} of {text:?}");
        }
    }
}

#[test]
fn each_option_is_in_the_manual() {
    let (status, usage) = run(&Provider::start(true).home(), &["--help"]);
    assert_eq!(status, Some(0));
    let page = read("debian/qmail-remote-oauth.8");
    let options: BTreeSet<&str> = usage
        .split(|c: char| c.is_whitespace() || "[]".contains(c))
        .filter_map(|word| word.strip_prefix("--"))
        .collect();
    assert!(options.len() > 10, "{options:?}");
    for option in options {
        assert!(page.contains(&format!("Fl Fl {option}")), "--{option}");
    }
    for command in ["consent", "token", "renew", "status"] {
        assert!(
            usage.contains(&format!("  {command}  ")) && page.contains(&format!("\n.It Cm {command}\n")),
            "{command}"
        );
    }
}

/// Headings, commands and texts.
fn shape(document: &str) -> (Vec<usize>, Vec<&str>) {
    let levels = document.lines().filter(|line| line.starts_with('#'));
    let levels = levels.map(|line| line.bytes().take_while(|c| *c == b'#').count()).collect();
    (levels, document.lines().filter(|line| line.starts_with("    ")).collect())
}

#[test]
fn the_guide_in_two_languages() {
    let (english, japanese) = (read("docs/oauth.md"), read("docs/oauth.ja.md"));
    assert_eq!(shape(&english), shape(&japanese));
    assert!(english.contains("](oauth.ja.md)") && japanese.contains("](oauth.md)"));
    let codes = |text: &str| -> BTreeSet<String> {
        text.split(|c: char| !c.is_ascii_alphanumeric())
            .filter(|word| word.starts_with("AADSTS"))
            .map(str::to_owned)
            .collect()
    };
    assert!(codes(&english).len() > 8 && codes(&english) == codes(&japanese));
}
