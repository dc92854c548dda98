//! Where the home is; control files where no delivery shows what is read.

mod files;
mod home;
