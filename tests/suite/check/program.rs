//! Which program qmail runs: an answer about this package's is an OK only if that is the one. Needs root, as a home that is found has a
//! user.

use crate::support::check::{Checked, is_root, program, run};
use crate::support::executable;
use crate::support::namespace::inside_with;
use crate::support::server::{Rules, Server};
use std::fs::{self, Permissions};
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;
use std::process::Command;

const NAME: &str = "/var/qmail/bin/qmail-remote";
const SHIPPED: &str = "/usr/libexec/qmail-remote-auth/qmail-remote";
const DIVERSIONS: &str = "/var/lib/dpkg/diversions";
/// For a user who cannot get at the directory of the tests.
const CHECK: &str = "/var/qmail-remote-check";

fn check(arguments: &[&str]) -> Command {
    let mut command = Command::new(CHECK);
    command.args(arguments).env_clear();
    command
}

fn inside_of_root(test: &str) -> bool {
    let etc = [("passwd", "root:x:0:0:::\nqmailr:x:7796:2108:::\n"), ("group", "root:x:0:\nqmail:x:2108:\n")];
    is_root() && inside_with(test, &etc, "mount -t tmpfs none /var && mount -t tmpfs none /usr/libexec")
}

/// The package is installed, in a home whose relay is good.
fn start() -> Server {
    let server = Server::start(Rules { auth_required: false, ..Rules::offering(&["PIPELINING"]) });
    for file in [NAME, SHIPPED, DIVERSIONS, "/var/qmail/control/me", "/var/sbin/x"] {
        fs::create_dir_all(Path::new(file).parent().unwrap()).unwrap();
    }
    fs::write("/var/qmail/control/me", "client.example.net\n").unwrap();
    fs::write("/var/qmail/control/smtproutes", format!(":127.0.0.1:{}\n", server.port())).unwrap();
    fs::copy(crate::support::program(), SHIPPED).unwrap();
    fs::write(DIVERSIONS, format!("{NAME}\n{NAME}.stock\nqmail-remote-auth\n")).unwrap();
    executable::copy(&program(), Path::new(CHECK));
    server
}

fn put(content: impl AsRef<[u8]>) {
    let _ = fs::remove_file(NAME);
    fs::write(NAME, content).unwrap();
    set_mode(NAME, 0o755);
}

fn set_mode(file: &str, mode: u32) {
    fs::set_permissions(file, Permissions::from_mode(mode)).unwrap();
}

/// What each of the two ways to ask says of the program: as a warning or not, and what the last line of the check has behind OK. None:
/// not OK, since it is another.
fn says(case: &str, words: &str, is_word: &str, is_warning: bool, doubt: Option<&str>) {
    let Checked { stdout, status, .. } = run(check(&["--config"]));
    let mark = if is_warning { "warning: " } else { "" };
    assert_eq!(stdout.lines().nth(1), Some(&format!("{mark}program {NAME}: {words}")[..]), "{case}");
    assert_eq!(status, Some(i32::from(doubt.is_none())), "{case}: {stdout}");

    let checked = run(check(&["example.org"]));
    assert_eq!(checked.stdout.lines().nth(2), Some(&format!("program       {NAME}: {words}")[..]), "{case}");
    let json = run(check(&["--json", "example.org"]));
    assert_eq!([checked.status, json.status], [Some(i32::from(doubt.is_none())); 2], "{case}: {}", checked.stdout);
    let json = json.json();
    assert_eq!((&json["ok"], &json["verdict"]), (&doubt.is_some().into(), &checked.last_line().into()), "{case}");
    assert_eq!(
        json["steps"][2],
        serde_json::json!({"step": "program", "ms": 0, "path": NAME, "is": is_word}),
        "{case}"
    );
    let last = checked.last_line();
    match doubt {
        Some(doubt) => {
            assert!(last.starts_with("OK: ") && last.ends_with(&format!(" in clear{doubt}")), "{case}: {last}")
        }
        None => {
            let begin = format!("NOT OK: mail for example.org would go by {NAME}, which is another ");
            let fix = "; run dpkg-reconfigure qmail-remote-auth. By this package's program it would go out without a login through ";
            assert!(last.starts_with(&begin) && last.contains(fix), "{case}: {last}");
        }
    }
}

