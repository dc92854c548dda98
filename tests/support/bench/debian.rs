//! Debian's Postfix as it comes, in a chroot each: as the relay that all are measured with, and as a client beside them.

use super::chroot;
use super::cost::{PASSWORD, Place, USER};
use super::line;
use super::postfix::{self, DOVECOT, LOG, START};
use super::relay::{Relay, write};
use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::thread::sleep;
use std::time::Duration;

/// Where the client takes mail from this machine, in place of port 25, which is the relay's.
const INTAKE: u16 = 2525;

/// Where the relay takes mail, at all addresses.
pub const SUBMISSION: u16 = 587;

/// The names by which the client knows the relay, nearby and on the line: Postfix verifies no address.
pub const NAMES: [&str; 2] = ["near.example", "far.example"];

/// What is set besides Debian's main.cf: a certificate and logins, as for every relay; a log, since a chroot has no syslog; and that
/// nothing leaves, since a relay that sent on would be busy with that.
const RELAY: &str = "
maillog_file = /var/log/postfix.log
smtpd_tls_chain_files = /etc/postfix/chain.pem
smtpd_sasl_type = dovecot
smtpd_sasl_path = private/auth
default_transport = discard:
";

/// The service of Debian's master.cf, without its comment signs.
const SUBMISSION_SERVICE: &str = "
587 inet n - y - - smtpd
  -o syslog_name=postfix/submission
  -o smtpd_tls_security_level=encrypt
  -o smtpd_sasl_auth_enable=yes
  -o smtpd_tls_auth_only=yes
  -o smtpd_reject_unlisted_recipient=no
  -o smtpd_client_restrictions=
  -o smtpd_helo_restrictions=
  -o smtpd_sender_restrictions=
  -o smtpd_relay_restrictions=
  -o smtpd_recipient_restrictions=permit_sasl_authenticated,reject
  -o milter_macro_daemon_name=ORIGINATING
";

/// What is set in the client: the relay, the login, and that the certificate is verified. The relay's name is in /etc/hosts, and DNS
/// there is none. All that it is given waits in its queue at first.
const CLIENT: &str = "
maillog_file = /var/log/postfix.log
relayhost = [NAME]:587
smtp_host_lookup = native
smtp_tls_security_level = verify
smtp_tls_CAfile = /etc/postfix/cas.pem
smtp_sasl_auth_enable = yes
smtp_sasl_password_maps = texthash:/etc/postfix/passwords
smtp_sasl_security_options = noanonymous
defer_transports = smtp
";

/// With connections that are used again the TLS is in another process, which Debian's master.cf has as a comment.
const REUSE: &str = "smtp_tls_connection_reuse = yes\n";
const PROXY: &str = "tlsproxy unix - - y - 0 tlsproxy\n";

/// As systemd does before it starts Postfix.
const PREPARE: &str = "/usr/lib/postfix/configure-instance.sh -\n";

/// The client, which holds back what it is given until the file `go` is there. It is in a PID namespace, so it is from in there that
/// it is told of that.
const START_CLIENT: &str = "\
postfix start-fg &
until [ -e /go ]; do sleep 0.1; done
postconf -e defer_transports=
postfix reload
wait
";

fn debian_with_sasl() -> PathBuf {
    chroot::debian("bookworm", &["postfix", "libsasl2-modules"])
}

/// Makes what needs the network.
pub fn prepare() {
    postfix::debian();
    debian_with_sasl();
}

/// Debian's Postfix and Dovecot at [`SUBMISSION`], with the certificates of this place.
pub fn relay(place: &Place) -> Relay {
    let root = chroot::copy(&postfix::debian());
    append(root.path(), "etc/postfix/main.cf", RELAY);
    append(root.path(), "etc/postfix/master.cf", SUBMISSION_SERVICE);
    write(root.path(), "etc/postfix/chain.pem", &place.chain.pem());
    write(root.path(), "etc/hosts", &hosts());
    write(
        root.path(),
        "etc/dovecot/dovecot.conf",
        &DOVECOT.replace("login cram-md5 scram-sha-1 scram-sha-256", "login"),
    );
    write(root.path(), "etc/dovecot/users", &format!("{USER}:{{PLAIN}}{PASSWORD}\n"));
    Relay::start(root, SUBMISSION, &format!("{PREPARE}{START}"), LOG, postfix::logins)
}

