//! The control files in words: which route has a login, and who can read each file with a secret. No network, and never
//! the secret.

use super::readers::readers;
use crate::auth::Credentials;
use crate::control::files::{Control, ControlError};
use crate::control::senders::{self, Sender};
use crate::control::{Route, relays, routes};
use crate::report::os_error;
use std::path::{Path, PathBuf};

/// What there is to say about the control files of this home, a line each.
pub fn config(home: &Path) -> Vec<String> {
    let control = Control { home: home.to_owned() };
    let mut report = Report { home, lines: vec![format!("home {}", home.display())], secrets: Vec::new() };
    for result in [report.routes(&control), report.senders(&control), report.relays(&control)] {
        if let Err(ControlError(why)) = result {
            report.lines.push(format!("{why}; mail is put off"));
        }
    }
    for path in std::mem::take(&mut report.secrets) {
        let who = readers(&path).unwrap_or_else(|error| os_error(&error));
        report.lines.push(format!("{} holds a secret: {who}", path.display()));
    }
    // Names come out of files, and the lines go to a terminal.
    let printable = |line: String| line.chars().map(|c| if c.is_control() { '?' } else { c }).collect();
    report.lines.into_iter().map(printable).collect()
}

struct Report<'a> {
    home: &'a Path,
    lines: Vec<String>,
    /// The files that hold one.
    secrets: Vec<PathBuf>,
}

impl Report<'_> {
    fn routes(&mut self, control: &Control) -> Result<(), ControlError> {
        let Some(content) = control.read(routes::FILE)? else { return Ok(()) };
        for (key, value, number) in routes::entries(&content).filter(|(_, value, _)| !value.is_empty()) {
            let route = routes::understand(value, number);
            self.route(control, &format!("mail for {}", name(key, "all other hosts")), routes::FILE, route);
        }
        Ok(())
    }

    fn senders(&mut self, control: &Control) -> Result<(), ControlError> {
        let Some(content) = control.read(senders::FILE)? else { return Ok(()) };
        for entry in senders::entries(&content) {
            let (key, value, number) = entry?;
            if value.is_empty() {
                continue;
            }
            let mail = format!("mail from {}", name(key, "all other senders"));
            match senders::understand(value, number) {
                Ok(None) => {}
                Ok(Some(Sender::Login(login))) => {
                    self.lines.push(format!(
                        "{}: {mail} logs in as {} at its route's relay",
                        login.source,
                        user(&login)
                    ));
                    self.secret(senders::FILE);
                }
                Ok(Some(Sender::Relay(route))) => self.route(control, &mail, senders::FILE, Ok(*route)),
                Err(error) => self.route(control, &mail, senders::FILE, Err(error)),
            }
        }
        Ok(())
    }

    /// A line about a route that has a login, or would have one if it could be understood.
    fn route(&mut self, control: &Control, mail: &str, file: &str, route: Result<Route, ControlError>) {
        if route.as_ref().is_ok_and(|route| route.credentials.is_some()) {
            self.secret(file);
        }
        let said = match route.and_then(|route| relays::complete(control, route)) {
            Err(ControlError(why)) => format!("{why}; {mail} is put off"),
            Ok(Route { credentials: None, .. }) => return,
            Ok(Route { host, port, source, credentials: Some(login), .. }) => {
                let from = if login.source == source { String::new() } else { format!(" ({})", login.source) };
                let who = match login.by_certificate {
                    true => "its client certificate".to_owned(),
                    false => user(&login),
                };
                format!("{source}: {mail} goes to {host}:{port} with a login as {who}{from}")
            }
        };
        self.lines.push(said);
    }

    /// The passwords and keys in control/relays.
    fn relays(&mut self, control: &Control) -> Result<(), ControlError> {
        let mut relays = control.names("relays")?;
        relays.sort();
        for relay in relays {
            let password = format!("relays/{relay}/password");
            if control.exists(&password)? {
                self.secret(&password);
            }
            if let Some(path) = control.first_line(&format!("relays/{relay}/clientkey"))? {
                let path = String::from_utf8_lossy(&path).into_owned();
                self.secrets.push(self.home.join(path));
            }
        }
        Ok(())
    }

    fn secret(&mut self, control_file: &str) {
        let path = self.home.join("control").join(control_file);
        if !self.secrets.contains(&path) {
            self.secrets.push(path);
        }
    }
}

fn name(key: &[u8], default: &str) -> String {
    match key {
        [] => default.to_owned(),
        // Perhaps a line whose key was forgotten, and the colon is one of the password.
        _ if key.iter().any(|c| b" \t|".contains(c)) => "a name with a blank or a bar in it".to_owned(),
        _ => String::from_utf8_lossy(key).into_owned(),
    }
}

fn user(login: &Credentials) -> String {
    String::from_utf8_lossy(&login.user).into_owned()
}
