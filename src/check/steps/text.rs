//! The facts of a check as lines for whoever reads them.

use super::{Fact, Tone};
use crate::check::printable;

/// As wide as the longest name of a step, and a blank.
const WIDTH: usize = 14;

/// The line of a step. `ms`: milliseconds since the start, where they are to be shown.
pub fn line(fact: &Fact, ms: Option<u64>, colour: bool) -> String {
    let stamp = ms.map_or_else(String::new, |ms| format!("{:4}.{:03} ", ms / 1000, ms % 1000));
    let text = format!("{:WIDTH$}{}", fact.label, printable(fact.text.as_bytes()));
    stamp + &painted(text.trim_end(), fact.tone, colour) + "\n"
}

/// The last line.
pub fn verdict(ok: bool, verdict: &str, colour: bool) -> String {
    let tone = if ok { Tone::Good } else { Tone::Bad };
    painted(&printable(verdict.as_bytes()), tone, colour) + "\n"
}

fn painted(text: &str, tone: Tone, colour: bool) -> String {
    match tone {
        Tone::Good if colour => format!("\x1b[32m{text}\x1b[0m"),
        Tone::Bad if colour => format!("\x1b[31m{text}\x1b[0m"),
        _ => text.to_owned(),
    }
}
