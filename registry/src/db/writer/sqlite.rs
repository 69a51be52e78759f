//! SQLite's single writer, which groups waiting changes into one durable commit.

use super::{
    WriteError, WriterMetrics,
    direct::{Direct, Script},
    job::{Change, Job},
};
use crate::db::{Conn, DbError, sql::Sql};
use futures::future::BoxFuture;
use sqlx::{Sqlite, SqlitePool, Transaction};
use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    path::Path,
    thread,
};
use tokio::{
    runtime::Handle,
    sync::{mpsc, oneshot},
};

/// Changes that share one durable commit at most. Past this a single fsync no longer
/// dominates and waiting writers only see more latency.
const GROUP_MAX: usize = 64;
/// Changes that may wait; a full queue slows callers down instead of growing memory.
const QUEUE_MAX: usize = 1024;

/// What the writer is sent.
enum Waiting {
    Change(Box<dyn Job>),
    Script(Script),
    /// Ends the writer, and is answered when its connection is closed.
    Close(oneshot::Sender<()>),
}

/// SQLite's single writer: a thread with one connection for changes, and one for scripts. Nothing else writes
/// while a server runs.
#[derive(Clone)]
pub struct SqliteWriter {
    queue: mpsc::Sender<Waiting>,
    pool: SqlitePool,
    metrics: WriterMetrics,
}

impl SqliteWriter {
    /// `pool` holds exactly one connection, to the file at `path`.
    pub fn start(pool: SqlitePool, path: &Path) -> Result<Self, sqlx::Error> {
        let (queue, waiting) = mpsc::channel(QUEUE_MAX);
        let metrics = WriterMetrics::default();
        let direct = Direct::open(path, metrics.clone())?;
        let writing = Writing { pool: pool.clone(), metrics: metrics.clone() };
        let runtime = Handle::current();
        // A thread of its own: it waits for the disk, and is woken sooner than a task among others.
        thread::Builder::new()
            .name("sqlite-writer".to_owned())
            .spawn(move || runtime.block_on(drive(writing, direct, waiting)))
            .map_err(sqlx::Error::Io)?;
        Ok(Self { queue, pool, metrics })
    }

    pub fn metrics(&self) -> &WriterMetrics {
        &self.metrics
    }

    pub(in crate::db) fn pool(&self) -> &SqlitePool {
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
        self.queue(Waiting::Change(Box::new(job))).await?;
        outcome.await.unwrap_or_else(|_| Err(DbError::Closing.into()))
    }

    pub async fn write_at_once(&self, sql: Sql) -> Result<Vec<i64>, DbError> {
        let (answer, outcome) = oneshot::channel();
        self.queue(Waiting::Script(Script { sql, answer })).await?;
        let lost = || if self.queue.is_closed() { DbError::Closing } else { DbError::Panicked };
        outcome.await.unwrap_or_else(|_| Err(lost()))
    }

    async fn queue(&self, waiting: Waiting) -> Result<(), DbError> {
        let place = self.queue.reserve().await.map_err(|_| DbError::Closing)?;
        self.metrics.queued();
        place.send(waiting);
        Ok(())
    }

    pub(in crate::db) async fn begin(&self) -> Result<Transaction<'static, Sqlite>, sqlx::Error> {
        begin(&self.pool).await
    }

    /// Lets what waits end first.
    pub async fn close(&self) {
        let (closed, ended) = oneshot::channel();
        // It may have ended before.
        if self.queue(Waiting::Close(closed)).await.is_ok() {
            let _ = ended.await;
        }
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

async fn drive(writing: Writing, mut direct: Direct, mut queue: mpsc::Receiver<Waiting>) {
    let mut group = Vec::with_capacity(GROUP_MAX);
    let (mut changes, mut scripts, mut closing) = (Vec::new(), Vec::new(), None);
    while closing.is_none() && queue.recv_many(&mut group, GROUP_MAX).await > 0 {
        writing.metrics.took(group.len());
        for waiting in group.drain(..) {
            match waiting {
                Waiting::Change(change) => changes.push(change),
                Waiting::Script(script) => scripts.push(script),
                Waiting::Close(closed) => closing = Some(closed),
            }
        }
        if !scripts.is_empty() {
            let commit = AssertUnwindSafe(|| direct.commit(std::mem::take(&mut scripts)));
            // As with a change, a panic must not take the writer down with it.
            if catch_unwind(commit).is_err() {
                direct.settle();
            }
        }
        if !changes.is_empty() {
            writing.commit(std::mem::take(&mut changes)).await;
        }
    }
    drop(direct);
    if let Some(closed) = closing {
        let _ = closed.send(());
    }
}

/// Jobs that could not be committed together, in their order.
struct Refused {
    jobs: Vec<Box<dyn Job>>,
    /// The one that failed; `None` when the engine did.
    failing: Option<usize>,
}

struct Writing {
    pool: SqlitePool,
    metrics: WriterMetrics,
}

impl Writing {
    /// Commits jobs in as few commits as their failures allow: what ran before a failing one is
    /// committed together, that one runs alone, and those behind it go on as a group. However many
    /// fail, none runs more than twice, save where the engine fails.
    async fn commit(&self, mut jobs: Vec<Box<dyn Job>>) {
        while let Err(Refused { jobs: mut before, failing }) = self.together(jobs).await {
            let Some(failing) = failing else {
                return self.each_alone(before).await;
            };
            let mut after = before.split_off(failing);
            let alone = after.remove(0);
            if let Err(refused) = self.together(before).await {
                self.each_alone(refused.jobs).await;
            }
            self.alone(alone).await;
            jobs = after;
        }
    }

    /// Runs all jobs in one transaction. Gives them back when one of them fails or the engine
    /// rolled back: nothing of them stays then.
    async fn together(&self, mut jobs: Vec<Box<dyn Job>>) -> Result<(), Refused> {
        if jobs.len() < 2 {
            self.each_alone(jobs).await;
            return Ok(());
        }
        let Ok(tx) = begin(&self.pool).await else {
            return Err(Refused { jobs, failing: None });
        };
        let mut conn = Conn::sqlite_transaction(tx);
        for index in 0..jobs.len() {
            if !jobs[index].run(&mut conn).await {
                conn.rollback().await;
                self.metrics.split();
                return Err(Refused { jobs, failing: Some(index) });
            }
        }
        if conn.commit().await.is_err() {
            return Err(Refused { jobs, failing: None });
        }
        self.metrics.committed(jobs.len());
        for job in jobs {
            job.finish(None);
        }
        Ok(())
    }

    async fn each_alone(&self, jobs: Vec<Box<dyn Job>>) {
        for job in jobs {
            self.alone(job).await;
        }
    }

    async fn alone(&self, mut job: Box<dyn Job>) {
        let tx = match begin(&self.pool).await {
            Ok(tx) => tx,
            Err(error) => return job.finish(Some(DbError::from_commit(error))),
        };
        let mut conn = Conn::sqlite_transaction(tx);
        let failure = if job.run(&mut conn).await {
            let failure = conn.commit().await.err().map(DbError::from_commit);
            self.metrics.committed(usize::from(failure.is_none()));
            failure
        } else {
            conn.rollback().await;
            None
        };
        job.finish(failure);
    }
}
