//! Debian trixie's Postfix with Dovecot 2.4, which verifies the tokens of a provider by its key, and asks nobody.

use super::chroot;
use super::oidc::USER;
use super::postfix::{LOG, SERVICES, START, logins};
use super::relay::{self, Relay, free_port, write};
use super::trixie::{MAIN, debian};
use std::fs;
use std::os::unix::fs::chown;

const INTAKE: &str = "\
127.0.0.1:PORT inet n - n - - smtpd
  -o smtpd_sasl_auth_enable=yes -o smtpd_sasl_type=dovecot -o smtpd_sasl_path=private/auth
  -o smtpd_client_restrictions=permit_sasl_authenticated,reject
";

const DOVECOT: &str = "\
dovecot_config_version = 2.4.1
dovecot_storage_version = 2.4.1
protocols =
ssl = no
log_path = /var/log/dovecot.log
auth_failure_delay = 0
auth_allow_cleartext = yes
auth_verbose = yes
auth_mechanisms = xoauth2 oauthbearer
oauth2 {
  introspection_mode = local
  username_attribute = mail
  oauth2_local_validation {
    dict fs {
      fs posix {
        prefix = /etc/dovecot/keys/
      }
    }
  }
}
userdb static {
  fields {
    uid = 5000
    gid = 5000
    home = /var/vmail
  }
}
service auth {
  unix_listener /var/spool/postfix/private/auth {
    mode = 0666
  }
}
service anvil {
  unix_listener anvil-auth-penalty {
    mode = 0
  }
}
";

/// Starts one that takes tokens signed with this key, given as PEM and its name.
pub fn token_relay((pem, name): (String, &str)) -> Relay {
    let root = chroot::copy(&debian());
    let port = free_port();
    let keys = "etc/dovecot/keys/default/RS256";
    fs::create_dir_all(root.path().join(keys)).unwrap();
    for (file, content) in [
        ("etc/postfix/main.cf", MAIN),
        ("etc/postfix/master.cf", &(INTAKE.replace("PORT", &port.to_string()) + SERVICES)),
        ("etc/dovecot/dovecot.conf", DOVECOT),
        (&format!("{keys}/{name}"), &pem),
    ] {
        write(root.path(), file, content);
    }
    chown(root.path().join("var/mail"), Some(8), Some(8)).unwrap(); // mail:mail, as Debian numbers them
    // Dovecot is there before Postfix has made it.
    let start = format!("install -d -o postfix -m 700 /var/spool/postfix/private\n{START}");
    Relay::start(root, port, &start, LOG, of_tokens)
}

fn of_tokens(log: &str) -> Vec<String> {
    logins(&log.replace(&format!("sasl_username={USER}"), &format!("sasl_username={}", relay::USER)))
}

/// What Dovecot says.
pub fn of_dovecot(relay: &Relay) -> String {
    fs::read_to_string(relay.root().join("var/log/dovecot.log")).unwrap_or_default()
}
