use crate::support::{Server, each_server};
use insta::{allow_duplicates, assert_snapshot};
use serde_json::{Value, json};

/// Four runs: `loss` 0.1, 0.2, NaN and none.
async fn runs(server: &Server) {
    for (i, loss) in [json!(0.1), json!(0.2), json!("NaN"), Value::Null].into_iter().enumerate() {
        let run = json!({"experiment_id": "0", "run_name": format!("run {i}"), "start_time": i});
        let run_id = server.post("/runs/create", &run).await.text("/run/info/run_id");
        let kind = ["Tree", "forest"][i % 2];
        let metrics =
            if loss.is_null() { json!([]) } else { json!([{"key": "loss", "value": loss, "timestamp": 1}]) };
        let batch = json!({
            "run_id": run_id, "metrics": metrics, "params": [{"key": "kind", "value": kind}],
            "tags": [{"key": "my tag", "value": format!("v_{i}")}],
        });
        assert_eq!(server.post("/runs/log-batch", &batch).await.status, 200);
    }
}

#[tokio::test]
async fn filters_and_orders() {
    each_server(|server| async move {
        runs(&server).await;
        for (filter, order, expected) in [
            ("", "", "3 2 1 0"),
            ("metrics.loss > 0.1", "", "1"),
            ("metrics.loss != 0.1", "", "2 1"),
            ("metrics.loss = 0", "", ""),
            ("params.kind = 'Tree' AND metrics.loss <= 0.1", "", "0"),
            ("params.kind LIKE 't%'", "", ""),
            ("params.kind ILIKE 't%'", "", "2 0"),
            ("tags.`my tag` = \"v_1\"", "", "1"),
            ("tags.'my tag' = 'v_1'", "", "1"),
            ("tags.\"my tag\" LIKE 'v_%' and attributes.start_time < 2", "", "1 0"),
            ("attributes.`Run name` = 'run 3'", "", "3"),
            ("metrics.loss IS NULL", "", "400"),
            ("tags.nope IS NULL AND params.kind IS NOT NULL", "", "3 2 1 0"),
            ("", "metrics.loss", "0 1 2 3"),
            ("", "metrics.loss DESC", "1 0 2 3"),
            ("", "params.kind", "2 0 3 1"),
            ("", "tags.`my tag` DESC", "3 2 1 0"),
            ("", "end_time", "3 2 1 0"),
            ("", "attributes.start_time ASC", "0 1 2 3"),
        ] {
            let mut body = json!({"experiment_ids": ["0"], "filter": filter});
            if !order.is_empty() {
                body["order_by"] = json!([order]);
            }
            let answer = server.post("/runs/search", &body).await;
            let found: Vec<String> = answer.texts("runs", "/info/run_name");
            let found =
                found.iter().map(|name| name.trim_start_matches("run ")).collect::<Vec<_>>().join(" ");
            let found = if answer.status == 200 { found } else { answer.status.to_string() };
            assert_eq!(found, expected, "{filter:?} {order:?}: {answer}");
        }
        server
    })
    .await;
}

