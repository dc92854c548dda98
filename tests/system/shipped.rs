//! The programs of the package, which are linked statically: hardened as others are; no module is opened for a name, whatever
//! nsswitch.conf says; and what the system denies, also before main, where the shim of tests/suite/delivery/faults.rs is of no use.
//!
//! Needs what script/deb needs, and not root.

use crate::support::deb::{TREE, output, packages};
use crate::support::faults::{Bench, Kind, MESSAGE, wrong};
use crate::support::names::Names;
use crate::support::namespace::{INSIDE, WITH_A_NAME_SERVER, inside_with};
use crate::support::provider::{HOST, Provider, Reply, USER, put};
use crate::support::silent::SilentOverTcp;
use crate::support::{Home, program};
use std::collections::BTreeSet;
use std::env;
use std::ffi::OsStr;
use std::fs;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::OnceLock;

const PROGRAMS: [&str; 3] =
    ["usr/libexec/qmail-remote-auth/qmail-remote", "usr/bin/qmail-remote-check", "usr/bin/qmail-remote-oauth"];

/// The package, unpacked, and its programs in one directory, with the CAs of Debian.
fn shipped() -> &'static Path {
    static SHIPPED: OnceLock<PathBuf> = OnceLock::new();
    SHIPPED.get_or_init(|| {
        let dir = Path::new(env!("CARGO_TARGET_TMPDIR")).join("shipped");
        let _ = fs::remove_dir_all(&dir); // of an earlier run
        fs::create_dir(&dir).unwrap();
        output(Command::new("dpkg-deb").arg("--extract").arg(&packages().program).arg(dir.join("package")));
        fs::copy("/etc/ssl/certs/ca-certificates.crt", dir.join("cas.pem")).unwrap();
        for name in PROGRAMS {
            fs::rename(dir.join("package").join(name), dir.join(Path::new(name).file_name().unwrap())).unwrap();
        }
        dir
    })
}

/// As [`inside_with`] a name server, and there [`program`] is the one that is shipped.
fn inside(test: &str) -> bool {
    if env::var_os(INSIDE).is_some() {
        return true;
    }
    let commands = format!(
        "ip route add local 192.0.2.0/24 dev lo && ip -6 route add local 2001:db8::/64 dev lo && \
         for n in $(seq 100 160); do ip address add 203.0.113.$n/32 dev lo || exit; done && export PROGRAMS='{}'",
        shipped().display()
    );
    inside_with(test, &WITH_A_NAME_SERVER, &commands)
}

fn readelf(option: &str, program: &Path) -> String {
    output(Command::new("readelf").args(["--wide", option]).arg(program))
}

#[test]
fn static_and_hardened() {
    for name in ["qmail-remote", "qmail-remote-check", "qmail-remote-oauth"] {
        let program = shipped().join(name);
        let segments = readelf("--segments", &program);
        assert!(segments.contains("Elf file type is DYN") && !segments.contains("INTERP"), "{name}: {segments}");
        assert!(segments.contains("GNU_RELRO") && !segments.contains("RWE"), "{name}: {segments}");
        let stack = segments.lines().find(|line| line.contains("GNU_STACK")).unwrap();
        assert!(stack.contains(" RW "), "{name}: {stack}");
        let dynamic = readelf("--dynamic", &program);
        assert!(!dynamic.contains("NEEDED") && !dynamic.contains("TEXTREL"), "{name}: {dynamic}");
        let flags = dynamic.lines().find(|line| line.contains("FLAGS_1")).unwrap();
        assert!(dynamic.contains("BIND_NOW") && flags.contains("NOW") && flags.contains("PIE"), "{name}: {dynamic}");
    }
}

