//! The delivery machine over TLS, step by step: what it says at its end, what it waits for and how long, and where it goes on
//! when TLS fails.

use crate::support::certificate::Authority;
use crate::support::talk::Talk;
use qmail_remote::want::{Happened, Want};
use rustls::version::{TLS12, TLS13};
use rustls::{AlertDescription, Error};
use std::io::Read;

/// Silence in the handshake, for mail that may do without TLS and for mail that may not.
#[test]
fn a_handshake_that_comes_to_no_end() {
    let mut talk = Talk::new(587, "");
    talk.starttls();
    talk.client();
    talk.delivery.happened(Happened::TimedOut);
    talk.closed();
    talk.connect();
    talk.relay("220 hi\r\n");
    assert_eq!(talk.client(), "EHLO client.example.net\r\n");
    talk.relay("250 STARTTLS\r\n");
    assert_eq!(talk.client(), "MAIL FROM:<a@example.net>\r\n");

    let mut talk = Talk::new(587, "myuser secretpass");
    talk.starttls();
    talk.client();
    talk.delivery.happened(Happened::TimedOut);
    talk.closed();
    talk.not_connected();
    assert!(talk.report().contains("TLS failed: nothing was said over it in time"), "{}", talk.report());
}

/// The second address is another server: it is asked for TLS although the first could not do it.
#[test]
fn the_next_address_is_asked_for_tls() {
    let mut talk = Talk::new(587, "");
    talk.starttls();
    talk.client();
    talk.delivery.happened(Happened::Closed);
    talk.closed();
    talk.connect();
    talk.relay("554 not here\r\n");
    talk.closed();
    talk.connect();
    talk.relay("220 hi\r\n");
    talk.client();
    talk.relay("250 STARTTLS\r\n");
    assert_eq!(talk.client(), "STARTTLS\r\n");
}

/// close_notify is an end of what the relay says, also where it leaves the connection open or octets follow.
#[test]
fn close_notify() {
    for behind in [&b""[..], b"\x17\x03\x03\0\x01x", b"250 a\r\n"] {
        let mut talk = Talk::new(587, "myuser secretpass");
        talk.starttls();
        talk.handshake();
        talk.tls().send_close_notify();
        let octets = [&talk.wire("")[..], behind].concat();
        talk.delivery.happened(Happened::Received(0, &octets));
        talk.closed();
        talk.not_connected();
        assert!(talk.report().contains("right after the handshake; its log says why"), "{}", talk.report());
    }
    let mut talk = Talk::new(587, "");
    talk.starttls();
    talk.handshake();
    talk.relay("250 a\r\n");
    assert_eq!(talk.client(), "MAIL FROM:<a@example.net>\r\n");
    talk.tls().send_close_notify();
    talk.relay("");
    talk.closed();
    assert!(talk.report().contains("connection died. (#4.4.2)"), "{}", talk.report());
}

/// TLS that breaks off once something was said over it is a connection lost: the mail is not sent anew in clear.
#[test]
fn tls_breaks_off() {
    let mut talk = Talk::new(587, "");
    talk.starttls();
    talk.handshake();
    talk.relay("250 PIPELINING\r\n");
    assert!(talk.client().ends_with("DATA\r\n"));
    talk.relay("250 a\r\n250 b\r\n354 go\r\n");
    talk.delivery.happened(Happened::Message(b"Subject: x\n"));
    talk.delivery.happened(Happened::MessageEnd);
    assert!(talk.client().ends_with("\r\n.\r\nQUIT\r\n"));
    talk.delivery.happened(Happened::Received(0, b"\x17\x03\x03\0\x05broke"));
    talk.closed();
    let report = talk.report();
    assert!(
        report.starts_with("r\0ZConnected to 192.0.2.1 but connection died. Possible duplicate! (#4.4.2)"),
        "{report}"
    );
    assert!(report.contains("TLS broke off: "), "{report}");

    // In one piece with the reply that lets the login begin.
    let mut talk = Talk::new(587, "myuser secretpass");
    talk.starttls();
    talk.handshake();
    let octets = [&talk.wire("250 AUTH PLAIN\r\n")[..], b"\x17\x03\x03\0\x05broke"].concat();
    talk.delivery.happened(Happened::Received(0, &octets));
    talk.closed();
    talk.not_connected();
    talk.not_connected();
    assert!(talk.report().contains("TLS broke off: "), "{}", talk.report());
}

/// What the kernel has not taken of a message must not follow when all is over.
#[test]
fn nothing_follows_a_report() {
    let mut talk = Talk::new(587, "");
    talk.starttls();
    talk.handshake();
    talk.relay("250 PIPELINING\r\n");
    talk.client();
    talk.relay("250 a\r\n250 b\r\n354 go\r\n");
    talk.delivery.happened(Happened::Message(b"Subject: x\n"));
    talk.delivery.happened(Happened::MessageEnd);
    talk.relay("250 early\r\n");
    assert_eq!(talk.closed(), b"");
    assert!(talk.report().contains("a reply came out of step. (#4.5.0)"), "{}", talk.report());
}

/// A reply that was in hand before its command was sent is none, over TLS too.
#[test]
fn a_reply_before_its_command() {
    let mut talk = Talk::new(587, "");
    talk.starttls();
    talk.handshake();
    talk.relay("250 a\r\n");
    talk.client();
    talk.relay("250 a\r\n");
    assert_eq!(talk.client(), "RCPT TO:<b@example.org>\r\n");
    talk.relay("250 b\r\n");
    assert_eq!(talk.client(), "DATA\r\n");
    talk.relay("354 go\r\n250 ok\r\n");
    talk.closed();
    assert!(talk.report().starts_with("r\0Z") && talk.report().contains("out of step"), "{}", talk.report());
}

