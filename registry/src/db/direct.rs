//! SQLite without sqlx between, where what crosses to another thread for each row or statement costs more than
//! the work. rusqlite shares sqlx's SQLite.

use super::{
    DbError,
    sql::{Sql, Value},
};
use rusqlite::{
    ffi,
    types::{ToSqlOutput, ValueRef},
};
use sqlx::error::{DatabaseError, ErrorKind};
use std::{borrow::Cow, error::Error, fmt, ops::ControlFlow};
use tokio::runtime::{Handle, RuntimeFlavor};

/// Rows past which preparing the statement anew, as is done here, costs less than sqlx's copies of them.
pub(super) const ROWS_MIN: usize = 100;

/// A row type that is read without sqlx; tuples are.
pub trait DirectRecord: for<'r> TryFrom<&'r rusqlite::Row<'r>, Error = rusqlite::Error> {}
impl<T> DirectRecord for T where T: for<'r> TryFrom<&'r rusqlite::Row<'r>, Error = rusqlite::Error> {}

/// Hands rows of a statement to `take` until it breaks, on this thread and inside the connection's transaction.
pub(super) async fn each<T: DirectRecord>(
    conn: &mut sqlx::SqliteConnection,
    sql: &Sql,
    take: impl FnMut(T) -> Result<ControlFlow<()>, DbError>,
) -> Result<(), DbError> {
    let mut locked = conn.lock_handle().await?;
    let work = move || {
        let handle = locked.as_raw_handle().as_ptr();
        #[expect(unsafe_code, reason = "sqlx lends its connection as a pointer only")]
        // SAFETY: sqlx's thread leaves the connection alone while `locked` lives, which is dropped after this.
        let conn = unsafe { rusqlite::Connection::from_handle(handle) }.map_err(Failure::from)?;
        let read = read(&conn, sql, take);
        drop(conn);
        drop(locked);
        read
    };
    match Handle::current().runtime_flavor() {
        RuntimeFlavor::MultiThread => tokio::task::block_in_place(work),
        // The one thread of a test: nobody to hand its other tasks to.
        _ => work(),
    }
}

fn read<T: DirectRecord>(
    conn: &rusqlite::Connection,
    sql: &Sql,
    mut take: impl FnMut(T) -> Result<ControlFlow<()>, DbError>,
) -> Result<(), DbError> {
    for (text, values) in sql.statements() {
        let mut statement = conn.prepare(text).map_err(Failure::from)?;
        for (index, value) in values.iter().enumerate() {
            statement.raw_bind_parameter(index + 1, bound(value)).map_err(Failure::from)?;
        }
        let mut rows = statement.raw_query();
        while let Some(row) = rows.next().map_err(Failure::from)? {
            if take(T::try_from(row).map_err(Failure::from)?)?.is_break() {
                break;
            }
        }
    }
    Ok(())
}

pub(super) fn bound(value: &Value) -> ToSqlOutput<'_> {
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
#[derive(Debug, Clone)]
pub(super) struct Failure {
    extended_code: i32,
    message: String,
}

impl From<rusqlite::Error> for Failure {
    fn from(error: rusqlite::Error) -> Self {
        let extended_code = error.sqlite_error().map_or(ffi::SQLITE_ERROR, |error| error.extended_code);
        Self { extended_code, message: error.to_string() }
    }
}

impl From<Failure> for DbError {
    fn from(failure: Failure) -> Self {
        sqlx::Error::from(failure).into()
    }
}

pub(super) fn failed(error: rusqlite::Error) -> sqlx::Error {
    Failure::from(error).into()
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "(code: {}) {}", self.extended_code, self.message)
    }
}

impl Error for Failure {}

