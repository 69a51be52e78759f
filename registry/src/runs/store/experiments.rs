use super::lifecycle;
use crate::{
    db::{Conn, DbError},
    runs::{
        location,
        types::{Experiment, KeyValue, Lifecycle},
    },
};

#[derive(sqlx::FromRow)]
pub(super) struct Row {
    experiment_id: i64,
    name: String,
    artifact_location: String,
    lifecycle_stage: String,
    creation_time_ms: i64,
    last_update_time_ms: i64,
}

impl TryFrom<Row> for Experiment {
    type Error = DbError;

    fn try_from(row: Row) -> Result<Self, DbError> {
        Ok(Self {
            experiment_id: row.experiment_id,
            name: row.name,
            artifact_location: row.artifact_location,
            lifecycle: lifecycle(&row.lifecycle_stage)?,
            creation_time_ms: row.creation_time_ms,
            last_update_time_ms: row.last_update_time_ms,
            tags: Vec::new(),
        })
    }
}

/// Makes experiment 0, `Default`, which clients use without asking, unless it is there.
pub async fn ensure_default(tx: &mut Conn, root: Option<&str>, now_ms: i64) -> Result<(), DbError> {
    tx.query(
        "INSERT INTO experiments
             (experiment_id, name, artifact_location, lifecycle_stage, creation_time_ms, last_update_time_ms)
         VALUES (0, 'Default', $1, 'active', $2, $2) ON CONFLICT DO NOTHING",
    )
    .bind(location::of_experiment(root, 0))
    .bind(now_ms)
    .execute()
    .await?;
    Ok(())
}

/// The new experiment's id; `None` when the name is taken. Without a location the artifacts go
/// below `root`.
pub async fn insert_experiment(
    tx: &mut Conn,
    name: &str,
    artifact_location: Option<&str>,
    root: Option<&str>,
    now_ms: i64,
) -> Result<Option<i64>, DbError> {
    let experiment_id: Option<i64> = tx
        .query(
            "INSERT INTO experiments
                 (name, artifact_location, lifecycle_stage, creation_time_ms, last_update_time_ms)
             VALUES ($1, $2, 'active', $3, $3) ON CONFLICT DO NOTHING RETURNING experiment_id",
        )
        .bind(name.to_owned())
        .bind(artifact_location.unwrap_or_default().to_owned())
        .bind(now_ms)
        .scalar()
        .await?;
    if let (Some(experiment_id), None) = (experiment_id, artifact_location) {
        tx.query("UPDATE experiments SET artifact_location = $1 WHERE experiment_id = $2")
            .bind(location::of_experiment(root, experiment_id))
            .bind(experiment_id)
            .execute()
            .await?;
    }
    Ok(experiment_id)
}

/// An experiment of any lifecycle stage, with its tags.
pub async fn experiment(conn: &mut Conn, experiment_id: i64) -> Result<Option<Experiment>, DbError> {
    let row = conn
        .query(
            "SELECT experiment_id, name, artifact_location, lifecycle_stage, creation_time_ms, last_update_time_ms
             FROM experiments WHERE experiment_id = $1",
        )
        .bind(experiment_id)
        .optional()
        .await?;
    with_tags(conn, row).await
}

/// An experiment of any lifecycle stage, with its tags.
pub async fn experiment_named(conn: &mut Conn, name: &str) -> Result<Option<Experiment>, DbError> {
    let row = conn
        .query(
            "SELECT experiment_id, name, artifact_location, lifecycle_stage, creation_time_ms, last_update_time_ms
             FROM experiments WHERE name = $1",
        )
        .bind(name.to_owned())
        .optional()
        .await?;
    with_tags(conn, row).await
}

async fn with_tags(conn: &mut Conn, row: Option<Row>) -> Result<Option<Experiment>, DbError> {
    let Some(row) = row else {
        return Ok(None);
    };
    let mut experiment = Experiment::try_from(row)?;
    experiment.tags = experiment_tags(conn, experiment.experiment_id).await?;
    Ok(Some(experiment))
}

/// Sorted by key.
pub async fn experiment_tags(conn: &mut Conn, experiment_id: i64) -> Result<Vec<KeyValue>, DbError> {
    let rows: Vec<(String, String)> = conn
        .query("SELECT key, value FROM experiment_tags WHERE experiment_id = $1 ORDER BY key")
        .bind(experiment_id)
        .all()
        .await?;
    Ok(rows.into_iter().map(|(key, value)| KeyValue { key, value }).collect())
}

/// False when another experiment has the name.
pub async fn rename_experiment(
    tx: &mut Conn,
    experiment_id: i64,
    name: &str,
    now_ms: i64,
) -> Result<bool, DbError> {
    let taken: Option<i64> = tx
        .query("SELECT experiment_id FROM experiments WHERE name = $1 AND experiment_id <> $2")
        .bind(name.to_owned())
        .bind(experiment_id)
        .scalar()
        .await?;
    if taken.is_some() {
        return Ok(false);
    }
    tx.query("UPDATE experiments SET name = $1, last_update_time_ms = $2 WHERE experiment_id = $3")
        .bind(name.to_owned())
        .bind(now_ms)
        .bind(experiment_id)
        .execute()
        .await?;
    Ok(true)
}

/// Deletes or restores an experiment and all its runs.
pub async fn set_experiment_lifecycle(
    tx: &mut Conn,
    experiment_id: i64,
    stage: Lifecycle,
    now_ms: i64,
) -> Result<(), DbError> {
    tx.query(
        "UPDATE experiments SET lifecycle_stage = $1, last_update_time_ms = $2 WHERE experiment_id = $3",
    )
    .bind(stage.as_str())
    .bind(now_ms)
    .bind(experiment_id)
    .execute()
    .await?;
    let deleted_ms = (stage == Lifecycle::Deleted).then_some(now_ms);
    tx.query("UPDATE runs SET lifecycle_stage = $1, deleted_time_ms = $2 WHERE experiment_id = $3")
        .bind(stage.as_str())
        .bind(deleted_ms)
        .bind(experiment_id)
        .execute()
        .await?;
    Ok(())
}

pub async fn set_experiment_tag(tx: &mut Conn, experiment_id: i64, tag: &KeyValue) -> Result<(), DbError> {
    tx.query(
        "INSERT INTO experiment_tags (experiment_id, key, value) VALUES ($1, $2, $3)
         ON CONFLICT (experiment_id, key) DO UPDATE SET value = excluded.value",
    )
    .bind(experiment_id)
    .bind(tag.key.clone())
    .bind(tag.value.clone())
    .execute()
    .await?;
    Ok(())
}

/// False when there was no such tag.
pub async fn delete_experiment_tag(tx: &mut Conn, experiment_id: i64, key: &str) -> Result<bool, DbError> {
    let removed = tx
        .query("DELETE FROM experiment_tags WHERE experiment_id = $1 AND key = $2")
        .bind(experiment_id)
        .bind(key.to_owned())
        .execute()
        .await?;
    Ok(removed > 0)
}
