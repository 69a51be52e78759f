use crate::support::each_server;
use serde_json::{Value, json};

/// What MLflow's page of a run asks.
const GET_RUN: &str = r#"
query GetRun($data: MlflowGetRunInput!) @component(name: "MLflow.ExperimentRunTracking") {
  mlflowGetRun(input: $data) {
    apiError { helpUrl code message }
    run {
      info { runName status runUuid experimentId artifactUri endTime lifecycleStage startTime userId }
      experiment { experimentId name tags { key value } artifactLocation lifecycleStage }
      modelVersions { status version name source }
      data { metrics { key value step timestamp } params { key value } tags { key value } }
      inputs {
        datasetInputs { dataset { digest name profile schema source sourceType } tags { key value } }
        modelInputs { modelId }
      }
      outputs { modelOutputs { modelId step } }
    }
  }
}"#;

#[tokio::test]
async fn a_run_with_all_that_belongs_to_it() {
    each_server(|server| async move {
        let run_id = server.run().await;
        let model_id = server.model("m").await;
        let metric = |key: &str, value: &str| json!({"key": key, "value": value, "timestamp": 7, "step": 3});
        let batch = json!({
            "run_id": run_id,
            "metrics": [metric("loss", "0.5"), metric("odd", "NaN"), metric("vast", "Infinity")],
            "params": [{"key": "c", "value": "1"}],
        });
        assert_eq!(server.post("/runs/log-batch", &batch).await.status, 200);
        let dataset = json!({"name": "iris", "digest": "a", "source_type": "local", "source": "{}"});
        let inputs = json!({"run_id": run_id, "datasets": [{"dataset": dataset, "tags": []}]});
        assert_eq!(server.post("/runs/log-inputs", &inputs).await.status, 200);
        let outputs = json!({"run_id": run_id, "models": [{"model_id": model_id, "step": "3"}]});
        assert_eq!(server.post("/runs/outputs", &outputs).await.status, 200);
        assert_eq!(server.post("/registered-models/create", &json!({"name": "iris"})).await.status, 200);
        let version = json!({"name": "iris", "source": "s3://b/m", "run_id": run_id});
        assert_eq!(server.post("/model-versions/create", &version).await.status, 200);

        let answer = server.graphql(GET_RUN, json!({"data": {"runId": run_id}})).await;
        assert_eq!(answer.body["errors"], Value::Null, "{answer}");
        let response = &answer.body["data"]["mlflowGetRun"];
        assert_eq!(response["apiError"], Value::Null);
        let run = &response["run"];
        assert_eq!(
            run["info"],
            json!({
                "runName": "r", "status": "RUNNING", "runUuid": run_id, "experimentId": "0",
                "artifactUri": format!("mlflow-artifacts:/0/{run_id}/artifacts"), "endTime": "0",
                "lifecycleStage": "active", "startTime": "0", "userId": "",
            })
        );
        assert_eq!(run["experiment"]["name"], "Default");
        let registered = json!([{"status": "READY", "version": "1", "name": "iris", "source": "s3://b/m"}]);
        assert_eq!(run["modelVersions"], registered);
        assert_eq!(
            run["data"],
            json!({
                "metrics": [
                    {"key": "loss", "value": 0.5, "step": "3", "timestamp": "7"},
                    {"key": "odd", "value": null, "step": "3", "timestamp": "7"},
                    {"key": "vast", "value": f64::MAX, "step": "3", "timestamp": "7"},
                ],
                "params": [{"key": "c", "value": "1"}],
                "tags": [{"key": "mlflow.runName", "value": "r"}],
            })
        );
        let dataset = &run["inputs"]["datasetInputs"][0]["dataset"];
        assert_eq!((&dataset["name"], &dataset["profile"]), (&json!("iris"), &json!("")));
        assert_eq!(run["outputs"]["modelOutputs"], json!([{"modelId": model_id, "step": "3"}]));
        server
    })
    .await;
}

