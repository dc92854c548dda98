//! Debian's glewlwyd, a provider of tokens: device codes with `slow_down`, refresh tokens that are replaced at each use and all revoked
//! where an old one comes again, applications that log in themselves, refusals without a word.

use super::chroot;
use super::relay::free_port;
use std::fs;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::process::{Child, Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

pub const USER: &str = "me@example.org";
const PASSWORD: &str = "pw12345678";

/// What it signs access tokens with (HS256).
pub const KEY: &str = "0123456789abcdef0123456789abcdef";

/// The plugin that speaks OAuth 2.0. PORT and SIGNS are put in.
const PLUGIN: &str = r#"{"module":"oidc","name":"oidc","display_name":"oidc","enabled":true,"parameters":{
    "iss":"http://127.0.0.1:PORT/api/oidc","jwt-type":"sha","jwt-key-size":"256","key":"SIGNS",
    "access-token-duration":3600,"refresh-token-duration":7776000,"code-duration":600,"refresh-token-rolling":true,
    "refresh-token-one-use":"always","allow-non-oidc":true,"auth-type-code-enabled":true,"auth-type-token-enabled":true,
    "auth-type-client-enabled":true,"auth-type-refresh-enabled":true,"auth-type-device-enabled":true,
    "device-authorization-expiration":600,"device-authorization-interval":5,"auth-type-password-enabled":false,
    "auth-type-implicit-enabled":false,"auth-type-none-enabled":false,"auth-type-id-token-enabled":true,"pkce-allowed":true,
    "pkce-required":true,"introspection-revocation-allowed":true,"introspection-revocation-allow-target-client":true,
    "introspection-revocation-auth-scope":[],"subject-type":"public","scope":[],"request-parameter-allow":false,
    "oauth-dpop-allowed":false,"resource-allowed":false}}"#;

