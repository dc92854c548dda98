//! The whole story of a token with real parts: Debian's glewlwyd gives it, Debian's Postfix and Dovecot take it, qmail-remote-oauth keeps
//! it and qmail-remote delivers with it, both where the package has them and as their own user. msmtp(1) is another client at the same
//! servers, with the same tokens. All stays on the loopback. Needs root, msmtp, and what support/chroot.rs needs.

use crate::support::bearer::{Key, Release, of_dovecot, relay, relay_by_signature};
use crate::support::glewlwyd::{CLIENT, CLIENT_SECRET, Glewlwyd, SECRET, USER};
use crate::support::provider::{program, unix};
use crate::support::relay::{Endpoint, Relay};
use crate::support::tap::Tap;
use crate::support::{Delivered, Home, run};
use std::fs::{self, Permissions};
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::os::unix::fs::{PermissionsExt, chown};
use std::path::PathBuf;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::thread::{self, sleep};
use std::time::{Duration, Instant};

const SENDER: &str = "sender@example.net";
const MESSAGE: &[u8] = b"Subject: hello\n\nOne line.\n";

/// Deliveries of a list mail.
const AT_ONCE: usize = 100;

/// The user of qmail-remote and its group. They have no names here.
const QMAILR: u32 = 23_456;
const QMAIL: u32 = 23_457;

/// Where mail is sent from: a route, and nothing that a consent does not write.
struct Host {
    home: Home,
    /// The relay.
    relay: String,
    user: &'static str,
}

impl Host {
    fn new(endpoint: &Endpoint, port: u16, user: &'static str) -> Host {
        let home = Home::with_route(&format!("{}:{port}", endpoint.address));
        home.control("tlscafile", "control/ca.pem\n");
        home.control("ca.pem", &endpoint.ca.pem);
        fs::write(home.path().join("secret"), if user == USER { CLIENT_SECRET } else { SECRET }).unwrap();
        let tcpto = home.path().join("queue/lock/tcpto");
        fs::create_dir_all(tcpto.parent().unwrap()).unwrap();
        fs::write(&tcpto, [0; 1024]).unwrap();
        chown(&tcpto, Some(QMAILR), Some(QMAIL)).unwrap();
        fs::set_permissions(home.path(), Permissions::from_mode(0o755)).unwrap();
        Host { home, relay: endpoint.address.to_string(), user }
    }

    /// The command of qmail-remote-oauth, with the relay and the user behind the first word.
    fn oauth(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(program());
        command.env_clear().env("QMAILHOME", self.home.path());
        command.args([arguments[0], &self.relay, self.user]).args(&arguments[1..]);
        command
    }

    fn consent(&self, client: &str, arguments: &[&str]) -> Consent {
        let secret = self.home.path().join("secret");
        let common = ["consent", "--client", client, "--scope", "smtp", "--secret-file", secret.to_str().unwrap()];
        Consent::start(self.oauth(&[&common[..], arguments].concat()))
    }

    /// A file of the account.
    fn path(&self, name: &str) -> PathBuf {
        self.home.path().join("accounts").join(&self.relay).join(self.user).join(name)
    }

    fn file(&self, name: &str) -> String {
        fs::read_to_string(self.path(name)).unwrap()
    }

    fn access(&self) -> String {
        self.file("access").lines().next().unwrap().to_owned()
    }

    /// The access token stays, but by its file it was asked for so many seconds ago, and is good for so many more.
    fn redate(&self, age: i64, left: i64) {
        let now = unix() as i64;
        fs::write(self.path("access"), format!("{}\n{}\n{}\n", self.access(), now - age, now + left)).unwrap();
    }

    /// As qmail-rspawn would run it, with the programs of the package in /usr/bin, and as the user of qmail-remote.
    fn deliver(&self) -> Delivered {
        let inner = self.home.command(SENDER, &["r1@example.org"]);
        let mut command = Command::new("unshare");
        let script = "mount --bind \"$0\" /usr/bin && exec /usr/sbin/chroot --userspec=\"$@\"";
        command.args(["--mount", "sh", "-c", script]).arg(program().parent().unwrap());
        command.arg(format!("{QMAILR}:{QMAIL}")).args(["/", "/usr/bin/qmail-remote"]).args(inner.get_args());
        command.env_clear().envs(inner.get_envs().filter_map(|(name, value)| Some((name, value?))));
        run(command, MESSAGE)
    }

