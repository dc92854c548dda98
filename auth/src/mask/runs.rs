//! The runs of a text that are of a secret in base64 or in hexadecimal digits, neither of which is ever made whole.
//!
//! Base64 makes four characters of three octets, and any run of 8 characters holds four that are made so. So the secret is gone
//! through by three octets, and a table says whether the text has those four, two and two. Only where it has are they made, and those
//! around them, and the runs looked for among those of the text, which are sorted. With an ordinary text that is some ten
//! instructions for each three octets; with a hostile one of 64 KiB no more than its sorting and a few searches for each.

use crate::secret;
use crate::{base64_length, hex};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;

/// Base64 is recognised by any run of it that is this long, so that a server that cuts or folds what it echoes is masked too.
/// 8 characters of base64 do not occur in a server's own words by chance.
pub const RUN: usize = 8;

/// A secret as it may stand in a text.
#[derive(Clone, Copy)]
pub enum Form<'a> {
    /// RFC 4648 section 4.
    Base64(&'a [u8]),
    /// Two hexadecimal digits for each octet.
    Hex(&'a [u8]),
    /// As it is: characters of base64.
    Plain(&'a [u8]),
}

/// Four that are made at once, and those before and behind them: in lower case, and NUL where there are none.
type Characters = [u8; 12];

impl Form<'_> {
    /// How many characters it has.
    pub fn length(self) -> usize {
        match self {
            Form::Base64(octets) => base64_length(octets.len()),
            Form::Hex(octets) => octets.len() * 2,
            Form::Plain(octets) => octets.len(),
        }
    }

    /// Its characters from the one at `4 * four` on.
    pub fn characters(self, four: usize, characters: &mut Characters) {
        let (octets, each) = match self {
            Form::Base64(octets) => (octets, 3),
            Form::Hex(octets) => (octets, 2),
            Form::Plain(octets) => (octets, 4),
        };
        let octets = octets.get(four * each..).unwrap_or_default();
        let octets = &octets[..octets.len().min(3 * each)];
        characters.fill(0);
        match self {
            Form::Base64(_) => _ = STANDARD.encode_slice(octets, characters),
            Form::Hex(_) => characters.chunks_exact_mut(2).zip(octets).for_each(|(two, octet)| {
                two.copy_from_slice(&hex(*octet));
            }),
            Form::Plain(_) => characters[..octets.len()].copy_from_slice(octets),
        }
        characters.make_ascii_lowercase();
    }
}

/// The runs of a text.
pub struct Runs<'a> {
    text: &'a [u8],
    /// Where each begins, in the order of what they are.
    starts: Vec<u32>,
    /// For the first of those that are the same: they are of a secret.
    is_secret: Vec<bool>,
    /// For each two characters of base64, by their values: they stand side by side in a run, in whatever case.
    pairs: [bool; 1 << 12],
}

impl Runs<'_> {
    /// Those of a text in lower case.
    pub fn of(text: &[u8]) -> Runs<'_> {
        let mut runs = Runs { text, starts: Vec::new(), is_secret: Vec::new(), pairs: [false; 1 << 12] };
        let mut begin = 0;
        for (place, character) in text.iter().enumerate() {
            if values(*character).is_none() && *character != b'=' {
                begin = place + 1;
            } else if place + 1 - begin >= RUN {
                runs.starts.push((place + 1 - RUN) as u32);
            }
        }
        for start in &runs.starts {
            for two in text[*start as usize..][..RUN].windows(2) {
                let Some((first, second)) = values(two[0]).zip(values(two[1])) else { continue };
                first.iter().for_each(|first| second.iter().for_each(|second| runs.pairs[first << 6 | second] = true));
            }
        }
        runs.starts.sort_unstable_by_key(|start| run(text, *start));
        runs.is_secret.resize(runs.starts.len(), false);
        runs
    }

    /// Looks for those of this form.
    pub fn look_for(&mut self, form: Form) {
        match form {
            _ if self.starts.is_empty() => {}
            Form::Base64(octets) => self.look_at(
                form,
                octets.chunks_exact(3).map(|three| {
                    let [first, second, third] = [0, 1, 2].map(|n| usize::from(three[n]));
                    (first << 4 | second >> 4, (second & 15) << 8 | third)
                }),
            ),
            Form::Hex(octets) => self.look_at(
                form,
                octets.chunks_exact(2).map(|two| {
                    (usize::from(OF_DIGITS[usize::from(two[0])]), usize::from(OF_DIGITS[usize::from(two[1])]))
                }),
            ),
            Form::Plain(octets) => self
                .look_at(form, octets.chunks_exact(4).map(|four| (pair([four[0], four[1]]), pair([four[2], four[3]])))),
        }
    }

    /// `fours` are the values of each two and two characters that the form makes of its octets.
    fn look_at(&mut self, form: Form, fours: impl Iterator<Item = (usize, usize)>) {
        let mut characters = Characters::default();
        for (four, (first, second)) in fours.enumerate() {
            if self.pairs[first] && self.pairs[second] {
                self.compare(form, four, &mut characters);
            }
        }
        self.compare(form, form.length().div_ceil(4) - 1, &mut characters); // which can be less than four
        secret::clear_array(&mut characters);
    }

    /// Marks the runs that hold these four characters, but for the one that begins with them: it holds the next four as well.
    fn compare(&mut self, form: Form, four: usize, characters: &mut Characters) {
        let Some(before) = four.checked_sub(1) else { return };
        form.characters(before, characters);
        for eight in characters.windows(RUN).take(4) {
            let wanted = run(eight, 0);
            let first = self.starts.partition_point(|start| run(self.text, *start) < wanted);
            if self.starts.get(first).is_some_and(|start| run(self.text, *start) == wanted) {
                self.is_secret[first] = true;
            }
        }
    }

    /// Where those begin that are of a secret.
    pub fn secret(&self) -> impl Iterator<Item = usize> {
        let mut before = None;
        self.starts.iter().zip(&self.is_secret).filter_map(move |(start, is_secret)| {
            let this = run(self.text, *start);
            before = (*is_secret || before == Some(this)).then_some(this);
            before.map(|_| *start as usize)
        })
    }
}

