//! The file `access` of an account: the access token, and how long it is good.
//!
//! It has three lines: the token, when it was asked for, and its end, both in Unix time. It is replaced by rename(2) alone, so it is read
//! without a lock.

use super::directory;
use qmail_auth::secret::Secret;
use std::fs::Metadata;
use std::path::Path;

/// The name of the file.
pub const ACCESS: &str = "access";

/// The most octets of a token: it goes into a line of SMTP, whose base64 must stay below what servers read (12,288 octets are
/// common: RFC 4954 section 4).
pub const MOST: usize = 8000;

/// A token is renewed when less than this is left, in seconds, or than a quarter of its life. Some servers refuse one ten minutes before
/// its end.
const EARLY: u64 = 900;

/// It is not shown to a relay any more when less than this is left.
pub const USABLE: u64 = 60;

/// A token that begins so much later than now was asked for by a clock that has been set back since.
const AHEAD: u64 = 300;

/// Seconds. A younger token is not refused for its age, so another one would be refused, too.
const YOUNG: u64 = 300;

/// Whether a token that was asked for at `begin` is so young.
pub fn is_young(begin: u64, unix: u64) -> bool {
    unix.saturating_sub(begin) < YOUNG
}

/// An access token.
pub struct Access {
    /// Visible ASCII.
    pub token: Secret,
    /// When it was asked for.
    pub begin: u64,
    /// When it ends.
    pub end: u64,
}

/// What a token is good for now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fitness {
    /// It can be used.
    Good,
    /// It can be used, and should be renewed.
    NearEnd,
    /// It cannot.
    Dead,
}

impl Access {
    /// Reads the file in the directory of a user, and what was known of it before. None: there is none, it does not count, or is not
    /// as it is written here.
    pub fn read(directory: &Path, uid: u32) -> Option<(Access, Metadata)> {
        let (content, file) = directory::content(&directory::below(directory, &[ACCESS]), uid, MOST + 100)?;
        Some((Access::parse(&content)?, file))
    }

    /// Parses the file.
    pub fn parse(file: &[u8]) -> Option<Access> {
        let (token, times) = file.strip_suffix(b"\n")?.split_at(memchr::memchr(b'\n', file)?);
        let mut lines = times.strip_prefix(b"\n").filter(|_| is_token(token))?.split(|c| *c == b'\n');
        let mut time = || {
            let digits = lines.next().filter(|line| line.first().is_some_and(u8::is_ascii_digit))?;
            std::str::from_utf8(digits).ok()?.parse().ok()
        };
        let (begin, end) = (time()?, time()?);
        (lines.next().is_none() && begin <= end).then(|| Access { token: Secret::from(token), begin, end })
    }

    /// The content of the file.
    pub fn content(&self) -> Secret {
        let times = format!("\n{}\n{}\n", self.begin, self.end);
        let mut content = Secret::with_room(self.token.len() + times.len());
        content.add(&self.token);
        content.add(times.as_bytes());
        content
    }

    /// What it is good for at this Unix time.
    pub fn fitness(&self, unix: u64) -> Fitness {
        let left = self.end.saturating_sub(unix);
        if self.begin > unix.saturating_add(AHEAD) || left < USABLE {
            Fitness::Dead
        } else if left < EARLY.min((self.end - self.begin) / 4) {
            Fitness::NearEnd
        } else {
            Fitness::Good
        }
    }
}

/// Whether this can be a token: visible ASCII (RFC 6750 section 2.1 has less), and not too long.
pub fn is_token(octets: &[u8]) -> bool {
    // Without a branch for each octet, so that the compiler can use vector instructions: each mail by a token looks at one.
    (1..=MOST).contains(&octets.len()) && octets.iter().fold(true, |all, octet| all & octet.is_ascii_graphic())
}

#[cfg(test)]
mod tests {
    use super::Fitness::{Dead, Good, NearEnd};
    use super::*;

    const BEGIN: u64 = 1_764_328_800;

    #[test]
    fn fitness() {
        for (life, age, expected) in [
            (3599, 0, Good),
            (3599, 2700, Good), // 899 left, and a quarter is 899
            (3599, 2701, NearEnd),
            (3600, 2700, Good),
            (3600, 2701, NearEnd),
            (3600, 3540, NearEnd),
            (3600, 3541, Dead),
            (3600, 9999, Dead),
            (90_000, 89_100, Good),
            (90_000, 89_101, NearEnd),
            (1000, 750, Good),
            (1000, 751, NearEnd),
            (200, 140, Good), // a quarter of its life is less than what is usable
            (200, 141, Dead),
            (30, 0, Dead),
        ] {
            let access = Access { token: Secret::from(&b"t"[..]), begin: BEGIN, end: BEGIN + life };
            assert_eq!(access.fitness(BEGIN + age), expected, "{life} {age}");
        }
        let access = Access { token: Secret::from(&b"t"[..]), begin: BEGIN, end: BEGIN + 3600 };
        assert_eq!((access.fitness(BEGIN - 300), access.fitness(BEGIN - 301)), (Good, Dead));
        let access = Access { token: Secret::from(&b"t"[..]), begin: 0, end: u64::MAX };
        assert_eq!((access.fitness(BEGIN), access.fitness(u64::MAX)), (Good, Dead));
    }

    #[test]
    fn the_file() {
        let token = "t".repeat(MOST);
        let file = format!("{token}\n{BEGIN}\n{}\n", BEGIN + 3599);
        let access = Access::parse(file.as_bytes()).unwrap();
        assert_eq!((access.begin, access.end, access.token.len()), (BEGIN, BEGIN + 3599, MOST));
        assert_eq!(*access.content(), file.as_bytes());
        for wrong in [
            String::new(),
            format!("{token}t\n1\n2\n"),
            "t\n1\n2".into(),
            "t\n1\n".into(),
            "t\n1\n2\n3\n".into(),
            "t\n2\n1\n".into(),
            "t\n+1\n2\n".into(),
            "t\n1\n99999999999999999999\n".into(),
            "\n1\n2\n".into(),
            "a b\n1\n2\n".into(),
            "t\r\n1\n2\n".into(),
            "t\n1\n2\n\0\0".into(),
        ] {
            assert!(Access::parse(wrong.as_bytes()).is_none(), "{wrong:?}");
        }
    }
}