    /// A mail that the relay takes by this login.
    fn delivers(&self, relay: &mut Relay, mechanism: &str) {
        let delivered = self.deliver();
        assert_eq!(delivered.letters(), "rK", "{delivered:?}\n{}", of_dovecot(relay));
        let line = format!("\ntls=TLSv1.3 cert=verified auth={mechanism} user={}\n", self.user);
        assert!(delivered.verdict().ends_with(&line), "{delivered:?}");
        relay.assert_took("r1", SENDER, MESSAGE);
        relay.assert_logins(&[&format!("{mechanism} {}", self.user)]);
    }

    /// A mail that waits. Returns why.
    fn waits(&self) -> String {
        let delivered = self.deliver();
        assert_eq!(delivered.letters(), "Z", "{delivered:?}");
        assert!(!delivered.verdict().contains(&self.access()), "{delivered:?}");
        delivered.verdict()
    }

    /// msmtp sends a mail with the same token.
    fn msmtp(&self, relay: &mut Relay, mechanism: &str) {
        let home = self.home.path().to_str().unwrap();
        let program = program();
        let conf = format!(
            "account default\nhost {relay}\nport 587\ntls on\ntls_trust_file {home}/control/ca.pem\nauth {method}\n\
             user {user}\nfrom {SENDER}\n\
             passwordeval QMAILHOME={home} {program} token {relay} {user}\n",
            relay = self.relay,
            method = mechanism.to_lowercase(),
            user = self.user,
            program = program.display()
        );
        let file = self.home.path().join("msmtprc");
        fs::write(&file, conf).unwrap();
        fs::set_permissions(&file, Permissions::from_mode(0o600)).unwrap();
        let mut msmtp = Command::new("msmtp");
        msmtp.arg("--file").arg(&file).arg("r1@example.org").stdin(Stdio::piped()).stderr(Stdio::piped());
        let mut msmtp = msmtp.spawn().expect("msmtp is needed");
        msmtp.stdin.take().unwrap().write_all(MESSAGE).unwrap();
        let output = msmtp.wait_with_output().unwrap();
        assert!(output.status.success(), "{}\n{}", String::from_utf8_lossy(&output.stderr), of_dovecot(relay));
        assert!(relay.take("r1").ends_with(b"\nOne line.\n"));
        relay.assert_logins(&[&format!("{mechanism} {}", self.user)]);
    }
}

/// How many logins the relay has refused.
fn refusals(relay: &Relay) -> usize {
    relay.log().matches(" authentication failed").count()
}

/// A consent that is going on.
struct Consent {
    child: Child,
    lines: std::io::Lines<BufReader<ChildStdout>>,
    input: ChildStdin,
}

impl Consent {
    fn start(mut command: Command) -> Consent {
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::inherit()).spawn().unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        Consent { input: child.stdin.take().unwrap(), lines, child }
    }

    /// The next line that begins so.
    fn line(&mut self, begin: &str) -> String {
        self.lines.find_map(|line| line.ok().filter(|line| line.starts_with(begin))).unwrap_or_default()
    }

    /// It ends well: there are tokens, and the relay has taken one.
    fn ends_with_proof(mut self, how: &str, relay: &Relay) {
        let rest: Vec<String> = self.lines.map(Result::unwrap).collect();
        let rest = rest.join("\n");
        assert!(self.child.wait().unwrap().success(), "{rest}\n{}", of_dovecot(relay));
        for part in ["consented     scope smtp, until ", how, "login         235 "] {
            assert!(rest.contains(part), "{part}: {rest}");
        }
    }
}

/// glewlwyd, with a tap that has it ask for more haste than it accepts.
fn provider() -> (Glewlwyd, Tap) {
    let provider = Glewlwyd::start();
    let tap = Tap::before(provider.port(), ("\"interval\":5", "\"interval\":1"));
    (provider, tap)
}

