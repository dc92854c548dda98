//! Where a mail without a route goes: MX answers, addresses, what is ours, in which order, and the words where there is nothing.

use crate::support::Home;
use qmail_remote::control::home::Surroundings;
use qmail_remote::delivery::Delivery;
use qmail_remote::want::{Address, Happened, NotFound, Want};
use std::collections::HashMap;
use std::io::ErrorKind;
use std::net::IpAddr;

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
    let surroundings = Surroundings { qmailhome: Some(home.path()), ..Default::default() };
    let mut delivery = Delivery::new(&[domain.as_bytes(), b"a@example.net", b"b@example.org"], &surroundings);
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
                    Some(Some(ips)) => delivery.happened(Happened::Resolved(
                        ips.iter().map(|ip| Address { ip: ip.parse().unwrap(), scope: 0 }).collect(),
                    )),
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

const NO_HOST: &str = "DSorry, I couldn't find any host named example.org. (#5.1.2)\n\0";
const NO_EXCHANGE: &str = "DSorry, I couldn't find a mail exchanger or IP address. (#5.4.4)\n\0";
const LOCAL: &str = "DSorry. Although I'm listed as a best-preference MX or A for that host,\n\
                     it isn't in my control/locals file, so I don't treat it as local. (#5.4.6)\n\0";
const NOT_NOW: &str = "ZSorry, I couldn't find any host by that name. (#4.1.2) ";
const NO_CONNECTION: &str =
    "ZSorry, I wasn't able to establish an SMTP connection. (#4.4.1) mail exchanger of example.org: ";

