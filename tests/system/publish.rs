//! The packages as they are published: by the checks that Debian has for packages, byte for byte the same from elsewhere, through
//! apt, and with what they are for.
//!
//! Needs root, what support/chroot.rs and script/apt-repo need, lintian, piuparts and autopkgtest.

use crate::support::cargo::as_from_a_shell;
use crate::support::certificate::Authority;
use crate::support::deb::{TREE, build, output, packages, version};
use crate::support::rspawn::{self, MESSAGE, RECIPIENT, SENDER};
use crate::support::server::{Rules, Server, Tls};
use crate::support::{chroot, program};
use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use tempfile::TempDir;

const RELEASES: [&str; 2] = ["bookworm", "trixie"];
/// A trixie with its own Rust and C.
const BUILDER: [&str; 6] = ["apt-utils", "ca-certificates", "cargo", "gcc", "libc6-dev", "pkgconf"];

/// A Debian with what the program depends on.
fn debian(release: &str) -> TempDir {
    chroot::copy(&chroot::debian(release, &["ca-certificates"]))
}

fn inside(root: &Path, script: &str) -> String {
    output(chroot::command(root, "sh").args(["-ec", script]).stdout(Stdio::piped()).stderr(Stdio::piped()))
}

/// Where a registry's crates are.
fn cargo_home() -> PathBuf {
    let home = std::env::var_os("CARGO_HOME").map(PathBuf::from);
    home.unwrap_or_else(|| PathBuf::from(std::env::var_os("HOME").unwrap()).join(".cargo"))
}

/// Copies the files of this tree that belong to it.
fn copy_tree(to: &Path) {
    let script =
        "cd \"$1\" && git ls-files -z --cached --others --exclude-standard | xargs -0 cp -P --parents -t \"$2\"";
    fs::create_dir_all(to).unwrap();
    output(Command::new("sh").args(["-ec", script, "sh", TREE]).arg(to));
}

#[test]
fn lintian_has_nothing_to_say() {
    let mut lintian = Command::new("lintian");
    lintian.args(["--allow-root", "--pedantic"]).arg(&packages().program).arg(&packages().dev);
    assert_eq!(output(&mut lintian), "");
}

/// Also by someone with flags of their own, in directories with a blank in their names.
#[test]
fn the_same_octets_from_another_place() {
    let dir = tempfile::tempdir().unwrap();
    let path = |name: &str| dir.path().join(name);
    copy_tree(&path("else where/tree"));
    fs::create_dir(path("cargo")).unwrap();
    output(Command::new("cp").arg("-a").arg(cargo_home().join("registry")).arg(path("cargo")));
    let env = [
        ("CARGO_HOME", &*path("cargo")),
        ("CARGO_TARGET_DIR", &*path("tar get")),
        ("RUSTFLAGS", Path::new("-Copt-level=1")),
        ("CFLAGS", Path::new("-O1")),
    ];
    let others = build(&path("else where/tree"), &path("out"), &env);
    for (ours, others) in [(&packages().program, &others.program), (&packages().dev, &others.dev)] {
        assert_eq!(ours.file_name(), others.file_name());
        assert!(fs::read(ours).unwrap() == fs::read(others).unwrap(), "{} differs", ours.display());
    }

    let unpacked = path("unpacked");
    for package in [&packages().program, &packages().dev] {
        output(Command::new("dpkg-deb").arg("--extract").arg(package).arg(&unpacked));
    }
    let program = program();
    let places = [Path::new(TREE), &cargo_home(), program.ancestors().nth(2).unwrap()];
    for place in places.into_iter().map(|place| place.to_str().unwrap()).chain(["registry", "rustup"]) {
        let found = Command::new("grep").args(["-rlF", place]).arg(&unpacked).output().unwrap();
        assert_eq!(found.status.code(), Some(1), "{place} is in {}", String::from_utf8_lossy(&found.stdout));
    }
}

/// And its GNU ld links it, which wants libraries in order.
#[test]
fn trixies_own_rust_builds_it() {
    let root = chroot::copy(&chroot::debian("trixie", &BUILDER));
    let tree = root.path().join("tree");
    copy_tree(&tree);
    let mut vendor = Command::new(env!("CARGO"));
    vendor.args(["vendor", "--offline", "--locked", "--versioned-dirs"]).arg(tree.join("vendor")).current_dir(&tree);
    let config = output(&mut vendor).replace(tree.to_str().unwrap(), "/tree");
    fs::create_dir(tree.join(".cargo")).unwrap();
    fs::write(tree.join(".cargo/config.toml"), config).unwrap();
    let built = inside(
        root.path(),
        "cd /tree; rustc --version; export HOME=/root CARGO_NET_OFFLINE=true; \"$(script/dist)\"/qmail-remote",
    );
    assert!(built.starts_with("rustc 1.85.") && built.ends_with("invoked improperly. (#5.3.5)\n\0"), "{built}");
}

