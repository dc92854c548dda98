//! A provider of tokens on a thread: HTTPS with a CA of its own, refresh tokens that are replaced at each use or not, device codes,
//! codes with PKCE, and a hook in front of every reply.

use super::Home;
use super::certificate::Authority;
use super::server::{Action, Event, Rules, Server, Tls};
use base64::prelude::{BASE64_URL_SAFE_NO_PAD, Engine};
use rustls::{ServerConnection, StreamOwned};
use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, DirBuilder};
use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::os::unix::fs::DirBuilderExt;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, SystemTime};

/// The relay of the tests, its user, and what the client is called.
pub const HOST: &str = "127.0.0.1";
pub const USER: &str = "me@example.org";
pub const CLIENT: &str = "1f0e-client";
pub const SECRET: &str = "cl1ent+s3cret/= %&";

/// A request: its path, and the fields of its form.
#[derive(Clone, Debug)]
pub struct Request {
    pub path: String,
    pub form: BTreeMap<String, String>,
    pub head: String,
}

impl Request {
    pub fn field(&self, name: &str) -> &str {
        self.form.get(name).map_or("", String::as_str)
    }
}

/// What is done in the place of the ordinary reply.
pub enum Reply {
    Ordinary,
    /// A status and a JSON body.
    Json(u16, String),
    /// These octets, then the end of the connection.
    Raw(Vec<u8>),
    /// These octets, then the second ones again and again until the client has gone.
    Endless(Vec<u8>, Vec<u8>),
    /// One octet of these after the other, five each second.
    Slow(Vec<u8>),
    /// Nothing until the client has gone.
    Silence,
}

type Hook = Box<dyn FnMut(&Request) -> Reply + Send>;

/// How the provider behaves, and what it knows.
pub struct State {
    /// It gives a new refresh token each time, and revokes all where an old one comes again.
    pub rotates: bool,
    /// The life of access tokens in seconds.
    pub life: u64,
    pub refresh: String,
    used: BTreeSet<String>,
    pub is_revoked: bool,
    count: usize,
    /// What the user has done about the device code: nothing, or the answer to it.
    pub device: Option<&'static str>,
    /// The PKCE challenge of the code that it gave.
    pub challenge: Option<(String, String)>,
    hook: Hook,
    pub requests: Vec<Request>,
}

/// The provider.
pub struct Provider {
    address: SocketAddr,
    pub ca: String,
    pub state: Arc<Mutex<State>>,
    /// Connections that are served now.
    active: Arc<AtomicUsize>,
    /// The relay whose tokens these are. It takes any.
    relay: Server,
}

impl Provider {
    pub fn start(rotates: bool) -> Provider {
        let ca = Authority::new("CA of the provider");
        let tls = Tls::of(&ca.issue(&["127.0.0.1"]));
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let state = Arc::new(Mutex::new(State {
            rotates,
            life: 3600,
            refresh: "refresh-token-number-0".to_owned(),
            used: BTreeSet::new(),
            is_revoked: false,
            count: 0,
            device: None,
            challenge: None,
            hook: Box::new(|_| Reply::Ordinary),
            requests: Vec::new(),
        }));
        let active = Arc::new(AtomicUsize::new(0));
        let address = listener.local_addr().unwrap();
        let provider = Provider { address, ca: ca.pem, state: state.clone(), active: active.clone(), relay: relay() };
        thread::spawn(move || {
            for stream in listener.incoming() {
                let (Ok(stream), tls, state, active) = (stream, tls.clone(), state.clone(), active.clone()) else {
                    return;
                };
                active.fetch_add(1, Ordering::SeqCst);
                thread::spawn(move || {
                    serve(stream, &tls, &state);
                    active.fetch_sub(1, Ordering::SeqCst);
                });
            }
        });
        provider
    }

    /// Returns once all is over that others have begun: a client may be killed while the provider has its request.
    pub fn settle(&self) {
        // Connections are taken in turn, so this one comes behind all others.
        let mut last = TcpStream::connect(self.address).unwrap();
        last.shutdown(Shutdown::Write).unwrap();
        let _ = last.read_to_end(&mut Vec::new());
        while self.active.load(Ordering::SeqCst) > 0 {
            thread::sleep(Duration::from_millis(1));
        }
    }

    /// From now on each request goes through this first.
    pub fn hook(&self, hook: impl FnMut(&Request) -> Reply + Send + 'static) {
        self.state.lock().unwrap().hook = Box::new(hook);
    }

    /// Always this.
    pub fn says(&self, code: u16, body: &'static str) {
        self.hook(move |_| Reply::Json(code, body.to_owned()));
    }

    pub fn url(&self, path: &str) -> String {
        format!("https://{}{path}", self.address)
    }

