//! Compiles c-glue/ and links it into the program alone: not into the library, its archive or the tests.

use std::path::Path;

fn main() {
    println!("cargo:rerun-if-changed=c-glue");
    let sources = ["qmail-remote.c", "loop.c", "connect.c", "resolve.c", "tcpto.c", "clock.c"];
    let optimised = std::env::var("OPT_LEVEL").is_ok_and(|level| level != "0");
    let mut c = cc::Build::new();
    c.files(sources.map(|name| Path::new("c-glue").join(name)));
    c.std("c99").define("_GNU_SOURCE", None).warnings(true).extra_warnings(true).warnings_into_errors(true);
    c.flag("-fstack-protector-strong").flag_if_supported("-fstack-clash-protection");
    c.flag_if_supported("-fcf-protection").flag("-Wshadow").flag("-Wstrict-prototypes");
    let fortified = std::env::vars().any(|(name, flags)| name.contains("CFLAGS") && flags.contains("_FORTIFY_SOURCE"));
    if optimised && !fortified {
        c.flag("-U_FORTIFY_SOURCE").flag("-D_FORTIFY_SOURCE=2"); // it needs the optimiser
    }
    for object in c.compile_intermediates() {
        println!("cargo:rustc-link-arg-bin=qmail-remote={}", object.display());
    }
}
