//! A whole delivery without a network, with a server that sends anything: the rules of docs/dev/design.md hold.
//!
//! The first octet of the input chooses the setting, the second one what is unusual about the mail. Then comes a piece for each
//! event, a letter and its argument. `r`: what the server sends after it has read everything; a piece with an unknown letter is the
//! same. `e`: what it sends at once. `s`: the kernel takes as many octets as the next octet says. `f`: sending fails. `c`: the
//! server closes. `t`: nothing happens until the deadline. `g`: octets outside of TLS.
#![no_main]

#[path = "../../tests/support/certificate.rs"]
#[allow(dead_code)] // the tests use the rest
mod certificate;
#[path = "../../tests/support/home.rs"]
#[allow(dead_code)]
mod home;
#[path = "../../tests/support/reports.rs"]
mod reports;

use certificate::Authority;
use home::Home;
use qmail_remote::check;
use qmail_remote::control::home::Surroundings;
use qmail_remote::delivery::Delivery;
use qmail_remote::want::{Address, Happened, Ran, Want};
use rustls::ServerConfig;
use std::io::{Error, ErrorKind};
use std::iter::Peekable;
use std::os::unix::process::ExitStatusExt;
use std::process::ExitStatus;
use std::sync::{Arc, LazyLock};
use support::memory::{Counting, peak_of};
use support::peer::Peer;
use support::replies::replies;
use support::secrets::Secrets;
use support::{Server, pieces};

#[global_allocator]
static MEMORY: Counting = Counting;

/// A time at which the certificate is valid.
const UNIX: u64 = 1_800_000_000;
const MX: &[u8] = include_bytes!("../corpus/mx/two");

/// The route of the mail.
struct Setting {
    home: Home,
    /// The addresses of the relay.
    ips: &'static [&'static str],
    config: Option<Arc<ServerConfig>>,
    has_login: bool,
    /// The login is by a token, which a program is asked for.
    has_token: bool,
    /// The password may go out in clear.
    in_clear: bool,
}

static SETTINGS: LazyLock<Vec<Setting>> = LazyLock::new(|| {
    const OUTSIDE: &[&str] = &["192.0.2.1", "2001:db8::1"];
    const LOOPBACK: &[&str] = &["127.0.0.1"];
    let setting = |route: &str, ips, in_clear| {
        let has_login = route.contains("secret");
        Setting { home: Home::with_route(route), ips, config: None, has_login, has_token: false, in_clear }
    };
    let policy = |setting: Setting, word: &str| {
        setting.home.control("relays/relay.example/tls", word);
        setting
    };
    let by_token = |mut setting: Setting, host: &str| {
        setting.home.control(&format!("relays/{host}/user"), "myuser");
        setting.home.control(&format!("relays/{host}/oauth/command"), "/a/program");
        (setting.has_login, setting.has_token) = (true, true);
        setting
    };
    let ca = Authority::new("My CA");
    let relay = ca.issue(&["relay.example"]);
    let config = ServerConfig::builder().with_no_client_auth().with_single_cert(vec![relay.der.clone()], relay.key());
    let over_tls = setting("relay.example:465 myuser Q9secretQ9", OUTSIDE, false);
    over_tls.home.control("tlscafile", "control/ca.pem");
    over_tls.home.control("ca.pem", &ca.pem);
    vec![
        setting("localhost:587 myuser Q9secretQ9", &[], true), // needs no lookup
        setting("relay.example:587 myuser Q9secretQ9", LOOPBACK, false),
        setting("relay.example:587 myuser Q9secretQ9", OUTSIDE, false),
        setting("relay.example:587 -myuser Q9secretQ9", OUTSIDE, true),
        policy(setting("relay.example:587 myuser Q9secretQ9", OUTSIDE, false), "may"),
        policy(setting("relay.example:587 myuser Q9secretQ9", LOOPBACK, false), "none"),
        setting("relay.example:587", OUTSIDE, false),
        setting("relay.example:465 myuser Q9secretQ9", LOOPBACK, false),
        Setting { config: Some(Arc::new(config.unwrap())), ..over_tls },
        setting("", OUTSIDE, false), // by MX
        by_token(setting("localhost:587", &[], true), "localhost"),
        by_token(setting("relay.example:587", OUTSIDE, false), "relay.example"),
    ]
});

