//! `consent`: a code that is entered elsewhere, a browser that comes back, a pasted address, an application; what is written for it.

use crate::support::Home;
use crate::support::provider::{CLIENT, HOST, Provider, Reply, SECRET, USER, account, command, decoded, run, token};
use std::ffi::OsStr;
use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::time::Instant;

/// A consent that is going on: its lines can be read, and something be typed.
struct Consent {
    child: Child,
    lines: std::io::Lines<BufReader<std::process::ChildStdout>>,
    input: ChildStdin,
}

impl Consent {
    fn start(mut command: Command) -> Consent {
        let mut child = command.stdin(Stdio::piped()).stderr(Stdio::inherit()).spawn().unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        Consent { input: child.stdin.take().unwrap(), lines, child }
    }

    fn in_browser(home: &Home) -> Consent {
        Consent::start(command(home, &["consent", HOST, USER, "--browser"]))
    }

    /// The next line that begins so.
    fn line(&mut self, begin: &str) -> String {
        self.lines.find_map(|line| line.ok().filter(|line| line.starts_with(begin))).unwrap_or_default()
    }

    fn end(mut self) -> (Option<i32>, String) {
        let rest: Vec<String> = self.lines.map(Result::unwrap).collect();
        (self.child.wait().unwrap().code(), rest.join("\n"))
    }
}

/// The fields of the address, and where the browser is to come back to.
fn fields(address: &str) -> (impl Fn(&str) -> String + use<>, String) {
    let query = address.split_once('?').unwrap().1.to_owned();
    let field = move |name: &str| {
        let found: Vec<&str> =
            query.split('&').filter_map(|field| field.strip_prefix(name)?.strip_prefix('=')).collect();
        let [value] = found[..] else { panic!("{name} in {query}") };
        decoded(value)
    };
    let redirect = field("redirect_uri");
    (field, redirect)
}

/// The browser's request; answers the first line of what it gets.
fn browse(redirect: &str, target: &str) -> String {
    let mut stream = TcpStream::connect(redirect.strip_prefix("http://").unwrap().trim_end_matches('/')).unwrap();
    for piece in [&format!("GET {target} HTTP/1.1\r\n")[..], "Host: x\r\n", "\r\n"] {
        stream.write_all(piece.as_bytes()).unwrap();
    }
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    answer.lines().next().unwrap_or_default().to_owned()
}

fn browser_home(provider: &Provider) -> Home {
    let home = provider.home();
    home.control(&format!("relays/{HOST}/oauth/authorize"), format!("{}\n", provider.url("/authorize?x=1")));
    home
}

fn device_home(provider: &Provider) -> Home {
    let home = provider.home();
    home.control(&format!("relays/{HOST}/oauth/device"), format!("{}\n", provider.url("/device")));
    home
}