#[test]
fn searches() {
    let one: (&str, Option<&[&str]>) = ("one.example.", Some(&["192.0.2.1", "2001:db8::1"]));
    let two: (&str, Option<&[&str]>) = ("two.example.", Some(&["192.0.2.2"]));
    let fails: (&str, Option<&[&str]>) = ("fails.example.", None);
    let own: (&str, Option<&[&str]>) = ("own.example.", Some(&["192.0.2.9", "192.0.2.100"]));
    let own6: (&str, Option<&[&str]>) = ("own6.example.", Some(&["2001:db8::100"]));
    let itself: (&str, Option<&[&str]>) = ("example.org.", Some(&["192.0.2.7"]));
    let mapped: (&str, Option<&[&str]>) = ("mapped.example.", Some(&["::ffff:192.0.2.100"]));
    let loopback: (&str, Option<&[&str]>) = ("loopback.example.", Some(&["127.0.0.53"]));
    let address: (&str, Option<&[&str]>) = ("192.0.2.77", Some(&["192.0.2.77"]));
    let hosts = [address, one, two, fails, own, own6, itself, mapped, loopback];
    let home = Home::new();
    type Case<'a> = (&'a str, Option<&'a [(u16, &'a str)]>, &'a [&'a str], &'a str);
    let cases: &[Case] = &[
        (
            "the lowest first",
            Some(&[(20, "two.example"), (10, "one.example")]),
            &["192.0.2.1", "2001:db8::1", "192.0.2.2"],
            NO_CONNECTION,
        ),
        ("no MX", Some(&[]), &["192.0.2.7"], NO_CONNECTION),
        ("nobody knows", None, &[], NOT_NOW),
        (
            "null MX",
            Some(&[(0, ".")]),
            &[],
            "DSorry, I couldn't find a mail exchanger or IP address. (#5.4.4) It says by a null MX ",
        ),
        ("null MX among others", Some(&[(0, "."), (10, "two.example")]), &["192.0.2.2"], NO_CONNECTION),
        ("hosts without addresses", Some(&[(10, "none.example"), (20, "no_ne.example")]), &[], NO_EXCHANGE),
        ("one without", Some(&[(10, "none.example"), (20, "two.example")]), &["192.0.2.2"], NO_CONNECTION),
        ("a host that nobody knows now", Some(&[(10, "fails.example"), (20, "none.example")]), &[], NOT_NOW),
        (
            "one nobody knows, one known",
            Some(&[(10, "fails.example"), (20, "two.example")]),
            &["192.0.2.2"],
            NO_CONNECTION,
        ),
        ("a name for no host", Some(&[(10, "a b.example"), (10, "a\\.b.example"), (20, "")]), &[], NO_EXCHANGE),
        ("ours is the best", Some(&[(10, "own.example"), (20, "two.example")]), &[], LOCAL),
        ("ours is as good", Some(&[(10, "own.example"), (10, "two.example")]), &[], LOCAL),
        (
            "ours is worse",
            Some(&[(5, "two.example"), (10, "own.example"), (20, "one.example")]),
            &["192.0.2.2"],
            NO_CONNECTION,
        ),
        ("ours by IPv6", Some(&[(5, "two.example"), (10, "own6.example")]), &["192.0.2.2"], NO_CONNECTION),
        ("ours in another form", Some(&[(10, "mapped.example"), (20, "two.example")]), &[], LOCAL),
        ("this machine by whatever name", Some(&[(10, "loopback.example")]), &[], LOCAL),
        (
            "ours is the best, a worse one that nobody knows now",
            Some(&[(5, "own.example"), (10, "fails.example")]),
            &[],
            LOCAL,
        ),
        (
            "ours is there twice",
            Some(&[(5, "two.example"), (10, "own.example"), (15, "one.example"), (20, "own6.example")]),
            &["192.0.2.2"],
            NO_CONNECTION,
        ),
        (
            "an address for a name",
            Some(&[(5, "192.0.2.77"), (10, "two.example")]),
            &["192.0.2.77", "192.0.2.2"],
            NO_CONNECTION,
        ),
        // The better one cannot be had now; that ours is the next is no reason to bounce.
        (
            "ours, and a better one that nobody knows now",
            Some(&[(5, "fails.example"), (10, "own.example")]),
            &[],
            NOT_NOW,
        ),
    ];
    for (case, mx, expected, report) in cases {
        let (tried, said) = deliver(&home, "example.org", &Dns { mx: *mx, hosts: &hosts }, 1);
        assert_eq!(&tried, expected, "{case}");
        assert!(said.starts_with(report), "{case}: {said}");
    }
    let none = Dns { mx: Some(&[]), hosts: &[] };
    assert_eq!(deliver(&home, "example.org", &none, 1).1, NO_HOST);
    // An alias of a name that has no MX exists, so stock says something else.
    let surroundings = Surroundings { qmailhome: Some(home.path()), ..Default::default() };
    let mut alias = Delivery::new(&[b"example.org", b"a@example.net", b"b@example.org"], &surroundings);
    alias.happened(Happened::Mx(&answer(&[]), 1));
    assert_eq!(alias.want(0), Want::Addresses("example.org."));
    alias.happened(Happened::NotFound(NotFound::None, "no address"));
    assert_eq!(alias.want(0), Want::Done(NO_EXCHANGE.as_bytes()));
    assert!(
        deliver(&home, "example.org", &Dns { mx: Some(&[]), hosts: &[("example.org.", None)] }, 1)
            .1
            .starts_with(NOT_NOW)
    );
    let (tried, said) = deliver(&home, "example.org.", &Dns { mx: Some(&[]), hosts: &hosts }, 1);
    assert_eq!(
        (&tried[..], said.contains("192.0.2.7: connection refused")),
        (&["192.0.2.7".to_owned()][..], true),
        "{said}"
    );
}