fn by_a_code(host: &Host, provider: &Glewlwyd, tap: &Tap, relay: &Relay, is_slow: bool) {
    let (tokens, device) = (tap.url(&provider.url("token")), tap.url(&provider.url("device_authorization")));
    tap.take();
    let mut consent = host.consent(CLIENT, &["--token", &tokens, "--device", &device]);
    let line = consent.line("In a browser ");
    if is_slow {
        let end = Instant::now() + Duration::from_secs(30);
        while !tap.seen().iter().any(|exchange| exchange.body().contains("slow_down")) {
            assert!(Instant::now() < end, "{:?}", tap.seen());
            sleep(Duration::from_millis(20));
        }
    }
    provider.approve(CLIENT, line.split_whitespace().last().unwrap());
    consent.ends_with_proof(", renewable\n", relay);
}

fn story(release: Release) {
    let (provider, tap) = provider();
    let endpoint = Endpoint::new("TLSv1.3", "ECDSA");
    let mut relay = relay(release, &endpoint, &provider);
    let host = Host::new(&endpoint, 587, USER);

    by_a_code(&host, &provider, &tap, &relay, true);
    let exchanges = tap.take();
    let ends = ["device_code", "authorization_pending", "slow_down", "access_token"];
    assert_eq!(exchanges.len(), ends.len(), "{exchanges:?}");
    for (exchange, end) in exchanges.iter().zip(ends) {
        assert!(exchange.body().contains(end), "{end}: {exchange:?}");
    }
    let pause = exchanges[3].at - exchanges[2].at;
    assert!(pause >= Duration::from_secs(6), "five seconds more than before (RFC 8628 section 3.5): {pause:?}");
    host.delivers(&mut relay, "XOAUTH2");
    assert!(tap.take().is_empty(), "the token is there");

    // The access token ends.
    let (access, refresh) = (host.access(), host.file("refresh"));
    provider.revoke(&access);
    host.redate(3601, -1);
    host.delivers(&mut relay, "XOAUTH2");
    assert_ne!((host.access(), host.file("refresh")), (access, refresh));
    assert_eq!(tap.take().len(), 1);

    // A hundred mails at once at a dead token: none waits, and one asks.
    host.redate(3601, -1);
    let reports: Vec<Delivered> = thread::scope(|scope| {
        let deliveries: Vec<_> = (0..AT_ONCE).map(|_| scope.spawn(|| host.deliver())).collect();
        deliveries.into_iter().map(|delivery| delivery.join().unwrap()).collect()
    });
    for delivered in &reports {
        assert_eq!(delivered.letters(), "rK", "{delivered:?}");
        relay.assert_took("r1", SENDER, MESSAGE);
    }
    relay.assert_logins(&[&format!("XOAUTH2 {USER}")[..]; AT_ONCE]);
    assert_eq!(tap.take().len(), 1);

    // With ten minutes left, and nobody there to be asked, mail goes on.
    let (access, url) = (host.access(), format!("relays/{}/oauth/token", host.relay));
    let before = fs::read(host.home.path().join("control").join(&url)).unwrap();
    host.home.control(&url, "http://127.0.0.1:1/token\n");
    host.redate(3000, 600);
    host.delivers(&mut relay, "XOAUTH2");
    host.home.control(&url, before);
    assert_eq!(host.access(), access);

    // The relay refuses it before its end: the same delivery has another one.
    let access = host.access();
    provider.revoke(&access);
    host.redate(400, 3200);
    host.delivers(&mut relay, "XOAUTH2");
    assert_ne!(host.access(), access);
    assert_eq!((tap.take().len(), refusals(&relay)), (1, 1));

    // A young one is not refused for its age, so nobody is asked.
    provider.revoke(&host.access());
    let why = host.waits();
    assert!(why.contains("535 5.7.8 "), "{why}");
    assert_eq!((tap.take().len(), refusals(&relay)), (0, 2));

    // The consent is revoked.
    let (access, refresh) = (host.access(), host.file("refresh"));
    provider.revoke(refresh.trim_end());
    provider.revoke(&access);
    host.redate(3601, -1);
    let command = format!("qmail-remote-oauth consent {} {USER}", host.relay);
    let why = host.waits();
    let [exchange] = &tap.take()[..] else { panic!("one question") };
    assert!(exchange.answer.starts_with("HTTP/1.1 400 ") && exchange.body().is_empty(), "{exchange:?}");
    assert!(why.contains("HTTP 400") && why.contains(&command), "{why}");
    assert!(!why.contains(refresh.trim_end()), "{why}");
    let again = host.waits();
    assert!(again.contains(&command) && tap.take().is_empty(), "{again}");
    by_a_code(&host, &provider, &tap, &relay, false);
    host.delivers(&mut relay, "XOAUTH2");

    // Another client at the same servers, and the other mechanism.
    host.msmtp(&mut relay, "XOAUTH2");
    host.msmtp(&mut relay, "OAUTHBEARER");
    host.home.control(&format!("relays/{}/mechanisms", host.relay), "OAUTHBEARER\n");
    host.delivers(&mut relay, "OAUTHBEARER");
    provider.revoke(&host.access());
    host.redate(400, 3200);
    host.delivers(&mut relay, "OAUTHBEARER");
    assert_eq!(refusals(&relay), 3);
}

