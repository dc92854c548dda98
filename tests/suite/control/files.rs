//! Control files: each line of each form with what it becomes, and what is wrong with the rest.

use crate::support::{Home, program, run};
use qmail_auth::{Login, PasswordLogin};
use qmail_remote::control::files::Control;
use qmail_remote::control::{Route, Settings};
use qmail_remote::event::Log;
use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::os::unix::process::CommandExt;
use std::process::Command;

fn settings(home: &Home, host: &str) -> Result<Settings, String> {
    settings_for(home, host, "sender@example.net")
}

fn settings_for(home: &Home, host: &str, sender: &str) -> Result<Settings, String> {
    let control = Control { home: home.path().to_owned(), log: Log::default() };
    Settings::read(&control, host.as_bytes(), sender.as_bytes()).map_err(|error| error.to_string())
}

/// `host:port`, and `user password` where there is a login, with `-` before the user where clear text is allowed.
fn describe(route: &Route) -> String {
    let login = route.credentials.as_ref().map(|credentials| match &credentials.login {
        Login::Password(PasswordLogin { user, password, clear_allowed }) => {
            let sign = if *clear_allowed { "-" } else { "" };
            format!(" {sign}{} {}", String::from_utf8_lossy(user), String::from_utf8_lossy(password))
        }
        Login::Certificate { identity } => format!(" {identity:?}"),
    });
    format!("{}:{}{}", route.host, route.port, login.unwrap_or_default())
}

fn route(smtproutes: &str, host: &str) -> Result<String, String> {
    let home = Home::new();
    home.control("smtproutes", smtproutes);
    settings(&home, host).map(|settings| settings.route.map_or("MX".to_owned(), |route| describe(&route)))
}

/// Lines that are for others are passed over by blocks, so the line that counts is tried at each place of one.
#[test]
fn a_line_at_each_place() {
    for before in 0..200 {
        let filler: String = (0..before).map(|n| if n % 30 == 29 { '\n' } else { 'z' }).collect();
        for (line, host) in [
            ("host.example:r", "HOST.example"),
            ("Host.example:r", "host.example"),
            (".example:r", "host.example"),
            (":r", "host.example"),
        ] {
            for after in ["", "\n", &format!("\n{}:q\n", "z".repeat(100))] {
                let smtproutes = format!("{filler}\n{line}{after}");
                assert_eq!(route(&smtproutes, host), Ok("r:25".to_owned()), "{smtproutes:?}");
            }
        }
    }
}

