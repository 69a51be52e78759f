//! One SQL text, bound and run on whichever engine the connection speaks to.

use super::{
    DbError, Engine,
    direct::{self, DirectRecord},
};
use futures::{StreamExt as _, TryStreamExt as _, future::Either, stream::BoxStream};
use sqlx::{
    Connection as _, Encode, FromRow, Postgres, Row as _, Sqlite, Transaction, Type,
    pool::PoolConnection,
    postgres::{PgArguments, PgRow},
    sqlite::{SqliteArguments, SqliteRow},
};
use std::ops::ControlFlow;

/// A value that both engines take.
pub trait Param:
    Encode<'static, Sqlite> + Type<Sqlite> + Encode<'static, Postgres> + Type<Postgres> + Send + 'static
{
}
impl<T> Param for T where
    T: Encode<'static, Sqlite> + Type<Sqlite> + Encode<'static, Postgres> + Type<Postgres> + Send + 'static
{
}

/// A row type that both engines give; `#[derive(sqlx::FromRow)]` and tuples are.
pub trait Record: for<'r> FromRow<'r, SqliteRow> + for<'r> FromRow<'r, PgRow> + Send + Unpin {}
impl<T> Record for T where T: for<'r> FromRow<'r, SqliteRow> + for<'r> FromRow<'r, PgRow> + Send + Unpin {}

/// A connection: alone, inside a read snapshot, or inside [`super::Db::write`].
pub struct Conn {
    inner: Inner,
    /// Generated statements that ran, for tests of their plans.
    #[cfg(test)]
    seen: Vec<super::sql::Sql>,
}

