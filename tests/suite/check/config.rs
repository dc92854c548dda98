//! `qmail-remote-check --config`: the control files in words, and never a secret.

use crate::support::Home;
use crate::support::certificate::{Authority, Identity};
use crate::support::namespace::inside_with;
use rcgen::{IsCa, date_time_ymd};
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Command, Output};

fn check(home: &Home, arguments: &[&str]) -> (Option<i32>, String) {
    let mut command = Command::new(crate::support::check::program());
    let Output { status, stdout, stderr } = command.args(arguments).env("QMAILHOME", home.path()).output().unwrap();
    (status.code(), String::from_utf8([stdout, stderr].concat()).unwrap())
}

/// What it says in a home with these lines, but for the first two lines and those of files with secrets.
fn said(smtproutes: &[u8], authsenders: &[u8], expected_status: i32) -> Vec<String> {
    let home = Home::new();
    home.control("smtproutes", smtproutes);
    home.control("authsenders", authsenders);
    said_in(&home, expected_status)
}

fn said_in(home: &Home, expected_status: i32) -> Vec<String> {
    let (status, text) = check(home, &["--config"]);
    assert_eq!(status, Some(expected_status), "{text}");
    for secret in ["secret", "c2VjcmV0"] {
        assert!(!text.replace(" holds a secret: ", "").contains(secret), "{text}");
    }
    let lines: Vec<&str> = text.lines().collect();
    assert_eq!(lines[0], format!("home {}", home.path().display()));
    assert!(lines[1].starts_with("each connection: EHLO client.example.net, "), "{text}");
    lines[2..].iter().filter(|line| !line.contains(" holds a secret: ")).map(|line| (*line).to_owned()).collect()
}

const MX: &str = "no line of control/smtproutes: mail for all other hosts goes to the domain's mail exchangers";

#[test]
fn routes_and_senders() {
    assert_eq!(said(b"", b"", 0), [MX]);
    assert_eq!(
        said(b"example.org:relay:587\n:\n# all mail: by x\n", b"@example.org:relay\na@b:\n", 0),
        [
            "control/smtproutes line 1: mail for example.org goes to relay:587 without a login",
            "control/smtproutes line 2: mail for all other hosts goes to the domain's mail exchangers",
            "control/authsenders line 1: mail from @example.org goes to relay:25 without a login, or with that of its route \
             where this has the same relay",
            "control/authsenders line 2: mail from a@b goes as if there were no such file",
        ]
    );
    assert_eq!(
        said(
            b"example.org:relay:587 user secretpass\n.example.org:[2001:db8::1]|-user|secretpass\n:relay\n",
            b"boss@example.org:relay:465|boss|secretpass\n@example.org|another|secretpass\n:relay user secretpass\n",
            0
        ),
        [
            "control/smtproutes line 1: mail for example.org goes to relay:587 with a login as user",
            "control/smtproutes line 2: mail for .example.org goes to 2001:db8::1:25 with a login as user",
            "warning: control/smtproutes line 2: a login on port 25; most relays want it on 587 or 465",
            "warning: control/smtproutes line 2: -user: its password may go out in clear where there is no TLS",
            "control/smtproutes line 3: mail for all other hosts goes to relay:25 without a login",
            "control/authsenders line 1: mail from boss@example.org goes to relay:465 with a login as boss",
            "control/authsenders line 2: mail from @example.org logs in as another at its route's relay",
            "control/authsenders line 3: mail from all other senders goes to relay:25 with a login as user",
            "warning: control/authsenders line 3: a login on port 25; most relays want it on 587 or 465",
        ]
    );
}

