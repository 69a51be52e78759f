//! MLflow's JSON, read with patience: numbers may be texts, what is absent is empty.

use crate::commands::import::model::{
    SourceExperiment, SourceLoggedModel, SourceModel, SourceRun, SourceVersion, sort_metrics,
};
use serde_json::Value;
use std::collections::BTreeMap;
use waybill_client::api::{
    ImportDataset, ImportExperiment, ImportLoggedModel, ImportModelMetric, ImportModelOutput, ImportPoint,
    ImportRegisteredModel, ImportRun, ImportVersion, Stage,
};
use waybill_proof::documents::MetricNumber;

pub fn text(value: &Value, field: &str) -> String {
    match value.get(field) {
        Some(Value::String(text)) => text.clone(),
        Some(Value::Number(number)) => number.to_string(),
        _ => String::new(),
    }
}

pub fn some(value: &Value, field: &str) -> Option<String> {
    Some(text(value, field)).filter(|text| !text.is_empty())
}

/// A text that may be empty, as MLflow tells it from one that is not set.
fn set(value: &Value, field: &str) -> Option<String> {
    value.get(field).and_then(Value::as_str).map(str::to_owned)
}

pub fn int(value: &Value, field: &str) -> i64 {
    match value.get(field) {
        Some(Value::Number(number)) => number.as_i64().unwrap_or_default(),
        Some(Value::String(text)) => text.parse().unwrap_or_default(),
        _ => 0,
    }
}

pub fn list<'v>(value: &'v Value, field: &str) -> &'v [Value] {
    value.get(field).and_then(Value::as_array).map_or(&[], Vec::as_slice)
}

/// Key and value pairs, as MLflow lists params and tags.
pub fn pairs(value: &Value, field: &str) -> BTreeMap<String, String> {
    list(value, field).iter().map(|pair| (text(pair, "key"), text(pair, "value"))).collect()
}

fn deleted(value: &Value) -> bool {
    text(value, "lifecycle_stage").eq_ignore_ascii_case("deleted")
}

pub fn experiment(value: &Value) -> SourceExperiment {
    SourceExperiment {
        experiment: ImportExperiment {
            id: text(value, "experiment_id"),
            name: text(value, "name"),
            artifact_location: some(value, "artifact_location"),
            created_at_ms: int(value, "creation_time"),
            updated_at_ms: int(value, "last_update_time"),
            tags: pairs(value, "tags"),
        },
        deleted: deleted(value),
    }
}

pub fn point(value: &Value) -> ImportPoint {
    let number = match value.get("value") {
        Some(Value::Number(number)) => number.as_f64().unwrap_or(f64::NAN),
        Some(Value::String(text)) => text.parse().unwrap_or(f64::NAN),
        // A value of zero may be left out.
        _ => 0.0,
    };
    ImportPoint {
        key: text(value, "key"),
        value: MetricNumber(number),
        timestamp_ms: int(value, "timestamp"),
        step: int(value, "step"),
    }
}

pub fn run(value: &Value) -> SourceRun {
    let nothing = Value::Null;
    let part = |name: &str| value.get(name).unwrap_or(&nothing);
    let (info, data, inputs, outputs) = (part("info"), part("data"), part("inputs"), part("outputs"));
    let id = some(info, "run_id").unwrap_or_else(|| text(info, "run_uuid"));
    let tags = pairs(data, "tags");
    let name = some(info, "run_name").or_else(|| tags.get("mlflow.runName").cloned()).unwrap_or_default();
    SourceRun {
        run: ImportRun {
            id,
            experiment_id: text(info, "experiment_id"),
            name,
            user_id: text(info, "user_id"),
            status: text(info, "status"),
            start_time_ms: int(info, "start_time"),
            end_time_ms: Some(int(info, "end_time")).filter(|time| *time != 0),
            artifact_uri: some(info, "artifact_uri"),
            params: pairs(data, "params"),
            tags,
            datasets: list(inputs, "dataset_inputs").iter().map(dataset).collect(),
            model_inputs: list(inputs, "model_inputs").iter().map(|input| text(input, "model_id")).collect(),
            model_outputs: list(outputs, "model_outputs")
                .iter()
                .map(|output| ImportModelOutput {
                    model_id: text(output, "model_id"),
                    step: int(output, "step"),
                })
                .collect(),
        },
        latest: list(data, "metrics").iter().map(point).map(|point| (point.key.clone(), point)).collect(),
        deleted: deleted(info),
    }
}

