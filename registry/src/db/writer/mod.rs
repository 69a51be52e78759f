//! The one door for writes: grouped commits on SQLite, a transaction each on PostgreSQL.

mod direct;
mod job;
mod metrics;
mod postgres;
mod sqlite;
#[cfg(test)]
mod tests;

pub use metrics::WriterMetrics;
pub use postgres::{write_postgres, write_postgres_at_once};
pub use sqlite::SqliteWriter;

use super::DbError;

/// An error that a change may end with. Its source chain is searched for conflicts worth a retry.
pub trait WriteError: std::error::Error + From<DbError> + Send + 'static {}
impl<E: std::error::Error + From<DbError> + Send + 'static> WriteError for E {}