/// What c-glue/flags promises is in the objects. And what it does not name would add nothing to them: each bound is known when it
/// is compiled, so there is nothing for _FORTIFY_SOURCE to check in a run; no frame reaches over the page below the stack, so
/// nothing for -fstack-clash-protection to touch. (What -fcf-protection adds the linker takes away again, since neither ring's
/// assembler nor Rust's std has it.)
#[test]
fn flags_of_c() {
    let dir = tempfile::tempdir().unwrap();
    let object = dir.path().join("object");
    let symbols = |file: &Path, options: &[&str]| {
        let mut cc = Command::new("cc");
        cc.current_dir(TREE).args(["@c-glue/flags", "-O3", "-c", "-o"]).arg(&object).args(options).arg(file);
        output(&mut cc);
        output(Command::new("nm").arg(&object))
    };
    let files = fs::read_dir(Path::new(TREE).join("c-glue")).unwrap().map(|entry| entry.unwrap().path());
    let of_programs = |file: &PathBuf| file.extension().is_some_and(|e| e == "c");
    let mut protected = BTreeSet::new();
    for file in files.filter(of_programs) {
        let fortified = ["-Iinclude", "-D_FORTIFY_SOURCE=3", "-Werror=frame-larger-than=4095"];
        let checks = symbols(&file, &fortified).lines().filter(|symbol| symbol.ends_with("_chk")).count();
        assert_eq!(checks, 0, "{}: c-glue/flags is to have -O2 -D_FORTIFY_SOURCE=3 now", file.display());
        if symbols(&file, &["-Iinclude"]).contains("__stack_chk_fail") {
            protected.insert(file.file_name().unwrap().to_owned());
        }
    }
    for file in ["browser.c", "connect.c", "core.c", "loop.c", "resolve.c", "tcpto.c"] {
        assert!(protected.contains(file.as_ref() as &OsStr), "{file} has something on the stack, and no guard");
    }
}

/// Where the kernel has put a running one, and with what rights.
#[test]
fn at_another_address_each_time() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let home = Home::with_route(&format!("127.0.0.1:{}", listener.local_addr().unwrap().port()));
    let mut places = BTreeSet::new();
    for _ in 0..4 {
        let mut command = Command::new(shipped().join("qmail-remote"));
        command.env_clear().env("QMAILHOME", home.path()).args(["example.org", "a@example.net", "b@example.org"]);
        let mut child = command.stdin(Stdio::null()).stdout(Stdio::piped()).spawn().unwrap();
        let connection = listener.accept().unwrap(); // now it waits for a greeting
        let maps = fs::read_to_string(format!("/proc/{}/maps", child.id())).unwrap();
        drop(connection);
        child.wait().unwrap();
        let of_file: Vec<&str> = maps.lines().filter(|line| line.ends_with("/qmail-remote")).collect();
        places.insert(of_file[0].split('-').next().unwrap().to_owned());
        let rights = |line: &&str| line.split(' ').nth(1).unwrap().to_owned();
        let rights: Vec<String> = of_file.iter().map(rights).collect();
        // What was relocated cannot be written any more; what can be written cannot be run.
        assert!(rights.ends_with(&["r--p".into(), "rw-p".into()]), "{maps}");
        assert!(maps.lines().all(|line| !line.contains("wx")), "{maps}");
    }
    assert!(places.len() > 1, "always at {places:?}");
}

/// Each name, what resolv.conf says beside the server, and some of the addresses that it has.
const NAMES: [(&str, &str, &[&str]); 8] = [
    ("inhosts.example", "", &["192.0.2.50"]),
    ("two.example", "", &["192.0.2.7", "192.0.2.8"]),
    ("both.example", "options edns0 trust-ad", &["192.0.2.7", "2001:db8::7"]),
    ("six.example", "options use-vc", &["2001:db8::7"]), // over TCP
    ("many.example", "", &["203.0.113.101", "203.0.113.159"]), // an answer that is cut over UDP
    ("two", "search nothing.example example", &["192.0.2.8"]),
    ("a.example", "search example\noptions ndots:2", &["192.0.2.7"]),
    ("localhost", "search example", &["127.0.0.1", "::1"]), // without a line in /etc/hosts
];

const NSSWITCH: [Option<&str>; 6] = [
    Some("hosts: files dns"),
    Some("hosts: mymachines resolve [!UNAVAIL=return] files myhostname dns"),
    Some("hosts: ldap mdns4_minimal [NOTFOUND=return] nosuchmodule\nservices: ldap\nnetworks: nosuchmodule"),
    Some("hosts: files"),
    Some("hosts: [[ files"),
    None,
];