#[test]
fn lines_that_put_mail_off() {
    assert_eq!(
        said(b"example.org:relay|user\n:relay:smtp user secretpass\n", b"example.org secretpass\n", 1),
        [
            "warning: control/smtproutes line 1: a user without a password; mail for example.org is put off",
            "warning: control/smtproutes line 2: the port is no number from 1 to 65535; mail for all other hosts is put off",
            "warning: control/authsenders line 1: neither sender:relay nor sender|user|password can be seen in it; mail is put off",
        ]
    );
    let lines = said(b"example.org:relay\n", b"a@b|user|secretpass\n", 1);
    let why =
        "a login for the relay of the route; mail from there to hosts without a line in control/smtproutes is put off";
    assert!(lines.contains(&format!("warning: control/authsenders line 1: {why}")), "{lines:?}");
    // The route can be there and name no relay.
    let lines = said(b"inside.example:\na.example:\n:relay\n", b"a@b|user|secretpass\n:relay\n", 1);
    let why = "a login for the relay of the route, but control/smtproutes line 1 names none; mail from there that goes by it is put off";
    assert!(lines.contains(&format!("warning: control/authsenders line 1: {why}")), "{lines:?}");
    let home = Home::new();
    home.control("smtproutes", ":relay:587 user secretpass\r\n");
    let lines = said_in(&home, 1);
    assert!(lines[0].ends_with("the password or the name; mail for all other hosts is put off"), "{lines:?}");
    assert_eq!(lines[1], "warning: control/smtproutes: a CR at the end of line 1, which counts as a part of it");
}

#[test]
fn the_last_of_three_lines() {
    let lines = said(b"a.org:one\nb.org:other\nA.org:two\na.ORG:three\n", b"", 0);
    let replaced: Vec<&String> = lines.iter().filter(|line| line.contains(" goes by line ")).collect();
    assert_eq!(
        replaced,
        [
            "warning: control/smtproutes line 1: mail for a.org goes by line 4, which has the same key, so this does not count",
            "warning: control/smtproutes line 3: mail for A.org goes by line 4, which has the same key, so this does not count",
        ]
    );
}

#[test]
fn lines_that_do_not_count() {
    assert_eq!(
        said(
            b"relay|user|secretpass\nA.org:one\na.ORG:587|u|secretpass\n# :relay user secretpass\n@b.org:relay\n",
            b"example.org:relay\n<a@b>:relay\n:relay\n",
            0
        ),
        [
            "warning: control/smtproutes line 1: no colon, so it does not count",
            "warning: control/smtproutes line 2: mail for A.org goes by line 3, which has the same key, so this does not count",
            "control/smtproutes line 3: mail for a.ORG goes to 587:25 with a login as u",
            "warning: control/smtproutes line 3: the relay is a number; was the colon that begins the line forgotten?",
            "warning: control/smtproutes line 3: a login on port 25; most relays want it on 587 or 465",
            "warning: control/smtproutes line 4: a comment with a login in it; if that is still good, delete it",
            "control/smtproutes line 5: mail for @b.org goes to relay:25 without a login",
            "warning: control/smtproutes line 5: the part of an address behind its @ has no @, so it does not count",
            "control/authsenders line 1: mail from example.org goes to relay:25 without a login, or with that of its route \
             where this has the same relay",
            "warning: control/authsenders line 1: a sender is a whole address, or the end of one from an @ or a . on, so it \
             does not count",
            "control/authsenders line 2: mail from <a@b> goes to relay:25 without a login, or with that of its route \
             where this has the same relay",
            "warning: control/authsenders line 2: an address is without < and > here, so it does not count",
            "control/authsenders line 3: mail from all other senders goes to relay:25 without a login, or with that of its \
             route where this has the same relay",
            MX,
            "warning: control/authsenders line 3: takes the mail of all senders, so no line of control/smtproutes says where \
             mail goes",
        ]
    );
}

