//! One POST to an endpoint of the provider: look up, connect, TLS, request, reply. A machine as the delivery is one: it says what it
//! wants, and is told what happened.

use super::http::{self, Reader, Reply};
use crate::cause::oauth::{HttpCause, ProviderCause};
use crate::control::tokens::Url;
use crate::policy::{PemFile, Security, TlsPolicy, Verification};
use crate::report::os_error;
use crate::resolve::resolution::known;
use crate::tls::{Failure, Session};
use crate::want::{Address, Connect, Happened, NotFound, Want, out_of_turn};
use qmail_auth::secret::{self, Secret};
use std::collections::VecDeque;

/// What each step may take, in milliseconds, and all of them together: the delivery that waits for a token gives up after a minute.
const STEP: u64 = 20_000;
const ALL: u64 = 50_000;

/// How many addresses are tried.
const ADDRESSES: usize = 8;

/// An exchange.
pub struct Exchange {
    url: Url,
    security: Security,
    request: Secret,
    stage: Stage,
    /// When all of it must be over. None: it has not begun.
    end: Option<u64>,
    addresses: VecDeque<Address>,
    failures: Vec<String>,
}

enum Stage {
    Resolve,
    Connect,
    Talk(Box<Talk>),
    Close(Result<Answer, Failed>),
    Done(Option<Result<Answer, Failed>>),
}

/// A connection.
struct Talk {
    tls: Option<Session>,
    /// To send.
    octets: Vec<u8>,
    is_asked: bool,
    cannot_send: bool,
    reader: Reader,
    deadline: u64,
    /// Unix time when the connection was made.
    unix: u64,
}

/// The provider's reply.
pub struct Answer {
    /// The reply itself.
    pub reply: Reply,
    /// Unix time when it was asked. What the provider calls the life of a token begins later than that.
    pub unix: u64,
}

/// There is none.
#[derive(Debug)]
pub struct Failed {
    /// Why.
    pub why: ProviderCause,
    /// Our own set-up is at fault, so it is no use to try again soon.
    pub is_set_up: bool,
}

impl From<ProviderCause> for Failed {
    fn from(why: ProviderCause) -> Failed {
        Failed { why, is_set_up: false }
    }
}

impl Exchange {
    /// Posts this form. `place` is the directory of the control file `cafile`, to name it in advice.
    pub fn new(url: &Url, cafile: Option<&PemFile>, place: &str, form: &[u8]) -> Exchange {
        let addresses: VecDeque<Address> = known(&url.host).into_iter().map(|ip| Address { ip, scope: 0 }).collect();
        let security = Security {
            policy: TlsPolicy::Verify,
            cafile: cafile.cloned(),
            client: None,
            directory: Some(place.to_owned()),
        };
        Exchange {
            request: http::post(url, form),
            url: url.clone(),
            security,
            stage: if addresses.is_empty() { Stage::Resolve } else { Stage::Connect },
            end: None,
            addresses,
            failures: Vec::new(),
        }
    }

    /// What to do now. None: it is over.
    pub fn want(&mut self, now: u64) -> Option<Want<'_>> {
        let end = *self.end.get_or_insert(now.saturating_add(ALL));
        match &mut self.stage {
            Stage::Resolve => Some(Want::Addresses(&self.url.host)),
            Stage::Connect => {
                let address = *self.addresses.front().expect("an address, or it is over");
                // A silent address must leave time for the others.
                let left = end.saturating_sub(now);
                let left = if self.addresses.len() > 1 { left / 2 } else { left };
                let connect = Connect { address, port: self.url.port, source: None };
                Some(Want::Connect(connect, now.saturating_add(left.min(STEP))))
            }
            Stage::Talk(talk) => Some(Want::Io(&talk.octets, talk.deadline.min(end))),
            Stage::Close(_) => Some(Want::Close(b"")),
            Stage::Done(_) => None,
        }
    }

    /// Takes what happened.
    pub fn happened(&mut self, event: Happened) {
        match (&mut self.stage, event) {
            (Stage::Resolve, Happened::Resolved(addresses)) => {
                self.addresses = addresses.into_iter().take(ADDRESSES).collect();
                self.stage = Stage::Connect;
                if self.addresses.is_empty() {
                    self.no_address("");
                }
            }
            (Stage::Resolve, Happened::NotFound(NotFound::None | NotFound::Unknown, why)) => self.no_address(why),
            (Stage::Connect, Happened::NotConnected(error) | Happened::NotBound(error)) => {
                let address = self.addresses.pop_front().expect("the address that was wanted");
                self.failures.push(format!("{}: {}", address.ip, os_error(error)));
                if self.addresses.is_empty() {
                    let failures = self.failures.join(", ");
                    self.stage = Stage::Done(Some(Err(ProviderCause::NoConnection { failures }.into())));
                }
            }
            (Stage::Connect, Happened::Connected { now, unix }) => self.connected(now, unix),
            (Stage::Talk(talk), event) => {
                if let Some(result) = talk.happened(event, &mut self.request) {
                    self.stage = Stage::Close(result);
                }
            }
            (Stage::Close(_), Happened::Disconnected(_)) => {
                let Stage::Close(result) = std::mem::replace(&mut self.stage, Stage::Done(None)) else {
                    unreachable!()
                };
                self.stage = Stage::Done(Some(result));
            }
            (_, event) => out_of_turn(&event),
        }
    }

    /// What came out, once it is over.
    pub fn result(&mut self) -> Option<Result<Answer, Failed>> {
        match &mut self.stage {
            Stage::Done(result) => result.take(),
            _ => None,
        }
    }

    fn no_address(&mut self, why: &str) {
        let why = if why.is_empty() { "none is known".to_owned() } else { why.to_owned() };
        self.stage = Stage::Done(Some(Err(ProviderCause::NoAddress { why }.into())));
    }

    fn connected(&mut self, now: u64, unix: u64) {
        let ip = self.addresses.front().expect("the address that was wanted").ip;
        let session = self
            .url
            .is_https
            .then(|| Session::start(&self.security, Verification::Required, (&self.url.host, ip), unix))
            .transpose();
        self.stage = match session {
            Err(failure) => Stage::Close(Err(tls_failed(failure))),
            Ok(tls) => {
                let deadline = now.saturating_add(STEP);
                let (octets, reader) = (Vec::new(), Reader::default());
                let mut talk = Talk { tls, octets, is_asked: false, cannot_send: false, reader, deadline, unix };
                talk.go_on(now, &mut self.request);
                Stage::Talk(Box::new(talk))
            }
        };
    }
}

