//! What was logged to models.

use crate::{
    db::{
        Conn, DbError,
        rows::rows_per_insert,
        sql::{Sql, Value},
    },
    logged_models::{LoggedModel, ModelMetric},
    runs::{KeyValue, LoggedMetric, Metric, Run},
};
use std::collections::{BTreeMap, HashMap};

/// Which table a row of the page's statement comes from.
const PARAM: i64 = 0;
const TAG: i64 = 1;
const METRIC: i64 = 2;

#[derive(sqlx::FromRow)]
struct Row {
    mid: i64,
    kind: i64,
    key: String,
    text: String,
    value: f64,
    is_nan: bool,
    timestamp_ms: i64,
    step: i64,
    dataset_name: Option<String>,
    dataset_digest: Option<String>,
}

/// `models` with their tags, params and metrics.
pub async fn fill(conn: &mut Conn, mut models: Vec<LoggedModel>) -> Result<Vec<LoggedModel>, DbError> {
    let positions: HashMap<i64, usize> = models.iter().enumerate().map(|(i, model)| (model.mid, i)).collect();
    let mids: Vec<i64> = models.iter().map(|model| model.mid).collect();
    for row in rows(conn, &mids).await? {
        if let Some(model) = positions.get(&row.mid).and_then(|i| models.get_mut(*i)) {
            take(model, row)?;
        }
    }
    for model in &mut models {
        model.tags.sort_by(|a, b| a.key.cmp(&b.key));
        model.params.sort_by(|a, b| a.key.cmp(&b.key));
        model.metrics.sort_by(|a, b| {
            let rank = |m: &ModelMetric| (m.metric.timestamp_ms, m.metric.step);
            (&a.metric.key, rank(a), &a.run_id).cmp(&(&b.metric.key, rank(b), &b.run_id))
        });
    }
    Ok(models)
}

async fn rows(conn: &mut Conn, mids: &[i64]) -> Result<Vec<Row>, DbError> {
    let mut sql = Sql::new(conn.engine(), "WITH page (mid) AS MATERIALIZED (");
    sql.bind_keys(mids);
    sql.push(
        ") SELECT m.mid, CAST(2 AS BIGINT) AS kind, m.key, m.run_id AS text, m.value, m.is_nan, m.timestamp_ms,
             m.step, m.dataset_name, m.dataset_digest
             FROM page CROSS JOIN logged_model_metrics m WHERE m.mid = page.mid
         UNION ALL SELECT p.mid, 0, p.key, p.value, 0.0, FALSE, 0, 0, NULL, NULL
             FROM page CROSS JOIN logged_model_params p WHERE p.mid = page.mid
         UNION ALL SELECT t.mid, 1, t.key, t.value, 0.0, FALSE, 0, 0, NULL, NULL
             FROM page CROSS JOIN logged_model_tags t WHERE t.mid = page.mid",
    );
    conn.generated(sql).all().await
}

fn take(model: &mut LoggedModel, row: Row) -> Result<(), DbError> {
    match row.kind {
        PARAM => model.params.push(KeyValue { key: row.key, value: row.text }),
        TAG => model.tags.push(KeyValue { key: row.key, value: row.text }),
        METRIC => model.metrics.push(ModelMetric {
            metric: Metric {
                key: row.key,
                value: if row.is_nan { f64::NAN } else { row.value },
                timestamp_ms: row.timestamp_ms,
                step: row.step,
            },
            run_id: row.text,
            dataset_name: row.dataset_name,
            dataset_digest: row.dataset_digest,
        }),
        other => return Err(DbError::Corrupt { what: "kind of logged value", detail: other.to_string() }),
    }
    Ok(())
}

/// Adds parameters; one that is there already is left alone.
pub async fn add_params(
    tx: &mut Conn,
    mid: i64,
    experiment_id: i64,
    params: &[KeyValue],
) -> Result<(), DbError> {
    for chunk in params.chunks(rows_per_insert(tx.engine())) {
        let mut sql =
            Sql::new(tx.engine(), "INSERT INTO logged_model_params (mid, key, experiment_id, value) ");
        sql.bind_table(chunk.iter().map(|pair| -> [Value; 4] {
            [mid.into(), pair.key.as_str().into(), experiment_id.into(), pair.value.as_str().into()]
        }));
        sql.push(" ON CONFLICT DO NOTHING");
        tx.generated(sql).execute().await?;
    }
    Ok(())
}