/// Where a colon was forgotten, the first one there is may be the password's.
#[test]
fn what_may_be_a_secret_or_moves_the_cursor_is_not_said() {
    let why = "has a blank or a bar in it, so it does not count; was a colon or the name before it forgotten?";
    let rare = "hardly any sender has a blank or a bar in it, so this is not looked into; was a colon forgotten?";
    assert_eq!(
        said(
            b"relay|user|se:cretpart\nrelay user se:cretpart a b\nx\x1b[2J.example\xc2\x9b1m:relay:587 a b\n",
            b"a@b user se:cretpart\n",
            0
        ),
        [
            format!("warning: control/smtproutes line 1: no host {why}"),
            format!("warning: control/smtproutes line 2: no host {why}"),
            "control/smtproutes line 3: mail for x\\x1b[2J.example\\xc2\\x9b1m goes to relay:587 with a login as a"
                .to_owned(),
            format!("warning: control/authsenders line 1: {rare}"),
            MX.to_owned(),
        ]
    );
}

/// A line that cannot be understood, or that does not count, has a secret as others have.
#[test]
fn a_file_with_a_secret() {
    for (line, has_secret) in [
        ("relay|user|secretpass", true),
        (":relay:x secretpass", true),
        (":relay user secretpass\n:other", true),
        ("# :relay user secretpass", true),
        ("#relay is : somewhere", false),
        (":relay:587", false),
    ] {
        let home = Home::new();
        let path = home.control("smtproutes", format!("{line}\n"));
        let (_, text) = check(&home, &["--config"]);
        assert_eq!(text.contains(&format!("{} holds a secret: ", path.display())), has_secret, "{line}: {text}");
        assert!(!text.contains("secretpass"), "{text}");
    }
}

#[test]
fn relays_and_files() {
    let home = Home::new();
    home.control("smtproutes", "a.org:one:587\nb.org:two:587 u secretpass\n:three:587\n");
    for (name, content) in [
        ("one/user", "\u{feff}first\n"),
        ("one/password", "secretpass \r\nmore\r\n"),
        ("one/tls", "encrypt\n"),
        ("one/mechanisms", "login SCRAM-SHA-1 plain\n"),
        ("two/user", "unused\n"),
        ("two/password", "secretpass \n"),
        ("two/pasword", "secretpass\n"),
        ("three/tls", "verify\n"),
        ("three/cafile", "control/none.pem\n"),
        ("four/user", "nobody\n"),
    ] {
        home.control(&format!("relays/{name}"), content);
    }
    let lines = said_in(&home, 1);
    let pem = home.path().join("control/none.pem").display().to_string();
    for line in [
        "control/smtproutes line 1: mail for a.org goes to one:587 with a login as first (control/relays/one), TLS policy \
         encrypt (control/relays/one/tls), mechanisms LOGIN, PLAIN (control/relays/one/mechanisms)",
        "warning: control/smtproutes line 1: control/relays/one/tls: no certificate is checked, so whoever stands between can \
         read the password and the mail",
        "warning: control/relays/one/user: begins with a byte order mark, which stock qmail takes for a part of the first line",
        "warning: control/relays/one/password: a CR at the end of line 1 and 1 more, which counts as a part of it",
        "warning: control/relays/two: no route uses the login, since each to this relay has its own",
        "warning: control/relays/two/password: blanks at the line's end, which here count as a part of the password",
        "warning: control/relays/two/pasword: no file of this name is read; the names are user, password, tls, cafile, \
         mechanisms, clientcert, clientkey",
        "warning: control/relays/four: no route is to a relay of this name",
        &format!(
            "control/smtproutes line 3: mail for all other hosts goes to three:587 without a login, TLS policy verify \
             (control/relays/three/tls), CAs {pem} (of control/relays/three/cafile)"
        ),
        &format!(
            "warning: {pem} (of control/relays/three/cafile): No such file or directory; mail by control/smtproutes line 3 is put off"
        ),
    ] {
        assert!(lines.iter().any(|said| said == line), "not said: {line}\nbut: {lines:#?}");
    }
    home.control("relays/three/tls", "Verify\n");
    let why = "control/relays/three/tls: not one of verify, encrypt, may, none; mail for all other hosts is put off";
    assert!(said_in(&home, 1).contains(&format!("warning: {why}")));
}

