//! The figures as a table in docs/cost.md, between two marks, and as two pictures beside it.

use super::figures::Figures;
use std::fs;

const PAGE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/cost.md");
const INSTRUCTIONS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/cost-instructions.svg");
const ROUND_TRIPS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/cost-round-trips.svg");

const BEGIN: &str = "<!-- script/bench writes from here -->\n";
const END: &str = "<!-- to here -->\n";

const WAYS: [&str; 4] = ["no AUTH, clear", "AUTH, clear", "STARTTLS + AUTH", "port 465 + AUTH"];

/// What no program can do better: greeting, EHLO, envelope and message, each a round trip; then AUTH; STARTTLS, the handshake and
/// EHLO again; or the handshake alone.
const POSSIBLE: [f64; 4] = [4.0, 5.0, 8.0, 6.0];

/// Writes all three, and the table on stdout too.
pub fn write(measured: &[Figures]) {
    let elsewhere = elsewhere();
    let missing = elsewhere.iter().filter(|row| measured.iter().all(|here| here.name != plain(row)));
    let all: Vec<&Figures> = measured.iter().chain(missing).collect();
    let tables = tables(&all);
    print!("{tables}");
    let page = fs::read_to_string(PAGE).unwrap();
    let before = page.split(BEGIN).next().unwrap();
    let after = page.split(END).nth(1).unwrap_or_else(|| panic!("{PAGE} has lost its marks"));
    fs::write(PAGE, format!("{before}{BEGIN}\n{tables}\n{END}{after}")).unwrap();
    let millions: Values = |row| row.instructions.map(|count| Some(count? / 1e6));
    let trips: Values = |row| row.round_trips[1];
    fs::write(
        INSTRUCTIONS,
        picture("Million instructions for a mail of 1 KiB", &all, millions, |count| number(count, 2)),
    )
    .unwrap();
    fs::write(ROUND_TRIPS, picture("Round trips for a mail to 20 recipients", &all, trips, whole)).unwrap();
}

/// Programs that Debian has no package of, measured once; the round trips by the time they took.
fn elsewhere() -> [Figures; 2] {
    let stock = Figures {
        name: "stock notqmail *".into(),
        instructions: [Some(0.28e6), None, None, None],
        resident: [Some(1180.0), None],
        calls: [Some(115.0), Some(31108.0)],
        cpu: [Some(113.0), None],
        ..Figures::default()
    };
    let sagredo = Figures {
        name: "sagredo's patch (OpenSSL, checks no certificate) *".into(),
        instructions: [3.94e6, 3.95e6, 20.5e6, 20.5e6].map(Some),
        round_trips: [[6.3, 8.4, 11.5, 10.0], [25.7, 27.7, 31.0, 29.3]].map(|row| row.map(Some)),
        resident: [3204.0, 6584.0].map(Some),
        calls: [153.0, 7835.0].map(Some),
        cpu: [27.0, 36.0].map(Some),
        ..Figures::default()
    };
    [stock, sagredo]
}

fn tables(rows: &[&Figures]) -> String {
    let ways = WAYS.join(" | ");
    let mut text = format!("Million instructions, 1 KiB:\n\n| | {ways} |\n| --- | ---: | ---: | ---: | ---: |\n");
    for row in rows {
        text += &line(row, row.instructions.map(|count| number(count.map(|count| count / 1e6), 2)));
    }
    text += &format!("\nRound trips, to 1 / 20 recipients:\n\n| | {ways} |\n| --- | ---: | ---: | ---: | ---: |\n");
    for row in rows {
        let [one, many] = row.round_trips;
        let cells: [usize; 4] = [0, 1, 2, 3];
        text += &line(row, cells.map(|n| pair([one[n], many[n]].map(whole))));
    }
    text += &format!("| possible | {} |\n", POSSIBLE.map(|count| count.to_string()).join(" | "));
    text += "\nThe rest, clear / STARTTLS + AUTH, but system calls in clear, of 1 KiB / 10 MiB:\n\n\
        | | memory KiB | system calls | CPU ms, 10 MiB | ms, 1 KiB | mails a second, 20 at once |\n\
        | --- | ---: | ---: | ---: | ---: | ---: |\n";
    for row in rows {
        let cells = [(row.resident, 0), (row.calls, 0), (row.cpu, 0), (row.wall, 1), (row.per_second, 0)];
        text += &line(row, cells.map(|(both, places)| pair(both.map(|value| number(value, places)))));
    }
    text + "\n\\* measured once, on another machine; the round trips by the time they took.\n"
}

/// The name without the sign that it was measured elsewhere.
fn plain(row: &Figures) -> &str {
    row.name.trim_end_matches(" *")
}

fn line<const N: usize>(row: &Figures, cells: [String; N]) -> String {
    let name = if row.is_ours { format!("**{}**", row.name) } else { row.name.clone() };
    format!("| {name} | {} |\n", cells.join(" | "))
}

fn pair([first, second]: [String; 2]) -> String {
    if first == second && first == "-" { first } else { format!("{first} / {second}") }
}

fn number(value: Option<f64>, places: usize) -> String {
    value.map_or("-".into(), |value| format!("{value:.places$}"))
}

/// A count, but for what was no count elsewhere.
fn whole(value: Option<f64>) -> String {
    value.map_or("-".into(), |value| value.to_string())
}

/// Those of a row, by way.
type Values = fn(&Figures) -> [Option<f64>; 4];

/// A row of bars for each way.
fn picture(title: &str, rows: &[&Figures], values: Values, words: fn(Option<f64>) -> String) -> String {
    const LEFT: u32 = 330;
    const WIDTH: f64 = 400.0;
    const BAR: u32 = 16;
    let most = rows.iter().flat_map(|row| values(row)).flatten().fold(0.0, f64::max);
    let mut y = 30;
    let mut bars = String::new();
    for (n, way) in WAYS.iter().enumerate() {
        y += 12;
        bars += &format!("<text x=\"10\" y=\"{}\" font-weight=\"bold\">{way}</text>\n", y + 12);
        y += 18;
        for row in rows {
            let Some(value) = values(row)[n] else { continue };
            let (long, colour) = (value / most * WIDTH, if row.is_ours { "#1a7f37" } else { "#8c959f" });
            let name = plain(row).replace('&', "&amp;").replace('<', "&lt;");
            bars += &format!(
                "<text x=\"{}\" y=\"{text}\" text-anchor=\"end\">{name}</text>\
                 <rect x=\"{LEFT}\" y=\"{y}\" width=\"{long:.1}\" height=\"{}\" fill=\"{colour}\"/>\
                 <text x=\"{:.1}\" y=\"{text}\">{}</text>\n",
                LEFT - 6,
                BAR - 3,
                f64::from(LEFT) + long + 5.0,
                words(Some(value)),
                text = y + 11
            );
            y += BAR;
        }
    }
    format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 800 {height}\" width=\"800\" height=\"{height}\" \
         font-family=\"sans-serif\" font-size=\"12\">\n<rect width=\"800\" height=\"{height}\" fill=\"#ffffff\"/>\n\
         <text x=\"10\" y=\"22\" font-size=\"15\">{title}</text>\n{bars}</svg>\n",
        height = y + 12
    )
}
