use crate::support::each_server;
use insta::{allow_duplicates, assert_snapshot};
use serde_json::{Value, json};

#[tokio::test]
#[expect(clippy::too_many_lines, reason = "one life, told in order")]
async fn a_batch_is_logged_and_logging_it_again_changes_nothing() {
    each_server(|server| async move {
        let run_id = server.run().await;
        let batch = json!({
            "run_id": run_id,
            "metrics": [
                {"key": "loss", "value": 0.5, "timestamp": 10, "step": 1},
                {"key": "loss", "value": 0.25, "timestamp": 11, "step": 2},
                {"key": "loss", "value": 9, "timestamp": 99, "step": 0},
                {"key": "loss", "value": 0.25, "timestamp": 11, "step": 2},
                {"key": "train/acc", "value": 1, "timestamp": "12"},
            ],
            "params": [{"key": "depth", "value": "3"}, {"key": "empty", "value": ""}],
            "tags": [{"key": "t", "value": "1"}, {"key": "t", "value": "2"}],
        });
        for _ in 0..2 {
            let logged = server.post("/runs/log-batch", &batch).await;
            assert_eq!(logged.to_string(), "200 {}");
        }
        let run = server.get(&format!("/runs/get?run_id={run_id}")).await;
        let history = server.get(&format!("/metrics/get-history?run_id={run_id}&metric_key=loss")).await;
        allow_duplicates! {
            assert_snapshot!(run, @r#"
            200 {
              "run": {
                "data": {
                  "metrics": [
                    {
                      "key": "loss",
                      "step": 2,
                      "timestamp": 11,
                      "value": 0.25
                    },
                    {
                      "key": "train/acc",
                      "step": 0,
                      "timestamp": 12,
                      "value": 1.0
                    }
                  ],
                  "params": [
                    {
                      "key": "depth",
                      "value": "3"
                    },
                    {
                      "key": "empty",
                      "value": ""
                    }
                  ],
                  "tags": [
                    {
                      "key": "mlflow.runName",
                      "value": "r"
                    },
                    {
                      "key": "t",
                      "value": "2"
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
                "inputs": {},
                "outputs": {}
              }
            }
            "#);
            assert_snapshot!(history, @r#"
            200 {
              "metrics": [
                {
                  "key": "loss",
                  "step": 1,
                  "timestamp": 10,
                  "value": 0.5
                },
                {
                  "key": "loss",
                  "step": 2,
                  "timestamp": 11,
                  "value": 0.25
                },
                {
                  "key": "loss",
                  "step": 0,
                  "timestamp": 99,
                  "value": 9.0
                }
              ]
            }
            "#);
        }
        server
    })
    .await;
}

#[tokio::test]
async fn a_refused_batch_leaves_nothing() {
    each_server(|server| async move {
        let run_id = server.run().await;
        let param = |value: &str| json!({"run_id": run_id, "key": "depth", "value": value});
        server.post("/runs/log-parameter", &param("3")).await;
        assert_eq!(server.post("/runs/log-parameter", &param("3")).await.status, 200);
        let changed = server.post("/runs/log-parameter", &param("4")).await.text("/message").replace(&run_id, "<run>");
        let metric = json!({"key": "m", "value": 1, "timestamp": 1});
        let batches = [
            json!({"params": [{"key": "depth", "value": "4"}, {"key": "new", "value": "1"}]}),
            json!({"params": [{"key": "new", "value": "1"}, {"key": "new", "value": "1"}]}),
            json!({"metrics": [metric, {"key": "a/../b", "value": 1, "timestamp": 1}]}),
            json!({"metrics": [metric, {"key": "late", "value": 1, "timestamp": -1}]}),
            json!({"metrics": [metric, {"key": "k".repeat(251), "value": 1, "timestamp": 1}]}),
            json!({"metrics": [metric, {"key": "no value", "timestamp": 1}]}),
            json!({"metrics": [metric, {"key": "no time", "value": 1}]}),
            json!({"metrics": vec![metric.clone(); 1001]}),
            json!({"metrics": [metric], "tags": [{"value": "no key"}]}),
            json!({"metrics": [metric], "tags": (0..101).map(|i| json!({"key": i.to_string(), "value": ""})).collect::<Vec<_>>()}),
            json!({"metrics": [metric, {"key": "x", "value": 1, "timestamp": 1, "model_id": "m-unknown"}]}),
        ];
        let mut messages = vec![changed];
        for mut batch in batches {
            batch["run_id"] = json!(run_id);
            let refused = server.post("/runs/log-batch", &batch).await;
            assert_eq!(refused.status / 100, 4, "{refused}");
            messages.push(refused.text("/message").replace(&run_id, "<run>"));
        }
        let run = server.get(&format!("/runs/get?run_id={run_id}")).await;
        assert_eq!(run.body["run"]["data"]["params"], json!([{"key": "depth", "value": "3"}]));
        assert_eq!(run.body["run"]["data"]["metrics"], Value::Null);
        allow_duplicates! { assert_snapshot!(messages.join("\n").replace(&"k".repeat(251), "<251 k>"), @r#"
        Changing param values is not allowed. Param with key='depth' was already logged with value='3' for run ID='<run>'. Attempted logging new value '4'.
        Changing param values is not allowed. Params were already logged='[{'key': 'depth', 'old_value': '3', 'new_value': '4'}]' for run ID='<run>'.
        Duplicate parameter keys have been submitted: ['new']. Please ensure the request contains only one param value per param key.
        Invalid value "a/../b" for parameter 'metrics[1].name' supplied: Names may be treated as files in certain cases, and must not resolve to other names when treated as such. This name would resolve to 'b'
        Invalid value -1 for parameter 'metrics[1].timestamp' supplied: metric 'late' (value=1.0). Timestamp must be a nonnegative long (64-bit integer) 
        'Metric name' exceeds the maximum length of 250 characters
        Missing value for required parameter 'metrics[1].value'. See the API docs for more information about request parameters.
        Missing value for required parameter 'metrics[1].timestamp'. See the API docs for more information about request parameters.
        A batch logging request can contain at most 1000 metrics. Got 1001 metrics. Please split up metrics across multiple requests and try again.
        Missing value for required parameter 'tags[0].key'. See the API docs for more information about request parameters.
        A batch logging request can contain at most 100 tags. Got 101 tags. Please split up tags across multiple requests and try again.
        Logged model with ID 'm-unknown' not found.
        "#) }
        server
    })
    .await;
}

#[tokio::test]
async fn nan_infinities_and_the_ends_of_int64_come_back() {
    each_server(|server| async move {
        let run_id = server.run().await;
        for (key, value, step) in [
            ("a", json!("NaN"), json!(i64::MAX)),
            ("b", json!("Infinity"), json!(i64::MIN)),
            ("c", json!("-Infinity"), json!(i64::MAX.to_string())),
            ("d", json!(f64::MAX), json!(0)),
            ("e", json!(5e-324), json!(null)),
        ] {
            let metric =
                json!({"run_id": run_id, "key": key, "value": value, "timestamp": i64::MAX, "step": step});
            assert_eq!(server.post("/runs/log-metric", &metric).await.to_string(), "200 {}");
        }
        let run = server.get(&format!("/runs/get?run_id={run_id}")).await;
        let metrics = serde_json::to_string_pretty(&run.body["run"]["data"]["metrics"]).unwrap();
        allow_duplicates! { assert_snapshot!(metrics, @r#"
        [
          {
            "key": "a",
            "step": 9223372036854775807,
            "timestamp": 9223372036854775807,
            "value": "NaN"
          },
          {
            "key": "b",
            "step": -9223372036854775808,
            "timestamp": 9223372036854775807,
            "value": "Infinity"
          },
          {
            "key": "c",
            "step": 9223372036854775807,
            "timestamp": 9223372036854775807,
            "value": "-Infinity"
          },
          {
            "key": "d",
            "step": 0,
            "timestamp": 9223372036854775807,
            "value": 1.7976931348623157e+308
          },
          {
            "key": "e",
            "step": 0,
            "timestamp": 9223372036854775807,
            "value": 5e-324
          }
        ]
        "#) }
        let history = server.get(&format!("/metrics/get-history?run_id={run_id}&metric_key=a")).await;
        assert_eq!(history.body["metrics"][0]["value"], "NaN");
        server
    })
    .await;
}

#[tokio::test]
async fn long_values_are_cut_and_long_names_refused() {
    each_server(|server| async move {
        let run_id = server.run().await;
        let pair = |key: &str, value: &str| json!({"run_id": run_id, "key": key, "value": value});
        server.post("/runs/log-parameter", &pair("p", &"ü".repeat(6001))).await;
        server.post("/runs/set-tag", &pair("t", &"ü".repeat(8001))).await;
        let run = server.get(&format!("/runs/get?run_id={run_id}")).await;
        assert_eq!(run.text("/run/data/params/0/value"), "ü".repeat(6000));
        assert_eq!(run.text("/run/data/tags/1/value"), "ü".repeat(8000));
        let refused = server.post("/runs/set-tag", &pair(&"k".repeat(251), "v")).await;
        assert_eq!(refused.text("/message"), "'key' exceeds the maximum length of 250 characters");
        server
    })
    .await;
}

#[tokio::test]
async fn tags_are_set_and_deleted_and_one_is_the_name() {
    each_server(|server| async move {
        let run_id = server.run().await;
        let set = async |key: &str, value: &str| {
            server.post("/runs/set-tag", &json!({"run_id": run_id, "key": key, "value": value})).await
        };
        set("a", "1").await;
        set("a", "2").await;
        set("mlflow.runName", "renamed").await;
        server.post("/runs/delete-tag", &json!({"run_id": run_id, "key": "a"})).await;
        let run = server.get(&format!("/runs/get?run_id={run_id}")).await;
        assert_eq!(run.text("/run/info/run_name"), "renamed");
        assert_eq!(run.body["run"]["data"]["tags"], json!([{"key": "mlflow.runName", "value": "renamed"}]));
        server
    })
    .await;
}

#[tokio::test]
async fn what_older_clients_tell_of_models_becomes_a_tag() {
    each_server(|server| async move {
        let run_id = server.run().await;
        let log = async |model: Value| {
            server.post("/runs/log-model", &json!({"run_id": run_id, "model_json": model.to_string()})).await
        };
        let model = json!({
            "artifact_path": "model", "run_id": run_id, "utc_time_created": "now", "signature": "dropped",
            "flavors": {"sklearn": {"config": "dropped", "version": "1"}},
        });
        log(model.clone()).await;
        log(model).await;
        let run = server.get(&format!("/runs/get?run_id={run_id}")).await;
        let history: Value = serde_json::from_str(&run.text("/run/data/tags/0/value")).unwrap();
        let entry = json!({
            "artifact_path": "model", "run_id": run_id, "utc_time_created": "now",
            "flavors": {"sklearn": {"version": "1"}},
        });
        assert_eq!(history, json!([entry, entry]));
        let missing = log(json!({"run_id": "x"})).await;
        let broken = server.post("/runs/log-model", &json!({"run_id": run_id, "model_json": "{"})).await;
        allow_duplicates! { assert_snapshot!(format!("{missing}\n{broken}"), @r#"
        400 {
          "error_code": "INVALID_PARAMETER_VALUE",
          "message": "Model json is missing mandatory fields: {'artifact_path', 'flavors', 'utc_time_created'}"
        }
        400 {
          "error_code": "INVALID_PARAMETER_VALUE",
          "message": "Malformed model info. \n { \n is not a valid JSON."
        }
        "#) }
        server
    })
    .await;
}