/// As the delivery names it, and once.
#[test]
fn what_has_its_name_in_another_form() {
    let home = Home::new();
    home.control("smtproutes", "a.org:one:587\nb.org:two:587\nc.org:three:587\n");
    for name in
        ["one:587/user", "one:587/password", "two/user.txt", "two/tls", "three/tls", "three/tls~", "four/Password"]
    {
        home.control(&format!("relays/{name}"), "encrypt\n");
    }
    home.control("SmtpRoutes.old", "");
    home.control("Helohost", "helo.example\n");
    let lines = said_in(&home, 1);
    let warnings: Vec<&str> = lines.iter().filter_map(|line| line.strip_prefix("warning: ")).collect();
    let names = "the names are user, password, tls, cafile, mechanisms, clientcert, clientkey";
    assert_eq!(
        warnings,
        [
            "control/relays/one:587: not read; rename it to one, or remove it; mail for a.org is put off",
            "control/relays/two/user.txt: not read; rename it to user, or remove it; mail for b.org is put off",
            "control/Helohost: not read; the name would be helohost",
            "control/relays/four: no route is to a relay of this name",
            &format!("control/relays/four/Password: no file of this name is read; {names}"),
            &format!("control/relays/three/tls~: no file of this name is read; {names}"),
        ],
        "{lines:#?}"
    );
}

/// A file that another system's editor made.
#[test]
fn files_in_another_form() {
    let utf16 = |text: &str| text.chars().flat_map(|c| [c as u8, 0]).collect::<Vec<u8>>();
    let with_mark = [&[0xff, 0xfe][..], &utf16(":relay user secretpass\n")].concat();
    for (content, why) in [
        (with_mark, ": UTF-16, or damaged; write it again as plain text: iconv -f UTF-16 -t UTF-8"),
        (
            utf16(":relay user secretpass\n"),
            ": UTF-16, or damaged; write it again as plain text: iconv -f UTF-16 -t UTF-8",
        ),
        (
            b"#\r:relay user secretpass\r".to_vec(),
            " line 1: a CR inside the line: lines must end in LF alone, so convert the file",
        ),
    ] {
        for name in ["smtproutes", "authsenders", "relays/relay/user", "timeoutconnect", "tlscafile"] {
            let home = Home::new();
            home.control("smtproutes", ":relay:587\n");
            home.control(name, &content);
            let (status, text) = check(&home, &["--config"]);
            let said: Vec<&str> = text.lines().filter(|line| line.contains(why)).collect();
            let is_named = |line: &&str| line.contains(&format!("control/{name}{why}; ")) && line.ends_with(" put off");
            assert!(status == Some(1) && !said.is_empty() && said.iter().all(is_named), "{name}: {text}");
            assert!(!text.contains("secretpass"), "{text}");
        }
    }
    let home = Home::new();
    home.control("smtproutes", "\u{feff}:relay:587 user secretpass\n");
    let mark = "begins with a byte order mark, which stock qmail takes for a part of the first line";
    assert_eq!(
        said_in(&home, 0),
        [
            "control/smtproutes line 1: mail for all other hosts goes to relay:587 with a login as user".to_owned(),
            format!("warning: control/smtproutes: {mark}"),
        ]
    );
}

