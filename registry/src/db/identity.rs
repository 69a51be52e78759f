//! Keys that the engine gives out, where rows bring keys of their own.

use super::{Conn, DbError, Engine};

impl Conn {
    /// Keeps others from being given keys of `table` until the transaction ends. SQLite has one
    /// writer anyway, and counts from the highest key by itself.
    pub async fn hold_identity(&mut self, table: &'static str) -> Result<(), DbError> {
        if self.engine() == Engine::Postgres {
            let mut sql = super::sql::Sql::new(Engine::Postgres, "LOCK TABLE ");
            sql.push(table).push(" IN SHARE ROW EXCLUSIVE MODE");
            self.generated(sql).execute().await?;
        }
        Ok(())
    }

    /// Has the keys that are given out from now on be above `key`. Call it while the identity is held.
    pub async fn pass_identity(
        &mut self,
        table: &'static str,
        column: &'static str,
        key: i64,
    ) -> Result<(), DbError> {
        if self.engine() == Engine::Postgres {
            let mut sql =
                super::sql::Sql::new(Engine::Postgres, "WITH s AS (SELECT CAST(pg_get_serial_sequence(");
            sql.bind(table).push(", ").bind(column).push(
                ") AS regclass) AS name)
                 SELECT setval(name, ",
            );
            sql.bind(key).push(") FROM s WHERE COALESCE(pg_sequence_last_value(name), 0) < ").bind(key);
            self.generated(sql).execute().await?;
        }
        Ok(())
    }
}
