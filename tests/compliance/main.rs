//! What a qmail-remote does, case by case, as data: tests/compliance/*.toml. The same cases run against another program with
//! `QMAIL_REMOTE_UNDER_TEST=/path/to/qmail-remote script/test compliance`; it has to have /var/qmail compiled in, or find
//! it. `CASE=words` runs only those with these words in their name.
//!
//! To add a case, copy one. Its fields:
//!
//! * `name`; and `fact`, what it rests on: an RFC, or what stock qmail-remote does.
//! * `argv`, without the program's name; `message`. The usual ones if absent.
//! * `control`: control files by name; `me`, timeouts of 20 seconds and `smtproutes` with `:192.0.2.7` are there unless they
//!   are replaced here or named in `no_control`. A name that ends in `/` is a directory, `->` before a content makes a link.
//! * `server`: what the server at 192.0.2.7, port 25, says, by the beginning of the line it answers, else by `greeting`: a
//!   reply (LF stands for CRLF, the last may be absent), `raw ` and octets, `silence`, `close`, a list of these, or `turns`: a
//!   list of what it says the first time, the second, and so on, over all its connections. The usual replies for the rest; EHLO
//!   is refused, and then is not on the wire. `servers`: the same for other addresses, also with a port.
//! * `stdout`: the reports, without their NULs and without the line of ours that ends a K, `tls=none cert=unverified auth=none`.
//! * `wire`: the lines that the servers got. `{usual}` stands for those of a delivery in which nothing is odd, `{data}` for
//!   those of it from DATA on, `{end}` for the end of a connection inside a line. `=> ADDRESS` begins a connection, and may be
//!   absent if it is the only one and to 192.0.2.7; `=> ADDRESS from ADDRESS` also says where it comes from. Where another
//!   program is to say `EHLO`, HELO is expected.
//! * `tcpto`: queue/lock/tcpto, if it is to exist. `runs`: for what is random.
//! * `config`, in the place of `stdout` and `wire`: the `status` of `qmail-remote-check --config`, and what it `says` besides the
//!   home, what is said in each connection, and who can read a secret. The word secret must not be in it.
//! * `check`, in the place of `stdout` and `wire`: whether qmail-remote-check finds such a mail `ok`, words that it `says` in its
//!   answer, and lines that it `prints` before it. Nothing secret must be in them, and no mail is sent.
//! * `stock`: `why` and in what stock differs on purpose. `only_ours`: why no other program can run the case.
//! * `rows`: the case is several, one for each; or, if these are lists of rows, one for each of their combinations. A row's
//!   values stand where the case has their names in braces; a list stands for lines.
//!
//! A character in a case is one octet, so those of UTF-8 are written singly; `{1000 x}` is x a thousand times, `{base64 x}` is
//! x in base64. In `stdout` and `wire`, `{any}` is anything up to the end of the line, and a line of `wire` behind `{maybe}` may
//! have been on its way when the server closed, and so be there or not.

#[macro_use]
#[path = "../support/mod.rs"]
mod support;

mod case;
mod run;
mod server;

use crate::support::namespace::{WITH_A_NAME_SERVER, inside_with};
use std::fs;

/// Where the server of most cases listens. It is no address of an interface.
const USUAL_SERVER: &str = "192.0.2.7";

const DIRECTORY: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/compliance");

/// Whole networks whose every address is taken here without being an interface's, which own addresses are told by.
const ROUTES: &str = "ip route add local 192.0.2.0/24 dev lo && ip -6 route add local 2001:db8::/64 dev lo && \
    echo 1 >/proc/sys/net/ipv6/ip_nonlocal_bind";

/// A test for each file of cases.
macro_rules! topics {
    ($($topic:ident)*) => {
        const TOPICS: &[&str] = &[$(stringify!($topic)),*];
        $(
            #[test]
            fn $topic() {
                if inside_with(here!(), &WITH_A_NAME_SERVER, ROUTES) {
                    run::all(stringify!($topic));
                }
            }
        )*
    };
}

topics! {
    addresses arguments check clear config control dns greeting login_refusals logins mail_replies mechanisms message
    next_exchanger own_addresses parameters pipelining relay_names relays routes secrets senders smtputf8 tcpto tokens
}

#[test]
fn every_file_is_a_topic() {
    let mut found: Vec<String> = fs::read_dir(DIRECTORY)
        .unwrap()
        .filter_map(|entry| entry.unwrap().file_name().to_str()?.strip_suffix(".toml").map(str::to_owned))
        .collect();
    found.sort();
    let mut topics = TOPICS.to_vec();
    topics.sort_unstable();
    assert_eq!(found, topics);
}
