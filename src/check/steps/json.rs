//! The facts of a check as one JSON object (RFC 8259), with a line for each step. It is printable ASCII: a terminal must not obey
//! what a server says.

use super::{Fact, Value};
use serde_core::ser::{Serialize, SerializeMap, Serializer};
use serde_json::ser::Formatter;
use std::io::{self, Write};

/// One step; `ms` is its time, in milliseconds since the start.
pub struct Step {
    pub fact: Fact,
    pub ms: u64,
}

/// The whole object. Octets that are not UTF-8 become U+FFFD, which no escape of theirs in the text can be taken for.
pub struct Document<'a> {
    pub host: &'a [u8],
    pub sender: &'a [u8],
    pub steps: &'a [Step],
    pub ok: bool,
    pub verdict: &'a [u8],
}

impl Document<'_> {
    pub fn to_text(&self) -> String {
        let mut out = Vec::new();
        let mut serializer = serde_json::Serializer::with_formatter(&mut out, LinePerStep { depth: 0 });
        self.serialize(&mut serializer).expect("a Vec takes it, and all keys are strings");
        out.push(b'\n');
        String::from_utf8(out).expect("it is ASCII")
    }
}

impl Serialize for Document<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        map.serialize_entry("host", &String::from_utf8_lossy(self.host))?;
        map.serialize_entry("sender", &String::from_utf8_lossy(self.sender))?;
        map.serialize_entry("steps", self.steps)?;
        map.serialize_entry("ok", &self.ok)?;
        map.serialize_entry("verdict", &String::from_utf8_lossy(self.verdict))?;
        map.end()
    }
}

impl Serialize for Step {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        map.serialize_entry("step", self.fact.step)?;
        map.serialize_entry("ms", &self.ms)?;
        for (key, value) in &self.fact.fields {
            map.serialize_entry(key, value)?;
        }
        map.end()
    }
}

impl Serialize for Value {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Value::Text(text) => text.serialize(serializer),
            Value::Number(number) => number.serialize(serializer),
            Value::Flag(flag) => flag.serialize(serializer),
            Value::List(list) => list.serialize(serializer),
        }
    }
}

/// `depth` is the number of arrays around the current place. The outermost one is that of the steps.
struct LinePerStep {
    depth: usize,
}

impl Formatter for LinePerStep {
    fn begin_array<W: ?Sized + Write>(&mut self, out: &mut W) -> io::Result<()> {
        self.depth += 1;
        out.write_all(b"[")
    }

    fn begin_array_value<W: ?Sized + Write>(&mut self, out: &mut W, first: bool) -> io::Result<()> {
        out.write_all(if first { b"" } else { b"," })?;
        out.write_all(if self.depth == 1 { b"\n" } else { b"" })
    }

    fn end_array<W: ?Sized + Write>(&mut self, out: &mut W) -> io::Result<()> {
        out.write_all(if self.depth == 1 { b"\n]" } else { b"]" })?;
        self.depth -= 1;
        Ok(())
    }

    /// Gets what serde_json does not escape. Other characters than printable ASCII become UTF-16 code units (section 7).
    fn write_string_fragment<W: ?Sized + Write>(&mut self, out: &mut W, fragment: &str) -> io::Result<()> {
        for c in fragment.chars() {
            match c {
                ' '..='~' => out.write_all(&[c as u8])?,
                _ => c.encode_utf16(&mut [0; 2]).iter().try_for_each(|unit| write!(out, "\\u{unit:04x}"))?,
            }
        }
        Ok(())
    }
}
