//! libqmail-auth-dev: what a program gets that links the library, and what it does not get: names, shared libraries, octets,
//! instructions.
//!
//! Needs what script/deb needs, and valgrind.

use crate::support::c;
use crate::support::deb::{TREE, output, packages};
use std::fs;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use tempfile::TempDir;

/// The package, unpacked: a place to compile programs in.
struct Library(TempDir);

impl Library {
    fn unpacked() -> Library {
        let dir = tempfile::tempdir().unwrap();
        output(Command::new("dpkg-deb").arg("--extract").arg(&packages().dev).arg(dir.path()));
        Library(dir)
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn file(&self, name: &str) -> PathBuf {
        let tuple = output(Command::new("dpkg-architecture").arg("-qDEB_HOST_MULTIARCH"));
        self.path("usr/lib").join(tuple.trim()).join(name)
    }

    fn archive(&self) -> PathBuf {
        self.file("libqmail_auth.a")
    }

    /// The shipped archive, and the one that it was made of, which is what `cargo build --release --lib` leaves.
    fn archives(&self) -> [String; 2] {
        let said = output(Command::new("rustc").arg("-vV"));
        let host = said.lines().find_map(|line| line.strip_prefix("host: ")).unwrap();
        let target = Path::new(env!("CARGO_TARGET_TMPDIR")).parent().unwrap();
        [self.archive(), target.join(host).join("release/libqmail_auth.a")]
            .map(|path| path.to_str().unwrap().to_owned())
    }

    /// Compiles main.c with these words behind it, and returns the program.
    fn program(&self, source: &str, words: &[&str]) -> PathBuf {
        fs::write(self.path("main.c"), source).unwrap();
        let mut cc = Command::new("cc");
        output(cc.args(["-std=c99", "-O2", "-Iusr/include", "main.c"]).args(words).current_dir(self.0.path()));
        self.path("a.out")
    }
}

/// A program that takes all of the header's parts, but runs them only with an argument.
const PARTS: &str = r#"
    #include <qmail_auth.h>
    int main(int argc, char **argv)
    {
        char out[64];
        if (argc == 1)
            return 0;
        return (int)(auth_detect(argv[1], 1) + auth_plain(argv[1], argv[1], out, 64) + auth_login(argv[1], out, 64)
            + auth_cram(argv[1], argv[1], argv[1], 1, out, 64));
    }
"#;
const EMPTY: &str = "int main(void) { return 0; }";

/// For any number of architectures at once, and found by pkg-config.
#[test]
fn the_library_is_multi_arch() {
    let field = |name: &str| output(Command::new("dpkg-deb").arg("--field").arg(&packages().dev).arg(name));
    assert_eq!(field("Multi-Arch"), "same\n");
    let fields = fs::read_to_string(Path::new(TREE).join("debian/qmail-auth.pc")).unwrap();
    assert!(fields.contains(concat!("\nVersion: ", env!("CARGO_PKG_VERSION"), "\n")), "{fields}");
    // The places in it are those of the package, wherever that is.
    let library = Library::unpacked();
    let mut pkg_config = Command::new("pkg-config");
    pkg_config.args(["--cflags", "--libs", "qmail-auth"]).env("PKG_CONFIG_PATH", library.file("pkgconfig"));
    let words = output(&mut pkg_config);
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("main.c"), PARTS).unwrap();
    output(Command::new("cc").arg("main.c").args(words.split_whitespace()).current_dir(dir.path()));
    output(&mut Command::new(dir.path().join("a.out")));
}

/// What another program could stumble over is not there: one object, whose names are those of the header, and which needs nothing but
/// a few functions of libc.
#[test]
fn names() {
    let library = Library::unpacked();
    assert_eq!(output(Command::new("ar").arg("t").arg(library.archive())), "auth.o\n");
    let names = |which: &str| {
        let mut nm = Command::new("nm");
        let listing = output(nm.args(["--extern-only", which, "--format=just-symbols"]).arg(library.archive()));
        let names: Vec<String> =
            listing.lines().filter(|line| !line.is_empty() && !line.ends_with(':')).map(str::to_owned).collect();
        names
    };
    let header = fs::read_to_string(Path::new(TREE).join("include/qmail_auth.h")).unwrap();
    let defined = names("--defined-only");
    for name in &defined {
        assert!(header.contains(&format!("{name}(")), "{name} can be seen, and is not in the header");
    }
    assert_eq!(defined.len(), 17, "{defined:?}");
    let functions =
        ["abort", "bcmp", "calloc", "free", "getrandom", "malloc", "memcmp", "memcpy", "memmove", "memset", "strlen"];
    let others: Vec<String> =
        names("--undefined-only").into_iter().filter(|name| !functions.contains(&&**name)).collect();
    // A compiler may need it for position-independent code.
    assert!(others.iter().all(|name| name == "_GLOBAL_OFFSET_TABLE_"), "{others:?}");
}

