//! A program is run for the token of the login: before anything else where the one that is there is near its end, and once more where
//! the relay has refused it.

use super::{Running, Stage, State, done};
use crate::account::supply::Supply;
use crate::account::token::Fitness;
use crate::cause::login::NoToken;
use crate::cause::{Cause, Note, User};
use crate::event::{Event, Next};
use crate::report::Verdict;
use crate::smtp::envelope::Mail;
use crate::want::Ran;
use qmail_auth::Login;
use std::ffi::CString;
use std::net::IpAddr;

impl Running {
    /// Before the first lookup, unless the token is good for now.
    pub(super) fn begun(mut self: Box<Self>, unix: u64) -> State {
        let needs_program = match &mut self.stage {
            Stage::Resolve(_, mail) => mail.needs_program(unix),
            _ => false,
        };
        if !needs_program {
            return self.resolved_or_not();
        }
        self.stage = match self.stage {
            Stage::Resolve(resolution, mail) => Stage::Token(Some(resolution), mail),
            stage => stage,
        };
        State::Running(self)
    }

    /// The relay at this address has refused the token, and another one is worth a try.
    #[cold]
    #[inline(never)]
    pub(super) fn refused_token(mut self: Box<Self>, verdict: Verdict, peer: IpAddr) -> State {
        self.log.notify(&Event::Next(Next::Token, &verdict));
        self.refusal = Some((verdict, peer));
        self.addresses.no_more(); // what is refused here would be refused there, and counted twice
        self.stage = match self.stage {
            Stage::Connect(mut mail) => {
                mail.supply.iter_mut().for_each(|supply| supply.refused());
                mail.account.iter_mut().for_each(|account| account.token_refused());
                Stage::Token(None, mail)
            }
            stage => stage,
        };
        State::Running(self)
    }

    /// The program to run, and its environment.
    pub(super) fn program(&self) -> Option<(Vec<CString>, Vec<CString>)> {
        match &self.stage {
            Stage::Token(_, mail) => mail.supply.as_deref().map(Supply::program),
            _ => None,
        }
    }

    /// The program has run. With a lookup still to be done it was before the first try.
    #[cold]
    #[inline(never)]
    pub(super) fn ran(mut self: Box<Self>, ran: Ran, unix: u64) -> State {
        let Stage::Token(resolution, mut mail) = self.stage else { unreachable!("it was wanted") };
        let supply = mail.supply.as_deref_mut().expect("only a login by token needs a program");
        let token = supply.ran(ran, unix);
        self.log.notify(&Event::Token(supply, unix));
        let is_usable = supply.fitness(unix) != Fitness::Dead;
        let token = match (token, &resolution) {
            (Ok(token), None) if mail.has_token(&token) => Err(NoToken::Same),
            (Ok(token), _) => {
                mail.set_token(&token);
                Ok(())
            }
            (Err(_), Some(_)) if is_usable => Ok(()), // the one before is good for a while
            (Err(why), _) => Err(why),
        };
        match (token, resolution) {
            (Ok(()), Some(resolution)) => {
                self.stage = Stage::Resolve(resolution, mail);
                self.resolved_or_not()
            }
            (Ok(()), None) => {
                self.stage = Stage::Connect(mail);
                State::Running(self)
            }
            (Err(why), Some(_)) => {
                let (relay, user) = (mail.envelope.relay.shown.clone(), mail.user());
                done(&self.log, &Cause::NoToken { relay, user, why }.into())
            }
            (Err(why), None) => {
                self.stage = Stage::Connect(mail);
                let (refusal, _) = self.refusal.take().expect("the relay has refused a token");
                self.report(&[], &refusal.with_note(&Note::NoOtherToken { why }))
            }
        }
    }
}

impl Mail {
    fn needs_program(&mut self, unix: u64) -> bool {
        let is_doubtful = self.account.as_ref().is_some_and(|account| account.is_doubtful(unix));
        self.supply.as_mut().is_some_and(|supply| supply.is_wanting(is_doubtful, unix))
    }

    fn has_token(&self, token: &[u8]) -> bool {
        matches!(self.auth.as_ref().map(|auth| auth.login()), Some(Login::Token(login)) if login.token[..] == *token)
    }

    fn set_token(&mut self, token: &[u8]) {
        self.auth.iter_mut().for_each(|auth| auth.set_token(token));
        self.account.iter_mut().for_each(|account| account.token_replaced());
    }

    fn user(&self) -> User {
        let user = self.auth.as_ref().and_then(|auth| auth.login().user()).unwrap_or_default();
        User::Named { name: String::from_utf8_lossy(user).into_owned() }
    }
}