    /// The requests since the last call.
    pub fn requests(&self) -> Vec<Request> {
        std::mem::take(&mut self.state.lock().unwrap().requests)
    }

    /// A home whose relay has this provider, and HOME/accounts.
    pub fn home(&self) -> Home {
        let home = Home::new();
        self.configure(&home);
        DirBuilder::new().mode(0o700).create(home.path().join("accounts")).unwrap();
        home
    }

    /// A route to the relay.
    pub fn route(&self, home: &Home) {
        home.control("smtproutes", format!(":{HOST}:{}\n", self.relay.port()));
    }

    /// The files in control/relays/HOST, and the route.
    pub fn configure(&self, home: &Home) {
        let put = |name: &str, value: &str| home.control(&format!("relays/{HOST}/{name}"), format!("{value}\n"));
        put("user", USER);
        put("oauth/client", CLIENT);
        put("oauth/secret", SECRET);
        put("oauth/token", &self.url("/token"));
        put("oauth/cafile", "control/provider.pem");
        put("oauth/scope", "smtp offline_access");
        home.control("provider.pem", &self.ca);
        self.route(home);
    }
}

/// A relay that takes any token.
pub fn relay() -> Server {
    Server::start(Rules::offering(&["AUTH XOAUTH2"]).hooked(|event, _| match event {
        Event::Command("AUTH XOAUTH2") => Action::reply("334 "), // for a token that is too long for that line
        Event::Command(line) if line.starts_with("AUTH XOAUTH2 ") => Action::reply("235 2.7.0 the token is good"),
        Event::Answer { .. } => Action::reply("235 2.7.0 the token is good"),
        _ => Action::Default,
    }))
}

fn serve(stream: TcpStream, tls: &Tls, state: &Mutex<State>) {
    let Tls::Handshake(config) = tls else { unreachable!() };
    stream.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
    let mut stream = StreamOwned::new(ServerConnection::new(config.clone()).unwrap(), stream);
    let Some(request) = read_request(&mut stream) else { return };
    let reply = {
        let state = &mut *state.lock().unwrap();
        state.requests.push(request.clone());
        match (state.hook)(&request) {
            Reply::Ordinary => {
                let (code, body) = state.answer(&request);
                Reply::Json(code, body)
            }
            other => other,
        }
    };
    // Where the client has gone, there is nothing to say.
    let _ = match reply {
        Reply::Ordinary => unreachable!(),
        Reply::Json(code, body) => {
            let head = format!(
                "HTTP/1.1 {code} x\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n",
                body.len()
            );
            stream.write_all((head + &body).as_bytes()).and_then(|()| stream.flush())
        }
        Reply::Raw(octets) => stream.write_all(&octets).and_then(|()| stream.flush()),
        Reply::Endless(first, again) => {
            let mut written = stream.write_all(&first);
            while written.is_ok() {
                written = stream.write_all(&again).and_then(|()| stream.flush());
            }
            written
        }
        Reply::Slow(octets) => octets.chunks(1).try_for_each(|octet| {
            thread::sleep(Duration::from_millis(200));
            stream.write_all(octet).and_then(|()| stream.flush())
        }),
        Reply::Silence => stream.read(&mut [0; 1]).map(|_| ()),
    };
    stream.conn.send_close_notify();
    let _ = stream.flush();
}

/// None: the client has gone, or speaks no HTTP.
fn read_request(stream: &mut impl Read) -> Option<Request> {
    let mut octets = Vec::new();
    let mut piece = [0; 4096];
    loop {
        let text = String::from_utf8_lossy(&octets).into_owned();
        if let Some((head, body)) = text.split_once("\r\n\r\n") {
            let length = head.lines().find_map(|line| line.strip_prefix("Content-Length: ")).unwrap_or("0");
            if body.len() >= length.parse::<usize>().unwrap() {
                let path = head.split(' ').nth(1)?.to_owned();
                let form = body.split('&').filter_map(|field| field.split_once('='));
                let form = form.map(|(name, value)| (name.to_owned(), decoded(value))).collect();
                return Some(Request { path, form, head: head.to_owned() });
            }
        }
        match stream.read(&mut piece) {
            Ok(count) if count > 0 => octets.extend_from_slice(&piece[..count]),
            _ => return None,
        }
    }
}

/// Of application/x-www-form-urlencoded.
pub fn decoded(text: &str) -> String {
    let mut octets = Vec::new();
    let mut rest = text.as_bytes();
    while let [first, behind @ ..] = rest {
        rest = behind;
        match first {
            b'+' => octets.push(b' '),
            b'%' => {
                octets.push(u8::from_str_radix(std::str::from_utf8(&behind[..2]).unwrap(), 16).unwrap());
                rest = &behind[2..];
            }
            other => octets.push(*other),
        }
    }
    String::from_utf8(octets).unwrap()
}

