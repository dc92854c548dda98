//! Debian's Postfix as a relay that takes tokens alone: its Dovecot asks glewlwyd about each (RFC 7662).

use super::glewlwyd::{self, CLIENT, CLIENT_SECRET, Glewlwyd};
use super::postfix;
use super::relay::{Endpoint, Relay, write};
use super::{chroot, trixie};
use base64::prelude::{BASE64_STANDARD, Engine};
use std::fs;
use std::path::PathBuf;

/// What all versions have in common. Nobody waits after a token that is refused.
const COMMON: &str = "\
log_path = /var/log/dovecot.log
auth_mechanisms = xoauth2 oauthbearer
auth_failure_delay = 0
auth_verbose = yes
auth_debug = yes
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

/// Of Dovecot 2.3.
const OLD: &str = "\
protocols =
ssl = no
disable_plaintext_auth = no
passdb {
  driver = oauth2
  mechanisms = xoauth2 oauthbearer
  args = /etc/dovecot/oauth2
}
userdb {
  driver = static
  args = uid=8 gid=8 home=/
}
";

/// Of Dovecot 2.4.
const NEW: &str = "\
dovecot_config_version = 2.4.1
dovecot_storage_version = 2.4.1
protocols =
ssl = no
auth_allow_cleartext = yes
userdb static {
  fields {
    uid = 8
    gid = 8
    home = /
  }
}
oauth2 {
OAUTH2}
";

/// Whom to ask, and what the answer must be.
const ASKING: &str = "\
introspection_mode = post
introspection_url = http://CLIENT:SECRET@127.0.0.1:PORT/api/oidc/introspect/
username_attribute = username
active_attribute = active
active_value = true
";

/// Nobody is asked: a token counts by its signature.
const SIGNED: &str = "\
introspection_mode = local
username_attribute = FIELD
oauth2_local_validation {
  dict fs {
    fs posix {
      prefix = /etc/dovecot/keys/
    }
  }
}
";

/// A key that tokens are signed with.
pub struct Key {
    /// Algorithm and name of the key, as tokens have them.
    pub name: String,
    /// What Dovecot wants for it.
    pub content: String,
    /// The field of a token that has the user.
    pub field: &'static str,
}

impl Key {
    /// That of glewlwyd, whose name is its thumbprint (RFC 7638).
    pub fn of_glewlwyd() -> Key {
        let name = "HS256/XOBEfwKZzZgziWfq7yZzhEKNQfihBMioCzRbNmqUH0Y".to_owned();
        Key { name, content: BASE64_STANDARD.encode(glewlwyd::KEY), field: "sub" }
    }
}

/// The versions.
#[derive(Clone, Copy, Debug)]
pub enum Release {
    /// Postfix 3.7, Dovecot 2.3.
    Bookworm,
    /// Postfix 3.10, Dovecot 2.4.
    Trixie,
}

impl Release {
    fn debian(self) -> PathBuf {
        match self {
            Release::Bookworm => postfix::debian(),
            Release::Trixie => trixie::debian(),
        }
    }
}

/// Starts one that asks glewlwyd about each token, as the client that the token was made for.
pub fn relay(release: Release, endpoint: &Endpoint, provider: &Glewlwyd) -> Relay {
    let filled = [("CLIENT", CLIENT), ("SECRET", CLIENT_SECRET), ("PORT", &provider.port().to_string())];
    let asking = filled.iter().fold(ASKING.to_owned(), |text, (name, value)| text.replace(name, value));
    let root = chroot::copy(&release.debian());
    let conf = match release {
        Release::Bookworm => OLD.to_owned(),
        Release::Trixie => NEW.replace("OAUTH2", &asking),
    };
    write(root.path(), "etc/dovecot/dovecot.conf", &(conf + COMMON));
    write(root.path(), "etc/dovecot/oauth2", &asking);
    postfix::start(root, std::slice::from_ref(endpoint), logins)
}

/// Starts one, of trixie, that looks at the signature of a token alone.
pub fn relay_by_signature(endpoints: &[Endpoint], key: &Key) -> Relay {
    let root = chroot::copy(&Release::Trixie.debian());
    let conf = NEW.replace("OAUTH2", &SIGNED.replace("FIELD", key.field)) + COMMON;
    write(root.path(), "etc/dovecot/dovecot.conf", &conf);
    let file = format!("etc/dovecot/keys/default/{}", key.name);
    fs::create_dir_all(root.path().join(&file).parent().unwrap()).unwrap();
    write(root.path(), &file, &key.content);
    postfix::start(root, endpoints, logins)
}

/// What Dovecot says, for the one who reads why a test failed.
pub fn of_dovecot(relay: &Relay) -> String {
    fs::read_to_string(relay.root().join("var/log/dovecot.log")).unwrap_or_default()
}

/// As [`postfix::logins`], with the user behind the mechanism.
fn logins(log: &str) -> Vec<String> {
    let lines = log.lines().filter_map(|line| line.split_once(" sasl_method=")?.1.split_once(", sasl_username="));
    lines.map(|(mechanism, user)| format!("{mechanism} {user}")).collect()
}
