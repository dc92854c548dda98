//! Both C headers agree with the Rust sources, and are C that any compiler takes. `UPDATE=1 cargo test --test suite header::`
//! writes them.
//!
//! cbindgen makes them from src/ffi and auth/src/ffi. The head comments are in this file, the version is that of Cargo.toml, and
//! the AUTH_ bits come from the table of mechanisms, so that a new mechanism needs no edit here.

use crate::support::c;
use qmail_auth::mechanisms::{AUTH_OFFERED, MECHANISMS};
use std::path::Path;
use std::process::Command;
use std::{env, fs};

const HEAD: &str = "\
/* SMTP AUTH (RFC 4954) for C programs.

   Link with -lqmail_auth, as `pkg-config --libs qmail-auth` says. It is a static library and needs libc alone.

   auth_new and the functions after it are a complete login: which mechanism to try, what to send, when to stop. The functions
   before auth_new are its parts, for programs that decide this themselves. A result below 0 is never a success: it is an
   auth_error, or an auth_end of a complete login.

   No function keeps a pointer, calls back into the program, or uses a descriptor. All may be called from several threads, but one
   auth_client only from one thread at a time. If there is no memory, the process ends by abort(), and nothing is written:
   qmail-rspawn then defers the mail.

   TLS is the caller's task. No function here starts TLS, looks for STARTTLS in an EHLO reply, or knows whether the connection is
   encrypted. auth_begin trusts its flags, and the parts send a password in clear if they are told to. So the caller must see to
   this:
   - PLAIN and LOGIN show the password to the server and to anybody who can read the connection. Use them only over TLS with a
     certificate that was verified for the server's name, or on a connection that stays on this machine. SCRAM and CRAM-MD5 do not
     show the password, but an eavesdropper can try passwords against them.
   - If data follows the 220 to STARTTLS before the handshake, close the connection: the data may have been injected.
   - After the handshake send EHLO again, and give the new reply to auth_detect or auth_begin. Forget what the old reply offered
     (RFC 3207 section 4.2).
   - The -PLUS mechanisms and EXTERNAL are only reported as offered. Nothing here computes channel bindings or shows a client
     certificate.
   The program qmail-remote of this project does all of this itself.

   Made by cbindgen from parts.rs and client.rs in auth/src/ffi, and from auth/src/mechanisms.rs: do not edit. */";

fn check(path: &str, sources: &[&str], config: cbindgen::Config) {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let builder = sources.iter().fold(cbindgen::Builder::new(), |builder, source| builder.with_src(root.join(source)));
    let mut made = Vec::new();
    builder.with_config(config).generate().unwrap().write(&mut made);
    let made = c89(&String::from_utf8(made).unwrap());
    if env::var_os("UPDATE").is_some() {
        fs::write(root.join(path), &made).unwrap();
    }
    let committed = fs::read_to_string(root.join(path)).unwrap_or_default();
    assert!(committed == made, "{path} is stale; UPDATE=1 cargo test --test suite header:: writes it");
}

/// The header as C89: `//` comments become `/* */`, and the comma after the last enumerator goes. The sections `# Safety` go, too:
/// they are for Rust callers, and C programmers take for granted what they say.
fn c89(header: &str) -> String {
    let mut made = String::new();
    let mut lines = header.lines().peekable();
    while let Some(line) = lines.next() {
        if let Some(first) = comment(line) {
            let mut text = vec![first];
            text.extend(std::iter::from_fn(|| lines.next_if(|line| comment(line).is_some()).and_then(comment)));
            let safety = text.iter().position(|line| *line == "# Safety").unwrap_or(text.len());
            let text = text[..safety].join("\n").trim_end().to_owned();
            assert!(!text.contains("*/"), "{text}");
            let indent = &line[..line.len() - line.trim_start().len()];
            let text: Vec<String> =
                text.lines().map(|line| format!("{indent}   {line}").trim_end().to_owned()).collect();
            made += &format!("{indent}/* {} */\n", text.join("\n").trim_start());
            continue;
        }
        if line.starts_with('}') && made.ends_with(",\n") {
            made.replace_range(made.len() - 2.., "\n");
        }
        match line.split_once("// ") {
            Some((code, comment)) => made += &format!("{code}/* {comment} */\n"),
            None => made += &format!("{line}\n"),
        }
    }
    made
}

/// The text of a line that is only a comment. None: it is not.
fn comment(line: &str) -> Option<&str> {
    line.trim_start().strip_prefix("//").map(|text| text.strip_prefix(' ').unwrap_or(text))
}

fn config(path: &str) -> cbindgen::Config {
    cbindgen::Config::from_file(Path::new(env!("CARGO_MANIFEST_DIR")).join(path)).unwrap()
}

