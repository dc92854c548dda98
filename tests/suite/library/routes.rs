//! `cut_login` of docs/linking.md reads a line of smtproutes as the program of this project does, or the mail waits.

use crate::support::host::Host;
use crate::support::server::{Rules, Server};
use qmail_auth::{Login, PasswordLogin};
use qmail_remote::control::routes;

/// What becomes of a mail by a route.
#[derive(PartialEq, Debug)]
enum Read {
    /// It goes with this user and password.
    Login(String, String),
    /// It goes without a login.
    NoLogin,
    /// It waits.
    Waits,
}

fn login(user: &str, password: &str) -> Read {
    Read::Login(user.into(), password.into())
}

/// What the program reads. Its `-user` counts as another user than what is written.
fn by_the_program(value: &str) -> Read {
    match routes::parse(value.as_bytes(), "").map(|route| route.credentials) {
        Err(_) => Read::Waits,
        Ok(None) => Read::NoLogin,
        Ok(Some(credentials)) => {
            let Login::Password(PasswordLogin { user, password, .. }) = &credentials.login else { panic!("{value}") };
            login(std::str::from_utf8(user).unwrap(), std::str::from_utf8(password).unwrap())
        }
    }
}

/// What a mail by the tree shows. The server takes this password alone.
fn by_the_tree(host: &Host, value: &str, server: Server, password: &str) -> Read {
    let output = host.command_by(value).output().unwrap();
    let log = server.finish();
    let report = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success() && output.stderr.is_empty());
    match report.chars().next() {
        Some('Z') => {
            assert!(
                !log.saw("AUTH") && !log.saw("MAIL") && !report.contains("secret"),
                "{report}: {:?}",
                log.commands()
            );
            Read::Waits
        }
        Some('r') => {
            let read = log.connections[0].login.as_ref().map_or(Read::NoLogin, |(_, user)| login(user, password));
            assert_eq!(log.saw("HELO"), read == Read::NoLogin); // EHLO is for a login alone
            read
        }
        _ => panic!("it bounces: {report}"),
    }
}

#[test]
fn as_the_program() {
    for host in Host::all() {
        for (behind_the_port, read) in [
            ("", Read::NoLogin),
            (" myuser secretpass", login("myuser", "secretpass")),
            ("\tmyuser\tsecretpass", login("myuser", "secretpass")),
            ("\tmyuser secretpass", login("myuser", "secretpass")),
            ("  myuser secretpass", login("myuser", "secretpass")),
            (" myuser  secretpass", login("myuser", "secretpass")),
            (" \t myuser \t secretpass", login("myuser", "secretpass")),
            (" myuser secret pass", login("myuser", "secret pass")),
            (" myuser secret\t pass", login("myuser", "secret\t pass")),
            (" myuser secret|pass", login("myuser", "secret|pass")),
            (" my|user secretpass", login("my|user", "secretpass")),
            (" myuser secret:pass", login("myuser", "secret:pass")),
            (" my:user@example.jp secretpass", login("my:user@example.jp", "secretpass")),
            (" myuser #secret", login("myuser", "#secret")),
            (" myuser -secret", login("myuser", "-secret")),
            (" myuser", Read::Waits),
            ("\tmyuser", Read::Waits),
            (" myuser secretpass\r", Read::Waits),
            (" myuser\r", Read::Waits),
            ("|", Read::Waits),
            ("|myuser", Read::Waits),
            ("||secretpass", Read::Waits),
        ] {
            assert_tree(&host, "127.0.0.1", behind_the_port, &read);
        }
    }
}

/// What only the program reads.
#[test]
fn what_the_tree_does_not_read() {
    for host in Host::all() {
        for (behind_the_port, read) in [
            ("|myuser|secretpass", login("myuser", "secretpass")),
            ("|my user|secret pass", login("my user", "secret pass")),
            (" -myuser secretpass", login("myuser", "secretpass")),
            (" myuser secret\rpass", login("myuser", "secret\rpass")),
        ] {
            let server = Server::start(Rules { auth_required: false, ..Rules::default() });
            let value = format!("127.0.0.1:{}{behind_the_port}", server.port());
            assert_eq!(by_the_program(&value), read, "{value:?}");
            assert_eq!(by_the_tree(&host, &value, server, ""), Read::Waits, "{value:?}");
        }
    }
}

/// What the program takes for a login, and warns of, is one in the tree neither: a port behind a blank, a half form, a comment.
#[test]
fn no_user() {
    for host in Host::all() {
        for (port, login) in [(" ", " myuser secretpass"), ("", " |myuser|secret pass"), ("", " # secret relay")] {
            let server = Server::start(Rules { auth_required: false, ..Rules::default() });
            let value = format!("127.0.0.1{port}:{}{login}", server.port());
            assert_eq!(by_the_tree(&host, &value, server, ""), Read::Waits, "{value:?}");
        }
    }
}

/// Stock has no host by an empty name, which bounces.
#[test]
fn an_empty_relay() {
    for host in Host::all() {
        assert_tree(&host, "", " myuser secretpass", &Read::Waits);
        for value in
            [" myuser secretpass", "\tmyuser secretpass", "  myuser secret pass", " myuser", "|myuser|secretpass"]
        {
            let server = Server::start(Rules { auth_required: false, ..Rules::default() });
            assert_eq!(by_the_program(value), Read::Waits, "{value:?}");
            assert_eq!(by_the_tree(&host, value, server, ""), Read::Waits, "{value:?}");
        }
    }
}

fn assert_tree(host: &Host, relay: &str, behind_the_port: &str, read: &Read) {
    let (user, password) = match read {
        Read::Login(user, password) => (user.as_str(), password.as_str()),
        _ => ("myuser", "secretpass"),
    };
    let server = Server::start(Rules { auth_required: false, ..Rules::default() }.login(user, password));
    let value = format!("{relay}:{}{behind_the_port}", server.port());
    assert_eq!(by_the_program(&value), *read, "{value:?}");
    assert_eq!(by_the_tree(host, &value, server, password), *read, "{value:?}");
}
