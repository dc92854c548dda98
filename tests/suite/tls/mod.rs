//! TLS: which certificates are good, what each policy lets happen, how SMTP goes on over it.

mod certificates;
mod client_certificate;
mod failures;
mod machine;
mod policy;
mod records;
mod scram;
mod session;
mod words;