#[test]
fn by_a_code() {
    let provider = Provider::start(true);
    let home = device_home(&provider);
    // Not yet, too often, a failure, and then.
    let mut polls = 0;
    provider.hook(move |request| {
        if request.path == "/device" {
            return Reply::Ordinary;
        }
        polls += 1;
        match polls {
            1 => Reply::Json(400, r#"{"error":"authorization_pending"}"#.to_owned()),
            2 => Reply::Json(503, String::new()),
            3 => Reply::Raw(Vec::new()),
            4 => Reply::Json(400, r#"{"error":"slow_down"}"#.to_owned()),
            _ => Reply::Ordinary,
        }
    });
    provider.state.lock().unwrap().device = Some("granted");
    let start = Instant::now();
    let (status, text) = run(&home, &["consent", HOST, USER]);
    assert_eq!(status, Some(0), "{text}");
    assert!(start.elapsed().as_secs() >= 1 + 1 + 1 + 2 + 7, "{:?}", start.elapsed());
    let lines: Vec<&str> = text.lines().filter(|line| !line.starts_with("note  ")).collect();
    assert_eq!(lines[0], "In a browser on any machine open https://example.org/devicelogin and enter  FQQV-MCSM");
    assert_eq!(lines[1], "Sign in as me@example.org, not as an administrator. The code is good for 10 minutes.");
    assert!(
        lines[3].starts_with("consented     scope smtp offline_access, until ")
            && lines[3].ends_with(" UTC, renewable"),
        "{text}"
    );
    assert_eq!(lines[4], format!("written       {}", account(&home).display()));
    assert_eq!(lines[5], "login         235 2.7.0 the token is good");
    let requests = provider.requests();
    assert_eq!((requests[0].field("scope"), requests[0].field("client_id")), ("smtp offline_access", CLIENT));
    assert!(requests[1..].iter().all(|request| request.field("device_code") == "device-code-of-this-consent"));
    assert_eq!(token(&home).0, Some(0));
    assert!(provider.requests().is_empty());
}

#[test]
fn a_code_that_comes_to_nothing() {
    let provider = Provider::start(true);
    for (error, says) in [
        ("access_denied", "NOT DONE: the consent was refused: HTTP 400 access_denied no"),
        ("authorization_declined", "NOT DONE: the consent was refused: HTTP 400 authorization_declined no"),
        ("expired_token", "NOT DONE: nobody has consented in time; run this again: HTTP 400 expired_token no"),
        ("invalid_client", "NOT DONE: no token: 127.0.0.1: HTTP 400 invalid_client no; see control/"),
    ] {
        let home = device_home(&provider);
        provider.state.lock().unwrap().device = Some(error);
        let (status, text) = run(&home, &["consent", HOST, USER]);
        assert!(status == Some(1) && text.lines().last().unwrap().starts_with(says), "{text}");
        assert!(!account(&home).join("refresh").exists());
    }
    // The endpoint itself.
    for (reply, says) in [("{}", "its reply has no code for the user"), ("x", "its reply is no JSON object")] {
        let home = device_home(&provider);
        provider.says(200, reply);
        let (status, text) = run(&home, &["consent", HOST, USER]);
        assert!(status == Some(1) && text.contains(says), "{text}");
    }
    let home = device_home(&provider);
    provider.says(403, r#"{"error":"access_denied","error_description":"AADSTS53003: blocked."}"#);
    let (status, text) = run(&home, &["consent", HOST, USER]);
    assert!(status == Some(1) && text.contains("HTTP 403 access_denied AADSTS53003: blocked.; see control/"), "{text}");
    // No time to enter it.
    let home = device_home(&provider);
    provider.hook(|request| match &request.path[..] {
        "/device" => Reply::Json(
            200,
            r#"{"device_code":"d","user_code":"F","verification_uri":"https://a/","interval":1,"expires_in":1}"#.into(),
        ),
        _ => Reply::Ordinary,
    });
    let (status, text) = run(&home, &["consent", HOST, USER]);
    assert!(status == Some(1) && text.contains(" The code is good for 1 seconds.\n"), "{text}");
    // A refresh token is needed.
    let home = device_home(&provider);
    provider.hook(|request| match &request.path[..] {
        "/device" => Reply::Ordinary,
        _ => Reply::Json(200, r#"{"access_token":"a-token-that-ends"}"#.to_owned()),
    });
    let (status, text) = run(&home, &["consent", HOST, USER]);
    assert!(status == Some(1) && text.contains("no refresh token"), "{text}");
    assert!(!account(&home).join("access").exists());
}

/// The browser is on this machine. Others that come to the port get nothing.
#[test]
fn by_a_browser() {
    let provider = Provider::start(true);
    let home = browser_home(&provider);
    let mut consent = Consent::in_browser(&home);
    let address = consent.line("https://");
    assert!(address.starts_with(&provider.url("/authorize?x=1&")), "{address}");
    let (field, redirect) = fields(&address);
    assert_eq!((field("response_type"), field("client_id")), ("code".into(), CLIENT.into()));
    assert_eq!((field("code_challenge_method"), field("login_hint")), ("S256".into(), USER.into()));
    assert!(redirect.starts_with("http://127.0.0.1:"), "{redirect}");
    provider.state.lock().unwrap().challenge = Some(("the+code".into(), field("code_challenge")));
    let state = field("state");
    assert!(state.len() == 43 && field("code_challenge").len() == 43);
    let _silent: Vec<TcpStream> =
        (0..6).map(|_| TcpStream::connect(&redirect[7..redirect.len() - 1]).unwrap()).collect();
    for target in ["/favicon.ico", "/?code=the%2Bcode", "/?code=the%2Bcode&state=another", &format!("/?state={state}")]
    {
        assert_eq!(browse(&redirect, target), "HTTP/1.1 404 Not Found", "{target}");
    }
    assert_eq!(browse(&redirect, &format!("/?state={state}&code=the%2Bcode")), "HTTP/1.1 200 OK");
    let (status, text) = consent.end();
    assert!(status == Some(0) && text.contains("consented     scope "), "{text}");
    let requests = provider.requests();
    assert_eq!(requests.len(), 1);
    assert_eq!((requests[0].field("redirect_uri"), requests[0].field("code")), (&redirect[..], "the+code"));
    assert_eq!(requests[0].field("client_secret"), SECRET);
    assert_eq!(token(&home).0, Some(0));
}

/// It is on another machine: the address is pasted, in pieces and after a wrong one.
#[test]
fn by_a_pasted_address() {
    let provider = Provider::start(true);
    let home = browser_home(&provider);
    let mut consent = Consent::in_browser(&home);
    let (field, redirect) = fields(&consent.line("https://"));
    provider.state.lock().unwrap().challenge = Some(("the-code".into(), field("code_challenge")));
    consent.input.write_all(b"\nhttp://127.0.0.1:1/?code=the-code&state=another\n").unwrap();
    assert_eq!(consent.line("That is no answer"), "That is no answer to this consent; paste the whole address.");
    let pasted = format!("  {redirect}?code=the-code&state={}  ", field("state"));
    let (first, second) = pasted.split_at(20);
    consent.input.write_all(first.as_bytes()).unwrap();
    consent.input.write_all(format!("{second}\r\n").as_bytes()).unwrap();
    let (status, text) = consent.end();
    assert!(status == Some(0) && text.contains("consented     scope "), "{text}");
}

#[test]
fn a_browser_that_brings_a_refusal() {
    let provider = Provider::start(true);
    let home = browser_home(&provider);
    let mut consent = Consent::in_browser(&home);
    let (field, redirect) = fields(&consent.line("https://"));
    let target = format!("/?error=access_denied&error_description=not+me%0a%1b%5bno&state={}", field("state"));
    assert_eq!(browse(&redirect, &target), "HTTP/1.1 200 OK");
    let (status, text) = consent.end();
    assert_eq!(status, Some(1));
    assert!(text.ends_with("NOT DONE: the consent was refused: access_denied not me"), "{text}");
    // A code that is no good.
    let mut consent = Consent::in_browser(&home);
    let (field, redirect) = fields(&consent.line("https://"));
    provider.state.lock().unwrap().challenge = Some(("the-code".into(), "of another consent".into()));
    browse(&redirect, &format!("/?code=the-code&state={}", field("state")));
    let (status, text) = consent.end();
    assert!(status == Some(1) && text.contains("HTTP 400 invalid_grant no; see control/"), "{text}");
    assert!(provider.requests().len() == 1 && !account(&home).join("refresh").exists());
}

/// All that is needed comes with the command, and is written down.
#[test]
fn a_home_without_anything() {
    let provider = Provider::start(true);
    let home = Home::new();
    let pem = home.control("provider.pem", &provider.ca);
    let secret = home.path().join("secret");
    fs::write(&secret, format!("{SECRET}  \n")).unwrap();
    let (tokens, device) = (provider.url("/token"), provider.url("/device"));
    let (pem, secret) = (pem.to_str().unwrap(), secret.to_str().unwrap());
    provider.state.lock().unwrap().device = Some("granted");
    let arguments = [
        "consent",
        "SMTP.example.jp.",
        USER,
        "--token",
        &tokens,
        "--device",
        &device,
        "--client",
        CLIENT,
        "--secret-file",
        secret,
        "--scope",
        "smtp offline_access",
        "--cafile",
        pem,
    ];
    let (status, text) = run(&home, &arguments);
    // There is no such relay.
    assert_eq!(status, Some(1), "{text}");
    assert!(
        text.contains("\nlogin         ") && text.contains("Relay smtp.example.jp of control/relays/smtp.example.jp"),
        "{text}"
    );
    assert!(text.ends_with("\nNOT DONE: there is a token, but the login with it did not succeed\n"), "{text}");
    for (name, value, mode) in [
        ("user", USER, 0o644),
        ("oauth/client", CLIENT, 0o644),
        ("oauth/secret", SECRET, 0o600),
        ("oauth/token", &tokens, 0o644),
        ("oauth/device", &device, 0o644),
        ("oauth/scope", "smtp offline_access", 0o644),
        ("oauth/cafile", pem, 0o644),
    ] {
        let path = home.path().join("control/relays").join("smtp.example.jp").join(name);
        assert_eq!(fs::read_to_string(&path).unwrap(), format!("{value}\n"), "{name}");
        assert_eq!(fs::metadata(&path).unwrap().mode() & 0o7777, mode, "{name}");
        assert!(text.contains(&format!("control/relays/smtp.example.jp/{name}")), "{name}: {text}");
    }
    assert_eq!(fs::metadata(home.path().join("accounts")).unwrap().mode() & 0o7777, 0o700);
    assert_eq!(run(&home, &["token", "smtp.example.jp", USER]).0, Some(0));
    // Once more, as it stands; another user at the same relay has tokens of its own.
    assert_eq!(run(&home, &arguments).0, Some(1));
    let (status, text) = run(&home, &["consent", "smtp.example.jp", "other@example.org"]);
    assert!(
        status == Some(1) && text.contains(&format!("note          control/relays/smtp.example.jp/user has {USER}")),
        "{text}"
    );
    assert!(home.path().join("accounts").join("smtp.example.jp").join("other@example.org/refresh").exists());
    // Another value.
    let (status, text) = run(&home, &["consent", "smtp.example.jp", USER, "--client", "another"]);
    assert!(status == Some(1) && text.contains("oauth/client has another value than the command"), "{text}");
}

#[test]
fn what_is_refused_before_anything_is_asked() {
    let provider = Provider::start(true);
    let home = device_home(&provider);
    home.control(&format!("relays/{HOST}/password"), "x\n");
    let (status, text) = run(&home, &["consent", HOST, USER]);
    assert!(
        status == Some(1) && text.contains("/password is there, and a relay has a password or tokens, not both"),
        "{text}"
    );
    // Another program has the tokens: nothing is written.
    let home = Home::new();
    home.control(&format!("relays/{HOST}/oauth/command"), "/bin/echo token\n");
    let arguments = ["consent", HOST, USER, "--google", "--client", CLIENT];
    let (status, text) = run(&home, &arguments);
    assert!(status == Some(1) && text.contains("/oauth/command is there, so tokens come from that program"), "{text}");
    let oauth = home.path().join("control/relays").join(HOST).join("oauth");
    assert_eq!(fs::read_dir(oauth).unwrap().count(), 1);
    // Files without end, or without a secret.
    let long = provider.home().control("long", "s".repeat(8193));
    for file in ["/dev/zero", "/dev/stdin", "/etc", long.to_str().unwrap()] {
        let home = Home::new();
        let (status, text) = run(&home, &[&arguments[..], &["--secret-file", file]].concat());
        let says = format!("{file} must be a regular file of at most 8 KiB, with the secret in its first line");
        assert!(status == Some(1) && (text.contains(&says) || file == long.to_str().unwrap()), "{text}");
        assert!(!home.path().join("control/relays").exists());
    }
    let not_text = <OsStr as OsStrExt>::from_bytes(b"me\xef@example.org");
    let output = command(&Home::new(), &["consent", HOST]).arg(not_text).output().unwrap();
    let text = String::from_utf8(output.stderr).unwrap();
    assert!(output.status.code() == Some(2) && text.starts_with("qmail-remote-oauth: USER is not UTF-8\n"), "{text}");
    let (status, text) = run(&Home::new(), &["consent", HOST, USER]);
    assert!(status == Some(1) && text.contains("/oauth/client is not known: give it with the command"), "{text}");
    let (status, text) = run(&provider.home(), &["consent", HOST, USER]);
    assert!(status == Some(1) && text.contains("neither the device nor the authorize endpoint is known"), "{text}");
    let oauth = format!("control/relays/{HOST}/oauth");
    assert!(!Home::new().path().join(&oauth).exists());
    for (arguments, says) in [
        (&["--google", "--microsoft", "x"][..], "one of --microsoft, --google and --token is enough"),
        (&["--microsoft", "a/b"], "TENANT is a domain, an id, or consumers"),
        (&["--token", "http://example.org/"], "--token: a URL of http"),
        (&["--google", "--app"], "Google has no --app"),
        (&["--app", "--browser"], "nobody consents with --app"),
        (&["--client", "a\nb"], "--client is there twice, is empty, or has other than visible ASCII"),
        (&["--secret", "x"], "invalid option '--secret'"),
    ] {
        let (status, text) = run(&provider.home(), &[&["consent", HOST, USER], arguments].concat());
        assert!(status == Some(2) && text.contains(says), "{says}: {text}");
    }
    assert!(provider.requests().is_empty());
}

/// What Microsoft and Google are known by. Nothing is asked: the client cannot be written, since a file is in its way.
#[test]
fn providers() {
    for (arguments, files) in [
        (
            &["--microsoft", "contoso.onmicrosoft.com"][..],
            &[
                ("token", "https://login.microsoftonline.com/contoso.onmicrosoft.com/oauth2/v2.0/token"),
                ("device", "https://login.microsoftonline.com/contoso.onmicrosoft.com/oauth2/v2.0/devicecode"),
                ("authorize", "https://login.microsoftonline.com/contoso.onmicrosoft.com/oauth2/v2.0/authorize"),
                ("scope", "https://outlook.office.com/SMTP.Send offline_access"),
            ][..],
        ),
        (
            &["--microsoft", "contoso.onmicrosoft.com", "--app"],
            &[
                ("token", "https://login.microsoftonline.com/contoso.onmicrosoft.com/oauth2/v2.0/token"),
                ("scope", "https://outlook.office365.com/.default"),
                ("grant", "app"),
            ],
        ),
        (
            &["--google"],
            &[
                ("token", "https://oauth2.googleapis.com/token"),
                ("authorize", "https://accounts.google.com/o/oauth2/v2/auth?access_type=offline&prompt=consent"),
                ("scope", "https://mail.google.com/"),
            ],
        ),
    ] {
        let home = Home::new();
        fs::write(home.path().join("accounts"), "").unwrap();
        let (status, text) = run(&home, &[&["consent", HOST, USER, "--client", CLIENT], arguments].concat());
        assert!(
            status == Some(1) && text.contains("/accounts does not count: it must be a directory of uid "),
            "{text}"
        );
        let oauth = home.path().join("control/relays").join(HOST).join("oauth");
        let mut names: Vec<String> =
            fs::read_dir(&oauth).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        let mut expected: Vec<&str> = files.iter().map(|(name, _)| *name).chain(["client"]).collect();
        expected.sort();
        assert_eq!(names, expected);
        for (name, value) in files {
            assert_eq!(fs::read_to_string(oauth.join(name)).unwrap(), format!("{value}\n"));
        }
    }
}

#[test]
fn an_application() {
    let provider = Provider::start(true);
    let home = provider.home();
    home.control(&format!("relays/{HOST}/oauth/grant"), "app\n");
    let (status, text) = run(&home, &["consent", HOST, USER]);
    assert!(status == Some(0) && text.contains(" UTC, of the application\n"), "{text}");
    provider.says(401, r#"{"error":"invalid_client","error_description":"AADSTS7000222: expired."}"#);
    let (status, text) = run(&home, &["consent", HOST, USER]);
    assert!(
        status == Some(1)
            && text.contains("NOT DONE: no token: 127.0.0.1: HTTP 401 invalid_client AADSTS7000222: expired.; see "),
        "{text}"
    );
}
