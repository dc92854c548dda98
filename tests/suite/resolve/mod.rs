//! Where a mail goes: DNS, the order of addresses, tcpto.

mod addresses;
mod resolution;
mod resolver;
mod tcpto;
