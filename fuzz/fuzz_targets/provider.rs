//! Any body of a provider gives tokens that fit into a line, or one line of words without the secrets that it was sent; and so does any
//! address that a browser brings.
#![no_main]

use qmail_auth::secret::Secret;
use qmail_remote::account::token::is_token;
use qmail_remote::oauth::answer::{self, Granted};
use qmail_remote::oauth::hidden::Hidden;
use qmail_remote::oauth::http::Reply;
use qmail_remote::oauth::redirect::{AuthorizationRequest, Brought, target};

const REFRESH: &str = "0.AXkA-refresh_token.of-this";

fn assert_words(words: &str) {
    assert!(words.len() < 1000 && words.bytes().all(|c| matches!(c, b' '..=b'~')), "{words:?}");
    assert!(!words.contains(REFRESH), "{words}");
}

libfuzzer_sys::fuzz_target!(|octets: &[u8]| {
    let Some((first, body)) = octets.split_first() else { return };
    let code = [200, 400, 401, 302, 503][usize::from(*first) % 5];
    let mut hidden = Hidden::default();
    hidden.add(REFRESH.as_bytes());
    let reply = Reply { code, body: Secret::from(body) };
    match answer::tokens(&reply, &hidden) {
        Ok(Granted { access, life, refresh }) => {
            assert!(code == 200 && life > 60 && is_token(&access) && refresh.is_none_or(|token| is_token(&token)));
        }
        Err(refused) => {
            assert_words(&refused.why.to_string());
            assert!(refused.refresh.is_none_or(|token| code == 200 && is_token(&token)));
            assert!(refused.consent.is_none() || code != 200);
        }
    }
    match answer::device(&reply, &hidden) {
        Ok(device) => {
            assert!(is_token(&device.code) && device.interval > 0);
            [device.user_code, device.address].iter().for_each(|shown| {
                assert!(shown.len() <= 500 && shown.bytes().all(|c| matches!(c, b' '..=b'~')));
            });
        }
        Err(refused) => assert_words(&refused.why.to_string()),
    }
    let request = AuthorizationRequest { code_verifier: Secret::default(), state: Secret::from(&b"state"[..]) };
    for address in [Some(body), target(body).flatten()].into_iter().flatten() {
        match request.brought(address) {
            Brought::Code(code) => assert!(is_token(&code)),
            Brought::Refused(words) => assert!(words.len() < 1000 && words.bytes().all(|c| matches!(c, b' '..=b'~'))),
            Brought::Nothing => {}
        }
    }
});