/// With no archive and no link line does a program need libgcc_s.
#[test]
fn libc_alone() {
    let library = Library::unpacked();
    let debug = c::archive().to_str().unwrap().to_owned();
    for archive in library.archives().into_iter().chain([debug]) {
        for options in [&[][..], &["-no-pie"], &["-static"], &["-shared-libgcc"], &["-Wl,--gc-sections"], &["-flto"]] {
            let program = library.program(PARTS, &[&[&*archive], options].concat());
            assert_eq!(Command::new(&program).arg("x").status().unwrap().signal(), None, "{archive} {options:?}");
            let dynamic = output(Command::new("readelf").arg("--dynamic").arg(&program));
            let needed: Vec<&str> = dynamic.lines().filter(|line| line.contains("(NEEDED)")).collect();
            assert!(needed.len() <= 1 && needed.iter().all(|line| line.ends_with("[libc.so.6]")), "{needed:?}");
        }
    }
}

/// Against an empty program: the octets of the stripped file, and what it costs to start.
#[test]
fn size_and_start() {
    let library = Library::unpacked();
    let archive = library.archive();
    let cost = |source: &str| {
        let program = library.program(source, &[archive.to_str().unwrap()]);
        output(Command::new("strip").arg(&program));
        let mut valgrind = Command::new("valgrind");
        let log = library.path("log");
        valgrind.args(["--tool=callgrind", "--callgrind-out-file=/dev/null"]);
        output(valgrind.arg(format!("--log-file={}", log.display())).arg(&program));
        let log = fs::read_to_string(log).unwrap();
        let count = log.lines().find_map(|line| line.split("Collected : ").nth(1)?.trim().parse::<u64>().ok());
        (program.metadata().unwrap().len(), count.unwrap_or_else(|| panic!("valgrind said {log}")))
    };
    let (empty, with_it) = (cost(EMPTY), cost(PARTS));
    let (octets, instructions) = (with_it.0 - empty.0, with_it.1 - empty.1);
    println!("the library adds {octets} octets, and {instructions} instructions before main");
    assert!(octets <= 60_000, "a program grows by {octets} octets");
    assert!(instructions <= 3_000, "a program starts with {instructions} more instructions");
}

/// core, alloc and perhaps std are in every library of Rust: neither may get the other's. And code that unwinds must get
/// the real unwinder.
#[test]
fn beside_another_library_of_rust() {
    const OTHER: &str = r#"
        struct Cleanup;
        impl Drop for Cleanup {
            fn drop(&mut self) {
                std::hint::black_box(self);
            }
        }
        #[unsafe(no_mangle)]
        pub extern "C" fn other() -> i32 {
            let panic = || {
                let _cleanup = Cleanup;
                panic!()
            };
            std::panic::catch_unwind(panic).map_or(0, |()| 1)
        }
    "#;
    const MAIN: &str = r#"
        #include <qmail_auth.h>
        int other(void);
        int main(void) { return auth_detect("250 AUTH PLAIN", 14) == (AUTH_OFFERED | AUTH_PLAIN) ? other() : 2; }
    "#;
    let library = Library::unpacked();
    fs::write(library.path("other.rs"), OTHER).unwrap();
    let mut rustc = Command::new("rustc");
    output(rustc.args(["--edition=2024", "--crate-type=staticlib", "other.rs"]).current_dir(library.0.path()));
    let [shipped, cargos] = library.archives();
    for libraries in [[&*shipped, "libother.a"], ["libother.a", &*shipped], [&*cargos, "libother.a"]] {
        for option in ["-pie", "-static", "-flto"] {
            let program = library.program(MAIN, &[&libraries[..], &[option]].concat());
            assert_eq!(output(&mut Command::new(program)), "", "{libraries:?} {option}");
        }
    }
}
