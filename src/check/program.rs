//! Which program qmail runs under the name qmail-remote: what a check finds out is true of this package's alone.

use super::file_readers::{self, Ids};
use super::user;
use crate::denied::shell_path;
use crate::report::os_error;
use memchr::memmem;
use std::ffi::OsStr;
use std::fmt::{self, Display, Formatter};
use std::fs;
use std::io::{self, ErrorKind};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// This package's program as it was shipped. The installation puts a copy under the name that qmail runs.
const SHIPPED: &str = "/usr/libexec/qmail-remote-auth/qmail-remote";

/// The end of the text that each version of the program has in it; `mark` in c-glue/qmail-remote.c. Only the end, or this program would
/// have it, too.
const MARK: &[u8] = b"this program is /usr/libexec/qmail-remote-auth/qmail-remote";

const FIX: &str = "dpkg-reconfigure qmail-remote-auth";

/// What is under the name that qmail runs.
pub struct Program {
    path: PathBuf,
    found: Found,
    /// QMAILHOME names the home, so nothing is said against its program: it may be a home for a trial.
    is_named: bool,
}

#[derive(Clone, PartialEq, Eq)]
enum Found {
    Ours,
    /// A copy that an upgrade could not replace.
    OurOther,
    /// It has the path of this package's program in it, or that of a copy: a wrapper that signs mail, perhaps.
    Wrapper,
    /// The installation leaves a script under the name, since it may sign mail. What it runs is not known.
    Script,
    /// The installation leaves a name that somebody else diverted; who did.
    Diverted(String),
    /// As after qmail was built anew.
    Another,
    /// Another one, and this package is only unpacked, for a trial.
    NotInstalled,
    Absent,
    /// The user of qmail-remote is not permitted to run this file, or to enter this directory. qmail-rspawn bounces the mail then.
    NotRunnable(PathBuf),
    /// Why not. The copy that the installation makes can be read by everybody.
    Unreadable(String),
}

impl Program {
    /// Looks at the program of a home. Needs root, as qmail's installer makes qmail-remote unreadable.
    pub fn of(home: &Path, is_named: bool) -> Program {
        let path = home.join("bin/qmail-remote");
        let found = look(&path, is_named, user::of_qmail(home));
        Program { path, found, is_named }
    }

    pub fn path(&self) -> String {
        self.path.display().to_string()
    }

    /// What was found, for programs.
    pub fn word(&self) -> &'static str {
        match self.found {
            Found::Ours => "ours",
            Found::OurOther => "other_version",
            Found::Wrapper => "wrapper",
            Found::Script => "script",
            Found::Diverted(_) => "diverted",
            Found::Another => "another",
            Found::NotInstalled => "not_installed",
            Found::Absent => "absent",
            Found::NotRunnable(_) => "not_runnable",
            Found::Unreadable(_) => "unreadable",
        }
    }

    /// qmail runs another program or none, so no answer about this package's is an OK.
    pub fn is_wrong(&self) -> bool {
        !self.is_named && matches!(self.found, Found::Another | Found::OurOther | Found::NotRunnable(_))
    }

    /// Mail goes by another program, or it is not known that it does not. That no package is installed needs no warning.
    pub fn deserves_warning(&self) -> bool {
        self.is_wrong() || self.doubt().is_some() && self.found != Found::NotInstalled
    }

    /// What an OK depends on.
    pub fn doubt(&self) -> Option<String> {
        let path = self.path.display();
        match self.found {
            _ if self.is_named => None,
            Found::Script | Found::Diverted(_) => {
                Some(format!(", if {path} or QMAILREMOTE leads to this package's program"))
            }
            Found::Unreadable(_) => Some(format!(", if {path}, which cannot be read, is this package's program")),
            Found::NotInstalled => Some(", once this package is installed".to_owned()),
            _ => None,
        }
    }

    /// The end of a sentence on what would become of a mail, if [`Self::is_wrong`].
    pub fn wrong(&self) -> String {
        let path = self.path.display();
        let which = match &self.found {
            Found::NotRunnable(at) => {
                let at = shell_path(at);
                return format!(
                    "bounce, as {path} cannot be run; chmod 755 {at}. By this package's program it would go out"
                );
            }
            Found::Another => "another program",
            _ => "another version",
        };
        format!("go by {path}, which is {which}; run {FIX}. By this package's program it would go out")
    }
}

