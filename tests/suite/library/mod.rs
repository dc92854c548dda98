//! The C library and its header, used as a C program uses them.

mod c_abi;
mod comparison;
mod contrib;
mod header;
mod parts;
mod routes;
