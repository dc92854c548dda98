//! The resolver: what it would wait for without end, and what it needs of the kernel.

use crate::support::names::Names;
use crate::support::namespace::{WITH_A_NAME_SERVER, inside_with};
use crate::support::server::{Rules, Server};
use crate::support::silent::SilentOverTcp;
use crate::support::{Home, c, check, program};
use std::fs;
use std::net::UdpSocket;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

const ROUTE: &str = "ip route add local 192.0.2.0/24 dev lo";

fn delivery(home: &Home, host: &str) -> Command {
    let mut command = Command::new(program());
    command.env_clear().env("QMAILHOME", home.path()).args([host, "sender@example.net", "one@example.org"]);
    command
}

/// The command, run by this one.
fn by(runner: &[&str], command: &Command) -> Command {
    let mut by = Command::new(runner[0]);
    by.env_clear().env("PATH", "/usr/bin:/bin").args(&runner[1..]).arg(command.get_program()).args(command.get_args());
    by.envs(command.get_envs().filter_map(|(name, value)| Some((name, value?))));
    by
}

/// glibc waits for it without end, and with it all deliveries that qmail may have at once. The signal is the timer's, so that no
/// test takes a minute; that the timer is set is seen in the last part.
#[test]
fn an_answer_over_tcp_that_does_not_come() {
    if !inside_with(here!(), &WITH_A_NAME_SERVER, ROUTE) {
        return;
    }
    let names = SilentOverTcp::start();
    let home = Home::new();
    let expected = |what: &str| {
        format!("ZSorry, I couldn't find any host by that name. (#4.1.2) {what}: no answer in 60 seconds\n\0")
    };
    let said = |command: Command| {
        let Output { status, stdout, stderr } = names.run(command);
        assert_eq!((status.code(), stderr.len()), (Some(0), 0), "{}", String::from_utf8_lossy(&stdout));
        String::from_utf8(stdout).unwrap()
    };
    let silent = delivery(&home, "silent.example");
    assert_eq!(said(by(&["env"], &silent)), expected("MX of silent.example"));
    for signals in [&["--block-signal"][..], &["--ignore-signal"], &["--block-signal", "--ignore-signal"]] {
        assert_eq!(said(by(&[&["env"], signals].concat(), &silent)), expected("MX of silent.example"), "{signals:?}");
    }
    for form in [None, Some("--json")] {
        let arguments: Vec<&str> = form.into_iter().chain(["silent.example"]).collect();
        let Output { status, stdout, .. } = names.run(check::command(&home, &arguments));
        let said = String::from_utf8(stdout).unwrap();
        assert_eq!(status.code(), Some(1), "{said}");
        let end = match form {
            Some(_) => serde_json::from_str::<serde_json::Value>(&said).unwrap()["verdict"].to_string(),
            None => said.lines().last().unwrap_or_default().to_owned(),
        };
        assert!(end.contains("MX of silent.example: no answer in 60 seconds"), "{said}");
    }
    home.control("smtproutes", "silent.example:silent.example\n");
    assert_eq!(said(silent), expected("Relay silent.example of control/smtproutes line 1"));

    // An exchanger that is known gets the mail, and nobody is asked for the others any more.
    let server = || Server::start_on(("192.0.2.7", 25), Rules { auth_required: false, ..Rules::default() });
    let first = server();
    names.asked.lock().unwrap().clear();
    assert!(said(delivery(&home, "some.example")).starts_with("r\0K192.0.2.7 accepted message.\n"));
    assert_eq!(first.finish().messages.len(), 1);
    let asked = names.asked.lock().unwrap().clone();
    assert!(asked.iter().any(|name| name == "silent.example"), "{asked:?}");
    assert!(!asked.iter().any(|name| name == "later.example"), "{asked:?}");

    // The minute is one for all lookups, and a timer of whoever started the program goes on behind each.
    let second = server();
    let trace = home.path().join("trace");
    let mut runner = vec!["strace", "-D", "-e", "trace=setitimer", "-o", trace.to_str().unwrap()];
    runner.extend(["perl", "-e", "alarm 5000; exec @ARGV"]);
    assert!(said(by(&runner, &delivery(&home, "some.example"))).starts_with("r\0K192.0.2.7 accepted message.\n"));
    second.finish();
    let calls = fs::read_to_string(trace).unwrap();
    let begin = "setitimer(ITIMER_REAL, {it_interval={tv_sec=0, tv_usec=100000}, it_value={tv_sec=";
    let calls: Vec<&str> = calls.lines().skip_while(|line| !line.starts_with(begin)).collect(); // perl may make one
    let calls: Vec<&str> = calls.into_iter().filter(|line| line.starts_with("setitimer(")).collect();
    assert_eq!(calls.len(), 2 * 3, "{calls:#?}");
    let mut left = (60, 0);
    for (number, pair) in calls.chunks(2).enumerate() {
        let set = pair[0].strip_prefix(begin).unwrap().split('}').next().unwrap();
        let (seconds, microseconds) = set.split_once(", tv_usec=").unwrap();
        let set: (u64, u64) = (seconds.parse().unwrap(), microseconds.parse().unwrap());
        assert!(if number == 0 { set == left } else { set < left }, "{calls:#?}");
        left = set;
        let end = "setitimer(ITIMER_REAL, {it_interval={tv_sec=0, tv_usec=0}, it_value={tv_sec=49";
        assert!(pair[1].starts_with(end), "{calls:#?}");
    }
}

