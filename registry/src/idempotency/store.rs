use super::Once;
use crate::db::{Conn, DbError};

/// Remembers a key; false when it is known.
pub async fn insert(tx: &mut Conn, once: &Once, result: &str, now_ms: i64) -> Result<bool, DbError> {
    let rows = tx
        .query(
            "INSERT INTO idempotency_keys (actor, operation, key, body_digest, result, created_at_ms)
             VALUES ($1, $2, $3, $4, $5, $6) ON CONFLICT DO NOTHING",
        )
        .bind(once.actor.clone())
        .bind(once.operation.clone())
        .bind(once.key.clone())
        .bind(once.body.to_string())
        .bind(result.to_owned())
        .bind(now_ms)
        .execute()
        .await?;
    Ok(rows == 1)
}

/// Body digest and result of a known key.
pub async fn find(conn: &mut Conn, once: &Once) -> Result<Option<(String, String)>, DbError> {
    conn.query(
        "SELECT body_digest, result FROM idempotency_keys
         WHERE actor = $1 AND operation = $2 AND key = $3",
    )
    .bind(once.actor.clone())
    .bind(once.operation.clone())
    .bind(once.key.clone())
    .optional()
    .await
}

/// Forgets keys older than `before_ms`.
pub async fn forget_before(tx: &mut Conn, before_ms: i64) -> Result<(), DbError> {
    tx.query("DELETE FROM idempotency_keys WHERE created_at_ms < $1").bind(before_ms).execute().await?;
    Ok(())
}