impl DatabaseError for Failure {
    fn message(&self) -> &str {
        &self.message
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

#[cfg(test)]
mod tests {
    use super::{
        super::{Db, testing::each_engine},
        *,
    };

    type Row = (i64, String, Option<f64>, Option<i64>);

    /// Rows numbered from 1, half of them with NULLs.
    fn numbered(engine: crate::db::Engine, last: i64) -> Sql {
        let mut sql = Sql::new(
            engine,
            "WITH RECURSIVE n (i) AS (SELECT CAST(1 AS BIGINT) UNION ALL SELECT i + 1 FROM n WHERE i < ",
        );
        sql.bind(last).push(") SELECT i, CAST(").bind("é\u{1d11e}").push(" AS TEXT),");
        sql.push(" CASE WHEN i % 2 = 0 THEN CAST(i AS DOUBLE PRECISION) / 3 END,");
        sql.push(" CASE WHEN i % 2 = 0 THEN i END FROM n");
        sql
    }

    async fn rows_are_alike_however_many() {
        each_engine(|url| async move {
            let db = Db::open(&url).await.unwrap();
            let mut conn = db.snapshot().await.unwrap();
            let sql = numbered(conn.engine(), 300);
            let through: Vec<Row> = conn.all_of(sql.clone(), ROWS_MIN - 1).await.unwrap();
            let directly: Vec<Row> = conn.all_of(sql.clone(), ROWS_MIN).await.unwrap();
            assert_eq!(directly.len(), 300);
            assert_eq!(directly, through);
            assert_eq!(directly[1], (2, "é\u{1d11e}".to_owned(), Some(2.0 / 3.0), Some(2)));

            for rows in [ROWS_MIN - 1, ROWS_MIN] {
                let mut seen = 0;
                let take = |_: Row| {
                    seen += 1;
                    Ok(if seen == 7 { ControlFlow::Break(()) } else { ControlFlow::Continue(()) })
                };
                conn.each_of(sql.clone(), rows, take).await.unwrap();
                assert_eq!(seen, 7);
            }
            let stop = |_: Row| Err(DbError::Corrupt { what: "row", detail: "the first".to_owned() });
            let stopped = conn.each_of(sql.clone(), ROWS_MIN, stop).await.unwrap_err();
            assert!(stopped.to_string().contains("the first"), "{stopped}");
            let other_type = conn.all_of::<(String,)>(sql.clone(), ROWS_MIN).await;
            assert!(other_type.is_err(), "a number is no text");
            let again: Vec<Row> = conn.all_of(sql, ROWS_MIN).await.unwrap();
            assert_eq!(again, directly, "the connection goes on after an error");
            drop(conn);
            db.close().await;
        })
        .await;
    }

    #[tokio::test]
    async fn rows_are_alike_on_one_thread() {
        rows_are_alike_however_many().await;
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn rows_are_alike_on_several_threads() {
        rows_are_alike_however_many().await;
    }

    #[tokio::test]
    async fn a_statement_sees_its_transaction() {
        each_engine(|url| async move {
            let db = Db::open(&url).await.unwrap();
            let count = |engine| Sql::new(engine, "SELECT COUNT(*) FROM experiment_tags");
            let mut conn = db.snapshot().await.unwrap();
            let before: Vec<(i64,)> = conn.all_of(count(conn.engine()), ROWS_MIN).await.unwrap();
            db.write((), move |tx, ()| {
                Box::pin(async move {
                    let sql = "INSERT INTO experiments (experiment_id, name, artifact_location, lifecycle_stage,
                                   creation_time_ms, last_update_time_ms) VALUES (7, 'e', 'a', 'active', 1, 1)";
                    tx.query(sql).execute().await?;
                    let sql = "INSERT INTO experiment_tags (experiment_id, key, value) VALUES (7, 'k', 'v')";
                    tx.query(sql).execute().await?;
                    let within: Vec<(i64,)> = tx.all_of(count(tx.engine()), ROWS_MIN).await?;
                    assert_eq!(within, [(1,)], "its own change");
                    Ok::<_, DbError>(())
                })
            })
            .await
            .unwrap();
            let after: Vec<(i64,)> = conn.all_of(count(conn.engine()), ROWS_MIN).await.unwrap();
            assert_eq!((&before, &after), (&vec![(0,)], &vec![(0,)]), "not what others change");
            drop(conn);
            db.close().await;
        })
        .await;
    }
}
