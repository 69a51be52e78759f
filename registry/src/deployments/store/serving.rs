//! Serving intervals: what really received an environment's traffic, and when.

use crate::db::{Conn, DbError};
use waybill_client::api::ServingInterval;

/// Ends the open interval, if there is one; the number of intervals ended.
pub async fn close(tx: &mut Conn, deployment: i64, now_ms: i64) -> Result<u64, DbError> {
    tx.query("UPDATE serving_intervals SET to_ms = $2 WHERE deployment = $1 AND to_ms IS NULL")
        .bind(deployment)
        .bind(now_ms)
        .execute()
        .await
}

/// Ends the open interval unless a rollout newer than `generation` opened it; the number of
/// intervals ended.
pub async fn close_up_to(
    tx: &mut Conn,
    deployment: i64,
    generation: i64,
    now_ms: i64,
) -> Result<u64, DbError> {
    tx.query(
        "UPDATE serving_intervals SET to_ms = $2
         WHERE deployment = $1 AND to_ms IS NULL AND NOT EXISTS (
             SELECT 1 FROM rollouts r
             WHERE r.rollout_id = serving_intervals.rollout_id AND r.generation > $3)",
    )
    .bind(deployment)
    .bind(now_ms)
    .bind(generation)
    .execute()
    .await
}

/// An interval about to open.
pub struct NewInterval<'a> {
    pub deployment: i64,
    pub version_uid: &'a str,
    pub revision_id: &'a str,
    pub rollout_id: &'a str,
    pub actor: &'a str,
    pub reason: Option<&'a str>,
    pub from_ms: i64,
}

/// Opens an interval; the one before must be closed.
pub async fn open(tx: &mut Conn, new: &NewInterval<'_>) -> Result<(), DbError> {
    tx.query(
        "INSERT INTO serving_intervals (deployment, version_uid, revision_id, rollout_id, actor, reason,
             from_ms)
         VALUES ($1, $2, $3, $4, $5, $6, $7)",
    )
    .bind(new.deployment)
    .bind(new.version_uid.to_owned())
    .bind(new.revision_id.to_owned())
    .bind(new.rollout_id.to_owned())
    .bind(new.actor.to_owned())
    .bind(new.reason.map(str::to_owned))
    .bind(new.from_ms)
    .execute()
    .await?;
    Ok(())
}

/// An interval as rollback sees it.
#[derive(Debug, Clone, PartialEq, Eq, sqlx::FromRow)]
pub struct Served {
    pub version_uid: String,
    pub deleted_at_ms: Option<i64>,
    /// How many rollbacks asked for it.
    pub rollbacks: i64,
}

/// The newest `limit` intervals of a deployment, newest first.
pub async fn newest(conn: &mut Conn, deployment: i64, limit: i64) -> Result<Vec<Served>, DbError> {
    conn.query(
        "SELECT i.version_uid, v.deleted_at_ms,
                (SELECT COUNT(*) FROM promotions p
                 WHERE p.rollout_id = i.rollout_id AND p.kind = 'rollback') AS rollbacks
         FROM serving_intervals i JOIN model_versions v ON v.uid = i.version_uid
         WHERE i.deployment = $1 ORDER BY i.id DESC LIMIT $2",
    )
    .bind(deployment)
    .bind(limit)
    .all()
    .await
}

/// Intervals of a model, newest first, in one environment or all.
pub async fn of_model(
    conn: &mut Conn,
    model_id: i64,
    environment: Option<&str>,
    limit: i64,
) -> Result<Vec<ServingInterval>, DbError> {
    let rows: Vec<Row> = conn
        .query(
            "SELECT d.environment, m.name, v.version, i.version_uid, i.revision_id, i.from_ms, i.to_ms,
                    i.actor, i.reason, i.rollout_id
             FROM serving_intervals i JOIN deployments d ON d.id = i.deployment
             JOIN registered_models m ON m.model_id = d.model_id
             JOIN model_versions v ON v.uid = i.version_uid
             WHERE d.model_id = $1 AND d.environment LIKE $2 ORDER BY i.id DESC LIMIT $3",
        )
        .bind(model_id)
        .bind(environment.unwrap_or("%").to_owned())
        .bind(limit)
        .all()
        .await?;
    Ok(rows.into_iter().map(ServingInterval::from).collect())
}

#[derive(sqlx::FromRow)]
struct Row {
    environment: String,
    name: String,
    version: i64,
    version_uid: String,
    revision_id: String,
    from_ms: i64,
    to_ms: Option<i64>,
    actor: String,
    reason: Option<String>,
    rollout_id: String,
}

impl From<Row> for ServingInterval {
    fn from(row: Row) -> Self {
        Self {
            environment: row.environment,
            name: row.name,
            version: row.version,
            version_uid: row.version_uid,
            revision_id: row.revision_id,
            from_ms: row.from_ms,
            to_ms: row.to_ms,
            actor: row.actor,
            reason: row.reason,
            rollout_id: row.rollout_id,
        }
    }
}
