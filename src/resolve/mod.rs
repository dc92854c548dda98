//! From a relay's name, or a recipient's domain, to the addresses to connect to (RFC 5321 section 5.1). `resolution` asks for
//! the lookups, `mx` reads their answers, `tcpto` is queue/lock/tcpto, and `addresses` is what is left to try.

pub mod addresses;
pub mod mx;
pub mod resolution;
pub mod tcpto;
