//! Whom to trust: Debian's bundle, cafiles, certificates that stand in one themselves.

use crate::support::certificate::{Authority, Identity};
use crate::support::namespace::{RELAY, inside};
use crate::support::server::{Log, Rules, Server, Tls};
use crate::support::{Delivered, Home};
use rcgen::{BasicConstraints, CustomExtension, IsCa, date_time_ymd};
use rustls::ALL_VERSIONS;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use std::fs;

const BUNDLE: &str = "/etc/ssl/certs/ca-certificates.crt";

/// One delivery with a login to this relay, in a home with these control files.
fn deliver(relay: &str, rules: Rules, control: &[(&str, &str)]) -> (Delivered, Log) {
    let server = Server::start_on((RELAY, 0), rules);
    let home = Home::with_route(&format!("{relay}:{} myuser secretpass", server.port()));
    for (name, content) in control {
        home.control(name, content);
    }
    let delivered = home.deliver("sender@example.net", &["recipient@example.org"], b"Subject: certificates\n");
    (delivered, server.finish())
}

/// Empty words: it verifies, and the mail goes out. Else it is deferred and the report says this.
fn check(case: &str, (delivered, log): &(Delivered, Log), says: &str) {
    let verdict = delivered.verdict();
    if says.is_empty() {
        assert_eq!(delivered.letters(), "rK", "{case}: {verdict}");
        assert!(verdict.ends_with("\ntls=TLSv1.3 cert=verified auth=PLAIN user=myuser\n"), "{case}: {verdict}");
    } else {
        assert_eq!(delivered.letters(), "Z", "{case}: {verdict}");
        assert!(verdict.contains(says), "{case}: {says:?} is not in {verdict:?}");
        assert!(!log.saw("AUTH") && !log.saw("MAIL"), "{case}: {:?}", log.commands());
    }
}

#[test]
fn debians_bundle() {
    if !inside(here!()) {
        return;
    }
    let ca = Authority::new("CA of the bundle");
    let rules = || Rules::over_tls(Tls::of(&ca.issue(&["relay.example"])));
    let says = "no CAs to verify the relay's certificate with: /etc/ssl/certs/ca-certificates.crt (of Debian's package \
                ca-certificates): No such file or directory; install that package";
    check("no bundle", &deliver("relay.example", rules(), &[]), says);

    // Certificates that cannot be parsed, before and behind.
    let bad = "-----BEGIN CERTIFICATE-----\nbm8gY2VydGlmaWNhdGU=\n-----END CERTIFICATE-----\n";
    let worse = "-----BEGIN CERTIFICATE-----\n*** no base64 ***\n-----END CERTIFICATE-----\n";
    let others: String = (0..3).map(|i| Authority::new(&format!("CA {i}")).pem).collect();
    fs::create_dir_all("/etc/ssl/certs").unwrap();
    fs::write(BUNDLE, [bad, worse, &others, worse, &ca.pem, bad].concat()).unwrap();
    check("bundle", &deliver("relay.example", rules(), &[]), "");

    // What stands in a cafile counts instead, not besides.
    let cafile = [("relays/relay.example/cafile", "control/my.pem\n"), ("my.pem", &others)];
    check(
        "cafile instead",
        &deliver("relay.example", rules(), &cafile),
        "it is issued by CN=CA of the bundle, unknown to",
    );

    // A certificate that is in the bundle itself, as update-ca-certificates puts it there, is an anchor like others.
    let own = Identity::self_signed(&["relay.example"], false, |_| {});
    fs::write(BUNDLE, [&others, &own.pem[..]].concat()).unwrap();
    check("itself in the bundle", &deliver("relay.example", Rules::over_tls(Tls::of(&own)), &[]), "");

    // But it is trusted by its issuer there, not by itself.
    let leaf = ca.issue(&["relay.example"]);
    fs::write(BUNDLE, [&others, &leaf.pem[..]].concat()).unwrap();
    let outcome = deliver("relay.example", Rules::over_tls(Tls::of(&leaf)), &[]);
    check("a leaf in the bundle", &outcome, "it is issued by CN=CA of the bundle, unknown to");

    fs::write(BUNDLE, "").unwrap();
    check("empty bundle", &deliver("relay.example", rules(), &[]), "no certificate in it");
}

