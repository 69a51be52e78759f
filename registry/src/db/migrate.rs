//! Migrations: the same file names for both engines, under `migrations/`.

use super::{OpenError, Pools};
use sqlx::migrate::{MigrateError, Migrator};

static SQLITE: Migrator = sqlx::migrate!("../migrations/sqlite");
static POSTGRES: Migrator = sqlx::migrate!("../migrations/postgres");

pub async fn run(pools: &Pools, url: &str) -> Result<(), OpenError> {
    let result = match pools {
        Pools::Sqlite { writer, .. } => SQLITE.run(writer.pool()).await,
        Pools::Postgres(pool) => POSTGRES.run(pool).await,
    };
    result.map_err(|source| match source {
        MigrateError::VersionMissing(version) => OpenError::Newer { url: url.into(), version },
        MigrateError::Execute(e) if is_damaged(&e) => {
            OpenError::Damaged { url: url.into(), detail: e.to_string() }
        }
        source => OpenError::Migrate { url: url.into(), source },
    })
}

fn is_damaged(error: &sqlx::Error) -> bool {
    matches!(error.as_database_error().and_then(|e| e.code()).as_deref(), Some("26" | "11"))
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
