//! The functions of include/qmail_auth.h in any order, with any lengths: they write no more than they say, and no secret is in a
//! text for logs. The pieces of the input are the user, the rest of the password, and one piece for each call: its letter, the size
//! of the buffer, flags, and a text.
#![no_main]

use qmail_auth::ffi::client::{
    AUTH_FLAG_CLEAR_ALLOWED, AUTH_FLAG_TLS_VERIFIED, auth_begin, auth_client, auth_closed, auth_free, auth_mask,
    auth_new, auth_step, auth_why,
};
use qmail_auth::ffi::parts::{auth_cram, auth_detect, auth_login, auth_plain};
use std::ffi::{CStr, CString, c_char};
use std::ptr::{null, null_mut};
use support::pieces;
use support::secrets::{Secrets, base64};

const NULL: isize = -1;
const SPACE: isize = -2;
const CHALLENGE: isize = -3;

libfuzzer_sys::fuzz_target!(|input: &[u8]| {
    let mut pieces = pieces(input);
    let mut string = |first: &str| {
        let rest = pieces.next().unwrap_or_default().iter().filter(|c| !b"\0\n".contains(c));
        CString::new(first.bytes().chain(rest.copied()).collect::<Vec<u8>>()).unwrap()
    };
    // The password begins like no word of the program, but as a mechanism's name can.
    let (user, password) = (string(""), string("Q9X"));
    let secrets = Secrets::of(user.as_bytes(), password.as_bytes());
    let auth = unsafe { auth_new(user.as_ptr(), password.as_ptr()) };
    assert_eq!(auth.is_null(), user.is_empty());
    let sent = Secrets::default();
    let mut caller = Caller { user, password, secrets, sent, auth, permitted: false, tries: Some(0) };
    for piece in pieces {
        if let [call, size, flags, text @ ..] = piece {
            let size = usize::from(*size) + if flags & 4 != 0 { 256 } else { 0 };
            caller.call(*call, size, *flags, text);
        }
    }
    unsafe { auth_free(caller.auth) };
});

struct Caller {
    user: CString,
    password: CString,
    secrets: Secrets,
    /// The answers that logins have sent.
    sent: Secrets,
    auth: *mut auth_client,
    /// The last auth_begin had a flag that permits showing the password.
    permitted: bool,
    /// The number of AUTH commands. None if one of them was perhaps not sent.
    tries: Option<usize>,
}

impl Caller {
    fn call(&mut self, call: u8, size: usize, flags: u8, text: &[u8]) {
        let has = |bit: u8| flags & bit != 0;
        let auth = if has(16) { null_mut() } else { self.auth };
        let start = if has(2) { null() } else { text.as_ptr().cast() };
        let length = if has(32) { usize::MAX } else { text.len() };
        let is_null = has(2) || has(32);
        let (user, password) = (&self.user, if has(8) { null() } else { self.password.as_ptr() });
        match call {
            b'd' => {
                let found = unsafe { auth_detect(start, length) };
                assert!(found < 4096 && (!is_null || found == 0));
            }
            b'l' => {
                let (n, out) = with_buffer(size, has(1), |out| unsafe { auth_login(user.as_ptr(), out, size) });
                expect(n, &out, base64(user.as_bytes()), size, has(1));
            }
            b'p' => {
                let (n, out) =
                    with_buffer(size, has(1), |out| unsafe { auth_plain(user.as_ptr(), password, out, size) });
                let plain = [b"\0", user.as_bytes(), b"\0", self.password.as_bytes()].concat();
                expect(n, &out, base64(&plain), size, has(1) || has(8));
            }
            b'c' => {
                let (n, out) = with_buffer(size, has(1), |out| unsafe {
                    auth_cram(user.as_ptr(), password, start, length, out, size)
                });
                match n {
                    CHALLENGE => assert!(!is_null && !has(8)),
                    NULL => assert!(is_null || has(8) || has(1)),
                    SPACE => assert!(size < 4 * ((user.as_bytes().len() + 35) / 3)),
                    n => {
                        assert_eq!(n as usize, 4 * ((user.as_bytes().len() + 35) / 3));
                        let known = [user.as_bytes(), b" "].concat();
                        assert!(out.starts_with(&base64(&known)[..known.len() / 3 * 4]));
                    }
                }
            }
            b'b' => {
                let flags = u32::from(flags >> 6);
                let (n, out) =
                    with_buffer(size, has(1), |out| unsafe { auth_begin(auth, start, length, flags, out, size) });
                if !auth.is_null() {
                    self.permitted = flags & (AUTH_FLAG_TLS_VERIFIED | AUTH_FLAG_CLEAR_ALLOWED) != 0;
                }
                assert_ne!(n, 0, "a login without a word");
                self.step(auth, n, &out);
            }
            b's' => {
                let (n, out) = with_buffer(size, has(1), |out| unsafe { auth_step(auth, start, length, out, size) });
                assert!(n != 0 || text.starts_with(b"235"));
                self.step(auth, n, &out);
            }
            b'x' => {
                let line_sent = has(4);
                let n = unsafe { auth_closed(auth, line_sent.into()) };
                if !line_sent {
                    self.tries = None;
                }
                assert!(if auth.is_null() { n == NULL } else { (-13..=-11).contains(&n) }, "{n}");
                self.step(auth, n, &[]);
            }
            b'm' => {
                let mut masked = text.to_vec();
                unsafe { auth_mask(auth, if has(2) { null_mut() } else { masked.as_mut_ptr().cast() }, length) };
                let is_masked = !auth.is_null() && !is_null;
                assert!(masked.iter().zip(text).all(|(now, before)| now == before || is_masked && *now == b'*'));
                for secrets in [&self.secrets, &self.sent] {
                    assert!(!is_masked || !secrets.is_in_lines(&masked), "{}", masked.escape_ascii());
                }
            }
            b'w' => self.why(auth),
            b'n' => {
                unsafe { auth_free(self.auth) };
                self.auth = unsafe { auth_new(user.as_ptr(), password) };
                self.sent = Secrets::default();
                self.tries = Some(0);
            }
            _ => {}
        }
    }

