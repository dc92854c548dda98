//! Debian's Exim, which checks logins by itself against a plain-text file.

use super::chroot;
use super::relay::{PASSWORD, Relay, USER, free_port, write};
use std::os::unix::fs::chown;

/// It takes mail only after a login, stores it for r1@example.org to r100@example.org, and sends none on. The names of
/// the authenticators are what its log shows.
const CONFIG: &str = "\
primary_hostname = relay.example.org
local_interfaces = 127.0.0.1
daemon_smtp_ports = PORT
host_lookup =
rfc1413_query_timeout = 0s
tls_advertise_hosts =
log_file_path = /var/log/exim4/%slog
message_size_limit = 50M
keep_environment =
acl_smtp_rcpt = logged_in
acl_smtp_data = logged_in

begin acl
logged_in:
  accept authenticated = *

begin routers
mailbox:
  driver = accept
  domains = example.org
  local_parts = lsearch;/etc/exim4/mailboxes
  transport = maildir

begin transports
maildir:
  driver = appendfile
  maildir_format
  directory = /var/mail/$local_part_data
  user = mail

begin authenticators
plain:
  driver = plaintext
  public_name = PLAIN
  server_prompts = :
  server_condition = ${if eq{$auth3}{${lookup{$auth2}lsearch{/etc/exim4/users}{$value}fail}}}
  server_set_id = $auth2
login:
  driver = plaintext
  public_name = LOGIN
  server_prompts = Username:: : Password::
  server_condition = ${if eq{$auth2}{${lookup{$auth1}lsearch{/etc/exim4/users}{$value}fail}}}
  server_set_id = $auth1
cram_md5:
  driver = cram_md5
  public_name = CRAM-MD5
  server_secret = ${lookup{$auth1}lsearch{/etc/exim4/users}{$value}fail}
  server_set_id = $auth1
";

/// Starts one.
pub fn exim() -> Relay {
    let root = chroot::copy(&chroot::debian("bookworm", &["exim4-daemon-light"]));
    let port = free_port();
    let mailboxes: String = (1..=100).map(|i| format!("r{i}: r{i}\n")).collect();
    write(root.path(), "etc/exim4/exim4.conf", &CONFIG.replace("PORT", &port.to_string()));
    write(root.path(), "etc/exim4/mailboxes", &mailboxes);
    write(root.path(), "etc/exim4/users", &format!("{USER}: {PASSWORD}\n"));
    chown(root.path().join("var/mail"), Some(8), Some(8)).unwrap(); // mail:mail, as Debian numbers them
    Relay::start(root, port, "exim4 -bdf & wait", "var/log/exim4/mainlog", logins)
}

/// `... <= sender@example.net ... A=cram_md5:myuser S=238`, one for each mail.
fn logins(log: &str) -> Vec<String> {
    let user = format!(":{USER} ");
    let lines = log.lines().filter(|line| line.contains(" <= ")).filter_map(|line| line.split_once(" A="));
    lines.filter_map(|(_, rest)| Some(rest.split_once(&user)?.0.to_uppercase().replace('_', "-"))).collect()
}
