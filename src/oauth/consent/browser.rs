//! A consent in a browser that comes back to this machine, or whose last address is pasted (RFC 8252).

use super::{Consent, MOST, Stage, because, no};
use crate::cause::oauth::ConsentCause;
use crate::oauth::answer;
use crate::oauth::exchange::{Answer, Failed};
use crate::oauth::redirect::{AuthorizationRequest, Brought, page, target};
use qmail_auth::secret::Secret;

impl Consent {
    pub(super) fn listening(&mut self, port: u16) -> Stage {
        let provider = &self.account.provider;
        let authorize = provider.authorize.as_ref().expect("the way");
        let Some(request) = AuthorizationRequest::new() else {
            let why = "no random numbers".to_owned();
            return no(&ConsentCause::NoListener { why });
        };
        self.redirect = AuthorizationRequest::redirect(authorize, port);
        let user = answer::printable(self.account.user.as_bytes(), 200);
        self.said += &format!(
            "Open this in a browser:\n\n{}\n\nSign in as {user}, not as an administrator.\n\
             If that browser is on another machine, the last page will not load: paste its address here.\n",
            request.address(provider, authorize, &self.account.user, &self.redirect)
        );
        self.request = Some(request);
        Stage::Hear(None)
    }

    pub(super) fn line(&mut self, octets: &[u8], until: Option<u64>) -> Stage {
        self.line.add(octets);
        let is_whole = self.line.contains(&b'\n') || octets.is_empty();
        if self.line.len() > MOST || !is_whole || self.line.trim_ascii().is_empty() {
            if self.line.len() > MOST || is_whole {
                self.line = Secret::default();
            }
            return Stage::Hear(until);
        }
        let line = std::mem::take(&mut self.line);
        match self.request.as_ref().expect("it was made before").brought(line.trim_ascii()) {
            Brought::Nothing => {
                self.said += "That is no answer to this consent; paste the whole address.\n";
                Stage::Hear(until)
            }
            brought => self.brought(brought, 0),
        }
    }

    pub(super) fn browser(&mut self, number: usize, octets: &[u8], until: Option<u64>) -> Stage {
        let request = &mut self.browsers[number];
        if octets.is_empty() {
            *request = Secret::default();
            return Stage::Hear(until);
        }
        request.add(octets);
        let authorization = self.request.as_ref().expect("it was made before");
        let brought = match target(request) {
            None if request.len() <= MOST => return Stage::Hear(until),
            None | Some(None) => Brought::Nothing,
            Some(Some(target)) => authorization.brought(target),
        };
        *request = Secret::default();
        self.page = page(!matches!(brought, Brought::Nothing));
        Stage::Page(brought, until.expect("it was waited for"))
    }

    pub(super) fn brought(&mut self, brought: Brought, until: u64) -> Stage {
        match brought {
            Brought::Nothing => Stage::Hear(Some(until)),
            Brought::Refused(words) => {
                let words = String::from_utf8_lossy(&self.hidden.hide(words.as_bytes())).into_owned();
                because(&ConsentCause::Denied, &words)
            }
            Brought::Code(code) => {
                let Some(AuthorizationRequest { code_verifier, .. }) = self.request.take() else {
                    unreachable!("it was made before")
                };
                self.hidden.add(&code);
                self.hidden.add(&code_verifier);
                let redirect = self.redirect.clone();
                Stage::AskCode(self.ask(&[
                    ("grant_type", b"authorization_code"),
                    ("code", &code),
                    ("redirect_uri", redirect.as_bytes()),
                    ("code_verifier", &code_verifier),
                ]))
            }
        }
    }

    pub(super) fn code_answered(&mut self, result: Result<Answer, Failed>) -> Stage {
        let Answer { reply, unix } = match result {
            Ok(answer) => answer,
            Err(failed) => return self.refused(&self.account.provider.token, failed.into()),
        };
        match answer::tokens(&reply, &self.hidden) {
            Ok(granted) => self.granted(granted, unix),
            Err(refused) if refused.consent.is_some() => because(&ConsentCause::Denied, &refused.why),
            Err(refused) => self.refused(&self.account.provider.token, refused),
        }
    }
}