#[tokio::test]
async fn searches_and_histories() {
    each_server(|server| async move {
        let run_id = server.run().await;
        for step in 0..10 {
            let metric = json!({"run_id": run_id, "key": "m", "value": step, "timestamp": 1, "step": step});
            assert_eq!(server.post("/runs/log-metric", &metric).await.status, 200);
        }
        let query =
            r#"query($runs: MlflowSearchRunsInput, $history: MlflowGetMetricHistoryBulkIntervalInput) {
            echo: test(inputString: "abc") { output }
            mlflowSearchRuns(input: $runs) { runs { info { runId } } nextPageToken }
            mlflowGetMetricHistoryBulkInterval(input: $history) { metrics { key value step runId } }
            mlflowGetExperiment(input: {experimentId: "0"}) { experiment { name workspace } }
            mlflowListArtifacts(input: {runId: "RUN"}) { rootUri files { path isDir fileSize } }
            mlflowSearchModelVersions(input: {maxResults: 5}) { modelVersions { name modelId } nextPageToken }
        }"#
            .replace("RUN", &run_id);
        let variables = json!({
            "runs": {"experimentIds": ["0"], "runViewType": "ACTIVE_ONLY", "maxResults": 10},
            "history": {"runIds": [run_id], "metricKey": "m", "startStep": 8, "endStep": 9},
        });
        let answer = server.graphql(&query, variables).await;
        assert_eq!(answer.body["errors"], Value::Null, "{answer}");
        let point =
            |step: i64| json!({"key": "m", "value": step as f64, "step": step.to_string(), "runId": run_id});
        assert_eq!(
            answer.body["data"],
            json!({
                "echo": {"output": "abc"},
                "mlflowSearchRuns": {"runs": [{"info": {"runId": run_id}}], "nextPageToken": ""},
                "mlflowGetMetricHistoryBulkInterval": {"metrics": [point(8), point(9)]},
                "mlflowGetExperiment": {"experiment": {"name": "Default", "workspace": ""}},
                "mlflowListArtifacts": {
                    "rootUri": format!("mlflow-artifacts:/0/{run_id}/artifacts"), "files": [],
                },
                "mlflowSearchModelVersions": {"modelVersions": [], "nextPageToken": ""},
            })
        );
        // MLflow's "mutations" change nothing.
        let mutation = r#"mutation m @component(name: "x") {
            testMutation(inputString: "y") { output }
            mlflowSearchRuns(input: {experimentIds: ["0"]}) { runs { info { status } } }
            mlflowSearchDatasets(input: {experimentIds: ["0"]}) { datasetSummaries { name context } }
        }"#;
        let answer = server.post_graphql(&json!({"query": mutation, "operationName": "m"})).await;
        assert_eq!(answer.body["errors"], Value::Null, "{answer}");
        assert_eq!(answer.body["data"]["mlflowSearchRuns"]["runs"][0]["info"]["status"], "RUNNING");
        server
    })
    .await;
}