#[test]
fn the_program_under_the_name() {
    if !inside_of_root(here!()) {
        return;
    }
    let _server = start();
    says("none", "not there", "absent", false, Some(""));
    let ours = fs::read(SHIPPED).unwrap();
    put(&ours);
    says("ours", "this package's", "ours", false, Some(""));
    let another =
        "another program than this package's, as after qmail was rebuilt; run dpkg-reconfigure qmail-remote-auth";
    for (case, content) in [
        ("stock", &b"\x7fELF stock"[..]),
        ("empty", b""),
        ("a part of the mark", &b"qmail-remote-auth: this program is "[..]),
    ] {
        put(content);
        says(case, another, "another", true, None);
    }
    let older = [b"\x7fELF qmail-remote-auth: this program is ", SHIPPED.as_bytes()].concat();
    put(older);
    let words = "this package's, but not the version that is installed; run dpkg-reconfigure qmail-remote-auth";
    says("an older version", words, "other_version", true, None);
    // The name may be a link, as in Debian's qmail.
    fs::rename(NAME, "/var/sbin/qmail-remote").unwrap();
    symlink("/var/sbin/qmail-remote", NAME).unwrap();
    fs::write("/var/sbin/qmail-remote", &ours).unwrap();
    says("a link to ours", "this package's", "ours", false, Some(""));
    fs::write("/var/sbin/qmail-remote", "stock").unwrap();
    says("a link to another", another, "another", true, None);
    // What would be waited for, or has no end.
    for target in ["/proc/kmsg", "/dev/zero", "/var"] {
        fs::remove_file(NAME).unwrap();
        symlink(target, NAME).unwrap();
        says(target, another, "another", true, None);
    }
    fs::remove_file(NAME).unwrap();
    assert!(Command::new("mkfifo").arg(NAME).status().unwrap().success());
    says("a FIFO", another, "another", true, None);
}

/// These stay when the package is installed, so mail may go out by its program all the same.
#[test]
fn what_the_installation_leaves() {
    if !inside_of_root(here!()) {
        return;
    }
    let _server = start();
    let wrapper = "a wrapper of this package's program";
    set_mode(SHIPPED, 0o755);
    for content in [
        format!("#!/bin/sh\ndkim-sign | exec {SHIPPED} \"$@\"\n"),
        format!("\x7fELF \0{SHIPPED}\0"),
        "#!/bin/sh\nREMOTE='/var/sbin/qmail-remote.auth'\n$REMOTE \"$@\"\n".to_owned(),
    ] {
        fs::copy(SHIPPED, "/var/sbin/qmail-remote.auth").unwrap();
        put(&content);
        says(&content, wrapper, "wrapper", false, Some(""));
    }
    let doubt = Some(", if /var/qmail/bin/qmail-remote or QMAILREMOTE leads to this package's program");
    let script = format!("a script, which stays there; it must run {SHIPPED}");
    let older = [b"\x7fELF qmail-remote-auth: this program is ", SHIPPED.as_bytes()].concat();
    for content in [
        "#!/bin/sh\nexec qmail-remote.orig \"$@\"\n",
        "#!/bin/sh\nexec /dev/zero/qmail-remote /proc/kmsg /var/sbin/qmail-remote.stock\n",
        "#!/bin/sh\n # formerly: exec /usr/libexec/qmail-remote-auth/qmail-remote\nexec /var/sbin/qmail-remote.stock\n",
        "#!/bin/sh\nexec /usr/libexec/qmail-remote-auth/qmail-remote.bak\n",
        "#!/bin/sh\nexec /var/sbin/qmail-remote.older\n",
    ] {
        fs::write("/var/sbin/qmail-remote.stock", "stock").unwrap();
        fs::write("/var/sbin/qmail-remote.older", &older).unwrap();
        put(content);
        says(content, &script, "script", true, doubt);
    }
    // Its path is gone, so it runs nothing.
    let elsewhere = [SHIPPED, ".away"].concat();
    fs::rename(SHIPPED, &elsewhere).unwrap();
    put(format!("#!/bin/sh\nexec {SHIPPED} \"$@\"\n"));
    says("a wrapper of nothing", &script, "script", true, doubt);
    fs::rename(&elsewhere, SHIPPED).unwrap();
    let another =
        "another program than this package's, as after qmail was rebuilt; run dpkg-reconfigure qmail-remote-auth";
    put(fs::read(CHECK).unwrap());
    says("the check", another, "another", true, None);
    put("stock");
    for (owner, who, name) in [
        (":", "the administrator", NAME),
        ("dkim", "package dkim", NAME),
        ("dkim", "package dkim", "/var/sbin/qmail-remote"),
    ] {
        if name != NAME {
            fs::rename(NAME, name).unwrap();
            symlink(name, NAME).unwrap();
        }
        fs::write(DIVERSIONS, format!("/bin/x\n/bin/y\nz\n{name}\n{name}.mine\n{owner}\n")).unwrap();
        let words = format!(
            "another program, which stays there since {who} diverted the name; it or QMAILREMOTE must lead to {SHIPPED}"
        );
        says(owner, &words, "diverted", true, doubt);
    }
    fs::remove_file(DIVERSIONS).unwrap();
    fs::remove_file(SHIPPED).unwrap();
    let words = "another program; this package is not installed";
    says("unpacked for a trial", words, "not_installed", false, Some(", once this package is installed"));
}

