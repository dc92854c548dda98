//! Debian trixie's servers that know SCRAM: Postfix with Cyrus SASL, and Dovecot's submission service, which binds a login to TLS and
//! hands its mail to that Postfix.

use super::certificate::Authority;
use super::chroot;
use super::postfix::{LOG, SERVICES, logins};
use super::relay::{PASSWORD, Relay, USER, free_port, write};
use std::os::unix::fs::chown;
use std::path::PathBuf;

pub const MAIN: &str = "\
compatibility_level = 3.6
myhostname = relay.example.org
mydestination =
mynetworks = 127.0.0.1
inet_interfaces = 127.0.0.1
inet_protocols = ipv4
disable_dns_lookups = yes
smtpd_peername_lookup = no
maillog_file = /var/log/postfix.log
default_transport = error:nothing leaves this relay
relay_transport = error:nothing leaves this relay
virtual_mailbox_domains = example.org
virtual_mailbox_base = /var/mail
virtual_mailbox_maps = static:r1/
virtual_uid_maps = static:8
virtual_gid_maps = static:8
virtual_minimum_uid = 8
local_header_rewrite_clients =
smtpd_sasl_local_domain = relay.example.org
smtpd_sasl_path = smtpd
";

/// One for those who log in, by Cyrus, and one for Dovecot.
const INTAKES: &str = "\
127.0.0.1:CYRUS inet n - n - - smtpd
  -o smtpd_sasl_auth_enable=yes -o smtpd_client_restrictions=permit_sasl_authenticated,reject
127.0.0.1:INNER inet n - n - - smtpd
";

const CYRUS: &str = "\
pwcheck_method: auxprop
auxprop_plugin: sasldb
mech_list: SCRAM-SHA-512 SCRAM-SHA-256 SCRAM-SHA-1
";

const DOVECOT: &str = "\
dovecot_config_version = 2.4.1
dovecot_storage_version = 2.4.1
protocols = submission
listen = 127.0.0.1
mail_driver = maildir
mail_path = ~/Maildir
log_path = /var/log/dovecot.log
auth_failure_delay = 0
ssl = yes
ssl_server_cert_file = /etc/dovecot/cert.pem
ssl_server_key_file = /etc/dovecot/key.pem
ssl_min_protocol = TLSv1.2
auth_mechanisms = plain scram-sha-1 scram-sha-256 scram-sha-1-plus scram-sha-256-plus
passdb passwd-file {
  passwd_file_path = /etc/dovecot/users
}
userdb static {
  fields {
    uid = 5000
    gid = 5000
    home = /var/vmail
  }
}
service anvil {
  unix_listener anvil-auth-penalty {
    mode = 0
  }
}
service submission-login {
  inet_listener submission {
    port = DOVECOT
  }
  inet_listener submissions {
    port = 0
  }
}
submission_relay_host = 127.0.0.1
submission_relay_port = INNER
submission_relay_trusted = yes
";

/// Cyrus keeps passwords in a file that its own program writes. Dovecot has nobody to give mail to before Postfix is there.
const START: &str = "\
saslpasswd2 -p -c -u relay.example.org myuser </etc/password
chgrp postfix /etc/sasldb2
chmod 640 /etc/sasldb2
dovecot -F &
until grep -q 'starting up' /var/log/dovecot.log; do sleep 0.1; done
postfix start-fg &
wait
";

/// Dovecot's submission service. It has the password of one user, and of another one only a hash that SCRAM cannot use.
pub struct Submission {
    pub port: u16,
}

/// With the packages of Postfix and of submission.
pub fn debian() -> PathBuf {
    chroot::debian("trixie", &["postfix", "dovecot-submissiond", "sasl2-bin", "libsasl2-modules"])
}

/// Starts both. The port of the [`Relay`] is the one with Cyrus.
pub fn trixie() -> (Relay, Submission) {
    let root = chroot::copy(&debian());
    let [cyrus, dovecot, inner] = [free_port(), free_port(), free_port()];
    let filled = |text: &str| {
        let places = [("CYRUS", cyrus), ("DOVECOT", dovecot), ("INNER", inner)];
        places.iter().fold(text.to_owned(), |text, (name, port)| text.replace(name, &port.to_string()))
    };
    let identity = Authority::new("CA of the relay").issue(&["127.0.0.1"]);
    for (name, content) in [
        ("etc/postfix/main.cf", MAIN),
        ("etc/postfix/master.cf", &(filled(INTAKES) + SERVICES)),
        ("etc/postfix/sasl/smtpd.conf", CYRUS),
        ("etc/password", PASSWORD),
        ("etc/dovecot/dovecot.conf", &filled(DOVECOT)),
        ("etc/dovecot/cert.pem", &identity.pem),
        ("etc/dovecot/key.pem", &identity.key_pem),
        ("etc/dovecot/users", &format!("{USER}:{{PLAIN}}{PASSWORD}\nhashed:{HASHED}\n")),
    ] {
        write(root.path(), name, content);
    }
    chown(root.path().join("var/mail"), Some(8), Some(8)).unwrap(); // mail:mail, as Debian numbers them
    std::fs::create_dir_all(root.path().join("var/vmail")).unwrap();
    chown(root.path().join("var/vmail"), Some(5000), Some(5000)).unwrap();
    (Relay::start(root, cyrus, START, LOG, of_cyrus), Submission { port: dovecot })
}

/// Cyrus has its realm behind the user.
fn of_cyrus(log: &str) -> Vec<String> {
    logins(&log.replace("@relay.example.org\n", "\n"))
}

/// No SCRAM can use it.
const HASHED: &str = "{SHA512-CRYPT}$6$C5iIF2iM1da6x/uk$\
    yN.Iqsr5Atgc4rIiGRad51k00Za8Kp2wAcBDD0CtogNU4P8d88GPtf76RrOzRCuoaldhOv3VGw6k2TxxZwKIM1";
