//! The token of a login: where a delivery finds it, when a program is run to have another one, and what counts of what that prints.
//!
//! The program is qmail-remote-oauth, which keeps its tokens itself, or the one of `oauth/command`, whose token is kept here if it says
//! until when that is good. A token is shown to a relay once: what a relay has refused is not tried again by the same delivery.

use super::directory;
use super::token::{ACCESS, Access, Fitness, is_token, is_young};
use crate::cause::login::{Advice, NoToken};
use crate::control::files::{FileState, state};
use crate::control::tokens::{DIRECTORY, Source};
use crate::report::os_error;
use crate::want::Ran;
use qmail_auth::secret::Secret;
use std::ffi::{CString, OsStr};
use std::fs::{self, OpenOptions};
use std::io::{self, Write};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};

/// The program of this package.
const HELPER: &str = "/usr/bin/qmail-remote-oauth";
/// Where a program without a slash in its name is looked for. It is in the environment of each.
pub const PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
/// Milliseconds until it is left alone. It is not killed: it may be about to store what exists nowhere else.
pub const TIME: u64 = 60_000;
/// The longest life of a token that is believed, in seconds: a hundred years.
const LONGEST: u64 = 100 * 366 * 86_400;
/// The most octets of a program's words in a report.
const WORDS: usize = 1000;
/// From so many octets on a word may be a secret, where the program is not ours; one of letters and digits from so many on.
const WORD: usize = 40;
const MIXED: usize = 16;

/// There is no NUL in a line or a path.
#[inline(never)]
fn c_string(parts: &[&[u8]]) -> CString {
    CString::new(parts.concat()).unwrap_or_default()
}

/// Where the token of a login comes from.
pub struct Supply {
    home: PathBuf,
    host: String,
    user: Vec<u8>,
    command: Option<String>,
    /// The directory of the account. None: there is none that counts.
    directory: Option<PathBuf>,
    uid: u32,
    /// Tells one file of ours from that of another delivery.
    pid: u32,
    /// When the token of the login was asked for, and its end. None: it does not say, or there is none.
    times: Option<(u64, u64)>,
    /// The file that it was read from.
    read: Option<FileState>,
    /// The relay has refused it.
    is_refused: bool,
    /// A program has been run since.
    is_last: bool,
}

impl Supply {
    /// For this user. `directory` is that of the account.
    pub fn new(home: &Path, directory: Option<&Path>, source: Source, user: &[u8], uid: u32, pid: u32) -> Supply {
        let Source { host, command } = source;
        let (home, directory) = (home.to_owned(), directory.map(Path::to_owned));
        let (times, read, is_refused, is_last) = (None, None, false, false);
        Supply { home, host, user: user.to_vec(), command, directory, uid, pid, times, read, is_refused, is_last }
    }

    /// The token that is there, whatever it is good for.
    pub fn look(&mut self) -> Option<Secret> {
        let (Access { token, begin, end }, file) = Access::read(self.directory.as_ref()?, self.uid)?;
        if self.is_older_than_command(file.mtime()) {
            return None;
        }
        self.read = Some(state(&file));
        self.times = Some((begin, end));
        Some(token)
    }

    /// Whether a file of this time is from another program than the one that is configured now.
    fn is_older_than_command(&self, mtime: i64) -> bool {
        let file = || fs::metadata(self.home.join(self.place()).join("command")).ok();
        self.command.is_some() && file().is_some_and(|command| mtime < command.mtime())
    }

    /// The same where another process has replaced the token since. None: it has not.
    pub fn look_again(&mut self) -> Option<Secret> {
        let file = directory::below(self.directory.as_ref()?, &[ACCESS]);
        if directory::is_still(&file, self.read) { None } else { self.look() }
    }

    /// What the token is good for.
    pub fn fitness(&self, unix: u64) -> Fitness {
        let token = Secret::default();
        self.times.map_or(Fitness::Dead, |(begin, end)| Access { token, begin, end }.fitness(unix))
    }

