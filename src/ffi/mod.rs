//! The C ABI of the delivery, for c-glue alone: pointers become slices here, and no logic is added.
//!
//! Every pointer is checked for NULL, no pointer that C passes is kept, and nothing calls back into C. A panic ends the
//! process by a signal (`panic = "abort"`), which qmail-rspawn defers.
#![allow(unsafe_code)] // the only place in this crate: see Cargo.toml

pub mod address;
pub mod check;
pub mod delivery;
pub mod happened;
pub mod oauth;

use qmail_auth::ffi::{octets, text};
