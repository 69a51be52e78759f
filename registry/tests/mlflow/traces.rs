//! Traces, their tags, assessments and links: what clients see of them.

use crate::support::{Answer, Server, each_server};
use axum::http::Method;
use insta::{allow_duplicates, assert_snapshot};
use serde_json::{Value, json};

pub const V3: &str = "/api/3.0/mlflow/traces";

/// A summary in experiment 0.
pub async fn start(server: &Server, trace_id: &str, fields: Value) -> Answer {
    let location = json!({"type": "MLFLOW_EXPERIMENT", "mlflow_experiment": {"experiment_id": "0"}});
    let mut info = json!({
        "trace_id": trace_id, "trace_location": location, "state": "OK",
        "request_time": "2024-04-05T19:34:38.901Z",
    });
    for (key, value) in fields.as_object().into_iter().flatten() {
        info[key] = value.clone();
    }
    server.post(V3, &json!({"trace": {"trace_info": info}})).await
}

#[tokio::test]
async fn a_summary_comes_back_and_may_be_completed() {
    each_server(|server| async move {
        let first = json!({
            "execution_duration": "1.5s", "request_preview": "ask", "client_request_id": "c",
            "tags": {"mlflow.traceName": "n", "team": "blue"}, "trace_metadata": {"a": "1"},
        });
        let started = start(&server, "tr-1", first).await;
        let again = start(&server, "tr-1", json!({"state": "ERROR", "tags": {"team": "red"}})).await;
        assert_eq!(again.body["trace"]["trace_info"]["tags"]["team"], "red");
        assert_eq!(again.body["trace"]["trace_info"]["request_preview"], "ask");
        let info = server.get(&format!("{V3}/tr-1")).await;
        assert_eq!(info.body, again.body);
        let old = server.get("/traces/tr-1/info").await;
        allow_duplicates! {
            assert_snapshot!(started, @r#"
            200 {
              "trace": {
                "trace_info": {
                  "client_request_id": "c",
                  "execution_duration": "1.500s",
                  "request_preview": "ask",
                  "request_time": "2024-04-05T19:34:38.901Z",
                  "state": "OK",
                  "tags": {
                    "mlflow.artifactLocation": "mlflow-artifacts:/0/traces/tr-1/artifacts",
                    "mlflow.traceName": "n",
                    "team": "blue"
                  },
                  "trace_id": "tr-1",
                  "trace_location": {
                    "mlflow_experiment": {
                      "experiment_id": "0"
                    },
                    "type": "MLFLOW_EXPERIMENT"
                  },
                  "trace_metadata": {
                    "a": "1",
                    "mlflow.trace.infoFinalized": "true"
                  }
                }
              }
            }
            "#);
            assert_snapshot!(old, @r#"
            200 {
              "trace_info": {
                "execution_time_ms": 0,
                "experiment_id": "0",
                "request_id": "tr-1",
                "request_metadata": [
                  {
                    "key": "a",
                    "value": "1"
                  },
                  {
                    "key": "mlflow.trace.infoFinalized",
                    "value": "true"
                  }
                ],
                "status": "ERROR",
                "tags": [
                  {
                    "key": "mlflow.artifactLocation",
                    "value": "mlflow-artifacts:/0/traces/tr-1/artifacts"
                  },
                  {
                    "key": "mlflow.traceName",
                    "value": "n"
                  },
                  {
                    "key": "team",
                    "value": "red"
                  }
                ],
                "timestamp_ms": 1712345678901
              }
            }
            "#);
        }
        server
    })
    .await;
}

#[tokio::test]
async fn experiments_that_are_gone_take_no_traces_and_keep_theirs() {
    each_server(|server| async move {
        let made = server.post("/experiments/create", &json!({"name": "e"})).await;
        let id = made.text("/experiment_id");
        let location = json!({"trace_location": {"mlflow_experiment": {"experiment_id": id}}});
        assert_eq!(start(&server, "tr-1", location.clone()).await.status, 200);
        server.post("/experiments/delete", &json!({"experiment_id": id})).await;
        let refused = start(&server, "tr-2", location).await;
        assert_eq!(refused.status, 400, "{refused}");
        let body = json!({"locations": [{"mlflow_experiment": {"experiment_id": id}}]});
        let found = server.post(&format!("{V3}/search"), &body).await;
        assert_eq!(found.texts("traces", "/trace_id"), ["tr-1"]);
        let unknown = json!({"trace_location": {"mlflow_experiment": {"experiment_id": "987654"}}});
        assert_eq!(start(&server, "tr-3", unknown).await.status, 404);
        server
    })
    .await;
}

#[tokio::test]
async fn assessments_that_replace_each_other() {
    each_server(|server| async move {
        start(&server, "tr-1", json!({})).await;
        let path = format!("{V3}/tr-1/assessments");
        let said = |fields: Value| {
            let mut assessment = json!({"assessment_name": "good", "feedback": {"value": true}});
            for (key, value) in fields.as_object().into_iter().flatten() {
                assessment[key] = value.clone();
            }
            json!({"assessment": assessment})
        };
        let first = server.post(&path, &said(json!({"metadata": {"a": "1"}}))).await;
        let id = first.text("/assessment/assessment_id");
        let second = server.post(&path, &said(json!({"overrides": id}))).await;
        let second_id = second.text("/assessment/assessment_id");
        let valid =
            async |id: &str| server.get(&format!("{path}/{id}")).await.body["assessment"]["valid"].clone();
        assert_eq!((valid(&id).await, valid(&second_id).await), (false.into(), true.into()));

        // Of the change only what the mask names counts; metadata add up.
        let change = json!({
            "assessment": {"rationale": "r", "metadata": {"b": "2"}, "feedback": {"value": 7}},
            "update_mask": "rationale,metadata",
        });
        let patched = server.send(Method::PATCH, &format!("{path}/{id}"), Some(change.to_string())).await;
        assert_eq!(patched.body["assessment"]["metadata"], json!({"a": "1", "b": "2"}));
        assert_eq!(patched.body["assessment"]["feedback"]["value"], json!(true));

        for _ in 0..2 {
            let gone = server.send(Method::DELETE, &format!("{path}/{second_id}"), None).await;
            assert_eq!(gone.status, 200);
        }
        assert_eq!(valid(&id).await, true);
        let twice =
            json!({"assessment": {"assessment_id": id, "assessment_name": "x", "feedback": {"value": 1}}});
        assert_eq!(server.post(&path, &twice).await.text("/error_code"), "RESOURCE_ALREADY_EXISTS");
        let deleted = json!({"experiment_id": "0", "request_ids": ["tr-1"]});
        assert_eq!(server.post(&format!("{V3}/delete-traces"), &deleted).await.body["traces_deleted"], 1);
        assert_eq!(server.get(&format!("{path}/{id}")).await.status, 404);
        server
    })
    .await;
}

#[tokio::test]
async fn a_link_may_come_before_its_trace() {
    each_server(|server| async move {
        let link = json!({"trace_ids": ["tr-1", "tr-2"], "run_id": "run1"});
        assert_eq!(server.post("/traces/link-to-run", &link).await.status, 200);
        assert_eq!(server.post("/traces/link-to-run", &link).await.status, 200);
        start(&server, "tr-1", json!({})).await;
        start(&server, "tr-3", json!({"trace_metadata": {"mlflow.sourceRun": "run1"}})).await;
        start(&server, "tr-4", json!({})).await;
        let body = json!({
            "locations": [{"mlflow_experiment": {"experiment_id": "0"}}], "filter": "run_id = 'run1'",
        });
        let found = server.post(&format!("{V3}/search"), &body).await;
        assert_eq!(found.texts("traces", "/trace_id"), ["tr-1", "tr-3"]);
        let prompts = json!({"trace_id": "tr-9", "prompt_versions": [{"name": "p", "version": "1"}]});
        assert_eq!(server.post("/traces/link-prompts", &prompts).await.status, 404);
        server
    })
    .await;
}

#[tokio::test]
async fn a_token_serves_its_own_search_only() {
    each_server(|server| async move {
        for i in 0..3 {
            start(&server, &format!("tr-{i}"), json!({})).await;
        }
        let body = |extra: Value| {
            let mut body =
                json!({"locations": [{"mlflow_experiment": {"experiment_id": "0"}}], "max_results": 2});
            for (key, value) in extra.as_object().into_iter().flatten() {
                body[key] = value.clone();
            }
            body
        };
        let path = format!("{V3}/search");
        let first = server.post(&path, &body(json!({}))).await;
        assert_eq!(first.texts("traces", "/trace_id"), ["tr-0", "tr-1"]);
        let token = first.text("/next_page_token");
        // What is added meanwhile shifts nothing.
        start(&server, "tr-new", json!({"request_time": "2030-01-01T00:00:00Z"})).await;
        let second = server.post(&path, &body(json!({"page_token": token}))).await;
        assert_eq!(second.texts("traces", "/trace_id"), ["tr-2"]);
        assert_eq!(second.body.get("next_page_token"), None);
        let other = server.post(&path, &body(json!({"page_token": token, "filter": "status = 'OK'"}))).await;
        assert_eq!(other.status, 400);
        server
    })
    .await;
}
