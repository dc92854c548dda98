//! The programs that are measured, each as its manual has it for one mail.

use super::cost::{Mail, PASSWORD, Place, Run, USER};
use super::sink::Tls;
use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};

#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    QmailRemote { ours: bool },
    Msmtp,
    Nullmailer,
    Curl,
}

pub struct Client {
    pub name: String,
    kind: Kind,
    program: PathBuf,
    /// Where its libraries are, if not in the system.
    libraries: Option<String>,
}

impl Client {
    pub fn ours(program: PathBuf) -> Client {
        Client { name: "qmail-remote-auth".into(), kind: Kind::QmailRemote { ours: true }, program, libraries: None }
    }

    /// Another qmail-remote, given as NAME=PATH or as its path: of another kind, or an older one of ours.
    pub fn qmail_remote(argument: &str) -> Client {
        let (name, program) = argument.split_once('=').unwrap_or((argument, argument));
        let kind = Kind::QmailRemote { ours: false };
        Client { name: name.into(), kind, program: program.into(), libraries: None }
    }

    /// Debian's, of packages unpacked here or of the system.
    pub fn peers(unpacked: &Path) -> Vec<Client> {
        let peers = [
            ("nullmailer (GnuTLS)", Kind::Nullmailer, "usr/lib/nullmailer/smtp"),
            ("msmtp (GnuTLS)", Kind::Msmtp, "usr/bin/msmtp"),
            ("curl (OpenSSL)", Kind::Curl, "usr/bin/curl"),
        ];
        let find = |(name, kind, path): (&str, Kind, &str)| {
            let found = [unpacked, Path::new("/")].into_iter().find(|root| root.join(path).exists());
            let Some(root) = found else {
                eprintln!("not measured, since it is not here: {name}");
                return None;
            };
            // Its own alone: libraries of another libc release would do it no good.
            let libraries = (root == unpacked).then(|| libraries(unpacked));
            Some(Client { name: name.into(), kind, program: root.join(path), libraries })
        };
        peers.into_iter().filter_map(find).collect()
    }

    pub fn is_ours(&self) -> bool {
        self.kind == Kind::QmailRemote { ours: true }
    }

    /// Of the tables.
    pub fn label(&self) -> String {
        if self.is_ours() { format!("**{}**", self.name) } else { self.name.clone() }
    }

    pub fn is_qmail_remote(&self) -> bool {
        matches!(self.kind, Kind::QmailRemote { .. })
    }

    /// How it is run for this mail.
    pub fn run(&self, place: &Place, mail: &Mail) -> Run {
        let (host, port) = (mail.address.ip().to_string(), mail.address.port().to_string());
        let cas = place.path("cas.pem").display().to_string();
        let mut run = Run {
            program: self.program.clone(),
            arguments: Vec::new(),
            env: self.libraries.iter().map(|path| ("LD_LIBRARY_PATH", path.clone())).collect(),
            stdin: mail.message.clone(),
            third: None,
            says: "",
        };
        match self.kind {
            Kind::QmailRemote { ours: true } => return place.qmail_remote(&self.program, mail, "", ' '),
            Kind::QmailRemote { ours: false } => {
                let _ = fs::remove_file("/var/qmail"); // in the namespace of script/bench
                symlink(place.path(""), "/var/qmail").unwrap();
                // One of the two forms of a line, each patch knowing one.
                let run = place.qmail_remote(&self.program, mail, "", '|');
                if run.under(&[]).is_ok() {
                    return run;
                }
                return place.qmail_remote(&self.program, mail, "", ' ');
            }
            Kind::Msmtp => {
                let mut lines = format!("defaults\ntls_trust_file {cas}\naccount default\n");
                lines += &format!("host {host}\nport {port}\ndomain client.example.net\nfrom sender@example.net\n");
                if mail.way.tls() != Tls::Never {
                    lines += if mail.way.tls() == Tls::OnCommand { "tls on\n" } else { "tls on\ntls_starttls off\n" };
                }
                if mail.way.logs_in() {
                    lines += &format!("auth plain\nuser {USER}\npassword {PASSWORD}\n");
                }
                let file = place.write("msmtprc", lines);
                fs::set_permissions(&file, fs::Permissions::from_mode(0o600)).unwrap();
                run.arguments = vec!["--file".into(), file.display().to_string(), "--".into()];
                run.arguments.extend(mail.recipients.iter().cloned());
            }
            Kind::Nullmailer => {
                let mut options = format!("host={host}\nport={port}\n");
                match mail.way.tls() {
                    Tls::Never => {}
                    Tls::OnCommand => options += &format!("starttls\nx509cafile={cas}\n"),
                    Tls::AtOnce => options += &format!("ssl\nx509cafile={cas}\n"),
                }
                if mail.way.logs_in() {
                    options += &format!("user={USER}\npass={PASSWORD}\n");
                }
                run.stdin = place.write("nullmailer", options + "\n");
                let envelope = format!("sender@example.net\n{}\n\n", mail.recipients.join("\n"));
                run.third =
                    Some(place.write("queued", [envelope.into_bytes(), fs::read(&mail.message).unwrap()].concat()));
                run.env.push(("HELOHOST", "client.example.net".into()));
            }
            Kind::Curl => {
                let scheme = if mail.way.tls() == Tls::AtOnce { "smtps" } else { "smtp" };
                let url = format!("{scheme}://{host}:{port}/client.example.net");
                let message = mail.message.display().to_string();
                let words =
                    ["--disable", "--silent", "--show-error", "--crlf", "--url", &url, "--upload-file", &message];
                run.arguments = words.map(String::from).to_vec();
                let mut add = |option: &str, value: &str| run.arguments.extend([option.into(), value.into()]);
                add("--mail-from", "sender@example.net");
                mail.recipients.iter().for_each(|recipient| add("--mail-rcpt", recipient));
                if mail.way.logs_in() {
                    add("--user", &format!("{USER}:{PASSWORD}"));
                    run.arguments.push("--sasl-ir".into()); // a round trip less
                }
                if mail.way.tls() != Tls::Never {
                    run.arguments.extend(["--ssl-reqd".into(), "--cacert".into(), cas]);
                }
            }
        }
        run
    }
}

/// The directories with libraries of the unpacked packages.
fn libraries(unpacked: &Path) -> String {
    let under = ["usr/lib", "lib"].map(|path| unpacked.join(path));
    let directories =
        under.iter().filter_map(|path| fs::read_dir(path).ok()).flatten().map(|entry| entry.unwrap().path());
    let multiarch = directories.filter(|path| path.to_string_lossy().ends_with("-linux-gnu"));
    multiarch.map(|path| path.display().to_string()).collect::<Vec<_>>().join(":")
}