/// The 8 characters that begin here, as a number.
fn run(text: &[u8], start: u32) -> u64 {
    text[start as usize..].first_chunk().map_or(0, |run| u64::from_be_bytes(*run))
}

/// What a letter in lower case, a digit or a sign is worth in base64, and as a capital.
const fn values(character: u8) -> Option<[usize; 2]> {
    let n = character as usize;
    match character {
        b'a'..=b'z' => Some([26 + n - b'a' as usize, n - b'a' as usize]),
        b'0'..=b'9' => Some([52 + n - b'0' as usize; 2]),
        b'+' => Some([62; 2]),
        b'/' => Some([63; 2]),
        _ => None,
    }
}

/// What two characters are worth, in lower case.
const fn pair(characters: [u8; 2]) -> usize {
    match (values(characters[0].to_ascii_lowercase()), values(characters[1].to_ascii_lowercase())) {
        (Some([first, _]), Some([second, _])) => first << 6 | second,
        _ => 0,
    }
}

/// What the two digits of each octet are worth in base64.
const OF_DIGITS: [u16; 256] = {
    let mut pairs = [0; 256];
    let mut octet = 0;
    while octet < pairs.len() {
        pairs[octet] = pair(hex(octet as u8)) as u16;
        octet += 1;
    }
    pairs
};

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::collection::vec;
    use proptest::prelude::*;

    /// What the form is made whole, in lower case.
    fn whole(form: Form) -> Vec<u8> {
        let text = match form {
            Form::Base64(octets) => STANDARD.encode(octets).into_bytes(),
            Form::Hex(octets) => octets.iter().flat_map(|octet| hex(*octet)).collect(),
            Form::Plain(octets) => octets.to_vec(),
        };
        text.to_ascii_lowercase()
    }

    proptest! {
        /// The runs are those that somebody finds who makes the form whole and compares all with all.
        #[test]
        fn no_other_runs(
            secret in vec(prop_oneof![Just(b'a'), Just(b'B'), Just(b'7'), any::<u8>()], 0..40),
            pieces in vec((0..3_usize, any::<(prop::sample::Index, prop::sample::Index)>(), "[ a-z0-9+/=.]{0,4}"), 0..6),
        ) {
            let plain = STANDARD.encode(&secret).into_bytes();
            let forms = [Form::Base64(&secret), Form::Hex(&secret), Form::Plain(&plain)];
            let mut text = Vec::new();
            for (form, (begin, end), between) in &pieces {
                let form = whole(forms[*form]);
                let begin = begin.index(form.len() + 1);
                text.extend(&form[begin..begin + end.index(form.len() - begin + 1)]);
                text.extend(between.as_bytes());
            }
            for form in forms.into_iter().filter(|form| form.length() >= RUN) {
                let mut runs = Runs::of(&text);
                runs.look_for(form);
                let mut found: Vec<usize> = runs.secret().collect();
                found.sort_unstable();
                let all = whole(form);
                let is_of_it = |run: &[u8]| all.windows(RUN).any(|window| window == run);
                let expected: Vec<usize> =
                    text.windows(RUN).enumerate().filter(|(_, run)| is_of_it(run)).map(|(start, _)| start).collect();
                prop_assert_eq!(found, expected);
            }
        }
    }
}