#[test]
fn cas_that_are_none() {
    let ca = Authority::new("My CA");
    let expired = ca.another("Old CA", |params| params.not_after = date_time_ymd(2020, 2, 3));
    let mute = ca.another("Mute CA", |params| params.is_ca = IsCa::NoCa);
    let server = Identity::self_signed(&["relay"], false, |params| params.not_after = date_time_ymd(2020, 2, 3)).pem;
    let says_nothing =
        "CN=Mute CA does not say that it is a CA, so it is none here; it can be one in the file cafile of a relay";
    for (place, pem, status, expected) in [
        ("tlscafile", ca.pem.clone(), 0, vec![]),
        ("tlscafile", expired.clone() + &ca.pem, 0, vec!["expired, so not trusted: CN=Old CA at 2020-02-03T00:00:00Z"]),
        ("tlscafile", mute.clone() + &ca.pem, 0, vec![says_nothing]),
        ("relays/relay/cafile", mute, 0, vec![]),
        (
            "relays/relay/cafile",
            expired.clone() + &server,
            1,
            vec![
                "expired, so not trusted: CN=Old CA at 2020-02-03T00:00:00Z, CN=relay at 2020-02-03T00:00:00Z; mail by control/smtproutes line 1 is put off",
            ],
        ),
    ] {
        let home = Home::with_route("relay:587 user secretpass");
        home.control(place, "ca.pem\n");
        let path = home.path().join("ca.pem");
        fs::write(&path, pem).unwrap();
        let lines = said_in(&home, status);
        let warnings: Vec<&str> = lines.iter().filter_map(|line| line.strip_prefix("warning: ")).collect();
        let expected: Vec<String> =
            expected.iter().map(|why| format!("{} (of control/{place}): {why}", path.display())).collect();
        assert_eq!(warnings, expected, "{lines:#?}");
    }
    // Where no certificate is looked at, none is complained of.
    let home = Home::with_route("relay:587");
    home.control("tlscafile", "ca.pem\n");
    fs::write(home.path().join("ca.pem"), expired).unwrap();
    let lines = said_in(&home, 0);
    assert!(!lines.iter().any(|line| line.contains("expired")), "{lines:#?}");
}

#[test]
fn who_can_read_what() {
    let home = Home::new();
    fs::set_permissions(home.path(), fs::Permissions::from_mode(0o755)).unwrap();
    home.control("smtproutes", ":relay.example\n");
    let password = home.control("relays/relay.example/password", "secretpass\n");
    home.control("relays/relay.example/user", "user\n");
    home.control("relays/relay.example/clientcert", "certificate.pem\n");
    home.control("relays/relay.example/clientkey", "key.pem\n");
    let key = home.path().join("key.pem");
    fs::write(&key, "").unwrap();
    for (mode, words) in [(0o644, "by every user of this machine; to"), (0o640, "by group "), (0o600, "by user ")] {
        fs::set_permissions(&password, fs::Permissions::from_mode(mode)).unwrap();
        fs::set_permissions(&key, fs::Permissions::from_mode(mode)).unwrap();
        let (_, text) = check(&home, &["--config"]);
        for file in [&password, &key] {
            let mark = if mode == 0o644 { "warning: " } else { "" };
            let begin = format!("{mark}{} holds a secret: mode {mode:04o} ", file.display());
            let line = text.lines().find(|line| line.starts_with(&begin));
            assert!(line.is_some_and(|line| line.contains(&format!(", readable {words}"))), "{begin}: {text}");
        }
    }
    // The group may read the file, and cannot get at it.
    fs::set_permissions(&password, fs::Permissions::from_mode(0o640)).unwrap();
    fs::set_permissions(home.path(), fs::Permissions::from_mode(0o700)).unwrap();
    let (_, text) = check(&home, &["--config"]);
    let line = text.lines().find(|line| line.starts_with(&format!("{} holds a secret: mode 0640", password.display())));
    assert!(line.is_some_and(|line| line.contains(", readable by user ") && !line.contains("by group")), "{text}");
    // What turns the text around is not printed.
    home.control("relays/relay.example/clientcert", "\u{202e}mep.pem\n");
    assert!(check(&home, &["--config"]).1.contains("\\xe2\\x80\\xaemep.pem (of control/relays/"));
    home.control("relays/relay.example/clientcert", "certificate.pem\n");
}