#[test]
fn at_bookworm() {
    story(Release::Bookworm);
}

#[test]
fn at_trixie() {
    story(Release::Trixie);
}

/// By a code of its own, whose client is who asked for it: glewlwyd wants PKCE, by S256 alone.
#[test]
fn in_a_browser() {
    let (provider, tap) = provider();
    let endpoint = Endpoint::new("TLSv1.3", "ECDSA");
    let mut relay = relay(Release::Trixie, &endpoint, &provider);
    let host = Host::new(&endpoint, 465, USER);
    let (tokens, authorize) = (tap.url(&provider.url("token")), provider.url("auth"));
    for is_pasted in [false, true] {
        let mut consent = host.consent(CLIENT, &["--token", &tokens, "--authorize", &authorize]);
        let address = consent.line("http://");
        let (_, port) = address.split_once("&redirect_uri=http%3A%2F%2F127.0.0.1%3A").unwrap();
        let (port, _) = port.split_once("%2F&").unwrap();
        let redirect = format!("127.0.0.1:{port}");
        provider.register_redirect(&format!("http://{redirect}/"));

        let naked = address.replace("&code_challenge", "&nothing");
        assert!(provider.browse(&naked).contains("error=invalid_request"));
        let plain = address.replace("=S256", "=plain");
        assert!(provider.browse(&plain).contains("error=invalid_request"));

        let end = provider.browse(&address);
        let target = end.strip_prefix(&format!("http://{redirect}")).unwrap();
        if is_pasted {
            consent.input.write_all(format!("{end}\n").as_bytes()).unwrap();
        } else {
            let mut stream = TcpStream::connect(&redirect).unwrap();
            stream.write_all(format!("GET {target} HTTP/1.1\r\nHost: {redirect}\r\n\r\n").as_bytes()).unwrap();
            let mut page = String::new();
            stream.read_to_string(&mut page).unwrap();
            assert!(page.starts_with("HTTP/1.1 200 "), "{page}");
        }
        consent.ends_with_proof(", renewable\n", &relay);
        let [exchange] = &tap.take()[..] else { panic!("one question") };
        assert_eq!(exchange.field("grant_type"), "authorization_code");
        host.delivers(&mut relay, "XOAUTH2");
    }
    host.redate(3601, -1);
    host.delivers(&mut relay, "XOAUTH2");
}

/// An application is its own user, by the name that is in the token. glewlwyd tells nobody whose token that is, so the relay goes by
/// its signature, which Dovecot 2.3 does not do with the type of these tokens (RFC 9068).
#[test]
fn an_application() {
    let (provider, tap) = provider();
    let endpoint = Endpoint::new("TLSv1.3", "ECDSA");
    let mut relay = relay_by_signature(std::slice::from_ref(&endpoint), &Key::of_glewlwyd());
    let host = Host::new(&endpoint, 587, "app");
    let consent = host.consent("app", &["--token", &tap.url(&provider.url("token")), "--app"]);
    consent.ends_with_proof(", of the application\n", &relay);
    host.delivers(&mut relay, "XOAUTH2");
    let access = host.access();
    host.redate(3601, -1);
    host.delivers(&mut relay, "XOAUTH2");
    assert_ne!(host.access(), access);
    assert!(!host.path("refresh").exists());

    tap.take();
    host.home.control(&format!("relays/{}/oauth/secret", host.relay), "another\n");
    host.redate(3601, -1);
    let why = host.waits();
    let [exchange] = &tap.take()[..] else { panic!("one question") };
    assert!(exchange.answer.starts_with("HTTP/1.1 403 ") && exchange.body().is_empty(), "{exchange:?}");
    assert!(why.contains(": HTTP 403; see ") && why.contains("/oauth/secret"), "{why}");
}
