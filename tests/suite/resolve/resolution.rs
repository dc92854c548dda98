//! Where a mail without a route goes: MX answers, addresses, what is ours, in which order, and the words where there is nothing.

use crate::support::Home;
use crate::support::talk::{delivery, report, resolved, sent};
use qmail_remote::want::{Happened, NotFound, Want};
use std::collections::HashMap;
use std::io::ErrorKind;

/// What the resolver knows: the MX records of the domain, None for a failure; the addresses of each host, likewise.
struct Dns<'a> {
    mx: Option<&'a [(u16, &'a str)]>,
    hosts: &'a [(&'a str, Option<&'a [&'a str]>)],
}

/// An answer of the resolver with these MX records.
fn answer(records: &[(u16, &str)]) -> Vec<u8> {
    let name = |name: &str| {
        let labels = name.split('.').filter(|label| !label.is_empty());
        let mut octets: Vec<u8> = labels.flat_map(|label| [&[label.len() as u8], label.as_bytes()].concat()).collect();
        octets.push(0);
        octets
    };
    let mut answer = [&[0, 1, 0x81, 0x80, 0, 1, 0, records.len() as u8, 0, 0, 0, 0][..], &name("example.org")].concat();
    answer.extend_from_slice(&[0, 15, 0, 1]);
    for (preference, exchange) in records {
        let data = [&preference.to_be_bytes()[..], &name(exchange)].concat();
        answer.extend_from_slice(&[0xc0, 12, 0, 15, 0, 1, 0, 0, 0, 60, 0, data.len() as u8]);
        answer.extend_from_slice(&data);
    }
    answer
}

const OWN: [&str; 3] = ["192.0.2.100", "2001:db8::100", "127.0.0.1"];

/// Lets all connections fail. Answers the addresses tried and the report.
fn deliver(home: &Home, domain: &str, dns: &Dns, seed: u64) -> (Vec<String>, String) {
    let mut delivery = delivery(home, domain, &["b@example.org"]);
    let mut tried = Vec::new();
    for _ in 0..500 {
        match delivery.want(0) {
            Want::Mx(name) => {
                assert!(name.ends_with('.'), "{name}: the search list of the resolver is not for mail");
                match dns.mx {
                    None => delivery.happened(Happened::NotFound(NotFound::Unknown, "try again")),
                    Some([]) => delivery.happened(Happened::NotFound(NotFound::None, "no MX")),
                    Some(records) => delivery.happened(Happened::Mx(&answer(records), seed)),
                }
            }
            Want::Addresses(name) => {
                let known: HashMap<_, _> = dns.hosts.iter().copied().collect();
                match known.get(name) {
                    None => delivery.happened(Happened::NotFound(NotFound::None, "no such host")),
                    Some(None) => delivery.happened(Happened::NotFound(NotFound::Unknown, "try again")),
                    Some(Some(ips)) => resolved(&mut delivery, ips),
                }
            }
            Want::OwnAddresses => {
                OWN.iter().for_each(|ip| delivery.happened(Happened::OwnAddress(ip.parse().unwrap())));
                delivery.happened(Happened::OwnAddressesEnd);
            }
            Want::Tcpto(_) => assert!(delivery.tcpto(b"", 0).is_none()),
            Want::Connect(connect, _) => {
                assert_eq!(connect.port, 25);
                tried.push(connect.address.ip.to_string());
                delivery.happened(Happened::NotConnected(&ErrorKind::ConnectionRefused.into()));
            }
            Want::Done(report) => return (tried, String::from_utf8_lossy(report).into_owned()),
            other => panic!("{other:?}"),
        }
    }
    panic!("no end");
}

const NO_EXCHANGE: &str = "DSorry, I couldn't find a mail exchanger or IP address. (#5.4.4)\n\0";
const LOCAL: &str = "DSorry. Although I'm listed as a best-preference MX or A for that host,\n\
                     it isn't in my control/locals file, so I don't treat it as local. (#5.4.6)\n\0";
const NOT_NOW: &str = "ZSorry, I couldn't find any host by that name. (#4.1.2) ";
const NO_CONNECTION: &str =
    "ZSorry, I wasn't able to establish an SMTP connection. (#4.4.1) mail exchanger of example.org: ";