/// A PEM file may stand beside the file that names it.
#[test]
fn a_pem_file_in_the_directory_of_its_relay() {
    let home = Home::new();
    home.control("smtproutes", ":127.0.0.1:1025 user secretpass\n");
    home.control("relays/127.0.0.1/cafile", "control/relays/127.0.0.1/bridge.pem\n");
    home.control("relays/127.0.0.1/bridge.pem", Authority::new("My CA").pem);
    home.control("relays/127.0.0.1/another.pem", "");
    let lines = said_in(&home, 0);
    let unread: Vec<&String> = lines.iter().filter(|line| line.contains("no file of this name is read")).collect();
    assert!(unread.len() == 1 && unread[0].contains("/another.pem: "), "{lines:#?}");
}

/// What could not be read has no say, not even that there is no line.
#[test]
fn routes_that_cannot_be_read() {
    let home = Home::new();
    fs::create_dir(home.path().join("control/smtproutes")).unwrap();
    let lines = said_in(&home, 1);
    assert!(lines.contains(&"warning: control/smtproutes: Is a directory; mail is put off".to_owned()), "{lines:#?}");
    assert!(!lines.contains(&MX.to_owned()), "{lines:#?}");
}

/// As the delivery would say it, which would wait.
#[test]
fn pem_files_that_are_of_no_use() {
    let ca = Authority::new("My CA");
    let [identity, another] = [&["client"], &["another"]].map(|names| ca.issue(names));
    for (file, content, why) in [
        ("ca.pem", "", "ca.pem (of control/tlscafile): no certificate in it (in a PEM file it is between lines"),
        ("ca.pem", &identity.key_pem, "ca.pem (of control/tlscafile): no certificate in it"),
        ("key.pem", &another.key_pem, "key.pem (of control/relays/relay.example/clientkey) do not go together: "),
        ("key.pem", &identity.pem, "key.pem (of control/relays/relay.example/clientkey): no key in it"),
        ("key.pem", "-", "key.pem (of control/relays/relay.example/clientkey): No such file or directory"),
        ("certificate.pem", &ca.pem[..99], "clientcert): a certificate in it is no base64, or has no end"),
        (
            "certificate.pem",
            "-",
            "certificate.pem (of control/relays/relay.example/clientcert): No such file or directory",
        ),
        ("", "", ""),
    ] {
        let home = Home::new();
        home.control("smtproutes", ":relay.example:587\n");
        home.control("tlscafile", "ca.pem\n");
        home.control("relays/relay.example/clientcert", "certificate.pem\n");
        home.control("relays/relay.example/clientkey", "key.pem\n");
        for (name, good) in [("ca.pem", &ca.pem), ("certificate.pem", &identity.pem), ("key.pem", &identity.key_pem)] {
            match (name == file, content) {
                (false, _) => fs::write(home.path().join(name), good).unwrap(),
                (true, "-") => {}
                (true, bad) => fs::write(home.path().join(name), bad).unwrap(),
            }
        }
        let (status, text) = check(&home, &["--config"]);
        assert_eq!(status, Some(i32::from(!file.is_empty())), "{file}: {text}");
        assert!(
            text.contains(why) && text.contains("; mail by control/smtproutes line 1 is put off") != file.is_empty(),
            "{text}"
        );
    }
}