#[test]
fn cafiles() {
    if !inside(here!()) {
        return;
    }
    let ca = Authority::new("My CA");
    let rules = || Rules::over_tls(Tls::of(&ca.issue(&["relay.example"])));
    let other = Authority::new("Other CA").pem;
    let in_utf16: String = ca.pem.chars().flat_map(|c| [c, '\0']).collect();
    type Case<'a> = (&'a str, &'a [(&'a str, &'a str)], &'a str);
    let cases: &[Case] = &[
        ("tlscafile", &[("tlscafile", "control/my.pem"), ("my.pem", &ca.pem)], ""),
        ("cafile", &[("relays/relay.example/cafile", "control/my.pem  \nmore"), ("my.pem", &ca.pem)], ""),
        (
            "the relay's own wins",
            &[
                ("tlscafile", "control/other.pem"),
                ("other.pem", &other),
                ("relays/relay.example/cafile", "control/my.pem"),
                ("my.pem", &ca.pem),
            ],
            "",
        ),
        ("two in it", &[("tlscafile", "control/my.pem"), ("my.pem", &[&other[..], &ca.pem].concat())], ""),
        (
            "in a relay's directory",
            &[("tlscafile", "control/relays/relay.example/cafile.pem"), ("relays/relay.example/cafile.pem", &ca.pem)],
            "",
        ),
        (
            "missing",
            &[("tlscafile", "control/my.pem")],
            "/control/my.pem (of control/tlscafile): No such file or directory. (#4.7.5)",
        ),
        (
            "a key in it",
            &[("tlscafile", "control/my.pem"), ("my.pem", &ca.issue(&[]).key_pem)],
            "(of control/tlscafile): no certificate in it",
        ),
        (
            "a CA of that name with another key",
            &[("tlscafile", "control/my.pem"), ("my.pem", &Authority::new("My CA").pem)],
            "it is issued by CN=My CA, but not by the one of that name in ",
        ),
        ("a mark", &[("tlscafile", "\u{feff}control/my.pem"), ("my.pem", &format!("\u{feff}{}", ca.pem))], ""),
        (
            "UTF-16",
            &[("tlscafile", "control/my.pem"), ("my.pem", &in_utf16)],
            "my.pem (of control/tlscafile): UTF-16, or damaged; write it again as plain text",
        ),
        ("empty", &[("tlscafile", "\n")], "control/tlscafile: no path of a PEM file in the first line"),
        ("a directory", &[("tlscafile", "control")], "(of control/tlscafile): not a regular file"),
    ];
    for (case, control, says) in cases {
        check(case, &deliver("relay.example", rules(), control), says);
    }
    // It is our fault, so mail that looks before it shows a password waits as well.
    let control = [("relays/relay.example/tls", "may"), ("relays/relay.example/cafile", "control/my.pem")];
    let outcome = deliver("relay.example", rules(), &control);
    check("missing, may", &outcome, "my.pem (of control/relays/relay.example/cafile): No such file or directory");
    assert_eq!(outcome.1.connections.len(), 1);

    let server = Server::start_on((RELAY, 0), rules());
    let home = Home::with_route(&format!("relay.example:{} myuser secretpass", server.port()));
    let fifo = home.control("tlscafile", "control/fifo").with_file_name("fifo");
    assert!(std::process::Command::new("mkfifo").arg(fifo).status().unwrap().success());
    let delivered = home.deliver("sender@example.net", &["recipient@example.org"], b"\n");
    check("a FIFO", &(delivered, server.finish()), "(of control/tlscafile): not a regular file");

    let home = tempfile::tempdir().unwrap();
    let absolute = home.path().join("my.pem");
    fs::write(&absolute, &ca.pem).unwrap();
    check("absolute", &deliver("relay.example", rules(), &[("tlscafile", absolute.to_str().unwrap())]), "");
}

