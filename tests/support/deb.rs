//! The packages of this tree, made once by script/deb, and what tests make of them: other versions, faulty ones, and
//! packages of others.

use super::cargo::as_from_a_shell;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::OnceLock;

/// The top of this tree.
pub const TREE: &str = env!("CARGO_MANIFEST_DIR");

/// qmail-remote-auth and libqmail-auth-dev, as they are published.
pub struct Packages {
    pub program: PathBuf,
    pub dev: PathBuf,
}

/// Made once for all tests of a program.
pub fn packages() -> &'static Packages {
    static PACKAGES: OnceLock<Packages> = OnceLock::new();
    PACKAGES.get_or_init(|| {
        let tmp = Path::new(env!("CARGO_TARGET_TMPDIR"));
        let dir = tmp.join(concat!("deb-", env!("CARGO_CRATE_NAME")));
        let _ = fs::remove_dir_all(&dir); // of an earlier run
        build(Path::new(TREE), &dir, &[("CARGO_TARGET_DIR", tmp.parent().unwrap())])
    })
}

/// Runs the script/deb of a tree. Offline, for all crates are here, or the tests would not be.
pub fn build(tree: &Path, dir: &Path, env: &[(&str, &Path)]) -> Packages {
    let mut script = Command::new(tree.join("script/deb"));
    output(as_from_a_shell(&mut script).arg(dir).env("CARGO_NET_OFFLINE", "true").envs(env.iter().copied()));
    let find = |begin: &str| {
        let names = fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
        let found: Vec<String> = names.filter(|name| name.starts_with(begin)).collect();
        let [name] = found.as_slice() else { panic!("not one {begin}*: {found:?}") };
        dir.join(name)
    };
    Packages { program: find("qmail-remote-auth_"), dev: find("libqmail-auth-dev_") }
}

/// Another version of our package, with what `change` does to its unpacked tree.
pub fn version(version: &str, to: &Path, change: impl FnOnce(&Path)) {
    let dir = tempfile::tempdir().unwrap();
    let tree = dir.path().join("tree");
    output(Command::new("dpkg-deb").arg("--raw-extract").arg(&packages().program).arg(&tree));
    let control = tree.join("DEBIAN/control");
    let fields = fs::read_to_string(&control).unwrap();
    let is_other = |line: &&str| !line.starts_with("Version:");
    let others: Vec<&str> = fields.lines().filter(is_other).collect();
    fs::write(&control, format!("Version: {version}\n{}\n", others.join("\n"))).unwrap();
    change(&tree);
    pack(&tree, to);
}

/// A package of someone else: these files, by path and content, and no maintainer scripts but those.
pub fn package(name: &str, version: &str, to: &Path, files: &[(&str, &Path)], scripts: &[(&str, &str)]) {
    let dir = tempfile::tempdir().unwrap();
    let tree = dir.path().join("tree");
    fs::create_dir_all(tree.join("DEBIAN")).unwrap();
    let fields = format!(
        "Package: {name}\nVersion: {version}\nArchitecture: all\nMaintainer: nobody <nobody@example.org>\nDescription: {name}\n"
    );
    fs::write(tree.join("DEBIAN/control"), fields).unwrap();
    for (name, script) in scripts {
        write_script(&tree.join("DEBIAN").join(name), script);
    }
    for (path, content) in files {
        let path = tree.join(&path[1..]);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        output(Command::new("cp").args(["-PpT"]).arg(content).arg(path)); // a link stays one
    }
    pack(&tree, to);
}

/// A script that can be run, with its shebang.
pub fn write_script(path: &Path, text: &str) {
    fs::write(path, format!("#!/bin/sh\nset -e\n{text}\n")).unwrap();
    fs::set_permissions(path, fs::Permissions::from_mode(0o755)).unwrap();
}

fn pack(tree: &Path, to: &Path) {
    output(Command::new("dpkg-deb").args(["--root-owner-group", "-Znone", "--build"]).arg(tree).arg(to));
}

/// The stdout of a command that must succeed.
pub fn output(command: &mut Command) -> String {
    let Output { status, stdout, stderr } = command.output().unwrap_or_else(|e| panic!("{command:?}: {e}"));
    let stdout = String::from_utf8_lossy(&stdout).into_owned();
    assert!(status.success(), "{command:?}: {status}\n{stdout}{}", String::from_utf8_lossy(&stderr));
    stdout
}