/// EHLO refused over TLS: HELO offers nothing, whatever the EHLO reply in clear has said.
#[test]
fn hello_refused_over_tls() {
    for login in ["", "myuser secretpass"] {
        let mut talk = Talk::new(587, login);
        talk.starttls();
        talk.handshake();
        talk.relay("502 no\r\n");
        assert_eq!(talk.client(), "HELO client.example.net\r\n");
        talk.relay("250 a\r\n");
        if login.is_empty() {
            assert_eq!(talk.client(), "MAIL FROM:<a@example.net>\r\n", "one by one");
        } else {
            talk.closed();
            assert!(talk.report().contains("the relay offers no AUTH here"), "{}", talk.report());
        }
    }
}

/// No octet may come behind the reply to STARTTLS, be it the beginning of a reply or of TLS: it would be taken for the relay's.
#[test]
fn any_octet_in_clear_behind_starttls() {
    for behind in ["2", "\r", "\n", "250-", "250 a\r\n", "\u{16}\u{3}\u{3}\0\u{2}ab"] {
        let mut talk = Talk::new(587, "");
        talk.relay("220 hi\r\n");
        talk.client();
        talk.relay("250-a\r\n250 STARTTLS\r\n");
        talk.client();
        talk.relay(&format!("220 go\r\n{behind}"));
        assert_eq!(talk.closed(), b"", "{behind:?}");
        talk.not_connected();
        assert!(talk.report().contains("spoke in clear after STARTTLS"), "{behind:?}: {}", talk.report());
    }
}

/// The relay learns why: by an alert when its certificate does not verify, by close_notify behind QUIT at the end.
#[test]
fn last_words() {
    let stranger = Authority::new("Stranger CA").issue(&["relay.example"]);
    for (version, port) in [(&TLS12, 587), (&TLS13, 587), (&TLS13, 465)] {
        let mut talk = Talk::with(port, "myuser secretpass", &Authority::new("My CA").pem, &stranger, &[version]);
        match port {
            465 => talk.begin_tls(),
            _ => talk.starttls(),
        }
        talk.client();
        talk.relay("");
        let alert = talk.closed();
        talk.not_connected();
        let tls = talk.tls();
        tls.read_tls(&mut &alert[..]).unwrap();
        let error = tls.process_new_packets().unwrap_err();
        assert_eq!(error, Error::AlertReceived(AlertDescription::UnknownCA));
        assert!(talk.report().contains("it is issued by CN=Stranger CA"), "{}", talk.report());
    }
    for pipelining in [true, false] {
        let mut talk = Talk::new(587, "");
        talk.starttls();
        talk.handshake();
        talk.relay(if pipelining { "250 PIPELINING\r\n" } else { "250 a\r\n" });
        for reply in
            if pipelining { &["250 a\r\n250 b\r\n354 go\r\n"][..] } else { &["250 a\r\n", "250 b\r\n", "354 go\r\n"] }
        {
            talk.client();
            talk.relay(reply);
        }
        talk.delivery.happened(Happened::MessageEnd);
        assert_eq!(talk.client(), if pipelining { ".\r\nQUIT\r\n" } else { ".\r\n" });
        talk.relay("250 taken\r\n");
        let last = talk.closed();
        let tls = talk.tls();
        tls.read_tls(&mut &last[..]).unwrap();
        assert!(tls.process_new_packets().unwrap().peer_has_closed());
        let mut said = String::new();
        tls.reader().read_to_string(&mut said).unwrap();
        assert_eq!(said, if pipelining { "" } else { "QUIT\r\n" });
        assert!(talk.report().starts_with("r\0K"), "{}", talk.report());
    }
}

/// timeoutremote is for the handshake and, from its end, for the greeting behind it: three quarters of it, as there is another address.
#[test]
fn deadlines() {
    let ca = Authority::new("My CA");
    let mut talk = Talk::with(465, "", &ca.pem, &ca.issue(&["relay.example"]), &[&TLS12]);
    talk.begin_tls();
    assert_eq!(talk.deadline(), 15_000);
    talk.client();
    talk.now = 5_000;
    talk.relay("");
    talk.client();
    assert_eq!(talk.deadline(), 20_000);
    talk.now = 9_000; // the last flight of the handshake is the relay's
    talk.relay("");
    assert_eq!(talk.deadline(), 24_000);
    // Tickets without end are no reply. It is less here, since there is a way in clear as well.
    let mut talk = Talk::new(587, "");
    talk.starttls();
    talk.handshake();
    talk.now = 11_249;
    talk.tls().refresh_traffic_keys().unwrap();
    talk.relay("");
    talk.client();
    assert_eq!(talk.deadline(), 11_250);
    talk.now = 11_250;
    talk.tls().refresh_traffic_keys().unwrap();
    talk.relay("");
    assert!(matches!(talk.delivery.want(talk.now), Want::Close(_)));
}

/// The connection that was to go on with a login cannot be made: the report is that of the login.
#[test]
fn no_second_connection() {
    let mut talk = Talk::new(587, "myuser secretpass");
    talk.starttls();
    talk.handshake();
    talk.relay("250 AUTH PLAIN LOGIN\r\n");
    assert!(talk.client().starts_with("AUTH PLAIN "));
    talk.delivery.happened(Happened::Closed);
    talk.closed();
    talk.not_connected(); // and the other address is not asked to log in: the refusal would count twice
    assert!(
        talk.report().contains("login failed as myuser") && talk.report().contains("tried PLAIN"),
        "{}",
        talk.report()
    );
}