/// The part of the header that cbindgen does not make: the version and the bits.
fn constants() -> String {
    let version = env!("CARGO_PKG_VERSION");
    let mut text = format!(
        "/* The version of this header, as a string and as numbers. */\n#define QMAIL_AUTH_VERSION \"{version}\"\n"
    );
    for (name, number) in ["MAJOR", "MINOR", "PATCH"].into_iter().zip(version.split('.')) {
        text += &format!("#define QMAIL_AUTH_VERSION_{name} {number}\n");
    }
    text += "\n/* In the result of auth_detect: there was an AUTH line, even an empty one. */\n";
    text += &format!("#define AUTH_OFFERED {AUTH_OFFERED:#05x}\n\n");
    text += "/* In the result of auth_detect: the mechanisms, by their registered names. */\n";
    for mechanism in &MECHANISMS {
        text += &format!("#define AUTH_{} {:#05x}\n", mechanism.name.replace('-', "_"), mechanism.bit);
    }
    text.trim_end().to_owned()
}

#[test]
fn the_public_header() {
    let mut public = config("cbindgen.toml");
    public.header = Some(HEAD.to_owned());
    public.include_guard = Some("QMAIL_AUTH_H".to_owned());
    public.after_includes = Some(format!("\n{}", constants()));
    check("include/qmail_auth.h", &["auth/src/ffi/parts.rs", "auth/src/ffi/client.rs"], public);
}

#[test]
fn the_header_of_c_glue() {
    let mut private = config("cbindgen.toml");
    private.header = Some(
        "/* The delivery machine, for c-glue alone.\n   \
         Made by cbindgen from src/ffi/address.rs, delivery.rs, happened.rs, check.rs and oauth.rs: do not edit. */"
            .to_owned(),
    );
    private.include_guard = Some("QMAIL_AUTH_DELIVERY_H".to_owned());
    check(
        "c-glue/delivery.h",
        &["src/ffi/address.rs", "src/ffi/delivery.rs", "src/ffi/happened.rs", "src/ffi/check.rs", "src/ffi/oauth.rs"],
        private,
    );
}

/// The example of the header, in a program: with a server that accepts the login, and with one that closes the connection.
#[test]
fn the_example_of_the_header_logs_in() {
    let header = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("include/qmail_auth.h")).unwrap();
    let lines = header.lines().skip_while(|line| !line.contains("struct auth_client *auth = auth_new("));
    let example: Vec<&str> = lines.take_while(|line| !line.starts_with("struct auth_client;")).collect();
    let program = format!("{PROGRAM}    {}\n    auth_free(auth);\n}}\n", example.join("\n").replace("*/", "").trim());
    let dir = tempfile::tempdir().unwrap();
    let path = |name: &str| dir.path().join(name);
    fs::write(path("example.c"), program).unwrap();
    for standard in ["-std=c89", "-std=gnu89", "-std=c99", "-std=c11"] {
        c::compile(&[path("example.c").to_str().unwrap()], &[standard], &path("example"));
    }
    let run = |argument: &str| Command::new(path("example")).arg(argument).output().unwrap().stdout;
    assert_eq!(String::from_utf8_lossy(&run("accepts")), "AUTH PLAIN AHRpbQB0YW5zdGFhZnRhbnN0YWFm\r\n");
    let said = "AUTH PLAIN AHRpbQB0YW5zdGFhZnRhbnN0YWFm\r\nlogin failed: offered PLAIN; tried PLAIN (connection closed); \
                the relay refused each way to log in\n";
    assert_eq!(String::from_utf8_lossy(&run("closes")), said);
    let said = "login failed: offered PLAIN; tried nothing; the relay closed the connection before a login\n";
    assert_eq!(String::from_utf8_lossy(&run("is gone")), said);
}

const PROGRAM: &str = r#"#include <stdio.h>
#include <string.h>
#include "qmail_auth.h"

struct text {
    const char *s;
    size_t len;
};

static const struct text ehlo = {"250-host\n250 AUTH PLAIN\n", 24};
static struct text reply;
static const char *server;
static char line[512];

static int send_octets(const char *octets, size_t len)
{
    if (strcmp(server, "is gone") == 0)
        return -1;
    fwrite(octets, 1, len, stdout);
    return 0;
}

static int read_reply(struct text *text)
{
    text->s = "235 2.7.0 ok\n";
    text->len = strlen(text->s);
    return strcmp(server, "accepts") == 0 ? 0 : -1;
}

static void login(void);

int main(int argc, char **argv)
{
    if (argc < 2 || strcmp(auth_version(), QMAIL_AUTH_VERSION) != 0)
        return 1;
    server = argv[1];
    login();
    return 0;
}

static void login(void)
{
"#;
