//! qmail-remote-oauth: has the tokens by which qmail-remote logs in where a relay takes no password (OAuth 2.0). qmail-remote itself knows
//! neither HTTP nor JSON: it reads the token that is there, and runs this where that is near its end.
//!
//! `consent` asks a user once, `renewal` has a new token where one is needed, both by an `exchange` with the provider (`http`, and `answer`
//! for what it says) and with the files of `store`. `redirect` is what a browser brings back. `login` proves a new token at the relay.
//! `accounts` finds the accounts, `set_up` writes their control files, `status` lists them. `hidden` keeps secrets out of a provider's
//! words, `arguments` are those of main, `want` is the border to c-glue.

mod accounts;
pub mod answer;
mod arguments;
mod consent;
mod exchange;
pub mod hidden;
pub mod http;
mod login;
pub mod redirect;
mod renewal;
mod set_up;
mod status;
mod store;
pub mod want;

use crate::account::time;
use crate::account::token::Access;
use crate::cause::oauth::{ConsentCause, TokenCause};
use crate::check::file_readers::Ids;
use crate::check::user::RunsAs;
use crate::control::home::{self, Surroundings};
use crate::control::tokens;
use crate::report::os_error;
use accounts::Account;
use answer::printable;
use arguments::{Command, USAGE, Wanted};
use consent::{Consent, Consented};
use login::Proof;
use qmail_auth::secret::Secret;
use renewal::{Ending, Purpose, Renewal};
use std::collections::VecDeque;
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use want::{Happened, Machine, Want};

/// Exit statuses of `token` (sysexits(3)).
const LATER: u8 = 75;
const SET_UP: u8 = 78;
/// The others.
const FAILED: u8 = 1;
const IMPROPER: u8 = 2;

/// A refresh token that nobody has used for so many seconds is used. The timer runs once a week, and may be late.
const UNUSED: u64 = 6 * 86_400;

/// What is to be done, before the process is that of qmail-remote's user.
pub struct Prepared {
    command: Command,
    home: PathBuf,
    user: RunsAs,
    /// The control files that a consent has written.
    written: Vec<String>,
}

/// Does what needs no network and what only root can do; the arguments come without the program's name. `Err` is the exit status when
/// everything is done. `uid` is the effective user of the process.
pub fn prepare(arguments: Vec<OsString>, surroundings: &Surroundings, uid: u32) -> Result<Prepared, u8> {
    let command = match arguments::parse(arguments) {
        Ok(Command::Help) => return Err(print(USAGE)),
        Ok(Command::Version) => return Err(print(concat!("qmail-remote-oauth ", env!("CARGO_PKG_VERSION"), "\n"))),
        Ok(command) => command,
        Err(why) => {
            failed(&why);
            eprint!("{USAGE}");
            return Err(IMPROPER);
        }
    };
    // Line 1 of what it prints is for qmail-remote.
    let fail = |why: &str| match command {
        Command::Token { .. } => print(&format!("{}\n", printable(why.as_bytes(), 1000))).max(SET_UP),
        _ => failed(why),
    };
    let home = home::find(surroundings).ok_or_else(|| fail(&TokenCause::NoHome.to_string()))?;
    let is_named = surroundings.qmailhome.is_some_and(|home| !home.as_os_str().is_empty());
    let user = RunsAs::find(Some(&home), is_named, uid).map_err(|why| fail(&why))?;
    let written = match &command {
        Command::Consent(wanted) => accounts::set_up(&home, wanted, user.change, uid).map_err(|why| fail(&why))?,
        _ => Vec::new(),
    };
    Ok(Prepared { command, home, user, written })
}

impl Prepared {
    /// Whether nobody waits at a terminal: a signal to end is then for whom qmail-remote waits, and what it has may exist nowhere else.
    pub fn goes_on_to_its_end(&self) -> bool {
        matches!(self.command, Command::Token { .. } | Command::Renew)
    }

    /// The user and group that the process must become for good before it starts.
    pub fn change_of_user(&self) -> Option<Ids> {
        self.user.change
    }

    /// The process could not become that user. Returns the exit status.
    pub fn cannot_change_user(&self, error: &std::io::Error) -> u8 {
        let (uid, gid) = self.user.change.unwrap_or_default();
        let why = format!("cannot become the user of qmail-remote (uid {uid}, gid {gid}): {}", os_error(error));
        match self.command {
            Command::Token { .. } => print(&format!("{why}\n")).max(SET_UP),
            _ => failed(&why),
        }
    }