libfuzzer_sys::fuzz_target!(|input: &[u8]| {
    let settings = &*SETTINGS;
    let [setting, odd, events @ ..] = input else { return };
    let setting = &settings[usize::from(*setting) % settings.len()];
    let mut server = Server::default();
    let events: Vec<(u8, Vec<u8>)> = pieces(events).filter_map(|piece| event(piece, &mut server)).collect();
    let mut odd = Odd::of(*odd);
    let peak = peak_of(|| run(setting, &mut odd, events));
    assert!(odd.is_check || peak < 1 << 20, "{peak} octets");
});

fn event(piece: &[u8], server: &mut Server) -> Option<(u8, Vec<u8>)> {
    match piece.split_first()? {
        (letter @ (b's' | b'g'), rest) => Some((*letter, rest.to_vec())),
        (letter @ (b'r' | b'e' | b'f' | b'c' | b't'), rest) => Some((*letter, server.octets(rest))),
        _ => Some((b'r', server.octets(piece))),
    }
}

/// What is unusual about the mail.
struct Odd {
    /// The pieces of the message.
    message: Vec<&'static [u8]>,
    is_partial: bool,
    cannot_be_read: bool,
    cannot_be_measured: bool,
    /// Connections to other addresses than the first are refused.
    only_first_answers: bool,
    is_non_ascii: bool,
    /// qmail-remote-check, which sends no mail.
    is_check: bool,
}

impl Odd {
    fn of(bits: u8) -> Odd {
        static LARGE: LazyLock<Vec<u8>> = LazyLock::new(|| b"a line\n.\n..\r\n".repeat(8 * 1024));
        let mut message: Vec<&[u8]> = vec![b"Subject: x\n\n.\n", b".a\r", b"\n\n.", b"\n"];
        if bits & 3 == 1 {
            message.extend(LARGE.chunks(8192));
        }
        if bits & 3 == 2 {
            message.push(b"the end");
        }
        Odd {
            message,
            is_partial: bits & 3 == 2,
            cannot_be_read: bits & 3 == 3,
            cannot_be_measured: bits & 4 != 0,
            only_first_answers: bits & 8 != 0,
            is_non_ascii: bits & 16 != 0,
            is_check: bits & 32 != 0,
        }
    }
}

