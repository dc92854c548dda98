//! What qmail-remote-check prints and how: its arguments, the forms of its output, what it leaves alone.

use crate::support::Home;
use crate::support::certificate::Authority;
use crate::support::check::{Setting, broken, command, good, is_root, program, run};
use crate::support::executable;
use crate::support::names::Names;
use crate::support::namespace::{RELAY, inside, inside_with};
use crate::support::server::{Action, Event, Rules, Server, Tls};
use std::ffi::OsStr;
use std::fs::{self, Permissions};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Command, Stdio};

const LOGIN: &str = "myuser secretpass";

fn loopback(rules: Rules) -> Setting {
    Setting::new("127.0.0.1", rules, LOGIN)
}

#[test]
fn arguments() {
    let home = Home::new();
    for (arguments, why) in [
        (&[][..], "DOMAIN is missing"),
        (&["--colour", "example.org"], "invalid option '--colour'"),
        (&["--json=yes", "example.org"], "unexpected argument for option '--json': \"yes\""),
        (&["-x"], "invalid option '-x'"),
        (&["example.org", "a@example.net", "b@example.org"], "unexpected argument \"b@example.org\""),
        (&["--config", "example.org"], "--config takes no other arguments"),
        (&["--json", "--convert"], "--convert takes no other arguments"),
        (&["--convert", "--write", "example.org"], "--convert takes no other arguments"),
        (&["--write", "example.org"], "--write is only for --convert"),
        (&["--config", "--write"], "--write is only for --convert"),
        (
            &["smtp.example.jp:587"],
            "smtp.example.jp:587 is no domain with mail addresses: DOMAIN is the recipient's domain, not the relay",
        ),
        (
            &["friend@[::1]:587"],
            "[::1]:587 is no domain with mail addresses: DOMAIN is the recipient's domain, not the relay",
        ),
        (&["friend@"], "DOMAIN is empty"),
        (&[""], "DOMAIN is empty"),
    ] {
        let checked = run(command(&home, arguments));
        assert_eq!((checked.status, checked.stdout.as_str()), (Some(2), ""), "{arguments:?}");
        let expected = format!("qmail-remote-check: {why}\nusage: qmail-remote-check [--dialogue] [--json] ");
        assert!(checked.stderr.starts_with(&expected), "{arguments:?}: {}", checked.stderr);
    }
    for (argument, begin) in [("--help", "usage: qmail-remote-check "), ("--version", "qmail-remote-check 0.")] {
        let checked = run(command(&home, &[argument]));
        assert_eq!((checked.status, checked.stderr.as_str()), (Some(0), ""));
        assert!(checked.stdout.starts_with(begin), "{}", checked.stdout);
    }
    // This is the other thing that it does.
    let checked = run(command(&home, &["--config"]));
    assert!(checked.status == Some(0) && checked.stdout.starts_with(&format!("home {}\n", home.path().display())));
    // Behind -- nothing is an option; the sender counts.
    home.control("smtproutes", "--json:[127.0.0.1]:0\n");
    home.control("authsenders", "a@example.net:[127.0.0.2]:0\n");
    for (arguments, says) in [
        (&["--", "--json"][..], "control/smtproutes line 1: the port is no number"),
        (&["--", "--json", "a@example.net"], "control/authsenders line 1: the port is no number"),
        (&["example.org", "a b\n@example.net"], "bounce: The sender address contains a control character. (#5.1.3)"),
        (&["exa mple.org"], "bounce: The recipient address "),
        (&["example.org\x01"], "bounce: The recipient address contains a control character. (#5.1.3)"),
        (&["a..b"], "bounce: Sorry, I couldn't find any host named a..b. (#5.1.2)"),
        // Of an address the domain counts; a literal (RFC 5321 section 4.1.3) is one.
        (&["\"a@b\"@a..b"], "NOT OK: mail for a..b would bounce: Sorry, I couldn't find any host named a..b. (#5.1.2)"),
        (
            &["friend@--json"],
            "mail for --json would wait: Unable to read control files. (#4.3.0) control/smtproutes line 1: ",
        ),
        (&["friend@[IPv6:::1]"], "NOT OK: mail for [IPv6:::1] would "),
    ] {
        let checked = run(command(&home, arguments));
        assert_eq!(checked.status, Some(1));
        assert!(checked.last_line().contains(says), "{arguments:?}: {}", checked.stdout);
    }
}