#[test]
fn lines_of_smtproutes() {
    for (line, expected) in [
        // stock
        (":relay", "relay:25"),
        (":relay:587", "relay:587"),
        (":relay:587  \t", "relay:587"),
        (":192.0.2.1", "192.0.2.1:25"),
        (":[192.0.2.1]:26", "192.0.2.1:26"),
        (":[2001:DB8::1]:587", "2001:db8::1:587"),
        (":", "MX"),
        // Tom Clegg, John Simpson, qmail-ldap
        (":relay:587 myuser secretpass", "relay:587 myuser secretpass"),
        (":relay myuser secretpass", "relay:25 myuser secretpass"),
        (":relay:587 \t myuser\tsecret pass  word  ", "relay:587 myuser secret pass  word"),
        (":relay:587 myuser se|cret", "relay:587 myuser se|cret"),
        (":relay:587 my|user secret", "relay:587 my|user secret"),
        (":relay:587 -myuser secretpass", "relay:587 -myuser secretpass"),
        (":relay:587 --myuser secretpass", "relay:587 --myuser secretpass"),
        // s/qmail, notqmail's branch, sagredo, qmailtoaster
        (":relay:587|myuser|secretpass", "relay:587 myuser secretpass"),
        (":relay|myuser|secretpass", "relay:25 myuser secretpass"),
        (":relay:587|my user|se|cret pass|", "relay:587 my user se|cret pass|"),
        (":relay:587|-myuser|secretpass", "relay:587 -myuser secretpass"),
        (":relay;587|myuser|secretpass", "relay:587 myuser secretpass"),
        (":relay;587", "relay:587"),
        (":[2001:db8::1];465", "2001:db8::1:465"),
        (":[192.0.2.1]:587|myuser|secret", "192.0.2.1:587 myuser secret"),
    ] {
        assert_eq!(route(&format!("{line}\n"), "example.org").as_deref(), Ok(expected), "{line}");
    }
    for (line, why) in [
        (":relay:587|myuser", "a user without a password"),
        (":relay:587|myuser|", "a user without a password"),
        (":relay:587 myuser", "a user without a password"),
        (":relay:587||secret", "no user before the password"),
        (":relay:587|", "no user before the password"),
        (":relay:587|-|secret", "no user before the password"),
        (":relay:", "the port is no number from 1 to 65535"),
        (":relay:0", "the port is no number from 1 to 65535"),
        (":relay:65536", "the port is no number from 1 to 65535"),
        (":relay:+25", "the port is no number from 1 to 65535"),
        (":relay:smtp user pass", "the port is no number from 1 to 65535"),
        (":2001:db8::1", "the port is no number from 1 to 65535"),
        (": relay:587 user pass", "the relay is no host name or IP address"),
        (":|user|pass", "the relay is no host name or IP address"),
        (":[relay]:25", "the relay is no host name or IP address"),
        (":[192.0.2.1:25", "the relay is no host name or IP address"),
        (":[192.0.2.1]25", "the relay is no host name or IP address"),
        (":re/lay", "the relay is no host name or IP address"),
        (":..", "the relay is no host name or IP address"),
        (":.relay", "the relay is no host name or IP address"),
        (":relay..:25", "the relay is no host name or IP address"),
        (":relay;x|u|p", "the port is no number from 1 to 65535"),
        (":relay:587 us\x01er pass", "a control character in the user"),
        (":relay\r", "a CR at the line's end, which would be part of the password or the name"),
        (":relay user pass\r", "a CR at the line's end, which would be part of the password or the name"),
        (":relay user pa\0ss", "a NUL in the line"),
    ] {
        let error = route(&format!("# comment\n{line}\n"), "example.org").unwrap_err();
        assert_eq!(error, format!("control/smtproutes line 2: {why}"), "{line:?}");
    }
}

/// A user without a password gets none, least of all the next line's.
#[test]
fn a_line_ends_where_it_ends() {
    assert!(route(":relay:587|user\nother.example:relay2|u|p\n", "example.org").is_err());
    assert!(route(":relay:587 user", "example.org").is_err());
    assert_eq!(route(":relay:587 user pass", "example.org").as_deref(), Ok("relay:587 user pass"));
}

#[test]
fn which_line() {
    let routes = "example.org:exact\n.example.org:below\n.org:org\n:default\n# :comment\nno colon\n\nother.net:\n";
    for (host, expected) in [
        ("example.org", "exact:25"),
        ("EXAMPLE.ORG", "exact:25"),
        ("a.example.org", "below:25"),
        ("b.a.example.org", "below:25"),
        ("xexample.org", "org:25"),
        ("org", "default:25"),
        ("example.net", "default:25"),
        ("other.net", "MX"),
        ("", "default:25"),
        ("[192.0.2.1]", "default:25"),
    ] {
        assert_eq!(route(routes, host).as_deref(), Ok(expected), "{host}");
    }
    assert_eq!(route(":first\n:second\n", "example.org").as_deref(), Ok("second:25"));
    assert_eq!(route("#:relay\n", "example.org").as_deref(), Ok("MX"));
    // A wrong line for another host is not in the way.
    assert_eq!(route("other.net:relay:x\n:relay\n", "example.org").as_deref(), Ok("relay:25"));
}