/// Runs a delivery to its end.
fn run(setting: &Setting, odd: &mut Odd, events: Vec<(u8, Vec<u8>)>) {
    let secrets = if setting.has_token {
        Secrets::of_token("myuser", "Q9secretQ9", ("localhost", 587))
    } else {
        Secrets::of(b"myuser", b"Q9secretQ9")
    };
    let mut tokens = 0;
    let mut delivery = start(setting, odd);
    let bound = 2000 + 4 * events.len() as u64;
    let mut events = events.into_iter().peekable();
    let mut peers: Vec<Peer> = Vec::new();
    let mut message = odd.message.iter();
    let mut log = Vec::new();
    for now in 0.. {
        assert!(now < bound, "no end: {:?}", delivery.want(now));
        log.extend(delivery.log().output(now));
        match delivery.want(now) {
            Want::Mx(_) => delivery.happened(Happened::Mx(MX, now)),
            Want::Addresses(_) => {
                delivery.happened(Happened::Resolved(
                    setting.ips.iter().map(|ip| Address { ip: ip.parse().unwrap(), scope: 0 }).collect(),
                ));
            }
            Want::OwnAddresses => delivery.happened(Happened::OwnAddressesEnd),
            Want::Tcpto(_) => drop(delivery.tcpto(b"", UNIX)),
            Want::Lock(..) if odd.cannot_be_measured => {
                let error = &ErrorKind::WouldBlock.into();
                delivery.happened(Happened::NotLocked { now, unix: UNIX, error });
            }
            Want::Lock(..) => delivery.happened(Happened::Locked { now, unix: UNIX }),
            Want::Release => delivery.release(UNIX),
            Want::Connect(..) if odd.only_first_answers && !peers.is_empty() => {
                delivery.happened(Happened::NotConnected(&ErrorKind::ConnectionRefused.into()));
            }
            Want::Connect(..) => {
                peers.push(Peer::new(setting.config.clone()));
                assert!(peers.len() <= 8, "too many connections");
                delivery.happened(Happened::Connected { now, unix: UNIX });
            }
            Want::Prescan if odd.cannot_be_measured => delivery.happened(Happened::NotPrescanned),
            Want::Prescan => {
                odd.message.iter().for_each(|piece| delivery.happened(Happened::Message(piece)));
                delivery.happened(Happened::MessageEnd);
            }
            Want::Message(_) if !next_is(&mut events, b"ect") => match message.next() {
                Some(piece) => delivery.happened(Happened::Message(piece)),
                None if odd.cannot_be_read => delivery.happened(Happened::MessageFailed(&Error::other("no more"))),
                None => delivery.happened(Happened::MessageEnd),
            },
            Want::Io(..) | Want::Message(_) => talk(&mut delivery, now, &mut events, peers.last_mut().unwrap()),
            Want::Run(_) => {
                tokens += 1;
                assert!(setting.has_token && tokens <= 2, "too many tokens");
                // The second one is another, the same, or none, by what is odd.
                let printed: &[u8] = match odd.cannot_be_measured {
                    _ if tokens == 1 => b"Q9secretQ9\n",
                    true => b"Q9secretQ9Q9\n",
                    false if odd.only_first_answers => b"not now",
                    false => b"Q9secretQ9",
                };
                let status = ExitStatus::from_raw(if printed == b"not now" { 75 << 8 } else { 0 });
                delivery.happened(Happened::Ran(Ran::Done(status, printed), UNIX));
            }
            Want::Random => delivery.happened(Happened::Random((now % 16 > 0).then_some([7; 18]))),
            Want::Close(last_words) => {
                peers.last_mut().unwrap().hear(last_words);
                delivery.happened(Happened::Disconnected(now));
            }
            Want::Done(report) => {
                let report = report.to_vec();
                log.extend(delivery.log().output(now));
                if setting.has_login {
                    let heard = peers.iter().map(|peer| &peer.heard[..]).collect::<Vec<_>>().concat();
                    let of_token = secrets.once_sent(&heard); // its base64 is not hidden before
                    let secrets = if setting.has_token { &of_token } else { &secrets };
                    assert!(!secrets.is_in_lines(&report), "{}", report.escape_ascii());
                    assert!(!secrets.is_in(&log), "{}", log.escape_ascii());
                }
                peers.iter().for_each(|peer| check_heard(peer, setting, odd, &secrets));
                return check_report(&report, &peers, odd);
            }
        }
    }
}

fn start(setting: &Setting, odd: &Odd) -> Delivery {
    let surroundings = Surroundings { qmailhome: Some(setting.home.path()), ..Default::default() };
    let sender = if odd.is_non_ascii { "s\u{e9}nder@example.net" } else { "sender@example.net" };
    if odd.is_check {
        let arguments = ["--dialogue", "example.org", sender].map(Into::into).into();
        check::prepare(arguments, &surroundings, 1).unwrap_or_else(|code| panic!("{code}")).start()
    } else {
        let recipients = ["one@example.org", "two@example.org"].map(str::as_bytes);
        Delivery::new(&[b"example.org", sender.as_bytes(), recipients[0], recipients[1]], &surroundings)
    }
}

type Events = Peekable<std::vec::IntoIter<(u8, Vec<u8>)>>;

fn next_is(events: &mut Events, letters: &[u8]) -> bool {
    events.peek().is_some_and(|(letter, _)| letters.contains(letter))
}