#[test]
fn no_module_is_opened() {
    if !inside(here!()) {
        return;
    }
    let _names = Names::start();
    let home = Home::new();
    let trace = home.path().join("trace");
    fs::write("/etc/hosts", "192.0.2.50 inhosts.example\n").unwrap();
    for nsswitch in NSSWITCH {
        let _ = fs::remove_file("/etc/nsswitch.conf");
        nsswitch.iter().for_each(|words| fs::write("/etc/nsswitch.conf", format!("{words}\n")).unwrap());
        for (name, options, addresses) in NAMES {
            fs::write("/etc/resolv.conf", format!("nameserver 127.0.0.1\noptions timeout:2 attempts:2\n{options}\n"))
                .unwrap();
            home.control("smtproutes", format!(":{name}:9\n")); // where nobody listens
            let ways: [(&str, &[&str]); 2] = [
                ("qmail-remote", &["example.org", "a@example.net", "b@example.org"]),
                ("qmail-remote-check", &["example.org"]),
            ];
            for (program, arguments) in ways {
                let mut strace = Command::new("strace");
                strace.arg("-o").arg(&trace).arg(self::program().with_file_name(program)).args(arguments);
                let output = strace.env("QMAILHOME", home.path()).stdin(Stdio::null()).output().unwrap();
                let said = String::from_utf8_lossy(&output.stdout);
                let case = format!("{nsswitch:?} {program} {name}");
                assert!(addresses.iter().all(|address| said.contains(address)), "{case}: {said}");
                let trace = fs::read_to_string(&trace).unwrap();
                assert!(trace.contains("/etc/hosts") || name == "localhost", "{case}: {trace}");
                for word in [".so", "gconv", "locale"] {
                    assert!(!trace.contains(word), "{case}: {word} in {trace}");
                }
            }
        }
    }
}

/// The libc that is linked in does as the other one, of which c-glue/time_limit.c knows how it waits.
#[test]
fn no_answer_is_waited_for_without_end() {
    if !inside(here!()) {
        return;
    }
    let (names, home) = (SilentOverTcp::start(), Home::new());
    for route in ["", "silent.example:silent.example\n"] {
        home.control("smtproutes", route);
        let mut command = Command::new(program());
        command.env_clear().env("QMAILHOME", home.path()).args(["silent.example", "a@example.net", "b@example.org"]);
        let output = names.run(command);
        let said = String::from_utf8_lossy(&output.stdout);
        assert_eq!(output.status.code(), Some(0), "{said}");
        assert!(said.starts_with('Z') && said.ends_with(": no answer in 60 seconds\n\0"), "{said}");
    }
}

/// The error that a call is denied with.
fn error(call: &str) -> &'static str {
    match call {
        "openat" | "socket" => "EMFILE",
        "connect" => "ENETUNREACH",
        "sendto" | "sendmmsg" => "ENOBUFS",
        "recvfrom" | "recvmsg" => "ECONNRESET",
        "read" | "close" | "fstat" | "newfstatat" => "EIO",
        "write" | "pwrite64" => "ENOSPC",
        _ => "ENOMEM",
    }
}

