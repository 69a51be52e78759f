//! Serving intervals: what really received an environment's traffic, and when.

use super::{outages, rollouts::read_revision};
use crate::db::{Conn, DbError};
use std::collections::HashMap;
use waybill_client::api::{Outage, ServingInterval};

/// The interval that lasts.
#[derive(Debug, Clone, PartialEq, Eq, sqlx::FromRow)]
pub struct Open {
    pub id: i64,
    pub version_uid: String,
    pub revision_id: String,
    pub rollout_id: String,
    /// Of the rollout that opened it.
    pub generation: i64,
    pub from_ms: i64,
}

pub async fn open_of(conn: &mut Conn, deployment: i64) -> Result<Option<Open>, DbError> {
    conn.query(
        "SELECT i.id, i.version_uid, i.revision_id, i.rollout_id, r.generation, i.from_ms
         FROM serving_intervals i JOIN rollouts r ON r.rollout_id = i.rollout_id
         WHERE i.deployment = $1 AND i.to_ms IS NULL",
    )
    .bind(deployment)
    .optional()
    .await
}

/// Ends an interval, and the outage in it that lasts.
pub async fn close(tx: &mut Conn, interval: i64, at_ms: i64) -> Result<(), DbError> {
    outages::close(tx, interval, at_ms).await?;
    tx.query("UPDATE serving_intervals SET to_ms = $2 WHERE id = $1 AND to_ms IS NULL")
        .bind(interval)
        .bind(at_ms)
        .execute()
        .await?;
    Ok(())
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
    /// JSON of what runs.
    pub revision: String,
}

/// Opens an interval; the one before must be closed.
pub async fn open(tx: &mut Conn, new: &NewInterval<'_>) -> Result<(), DbError> {
    tx.query(
        "INSERT INTO serving_intervals (deployment, version_uid, revision_id, rollout_id, actor, reason,
             from_ms, revision)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8)",
    )
    .bind(new.deployment)
    .bind(new.version_uid.to_owned())
    .bind(new.revision_id.to_owned())
    .bind(new.rollout_id.to_owned())
    .bind(new.actor.to_owned())
    .bind(new.reason.map(str::to_owned))
    .bind(new.from_ms)
    .bind(new.revision.clone())
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
            "SELECT i.id, d.environment, m.name, v.version, i.version_uid, i.revision_id, i.from_ms,
                    i.to_ms, i.actor, i.reason, i.rollout_id, i.revision
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
    let mut outages = outages::of_model(conn, model_id, environment, limit).await?;
    rows.into_iter().map(|row| row.read(&mut outages)).collect()
}

#[derive(sqlx::FromRow)]
struct Row {
    id: i64,
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
    revision: Option<String>,
}

impl Row {
    fn read(self, outages: &mut HashMap<i64, Vec<Outage>>) -> Result<ServingInterval, DbError> {
        Ok(ServingInterval {
            environment: self.environment,
            name: self.name,
            version: self.version,
            version_uid: self.version_uid,
            revision_id: self.revision_id,
            from_ms: self.from_ms,
            to_ms: self.to_ms,
            actor: self.actor,
            reason: self.reason,
            rollout_id: self.rollout_id,
            revision: read_revision(self.revision)?,
            outages: outages.remove(&self.id).unwrap_or_default(),
        })
    }
}
