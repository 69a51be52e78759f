//! Times within a serving interval in which nothing answered.

use crate::db::{Conn, DbError};
use std::collections::HashMap;
use waybill_client::api::Outage;

/// Opens an outage, or gives the one that lasts another reason; whether it is new.
pub async fn note(tx: &mut Conn, interval: i64, from_ms: i64, reason: Option<&str>) -> Result<bool, DbError> {
    let known = tx
        .query("UPDATE serving_outages SET reason = $2 WHERE serving_interval = $1 AND to_ms IS NULL")
        .bind(interval)
        .bind(reason.map(str::to_owned))
        .execute()
        .await?;
    if known > 0 {
        return Ok(false);
    }
    tx.query("INSERT INTO serving_outages (serving_interval, from_ms, reason) VALUES ($1, $2, $3)")
        .bind(interval)
        .bind(from_ms)
        .bind(reason.map(str::to_owned))
        .execute()
        .await?;
    Ok(true)
}

/// Ends the outage of an interval that lasts, never before it began; whether there was one.
pub async fn close(tx: &mut Conn, interval: i64, at_ms: i64) -> Result<bool, DbError> {
    let closed = tx
        .query(
            "UPDATE serving_outages SET to_ms = CASE WHEN from_ms > $2 THEN from_ms ELSE $2 END
             WHERE serving_interval = $1 AND to_ms IS NULL",
        )
        .bind(interval)
        .bind(at_ms)
        .execute()
        .await?;
    Ok(closed > 0)
}

#[derive(sqlx::FromRow)]
struct Row {
    serving_interval: i64,
    from_ms: i64,
    to_ms: Option<i64>,
    reason: Option<String>,
}

/// The newest `limit` outages of a model by interval, newest first.
pub async fn of_model(
    conn: &mut Conn,
    model_id: i64,
    environment: Option<&str>,
    limit: i64,
) -> Result<HashMap<i64, Vec<Outage>>, DbError> {
    let rows: Vec<Row> = conn
        .query(
            "SELECT o.serving_interval, o.from_ms, o.to_ms, o.reason
             FROM serving_outages o JOIN serving_intervals i ON i.id = o.serving_interval
             JOIN deployments d ON d.id = i.deployment
             WHERE d.model_id = $1 AND d.environment LIKE $2 ORDER BY o.id DESC LIMIT $3",
        )
        .bind(model_id)
        .bind(environment.unwrap_or("%").to_owned())
        .bind(limit)
        .all()
        .await?;
    let mut found: HashMap<i64, Vec<Outage>> = HashMap::new();
    for row in rows {
        let outage = Outage { from_ms: row.from_ms, to_ms: row.to_ms, reason: row.reason };
        found.entry(row.serving_interval).or_default().push(outage);
    }
    Ok(found)
}