    /// Whether a program is to be run before anything else. `is_doubtful`: the relay has refused the login some time ago; then another
    /// token is worth the next try.
    pub fn is_wanting(&mut self, is_doubtful: bool, unix: u64) -> bool {
        self.is_refused = is_doubtful && !self.is_young(unix);
        self.is_refused || self.fitness(unix) != Fitness::Good
    }

    /// The relay refuses the token. Whether that may be for its age, so that a program is to be run for another one.
    pub fn is_worth_another(&self, unix: u64) -> bool {
        !self.is_last && (self.command.is_some() || !self.is_young(unix))
    }

    fn is_young(&self, unix: u64) -> bool {
        self.times.is_some_and(|(begin, _)| is_young(begin, unix))
    }

    /// The relay has refused the token: the program is run for another one.
    pub fn refused(&mut self) {
        (self.is_refused, self.is_last) = (true, true);
    }

    /// The program with its arguments, and its environment, in which nothing of ours is.
    #[cold]
    #[inline(never)]
    pub fn program(&self) -> (Vec<CString>, Vec<CString>) {
        let home = self.home.as_os_str().as_bytes();
        let settings: [[&[u8]; 2]; 5] = [
            [b"HOST=", self.host.as_bytes()],
            [b"USER=", &self.user],
            [b"PATH=", PATH.as_bytes()],
            [b"HOME=", home],
            [b"QMAILHOME=", home], // for ours, or it might find another home than we did
        ];
        let own: [&[u8]; 5] = [HELPER.as_bytes(), b"token", self.host.as_bytes(), &self.user, b"--renew"];
        let (words, count): (Vec<CString>, usize) = match &self.command {
            None => (own[..4 + usize::from(self.is_refused)].iter().map(|word| c_string(&[word])).collect(), 5),
            Some(words) => (words.split_ascii_whitespace().map(|word| c_string(&[word.as_bytes()])).collect(), 4),
        };
        (words, settings[..count].iter().map(|setting| c_string(setting)).collect())
    }

    /// The token that the program has printed. `unix` is the time now.
    #[cold] // once an hour
    #[inline(never)]
    pub fn ran(&mut self, ran: Ran, unix: u64) -> Result<Secret, NoToken> {
        let program = self.shown();
        let (status, printed) = match ran {
            Ran::Done(status, printed) => (status, printed),
            Ran::Silent => return Err(NoToken::Silent { program }),
            Ran::Not(error) => {
                return Err(NoToken::NotRun { program, why: os_error(error), advice: self.advice("") });
            }
        };
        let mut lines = printed.split(|c| *c == b'\n');
        let (first, second) = (lines.next().unwrap_or_default(), lines.next().unwrap_or_default());
        if !status.success() {
            let how = match (status.code(), status.signal()) {
                (Some(code), _) => format!("status {code}"),
                (None, signal) => format!("signal {}", signal.unwrap_or_default()),
            };
            let words = self.words(first);
            let advice = self.advice(&words);
            return Err(match self.command {
                _ if words.is_empty() => NoToken::Failed { program, how, advice },
                None => NoToken::Said { words, advice },
                Some(_) => NoToken::Failed { program, how: [how, words].join(": "), advice },
            });
        }
        let end = match second {
            b"" => None,
            digits => {
                let is_number = digits.iter().all(u8::is_ascii_digit);
                let number = std::str::from_utf8(digits).ok().filter(|_| is_number).and_then(|text| text.parse().ok());
                let end = number.filter(|end| *end <= unix.saturating_add(LONGEST)); // it is not in milliseconds
                Some(end.ok_or_else(|| NoToken::Malformed { program: program.clone() })?)
            }
        };
        if !is_token(first) {
            return Err(NoToken::Malformed { program });
        }
        let access = Access { token: Secret::from(first), begin: unix, end: end.unwrap_or(unix) };
        if end.is_none() {
            self.times = None;
            return Ok(access.token);
        }
        if access.fitness(unix) == Fitness::Dead {
            return Err(NoToken::Over { program }); // the one before may be good for a while
        }
        let kept = if self.command.is_none() { self.look() } else { None }; // which has when it was asked for
        if kept.is_none_or(|kept| *kept != *access.token) {
            self.times = Some((access.begin, access.end));
        }
        if self.command.is_some() {
            _ = self.keep(&access); // else it is run for the next mail, too
        }
        Ok(access.token)
    }

