//! Whom to trust: Debian's bundle, cafiles, certificates that stand in one themselves; and certificates of our own.

mod support;

use rcgen::date_time_ymd;
use rustls::RootCertStore;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use rustls::server::WebPkiClientVerifier;
use std::fs;
use std::sync::Arc;
use support::certificate::{Authority, Identity};
use support::namespace::{RELAY, inside};
use support::server::{Action, Event, Log, Rules, Server, Tls};
use support::{Delivered, Home};

const BUNDLE: &str = "/etc/ssl/certs/ca-certificates.crt";

fn tls(identity: &Identity) -> Tls {
    Tls::new(vec![identity.der.clone()], identity.key())
}

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

/// Empty words: it verifies, and the mail goes out. Else it is put off and the report says this.
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
    if !inside("debians_bundle") {
        return;
    }
    let ca = Authority::new("CA of the bundle");
    let rules = || Rules::over_tls(tls(&ca.issue(&["relay.example"])));
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
    check("itself in the bundle", &deliver("relay.example", Rules::over_tls(tls(&own)), &[]), "");

    fs::write(BUNDLE, "").unwrap();
    check("empty bundle", &deliver("relay.example", rules(), &[]), "no certificate in it");
}

#[test]
fn cafiles() {
    if !inside("cafiles") {
        return;
    }
    let ca = Authority::new("My CA");
    let rules = || Rules::over_tls(tls(&ca.issue(&["relay.example"])));
    let other = Authority::new("Other CA").pem;
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
        ("empty", &[("tlscafile", "\n")], "control/tlscafile: no path of a PEM file in the first line"),
        ("a directory", &[("tlscafile", "control")], "(of control/tlscafile): Is a directory"),
    ];
    for (case, control, says) in cases {
        check(case, &deliver("relay.example", rules(), control), says);
    }
    let home = tempfile::tempdir().unwrap();
    let absolute = home.path().join("my.pem");
    fs::write(&absolute, &ca.pem).unwrap();
    check("absolute", &deliver("relay.example", rules(), &[("tlscafile", absolute.to_str().unwrap())]), "");
}

#[test]
fn a_certificate_that_stands_in_a_cafile() {
    if !inside("a_certificate_that_stands_in_a_cafile") {
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
            check(case, &deliver("relay.example", Rules::over_tls(tls(&identity)), &control), says);
        }
    }
    // Another certificate for the same name and by the same name is another one.
    let [pinned, shown] = [0, 1].map(|_| Identity::self_signed(&names, true, |_| {}));
    let control = [("tlscafile", "control/pinned.pem"), ("pinned.pem", &pinned.pem[..])];
    check("another", &deliver("relay.example", Rules::over_tls(tls(&shown)), &control), "it is self-signed");
    // Whoever shows the certificate must have its key.
    let impostor = Tls::unchecked(pinned.der.clone(), shown.key());
    check("a stolen one", &deliver("relay.example", Rules::over_tls(impostor), &control), "TLS failed: ");
}

