//! control/smtproutes and control/authsenders: a line means what a reader by words finds, means the same after it is written down
//! again, and the right line is found for a name. No password gets into a text. The pieces of the input are a name,
//! control/smtproutes and control/authsenders; 0xfe stands for a password.
#![no_main]

#[path = "../../tests/support/home.rs"]
#[allow(dead_code)] // the tests use the rest
mod home;

use home::Home;
use qmail_auth::Login as AuthLogin;
use qmail_remote::check::config::config;
use qmail_remote::check::convert;
use qmail_remote::control::files::{Control, ControlError};
use qmail_remote::control::senders::{self, Sender};
use qmail_remote::control::{Credentials, Route, Settings, routes};
use qmail_remote::event::Log;
use std::net::IpAddr;
use std::sync::LazyLock;
use support::pieces;

const SECRET: &[u8] = b"Q9secretQ9";

static HOME: LazyLock<Home> = LazyLock::new(Home::new);

libfuzzer_sys::fuzz_target!(|input: &[u8]| {
    let mut pieces = pieces(input).map(|piece| {
        let octets = piece.iter().map(|c| if *c == 0xfe { SECRET } else { std::slice::from_ref(c) });
        octets.collect::<Vec<_>>().concat()
    });
    let [name, smtproutes, authsenders] = std::array::from_fn(|_| pieces.next().unwrap_or_default());
    HOME.control("smtproutes", &smtproutes);
    HOME.control("authsenders", &authsenders);
    let (is_whole, smtproutes) = text(smtproutes);
    let (are_whole, authsenders) = text(authsenders);
    for (_, value, number) in entries(&smtproutes) {
        compare(value, routes::understand(value, number));
    }
    for (_, value, number) in of_senders(&authsenders).flatten() {
        match senders::understand(value, number) {
            Ok(Some(sender)) if is_user_alone(&sender) => assert!(words(value).is_none() || value[0] == b'|'),
            Ok(Some(Sender::Login(login))) => {
                assert_eq!(Some(self::login(login)), words(&[b"x", value].concat()).and_then(|(_, _, login)| login));
            }
            Ok(Some(Sender::Relay(route))) => compare(value, Ok(route)),
            Ok(None) => panic!("{}", value.escape_ascii()),
            Err(_) => assert!(value.is_empty() || words(value).is_none() || value[0] == b'|'),
        }
    }
    let control = Control { home: HOME.path().to_owned(), log: Log::default(), seen: None };
    // The longest matching key counts, and of its lines the last.
    let starts = (0..=name.len()).filter(|at| [0, name.len()].contains(at) || name[*at] == b'.');
    let mut keys = starts.map(|at| &name[at..]);
    let lines: Vec<_> = entries(&smtproutes).collect();
    let line = keys.find_map(|name| lines.iter().rev().find(|(key, ..)| key.eq_ignore_ascii_case(name)));
    match (line.filter(|(_, value, _)| !value.is_empty()), routes::find(&control, &name)) {
        (_, found) if !is_whole => assert!(found.is_err()),
        (None, found) => {
            let is_hidden = lines.iter().any(|(key, value, _)| routes::lacks_colon(key, value));
            assert!(found.is_ok_and(|found| found.is_none()) || is_hidden);
        }
        (Some((_, value, _)), Ok(found)) => assert_eq!(found.map(said), words(value)),
        (Some((_, value, _)), Err(_)) => assert_eq!(words(value), None),
    }
    // The same for senders, but a line for an unknown sender is an error.
    let starts = (0..=name.len()).filter(|at| [0, name.len()].contains(at) || b"@.".contains(&name[*at]));
    let mut keys = starts.map(|at| &name[at..]);
    let found = senders::find(&control, &name).map(|found| found.map(what));
    match of_senders(&authsenders).collect::<Result<Vec<_>, _>>() {
        _ if !are_whole => assert!(found.is_err()),
        Err(why) => assert_eq!(found, Err(why)),
        Ok(lines) => {
            let line = keys.find_map(|name| lines.iter().rev().find(|(key, ..)| key.eq_ignore_ascii_case(name)));
            let value = line.filter(|(_, value, _)| !value.is_empty());
            let expected = value.map(|(_, value, number)| senders::understand(value, *number)).transpose();
            assert_eq!(found, expected.map(|found| found.flatten().map(what)));
        }
    }
    if has_secret_at_its_place(&[&smtproutes, &authsenders]) {
        let is_shown = |text: &str| text.as_bytes().windows(SECRET.len()).any(|w| w.eq_ignore_ascii_case(SECRET));
        for (lines, _) in [config(HOME.path()), convert::plan(HOME.path())] {
            assert!(!lines.iter().any(|line| is_shown(line)), "{lines:?}");
        }
        if let Err(error) = Settings::read(&control, &name, &name) {
            assert!(!is_shown(&error.to_string()), "{error}");
        }
    }
});

