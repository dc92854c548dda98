//! SMTP as a client speaks it (RFC 5321): the EHLO reply, addresses, the message, and the session of them.

pub mod address;
mod channel;
pub mod data;
pub mod ehlo;
pub mod envelope;
pub mod session;