/// Each of several exchanges of one preference is the first as often as the others.
#[test]
fn equal_preferences_are_shuffled() {
    let home = Home::new();
    let records: Vec<(u16, String)> = (0..4).map(|i| (10, format!("mx{i}.example"))).collect();
    let records: Vec<(u16, &str)> = records.iter().map(|(preference, name)| (*preference, &name[..])).collect();
    let ips: Vec<[String; 1]> = (0..4).map(|i| [format!("192.0.2.{i}")]).collect();
    let ips: Vec<[&str; 1]> = ips.iter().map(|[ip]| [&ip[..]]).collect();
    let names: Vec<String> = (0..4).map(|i| format!("mx{i}.example.")).collect();
    let hosts: Vec<(&str, Option<&[&str]>)> =
        names.iter().zip(&ips).map(|(name, ip)| (&name[..], Some(&ip[..]))).collect();
    let mut orders: HashMap<Vec<String>, usize> = HashMap::new();
    for seed in 0..2400 {
        let (tried, _) = deliver(&home, "example.org", &Dns { mx: Some(&records), hosts: &hosts }, seed);
        *orders.entry(tried).or_default() += 1;
    }
    assert_eq!(orders.len(), 24, "{orders:?}");
    assert!(orders.values().all(|count| (50..200).contains(count)), "{orders:?}");
}

/// A domain may have a thousand exchanges with a thousand addresses each; a delivery has an end all the same. What is left out is
/// unknown: it may be what would have taken the mail.
#[test]
fn no_more_than_a_delivery_can_bear() {
    let home = Home::new();
    let records: Vec<(u16, &str)> = (0..200).map(|i| (i, "many.example")).collect();
    let ips: Vec<String> = (0..50).map(|i| format!("192.0.2.{i}")).collect();
    let ips: Vec<&str> = ips.iter().map(String::as_str).collect();
    let dns = Dns { mx: Some(&records), hosts: &[("many.example.", Some(&ips))] };
    let (tried, said) = deliver(&home, "example.org", &dns, 1);
    assert_eq!(tried.len(), 64);
    assert!(said.contains("192.0.2.13: connection refused, more than 64 addresses, and no more are tried\n"), "{said}");

    let mut delivery = delivery(&home, "example.org", &["b@example.org"]);
    delivery.happened(Happened::Mx(&answer(&records), 1));
    let mut lookups = 0;
    while matches!(delivery.want(0), Want::Addresses(_)) {
        delivery.happened(Happened::NotFound(NotFound::None, ""));
        lookups += 1;
    }
    assert_eq!(lookups, 100);
    let expected = format!("{NOT_NOW}many.example: not looked up behind 100 other mail exchangers\n\0");
    assert_eq!(report(&mut delivery), expected);
}

/// The best ones have no address, so it is the last that counts; unless this machine is better.
#[test]
fn many_exchangers() {
    let home = Home::new();
    let hosts: &[(&str, Option<&[&str]>)] =
        &[("two.example.", Some(&["192.0.2.2"])), ("own.example.", Some(&["192.0.2.100"]))];
    for (count, ours, last, tried, report) in [
        (99, None, "two.example", &["192.0.2.2"][..], NO_CONNECTION),
        (99, None, "none.example", &[], NO_EXCHANGE),
        (100, None, "two.example", &[], NOT_NOW),
        (100, Some(50), "two.example", &[], LOCAL),
    ] {
        let mut records: Vec<(u16, &str)> = (0..count).map(|i| (i, "none.example")).collect();
        if let Some(ours) = ours {
            records[ours].1 = "own.example";
        }
        records.push((count, last));
        let (found, said) = deliver(&home, "example.org", &Dns { mx: Some(&records), hosts }, 1);
        assert_eq!(found, tried, "{count} {ours:?} {last}");
        assert!(said.starts_with(report), "{count} {ours:?} {last}: {said}");
    }
}

/// All that are tried say no, and it bounces; but not where there is one that was not.
#[test]
fn all_say_no() {
    let home = Home::new();
    for (count, letter) in [(64, "D"), (65, "Z")] {
        let mut delivery = delivery(&home, "example.org", &["\u{fc}@example.org"]);
        delivery.happened(Happened::Mx(&answer(&[(10, "one.example")]), 1));
        let ips: Vec<String> = (1..=count).map(|last| format!("192.0.2.{last}")).collect();
        resolved(&mut delivery, &ips.iter().map(String::as_str).collect::<Vec<_>>());
        delivery.happened(Happened::OwnAddressesEnd);
        assert!(delivery.tcpto(b"", 0).is_none());
        for _ in 0..64 {
            delivery.happened(Happened::Connected { now: 0, unix: 0 });
            for reply in ["220 hi\r\n", "250 no SMTPUTF8\r\n"] {
                delivery.happened(Happened::Received(0, reply.as_bytes()));
                if let Want::Io(..) = delivery.want(0) {
                    sent(&mut delivery, 0);
                }
            }
            delivery.happened(Happened::Disconnected(0));
        }
        let said = report(&mut delivery);
        assert!(said.starts_with(letter), "{count}: {said}");
        assert_eq!(said.contains(", more than 64 addresses, and no more are tried"), count > 64, "{said}");
    }
}

