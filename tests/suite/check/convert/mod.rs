//! `qmail-remote-check --convert`: what it plans leaves each mail its route and its login, and shows no secret; with `--write` it is
//! done, and whatever stops that leaves each mail its route and its login, too.

mod interrupted;

use crate::support::Home;
use crate::support::check::{command, program};
use crate::support::executable;
use crate::support::namespace::inside_with;
use base64::Engine;
use qmail_auth::Login;
use qmail_remote::control::Settings;
use qmail_remote::control::files::Control;
use qmail_remote::event::Log;
use std::collections::BTreeMap;
use std::fs::{self, Permissions};
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown, symlink};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Command, Output};

const PLAN: &[&str] = &["--convert"];
const WRITE: &[&str] = &["--convert", "--write"];
const NOTHING: &str = "Nothing to do: there is no login in control/smtproutes that can be moved.\n";

fn convert(home: &Home, arguments: &[&str]) -> (Option<i32>, String) {
    said(&command(home, arguments).output().unwrap())
}

fn said(output: &Output) -> (Option<i32>, String) {
    assert!(output.stderr.is_empty(), "{output:?}");
    (output.status.code(), String::from_utf8(output.stdout.clone()).unwrap())
}

fn write(home: &Home) -> String {
    let (status, said) = convert(home, WRITE);
    assert!(status == Some(0) && said.ends_with("\nDone.\n"), "{said}");
    said
}

/// Relay, port, user, password and whether clear text is allowed, for a mail.
fn meaning(home: &Home, host: &str, sender: &str) -> String {
    let control = Control { home: home.path().to_owned(), log: Log::default(), seen: None };
    match Settings::read(&control, host.as_bytes(), sender.as_bytes()) {
        Err(error) => format!("{error:?}"),
        Ok(settings) => settings.route.map_or("MX".to_owned(), |route| {
            let login = route.credentials.map(|credentials| match credentials.login {
                Login::Password(login) => (login.user.clone(), login.password.to_vec(), login.clear_allowed),
                Login::Certificate { .. } | Login::Token(_) => panic!("no certificate is there, and no token"),
            });
            format!("{}:{} {login:?}", route.host, route.port)
        }),
    }
}

const HOSTS: [&str; 5] = ["example.org", "a.example.org", "example.com", "other.net", "EXAMPLE.COM"];
const SENDERS: [&str; 5] = ["me@example.net", "boss@example.net", "x@other.example", "a b@example.net", ""];

fn meanings(home: &Home) -> Vec<String> {
    HOSTS.iter().flat_map(|host| SENDERS.map(|sender| meaning(home, host, sender))).collect()
}

/// Mode, owner, group and content of all in control, by their names there. Directories have no content.
fn control_files(home: &Home) -> BTreeMap<String, (u32, u32, u32, Vec<u8>)> {
    fn add(at: &Path, control: &Path, all: &mut BTreeMap<String, (u32, u32, u32, Vec<u8>)>) {
        for entry in fs::read_dir(at).unwrap() {
            let path = entry.unwrap().path();
            let file = fs::symlink_metadata(&path).unwrap();
            let content = if file.is_file() { fs::read(&path).unwrap() } else { Vec::new() };
            let name = path.strip_prefix(control).unwrap().display().to_string();
            all.insert(name, (file.mode() & 0o7777, file.uid(), file.gid(), content));
            if file.is_dir() {
                add(&path, control, all);
            }
        }
    }
    let control = home.path().join("control");
    let mut all = BTreeMap::new();
    add(&control, &control, &mut all);
    all
}

fn smtproutes(home: &Home) -> Vec<u8> {
    fs::read(home.path().join("control/smtproutes")).unwrap()
}

fn set(path: &Path, mode: u32) {
    fs::set_permissions(path, Permissions::from_mode(mode)).unwrap();
}

fn mode(path: &Path) -> u32 {
    path.metadata().unwrap().mode() & 0o7777
}

fn has(text: &[u8], part: &[u8]) -> bool {
    text.windows(part.len()).any(|window| window == part)
}

