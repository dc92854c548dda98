//! qmail-remote-check and TLS: certificates that do not verify, handshakes that come to nothing, client certificates.

use crate::support::certificate::{Authority, Identity};
use crate::support::check::{Setting, broken, good};
use crate::support::namespace::{RELAY, inside};
use crate::support::server::{Rules, Tls};
use rustls::RootCertStore;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use rustls::server::WebPkiClientVerifier;
use std::sync::Arc;

const LOGIN: &str = "myuser secretpass";

#[test]
fn tls_that_fails() {
    if !inside(here!()) {
        return;
    }
    let ca = Authority::new("My CA");
    let with = |rules: Rules| {
        let setting = Setting::named("relay.example", (RELAY, 0), rules, LOGIN);
        setting.control("tlscafile", "control/ca.pem\n").control("ca.pem", &ca.pem)
    };
    let showing = |identity: &Identity| with(Rules::over_tls(Tls::of(identity)));
    let names = ["relay.example"];
    let right = || Tls::of(&ca.issue(&names));
    broken(
        "no STARTTLS",
        || with(Rules::default()),
        &[
            "no STARTTLS is offered: stripped on the way, or the wrong port?",
            "only on a net that nobody else can read, write the user as -myuser in control/smtproutes line 1",
        ],
    );
    broken(
        "expired",
        || showing(&ca.issue_expired(&names)),
        &[
            "it expired at 2020-02-03T00:00:00Z; ask the relay's owner to renew it: mail that needs it waits until then",
            "or the clock of this machine is wrong",
        ],
    );
    broken("not yet valid", || showing(&ca.issue_not_yet_valid(&names)), &["it is not valid before 2200-03-04"]);
    broken(
        "wrong name",
        || showing(&ca.issue(&["other.example"])),
        &["it is for other.example, not for relay.example"],
    );
    let stranger = Authority::new("Stranger CA");
    broken(
        "unknown CA",
        || showing(&stranger.issue(&names)),
        &[
            "it is issued by CN=Stranger CA, unknown to ",
            "write the path of that into control/relays/relay.example/cafile",
        ],
    );
    broken(
        "self-signed",
        || showing(&Identity::self_signed(&names, false, |_| {})),
        &["it is self-signed; if it is known"],
    );
    broken(
        "STARTTLS refused",
        || with(Rules::over_tls(right()).answering(&[("STARTTLS", "454 4.7.0 TLS not available")])),
        &["STARTTLS is refused; the relay's log says why", "454 4.7.0 TLS not available"],
    );
    let alert = || with(Rules::over_tls(Tls::Raw(vec![21, 3, 3, 0, 2, 2, 40])));
    broken("handshake refused", alert, &["TLS failed: the relay ended it (alert HandshakeFailure)"]);
    let no_tls = || with(Rules::over_tls(Tls::Raw(b"500 what?\r\n".to_vec())));
    broken("no TLS behind STARTTLS", no_tls, &["TLS failed: what came is no TLS"]);
    let injected = || with(Rules::over_tls(right()).answering(&[("STARTTLS", "220 go\r\n250 AUTH PLAIN\r\n")]));
    broken("clear text behind STARTTLS", injected, &["the server spoke in clear after STARTTLS"]);
    broken(
        "cafile missing",
        || with(Rules::over_tls(right())).control("relays/relay.example/cafile", "control/none.pem\n"),
        &["none.pem (of control/relays/relay.example/cafile): No such file or directory"],
    );
    broken(
        "cafile is another kind of file",
        || with(Rules::over_tls(right())).control("ca.pem", "no PEM\n"),
        &["ca.pem (of control/tlscafile): no certificate in it"],
    );
    broken(
        "clientcert missing",
        || {
            let setting =
                with(Rules::over_tls(right())).control("relays/relay.example/clientcert", "control/none.pem\n");
            setting.control("relays/relay.example/clientkey", "control/none.pem\n")
        },
        &["none.pem (of control/relays/relay.example/clientcert): No such file or directory"],
    );
    for (word, says) in [
        ("verify", "control/relays/relay.example/tls demands it"),
        ("encrypt", "control/relays/relay.example/tls demands it"),
    ] {
        broken(
            "no TLS, no login, and tls demands it",
            || {
                let rules = Rules { auth_required: false, ..Rules::default() };
                Setting::named("relay.example", (RELAY, 0), rules, "").control("relays/relay.example/tls", word)
            },
            &[says],
        );
    }
    broken(
        "clear text refused by tls",
        || with(Rules::offering(&["AUTH PLAIN"])).control("relays/relay.example/tls", "may\n"),
        &[
            "the password must not go out in clear, and no STARTTLS is offered (stripped on the way?): first try port 465",
            "(:relay.example:465); only on a net that nobody else can read, write the user as -myuser in control/smtproutes line 1",
        ],
    );
    broken(
        "port 465 without TLS",
        || {
            let setting = Setting::named("relay.example", (RELAY, 465), Rules::default(), LOGIN);
            setting.control("tlscafile", "control/ca.pem\n").control("ca.pem", &ca.pem)
        },
        &["TLS failed: ", "is this the right port? 587 has STARTTLS, 465 TLS at once"],
    );
    // What is wrong with a certificate is told before the end, too.
    let setting = || showing(&ca.issue_expired(&names));
    let checked = broken("the certificate", setting, &[]);
    let line = checked.stdout.lines().find(|line| line.starts_with("certificate ")).unwrap();
    let told =
        "for relay.example; issued by CN=My CA; until 2020-02-03T00:00:00Z; NOT verified: it expired at 2020-02-03";
    assert!(line.contains(told), "{line}");
}