/// A repository made by script/apt-repo, with this version and the next; and in it gpg's home.
struct Repository(TempDir);

impl Repository {
    fn new() -> Repository {
        let dir = TempDir::new_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
        let repository = Repository(dir);
        fs::create_dir(repository.0.path().join("gnupg")).unwrap();
        output(Command::new("chmod").arg("700").arg(repository.0.path().join("gnupg")));
        let key =
            ["--batch", "--passphrase", "", "--quick-generate-key", "packages@example.org", "ed25519", "sign", "never"];
        output(repository.gnupg("gpg").args(key));
        repository
    }

    fn gnupg(&self, program: &str) -> Command {
        let mut command = Command::new(program);
        command.env("GNUPGHOME", self.0.path().join("gnupg"));
        command
    }

    fn make(&self) {
        packages(); // two runs of script/deb at once would meet in their directory
        let mut script = self.gnupg(&format!("{TREE}/script/apt-repo"));
        script.arg(self.path()).env("CARGO_NET_OFFLINE", "true");
        output(
            as_from_a_shell(&mut script)
                .env("CARGO_TARGET_DIR", Path::new(env!("CARGO_TARGET_TMPDIR")).parent().unwrap()),
        );
    }

    fn path(&self) -> PathBuf {
        self.0.path().join("repository")
    }
}

impl Drop for Repository {
    fn drop(&mut self) {
        let _ = self.gnupg("gpgconf").args(["--kill", "all"]).status(); // the agent
    }
}

#[test]
fn apt_installs_upgrades_and_purges() {
    let repository = Repository::new();
    for release in RELEASES {
        let root = debian(release);
        fs::create_dir_all(root.path().join("var/qmail/bin")).unwrap();
        inside(
            root.path(),
            "rm -rf /etc/apt/sources.list /etc/apt/sources.list.d/*; cp /bin/true /var/qmail/bin/qmail-remote",
        );
        let source = "deb [signed-by=/repository/qmail-remote-auth.gpg] file:/repository ./\n";
        fs::write(root.path().join("etc/apt/sources.list.d/here.list"), source).unwrap();
        let publish = || {
            repository.make();
            output(Command::new("cp").arg("-aT").arg(repository.path()).arg(root.path().join("repository")));
            inside(
                root.path(),
                "apt-get update 2>&1; ! apt-get --simulate --quiet install qmail-remote-auth | grep -q WARNING",
            );
        };
        let state = "dpkg-query --show --showformat='${db:Status-Abbrev}${Version}\\n' qmail-remote-auth; \
                     /var/qmail/bin/qmail-remote | tr -d '\\0'";
        let next = repository.path().join("next.deb");
        let _ = fs::remove_file(&next);
        publish();
        inside(root.path(), "apt-get --yes install qmail-remote-auth libqmail-auth-dev- 2>&1");
        assert_eq!(inside(root.path(), state), "ii 0.1.0-1\nDI (qmail-remote) was invoked improperly. (#5.3.5)\n");

        version("0.1.0-2", &next, |_| {});
        publish();
        inside(root.path(), "apt-get --yes upgrade 2>&1");
        assert_eq!(inside(root.path(), state), "ii 0.1.0-2\nDI (qmail-remote) was invoked improperly. (#5.3.5)\n");

        inside(root.path(), "apt-get --yes purge qmail-remote-auth 2>&1");
        inside(
            root.path(),
            "! dpkg-query --show qmail-remote-auth 2>/dev/null; cmp /bin/true /var/qmail/bin/qmail-remote",
        );
    }
}

