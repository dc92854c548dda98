//! What takes more than this source tree: real mail servers, the packages and systems to install them in. Most of it only root can
//! run, so it runs by name alone: `cargo test --test system`, or `cargo test --test system load::` for one module of it. The first
//! run makes Debians under target/chroots, which takes some minutes, mmdebstrap and the network.

#[macro_use]
#[path = "../support/mod.rs"]
mod support;

mod cost;
mod interop;
mod library;
mod load;
mod oidc;
mod package;
mod publish;
mod shipped;
mod story;
mod tokens;