impl Talk {
    /// Takes what happened. Answers the result once there is one.
    fn happened(&mut self, event: Happened, request: &mut Secret) -> Option<Result<Answer, Failed>> {
        match event {
            Happened::Received(now, octets) => self.received(now, octets, request),
            Happened::Closed => match self.reader.closed() {
                Ok(()) => Some(Ok(self.answer())),
                Err(why) => Some(Err(ProviderCause::Http { why }.into())),
            },
            Happened::Sent(_, count) => {
                let left = self.octets.split_off(count);
                secret::clear(&mut self.octets);
                self.octets = left;
                None
            }
            Happened::SendFailed => {
                self.cannot_send = true;
                secret::clear(&mut self.octets);
                None
            }
            Happened::TimedOut => Some(Err(ProviderCause::Silent.into())),
            event => out_of_turn(&event),
        }
    }

    fn received(&mut self, now: u64, octets: &[u8], request: &mut Secret) -> Option<Result<Answer, Failed>> {
        let mut plain = Vec::new();
        let (received, is_closed) = match &mut self.tls {
            None => {
                plain.extend_from_slice(octets);
                (Ok(()), false)
            }
            Some(tls) => {
                let received = tls.receive(octets, &mut plain);
                (received, tls.is_closed())
            }
        };
        let plain = Secret::from(plain);
        match self.reader.add(&plain) {
            Ok(true) => return Some(Ok(self.answer())),
            Ok(false) => {}
            Err(why) => return Some(Err(ProviderCause::Http { why }.into())),
        }
        if let Err(failure) = received {
            return Some(Err(tls_failed(failure)));
        }
        self.go_on(now, request);
        is_closed.then(|| self.reader.closed().map(|()| self.answer()).map_err(of_http))
    }

    /// Asks once that may be done, and takes what TLS has to send.
    fn go_on(&mut self, now: u64, request: &mut Secret) {
        if self.cannot_send {
            return;
        }
        let is_ready = self.tls.as_ref().is_none_or(|tls| !tls.is_handshaking());
        if is_ready && !self.is_asked {
            self.is_asked = true;
            self.deadline = now.saturating_add(STEP);
            match &mut self.tls {
                None => self.octets.extend_from_slice(request),
                Some(tls) => tls.send(request),
            }
            *request = Secret::default();
        }
        if let Some(tls) = &mut self.tls {
            tls.take(&mut self.octets);
        }
    }

    fn answer(&mut self) -> Answer {
        Answer { reply: std::mem::take(&mut self.reader).into_reply(), unix: self.unix }
    }
}

impl Drop for Talk {
    fn drop(&mut self) {
        secret::clear(&mut self.octets);
    }
}

fn of_http(why: HttpCause) -> Failed {
    ProviderCause::Http { why }.into()
}

/// The words for it are those for a relay, which this is not.
fn tls_failed(failure: Failure) -> Failed {
    let (Failure::SetUp(ref cause) | Failure::Relay(ref cause) | Failure::NotTls(ref cause)) = failure;
    let why = cause.to_string().replace("the relay", "the server");
    Failed { why: ProviderCause::Tls { why }, is_set_up: matches!(failure, Failure::SetUp(_)) }
}
