//! The output of a delivery as qmail-rspawn takes it apart. A fuzz target checks its deliveries by this, too.

/// The reports, in order, each with its letter, without its NUL. Panics on anything that qmail-rspawn would misread: an end
/// without NUL, no message report or more than one, or one that is not last.
pub fn reports(output: &[u8]) -> Vec<String> {
    let text = String::from_utf8_lossy(output);
    let Some(whole) = text.strip_suffix('\0') else { panic!("no NUL at the end: {text:?}") };
    let reports: Vec<String> = whole.split('\0').map(str::to_owned).collect();
    for (i, report) in reports.iter().enumerate() {
        let letters = if i + 1 == reports.len() { "KZD" } else { "rhs" };
        let letter = report.chars().next().unwrap_or(' ');
        assert!(letters.contains(letter), "letter {letter:?} at place {i}: {text:?}");
    }
    reports
}
