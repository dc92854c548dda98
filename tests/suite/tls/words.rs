//! What a report says of a certificate that does not verify: which one it is, and what helps. The words are the project's own, and
//! the advice to trust the certificate itself is given where that helps.

use crate::support::Home;
use crate::support::certificate::{Authority, Identity, Openssl, changed, der, pem};
use crate::support::namespace::{RELAY, inside};
use crate::support::server::{Rules, Server, Tls};
use rcgen::{
    BasicConstraints, CertificateParams, CustomExtension, ExtendedKeyUsagePurpose, GeneralSubtree, IsCa,
    NameConstraints, SanType, date_time_ymd,
};
use rustls::ALL_VERSIONS;

/// It helps to trust the certificate itself.
const PIN: &str = "; or, if the relay's certificate is known to be its own, save that one as a PEM file and write the path of that into \
                   control/relays/relay.example/cafile. (#4.7.5)";
const ANOTHER: &str = "; the relay needs another";
const NAMES: [&str; 1] = ["relay.example"];

/// The report of a delivery to this relay, or the last line of its success.
fn report(relay: &str, tls: Tls, trusted: &str) -> String {
    let server = Server::start_on((RELAY, 0), Rules::over_tls(tls));
    let home = Home::with_route(&format!("{relay}:{} myuser secretpass", server.port()));
    home.control("tlscafile", "control/ca.pem");
    home.control("ca.pem", trusted);
    let delivered = home.deliver("sender@example.net", &["recipient@example.org"], b"Subject: words\n");
    let log = server.finish();
    assert_eq!(log.saw("AUTH"), delivered.letters() == "rK", "{delivered:?}");
    delivered.verdict().to_owned()
}

/// Says this, in words: no fields of a Rust value, and not much.
fn assert_says(case: &str, report: &str, says: &[&str]) {
    for says in says {
        assert!(report.contains(says), "{case}: {says:?} is not in {report:?}");
    }
    assert!(!report.contains(['{', '[']) && report.len() < 800, "{case}: {report}");
}

/// A certificate that is flawed, or below CAs that are: the same certificate is good when it is trusted itself.
#[test]
fn trusting_it_itself_helps() {
    if !inside(here!()) {
        return;
    }
    let ca = Authority::new("My CA");
    let constrained = |odd: fn(&mut CertificateParams)| ca.intermediate_with("Middle CA", odd);
    let below = |middle: &Authority| {
        let leaf = middle.issue(&NAMES);
        (vec![leaf.der.clone(), der(&middle.pem)], leaf)
    };
    let alone = |leaf: Identity| (vec![leaf.der.clone()], leaf);

    let critical = constrained(|params| {
        let mut policies =
            CustomExtension::from_oid_content(&[2, 5, 29, 32], b"\x30\x06\x30\x04\x06\x02\x2a\x03".to_vec());
        policies.set_criticality(true);
        params.custom_extensions.push(policies);
    });
    let other_names = constrained(|params| {
        let permitted_subtrees = vec![GeneralSubtree::DnsName("example.org".to_owned())];
        params.name_constraints = Some(NameConstraints { permitted_subtrees, excluded_subtrees: vec![] });
    });
    let last = constrained(|params| params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0)));
    let one_too_many = last.intermediate("Lowest CA");
    let no_ca = constrained(|params| params.is_ca = IsCa::ExplicitNoCa);
    let (mut deep, mut chain) = (ca.intermediate("CA 0"), Vec::new());
    for number in 1..9 {
        chain.insert(0, der(&deep.pem));
        deep = deep.intermediate(&format!("CA {number}"));
    }
    chain.insert(0, der(&deep.pem));
    let deepest = deep.issue(&NAMES);
    chain.insert(0, deepest.der.clone());
    let (of_too_many, leaf_of_too_many) = below(&one_too_many);
    let of_too_many = [of_too_many, vec![der(&last.pem)]].concat();
    let mail = ca.issue_with(&NAMES, |params| {
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::EmailProtection];
    });
    let mail_ca = constrained(|params| params.extended_key_usages = vec![ExtendedKeyUsagePurpose::EmailProtection]);
    let sha_512 = ca.issue(&NAMES);
    let sha_512_der =
        changed(&sha_512.der, &[0x2a, 0x86, 0x48, 0xce, 0x3d, 4, 3, 2], &[0x2a, 0x86, 0x48, 0xce, 0x3d, 4, 3, 4]);
    let above = "the certificate of a CA that it depends on ";
    let cases = [
        (
            "critical",
            below(&critical),
            format!("{above}has a critical extension that this program does not know{ANOTHER}"),
        ),
        (
            "names",
            below(&other_names),
            format!("a CA that it depends on may not issue certificates for its names (name constraints){ANOTHER}"),
        ),
        (
            "path length",
            (of_too_many, leaf_of_too_many),
            format!("a CA that it depends on may not have so many CAs below it (path length constraint){ANOTHER}"),
        ),
        ("no CA", below(&no_ca), format!("it depends on a certificate that is not a CA's{ANOTHER}")),
        ("depth", (chain, deepest), format!("there are too many CAs between it and one that is trusted{ANOTHER}")),
        ("purpose", alone(mail), format!("verify: it is not for servers (extended key usage){ANOTHER}")),
        ("purpose of a CA", below(&mail_ca), format!("{above}is not for servers (extended key usage){ANOTHER}")),
        (
            "signature",
            (vec![sha_512_der], sha_512),
            format!("verify: it is signed with SHA-512 and ECDSA, which this program does not verify{ANOTHER}"),
        ),
    ];
    for (case, (chain, leaf), says) in cases {
        let tls = || Tls::unchecked(ALL_VERSIONS, chain[0].clone(), leaf.key());
        let whole = if chain.len() > 1 { Tls::new(chain.clone(), leaf.key()) } else { tls() };
        assert_says(case, &report("relay.example", whole, &ca.pem), &[&(says + PIN)]);
        let pinned = report("relay.example", tls(), &pem(&chain[0]));
        assert!(pinned.ends_with("cert=verified auth=PLAIN user=myuser\n"), "{case}: {pinned}");
    }
}

