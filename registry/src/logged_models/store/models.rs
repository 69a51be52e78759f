use super::children;
use crate::{
    db::{Conn, DbError},
    logged_models::{LoggedModel, Status},
    runs::Lifecycle,
};

#[derive(sqlx::FromRow)]
pub(super) struct Row {
    mid: i64,
    model_id: String,
    experiment_id: i64,
    name: String,
    artifact_location: String,
    creation_time_ms: i64,
    last_update_time_ms: i64,
    status: String,
    status_message: Option<String>,
    model_type: String,
    source_run_id: String,
    lifecycle_stage: String,
}

impl TryFrom<Row> for LoggedModel {
    type Error = DbError;

    fn try_from(row: Row) -> Result<Self, DbError> {
        let corrupt = |what, detail: &str| DbError::Corrupt { what, detail: detail.to_owned() };
        Ok(Self {
            mid: row.mid,
            model_id: row.model_id,
            experiment_id: row.experiment_id,
            name: row.name,
            artifact_location: row.artifact_location,
            creation_time_ms: row.creation_time_ms,
            last_update_time_ms: row.last_update_time_ms,
            status: Status::parse(&row.status).ok_or_else(|| corrupt("logged model status", &row.status))?,
            status_message: row.status_message,
            model_type: row.model_type,
            source_run_id: row.source_run_id,
            lifecycle: Lifecycle::parse(&row.lifecycle_stage)
                .ok_or_else(|| corrupt("lifecycle stage", &row.lifecycle_stage))?,
            tags: Vec::new(),
            params: Vec::new(),
            metrics: Vec::new(),
        })
    }
}

/// The new model's internal key; params and tags are not written.
pub async fn insert(tx: &mut Conn, model: &LoggedModel) -> Result<i64, DbError> {
    let (mid,): (i64,) = tx
        .query(
            "INSERT INTO logged_models
                 (model_id, experiment_id, name, artifact_location, creation_time_ms, last_update_time_ms,
                  status, status_message, model_type, source_run_id, lifecycle_stage)
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11) RETURNING mid",
        )
        .bind(model.model_id.clone())
        .bind(model.experiment_id)
        .bind(model.name.clone())
        .bind(model.artifact_location.clone())
        .bind(model.creation_time_ms)
        .bind(model.last_update_time_ms)
        .bind(model.status.as_str())
        .bind(model.status_message.clone())
        .bind(model.model_type.clone())
        .bind(model.source_run_id.clone())
        .bind(model.lifecycle.as_str())
        .one()
        .await?;
    Ok(mid)
}

/// The internal key of a model of any lifecycle stage.
pub async fn mid(conn: &mut Conn, model_id: &str) -> Result<Option<i64>, DbError> {
    conn.query("SELECT mid FROM logged_models WHERE model_id = $1").bind(model_id.to_owned()).scalar().await
}

/// Holds the model until the transaction ends, for changes that depend on what it holds.
pub async fn lock(tx: &mut Conn, model_id: &str) -> Result<(), DbError> {
    tx.query("UPDATE logged_models SET name = name WHERE model_id = $1")
        .bind(model_id.to_owned())
        .execute()
        .await?;
    Ok(())
}

/// A model of any lifecycle stage, with its tags, params and metrics.
pub async fn get(conn: &mut Conn, model_id: &str) -> Result<Option<LoggedModel>, DbError> {
    let row: Option<Row> = conn
        .query(
            "SELECT mid, model_id, experiment_id, name, artifact_location, creation_time_ms, last_update_time_ms,
                 status, status_message, model_type, source_run_id, lifecycle_stage
             FROM logged_models WHERE model_id = $1",
        )
        .bind(model_id.to_owned())
        .optional()
        .await?;
    let Some(row) = row else {
        return Ok(None);
    };
    Ok(children::fill(conn, vec![row.try_into()?]).await?.pop())
}

pub async fn set_status(tx: &mut Conn, mid: i64, status: Status, now_ms: i64) -> Result<(), DbError> {
    tx.query("UPDATE logged_models SET status = $1, last_update_time_ms = $2 WHERE mid = $3")
        .bind(status.as_str())
        .bind(now_ms)
        .bind(mid)
        .execute()
        .await?;
    Ok(())
}

pub async fn delete(tx: &mut Conn, mid: i64, now_ms: i64) -> Result<(), DbError> {
    tx.query("UPDATE logged_models SET lifecycle_stage = 'deleted', last_update_time_ms = $1 WHERE mid = $2")
        .bind(now_ms)
        .bind(mid)
        .execute()
        .await?;
    Ok(())
}
