//! Searching, for every kind of object alike: conditions and orders as data, page tokens.

mod token;

pub use token::{PageTokenError, QueryId};
