//! SCRAM by the client alone: what a relay may do to it, which mechanism is next, and what is never sent.

use crate::support::server::scram::Scram;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use qmail_auth::client::past::{Conclusion, Past};
use qmail_auth::client::{Channel, Client, Permission, Step};
use qmail_auth::detect::Offer;
use qmail_auth::{Login, PasswordLogin, mechanisms};

const NONCE: [u8; 18] = [7; 18];
const BINDING: [u8; 32] = [9; 32];

/// A client on one connection after the other, with nonces that are known before.
struct Relay {
    client: Client,
    offer: Offer,
    permission: Permission,
    channel: Channel,
    /// What the client has said, and how it went on.
    said: Vec<String>,
    /// The whole text of the last ending.
    why: String,
}

impl Relay {
    fn new(offered: &str, configured: Option<&str>, permission: Permission, channel: Channel) -> Relay {
        let mut relay = Relay::before(offered, configured, permission, channel);
        relay.connect();
        relay
    }

    /// Before the first connection.
    fn before(offered: &str, configured: Option<&str>, permission: Permission, channel: Channel) -> Relay {
        let login = PasswordLogin { user: b"u".to_vec(), password: b"p".to_vec().into(), clear_allowed: true };
        let configured = configured.map(|names| names.split(' ').filter_map(mechanisms::usable).collect());
        let offer = Offer { offered: true, names: offered.split(' ').map(str::to_owned).collect() };
        let client = Client::new(Login::Password(login), Some("here".to_owned()), configured);
        Relay { client, offer, permission, channel, said: Vec::new(), why: String::new() }
    }

    fn connect(&mut self) {
        let step = self.client.begin(self.offer.clone(), self.permission, self.channel);
        self.note(step);
    }

    fn note(&mut self, step: Step) {
        let (said, why) = match step {
            Step::Random { binding } => {
                let step = self.client.random(Some(NONCE), binding.then_some(BINDING));
                return self.note(step);
            }
            Step::Send(line) => (String::from_utf8_lossy(&line).into_owned(), None),
            Step::Proceed => ("logged in".to_owned(), None),
            Step::Reconnect(why) => ("reconnect".to_owned(), Some(why)),
            Step::Deferred(why) => ("deferred".to_owned(), Some(why)),
            Step::Failed(why) => ("failed".to_owned(), Some(why)),
        };
        self.said.push(said);
        self.why = why.map(|why| why.to_string()).unwrap_or_default();
    }

    fn reply(&mut self, code: u16, text: &str) -> &str {
        let step = self.client.step(code, text.as_bytes());
        self.note(step);
        self.last()
    }

    fn closed(&mut self) -> &str {
        let step = self.client.closed(true);
        self.note(step);
        self.last()
    }

    fn last(&self) -> &str {
        self.said.last().unwrap()
    }

    /// The server's side of the login that was begun last.
    fn server(&self) -> Scram {
        let mut words = self.last().split(' ').skip(1);
        let (mechanism, message) = (words.next().unwrap(), words.next().unwrap());
        Scram::start(mechanism, &STANDARD.decode(message).unwrap(), b"p", Some(BINDING)).unwrap()
    }

    /// The mechanisms that were tried, in short.
    fn tried(&self) -> Vec<&str> {
        self.said.iter().filter_map(|line| line.strip_prefix("AUTH ")?.split(' ').next()).collect()
    }

    /// Whether the password went out, and where.
    fn shows_password(&self) -> bool {
        self.said.iter().any(|line| line.contains("AHUAcA==") || line == "cA==")
    }
}

/// Over TLS, SCRAM first, and then what shows the password.
fn scram_first(mechanism: &str) -> Relay {
    let names = format!("{mechanism} PLAIN LOGIN");
    Relay::new(&names, Some(&names), Permission::Any, Channel::Tls13)
}

fn base64(text: impl AsRef<[u8]>) -> String {
    STANDARD.encode(text)
}