/// Each kind of system call that it makes, the first of them and then all; from the first on, so also those before main.
#[test]
fn a_kind_of_call_is_denied() {
    if !inside(here!()) {
        return;
    }
    let _names = Names::start();
    for kind in [Kind::Clear, Kind::Auth, Kind::Account, Kind::Tls, Kind::Mx] {
        let bench = Bench::new(kind);
        let traced = |bench: &Bench, inject: &[&str]| {
            let file = bench.home.path().join("trace");
            // Descriptor 2 is the report pipe, and libc says there why it cannot start.
            let mut strace = Command::new("sh");
            strace.env_clear().env("PATH", "/usr/bin:/bin").args(["-c", "exec strace \"$@\" 2>&1", "sh", "-o"]);
            strace.arg(&file).args(inject).arg("-E").arg(format!("QMAILHOME={}", bench.home.path().display()));
            strace.arg(program()).args(bench.command().get_args());
            let mut run = bench.run_by(strace, MESSAGE);
            let trace = fs::read_to_string(&file).unwrap();
            run.hit = u64::from(trace.contains("(INJECTED)"));
            (run, trace)
        };
        let (good, trace) = traced(&bench, &[]);
        assert_eq!(good.delivered.letters(), "rrK", "{kind:?}: {trace}");
        let calls: BTreeSet<&str> = trace.lines().filter_map(|line| Some(line.split_once('(')?.0)).collect();
        let bench = bench.impatient();
        let mut fates = [0; 3];
        // The kernel has no reason to deny these.
        for call in calls.iter().filter(|call| !["execve", "exit_group", "arch_prctl"].contains(call)) {
            for when in ["1", "1+"] {
                let (run, trace) = traced(&bench, &["-e", &format!("inject={call}:error={}:when={when}", error(call))]);
                let case = format!("{call} {when} {kind:?}");
                assert_eq!(wrong(&run), None, "{case}: {:?} {:?}\n{trace}", run.delivered, run.log.messages);
                assert_eq!(run.hit, 1, "{case} did not happen: {trace}");
                fates[run.fate()] += 1;
            }
        }
        println!("{} kinds of system calls {kind:?}: {fates:?} K, Z, died", calls.len());
        assert!(calls.len() > 20 && fates[1] > 5 && fates[2] > 0, "{kind:?}: {fates:?}");
    }
}

/// What README says that a delivery needs, and debian/maint/postinst: of which limit, and how much of it beyond a start.
fn needs() -> Vec<(&'static str, u64, u64)> {
    let table =
        include_str!("../../debian/maint/postinst").split("<<END\n").nth(1).unwrap().split("END").next().unwrap();
    let needs: Vec<_> = table
        .lines()
        .map(|line| {
            let words: Vec<&str> = line.split(' ').collect();
            (words[0], words[2].parse().unwrap(), words[1].parse().unwrap())
        })
        .collect();
    assert!(needs.iter().map(|need| need.0).eq(["as", "data", "stack", "nofile"]), "{needs:?}");
    needs
}

/// As documents have it: 3,300,000.
fn thousands(number: u64) -> String {
    match number / 1000 {
        0 => number.to_string(),
        before => format!("{},{:03}", thousands(before), number % 1000),
    }
}

/// The least of such a limit under which it starts, each time: the kernel gives the stack a random place in its first pages. 4 KiB more or
/// less do not count, but for descriptors.
fn least_to_start(limit: &str) -> u64 {
    let unit = if limit == "nofile" { 1 } else { 4096 };
    let starts = |count: &u64| {
        let mut prlimit = Command::new("prlimit");
        prlimit.arg(format!("--{limit}={}", count * unit)).arg(program());
        prlimit.env_clear().env("PATH", "/usr/bin:/bin").output().unwrap().status.success()
    };
    (0..2000).find(|count| (0..30).all(|_| starts(count))).unwrap() * unit
}