enum Inner {
    SqlitePooled(PoolConnection<Sqlite>),
    SqliteTransaction(Transaction<'static, Sqlite>),
    PostgresPooled(PoolConnection<Postgres>),
    PostgresTransaction(Transaction<'static, Postgres>),
}

impl Conn {
    fn new(inner: Inner) -> Self {
        Self {
            inner,
            #[cfg(test)]
            seen: Vec::new(),
        }
    }
    pub(super) fn sqlite_pooled(conn: PoolConnection<Sqlite>) -> Self {
        Self::new(Inner::SqlitePooled(conn))
    }
    pub(super) fn sqlite_transaction(tx: Transaction<'static, Sqlite>) -> Self {
        Self::new(Inner::SqliteTransaction(tx))
    }
    pub(super) fn postgres_pooled(conn: PoolConnection<Postgres>) -> Self {
        Self::new(Inner::PostgresPooled(conn))
    }
    pub(super) fn postgres_transaction(tx: Transaction<'static, Postgres>) -> Self {
        Self::new(Inner::PostgresTransaction(tx))
    }

    pub(super) async fn commit(self) -> Result<(), sqlx::Error> {
        match self.inner {
            Inner::SqliteTransaction(tx) => tx.commit().await,
            Inner::PostgresTransaction(tx) => tx.commit().await,
            Inner::SqlitePooled(_) | Inner::PostgresPooled(_) => Ok(()),
        }
    }

    /// Ends a transaction that changes nothing. Where it is only dropped, it ends some time later.
    pub(super) async fn rollback(self) {
        // Where that fails the engine has rolled back itself, or the connection is broken.
        let _ = match self.inner {
            Inner::SqliteTransaction(tx) => tx.rollback().await,
            Inner::PostgresTransaction(tx) => tx.rollback().await,
            Inner::SqlitePooled(_) | Inner::PostgresPooled(_) => Ok(()),
        };
    }

    pub fn engine(&self) -> Engine {
        match self.inner {
            Inner::SqlitePooled(_) | Inner::SqliteTransaction(_) => Engine::Sqlite,
            Inner::PostgresPooled(_) | Inner::PostgresTransaction(_) => Engine::Postgres,
        }
    }

    /// A statement with `$1`… placeholders, the same text for both engines.
    pub fn query(&mut self, sql: &'static str) -> Query<'_> {
        self.prepare(|| sqlx::query(sql), || sqlx::query(sql))
    }

    /// A statement put together by [`super::sql::Sql`], the only place that generates text.
    pub fn generated(&mut self, sql: super::sql::Sql) -> Query<'_> {
        #[cfg(test)]
        self.seen.push(sql.clone());
        let (text, values) = sql.into_parts();
        let mut query = self.prepare(
            || sqlx::query(sqlx::AssertSqlSafe(text.clone())),
            || sqlx::query(sqlx::AssertSqlSafe(text.clone())),
        );
        for value in values {
            query = value.bind(query);
        }
        query
    }

    /// Hands rows of a generated statement to `take` until it breaks, of which about `rows` are expected.
    pub async fn each_of<T: Record + DirectRecord>(
        &mut self,
        sql: super::sql::Sql,
        rows: usize,
        take: impl FnMut(T) -> Result<ControlFlow<()>, DbError> + Send,
    ) -> Result<(), DbError> {
        let sqlite = match &mut self.inner {
            Inner::SqlitePooled(c) if rows >= direct::ROWS_MIN => &mut **c,
            Inner::SqliteTransaction(t) if rows >= direct::ROWS_MIN => &mut **t,
            _ => return self.generated(sql).each(take).await,
        };
        #[cfg(test)]
        self.seen.push(sql.clone());
        direct::each(sqlite, &sql, take).await
    }

    /// The rows of a generated statement, of which about `rows` are expected.
    pub async fn all_of<T: Record + DirectRecord>(
        &mut self,
        sql: super::sql::Sql,
        rows: usize,
    ) -> Result<Vec<T>, DbError> {
        let mut all = Vec::new();
        self.each_of(sql, rows, |row| {
            all.push(row);
            Ok(ControlFlow::Continue(()))
        })
        .await?;
        Ok(all)
    }

    /// The generated statements that ran since the last call.
    #[cfg(test)]
    pub fn take_seen(&mut self) -> Vec<super::sql::Sql> {
        std::mem::take(&mut self.seen)
    }

    fn prepare(
        &mut self,
        sqlite: impl FnOnce() -> sqlx::query::Query<'static, Sqlite, SqliteArguments>,
        postgres: impl FnOnce() -> sqlx::query::Query<'static, Postgres, PgArguments>,
    ) -> Query<'_> {
        match &mut self.inner {
            Inner::SqlitePooled(c) => Query::Sqlite(c, sqlite()),
            Inner::SqliteTransaction(t) => Query::Sqlite(t, sqlite()),
            Inner::PostgresPooled(c) => Query::Postgres(c, postgres()),
            Inner::PostgresTransaction(t) => Query::Postgres(t, postgres()),
        }
    }

    /// Streams the rows of a statement that [`super::dump`] put together from the catalogue.
    pub(super) fn fetch(
        &mut self,
        sql: String,
    ) -> Either<BoxStream<'_, sqlx::Result<SqliteRow>>, BoxStream<'_, sqlx::Result<PgRow>>> {
        let sql = sqlx::AssertSqlSafe(sql);
        match &mut self.inner {
            Inner::SqlitePooled(c) => Either::Left(sqlx::query(sql).fetch(&mut **c)),
            Inner::SqliteTransaction(t) => Either::Left(sqlx::query(sql).fetch(&mut **t)),
            Inner::PostgresPooled(c) => Either::Right(sqlx::query(sql).fetch(&mut **c)),
            Inner::PostgresTransaction(t) => Either::Right(sqlx::query(sql).fetch(&mut **t)),
        }
    }

    /// The database's clock, in epoch milliseconds: what replicas with clocks of their own agree on.
    pub async fn now_ms(&mut self) -> Result<i64, DbError> {
        // The engines share no function for it.
        let sql = match self.engine() {
            Engine::Sqlite => "SELECT CAST(unixepoch('now', 'subsec') * 1000 AS INTEGER)",
            Engine::Postgres => "SELECT CAST(EXTRACT(EPOCH FROM clock_timestamp()) * 1000 AS BIGINT)",
        };
        let (now_ms,) = self.query(sql).one().await?;
        Ok(now_ms)
    }

    /// For statements of this transaction that look at very many rows: PostgreSQL reads those in the order
    /// of the table, with several processes, where an index would lead to and fro. SQLite's indexes hold
    /// what such statements look at.
    pub async fn expect_many_rows(&mut self, many: bool) -> Result<(), DbError> {
        let sql = match (self.engine(), many) {
            (Engine::Sqlite, _) => return Ok(()),
            (Engine::Postgres, true) => {
                "SELECT set_config('enable_indexscan', 'off', TRUE), set_config('parallel_setup_cost', '1000', TRUE)"
            }
            // NULL: what the connection was opened with.
            (Engine::Postgres, false) => {
                "SELECT set_config('enable_indexscan', NULL, TRUE), set_config('parallel_setup_cost', NULL, TRUE)"
            }
        };
        self.query(sql).execute().await?;
        Ok(())
    }

    /// Whether the engine still answers.
    pub async fn ping(&mut self) -> Result<(), DbError> {
        let answer = match &mut self.inner {
            Inner::SqlitePooled(c) => c.ping().await,
            Inner::SqliteTransaction(t) => t.ping().await,
            Inner::PostgresPooled(c) => c.ping().await,
            Inner::PostgresTransaction(t) => t.ping().await,
        };
        Ok(answer?)
    }
}

/// A statement on its way to an engine.
pub enum Query<'c> {
    Sqlite(&'c mut sqlx::SqliteConnection, sqlx::query::Query<'static, Sqlite, SqliteArguments>),
    Postgres(&'c mut sqlx::PgConnection, sqlx::query::Query<'static, Postgres, PgArguments>),
}