    /// Checks a result of auth_begin, auth_step or auth_closed.
    fn step(&mut self, auth: *mut auth_client, n: isize, out: &[u8]) {
        assert!((-13..=-11).contains(&n) || [NULL, SPACE].contains(&n) || (0..=512).contains(&n), "{n}");
        if n < 0 {
            if n == SPACE || n == NULL {
                self.tries = None;
            }
            return self.why(auth);
        }
        if n == 0 {
            return;
        }
        let out = out.strip_suffix(b"\r\n").expect("a line");
        assert!(out.iter().all(|c| (b' '..=b'~').contains(c)), "{}", out.escape_ascii());
        assert!(self.permitted || !self.secrets.is_in(out), "{}", out.escape_ascii());
        if !out.starts_with(b"AUTH ") && !matches!(out, b"" | b"*") {
            self.sent.add(out);
        }
        if let Some(tries) = self.tries.as_mut().filter(|_| out.starts_with(b"AUTH ")) {
            *tries += 1;
            assert!(*tries <= 3);
        }
    }

    fn why(&self, auth: *const auth_client) {
        let why = unsafe { CStr::from_ptr(auth_why(auth)) }.to_bytes();
        assert!(!why.iter().any(u8::is_ascii_control) && !self.secrets.is_in(why), "{}", why.escape_ascii());
    }
}

/// Makes a call with a buffer of this size. Returns its result and what it wrote, and checks that it wrote nothing beyond that.
fn with_buffer(size: usize, is_null: bool, call: impl FnOnce(*mut c_char) -> isize) -> (isize, Vec<u8>) {
    const CANARY: u8 = 0xaa;
    let mut buffer = vec![CANARY; 16 + size + 16];
    let n = call(if is_null { null_mut() } else { buffer[16..].as_mut_ptr().cast() });
    let length = usize::try_from(n).unwrap_or(0);
    assert!(length <= size);
    let (out, others) = (&buffer[16..16 + length], [&buffer[..16], &buffer[16 + length..]].concat());
    assert!(others.iter().all(|octet| *octet == CANARY), "{n}");
    (n, out.to_vec())
}

fn expect(n: isize, out: &[u8], answer: Vec<u8>, size: usize, is_null: bool) {
    match n {
        NULL => assert!(is_null),
        SPACE => assert!(answer.len() > size),
        n => assert_eq!((n as usize, out), (answer.len(), &answer[..])),
    }
}
