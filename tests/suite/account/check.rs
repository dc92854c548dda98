//! qmail-remote-check and what is remembered.

use super::{RIGHT, Relay, WRONG, deliver, is_refused_before, later, remembered, rewrite};
use crate::support::Home;
use crate::support::check::{Checked, command, run};
use std::fs;
use std::os::unix::fs::chown;

fn check(home: &Home, arguments: &[&str]) -> Checked {
    run(command(home, arguments))
}

#[test]
fn it_tries_at_once_and_writes_what_it_found() {
    let relay = Relay::start(WRONG);
    let home = relay.home("myuser secretpass");
    deliver(&home);
    let known = remembered(&home);
    relay.heard();
    let checked = check(&home, &["example.org"]);
    assert_eq!((checked.status, &relay.heard()[..]), (Some(1), "CONNECT, AUTH PLAIN, AUTH LOGIN"));
    assert!(checked.stdout.contains("\nremembered    refused at 20"), "{}", checked.stdout);
    assert!(checked.stdout.contains(" UTC: 535 5.7.8 no, and no, not tried again until 20"), "{}", checked.stdout);
    assert_eq!(remembered(&home), known, "looking makes mail wait no longer");
    assert!(is_refused_before(&deliver(&home)));
    relay.says(RIGHT);
    let checked = check(&home, &["--json", "example.org"]);
    let steps = &checked.json()["steps"];
    let found = steps.as_array().unwrap().iter().find(|step| step["step"] == "remembered").unwrap();
    assert!(found["facts"][0].as_str().unwrap().starts_with("refused at 20"), "{found}");
    assert_eq!(checked.status, Some(0));
    assert_eq!(remembered(&home), ["good PLAIN control/smtproutes:1"]);
    assert_eq!(deliver(&home).letters(), "rK");
    // What has worked goes first, but is not all that it tries.
    relay.says(&[("AUTH PLAIN", "535 no")]);
    deliver(&home);
    assert!(remembered(&home)[0].starts_with("refused 1 "));
    assert_eq!(check(&home, &["example.org"]).status, Some(0));
    assert_eq!(remembered(&home), ["good LOGIN control/smtproutes:1"]);
    relay.says(RIGHT);
    // Without a login it says what it knows, and leaves it.
    relay.heard();
    let checked = check(&home, &["--no-login", "example.org"]);
    assert!(checked.stdout.contains("\nremembered    logged in by LOGIN\n"), "{}", checked.stdout);
    assert_eq!(relay.heard(), "CONNECT");
}

#[test]
fn all_accounts() {
    let relay = Relay::start(WRONG);
    let home = relay.home("myuser secretpass");
    let list = |home: &Home| {
        let checked = check(home, &["--accounts"]);
        assert_eq!(checked.stderr, "");
        (checked.status.unwrap(), checked.stdout)
    };
    let path = home.path().join("accounts");
    assert_eq!(list(&home), (0, format!("{}: no account yet\n", path.display())));
    deliver(&home);
    let (status, said) = list(&home);
    assert!(status == 0 && said.starts_with("127.0.0.1 myuser: refused at 20") && said.lines().count() == 1, "{said}");
    assert!(said.contains(" UTC: 535 5.7.8 no, and no, not tried again until 20"), "{said}");
    assert!(said.ends_with(" UTC (control/smtproutes:1)\n"), "{said}");
    // Many relays end their words by a dot.
    rewrite(&home, |text| text.replace("and no\n", "and no.\n"));
    assert_eq!(list(&home).1, said);
    later(&home, 900);
    assert!(list(&home).1.ends_with(" UTC: 535 5.7.8 no, and no (control/smtproutes:1)\n"));
    home.control("helohost", "a.example.net\n");
    assert!(list(&home).1.ends_with(" (control/smtproutes:1); void, since a control file has changed\n"));
    relay.says(RIGHT);
    deliver(&home);
    home.control("smtproutes", format!(":127.0.0.1:{} other\u{e9} x\n", relay.server.port()));
    deliver(&home);
    assert_eq!(
        list(&home).1,
        "127.0.0.1 myuser: logged in by PLAIN (control/smtproutes:1); void, since a control file has changed\n\
         127.0.0.1 other%C3%A9: logged in by PLAIN (control/smtproutes:1)\n"
    );
    // Root sees what counts for another user.
    let before = list(&home).1;
    let all = ["", "127.0.0.1", "127.0.0.1/myuser", "127.0.0.1/myuser/memory", "127.0.0.1/other%C3%A9/memory"];
    if all.iter().all(|name| chown(path.join(name), Some(65534), None).is_ok()) {
        assert_eq!(list(&home), (0, before));
        all.iter().for_each(|name| chown(path.join(name), Some(0), None).unwrap());
    }
    fs::write(path.join("127.0.0.1/myuser/memory"), "odd").unwrap();
    assert!(list(&home).1.starts_with("127.0.0.1 myuser: nothing is remembered\n"));
    fs::remove_dir_all(&path).unwrap();
    let (status, said) = list(&home);
    assert!(status == 1 && said.ends_with(": nothing is remembered\n"), "{said}");
    let checked = check(&home, &["--accounts", "example.org"]);
    assert_eq!(checked.status, Some(2));
}
