//! Control files: where they are, and what each line becomes.

mod files;
mod home;