/// Name servers that are silent over UDP: what is waited for then has its own end, and is not asked for again.
#[test]
fn an_answer_over_udp_that_does_not_come() {
    const FIVE_TIMES: (&str, &str) = ("resolv.conf", "nameserver 127.0.0.1\noptions timeout:1 attempts:5\n");
    let etc: Vec<_> =
        WITH_A_NAME_SERVER.into_iter().filter(|(name, _)| *name != FIVE_TIMES.0).chain([FIVE_TIMES]).collect();
    if !inside_with(here!(), &etc, ROUTE) {
        return;
    }
    let silent = UdpSocket::bind("127.0.0.1:53").unwrap();
    let home = Home::new();
    home.control("smtproutes", "by-a-route.example:silent.example\n");
    for host in ["silent.example", "by-a-route.example"] {
        let mut command = delivery(&home, host);
        command.stdin(fs::File::open("/dev/null").unwrap()).stdout(Stdio::piped());
        let child = command.spawn().unwrap();
        silent.set_nonblocking(false).unwrap();
        silent.recv(&mut [0; 512]).unwrap();
        let killed = Command::new("kill").args(["-ALRM", &child.id().to_string()]).status().unwrap();
        assert!(killed.success());
        let said = String::from_utf8(child.wait_with_output().unwrap().stdout).unwrap();
        assert!(said.starts_with('Z') && said.contains("no answer in 60 seconds"), "{said}");
        silent.set_nonblocking(true).unwrap();
        let behind = std::iter::from_fn(|| silent.recv(&mut [0; 512]).ok()).count();
        assert!(behind <= 3, "asked {behind} times more"); // for both families, and once again where the signal came early
    }
}

/// A signal that waited, blocked, when the program was started is not that of the minute.
#[test]
fn a_signal_that_was_waiting() {
    if !inside_with(here!(), &WITH_A_NAME_SERVER, ROUTE) {
        return;
    }
    let _names = Names::start();
    let home = Home::new();
    let server = Server::start_on(("192.0.2.7", 25), Rules { auth_required: false, ..Rules::default() });
    let waiting = "sigprocmask(SIG_BLOCK, POSIX::SigSet->new(SIGALRM)); kill ALRM => $$; exec @ARGV";
    let command = by(&["perl", "-MPOSIX", "-e", waiting], &delivery(&home, "one-mx.example"));
    let said = String::from_utf8(crate::support::run(command, b"\n").stdout).unwrap();
    assert!(said.starts_with("r\0K192.0.2.7 accepted message.\n"), "{said}");
    assert_eq!(server.finish().messages.len(), 1);
}

/// tests/c/no_netlink.c, compiled.
fn no_netlink(dir: &Path) -> PathBuf {
    let path = dir.join("no_netlink");
    c::alone("no_netlink.c", &[], &path);
    path
}

/// As services are run whose address families are restricted. How a mail would go round in a circle is not known then, so one
/// without a route waits, and says what to do; one with a route goes out.
#[test]
fn without_netlink() {
    if !inside_with(here!(), &WITH_A_NAME_SERVER, ROUTE) {
        return;
    }
    let _names = Names::start();
    let (home, dir) = (Home::new(), tempfile::tempdir().unwrap());
    let runner = no_netlink(dir.path());
    let runner = [runner.to_str().unwrap()];
    let server = Server::start_on(("192.0.2.7", 25), Rules { auth_required: false, ..Rules::default() });
    home.control("smtproutes", "example.org:a.example\n");
    let said = |command: Command| String::from_utf8(crate::support::run(command, b"\n").stdout).unwrap();
    let expected = "The addresses of this machine cannot be found out: Address family not supported by protocol. (#4.3.5) \
                    Where a service manager restricts address families (systemd: RestrictAddressFamilies), allow AF_NETLINK.";
    let direct = || delivery(&home, "one-mx.example");
    assert!(said(direct()).starts_with("r\0K192.0.2.7 accepted message.\n"));
    assert_eq!(said(by(&runner, &direct())), format!("Z{expected}\n\0"));
    assert!(said(by(&runner, &delivery(&home, "example.org"))).starts_with("r\0K192.0.2.7 accepted message.\n"));
    let checked = check::run(by(&runner, &check::command(&home, &["one-mx.example"])));
    assert_eq!(checked.status, Some(1));
    assert!(checked.last_line().ends_with(expected), "{}", checked.stdout);
    assert_eq!(server.finish().messages.len(), 2);
}