/// Literals need no lookup. What can be no host's name gets none, since it would mean something else to the resolver.
#[test]
fn hosts_that_are_not_looked_up() {
    let home = Home::new();
    let nobody = Dns { mx: None, hosts: &[] };
    for (host, expected) in [
        ("[192.0.2.5]", "192.0.2.5"),
        ("192.0.2.5", "192.0.2.5"),
        ("[IPv6:2001:db8::5]", "2001:db8::5"),
        ("[ipv6:2001:DB8:0::5]", "2001:db8::5"),
    ] {
        assert_eq!(deliver(&home, host, &nobody, 1).0, [expected], "{host}");
    }
    for host in [
        "[192.0.2.100]",
        "[IPv6:2001:db8::100]",
        "[127.0.0.1]",
        "[127.1.2.3]",
        "[0.0.0.0]",
        "[IPv6:::]",
        "[IPv6:::ffff:192.0.2.100]",
    ] {
        assert_eq!(deliver(&home, host, &nobody, 1), (vec![], LOCAL.to_owned()), "{host}");
    }
    let long = format!("{}.example", "a".repeat(64));
    let longer = "a.".repeat(127) + "ab";
    for host in [
        "",
        ".",
        "..",
        "a..b",
        ".a",
        "a\\.b",
        "a b",
        "[192.0.2.300]",
        "[2001:db8::5]",
        "[]",
        "[IPv6:x]",
        "a@b",
        &long,
        &longer,
    ] {
        let (tried, said) = deliver(&home, host, &nobody, 1);
        assert!(tried.is_empty(), "{host}");
        assert_eq!(said, format!("DSorry, I couldn't find any host named {host}. (#5.1.2)\n\0"));
    }
    let said = deliver(&home, "b\u{fc}cher.example", &nobody, 1).1;
    assert!(
        said.starts_with("DSorry, I couldn't find any host named b\u{fc}cher.example. (#5.1.2) A non-ASCII domain"),
        "{said}"
    );
    assert!(deliver(&home, "mail_host.example-1.org", &nobody, 1).1.starts_with(NOT_NOW));
}

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

    let surroundings = Surroundings { qmailhome: Some(home.path()), ..Default::default() };
    let mut delivery = Delivery::new(&[b"example.org", b"a@example.net", b"b@example.org"], &surroundings);
    delivery.happened(Happened::Mx(&answer(&records), 1));
    let mut lookups = 0;
    while matches!(delivery.want(0), Want::Addresses(_)) {
        delivery.happened(Happened::NotFound(NotFound::None, ""));
        lookups += 1;
    }
    assert_eq!(lookups, 100);
    let Want::Done(report) = delivery.want(0) else { panic!("{:?}", delivery.want(0)) };
    let expected = format!("{NOT_NOW}many.example: not looked up behind 100 other mail exchangers\n\0");
    assert_eq!(String::from_utf8_lossy(report), expected);
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
    let surroundings = Surroundings { qmailhome: Some(home.path()), ..Default::default() };
    for (count, letter) in [(64, "D"), (65, "Z")] {
        let recipient = "\u{fc}@example.org".as_bytes();
        let mut delivery = Delivery::new(&[b"example.org", b"a@example.net", recipient], &surroundings);
        delivery.happened(Happened::Mx(&answer(&[(10, "one.example")]), 1));
        delivery.happened(Happened::Resolved(
            (1..=count).map(|last| Address { ip: [192, 0, 2, last].into(), scope: 0 }).collect(),
        ));
        delivery.happened(Happened::OwnAddressesEnd);
        assert!(delivery.tcpto(b"", 0).is_none());
        for _ in 0..64 {
            delivery.happened(Happened::Connected { now: 0, unix: 0 });
            for reply in ["220 hi\r\n", "250 no SMTPUTF8\r\n"] {
                delivery.happened(Happened::Received(0, reply.as_bytes()));
                if let Want::Io(..) = delivery.want(0) {
                    sent(&mut delivery);
                }
            }
            delivery.happened(Happened::Disconnected(0));
        }
        let Want::Done(report) = delivery.want(0) else { panic!("{:?}", delivery.want(0)) };
        let said = String::from_utf8_lossy(report);
        assert!(said.starts_with(letter), "{count}: {said}");
        assert_eq!(said.contains(", more than 64 addresses, and no more are tried"), count > 64, "{said}");
    }
}

/// Where mail would go round in a circle is not known then.
#[test]
fn the_addresses_of_this_machine_are_not_known() {
    let home = Home::new();
    let surroundings = Surroundings { qmailhome: Some(home.path()), ..Default::default() };
    let mut delivery = Delivery::new(&[b"[192.0.2.5]", b"a@example.net", b"b@example.org"], &surroundings);
    assert_eq!(delivery.want(0), Want::OwnAddresses);
    delivery.happened(Happened::OwnAddressesFailed(&ErrorKind::Unsupported.into()));
    let Want::Done(report) = delivery.want(0) else { panic!("{:?}", delivery.want(0)) };
    let expected = "ZThe addresses of this machine cannot be found out: unsupported. (#4.3.5) Where a service manager \
                    restricts address families (systemd: RestrictAddressFamilies), allow AF_NETLINK.\n\0";
    assert_eq!(String::from_utf8_lossy(report), expected);
}