    /// Begins, at this Unix time.
    pub fn start(self, unix: u64) -> Box<dyn Machine> {
        let Prepared { command, home, user, written } = self;
        let uid = user.uid;
        let mut program = Program {
            job: Job::Done,
            out: Secret::default(),
            printed: Secret::default(),
            status: 0,
            unix,
            home: home.clone(),
        };
        match command {
            Command::Token { host, user, is_refused } => {
                let purpose = if is_refused { Purpose::Refused } else { Purpose::Login };
                match Account::of(&home, &host, &user, uid) {
                    Ok(account) => program.job = Job::Token(Renewal::new(account, purpose, unix)),
                    Err(cause) => program.no_token(&Ending::SetUp(cause)),
                }
                program.go_on();
            }
            Command::Consent(wanted) => program.consent(&home, &wanted, uid, written),
            Command::Renew => {
                let (old, lines) = to_renew(&home, uid, unix);
                program.say(&lines);
                program.status = if lines.is_empty() { 0 } else { FAILED };
                program.job = Job::Renew(None, old);
                program.go_on();
            }
            Command::Status => {
                let (lines, is_wrong) = status::list(&home, uid, unix);
                program.say(&lines);
                program.status = u8::from(is_wrong);
            }
            Command::Help | Command::Version => {}
        }
        Box::new(program)
    }
}

/// The program, once it runs.
struct Program {
    job: Job,
    /// To be printed, and what is printed now.
    out: Secret,
    printed: Secret,
    status: u8,
    unix: u64,
    home: PathBuf,
}

enum Job {
    Token(Renewal),
    Consent(Box<Consent>, Vec<String>),
    /// The same for an application, to which nobody consents.
    App(Renewal, Vec<String>),
    Renew(Option<Renewal>, VecDeque<Account>),
    /// The login after a consent.
    Prove(Box<Proof>),
    Done,
}

impl Machine for Program {
    fn want(&mut self, now: u64) -> Want<'_> {
        if !self.out.is_empty() {
            self.printed = std::mem::take(&mut self.out);
            return Want::Print(&self.printed);
        }
        let want = match &mut self.job {
            Job::Token(renewal) | Job::App(renewal, _) | Job::Renew(Some(renewal), _) => renewal.want(now),
            Job::Consent(consent, _) => consent.want(now),
            Job::Prove(proof) => Some(proof.want(now)),
            Job::Renew(None, _) | Job::Done => None,
        };
        want.unwrap_or(Want::Done)
    }

    fn happened(&mut self, event: Happened) {
        match &mut self.job {
            Job::Token(renewal) | Job::App(renewal, _) | Job::Renew(Some(renewal), _) => renewal.happened(event),
            Job::Consent(consent, _) => {
                consent.happened(event);
                let said = consent.said();
                self.out.add(said.as_bytes());
            }
            Job::Prove(proof) => proof.happened(event),
            Job::Renew(None, _) | Job::Done => want::out_of_turn(&event),
        }
        self.go_on();
    }

    fn status(&self) -> u8 {
        self.status
    }
}

impl Program {
    fn say(&mut self, text: &str) {
        self.out.add(text.as_bytes());
    }

    /// To the next step, where one is over.
    fn go_on(&mut self) {
        match std::mem::replace(&mut self.job, Job::Done) {
            Job::Token(mut renewal) => match renewal.ending() {
                None => self.job = Job::Token(renewal),
                Some(Ending::Token(access, _)) => {
                    self.out.add(&access.token);
                    self.say(&format!("\n{}\n", access.end));
                }
                Some(ending) => self.no_token(&ending),
            },
            Job::App(mut renewal, written) => match renewal.ending() {
                None => self.job = Job::App(renewal, written),
                Some(Ending::Token(access, None)) => self.consented(renewal.account(), &access, &written),
                Some(Ending::Token(_, Some(cause)) | Ending::Later(cause) | Ending::SetUp(cause)) => {
                    self.not_consented(&cause.to_string());
                }
            },
            Job::Consent(mut consent, written) => match consent.consented() {
                None => self.job = Job::Consent(consent, written),
                Some(Consented::Yes(access)) => self.consented(consent.account(), &access, &written),
                Some(Consented::No(why)) => self.not_consented(&why),
            },
            Job::Renew(renewal, rest) => self.renew(renewal, rest),
            Job::Prove(proof) => match proof.ending() {
                None => self.job = Job::Prove(proof),
                Some((is_taken, words)) => self.proven(is_taken, &words),
            },
            Job::Done => {}
        }
    }

    fn renew(&mut self, renewal: Option<Renewal>, mut rest: VecDeque<Account>) {
        let Some(mut renewal) = renewal.or_else(|| Some(Renewal::new(rest.pop_front()?, Purpose::Test, self.unix)))
        else {
            return;
        };
        if let Some(ending) = renewal.ending() {
            if let Ending::Token(_, Some(cause)) | Ending::Later(cause) | Ending::SetUp(cause) = ending {
                let Account { host, user, .. } = renewal.account();
                let line = format!("{host} {user}: {cause}");
                self.say(&format!("{}\n", printable(line.as_bytes(), 2000)));
                self.status = FAILED;
            }
            return self.renew(None, rest);
        }
        self.job = Job::Renew(Some(renewal), rest);
    }

