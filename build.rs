//! Compiles c-glue/ and links it into the programs alone: not into the library, its archive or the tests.

use std::path::Path;

fn main() {
    println!("cargo:rerun-if-changed=c-glue");
    // A twentieth of the program is the places that the dynamic linker has to touch; glibc 2.36 knows a form of a few octets each.
    println!("cargo:rustc-link-arg-bins=-Wl,-z,pack-relative-relocs");
    // The standard library's unwinder, which only a backtrace needs, is gcc's. Found here first it becomes a part of the program,
    // and libgcc_s is no library more to find, to map, and to miss one day: then qmail-rspawn would bounce the queue.
    println!("cargo:rustc-link-lib=static:-bundle=gcc_eh");
    let programs = ["qmail-remote", "qmail-remote-check"]; // each has its main in a file of its name
    let mut shared =
        vec!["loop.c", "report.c", "connect.c", "resolve.c", "tcpto.c", "time_limit.c", "clock.c", "core.c"];
    let features = std::env::var("CARGO_CFG_TARGET_FEATURE").unwrap_or_default();
    let linked_statically = features.split(',').any(|feature| feature == "crt-static"); // script/dist
    if linked_statically {
        shared.push("start.c");
        println!("cargo:rustc-link-arg-bins=-Wl,--wrap=_dl_early_allocate,--wrap=_exit");
        println!("cargo:rustc-link-arg-bins=-Wl,-T,c-glue/program.ld,--no-eh-frame-hdr");
    }
    let mut c = cc::Build::new();
    c.files(programs.map(|name| Path::new("c-glue").join(name).with_extension("c")));
    c.files(shared.iter().map(|name| Path::new("c-glue").join(name)));
    c.flag("@c-glue/flags"); // script/check and a test compile with them, too
    let objects = c.compile_intermediates(); // in the order of the files
    let (mains, shared) = objects.split_at(programs.len());
    for (program, main) in programs.iter().zip(mains) {
        for object in shared.iter().chain([main]) {
            println!("cargo:rustc-link-arg-bin={program}={}", object.display());
        }
    }
    if linked_statically {
        // The compiler names libc before these objects, which is too early for GNU ld to find in it what they need.
        println!("cargo:rustc-link-arg-bins=-Wl,-Bstatic,--start-group,-lc,-lgcc,-lgcc_eh,--end-group");
    }
}