#[test]
fn relays() {
    let home = Home::with_route("Relay.Example.:587");
    let described = |home: &Home| settings(home, "example.org").map(|settings| describe(&settings.route.unwrap()));
    assert_eq!(described(&home).as_deref(), Ok("Relay.Example.:587"));
    home.control("relays/relay.example/user", "myuser \nmore\n");
    assert!(
        described(&home).unwrap_err().ends_with("control/relays/relay.example/password: a user without a password")
    );
    home.control("relays/relay.example/password", " secret pass \r\nmore\n");
    assert_eq!(described(&home).as_deref(), Ok("Relay.Example.:587 myuser  secret pass \r"));
    home.control("relays/relay.example/user", "\n");
    assert!(described(&home).unwrap_err().contains("no user before the password"));
    home.control("relays/relay.example/user", "-myuser\n");
    assert_eq!(described(&home).as_deref(), Ok("Relay.Example.:587 -myuser  secret pass \r"));
    // What the line itself says wins.
    home.control("smtproutes", ":relay.example:587 other pass\n");
    assert_eq!(described(&home).as_deref(), Ok("relay.example:587 other pass"));

    for (file, content, why) in [
        ("tls", "maybe\n", "control/relays/relay.example/tls: not one of verify, encrypt, may, none"),
        (
            "mechanisms",
            "NTLM\n",
            "control/relays/relay.example/mechanisms: none of PLAIN, LOGIN, CRAM-MD5, EXTERNAL in the first line",
        ),
    ] {
        let path = home.control(&format!("relays/relay.example/{file}"), content);
        assert_eq!(described(&home).unwrap_err(), why);
        fs::remove_file(path).unwrap();
    }
    let literal = Home::with_route("[2001:DB8:0::1]:587");
    literal.control("relays/2001:db8::1/user", "u\n");
    literal.control("relays/2001:db8::1/password", "p\n");
    assert_eq!(described(&literal).as_deref(), Ok("2001:db8::1:587 u p"));
}

/// What was written for a relay and would not be found is no reason to send without a login.
#[test]
fn relays_that_would_be_passed_over() {
    let no_name = "names here have only letters, digits, dots and hyphens: give the relay such a name in its route";
    for (relay, directory, right) in [
        ("my_relay", "my_relay", ""),
        ("my_relay", "My_Relay", ""),
        ("Relay.example", "Relay.example", "relay.example"),
        ("relay.example", "Relay.Example", "relay.example"),
        ("relay.example.", "relay.example.", "relay.example"),
        ("relay.example", "relay.example.", "relay.example"),
        ("127.0.0.1", "[127.0.0.1]", "127.0.0.1"),
        ("[2001:DB8::1]", "[2001:db8::1]", "2001:db8::1"),
        ("[2001:db8::1]", "2001:db8:0:0:0:0:0:1", "2001:db8::1"),
        ("[2001:db8::1]", "IPv6:2001:DB8::0001", "2001:db8::1"),
        ("127.1", "127.0.0.1", "127.1"),
        ("10.0.0.8", "10.0.0.08", "10.0.0.8"),
        ("10.0.0.8", "010.000.000.008;25", "10.0.0.8"),
    ] {
        let home = Home::with_route(relay);
        home.control(&format!("relays/{directory}/user"), "u\n");
        home.control(&format!("relays/{directory}/password"), "p\n");
        let error = settings(&home, "example.org").err().unwrap_or_default();
        let what_to_do = match right {
            "" => no_name.to_owned(),
            right => format!("rename it to {right}, or remove it"),
        };
        assert_eq!(error, format!("control/relays/{directory}: not read; {what_to_do}"), "{relay}");
    }
    // Those of others are nobody's business.
    for (relay, directory) in [
        ("my_relay", "other"),
        ("relay.example", "smtp.relay.example"),
        ("relay.example", "relay.example.org:587"),
        ("relay.example", "relay.example-587"),
        ("127.0.0.1", "127.0.0.1.example"),
        ("127.0.0.1", "127.0.0.256"),
        ("127.0.0.1", "127.0.1.1"),
        ("0.0.0.25", "25"),
        ("10.0.0.8", "012.0.0.8"), // octal to some, and 12.0.0.8 to people
        ("[2001:db8::1]", "2001:db8::1:25"),
    ] {
        let home = Home::with_route(relay);
        home.control(&format!("relays/{directory}/user"), "u\n");
        assert!(settings(&home, "example.org").unwrap().route.unwrap().credentials.is_none(), "{relay} {directory}");
    }

    // Links to secrets that are not there (not mounted, perhaps): the file, the directory, all of them.
    for link in ["relays/relay/user", "relays/relay", "relays", "smtproutes"] {
        let home = Home::with_route("relay");
        let path = home.path().join("control").join(link);
        if link == "smtproutes" {
            fs::remove_file(&path).unwrap();
        }
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        symlink("/nowhere/at/all", path).unwrap();
        let error = settings(&home, "example.org").err().unwrap_or_default();
        assert!(error.ends_with(": a link that leads nowhere"), "{link}: {error}");
    }

    // Links that lead somewhere are as good as what they lead to, also where an optional file is not there.
    let home = Home::with_route("relay");
    home.control("elsewhere/real/user", "u\n");
    home.control("elsewhere/real/password", "p\n");
    symlink("elsewhere", home.path().join("control/relays")).unwrap();
    symlink("real", home.path().join("control/elsewhere/relay")).unwrap();
    assert_eq!(describe(&settings(&home, "example.org").unwrap().route.unwrap()), "relay:25 u p");
}

