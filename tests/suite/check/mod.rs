//! qmail-remote-check: what it finds, and what it prints.

mod answers;
mod config;
mod convert;
mod output;
mod program;
mod slopes;
mod tls;
mod user;