/// What is wrong with the certificate itself, so that it needs another.
#[test]
fn trusting_it_itself_does_not_help() {
    if !inside(here!()) {
        return;
    }
    let ca = Authority::new("My CA");
    let never = ca.issue_with(&NAMES, |params| {
        params.not_before = date_time_ymd(2020, 2, 3);
        params.not_after = date_time_ymd(2020, 2, 2);
    });
    let critical = ca.issue_with(&NAMES, |params| {
        let mut extension = CustomExtension::from_oid_content(&[1, 3, 6, 1, 4, 1, 99999], vec![5, 0]);
        extension.set_criticality(true);
        params.custom_extensions.push(extension);
    });
    let plain = ca.issue(&NAMES);
    let version_1 = changed(&plain.der, &[0xa0, 3, 2, 1, 2], &[0xa0, 3, 2, 1, 0]);
    let broken = changed(&plain.der, &[0x30, 0x82], &[0x30, 0x83]);
    let self_signed = Identity::self_signed(&NAMES, false, |_| {});
    let self_signed_1 = changed(&self_signed.der, &[0xa0, 3, 2, 1, 2], &[0xa0, 3, 2, 1, 0]);
    for (case, certificate, says) in [
        ("critical", &critical.der, "it has a critical extension that this program does not know"),
        ("never", &never.der, "it is valid at no time, as its end is before its beginning"),
        ("version", &version_1, "it is not of X.509 version 3"),
        ("self-signed, of version 1", &self_signed_1, "it is not of X.509 version 3"),
        ("broken", &broken, "it is malformed"),
    ] {
        let tls = || Tls::unchecked(ALL_VERSIONS, certificate.clone(), plain.key());
        let says = format!("its certificate does not verify: {says}{ANOTHER}. (#4.7.5)");
        assert_says(case, &report("relay.example", tls(), &ca.pem), &[&says]);
        let pinned = report("relay.example", tls(), &pem(certificate));
        assert!(pinned.starts_with('Z') && !pinned.contains(" as a PEM file"), "{case}: {pinned}");
    }
    // It is for no name, so it is no use to trust it.
    for identity in [Identity::self_signed(&[], false, |_| {}), Authority::new("Stranger CA").issue(&[])] {
        let report = report("relay.example", Tls::of(&identity), &ca.pem);
        let says = "it has no subjectAltName that counts (a CN does not, nor does an IP address as a DNS name); the relay needs one for relay.example. (#4.7.5)";
        assert_says("no name", &report, &[says]);
    }
    // A message of the handshake has 64 KiB at most.
    let names: Vec<String> = (0..3000).map(|number| format!("host{number:05}.mail.relay.example")).collect();
    let many = ca.issue(&names.iter().map(String::as_str).collect::<Vec<_>>());
    let too_many = Tls::unchecked(ALL_VERSIONS, many.der.clone(), many.key());
    let says = "TLS failed: the relay sends a message of more than 64 KiB, mostly for certificates; it must send fewer of them, or \
                one with fewer names. (#4.7.5)";
    assert_says("many names", &report("relay.example", too_many, &ca.pem), &[says]);
}