/// What qmail-remote, which runs as qmailr, does in these homes; asked by root, who can read everything.
#[test]
fn what_qmail_cannot_get_at() {
    let etc = [("passwd", "root:x:0:0:::\nqmailr:x:7796:2108:::\n"), ("group", "root:x:0:\nqmail:x:2108:\n")];
    if !inside_with(here!(), &etc, "true") {
        return;
    }
    let set = |path: &Path, mode| fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
    let home = Home::new();
    home.control("smtproutes", ":relay.example\n");
    home.control("tlscafile", "control/ca.pem\n"); // Debian's are not in this /etc
    home.control("ca.pem", Authority::new("My CA").pem);
    let control = home.path().join("control");
    let relays = control.join("relays");
    let relay = relays.join("relay.example");
    fs::create_dir_all(&relay).unwrap();
    for open in [home.path(), &control, &relays, &relay] {
        set(open, 0o755);
    }
    assert_eq!(check(&home, &["--config"]).0, Some(0));
    // It is looked into, even where it is empty.
    for shut in [&relays, &relay] {
        set(shut, 0o700);
        let why = "mode 0700 root:root, cannot be entered by qmailr, as which qmail-remote runs, so mail is put off";
        let lines = said_in(&home, 1);
        assert!(lines.contains(&format!("warning: {}: {why}", shut.display())), "{lines:#?}");
        set(shut, 0o755);
    }
    // A chown of the file would be no help.
    let password = home.control("relays/relay.example/password", "secretpass\n");
    home.control("relays/relay.example/user", "user\n");
    set(&password, 0o644);
    set(&relay, 0o700);
    let (status, text) = check(&home, &["--config"]);
    let line = text.lines().find(|line| line.contains(" holds a secret: ")).unwrap();
    let end = format!("so mail is put off; {} keeps it out", relay.display());
    assert!(status == Some(1) && line.starts_with("warning: ") && line.ends_with(&end), "{text}");
    // qmailr can read it as its owner, and a group as well that is not qmail's.
    set(&relay, 0o755);
    let passwd = fs::read_to_string("/etc/passwd").unwrap();
    fs::write("/etc/passwd", passwd.replace("qmailr:x:7796", "qmailr:x:0")).unwrap();
    for (mode, mark, end) in [(0o640, "warning: ", "&& chmod 640 "), (0o600, "", ", readable by user root alone")] {
        set(&password, mode);
        let (status, text) = check(&home, &["--config"]);
        let line = text.lines().find(|line| line.contains(" holds a secret: ")).unwrap();
        let begins = line.starts_with(&format!("{mark}{} holds", password.display()));
        assert!(status == Some(0) && begins && line.contains(end), "{text}");
    }
    fs::write("/etc/passwd", passwd).unwrap();
    fs::remove_file(&password).unwrap();
    fs::create_dir(&password).unwrap();
    let why = "warning: control/relays/relay.example/password: Is a directory; mail is put off".to_owned();
    let lines = said_in(&home, 1);
    assert!(lines.contains(&why), "{lines:#?}");
    fs::remove_dir_all(&relay).unwrap();
    // What no mail comes to.
    home.control("relays/README", "none of it\n");
    set(&home.control("relays/unused.example/password", "secretpass\n"), 0o600);
    let lines = said_in(&home, 0);
    for why in ["control/relays/README: no directory", "control/relays/unused.example: no route is to a relay"] {
        assert!(lines.iter().any(|line| line.contains(why)), "{why}: {lines:#?}");
    }
    set(&relays.join("unused.example"), 0o755);
    set(&relays.join("unused.example/password"), 0o644);
    let (status, text) = check(&home, &["--config"]);
    let line = text.lines().find(|line| line.contains("unused.example/password holds a secret: ")).unwrap();
    assert!(status == Some(0) && line.starts_with("warning: ") && line.contains("by every user"), "{text}");
}

#[test]
fn no_time_to_wait() {
    for name in ["timeoutconnect", "timeoutremote"] {
        let home = Home::new();
        home.control(name, "0\n");
        let (status, text) = check(&home, &["--config"]);
        let why = format!("warning: control/{name}: 0 seconds are over at once; mail is put off\n");
        assert!(status == Some(1) && text.contains(&why), "{text}");
    }
}

#[test]
fn usage_and_no_home() {
    let home = Home::new();
    for arguments in [[].as_slice(), &["--konfig"], &["--config", "more"], &["--convert", "--config"]] {
        assert_eq!(check(&home, arguments).0, Some(2), "{arguments:?}");
    }
    fs::remove_dir_all(home.path().join("control")).unwrap();
    let (status, text) = check(&home, &["--config"]);
    assert!(status == Some(1) && text.contains("no home of qmail"), "{text}");
}