#[test]
fn logins() {
    for mechanism in crate::support::server::scram::NAMES {
        for is_in_235 in [false, true] {
            let mut relay = scram_first(mechanism);
            let server = relay.server();
            let answer = STANDARD.decode(relay.reply(334, &base64(&server.first))).unwrap();
            let proof = server.proof(&answer).unwrap_or_else(|| panic!("{mechanism}"));
            if !is_in_235 {
                assert_eq!(relay.reply(334, &base64(&proof)), "", "{mechanism}");
            }
            let text = if is_in_235 { format!("2.7.0 {}", base64(&proof)) } else { "2.7.0 ok".to_owned() };
            assert_eq!(relay.reply(235, &text), "logged in", "{mechanism}");
            assert_eq!(relay.client.accepted().unwrap().name, mechanism);
            assert_eq!(relay.client.rounds(), Some(4096));
            // Nobody can try passwords with what a report shows.
            for said in [String::from_utf8(answer).unwrap().split_once(",p=").unwrap().1, &proof[2..], &base64(&proof)]
            {
                let masked = relay.client.mask().apply(format!("550 you: {said}").as_bytes());
                assert_eq!(String::from_utf8(masked).unwrap(), "550 you: <secret>", "{mechanism}");
            }
        }
    }
}

/// Of a whole text: cut at each octet, and doubled. The same of its base64.
fn damaged(text: &str) -> Vec<String> {
    let cuts = |text: &str| (0..text.len()).map(|end| text[..end].to_owned()).collect::<Vec<_>>();
    let base64s = cuts(&base64(text)).into_iter().chain([base64(text).repeat(2), format!("{text}!")]);
    let texts = cuts(text).into_iter().chain([text.repeat(2)]).map(base64);
    base64s.chain(texts).filter(|damaged| *damaged != base64(text) && !damaged.is_empty()).collect()
}

#[test]
fn a_challenge_that_is_damaged_gets_no_answer() {
    let first = scram_first("SCRAM-SHA-256").server().first;
    let damaged = damaged(&first);
    assert!(damaged.len() > 150);
    for challenge in damaged {
        let mut relay = scram_first("SCRAM-SHA-256");
        assert_eq!(relay.reply(334, &challenge), "*", "{challenge}");
        // The same reply once more, or a login that was never made: neither is one.
        assert_eq!(relay.reply(235, "2.7.0 ok"), "deferred", "{challenge}");
        let mut relay = scram_first("SCRAM-SHA-256");
        relay.reply(334, &challenge);
        assert_eq!(relay.reply(501, "5.7.0 cancelled"), "AUTH PLAIN AHUAcA==", "{challenge}");
        assert_eq!(relay.reply(504, "no"), "reconnect");
        assert!(!relay.why.contains("(501)") && relay.why.contains("SCRAM-SHA-256 (it"), "{}", relay.why);
    }
}

/// The server has the proof that the client knows the password, and has none of its own.
#[test]
fn a_proof_that_is_damaged_ends_it_all() {
    let mut relay = scram_first("SCRAM-SHA-256");
    let server = relay.server();
    let answer = relay.reply(334, &base64(&server.first)).to_owned();
    let proof = server.proof(&STANDARD.decode(answer).unwrap()).unwrap();
    let wrong = proof.replace(&proof[5..6], if &proof[5..6] == "A" { "B" } else { "A" });
    let mut replies: Vec<(u16, String)> = Vec::new();
    for text in damaged(&proof).into_iter().chain([base64(wrong), base64(&server.first), String::new()]) {
        replies.push((334, text.clone()));
        replies.push((235, format!("2.7.0 {text}")));
    }
    replies.push((235, format!("{} no word of its own", base64("x=y"))));
    for (code, text) in replies {
        let mut relay = scram_first("SCRAM-SHA-256");
        relay.reply(334, &base64(&server.first));
        if relay.reply(code, &text) == "*" {
            assert_eq!(relay.reply(501, "5.7.0 cancelled"), "failed", "{code} {text}");
        }
        assert_eq!(relay.last(), "failed", "{code} {text}");
        assert!(relay.why.contains("the relay could not prove that it knows the password; nothing more is sent to it"));
        for _ in 0..2 {
            relay.closed();
            relay.connect();
        }
        assert!(!relay.shows_password() && relay.tried().len() == 1, "{code} {text}: {:?}", relay.said);
    }
    // What comes behind the proof is no matter.
    let mut relay = scram_first("SCRAM-SHA-256");
    relay.reply(334, &base64(&server.first));
    assert_eq!(relay.reply(334, &base64(format!("{proof},x=y"))), "");
}

