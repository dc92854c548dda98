//! Finds the runs of a text that are part of a secret's base64 or hexadecimal digits, without ever making those whole.
//!
//! Base64 makes a group of four characters of three octets, and each run of 8 characters holds at least one whole group. So the
//! search goes through the secret group by group. A table of character pairs tells whether both halves of a group are in the text
//! at all. Only then are the characters of the group and its neighbours made, and their runs looked up among the sorted runs of the
//! text. An ordinary text costs some ten instructions for each three octets of the secret. A hostile one of 64 KiB costs a sort,
//! and a few searches for each group.

use crate::secret;
use crate::{base64_length, hex};
use alloc::vec::Vec;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;

/// The length of a run. Any run of this length is recognised, so that a secret is masked even if the server cuts or folds what it
/// repeats. Runs of 8 characters do not match a server's own words by chance.
pub const RUN: usize = 8;

/// A secret as it may stand in a text.
#[derive(Clone, Copy)]
pub enum Form<'a> {
    /// Base64 (RFC 4648 section 4) of these octets.
    Base64(&'a [u8]),
    /// Two hexadecimal digits for each octet.
    Hex(&'a [u8]),
    /// The octets themselves, which are characters of base64.
    Plain(&'a [u8]),
}

/// A window of three groups, in lower case. Its unused end is NUL.
type Characters = [u8; 12];

impl Form<'_> {
    /// The number of characters of this form.
    pub fn length(self) -> usize {
        match self {
            Form::Base64(octets) => base64_length(octets.len()),
            Form::Hex(octets) => octets.len() * 2,
            Form::Plain(octets) => octets.len(),
        }
    }

    /// Writes the characters of three groups, from the group with this index on.
    pub fn characters(self, group: usize, characters: &mut Characters) {
        let (octets, each) = match self {
            Form::Base64(octets) => (octets, 3),
            Form::Hex(octets) => (octets, 2),
            Form::Plain(octets) => (octets, 4),
        };
        let octets = octets.get(group * each..).unwrap_or_default();
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

/// The runs of a text: all its windows of [`RUN`] characters of base64.
pub struct Runs<'a> {
    text: &'a [u8],
    /// Where each run begins, sorted by the characters of the run.
    starts: Vec<u32>,
    /// For each of `starts`: the run belongs to a secret. Of equal runs only the first is marked.
    is_secret: Vec<bool>,
    /// Indexed by the values of two characters of base64: they stand side by side in some run, in upper or lower case.
    pairs: [bool; 1 << 12],
}

impl Runs<'_> {
    /// The runs of a text, which must be in lower case.
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
        sort(text, &mut runs.starts, 0);
        runs.is_secret.resize(runs.starts.len(), false);
        runs
    }

    /// Marks the runs that are part of this form. It must have at least [`RUN`] characters.
    pub fn mark(&mut self, form: Form) {
        match form {
            _ if self.starts.is_empty() => {}
            Form::Base64(octets) => self.mark_groups(
                form,
                octets.chunks_exact(3).map(|three| {
                    let [first, second, third] = [0, 1, 2].map(|n| usize::from(three[n]));
                    (first << 4 | second >> 4, (second & 15) << 8 | third)
                }),
            ),
            Form::Hex(octets) => self.mark_groups(
                form,
                octets.chunks_exact(2).map(|two| {
                    (usize::from(OF_DIGITS[usize::from(two[0])]), usize::from(OF_DIGITS[usize::from(two[1])]))
                }),
            ),
            Form::Plain(octets) => self.mark_groups(
                form,
                octets.chunks_exact(4).map(|four| (pair([four[0], four[1]]), pair([four[2], four[3]]))),
            ),
        }
    }

    /// `groups` are the groups of the form, each as the values of its first and of its second two characters.
    fn mark_groups(&mut self, form: Form, groups: impl Iterator<Item = (usize, usize)>) {
        let mut characters = Characters::default();
        for (group, (first, second)) in groups.enumerate() {
            if self.pairs[first] && self.pairs[second] {
                self.mark_around(form, group, &mut characters);
            }
        }
        self.mark_around(form, form.length().div_ceil(4) - 1, &mut characters); // the last group can be less than four characters
        secret::clear_array(&mut characters);
    }

    /// Marks the runs that hold this group, except for the one that begins with it: that is found by the next group.
    fn mark_around(&mut self, form: Form, group: usize, characters: &mut Characters) {
        let Some(before) = group.checked_sub(1) else { return };
        form.characters(before, characters);
        for eight in characters.windows(RUN).take(4) {
            let wanted = run(eight, 0);
            let first = self.starts.partition_point(|start| run(self.text, *start) < wanted);
            if self.starts.get(first).is_some_and(|start| run(self.text, *start) == wanted) {
                self.is_secret[first] = true;
            }
        }
    }

    /// Where the marked runs begin.
    pub fn secret(&self) -> impl Iterator<Item = usize> {
        let mut before = None;
        self.starts.iter().zip(&self.is_secret).filter_map(move |(start, is_secret)| {
            let this = run(self.text, *start);
            before = (*is_secret || before == Some(this)).then_some(this);
            before.map(|_| *start as usize)
        })
    }
}