#[test]
fn a_certificate_that_stands_in_a_cafile() {
    if !inside(here!()) {
        return;
    }
    let names = ["relay.example"];
    let expired = |params: &mut rcgen::CertificateParams| params.not_after = date_time_ymd(2020, 2, 3);
    let early = |params: &mut rcgen::CertificateParams| params.not_before = date_time_ymd(2200, 3, 4);
    let ca = Authority::new("Unknown CA");
    let middle = ca.intermediate("Middle CA");
    for (case, identity, says) in [
        ("self-signed", Identity::self_signed(&names, false, |_| {}), ""),
        ("self-signed, a CA", Identity::self_signed(&names, true, |_| {}), ""),
        ("issued by a CA that is not there", ca.issue(&names), ""),
        ("with an RSA key", middle.issue_rsa(&names), ""),
        (
            "for another name",
            Identity::self_signed(&["other.example"], true, |_| {}),
            "it is for other.example, not for relay.example",
        ),
        ("expired", Identity::self_signed(&names, true, expired), "it expired at 2020-02-03T00:00:00Z"),
        ("not yet valid", Identity::self_signed(&names, true, early), "it is not valid before 2200-03-04T00:00:00Z"),
    ] {
        for file in ["tlscafile", "relays/relay.example/cafile"] {
            let control = [(file, "control/pinned.pem"), ("pinned.pem", &identity.pem)];
            check(case, &deliver("relay.example", Rules::over_tls(Tls::of(&identity)), &control), says);
        }
    }
    // Those that real servers get away with, and one that no verifier can take.
    let long_serial = |params: &mut rcgen::CertificateParams| params.serial_number = Some(vec![7; 30].into());
    let critical = |params: &mut rcgen::CertificateParams| {
        let mut extension = rcgen::CustomExtension::from_oid_content(&[1, 3, 6, 1, 4, 1, 99999], vec![5, 0]);
        extension.set_criticality(true);
        params.custom_extensions.push(extension);
    };
    let cases: [(_, Identity, _); 2] = [
        ("a long serial number", Identity::self_signed(&names, true, long_serial), ""),
        (
            "a critical extension",
            Identity::self_signed(&names, true, critical),
            "pinned.pem (of control/tlscafile), but cannot be used: it has a critical extension that this program does not know; \
             the relay needs another",
        ),
    ];
    for (case, identity, says) in cases {
        let control = [("tlscafile", "control/pinned.pem"), ("pinned.pem", &identity.pem[..])];
        let shown = Tls::unchecked(ALL_VERSIONS, identity.der.clone(), identity.key());
        check(case, &deliver("relay.example", Rules::over_tls(shown), &control), says);
    }
    // It stands there for itself alone, also where `openssl req -x509` made a CA of it.
    for is_ca in [false, true] {
        let pretender = Authority::pretender("other.example", is_ca);
        let control = [("tlscafile", "control/pinned.pem"), ("pinned.pem", &pretender.pem[..])];
        let outcome = deliver("relay.example", Rules::over_tls(Tls::of(&pretender.issue(&names))), &control);
        check("one that issues others", &outcome, "it is issued by CN=other.example, whose certificate in ");
        let says = "has names of servers (subjectAltName), so it is trusted for itself alone and not as a CA; put one of the CA there \
                    without such names; or, if the relay's certificate is known to be its own, save that one as a PEM file and write the path of that \
                    into control/relays/relay.example/cafile. ";
        check("one that issues others", &outcome, says);
    }
    // Another certificate for the same name and by the same name is another one.
    let [pinned, shown] = [0, 1].map(|_| Identity::self_signed(&names, true, |_| {}));
    let control = [("tlscafile", "control/pinned.pem"), ("pinned.pem", &pinned.pem[..])];
    check("another", &deliver("relay.example", Rules::over_tls(Tls::of(&shown)), &control), "it is self-signed");
    // Whoever shows the certificate must have its key.
    for version in ALL_VERSIONS {
        let impostor = Tls::unchecked(&[version], pinned.der.clone(), shown.key());
        let says = "TLS failed: the relay does not prove that it has its certificate's key";
        check("a stolen one", &deliver("relay.example", Rules::over_tls(impostor), &control), says);
    }
}