/// Whether no line of a file is hidden by its encoding or a CR, and the file without its byte order marks.
fn text(file: Vec<u8>) -> (bool, Vec<u8>) {
    const MARK: &[u8] = b"\xef\xbb\xbf";
    let is_utf16 =
        file.starts_with(b"\xff\xfe") || file.starts_with(b"\xfe\xff") || file.iter().take(2).any(|c| *c == 0);
    let mut text = &file[..];
    while let Some(rest) = text.strip_prefix(MARK) {
        text = rest;
    }
    let lines: Vec<&[u8]> = text.split(|c| *c == b'\n').collect();
    let hides = |(number, line): (usize, &&[u8])| {
        let behind_cr = line.splitn(2, |c| *c == b'\r').nth(1).unwrap_or_default();
        let is_line = |c: &u8| lines.len() == 1 || b":|".contains(c);
        number > 0 && line.starts_with(MARK) || behind_cr.iter().any(is_line)
    };
    let is_whole = !is_utf16 && !lines.iter().enumerate().any(hides);
    (is_whole, text.to_vec())
}

/// Key, value and number of each line.
fn entries(smtproutes: &[u8]) -> impl Iterator<Item = (&[u8], &[u8], usize)> {
    routes::lines(smtproutes).filter_map(|(line, number)| routes::entry(line, number))
}

/// The same for authsenders. An error is a line for an unknown sender.
fn of_senders(authsenders: &[u8]) -> impl Iterator<Item = Result<(&[u8], &[u8], usize), ControlError>> {
    routes::lines(authsenders).map(|(line, number)| senders::entry(line, number))
}

/// A user without a password, which only authsenders may have.
fn is_user_alone(sender: &Sender) -> bool {
    let credentials = match sender {
        Sender::Relay(route) => route.credentials.as_ref(),
        Sender::Login(credentials) => Some(credentials),
    };
    credentials.is_some_and(|credentials| matches!(credentials.login, AuthLogin::Token(_)))
}

type Login = (Vec<u8>, Vec<u8>, bool);
type Said = (String, u16, Option<Login>);

fn said(route: Box<Route>) -> Said {
    (route.host, route.port, route.credentials.map(login))
}

/// The relay of a sender, or its login.
fn what(sender: Sender) -> (Option<Said>, Option<Login>) {
    match sender {
        Sender::Relay(route) => (Some(said(route)), None),
        Sender::Login(credentials) => (None, Some(login(credentials))),
    }
}

fn login(credentials: Credentials) -> Login {
    match credentials.login {
        AuthLogin::Password(login) => (login.user, login.password.to_vec(), login.clear_allowed),
        AuthLogin::Token(login) => (login.user, Vec::new(), login.clear_allowed),
        AuthLogin::Certificate { .. } => panic!("a certificate in a line"),
    }
}

/// Compares a route with the reader by words, and with itself after it is written down again.
fn compare(value: &[u8], route: Result<Box<Route>, ControlError>) {
    let found = route.ok().map(said);
    assert_eq!(found, words(value), "{}", value.escape_ascii());
    let Some((host, port, login)) = &found else { return };
    let host = if host.contains(':') { format!("[{host}]") } else { host.clone() };
    let mut line = format!("{host}:{port}").into_bytes();
    if let Some((user, password, clear_allowed)) = login {
        let sign: &[u8] = if *clear_allowed { b"-" } else { b"" };
        let divider: &[u8] = if user.contains(&b'|') { b" " } else { b"|" };
        line.extend([divider, sign, user, divider, password].concat());
    }
    assert_eq!(routes::parse(&line, "").ok().map(said), found, "{}", line.escape_ascii());
}

