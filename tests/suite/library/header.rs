//! Both C headers are what the Rust sources say. `UPDATE=1 cargo test --test suite header::` writes them.

use std::path::Path;
use std::{env, fs};

fn check(path: &str, sources: &[&str], config: cbindgen::Config) {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let builder = sources.iter().fold(cbindgen::Builder::new(), |builder, source| builder.with_src(root.join(source)));
    let mut made = Vec::new();
    builder.with_config(config).generate().unwrap().write(&mut made);
    let made = strip_safety_sections(&String::from_utf8(made).unwrap());
    if env::var_os("UPDATE").is_some() {
        fs::write(root.join(path), &made).unwrap();
    }
    let committed = fs::read_to_string(root.join(path)).unwrap_or_default();
    assert!(committed == made, "{path} is stale; UPDATE=1 cargo test --test suite header:: writes it");
}

/// `# Safety` is for Rust callers, and says what a C programmer takes for granted.
fn strip_safety_sections(header: &str) -> String {
    let mut kept = String::new();
    let mut in_safety = false;
    for line in header.lines() {
        in_safety = (in_safety || line == "// # Safety") && line.starts_with("//");
        if !in_safety {
            kept += line;
            kept.push('\n');
        } else if kept.ends_with("\n//\n") {
            kept.truncate(kept.len() - "//\n".len());
        }
    }
    kept
}

fn config(path: &str) -> cbindgen::Config {
    cbindgen::Config::from_file(Path::new(env!("CARGO_MANIFEST_DIR")).join(path)).unwrap()
}

#[test]
fn the_public_header() {
    let mut public = config("cbindgen.toml");
    public.header = Some(
        "/* SMTP AUTH for C programs: link libqmail_auth.a. No function keeps a pointer, writes to a descriptor or calls\n   \
         back. All may be called from several threads at once. Out of memory ends the process by a signal.\n\n   \
         auth_new and the functions behind it are a whole login: which mechanism, what to send, when to stop. The ones\n   \
         before it are its parts, for programs that decide for themselves.\n\n   \
         TLS is the caller's. No function here begins it, reads STARTTLS in an EHLO reply, or knows whether there is any.\n   \
         auth_begin believes its flags; the parts refuse nothing because it would go out in clear. So, of the caller:\n   \
         - PLAIN and LOGIN show the password to whoever can read the connection, and to whoever is at its other end. They\n     \
           are for TLS whose certificate was verified for the server's name, or for a connection that stays on this\n     \
           machine. CRAM-MD5 does not show the password, but an eavesdropper can try passwords against it.\n   \
         - Octets received behind the 220 to STARTTLS, before the handshake, are to end the connection: anybody on the way\n     \
           can have put them there.\n   \
         - After the handshake, EHLO is to be sent again, and the new reply given to auth_detect or auth_begin; what the\n     \
           old one offered is to be forgotten (RFC 3207 section 4.2).\n   \
         - The -PLUS mechanisms and EXTERNAL are reported as offered; nothing here computes channel bindings, and the\n     \
           client certificate for EXTERNAL is the caller's to show.\n   \
         The program qmail-remote of the same source does all of this by itself.\n\n   \
         Made by cbindgen from auth/src/bits.rs, parts.rs and machine.rs of auth/src/ffi: do not edit. */"
            .to_owned(),
    );
    public.include_guard = Some("QMAIL_AUTH_H".to_owned());
    check("include/qmail_auth.h", &["auth/src/bits.rs", "auth/src/ffi/parts.rs", "auth/src/ffi/machine.rs"], public);
}

#[test]
fn the_header_of_c_glue() {
    let mut private = config("cbindgen.toml");
    private.header = Some(
        "/* The delivery machine, for c-glue alone.\n   Made by cbindgen from src/ffi/address.rs, delivery.rs, happened.rs and check.rs: do not edit. */"
            .to_owned(),
    );
    private.include_guard = Some("QMAIL_AUTH_DELIVERY_H".to_owned());
    check(
        "c-glue/delivery.h",
        &["src/ffi/address.rs", "src/ffi/delivery.rs", "src/ffi/happened.rs", "src/ffi/check.rs"],
        private,
    );
}
