//! Namespaces of the test's own, for what needs an address that is not loopback, a name, a port below 1024, or an /etc.

use std::env;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::process::Command;

/// Set inside.
pub const INSIDE: &str = "INSIDE_THE_NAMESPACE";

/// An address of this machine, inside, that is not loopback.
pub const RELAY: &str = "192.0.2.1";

/// A name with these addresses.
const HOSTS: &str =
    "192.0.2.1 relay.example relay.example. smtp.relay.example\n192.0.2.2 relay.example\n2001:db8::1 relay.example\n";

/// An /etc for the system's resolver, which asks a name server on loopback, and for that server, which looks up its user. A case
/// that waits for it waits a second.
pub const WITH_A_NAME_SERVER: [(&str, &str); 5] = [
    ("hosts", "127.0.0.1 localhost\n"),
    ("nsswitch.conf", "hosts: files dns\n"),
    ("resolv.conf", "nameserver 127.0.0.1\noptions timeout:1 attempts:1\n"),
    ("passwd", "root:x:0:0::/:/bin/sh\n"),
    ("group", "root:x:0:\n"),
];

/// The name by which a test program is told to run the test that this stands in: its modules and the function.
macro_rules! here {
    () => {{
        fn here() {}
        let path = std::any::type_name_of_val(&here);
        path.split_once("::").and_then(|(_, path)| path.strip_suffix("::here")).unwrap()
    }};
}

/// Runs the test of this name, which is `here!()`, again, in new namespaces where the loopback interface also has [`RELAY`] and
/// 2001:db8::1, what is sent to 198.51.100.0/24 is never answered, and /etc holds little more than [`HOSTS`]. True there. Inside
/// the test is root.
pub fn inside(test: &str) -> bool {
    inside_with(test, &[("hosts", HOSTS), ("nsswitch.conf", "hosts: files\n"), ("host.conf", "multi on\n")], "true")
}

/// The same with these files in /etc, after these commands of the shell.
pub fn inside_with(test: &str, files: &[(&str, &str)], commands: &str) -> bool {
    if env::var_os(INSIDE).is_some() {
        return true;
    }
    let etc = tempfile::tempdir().unwrap();
    for (name, content) in files {
        fs::write(etc.path().join(name), content).unwrap();
    }
    let script = format!(
        "mount --bind {} /etc && ip link set lo up && ip address add {RELAY}/32 dev lo && \
         ip address add 2001:db8::1/128 dev lo nodad && \
         ip link add name hole type veth peer name beyond && ip link set dev hole arp off && ip link set dev hole up && \
         ip link set dev beyond up && ip address add 198.51.100.1/24 dev hole && {commands} && exec \"$@\"",
        etc.path().display()
    );
    let mut unshare = Command::new("unshare");
    if fs::metadata("/proc/self").unwrap().uid() != 0 {
        unshare.arg("--map-root-user"); // root needs no such namespace, and in a chroot cannot have one
    }
    unshare.args(["--net", "--mount", "sh", "-c", &script, "sh"]).arg(env::current_exe().unwrap());
    unshare.args(["--exact", test, "--nocapture"]).env(INSIDE, "1");
    let output = unshare.output().unwrap();
    let said = [output.stdout, output.stderr].concat();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&said));
    assert!(String::from_utf8_lossy(&said).contains("1 passed"), "no test {test}");
    print!("{}", String::from_utf8_lossy(&said));
    false
}
