//! One store, two engines: a thin facade over the two real sqlx drivers.
//!
//! One SQL text serves both, with `$1` placeholders. An engine branch lives in this folder only.
//! Writes go through one door, [`Db::write`]; reads have their own pool, [`Db::read`] and
//! [`Db::snapshot`].

mod begin;
mod direct;
pub mod dump;
mod error;
mod identity;
mod migrate;
mod open;
pub mod packed;
#[cfg(test)]
mod plans;
mod query;
pub mod rows;
pub mod sql;
mod statistics;
#[cfg(test)]
pub mod testing;
mod writer;

pub use error::DbError;
pub use open::{Migrated, OpenError};
#[cfg(test)]
pub use plans::Plan;
pub use query::{Conn, Query, Record};
pub use writer::{WriteError, WriterMetrics};

use begin::begin_postgres;
use futures::future::BoxFuture;
use sqlx::{PgPool, SqlitePool};

/// What indexes on text hold of a value on PostgreSQL, whose entries have 2.7 KB at most; see
/// `migrations/`.
pub const PREFIX_CHARS: usize = 200;

/// Which engine a connection speaks to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Engine {
    Sqlite,
    Postgres,
}

impl Engine {
    /// Whether indexes on text hold only [`PREFIX_CHARS`] of a value. SQLite's hold all of it: of an index
    /// on an expression it reads the row as well.
    pub const fn indexes_prefixes(self) -> bool {
        matches!(self, Self::Postgres)
    }

    /// Whether two tables are joined by reading both in order, where SQLite looks up each row of one in
    /// the other.
    pub const fn merges_tables(self) -> bool {
        matches!(self, Self::Postgres)
    }

    pub fn name(self) -> &'static str {
        match self {
            Self::Sqlite => "sqlite",
            Self::Postgres => "postgresql",
        }
    }
}

/// The database. Cheap to clone.
#[derive(Clone)]
pub struct Db {
    pools: Pools,
}

#[derive(Clone)]
enum Pools {
    Sqlite { readers: SqlitePool, writer: writer::SqliteWriter },
    Postgres(PgPool),
}

impl Db {
    pub fn engine(&self) -> Engine {
        match self.pools {
            Pools::Sqlite { .. } => Engine::Sqlite,
            Pools::Postgres(_) => Engine::Postgres,
        }
    }

    /// The one door for writes. `change` runs inside a transaction that commits durably before
    /// this returns; on `Err` nothing of it stays.
    ///
    /// `change` touches the database only: it may be run more than once (SQLite groups waiting
    /// changes into one commit, and splits the group where one of them fails; PostgreSQL retries
    /// serialisation failures), and it runs to its end even when the caller has gone.
    pub async fn write<I, T, E, F>(&self, input: I, change: F) -> Result<T, E>
    where
        I: Send + Sync + 'static,
        T: Send + 'static,
        E: WriteError,
        F: for<'t> Fn(&'t mut Conn, &'t I) -> BoxFuture<'t, Result<T, E>> + Send + Sync + 'static,
    {
        match &self.pools {
            Pools::Sqlite { writer, .. } => writer.write(input, change).await,
            Pools::Postgres(pool) => writer::write_postgres(pool, input, change).await,
        }
    }

    /// [`Self::write`] of one statement, without the round trips of a transaction around it; the first
    /// column of the rows that it answers with. See [`rows::Together`].
    pub async fn write_at_once(&self, sql: sql::Sql) -> Result<Vec<i64>, DbError> {
        match &self.pools {
            Pools::Sqlite { writer, .. } => writer.write_at_once(sql).await,
            Pools::Postgres(pool) => writer::write_postgres_at_once(pool, sql).await,
        }
    }

    /// Figures of the single writer, where there is one.
    pub fn writer_metrics(&self) -> Option<&WriterMetrics> {
        match &self.pools {
            Pools::Sqlite { writer, .. } => Some(writer.metrics()),
            Pools::Postgres(_) => None,
        }
    }

    /// A connection for reading. Each statement sees its own snapshot; use [`Db::snapshot`] where
    /// several must agree.
    pub async fn read(&self) -> Result<Conn, DbError> {
        Ok(match &self.pools {
            Pools::Sqlite { readers, .. } => Conn::sqlite_pooled(readers.acquire().await?),
            Pools::Postgres(pool) => Conn::postgres_pooled(pool.acquire().await?),
        })
    }

    /// A read transaction: all its statements see one consistent point. Dropping it ends it.
    pub async fn snapshot(&self) -> Result<Conn, DbError> {
        Ok(match &self.pools {
            Pools::Sqlite { readers, .. } => Conn::sqlite_transaction(readers.begin().await?),
            Pools::Postgres(pool) => Conn::postgres_transaction(
                begin_postgres(pool, "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY").await?,
            ),
        })
    }

    /// A [`Self::snapshot`] for searches: explicit joins run in the order in which they are written, on
    /// both engines. PostgreSQL otherwise takes tables that grew since its last statistics for empty,
    /// and a join in the wrong order for free. It also plans for the values that are asked for: a plan for
    /// any values, which it makes after the fifth search, reads whole tables for what few rows answer.
    pub async fn search_snapshot(&self) -> Result<Conn, DbError> {
        Ok(match &self.pools {
            Pools::Sqlite { .. } => self.snapshot().await?,
            Pools::Postgres(pool) => Conn::postgres_transaction(
                begin_postgres(
                    pool,
                    "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY; SET LOCAL join_collapse_limit = 1; \
                     SET LOCAL plan_cache_mode = force_custom_plan",
                )
                .await?,
            ),
        })
    }

    /// A transaction that writes for longer than a change may, while nobody else does: a restore.
    async fn begin_exclusive(&self) -> Result<Conn, DbError> {
        Ok(match &self.pools {
            Pools::Sqlite { writer, .. } => Conn::sqlite_transaction(writer.begin().await?),
            Pools::Postgres(pool) => Conn::postgres_transaction(begin_postgres(pool, "BEGIN").await?),
        })
    }

    /// Waits for running writes, then closes every connection.
    pub async fn close(&self) {
        match &self.pools {
            Pools::Sqlite { readers, writer } => {
                readers.close().await;
                writer.close().await;
            }
            Pools::Postgres(pool) => pool.close().await,
        }
    }
}
