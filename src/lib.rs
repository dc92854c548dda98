//! SMTP AUTH for qmail: the protocol half of a drop-in `qmail-remote`, and the same AUTH for C programs.
//!
//! C moves bytes, Rust understands them: nothing here opens a socket or reads a clock. The delivery is a machine
//! ([`delivery::Delivery`]) that says what it wants, and c-glue/ does it with one system call.

pub mod account;
pub mod cause;
pub mod check;
pub mod control;
pub mod delivery;
pub(crate) mod denied;
pub mod event;
pub mod ffi;
pub mod oauth;
pub mod policy;
pub mod report;
pub mod resolve;
pub mod smtp;
pub mod smtp_command;
pub mod text_encoding;
pub mod tls;
pub mod verdict;
pub mod want;
