//! Reading every row of one consistent point.

use super::{
    ColumnKind, Row, Table,
    schema::{self},
};
use crate::db::{Conn, Db, DbError};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use futures::{Stream, TryStreamExt as _, future::Either};
use serde_json::Value;

/// A read transaction that sees one point of all tables.
pub struct Snapshot {
    conn: Conn,
    tables: Vec<Table>,
}

impl Db {
    /// Opens a snapshot of every table. On SQLite the point is taken here, not at the first row.
    pub async fn dump(&self) -> Result<Snapshot, DbError> {
        let mut conn = self.snapshot().await?;
        let tables = schema::tables(&mut conn).await?;
        Ok(Snapshot { conn, tables })
    }
}

impl Snapshot {
    /// Tables in the order in which they can be filled again.
    pub fn tables(&self) -> &[Table] {
        &self.tables
    }

    /// The same point, for other reads that must agree with the rows.
    pub fn conn(&mut self) -> &mut Conn {
        &mut self.conn
    }

    /// Streams the rows of `table`, in the order of its first column: a row that refers to another
    /// of its own table comes after it.
    pub fn rows(&mut self, table: &Table) -> impl Stream<Item = Result<Row, DbError>> + Send {
        let columns = table.columns.iter().map(|c| quoted(&c.name)).collect::<Vec<_>>().join(", ");
        let sql = format!("SELECT {columns} FROM {} ORDER BY 1", quoted(&table.name));
        let kinds: Vec<ColumnKind> = table.columns.iter().map(|c| c.kind).collect();
        let kinds_too = kinds.clone();
        self.conn.stream(sql, move |row| values(row, &kinds), move |row| values(row, &kinds_too))
    }
}

/// `name` as an SQL identifier. Names come from the catalogue, never from a caller.
pub fn quoted(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

impl Conn {
    fn stream<S, P>(
        &mut self,
        sql: String,
        sqlite: S,
        postgres: P,
    ) -> impl Stream<Item = Result<Row, DbError>> + Send
    where
        S: Fn(&sqlx::sqlite::SqliteRow) -> sqlx::Result<Row> + Send,
        P: Fn(&sqlx::postgres::PgRow) -> sqlx::Result<Row> + Send,
    {
        match self.fetch(sql) {
            Either::Left(rows) => Either::Left(
                rows.map_err(DbError::from)
                    .and_then(move |r| std::future::ready(sqlite(&r).map_err(DbError::from))),
            ),
            Either::Right(rows) => Either::Right(
                rows.map_err(DbError::from)
                    .and_then(move |r| std::future::ready(postgres(&r).map_err(DbError::from))),
            ),
        }
    }
}

fn values<R>(row: &R, kinds: &[ColumnKind]) -> sqlx::Result<Row>
where
    R: sqlx::Row,
    usize: sqlx::ColumnIndex<R>,
    for<'r> Option<i64>: sqlx::Decode<'r, R::Database> + sqlx::Type<R::Database>,
    for<'r> Option<f64>: sqlx::Decode<'r, R::Database> + sqlx::Type<R::Database>,
    for<'r> Option<bool>: sqlx::Decode<'r, R::Database> + sqlx::Type<R::Database>,
    for<'r> Option<String>: sqlx::Decode<'r, R::Database> + sqlx::Type<R::Database>,
    for<'r> Option<Vec<u8>>: sqlx::Decode<'r, R::Database> + sqlx::Type<R::Database>,
{
    kinds
        .iter()
        .enumerate()
        .map(|(i, kind)| {
            Ok(match kind {
                ColumnKind::Integer => row.try_get::<Option<i64>, _>(i)?.into(),
                ColumnKind::Float => row.try_get::<Option<f64>, _>(i)?.map_or(Value::Null, float),
                ColumnKind::Boolean => row.try_get::<Option<bool>, _>(i)?.into(),
                ColumnKind::Text => row.try_get::<Option<String>, _>(i)?.into(),
                ColumnKind::Bytes => row.try_get::<Option<Vec<u8>>, _>(i)?.map(|b| STANDARD.encode(b)).into(),
            })
        })
        .collect()
}

fn float(value: f64) -> Value {
    serde_json::Number::from_f64(value).map_or_else(
        || {
            let name = if value.is_nan() {
                "NaN"
            } else if value > 0.0 {
                "Infinity"
            } else {
                "-Infinity"
            };
            Value::from(name)
        },
        Value::Number,
    )
}