    fn note(&mut self, cause: &ConsentCause) {
        self.say(&format!("note          {}\n", printable(cause.to_string().as_bytes(), 1000)));
    }

    fn no_token(&mut self, ending: &Ending) {
        let (status, cause) = match ending {
            Ending::Later(cause) => (LATER, cause),
            Ending::SetUp(cause) => (SET_UP, cause),
            Ending::Token(..) => return,
        };
        self.say(&format!("{}\n", printable(cause.to_string().as_bytes(), 2000)));
        self.status = status;
    }

    fn consent(&mut self, home: &Path, wanted: &Wanted, uid: u32, written: Vec<String>) {
        if uid == 0 {
            let file = home.join("queue/lock/tcpto").display().to_string();
            self.note(&ConsentCause::AsRoot { file });
        }
        let account = match Account::of(home, &wanted.host, &wanted.user, uid) {
            Ok(account) => account,
            Err(cause) => return self.not_consented(&cause.to_string()),
        };
        let relay = format!("relays/{}", account.host);
        if let Some(cause) = set_up::other_user(&accounts::control(home), &relay, &wanted.user) {
            self.note(&cause);
        }
        self.job = match account.provider.grant {
            tokens::Grant::App => Job::App(Renewal::new(account, Purpose::Test, self.unix), written),
            tokens::Grant::User => match Consent::new(account, wanted.in_browser) {
                Ok(consent) => Job::Consent(Box::new(consent), written),
                Err(cause) => return self.not_consented(&cause.to_string()),
            },
        };
    }

    fn consented(&mut self, account: &Account, access: &Access, written: &[String]) {
        let scope = account.provider.scope.as_deref().unwrap_or("not said");
        let how = match account.provider.grant {
            tokens::Grant::User => "renewable",
            tokens::Grant::App => "of the application",
        };
        self.say(&format!("consented     scope {scope}, until {} UTC, {how}\n", time(access.end)));
        let directory = account.store.directory.display().to_string();
        let written = written.iter().map(String::as_str).chain([&directory[..]]).collect::<Vec<_>>().join(", ");
        self.say(&format!("written       {}\n", printable(written.as_bytes(), 4000)));
        self.job = Job::Prove(Box::new(Proof::new(&self.home, account, access.begin)));
        self.go_on();
    }

    fn proven(&mut self, is_taken: bool, words: &str) {
        self.say(&format!("login         {}\n", printable(words.as_bytes(), 4000)));
        if is_taken {
            self.say("From now on the token is renewed when mail goes out, and once a week by a timer.\n");
        } else {
            self.say("NOT DONE: there is a token, but the login with it did not succeed\n");
            self.status = FAILED;
        }
    }

    fn not_consented(&mut self, why: &str) {
        self.say(&format!("NOT DONE: {}\n", printable(why.as_bytes(), 2000)));
        self.status = FAILED;
    }
}

/// The accounts whose refresh tokens would die unused one day, and lines about those that have none because something is wrong.
fn to_renew(home: &Path, uid: u32, unix: u64) -> (VecDeque<Account>, String) {
    let (mut old, mut lines) = (VecDeque::new(), String::new());
    let mut wrong = |whose: &str, cause: &TokenCause| {
        lines += &printable(format!("{whose}{cause}").as_bytes(), 2000);
        lines += "\n";
    };
    let found = accounts::find(home, uid);
    found.wrong.iter().for_each(|cause| wrong("", cause));
    for (host, user) in found.accounts {
        let whose = format!("{host} {}: ", String::from_utf8_lossy(&user));
        match Account::of(home, &host, &user, uid) {
            Ok(account) if account.provider.grant == tokens::Grant::App => {}
            Ok(account) => match account.store.is_renewable() {
                Ok(true) if account.store.access().is_none_or(|access| unix.abs_diff(access.begin) > UNUSED) => {
                    old.push_back(account);
                }
                Ok(_) => {}
                Err(cause) => wrong(&whose, &cause),
            },
            Err(TokenCause::ByCommand { .. }) => {} // that program may do so itself
            Err(cause) => wrong(&whose, &cause),
        }
    }
    (old, lines)
}

/// Says on descriptor 2 why nothing is done. Returns the exit status.
fn failed(why: &str) -> u8 {
    eprintln!("qmail-remote-oauth: {}", printable(why.as_bytes(), 2000));
    FAILED
}

/// Returns the exit status: 1 if the text cannot be printed.
fn print(text: &str) -> u8 {
    use std::io::Write;
    u8::from(std::io::stdout().write_all(text.as_bytes()).is_err())
}
