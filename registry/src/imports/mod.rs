//! Moving in from another registry: objects with the ids, numbers and times that they had there.
//!
//! Of every object it is kept where it came from, what it is here and whether all of it is here:
//! an import that was cut off goes on where it was, and a second one changes nothing.

mod artifacts;
mod batch;
mod check;
mod error;
mod experiments;
mod logged_models;
mod registered_models;
pub mod routes;
mod runs;
mod start;
pub mod store;
#[cfg(test)]
mod tests;
mod traces;
mod versions;

pub use artifacts::bind;
pub use batch::write as write_batch;
pub use error::ImportsError;
pub use start::{create, get, list, look_up};
pub use versions::write as write_version;
