//! PostgreSQL's writes: each its own transaction, retried when it loses a conflict.

use super::WriteError;
use crate::db::{Conn, DbError, sql::Sql};
use futures::future::BoxFuture;
use sqlx::PgPool;

/// Attempts of a transaction that keeps losing serialisation conflicts.
const ATTEMPTS_MAX: u32 = 6;

/// A transaction of its own, on its own task so that it ends even when the caller goes away.
pub async fn write_postgres<I, T, E, F>(pool: &PgPool, input: I, change: F) -> Result<T, E>
where
    I: Send + Sync + 'static,
    T: Send + 'static,
    E: WriteError,
    F: for<'t> Fn(&'t mut Conn, &'t I) -> BoxFuture<'t, Result<T, E>> + Send + Sync + 'static,
{
    let pool = pool.clone();
    let task = tokio::spawn(async move {
        let mut attempt = 0;
        loop {
            attempt += 1;
            let tx = pool.begin().await.map_err(DbError::from)?;
            let mut conn = Conn::postgres_transaction(tx);
            let value = match change(&mut conn, &input).await {
                Ok(value) => value,
                Err(error) if attempt < ATTEMPTS_MAX && lost_conflict(&error) => continue,
                Err(error) => return Err(error),
            };
            match conn.commit().await.map_err(DbError::from_commit) {
                Ok(()) => return Ok(value),
                Err(error) if attempt < ATTEMPTS_MAX && error.is_transient() => {}
                Err(error) => return Err(error.into()),
            }
        }
    });
    task.await.unwrap_or_else(|_| Err(DbError::Panicked.into()))
}

/// One statement, which is a transaction of its own; the first column of its rows.
pub async fn write_postgres_at_once(pool: &PgPool, sql: Sql) -> Result<Vec<i64>, DbError> {
    let pool = pool.clone();
    let task = tokio::spawn(async move {
        let mut attempt = 0;
        loop {
            attempt += 1;
            let mut conn = Conn::postgres_pooled(pool.acquire().await?);
            match conn.generated(sql.clone()).first_column().await {
                Err(error) if attempt < ATTEMPTS_MAX && error.is_transient() => {}
                outcome => return outcome,
            }
        }
    });
    task.await.unwrap_or_else(|_| Err(DbError::Panicked))
}

fn lost_conflict(error: &(dyn std::error::Error + 'static)) -> bool {
    let mut cause = Some(error);
    while let Some(error) = cause {
        let transient = error.downcast_ref::<DbError>().is_some_and(DbError::is_transient)
            || error.downcast_ref::<sqlx::Error>().is_some_and(crate::db::error::is_transient);
        if transient {
            return true;
        }
        cause = error.source();
    }
    false
}