/// A large message, over TLS with all of Debian's CAs: it is delivered with what README says, and with what postinst tries it with.
#[test]
fn a_delivery_needs_no_more_than_is_said() {
    if !inside(here!()) {
        return;
    }
    let _names = Names::start();
    let message = [b"Subject: limits\n\n".to_vec(), b"A line of a large message.\n".repeat(40_000)].concat();
    let needs = needs();
    for document in ["README.md", "README.ja.md", "debian/qmail-remote-auth.8"] {
        let text = fs::read_to_string(Path::new(TREE).join(document)).unwrap();
        let said = |(_, needed, _): &(&str, u64, u64)| text.contains(&thousands(*needed));
        assert!(needs[..2].iter().all(said), "{document} has other numbers than {needs:?}");
    }
    let beyond = needs.iter().map(|&(limit, needed, beyond)| {
        let least = least_to_start(limit) + beyond;
        println!("{limit}: {least} is tried, {needed} is said");
        assert!(least <= needed, "{limit}: {least} is more than {needed}");
        (limit, least)
    });
    // The last is softlimit -m 3000000, as it stands around many a qmail: stock delivers then, and this does in clear.
    let limits: Vec<(bool, Vec<(&str, u64)>)> = vec![
        (true, beyond.collect()),
        (true, needs.iter().map(|&(limit, needed, _)| (limit, needed)).collect()),
        (false, ["as", "data", "stack", "memlock"].map(|limit| (limit, 3_000_000)).to_vec()),
    ];
    for kind in [Kind::Clear, Kind::Auth, Kind::Account, Kind::Tls, Kind::Mx] {
        let bench = Bench::new(kind);
        if kind == Kind::Tls {
            let ca = fs::read(bench.home.path().join("control/ca.pem")).unwrap();
            bench.home.control("ca.pem", [fs::read(program().with_file_name("cas.pem")).unwrap(), ca].concat());
        }
        for (_, limits) in limits.iter().filter(|(over_tls, _)| *over_tls || kind != Kind::Tls) {
            let mut prlimit = Command::new("prlimit");
            prlimit.env_clear().env("PATH", "/usr/bin:/bin").env("QMAILHOME", bench.home.path());
            prlimit.args(limits.iter().map(|(limit, count)| format!("--{limit}={count}"))).arg(program());
            prlimit.args(bench.command().get_args());
            let run = bench.run_by(prlimit, &message);
            assert_eq!(run.delivered.letters(), "rrK", "{kind:?} {limits:?}");
            assert_eq!(run.log.messages[0].content, message, "{kind:?} {limits:?}");
        }
    }
}

/// A delivery runs qmail-remote-oauth under its own limits: the longest tokens, of a provider over TLS with all of Debian's CAs.
#[test]
fn a_renewal_needs_no_more_than_is_said() {
    const NEEDED: u64 = 3_600_000;
    for document in ["README.md", "README.ja.md", "debian/qmail-remote-auth.8"] {
        assert!(fs::read_to_string(Path::new(TREE).join(document)).unwrap().contains(&thousands(NEEDED)), "{document}");
    }
    let provider = Provider::start(true);
    let home = provider.home();
    home.control("provider.pem", fs::read_to_string(shipped().join("cas.pem")).unwrap() + &provider.ca);
    let body = format!("{{\"access_token\":\"{}\",\"refresh_token\":\"{}\"}}", "t".repeat(8000), "r".repeat(8000));
    provider.hook(move |_| Reply::Json(200, body.clone()));
    put(&home, 4000, -1, Some(&"r".repeat(7999)));
    let mut prlimit = Command::new("prlimit");
    prlimit.env_clear().env("PATH", "/usr/bin:/bin").env("QMAILHOME", home.path()).arg(format!("--as={NEEDED}"));
    prlimit.args(needs().iter().skip(1).map(|(limit, needed, _)| format!("--{limit}={needed}")));
    let output = prlimit.arg(shipped().join("qmail-remote-oauth")).args(["token", HOST, USER]).output().unwrap();
    assert!(output.status.success() && output.stdout.starts_with(b"tttt"), "{output:?}");
}

/// A limit of memory under which it cannot start is no bounce, wherever libc or the kernel runs into it.
#[test]
fn too_little_memory_to_start() {
    for (limit, pages) in [("as", 1200), ("data", 300)] {
        let died = (0..pages).filter(|page| {
            let mut prlimit = Command::new("prlimit");
            prlimit.arg(format!("--{limit}={}", page * 4096)).arg(shipped().join("qmail-remote"));
            let output = prlimit.env_clear().env("PATH", "/usr/bin:/bin").output().unwrap();
            let code = output.status.code();
            assert!([None, Some(0)].contains(&code), "{limit} of {page} pages: {output:?}");
            code.is_none()
        });
        let died = died.count();
        println!("{limit} of 0 to {pages} pages: died {died} times");
        assert!(died > 50 && died < pages, "{limit}: {died}");
    }
}
