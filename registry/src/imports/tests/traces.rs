//! Traces through the native import API, on both engines.

use super::{SOURCE, batch, begin, brought, post};
use crate::testing::{TestRegistry, each_registry};
use http::StatusCode;
use serde_json::{Value, json};

const ID: &str = "tr-000000000000000000000000000000aa";

fn trace(id: &str) -> Value {
    json!({
        "kind": "trace", "id": id, "experiment_id": "7", "timestamp_ms": 1_000, "execution_time_ms": 250,
        "state": "OK", "client_request_id": "req", "request_preview": "{\"q\": 1}", "response_preview": "a",
        "metadata": { "mlflow.trace.tokenUsage": "{\"input_tokens\": 3, \"total_tokens\": 3}", "m": "x".repeat(9_000) },
        "tags": { "mlflow.trace.spansLocation": "TRACKING_STORE", "http/route:#1": "ü",
                  "mlflow.artifactLocation": format!("mlflow-artifacts:/7/traces/{id}/artifacts") },
        "assessments": [said("a-1", &json!(true)), said("a-2", &json!({ "k": [1, 2.5] }))],
        "runs": ["r1"], "prompts": ["greeting/2"],
    })
}

fn said(id: &str, value: &Value) -> Value {
    json!({
        "id": id, "kind": "feedback", "name": "good", "value": value, "source_type": "HUMAN", "source_id": "ada",
        "rationale": "why", "metadata": { "m": "1" }, "overrides": "a-0", "valid": id == "a-1",
        "created_at_ms": 1_500, "updated_at_ms": 1_600,
    })
}

fn spans(id: &str, names: &[&str]) -> Value {
    let span = |(at, name): (usize, &&str)| {
        let parent = if at == 0 { "null".to_owned() } else { "\"AAAAAAAAAAA=\"".to_owned() };
        let own = ["AAAAAAAAAAA=", "AAAAAAAAAAE="][at];
        format!(
            "{{\"trace_id\": \"AAAAAAAAAAAAAAAAAAAAqg==\", \"span_id\": \"{own}\", \"parent_span_id\": {parent}, \
             \"name\": \"{name}\", \"start_time_unix_nano\": {at}, \"end_time_unix_nano\": 9007199254740993, \
             \"events\": [], \"status\": {{\"code\": \"STATUS_CODE_OK\", \"message\": \"\"}}, \
             \"attributes\": {{\"mlflow.spanType\": \"\\\"LLM\\\"\"}}, \"links\": []}}"
        )
    };
    json!({ "kind": "spans", "trace_id": id, "spans": names.iter().enumerate().map(span).collect::<Vec<_>>() })
}

async fn info(registry: &TestRegistry, id: &str) -> Value {
    let (_, found) = registry.call("GET", &format!("/api/3.0/mlflow/traces/{id}"), None).await;
    found["trace"]["trace_info"].clone()
}

async fn found_by(registry: &TestRegistry, filter: &str) -> Vec<Value> {
    let location = json!({ "type": "MLFLOW_EXPERIMENT", "mlflow_experiment": { "experiment_id": "7" } });
    let asked = json!({ "locations": [location], "filter": filter });
    let (status, found) = registry.call("POST", "/api/3.0/mlflow/traces/search", Some(asked)).await;
    assert_eq!(status, StatusCode::OK, "{found}");
    found["traces"].as_array().into_iter().flatten().map(|trace| trace["trace_id"].clone()).collect()
}

