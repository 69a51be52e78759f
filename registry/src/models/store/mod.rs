//! Statements about models, versions, aliases and tags. Every function takes the caller's
//! connection; nothing here commits.

pub mod aliases;
pub mod models;
mod prompts;
pub mod search;
pub mod tags;
pub mod versions;

/// Keys of one `IN (…)` list.
const CHUNK: usize = 500;