/// What is there before any test: a scope, a user, a public client, an application, and a client whose tokens a relay can ask about:
/// glewlwyd tells of a token only the client that it was made for, so the relay uses its name.
const SET_UP: [(&str, &str); 5] = [
    ("scope/", r#"{"name":"smtp","display_name":"smtp","password_required":true,"password_max_age":0,"scheme":{}}"#),
    (
        "user/",
        r#"{"username":"me@example.org","name":"Me","password":"pw12345678","email":"me@example.org","scope":["smtp","g_profile"],"enabled":true}"#,
    ),
    (
        "client/",
        r#"{"client_id":"public","name":"public","confidential":false,"redirect_uri":["http://127.0.0.1:9/"],"authorization_type":["code","device_authorization","refresh_token"],"scope":[],"enabled":true}"#,
    ),
    (
        "client/",
        r#"{"client_id":"app","name":"app","confidential":true,"password":"s3cret+/= %&","token_endpoint_auth_method":["client_secret_post","client_secret_basic"],"redirect_uri":[],"authorization_type":["client_credentials"],"scope":["smtp"],"enabled":true}"#,
    ),
    ("client/", MAIL_CLIENT),
];

/// The secret of the application there.
pub const SECRET: &str = "s3cret+/= %&";

/// The client of the relay. A browser may come back to REDIRECT alone.
pub const CLIENT: &str = "mail";
pub const CLIENT_SECRET: &str = "introspect";
const MAIL_CLIENT: &str = r#"{"client_id":"mail","name":"mail","confidential":true,"password":"introspect","token_endpoint_auth_method":["client_secret_post","client_secret_basic"],"redirect_uri":["REDIRECT"],"authorization_type":["code","device_authorization","refresh_token","client_credentials"],"scope":["smtp"],"enabled":true}"#;
const JSON: &str = "application/json";

/// A provider that runs.
pub struct Glewlwyd {
    root: tempfile::TempDir,
    daemon: Child,
    port: u16,
}

impl Glewlwyd {
    pub fn start() -> Glewlwyd {
        let root = chroot::copy(&chroot::debian("trixie", &["glewlwyd"]));
        let port = free_port();
        let file = root.path().join("etc/glewlwyd/glewlwyd.conf");
        let conf = fs::read_to_string(&file).unwrap();
        let line = |line: &str| match line.split('=').next().unwrap().trim_start_matches('#') {
            "port" => format!("port={port}"),
            "bind_address" => "bind_address=\"127.0.0.1\"".to_owned(),
            _ => line.to_owned(),
        };
        fs::write(&file, conf.lines().map(line).collect::<Vec<_>>().join("\n") + "\n").unwrap();
        let run = "glewlwyd --config-file=/etc/glewlwyd/glewlwyd.conf & wait";
        let daemon = chroot::daemons(root.path(), run).spawn().unwrap();
        let provider = Glewlwyd { root, daemon, port };
        provider.set_up();
        provider
    }

    /// A URL of the plugin.
    pub fn url(&self, name: &str) -> String {
        format!("http://127.0.0.1:{}/api/oidc/{name}/", self.port)
    }

    /// The user enters this code in a browser, and consents to what the client asks for.
    pub fn approve(&self, client: &str, code: &str) {
        // It leads to a page that is not there.
        self.consenting(client).call("GET", &format!("oidc/device/?code={code}&g_continue"), JSON, "");
    }

    /// The user opens this address in a browser, and consents. Returns where that is led to.
    pub fn browse(&self, address: &str) -> String {
        let target = address.split_once("/api/").unwrap().1;
        let answer = self.consenting(CLIENT).call("GET", &format!("{target}&g_continue"), JSON, "");
        header(&answer, "location").unwrap_or_else(|| panic!("{target}: {answer}"))
    }

    fn consenting(&self, client: &str) -> Browser {
        let mut browser = Browser::new(self.port);
        browser.json("POST", "auth/", &format!(r#"{{"username":"{USER}","password":"{PASSWORD}"}}"#));
        browser.json("PUT", &format!("auth/grant/{client}"), r#"{"scope":"smtp"}"#);
        browser
    }

    /// From now on a browser may come back to this address: glewlwyd compares all of it, also the port.
    pub fn register_redirect(&self, address: &str) {
        self.admin().json("PUT", &format!("client/{CLIENT}"), &MAIL_CLIENT.replace("REDIRECT", address));
    }

    /// The token of the relay's client is good no more (RFC 7009).
    pub fn revoke(&self, token: &str) {
        let form = format!("token={token}&client_id={CLIENT}&client_secret={CLIENT_SECRET}");
        let answer = Browser::new(self.port).call("POST", "oidc/revoke/", "application/x-www-form-urlencoded", &form);
        assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
    }

    pub fn port(&self) -> u16 {
        self.port
    }

    fn admin(&self) -> Browser {
        let mut admin = Browser::new(self.port);
        admin.json("POST", "auth/", r#"{"username":"admin","password":"password"}"#);
        admin
    }

    fn set_up(&self) {
        let end = Instant::now() + Duration::from_secs(30);
        while TcpStream::connect(("127.0.0.1", self.port)).is_err() {
            assert!(Instant::now() < end, "glewlwyd does not start");
            sleep(Duration::from_millis(50));
        }
        let mut admin = self.admin();
        for (path, body) in SET_UP {
            admin.json("POST", path, body);
        }
        admin.json("POST", "mod/plugin/", &PLUGIN.replace("PORT", &self.port.to_string()).replace("SIGNS", KEY));
    }
}

impl Drop for Glewlwyd {
    fn drop(&mut self) {
        let _ = self.daemon.kill();
        let _ = self.daemon.wait();
        chroot::stop_all(self.root.path());
    }
}

/// What a browser keeps of a session.
struct Browser {
    port: u16,
    cookie: String,
}

impl Browser {
    fn new(port: u16) -> Browser {
        Browser { port, cookie: String::new() }
    }

    /// A request that must succeed.
    fn json(&mut self, method: &str, path: &str, body: &str) {
        let answer = self.call(method, path, JSON, body);
        assert!(answer.starts_with("HTTP/1.1 200 "), "{method} {path}: {answer}");
    }

    fn call(&mut self, method: &str, path: &str, kind: &str, body: &str) -> String {
        let mut stream = TcpStream::connect(("127.0.0.1", self.port)).unwrap();
        let head = format!(
            "{method} /api/{path} HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\nContent-Type: {kind}\r\n\
             Cookie: {}\r\nContent-Length: {}\r\n\r\n",
            self.cookie,
            body.len()
        );
        stream.write_all((head + body).as_bytes()).unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        if let Some(cookie) = header(&answer, "set-cookie") {
            self.cookie = cookie.split(';').next().unwrap().to_owned();
        }
        answer
    }
}

/// The value of a header field.
fn header(answer: &str, name: &str) -> Option<String> {
    let mut fields = answer.lines().take_while(|line| !line.is_empty()).filter_map(|line| line.split_once(": "));
    fields.find(|(field, _)| field.eq_ignore_ascii_case(name)).map(|(_, value)| value.to_owned())
}

/// Ends what a test has started, whatever becomes of it.
pub fn piped(mut command: Command) -> Child {
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::inherit()).spawn().unwrap()
}