fn dataset(input: &Value) -> ImportDataset {
    let nothing = Value::Null;
    let dataset = input.get("dataset").unwrap_or(&nothing);
    ImportDataset {
        name: text(dataset, "name"),
        digest: text(dataset, "digest"),
        source_type: text(dataset, "source_type"),
        source: text(dataset, "source"),
        schema: some(dataset, "schema"),
        profile: some(dataset, "profile"),
        tags: pairs(input, "tags"),
    }
}

pub fn logged_model(value: &Value) -> SourceLoggedModel {
    let nothing = Value::Null;
    let info = value.get("info").unwrap_or(&nothing);
    let data = value.get("data").unwrap_or(&nothing);
    let metric = |value: &Value| ImportModelMetric {
        point: point(value),
        run_id: text(value, "run_id"),
        dataset_name: some(value, "dataset_name"),
        dataset_digest: some(value, "dataset_digest"),
    };
    let mut model = ImportLoggedModel {
        id: text(info, "model_id"),
        experiment_id: text(info, "experiment_id"),
        name: text(info, "name"),
        artifact_location: some(info, "artifact_uri"),
        created_at_ms: int(info, "creation_timestamp_ms"),
        updated_at_ms: int(info, "last_updated_timestamp_ms"),
        status: text(info, "status"),
        status_message: some(info, "status_message"),
        model_type: text(info, "model_type"),
        source_run_id: text(info, "source_run_id"),
        params: pairs(data, "params"),
        tags: pairs(info, "tags"),
        metrics: list(data, "metrics").iter().map(metric).collect(),
    };
    sort_metrics(&mut model);
    SourceLoggedModel { model, deleted: deleted(info) }
}

pub fn registered_model(value: &Value) -> SourceModel {
    SourceModel {
        model: ImportRegisteredModel {
            name: text(value, "name"),
            description: set(value, "description"),
            created_at_ms: int(value, "creation_timestamp"),
            updated_at_ms: int(value, "last_updated_timestamp"),
            tags: pairs(value, "tags"),
        },
        aliases: list(value, "aliases").iter().map(|a| (text(a, "alias"), int(a, "version"))).collect(),
    }
}

pub fn version(value: &Value) -> SourceVersion {
    SourceVersion {
        version: ImportVersion {
            name: text(value, "name"),
            version: int(value, "version"),
            source: text(value, "source"),
            description: set(value, "description"),
            created_by: some(value, "user_id"),
            created_at_ms: int(value, "creation_timestamp"),
            updated_at_ms: int(value, "last_updated_timestamp"),
            stage: text(value, "current_stage").parse().unwrap_or(Stage::None),
            run_id: some(value, "run_id"),
            run_link: some(value, "run_link"),
            tags: pairs(value, "tags"),
            fingerprint: String::new(),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn numbers_may_be_texts_and_absent() {
        let read = run(&json!({
            "info": { "run_uuid": "r", "start_time": "5", "status": "FINISHED", "lifecycle_stage": "deleted" },
            "data": {
                "metrics": [{ "key": "m", "value": "NaN", "step": "2" }, { "key": "z" }],
                "tags": [{ "key": "mlflow.runName", "value": "n" }]
            }
        }));
        assert_eq!((read.run.id.as_str(), read.run.start_time_ms, read.run.end_time_ms), ("r", 5, None));
        assert_eq!((read.run.name.as_str(), read.deleted), ("n", true));
        assert!(read.latest["m"].value.0.is_nan());
        assert_eq!((read.latest["m"].step, read.latest["z"].value.0), (2, 0.0));
    }

    #[test]
    fn anything_else_is_read_without_a_panic() {
        for value in [json!(null), json!([]), json!({ "info": 1, "data": [] }), json!({ "tags": {} })] {
            assert_eq!(run(&value).run.id, "");
            assert_eq!(experiment(&value).experiment.id, "");
            assert_eq!(logged_model(&value).model.id, "");
            assert_eq!(version(&value).version.version, 0);
            assert_eq!(registered_model(&value).model.name, "");
        }
    }
}
