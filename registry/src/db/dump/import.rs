//! Filling an empty database from rows: all of them, or none.

use super::{ColumnKind, Row, Table, export::quoted, schema};
use crate::db::{
    Conn, Db, DbError, Engine,
    sql::{ROWS_PER_STATEMENT, Sql, Value as Bound},
};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use serde_json::Value;

#[derive(Debug, thiserror::Error)]
pub enum ImportError {
    #[error(transparent)]
    Db(#[from] DbError),
    #[error(
        "the table {table} of the backup has other columns than this database: expected {expected}, found {found}"
    )]
    Columns { table: String, expected: String, found: String },
    #[error("the backup has no table {0}")]
    MissingTable(String),
    #[error("row {row} of the table {table}: {detail}")]
    Row { table: String, row: u64, detail: String },
}

/// One transaction that replaces the rows of every table.
pub struct Importer {
    conn: Conn,
    tables: Vec<Table>,
}

impl Db {
    /// Begins to replace all rows: from here on nobody else writes. Nothing changes before
    /// [`Importer::commit`].
    pub async fn import(&self) -> Result<Importer, DbError> {
        let mut conn = self.begin_exclusive().await?;
        let tables = schema::tables(&mut conn).await?;
        // SQLite has one writer anyway, and refuses one that read before another wrote.
        if conn.engine() == Engine::Postgres {
            for table in &tables {
                let mut sql = Sql::new(conn.engine(), "LOCK TABLE ");
                sql.push_identifier(&quoted(&table.name)).push(" IN EXCLUSIVE MODE");
                conn.generated(sql).execute().await?;
            }
        }
        Ok(Importer { conn, tables })
    }
}

impl Importer {
    /// The tables to fill, in order.
    pub fn tables(&self) -> &[Table] {
        &self.tables
    }

    /// The transaction, to see what [`Importer::clear`] would remove.
    pub fn conn(&mut self) -> &mut Conn {
        &mut self.conn
    }

    /// Removes the rows of every table.
    pub async fn clear(&mut self) -> Result<(), DbError> {
        for table in self.tables.iter().rev() {
            let mut sql = Sql::new(self.conn.engine(), "DELETE FROM ");
            sql.push_identifier(&quoted(&table.name));
            self.conn.generated(sql).execute().await?;
        }
        Ok(())
    }

    /// Checks that the backup's table has the columns of ours.
    pub fn check(&self, ours: &Table, theirs: Option<&Table>) -> Result<(), ImportError> {
        let theirs = theirs.ok_or_else(|| ImportError::MissingTable(ours.name.clone()))?;
        if ours.columns == theirs.columns {
            return Ok(());
        }
        let names = |t: &Table| t.columns.iter().map(|c| c.name.as_str()).collect::<Vec<_>>().join(", ");
        Err(ImportError::Columns { table: ours.name.clone(), expected: names(ours), found: names(theirs) })
    }

    /// Inserts `rows`; `first_row` is the number of the first of them, for messages.
    pub async fn insert(&mut self, table: &Table, first_row: u64, rows: &[Row]) -> Result<(), ImportError> {
        for (chunk, rows) in rows.chunks(ROWS_PER_STATEMENT).enumerate() {
            let mut sql = Sql::new(self.conn.engine(), "INSERT INTO ");
            sql.push_identifier(&quoted(&table.name)).push(" (");
            for (i, column) in table.columns.iter().enumerate() {
                sql.push(if i > 0 { ", " } else { "" }).push_identifier(&quoted(&column.name));
            }
            sql.push(match self.conn.engine() {
                Engine::Sqlite => ") VALUES ",
                // Identity columns keep the numbers that other tables refer to.
                Engine::Postgres => ") OVERRIDING SYSTEM VALUE VALUES ",
            });
            let mut bound = Vec::with_capacity(rows.len());
            for (i, row) in rows.iter().enumerate() {
                let number = first_row + (chunk * ROWS_PER_STATEMENT + i) as u64;
                bound.push(bind_row(table, row).map_err(|detail| ImportError::Row {
                    table: table.name.clone(),
                    row: number,
                    detail,
                })?);
            }
            sql.bind_rows(bound);
            self.conn.generated(sql).execute().await?;
        }
        Ok(())
    }

    /// Makes all rows durable together.
    pub async fn commit(mut self) -> Result<(), DbError> {
        if self.conn.engine() == Engine::Postgres {
            self.reset_identities().await?;
        }
        self.conn.commit().await.map_err(DbError::from_commit)
    }

    /// PostgreSQL's sequences do not see numbers that were inserted.
    async fn reset_identities(&mut self) -> Result<(), DbError> {
        let columns: Vec<(String, String)> = self
            .conn
            .query(
                "SELECT table_name::text, column_name::text FROM information_schema.columns
                 WHERE table_schema = current_schema() AND is_identity = 'YES'",
            )
            .all()
            .await?;
        for (table, column) in columns {
            let mut sql = Sql::new(Engine::Postgres, "SELECT setval(pg_get_serial_sequence(");
            sql.bind(quoted(&table)).push(", ").bind(column.clone()).push("), COALESCE(MAX(");
            sql.push_identifier(&quoted(&column)).push("), 0) + 1, FALSE) FROM ");
            sql.push_identifier(&quoted(&table));
            self.conn.generated(sql).execute().await?;
        }
        Ok(())
    }
}

fn bind_row(table: &Table, row: &Row) -> Result<Vec<Bound>, String> {
    if row.len() != table.columns.len() {
        return Err(format!("{} values; expected {}", row.len(), table.columns.len()));
    }
    let bind = |(column, value): (&super::Column, &Value)| {
        bind_value(column.kind, value).ok_or_else(|| {
            let shown: String = value.to_string().chars().take(60).collect();
            format!("{} is {shown}; expected {:?}", column.name, column.kind)
        })
    };
    table.columns.iter().zip(row).map(bind).collect()
}

fn bind_value(kind: ColumnKind, value: &Value) -> Option<Bound> {
    let null = value.is_null();
    Some(match kind {
        ColumnKind::Integer => Bound::OptInt(if null { None } else { Some(value.as_i64()?) }),
        ColumnKind::Float => Bound::OptFloat(if null { None } else { Some(float(value)?) }),
        ColumnKind::Boolean => Bound::OptBool(if null { None } else { Some(value.as_bool()?) }),
        ColumnKind::Text => Bound::OptText(if null { None } else { Some(value.as_str()?.to_owned()) }),
        ColumnKind::Bytes => {
            Bound::OptBytes(if null { None } else { Some(STANDARD.decode(value.as_str()?).ok()?) })
        }
    })
}

fn float(value: &Value) -> Option<f64> {
    match value.as_str() {
        None => value.as_f64(),
        Some("NaN") => Some(f64::NAN),
        Some("Infinity") => Some(f64::INFINITY),
        Some("-Infinity") => Some(f64::NEG_INFINITY),
        Some(_) => None,
    }
}
