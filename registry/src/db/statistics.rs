//! The statistics by which PostgreSQL plans.

use super::{Conn, Db, DbError, Engine, Pools, sql::Sql};
use std::time::Duration;

/// Between two looks. PostgreSQL's own maintenance looks once a minute: until then it takes tables that were
/// just filled, as by an import, for empty, and joins them in ways that take seconds.
const LOOK_EVERY: Duration = Duration::from_secs(5);

impl Db {
    /// Gathers statistics while tables grow, until `end`. SQLite plans without.
    pub async fn keep_statistics(&self, end: impl Future<Output = ()>) {
        if matches!(self.pools, Pools::Sqlite { .. }) {
            return;
        }
        let gather = async {
            loop {
                tokio::time::sleep(LOOK_EVERY).await;
                // It is tried again; whoever needs the database now says that it is away.
                if let Err(error) = self.gather_statistics().await {
                    tracing::debug!(%error, "no statistics were gathered");
                }
            }
        };
        tokio::select! {
            () = end => {}
            () = gather => {}
        }
    }

    /// Gathers statistics of the tables of which a fifth is new since that was done last, and names them.
    async fn gather_statistics(&self) -> Result<Vec<String>, DbError> {
        let mut conn = self.read().await?;
        let tables: Vec<(String,)> = conn
            .query(
                // PostgreSQL lets the owner alone do it, and would warn about others each time.
                "SELECT quote_ident(s.relname) FROM pg_stat_user_tables s JOIN pg_class c ON c.oid = s.relid
                 WHERE s.schemaname = current_schema() AND pg_has_role(c.relowner, 'USAGE')
                   AND s.n_mod_since_analyze > 100 + s.n_live_tup / 5
                 ORDER BY s.relname",
            )
            .all()
            .await?;
        let mut gathered = Vec::with_capacity(tables.len());
        for (table,) in tables {
            analyze(&mut conn, &table).await?;
            gathered.push(table);
        }
        Ok(gathered)
    }
}

/// Another server of this registry may be at it.
async fn analyze(conn: &mut Conn, quoted: &str) -> Result<(), DbError> {
    let mut sql = Sql::new(Engine::Postgres, "ANALYZE (SKIP_LOCKED) ");
    sql.push_identifier(quoted);
    conn.generated(sql).execute().await?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::db::testing::each_engine;

    #[tokio::test]
    async fn tables_that_grew_are_looked_at_once() {
        each_engine(|url| async move {
            let db = Db::open(&url).await.unwrap();
            let mut conn = db.read().await.unwrap();
            if conn.engine() == Engine::Sqlite {
                drop(conn);
                // Ends at once: there is nothing to gather.
                db.keep_statistics(std::future::pending()).await;
                return db.close().await;
            }
            for sql in [
                "CREATE TABLE \"Grown\" (n BIGINT) WITH (autovacuum_enabled = false)",
                "INSERT INTO \"Grown\" SELECT * FROM generate_series(1, 2000)",
                // Else it is told after a while.
                "SELECT pg_stat_force_next_flush()",
            ] {
                conn.query(sql).execute().await.unwrap();
            }
            drop(conn);
            let grown = "\"Grown\"".to_owned();
            tokio::time::timeout(Duration::from_secs(20), async {
                while !db.gather_statistics().await.unwrap().contains(&grown) {
                    tokio::time::sleep(Duration::from_millis(50)).await;
                }
            })
            .await
            .expect("the table's growth is seen");
            let sql = "SELECT CAST(reltuples AS BIGINT) FROM pg_class WHERE oid = CAST($1 AS regclass)";
            let mut conn = db.read().await.unwrap();
            let rows: Option<i64> = conn.query(sql).bind(grown.clone()).scalar().await.unwrap();
            assert_eq!(rows, Some(2000));
            drop(conn);
            assert!(!db.gather_statistics().await.unwrap().contains(&grown));
            db.close().await;
        })
        .await;
    }
}
