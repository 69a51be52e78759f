//! Transactions that begin whole or not at all, also for callers that go away.

use super::DbError;
use sqlx::{PgPool, Postgres, Transaction};

/// Begins a transaction on a task of its own. Where sqlx's `begin` is dropped while it waits for the
/// answer, as it is when a client hangs up, the connection goes back to the pool inside a transaction
/// that nobody ends: its next user reads an old snapshot, or cannot write.
pub async fn begin_postgres(
    pool: &PgPool,
    statement: &'static str,
) -> Result<Transaction<'static, Postgres>, DbError> {
    let pool = pool.clone();
    let begun = tokio::spawn(async move { pool.begin_with(statement).await }).await;
    Ok(begun.map_err(|_| DbError::Panicked)??)
}

#[cfg(test)]
mod tests {
    use crate::db::{Conn, Db, DbError, testing::each_engine};
    use std::time::Duration;

    async fn value(conn: &mut Conn) -> i64 {
        conn.query("SELECT n FROM counted").scalar().await.unwrap().unwrap()
    }

    /// As many as SQLite's pool of readers has.
    const READERS: usize = 4;

    /// The value as several connections of the pool see it.
    async fn seen(db: &Db) -> Vec<i64> {
        let mut conns = Vec::new();
        for _ in 0..READERS {
            conns.push(db.read().await.unwrap());
        }
        let mut values = Vec::new();
        for conn in &mut conns {
            values.push(value(conn).await);
        }
        values
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn a_caller_that_goes_away_leaves_no_transaction_behind() {
        each_engine(|url| async move {
            let db = Db::open(&url).await.unwrap();
            db.write((), |tx, ()| {
                Box::pin(async move {
                    tx.query("CREATE TABLE counted (n BIGINT NOT NULL)").execute().await?;
                    tx.query("INSERT INTO counted (n) VALUES (0)").execute().await?;
                    Ok::<_, DbError>(())
                })
            })
            .await
            .unwrap();
            for round in 1..=20_i64 {
                // Given up at every moment, from before the connection is there to after the answer is.
                for micros in (0..800).step_by(20) {
                    let limit = Duration::from_micros(micros);
                    let _ = tokio::time::timeout(limit, db.snapshot()).await;
                    let _ = tokio::time::timeout(limit, db.search_snapshot()).await;
                }
                for _ in 0..4 {
                    seen(&db).await;
                }
                for _ in 0..8 {
                    db.write(round, |tx, round| {
                        Box::pin(async move {
                            tx.query("UPDATE counted SET n = $1").bind(*round).execute().await?;
                            Ok::<_, DbError>(())
                        })
                    })
                    .await
                    .unwrap();
                }
                assert_eq!(seen(&db).await, [round; READERS]);
            }
            db.close().await;
        })
        .await;
    }
}
