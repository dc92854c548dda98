//! The limits of a lookup, a resolver that is silent, tcpto shared by many.

mod addresses;
mod resolution;
mod resolver;
mod tcpto;