fn assert_hidden(text: &str, user: &[u8], password: &[u8]) {
    let base64 = |octets: &[u8]| base64::engine::general_purpose::STANDARD.encode(octets);
    let hex: String = password.iter().map(|c| format!("{c:02x}")).collect();
    let plain = [b"\0", user, b"\0", password].concat();
    let shown = String::from_utf8_lossy(password);
    for secret in [shown.into_owned(), base64(password), base64(&plain), hex] {
        assert!(!text.to_lowercase().contains(&secret.to_lowercase()), "{secret} is in {text}");
    }
    assert!(text.bytes().all(|c| c == b'\n' || (b' '..=b'~').contains(&c)), "{text:?}");
}

#[test]
fn each_password_arrives_octet_for_octet() {
    let passwords: [&[u8]; 13] = [
        b"secretpass",
        b"two words  and\tmore",
        b"|bars||in|it|",
        b"quo'te\"s`date`$(date)$HOME\\n\\",
        b"-secret",
        b"\\1&/[.*]^$\\{3\\}",
        b"p\xc3\xa4ss\xff\xfe\x81\x88word",
        b"%s%n#!~;<>(){}?*",
        b"con\x01trol\x1b[2J\x7fs",
        b"mid\rdle",
        b"'secret",
        b"secret:pass:word",
        b"# secret",
    ];
    for (turn, password) in passwords.into_iter().enumerate() {
        for (before, user) in [
            (&b":smtp.example.jp:587 myuser "[..], &b"myuser"[..]),
            (b"example.org:smtp.example.jp:587 \t -myuser\t ", b"myuser"),
            (b".example.org:[192.0.2.1];465|my $user's|", b"my $user's"),
            (b"other.net:[2001:DB8::1]:465|-my user|", b"my user"),
            (b"EXAMPLE.com:Smtp.Example.JP.|\\u\xe4\xff%d|", b"\\u\xe4\xff%d"),
        ] {
            let after = [&b"\n"[..], b"", b" \t\n"][turn % 3];
            let home = Home::new();
            let line = [b"# a comment\n# nul\0\xff\nthird.net:\n", before, password, after].concat();
            let path = home.control("smtproutes", &line);
            set(&path, 0o604);
            let (meant, files) = (meanings(&home), control_files(&home));
            let (status, plan) = convert(&home, PLAN);
            assert_eq!(status, Some(0));
            assert_hidden(&plan, user, password);
            assert_eq!(control_files(&home), files, "the plan changes nothing");
            let said = write(&home);
            assert_hidden(&said, user, password);
            let lines = |text: &str| text.lines().map(str::to_owned).rev().skip(1).collect::<Vec<_>>();
            assert_eq!(lines(&plan), lines(&said), "what was planned is done");
            assert_eq!(meanings(&home), meant, "{said}");
            let end = before.iter().rposition(|c| b" \t|".contains(c)).unwrap();
            let now = smtproutes(&home);
            assert!(!now.ends_with(&before[..end]) && now.starts_with(b"# a comment\n# nul\0\xff\nthird.net:\n"));
            assert_eq!((now.ends_with(b"\n"), mode(&path)), (after.ends_with(b"\n"), 0o604));
            for (name, (mode, .., content)) in control_files(&home) {
                match &name[..] {
                    "smtproutes.before-convert" => assert_eq!((mode, content), (0o600, line.clone())),
                    name if name.ends_with("/password") => assert_eq!(content, [password, b"\n"].concat()),
                    _ => assert!(!has(&content, password), "{name}"),
                }
            }
            // Again: nothing happens.
            let files = control_files(&home);
            for arguments in [WRITE, PLAN] {
                assert_eq!(convert(&home, arguments), (Some(0), NOTHING.to_owned()));
            }
            assert_eq!(control_files(&home), files);
        }
    }
}