/// The run that begins here, as a number.
fn run(text: &[u8], start: u32) -> u64 {
    text[start as usize..].first_chunk().map_or(0, |run| u64::from_be_bytes(*run))
}

/// Sorts runs by their characters: by this bit of them, counted from the first of 7 in each (all are ASCII), then by those behind it. In
/// place, and in a time that no text makes longer. The sort of `core` would be a tenth of the C library.
fn sort(text: &[u8], starts: &mut [u32], bit: usize) {
    if starts.len() <= 12 || bit == 7 * RUN {
        for sorted in 1..starts.len() {
            let (start, mut place) = (starts[sorted], sorted);
            let this = run(text, start);
            while place > 0 && run(text, starts[place - 1]) > this {
                starts[place] = starts[place - 1];
                place -= 1;
            }
            starts[place] = start;
        }
        return;
    }
    let (character, mask) = (&text[bit / 7..], 0x40 >> (bit % 7));
    let (mut zeros, mut ones) = (0, starts.len());
    while zeros < ones {
        if character[starts[zeros] as usize] & mask == 0 {
            zeros += 1;
        } else {
            ones -= 1;
            starts.swap(zeros, ones);
        }
    }
    let (zeros, ones) = starts.split_at_mut(zeros);
    sort(text, zeros, bit + 1);
    sort(text, ones, bit + 1);
}

/// The values of a character in base64: as it is, in lower case, and in upper case. None: it is not one of base64.
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

/// The values of two characters in lower case, as one number.
const fn pair(characters: [u8; 2]) -> usize {
    match (values(characters[0].to_ascii_lowercase()), values(characters[1].to_ascii_lowercase())) {
        (Some([first, _]), Some([second, _])) => first << 6 | second,
        _ => 0,
    }
}

/// For each octet: the value as base64 of its two hexadecimal digits.
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

    /// The whole form, in lower case.
    fn whole(form: Form) -> Vec<u8> {
        let text = match form {
            Form::Base64(octets) => STANDARD.encode(octets).into_bytes(),
            Form::Hex(octets) => octets.iter().flat_map(|octet| hex(*octet)).collect(),
            Form::Plain(octets) => octets.to_vec(),
        };
        text.to_ascii_lowercase()
    }

    proptest! {
        #[test]
        fn sorted(text in prop_oneof!["[a-c]{300}", "[a-z0-9+/=]{2000}", "a{500}b{9}a{100}"]) {
            let text = text.as_bytes();
            let mut starts: Vec<u32> = (0..=(text.len() - RUN) as u32).collect();
            sort(text, &mut starts, 0);
            prop_assert!(starts.is_sorted_by_key(|start| run(text, *start)));
            starts.sort_unstable();
            prop_assert!(starts.into_iter().eq(0..=(text.len() - RUN) as u32));
        }

        /// The runs are the same as those found by making the whole form and comparing all with all.
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
                runs.mark(form);
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