/// What cannot be printed is no OK.
#[test]
fn a_full_disk() {
    let home = Home::with_route("127.0.0.1:1 myuser secretpass");
    for arguments in [&["example.org"][..], &["--json", "example.org"], &["--config"], &["--help"], &["--version"]] {
        let full = fs::File::options().write(true).open("/dev/full").unwrap();
        let status =
            command(&home, arguments).stdin(Stdio::null()).stdout(full).stderr(Stdio::null()).status().unwrap();
        assert_eq!(status.code(), Some(1), "{arguments:?}: {status}");
    }
}

/// qmail-remote pays for none of this.
#[test]
fn not_in_qmail_remote() {
    let has = |program: &Path, words: &str| {
        let octets = fs::read(program).unwrap();
        memchr::memmem::find(&octets, words.as_bytes()).is_some()
    };
    for words in ["usage: qmail-remote-check", " would go out ", "shows only at MAIL"] {
        assert!(has(&program(), words) && !has(&crate::support::program(), words), "{words}");
    }
}

/// The whole of it, once.
#[test]
fn each_step() {
    if !inside(here!()) {
        return;
    }
    let ca = Authority::new("My CA");
    let identity = ca.issue(&["smtp.relay.example", "192.0.2.1"]);
    let setting = || {
        let offered = ["PIPELINING", "SIZE 52428800", "AUTH CRAM-MD5 PLAIN LOGIN XOAUTH2 EXTERNAL"];
        let rules = Rules { tls: Some(Tls::of(&identity)), ..Rules::offering(&offered) };
        let setting = Setting::named("smtp.relay.example", (RELAY, 0), rules, "");
        let setting = setting.control("tlscafile", "control/ca.pem\n").control("ca.pem", &ca.pem);
        let setting = setting.control("relays/smtp.relay.example/user", "myuser\n");
        let setting = setting.control("relays/smtp.relay.example/password", "secretpass\n");
        setting.control("relays/smtp.relay.example/mechanisms", "LOGIN PLAIN\n")
    };
    let checked = good("each step", setting, &[]);
    let Setting { home, server } = setting();
    let port = server.as_ref().unwrap().port();
    let checked_again = run(command(&home, &["example.org", "sender@example.net"]));
    let dialogue = run(command(&home, &["--dialogue", "example.org"]));
    let json = run(command(&home, &["--json", "example.org", "sender@example.net"])).json();
    drop(server);
    assert_eq!(checked.status, checked_again.status);
    let home = home.path().display();
    let lines: Vec<&str> = checked_again.stdout.lines().collect();
    let uid = fs::metadata("/proc/self").unwrap().uid();
    assert_eq!(uid, 0); // inside
    let ca_file = format!("{home}/control/ca.pem (of control/tlscafile)");
    let until = "4096-01-01T00:00:00Z";
    let expected = [
        "user          uid 0, who can read every file; the user of qmail-remote is not known, since no qmail has used this home"
            .to_owned(),
        format!("home          {home}"),
        format!("program       {home}/bin/qmail-remote: not there"),
        "read          control/smtproutes, control/tlscafile, control/relays, control/relays/smtp.relay.example, \
         control/relays/smtp.relay.example/user, control/relays/smtp.relay.example/password, \
         control/relays/smtp.relay.example/mechanisms, control/me, control/timeoutconnect, control/timeoutremote"
            .to_owned(),
        "not there     control/authsenders, control/relays/smtp.relay.example/clientcert, \
         control/relays/smtp.relay.example/clientkey, control/relays/smtp.relay.example/cafile, control/relays/smtp.relay.example/tls, \
         control/helohost, control/outgoingip"
            .to_owned(),
        format!("route         smtp.relay.example port {port} (control/smtproutes line 1)"),
        format!("TLS policy    no control/relays/smtp.relay.example/tls; CAs {ca_file}"),
        "credentials   user myuser, password from control/relays/smtp.relay.example".to_owned(),
        "addresses     192.0.2.1 of smtp.relay.example".to_owned(),
        format!("connected     to 192.0.2.1 port {port}"),
        "greeting      220 smtp.example.jp ESMTP".to_owned(),
        "offered       in clear: STARTTLS, PIPELINING, SIZE 52428800, AUTH CRAM-MD5 PLAIN LOGIN XOAUTH2 EXTERNAL".to_owned(),
        "TLS           TLSv1.3, TLS_AES_128_GCM_SHA256".to_owned(),
        format!(
            "certificate   for smtp.relay.example, 192.0.2.1; issued by CN=My CA; until {until}; verified by {ca_file}"
        ),
        "offered       over TLS: PIPELINING, SIZE 52428800, AUTH CRAM-MD5 PLAIN LOGIN XOAUTH2 EXTERNAL".to_owned(),
        "mechanisms    to try: LOGIN, PLAIN; not: CRAM-MD5 (the file mechanisms of the relay does not name it), \
         XOAUTH2 (this program does not know it), EXTERNAL (the login is a password)"
            .to_owned(),
        "login         trying LOGIN".to_owned(),
        "login         235 2.7.0 Authentication successful".to_owned(),
        "login         done by LOGIN".to_owned(),
        "QUIT".to_owned(),
        format!(
            "OK: mail for example.org would go out as myuser through smtp.relay.example:{port} over TLSv1.3; \
             what it says to this sender shows only at MAIL"
        ),
    ];
    assert_eq!(lines, expected);

    // Each line of the dialogue has a time and stands in its order.
    let mut times = Vec::new();
    let mut said = Vec::new();
    for line in dialogue.stdout.lines().take(dialogue.stdout.lines().count() - 1) {
        let (time, rest) = line.split_at(9);
        times.push(time.trim().parse::<f64>().unwrap());
        said.extend(["C:", "S:"].iter().filter_map(|who| Some(format!("{who} {}", rest.strip_prefix(who)?.trim()))));
    }
    assert!(times.is_sorted() && times[0] == 0.0, "{times:?}");
    let ehlo = ["S: 250-PIPELINING", "S: 250-SIZE 52428800", "S: 250 AUTH CRAM-MD5 PLAIN LOGIN XOAUTH2 EXTERNAL"];
    let first =
        ["S: 220 smtp.example.jp ESMTP", "C: EHLO client.example.net", "S: 250-smtp.example.jp", "S: 250-STARTTLS"];
    let again =
        ["C: STARTTLS", "S: 220 2.0.0 Ready to start TLS", "C: EHLO client.example.net", "S: 250-smtp.example.jp"];
    let login = ["C: AUTH LOGIN", "S: 334 VXNlcm5hbWU6", "C: <secret>", "S: 334 UGFzc3dvcmQ6", "C: <secret>"];
    let end = ["S: 235 2.7.0 Authentication successful", "C: QUIT"];
    assert_eq!(said, [&first[..], &ehlo, &again, &ehlo, &login, &end].concat());

    assert_eq!((&json["host"], &json["sender"]), (&"example.org".into(), &"sender@example.net".into()));
    assert_eq!(json["verdict"], checked_again.last_line());
    let steps = json["steps"].as_array().unwrap();
    let names: Vec<&str> = steps.iter().map(|step| step["step"].as_str().unwrap()).collect();
    let expected = "user home program read absent route policy credentials addresses connected greeting offered tls certificate \
                    offered mechanisms try answer logged_in quit";
    assert_eq!(names.join(" "), expected);
    let step = |name: &str| steps.iter().rev().find(|step| step["step"] == name).unwrap();
    assert!(steps.iter().all(|step| step["ms"].is_u64()));
    assert_eq!((&step("route")["relay"], &step("route")["port"]), (&"smtp.relay.example".into(), &port.into()));
    assert_eq!(step("credentials")["user"], "myuser");
    assert_eq!(step("tls")["version"], "TLSv1.3");
    assert_eq!(step("certificate")["names"], serde_json::json!(["smtp.relay.example", "192.0.2.1"]));
    assert_eq!(step("certificate")["verified"], true);
    assert_eq!(step("mechanisms")["order"], serde_json::json!(["LOGIN", "PLAIN"]));
    assert_eq!(step("offered")["over_tls"], true);
}

