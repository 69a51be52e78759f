//! What keeps the outbox and its history bounded.

use crate::db::{Conn, DbError};

/// Rows of one statement: a change should not hold the writer for long.
pub const BATCH: i64 = 500;

/// Whether there is anything to look after.
pub async fn any(conn: &mut Conn) -> Result<bool, DbError> {
    Ok(conn.query("SELECT 1 FROM webhook_deliveries LIMIT 1").scalar::<i32>().await?.is_some())
}

/// Forgets deliveries that ended before `cutoff_ms`; how many, at most [`BATCH`].
pub async fn forget_ended_before(tx: &mut Conn, cutoff_ms: i64) -> Result<u64, DbError> {
    tx.query(
        "DELETE FROM webhook_deliveries WHERE id IN (
             SELECT id FROM webhook_deliveries WHERE ended_at_ms < $1 ORDER BY ended_at_ms LIMIT $2)",
    )
    .bind(cutoff_ms)
    .bind(BATCH)
    .execute()
    .await
}

/// Webhooks, deleted ones too, that have deliveries.
pub async fn owners(conn: &mut Conn) -> Result<Vec<i64>, DbError> {
    let rows: Vec<(i64,)> = conn
        .query(
            "SELECT w.id FROM webhooks w
             WHERE EXISTS (SELECT 1 FROM webhook_deliveries d WHERE d.webhook = w.id)",
        )
        .all()
        .await?;
    Ok(rows.into_iter().map(|(id,)| id).collect())
}

/// Forgets all but the newest `keep` ended deliveries of a webhook; how many, at most [`BATCH`].
pub async fn forget_beyond(tx: &mut Conn, webhook: i64, keep: i64) -> Result<u64, DbError> {
    tx.query(
        "DELETE FROM webhook_deliveries WHERE id IN (
             SELECT id FROM webhook_deliveries WHERE webhook = $1 AND state <> 'pending' AND id <= (
                 SELECT id FROM webhook_deliveries WHERE webhook = $1 AND state <> 'pending'
                 ORDER BY id DESC LIMIT 1 OFFSET $2)
             ORDER BY id LIMIT $3)",
    )
    .bind(webhook)
    .bind(keep)
    .bind(BATCH)
    .execute()
    .await
}

/// Gives up what has been pending since before `cutoff_ms`.
pub async fn give_up_before(
    tx: &mut Conn,
    cutoff_ms: i64,
    now_ms: i64,
    why: &'static str,
) -> Result<u64, DbError> {
    tx.query(
        "UPDATE webhook_deliveries SET state = 'failed', ended_at_ms = $2, error = $3
         WHERE state = 'pending' AND created_at_ms < $1",
    )
    .bind(cutoff_ms)
    .bind(now_ms)
    .bind(why)
    .execute()
    .await
}

/// Gives up all but the newest `keep` pending deliveries of a webhook.
pub async fn give_up_beyond(
    tx: &mut Conn,
    webhook: i64,
    keep: i64,
    now_ms: i64,
    why: &'static str,
) -> Result<u64, DbError> {
    tx.query(
        "UPDATE webhook_deliveries SET state = 'failed', ended_at_ms = $3, error = $4
         WHERE webhook = $1 AND state = 'pending' AND id <= (
             SELECT id FROM webhook_deliveries WHERE webhook = $1 AND state = 'pending'
             ORDER BY id DESC LIMIT 1 OFFSET $2)",
    )
    .bind(webhook)
    .bind(keep)
    .bind(now_ms)
    .bind(why)
    .execute()
    .await
}