#[tokio::test]
async fn traces_keep_ids_times_spans_and_what_was_said() {
    each_registry(|registry| async move {
        let import_id = brought(&registry).await;
        let done = json!({ "kind": "complete", "of": "trace", "id": ID, "fingerprint": "f" });
        let objects = json!([trace(ID), spans(ID, &["root", "child"]), done]);
        let outcomes = batch(&registry, &import_id, objects.clone()).await;
        assert_eq!(outcomes, ["created", "updated", "updated"]);
        let found = info(&registry, ID).await;
        assert_eq!(found["request_time"], "1970-01-01T00:00:01Z");
        assert_eq!((&found["execution_duration"], &found["state"]), (&json!("0.250s"), &json!("OK")));
        assert_eq!(found["tags"]["http/route:#1"], "ü");
        assert_eq!(found["client_request_id"], "req");
        let assessments = found["assessments"].as_array().unwrap();
        assert_eq!(assessments.len(), 2, "{found}");
        assert_eq!(assessments[0]["create_time"], "1970-01-01T00:00:01.500Z");
        assert_eq!((&assessments[0]["overrides"], &assessments[1]["valid"]), (&json!("a-0"), &json!(false)));
        let path = format!("/ajax-api/2.0/mlflow/get-trace-artifact?request_id={ID}");
        let (_, file) = registry.call("GET", &path, None).await;
        let names: Vec<&Value> = file["spans"].as_array().unwrap().iter().map(|span| &span["name"]).collect();
        assert_eq!(names, ["root", "child"]);
        assert_eq!(file["spans"][1]["end_time_unix_nano"], 9_007_199_254_740_993_i64);
        for filter in
            ["run_id = 'r1'", "prompt = 'greeting/2'", "span.type = 'LLM'", "feedback.good = 'true'"]
        {
            assert_eq!(found_by(&registry, filter).await, [ID], "{filter}");
        }
        assert!(found_by(&registry, "run_id = 'r2'").await.is_empty());

        assert_eq!(batch(&registry, &import_id, objects).await, ["updated", "updated", "unchanged"]);
        assert_eq!(info(&registry, ID).await, found, "the same again changes nothing");
        let asked = json!({ "kind": "trace", "objects": [{ "id": ID, "fingerprint": "f" }] });
        let known = post(&registry, &import_id, "lookups", asked).await;
        assert_eq!(known["objects"][0]["state"], "complete");
        let mut changed = trace(ID);
        changed["state"] = json!("ERROR");
        changed["assessments"] = json!([said("a-1", &json!(false)), said("a-3", &json!("new"))]);
        assert_eq!(batch(&registry, &import_id, json!([changed])).await, ["updated"]);
        let found = info(&registry, ID).await;
        let values: Vec<&Value> =
            found["assessments"].as_array().unwrap().iter().map(|said| &said["feedback"]["value"]).collect();
        assert_eq!(values, [&json!(false), &json!({ "k": [1, 2.5] }), &json!("new")]);
        assert_eq!(found["state"], "ERROR");
    })
    .await;
}

#[tokio::test]
async fn traces_of_its_own_and_bad_ones_are_refused_and_leave_nothing() {
    each_registry(|registry| async move {
        let import_id = brought(&registry).await;
        assert_eq!(batch(&registry, &import_id, json!([trace(ID)])).await, ["created"]);
        let other = begin(&registry, "http://other:5000").await;
        assert_ne!(SOURCE, "http://other:5000");
        let outcomes = batch(&registry, &other, json!([trace(ID), spans(ID, &["x"])])).await;
        assert_eq!(outcomes, ["OBJECT_TAKEN", "OBJECT_NOT_IMPORTED"]);
        for (field, value, code) in [
            ("id", json!("../t"), "VALUE_INVALID"),
            ("id", json!("t".repeat(51)), "VALUE_INVALID"),
            ("experiment_id", json!("99"), "EXPERIMENT_NOT_IMPORTED"),
            ("state", json!("DONE"), "FIELD_INVALID"),
            ("timestamp_ms", json!(-1), "FIELD_INVALID"),
            ("execution_time_ms", json!(i64::MAX), "FIELD_INVALID"),
            ("request_preview", json!("a\0b"), "FIELD_INVALID"),
            ("tags", json!({ "k".repeat(251): "v" }), "VALUE_INVALID"),
            ("tags", json!({ "mlflow.trace.spansLocation": "ARCHIVE_REPO" }), "FIELD_INVALID"),
            ("tags", json!({ "mlflow.artifactLocation": "mlflow-artifacts:/../x" }), "VALUE_INVALID"),
            ("tags", json!({ "mlflow.artifactLocation": "http://169.254.169.254/" }), "VALUE_INVALID"),
            ("metadata", json!({ "k": "a\0b" }), "FIELD_INVALID"),
            ("runs", json!(["../r"]), "VALUE_INVALID"),
            ("assessments", json!([said("a-1", &json!(1))]), "OBJECT_TAKEN"),
            ("assessments", json!([said("", &json!(1))]), "FIELD_INVALID"),
            ("assessments", json!([said(&"a".repeat(51), &json!(1))]), "VALUE_INVALID"),
        ] {
            let mut bad = trace("tr-bad");
            bad["assessments"] = json!([]);
            bad[field] = value;
            assert_eq!(batch(&registry, &import_id, json!([bad])).await, [code], "{field}");
        }
        for (field, value) in [("kind", json!("praise")), ("source_type", json!("GOD")), ("error", json!(5))]
        {
            let mut bad = trace("tr-bad");
            bad["assessments"] = json!([said("a-9", &json!(1))]);
            bad["assessments"][0][field] = value;
            assert_eq!(batch(&registry, &import_id, json!([bad])).await, ["FIELD_INVALID"], "{field}");
        }
        assert_eq!(info(&registry, "tr-bad").await, json!(null), "a refused object leaves nothing");
        let mut twice = spans(ID, &["root"]);
        let first = twice["spans"][0].clone();
        twice["spans"].as_array_mut().unwrap().push(first);
        let not_one = json!({ "kind": "spans", "trace_id": ID, "spans": ["{}"] });
        let named = spans(ID, &["a\\u0000b"]);
        let outcomes = batch(&registry, &import_id, json!([twice, not_one, named])).await;
        assert_eq!(outcomes, ["FIELD_INVALID"; 3]);
    })
    .await;
}
