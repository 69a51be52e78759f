//! MLflow's database, read and never written, on SQLite or PostgreSQL.

use crate::commands::import::error::SourceError;
use futures::{StreamExt, stream::BoxStream};
use sqlx::{
    AssertSqlSafe, Connection as _, PgConnection, PgPool, Row as _, SqlitePool,
    postgres::{PgConnectOptions, PgPoolOptions, PgRow},
    sqlite::{SqliteConnectOptions, SqlitePoolOptions, SqliteRow},
};
use std::{path::PathBuf, str::FromStr, time::Duration};

/// An old server that is still up may hold its database for a while.
const BUSY_TIMEOUT: Duration = Duration::from_secs(30);
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
const CONNECTIONS: u32 = 4;

#[derive(Clone)]
pub enum Db {
    Sqlite(SqlitePool),
    Postgres(PgPool),
}

/// A row of either engine. Columns are cast in the statements, so that each has one type on both.
pub enum Row {
    Sqlite(SqliteRow),
    Postgres(PgRow),
}

fn unreachable(options: &PgConnectOptions, error: &impl std::fmt::Display) -> SourceError {
    let (host, port) = (options.get_host(), options.get_port());
    SourceError::Unreachable(format!(
        "the MLflow database cannot be read: no connection to {host}:{port}: {error}"
    ))
}

impl Db {
    /// A database file. One that is not there is not made.
    pub async fn sqlite(file: &PathBuf) -> Result<Self, SourceError> {
        if !file.is_file() {
            return Err(SourceError::NotMlflow(format!("there is no database file {}", file.display())));
        }
        let options = SqliteConnectOptions::new().filename(file).read_only(true).busy_timeout(BUSY_TIMEOUT);
        let pool = SqlitePoolOptions::new().max_connections(CONNECTIONS);
        let pool = pool.acquire_timeout(BUSY_TIMEOUT).connect_with(options).await;
        Ok(Self::Sqlite(pool.map_err(failed)?))
    }

    /// A PostgreSQL database; its sessions may only read.
    pub async fn postgres(url: &str) -> Result<Self, SourceError> {
        let options = PgConnectOptions::from_str(url).map_err(failed)?;
        let options = options.options([("default_transaction_read_only", "on")]);
        // The pool would try again until its time is over, and then say that alone.
        match tokio::time::timeout(CONNECT_TIMEOUT, PgConnection::connect_with(&options)).await {
            Ok(connected) => {
                connected.map_err(|error| unreachable(&options, &error))?.close().await.map_err(failed)?;
            }
            Err(late) => return Err(unreachable(&options, &late)),
        }
        let pool = PgPoolOptions::new().max_connections(CONNECTIONS).acquire_timeout(CONNECT_TIMEOUT);
        Ok(Self::Postgres(pool.connect_with(options).await.map_err(failed)?))
    }

    pub fn is_sqlite(&self) -> bool {
        matches!(self, Self::Sqlite(_))
    }

    /// All rows of a statement with `$1` placeholders, bound to texts.
    pub async fn rows(&self, sql: String, bound: &[&str]) -> Result<Vec<Row>, SourceError> {
        let bound = bound.iter().map(|text| (*text).to_owned()).collect();
        let mut rows = self.stream(sql, bound);
        let mut all = Vec::new();
        while let Some(row) = rows.next().await {
            all.push(row?);
        }
        Ok(all)
    }

    /// The rows of a statement as they come.
    pub fn stream(&self, sql: String, bound: Vec<String>) -> BoxStream<'static, Result<Row, SourceError>> {
        let (rows, arriving) = tokio::sync::mpsc::channel(1_000);
        let db = self.clone();
        tokio::spawn(async move {
            let mut fetched: BoxStream<'_, Result<Row, sqlx::Error>> = match &db {
                Self::Sqlite(pool) => {
                    let query = sqlx::query(AssertSqlSafe(sql));
                    let query = bound.into_iter().fold(query, |query, text| query.bind(text));
                    query.fetch(pool).map(|row| row.map(Row::Sqlite)).boxed()
                }
                Self::Postgres(pool) => {
                    let query = sqlx::query(AssertSqlSafe(sql));
                    let query = bound.into_iter().fold(query, |query, text| query.bind(text));
                    query.fetch(pool).map(|row| row.map(Row::Postgres)).boxed()
                }
            };
            while let Some(row) = fetched.next().await {
                if rows.send(row.map_err(failed)).await.is_err() {
                    return;
                }
            }
        });
        futures::stream::unfold(arriving, |mut arriving| async move {
            let row = arriving.recv().await?;
            Some((row, arriving))
        })
        .boxed()
    }

    /// The number that a statement gives.
    pub async fn count(&self, sql: String) -> Result<u64, SourceError> {
        let rows = self.rows(sql, &[]).await?;
        rows.first().map_or(Ok(0), |row| Ok(row.int("n")?.unwrap_or_default() as u64))
    }
}

impl Row {
    pub fn text(&self, column: &str) -> Result<Option<String>, SourceError> {
        match self {
            Self::Sqlite(row) => row.try_get(column),
            Self::Postgres(row) => row.try_get(column),
        }
        .map_err(|error| unreadable(column, &error))
    }

    pub fn int(&self, column: &str) -> Result<Option<i64>, SourceError> {
        match self {
            Self::Sqlite(row) => row.try_get(column),
            Self::Postgres(row) => row.try_get(column),
        }
        .map_err(|error| unreadable(column, &error))
    }

    pub fn float(&self, column: &str) -> Result<Option<f64>, SourceError> {
        match self {
            Self::Sqlite(row) => row.try_get(column),
            Self::Postgres(row) => row.try_get(column),
        }
        .map_err(|error| unreadable(column, &error))
    }

    /// The text, empty where there is none.
    pub fn word(&self, column: &str) -> Result<String, SourceError> {
        Ok(self.text(column)?.unwrap_or_default())
    }

    /// The number, 0 where there is none.
    pub fn number(&self, column: &str) -> Result<i64, SourceError> {
        Ok(self.int(column)?.unwrap_or_default())
    }
}

fn unreadable(column: &str, error: &sqlx::Error) -> SourceError {
    SourceError::NotMlflow(format!("the database's column {column} cannot be read: {error}"))
}

#[expect(clippy::needless_pass_by_value, reason = "the signature that map_err calls")]
fn failed(error: sqlx::Error) -> SourceError {
    let away = matches!(error, sqlx::Error::Io(_) | sqlx::Error::PoolTimedOut | sqlx::Error::Tls(_));
    let text = format!("the MLflow database cannot be read: {error}");
    if away { SourceError::Unreachable(text) } else { SourceError::NotMlflow(text) }
}