/// A program can tell what was said, also where it is not ASCII: only octets that are no UTF-8 are lost.
#[test]
fn strings_of_json() {
    let ehlo = "250-smtp.example.jp\r\n250 X-\\xe9 \"日本\" \u{1f600}\x7f\t".as_bytes();
    let rules = Rules { ehlo_raw: Some([ehlo, b"\xe9\r\n"].concat()), auth_required: false, ..Rules::default() };
    let Setting { home, server } = Setting::new("127.0.0.1", rules, "");
    let checked = run(command(&home, &["--json", "example.org", "日本\\@example.net"]));
    drop(server);
    assert!(checked.stdout.is_ascii(), "{}", checked.stdout);
    let json = checked.json();
    assert_eq!(json["sender"], "日本\\@example.net");
    let step = json["steps"].as_array().unwrap().iter().find(|step| step["step"] == "offered").unwrap();
    assert_eq!(step["extensions"], serde_json::json!(["X-\\xe9 \"日本\" \u{1f600}\x7f\t\u{fffd}"]));
    for (sender, expected) in [(&b"a\xe9@x"[..], "a\u{fffd}@x"), (br"a\xe9@x", r"a\xe9@x")] {
        let arguments = [b"--json", &b"example.org"[..], sender].map(OsStr::from_bytes);
        let checked = run(command(&home, &arguments));
        assert_eq!(checked.json()["sender"], expected);
    }
    // In the text both look alike; the verdict of the object tells them apart.
    for (host, expected) in [(&b"a\xe9"[..], "a\u{fffd}"), (br"a\xe9", r"a\xe9"), ("日本".as_bytes(), "日本")] {
        let json = run(command(&home, &[&b"--json"[..], host].map(OsStr::from_bytes))).json();
        assert_eq!(json["host"], expected);
        let begin = format!("NOT OK: mail for {expected} would ");
        assert!(json["verdict"].as_str().unwrap().starts_with(&begin), "{json}");
    }
}

