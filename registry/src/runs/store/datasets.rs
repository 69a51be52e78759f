use crate::{
    db::{Conn, DbError, sql::Sql},
    runs::types::{Dataset, DatasetInput, Run},
};

/// Notes datasets as read by the run. A dataset is known by name and digest within its experiment;
/// a run that has it already keeps the tags of the first time.
pub async fn log_datasets(tx: &mut Conn, run: &Run, inputs: &[DatasetInput]) -> Result<(), DbError> {
    for input in inputs {
        let dataset_rid = dataset(tx, run.experiment_id, &input.dataset).await?;
        let added = tx
            .query("INSERT INTO run_datasets (rid, dataset_rid) VALUES ($1, $2) ON CONFLICT DO NOTHING")
            .bind(run.rid)
            .bind(dataset_rid)
            .execute()
            .await?;
        if added == 0 {
            continue;
        }
        for tag in &input.tags {
            tx.query(
                "INSERT INTO run_dataset_tags (rid, dataset_rid, key, value) VALUES ($1, $2, $3, $4)
                 ON CONFLICT (rid, dataset_rid, key) DO UPDATE SET value = excluded.value",
            )
            .bind(run.rid)
            .bind(dataset_rid)
            .bind(tag.key.clone())
            .bind(tag.value.clone())
            .execute()
            .await?;
        }
    }
    Ok(())
}

/// The key of a dataset, made when it is new. One that is known keeps what was said first.
async fn dataset(tx: &mut Conn, experiment_id: i64, dataset: &Dataset) -> Result<i64, DbError> {
    tx.query(
        "INSERT INTO datasets (experiment_id, name, digest, source_type, source, schema_json, profile_json)
         VALUES ($1, $2, $3, $4, $5, $6, $7) ON CONFLICT DO NOTHING",
    )
    .bind(experiment_id)
    .bind(dataset.name.clone())
    .bind(dataset.digest.clone())
    .bind(dataset.source_type.clone())
    .bind(dataset.source.clone())
    .bind(dataset.schema.clone())
    .bind(dataset.profile.clone())
    .execute()
    .await?;
    let (dataset_rid,): (i64,) = tx
        .query("SELECT dataset_rid FROM datasets WHERE experiment_id = $1 AND name = $2 AND digest = $3")
        .bind(experiment_id)
        .bind(dataset.name.clone())
        .bind(dataset.digest.clone())
        .one()
        .await?;
    Ok(dataset_rid)
}

/// A dataset that runs of an experiment read, and what for (tag `mlflow.data.context`).
#[derive(Debug, sqlx::FromRow)]
pub struct DatasetSummary {
    pub experiment_id: i64,
    pub name: String,
    pub digest: String,
    pub context: Option<String>,
}

/// Datasets of these experiments, each once per context, the newest first.
pub async fn summaries(
    conn: &mut Conn,
    experiment_ids: &[i64],
    limit: i64,
) -> Result<Vec<DatasetSummary>, DbError> {
    let mut sql = Sql::new(
        conn.engine(),
        "SELECT DISTINCT d.experiment_id, d.dataset_rid, d.name, d.digest, t.value AS context
         FROM datasets d JOIN run_datasets i ON i.dataset_rid = d.dataset_rid
         LEFT JOIN run_dataset_tags t
             ON t.rid = i.rid AND t.dataset_rid = i.dataset_rid AND t.key = 'mlflow.data.context'
         WHERE d.experiment_id IN (",
    );
    sql.bind_list(experiment_ids.iter().map(|id| (*id).into()));
    sql.push(") ORDER BY d.dataset_rid DESC, context LIMIT ").bind(limit);
    conn.generated(sql).all().await
}
