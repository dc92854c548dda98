//! The manual pages and README say what the program does.

mod manual;
mod oauth;
mod readme;
mod transcripts;