/// Several keys for a relay have one login there, and what is beside it stays.
#[test]
fn several_lines_and_a_link() {
    let home = Home::new();
    let routes = "example.org:smtp.example.jp:587 myuser secretpass\nother.net:SMTP.example.jp.|myuser|secretpass\n\
                  # smtp.example.jp\n:[2001:db8::0:1]:465 -other hidden\n";
    let real = home.path().join("routes");
    fs::write(&real, routes).unwrap();
    symlink("../routes", home.path().join("control/smtproutes")).unwrap();
    home.control("relays/smtp.example.jp/tls", "may\n");
    let meant = meanings(&home);
    let said = write(&home);
    for line in [
        "control/smtproutes line 1: the login of myuser moves to control/relays/smtp.example.jp/user and password; the line becomes \
         example.org:smtp.example.jp:587",
        "control/smtproutes line 2: the login of myuser moves to control/relays/smtp.example.jp/user and password; the line becomes \
         other.net:SMTP.example.jp.",
        "control/smtproutes line 4: the login of other moves to control/relays/2001:db8::1/user and password; the line becomes \
         :[2001:db8::0:1]:465",
    ] {
        assert!(said.lines().any(|said| said == line), "{said}");
    }
    assert_eq!(meanings(&home), meant);
    assert!(home.path().join("control/smtproutes").is_symlink(), "a link stays one");
    let now = "example.org:smtp.example.jp:587\nother.net:SMTP.example.jp.\n# smtp.example.jp\n:[2001:db8::0:1]:465\n";
    assert_eq!(fs::read_to_string(&real).unwrap(), now);
    assert_eq!(fs::read_to_string(home.path().join("routes.before-convert")).unwrap(), routes, "{said}");
    assert_eq!(fs::read(home.path().join("control/relays/smtp.example.jp/tls")).unwrap(), b"may\n");
    assert_eq!(fs::read(home.path().join("control/relays/2001:db8::1/user")).unwrap(), b"-other\n");
}

/// qmail's group reads what it could read before, and nobody reads more.
#[test]
fn owners_and_modes() {
    // Inside a user namespace there is no number but 0.
    let gid = if fs::metadata("/proc/self").unwrap().uid() == 0 { 2108 } else { 0 };
    let passwd = format!("root:x:0:0:::\nqmailr:x:7796:{gid}:::\n");
    let root = if gid == 0 { "" } else { "root:x:0:\n" };
    let group = format!("{root}qmail:x:{gid}:\n");
    if !inside_with(here!(), &[("passwd", &passwd), ("group", &group)], "true") {
        return;
    }
    let group = fs::read_to_string("/etc/group").unwrap();
    let gid: u32 = group.lines().last().unwrap().split(':').nth(2).unwrap().parse().unwrap();
    let by_qmail = (0o640, 0, gid);
    let (everything, refused) = (gid != 0, "its mode keeps qmailr, the user of qmail-remote, from reading it");
    for (before, expected) in [
        ((0o644, 0, 0), Ok(by_qmail)),
        ((0o640, 0, gid), Ok(by_qmail)),
        ((0o444, 5, 5), Ok(by_qmail)),
        ((0o600, 7796, gid), Ok((0o600, 7796, gid))),
        ((0o640, 0, 5), Err(refused)),
        ((0o604, 0, gid), Err(refused)),
        ((0o600, 0, 0), Err(refused)),
    ] {
        let (mode, uid, owners_group) = before;
        if !everything && (uid, owners_group) != (0, 0) {
            continue;
        }
        let home = Home::new();
        let path = home.control("smtproutes", ":smtp.example.jp:587 myuser secretpass\n");
        chown(&path, Some(uid), Some(owners_group)).unwrap();
        set(&path, mode);
        let files = control_files(&home);
        let (status, said) = convert(&home, WRITE);
        let now: BTreeMap<String, _> =
            control_files(&home).into_iter().map(|(name, (mode, uid, gid, _))| (name, (mode, uid, gid))).collect();
        match expected {
            Ok(expected) => {
                assert_eq!((status, now["smtproutes"]), (Some(0), before), "{said}");
                for name in ["relays", "relays/smtp.example.jp"] {
                    assert_eq!(now[name], (0o750, 0, gid), "{before:?} {name}");
                }
                for name in ["user", "password"] {
                    assert_eq!(now[&format!("relays/smtp.example.jp/{name}")], expected, "{before:?} {name}");
                }
                assert_eq!(now["smtproutes.before-convert"].0, 0o600);
                let words =
                    ["mode 0640 root:qmail, readable by group qmail.", "mode 0600 qmailr:qmail, readable by user"];
                assert!(words.iter().any(|words| said.contains(words)), "{said}");
            }
            Err(why) => {
                assert!(status == Some(1) && said.contains(why), "{before:?} {said}");
                assert_eq!(control_files(&home), files);
                let (status, plan) = convert(&home, PLAN);
                assert!(status == Some(0) && plan.contains(why), "{plan}");
            }
        }
    }
    if !everything {
        return;
    }
    // Another user, who may write there all the same.
    let home = Home::new();
    let path = home.control("smtproutes", ":smtp.example.jp:587 myuser secretpass\n");
    for open in [home.path(), path.parent().unwrap()] {
        set(open, 0o777);
    }
    let files = control_files(&home);
    let copy = home.path().join("program"); // where that user can get at it
    executable::copy(&program(), &copy);
    let mut other = Command::new(copy);
    other.args(WRITE).env_clear().env("QMAILHOME", home.path()).current_dir("/").uid(5).gid(5);
    let (status, said) = said(&other.output().unwrap());
    let why = "NOT DONE: control/smtproutes: only root or its owner can do that. Nothing was changed.\n";
    assert!(status == Some(1) && said.ends_with(why), "{said}");
    assert_eq!(control_files(&home), files);
}

