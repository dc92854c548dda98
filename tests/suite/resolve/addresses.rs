//! Addresses that do not answer, and more of them than there is room for.

use crate::support::namespace::{inside, inside_with};
use crate::support::{Home, program, run};
use std::process::Command;
use std::time::Duration;

/// A name may have more addresses than there is room for. Those beyond are not tried, and nothing is written where they would be. Of
/// those before, none costs a descriptor that is not given back.
#[test]
fn more_addresses_than_there_is_room_for() {
    let hosts: String = (1..=200).map(|last| format!("127.0.9.{last} many.example\n")).collect();
    let etc = [("hosts", &hosts[..]), ("nsswitch.conf", "hosts: files\n"), ("host.conf", "multi on\n")];
    if !inside_with(here!(), &etc, "true") {
        return;
    }
    let home = Home::with_route("many.example:1");
    // Fewer than addresses, and enough for what the tests may have inherited.
    let mut few_descriptors = Command::new("sh");
    few_descriptors
        .args(["-c", "ulimit -n 32 && exec \"$@\"", "sh"])
        .arg(program())
        .args(["example.org", "a@example.net"]);
    few_descriptors.arg("b@example.org").env("QMAILHOME", home.path());
    let verdict = run(few_descriptors, b"\n").verdict();
    assert!(verdict.contains("#4.4.1"), "{verdict}");
    assert_eq!(verdict.matches(": Connection refused").count(), 64, "{verdict}");
}

/// What is sent to 198.51.100.0/24 is never answered. The waiting is the feature: timeoutconnect for each address.
#[test]
fn an_address_that_does_not_answer() {
    if !inside(here!()) {
        return;
    }
    let home = Home::with_route("198.51.100.2:587 -myuser secretpass");
    home.control("timeoutconnect", "1\n");
    let delivered = home.deliver("a@example.net", &["b@example.org"], b"\n");
    assert!(delivered.verdict().contains("198.51.100.2: Connection timed out"), "{delivered:?}");
    assert!(delivered.elapsed >= Duration::from_secs(1));
}
