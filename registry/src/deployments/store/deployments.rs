use crate::db::{Conn, DbError};

/// A deployment with what it desires and what serves.
#[derive(Debug, Clone, sqlx::FromRow)]
pub struct DeploymentRow {
    pub id: i64,
    pub deployment_id: String,
    pub model_id: i64,
    pub model: String,
    pub environment: String,
    pub desired_uid: Option<String>,
    pub desired_rollout_id: Option<String>,
    pub desired_version: Option<i64>,
    pub desired_manifest: Option<String>,
    pub generation: i64,
    pub observed_generation: i64,
    pub serving_revision_id: Option<String>,
    pub serving_uid: Option<String>,
    pub serving_version: Option<i64>,
    pub serving_since_ms: Option<i64>,
    /// JSON of what serves.
    pub serving_revision: Option<String>,
    pub outage_from_ms: Option<i64>,
    pub outage_reason: Option<String>,
    /// JSON of what the desired version ran when it served last, in any environment.
    pub served_as: Option<String>,
}

/// Completes `SELECT … FROM deployments d …`; deployments of deleted models are left out.
macro_rules! select_deployments {
    ($rest:literal) => {
        concat!(
            "SELECT d.id, d.deployment_id, d.model_id, m.name AS model, d.environment, d.desired_uid,
                    d.desired_rollout_id, w.version AS desired_version,
                    w.manifest_digest AS desired_manifest, d.generation, d.observed_generation,
                    i.revision_id AS serving_revision_id, i.version_uid AS serving_uid,
                    s.version AS serving_version, i.from_ms AS serving_since_ms,
                    i.revision AS serving_revision, o.from_ms AS outage_from_ms,
                    o.reason AS outage_reason,
                    (SELECT x.revision FROM serving_intervals x
                     WHERE x.version_uid = d.desired_uid AND x.revision IS NOT NULL
                     ORDER BY x.id DESC LIMIT 1) AS served_as
             FROM deployments d
             JOIN registered_models m ON m.model_id = d.model_id AND m.deleted_at_ms IS NULL
             LEFT JOIN model_versions w ON w.uid = d.desired_uid
             LEFT JOIN serving_intervals i ON i.deployment = d.id AND i.to_ms IS NULL
             LEFT JOIN serving_outages o ON o.serving_interval = i.id AND o.to_ms IS NULL
             LEFT JOIN model_versions s ON s.uid = i.version_uid ",
            $rest
        )
    };
}

pub async fn find(conn: &mut Conn, environment: &str, model: &str) -> Result<Option<DeploymentRow>, DbError> {
    conn.query(select_deployments!("WHERE d.environment = $1 AND m.name = $2"))
        .bind(environment.to_owned())
        .bind(model.to_owned())
        .optional()
        .await
}

pub async fn find_of_model(
    conn: &mut Conn,
    environment: &str,
    model_id: i64,
) -> Result<Option<DeploymentRow>, DbError> {
    conn.query(select_deployments!("WHERE d.environment = $1 AND d.model_id = $2"))
        .bind(environment.to_owned())
        .bind(model_id)
        .optional()
        .await
}

pub async fn by_id(conn: &mut Conn, id: i64) -> Result<Option<DeploymentRow>, DbError> {
    conn.query(select_deployments!("WHERE d.id = $1")).bind(id).optional().await
}

/// All deployments, or those of one environment, by environment and model.
pub async fn all(conn: &mut Conn, environment: Option<&str>) -> Result<Vec<DeploymentRow>, DbError> {
    match environment {
        Some(environment) => {
            conn.query(select_deployments!("WHERE d.environment = $1 ORDER BY m.name"))
                .bind(environment.to_owned())
                .all()
                .await
        }
        None => conn.query(select_deployments!("ORDER BY d.environment, m.name")).all().await,
    }
}

/// Adds a deployment that desires nothing yet; its row id.
pub async fn insert(
    tx: &mut Conn,
    deployment_id: &str,
    model_id: i64,
    environment: &str,
    now_ms: i64,
) -> Result<i64, DbError> {
    let (id,) = tx
        .query(
            "INSERT INTO deployments (deployment_id, model_id, environment, generation,
                 observed_generation, created_at_ms)
             VALUES ($1, $2, $3, 0, 0, $4) RETURNING id",
        )
        .bind(deployment_id.to_owned())
        .bind(model_id)
        .bind(environment.to_owned())
        .bind(now_ms)
        .one()
        .await?;
    tx.query("INSERT INTO log_heads (deployment, last_seq, dropped_to) VALUES ($1, 0, 0)")
        .bind(id)
        .execute()
        .await?;
    Ok(id)
}

/// Changes what is desired; the new generation.
pub async fn set_desired(
    tx: &mut Conn,
    id: i64,
    version_uid: Option<&str>,
    rollout_id: Option<&str>,
) -> Result<i64, DbError> {
    let (generation,) = tx
        .query(
            "UPDATE deployments SET desired_uid = $2, desired_rollout_id = $3, generation = generation + 1
             WHERE id = $1 RETURNING generation",
        )
        .bind(id)
        .bind(version_uid.map(str::to_owned))
        .bind(rollout_id.map(str::to_owned))
        .one()
        .await?;
    Ok(generation)
}

/// Notes that the rollout of `generation` ended; never goes back.
pub async fn observe(tx: &mut Conn, id: i64, generation: i64) -> Result<(), DbError> {
    tx.query("UPDATE deployments SET observed_generation = $2 WHERE id = $1 AND observed_generation < $2")
        .bind(id)
        .bind(generation)
        .execute()
        .await?;
    Ok(())
}

/// Environments that desire or serve the version.
pub async fn holding_version(conn: &mut Conn, version_uid: &str) -> Result<Vec<String>, DbError> {
    let rows: Vec<(String,)> = conn
        .query(
            "SELECT d.environment FROM deployments d
             LEFT JOIN serving_intervals i ON i.deployment = d.id AND i.to_ms IS NULL
             WHERE d.desired_uid = $1 OR i.version_uid = $1 ORDER BY d.environment",
        )
        .bind(version_uid.to_owned())
        .all()
        .await?;
    Ok(rows.into_iter().map(|(environment,)| environment).collect())
}

/// Environments that desire or serve any version of the model.
pub async fn holding_model(conn: &mut Conn, model_id: i64) -> Result<Vec<String>, DbError> {
    let rows: Vec<(String,)> = conn
        .query(
            "SELECT d.environment FROM deployments d
             LEFT JOIN serving_intervals i ON i.deployment = d.id AND i.to_ms IS NULL
             WHERE d.model_id = $1 AND (d.desired_uid IS NOT NULL OR i.id IS NOT NULL)
             ORDER BY d.environment",
        )
        .bind(model_id)
        .all()
        .await?;
    Ok(rows.into_iter().map(|(environment,)| environment).collect())
}

/// The environment's revision; `None` when there is no such environment.
pub async fn revision(conn: &mut Conn, environment: &str) -> Result<Option<i64>, DbError> {
    conn.query("SELECT revision FROM environments WHERE environment = $1")
        .bind(environment.to_owned())
        .scalar()
        .await
}

/// Tells the environment's deployer that there is something to see.
pub async fn bump_revision(tx: &mut Conn, environment: &str) -> Result<(), DbError> {
    tx.query("UPDATE environments SET revision = revision + 1 WHERE environment = $1")
        .bind(environment.to_owned())
        .execute()
        .await?;
    Ok(())
}
