//! Any answer of a DNS server gives an error, or names that can be looked up, and then addresses from the best exchanger to the
//! worst.
#![no_main]

use qmail_remote::resolve::mx::exchanges;
use qmail_remote::resolve::resolution::Resolution;
use qmail_remote::want::{Address, Happened, NotFound, Want};
use std::net::Ipv4Addr;

libfuzzer_sys::fuzz_target!(|answer: &[u8]| {
    let read = exchanges(answer);
    if let Ok(exchanges) = &read {
        assert!(exchanges.len() <= answer.len() / 13, "a record has 13 octets at the least");
        assert!(exchanges.iter().all(|exchange| exchange.name.len() <= 253));
    }
    let Ok(mut search) = Resolution::for_domain(b"example.org") else { panic!() };
    if search.happened(Happened::Mx(answer, 1)).is_err() {
        return;
    }
    let mut lookups = 0u8;
    let mut preference = 0;
    loop {
        let ended = match search.want() {
            None => break,
            Some(Want::Addresses(name)) => {
                let legal = |c: u8| c.is_ascii_alphanumeric() || b"-_.".contains(&c);
                let is_absolute = name.ends_with('.') || name.parse::<Ipv4Addr>().is_ok();
                assert!(is_absolute && name.len() <= 254 && name.bytes().all(legal), "{name:?}");
                // The answer may name it more than once.
                let of_name = read.iter().flatten().filter(|exchange| {
                    exchange.name == name.as_bytes() || [&exchange.name[..], b"."].concat() == name.as_bytes()
                });
                let next = of_name.map(|exchange| exchange.preference).filter(|next| *next >= preference).min();
                let is_exchange = read.as_ref().is_ok_and(|exchanges| !exchanges.is_empty());
                match next {
                    Some(next) => preference = next,
                    None => assert!(!is_exchange && name == "example.org.", "{name:?} comes too late"),
                }
                lookups += 1; // overflows after 255 lookups
                match lookups % 4 {
                    0 => search.happened(Happened::NotFound(NotFound::None, "no address")),
                    1 => search.happened(Happened::NotFound(NotFound::Unknown, "nobody knows")),
                    _ => search.happened(Happened::Resolved(vec![Address {
                        ip: Ipv4Addr::new(192, 0, 2, lookups).into(),
                        scope: 0,
                    }])),
                }
            }
            Some(Want::OwnAddresses) => {
                search.happened(Happened::OwnAddress(Ipv4Addr::new(192, 0, 2, 7).into())).unwrap();
                search.happened(Happened::OwnAddressesEnd)
            }
            Some(want) => panic!("{want:?}"),
        };
        if ended.is_err() {
            return;
        }
    }
    // In the order of the lookups, and none of this machine.
    let ips: Vec<_> = search.candidates(None).0.into_iter().map(|candidate| candidate.address.ip).collect();
    assert!(!ips.is_empty() && ips.is_sorted());
    assert!(!ips.contains(&Ipv4Addr::new(192, 0, 2, 7).into()));
});
