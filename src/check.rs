//! qmail-remote-check: what an admin asks before and after a change.

pub mod config;
mod readers;