/// Passes the next event of a connection to the delivery.
fn talk(delivery: &mut Delivery, now: u64, events: &mut Events, peer: &mut Peer) {
    let (octets, is_message) = match delivery.want(now) {
        Want::Io(octets, _) => (octets, false),
        _ => (&[][..], true),
    };
    let take = |delivery: &mut Delivery, peer: &mut Peer, octets: Vec<u8>| {
        let answer = peer.hear(&octets);
        delivery.happened(Happened::Sent(now, octets.len()));
        if !answer.is_empty() {
            delivery.happened(Happened::Received(now, &answer));
        }
    };
    if !octets.is_empty() && (peer.is_handshaking() || !next_is(events, b"esfct")) {
        let octets = octets.to_vec();
        return take(delivery, peer, octets);
    }
    let is_handshaking = peer.is_handshaking();
    match events.next() {
        Some((b'r' | b'e', said)) if !is_handshaking => {
            let wire = peer.say(&said);
            if !wire.is_empty() {
                delivery.happened(Happened::Received(now, &wire));
            }
        }
        Some((b'g', octets)) if !octets.is_empty() => {
            peer.say_outside_tls(&octets);
            delivery.happened(Happened::Received(now, &octets));
        }
        Some((b's', count)) if !octets.is_empty() => {
            let count = octets.len().min(count.first().map_or(1, |count| usize::from(*count)));
            let octets = octets[..count].to_vec();
            take(delivery, peer, octets);
        }
        Some((b'f', _)) if !octets.is_empty() && !is_message => delivery.happened(Happened::SendFailed),
        Some((b't', _)) => delivery.happened(Happened::TimedOut),
        Some((b'c', _)) | None => delivery.happened(Happened::Closed),
        Some(_) => {}
    }
}

/// No password is sent in clear without permission, and no mail without the configured login.
fn check_heard(peer: &Peer, setting: &Setting, odd: &Odd, secrets: &Secrets) {
    let has = |word: &[u8]| peer.heard.windows(word.len()).any(|window| window == word);
    let text = || peer.heard.escape_ascii().to_string();
    if setting.config.is_none() {
        assert!(setting.in_clear || !secrets.is_in(&peer.heard), "{}", text());
        assert!(!(has(b"\r\nSTARTTLS\r\n") && secrets.is_in(&peer.heard)), "{}", text());
    }
    if has(b"MAIL FROM:") {
        assert!(!odd.is_check, "{}", text());
        let is_logged_in = replies(&peer.said).replies.iter().any(|reply| reply.code == 235);
        assert!(is_logged_in || !setting.has_login, "{}", text());
    }
    assert!(peer.said_before_dot.is_none() || !odd.is_partial && !odd.cannot_be_read, "{}", text());
}

/// K only if the server accepted the message, D only if it refused after MAIL, or if the message can never be sent.
fn check_report(output: &[u8], peers: &[Peer], odd: &Odd) {
    let reports = reports::reports(output);
    let (verdict, recipients) = reports.split_last().unwrap();
    let text = output.escape_ascii();
    let letters: String = recipients.iter().map(|report| &report[..1]).collect();
    if verdict.starts_with('K') && !odd.is_check {
        let peer = peers.last().unwrap();
        let before = peer.said_before_dot.unwrap_or_else(|| panic!("no dot was sent: {text}"));
        let found = replies(&peer.said).replies;
        let answer = found.iter().position(|reply| reply.start >= before).unwrap_or_else(|| panic!("no reply: {text}"));
        assert!((200..300).contains(&found[answer].code) && found[answer - 1].code == 354, "{text}");
        assert!(letters.len() == 2 && letters.contains('r'), "{text}");
    }
    if verdict.starts_with('D') && !letters.contains('s') {
        let refuses = |code: u16| (500..600).contains(&code) && ![530, 534, 535, 538].contains(&code);
        let is_refused = peers.last().is_some_and(|peer| {
            let before = peer.said_before_mail.unwrap_or(usize::MAX);
            replies(&peer.said).replies.iter().any(|reply| reply.start >= before && refuses(reply.code))
        });
        assert!(is_refused || odd.is_partial || odd.is_non_ascii, "{text}");
    }
    assert!(
        letters.is_empty()
            || letters.len() <= 2 && peers.last().is_some_and(|peer| peer.heard.windows(5).any(|w| w == b"RCPT "))
    );
}
