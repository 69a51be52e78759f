//! Migrations: the same file names for both engines, under `migrations/`.

use super::{
    Db, DbError, OpenError, Pools,
    error::{is_damaged, is_full},
};
use sqlx::migrate::{MigrateError, Migrator};

static SQLITE: Migrator = sqlx::migrate!("../migrations/sqlite");
static POSTGRES: Migrator = sqlx::migrate!("../migrations/postgres");

/// Brings `db` up to date; the number of the newest migration that it had been through before.
pub async fn run(db: &Db, url: &str) -> Result<i64, OpenError> {
    // A new database has no table of them; what else is wrong the migrator says.
    let (before, newest) = (applied(db).await.unwrap_or_default(), newest());
    if (1..newest).contains(&before) {
        tracing::info!(database = url, from = before, to = newest, "migrating; minutes where rows are many");
    }
    let result = match &db.pools {
        Pools::Sqlite { writer, .. } => SQLITE.run(writer.pool()).await,
        Pools::Postgres(pool) => POSTGRES.run(pool).await,
    };
    result.map(|()| before).map_err(|source| match source {
        MigrateError::VersionMissing(version) => OpenError::Newer { url: url.into(), version },
        MigrateError::Execute(e) if is_damaged(&e) => {
            OpenError::Damaged { url: url.into(), detail: e.to_string() }
        }
        MigrateError::Execute(e) if is_full(&e) => OpenError::Full { url: url.into(), source: e },
        source => OpenError::Migrate { url: url.into(), source },
    })
}

/// Number of the newest migration that this version has.
pub fn newest() -> i64 {
    SQLITE.iter().map(|m| m.version).max().unwrap_or_default()
}

/// Number of the newest migration that `db` has been through.
pub async fn applied(db: &Db) -> Result<i64, DbError> {
    let mut conn = db.read().await?;
    let query = "SELECT MAX(version) FROM _sqlx_migrations WHERE success";
    Ok(conn.query(query).scalar::<Option<i64>>().await?.flatten().unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_engines_have_the_same_migrations() {
        let names =
            |m: &Migrator| m.iter().map(|m| (m.version, m.description.to_string())).collect::<Vec<_>>();
        assert_eq!(names(&SQLITE), names(&POSTGRES));
    }
}