/// The library calls each signature by such a key a bad one, and it is not the key of the trusted CA that is at fault.
#[test]
fn short_keys() {
    if !inside(here!()) {
        return;
    }
    let made = Openssl::new();
    let (old, root) = (made.ca("Old", 1024, None), made.ca("Root", 2048, None));
    let middle = made.ca("Middle", 1024, Some("Root"));
    let p256 = "ec -pkeyopt ec_paramgen_curve:P-256";
    for (case, issuer, between, trusted) in
        [("CA", "Old", vec![], &old), ("a CA between", "Middle", vec![der(&middle)], &root)]
    {
        let (certificate, key) = made.issue("relay.example", p256, issuer);
        let tls = Tls::new([vec![certificate.clone()], between].concat(), key.clone_key());
        let says = format!(
            "it depends on the CA CN={issuer}, whose RSA key is too short with 1024 bits (2048 are needed); the relay needs a \
             certificate of another CA{PIN}"
        );
        assert_says(case, &report("relay.example", tls, trusted), &[&says]);
        let pinned = report("relay.example", Tls::new(vec![certificate.clone()], key), &pem(&certificate));
        assert!(pinned.ends_with("cert=verified auth=PLAIN user=myuser\n"), "{case}: {pinned}");
    }
    // By CAs that are not trusted: to trust them would not help either.
    let (certificate, key) = made.issue("relay.example", p256, "Old");
    let tls = Tls::new(vec![certificate], key);
    let says = "it depends on the CA CN=Old, whose RSA key is too short with 1024 bits (2048 are needed)";
    assert_says("an unknown CA", &report("relay.example", tls, &root), &[says, PIN]);
    let (certificate, key) = made.issue("relay.example", p256, "Root");
    let [sha_256, sha_1] = [[42, 134, 72, 134, 247, 13, 1, 1, 11], [42, 134, 72, 134, 247, 13, 1, 1, 5]];
    let certificate = changed(&certificate, &sha_256, &sha_1);
    let says = "it is signed with SHA-1 and RSA, which this program does not verify";
    let tls = Tls::unchecked(ALL_VERSIONS, certificate, key);
    assert_says("an unknown CA that signs with SHA-1", &report("relay.example", tls, &old), &[says, PIN]);
    // Another CA of that name, and the relay's own key.
    let (certificate, key) = made.issue("relay.example", p256, "Root");
    let another = Openssl::new().ca("Root", 2048, None);
    let says = "it is issued by CN=Root, but not by the one of that name in ";
    assert_says("another CA", &report("relay.example", Tls::new(vec![certificate], key), &another), &[says]);
    let (certificate, _) = made.issue("relay.example", "rsa:1024", "Root");
    let (_, other_key) = made.issue("other.example", "rsa:2048", "Root");
    let says = "its certificate has an RSA key that is too short with 1024 bits (2048 are needed); the relay needs another. (#4.7.5)";
    for version in ALL_VERSIONS {
        let tls = Tls::unchecked(&[version], certificate.clone(), other_key.clone_key());
        assert_says("its own", &report("relay.example", tls, &root), &["TLS failed: its certificate has", says]);
    }
    let says = "verify: it has an RSA key that is too short with 1024 bits (2048 are needed); the relay needs another. (#4.7.5)";
    let tls = Tls::unchecked(ALL_VERSIONS, certificate, other_key);
    assert_says("its own, unknown CA", &report("relay.example", tls, &old), &[says]);
}

