//! Opening a database: pools, pragmas, migrations, and errors that say what to do.

use super::{
    Db, DbError, Pools,
    error::{is_damaged, is_full},
    migrate,
    writer::SqliteWriter,
};
use crate::redact;
use serde::Serialize;
use sqlx::{
    postgres::{PgConnectOptions, PgPoolOptions},
    sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions, SqliteSynchronous},
};
use std::{str::FromStr as _, time::Duration};

/// Reading connections of SQLite: two cores gain nothing from more.
const SQLITE_READERS: u32 = 4;
/// How long a connection to SQLite waits for another one.
pub(super) const SQLITE_BUSY_TIMEOUT: Duration = Duration::from_secs(10);
/// PostgreSQL connections of one server process.
const POSTGRES_CONNECTIONS: u32 = 16;

#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    #[error(
        "database URL {url:?} is not understood: expected sqlite:PATH or postgres://USER@HOST/NAME ({detail})"
    )]
    Url { url: String, detail: String },
    #[error("cannot open the database {url}: {source}{hint}")]
    Connect { url: String, source: sqlx::Error, hint: &'static str },
    #[error(
        "the database {url} is damaged: {detail}. Restore it with `waybill restore` from a backup, or move the file away to start empty"
    )]
    Damaged { url: String, detail: String },
    #[error(
        "the disk of the database {url} is full: {source}. Free space there and start again; nothing was changed"
    )]
    Full { url: String, source: sqlx::Error },
    #[error("cannot migrate the database {url}: {source}")]
    Migrate { url: String, source: sqlx::migrate::MigrateError },
    #[error("cannot read the database {url}: {source}")]
    Read { url: String, source: DbError },
    #[error(
        "the database {url} has schema {found}, this Waybill has {expected}; run `waybill migrate` first, or the version that wrote it"
    )]
    OtherSchema { url: String, found: i64, expected: i64 },
    #[error(
        "the database {url} was written by a newer Waybill (its migration {version} is unknown here); run that version"
    )]
    Newer { url: String, version: i64 },
}

/// What became of a database's schema.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Migrated {
    /// Without its password.
    pub database_url: String,
    /// 0: the database is new.
    pub schema_before: i64,
    pub schema: i64,
}

impl Db {
    /// Opens `sqlite:PATH` or `postgres://…`, makes it when it is new, and brings its schema up
    /// to date.
    pub async fn open(url: &str) -> Result<Self, OpenError> {
        let db = connect(url, true).await?;
        migrate::run(&db, &redact::url(url)).await?;
        Ok(db)
    }

    /// Brings the schema of a database up to date, and closes it again.
    pub async fn migrate(url: &str) -> Result<Migrated, OpenError> {
        let db = connect(url, true).await?;
        let database_url = redact::url(url);
        let schema_before = migrate::run(&db, &database_url).await?;
        let schema = db.schema_version();
        db.close().await;
        Ok(Migrated { database_url, schema_before, schema })
    }

    /// Opens a database beside the server that owns it: makes and migrates nothing, and refuses
    /// one whose schema is not this version's.
    pub async fn attach(url: &str) -> Result<Self, OpenError> {
        let db = connect(url, false).await?;
        let read = |source| OpenError::Read { url: redact::url(url), source };
        let (found, expected) = (migrate::applied(&db).await.map_err(read)?, db.schema_version());
        if found != expected {
            return Err(OpenError::OtherSchema { url: redact::url(url), found, expected });
        }
        Ok(db)
    }

    /// Number of the newest migration that this version has.
    pub fn schema_version(&self) -> i64 {
        migrate::newest()
    }
}

async fn connect(url: &str, create: bool) -> Result<Db, OpenError> {
    match url.split_once(':').map(|(scheme, _)| scheme) {
        Some("sqlite") => open_sqlite(url, create).await,
        Some("postgres" | "postgresql") => open_postgres(url).await,
        _ => Err(OpenError::Url { url: redact::url(url), detail: "unknown scheme".into() }),
    }
}