/// The TLS library takes an anchor as it is given.
#[test]
fn cas_that_are_none() {
    if !inside(here!()) {
        return;
    }
    let ca = Authority::new("My CA");
    let rules = || Rules::over_tls(Tls::of(&ca.issue(&["relay.example"])));
    let expired = ca.another("My CA", |params| params.not_after = date_time_ymd(2020, 2, 3));
    let early = ca.another("My CA", |params| params.not_before = date_time_ymd(2200, 3, 4));
    let mute = ca.another("My CA", |params| params.is_ca = IsCa::NoCa);
    let no_ca = ca.another("My CA", |params| params.is_ca = IsCa::ExplicitNoCa);
    let far = ca.another("My CA", |params| {
        params.is_ca = IsCa::NoCa; // and this instead: a CA, with a pathLenConstraint of 256
        let constraints = b"\x30\x07\x01\x01\xff\x02\x02\x01\x00".to_vec();
        params.custom_extensions.push(CustomExtension::from_oid_content(&[2, 5, 29, 19], constraints));
    });
    let other_key = Authority::new("My CA").pem;
    let is_over = "the CA CN=My CA of {} expired at 2020-02-03T00:00:00Z; put its new certificate there; or the clock of this machine is \
                   wrong. ";
    let is_early = "the CA CN=My CA of {} is not valid before 2200-03-04T00:00:00Z; check the clock of this machine";
    let says_nothing = "it is issued by CN=My CA, whose certificate in {} does not say that it is a CA; put one there that does, or \
                        write the path of a PEM file with it into control/relays/relay.example/cafile, to trust it for this relay alone";
    let says_no = "it is issued by CN=My CA, whose certificate in {} says that it is not a CA; put one there that is; or, if the \
                   relay's certificate is known to be its own, save that one as a PEM file and write the path of that into \
                   control/relays/relay.example/cafile. ";
    fs::create_dir_all("/etc/ssl/certs").unwrap();
    for (case, pem, for_all, for_one, in_bundle) in [
        ("good", ca.pem.clone(), "", "", ""),
        ("expired", expired.clone(), is_over, is_over, is_over),
        ("expired, and one with its key", expired.clone() + &ca.pem, "", "", ""),
        ("one with its key, and expired", ca.pem.clone() + &expired, "", "", ""),
        ("expired, and one with another key", other_key.clone() + &expired, is_over, is_over, is_over),
        ("not yet valid", early, is_early, is_early, is_early),
        ("without basicConstraints", mute.clone(), says_nothing, "", ""),
        ("without basicConstraints, and with", mute.clone() + &ca.pem, "", "", ""),
        ("no CA", no_ca, says_no, says_no, ""),
        ("a CA by what cannot be read", far, "", "", ""),
    ] {
        let places = [
            ("control/tlscafile", &[("tlscafile", "control/my.pem"), ("my.pem", &pem[..])][..], for_all),
            (
                "control/relays/relay.example/cafile",
                &[("relays/relay.example/cafile", "control/my.pem"), ("my.pem", &pem)],
                for_one,
            ),
            ("Debian's package ca-certificates", &[], in_bundle),
        ];
        for (place, control, says) in places {
            fs::write(BUNDLE, if control.is_empty() { &pem[..] } else { "" }).unwrap();
            let outcome = deliver("relay.example", rules(), control);
            let path = if control.is_empty() { BUNDLE } else { "control/my.pem" };
            let words = says.split_once("{}").map_or(["", ""], |(before, behind)| [before, behind]);
            check(&format!("{case}, {place}"), &outcome, words[0]);
            let file = format!("{path} (of {place}){}", words[1]);
            assert!(says.is_empty() || outcome.0.verdict().contains(&file), "{case}, {file}: {:?}", outcome.0);
        }
    }
    // The relay sends it, too.
    let leaf = ca.issue(&["relay.example"]);
    for (pem, says) in [(&expired, is_over), (&mute, says_nothing)] {
        let root = CertificateDer::from_pem_slice(pem.as_bytes()).unwrap();
        let with_root = Rules::over_tls(Tls::new(vec![leaf.der.clone(), root], leaf.key()));
        let control = [("tlscafile", "control/my.pem"), ("my.pem", &pem[..])];
        let words = says.split("{}").next().unwrap();
        check("sent by the relay", &deliver("relay.example", with_root, &control), words);
    }
    // What is wrong with the relay's own certificate is not put on a CA that would not have been needed.
    let of_another = || Rules::over_tls(Tls::of(&ca.issue(&["other.example"])));
    let control = [("tlscafile", "control/my.pem"), ("my.pem", &(expired + &ca.pem)[..])];
    check("a wrong name", &deliver("relay.example", of_another(), &control), "it is for other.example, not for");
}

