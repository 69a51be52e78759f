//! Requests about traces that no client of ours sends: each is refused, names what is wrong, and
//! changes nothing.

use crate::{
    support::{Server, each_server},
    traces::{V3, start},
};
use axum::http::Method;
use serde_json::{Value, json};

/// Method, path, body, status, and what the message has to name.
type Case = (Method, String, Value, u16, &'static str);

fn bad_summaries() -> Vec<Case> {
    let location = json!({"mlflow_experiment": {"experiment_id": "0"}});
    let summary = |field: &str, value: Value| {
        let mut info = json!({"trace_id": "tr-bad", "trace_location": location});
        info[field] = value;
        json!({"trace": {"trace_info": info}})
    };
    [
        ("trace_id", json!(""), "trace_id"),
        ("trace_id", json!(7), "trace_id"),
        ("trace_id", json!("x".repeat(51)), "trace_id"),
        ("trace_id", json!("a/b"), "trace_id"),
        ("trace_location", json!({}), "experiment_id"),
        ("trace_location", json!({"mlflow_experiment": {"experiment_id": "x"}}), "experiment ID 'x'"),
        ("request_time", json!("yesterday"), "request_time"),
        ("request_time", json!(7), "request_time"),
        ("execution_duration", json!("1 minute"), "execution_duration"),
        ("execution_duration", json!("99999999999999s"), "execution_duration"),
        ("state", json!("PERHAPS"), "state"),
        ("tags", json!({"k": 7}), "invalid type"),
        ("tags", json!(["k"]), "tags"),
        ("tags", json!({"k".repeat(251): "v"}), "tags key"),
        ("tags", json!({"mlflow.traceName": "n".repeat(4097)}), "Trace name"),
        ("trace_metadata", json!({"mlflow.trace.session": "s".repeat(251)}), "Session ID"),
        ("client_request_id", json!("c".repeat(251)), "client_request_id"),
        ("assessments", json!([{"feedback": {"value": 1}}]), "assessment_name"),
        ("assessments", json!([{"assessment_name": "n"}]), "feedback"),
        ("request_preview", json!("a\u{0}b"), "U+0000"),
    ]
    .into_iter()
    .map(|(field, value, named)| (Method::POST, V3.to_owned(), summary(field, value), 400, named))
    .collect()
}

fn bad_assessments() -> Vec<Case> {
    let path = format!("{V3}/tr-1/assessments");
    let said = |fields: Value| {
        let mut assessment = json!({"assessment_name": "n", "feedback": {"value": 1}});
        for (key, value) in fields.as_object().into_iter().flatten() {
            assessment[key] = value.clone();
        }
        json!({"assessment": assessment})
    };
    let post = |body, named| (Method::POST, path.clone(), body, 400, named);
    vec![
        post(json!({}), "assessment"),
        post(said(json!({"assessment_name": ""})), "assessment_name"),
        post(said(json!({"assessment_name": "n".repeat(251)})), "assessment_name"),
        post(said(json!({"expectation": {"value": 1}})), "exactly one"),
        post(said(json!({"source": {"source_type": "ORACLE"}})), "source_type"),
        post(said(json!({"source": {"source_id": "s".repeat(251)}})), "source_id"),
        post(said(json!({"rationale": "r".repeat((1 << 20) + 1)})), "rationale"),
        post(said(json!({"create_time": "now"})), "create_time"),
        post(said(json!({"feedback": {"value": "v".repeat(1 << 21)}})), "value"),
        post(said(json!({"metadata": {"a": 1}})), "invalid type"),
        post(
            json!({"assessment": {"assessment_name": "n", "expectation":
                {"serialized_value": {"serialization_format": "PICKLE", "value": "x"}}}}),
            "PICKLE",
        ),
        post(
            json!({"assessment": {"assessment_name": "n", "expectation":
                {"serialized_value": {"serialization_format": "JSON_FORMAT", "value": "{"}}}}),
            "serialized_value",
        ),
        (Method::POST, path.clone(), said(json!({"overrides": "a-never"})), 404, "a-never"),
        (
            Method::PATCH,
            format!("{path}/a-never"),
            json!({"assessment": {}, "update_mask": "rationale"}),
            404,
            "a-never",
        ),
        (Method::PATCH, format!("{path}/a-never"), json!({"assessment": {}}), 400, "update_mask"),
    ]
}

fn bad_requests() -> Vec<Case> {
    let metrics = |field: &str, value: Value| {
        let mut body = json!({
            "experiment_ids": ["0"], "view_type": "TRACES", "metric_name": "latency",
            "aggregations": [{"aggregation_type": "AVG"}],
        });
        body[field] = value;
        (Method::POST, format!("{V3}/metrics"), body, 400)
    };
    let percentile = |value: Value| json!([{"aggregation_type": "PERCENTILE", "percentile_value": value}]);
    let nine = json!(vec![json!({"aggregation_type": "PERCENTILE", "percentile_value": 1}); 9]);
    let with = |(method, path, body, status): (Method, String, Value, u16), named| {
        (method, path, body, status, named)
    };
    vec![
        with(metrics("view_type", json!("CLOUDS")), "view_type"),
        with(metrics("metric_name", json!("colour")), "metric_name"),
        with(metrics("aggregations", percentile(json!(101))), "percentile_value"),
        with(metrics("aggregations", percentile(Value::Null)), "percentile_value"),
        with(metrics("aggregations", nine), "percentiles"),
        with(metrics("dimensions", json!(["colour"])), "colour"),
        with(metrics("filters", json!(["trace.status = 'a' AND trace.status = 'b'"])), "one filter clause"),
        with(metrics("filters", json!(["trace.colour = 'a'"])), "column 1"),
        with(metrics("filters", json!(vec!["trace.status = 'OK'"; 51])), "filters"),
        with(metrics("time_interval_seconds", json!(-1)), "time_interval_seconds"),
        with(metrics("time_interval_seconds", json!(60)), "start_time_ms"),
        with(metrics("max_results", json!(0)), "max_results"),
        (
            Method::POST,
            "/traces".into(),
            json!({"experiment_id": "0", "timestamp_ms": i64::MAX}),
            400,
            "timestamp_ms",
        ),
        (
            Method::POST,
            "/traces".into(),
            json!({"experiment_id": "0", "tags": [{"value": "v"}]}),
            400,
            "tags[0].key",
        ),
        (Method::PATCH, "/traces/tr-1".into(), json!({"status": "PERHAPS"}), 400, "status"),
        (Method::PATCH, "/traces/tr-1/tags".into(), json!({"key": "a\nb", "value": "v"}), 400, "key"),
        (Method::PATCH, "/traces/tr-1/tags".into(), json!({"key": "k".repeat(251)}), 400, "key"),
        (Method::PATCH, "/traces/tr-9/tags".into(), json!({"key": "k", "value": "v"}), 404, "tr-9"),
        (
            Method::POST,
            "/traces/link-to-run".into(),
            json!({"trace_ids": [""], "run_id": "r"}),
            400,
            "trace_id",
        ),
        (
            Method::POST,
            "/traces/link-to-run".into(),
            json!({"trace_ids": ["t"], "run_id": "r/../x"}),
            400,
            "run_id",
        ),
        (
            Method::POST,
            "/traces/link-prompts".into(),
            json!({"trace_id": "tr-1", "prompt_versions": [{"name": "p", "version": "one"}]}),
            400,
            "version",
        ),
        (Method::POST, format!("{V3}/batchGetInfos"), json!({"trace_ids": vec!["t"; 501]}), 400, "501"),
        (
            Method::POST,
            format!("{V3}/delete-traces"),
            json!({"experiment_id": "0"}),
            400,
            "max_timestamp_millis",
        ),
    ]
}

fn bad_filters() -> Vec<(String, &'static str)> {
    [
        ("status = ", "column 10"),
        ("timestamp_ms > 1 AND span.size = 'x'", "column 22"),
        ("colour = 'x'", "column 1"),
        ("metrics.x > 1", "metrics"),
        ("status > 'x'", "column 8"),
        ("name RLIKE '('", "column 12"),
        ("span.content = 'x'", "column 14"),
        ("span.attributes. = 'x'", "column"),
        ("feedback.x > 'y'", "numeric"),
        ("feedback.x = 7", "quoted"),
        ("issue.name = 'x'", "issue"),
        ("prompt = 'a/b/c'", "name/version"),
        ("run_id IN ('a')", "IN"),
        ("experiment_id = '0'", "experiment_id"),
        ("text = 'x'", "LIKE"),
    ]
    .map(|(filter, named)| (filter.to_owned(), named))
    .into_iter()
    .chain([
        (format!("name LIKE '{}'", "%a".repeat(20_000)), "pattern"),
        ("status = 'OK' AND ".repeat(300) + "status = 'OK'", "conditions"),
        ("x".repeat(1 << 20), "100000"),
    ])
    .collect()
}

async fn everything(server: &Server) -> Value {
    let body = json!({"locations": [{"mlflow_experiment": {"experiment_id": "0"}}]});
    server.post(&format!("{V3}/search"), &body).await.body
}

#[tokio::test]
async fn each_is_refused_and_changes_nothing() {
    each_server(|server| async move {
        start(&server, "tr-1", json!({"tags": {"a": "b"}})).await;
        let before = everything(&server).await;
        for (method, path, body, status, named) in
            bad_summaries().into_iter().chain(bad_assessments()).chain(bad_requests())
        {
            let answer = server.send(method.clone(), &path, Some(body.to_string())).await;
            let shown: String = body.to_string().chars().take(200).collect();
            assert_eq!(answer.status, status, "{method} {path} {shown}: {answer}");
            let message = answer.text("/message");
            assert!(message.contains(named), "{method} {path} {shown}: {message}");
            assert!(message.len() < 1000, "{path}: a message of {} bytes", message.len());
        }
        assert_eq!(everything(&server).await, before);
        server
    })
    .await;
}

#[tokio::test]
async fn filters_are_refused_where_they_go_wrong() {
    each_server(|server| async move {
        for (filter, named) in bad_filters() {
            let body = json!({
                "locations": [{"mlflow_experiment": {"experiment_id": "0"}}], "filter": filter,
            });
            let answer = server.post(&format!("{V3}/search"), &body).await;
            let shown: String = filter.chars().take(100).collect();
            assert_eq!(answer.status, 400, "{shown}: {answer}");
            let message = answer.text("/message");
            assert!(message.contains(named) && message.len() < 700, "{shown}: {message}");
        }
        // What the check of patterns takes may still be none of the engine's; it is never our fault.
        let body = json!({
            "locations": [{"mlflow_experiment": {"experiment_id": "0"}}],
            "filter": "span.attributes.a RLIKE '(?i)x'",
        });
        assert!(server.post(&format!("{V3}/search"), &body).await.status < 500);
        for order in ["text", "span.name", "feedback.x", "colour", "name up"] {
            let body = json!({
                "locations": [{"mlflow_experiment": {"experiment_id": "0"}}], "order_by": [order],
            });
            assert_eq!(server.post(&format!("{V3}/search"), &body).await.status, 400, "{order}");
        }
        server
    })
    .await;
}

#[tokio::test]
async fn paths_of_attachments_stay_below_their_trace() {
    each_server(|server| async move {
        start(&server, "tr-1", json!({})).await;
        for path in ["../x", "%2e%2e/x", "/etc/passwd", "a/../../b", "a%00b", "."] {
            let url = format!("/ajax-api/3.0/mlflow/get-trace-artifact?request_id=tr-1&path={path}");
            let answer = server.get(&url).await;
            assert!(matches!(answer.status, 400 | 404), "{path}: {answer}");
        }
        for (url, status) in [("", 400), ("?request_id=tr-9", 404), ("?request_id=tr-1", 404)] {
            let answer = server.get(&format!("/ajax-api/2.0/mlflow/get-trace-artifact{url}")).await;
            assert_eq!(answer.status, status, "{url}: {answer}");
        }
        server
    })
    .await;
}
