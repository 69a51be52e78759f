use crate::db::{Conn, DbError, sql::Sql};
use std::collections::HashMap;
use waybill_client::api::Alias;

/// The version that `alias` points to.
pub async fn find(conn: &mut Conn, model_id: i64, alias: &str) -> Result<Option<i64>, DbError> {
    conn.query("SELECT version FROM registered_model_aliases WHERE model_id = $1 AND alias = $2")
        .bind(model_id)
        .bind(alias.to_owned())
        .scalar()
        .await
}

/// Points `alias` to `version`, wherever it pointed before.
pub async fn set(tx: &mut Conn, model_id: i64, alias: &str, version: i64) -> Result<(), DbError> {
    tx.query(
        "INSERT INTO registered_model_aliases (model_id, alias, version) VALUES ($1, $2, $3)
         ON CONFLICT (model_id, alias) DO UPDATE SET version = excluded.version",
    )
    .bind(model_id)
    .bind(alias.to_owned())
    .bind(version)
    .execute()
    .await?;
    Ok(())
}

/// Removes `alias`; the number of aliases removed, 0 or 1.
pub async fn delete(tx: &mut Conn, model_id: i64, alias: &str) -> Result<u64, DbError> {
    tx.query("DELETE FROM registered_model_aliases WHERE model_id = $1 AND alias = $2")
        .bind(model_id)
        .bind(alias.to_owned())
        .execute()
        .await
}

/// Removes every alias of a version.
pub async fn delete_of_version(tx: &mut Conn, model_id: i64, version: i64) -> Result<(), DbError> {
    tx.query("DELETE FROM registered_model_aliases WHERE model_id = $1 AND version = $2")
        .bind(model_id)
        .bind(version)
        .execute()
        .await?;
    Ok(())
}

pub async fn count(conn: &mut Conn, model_id: i64) -> Result<i64, DbError> {
    let count = conn
        .query("SELECT COUNT(*) FROM registered_model_aliases WHERE model_id = $1")
        .bind(model_id)
        .scalar()
        .await?;
    Ok(count.unwrap_or_default())
}

/// Aliases of each of `model_ids` that has any, by name.
pub async fn of_models(conn: &mut Conn, model_ids: &[i64]) -> Result<HashMap<i64, Vec<Alias>>, DbError> {
    let mut found: HashMap<i64, Vec<Alias>> = HashMap::new();
    for chunk in model_ids.chunks(super::CHUNK) {
        let mut sql = Sql::new(
            conn.engine(),
            "SELECT model_id, alias, version FROM registered_model_aliases WHERE model_id IN (",
        );
        sql.bind_list(chunk.iter().map(|id| (*id).into())).push(") ORDER BY model_id, alias");
        let rows: Vec<(i64, String, i64)> = conn.generated(sql).all().await?;
        for (model_id, alias, version) in rows {
            found.entry(model_id).or_default().push(Alias { alias, version });
        }
    }
    Ok(found)
}
