//! The facts of a check as one JSON object (RFC 8259) in printable ASCII. There is so little to write that no crate is needed.

use super::{Fact, Value};
use std::fmt::Write;

/// One step; `ms` is its time, in milliseconds since the start.
pub fn step(fact: &Fact, ms: u64) -> String {
    let mut out = format!("{{\"step\":{},\"ms\":{ms}", string(fact.step));
    for (key, value) in &fact.fields {
        let value = match value {
            Value::Text(text) => string(text),
            Value::Number(number) => number.to_string(),
            Value::Flag(flag) => flag.to_string(),
            Value::List(list) => format!("[{}]", list.iter().map(|text| string(text)).collect::<Vec<_>>().join(",")),
        };
        let _ = write!(out, ",{}:{value}", string(key)); // cannot fail for a String
    }
    out + "}"
}

/// The whole object, with a line for each step.
pub fn document(host: &[u8], sender: &[u8], steps: &[String], ok: bool, verdict: &str) -> String {
    let [host, sender] = [host, sender].map(|octets| string(&String::from_utf8_lossy(octets)));
    let (steps, verdict) = (steps.join(",\n"), string(verdict));
    format!("{{\"host\":{host},\"sender\":{sender},\"steps\":[\n{steps}\n],\"ok\":{ok},\"verdict\":{verdict}}}\n")
}

/// RFC 8259 section 7: characters other than printable ASCII are escaped as UTF-16 code units.
fn string(text: &str) -> String {
    let mut out = String::from("\"");
    for c in text.chars() {
        match c {
            '"' | '\\' => out.extend(['\\', c]),
            ' '..='~' => out.push(c),
            _ => c.encode_utf16(&mut [0; 2]).iter().for_each(|unit| {
                let _ = write!(out, "\\u{unit:04x}"); // cannot fail for a String
            }),
        }
    }
    out + "\""
}
