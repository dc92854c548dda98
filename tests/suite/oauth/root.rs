//! Root becomes the user of qmail-remote before anything goes out: control files are root's, tokens that user's.

use crate::support::Home;
use crate::support::check::is_root;
use crate::support::provider::{CLIENT, HOST, Provider, Reply, SECRET, USER, account, run, token};
use std::fs::{self, Permissions};
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown};
use std::sync::{Arc, Mutex};

const QMAILR: (u32, u32) = (23_456, 23_457);

fn owner(path: impl AsRef<std::path::Path>) -> (u32, u32, u32) {
    let file = fs::metadata(path.as_ref()).unwrap_or_else(|error| panic!("{}: {error}", path.as_ref().display()));
    (file.uid(), file.gid(), file.mode() & 0o7777)
}

/// The users of all processes of the program, as the kernel has them.
fn users() -> Vec<String> {
    let processes = fs::read_dir("/proc").unwrap().flatten();
    let status = processes.filter_map(|entry| fs::read_to_string(entry.path().join("status")).ok());
    let ours = status.filter(|status| status.starts_with("Name:\tqmail-remote-oa\n"));
    let line = |status: String| status.lines().find(|line| line.starts_with("Uid:")).unwrap_or_default().to_owned();
    ours.map(line).collect()
}

#[test]
fn tokens_are_qmailrs() {
    if !is_root() {
        return;
    }
    let provider = Provider::start(true);
    let home = Home::new();
    fs::set_permissions(home.path(), Permissions::from_mode(0o755)).unwrap();
    let tcpto = home.path().join("queue/lock/tcpto");
    fs::create_dir_all(tcpto.parent().unwrap()).unwrap();
    fs::write(&tcpto, "").unwrap();
    chown(&tcpto, Some(QMAILR.0), Some(QMAILR.1)).unwrap();
    provider.route(&home);
    let pem = home.control("provider.pem", &provider.ca);
    let secret = home.path().join("secret");
    fs::write(&secret, SECRET).unwrap();
    fs::set_permissions(&secret, Permissions::from_mode(0o600)).unwrap();
    provider.state.lock().unwrap().device = Some("granted");
    let seen = Arc::new(Mutex::new(Vec::new()));
    let users_seen = seen.clone();
    provider.hook(move |_| {
        users_seen.lock().unwrap().extend(users());
        Reply::Ordinary
    });
    let (tokens, device) = (provider.url("/token"), provider.url("/device"));
    let arguments = [
        "consent",
        HOST,
        USER,
        "--token",
        &tokens,
        "--device",
        &device,
        "--client",
        CLIENT,
        "--cafile",
        pem.to_str().unwrap(),
        "--secret-file",
        secret.to_str().unwrap(),
    ];
    let (status, text) = run(&home, &arguments);
    assert!(status == Some(0) && !text.contains("note  "), "{text}");
    let relay = home.path().join("control/relays").join(HOST);
    assert_eq!(owner(relay.join("oauth/secret")), (0, QMAILR.1, 0o640));
    assert_eq!((owner(relay.join("oauth")), owner(relay.join("oauth/client"))), ((0, 0, 0o755), (0, 0, 0o644)));
    let (uid, gid) = QMAILR;
    assert_eq!(owner(home.path().join("accounts")), (uid, gid, 0o700));
    for (name, mode) in [(".", 0o700), ("access", 0o600), ("refresh", 0o600), ("lock", 0o600)] {
        assert_eq!(owner(account(&home).join(name)), (uid, gid, mode), "{name}");
    }
    let ours = format!("Uid:\t{uid}\t{uid}\t{uid}\t{uid}");
    assert!(seen.lock().unwrap().contains(&ours), "{seen:?}");
    // The others, too.
    assert_eq!(token(&home).0, Some(0));
    assert_eq!(run(&home, &["status"]).0, Some(0));
    assert_eq!(run(&home, &["renew"]), (Some(0), String::new()));
    // A secret that this user may not read.
    chown(relay.join("oauth/secret"), Some(0), Some(0)).unwrap();
    let (status, text) = token(&home);
    assert_eq!(status, Some(78));
    assert!(text.contains("/oauth/secret: Permission denied for user 23456, group 23457: chown root:23457 "), "{text}");
}

/// Where qmail's user is not known, tokens are root's, and that is said. Where it is, directories of root's do not count.
#[test]
fn tokens_are_roots() {
    if !is_root() {
        return;
    }
    let provider = Provider::start(true);
    provider.state.lock().unwrap().device = Some("granted");
    let home = provider.home();
    fs::set_permissions(home.path(), Permissions::from_mode(0o755)).unwrap();
    home.control(&format!("relays/{HOST}/oauth/device"), format!("{}\n", provider.url("/device")));
    let tcpto = home.path().join("queue/lock/tcpto");
    let says = format!(
        "note          this runs as root, since {} is missing or root's: tokens are root's, and qmail-remote of another user does not use them\n",
        tcpto.display()
    );
    let (status, text) = run(&home, &["consent", HOST, USER]);
    assert!(status == Some(0) && text.starts_with(&says), "{text}");
    fs::create_dir_all(tcpto.parent().unwrap()).unwrap();
    fs::write(&tcpto, "").unwrap();
    chown(&tcpto, Some(QMAILR.0), Some(QMAILR.1)).unwrap();
    chown(home.path().join(format!("control/relays/{HOST}/oauth/secret")), Some(0), Some(QMAILR.1)).unwrap();
    provider.requests();
    for (path, owner) in [("accounts".to_owned(), 0), (format!("accounts/{HOST}"), QMAILR.0)] {
        chown(home.path().join("accounts"), Some(owner), None).unwrap();
        let path = home.path().join(path);
        let (status, text) = run(&home, &["consent", HOST, USER]);
        let says = format!(
            "NOT DONE: {} does not count: it must be a directory of uid {}, no link, and nobody else may write to it; correct that\n",
            path.display(),
            QMAILR.0
        );
        assert!(status == Some(1) && text == says, "{text}");
    }
    assert!(provider.requests().is_empty());
}
