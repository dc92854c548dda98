//! All tests in Rust that plain `cargo test` runs. What stdout and the wire can show is no test here but a case of
//! tests/compliance; docs/dev/testing.md says what belongs where.

#[macro_use]
#[path = "../support/mod.rs"]
mod support;

mod account;
mod auth;
mod check;
mod control;
mod delivery;
mod documents;
mod library;
mod oauth;
mod one_of_each;
mod resolve;
mod tls;
mod token;