#[test]
fn files_that_cannot_be_read() {
    let home = Home::with_route("relay:587");
    fs::create_dir_all(home.path().join("control/relays/relay/password")).unwrap();
    let error = settings(&home, "example.org").err().unwrap();
    assert_eq!(error, "control/relays/relay/password: Is a directory");
    let home = Home::with_route("relay:587");
    let fifo = home.control("relays/relay/mechanisms", "PLAIN\n").with_file_name("tls");
    assert!(Command::new("mkfifo").arg(fifo).status().unwrap().success());
    let error = settings(&home, "example.org").err().unwrap();
    assert_eq!(error, "control/relays/relay/tls: is a FIFO");
    let home = Home::new();
    fs::create_dir(home.path().join("control/smtproutes")).unwrap();
    let delivered = home.deliver("a@example.net", &["b@example.org"], b"\n");
    let expected = "ZUnable to read control files. (#4.3.0) control/smtproutes: Is a directory\n";
    assert_eq!(delivered.verdict(), expected);
}

#[test]
fn names_and_times() {
    let home = Home::with_route("relay");
    let read = |home: &Home| settings(home, "example.org").unwrap();
    for (file, seconds) in
        [("30\n", 30), ("  \n", 60), ("abc\n", 60), ("7x\n", 7), ("", 60), ("99999999999999999999", u64::MAX)]
    {
        home.control("timeoutconnect", file);
        assert_eq!(read(&home).timeoutconnect, seconds, "{file:?}");
    }
    fs::remove_file(home.path().join("control/timeoutremote")).unwrap();
    assert_eq!(read(&home).timeoutremote, 1200);
    home.control("helohost", "helo.example  \n");
    assert_eq!(read(&home).helohost, b"helo.example");
    home.control("helohost", "\n");
    assert_eq!(read(&home).helohost, b"client.example.net");
    for bad in ["two words\n", "host\r\n", "a\tb\n"] {
        home.control("helohost", bad);
        assert!(settings(&home, "example.org").err().unwrap().starts_with("control/helohost: "), "{bad:?}");
    }
    fs::remove_file(home.path().join("control/helohost")).unwrap();
    fs::remove_file(home.path().join("control/me")).unwrap();
    assert_eq!(settings(&home, "example.org").err().unwrap(), "control/me: no host name");
}

/// What the user that runs cannot read puts the mail off, with the file's name. Root can read everything, so as root the
/// program runs as another user.
#[test]
fn a_secret_that_only_another_may_read() {
    let home = Home::with_route("relay:587");
    home.control("relays/relay/user", "myuser\n");
    let password = home.control("relays/relay/password", "secretpass\n");
    let copy = home.path().join("qmail-remote");
    // By another process: while this one had it open to write, a child of another test could keep it busy.
    assert!(Command::new("cp").arg(program()).arg(&copy).status().unwrap().success());
    for open in [home.path(), &copy] {
        fs::set_permissions(open, fs::Permissions::from_mode(0o755)).unwrap();
    }
    fs::set_permissions(&password, fs::Permissions::from_mode(0o000)).unwrap();
    let mut command = Command::new(copy);
    command.env_clear().env("QMAILHOME", home.path()).args(["example.org", "a@example.net", "b@example.org"]);
    if fs::read(&password).is_ok() {
        command.uid(65534);
    }
    let verdict = run(command, b"\n").verdict();
    assert_eq!(verdict, "ZUnable to read control files. (#4.3.0) control/relays/relay/password: Permission denied\n");
}
