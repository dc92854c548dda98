//! Debian's Postfix, with Dovecot to check its logins.

use super::chroot;
use super::relay::{Endpoint, PASSWORD, Relay, USER, free_port, write};
use std::os::unix::fs::chown;
use std::path::PathBuf;

/// It takes mail only after a login, stores it for r1@example.org to r100@example.org, sends none on, and wants every
/// line of a message to end with CRLF.
const MAIN: &str = "\
compatibility_level = 3.6
myhostname = relay.example.org
mydestination =
mynetworks =
inet_interfaces = 127.0.0.1
inet_protocols = ipv4
disable_dns_lookups = yes
smtpd_peername_lookup = no
maillog_file = /var/log/postfix.log
default_transport = error:nothing leaves this relay
relay_transport = error:nothing leaves this relay
virtual_mailbox_domains = example.org
virtual_mailbox_base = /var/mail
virtual_mailbox_maps = texthash:/etc/postfix/mailboxes
virtual_uid_maps = static:8
virtual_gid_maps = static:8
virtual_minimum_uid = 8
virtual_mailbox_limit = 0
message_size_limit = 50000000
local_header_rewrite_clients =
smtpd_forbid_bare_newline = yes
smtpd_sasl_auth_enable = yes
smtpd_sasl_type = dovecot
smtpd_sasl_path = private/auth
smtpd_client_restrictions = permit_sasl_authenticated, reject
smtpd_client_connection_count_limit = 0
default_process_limit = 120
";

const INTAKE: &str = "127.0.0.1:PORT inet n - n - - smtpd\n";

/// What the mail passes behind that, none of it chrooted once more, and no client: `smtp` is not there.
pub const SERVICES: &str = "\
cleanup unix n - n - 0 cleanup
qmgr unix n - n 300 1 qmgr
rewrite unix - - n - - trivial-rewrite
bounce unix - - n - 0 bounce
defer unix - - n - 0 bounce
trace unix - - n - 0 bounce
error unix - - n - - error
retry unix - - n - - error
proxymap unix - - n - - proxymap
virtual unix - n n - - virtual
tlsmgr unix - - n 1000? 1 tlsmgr
anvil unix - - n - 1 anvil
postlog unix-dgram n - n - 1 postlogd
";

/// Debian's `submission` and `smtps`, which take no login before TLS.
const SECURE: &str = "\
ADDRESS:587 inet n - n - - smtpd
  -o smtpd_tls_security_level=may OPTIONS
ADDRESS:465 inet n - n - - smtpd
  -o smtpd_tls_wrappermode=yes OPTIONS
";

const OPTIONS: &str = "-o smtpd_tls_auth_only=yes -o smtpd_tls_chain_files=/etc/postfix/ADDRESS.pem \
    -o smtpd_tls_protocols=>=TLSv1.2,<=VERSION -o smtpd_tls_mandatory_protocols=>=TLSv1.2,<=VERSION";

/// Neither it nor its anvil makes a client wait after a wrong password.
pub const DOVECOT: &str = "\
protocols =
ssl = no
log_path = /var/log/dovecot.log
auth_mechanisms = plain login cram-md5 scram-sha-1 scram-sha-256
auth_failure_delay = 0
disable_plaintext_auth = no
passdb {
  driver = passwd-file
  args = /etc/dovecot/users
}
userdb {
  driver = static
  args = uid=8 gid=8 home=/
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

/// Dovecot first: a smtpd that finds no socket there ends, and Postfix starts the next one a minute later. Trixie's Postfix has no
/// directory for that socket before its first start.
pub const START: &str = "\
[ -d /var/spool/postfix/private ] || install -d -o postfix -m 700 /var/spool/postfix/private
dovecot -F &
until [ -S /var/spool/postfix/private/auth ]; do sleep 0.1; done
postfix start-fg &
wait
";

pub const LOG: &str = "var/log/postfix.log";

pub fn debian() -> PathBuf {
    chroot::debian("bookworm", &["postfix", "dovecot-core"])
}

/// Starts one, with these endpoints besides the one in clear.
pub fn postfix(endpoints: &[Endpoint]) -> Relay {
    let root = chroot::copy(&debian());
    write(root.path(), "etc/dovecot/dovecot.conf", DOVECOT);
    write(root.path(), "etc/dovecot/users", &format!("{USER}:{{PLAIN}}{PASSWORD}\n"));
    start(root, endpoints, logins)
}

/// Starts one in this Debian, where Dovecot has its configuration.
pub fn start(root: tempfile::TempDir, endpoints: &[Endpoint], logins: fn(&str) -> Vec<String>) -> Relay {
    let port = free_port();
    let mailboxes: String = (1..=100).map(|i| format!("r{i}@example.org r{i}/\n")).collect();
    write(root.path(), "etc/postfix/main.cf", MAIN);
    let mut master = INTAKE.replace("PORT", &port.to_string()) + SERVICES;
    for endpoint in endpoints {
        let services = SECURE.replace("OPTIONS", OPTIONS).replace("VERSION", endpoint.version);
        master += &services.replace("ADDRESS", &endpoint.address.to_string());
        endpoint.write_pem(root.path(), "etc/postfix");
    }
    write(root.path(), "etc/postfix/master.cf", &master);
    write(root.path(), "etc/postfix/mailboxes", &mailboxes);
    chown(root.path().join("var/mail"), Some(8), Some(8)).unwrap(); // mail:mail, as Debian numbers them
    Relay::start(root, port, START, LOG, logins)
}

/// `... client=unknown[127.0.0.1], sasl_method=PLAIN, sasl_username=myuser`, one for each mail.
pub fn logins(log: &str) -> Vec<String> {
    let user = format!("sasl_username={USER}");
    let lines = log.lines().filter_map(|line| line.strip_suffix(&user)?.split_once("sasl_method="));
    lines.map(|(_, method)| method.trim_end_matches(", ").to_owned()).collect()
}
