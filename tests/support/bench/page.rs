//! Tables, and the part of docs/dev/cost.md that has them, between two marks.

use std::fmt;
use std::fs;

const PAGE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/dev/cost.md");
const BEGIN: &str = "<!-- script/bench writes from here -->\n";
const END: &str = "<!-- to here -->\n";

/// In Markdown, all but the first column to the right.
pub struct Table {
    pub title: &'static str,
    pub columns: Vec<&'static str>,
    /// A name, and a cell for each column.
    pub rows: Vec<(String, Vec<String>)>,
}

impl fmt::Display for Table {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        writeln!(f, "{}\n\n| | {} |", self.title, self.columns.join(" | "))?;
        writeln!(f, "| ---{} |", " | ---:".repeat(self.columns.len()))?;
        self.rows.iter().try_for_each(|(name, cells)| writeln!(f, "| {name} | {} |", cells.join(" | ")))
    }
}

/// Writes them into the page, and on stdout.
pub fn write(tables: &[Table]) {
    let text: String = tables.iter().map(|table| format!("{table}\n")).collect();
    let text = format!("{text}\\* measured once, on another machine.\n");
    print!("{text}");
    let page = fs::read_to_string(PAGE).unwrap();
    let before = page.split(BEGIN).next().unwrap();
    let after = page.split(END).nth(1).unwrap_or_else(|| panic!("{PAGE} has lost its marks"));
    fs::write(PAGE, format!("{before}{BEGIN}\n{text}\n{END}{after}")).unwrap();
}

/// With so many decimals.
pub fn number(value: Option<f64>, places: usize) -> String {
    value.map_or("-".into(), |value| format!("{value:.places$}"))
}

/// Two of a kind.
pub fn pair([first, second]: [String; 2]) -> String {
    if first == second && first == "-" { first } else { format!("{first} / {second}") }
}
