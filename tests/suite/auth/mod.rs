//! Logins: the client alone, each EHLO reply, and no secret in a report or in memory.

mod client;
mod ehlo;
mod memory;
mod scram;
mod secrets;
