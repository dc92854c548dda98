//! A consent by a code that is entered at any browser (RFC 8628).

use super::{Consent, PAUSE, Stage, because};
use crate::cause::oauth::ConsentCause;
use crate::oauth::answer::{self, Consenting, Device, Refused, Remedy};
use crate::oauth::exchange::{Answer, Exchange};
use crate::want;

impl Consent {
    pub(super) fn device(&mut self, mut exchange: Box<Exchange>, event: want::Happened) -> Stage {
        exchange.happened(event);
        let Some(result) = exchange.result() else { return Stage::AskDevice(exchange) };
        let device = match result.map_err(Refused::from).and_then(|answer| answer::device(&answer.reply, &self.hidden))
        {
            Ok(device) => device,
            Err(refused) => {
                let endpoint = self.account.provider.device.as_ref().expect("it was asked");
                return self.refused(endpoint, refused);
            }
        };
        self.hidden.add(&device.code);
        let user = answer::printable(self.account.user.as_bytes(), 200);
        let (life, unit) = if device.life < 60 { (device.life, "seconds") } else { (device.life / 60, "minutes") };
        self.said += &format!(
            "In a browser on any machine open {} and enter  {}\n\
             Sign in as {user}, not as an administrator. The code is good for {life} {unit}.\nwaiting ...\n",
            device.address, device.user_code
        );
        Stage::Wait(device, None, None)
    }

    pub(super) fn poll(&mut self, device: Device, end: Option<u64>) -> Stage {
        let fields =
            [("grant_type", &b"urn:ietf:params:oauth:grant-type:device_code"[..]), ("device_code", &device.code[..])];
        let exchange = self.ask(&fields);
        Stage::Poll(device, exchange, end)
    }

    pub(super) fn polled(
        &mut self,
        mut device: Device,
        mut exchange: Box<Exchange>,
        end: Option<u64>,
        event: want::Happened,
    ) -> Stage {
        exchange.happened(event);
        let Some(result) = exchange.result() else { return Stage::Poll(device, exchange, end) };
        let (reply, unix) = match result {
            Ok(Answer { reply, unix }) => (reply, unix),
            Err(failed) if failed.is_set_up => return self.refused(&self.account.provider.token, failed.into()),
            Err(_) => {
                // RFC 8628 section 3.5: after a connection that failed it is asked less often.
                device.interval = (device.interval * 2).min(PAUSE / 1000);
                return Stage::Wait(device, None, end);
            }
        };
        let refused = match answer::tokens(&reply, &self.hidden) {
            Ok(granted) => return self.granted(granted, unix),
            Err(refused) => refused,
        };
        match (refused.consent, refused.remedy) {
            (Some(Consenting::SlowDown), _) => {
                device.interval += 5; // the same section
                Stage::Wait(device, None, end)
            }
            (Some(Consenting::Pending), _) | (None, Remedy::Later) => Stage::Wait(device, None, end),
            (Some(Consenting::Denied), _) => because(&ConsentCause::Denied, &refused.why),
            (Some(Consenting::Expired), _) => because(&ConsentCause::Expired, &refused.why),
            (None, _) => self.refused(&self.account.provider.token, refused),
        }
    }
}