impl Query<'_> {
    #[must_use]
    pub fn bind<T: Param>(self, value: T) -> Self {
        match self {
            Self::Sqlite(c, q) => Self::Sqlite(c, q.bind(value)),
            Self::Postgres(c, q) => Self::Postgres(c, q.bind(value)),
        }
    }

    /// Runs it; the number of rows it changed.
    pub async fn execute(self) -> Result<u64, DbError> {
        Ok(match self {
            Self::Sqlite(c, q) => q.execute(c).await?.rows_affected(),
            Self::Postgres(c, q) => q.execute(c).await?.rows_affected(),
        })
    }

    /// The first row, if there is one.
    pub async fn optional<T: Record>(self) -> Result<Option<T>, DbError> {
        Ok(match self {
            Self::Sqlite(c, q) => q.fetch_optional(c).await?.map(|r| T::from_row(&r)).transpose()?,
            Self::Postgres(c, q) => q.fetch_optional(c).await?.map(|r| T::from_row(&r)).transpose()?,
        })
    }

    /// The one row that the statement always gives; none is [`DbError::Sqlx`] `RowNotFound`.
    pub async fn one<T: Record>(self) -> Result<T, DbError> {
        Ok(match self {
            Self::Sqlite(c, q) => T::from_row(&q.fetch_one(c).await?)?,
            Self::Postgres(c, q) => T::from_row(&q.fetch_one(c).await?)?,
        })
    }

    pub async fn all<T: Record>(self) -> Result<Vec<T>, DbError> {
        // Row by row: what an engine hands over is many times larger than what is made of it.
        Ok(match self {
            Self::Sqlite(c, q) => q.fetch(c).map(|row| T::from_row(&row?)).try_collect().await?,
            Self::Postgres(c, q) => q.fetch(c).map(|row| T::from_row(&row?)).try_collect().await?,
        })
    }

    /// Hands rows to `take` as they come, until it breaks.
    async fn each<T: Record>(
        self,
        mut take: impl FnMut(T) -> Result<ControlFlow<()>, DbError> + Send,
    ) -> Result<(), DbError> {
        match self {
            Self::Sqlite(c, q) => {
                let mut rows = q.fetch(c);
                while let Some(row) = rows.try_next().await? {
                    if take(T::from_row(&row)?)?.is_break() {
                        break;
                    }
                }
            }
            Self::Postgres(c, q) => {
                let mut rows = q.fetch(c);
                while let Some(row) = rows.try_next().await? {
                    if take(T::from_row(&row)?)?.is_break() {
                        break;
                    }
                }
            }
        }
        Ok(())
    }

    /// The first column of every row.
    pub(super) async fn first_column(self) -> Result<Vec<i64>, DbError> {
        Ok(match self {
            Self::Sqlite(c, q) => q.fetch(c).map(|row| row?.try_get::<i64, _>(0)).try_collect().await?,
            Self::Postgres(c, q) => q.fetch(c).map(|row| row?.try_get::<i64, _>(0)).try_collect().await?,
        })
    }

    /// The first column of the first row.
    pub async fn scalar<T>(self) -> Result<Option<T>, DbError>
    where
        T: for<'r> sqlx::Decode<'r, Sqlite>
            + Type<Sqlite>
            + for<'r> sqlx::Decode<'r, Postgres>
            + Type<Postgres>
            + Send
            + Unpin,
    {
        Ok(match self {
            Self::Sqlite(c, q) => q.fetch_optional(c).await?.map(|r| r.try_get::<T, _>(0)).transpose()?,
            Self::Postgres(c, q) => q.fetch_optional(c).await?.map(|r| r.try_get::<T, _>(0)).transpose()?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Db, testing::each_engine};
    use super::*;

    /// What the planner is told: of index scans, of parallel workers.
    async fn told(conn: &mut Conn) -> (String, String) {
        let sql = "SELECT current_setting('enable_indexscan'), current_setting('parallel_setup_cost')";
        conn.query(sql).one().await.unwrap()
    }

    #[tokio::test]
    async fn many_rows_are_expected_until_said_otherwise() {
        each_engine(|url| async move {
            let db = Db::open(&url).await.unwrap();
            let mut conn = db.search_snapshot().await.unwrap();
            if conn.engine() == Engine::Postgres {
                let plans = conn.query("SELECT current_setting('plan_cache_mode')").scalar().await.unwrap();
                assert_eq!(plans, Some("force_custom_plan".to_owned()));
                let before = told(&mut conn).await;
                assert_eq!(before, ("on".into(), "20000".into()));
                conn.expect_many_rows(true).await.unwrap();
                assert_eq!(told(&mut conn).await, ("off".into(), "1000".into()));
                conn.expect_many_rows(false).await.unwrap();
                assert_eq!(told(&mut conn).await, before);
                // Also where a search ends before it says so.
                conn.expect_many_rows(true).await.unwrap();
                drop(conn);
                assert_eq!(told(&mut db.search_snapshot().await.unwrap()).await, before);
            } else {
                conn.expect_many_rows(true).await.unwrap();
                conn.expect_many_rows(false).await.unwrap();
                drop(conn);
            }
            db.close().await;
        })
        .await;
    }
}