#[test]
fn without_a_login() {
    let Setting { home, server } = loopback(Rules::offering(&["AUTH PLAIN"]).login("myuser", "another"));
    let checked = run(command(&home, &["--no-login", "example.org"]));
    let log = server.unwrap().finish();
    assert_eq!(checked.status, Some(0), "{}", checked.stdout);
    assert!(
        checked.last_line().ends_with(" in clear, if it accepts the login, which was not tried"),
        "{}",
        checked.stdout
    );
    assert_eq!(log.commands(), ["EHLO client.example.net", "QUIT"]);
    let Setting { home, server } = loopback(Rules::offering(&["AUTH NTLM"]));
    let checked = run(command(&home, &["--no-login", "example.org"]));
    assert_eq!(checked.status, Some(1), "{}", checked.stdout);
    assert_eq!(server.unwrap().finish().auth_tries(), 0);
}

/// A terminal by script(1).
#[test]
fn colours() {
    let Setting { home, server } = loopback(Rules::default());
    let on_terminal = |arguments: &str, no_color: Option<&str>| {
        let mut script = Command::new("script");
        script.args(["--quiet", "--return", "--command"]);
        script.arg(format!("{} {arguments}", program().display())).arg("/dev/null");
        script.env("QMAILHOME", home.path()).env_remove("NO_COLOR").stdin(Stdio::null());
        script.envs(no_color.map(|value| ("NO_COLOR", value)));
        let output = script.output().unwrap();
        assert_eq!(output.status.code(), Some(0), "{output:?}");
        String::from_utf8(output.stdout).unwrap()
    };
    let coloured = on_terminal("example.org", None);
    let last = coloured.trim_end().lines().last().unwrap();
    assert!(last.starts_with("\x1b[32mOK: ") && last.ends_with("\x1b[0m"), "{coloured:?}");
    assert!(on_terminal("example.org", Some("")).contains('\x1b'));
    for (arguments, no_color) in [("example.org", Some("1")), ("--json example.org", None)] {
        assert!(!on_terminal(arguments, no_color).contains('\x1b'), "{arguments}");
    }
    assert!(!run(command(&home, &["example.org"])).stdout.contains('\x1b'));
    drop(server);
}

