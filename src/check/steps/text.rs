//! The facts of a check as lines of text.

use super::{Fact, Tone};
use crate::check::printable;

/// The width of the longest label, and a blank.
const WIDTH: usize = 14;

/// `ms` is the time since the start in milliseconds, if it is shown.
pub fn line(fact: &Fact, ms: Option<u64>, colour: bool) -> String {
    let stamp = ms.map_or_else(String::new, |ms| format!("{:4}.{:03} ", ms / 1000, ms % 1000));
    let text = format!("{:WIDTH$}{}", fact.label, printable(fact.text.as_bytes()));
    stamp + &coloured(text.trim_end(), fact.tone, colour) + "\n"
}

pub fn verdict(ok: bool, verdict: &[u8], colour: bool) -> String {
    let tone = if ok { Tone::Good } else { Tone::Bad };
    coloured(&printable(verdict), tone, colour) + "\n"
}

fn coloured(text: &str, tone: Tone, colour: bool) -> String {
    match tone {
        Tone::Good if colour => format!("\x1b[32m{text}\x1b[0m"),
        Tone::Bad if colour => format!("\x1b[31m{text}\x1b[0m"),
        _ => text.to_owned(),
    }
}