#[test]
fn a_login_before_its_time() {
    let mut relay = scram_first("SCRAM-SHA-1");
    assert_eq!(relay.reply(235, "2.7.0 ok"), "failed");
    assert!(relay.why.ends_with("nothing more is sent to it"), "{}", relay.why);
    // Behind the server's proof there is one more 334.
    let mut relay = scram_first("SCRAM-SHA-1");
    let server = relay.server();
    let answer = STANDARD.decode(relay.reply(334, &base64(&server.first))).unwrap();
    relay.reply(334, &base64(server.proof(&answer).unwrap()));
    assert_eq!(relay.reply(334, ""), "*");
    assert_eq!(relay.reply(235, "2.7.0 ok"), "deferred");
}

#[test]
fn what_is_wrong_is_said() {
    let mut relay = scram_first("SCRAM-SHA-1");
    let first = relay.server().first;
    let of = |challenge: &str| {
        let mut relay = scram_first("SCRAM-SHA-1");
        relay.reply(334, &base64(challenge));
        relay.reply(501, "");
        relay.reply(504, "");
        relay.why
    };
    let rounds = |rounds: &str| of(&first.replace("i=4096", &format!("i={rounds}")));
    for (number, shown) in [("1", "1"), ("4095", "4095"), ("1000001", "1000001"), ("2147483648", "2147483648")] {
        let says = format!("tried SCRAM-SHA-1 (it wants {shown} rounds of SCRAM, and 4096 to 1000000 are done), ");
        assert!(rounds(number).contains(&says), "{}", rounds(number));
    }
    assert!(rounds("18446744073709551616").contains("it wants 18446744073709551615 rounds"));
    assert!(of(&first.replace("r=", "r=x")).contains("SCRAM-SHA-1 (it changed our nonce), "));
    assert!(of(&format!("m=x,{first}")).contains("SCRAM-SHA-1 (its challenge is malformed), "));
    assert!(of("e=other-error").contains("SCRAM-SHA-1 (it refused the login), "));
    relay.reply(334, "?");
    assert_eq!(relay.reply(454, ""), "deferred");
}

/// 4096 to 1,000,000.
#[test]
fn the_most_rounds() {
    let mut relay = scram_first("SCRAM-SHA-256");
    let mut server = relay.server();
    server.first = server.first.replace("i=4096", "i=20000");
    let answer = STANDARD.decode(relay.reply(334, &base64(&server.first))).unwrap();
    relay.reply(334, &base64(server.proof(&answer).unwrap()));
    assert_eq!(relay.reply(235, ""), "logged in");
    assert_eq!(relay.client.rounds(), Some(20000));
    let mut relay = scram_first("SCRAM-SHA-256");
    let first = relay.server().first.replace("i=4096", "i=1000000");
    assert_ne!(relay.reply(334, &base64(first)), "*");
}

const ALL: &str = "PLAIN SCRAM-SHA-1 SCRAM-SHA-256 SCRAM-SHA-512 CRAM-MD5 SCRAM-SHA-1-PLUS SCRAM-SHA-256-PLUS LOGIN";

