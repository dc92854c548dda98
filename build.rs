//! Compiles c-glue/ and links it into the programs only: not into the library, its archive or the tests.

use std::path::Path;

fn main() {
    println!("cargo:rerun-if-changed=c-glue");
    // Packed relative relocations (glibc 2.36) shrink the program by 5 %.
    println!("cargo:rustc-link-arg-bins=-Wl,-z,pack-relative-relocs");
    // Rust's standard library takes its unwinder, which only a backtrace needs, from libgcc_s. Linking it statically leaves one shared
    // library less that can be missing one day: then the program does not start, and qmail-rspawn bounces the queue.
    println!("cargo:rustc-link-lib=static:-bundle=gcc_eh");
    let programs = ["qmail-remote", "qmail-remote-check", "qmail-remote-oauth"]; // the main of each is in c-glue/NAME.c
    let of_oauth = ["tokens.c", "browser.c"];
    let mut shared = vec![
        "loop.c",
        "report.c",
        "connect.c",
        "resolve.c",
        "tcpto.c",
        "account.c",
        "run.c",
        "lock.c",
        "time_limit.c",
        "clock.c",
        "core.c",
        "descriptors.c",
        "become.c",
    ];
    let features = std::env::var("CARGO_CFG_TARGET_FEATURE").unwrap_or_default();
    let linked_statically = features.split(',').any(|feature| feature == "crt-static"); // script/dist
    if linked_statically {
        shared.push("start.c");
        println!("cargo:rustc-link-arg-bins=-Wl,--wrap=_dl_early_allocate,--wrap=_dl_non_dynamic_init,--wrap=_exit");
        println!("cargo:rustc-link-arg-bins=-Wl,-T,c-glue/program.ld,--no-eh-frame-hdr");
    }
    let mut c = cc::Build::new();
    c.files(programs.map(|name| Path::new("c-glue").join(name).with_extension("c")));
    c.files(of_oauth.iter().chain(&shared).map(|name| Path::new("c-glue").join(name)));
    c.flag("@c-glue/flags"); // script/check and a test use the same flags
    let objects = c.compile_intermediates(); // in the order in which the files were added
    let (mains, objects) = objects.split_at(programs.len());
    let (of_oauth, shared) = objects.split_at(of_oauth.len());
    for (program, main) in programs.iter().zip(mains) {
        let own = if *program == "qmail-remote-oauth" { of_oauth } else { &[] };
        for object in shared.iter().chain(own).chain([main]) {
            println!("cargo:rustc-link-arg-bin={program}={}", object.display());
        }
    }
    if linked_statically {
        // rustc names libc before these objects. GNU ld searches a library only for what objects before it need, so name it again.
        println!("cargo:rustc-link-arg-bins=-Wl,-Bstatic,--start-group,-lc,-lgcc,-lgcc_eh,--end-group");
    }
}
