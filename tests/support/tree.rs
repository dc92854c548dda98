//! tests/c/tree, a small qmail tree, changed as docs/linking.md says, with that page's own lines, and built by its own make.

use super::text::{read, source};
use super::{c, executable};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

/// The changes of the page, as the sources number them.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Debug)]
pub enum Change {
    /// None: the tree as its AUTH patch left it.
    None,
    /// `auth_detect` in place of the comparison.
    Comparison,
    /// Also the parts.
    Parts,
    /// The whole login, in the tree with an AUTH patch.
    Login,
    /// The whole login, in a tree without.
    LoginAlone,
}

/// The page's blocks of C, in its order, as the files that the tree includes.
const BLOCKS: [&str; 8] = [
    "page-header.c",
    "page-comparison.c",
    "page-parts.c",
    "page-login-header.c",
    "page-login.c",
    "page-hello.c",
    "page-route.c",
    "page-nul.c",
];

/// How the tree is compiled, unless a test wants it otherwise.
pub const MODERN: &str = "gcc -std=gnu17";

/// New C, old C, and C++, where there is a compiler for it.
pub fn standards() -> Vec<&'static str> {
    let has_cpp = Command::new("g++").arg("--version").output().is_ok_and(|output| output.status.success());
    let all = [MODERN, "gcc -std=gnu89", "g++ -std=c++98"];
    all.into_iter().filter(|compiler| has_cpp || !compiler.starts_with("g++")).collect()
}

const STRICT: &str = "-Wall -Wextra -pedantic -Werror -D_DEFAULT_SOURCE";

/// What the page adds to the line that links, besides the object of change 3.
pub const LINKED: &str = "case.a `pkg-config --libs qmail-auth`";

/// A tree in a directory of its own.
pub struct Tree {
    directory: PathBuf,
}

impl Tree {
    /// Writes the tree with this change. `compiler` is the command and its options.
    pub fn new(name: &str, change: Change, compiler: &str) -> Tree {
        let tree = Tree { directory: Path::new(env!("CARGO_TARGET_TMPDIR")).join("tree").join(name) };
        _ = fs::remove_dir_all(&tree.directory);
        fs::create_dir_all(tree.directory.join("bin")).unwrap();
        for file in fs::read_dir(source("tests/c/tree")).unwrap().map(|file| file.unwrap().path()) {
            fs::copy(&file, tree.directory.join(file.file_name().unwrap())).unwrap();
        }
        let page = read("docs/linking.md");
        let blocks = blocks(&page, "c");
        assert_eq!(blocks.len(), BLOCKS.len());
        for (name, block) in BLOCKS.iter().zip(blocks) {
            tree.write(name, block);
        }
        if change != Change::None {
            tree.add("include", "qmail_auth.h");
            assert!(page.contains(LINKED));
            tree.replace("Makefile", "`cat socket.lib`", &format!("`cat socket.lib` {LINKED}"));
        }
        if change >= Change::Login {
            tree.add("contrib", "qmail_auth_login.c");
            tree.add("contrib", "qmail_auth_login.h");
            tree.replace("Makefile", "./load qmail-remote ", "./load qmail-remote qmail_auth_login.o ");
            tree.append("Makefile", blocks_of_make(&page));
            tree.append("TARGETS", "qmail_auth_login.o\n");
        }
        let language = if compiler.starts_with("g++") { "-x c++" } else { "" };
        tree.script("compile", &format!("exec {compiler} {STRICT} -DCHANGE={} {language} -c \"$@\"", change as u8));
        tree.script("load", &format!("main=$1; shift; exec {compiler} -o \"$main\" \"$main\".o \"$@\""));
        let library = c::archive();
        tree.script("bin/pkg-config", &format!("[ \"$*\" = '--libs qmail-auth' ] && echo '{}'", library.display()));
        tree
    }

    /// Takes words out of a file of the tree, or puts others there. They stand there once.
    pub fn replace(&self, file: &str, old: &str, new: &str) {
        let text = fs::read_to_string(self.directory.join(file)).unwrap();
        assert_eq!(text.matches(old).count(), 1, "{old} in {file}");
        self.write(file, &text.replace(old, new));
    }

    /// Makes the program. Its path is wanted as long as the tests run.
    pub fn program(&self) -> &'static Path {
        let output = self.make("it");
        assert!(output.status.success(), "{}: {}", self.directory.display(), String::from_utf8_lossy(&output.stderr));
        assert!(output.stderr.is_empty(), "{}", String::from_utf8_lossy(&output.stderr));
        Box::leak(self.directory.join("qmail-remote").into_boxed_path())
    }

    /// Runs make.
    pub fn make(&self, target: &str) -> Output {
        let path = format!("{}:{}", self.directory.join("bin").display(), std::env::var("PATH").unwrap());
        let mut make = Command::new("make");
        make.arg(target).current_dir(&self.directory).env("PATH", path).env("LC_ALL", "C");
        make.env_remove("MAKEFLAGS").env_remove("MFLAGS").output().unwrap()
    }

    /// The names of the files in it that end so.
    pub fn files(&self, end: &str) -> Vec<String> {
        let names = fs::read_dir(&self.directory).unwrap().map(|file| file.unwrap().file_name().into_string().unwrap());
        names.filter(|name| name.ends_with(end)).collect()
    }

    fn add(&self, directory: &str, name: &str) {
        fs::copy(source(directory).join(name), self.directory.join(name)).unwrap();
    }

    fn append(&self, file: &str, text: &str) {
        let old = fs::read_to_string(self.directory.join(file)).unwrap();
        self.write(file, &format!("{old}{text}"));
    }

    fn write(&self, file: &str, text: &str) {
        fs::write(self.directory.join(file), text).unwrap();
    }

    fn script(&self, file: &str, text: &str) {
        executable::write_script(&self.directory.join(file), text);
    }
}

/// What the page puts into the Makefile.
fn blocks_of_make(page: &str) -> &str {
    let [block] = blocks(page, "make")[..] else { panic!("one block of make") };
    block
}

fn blocks<'a>(page: &'a str, language: &str) -> Vec<&'a str> {
    let begin = format!("```{language}\n");
    page.split(&begin).skip(1).map(|rest| rest.split("```").next().unwrap()).collect()
}