/// Refusals are counted: a 535 before a challenge is a failed login as any other, and the second one is the last.
#[test]
fn refused_before_a_challenge() {
    use Channel::{Clear, Tls, Tls13};
    use Permission::{Any, ChallengeOnly};
    for (offered, permission, channel, expected) in [
        // It may be the binding that the relay does not know, so the next one has none.
        (ALL, ChallengeOnly, Tls13, &["SCRAM-SHA-256-PLUS", "SCRAM-SHA-256"][..]),
        (ALL, ChallengeOnly, Tls, &["SCRAM-SHA-256", "SCRAM-SHA-512"]),
        ("SCRAM-SHA-1 SCRAM-SHA-256", ChallengeOnly, Clear, &["SCRAM-SHA-256", "SCRAM-SHA-1"]),
        ("CRAM-MD5 SCRAM-SHA-256 SCRAM-SHA-1", ChallengeOnly, Clear, &["SCRAM-SHA-256", "SCRAM-SHA-1"]),
        ("SCRAM-SHA-256 CRAM-MD5", Any, Tls, &["SCRAM-SHA-256", "CRAM-MD5"]),
        ("PLAIN SCRAM-SHA-256 SCRAM-SHA-1", Any, Tls, &["PLAIN", "SCRAM-SHA-256"]),
        ("CRAM-MD5 SCRAM-SHA-256 SCRAM-SHA-1", Any, Clear, &["CRAM-MD5", "SCRAM-SHA-256"]),
    ] {
        let mut relay = Relay::new(offered, None, permission, channel);
        while relay.last() != "failed" {
            match relay.last() {
                "reconnect" => relay.connect(),
                "*" => _ = relay.reply(501, ""),
                _ => _ = relay.reply(535, "5.7.8 no"),
            }
        }
        assert_eq!(relay.tried(), expected, "{offered}");
        let is_about_password = expected.iter().any(|name| !name.starts_with("SCRAM"));
        let says =
            if is_about_password { "; check user and password in here" } else { "; the relay knows no such user, or " };
        assert!(relay.why.contains(says), "{}", relay.why);
    }
    // Any refusal counts, and the end of the connection behind a proof; not one of the command.
    let mut relay = Relay::new("SCRAM-SHA-256 SCRAM-SHA-512 SCRAM-SHA-1 CRAM-MD5", None, ChallengeOnly, Tls);
    relay.reply(334, &base64(relay.server().first));
    assert_eq!(relay.closed(), "reconnect");
    relay.connect();
    assert_eq!(relay.reply(550, "5.7.30 no"), "failed");
    assert_eq!(relay.tried(), ["SCRAM-SHA-256", "SCRAM-SHA-512"]);
    // Behind a challenge it is about the password.
    let mut relay = Relay::new("SCRAM-SHA-256", None, Any, Tls);
    let first = relay.server().first;
    relay.reply(334, &base64(first));
    assert_eq!(relay.reply(535, "5.7.8 no"), "failed");
    assert!(relay.why.ends_with("tried SCRAM-SHA-256 (535); check user and password in here"), "{}", relay.why);
}

/// What earlier logins have shown: the hash that worked may be gone.
#[test]
fn after_other_logins() {
    let past = |good: Option<&str>, refused: &[&str]| Past {
        good: good.and_then(mechanisms::usable),
        useless: refused.iter().filter_map(|name| mechanisms::usable(name)).collect(),
        tries: Some(2),
        ..Past::default()
    };
    let tried = |past: Past, permission: Permission, challenged: bool| {
        let mut relay = Relay::before(ALL, None, permission, Channel::Tls13);
        relay.client.remember(past);
        relay.connect();
        while !["failed", "reconnect"].contains(&relay.last()) {
            let server = relay.server();
            if challenged {
                relay.reply(334, &base64(server.first));
            }
            relay.reply(535, "5.7.8 no");
        }
        (relay.tried().join(" "), relay.client.conclusion())
    };
    const HIDING: Permission = Permission::ChallengeOnly;
    let good = || past(Some("SCRAM-SHA-512"), &[]);
    let (names, conclusion) = tried(good(), HIDING, false);
    assert!(names == "SCRAM-SHA-512" && conclusion == Conclusion::Refused, "{names}");
    let (names, conclusion) = tried(good(), HIDING, true);
    assert!(names == "SCRAM-SHA-512" && conclusion == Conclusion::Refused, "{names}");
    let (names, conclusion) = tried(past(None, &["SCRAM-SHA-256"]), HIDING, false);
    assert!(names == "SCRAM-SHA-256-PLUS SCRAM-SHA-512" && conclusion == Conclusion::Refused, "{names}");
    let (names, conclusion) = tried(past(None, &[]), HIDING, false);
    assert!(names == "SCRAM-SHA-256-PLUS SCRAM-SHA-256" && conclusion == Conclusion::Nothing, "{names}");
    // After failures each try is one more, by whatever it came.
    let failed = Past { failures: 1, ..past(None, &[]) };
    let (names, conclusion) = tried(failed, HIDING, false);
    assert!(names == "SCRAM-SHA-256-PLUS" && conclusion == Conclusion::Refused, "{names}");
}

