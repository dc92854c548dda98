//! How a program is run: with nothing of ours, under what qmail-rspawn leaves, and not beyond its time.

use super::{Relay, deliver, runs, unix, with_script};
use crate::support::talk::delivery;
use crate::support::{Home, run};
use qmail_remote::want::{Happened, Ran, Want};
use std::fs;
use std::io::ErrorKind;
use std::process::Command;

/// It notes what it was started with.
const NOTES: &str = "cp /proc/$$/environ environ; while IFS= read -r line; do echo \"$line\"; done </proc/$$/status >status; ls -l /proc/$$/fd >fds; tr '\\0' '\\n' </proc/$$/cmdline >words; \
    echo said on 2 >&2; cat >input";

#[test]
fn nothing_of_ours() {
    let relay = Relay::start(&["secret-1"]);
    let home = relay.home();
    let directory = home.path().join("notes");
    fs::create_dir(&directory).unwrap();
    with_script(&home, &format!("cd {} || exit; {NOTES}\necho secret-1", directory.display()));
    // SIGCHLD is blocked, SIGPIPE ignored, and there are descriptors that others forgot.
    let inner = home.command("a@example.net", &["b@example.org"]);
    let mut command = Command::new("env");
    command.args([
        "--block-signal=CHLD",
        "--ignore-signal=PIPE",
        "--ignore-signal=CHLD",
        "sh",
        "-c",
        "exec 7</dev/null 9</dev/null; exec \"$@\"",
        "sh",
    ]);
    command.arg(inner.get_program()).args(inner.get_args()).env_clear().env("SECRET", "secret-2");
    command.env("PATH", std::env::var("PATH").unwrap()).env("QMAILHOME", home.path());
    let delivered = run(command, b"Subject: token\n\n");
    assert_eq!(delivered.letters(), "rK", "{}", delivered.verdict());
    let note = |name: &str| fs::read_to_string(directory.join(name)).unwrap();
    let mut environment: Vec<String> =
        note("environ").split_terminator('\0').map(|setting| setting.split('=').next().unwrap().to_owned()).collect();
    environment.sort();
    assert_eq!(environment, ["HOME", "HOST", "PATH", "USER"]);
    assert!(note("environ").contains("HOST=127.0.0.1\0") && note("environ").contains("USER=me@example.com\0"));
    assert!(note("words").ends_with("/token-program\na\nb\n"), "{}", note("words"));
    assert!(note("input").is_empty());
    let status = note("status");
    // libc itself ignores its own two there, 32 and 33.
    for (line, ours) in [("SigBlk:\t", u64::MAX), ("SigIgn:\t", !0x1_8000_0000)] {
        let (_, rest) = status.split_once(line).unwrap();
        let signals = u64::from_str_radix(rest.lines().next().unwrap(), 16).unwrap();
        assert_eq!(signals & ours, 0, "{status}");
    }
    let fds = note("fds");
    // From 10 on they are sh's own: its script, and what it keeps meanwhile.
    let open: Vec<&str> = fds.lines().filter_map(|line| line.split(" -> ").next()?.rsplit(' ').next()).collect();
    assert!(open.len() > 3 && open.iter().all(|fd| !(3..10).contains(&fd.parse::<u32>().unwrap())), "{fds}");
}

/// A program that prints its token and stays on is waited for, and one that leaves another behind with its output, too, up to its
/// time; the token does not count before the end, which says whether it is good.
#[test]
fn it_ends_later_than_what_it_prints() {
    let relay = Relay::start(&["secret-1"]);
    let home = relay.home();
    let mark = home.path().join("mark");
    with_script(&home, &format!("echo secret-1; exec >&-; : >{}; exit 0", mark.display()));
    assert_eq!((deliver(&home).letters(), runs(&home)), ("rK".into(), 1));
    assert!(mark.exists());
}

/// The delivery alone: which program, until when, and what becomes of each end.
#[test]
fn the_program_of_the_package() {
    let home = Home::with_route("127.0.0.1:587");
    home.control("relays/127.0.0.1/user", "me@example.com\n");
    fs::create_dir_all(home.path().join("control/relays/127.0.0.1/oauth")).unwrap();
    let start = || delivery(&home, "example.org", &["b@example.org"]);
    let words =
        |list: Vec<std::ffi::CString>| list.into_iter().map(|word| word.into_string().unwrap()).collect::<Vec<_>>();
    let mut one = start();
    assert_eq!(one.want(5), Want::Run(60_005));
    let (program, environment) = one.program().unwrap();
    assert_eq!(words(program), ["/usr/bin/qmail-remote-oauth", "token", "127.0.0.1", "me@example.com"]);
    let path = home.path().display();
    assert_eq!(
        words(environment),
        [
            "HOST=127.0.0.1".to_owned(),
            "USER=me@example.com".into(),
            "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin".into(),
            format!("HOME={path}"),
            format!("QMAILHOME={path}")
        ]
    );
    let report = |ran: Ran| {
        let mut delivery = start();
        assert!(matches!(delivery.want(0), Want::Run(_)));
        delivery.happened(Happened::Ran(ran, unix() as u64));
        crate::support::talk::report(&mut delivery)
    };
    let exit = |code: i32| std::os::unix::process::ExitStatusExt::from_raw(code << 8);
    let begin =
        "ZNo token to log in with. (#4.7.8) Relay 127.0.0.1:587 (control/smtproutes line 1) as me@example.com: ";
    let consent = "; if that stays: qmail-remote-oauth consent 127.0.0.1 me@example.com";
    for (ran, says) in [
        (Ran::Silent, "/usr/bin/qmail-remote-oauth was not done within 60 seconds; it is tried again".to_owned()),
        (
            Ran::Not(&ErrorKind::NotFound.into()),
            format!("/usr/bin/qmail-remote-oauth cannot be run: entity not found{consent}"),
        ),
        (
            Ran::Done(exit(75), b"no token now: https://h/t: no connection: it is tried again\n"),
            format!("no token now: https://h/t: no connection: it is tried again{consent}"),
        ),
        (
            Ran::Done(
                exit(78),
                b"the token cannot be renewed: HTTP 400; consent anew: qmail-remote-oauth consent h u\n",
            ),
            "the token cannot be renewed: HTTP 400; consent anew: qmail-remote-oauth consent h u".to_owned(),
        ),
        (Ran::Done(exit(1), b""), format!("/usr/bin/qmail-remote-oauth failed with status 1{consent}")),
    ] {
        let report = report(ran);
        assert_eq!(report, format!("{begin}{says}.\n\0"));
    }
    let mut good = start();
    assert!(matches!(good.want(0), Want::Run(_)));
    let printed = format!("secret-1\n{}\n", unix() + 3600);
    good.happened(Happened::Ran(Ran::Done(exit(0), printed.as_bytes()), unix() as u64));
    assert!(matches!(good.want(0), Want::Tcpto(_)));
}