impl State {
    fn answer(&mut self, request: &Request) -> (u16, String) {
        let error = |error: &str| (400, format!("{{\"error\":\"{error}\",\"error_description\":\"no\"}}"));
        if request.field("client_id") != CLIENT {
            return error("invalid_client");
        }
        if request.path == "/device" {
            let body = r#"{"device_code":"device-code-of-this-consent","user_code":"FQQV-MCSM","verification_uri":"https://example.org/devicelogin","interval":1,"expires_in":600}"#;
            return (200, body.to_owned());
        }
        match request.field("grant_type") {
            "client_credentials" if request.field("client_secret") == SECRET => self.grant(false),
            "refresh_token" => {
                let sent = request.field("refresh_token");
                if self.used.contains(sent) && self.rotates {
                    self.is_revoked = true; // as oidc-provider and glewlwyd do it
                }
                if sent != self.refresh || self.is_revoked { error("invalid_grant") } else { self.grant(true) }
            }
            "urn:ietf:params:oauth:grant-type:device_code" => match self.device {
                Some("granted") if request.field("device_code") == "device-code-of-this-consent" => self.anew(),
                Some(other) => error(other),
                None => error("authorization_pending"),
            },
            "authorization_code" => {
                let verified = challenge_of(request.field("code_verifier"));
                match self.challenge.take() {
                    Some((code, challenge)) if code == request.field("code") && challenge == verified => self.anew(),
                    _ => error("invalid_grant"),
                }
            }
            _ => error("unsupported_grant_type"),
        }
    }

    /// After a consent.
    fn anew(&mut self) -> (u16, String) {
        self.is_revoked = false;
        self.used.clear();
        self.count += 1;
        self.refresh = format!("refresh-token-number-{}", self.count);
        let refresh = self.refresh.clone();
        let (code, body) = self.grant(false);
        (code, body.replace('}', &format!(",\"refresh_token\":\"{refresh}\"}}")))
    }

    fn grant(&mut self, is_renewal: bool) -> (u16, String) {
        self.count += 1;
        let mut refresh = String::new();
        if is_renewal && self.rotates {
            self.used.insert(std::mem::replace(&mut self.refresh, format!("refresh-token-number-{}", self.count)));
            refresh = format!(",\"refresh_token\":\"{}\"", self.refresh);
        }
        let (number, life) = (self.count, self.life);
        (
            200,
            format!(
                "{{\"access_token\":\"access-token-number-{number}\",\"token_type\":\"bearer\",\"expires_in\":{life}{refresh}}}"
            ),
        )
    }
}

/// The challenge of a verifier, by openssl(1): another one than the program's.
fn challenge_of(verifier: &str) -> String {
    let mut openssl = Command::new("openssl");
    openssl.args(["dgst", "-sha256", "-binary"]).stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut openssl = openssl.spawn().expect("openssl is needed");
    openssl.stdin.take().unwrap().write_all(verifier.as_bytes()).unwrap();
    BASE64_URL_SAFE_NO_PAD.encode(openssl.wait_with_output().unwrap().stdout)
}

/// The directory of the account.
pub fn account(home: &Home) -> PathBuf {
    home.path().join("accounts").join(HOST).join(USER)
}

/// Puts tokens there: the access token was asked for so many seconds ago, and is good for so many more.
pub fn put(home: &Home, age: i64, left: i64, refresh: Option<&str>) {
    DirBuilder::new().mode(0o700).recursive(true).create(account(home)).unwrap();
    let now = unix() as i64;
    fs::write(account(home).join("access"), format!("access-token-of-old\n{}\n{}\n", now - age, now + left)).unwrap();
    if let Some(refresh) = refresh {
        fs::write(account(home).join("refresh"), format!("{refresh}\n")).unwrap();
    }
}

pub fn unix() -> u64 {
    SystemTime::UNIX_EPOCH.elapsed().unwrap().as_secs()
}

/// The program under test.
pub fn program() -> PathBuf {
    super::built("qmail-remote-oauth", env!("CARGO_BIN_EXE_qmail-remote-oauth"))
}

/// The command in this home.
pub fn command(home: &Home, arguments: &[&str]) -> Command {
    let mut command = Command::new(program());
    command.env_clear().env("QMAILHOME", home.path()).args(arguments);
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

/// The exit status of a command, and its lines.
pub fn run(home: &Home, arguments: &[&str]) -> (Option<i32>, String) {
    let output = command(home, arguments).output().unwrap();
    let text = String::from_utf8([output.stdout, output.stderr].concat()).unwrap();
    (output.status.code(), text)
}

/// The token, as qmail-remote asks for it.
pub fn token(home: &Home) -> (Option<i32>, String) {
    run(home, &["token", HOST, USER])
}