#[test]
fn without_initial_response() {
    let mut relay = Relay::new("SCRAM-SHA-256", None, Permission::Any, Channel::Tls);
    let first = relay.last().split(' ').nth(2).unwrap().to_owned();
    assert_eq!(relay.reply(501, "syntax"), "AUTH SCRAM-SHA-256");
    assert_eq!(relay.reply(334, ""), first);
    // An empty challenge is none.
    assert_eq!(relay.reply(535, "5.7.8 no"), "failed");
    assert!(relay.why.contains("; the relay knows no such user, or "), "{}", relay.why);
    // A refusal of what was cancelled is none of the form.
    let mut relay = Relay::new("SCRAM-SHA-256", None, Permission::Any, Channel::Tls);
    relay.reply(334, "?");
    assert_eq!(relay.reply(501, "cancelled"), "failed");
}

/// The relay's end of TLS is another, so the bound login fails: somebody is in the middle. What is not bound can be passed on by him,
/// and shows him no password.
#[test]
fn a_binding_that_is_refused() {
    let refused = |configured: Option<&str>, permission| {
        let mut relay = Relay::new(ALL, configured, permission, Channel::Tls13);
        let mut server = relay.server();
        server.first = server.first.replace("i=4096", "i=4097"); // the proof is a wrong one then
        relay.reply(334, &base64(&server.first));
        relay.reply(535, "5.7.8 no");
        relay
    };
    assert_eq!(refused(None, Permission::ChallengeOnly).tried(), ["SCRAM-SHA-256-PLUS", "SCRAM-SHA-256"]);
    let relay = refused(Some("SCRAM-SHA-256-PLUS PLAIN LOGIN"), Permission::Any);
    assert_eq!((relay.tried(), relay.last()), (vec!["SCRAM-SHA-256-PLUS"], "failed"));
    let says = "check user and password in here, and the password must not be shown, as this may be another relay";
    assert!(relay.why.contains(says), "{}", relay.why);
    // However it refuses it; but not once it has proved itself.
    let proof_then = |end: &dyn Fn(&mut Relay)| {
        let mut relay = Relay::new("SCRAM-SHA-1-PLUS", None, Permission::ChallengeOnly, Channel::Tls13);
        relay.reply(334, &base64(relay.server().first));
        end(&mut relay);
        relay.client.may_be_another()
    };
    assert!(proof_then(&|relay| _ = relay.reply(454, "")) && proof_then(&|relay| _ = relay.reply(501, "")));
    assert!(proof_then(&|relay| _ = relay.closed()) && !proof_then(&|_| {}));
    let mut relay = Relay::new("SCRAM-SHA-1-PLUS", None, Permission::ChallengeOnly, Channel::Tls13);
    let server = relay.server();
    let answer = STANDARD.decode(relay.reply(334, &base64(&server.first))).unwrap();
    relay.reply(334, &base64(server.proof(&answer).unwrap()));
    assert_eq!(relay.reply(535, "5.7.1 account disabled"), "failed");
    assert!(
        !relay.client.may_be_another() && relay.why.contains("; the relay refused each way to log in"),
        "{}",
        relay.why
    );
    // What we cancel says nothing of the binding.
    let mut relay = Relay::new(ALL, None, Permission::ChallengeOnly, Channel::Tls13);
    relay.reply(334, &base64("r=x"));
    assert!(relay.reply(501, "").starts_with("AUTH SCRAM-SHA-1-PLUS"));
    // Dovecot closes where it cannot do a binding. The other hash would have it do the same.
    let mut relay = Relay::new(ALL, None, Permission::ChallengeOnly, Channel::Tls13);
    assert_eq!(relay.closed(), "reconnect");
    relay.connect();
    assert_eq!(relay.tried(), ["SCRAM-SHA-256-PLUS", "SCRAM-SHA-256"]);
}