/// The second reader of a route, by words. None if it is not valid.
fn words(value: &[u8]) -> Option<Said> {
    let text: String = value.iter().map(|c| char::from(*c)).collect(); // one character for one octet
    let octets = |text: &str| text.chars().map(|c| c as u8).collect::<Vec<_>>();
    let trimmed = |text: &str| text.trim_start_matches(|c: char| c.is_ascii_whitespace()).to_owned();
    if text.contains('\0') || text.ends_with('\r') {
        return None;
    }
    let end = text.find([' ', '\t', '|']);
    let (relay, login) = text.split_at(end.unwrap_or(text.len()));
    let login = match login.strip_prefix('|') {
        Some(login) => Some(login.split_once('|')?).map(|(user, password)| (user.to_owned(), password.to_owned())),
        None if end.is_none() => None,
        None => trimmed(login).split_once([' ', '\t']).map(|(user, password)| (user.to_owned(), trimmed(password))),
    };
    let login = match login {
        None if end.is_none() => None,
        None => return None,
        Some((user, password)) => {
            let bare = user.strip_prefix('-').unwrap_or(&user);
            if bare.is_empty() || password.is_empty() || bare.chars().any(|c| c.is_ascii_control()) {
                return None;
            }
            Some((octets(bare), octets(&password), bare.len() < user.len()))
        }
    };
    let (host, port) = match relay.strip_prefix('[') {
        Some(literal) => {
            let (ip, port) = literal.split_once(']')?;
            (ip.parse::<IpAddr>().ok()?.to_string(), port)
        }
        None => {
            let (host, port) = relay.split_at(relay.find([':', ';']).unwrap_or(relay.len()));
            let labels = host.strip_suffix('.').unwrap_or(host).split('.');
            let is_label = |l: &str| {
                !l.is_empty() && l.chars().all(|c| matches!(c, '0'..='9' | 'a'..='z' | 'A'..='Z' | '-' | '_'))
            };
            (labels.into_iter().all(is_label).then(|| host.to_owned())?, port)
        }
    };
    let port = match port {
        "" => 25,
        port => {
            port.strip_prefix([':', ';']).filter(|digits| digits.chars().all(|c| c.is_ascii_digit()))?.parse().ok()?
        }
    };
    let is_port = host.parse::<u16>().is_ok() && host.bytes().all(|c| c.is_ascii_digit()); // a forgotten colon
    (port != 0 && !is_port).then_some((host, port, login))
}

/// Whether the secret is in the files once, after the place where a login can begin, and not in a user or a relay.
fn has_secret_at_its_place(files: &[&[u8]; 2]) -> bool {
    let places = |text: &[u8]| text.windows(SECRET.len()).filter(|w| w.eq_ignore_ascii_case(SECRET)).count();
    let is_secret = |line: &[u8]| {
        let login = line.iter().position(|c| b" \t|".contains(c)).map_or(&[][..], |at| &line[at..]);
        places(login) == 1
    };
    let all = files.iter().flat_map(|file| file.split(|c| *c == b'\n'));
    let is_open = |text: &[u8]| places(text) > 0;
    let shows = |sender: Sender| match sender {
        Sender::Login(login) => is_open(login.login.user().unwrap_or_default()),
        Sender::Relay(route) => {
            is_open(route.host.as_bytes())
                || route.credentials.is_some_and(|login| is_open(login.login.user().unwrap_or_default()))
        }
    };
    let of_routes = entries(files[0]).filter_map(|(_, value, n)| routes::understand(value, n).ok());
    let of_senders =
        self::of_senders(files[1]).flatten().filter_map(|(_, value, n)| senders::understand(value, n).ok()?);
    let is_shown = of_routes.map(|route| Sender::Relay(route)).chain(of_senders).any(shows);
    files.iter().map(|file| places(file)).sum::<usize>() == 1 && all.into_iter().any(is_secret) && !is_shown
}
