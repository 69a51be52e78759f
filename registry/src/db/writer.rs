//! The one door for writes: grouped commits on SQLite, a transaction each on PostgreSQL.

use super::{Conn, DbError, Record, sql::Sql};
use futures::{FutureExt as _, future::BoxFuture};
use sqlx::{PgPool, Sqlite, SqlitePool, Transaction};
use std::panic::AssertUnwindSafe;
use tokio::sync::{mpsc, oneshot};

/// Closures that share one durable commit at most. Past this a single fsync no longer
/// dominates and waiting writers only see more latency.
const GROUP_MAX: usize = 64;
/// Changes that may wait; a full queue slows callers down instead of growing memory.
const QUEUE_MAX: usize = 1024;
/// Attempts of a PostgreSQL transaction that keeps losing serialisation conflicts.
const ATTEMPTS_MAX: u32 = 6;

/// An error that a change may end with. Its source chain is searched for conflicts worth a retry.
pub trait WriteError: std::error::Error + From<DbError> + Send + 'static {}
impl<E: std::error::Error + From<DbError> + Send + 'static> WriteError for E {}

/// One change on its way through the writer, its types erased.
trait Job: Send {
    /// Runs the change and keeps its outcome; true when it wants to be committed.
    fn run<'a>(&'a mut self, conn: &'a mut Conn) -> BoxFuture<'a, bool>;
    /// Sends the kept outcome, or `failure` when the commit itself failed.
    fn finish(self: Box<Self>, failure: Option<DbError>);
}

struct Change<I, T, E, F> {
    input: I,
    run: F,
    outcome: Option<Result<T, E>>,
    answer: oneshot::Sender<Result<T, E>>,
}

impl<I, T, E, F> Job for Change<I, T, E, F>
where
    I: Send + Sync,
    T: Send,
    E: WriteError,
    F: for<'t> Fn(&'t mut Conn, &'t I) -> BoxFuture<'t, Result<T, E>> + Send + Sync,
{
    fn run<'a>(&'a mut self, conn: &'a mut Conn) -> BoxFuture<'a, bool> {
        Box::pin(async move {
            // A panic must not take the writer down with it: everyone else still writes.
            let outcome = AssertUnwindSafe((self.run)(conn, &self.input)).catch_unwind().await;
            self.outcome = outcome.ok();
            matches!(self.outcome, Some(Ok(_)))
        })
    }

    fn finish(self: Box<Self>, failure: Option<DbError>) {
        let outcome = match failure {
            Some(error) => Err(error.into()),
            None => self.outcome.unwrap_or_else(|| Err(DbError::Panicked.into())),
        };
        // The caller may have gone; its change stands all the same.
        let _ = self.answer.send(outcome);
    }
}

/// SQLite's single writer: a task that owns the only connection that writes.
#[derive(Clone)]
pub struct SqliteWriter {
    queue: mpsc::Sender<Box<dyn Job>>,
    pool: SqlitePool,
}

impl SqliteWriter {
    /// `pool` holds exactly one connection.
    pub fn start(pool: SqlitePool) -> Self {
        let (queue, waiting) = mpsc::channel(QUEUE_MAX);
        tokio::spawn(drive(pool.clone(), waiting));
        Self { queue, pool }
    }

    pub(super) fn pool(&self) -> &SqlitePool {
        &self.pool
    }

    pub async fn write<I, T, E, F>(&self, input: I, change: F) -> Result<T, E>
    where
        I: Send + Sync + 'static,
        T: Send + 'static,
        E: WriteError,
        F: for<'t> Fn(&'t mut Conn, &'t I) -> BoxFuture<'t, Result<T, E>> + Send + Sync + 'static,
    {
        let (answer, outcome) = oneshot::channel();
        let job = Change { input, run: change, outcome: None, answer };
        self.queue.send(Box::new(job)).await.map_err(|_| DbError::Closing)?;
        outcome.await.unwrap_or_else(|_| Err(DbError::Closing.into()))
    }

    pub(super) async fn begin(&self) -> Result<Transaction<'static, Sqlite>, sqlx::Error> {
        begin(&self.pool).await
    }

    pub async fn close(&self) {
        self.pool.close().await;
    }
}

/// A transaction on the writing connection. Where the engine rolled back by itself, as it does when
/// the disk is full, sqlx still counts a transaction as open: such a connection is replaced.
async fn begin(pool: &SqlitePool) -> Result<Transaction<'static, Sqlite>, sqlx::Error> {
    match pool.begin_with("BEGIN IMMEDIATE").await {
        Err(sqlx::Error::InvalidSavePointStatement) => {
            pool.acquire().await?.close().await?;
            pool.begin_with("BEGIN IMMEDIATE").await
        }
        outcome => outcome,
    }
}

async fn drive(pool: SqlitePool, mut waiting: mpsc::Receiver<Box<dyn Job>>) {
    let mut group = Vec::with_capacity(GROUP_MAX);
    while waiting.recv_many(&mut group, GROUP_MAX).await > 0 {
        if let Err(jobs) = commit_together(&pool, std::mem::take(&mut group)).await {
            for job in jobs {
                commit_alone(&pool, job).await;
            }
        }
    }
}

/// Runs all jobs in one transaction. Gives them back, to be run alone, when one of them fails or
/// the engine rolled back.
async fn commit_together(pool: &SqlitePool, mut jobs: Vec<Box<dyn Job>>) -> Result<(), Vec<Box<dyn Job>>> {
    if jobs.len() == 1 {
        return Err(jobs);
    }
    let Ok(tx) = begin(pool).await else {
        return Err(jobs);
    };
    let mut conn = Conn::sqlite_transaction(tx);
    for job in &mut jobs {
        if !job.run(&mut conn).await {
            return Err(jobs);
        }
    }
    if conn.commit().await.is_err() {
        return Err(jobs);
    }
    for job in jobs {
        job.finish(None);
    }
    Ok(())
}

