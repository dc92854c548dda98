//! tests/data/ehlo.tsv: EHLO replies of real servers, and what must be read out of them.

/// One row.
pub struct Row {
    pub id: &'static str,
    /// In upper case, as first seen.
    pub mechanisms: Vec<&'static str>,
    /// In wire form.
    pub reply: Vec<u8>,
}

impl Row {
    /// An AUTH line is there: one with mechanisms, or one of the three rows whose AUTH line is empty.
    pub fn offered(&self) -> bool {
        !self.mechanisms.is_empty() || ["E106", "E128", "E129"].contains(&self.id)
    }

    /// As a classic qmail-remote.c keeps it.
    pub fn without_cr(&self) -> Vec<u8> {
        self.reply.iter().copied().filter(|c| *c != b'\r').collect()
    }
}

pub fn rows() -> Vec<Row> {
    let rows: Vec<Row> = include_str!("../data/ehlo.tsv").lines().skip(1).map(row).collect();
    assert!(rows.len() > 60);
    rows
}

fn row(line: &'static str) -> Row {
    let fields: Vec<&str> = line.split('\t').collect();
    let mechanisms = fields[2].split(',').filter(|name| *name != "-").collect();
    let reply = fields[3].replace("\\r", "\r").replace("\\n", "\n").replace("\\t", "\t").into_bytes();
    Row { id: fields[0], mechanisms, reply }
}
