//! The entry is C's main, in c-glue/qmail-remote-oauth.c; build.rs links it into this program and no other.
#![no_main]
extern crate qmail_remote as _;
