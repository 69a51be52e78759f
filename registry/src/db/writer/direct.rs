//! Statements that run on the writer's own thread. Through sqlx each would cross to another thread and
//! back, which costs more than what most of them do.

use super::WriterMetrics;
use crate::db::{
    DbError,
    direct::{Failure, bound, failed},
    open::SQLITE_BUSY_TIMEOUT,
    sql::{Sql, Value},
};
use rusqlite::{Connection, OpenFlags};
use std::path::{Path, PathBuf};
use tokio::sync::oneshot;

/// Statements that stay prepared: each shape of a batch has a handful.
const PREPARED_MAX: usize = 200;

/// Statements of one change while it waits for the writer.
pub(super) struct Script {
    pub sql: Sql,
    pub answer: oneshot::Sender<Result<Vec<i64>, DbError>>,
}

impl Script {
    fn finish(self, outcome: Result<Vec<i64>, DbError>) {
        // The caller may have gone; its change stands all the same.
        let _ = self.answer.send(outcome);
    }
}

/// Why nothing of a group was committed.
enum Refused {
    Begin(Failure),
    Script(usize, Failure),
    Commit(Failure),
}

/// The connection of the writer's thread. It and sqlx's never write at the same time.
pub(super) struct Direct {
    path: PathBuf,
    conn: Connection,
    metrics: WriterMetrics,
}

impl Direct {
    /// Opens the file that sqlx's connection made, and set to WAL.
    pub fn open(path: &Path, metrics: WriterMetrics) -> Result<Self, sqlx::Error> {
        Ok(Self { path: path.to_owned(), conn: connect(path).map_err(failed)?, metrics })
    }

    /// Commits scripts in as few commits as their failures allow: what ran before a failing one is
    /// committed together, that one runs alone, and those behind it go on as a group. However many fail,
    /// none runs more than twice, save where the engine fails.
    pub fn commit(&mut self, mut group: Vec<Script>) {
        let refused = match self.together(&group) {
            Ok(answers) => {
                self.metrics.committed(group.len());
                group.into_iter().zip(answers).for_each(|(script, answer)| script.finish(Ok(answer)));
                return;
            }
            Err(refused) => refused,
        };
        let failing = match refused {
            Refused::Script(failing, _) if group.len() > 1 => failing,
            // Each by itself may find room on a full disk.
            Refused::Commit(_) if group.len() > 1 => {
                return group.into_iter().for_each(|script| self.commit(vec![script]));
            }
            Refused::Script(_, failure) => {
                return group.into_iter().for_each(|script| script.finish(Err(failure.clone().into())));
            }
            Refused::Begin(failure) | Refused::Commit(failure) => {
                let error = || DbError::from_commit(failure.clone().into());
                return group.into_iter().for_each(|script| script.finish(Err(error())));
            }
        };
        self.metrics.split();
        let after = group.split_off(failing + 1);
        let alone = group.split_off(failing);
        for part in [group, alone, after] {
            if !part.is_empty() {
                self.commit(part);
            }
        }
    }

    /// Ends what a panic left open.
    pub fn settle(&mut self) {
        if self.conn.is_autocommit() {
            return;
        }
        let Err(failure) = self.run("ROLLBACK", &[]) else { return };
        tracing::error!(%failure, "a transaction could not be rolled back: opening the database anew");
        match connect(&self.path) {
            Ok(conn) => self.conn = conn,
            Err(error) => tracing::error!(%error, "the database could not be opened"),
        }
    }

    /// Runs all in one transaction. When one of them fails nothing of them stays.
    fn together(&mut self, group: &[Script]) -> Result<Vec<Vec<i64>>, Refused> {
        self.run("BEGIN IMMEDIATE", &[]).map_err(Refused::Begin)?;
        let outcome = self.all(group).and_then(|answers| {
            self.run("COMMIT", &[]).map_err(Refused::Commit)?;
            Ok(answers)
        });
        // The engine rolls back by itself where, for example, the disk is full.
        self.settle();
        outcome
    }

    fn all(&self, group: &[Script]) -> Result<Vec<Vec<i64>>, Refused> {
        let mut answers = Vec::with_capacity(group.len());
        for (index, script) in group.iter().enumerate() {
            let mut answer = Vec::new();
            for (text, values) in script.sql.statements() {
                answer = self.run(text, values).map_err(|failure| Refused::Script(index, failure))?;
            }
            answers.push(answer);
        }
        Ok(answers)
    }

    /// The first column of the rows that a statement answers with.
    fn run(&self, text: &str, values: &[Value]) -> Result<Vec<i64>, Failure> {
        let run = || {
            let mut statement = self.conn.prepare_cached(text)?;
            for (index, value) in values.iter().enumerate() {
                statement.raw_bind_parameter(index + 1, bound(value))?;
            }
            statement.raw_query().mapped(|row| row.get(0)).collect::<rusqlite::Result<_>>()
        };
        run().map_err(Failure::from)
    }
}

fn connect(path: &Path) -> rusqlite::Result<Connection> {
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let conn = Connection::open_with_flags(path, flags)?;
    conn.busy_timeout(SQLITE_BUSY_TIMEOUT)?;
    conn.pragma_update(None, "synchronous", "FULL")?;
    conn.pragma_update(None, "foreign_keys", true)?;
    conn.set_prepared_statement_cache_capacity(PREPARED_MAX);
    Ok(conn)
}
