//! A browser at the pages of a provider, over HTTPS: it keeps cookies, follows redirects, and sends forms with what a user enters.

use super::certificate::der;
use super::provider::decoded;
use rustls::pki_types::ServerName;
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned, crypto::ring};
use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::sync::Arc;

/// More pages than any consent has.
const MOST: usize = 20;

/// A browser with no cookies yet.
pub struct Browser {
    /// `https://ADDRESS:PORT` of the provider.
    origin: String,
    tls: Arc<ClientConfig>,
    cookies: BTreeMap<String, String>,
}

/// Where a browser ends.
pub struct Last {
    pub address: String,
    /// Empty where the address is on another server, which it does not ask.
    pub page: String,
}

type Fields = Vec<(String, String)>;

impl Browser {
    pub fn new(origin: &str, ca: &str) -> Browser {
        let mut roots = RootCertStore::empty();
        roots.add(der(ca)).unwrap();
        let tls = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()));
        let tls = tls.with_safe_default_protocol_versions().unwrap();
        let tls = Arc::new(tls.with_root_certificates(roots).with_no_client_auth());
        Browser { origin: origin.to_owned(), tls, cookies: BTreeMap::new() }
    }

    /// Opens this address, and goes on until there is a page without a form, or another server. A field of one of these names gets
    /// its value, all others stay as they are in the page; a link of one of these names is followed in the place of the form, and is
    /// the last thing that is done.
    pub fn visit(&mut self, address: &str, entered: &[(&str, &str)]) -> Last {
        let (mut address, mut fields, mut page) = (address.to_owned(), None, String::new());
        let mut is_over = false;
        for _ in 0..MOST {
            if !address.starts_with(&self.origin) {
                return Last { address, page: String::new() };
            }
            let location;
            (location, page) = self.send(&address, fields.take());
            let next = if let Some(location) = location {
                location
            } else if is_over {
                return Last { address, page };
            } else if let Some(link) = entered.iter().find_map(|(name, _)| link(&page, name)) {
                is_over = true;
                link
            } else if let Some((action, filled)) = form(&page, entered) {
                fields = Some(filled);
                action
            } else {
                return Last { address, page };
            };
            address = if next.starts_with('/') { format!("{}{next}", self.origin) } else { next };
        }
        panic!("the provider has page after page: {page}");
    }

    /// The redirect, if it is one, and the page.
    fn send(&mut self, address: &str, fields: Option<Fields>) -> (Option<String>, String) {
        let host = self.origin.strip_prefix("https://").unwrap();
        let name = ServerName::try_from(host.split(':').next().unwrap().to_owned()).unwrap();
        let session = ClientConnection::new(self.tls.clone(), name).unwrap();
        let mut stream = StreamOwned::new(session, TcpStream::connect(host).unwrap());

        let method = if fields.is_some() { "POST" } else { "GET" };
        let cookies: Vec<_> = self.cookies.iter().map(|(name, value)| format!("{name}={value}")).collect();
        let body: Vec<_> =
            fields.iter().flatten().map(|(name, value)| format!("{}={}", encoded(name), encoded(value))).collect();
        let body = body.join("&");
        // HTTP/1.0, so that the reply ends with the connection.
        let request = format!(
            "{method} {} HTTP/1.0\r\nHost: {host}\r\nCookie: {}\r\nContent-Type: application/x-www-form-urlencoded\r\n\
             Content-Length: {}\r\n\r\n{body}",
            &address[self.origin.len()..],
            cookies.join("; "),
            body.len(),
        );
        stream.write_all(request.as_bytes()).unwrap();
        let mut reply = String::new();
        stream.read_to_string(&mut reply).unwrap();

        let (head, page) = reply.split_once("\r\n\r\n").unwrap();
        let mut location = None;
        for (name, value) in head.lines().filter_map(|line| line.split_once(": ")) {
            match &name.to_ascii_lowercase()[..] {
                "location" => location = Some(value.to_owned()),
                "set-cookie" => self.keep(value),
                _ => (),
            }
        }
        (location, page.to_owned())
    }

    /// Without its path: each name stands for one thing at a time.
    fn keep(&mut self, cookie: &str) {
        let (name, value) = cookie.split(';').next().unwrap().split_once('=').unwrap();
        if value.is_empty() {
            self.cookies.remove(name);
        } else {
            self.cookies.insert(name.to_owned(), value.to_owned());
        }
    }
}

/// The request for an address of http on the loopback; answers the first line of the reply.
pub fn open(address: &str) -> String {
    let (host, target) = address.strip_prefix("http://").unwrap().split_once('/').unwrap();
    let mut stream = TcpStream::connect(host).unwrap();
    stream.write_all(format!("GET /{target} HTTP/1.1\r\nHost: {host}\r\n\r\n").as_bytes()).unwrap();
    let mut reply = String::new();
    stream.read_to_string(&mut reply).unwrap();
    reply.lines().next().unwrap_or_default().to_owned()
}

/// The value of a field in the query of an address.
pub fn field(address: &str, name: &str) -> String {
    let query = address.split_once('?').unwrap().1;
    let value = query.split('&').find_map(|field| field.strip_prefix(name)?.strip_prefix('='));
    decoded(value.unwrap_or_else(|| panic!("no {name} in {query}")))
}

/// Where a link with this text leads.
fn link(page: &str, text: &str) -> Option<String> {
    let before = page.split_once(&format!(">{text}</a>"))?.0;
    attribute(&before[before.rfind("<a")?..], "href")
}

/// Where the first form of a page goes, and its fields.
fn form(page: &str, entered: &[(&str, &str)]) -> Option<(String, Fields)> {
    let form = page.split_once("<form")?.1.split("</form>").next()?;
    let mut inputs = form.split("<input");
    let action = attribute(inputs.next()?, "action")?;
    let field = |input: &str| {
        let name = attribute(input, "name")?;
        let entered = entered.iter().find(|(field, _)| *field == name).map(|(_, value)| (*value).to_owned());
        let value = entered.or_else(|| attribute(input, "value")).unwrap_or_default();
        Some((name, value))
    };
    Some((action, inputs.filter_map(field).collect()))
}

fn attribute(tag: &str, name: &str) -> Option<String> {
    let tag = tag.split('>').next().unwrap();
    let value = tag.split_once(&format!(" {name}=\""))?.1.split('"').next().unwrap();
    Some(value.replace("&amp;", "&"))
}

fn encoded(text: &str) -> String {
    text.bytes()
        .map(
            |octet| if octet.is_ascii_alphanumeric() { char::from(octet).to_string() } else { format!("%{octet:02X}") },
        )
        .collect()
}