    #[cold]
    #[inline(never)]
    fn keep(&mut self, access: &Access) -> io::Result<()> {
        let Some(directory) = &self.directory else { return Ok(()) };
        let new = directory::below(directory, &[format!("{ACCESS}.{}", self.pid)]);
        let file = directory::below(directory, &[ACCESS]);
        let mut options = OpenOptions::new();
        let written = options.write(true).create(true).truncate(true).mode(0o600).open(&new).and_then(|mut new| {
            new.write_all(&access.content()) // not more than a limit on file sizes, which would be a signal: qmail's queue has one of its own
        });
        let renamed = written.and_then(|()| fs::rename(&new, &file));
        if renamed.is_err() {
            _ = fs::remove_file(&new);
        }
        self.read = fs::symlink_metadata(&file).ok().map(|file| state(&file));
        renamed
    }

    /// The first line that a program prints where it has no token. That of another program may hold a token or a secret all the same: a
    /// line of one word, a long word, or one of letters and digits that is no path.
    fn words(&self, line: &[u8]) -> String {
        let is_ours = self.command.is_none();
        let has = |word: &[u8], is: fn(&u8) -> bool| word.iter().any(is);
        let is_mixed =
            |word| has(word, u8::is_ascii_digit) && has(word, u8::is_ascii_alphabetic) && !has(word, |c| *c == b'/');
        let mut words = String::new();
        let mut count = 0;
        for word in line.split(|c| !c.is_ascii_graphic()).filter(|word| !word.is_empty()) {
            if count > 0 {
                words.push(' ');
            }
            count += 1;
            let may_be_secret = word.len() >= WORD || word.len() >= MIXED && is_mixed(word);
            let shown = if is_ours || !may_be_secret { word } else { b"..." };
            words.extend(shown.iter().map(|octet| char::from(*octet)));
        }
        words.truncate(if is_ours || count > 1 { WORDS } else { 0 }); // ASCII
        if words.ends_with("...") { words } else { words.trim_end_matches('.').to_owned() }
    }

    /// What to do, where the words do not say it.
    fn advice(&self, words: &str) -> Advice {
        let consent = "qmail-remote-oauth consent";
        match self.command {
            Some(_) => Advice::Command { file: self.place() + "/command" },
            None if words.contains(consent) => Advice::None,
            None => Advice::Consent { host: self.host.clone(), user: String::from_utf8_lossy(&self.user).into_owned() },
        }
    }

    /// The directory `oauth` of the relay.
    #[inline(never)]
    fn place(&self) -> String {
        format!("control/relays/{}/{DIRECTORY}", self.host)
    }

    /// The name of the program, for reports.
    fn shown(&self) -> String {
        self.command().unwrap_or(HELPER).to_owned()
    }

    /// For a check: the program, if it is not ours.
    pub fn command(&self) -> Option<&str> {
        self.command.as_deref()?.split_ascii_whitespace().next()
    }

    /// For a check: until when the token is good.
    pub fn end(&self) -> Option<u64> {
        self.times.map(|(_, end)| end)
    }

    /// For a check: the directory of the account below qmail's home.
    pub fn place_of_account(&self) -> Option<String> {
        let directory = self.directory.as_ref()?;
        Some(directory.strip_prefix(&self.home).unwrap_or(directory).display().to_string())
    }

    /// For a check: another token can be had without anybody's consent.
    pub fn is_renewable(&self) -> bool {
        let has = |name: &OsStr| self.directory.as_ref().is_some_and(|directory| directory.join(name).exists());
        let grant = || fs::read_to_string(self.home.join(self.place()).join("grant")).unwrap_or_default();
        self.command.is_some()
            || has(OsStr::new("refresh"))
            || grant().lines().next().is_some_and(|word| word.trim() == "app")
    }
}
