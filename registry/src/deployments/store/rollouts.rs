use crate::{
    db::{Conn, DbError},
    deployments::phase,
};
use std::collections::HashMap;
use waybill_client::api::{Revision, Rollout, RolloutPhase};

#[derive(sqlx::FromRow)]
struct Row {
    deployment: i64,
    rollout_id: String,
    deployment_id: String,
    generation: i64,
    version: i64,
    version_uid: String,
    phase: String,
    reason_code: Option<String>,
    message: Option<String>,
    actor: String,
    reason: Option<String>,
    revision: Option<String>,
    started_at_ms: i64,
    ended_at_ms: Option<i64>,
}

/// A rollout with the row id of its deployment.
#[derive(Debug, Clone, PartialEq)]
pub struct Found {
    pub deployment: i64,
    pub rollout: Rollout,
}

impl Row {
    fn read(self) -> Result<Found, DbError> {
        let phase = phase::parse(&self.phase)
            .ok_or_else(|| DbError::Corrupt { what: "rollout phase", detail: format!("{:?}", self.phase) })?;
        let rollout = Rollout {
            rollout_id: self.rollout_id,
            deployment_id: self.deployment_id,
            generation: self.generation,
            version: self.version,
            version_uid: self.version_uid,
            phase,
            reason_code: self.reason_code,
            message: self.message,
            actor: self.actor,
            reason: self.reason,
            revision: read_revision(self.revision)?,
            started_at_ms: self.started_at_ms,
            ended_at_ms: self.ended_at_ms,
        };
        Ok(Found { deployment: self.deployment, rollout })
    }
}

macro_rules! select_rollouts {
    ($rest:literal) => {
        concat!(
            "SELECT r.deployment, r.rollout_id, d.deployment_id, r.generation, v.version, r.version_uid,
                    r.phase, r.reason_code, r.message, r.actor, r.reason, r.revision,
                    r.started_at_ms, r.ended_at_ms
             FROM rollouts r JOIN deployments d ON d.id = r.deployment
             JOIN model_versions v ON v.uid = r.version_uid ",
            $rest
        )
    };
}

pub async fn find(conn: &mut Conn, rollout_id: &str) -> Result<Option<Found>, DbError> {
    let row: Option<Row> = conn
        .query(select_rollouts!("WHERE r.rollout_id = $1"))
        .bind(rollout_id.to_owned())
        .optional()
        .await?;
    row.map(Row::read).transpose()
}

/// The newest rollout of every deployment, by deployment row id: one look into the index for each,
/// however many rollouts there were.
pub async fn newest(conn: &mut Conn, environment: Option<&str>) -> Result<HashMap<i64, Rollout>, DbError> {
    let rows: Vec<Row> = match environment {
        Some(environment) => {
            conn.query(select_rollouts!(
                "WHERE r.id = (SELECT MAX(x.id) FROM rollouts x WHERE x.deployment = d.id)
                     AND d.environment = $1"
            ))
            .bind(environment.to_owned())
            .all()
            .await?
        }
        None => {
            conn.query(select_rollouts!(
                "WHERE r.id = (SELECT MAX(x.id) FROM rollouts x WHERE x.deployment = d.id)"
            ))
            .all()
            .await?
        }
    };
    rows.into_iter().map(|row| row.read().map(|found| (found.deployment, found.rollout))).collect()
}

/// The newest rollout of one deployment.
pub async fn newest_of(conn: &mut Conn, deployment: i64) -> Result<Option<Rollout>, DbError> {
    let row: Option<Row> = conn
        .query(select_rollouts!("WHERE r.deployment = $1 ORDER BY r.id DESC LIMIT 1"))
        .bind(deployment)
        .optional()
        .await?;
    Ok(row.map(Row::read).transpose()?.map(|found| found.rollout))
}

/// A rollout about to start.
pub struct NewRollout<'a> {
    pub rollout_id: &'a str,
    pub deployment: i64,
    pub generation: i64,
    pub version_uid: &'a str,
    pub actor: &'a str,
    pub reason: Option<&'a str>,
    pub started_at_ms: i64,
}

pub async fn insert(tx: &mut Conn, new: &NewRollout<'_>) -> Result<(), DbError> {
    tx.query(
        "INSERT INTO rollouts (rollout_id, deployment, generation, version_uid, phase, actor, reason,
             started_at_ms)
         VALUES ($1, $2, $3, $4, 'pending', $5, $6, $7)",
    )
    .bind(new.rollout_id.to_owned())
    .bind(new.deployment)
    .bind(new.generation)
    .bind(new.version_uid.to_owned())
    .bind(new.actor.to_owned())
    .bind(new.reason.map(str::to_owned))
    .bind(new.started_at_ms)
    .execute()
    .await?;
    Ok(())
}

/// Ends every running rollout of a deployment in favour of a newer change.
pub async fn supersede(tx: &mut Conn, deployment: i64, now_ms: i64) -> Result<(), DbError> {
    tx.query(
        "UPDATE rollouts SET phase = 'superseded', ended_at_ms = $2
         WHERE deployment = $1 AND phase NOT IN ('succeeded', 'failed', 'superseded')",
    )
    .bind(deployment)
    .bind(now_ms)
    .execute()
    .await?;
    Ok(())
}

/// What a report changes.
pub struct Advance<'a> {
    pub rollout_id: &'a str,
    /// The phase that the report was judged against.
    pub from: RolloutPhase,
    pub to: RolloutPhase,
    pub reason_code: Option<&'a str>,
    pub message: Option<&'a str>,
    /// JSON of the revision; `None` keeps what is known.
    pub revision: Option<String>,
    pub ended_at_ms: Option<i64>,
}

/// Moves a rollout on if it still is in `from`; false when it no longer is.
pub async fn advance(tx: &mut Conn, step: &Advance<'_>) -> Result<bool, DbError> {
    let rows = tx
        .query(
            "UPDATE rollouts SET phase = $3, reason_code = $4, message = $5,
                 revision = COALESCE($6, revision), ended_at_ms = $7
             WHERE rollout_id = $1 AND phase = $2",
        )
        .bind(step.rollout_id.to_owned())
        .bind(step.from.as_str())
        .bind(step.to.as_str())
        .bind(step.reason_code.map(str::to_owned))
        .bind(step.message.map(str::to_owned))
        .bind(step.revision.clone())
        .bind(step.ended_at_ms)
        .execute()
        .await?;
    Ok(rows == 1)
}

/// The newest rollout of a version in a deployment that succeeded.
pub async fn newest_success(
    conn: &mut Conn,
    deployment: i64,
    version_uid: &str,
) -> Result<Option<Rollout>, DbError> {
    let row: Option<Row> = conn
        .query(select_rollouts!(
            "WHERE r.deployment = $1 AND r.version_uid = $2 AND r.phase = 'succeeded'
             ORDER BY r.id DESC LIMIT 1"
        ))
        .bind(deployment)
        .bind(version_uid.to_owned())
        .optional()
        .await?;
    Ok(row.map(Row::read).transpose()?.map(|found| found.rollout))
}

/// A revision as a column keeps it.
pub fn read_revision(text: Option<String>) -> Result<Option<Revision>, DbError> {
    let corrupt = |e: serde_json::Error| DbError::Corrupt { what: "revision", detail: e.to_string() };
    text.map(|text| serde_json::from_str(&text).map_err(corrupt)).transpose()
}