/// An address counts only as an address, and what else is wrong is said at once.
#[test]
fn names() {
    if !inside(here!()) {
        return;
    }
    let ca = Authority::new("My CA");
    let as_dns_names = |names: &[&str]| {
        let names: Vec<SanType> = names.iter().map(|&name| SanType::DnsName(name.try_into().unwrap())).collect();
        move |params: &mut CertificateParams| params.subject_alt_names.extend(names)
    };
    let says = "it has 192.0.2.1 only as a DNS name, which does not count for an address; the relay needs one with subjectAltName \
                IP:192.0.2.1";
    let alone = ca.issue_with(&[], as_dns_names(&[RELAY]));
    assert_says("alone", &report(RELAY, Tls::of(&alone), &ca.pem), &[&format!("{says}. (#4.7.5)")]);
    let more = ca.issue_with(&["192.0.2.7"], as_dns_names(&[RELAY, "relay.example"]));
    let others = ", or its route one of its names: 192.0.2.7, relay.example. (#4.7.5)";
    assert_says("and others", &report(RELAY, Tls::of(&more), &ca.pem), &[&format!("{says}{others}")]);
    let both = ca.issue_with(&[RELAY], as_dns_names(&[RELAY]));
    assert!(report(RELAY, Tls::of(&both), &ca.pem).contains("cert=verified"));
    let another = report("relay.example", Tls::of(&alone), &ca.pem);
    let counts = "it has no subjectAltName that counts (a CN does not, nor does an IP address as a DNS name); the relay needs one for";
    assert_says("for a name", &another, &[&format!("{counts} relay.example. (#4.7.5)")]);
    let other_address = ca.issue_with(&[], as_dns_names(&["192.0.2.8"]));
    let report_of_other = report(RELAY, Tls::of(&other_address), &ca.pem);
    assert_says("for another address", &report_of_other, &[&format!("{counts} {RELAY}. (#4.7.5)")]);

    let of_another = "it is for localhost, not for relay.example; if it is the relay's own, its route must have such a name; besides, \
                      it is ";
    let place = "write the path of that into control/relays/HOST/cafile (HOST: that name). (#4.7.5)";
    let self_signed = Identity::self_signed(&["localhost"], false, |_| {});
    let says =
        format!("{of_another}self-signed; if it is known to be the relay's own, save it as a PEM file and {place}");
    assert_says("self-signed", &report("relay.example", Tls::of(&self_signed), &ca.pem), &[&says]);
    let unknown = report("relay.example", Tls::of(&Authority::new("Stranger CA").issue(&["localhost"])), &ca.pem);
    assert_says("unknown CA", &unknown, &[of_another, "issued by CN=Stranger CA, unknown to ", place]);
    assert_says(
        "trusted",
        &report("relay.example", Tls::of(&self_signed), &self_signed.pem),
        &["must have such a name. (#4.7.5)"],
    );
}

/// A name in the certificate of a CA makes it one of a server, which is trusted for itself alone.
#[test]
fn a_ca_with_a_name() {
    if !inside(here!()) {
        return;
    }
    let ca = Authority::with("My CA", |params| {
        params.subject_alt_names.push(SanType::DnsName("ca.example".try_into().unwrap()));
    });
    let leaf = ca.issue(&NAMES);
    let report = |trusted: &str| report("relay.example", Tls::of(&leaf), trusted);
    let says = format!(
        "(of control/tlscafile) has names of servers (subjectAltName), so it is trusted for itself alone and not as a CA; put one of \
         the CA there without such names{PIN}"
    );
    assert_says("as it is", &report(&ca.pem), &["it is issued by CN=My CA, whose certificate in ", &says]);
    let without = ca.another("My CA", |_| {});
    for trusted in [without.clone(), ca.pem.clone() + &without, leaf.pem.clone()] {
        assert!(report(&trusted).contains("cert=verified"), "{trusted}");
    }
}
