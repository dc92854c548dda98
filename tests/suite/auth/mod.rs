//! Logins: what is sent for one, to which servers, and that no secret of it gets out.

mod client;
mod ehlo;
mod memory;
mod secrets;