/// Where mail would go round in a circle is not known then.
#[test]
fn the_addresses_of_this_machine_are_not_known() {
    let home = Home::new();
    let mut delivery = delivery(&home, "[192.0.2.5]", &["b@example.org"]);
    assert_eq!(delivery.want(0), Want::OwnAddresses);
    delivery.happened(Happened::OwnAddressesFailed(&ErrorKind::Unsupported.into()));
    let expected = "ZThe addresses of this machine cannot be found out: unsupported. (#4.3.5) Where a service manager \
                    restricts address families (systemd: RestrictAddressFamilies), allow AF_NETLINK.\n\0";
    assert_eq!(report(&mut delivery), expected);
}

/// With control/outgoingip, addresses of the other family are left out before it is counted how many there are.
#[test]
fn the_address_to_send_from() {
    let home = Home::new();
    let far: Vec<String> = (1..=64).map(|i| format!("2001:db8::{i}")).chain(["192.0.2.1".to_owned()]).collect();
    let far: Vec<&str> = far.iter().map(String::as_str).collect();
    let far = Dns { mx: Some(&[]), hosts: &[("example.org.", Some(&far))] };
    home.control("outgoingip", "192.0.2.100");
    let (tried, said) = deliver(&home, "example.org", &far, 1);
    assert_eq!(tried, ["192.0.2.1"]);
    assert!(
        said.ends_with(": connection refused, more of the other family, left out for control/outgoingip\n\0"),
        "{said}"
    );
}

/// TLS is asked for by the exchanger's name, and a report says whose exchanger it was.
#[test]
fn the_exchanger_is_named() {
    let home = Home::new();
    let connect = |name: &str| {
        let mut delivery = delivery(&home, "example.org", &["b@example.org"]);
        delivery.happened(Happened::Mx(&answer(&[(10, "one.example"), (20, name)]), 1));
        resolved(&mut delivery, &["192.0.2.1"]);
        resolved(&mut delivery, &["192.0.2.2"]);
        delivery.happened(Happened::OwnAddressesEnd);
        assert!(delivery.tcpto(b"", 0).is_none());
        delivery.happened(Happened::NotConnected(&ErrorKind::ConnectionRefused.into()));
        delivery.happened(Happened::Connected { now: 0, unix: 0 });
        delivery.happened(Happened::Received(0, b"220 hi\r\n"));
        sent(&mut delivery, 0);
        delivery
    };
    // The last cannot be asked for, as no certificate can be for it; the mail goes there all the same.
    for (name, shown) in
        [("two.example", "two.example"), ("Two.Example", "Two.Example"), ("two_3.example", "192.0.2.2")]
    {
        let mut delivery = connect(name);
        delivery.happened(Happened::Received(0, b"250-hi\r\n250 STARTTLS\r\n"));
        sent(&mut delivery, 0);
        delivery.happened(Happened::Received(0, b"220 go\r\n"));
        let hello = sent(&mut delivery, 0);
        let asked = hello.windows(shown.len()).any(|octets| octets.eq_ignore_ascii_case(shown.as_bytes()));
        assert_eq!(asked, !shown.starts_with('1'), "{name}");
        assert!(!hello.windows(11).any(|octets| octets == b"one.example"));
    }
}

/// A resolver for what needs none costs memory, and may be broken.
#[test]
fn relays_that_are_not_looked_up() {
    for (host, tried) in [("192.0.2.1", "192.0.2.1"), ("[2001:db8::1]", "2001:db8::1"), ("127.0.0.1", "127.0.0.1")] {
        let home = Home::with_route(&format!("{host};25"));
        let found = deliver(&home, "example.org", &Dns { mx: None, hosts: &[] }, 0);
        assert_eq!(found.0, [tried], "{host}: {}", found.1);
    }
    // And localhost, which is loopback whatever the resolver says (RFC 6761 section 6.3).
    for host in ["localhost", "LocalHost", "localhost."] {
        let home = Home::with_route(&format!("{host};25"));
        let dns = Dns { mx: None, hosts: &[(host, Some(&["192.0.2.1"]))] };
        assert_eq!(deliver(&home, "example.org", &dns, 0).0, ["127.0.0.1", "::1"], "{host}");
    }
    // What only the resolver takes for one is left to it, and names under localhost as well.
    for host in ["192.0.2.01", "0xc0000201", "relay.localhost"] {
        let home = Home::with_route(&format!("{host};25"));
        let dns = Dns { mx: None, hosts: &[(host, Some(&["192.0.2.1"]))] };
        assert_eq!(deliver(&home, "example.org", &dns, 0).0, ["192.0.2.1"], "{host}");
    }
}
