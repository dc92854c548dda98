//! What goes out together over TLS is encrypted together, and yet a reply counts only behind the record that has its command.

use crate::support::talk::Talk;
use qmail_remote::want::Happened;

/// What one record can hold (RFC 8446 section 5.1).
const RECORD: usize = 1 << 14;

/// The type of a record that holds data (section 5.1).
const DATA: u8 = 23;

/// The type of each record, and its length with its head.
fn records(mut octets: &[u8]) -> Vec<(u8, usize)> {
    let mut records = Vec::new();
    while let [kind, _, _, high, low, ..] = *octets {
        let length = 5 + usize::from(u16::from_be_bytes([high, low]));
        records.push((kind, length));
        octets = &octets[length..];
    }
    assert!(octets.is_empty(), "half a record");
    records
}

fn data_records(octets: &[u8]) -> usize {
    records(octets).iter().filter(|(kind, _)| *kind == DATA).count()
}

/// Behind EHLO, whose reply offers PIPELINING.
fn pipelining(recipients: usize) -> Talk {
    let mut talk = Talk::with_recipients(587, recipients);
    talk.starttls();
    talk.handshake();
    talk.relay("250 PIPELINING\r\n");
    talk
}

/// A relay that reads record by record would answer each by itself, and its second answer would wait for our acknowledgement of the
/// first.
#[test]
fn a_flight_is_a_record() {
    let mut talk = Talk::with_recipients(587, 2);
    talk.starttls();
    talk.client();
    talk.relay("");
    let last_of_the_handshake = talk.outgoing();
    assert_eq!(data_records(&last_of_the_handshake), 2, "Finished and, behind it, EHLO");
    assert_eq!(talk.client(), "EHLO client.example.net\r\n");
    talk.relay("250 PIPELINING\r\n");

    assert_eq!(data_records(&talk.outgoing()), 1);
    let envelope = talk.client();
    assert!(envelope.starts_with("MAIL ") && envelope.ends_with(">\r\nDATA\r\n"), "{envelope}");
    talk.relay("250 a\r\n250 b\r\n250 c\r\n354 go\r\n");
    talk.delivery.happened(Happened::Message(b"Subject: x\n"));
    talk.delivery.happened(Happened::Message(b"\nx\n"));
    talk.delivery.happened(Happened::MessageEnd);
    assert_eq!(data_records(&talk.outgoing()), 1);
    assert_eq!(talk.client(), "Subject: x\r\n\r\nx\r\n.\r\nQUIT\r\n");
    talk.relay("250 taken\r\n221 bye\r\n");
    talk.closed();
    assert!(talk.report().starts_with("r\0r\0K"), "{}", talk.report());
}

/// No more records than the flight needs, and a large message in whole ones.
#[test]
fn more_than_a_record_holds() {
    let mut talk = pipelining(1000);
    let records_of_the_envelope = data_records(&talk.outgoing());
    let envelope = talk.client();
    assert_eq!(envelope.matches("RCPT TO:").count(), 1000);
    assert_eq!(records_of_the_envelope, envelope.len().div_ceil(RECORD));
    talk.relay(&format!("250 a\r\n{}354 go\r\n", "250 b\r\n".repeat(1000)));
    let line = b"a line of a large message\n";
    talk.delivery.happened(Happened::Message(&line.repeat(10_000)));
    let octets = (line.len() + 1) * 10_000;
    assert_eq!(data_records(&talk.outgoing()), octets.div_ceil(RECORD));
}

/// The kernel has taken the first record of a flight and not the rest: what stands in it may be answered, and nothing behind it.
/// Nor anything in it while its last octet is missing.
#[test]
fn a_command_is_sent_with_its_record() {
    let first = records(&pipelining(1000).outgoing())[0].1;
    // (octets that the kernel takes, replies beyond those to what stands in them, whether they count)
    for (taken, beyond, good) in [(first, 0, true), (first, 1, false), (first - 1, 0, false), (first + 1, 0, true)] {
        let mut talk = pipelining(1000);
        let heard = talk.client_sends(taken);
        // A command that is not in the record whole has not been sent, though it has begun.
        let commands = if heard.is_empty() { 1 } else { heard.matches("\r\n").count() };
        assert!(heard.is_empty() == (taken < first) && commands < 1000, "{heard}");
        talk.relay(&"250 a\r\n".repeat(commands + beyond));
        if good {
            let rest = heard + &talk.client();
            assert!(rest.ends_with("DATA\r\n"));
            talk.relay(&format!("{}354 go\r\n", "250 b\r\n".repeat(1001 - commands)));
            talk.delivery.happened(Happened::MessageEnd);
            assert_eq!(talk.client(), ".\r\nQUIT\r\n");
        } else {
            talk.closed();
            assert!(talk.report().contains("a reply came out of step. (#4.5.0)"), "{taken} {}", talk.report());
        }
    }
}

/// More of the message comes while the kernel has a part of a record: the places of what follows stay right.
#[test]
fn more_behind_half_a_record() {
    for (left, taken) in [(30_001, 1), (33_000, 16_384), (50_000, 20_000), (46_406, 1)] {
        let mut talk = pipelining(1);
        talk.client();
        talk.relay("250 a\r\n250 b\r\n354 go\r\n");
        talk.delivery.happened(Happened::Message(&b"a line of text\n".repeat(6000))); // so much that it is sent at once
        let length = talk.outgoing().len();
        let mut heard = talk.client_sends(length - left);
        talk.delivery.happened(Happened::Message(&b"more of it\n".repeat(6000)));
        heard += &talk.client_sends(taken);
        talk.delivery.happened(Happened::MessageEnd);
        heard += &talk.client();
        assert!(heard.ends_with("more of it\r\n.\r\nQUIT\r\n"));
        talk.relay("250 taken\r\n");
        talk.closed();
        assert!(talk.report().starts_with("r\0K"), "{}", talk.report());
    }
}

/// The dot has gone out with the last octet of its record, which has the QUIT as well; a 250 before that accepts nothing.
#[test]
fn the_dot_is_sent_with_its_record() {
    for missing in [0, 1] {
        let mut talk = pipelining(1);
        talk.client();
        talk.relay("250 a\r\n250 b\r\n354 go\r\n");
        talk.delivery.happened(Happened::Message(b"Subject: x\n"));
        talk.delivery.happened(Happened::MessageEnd);
        let length = talk.outgoing().len();
        talk.client_sends(length - missing);
        talk.relay("250 taken\r\n");
        talk.closed();
        let letter = if missing == 0 { "r\0K" } else { "r\0Z" };
        assert!(talk.report().starts_with(letter), "{missing}: {}", talk.report());
    }
}
