//! The facts of a check as one JSON object (RFC 8259): small enough to write by hand, in ASCII.

use super::facts::{Fact, Value};
use super::printable;
use std::fmt::Write;

/// One step: its name, when it was (milliseconds since the start), and its fields.
pub fn step(fact: &Fact, ms: u64) -> String {
    let mut out = format!("{{\"step\":{},\"ms\":{ms}", string(fact.step));
    for (key, value) in &fact.fields {
        let value = match value {
            Value::Text(text) => string(text),
            Value::Number(number) => number.to_string(),
            Value::Flag(flag) => flag.to_string(),
            Value::List(list) => format!("[{}]", list.iter().map(|text| string(text)).collect::<Vec<_>>().join(",")),
        };
        let _ = write!(out, ",{}:{value}", string(key)); // a string takes all
    }
    out + "}"
}

/// The whole object, on lines of its own for each step.
pub fn document(host: &str, sender: &str, steps: &[String], ok: bool, verdict: &str) -> String {
    let [host, sender, verdict] = [host, sender, verdict].map(string);
    let steps = steps.join(",\n");
    format!("{{\"host\":{host},\"sender\":{sender},\"steps\":[\n{steps}\n],\"ok\":{ok},\"verdict\":{verdict}}}\n")
}

fn string(text: &str) -> String {
    format!("\"{}\"", printable(text.as_bytes()).replace('\\', "\\\\").replace('"', "\\\""))
}