/// Begins with the path.
impl Display for Program {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        write!(f, "{}: ", self.path.display())?;
        match &self.found {
            Found::Ours => f.write_str("this package's"),
            Found::OurOther => write!(f, "this package's, but not the version that is installed; run {FIX}"),
            Found::Wrapper => f.write_str("a wrapper of this package's program"),
            Found::Script => write!(f, "a script, which stays there; it must run {SHIPPED}"),
            Found::Diverted(by) => {
                write!(
                    f,
                    "another program, which stays there since {by} diverted the name; it or QMAILREMOTE must lead to {SHIPPED}"
                )
            }
            Found::Another if self.is_named => f.write_str("another program than this package's"),
            Found::Another => write!(f, "another program than this package's, as after qmail was rebuilt; run {FIX}"),
            Found::NotInstalled => f.write_str("another program; this package is not installed"),
            Found::Absent => f.write_str("not there"),
            Found::NotRunnable(at) => {
                write!(f, "the user of qmail-remote cannot run it, so mail bounces; chmod 755 {}", shell_path(at))
            }
            Found::Unreadable(why) => {
                write!(f, "cannot be read ({why}), which anybody can do with this package's; run this as root")
            }
        }
    }
}

fn look(path: &Path, is_named: bool, of_qmail: Option<Ids>) -> Found {
    let content = match read(path) {
        Ok(content) => content,
        Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => return Found::Absent,
        Err(error) if error.kind() == ErrorKind::InvalidInput => return Found::Another, // no regular file
        Err(error) => return Found::Unreadable(os_error(&error)),
    };
    let is_script = content.starts_with(b"#!");
    let found = sort(path, is_named, &content, is_script);
    let barrier = of_qmail.and_then(|ids| file_readers::not_runnable(path, is_script, ids).ok().flatten());
    match (found, barrier) {
        (found, Some(at)) if found != Found::Another && !is_named => Found::NotRunnable(at),
        (found, _) => found,
    }
}

/// Which program has this content.
fn sort(path: &Path, is_named: bool, content: &[u8], is_script: bool) -> Found {
    let shipped = read(Path::new(SHIPPED)).ok();
    if is_ours(content) {
        let is_other = !is_named && shipped.is_some_and(|shipped| shipped != content);
        return if is_other { Found::OurOther } else { Found::Ours };
    }
    let wraps = if is_script { runs } else { is_compiled_wrapper };
    if shipped.as_ref().is_some_and(|shipped| wraps(content, shipped)) {
        Found::Wrapper
    } else if is_named {
        Found::Another
    } else if let Some(by) = diverted_by(path) {
        Found::Diverted(by)
    } else if is_script {
        Found::Script
    } else if shipped.is_none() {
        Found::NotInstalled
    } else {
        Found::Another
    }
}

/// Reads a regular file. Others could be waited for, or have no end, and so can files of these file systems.
fn read(path: &Path) -> io::Result<Vec<u8>> {
    let target = path.canonicalize()?;
    if !target.is_file() || ["/proc", "/sys", "/dev"].iter().any(|special| target.starts_with(special)) {
        return Err(ErrorKind::InvalidInput.into());
    }
    fs::read(target)
}

fn is_ours(content: &[u8]) -> bool {
    memmem::find_iter(content, MARK).any(|at| content[..at].ends_with(b"qmail-remote-auth: "))
}

/// What a path can have in it in a script.
fn is_of_path(c: u8) -> bool {
    c.is_ascii_alphanumeric() || b"/._-+@".contains(&c)
}

/// Whether a script names this package's program or a copy of it, not only in a comment.
fn runs(script: &[u8], shipped: &[u8]) -> bool {
    let commands = script.split(|c| *c == b'\n').filter(|line| !line.trim_ascii_start().starts_with(b"#"));
    let words = commands.flat_map(|line| line.split(|c| !is_of_path(*c)));
    words
        .filter(|word| word.starts_with(b"/") && memmem::find(word, b"qmail-remote").is_some())
        .take(16)
        .any(|word| read(Path::new(OsStr::from_bytes(word))).is_ok_and(|content| content == shipped))
}

/// Whether a compiled program has the path of this package's in it. So has qmail-remote-check, within the mark.
fn is_compiled_wrapper(program: &[u8], _shipped: &[u8]) -> bool {
    let path = SHIPPED.as_bytes();
    let is_end = |at: usize| program.get(at + path.len()).is_none_or(|c| !is_of_path(*c));
    memmem::find(program, MARK).is_none() && memmem::find_iter(program, path).any(is_end)
}

/// Who else than this package diverted the name, or the file that it is a link to, as Debian's qmail has it. dpkg-divert(1) prints the
/// package, or LOCAL for a diversion of the administrator.
fn diverted_by(path: &Path) -> Option<String> {
    let names = [Some(path.to_owned()), path.canonicalize().ok()];
    names.iter().flatten().find_map(|name| {
        let mut divert = Command::new("/usr/bin/dpkg-divert");
        let said = divert.env_clear().stdin(Stdio::null()).arg("--listpackage").arg(name).output().ok()?.stdout;
        match std::str::from_utf8(&said).ok()?.trim_end() {
            "" | "qmail-remote-auth" => None,
            "LOCAL" => Some("the administrator".to_owned()),
            package => Some(format!("package {package}")),
        }
    })
}
