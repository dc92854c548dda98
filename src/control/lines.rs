//! The lines of control files. There may be ten thousand, and each delivery goes through them: so what is for another is to be told
//! by few instructions.

/// The lines that say something, without blanks at their ends, and their numbers.
pub fn lines(content: &[u8]) -> impl Iterator<Item = (&[u8], usize)> {
    content.split(|c| *c == b'\n').zip(1..).filter_map(|(line, number)| Some((telling(line)?, number)))
}

/// A line without blanks at its end. None: it says nothing.
pub fn telling(line: &[u8]) -> Option<&[u8]> {
    Some(strip_blanks(line)).filter(|line| !matches!(line, [] | [b'\r'] | [b'#', ..]))
}

/// qmail drops blanks, tabs and line ends at a line's end, and keeps CR.
pub fn strip_blanks(line: &[u8]) -> &[u8] {
    let kept = line.iter().rposition(|c| !b" \t\n".contains(c)).map_or(0, |last| last + 1);
    &line[..kept]
}

/// Octets that are looked at together.
const BLOCK: usize = 64;

/// Gives `act` the places of octets that are wanted, as `is_wanted` says by an octet and the next one, which is a line's end where
/// the content ends. It must not branch, so that the compiler makes vector instructions of it: a search that stops at each place
/// costs several times as much where there are many.
pub fn each_place(content: &[u8], is_wanted: impl Fn(u8, u8) -> bool, mut act: impl FnMut(usize)) {
    for start in (0..content.len()).step_by(BLOCK) {
        let rest = &content[start..];
        let mut wanted = [0; BLOCK];
        match rest.first_chunk::<{ BLOCK + 1 }>() {
            Some(block) => (0..BLOCK).for_each(|n| wanted[n] = u8::from(is_wanted(block[n], block[n + 1]))),
            None => (0..rest.len()).for_each(|n| {
                wanted[n] = u8::from(is_wanted(rest[n], rest.get(n + 1).copied().unwrap_or(b'\n')));
            }),
        }
        for (word, octets) in wanted.as_chunks::<8>().0.iter().enumerate() {
            let mut left = u64::from_le_bytes(*octets);
            while left != 0 {
                act(start + 8 * word + left.trailing_zeros() as usize / 8);
                left &= left - 1;
            }
        }
    }
}
