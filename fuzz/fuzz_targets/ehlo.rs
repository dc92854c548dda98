//! The offers that the program finds in an EHLO reply are those that a reader by lines and words finds: in wire form, without CR,
//! and cut. The first two octets of the input say where to cut.
#![no_main]

use qmail_auth::detect::{detect, offer};
use qmail_auth::mechanisms::{AUTH_OFFERED, MECHANISMS};
use qmail_auth::reply::{ReplyReader, keywords};
use qmail_remote::smtp::ehlo::Capabilities;
use support::Server;
use support::ehlo::{lines, mechanisms, offers};

libfuzzer_sys::fuzz_target!(|input: &[u8]| {
    let Some((cut, rest)) = input.split_first_chunk::<2>() else { return };
    let wire = Server::default().octets(rest);
    let without_cr: Vec<u8> = wire.iter().copied().filter(|c| *c != b'\r').collect();
    let cut = &without_cr[..usize::from(u16::from_be_bytes(*cut)).min(without_cr.len())];
    for form in [&wire, &without_cr[..], &without_cr[..without_cr.len().min(5000)], cut] {
        compare(form);
    }
    // If a cut can be recognised, it never turns a part of a name into another mechanism.
    let last = cut.rsplit(|c| *c == b'\n').next().unwrap_or_default();
    if last.get(3) == Some(&b'-') {
        let whole = offer(&without_cr).names;
        assert!(offer(cut).names.iter().all(|name| whole.contains(name)));
    }
    // The delivery's own reader.
    if let Some(Ok(reply)) = ReplyReader::default().read(&mut &wire[..]) {
        let found = Capabilities::read(&reply.text);
        assert_eq!(found.pipelining, offers(&reply.text, "PIPELINING"));
        assert_eq!(found.starttls, offers(&reply.text, "STARTTLS"));
        assert_eq!(found.size, offers(&reply.text, "SIZE"));
        assert_eq!(found.eight_bit_mime, offers(&reply.text, "8BITMIME"));
        assert_eq!(found.smtputf8, offers(&reply.text, "SMTPUTF8"));
        assert_eq!(found.auth.names, mechanisms(&reply.text));
    }
});

fn compare(reply: &[u8]) {
    let upper = |keyword: &[u8]| keyword.iter().map(|c| char::from(c.to_ascii_uppercase())).collect::<String>();
    let found: Vec<String> = keywords(reply).map(|(keyword, _)| upper(keyword)).collect();
    let expected: Vec<String> = lines(reply).iter().filter_map(|words| words.first().cloned()).collect();
    assert_eq!(found, expected);
    let (expected, found) = (mechanisms(reply), offer(reply));
    assert_eq!(found.names, expected);
    assert_eq!(found.offered, offers(reply, "AUTH"));
    let bits =
        MECHANISMS.iter().filter(|known| expected.iter().any(|offered| offered == known.name)).map(|known| known.bit);
    assert_eq!(detect(reply), bits.sum::<u32>() + if found.offered { AUTH_OFFERED } else { 0 });
}
