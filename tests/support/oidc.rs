//! The provider of tests/oidc, by Debian trixie's node in a chroot: codes with PKCE, device codes without an interval, refresh tokens that
//! are replaced at each use and all revoked where an old one comes again, long access tokens that a relay can verify by itself.

use super::bearer::Key;
use super::browser::{Browser, Last};
use super::certificate::{Authority, RSA};
use super::chroot;
use super::relay::write;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

/// Whoever logs in with this name is the user of the mailbox.
pub const USER: &str = "me@example.org";
/// The public client there, and what it asks for.
pub const CLIENT: &str = "public";
pub const SCOPE: &str = "openid offline_access smtp";
/// The application that logs in itself.
pub const APPLICATION: &str = "app";
pub const SECRET: &str = "s3cret+/= %&";
/// The link on its pages, for [`Oidc::consent`].
pub const CANCEL: (&str, &str) = ("[ Cancel ]", "");

const PATIENCE: Duration = Duration::from_secs(60);

/// Run under flock, as chroot.rs does it. What is there already stays while the lock file is the same; npm compares what it gets with the
/// hashes there. No script of a package is run.
const INSTALL: &str = r#"
    source=$1 final=$2 half=$2.half
    ! cmp -s "$source/package-lock.json" "$final/package-lock.json" || exit 0
    command -v npm || { echo "npm(1) is missing: install the Debian package npm"; exit 1; }
    rm -rf "$final" "$half"
    mkdir "$half"
    cp "$source/package.json" "$source/package-lock.json" "$half"
    cd "$half"
    npm ci --omit=dev --ignore-scripts --no-audit --no-fund
    mv -T "$half" "$final"
"#;

/// A provider that runs.
pub struct Oidc {
    root: tempfile::TempDir,
    daemon: Child,
    origin: String,
    /// The CA of its certificate.
    pub ca: String,
}

impl Oidc {
    pub fn start() -> Oidc {
        let root = chroot::copy(&chroot::debian("trixie", &["nodejs"]));
        let directory = root.path().join("oidc");
        let copied = Command::new("cp").arg("-a").args([&installed(), &directory]).status().unwrap();
        assert!(copied.success());
        let ca = Authority::new("CA of the provider");
        let identity = ca.issue(&["127.0.0.1"]);
        write(&directory, "key.pem", &identity.key_pem);
        write(&directory, "cert.pem", &identity.pem);
        write(&directory, "tokens-key.pem", RSA);
        write(&directory, "provider.mjs", include_str!("../oidc/provider.mjs"));
        let run = "cd /oidc; node provider.mjs >log 2>&1 & wait";
        let daemon = chroot::daemons(root.path(), run).spawn().unwrap();
        // Before anything can panic, so that a panic stops it.
        let mut provider = Oidc { root, daemon, origin: String::new(), ca: ca.pem };
        let port = provider.wait_until_ready();
        provider.origin = format!("https://127.0.0.1:{port}");
        provider
    }

    fn wait_until_ready(&mut self) -> String {
        let end = Instant::now() + PATIENCE;
        loop {
            if let Some(port) = self.lines("ready ").pop() {
                return port;
            }
            let ended = self.daemon.try_wait().unwrap();
            assert!(ended.is_none() && Instant::now() < end, "the provider does not start: {ended:?} {}", self.log());
            sleep(Duration::from_millis(20));
        }
    }

    pub fn url(&self, path: &str) -> String {
        format!("{}{path}", self.origin)
    }

    /// The key that verifies its access tokens.
    pub fn key_of_tokens(&self) -> Key {
        let content = fs::read_to_string(self.root.path().join("oidc/tokens.pem")).unwrap();
        Key { name: "RS256/key".to_owned(), content, field: "mail" }
    }

    /// How often the token endpoint was asked.
    pub fn asked(&self) -> usize {
        self.lines("POST /token").len()
    }

    /// Opens an address in a new browser, logs in as the user unless another is entered, and consents; where that leads.
    pub fn consent(&self, address: &str, entered: &[(&str, &str)]) -> Last {
        let login = [("login", USER), ("password", "any")];
        Browser::new(&self.origin, &self.ca).visit(address, &[entered, &login].concat())
    }

    /// What stands behind this in the lines of the log that begin so.
    fn lines(&self, begin: &str) -> Vec<String> {
        let log = self.log();
        let whole = log.split_inclusive('\n').filter_map(|line| line.strip_suffix('\n'));
        whole.filter_map(|line| line.strip_prefix(begin)).map(str::to_owned).collect()
    }

    pub fn log(&self) -> String {
        fs::read_to_string(self.root.path().join("oidc/log")).unwrap_or_default()
    }
}

impl Drop for Oidc {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("the provider said:\n{}", self.log());
        }
        let _ = self.daemon.kill();
        let _ = self.daemon.wait();
        chroot::stop_all(self.root.path());
    }
}

/// The directory with node_modules, under `target/oidc`.
fn installed() -> PathBuf {
    let top = Path::new(env!("CARGO_MANIFEST_DIR"));
    let target = top.join("target/oidc");
    fs::create_dir_all(&target).unwrap();
    let modules = target.join("provider");
    let output = Command::new("flock")
        .arg(target.join("lock"))
        .args(["sh", "-ec", INSTALL, "install"])
        .args([&top.join("tests/oidc"), &modules])
        .stdin(Stdio::null())
        .output()
        .expect("flock(1) is needed");
    let said = [output.stdout, output.stderr].concat();
    assert!(output.status.success(), "tests/oidc cannot be installed: {}", String::from_utf8_lossy(&said));
    modules
}
