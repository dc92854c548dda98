//! What `auth_detect` answers with. The names and the comments are those of include/qmail_auth.h.

/// An AUTH line was there, even an empty one.
pub const AUTH_OFFERED: u32 = 0x001;
/// PLAIN (RFC 4616).
pub const AUTH_PLAIN: u32 = 0x002;
/// LOGIN (draft-murchison-sasl-login).
pub const AUTH_LOGIN: u32 = 0x004;
/// CRAM-MD5 (RFC 2195).
pub const AUTH_CRAM_MD5: u32 = 0x008;
/// SCRAM-SHA-1 (RFC 5802).
pub const AUTH_SCRAM_SHA_1: u32 = 0x010;
/// SCRAM-SHA-256 (RFC 7677).
pub const AUTH_SCRAM_SHA_256: u32 = 0x020;
/// SCRAM-SHA-1-PLUS (RFC 5802), bound to the TLS connection.
pub const AUTH_SCRAM_SHA_1_PLUS: u32 = 0x040;
/// SCRAM-SHA-256-PLUS (RFC 7677), bound to the TLS connection.
pub const AUTH_SCRAM_SHA_256_PLUS: u32 = 0x080;
/// XOAUTH2 (Google's, with a bearer token).
pub const AUTH_XOAUTH2: u32 = 0x100;
/// OAUTHBEARER (RFC 7628).
pub const AUTH_OAUTHBEARER: u32 = 0x200;
/// EXTERNAL (RFC 4422 appendix A).
pub const AUTH_EXTERNAL: u32 = 0x400;
