//! SMTP as a client speaks it (RFC 5321): replies, the EHLO reply, addresses, the message, and the dialogue of them.

mod account;
pub mod address;
mod channel;
pub mod data;
pub mod dialogue;
pub mod ehlo;
pub mod envelope;
pub mod reply;
mod words;