#[tokio::test]
async fn pages_stay_right_while_runs_are_added() {
    each_server(|server| async move {
        runs(&server).await;
        let mut body = json!({"experiment_ids": ["0"], "order_by": ["metrics.loss DESC"], "max_results": 1});
        let mut seen = Vec::new();
        loop {
            let page = server.post("/runs/search", &body).await;
            seen.extend(page.texts("runs", "/info/run_name"));
            let Some(token) = page.body["next_page_token"].as_str() else { break };
            body["page_token"] = json!(token);
            // Sorts before everything: an offset would now repeat a run.
            let run_id = server.run().await;
            let metric = json!({"run_id": run_id, "key": "loss", "value": 1e9, "timestamp": 1});
            server.post("/runs/log-metric", &metric).await;
        }
        assert_eq!(seen, ["run 1", "run 0", "run 2", "run 3"]);
        body["filter"] = json!("metrics.loss > 0");
        let other = server.post("/runs/search", &body).await;
        allow_duplicates! { assert_snapshot!(other, @r#"
        400 {
          "error_code": "INVALID_PARAMETER_VALUE",
          "message": "Invalid page token, it belongs to another query; send the query that it came with"
        }
        "#) }
        server
    })
    .await;
}

#[tokio::test]
async fn deleted_runs_are_seen_when_asked_for() {
    each_server(|server| async move {
        runs(&server).await;
        let run_id = server.run().await;
        server.post("/runs/delete", &json!({"run_id": run_id})).await;
        for (view, expected) in
            [(json!(null), 4), (json!("ACTIVE_ONLY"), 4), (json!("DELETED_ONLY"), 1), (json!(3), 5)]
        {
            let body = json!({"experiment_ids": ["0"], "run_view_type": view});
            let found = server.post("/runs/search", &body).await.texts("runs", "/info/run_id");
            assert_eq!(found.len(), expected, "{view}");
        }
        let none = server.post("/runs/search", &json!({})).await;
        assert_eq!(none.to_string(), "200 {}");
        server
    })
    .await;
}

#[tokio::test]
async fn experiments_by_post_and_by_get() {
    each_server(|server| async move {
        for name in ["alpha", "beta"] {
            let tags = json!([{"key": "team", "value": name}]);
            server.post("/experiments/create", &json!({"name": name, "tags": tags})).await;
        }
        let body = json!({"max_results": 2, "filter": "tags.team LIKE '%a'", "order_by": ["name DESC"]});
        let posted = server.post("/experiments/search", &body).await;
        let query = "max_results=2&filter=tags.team+LIKE+%27%25a%27&order_by=name+DESC&view_type=ALL";
        let got = server.get(&format!("/experiments/search?{query}")).await;
        assert_eq!(posted.body, got.body);
        assert_eq!(posted.texts("experiments", "/name"), ["beta", "alpha"]);
        let ids = json!({"max_results": 9, "filter": "experiment_id IN ('0', '2')"});
        let found = server.post("/experiments/search", &ids).await.texts("experiments", "/name");
        assert_eq!(found, ["beta", "Default"]);
        server
    })
    .await;
}

#[tokio::test]
async fn logged_models_by_metric_on_a_dataset() {
    each_server(|server| async move {
        let run_id = server.run().await;
        for (i, (dataset, value)) in [("train", 3), ("eval", 2), ("train", 1)].into_iter().enumerate() {
            let model_id = server.model(&format!("m{i}")).await;
            let metric = json!({
                "run_id": run_id, "key": "f1", "value": value, "timestamp": 1, "model_id": model_id,
                "dataset_name": dataset, "dataset_digest": "d",
            });
            server.post("/runs/log-metric", &metric).await;
        }
        for (search, expected) in [
            (json!({"filter": "metrics.f1 >= 2", "order_by": [{"field_name": "name"}]}), vec!["m0", "m1"]),
            (json!({"datasets": [{"dataset_name": "eval"}]}), vec!["m1"]),
            (json!({"filter": "metrics.f1 > 1", "datasets": [{"dataset_name": "train", "dataset_digest": "d"}]}), vec!["m0"]),
            (json!({"order_by": [{"field_name": "metrics.f1", "ascending": false}]}), vec!["m0", "m1", "m2"]),
            (
                json!({"order_by": [{"field_name": "metrics.f1", "dataset_name": "train"}]}),
                vec!["m2", "m0", "m1"],
            ),
            (json!({"filter": "name IN ('m1', 'm2') AND name != 'm1'"}), vec!["m2"]),
        ] {
            let mut body = search;
            body["experiment_ids"] = json!(["0"]);
            let found = server.post("/logged-models/search", &body).await;
            assert_eq!(found.texts("models", "/info/name"), expected, "{body} {found}");
        }
        server
    })
    .await;
}

#[tokio::test]
async fn refusals_point_at_the_column() {
    each_server(|server| async move {
        let mut messages = Vec::new();
        for filter in [
            "metrics.loss > 'high'",
            "metrics.loss > 0 OR metrics.loss < 1",
            "ünï = 'x'",
            "params.a = 1",
            "params.a = 'open",
            "nope.a = 'b'",
            "status IN ('RUNNING')",
            "run_id IN ('a', 1)",
            "metrics.loss LIKE 'x'",
            "metrics.loss > 1e999",
            "metrics.loss > 0 AND metrics",
            "tags.team = blue",
        ] {
            let answer =
                server.post("/runs/search", &json!({"experiment_ids": ["0"], "filter": filter})).await;
            assert_eq!(
                (answer.status, answer.text("/error_code").as_str()),
                (400, "INVALID_PARAMETER_VALUE")
            );
            messages.push(format!("{filter}\n  {}", answer.text("/message")));
        }
        for body in [
            json!({"order_by": ["metrics.loss up"]}),
            json!({"order_by": ["start_time", "Created DESC"]}),
            json!({"max_results": 50_001}),
            json!({"max_results": 0}),
            json!({"page_token": "?"}),
            json!({"experiment_ids": ["x"]}),
            json!({"experiment_ids": [7]}),
        ] {
            let answer = server.post("/runs/search", &body).await;
            assert_eq!(answer.status, 400, "{answer}");
            messages.push(format!("{body}\n  {}", answer.text("/message")));
        }
        allow_duplicates! { assert_snapshot!(messages.join("\n"), @r#"
        metrics.loss > 'high'
          Expected numeric value type for metric. Found 'high'. (column 16 of filter)
        metrics.loss > 0 OR metrics.loss < 1
          Invalid clause(s) in filter string: expected AND or the end, found 'OR metrics.loss < 1'. (column 18 of filter)
        ünï = 'x'
          Invalid attribute key 'ünï' specified. Valid keys are '['artifact_uri', 'end_time', 'run_id', 'run_name', 'start_time', 'status', 'user_id']'. (column 1 of filter)
        params.a = 1
          Expected a quoted string value for parameter (e.g. 'my-value'). Got value 1. (column 12 of filter)
        params.a = 'open
          Invalid clause(s) in filter string: expected a closing quote, found the end. (column 17 of filter)
        nope.a = 'b'
          Invalid entity type 'nope'. Valid values are ['metric', 'parameter', 'tag', 'attribute', 'dataset']. (column 1 of filter)
        status IN ('RUNNING')
          Only ['run_id'] attributes support comparison with a list of quoted string values. (column 8 of filter)
        run_id IN ('a', 1)
          While parsing a list in the query, expected string value, punctuation, or whitespace, but got different type in list: ('a', 1). (column 11 of filter)
        metrics.loss LIKE 'x'
          Expected numeric value type for metric. Found 'x'. (column 19 of filter)
        metrics.loss > 1e999
          Number 1e999 is out of range. (column 16 of filter)
        metrics.loss > 0 AND metrics
          Invalid clause(s) in filter string: expected a comparison operator, found the end. (column 29 of filter)
        tags.team = blue
          Parameter value is either not quoted or unidentified quote types used for string value blue. Use either single or double quotes. (column 13 of filter)
        {"order_by":["metrics.loss up"]}
          Invalid order_by clause 'metrics.loss up': expected ASC, DESC or the end, found 'up'. (column 14 of order_by)
        {"order_by":["start_time","Created DESC"]}
          `order_by` contains duplicate fields: ["start_time", "Created DESC"]
        {"max_results":50001}
          Invalid value 50001 for parameter 'max_results' supplied:  Hint: Value was of type 'int'. See the API docs for more information about request parameters.
        {"max_results":0}
          Invalid value 0 for parameter 'max_results' supplied. It must be a positive integer
        {"page_token":"?"}
          Invalid page token, could not base64-decode
        {"experiment_ids":["x"]}
          Invalid experiment ID 'x'. Experiment ID must be a valid integer.
        {"experiment_ids":[7]}
          Invalid value [7] for parameter 'experiment_ids' supplied:  Hint: Value was of type 'list'. See the API docs for more information about request parameters.
        "#) }
        server
    })
    .await;
}

#[tokio::test]
async fn long_lists() {
    each_server(|server| async move {
        let run_id = server.run().await;
        let list = |count: usize| {
            let ids = (1..count).map(|number| format!("'{number}'")).chain([format!("'{run_id}'")]);
            ids.collect::<Vec<_>>().join(",")
        };
        let search = async |filter: String| {
            server.post("/runs/search", &json!({"experiment_ids": ["0"], "filter": filter})).await
        };
        for filter in [
            format!("run_id IN ({})", list(1_000)),
            format!("run_id IN ({}) AND status = 'RUNNING'", list(1_000)),
            format!("run_id IN ({}) AND run_id IN ({})", list(500), list(500)),
        ] {
            let found = search(filter).await;
            assert_eq!(found.text("/runs/0/info/run_id"), run_id, "{found}");
        }
        // Several experiments are read one by one, as long as that binds no more than the engine takes.
        let mut experiments = vec!["0".to_owned()];
        for number in 0..40 {
            let made = server.post("/experiments/create", &json!({"name": format!("e{number}")})).await;
            experiments.push(made.text("/experiment_id"));
        }
        for experiments in [&experiments[..20], &experiments[..]] {
            let filter = format!("run_id NOT IN ({})", list(1_000));
            let body = json!({"experiment_ids": experiments, "filter": filter, "run_view_type": "ALL"});
            let none = server.post("/runs/search", &body).await;
            assert_eq!((none.status, none.body.get("runs")), (200, None), "{none}");
        }
        let spans = format!("span.attributes.a IN ({})", list(1_000));
        let body = json!({"locations": [{"type": "MLFLOW_EXPERIMENT", "mlflow_experiment": {"experiment_id": "0"}}],
                          "filter": spans});
        let traces = server.post("/api/3.0/mlflow/traces/search", &body).await;
        assert_eq!(traces.status, 200, "{traces}");
        for filter in [
            format!("run_id IN ({})", list(1_001)),
            vec![format!("run_id IN ({})", list(500)); 11].join(" AND "),
        ] {
            let refused = search(filter).await;
            assert_eq!(refused.status, 400, "{refused}");
            assert!(refused.text("/message").contains("at most 1000 values"), "{refused}");
        }
        server
    })
    .await;
}
