//! control/authsenders: each line of each form with what it becomes, whose it is, and what comes of it on the wire.

use crate::support::Home;
use crate::support::server::{Rules, Server};
use qmail_auth::Login;
use qmail_remote::control::files::Control;
use qmail_remote::control::{Route, Settings};
use qmail_remote::event::Log;

const SENDER: &str = "first.last@sub.example.net";

/// `relay:port user password`, `-` before a user whose password may go out in clear, or `MX`.
fn route(home: &Home, sender: &str) -> Result<String, String> {
    let describe = |route: Route| match route.credentials {
        None => format!("{}:{}", route.host, route.port),
        Some(credentials) => {
            let Login::Password(login) = credentials.login else { return "a client certificate".to_owned() };
            let sign = if login.clear_allowed { "-" } else { "" };
            let [user, password] = [&login.user[..], &login.password[..]].map(String::from_utf8_lossy);
            format!("{}:{} {sign}{user} {password}", route.host, route.port)
        }
    };
    let control = Control { home: home.path().to_owned(), log: Log::default() };
    let settings = Settings::read(&control, b"example.org", sender.as_bytes()).map_err(|error| error.to_string())?;
    Ok(settings.route.map_or("MX".to_owned(), describe))
}

fn with(authsenders: &str, smtproutes: &str) -> Home {
    let home = Home::new();
    home.control("authsenders", authsenders);
    home.control("smtproutes", smtproutes);
    home
}

const NOT_SEEN: &str = "neither sender:relay nor sender|user|password can be seen in it";

#[test]
fn lines() {
    const ROUTE: &str = ":relay:587 other word\n";
    for (line, expected) in [
        // s/qmail, notqmail's branch, sagredo, qmailtoaster
        (":mx.example:587|myuser|secretpass", "mx.example:587 myuser secretpass"),
        (":mx.example|myuser|secretpass", "mx.example:25 myuser secretpass"),
        (":mx.example;465|myuser|secretpass", "mx.example:465 myuser secretpass"),
        (":mx.example:587|my user|se|cret: pass|", "mx.example:587 my user se|cret: pass|"),
        (":mx.example:587|-myuser|secretpass", "mx.example:587 -myuser secretpass"),
        (":[2001:db8::1]:587|u|p", "2001:db8::1:587 u p"),
        // What a line of smtproutes may have, too.
        (":mx.example:587 myuser secret pass", "mx.example:587 myuser secret pass"),
        (":mx.example:587", "mx.example:587"),
        // A login for the relay that the route names: other programs see no line, or send the mail by MX.
        ("|myuser|secretpass", "relay:587 myuser secretpass"),
        ("@sub.example.net|myuser|secret:pass|word", "relay:587 myuser secret:pass|word"),
        (".net|myuser|secretpass", "relay:587 myuser secretpass"),
        ("first.last@sub.example.net|-my:user|secretpass", "relay:587 -my:user secretpass"),
        ("@sub.example.net:|myuser|secretpass", "relay:587 myuser secretpass"),
        // Nothing behind the colon: this sender has no login of its own.
        ("@sub.example.net:", "relay:587 other word"),
        ("other@example.net:mx.example|u|p", "relay:587 other word"),
        ("# :mx.example|u|p", "relay:587 other word"),
        ("\r", "relay:587 other word"),
        ("", "relay:587 other word"),
        ("user|myuser|secret:pass", "relay:587 other word"),
        // A wrong line for another sender is not in the way.
        ("other@example.net:mx.example:x|u|p", "relay:587 other word"),
    ] {
        assert_eq!(route(&with(&format!("# comment\n{line}\n"), ROUTE), SENDER).as_deref(), Ok(expected), "{line}");
    }
    for (line, why) in [
        (":mx.example:587|myuser", "a user without a password"),
        (":mx.example:587|myuser|", "a user without a password"),
        ("@sub.example.net|myuser", "a user without a password"),
        ("@sub.example.net:|myuser", "a user without a password"),
        (":mx.example||p", "no user before the password"),
        ("||p", "no user before the password"),
        (":mx.example:x|u|p", "the port is no number from 1 to 65535"),
        (":mx example|u|p", "a user without a password"),
        (":mx.example|u|p\r", "a CR at the line's end, which would be part of the password or the name"),
        ("|u|p\r", "a CR at the line's end, which would be part of the password or the name"),
        ("|u|p\0q", "a NUL in the line"),
        // Nobody can tell whom these are for.
        ("@sub.example.net", NOT_SEEN),
        ("someone@example.net relay user password", NOT_SEEN),
        ("a|b@example.net:mx.example|u|p", NOT_SEEN),
        ("postmaster|u|p@q:r", NOT_SEEN),
    ] {
        let error = route(&with(&format!("# comment\n{line}\n"), ROUTE), SENDER).unwrap_err();
        assert_eq!(error, format!("control/authsenders line 2: {why}"), "{line:?}");
        assert!(!error.contains("secret"), "{error}");
    }
}