async fn commit_alone(pool: &SqlitePool, mut job: Box<dyn Job>) {
    let tx = match begin(pool).await {
        Ok(tx) => tx,
        Err(error) => return job.finish(Some(DbError::from_commit(error))),
    };
    let mut conn = Conn::sqlite_transaction(tx);
    let failure =
        if job.run(&mut conn).await { conn.commit().await.err().map(DbError::from_commit) } else { None };
    job.finish(failure);
}

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

/// One statement, which is a transaction of its own.
pub async fn write_postgres_at_once<T: Record + 'static>(pool: &PgPool, sql: Sql) -> Result<Vec<T>, DbError> {
    let pool = pool.clone();
    let task = tokio::spawn(async move {
        let mut attempt = 0;
        loop {
            attempt += 1;
            let mut conn = Conn::postgres_pooled(pool.acquire().await?);
            match conn.generated(sql.clone()).all().await {
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
            || error.downcast_ref::<sqlx::Error>().is_some_and(super::error::is_transient);
        if transient {
            return true;
        }
        cause = error.source();
    }
    false
}

#[cfg(test)]
mod tests {
    use crate::db::{Conn, Db, DbError};
    use std::sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    };

    async fn counter_db() -> (tempfile::TempDir, Db) {
        let dir = tempfile::tempdir().unwrap();
        let db = Db::open(&format!("sqlite:{}", dir.path().join("t.db").display())).await.unwrap();
        db.write((), |tx, ()| {
            Box::pin(async move {
                tx.query("CREATE TABLE counted (n BIGINT NOT NULL UNIQUE)").execute().await?;
                Ok::<_, DbError>(())
            })
        })
        .await
        .unwrap();
        (dir, db)
    }

    async fn insert(tx: &mut Conn, n: i64) -> Result<(), DbError> {
        tx.query("INSERT INTO counted (n) VALUES ($1)").bind(n).execute().await?;
        Ok(())
    }

    async fn stored(db: &Db) -> Vec<i64> {
        let rows: Vec<(i64,)> =
            db.read().await.unwrap().query("SELECT n FROM counted ORDER BY n").all().await.unwrap();
        rows.into_iter().map(|(n,)| n).collect()
    }

    #[tokio::test]
    async fn one_failing_change_leaves_its_group_alone() {
        let (_dir, db) = counter_db().await;
        let writes = [1, 2, 2, 3, 4].map(|n| {
            let db = db.clone();
            tokio::spawn(async move { db.write(n, |tx, n| Box::pin(insert(tx, *n))).await })
        });
        let outcomes = futures::future::join_all(writes).await;
        let failed = outcomes.iter().filter(|o| matches!(o, Ok(Err(_)))).count();
        assert_eq!(failed, 1, "only the duplicate fails");
        assert_eq!(stored(&db).await, [1, 2, 3, 4]);
    }

    #[tokio::test]
    async fn a_panic_is_rolled_back_and_the_writer_goes_on() {
        let (_dir, db) = counter_db().await;
        let outcome: Result<(), DbError> = db
            .write((), |tx, ()| {
                Box::pin(async move {
                    insert(tx, 7).await?;
                    panic!("a bug in a change");
                })
            })
            .await;
        assert!(matches!(outcome, Err(DbError::Panicked)), "{outcome:?}");
        db.write(8, |tx, n| Box::pin(insert(tx, *n))).await.unwrap();
        assert_eq!(stored(&db).await, [8]);
    }

    #[tokio::test]
    async fn a_full_disk_ends_one_change_and_not_the_writer() {
        let (_dir, db) = counter_db().await;
        let run = |sql: &'static str| {
            db.write(sql, |tx, sql| {
                Box::pin(async move {
                    tx.query(sql).execute().await?;
                    Ok::<_, DbError>(())
                })
            })
        };
        run("PRAGMA max_page_count = 1").await.unwrap();
        let outcome = db
            .write((), |tx, ()| {
                Box::pin(async move {
                    for n in 0..10_000 {
                        insert(tx, n).await?;
                    }
                    Ok::<_, DbError>(())
                })
            })
            .await;
        assert!(matches!(&outcome, Err(error) if error.is_full()), "{outcome:?}");
        assert_eq!(stored(&db).await, Vec::<i64>::new());
        run("PRAGMA max_page_count = 1000000").await.unwrap();
        db.write(3, |tx, n| Box::pin(insert(tx, *n))).await.unwrap();
        assert_eq!(stored(&db).await, [3]);
    }

    #[tokio::test]
    async fn a_change_ends_even_when_its_caller_has_gone() {
        let (_dir, db) = counter_db().await;
        let ran = Arc::new(AtomicU32::new(0));
        let write = db.write(ran.clone(), |tx, ran| {
            Box::pin(async move {
                tokio::task::yield_now().await;
                insert(tx, 1).await?;
                ran.fetch_add(1, Ordering::SeqCst);
                Ok::<_, DbError>(())
            })
        });
        assert!(
            futures::FutureExt::now_or_never(write).is_none(),
            "the change is queued, its caller dropped"
        );
        db.write(2, |tx, n| Box::pin(insert(tx, *n))).await.unwrap();
        assert_eq!(stored(&db).await, [1, 2]);
        assert!(ran.load(Ordering::SeqCst) >= 1);
    }
}