/// A Postfix that sends to the relay.
pub struct Postfix(Relay);

impl Postfix {
    /// `name` is one of [`NAMES`].
    pub fn start(place: &Place, name: &str, reuse: bool) -> Postfix {
        let root = chroot::copy(&debian_with_sasl());
        let more = if reuse { [REUSE, PROXY] } else { [""; 2] };
        append(root.path(), "etc/postfix/main.cf", &(CLIENT.replace("NAME", name) + more[0]));
        append(root.path(), "etc/postfix/master.cf", more[1]);
        let master = fs::read_to_string(root.path().join("etc/postfix/master.cf")).unwrap();
        let intake = format!("\n127.0.0.1:{INTAKE} inet ");
        write(root.path(), "etc/postfix/master.cf", &master.replacen("\nsmtp      inet ", &intake, 1));
        write(root.path(), "etc/postfix/passwords", &format!("[{name}]:{SUBMISSION} {USER}:{PASSWORD}\n"));
        write(root.path(), "etc/postfix/cas.pem", &fs::read_to_string(place.path("cas.pem")).unwrap());
        write(root.path(), "etc/hosts", &hosts());
        Postfix(Relay::start(root, INTAKE, &format!("{PREPARE}{START_CLIENT}"), LOG, postfix::logins))
    }

    pub fn root(&self) -> &Path {
        self.0.root()
    }

    /// Puts so many of this message into its queue, from where they go when they are asked for.
    pub fn queue(&mut self, count: usize, message: &Path) {
        fs::copy(message, self.root().join("message")).unwrap();
        let intake = SocketAddr::from(([127, 0, 0, 1], INTAKE)).to_string();
        let count_words = count.to_string();
        let words = ["-m", &count_words, "-s", "5", "-F", "/message", "-f", "sender@example.net"];
        self.run("smtp-source", &[&words[..], &["-t", "recipient1@example.org", &intake]].concat());
        let deferred = self.root().join("var/spool/postfix/deferred");
        self.0.wait_for("a full queue", |_| (files(&deferred) == count).then_some(()));
        write(self.root(), "go", "");
        self.0.wait_for("a reload", |relay| relay.log().contains(": reload -- version ").then_some(()));
        sleep(Duration::from_secs(1)); // the queue manager starts anew once it is asked for
    }

    /// Sends all that is in its queue.
    pub fn send(&mut self, count: usize) {
        let (mut read, mut sent) = (self.0.log().len(), 0);
        self.run("postqueue", &["-f"]);
        self.0.wait_for("the last mail", |relay| {
            let log = relay.log();
            let end = log.rfind('\n').map_or(read, |place| place + 1);
            sent += log[read..end].matches(" status=sent ").count();
            read = end;
            (sent == count).then_some(())
        });
    }

    fn run(&self, program: &str, arguments: &[&str]) {
        let done = chroot::command(self.root(), program).args(arguments).status().unwrap();
        assert!(done.success(), "{program} {arguments:?}");
    }
}

fn hosts() -> String {
    format!("127.0.0.1 localhost {}\n{} {}\n{} client.example\n", NAMES[0], line::NEAR, NAMES[1], line::FAR)
}

fn append(root: &Path, name: &str, text: &str) {
    let before = fs::read_to_string(root.join(name)).unwrap();
    write(root, name, &(before + text));
}

/// How many there are below this directory.
fn files(directory: &Path) -> usize {
    let entries = fs::read_dir(directory).into_iter().flatten().flatten();
    entries.map(|entry| if entry.path().is_dir() { files(&entry.path()) } else { 1 }).sum()
}