#[test]
fn which_line() {
    let lines = "first.last@sub.example.net:whole\n.last@sub.example.net:dot\n@sub.example.net:at\n\
                 .example.net:domain\n.net:top\n:all\nlast@sub.example.net:none\n";
    let home = with(lines, ":relay\n");
    for (sender, expected) in [
        ("first.last@sub.example.net", "whole"),
        ("First.Last@SUB.example.net", "whole"),
        ("other.last@sub.example.net", "dot"),
        ("xlast@sub.example.net", "at"),
        ("someone@x.example.net", "domain"),
        ("someone@example.net", "top"),
        ("a@b@sub.example.net", "at"),
        ("someone@example.org", "all"),
        ("postmaster", "all"),
        ("", "all"),
        ("#@[]", "all"),
    ] {
        assert_eq!(route(&home, sender).as_deref(), Ok(&format!("{expected}:25")[..]), "{sender}");
    }
    assert_eq!(route(&with(":first|u|p\n:second|u|p\n", ""), SENDER).as_deref(), Ok("second:25 u p"));
    // A sender without a host, and passwords with signs in them.
    for line in ["postmaster|u|p:q", "postmaster|u@v|p:q", "postmaster|u|p@q"] {
        let login = line.split_once('|').unwrap().1.replacen('|', " ", 1);
        assert_eq!(
            route(&with(&format!("{line}\n"), ":relay\n"), "postmaster").as_deref(),
            Ok(&format!("relay:25 {login}")[..])
        );
    }
    // A login needs a relay, and a mail exchanger is none.
    for (routes, says) in [("", "no route"), ("example.org:\n", "no route")] {
        let error = route(&with("|u|p\n", routes), SENDER).unwrap_err();
        assert!(error.starts_with("control/authsenders line 1: ") && error.contains(says), "{error}");
    }
    // What is wrong with a route that is not taken is not in the way, unless its login may be wanted.
    assert_eq!(route(&with(":mx.example|u|p\n", ":relay:x\n"), SENDER).as_deref(), Ok("mx.example:25 u p"));
    assert!(route(&with(":mx.example\n", ":relay:x\n"), SENDER).is_err());
}

/// authsenders, then the route's own line, then control/relays.
#[test]
fn precedence() {
    let home = with("", ":mx.example\n");
    for name in ["mx.example", "other.example"] {
        home.control(&format!("relays/{name}/user"), format!("user of {name}\n"));
        home.control(&format!("relays/{name}/password"), "p\n");
    }
    for (senders, routes, expected) in [
        ("", ":mx.example\n", "mx.example:25 user of mx.example p"),
        ("", ":mx.example|u|p\n", "mx.example:25 u p"),
        ("|s|q\n", ":mx.example|u|p\n", "mx.example:25 s q"),
        (":other.example\n", ":mx.example|u|p\n", "other.example:25 user of other.example p"),
        (":other.example|s|q\n", ":mx.example|u|p\n", "other.example:25 s q"),
        // A relay without a login, which the route has for the same relay.
        (":mx.example\n", ":MX.example.:25|u|p\n", "mx.example:25 u p"),
        (":mx.example:587\n", ":mx.example|u|p\n", "mx.example:587 user of mx.example p"),
    ] {
        home.control("authsenders", senders);
        home.control("smtproutes", routes);
        assert_eq!(route(&home, SENDER).as_deref(), Ok(expected), "{senders:?} {routes:?}");
    }
}

/// On the wire: the login of the sender, and none of another's.
#[test]
fn logins() {
    let server = Server::start(Rules::default());
    let home = Home::with_route(&format!("127.0.0.1:{}", server.port()));
    home.control("authsenders", "me@example.net|myuser|secretpass\n@example.net|myuser|wrong\n");
    assert_eq!(home.deliver("me@example.net", &["b@example.org"], b"\n").letters(), "rK");
    let delivered = home.deliver("you@example.net", &["b@example.org"], b"\n");
    assert!(delivered.verdict().contains("login failed as myuser"), "{delivered:?}");
    assert!(delivered.verdict().contains("in control/authsenders line 2. (#4.7.8)"), "{delivered:?}");
    let delivered = home.deliver("you@example.com", &["b@example.org"], b"\n");
    assert!(delivered.verdict().contains("none is configured"), "{delivered:?}");
    assert_eq!(server.finish().logins(), ["CRAM-MD5 myuser"]);
}
