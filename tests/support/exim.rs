//! Debian's Exim, which checks logins by itself against a plain-text file.

use super::chroot;
use super::relay::{Endpoint, PASSWORD, Relay, USER, free_port, write};
use std::os::unix::fs::chown;

/// It takes mail only after a login, stores it for r1@example.org to r100@example.org, and sends none on. The names of
/// the authenticators are what its log shows. At 127.0.0.1 it is in clear; elsewhere it takes no login before TLS.
const CONFIG: &str = "\
primary_hostname = relay.example.org
local_interfaces = LISTEN
tls_on_connect_ports = 465
host_lookup =
rfc1413_query_timeout = 0s
tls_advertise_hosts = ${if eq{$received_ip_address}{127.0.0.1}{}{*}}
tls_certificate = /etc/exim4/$received_ip_address.pem
tls_require_ciphers = NORMAL${if inlist{$received_ip_address}{OLD}{:-VERS-ALL:+VERS-TLS1.2}}
auth_advertise_hosts = ${if or{{eq{$received_ip_address}{127.0.0.1}}{def:tls_in_cipher}}{*}{}}
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

/// Starts one, with these endpoints besides the one in clear.
pub fn exim(endpoints: &[Endpoint]) -> Relay {
    let root = chroot::copy(&chroot::debian("bookworm", &["exim4-daemon-light"]));
    let port = free_port();
    let mailboxes: String = (1..=100).map(|i| format!("r{i}: r{i}\n")).collect();
    let (mut listen, mut old) = (format!("127.0.0.1.{port}"), Vec::new());
    for endpoint in endpoints {
        let address = endpoint.address;
        listen += &format!(" : {address}.465 : {address}.587");
        if endpoint.version == "TLSv1.2" {
            old.push(address.to_string());
        }
        endpoint.write_pem(root.path(), "etc/exim4");
    }
    let config = CONFIG.replace("LISTEN", &listen).replace("OLD", &old.join(" : "));
    write(root.path(), "etc/exim4/exim4.conf", &config);
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
