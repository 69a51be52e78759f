//! All tables as rows of JSON, out of one engine and into the other.
//!
//! The tables, their columns and the order that foreign keys ask for are read from the engine's
//! own catalogue, so a new migration needs no change here.

mod export;
mod import;
mod schema;

pub use export::Snapshot;
pub use import::{ImportError, Importer};
pub use schema::{Column, ColumnKind, Table};

use serde_json::Value;

/// One row: the values in the order of [`Table::columns`]. Bytes are base64, NaN and infinities
/// are the strings `NaN`, `Infinity`, `-Infinity`.
pub type Row = Vec<Value>;

#[cfg(test)]
mod tests;