#[tokio::test]
async fn what_fails_is_null_and_has_a_message() {
    each_server(|server| async move {
        for (field, message) in [
            (r#"mlflowGetRun(input: {runId: "nope"}) { run { info { runId } } }"#, "Run with id=nope not found"),
            (
                r#"mlflowGetExperiment(input: {experimentId: "x"}) { experiment { name } }"#,
                "Invalid experiment ID 'x'. Experiment ID must be a valid integer.",
            ),
            (
                r#"mlflowGetExperiment(input: {experimentId: "9"}) { experiment { name } }"#,
                "No Experiment with id=9 exists",
            ),
            ("mlflowGetExperiment { experiment { name } }", "required parameter 'experiment_id'"),
            (
                r#"mlflowSearchRuns(input: {experimentIds: ["0"], filter: "bogus =="}) { runs { info { runId } } }"#,
                "filter",
            ),
            ("mlflowSearchRuns(input: {maxResults: 50001}) { runs { info { runId } } }", "at most 50000 rows"),
            (
                r#"mlflowListArtifacts(input: {runId: "RUN", path: "../x"}) { files { path } }"#,
                "path",
            ),
        ] {
            let run_id = server.run().await;
            let answer = server.graphql(&format!("{{ x: {} }}", field.replace("RUN", &run_id)), json!({})).await;
            assert_eq!(answer.status, 200);
            assert_eq!(answer.body["data"], json!({"x": null}), "{field}: {answer}");
            assert!(answer.text("/errors/0").contains(message), "{field}: {answer}");
        }
        for (query, message) in [
            ("{ nope { x } }".to_owned(), "nope"),
            ("{ mlflowGetRun(input: {runID: \"x\"}) { run { info { runId } } } }".to_owned(), "runID"),
            ("query a { test { output } }".to_owned(), "b"),
            (format!("{{ {} }}", "a: test { output } ".repeat(12)), "at most 10 root fields, got 12"),
            (format!("{}x{}", "{ a ".repeat(14), "}".repeat(14)), "maximum depth of 10"),
        ] {
            let answer = server.post_graphql(&json!({"query": query, "operationName": "b"})).await;
            assert_eq!(answer.status, 200, "{query}");
            assert_eq!(answer.body["data"], Value::Null, "{query}: {answer}");
            assert!(answer.text("/errors/0").contains(message), "{query}: {answer}");
        }
        server
    })
    .await;
}

#[tokio::test]
async fn what_is_no_graphql_is_refused() {
    each_server(|server| async move {
        for (body, message) in [
            (json!({}), "Missing value for required parameter 'query'"),
            (json!({"query": ""}), "'query'"),
            (json!({"query": 7}), "Invalid value 7 for parameter 'query'"),
            (json!({"query": "{ test { output } }", "variables": [1]}), "'variables'"),
            (json!({"query": "{ test { output } }", "operationName": 7}), "'operationName'"),
            (json!([{"query": "{ test { output } }"}]), "list"),
            (json!({"query": "{ test {"}), "query:"),
            (json!({"query": "{ test(inputString: \u{1}) { output } }"}), "query:"),
            (json!({"query": format!("{{ test(inputString: {}) }}", "[".repeat(50_000))}), "query:"),
            (json!({"query": "{ a ".repeat(20_000)}), "query:"),
            (json!({"query": "#".repeat(100_001)}), "100001 bytes, expected at most 100000"),
        ] {
            let answer = server.post_graphql(&body).await;
            let shown: String = body.to_string().chars().take(100).collect();
            assert_eq!(answer.status, 400, "{shown}");
            assert_eq!(answer.body["error_code"], "INVALID_PARAMETER_VALUE", "{shown}");
            assert!(answer.text("/message").contains(message), "{shown}: {answer}");
            assert!(answer.text("/message").len() < 10_000, "{shown}");
        }
        server
    })
    .await;
}

#[tokio::test]
async fn look_ups_for_runs_are_bounded() {
    each_server(|server| async move {
        server.run().await;
        // Ten searches find the run ten times: each look-up counts.
        let fields = (0..10).map(|i| format!("v{i}: modelVersions {{ name }}")).collect::<Vec<_>>().join(" ");
        let search = |i: usize| format!("s{i}: mlflowSearchRuns(input: {{experimentIds: [\"0\"], maxResults: 9}}) {{ runs {{ {fields} }} }} ");
        let query = format!("{{ {} }}", (0..10).map(search).collect::<String>());
        let answer = server.graphql(&query, json!({})).await;
        assert_eq!(answer.body["errors"], Value::Null, "{answer}");
        for _ in 0..11 {
            server.run().await;
        }
        let answer = server.graphql(&query, json!({})).await;
        assert_eq!(answer.status, 200);
        let answer_text = answer.to_string();
        assert_eq!(answer.body["errors"], Value::Null, "{answer_text}");
        for _ in 0..5 {
            server.run().await;
        }
        // 9 runs a page stay below the bound; 90 look-ups for each of 10 searches. Without a page size
        // all 17 runs come, and 1,700 look-ups would be needed.
        let answer = server.graphql(&query.replace(", maxResults: 9", ""), json!({})).await;
        assert!(answer.text("/errors/0").contains("at most 1000 experiments and model versions"), "{answer}");
        server
    })
    .await;
}