#[test]
fn what_stays() {
    for (smtproutes, authsenders, why) in [
        (":relay u secret1\na.org:relay v secret2\n", "", "line 1 stays: line 2 has another login for the same relay."),
        (
            ":relay u secret1\nexample.org:relay u secret1\na.org:relay -u secret1\n",
            "",
            "line 2 stays: line 3 has another login for the same relay.",
        ),
        (
            ":relay u secret1\n:relay v secret2\n",
            "",
            "line 1 stays: line 2 has the same key, so it does not count; delete it.",
        ),
        (
            ":relay u secret1\na.org:RELAY:26\n",
            "",
            "line 1 stays: control/smtproutes line 2 goes to the same relay without a login",
        ),
        (
            ":relay u secret1\n",
            "@a.org:relay:26\n",
            "line 1 stays: control/authsenders line 1 goes to the same relay without",
        ),
        (
            ":relay u secret1\n",
            "a b@example.net:relay:26\n",
            "line 1 stays: control/authsenders line 1 goes to the same relay without",
        ),
        (
            ":[192.0.2.1] u secret1\nother.net:[::ffff:192.0.2.1]\n",
            "",
            "line 1 stays: control/smtproutes line 2 has the same address in another form",
        ),
        (":under_score u secret1\n", "", "line 1 stays: the relay's name cannot be that of a directory"),
        (":there u secret1\n", "", "line 1 stays: control/relays/there has another login, or a part of one."),
        (":shut u secret1\n", "", "line 1 stays: control/relays/shut/user: Is a directory."),
        (":relay|u |secret1\n", "", "line 1 stays: a file cannot hold the blank at the end of the user"),
        (
            ":relay|u|\u{feff}secret1\n",
            "",
            "line 1 stays: a file cannot hold the mark of an encoding at the start of the password",
        ),
        (
            "relay u secret1:relay a secret2\n",
            "",
            "line 1 stays: no host has a blank or a bar in it, so it does not count.",
        ),
        (":relay|u|secret1\r\n", "", "line 1 stays: control/smtproutes line 1: a CR at the line's end"),
        ("relay|u|secret1\n", "", "line 1 stays: it has no colon, so it does not count."),
        ("# :relay|u|secret1\n", "", "line 1 stays: a comment with a login in it; delete it."),
        (
            "",
            "a@b.org|u|secret1\n",
            "control/authsenders line 1 stays: a login by sender, for which control/relays has no place.",
        ),
    ] {
        let home = Home::new();
        home.control("smtproutes", smtproutes);
        home.control("authsenders", authsenders);
        home.control("relays/there/user", "u\n");
        home.control("relays/there/password", "secret1 \n");
        fs::create_dir_all(home.path().join("control/relays/shut/user")).unwrap();
        let meant = meanings(&home);
        for arguments in [PLAN, WRITE] {
            let (status, said) = convert(&home, arguments);
            assert_eq!(status, Some(0));
            assert!(said.contains(why), "{smtproutes}{authsenders}{said}");
            assert!(!said.contains("secret"), "{said}");
            assert_eq!(meanings(&home), meant);
        }
    }
    let home = Home::new();
    // It would be a part of the first key.
    home.control("smtproutes", "\u{feff}:there -u secret1\n");
    let why = r"control/smtproutes begins with a byte order mark; remove it: sed -i '1s/^\xef\xbb\xbf//' control/smtproutes; nothing can be moved.";
    for arguments in [PLAN, WRITE] {
        assert_eq!(convert(&home, arguments), (Some(1), format!("{why}\n")));
    }
    let sed = ["-i", r"1s/^\xef\xbb\xbf//", "control/smtproutes"];
    assert!(Command::new("sed").args(sed).current_dir(home.path()).status().unwrap().success());
    assert_eq!(smtproutes(&home), b":there -u secret1\n");
    let path = home.path().join("control/smtproutes");
    fs::remove_file(&path).unwrap();
    fs::create_dir(&path).unwrap();
    let why = "control/smtproutes: Is a directory; nothing can be moved.\n".to_owned();
    assert_eq!(convert(&home, WRITE), (Some(1), why));
    fs::remove_dir(&path).unwrap();
    symlink("nowhere", &path).unwrap();
    let why = "control/smtproutes: a link that leads nowhere; nothing can be moved.\n".to_owned();
    assert_eq!(convert(&home, WRITE), (Some(1), why));
}

