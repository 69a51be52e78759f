//! Statements about leases. The clock is the database's: replicas' own differ.

use crate::db::{Conn, DbError};

#[derive(Debug, Clone, PartialEq, Eq, sqlx::FromRow)]
pub struct LeaseRow {
    pub holder: String,
    pub fence: i64,
    pub expires_at_ms: i64,
}

pub async fn find(conn: &mut Conn, name: &str) -> Result<Option<LeaseRow>, DbError> {
    conn.query("SELECT holder, fence, expires_at_ms FROM leases WHERE name = $1")
        .bind(name.to_owned())
        .optional()
        .await
}

/// Takes or renews a lease; `None` while another holds it. The fence goes up with every change of
/// holder and after every expiry, and stays while one holder renews.
pub async fn acquire(
    tx: &mut Conn,
    name: &str,
    holder: &str,
    now_ms: i64,
    ttl_ms: i64,
) -> Result<Option<LeaseRow>, DbError> {
    tx.query(
        "INSERT INTO leases (name, holder, fence, expires_at_ms) VALUES ($1, $2, 1, $3 + $4)
         ON CONFLICT (name) DO UPDATE SET
             fence = CASE WHEN leases.holder = excluded.holder AND leases.expires_at_ms > $3
                     THEN leases.fence ELSE leases.fence + 1 END,
             holder = excluded.holder, expires_at_ms = excluded.expires_at_ms
         WHERE leases.holder = excluded.holder OR leases.expires_at_ms <= $3
         RETURNING holder, fence, expires_at_ms",
    )
    .bind(name.to_owned())
    .bind(holder.to_owned())
    .bind(now_ms)
    .bind(ttl_ms)
    .optional()
    .await
}

/// Whether `fence` is the lease's; holds the row until the transaction ends, so that no other
/// holder can take over in between.
pub async fn holds(tx: &mut Conn, name: &str, fence: i64) -> Result<bool, DbError> {
    let rows = tx
        .query("UPDATE leases SET fence = fence WHERE name = $1 AND fence = $2")
        .bind(name.to_owned())
        .bind(fence)
        .execute()
        .await?;
    Ok(rows == 1)
}

/// Gives a lease up, so that the next holder need not wait for its end.
pub async fn release(tx: &mut Conn, name: &str, fence: i64) -> Result<(), DbError> {
    tx.query("UPDATE leases SET expires_at_ms = 0 WHERE name = $1 AND fence = $2")
        .bind(name.to_owned())
        .bind(fence)
        .execute()
        .await?;
    Ok(())
}
