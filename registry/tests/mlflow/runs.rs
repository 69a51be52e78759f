use crate::support::{Answer, each_server};
use insta::{allow_duplicates, assert_snapshot};
use serde_json::json;

#[tokio::test]
async fn a_run_from_start_to_end() {
    each_server(|server| async move {
        let request = json!({
            "experiment_id": "0", "user_id": "ann", "run_name": "first", "start_time": "1700000000000",
            "tags": [{"key": "mlflow.source.name", "value": "train.py"}],
        });
        let started = server.post("/runs/create", &request).await;
        let run_id = started.text("/run/info/run_id");
        let update = json!({"run_id": run_id, "status": "FINISHED", "end_time": 1_700_000_005_000_i64});
        let ended = server.post("/runs/update", &update).await;
        let renamed = server.post("/runs/update", &json!({"run_uuid": run_id, "run_name": "second"})).await;
        assert_eq!(renamed.text("/run_info/run_name"), "second");
        let got = server.get(&format!("/runs/get?run_uuid={run_id}")).await;
        allow_duplicates! {
            assert_snapshot!(started, @r#"
            200 {
              "run": {
                "data": {
                  "tags": [
                    {
                      "key": "mlflow.runName",
                      "value": "first"
                    },
                    {
                      "key": "mlflow.source.name",
                      "value": "train.py"
                    }
                  ]
                },
                "info": {
                  "artifact_uri": "mlflow-artifacts:/0/<id1>/artifacts",
                  "experiment_id": "0",
                  "lifecycle_stage": "active",
                  "run_id": "<id1>",
                  "run_name": "first",
                  "run_uuid": "<id1>",
                  "start_time": 1700000000000,
                  "status": "RUNNING",
                  "user_id": "ann"
                },
                "inputs": {},
                "outputs": {}
              }
            }
            "#);
            assert_snapshot!(ended, @r#"
            200 {
              "run_info": {
                "artifact_uri": "mlflow-artifacts:/0/<id1>/artifacts",
                "end_time": 1700000005000,
                "experiment_id": "0",
                "lifecycle_stage": "active",
                "run_id": "<id1>",
                "run_name": "first",
                "run_uuid": "<id1>",
                "start_time": 1700000000000,
                "status": "FINISHED",
                "user_id": "ann"
              }
            }
            "#);
            assert_snapshot!(got, @r#"
            200 {
              "run": {
                "data": {
                  "tags": [
                    {
                      "key": "mlflow.runName",
                      "value": "second"
                    },
                    {
                      "key": "mlflow.source.name",
                      "value": "train.py"
                    }
                  ]
                },
                "info": {
                  "artifact_uri": "mlflow-artifacts:/0/<id1>/artifacts",
                  "end_time": 1700000005000,
                  "experiment_id": "0",
                  "lifecycle_stage": "active",
                  "run_id": "<id1>",
                  "run_name": "second",
                  "run_uuid": "<id1>",
                  "start_time": 1700000000000,
                  "status": "FINISHED",
                  "user_id": "ann"
                },
                "inputs": {},
                "outputs": {}
              }
            }
            "#);
        }
        server
    })
    .await;
}

#[tokio::test]
async fn a_deleted_run_can_be_read_but_not_written() {
    each_server(|server| async move {
        let run_id = server.run().await;
        for _ in 0..2 {
            let deleted = server.post("/runs/delete", &json!({"run_id": run_id})).await;
            assert_eq!(deleted.to_string(), "200 {}");
        }
        let get = async || server.get(&format!("/runs/get?run_id={run_id}")).await;
        assert_eq!(get().await.text("/run/info/lifecycle_stage"), "deleted");
        for (path, body) in [
            ("/runs/set-tag", json!({"run_id": run_id, "key": "k", "value": "v"})),
            ("/runs/delete-tag", json!({"run_id": run_id, "key": "mlflow.runName"})),
            ("/runs/log-parameter", json!({"run_id": run_id, "key": "k", "value": "v"})),
            ("/runs/log-metric", json!({"run_id": run_id, "key": "k", "value": 1, "timestamp": 1})),
            ("/runs/log-batch", json!({"run_id": run_id})),
            ("/runs/log-inputs", json!({"run_id": run_id})),
            ("/runs/outputs", json!({"run_id": run_id, "models": []})),
            ("/runs/update", json!({"run_id": run_id, "status": "FAILED"})),
        ] {
            let refused = server.post(path, &body).await;
            assert_eq!(refused.status, 400, "{path} {refused}");
            let expected =
                format!("The run {run_id} must be in the 'active' state. Current state is deleted.");
            assert_eq!(refused.text("/message"), expected, "{path}");
        }
        server.post("/runs/restore", &json!({"run_id": run_id})).await;
        let restored = get().await;
        assert_eq!(restored.text("/run/info/lifecycle_stage"), "active");
        assert_eq!(restored.text("/run/info/status"), "RUNNING");
        server
    })
    .await;
}

#[tokio::test]
async fn a_run_without_a_name_gets_one() {
    each_server(|server| async move {
        let run = server.post("/runs/create", &json!({})).await;
        let name = run.text("/run/info/run_name");
        assert_eq!(name.split('-').count(), 3, "{name}");
        assert_eq!(run.text("/run/data/tags/0/value"), name);
        let tags = json!([{"key": "mlflow.runName", "value": "tagged"}]);
        let tagged = server.post("/runs/create", &json!({"experiment_id": "0", "tags": tags})).await;
        assert_eq!(tagged.text("/run/info/run_name"), "tagged");
        server
    })
    .await;
}

#[tokio::test]
async fn refusals() {
    each_server(|server| async move {
        let run_id = server.run().await;
        let mut all: Vec<Answer> = Vec::new();
        for body in [
            json!({"experiment_id": "99"}),
            json!({"experiment_id": "x"}),
            json!({"experiment_id": 0}),
            json!({"experiment_id": "0", "start_time": "soon"}),
            json!({"run_name": "a", "tags": [{"key": "mlflow.runName", "value": "b"}]}),
            json!({"tags": [{"value": "b"}]}),
        ] {
            all.push(server.post("/runs/create", &body).await);
        }
        all.push(server.get("/runs/get?run_id=nope").await);
        all.push(server.get("/runs/get").await);
        all.push(server.post("/runs/update", &json!({"run_id": run_id, "status": "SLEEPING"})).await);
        all.push(server.post("/runs/delete", &json!({"run_id": "nope"})).await);
        all.push(server.post("/runs/delete-tag", &json!({"run_id": run_id, "key": "nope"})).await);
        let shown = all.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n");
        allow_duplicates! { assert_snapshot!(shown, @r#"
        404 {
          "error_code": "RESOURCE_DOES_NOT_EXIST",
          "message": "No Experiment with id=99 exists"
        }
        400 {
          "error_code": "INVALID_PARAMETER_VALUE",
          "message": "Invalid experiment ID 'x'. Experiment ID must be a valid integer."
        }
        400 {
          "error_code": "INVALID_PARAMETER_VALUE",
          "message": "Invalid value 0 for parameter 'experiment_id' supplied:  Hint: Value was of type 'int'. See the API docs for more information about request parameters."
        }
        400 {
          "error_code": "INVALID_PARAMETER_VALUE",
          "message": "Invalid value \"soon\" for parameter 'start_time' supplied:  Hint: Value was of type 'str'. See the API docs for more information about request parameters."
        }
        400 {
          "error_code": "INVALID_PARAMETER_VALUE",
          "message": "Both 'run_name' argument and 'mlflow.runName' tag are specified, but with different values (run_name='a', mlflow.runName='b')."
        }
        400 {
          "error_code": "INVALID_PARAMETER_VALUE",
          "message": "Missing value for required parameter 'tags[0].key'. See the API docs for more information about request parameters."
        }
        404 {
          "error_code": "RESOURCE_DOES_NOT_EXIST",
          "message": "Run with id=nope not found"
        }
        400 {
          "error_code": "INVALID_PARAMETER_VALUE",
          "message": "Missing value for required parameter 'run_id'. See the API docs for more information about request parameters."
        }
        400 {
          "error_code": "INVALID_PARAMETER_VALUE",
          "message": "Invalid value \"SLEEPING\" for parameter 'status' supplied:  Hint: Value was of type 'str'. See the API docs for more information about request parameters."
        }
        404 {
          "error_code": "RESOURCE_DOES_NOT_EXIST",
          "message": "Run with id=nope not found"
        }
        404 {
          "error_code": "RESOURCE_DOES_NOT_EXIST",
          "message": "No tag with name: nope in run with id <id1>"
        }
        "#) }
        server
    })
    .await;
}
