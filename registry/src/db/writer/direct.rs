//! Statements that run on the writer's own thread. Through sqlx each would cross to another thread and
//! back, which costs more than what most of them do.

use super::WriterMetrics;
use crate::db::{
    DbError,
    sql::{Sql, Value},
};
use rusqlite::{
    Connection, OpenFlags, ffi,
    types::{ToSqlOutput, ValueRef},
};
use sqlx::error::{DatabaseError, ErrorKind};
use std::{borrow::Cow, error::Error, fmt, path::Path};
use tokio::sync::oneshot;

/// Statements that stay prepared: each shape of a batch has a handful.
const PREPARED_MAX: usize = 200;

/// A statement while it waits for the writer.
pub(super) struct Statement {
    pub sql: Sql,
    pub answer: oneshot::Sender<Result<Vec<i64>, DbError>>,
}

impl Statement {
    fn finish(self, outcome: Result<Vec<i64>, DbError>) {
        // The caller may have gone; its change stands all the same.
        let _ = self.answer.send(outcome);
    }
}

/// Why nothing of a group was committed.
struct Refused {
    /// Which of its statements failed; `None` where the engine did.
    failing: Option<usize>,
    error: DbError,
}

impl Refused {
    fn by_engine(error: sqlx::Error) -> Self {
        Self { failing: None, error: DbError::from_commit(error) }
    }
}

/// The connection of the writer's thread. It and sqlx's never write at the same time.
pub(super) struct Direct {
    conn: Connection,
    metrics: WriterMetrics,
}

impl Direct {
    /// Opens the file that sqlx's connection made, and set to WAL.
    pub fn open(path: &Path, metrics: WriterMetrics) -> Result<Self, sqlx::Error> {
        let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let open = || {
            let conn = Connection::open_with_flags(path, flags)?;
            conn.busy_timeout(crate::db::open::SQLITE_BUSY_TIMEOUT)?;
            conn.pragma_update(None, "synchronous", "FULL")?;
            conn.pragma_update(None, "foreign_keys", true)?;
            conn.set_prepared_statement_cache_capacity(PREPARED_MAX);
            Ok(conn)
        };
        Ok(Self { conn: open().map_err(failure)?, metrics })
    }

    /// Commits statements in as few commits as their failures allow: what ran before a failing one is
    /// committed together, that one runs alone, and those behind it go on as a group. However many fail,
    /// none runs more than twice, save where the engine fails.
    pub fn commit(&self, mut group: Vec<Statement>) {
        let refused = match self.together(&group) {
            Ok(answers) => {
                self.metrics.committed(group.len());
                group.into_iter().zip(answers).for_each(|(statement, answer)| statement.finish(Ok(answer)));
                return;
            }
            Err(refused) => refused,
        };
        if group.len() < 2 {
            if let Some(alone) = group.pop() {
                alone.finish(Err(refused.error));
            }
            return;
        }
        let Some(failing) = refused.failing else {
            return group.into_iter().for_each(|statement| self.commit(vec![statement]));
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

    /// Runs all in one transaction. When one of them fails nothing of them stays.
    fn together(&self, group: &[Statement]) -> Result<Vec<Vec<i64>>, Refused> {
        self.run("BEGIN IMMEDIATE", &[]).map_err(Refused::by_engine)?;
        let outcome = self.all(group).and_then(|answers| {
            self.run("COMMIT", &[]).map_err(Refused::by_engine)?;
            Ok(answers)
        });
        // The engine rolls back by itself where, for example, the disk is full.
        if outcome.is_err()
            && !self.conn.is_autocommit()
            && let Err(error) = self.run("ROLLBACK", &[])
        {
            tracing::error!(%error, "a transaction could not be rolled back");
        }
        outcome
    }

    fn all(&self, group: &[Statement]) -> Result<Vec<Vec<i64>>, Refused> {
        let each = group.iter().enumerate();
        each.map(|(index, statement)| {
            let mut answer = Vec::new();
            for (text, values) in statement.sql.statements() {
                answer = self
                    .run(text, values)
                    .map_err(|error| Refused { failing: Some(index), error: error.into() })?;
            }
            Ok(answer)
        })
        .collect()
    }

    /// The first column of the rows that it answers with.
    fn run(&self, text: &str, values: &[Value]) -> Result<Vec<i64>, sqlx::Error> {
        let run = || {
            let mut statement = self.conn.prepare_cached(text)?;
            for (index, value) in values.iter().enumerate() {
                statement.raw_bind_parameter(index + 1, bound(value))?;
            }
            statement.raw_query().mapped(|row| row.get(0)).collect::<Result<_, _>>()
        };
        run().map_err(failure)
    }
}

fn bound(value: &Value) -> ToSqlOutput<'_> {
    let value = match value {
        Value::Text(text) | Value::OptText(Some(text)) => ValueRef::Text(text.as_bytes()),
        Value::OptBytes(Some(bytes)) => ValueRef::Blob(bytes),
        Value::Int(number) | Value::OptInt(Some(number)) => ValueRef::Integer(*number),
        Value::Float(number) | Value::OptFloat(Some(number)) => ValueRef::Real(*number),
        Value::Bool(flag) | Value::OptBool(Some(flag)) => ValueRef::Integer(i64::from(*flag)),
        Value::OptText(None)
        | Value::OptBytes(None)
        | Value::OptInt(None)
        | Value::OptFloat(None)
        | Value::OptBool(None)
        // SQLite gets its rows written out.
        | Value::Column(_) => ValueRef::Null,
    };
    ToSqlOutput::Borrowed(value)
}

/// An error of the engine, told as sqlx tells it.
#[derive(Debug)]
struct Failure {
    extended_code: i32,
    source: rusqlite::Error,
}

fn failure(source: rusqlite::Error) -> sqlx::Error {
    let code = source.sqlite_error().map_or(ffi::SQLITE_ERROR, |error| error.extended_code);
    sqlx::Error::Database(Box::new(Failure { extended_code: code, source }))
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "(code: {}) {}", self.extended_code, self.source)
    }
}

impl Error for Failure {}

impl DatabaseError for Failure {
    fn message(&self) -> &str {
        match &self.source {
            rusqlite::Error::SqliteFailure(_, Some(message)) => message,
            _ => "the statement failed",
        }
    }

    fn code(&self) -> Option<Cow<'_, str>> {
        Some(self.extended_code.to_string().into())
    }

    fn as_error(&self) -> &(dyn Error + Send + Sync + 'static) {
        self
    }

    fn as_error_mut(&mut self) -> &mut (dyn Error + Send + Sync + 'static) {
        self
    }

    fn into_error(self: Box<Self>) -> Box<dyn Error + Send + Sync + 'static> {
        self
    }

    fn kind(&self) -> ErrorKind {
        match self.extended_code {
            ffi::SQLITE_CONSTRAINT_UNIQUE | ffi::SQLITE_CONSTRAINT_PRIMARYKEY => ErrorKind::UniqueViolation,
            ffi::SQLITE_CONSTRAINT_FOREIGNKEY => ErrorKind::ForeignKeyViolation,
            ffi::SQLITE_CONSTRAINT_NOTNULL => ErrorKind::NotNullViolation,
            ffi::SQLITE_CONSTRAINT_CHECK => ErrorKind::CheckViolation,
            _ => ErrorKind::Other,
        }
    }
}
