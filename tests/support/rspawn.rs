//! What qmail-rspawn makes of a run of qmail-remote. It is qmail-rspawn's contract, written down from its behaviour: a status
//! but 0 and 111 bounces the mail, and so does a program that cannot be run; the first report that begins with K, Z or D
//! decides, then the letter of the first recipient report.

use std::io::{Seek, SeekFrom, Write};
use std::path::Path;
use std::process::{Command, ExitStatus};

/// The message that is delivered.
pub const MESSAGE: &[u8] = b"From: me@home.example\nTo: friend@example.org\nSubject: through the relay\n\nHello.\n";
pub const SENDER: &str = "me@home.example";
pub const RECIPIENT: &str = "friend@example.org";

/// Delivers one mail with the program of this name in a chroot, as qmail-rspawn would: K, Z or D, and the report.
pub fn deliver(root: &Path, program: &str) -> (char, String) {
    let mut message = tempfile::tempfile().unwrap();
    message.write_all(MESSAGE).unwrap();
    message.seek(SeekFrom::Start(0)).unwrap();
    // chroot(8) ends as the program does, and with a status of its own, which is another failure, when there is none.
    let mut command = Command::new("sh");
    command.args(["-c", "exec chroot \"$@\" 2>&1", "sh"]).arg(root).args([program, "example.org", SENDER, RECIPIENT]);
    let output = command.stdin(message).env_clear().env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin").output().unwrap();
    (verdict(output.status, &output.stdout), String::from_utf8_lossy(&output.stdout).into_owned())
}

/// K: delivered. Z: to be tried again. D: bounced.
pub fn verdict(status: ExitStatus, report: &[u8]) -> char {
    match status.code() {
        None | Some(111) => return 'Z', // killed by a signal
        Some(0) => {}
        Some(_) => return 'D',
    }
    if report.is_empty() {
        return 'Z';
    }
    let Some(end) = report.iter().rposition(|c| *c == 0) else { return 'D' }; // what has no NUL at its end does not count
    let decides = |piece: &&[u8]| piece.first().is_some_and(|letter| b"KZD".contains(letter));
    let letter = report[..end].split(|c| *c == 0).find(decides).map_or('D', |piece| char::from(piece[0]));
    match report[0] {
        b's' => 'Z',
        b'h' => 'D',
        _ => letter,
    }
}