async fn open_sqlite(url: &str, create: bool) -> Result<Db, OpenError> {
    let bad_url = |e: sqlx::Error| OpenError::Url { url: url.into(), detail: e.to_string() };
    check_sqlite(url)?;
    let connect = |source| connect_error(url, source);
    let options = SqliteConnectOptions::from_str(url)
        .map_err(bad_url)?
        .create_if_missing(create)
        .journal_mode(SqliteJournalMode::Wal)
        .synchronous(SqliteSynchronous::Full)
        .foreign_keys(true)
        .with_regexp()
        .busy_timeout(SQLITE_BUSY_TIMEOUT)
        .statement_cache_capacity(400);
    let writer = SqlitePoolOptions::new()
        .max_connections(1)
        .test_before_acquire(false)
        .idle_timeout(None)
        .max_lifetime(None)
        .connect_with(options.clone())
        .await
        .map_err(connect)?;
    let writer = SqliteWriter::start(writer, options.get_filename()).map_err(connect)?;
    let readers = SqlitePoolOptions::new()
        .max_connections(SQLITE_READERS)
        .test_before_acquire(false)
        .idle_timeout(None)
        .max_lifetime(None)
        .connect_lazy_with(options.create_if_missing(false).pragma("query_only", "ON"));
    Ok(Db { pools: Pools::Sqlite { readers, writer } })
}

/// Every connection, also of another process, opens the file by its path alone.
fn check_sqlite(url: &str) -> Result<(), OpenError> {
    let refuse = |detail: &str| Err(OpenError::Url { url: url.into(), detail: detail.into() });
    let (path, parameters) = url.split_once('?').unwrap_or((url, ""));
    if path.ends_with(":memory:") {
        return refuse("a database in memory would be lost with the server");
    }
    match parameters {
        "" | "mode=rwc" | "mode=rw" => Ok(()),
        _ => refuse("of parameters only mode=rwc and mode=rw are taken"),
    }
}

async fn open_postgres(url: &str) -> Result<Db, OpenError> {
    let options = PgConnectOptions::from_str(url)
        .map_err(|e| OpenError::Url { url: redact::url(url), detail: e.to_string() })?
        .application_name("waybill")
        // Our statements run for milliseconds; compiling one whose cost the planner overrates, as it
        // does for tables without statistics yet, takes longer than running it.
        // Every query of ours is served by an index, whose pages are in memory or on a solid-state disk.
        // Starting workers takes longer than reading a page of a search, whose cost the planner takes for
        // a share of the whole; what really reads a large table is still worth them.
        .options([("jit", "off"), ("random_page_cost", "1.1"), ("parallel_setup_cost", "20000")]);
    let pool = PgPoolOptions::new()
        .max_connections(POSTGRES_CONNECTIONS)
        .test_before_acquire(false)
        .acquire_timeout(Duration::from_secs(15))
        .connect_with(options)
        .await
        .map_err(|source| connect_error(url, source))?;
    Ok(Db { pools: Pools::Postgres(pool) })
}

fn connect_error(url: &str, source: sqlx::Error) -> OpenError {
    if is_damaged(&source) {
        return OpenError::Damaged { url: redact::url(url), detail: source.to_string() };
    }
    if is_full(&source) {
        return OpenError::Full { url: redact::url(url), source };
    }
    let hint = match source {
        sqlx::Error::Io(_) | sqlx::Error::PoolTimedOut => " (is the server running, and the address right?)",
        _ => "",
    };
    OpenError::Connect { url: redact::url(url), source, hint }
}

#[cfg(test)]
mod tests {
    use super::check_sqlite;

    #[test]
    fn a_database_is_a_file() {
        for good in ["sqlite:w.db", "sqlite:///srv/w.db", "sqlite:w.db?mode=rwc"] {
            assert!(check_sqlite(good).is_ok(), "{good}");
        }
        for bad in ["sqlite::memory:", "sqlite://:memory:", "sqlite:w.db?mode=memory", "sqlite:w.db?mode=ro"]
        {
            let refused = check_sqlite(bad).unwrap_err().to_string();
            assert!(refused.contains(bad), "{refused}");
        }
    }
}