/// The directory has the login already, or what an interrupted run left of it. As root made the files, or such a run, qmail cannot read
/// them, and does not have to as long as the line has the login.
#[test]
fn what_is_there_already() {
    for (user, password) in [
        (Some("-u\n"), Some("secret1\nmore\n")),
        (Some("-u"), Some("secret1")),
        (Some("-u\n"), None),
        (None, Some("secret1\n")),
        (Some("-u\n"), Some("")),
        (Some(""), None),
    ] {
        let home = Home::new();
        set(&home.control("smtproutes", ":there -u secret1\n"), 0o640);
        let directory = home.path().join("control/relays/there");
        for (name, content) in [("user", user), ("password", password)] {
            if let Some(content) = content {
                set(&home.control(&format!("relays/there/{name}"), content), 0o600);
            }
        }
        let is_whole = user.is_some_and(|user| user.starts_with("-u"))
            && password.is_some_and(|password| password.starts_with("secret1"));
        let meant = meanings(&home);
        let said = write(&home);
        let words = if is_whole { "is there already, in" } else { "moves to" };
        let line = format!("the login of u {words} control/relays/there/user and password; the line becomes :there\n");
        assert!(said.contains(&line), "{said}");
        assert_eq!((meanings(&home), smtproutes(&home)), (meant, b":there\n".to_vec()));
        for (name, before, usual) in [("user", user, "-u\n"), ("password", password, "secret1\n")] {
            let path = directory.join(name);
            let expected = before.filter(|content| !content.is_empty()).unwrap_or(usual);
            assert_eq!((fs::read_to_string(&path).unwrap().as_str(), mode(&path)), (expected, 0o640));
        }
    }
    // Also where others go to the relay without a login of their own: they have had this one.
    let home = Home::new();
    home.control("smtproutes", ":there -u secret1\nexample.org:there\n");
    home.control("relays/there/user", "-u\n");
    home.control("relays/there/password", "secret1\n");
    let meant = meanings(&home);
    write(&home);
    assert_eq!((meanings(&home), smtproutes(&home)), (meant, b":there\nexample.org:there\n".to_vec()));
}

/// A file that a link leads to may belong elsewhere: its owner and mode stay.
#[test]
fn a_link_in_the_place_of_a_login() {
    for is_hard in [false, true] {
        let home = Home::new();
        home.control("smtproutes", ":there -u secret1\n");
        let elsewhere = home.control("elsewhere", "-u\n");
        set(&elsewhere, 0o644);
        let user = home.control("relays/there/password", "secret1\n").with_file_name("user");
        if is_hard { fs::hard_link(&elsewhere, user) } else { symlink("../../elsewhere", user) }.unwrap();
        let before = control_files(&home);
        let (status, said) = convert(&home, WRITE);
        let why =
            "NOT DONE: control/relays/there/user: a link, whose file may be used elsewhere; put a file there instead. ";
        assert!(status == Some(1) && said.contains(why), "{said}");
        assert_eq!(control_files(&home), before);
    }
}

/// It is not waited for.
#[test]
fn a_fifo_for_the_old_file() {
    let home = Home::new();
    let fifo = home.control("smtproutes", ":there -u secret1\n").with_file_name("smtproutes.before-convert");
    assert!(Command::new("mkfifo").arg(fifo).status().unwrap().success());
    for arguments in [PLAN, WRITE] {
        let (_, said) = convert(&home, arguments);
        assert!(said.contains("control/smtproutes.before-convert exists"), "{said}");
    }
}
