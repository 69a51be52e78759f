//! Experiments and runs that existed elsewhere before, with the ids and times that they had.

use super::runs::Row;
use crate::{
    db::{Conn, DbError},
    runs::{
        location,
        types::{Run, RunStatus},
    },
};

/// Whether no run and no logged model is in the experiment, deleted ones included.
pub async fn is_empty_experiment(conn: &mut Conn, experiment_id: i64) -> Result<bool, DbError> {
    let (held,): (bool,) = conn
        .query(
            "SELECT EXISTS (SELECT 1 FROM runs WHERE experiment_id = $1)
                 OR EXISTS (SELECT 1 FROM logged_models WHERE experiment_id = $1)",
        )
        .bind(experiment_id)
        .one()
        .await?;
    Ok(!held)
}

/// Gives an empty experiment the place and the times (creation, last update) of another.
pub async fn take_over_experiment(
    tx: &mut Conn,
    experiment_id: i64,
    artifact_location: &str,
    (created_ms, updated_ms): (i64, i64),
) -> Result<(), DbError> {
    tx.query(
        "UPDATE experiments SET artifact_location = $1, creation_time_ms = $2, last_update_time_ms = $3
         WHERE experiment_id = $4",
    )
    .bind(artifact_location.to_owned())
    .bind(created_ms)
    .bind(updated_ms)
    .bind(experiment_id)
    .execute()
    .await
    .map(drop)
}

/// A new experiment under the id `wanted` where that is free, else under the next one; `None` when the name is
/// taken. Without a location the artifacts go below `root`.
pub async fn insert_imported_experiment(
    tx: &mut Conn,
    wanted: Option<i64>,
    name: &str,
    artifact_location: Option<&str>,
    root: Option<&str>,
    times: (i64, i64),
) -> Result<Option<i64>, DbError> {
    let Some(experiment_id) = insert_under(tx, wanted, name, times).await? else {
        let made = super::insert_experiment(tx, name, artifact_location, root, times.0).await?;
        if let Some(experiment_id) = made {
            let place =
                artifact_location.map_or_else(|| location::of_experiment(root, experiment_id), str::to_owned);
            take_over_experiment(tx, experiment_id, &place, times).await?;
        }
        return Ok(made);
    };
    let place = artifact_location.map_or_else(|| location::of_experiment(root, experiment_id), str::to_owned);
    take_over_experiment(tx, experiment_id, &place, times).await?;
    Ok(Some(experiment_id))
}

async fn insert_under(
    tx: &mut Conn,
    wanted: Option<i64>,
    name: &str,
    (created_ms, updated_ms): (i64, i64),
) -> Result<Option<i64>, DbError> {
    let Some(wanted) = wanted else {
        return Ok(None);
    };
    tx.hold_identity("experiments").await?;
    let made: Option<i64> = tx
        .query(
            "INSERT INTO experiments
                 (experiment_id, name, artifact_location, lifecycle_stage, creation_time_ms, last_update_time_ms)
             VALUES ($1, $2, '', 'active', $3, $4) ON CONFLICT DO NOTHING RETURNING experiment_id",
        )
        .bind(wanted)
        .bind(name.to_owned())
        .bind(created_ms)
        .bind(updated_ms)
        .scalar()
        .await?;
    if made.is_some() {
        tx.pass_identity("experiments", "experiment_id", wanted).await?;
    }
    Ok(made)
}

/// A run that ended elsewhere, or still goes on there.
#[derive(Debug, Clone)]
pub struct ImportedRun {
    pub run_id: String,
    pub experiment_id: i64,
    pub name: String,
    pub user_id: String,
    pub status: RunStatus,
    pub start_time_ms: i64,
    pub end_time_ms: Option<i64>,
    pub artifact_uri: String,
}

pub async fn insert_imported(tx: &mut Conn, new: &ImportedRun) -> Result<Run, DbError> {
    let row: Row = tx
        .query(
            "INSERT INTO runs (run_id, experiment_id, name, user_id, status, start_time_ms, end_time_ms,
                 lifecycle_stage, artifact_uri)
             VALUES ($1, $2, $3, $4, $5, $6, $7, 'active', $8)
             RETURNING rid, run_id, experiment_id, name, user_id, status, start_time_ms, end_time_ms,
                 lifecycle_stage, artifact_uri",
        )
        .bind(new.run_id.clone())
        .bind(new.experiment_id)
        .bind(new.name.clone())
        .bind(new.user_id.clone())
        .bind(new.status.as_str())
        .bind(new.start_time_ms)
        .bind(new.end_time_ms)
        .bind(new.artifact_uri.clone())
        .one()
        .await?;
    row.try_into()
}
