//! Backup and restore: one consistent point of database, blobs and keys, in a plain folder.
//!
//! ```text
//! manifest.json                        what is here, with digests; written last
//! tables/<table>.jsonl                 one JSON array per row
//! blobs/sha256/<two digits>/<digest>   a blob's bytes
//! keys/<name>.pem                      signing keys, mode 0600
//! ```
//!
//! Rows are free of the engine, so what SQLite held can be restored into PostgreSQL and the other
//! way round; the same goes for folder and bucket. A backup runs beside a serving registry: the
//! rows are one snapshot, and blobs never change.

mod error;
mod files;
mod manifest;
mod restore;
mod save;

pub use error::BackupError;
pub use manifest::Summary;
pub use restore::restore;
pub use save::{SaveOptions, backup};

/// Where work has got to, for people who wait.
pub trait Progress: Send + Sync {
    /// A new part of the work, e.g. `tables`.
    fn begin(&self, part: &str, total_bytes: Option<u64>);
    /// So many bytes or rows more.
    fn advance(&self, by: u64);
}

/// Tells nobody.
pub struct Silent;

impl Progress for Silent {
    fn begin(&self, _: &str, _: Option<u64>) {}
    fn advance(&self, _: u64) {}
}

#[cfg(test)]
mod tests;