#[test]
fn where_nothing_can_be_bound() {
    for channel in [Channel::Clear, Channel::Tls] {
        let relay = Relay::new(ALL, None, Permission::ChallengeOnly, channel);
        assert_eq!(relay.tried(), ["SCRAM-SHA-256"]);
        let relay = Relay::new(ALL, Some("SCRAM-SHA-256-PLUS"), Permission::Any, channel);
        assert_eq!(relay.last(), "failed");
        assert!(relay.why.ends_with("tried nothing; a mechanism with -PLUS needs TLS 1.3"), "{}", relay.why);
    }
    // Where the relay has nothing else it is better than nothing.
    let relay = Relay::new("SCRAM-SHA-1-PLUS SCRAM-SHA-256-PLUS", None, Permission::Any, Channel::Tls13);
    assert_eq!(relay.tried(), ["SCRAM-SHA-256-PLUS"]);
    let relay = Relay::new("SCRAM-SHA-256 PLAIN", Some("SCRAM-SHA-256-PLUS"), Permission::Any, Channel::Tls13);
    assert!(relay.why.contains("can be used; usable would be: SCRAM-SHA-256-PLUS; ask the relay's"), "{}", relay.why);
}

#[test]
fn the_first_choice() {
    use Channel::{Clear, Tls, Tls13};
    use Permission::{Any, ChallengeOnly};
    for (offered, permission, channel, expected) in [
        (ALL, Any, Tls13, "PLAIN"),
        ("CRAM-MD5 SCRAM-SHA-1 SCRAM-SHA-512 SCRAM-SHA-256 SCRAM-SHA-256-PLUS", Any, Tls13, "SCRAM-SHA-256"),
        ("CRAM-MD5 SCRAM-SHA-1 SCRAM-SHA-512", Any, Tls, "SCRAM-SHA-512"),
        ("CRAM-MD5 SCRAM-SHA-1", Any, Tls, "SCRAM-SHA-1"),
        (ALL, Any, Clear, "CRAM-MD5"),
        ("LOGIN SCRAM-SHA-256", Any, Clear, "LOGIN"),
        ("SCRAM-SHA-1 SCRAM-SHA-256", Any, Clear, "SCRAM-SHA-256"),
        (ALL, ChallengeOnly, Tls13, "SCRAM-SHA-256-PLUS"),
        ("PLAIN SCRAM-SHA-1-PLUS SCRAM-SHA-256", ChallengeOnly, Tls13, "SCRAM-SHA-1-PLUS"),
        (ALL, ChallengeOnly, Clear, "SCRAM-SHA-256"),
        ("PLAIN CRAM-MD5", ChallengeOnly, Clear, "CRAM-MD5"),
    ] {
        assert_eq!(Relay::new(offered, None, permission, channel).tried(), [expected], "{offered}");
    }
}

/// A nonce is used once.
#[test]
fn random_octets() {
    let login = PasswordLogin { user: b"u".to_vec(), password: b"p".to_vec().into(), clear_allowed: true };
    let mut client = Client::new(Login::Password(login), None, None);
    let names = ["SCRAM-SHA-256", "SCRAM-SHA-1"].map(str::to_owned).to_vec();
    let offer = Offer { offered: true, names };
    assert!(matches!(client.begin(offer, Permission::Any, Channel::Tls), Step::Random { binding: false }));
    assert!(matches!(client.random(Some([1; 18]), None), Step::Send(_)));
    assert!(matches!(client.step(504, b""), Step::Random { .. }));
    let Step::Deferred(why) = client.random(None, None) else { panic!("a login without random octets") };
    assert!(
        why.to_string()
            .ends_with("the system gave no random octets (getrandom); it is tried again with the next delivery")
    );
}
