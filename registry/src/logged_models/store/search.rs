use super::{children, models::Row};
use crate::{
    db::{Conn, DbError, sql::Sql},
    logged_models::LoggedModel,
    search::{
        self, Attribute, Child, DatasetScope, Entity, Field, Indexed, Key, Order, Page, Position, Query,
        Sorted,
    },
};

/// What can be searched of logged models.
pub static LOGGED_MODELS: Entity = Entity {
    name: "logged models",
    columns: "l.mid, l.model_id, l.experiment_id, l.name, l.artifact_location, l.creation_time_ms, \
              l.last_update_time_ms, l.status, l.status_message, l.model_type, l.source_run_id, l.lifecycle_stage",
    table: "logged_models l",
    key: "l.mid",
    attributes: &[
        Attribute::text("model_id", "l.model_id").indexed(Indexed::Unique),
        Attribute::text("name", "l.name").aliased(&["model_name"]).indexed(Indexed::Whole),
        Attribute::text("model_type", "l.model_type"),
        Attribute::text("source_run_id", "l.source_run_id").indexed(Indexed::Whole),
        Attribute::text("status", "l.status"),
        Attribute::text("artifact_location", "l.artifact_location").aliased(&["artifact_uri"]),
        Attribute::int("creation_timestamp", "l.creation_time_ms")
            .aliased(&["creation_time", "creation_timestamp_ms"])
            .indexed(Indexed::Whole),
        Attribute::int("last_updated_timestamp", "l.last_update_time_ms")
            .aliased(&["last_updated_time", "last_updated_timestamp_ms"])
            .indexed(Indexed::Whole),
    ],
    metrics: Some(Child {
        table: "logged_model_metrics",
        owner: "mid",
        latest: Some(&[("timestamp_ms", true), ("step", true), ("run_id", false)]),
        indexed: true,
    }),
    params: Some(Child { table: "logged_model_params", owner: "mid", latest: None, indexed: true }),
    tags: Some(Child { table: "logged_model_tags", owner: "mid", latest: None, indexed: true }),
    datasets: false,
    traces: false,
    scope: Some("l.experiment_id"),
    natural: &[("creation_timestamp", false), ("model_id", true)],
    walks: &[
        ("creation_timestamp", "logged_models l INDEXED BY logged_models_created"),
        ("last_updated_timestamp", "logged_models l INDEXED BY logged_models_updated"),
        ("name", "logged_models l INDEXED BY logged_models_named"),
    ],
};

/// One page of models that are not deleted. With datasets and no condition on a metric, models
/// that have any metric on one of them.
pub async fn search(
    conn: &mut Conn,
    query: &Query,
    position: Option<&Position>,
    limit: usize,
) -> Result<Page<LoggedModel>, DbError> {
    let by_metric = query.conditions.iter().any(|c| matches!(c.field, Field::Metric(_)));
    let base = |sql: &mut Sql| {
        sql.push(" AND l.lifecycle_stage = 'active'");
        if !query.datasets.is_empty() && !by_metric {
            sql.push(" AND EXISTS (SELECT 1 FROM logged_model_metrics c WHERE c.mid = l.mid");
            search::measured_on(sql, "c", &query.datasets);
            sql.push(")");
        }
    };
    search::page(conn, &LOGGED_MODELS, query, &base, position, limit, |conn, sql| {
        Box::pin(async move {
            let rows: Vec<Row> = conn.generated(sql).all().await?;
            let models = rows.into_iter().map(LoggedModel::try_from).collect::<Result<_, _>>()?;
            children::fill(conn, models).await
        })
    })
    .await
}

impl LoggedModel {
    /// The value of a metric that counts when sorting: the last one, on `dataset` where given.
    fn metric(&self, key: &str, dataset: Option<&DatasetScope>) -> Option<f64> {
        let counts = |metric: &&super::super::ModelMetric| {
            dataset.is_none_or(|dataset| {
                (dataset.name.is_none() || dataset.name == metric.dataset_name)
                    && (dataset.digest.is_none() || dataset.digest == metric.dataset_digest)
            })
        };
        let rank = |m: &super::super::ModelMetric| (m.metric.timestamp_ms, m.metric.step);
        self.metrics
            .iter()
            .filter(|m| m.metric.key == key)
            .filter(counts)
            .max_by(|a, b| rank(a).cmp(&rank(b)).then_with(|| b.run_id.cmp(&a.run_id)))
            .map(|m| m.metric.value)
    }
}

impl Sorted for LoggedModel {
    fn key(&self, order: &Order) -> Key {
        let text = |found: Option<&crate::runs::KeyValue>| {
            found.map_or(Key::Missing, |p| Key::Text(p.value.clone()))
        };
        match &order.field {
            Field::Metric(key) => self.metric(key, order.dataset.as_ref()).map_or(Key::Missing, Key::float),
            Field::Param(key) => text(self.params.iter().find(|p| p.key == *key)),
            Field::Tag(key) => text(self.tags.iter().find(|t| t.key == *key)),
            Field::Dataset(_) | Field::Trace(_) => Key::Missing,
            Field::Attribute(attribute) => match attribute.name {
                "model_id" => Key::Text(self.model_id.clone()),
                "name" => Key::Text(self.name.clone()),
                "model_type" => Key::Text(self.model_type.clone()),
                "source_run_id" => Key::Text(self.source_run_id.clone()),
                "status" => Key::Text(self.status.as_str().to_owned()),
                "artifact_location" => Key::Text(self.artifact_location.clone()),
                "creation_timestamp" => Key::Int(self.creation_time_ms),
                "last_updated_timestamp" => Key::Int(self.last_update_time_ms),
                _ => Key::Missing,
            },
        }
    }
}
