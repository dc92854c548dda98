//! Builds within a test.

use std::env;
use std::process::Command;

/// Makes this command, which runs cargo, do so as from a shell. Of what cargo has told the test about itself, build scripts of
/// dependencies would take a part for a change of their own, and these would be compiled anew each time.
pub fn as_from_a_shell(command: &mut Command) -> &mut Command {
    for (name, _) in env::vars_os() {
        let told = ["CARGO_MANIFEST_", "CARGO_PKG_", "OUT_DIR"];
        if told.iter().any(|begin| name.to_string_lossy().starts_with(begin)) {
            command.env_remove(name);
        }
    }
    command
}
