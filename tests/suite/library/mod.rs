//! The C library and its header, used as a C program uses them.

mod c_abi;
mod contrib;
mod header;
