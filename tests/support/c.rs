//! Compiling C against the library as its users do: cc, the header, the archive.

use super::cargo::as_from_a_shell;
use std::path::{Path, PathBuf};
use std::process::Command;

/// For [`compile`]: a mistake with memory, a leak too, or what C leaves undefined is another exit status than 0.
pub const SANITIZERS: [&str; 3] = ["-g", "-fsanitize=address,undefined", "-fno-sanitize-recover=all"];

/// The archive, built if need be, as whoever wants it builds it: at the top, with no package named. `cargo test` leaves none, so this
/// asks cargo again: its lock is free while tests run.
pub fn archive() -> PathBuf {
    let target = Path::new(env!("CARGO_TARGET_TMPDIR")).parent().unwrap();
    let mut cargo = Command::new(env!("CARGO"));
    cargo.args(["build", "--quiet", "--lib", "--offline", "--target-dir"]).arg(target);
    cargo.current_dir(env!("CARGO_MANIFEST_DIR"));
    let profile = if cfg!(debug_assertions) { "debug" } else { "release" };
    if profile == "release" {
        cargo.arg("--release");
    }
    assert!(as_from_a_shell(&mut cargo).status().unwrap().success());
    target.join(profile).join("libqmail_auth.a")
}

/// Compiles a file of tests/c into a program.
pub fn program(source: &str, output: &Path) {
    compile(&[Path::new("tests/c").join(source).to_str().unwrap()], &[], output);
}

/// Compiles files of the source tree, strictly and with these flags, into a program.
pub fn compile(sources: &[&str], flags: &[&str], output: &Path) {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut cc = Command::new("cc");
    cc.args(["-std=c99", "-Wall", "-Wextra", "-Werror", "-pedantic", "-I"]).arg(root.join("include"));
    cc.args(flags).arg("-o").arg(output).args(sources.iter().map(|source| root.join(source)));
    cc.arg(archive());
    assert!(cc.status().unwrap().success(), "{cc:?}");
}

/// Compiles a file of tests/c into what LD_PRELOAD can load.
pub fn preload(source: &str, output: &Path) {
    alone(source, &["-shared", "-fPIC"], output);
}

/// Compiles a file of tests/c that uses nothing of ours. By gcc's own name, since cc is a link into /etc, which a namespace has of
/// its own.
pub fn alone(source: &str, flags: &[&str], output: &Path) {
    let mut cc = Command::new("gcc");
    cc.args(["-std=c99", "-D_GNU_SOURCE", "-Wall", "-Wextra", "-Werror", "-O1"]).args(flags).arg("-o").arg(output);
    cc.arg(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/c").join(source)).arg("-ldl");
    assert!(cc.status().unwrap().success(), "{cc:?}");
}