#[test]
fn names_and_chains() {
    if !inside(here!()) {
        return;
    }
    let ca = Authority::new("My CA");
    let middle = ca.intermediate("Middle CA");
    let leaf = middle.issue(&["relay.example"]);
    let middle_der = CertificateDer::from_pem_slice(middle.pem.as_bytes()).unwrap();
    let control = [("tlscafile", "control/my.pem"), ("my.pem", &ca.pem[..])];
    let whole = Tls::new(vec![leaf.der.clone(), middle_der.clone()], leaf.key());
    check("with the CA between", &deliver("relay.example", Rules::over_tls(whole.clone()), &control), "");
    check(
        "without it",
        &deliver("relay.example", Rules::over_tls(Tls::of(&leaf)), &control),
        "issued by CN=Middle CA, unknown to",
    );
    let other = Authority::new("Other CA");
    let control_other = [("tlscafile", "control/my.pem"), ("my.pem", &other.pem[..])];
    let says = "it is issued by CN=My CA, unknown to";
    check("the top of the chain is named", &deliver("relay.example", Rules::over_tls(whole), &control_other), says);
    let root = CertificateDer::from_pem_slice(ca.pem.as_bytes()).unwrap();
    let with_root = Tls::new(vec![leaf.der.clone(), middle_der, root], leaf.key());
    check("and is its own issuer", &deliver("relay.example", Rules::over_tls(with_root), &control_other), says);

    let expired = ca.intermediate_with("Old CA", |params| params.not_after = date_time_ymd(2020, 2, 3));
    let of_old = expired.issue(&["relay.example"]);
    let old_der = CertificateDer::from_pem_slice(expired.pem.as_bytes()).unwrap();
    let old = Tls::new(vec![of_old.der.clone(), old_der], of_old.key());
    let says = "the certificate of a CA that it depends on expired at 2020-02-03T00:00:00Z";
    check("an expired CA between", &deliver("relay.example", Rules::over_tls(old), &control), says);

    // CAs of old, which do not say that they are, and one with a longer path below it than anybody has.
    for odd in [IsCa::NoCa, IsCa::Ca(BasicConstraints::Constrained(255))] {
        let old = Authority::with("Old CA", |params| params.is_ca = odd);
        let control = [("relays/relay.example/cafile", "control/my.pem"), ("my.pem", &old.pem[..])];
        check(
            "a CA of old",
            &deliver("relay.example", Rules::over_tls(Tls::of(&old.issue(&["relay.example"]))), &control),
            "",
        );
    }

    let wordy = Authority::new(&"x".repeat(400));
    let outcome = deliver("relay.example", Rules::over_tls(Tls::of(&wordy.issue(&["relay.example"]))), &control);
    check("a name without end", &outcome, "xxxxxxxx..., unknown to");
    assert!(outcome.0.verdict().len() < 1000, "{:?}", outcome.0);

    // What was sent as a secret is none of a certificate's words.
    let outcome = deliver("relay.example", Rules::over_tls(Tls::of(&ca.issue(&["secretpass.example"]))), &control);
    check("a certificate that repeats the password", &outcome, "it is for <secret>.example, not for relay.example");

    for (case, name, relay, says) in [
        ("in capitals, with a dot", "relay.example", "Relay.Example.", ""),
        ("a wildcard", "*.relay.example", "smtp.relay.example", ""),
        ("an IP address", RELAY, RELAY, ""),
        ("an IP address that only its name has", "relay.example", RELAY, "it is for relay.example, not for 192.0.2.1"),
        (
            "another domain",
            "relay.example.org",
            "relay.example",
            "not for relay.example; if it is the relay's own, its route must have such a name",
        ),
    ] {
        let (delivered, log) = deliver(relay, Rules::over_tls(Tls::of(&ca.issue(&[name]))), &control);
        let asked = log.connections[0].server_name.clone();
        let wanted = (relay != RELAY).then(|| relay.trim_end_matches('.').to_ascii_lowercase());
        if says.is_empty() {
            assert_eq!(asked.map(|name| name.to_ascii_lowercase()), wanted, "{case}");
        }
        check(case, &(delivered, log), says);
    }
    let many: Vec<String> = (0..30).map(|i| format!("host{i}.example")).collect();
    let many: Vec<&str> = many.iter().map(String::as_str).collect();
    let says = "host18.example, host19.example and 10 more, not for relay.example";
    check("many names", &deliver("relay.example", Rules::over_tls(Tls::of(&ca.issue(&many))), &control), says);
}
