//! qmail-remote-oauth: tokens that are there, that are renewed, and consents, against a provider on a thread.

mod adopted;
mod consent;
mod hostile;
mod interrupted;
mod kept;
mod proof;
mod root;
mod secrets;
mod token;