/// outgoingip: the source of each connection; addresses of the other family cannot be reached from it.
#[test]
fn the_address_to_send_from() {
    let home = Home::new();
    let hosts: &[(&str, Option<&[&str]>)] = &[("example.org.", Some(&["192.0.2.1", "2001:db8::1"]))];
    let dns = Dns { mx: Some(&[]), hosts };
    for (source, tried) in [("192.0.2.100", "192.0.2.1"), ("2001:db8::100\n", "2001:db8::1")] {
        home.control("outgoingip", source);
        assert_eq!(deliver(&home, "example.org", &dns, 1).0, [tried]);
    }
    // They are left out before it is counted how many there are.
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
    home.control("outgoingip", "2001:db8::100\n");
    let only4 = Dns { mx: Some(&[]), hosts: &[("example.org.", Some(&["192.0.2.1"]))] };
    let said = deliver(&home, "example.org", &only4, 1).1;
    assert!(
        said.starts_with("Zcontrol/outgoingip is 2001:db8::100, and no address can be reached from it. (#4.4.1)"),
        "{said}"
    );
    home.control("outgoingip", "eth0\n");
    let said = deliver(&home, "example.org", &only4, 1).1;
    assert_eq!(said, "ZUnable to read control files. (#4.3.0) control/outgoingip: no IP address in the first line\n\0");
    home.control("outgoingip", "\n");
    assert_eq!(deliver(&home, "example.org", &only4, 1).0, ["192.0.2.1"]);

    home.control("outgoingip", "192.0.2.100\n");
    let surroundings = Surroundings { qmailhome: Some(home.path()), ..Default::default() };
    let mut delivery = Delivery::new(&[b"[192.0.2.5]", b"", b"b@example.org"], &surroundings);
    delivery.happened(Happened::OwnAddressesEnd);
    assert!(delivery.tcpto(b"", 0).is_none());
    let Want::Connect(connect, _) = delivery.want(0) else { panic!() };
    assert_eq!(connect.source, Some(IpAddr::from([192, 0, 2, 100])));
    delivery.happened(Happened::NotBound(&ErrorKind::AddrNotAvailable.into()));
    let Want::Done(report) = delivery.want(0) else { panic!() };
    let expected = "Zcontrol/outgoingip: cannot send from 192.0.2.100: address not available. (#4.3.5)\n\0";
    assert_eq!(String::from_utf8_lossy(report), expected);
}

/// TLS is asked for by the exchanger's name, and a report says whose exchanger it was.
#[test]
fn the_exchanger_is_named() {
    let home = Home::new();
    let surroundings = Surroundings { qmailhome: Some(home.path()), ..Default::default() };
    let connect = |name: &str| {
        let mut delivery = Delivery::new(&[b"example.org", b"a@example.net", b"b@example.org"], &surroundings);
        delivery.happened(Happened::Mx(&answer(&[(10, "one.example"), (20, name)]), 1));
        delivery.happened(Happened::Resolved(vec![Address { ip: "192.0.2.1".parse().unwrap(), scope: 0 }]));
        delivery.happened(Happened::Resolved(vec![Address { ip: "192.0.2.2".parse().unwrap(), scope: 0 }]));
        delivery.happened(Happened::OwnAddressesEnd);
        assert!(delivery.tcpto(b"", 0).is_none());
        delivery.happened(Happened::NotConnected(&ErrorKind::ConnectionRefused.into()));
        delivery.happened(Happened::Connected { now: 0, unix: 0 });
        delivery.happened(Happened::Received(0, b"220 hi\r\n"));
        sent(&mut delivery);
        delivery
    };
    // The last cannot be asked for, as no certificate can be for it; the mail goes there all the same.
    for (name, shown) in
        [("two.example", "two.example"), ("Two.Example", "Two.Example"), ("two_3.example", "192.0.2.2")]
    {
        let mut delivery = connect(name);
        delivery.happened(Happened::Received(0, b"250-hi\r\n250 STARTTLS\r\n"));
        sent(&mut delivery);
        delivery.happened(Happened::Received(0, b"220 go\r\n"));
        let hello = sent(&mut delivery);
        let asked = hello.windows(shown.len()).any(|octets| octets.eq_ignore_ascii_case(shown.as_bytes()));
        assert_eq!(asked, !shown.starts_with('1'), "{name}");
        assert!(!hello.windows(11).any(|octets| octets == b"one.example"));
    }
    let mut delivery = connect("two.example");
    delivery.happened(Happened::Received(0, b"250 hi\r\n"));
    sent(&mut delivery);
    delivery.happened(Happened::Received(0, b"530 5.7.0 Authentication required\r\n"));
    delivery.happened(Happened::Disconnected(0));
    let Want::Done(report) = delivery.want(0) else { panic!("{:?}", delivery.want(0)) };
    let expected = "ZConnected to 192.0.2.2 but it demands a login, and no route leads to two.example (mail exchanger of \
                    example.org): name a relay in control/smtproutes. (#4.7.0)\n\
                    Remote host said: 530 5.7.0 Authentication required\n\0";
    assert_eq!(String::from_utf8_lossy(report), expected);
}

