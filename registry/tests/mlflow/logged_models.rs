use crate::support::each_server;
use axum::http::Method;
use insta::{allow_duplicates, assert_snapshot};
use serde_json::{Value, json};

#[tokio::test]
#[expect(clippy::too_many_lines, reason = "one life, told in order")]
async fn a_model_from_creation_to_deletion() {
    each_server(|server| async move {
        let patch =
            async |path: &str, body: Value| server.send(Method::PATCH, path, Some(body.to_string())).await;
        let run_id = server.run().await;
        let request = json!({
            "experiment_id": "0", "name": "model", "model_type": "classifier", "source_run_id": run_id,
            "params": [{"key": "depth", "value": "3"}], "tags": [{"key": "a", "value": "1"}],
        });
        let created = server.post("/logged-models", &request).await;
        let model_id = created.text("/model/info/model_id");
        let path = format!("/logged-models/{model_id}");
        let metric = json!({
            "run_id": run_id, "key": "f1", "value": 0.9, "timestamp": 5, "step": 2,
            "model_id": model_id, "dataset_name": "iris", "dataset_digest": "d",
        });
        for _ in 0..2 {
            assert_eq!(server.post("/runs/log-metric", &metric).await.to_string(), "200 {}");
        }
        let params = json!({"params": [{"key": "depth", "value": "3"}, {"key": "seed", "value": "1"}]});
        assert_eq!(server.post(&format!("{path}/params"), &params).await.to_string(), "200 {}");
        let tags = json!({"tags": [{"key": "a", "value": "2"}, {"key": "b", "value": "3"}]});
        assert_eq!(patch(&format!("{path}/tags"), tags).await.to_string(), "200 {}");
        let untagged = server.send(Method::DELETE, &format!("{path}/tags/b"), None).await;
        assert_eq!(untagged.to_string(), "200 {}");
        let status = json!({"model_id": model_id, "status": "LOGGED_MODEL_READY"});
        let finalized = patch(&path, status).await;
        let got = server.get(&path).await;
        assert_eq!(got.body, finalized.body);
        assert_eq!(server.send(Method::DELETE, &path, None).await.to_string(), "200 {}");
        let gone = server.get(&path).await;
        let still = server.get(&format!("{path}?allow_deleted=true")).await;
        assert_eq!(still.text("/model/info/name"), "model");
        allow_duplicates! {
            assert_snapshot!(created, @r#"
            200 {
              "model": {
                "data": {
                  "params": [
                    {
                      "key": "depth",
                      "value": "3"
                    }
                  ]
                },
                "info": {
                  "artifact_uri": "mlflow-artifacts:/0/models/m-<id2>/artifacts",
                  "creation_timestamp_ms": <now>,
                  "experiment_id": "0",
                  "last_updated_timestamp_ms": <now>,
                  "model_id": "m-<id2>",
                  "model_type": "classifier",
                  "name": "model",
                  "source_run_id": "<id1>",
                  "status": "LOGGED_MODEL_PENDING",
                  "tags": [
                    {
                      "key": "a",
                      "value": "1"
                    }
                  ]
                }
              }
            }
            "#);
            assert_snapshot!(got, @r#"
            200 {
              "model": {
                "data": {
                  "metrics": [
                    {
                      "dataset_digest": "d",
                      "dataset_name": "iris",
                      "key": "f1",
                      "model_id": "m-<id2>",
                      "run_id": "<id1>",
                      "step": 2,
                      "timestamp": 5,
                      "value": 0.9
                    }
                  ],
                  "params": [
                    {
                      "key": "depth",
                      "value": "3"
                    },
                    {
                      "key": "seed",
                      "value": "1"
                    }
                  ]
                },
                "info": {
                  "artifact_uri": "mlflow-artifacts:/0/models/m-<id2>/artifacts",
                  "creation_timestamp_ms": <now>,
                  "experiment_id": "0",
                  "last_updated_timestamp_ms": <now>,
                  "model_id": "m-<id2>",
                  "model_type": "classifier",
                  "name": "model",
                  "source_run_id": "<id1>",
                  "status": "LOGGED_MODEL_READY",
                  "tags": [
                    {
                      "key": "a",
                      "value": "2"
                    }
                  ]
                }
              }
            }
            "#);
            assert_snapshot!(gone, @r#"
            404 {
              "error_code": "RESOURCE_DOES_NOT_EXIST",
              "message": "Logged model with ID 'm-<id2>' not found."
            }
            "#);
        }
        server
    })
    .await;
}

#[tokio::test]
async fn refusals() {
    each_server(|server| async move {
        let model_id = server.model("m").await;
        let path = format!("/logged-models/{model_id}");
        let params = json!({"params": [{"key": "depth", "value": "3"}]});
        server.post(&format!("{path}/params"), &params).await;
        let other = json!({"params": [{"key": "depth", "value": "4"}]});
        let all = [
            server.post("/logged-models", &json!({"experiment_id": "0", "name": "a/b"})).await,
            server.post("/logged-models", &json!({"name": "a"})).await,
            server.post("/logged-models", &json!({"experiment_id": "7", "name": "a"})).await,
            server.get("/logged-models/m-none").await,
            server.send(Method::PATCH, &path, Some("{}".into())).await,
            server.send(Method::PATCH, &path, Some(json!({"status": "BAKED"}).to_string())).await,
            server.send(Method::DELETE, &format!("{path}/tags/none"), None).await,
            server.post(&format!("{path}/params"), &other).await,
        ];
        let shown = all.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n");
        allow_duplicates! { assert_snapshot!(shown, @r#"
        400 {
          "error_code": "INVALID_PARAMETER_VALUE",
          "message": "Invalid model name ('a/b') provided. Model name must be a non-empty string and cannot contain the following characters: ('/', ':', '.', '%', '\"', \"'\")"
        }
        400 {
          "error_code": "INVALID_PARAMETER_VALUE",
          "message": "Missing value for required parameter 'experiment_id'. See the API docs for more information about request parameters."
        }
        404 {
          "error_code": "RESOURCE_DOES_NOT_EXIST",
          "message": "No Experiment with id=7 exists"
        }
        404 {
          "error_code": "RESOURCE_DOES_NOT_EXIST",
          "message": "Logged model with ID 'm-none' not found."
        }
        400 {
          "error_code": "INVALID_PARAMETER_VALUE",
          "message": "Missing value for required parameter 'status'. See the API docs for more information about request parameters."
        }
        400 {
          "error_code": "INVALID_PARAMETER_VALUE",
          "message": "Invalid value \"BAKED\" for parameter 'status' supplied:  Hint: Value was of type 'str'. See the API docs for more information about request parameters."
        }
        404 {
          "error_code": "RESOURCE_DOES_NOT_EXIST",
          "message": "No tag with key 'none' found for model with ID 'm-<id1>'."
        }
        400 {
          "error_code": "INVALID_PARAMETER_VALUE",
          "message": "Changing param values is not allowed. Param with key='depth' was already logged for model ID='m-<id1>'."
        }
        "#) }
        server
    })
    .await;
}