/// Sets tags; of a key that comes twice the last value stays.
pub async fn set_tags(tx: &mut Conn, mid: i64, experiment_id: i64, tags: &[KeyValue]) -> Result<(), DbError> {
    let unique: BTreeMap<&str, &KeyValue> = tags.iter().map(|tag| (tag.key.as_str(), tag)).collect();
    let unique: Vec<&KeyValue> = unique.into_values().collect();
    for chunk in unique.chunks(rows_per_insert(tx.engine())) {
        let mut sql =
            Sql::new(tx.engine(), "INSERT INTO logged_model_tags (mid, key, experiment_id, value) ");
        sql.bind_table(chunk.iter().map(|pair| -> [Value; 4] {
            [mid.into(), pair.key.as_str().into(), experiment_id.into(), pair.value.as_str().into()]
        }));
        sql.push(" ON CONFLICT (mid, key) DO UPDATE SET value = excluded.value");
        tx.generated(sql).execute().await?;
    }
    Ok(())
}

/// False when there was no such tag.
pub async fn delete_tag(tx: &mut Conn, mid: i64, key: &str) -> Result<bool, DbError> {
    let removed = tx
        .query("DELETE FROM logged_model_tags WHERE mid = $1 AND key = $2")
        .bind(mid)
        .bind(key.to_owned())
        .execute()
        .await?;
    Ok(removed > 0)
}

/// Notes metrics that `run` logged of models; what is there already is left alone.
pub async fn log_metrics(tx: &mut Conn, run: &Run, metrics: &[(i64, &LoggedMetric)]) -> Result<(), DbError> {
    for chunk in metrics.chunks(rows_per_insert(tx.engine())) {
        let mut sql = Sql::new(
            tx.engine(),
            "INSERT INTO logged_model_metrics
                 (mid, key, timestamp_ms, step, run_id, experiment_id, value, is_nan, dataset_name, dataset_digest) ",
        );
        sql.bind_table(chunk.iter().map(|(mid, logged)| -> [Value; 10] {
            let metric = &logged.metric;
            let is_nan = metric.value.is_nan();
            [
                (*mid).into(),
                metric.key.as_str().into(),
                metric.timestamp_ms.into(),
                metric.step.into(),
                run.run_id.as_str().into(),
                run.experiment_id.into(),
                if is_nan { 0.0 } else { metric.value }.into(),
                is_nan.into(),
                logged.dataset_name.clone().into(),
                logged.dataset_digest.clone().into(),
            ]
        }));
        sql.push(" ON CONFLICT DO NOTHING");
        tx.generated(sql).execute().await?;
    }
    Ok(())
}

/// Adds metrics as they were told; what is there already is left alone.
pub async fn add_metrics(
    tx: &mut Conn,
    mid: i64,
    experiment_id: i64,
    metrics: &[ModelMetric],
) -> Result<(), DbError> {
    for chunk in metrics.chunks(rows_per_insert(tx.engine())) {
        let mut sql = Sql::new(
            tx.engine(),
            "INSERT INTO logged_model_metrics
                 (mid, key, timestamp_ms, step, run_id, experiment_id, value, is_nan, dataset_name, dataset_digest) ",
        );
        sql.bind_table(chunk.iter().map(|of_model| -> [Value; 10] {
            let metric = &of_model.metric;
            let is_nan = metric.value.is_nan();
            [
                mid.into(),
                metric.key.as_str().into(),
                metric.timestamp_ms.into(),
                metric.step.into(),
                of_model.run_id.as_str().into(),
                experiment_id.into(),
                if is_nan { 0.0 } else { metric.value }.into(),
                is_nan.into(),
                of_model.dataset_name.clone().into(),
                of_model.dataset_digest.clone().into(),
            ]
        }));
        sql.push(" ON CONFLICT DO NOTHING");
        tx.generated(sql).execute().await?;
    }
    Ok(())
}

/// All parameters of a model, sorted by key.
pub async fn params(conn: &mut Conn, model_id: &str) -> Result<Vec<KeyValue>, DbError> {
    let rows: Vec<(String, String)> = conn
        .query(
            "SELECT p.key, p.value FROM logged_models m JOIN logged_model_params p ON p.mid = m.mid
             WHERE m.model_id = $1 ORDER BY p.key",
        )
        .bind(model_id.to_owned())
        .all()
        .await?;
    Ok(rows.into_iter().map(|(key, value)| KeyValue { key, value }).collect())
}

/// All tags of a model, sorted by key.
pub async fn tags(conn: &mut Conn, model_id: &str) -> Result<Vec<KeyValue>, DbError> {
    let rows: Vec<(String, String)> = conn
        .query(
            "SELECT t.key, t.value FROM logged_models m JOIN logged_model_tags t ON t.mid = m.mid
             WHERE m.model_id = $1 ORDER BY t.key",
        )
        .bind(model_id.to_owned())
        .all()
        .await?;
    Ok(rows.into_iter().map(|(key, value)| KeyValue { key, value }).collect())
}