fn sent(delivery: &mut Delivery) -> Vec<u8> {
    let Want::Io(octets, _) = delivery.want(0) else { panic!("{:?}", delivery.want(0)) };
    let octets = octets.to_vec();
    delivery.happened(Happened::Sent(0, octets.len()));
    octets
}

/// Where one exchanger takes no non-ASCII addresses another may, so it is asked. D only when all have said no.
#[test]
fn the_next_exchanger_is_asked_for_smtputf8() {
    let home = Home::new();
    let surroundings = Surroundings { qmailhome: Some(home.path()), ..Default::default() };
    const NO: &[&str] = &["220 hi\r\n", "250-hi\r\n250 PIPELINING\r\n"];
    const YES: &[&str] = &["220 hi\r\n", "250-hi\r\n250 SMTPUTF8\r\n"];
    // What the exchangers say; the last is not known now, if there is no address for it. Nothing said: no connection.
    type Case<'a> = (&'a [&'a [&'a str]], bool, &'a str);
    let cases: &[Case] = &[
        (&[NO, YES], true, "MAIL FROM:<a@example.net> SMTPUTF8\r\n"),
        (&[NO, NO], true, "DConnected to 192.0.2.2 but it takes no non-ASCII addresses"),
        (&[NO, &[]], true, "ZSorry, I wasn't able to establish an SMTP connection. (#4.4.1)"),
        (&[&[], NO], true, "ZSorry, I wasn't able to establish an SMTP connection. (#4.4.1)"),
        (&[NO], false, "ZSorry, I wasn't able to establish an SMTP connection. (#4.4.1)"),
        (&[&["421 busy\r\n"], NO], true, "ZConnected to 192.0.2.1 but greeting failed."),
        (&[NO, &["421 busy\r\n"]], true, "ZConnected to 192.0.2.2 but greeting failed."),
    ];
    for (exchangers, all_known, expected) in cases {
        let mut delivery =
            Delivery::new(&[b"example.org", b"a@example.net", "\u{fc}@example.org".as_bytes()], &surroundings);
        delivery.happened(Happened::Mx(&answer(&[(10, "one.example"), (20, "two.example")]), 1));
        delivery.happened(Happened::Resolved(vec![Address { ip: "192.0.2.1".parse().unwrap(), scope: 0 }]));
        match all_known {
            true => delivery.happened(Happened::Resolved(vec![Address { ip: "192.0.2.2".parse().unwrap(), scope: 0 }])),
            false => delivery.happened(Happened::NotFound(NotFound::Unknown, "try again")),
        }
        delivery.happened(Happened::OwnAddressesEnd);
        assert!(delivery.tcpto(b"", 0).is_none());
        let mut mail = Vec::new();
        for said in *exchangers {
            if said.is_empty() {
                delivery.happened(Happened::NotConnected(&ErrorKind::ConnectionRefused.into()));
                continue;
            }
            delivery.happened(Happened::Connected { now: 0, unix: 0 });
            for reply in *said {
                delivery.happened(Happened::Received(0, reply.as_bytes()));
                if let Want::Io(..) = delivery.want(0) {
                    mail = sent(&mut delivery);
                }
            }
            if let Want::Close(_) = delivery.want(0) {
                delivery.happened(Happened::Disconnected(0));
            }
        }
        let outcome = match delivery.want(0) {
            Want::Done(report) => report.to_vec(),
            _ => mail,
        };
        let outcome = String::from_utf8_lossy(&outcome);
        assert!(outcome.starts_with(expected), "{exchangers:?}: {outcome}, not {expected}");
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
