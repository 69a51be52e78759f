use crate::support::each_server;
use insta::{allow_duplicates, assert_snapshot};
use serde_json::json;

#[tokio::test]
async fn datasets_and_models_of_a_run() {
    each_server(|server| async move {
        let run_id = server.run().await;
        let model_id = server.model("m").await;
        let dataset = |digest: &str, context: &str| {
            json!({
                "dataset": {"name": "iris", "digest": digest, "source_type": "local", "source": "{}", "profile": "{}"},
                "tags": [{"key": "mlflow.data.context", "value": context}],
            })
        };
        let inputs = json!({
            "run_id": run_id,
            "datasets": [dataset("a", "train"), dataset("b", "eval"), dataset("a", "again")],
            "models": [{"model_id": model_id}],
        });
        let outputs = json!({"run_id": run_id, "models": [{"model_id": model_id, "step": "3"}]});
        for _ in 0..2 {
            assert_eq!(server.post("/runs/log-inputs", &inputs).await.to_string(), "200 {}");
            assert_eq!(server.post("/runs/outputs", &outputs).await.to_string(), "200 {}");
        }
        let run = server.get(&format!("/runs/get?run_id={run_id}")).await;
        allow_duplicates! { assert_snapshot!(run, @r#"
        200 {
          "run": {
            "data": {
              "tags": [
                {
                  "key": "mlflow.runName",
                  "value": "r"
                }
              ]
            },
            "info": {
              "artifact_uri": "mlflow-artifacts:/0/<id1>/artifacts",
              "experiment_id": "0",
              "lifecycle_stage": "active",
              "run_id": "<id1>",
              "run_name": "r",
              "run_uuid": "<id1>",
              "start_time": 0,
              "status": "RUNNING",
              "user_id": ""
            },
            "inputs": {
              "dataset_inputs": [
                {
                  "dataset": {
                    "digest": "a",
                    "name": "iris",
                    "profile": "{}",
                    "source": "{}",
                    "source_type": "local"
                  },
                  "tags": [
                    {
                      "key": "mlflow.data.context",
                      "value": "train"
                    }
                  ]
                },
                {
                  "dataset": {
                    "digest": "b",
                    "name": "iris",
                    "profile": "{}",
                    "source": "{}",
                    "source_type": "local"
                  },
                  "tags": [
                    {
                      "key": "mlflow.data.context",
                      "value": "eval"
                    }
                  ]
                }
              ],
              "model_inputs": [
                {
                  "model_id": "m-<id2>"
                }
              ]
            },
            "outputs": {
              "model_outputs": [
                {
                  "model_id": "m-<id2>",
                  "step": 3
                }
              ]
            }
          }
        }
        "#) }
        server
    })
    .await;
}

#[tokio::test]
async fn refusals() {
    each_server(|server| async move {
        let run_id = server.run().await;
        let mut all = Vec::new();
        for datasets in [
            json!([{"tags": []}]),
            json!([{"dataset": {"name": "n", "digest": "d", "source_type": "t"}}]),
            json!([{"dataset": {"name": "n".repeat(501), "digest": "d", "source_type": "t", "source": "s"}}]),
            json!("iris"),
        ] {
            let refused =
                server.post("/runs/log-inputs", &json!({"run_id": run_id, "datasets": datasets})).await;
            all.push(refused.to_string());
        }
        all.push(server.post("/runs/outputs", &json!({"run_id": run_id})).await.to_string());
        allow_duplicates! { assert_snapshot!(all.join("\n"), @r#"
        400 {
          "error_code": "INVALID_PARAMETER_VALUE",
          "message": "Missing value for required parameter 'datasets[0].dataset'. See the API docs for more information about request parameters."
        }
        400 {
          "error_code": "INVALID_PARAMETER_VALUE",
          "message": "Missing value for required parameter 'datasets[0].dataset.source'. See the API docs for more information about request parameters."
        }
        400 {
          "error_code": "INVALID_PARAMETER_VALUE",
          "message": "'name' exceeds the maximum length of 500 characters"
        }
        400 {
          "error_code": "INVALID_PARAMETER_VALUE",
          "message": "Invalid value \"iris\" for parameter 'datasets' supplied:  Hint: Value was of type 'str'. See the API docs for more information about request parameters."
        }
        400 {
          "error_code": "INVALID_PARAMETER_VALUE",
          "message": "Missing value for required parameter 'models'. See the API docs for more information about request parameters."
        }
        "#) }
        server
    })
    .await;
}