/// qmail-rspawn bounces mail then, whatever the program is.
#[test]
fn a_program_that_its_user_cannot_run() {
    if !inside_of_root(here!()) {
        return;
    }
    let _server = start();
    let script = format!("#!/bin/sh\nexec {SHIPPED} \"$@\"\n").into_bytes();
    set_mode(SHIPPED, 0o755);
    for (content, mode, directory, at) in [
        (fs::read(SHIPPED).unwrap(), 0o644, 0o755, NAME),
        (fs::read(SHIPPED).unwrap(), 0o700, 0o755, NAME),
        (fs::read(SHIPPED).unwrap(), 0o755, 0o700, "/var/qmail/bin"),
        (script.clone(), 0o644, 0o755, NAME),
        (script, 0o711, 0o755, NAME),
    ] {
        put(content);
        set_mode(NAME, mode);
        set_mode("/var/qmail/bin", directory);
        let config = run(check(&["--config"]));
        let words = format!("{NAME}: the user of qmail-remote cannot run it, so mail bounces; chmod 755 {at}");
        assert_eq!(config.stdout.lines().nth(1), Some(&format!("warning: program {words}")[..]), "{mode:o}");
        let checked = run(check(&["example.org"]));
        let begin = format!(
            "NOT OK: mail for example.org would bounce, as {NAME} cannot be run; chmod 755 {at}. By this package's program it would go out without a login through "
        );
        assert!(checked.last_line().starts_with(&begin), "{mode:o}: {checked:?}");
        assert_eq!([config.status, checked.status], [Some(1); 2]);
    }
}

/// Another user than root cannot read what qmail's installer makes, and a home of QMAILHOME may be there for a trial.
#[test]
fn no_certain_answer() {
    if !inside_of_root(here!()) {
        return;
    }
    let _server = start();
    put("stock");
    set_mode(NAME, 0o711); // as qmail's installer makes it
    let mut command = Command::new("setpriv");
    command.args(["--reuid", "7796", "--regid", "2108", "--clear-groups", CHECK, "example.org"]);
    let checked = run(command);
    assert!(
        checked.stdout.contains(&format!("\nprogram       {NAME}: cannot be read (Permission denied), ")),
        "{checked:?}"
    );
    let end = format!(" in clear, if {NAME}, which cannot be read, is this package's program");
    assert!(checked.status == Some(0) && checked.last_line().ends_with(&end), "{checked:?}");

    for arguments in [&["--config"][..], &["example.org"]] {
        let mut command = check(arguments);
        command.env("QMAILHOME", "/var/qmail");
        let checked = run(command);
        assert!(checked.stdout.contains(&format!("{NAME}: another program than this package's\n")), "{checked:?}");
        assert!(checked.status == Some(0) && !checked.stdout.contains("warning: program"), "{checked:?}");
        assert!(arguments[0] == "--config" || checked.last_line().ends_with(" in clear"), "{checked:?}");
    }
}

/// Or a copy of qmail-remote-check would count as one of qmail-remote.
#[test]
fn the_check_is_no_qmail_remote() {
    let mark = format!("qmail-remote-auth: this program is {SHIPPED}");
    for (program, has) in [(program(), false), (crate::support::program(), true)] {
        let content = fs::read(&program).unwrap();
        assert_eq!(memchr::memmem::find(&content, mark.as_bytes()).is_some(), has, "{}", program.display());
    }
}
