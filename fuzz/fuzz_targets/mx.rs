//! The answer of a DNS server, whatever it holds: an error, or names that are in it and no longer than names can be.
#![no_main]

use qmail_auth::addresses::mx::exchanges;
use qmail_auth::addresses::search::{Need, Search};

libfuzzer_sys::fuzz_target!(|answer: &[u8]| {
    let read = exchanges(answer);
    if let Ok(exchanges) = &read {
        assert!(exchanges.len() <= answer.len() / 13, "a record has 13 octets at the least");
        assert!(exchanges.iter().all(|exchange| exchange.name.len() <= 253));
    }
    let Ok(mut search) = Search::for_domain(b"example.org") else { panic!() };
    if search.mx(answer, 1).is_ok() {
        let Need::Addresses(name) = search.need() else { panic!("{:?}", search.need()) };
        let legal = |c: u8| c.is_ascii_alphanumeric() || b"-_.".contains(&c);
        let is_absolute = name.ends_with('.') || name.parse::<std::net::Ipv4Addr>().is_ok();
        assert!(is_absolute && name.len() <= 254 && name.bytes().all(legal), "{name:?}");
    }
});