#[test]
fn piuparts_passes() {
    let dir = tempfile::tempdir().unwrap();
    for release in RELEASES {
        let pristine = chroot::debian(release, &["ca-certificates"]);
        let base = dir.path().join("base.tar.gz");
        // 1: a file changed meanwhile. It got one more link, in the copy that another test makes.
        let pack = "tar -C \"$1\" -czf \"$2\" . || [ $? = 1 ]";
        output(Command::new("sh").args(["-c", pack, "sh"]).arg(&pristine).arg(&base));
        let sources = fs::read_to_string(pristine.join("etc/apt/sources.list")).unwrap();
        let mirror = sources.lines().find_map(|line| line.strip_prefix("deb ")?.split(' ').next()).unwrap();
        let mut piuparts = Command::new("piuparts");
        piuparts.arg("--basetgz").arg(&base).args([
            "--no-eatmydata",
            "-d",
            release,
            "--mirror",
            &format!("{mirror} main"),
        ]);
        let said = output(piuparts.arg(&packages().program).arg(&packages().dev));
        assert!(said.contains("PASS: All tests."), "{said}");
    }
}

#[test]
fn autopkgtest_passes() {
    for (release, installed, packages) in [
        ("bookworm", ["ca-certificates"].as_slice(), vec![&packages().program]),
        ("trixie", &BUILDER, vec![&packages().program, &packages().dev]),
    ] {
        let root = chroot::copy(&chroot::debian(release, installed));
        inside(root.path(), "apt-get update 2>&1");
        let tree = tempfile::tempdir().unwrap();
        let debian = tree.path().join("debian");
        fs::create_dir(&debian).unwrap();
        output(
            Command::new("cp")
                .arg("-a")
                .args(["tests", "changelog"].map(|name| format!("{TREE}/debian/{name}")))
                .arg(&debian),
        );
        let mut autopkgtest = Command::new("autopkgtest");
        autopkgtest.args(&packages).arg(tree.path());
        if packages.len() == 1 {
            autopkgtest.arg("--test-name=takes-over");
        }
        let said = output(autopkgtest.args(["--", "chroot"]).arg(root.path()));
        let results = |result: &str| said.lines().filter(|line| line.ends_with(result)).count();
        assert!(results(" PASS") == packages.len() && results(" SKIP") == 0, "{said}");
    }
}

/// cargo-deb alone would make packages of the same names that are none.
#[test]
fn only_the_script_makes_packages() {
    let mut cargo = Command::new(env!("CARGO"));
    let output = cargo.args(["deb", "--no-build", "--offline"]).current_dir(TREE).output().unwrap();
    let words = String::from_utf8_lossy(&output.stderr);
    assert!(!output.status.success() && words.contains("script/deb makes the packages"), "{words}");
}

/// The whole story: the package, one line in control/smtproutes, and the mail goes out with a login over TLS that is checked.
#[test]
fn one_line_after_apt_install() {
    let authority = Authority::new("Example CA");
    let identity = authority.issue(&["smtp.example.jp"]);
    for release in RELEASES {
        let server = Server::start(Rules::over_tls(Tls::of(&identity)));
        let root = debian(release);
        let write = |name: &str, content: &str| {
            let path = root.path().join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::File::create(path).unwrap().write_all(content.as_bytes()).unwrap();
        };
        // The provider, whose CA is one of Debian's; and qmail.
        write("etc/hosts", "127.0.0.1 smtp.example.jp\n");
        write("usr/local/share/ca-certificates/example.crt", &authority.pem);
        inside(root.path(), "update-ca-certificates 2>&1");
        write("var/qmail/control/me", "home.example\n");
        write("var/qmail/bin/qmail-remote", "");
        inside(root.path(), "cp /bin/true /var/qmail/bin/qmail-remote; chmod 711 /var/qmail/bin/qmail-remote");

        fs::copy(&packages().program, root.path().join(packages().program.file_name().unwrap())).unwrap();
        inside(root.path(), "apt install --yes ./qmail-remote-auth_*.deb 2>&1");
        write("var/qmail/control/smtproutes", &format!(":smtp.example.jp:{} myuser secretpass\n", server.port()));

        let (verdict, report) = rspawn::deliver(root.path(), "/var/qmail/bin/qmail-remote");
        assert_eq!(verdict, 'K', "{release}: {report}");
        assert!(report.contains("\ntls=TLSv1.3 cert=verified auth=PLAIN user=myuser\n\0"), "{release}: {report}");
        let log = server.finish();
        let [message] = log.messages.as_slice() else { panic!("{release}: {:?}", log.messages) };
        assert_eq!(
            (message.sender.as_str(), message.recipients.as_slice()),
            (SENDER, [RECIPIENT.to_owned()].as_slice())
        );
        assert_eq!(message.content, MESSAGE);
    }
}