/// A check of example.org by another user than root.
fn command_of(uid: u32, home: &Home) -> Command {
    fs::set_permissions(home.path(), Permissions::from_mode(0o755)).unwrap();
    let copy = home.path().join("qmail-remote-check"); // where that user can get at it
    executable::copy(&program(), &copy);
    let mut command = Command::new(copy);
    command.arg("example.org").env_clear().env("QMAILHOME", home.path()).uid(uid).gid(uid).current_dir("/");
    command
}

/// Whoever is not the user that qmail-remote runs as hears it.
#[test]
fn another_user_than_qmailr() {
    let etc = [("passwd", "root:x:0:0:::\nqmailr:x:7796:2108:::\n")];
    if !is_root() || !inside_with(here!(), &etc, "true") {
        return;
    }
    let home = Home::with_route("127.0.0.1:25");
    for (uid, says) in [(7796, "uid 7796\n"), (65534, "uid 65534, who can read other files than qmail-remote can: ")] {
        let checked = run(command_of(uid, &home));
        assert!(checked.stdout.starts_with(&format!("user          {says}")), "{}", checked.stdout);
    }
}

/// As another user, who cannot read the password.
#[test]
fn no_permission() {
    let home = Home::with_route("127.0.0.1:25");
    home.control("relays/127.0.0.1/user", "myuser\n");
    let password = home.control("relays/127.0.0.1/password", "secretpass\n");
    fs::set_permissions(&password, Permissions::from_mode(0o600)).unwrap();
    let checked = match is_root() {
        true => run(command_of(65534, &home)),
        false => {
            fs::set_permissions(&password, Permissions::from_mode(0o000)).unwrap();
            run(command(&home, &["example.org"]))
        }
    };
    assert_eq!(checked.status, Some(1), "{checked:?}");
    let says = "NOT OK: mail for example.org would wait: Unable to read control files. (#4.3.0) \
                control/relays/127.0.0.1/password: Permission denied for user ";
    assert!(checked.last_line().starts_with(says), "{}", checked.stdout);
    assert!(checked.last_line().ends_with(&format!("; chmod 640 {}", password.display())), "{}", checked.stdout);
    assert!(checked.stdout.starts_with("user          uid "), "{}", checked.stdout);
}

/// A relay that puts what it was told, and what no terminal should get, into each place that is shown.
#[test]
fn words_of_the_relay() {
    if !inside(here!()) {
        return;
    }
    let ca = Authority::new("CN of \u{1b}[2J secretpass");
    let identity = ca.issue(&["relay.example", "secretpass.example"]);
    let setting = || {
        let rules = Rules::over_tls(Tls::of(&identity)).hooked(|event, session| match event {
            Event::Connect => Action::reply("220-\x1b]0;title\x07 secretpass\r\n220 \u{202e}hi"),
            Event::Command(line) if line.starts_with("EHLO") && session.connection == 1 => {
                Action::reply("250-secretpass\r\n250-STARTTLS\r\n250 AUTH SECRETPASS AG15DXNLCGBZZWNYZX PLAIN X")
            }
            Event::Command(line) if line.starts_with("AUTH") => Action::reply_and_drop("504 no"),
            _ => Action::Default,
        });
        let setting = Setting::named("relay.example", (RELAY, 0), rules, LOGIN);
        setting.control("tlscafile", "control/ca.pem\n").control("ca.pem", &ca.pem)
    };
    let checked = broken("the relay's words", setting, &["tried "]);
    let stdout = checked.stdout;
    assert!(stdout.contains("220-\\x1b]0;title\\x07 <secret> 220 \\xe2\\x80\\xaehi\n"), "{stdout}");
    assert!(stdout.contains("for relay.example, <secret>.example; issued by CN=CN of \\1b[2J <secret>;"), "{stdout}");
    // What is no secret is not called one.
    let rules = Rules::offering(&["AUTH CRAM-MD5"]).answering(&[("AUTH CRAM-MD5", "334 not base64!")]);
    let Setting { home, server } = loopback(rules);
    let checked = run(command(&home, &["--dialogue", "example.org"]));
    assert!(checked.stdout.contains("S:            334 not base64!\n"), "{}", checked.stdout);
    assert!(checked.stdout.contains("C:            *\n"), "{}", checked.stdout);
    drop(server);
    // A password that is a word of ours does not show by being absent from a line of ours.
    let Setting { home, server } = Setting::new("127.0.0.1", Rules::offering(&["AUTH PLAIN"]), "myuser PLAIN");
    let checked = run(command(&home, &["--dialogue", "example.org"]));
    assert!(checked.stdout.contains("C:            AUTH PLAIN <secret>\n"), "{}", checked.stdout);
    drop(server);
}