#[test]
fn client_certificates() {
    if !inside(here!()) {
        return;
    }
    let ca = Authority::new("My CA");
    let identity = ca.issue(&["relay.example"]);
    let ours = ca.issue(&["client.example"]);
    let mut anchors = RootCertStore::empty();
    anchors.add(CertificateDer::from_pem_slice(ca.pem.as_bytes()).unwrap()).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let clients = WebPkiClientVerifier::builder_with_provider(Arc::new(anchors), provider).build().unwrap();
    let demanding = Tls::with(rustls::ALL_VERSIONS, Some(clients), vec![identity.der.clone()], identity.key());
    let with = |rules: Rules, user: &str| {
        let setting = Setting::named("relay.example", (RELAY, 0), rules, "");
        let setting = setting.control("tlscafile", "control/ca.pem\n").control("ca.pem", &ca.pem);
        let setting = setting.control("our.pem", &ours.pem).control("our.key", &ours.key_pem);
        let setting = setting.control("relays/relay.example/clientcert", "control/our.pem\n");
        let setting = setting.control("relays/relay.example/clientkey", "control/our.key\n");
        if user.is_empty() { setting } else { setting.control("relays/relay.example/user", user) }
    };
    let external = || {
        let rules = Rules { tls: Some(demanding.clone()), ..Rules::offering(&["AUTH PLAIN EXTERNAL"]) };
        rules.answering(&[("AUTH EXTERNAL", "235 2.7.0 ok")])
    };
    good("EXTERNAL", || with(external(), ""), &["as the client certificate's user through relay.example:"]);
    good("EXTERNAL for a user", || with(external(), "myself"), &["as myself through relay.example:"]);
    let says = ["whether it accepts our certificate as a login shows only at MAIL"];
    let without = || Rules { tls: Some(demanding.clone()), ..Rules::offering(&["PIPELINING"]) };
    good("the certificate alone", || with(without(), ""), &says);
    broken(
        "EXTERNAL refused",
        || with(external().answering(&[("AUTH EXTERNAL", "535 5.7.8 who?")]), ""),
        &["check the client certificate", "535 5.7.8 who?"],
    );
    broken(
        "nobody asks for the certificate",
        || with(Rules::over_tls(Tls::of(&identity)), ""),
        &["the relay asks for no client certificate"],
    );
}