#[test]
fn names_and_chains() {
    if !inside("names_and_chains") {
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
        &deliver("relay.example", Rules::over_tls(tls(&leaf)), &control),
        "issued by CN=Middle CA, unknown to",
    );
    let other = Authority::new("Other CA");
    let control_other = [("tlscafile", "control/my.pem"), ("my.pem", &other.pem[..])];
    let says = "it is issued by CN=My CA, unknown to";
    check("the top of the chain is named", &deliver("relay.example", Rules::over_tls(whole), &control_other), says);

    for (case, name, relay, says) in [
        ("in capitals, with a dot", "relay.example", "Relay.Example.", ""),
        ("a wildcard", "*.relay.example", "smtp.relay.example", ""),
        ("an IP address", RELAY, RELAY, ""),
        ("an IP address that only its name has", "relay.example", RELAY, "it is for relay.example, not for 192.0.2.1"),
        (
            "another domain",
            "relay.example.org",
            "relay.example",
            "not for relay.example; name the relay so in its route",
        ),
    ] {
        let (delivered, log) = deliver(relay, Rules::over_tls(tls(&ca.issue(&[name]))), &control);
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
    check("many names", &deliver("relay.example", Rules::over_tls(tls(&ca.issue(&many))), &control), says);
}

/// A server that wants a certificate of the client, and offers EXTERNAL for it or takes it as it is.
#[test]
fn a_certificate_of_ours() {
    if !inside("a_certificate_of_ours") {
        return;
    }
    let ca = Authority::new("My CA");
    let ours = ca.issue(&["client.example"]);
    let server = ca.issue(&["relay.example"]);
    let mut anchors = RootCertStore::empty();
    anchors.add(CertificateDer::from_pem_slice(ca.pem.as_bytes()).unwrap()).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let clients = WebPkiClientVerifier::builder_with_provider(Arc::new(anchors), provider).build().unwrap();
    let demanding = |versions: &[&'static rustls::SupportedProtocolVersion]| {
        Tls::with(versions, Some(clients.clone()), vec![server.der.clone()], server.key())
    };

    let send = |rules: Rules, control: &[(&str, &str)]| {
        let server = Server::start_on((RELAY, 0), rules);
        let home = Home::with_route(&format!("relay.example:{}", server.port()));
        home.control("tlscafile", "control/ca.pem");
        home.control("ca.pem", &ca.pem);
        home.control("our.pem", &ours.pem);
        home.control("our.key", &ours.key_pem);
        for (name, content) in control {
            home.control(&format!("relays/relay.example/{name}"), content);
        }
        (home.deliver("sender@example.net", &["recipient@example.org"], b"\n"), server.finish())
    };
    let external = |tls: Tls, reply: &'static str| {
        Rules { tls: Some(tls), ..Rules::offering(&["PIPELINING", "AUTH PLAIN EXTERNAL"]) }.hooked(move |event, _| {
            match event {
                Event::Command(line) if line.starts_with("AUTH EXTERNAL ") => Action::reply(reply),
                _ => Action::Default,
            }
        })
    };
    let with_key = [("clientcert", "control/our.pem"), ("clientkey", "control/our.key")];

    for version in [&rustls::version::TLS12, &rustls::version::TLS13] {
        let (delivered, log) = send(external(demanding(&[version]), "235 2.7.0 ok"), &with_key);
        assert_eq!(delivered.letters(), "rK", "{delivered:?}");
        assert!(log.connections[0].knows_client && log.saw("AUTH EXTERNAL ="), "{:?}", log.commands());
        assert!(delivered.verdict().ends_with(" cert=verified auth=EXTERNAL\n"), "{delivered:?}");
    }
    let both = demanding(rustls::ALL_VERSIONS);
    let (delivered, log) = send(external(both.clone(), "235 ok"), &[with_key[0], with_key[1], ("user", "me")]);
    assert!(log.saw("AUTH EXTERNAL bWU=") && delivered.verdict().ends_with("auth=EXTERNAL user=me\n"), "{delivered:?}");
    // The initial response is asked for again.
    let (delivered, log) = send(external(both.clone(), "334 "), &with_key);
    assert!(log.commands().contains(&String::new()) && delivered.letters() == "Z", "{:?}", log.commands());
    // Refused: MAIL is not sent.
    let (delivered, log) = send(external(both.clone(), "535 5.7.8 who?"), &with_key);
    assert!(!log.saw("MAIL") && delivered.verdict().contains("check the client certificate"), "{delivered:?}");
    // Not offered: the certificate alone is the login.
    let open = Rules { auth_required: false, ..Rules::over_tls(both.clone()) };
    let (delivered, log) = send(open, &with_key);
    assert!(log.auth_tries() == 0 && delivered.verdict().ends_with("cert=verified auth=none\n"), "{delivered:?}");
    // With a password, that is the login.
    let with_password = [with_key[0], with_key[1], ("user", "myuser"), ("password", "secretpass")];
    let (delivered, log) = send(Rules::over_tls(both.clone()), &with_password);
    assert!(log.connections[0].knows_client && log.logins() == ["PLAIN myuser"], "{delivered:?}");
    // None to show.
    let (delivered, log) = send(Rules::over_tls(both.clone()), &[("user", "myuser"), ("password", "secretpass")]);
    assert!(delivered.verdict().contains("the relay refused it (alert CertificateRequired)"), "{delivered:?}");
    assert!(!log.saw("AUTH"), "{:?}", log.commands());
    // As credentials are, it is shown over TLS that verifies, or to nobody.
    let stranger = tls(&Authority::new("Stranger CA").issue(&["relay.example"]));
    for (rules, says) in [
        (
            Rules::default(),
            "no STARTTLS is offered: stripped on the way, or the wrong port? the client certificate needs it",
        ),
        (Rules::over_tls(stranger), "it is issued by CN=Stranger CA"),
    ] {
        let (delivered, log) = send(Rules { auth_required: false, ..rules }, &with_key);
        assert!(delivered.verdict().contains(says) && !log.saw("MAIL"), "{delivered:?}");
    }
    // A relay that asks for none has nobody logged in.
    let unasked = || Rules { auth_required: false, ..Rules::over_tls(tls(&server)) };
    let (delivered, log) = send(unasked(), &with_key);
    let says = "the relay asks for no client certificate, and there is no password";
    assert!(delivered.verdict().contains(says) && !log.saw("MAIL"), "{delivered:?}");
    // Not in clear, whatever `tls` says.
    for word in ["may", "none"] {
        let (delivered, log) =
            send(Rules { auth_required: false, ..Rules::default() }, &[with_key[0], with_key[1], ("tls", word)]);
        assert!(delivered.verdict().contains("the client certificate needs it") && !log.saw("MAIL"), "{delivered:?}");
    }
    for (control, says) in [
        (
            &[("clientcert", "control/our.pem")][..],
            "control/relays/relay.example: clientcert and clientkey belong together",
        ),
        (&[("clientkey", "control/our.key")], "control/relays/relay.example: clientcert and clientkey belong together"),
        (
            &[("clientcert", "control/no.pem"), ("clientkey", "control/our.key")],
            "no.pem (of control/relays/relay.example/clientcert): No such file",
        ),
        (
            &[("clientcert", "control/our.pem"), ("clientkey", "control/our.pem")],
            "our.pem (of control/relays/relay.example/clientkey): ",
        ),
        (&[("clientcert", "control/ca.pem"), ("clientkey", "control/our.key")], "do not go together"),
    ] {
        let (delivered, log) = send(external(both.clone(), "235 ok"), control);
        assert!(delivered.verdict().contains(says) && !log.saw("MAIL"), "{says}: {delivered:?}");
    }
}
