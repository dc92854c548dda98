//! A certificate of ours: shown to a relay that asks for it, and the login where there is no password.

use crate::support::Home;
use crate::support::certificate::{Authority, Openssl, changed, pem};
use crate::support::namespace::{RELAY, inside};
use crate::support::server::{Action, Event, Rules, Server, Tls};
use rustls::RootCertStore;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use rustls::server::WebPkiClientVerifier;
use std::sync::Arc;

/// A server that wants a certificate of the client, and offers EXTERNAL for it or takes it as it is.
#[test]
fn a_certificate_of_ours() {
    if !inside(here!()) {
        return;
    }
    let ca = Authority::new("My CA");
    let ours = ca.issue(&["client.example"]);
    let server = ca.issue(&["relay.example"]);
    let mut anchors = RootCertStore::empty();
    anchors.add(CertificateDer::from_pem_slice(ca.pem.as_bytes()).unwrap()).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let anchors = Arc::new(anchors);
    let clients = WebPkiClientVerifier::builder_with_provider(anchors.clone(), provider).build().unwrap();
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
    assert!(delivered.verdict().contains("the relay ended it (alert CertificateRequired)"), "{delivered:?}");
    assert!(!log.saw("AUTH"), "{:?}", log.commands());
    // As credentials are, it is shown over TLS that verifies, or to nobody.
    let stranger = Tls::of(&Authority::new("Stranger CA").issue(&["relay.example"]));
    for (rules, says) in [
        (
            Rules::default(),
            "no STARTTLS is offered: stripped on the way, or the wrong port? try port 465 first (:relay.example:465); the client \
             certificate needs it",
        ),
        (Rules::over_tls(stranger), "it is issued by CN=Stranger CA"),
    ] {
        let (delivered, log) = send(Rules { auth_required: false, ..rules }, &with_key);
        assert!(delivered.verdict().contains(says) && !log.saw("MAIL"), "{delivered:?}");
    }
    // A relay that asks for none has nobody logged in.
    let unasked = || Rules { auth_required: false, ..Rules::over_tls(Tls::of(&server)) };
    let (delivered, log) = send(unasked(), &with_key);
    let says = "the relay asks for no client certificate, or for none with our kind of key, and there is no password";
    assert!(delivered.verdict().contains(says) && !log.saw("MAIL"), "{delivered:?}");
    // Not in clear, whatever `tls` says, nor where nobody knows who asks for it, nor after that.
    for (word, says) in
        [("may", "no STARTTLS is offered"), ("none", "there is no TLS, as control/relays/relay.example/tls says none")]
    {
        let (delivered, log) =
            send(Rules { auth_required: false, ..Rules::default() }, &[with_key[0], with_key[1], ("tls", word)]);
        let verdict = delivered.verdict();
        assert!(verdict.contains(says) && verdict.contains("the client certificate needs it"), "{verdict}");
        assert!(!log.saw("MAIL"), "{verdict}");
    }
    let stranger = Tls::of(&Authority::new("Stranger CA").issue(&["relay.example"]));
    for (tls, says) in
        [(stranger, "it is issued by CN=Stranger CA"), (Tls::Raw(vec![21, 3, 3, 0, 2, 2, 40]), "TLS failed: ")]
    {
        let open = Rules { auth_required: false, ..Rules::over_tls(tls) };
        let (delivered, log) = send(open, &[with_key[0], with_key[1], ("tls", "may")]);
        assert!(delivered.verdict().contains(says) && !log.saw("MAIL"), "{delivered:?}");
        assert_eq!(log.connections.len(), 1, "{delivered:?}");
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
            "our.pem (of control/relays/relay.example/clientkey): no key in it",
        ),
        (
            &[("clientcert", "control/our.pem"), ("clientkey", "/dev/zero")],
            "/dev/zero (of control/relays/relay.example/clientkey): not a regular file",
        ),
        (
            &[("clientcert", "control/ca.pem"), ("clientkey", "control/our.key")],
            "/our.key (of control/relays/relay.example/clientkey) do not go together: the key is not that of the first certificate. (#4.7.5)",
        ),
        (
            &[("clientcert", "control/our.key"), ("clientkey", "control/our.key")],
            "our.key (of control/relays/relay.example/clientcert): no certificate in it",
        ),
    ] {
        let (delivered, log) = send(external(both.clone(), "235 ok"), control);
        assert!(delivered.verdict().contains(says) && !log.saw("MAIL"), "{says}: {delivered:?}");
    }
    // As people make the files.
    let utf16 = |text: &str| text.chars().flat_map(|c| [c, '\0']).collect::<String>();
    let joined = ours.pem.trim_end().to_owned() + &ours.key_pem;
    let openssl = Openssl::new();
    openssl.ca("Short", 1024, None);
    let version_1 = pem(&changed(&ours.der, &[0xa0, 3, 2, 1, 2], &[0xa0, 3, 2, 1, 0]));
    let broken = pem(&changed(&ours.der, &[0x30, 0x82], &[0x30, 0x83]));
    let marked = |text: &str| format!("\u{feff}{text}");
    for (case, certificate, key, says) in [
        ("marks", marked(&ours.pem), marked(&ours.key_pem), ""),
        ("in one file, without a line end between", joined.clone(), joined, ""),
        ("in one file, a mark between", ours.pem.clone(), ours.pem.clone() + &marked(&ours.key_pem), ""),
        ("CR", ours.pem.replace('\n', "\r"), ours.key_pem.replace('\n', "\r"), ""),
        (
            "the certificate in UTF-16",
            utf16(&ours.pem),
            ours.key_pem.clone(),
            "/a (of control/relays/relay.example/clientcert): UTF-16, ",
        ),
        (
            "the key in UTF-16",
            ours.pem.clone(),
            utf16(&ours.key_pem),
            "/b (of control/relays/relay.example/clientkey): UTF-16, ",
        ),
        (
            "a short RSA key",
            ours.pem.clone(),
            openssl.key_pem("Short"),
            "/b (of control/relays/relay.example/clientkey): the key in it cannot be used: only RSA of 2048 to 4096 bits, ECDSA on P-256 \
             or P-384, and Ed25519 in PKCS#8 can. (#4.7.5)",
        ),
        (
            "version 1",
            version_1,
            ours.key_pem.clone(),
            "/a (of control/relays/relay.example/clientcert): the first certificate in it is not of X.509 version 3. (#4.7.5)",
        ),
        (
            "malformed",
            broken,
            ours.key_pem.clone(),
            "/a (of control/relays/relay.example/clientcert): the first certificate in it is malformed. (#4.7.5)",
        ),
    ] {
        let files = [("clientcert", "control/relays/relay.example/a"), ("clientkey", "control/relays/relay.example/b")];
        let control = [files[0], files[1], ("a", &certificate), ("b", &key)];
        let (delivered, log) = send(external(both.clone(), "235 ok"), &control);
        let verdict = delivered.verdict();
        let is_right = if says.is_empty() { verdict.ends_with("auth=EXTERNAL\n") } else { verdict.contains(says) };
        assert!(is_right && log.saw("MAIL") == says.is_empty(), "{case}: {verdict}");
    }
    // A relay that takes another kind of key only is shown none.
    let mut provider = rustls::crypto::ring::default_provider();
    let algorithms = &mut provider.signature_verification_algorithms;
    let rsa: Vec<_> =
        algorithms.mapping.iter().copied().filter(|(scheme, _)| format!("{scheme:?}").starts_with("RSA")).collect();
    algorithms.mapping = rsa.leak();
    let of_rsa = WebPkiClientVerifier::builder_with_provider(anchors, Arc::new(provider));
    let of_rsa = of_rsa.allow_unauthenticated().build().unwrap();
    let picky = Tls::with(rustls::ALL_VERSIONS, Some(of_rsa), vec![server.der.clone()], server.key());
    let (delivered, log) = send(Rules { auth_required: false, ..Rules::over_tls(picky) }, &with_key);
    assert!(delivered.verdict().contains("or for none with our kind of key") && !log.saw("MAIL"), "{delivered:?}");

    // One that asked and does not know it refuses the mail for want of a login, perhaps. What says that it is about something
    // else bounces it.
    for (event, reply, letters) in [
        ("RCPT", "554 5.7.1 Relay access denied", "sD"),
        ("RCPT", "550 relay not permitted", "sD"),
        ("RCPT", "550 5.1.1 no such user", "hD"),
        ("RCPT", "552 5.2.2 mailbox full", "hD"),
        ("MAIL", "550 5.7.1 not you", "Z"),
        ("MAIL", "550 5.1.8 no such domain", "D"),
        ("MAIL", "552 5.3.4 too big", "D"),
        ("DATA", "554 5.7.1 not you", "rZ"),
        ("DATA", "554 5.6.1 no such media", "rD"),
        (".", "554 5.7.1 looks like spam", "rD"),
    ] {
        let rules = Rules { auth_required: false, ..Rules::over_tls(both.clone()) };
        let (delivered, _) = send(rules.answering(&[(event, reply)]), &with_key);
        assert_eq!(delivered.letters(), letters, "{reply}: {delivered:?}");
        let text = String::from_utf8_lossy(&delivered.stdout).into_owned();
        let asks = text.contains("perhaps it does not take our client certificate for a login at relay.example");
        assert_eq!(asks, letters.contains('Z') || letters.contains('s'), "{reply}: {text}");
    }
}