/// By a domain's mail exchangers, and queue/lock/tcpto is neither asked nor written.
#[test]
fn mail_exchangers() {
    let etc = [
        ("nsswitch.conf", "hosts: files dns\n"),
        ("resolv.conf", "nameserver 127.0.0.1\noptions timeout:1\n"),
        ("passwd", "root:x:0:0::/:/bin/sh\n"),
        ("group", "root:x:0:\n"),
    ];
    if !inside_with(here!(), &etc, "ip route add local 192.0.2.0/24 dev lo") {
        return;
    }
    let _names = Names::start();
    let server =
        Server::start_on(("192.0.2.8", 25), Rules { auth_required: false, ..Rules::offering(&["PIPELINING"]) });
    let home = Home::new();
    let tcpto = home.path().join("queue/lock/tcpto");
    fs::create_dir_all(tcpto.parent().unwrap()).unwrap();
    let mut record = vec![0; 1024];
    record[..5].copy_from_slice(&[192, 0, 2, 8, 10]);
    record[8..12].copy_from_slice(&u32::MAX.to_le_bytes());
    fs::write(&tcpto, &record).unwrap();
    let checked = run(command(&home, &["three-mx.example"]));
    assert_eq!(checked.status, Some(0), "{}", checked.stdout);
    let last = "OK: mail for three-mx.example would go out without a login through b.example:25 in clear";
    assert_eq!(checked.last_line(), last, "{}", checked.stdout);
    for line in [
        "route         none: to the domain's mail exchangers",
        "addresses     192.0.2.7 of a.example, 192.0.2.8 of b.example, 192.0.2.9 of c.example",
        "not connected to 192.0.2.7: Connection refused",
    ] {
        assert!(checked.stdout.lines().any(|printed| printed == line), "{line}: {}", checked.stdout);
    }
    assert!(!server.finish().saw("MAIL"));
    assert_eq!(fs::read(&tcpto).unwrap(), record);
    let checked = run(command(&home, &["none.invalid"]));
    assert!(checked.last_line().contains("would bounce: Sorry, I couldn't find any host named none.invalid."));
}

/// What is printed goes to nobody else when descriptor 1 is closed, and whoever stops reading ends it.
#[test]
fn descriptors() {
    let Setting { home, server } = loopback(Rules::default());
    let check = command(&home, &["example.org"]);
    let mut shell = Command::new("sh");
    shell.arg("-c").arg("exec \"$@\" <&- >&- 2>&-").arg("sh").arg(check.get_program()).args(check.get_args());
    let status = shell.env_clear().env("QMAILHOME", home.path()).status().unwrap();
    assert_eq!(status.code(), Some(0));
    let mut nobody = Command::new("true").stdin(Stdio::piped()).spawn().unwrap();
    let writer = nobody.stdin.take().unwrap();
    nobody.wait().unwrap();
    assert!(!command(&home, &["example.org"]).stdout(writer).status().unwrap().success());
    let log = server.unwrap().finish();
    let commands = log.connections[0].commands();
    assert!(
        commands.len() < 7 && commands[0].starts_with("EHLO") && commands.ends_with(&["QUIT".to_owned()]),
        "{commands:?}"
    );
}
