use crate::support::each_server;
use insta::{allow_duplicates, assert_snapshot};
use serde_json::json;

#[tokio::test]
async fn a_history_is_read_in_pages_while_it_grows() {
    each_server(|server| async move {
        let run_id = server.run().await;
        let log = async |step: i64| {
            let metric =
                json!({"run_id": run_id, "key": "m", "value": step, "timestamp": 100 + step, "step": step});
            assert_eq!(server.post("/runs/log-metric", &metric).await.status, 200);
        };
        for step in 0..7 {
            log(step).await;
        }
        let mut seen = Vec::new();
        let mut path = format!("/metrics/get-history?run_id={run_id}&metric_key=m&max_results=3");
        let first = path.clone();
        loop {
            let page = server.get(&path).await;
            let steps = page.body["metrics"].as_array().unwrap().clone();
            seen.extend(steps.iter().map(|m| m["step"].as_i64().unwrap()));
            let Some(token) = page.body["next_page_token"].as_str() else { break };
            path = format!("{first}&page_token={token}");
            // Comes before what was read: must not shift what is still to come.
            let early = json!({"run_id": run_id, "key": "m", "value": 0, "timestamp": 1, "step": seen.len()});
            server.post("/runs/log-metric", &early).await;
        }
        assert_eq!(seen, [0, 1, 2, 3, 4, 5, 6]);
        server
    })
    .await;
}

/// Longer than what is read at once: the answer is joined of pieces, whole and with what follows.
#[tokio::test]
async fn a_long_history_comes_whole() {
    each_server(|server| async move {
        const COUNT: i64 = 25_000;
        let run_id = server.run().await;
        let metrics = async |key: &str, count: i64| {
            for first in (0..count).step_by(1_000) {
                let values: Vec<_> = (first..count.min(first + 1_000))
                    .map(|step| json!({"key": key, "value": "NaN", "timestamp": step, "step": step}))
                    .collect();
                let batch = json!({"run_id": run_id, "metrics": values});
                assert_eq!(server.post("/runs/log-batch", &batch).await.status, 200);
            }
        };
        metrics("long", COUNT).await;
        // Ends where a piece does.
        metrics("even", 20_000).await;
        let steps = |body: &serde_json::Value| -> Vec<i64> {
            let metrics = body["metrics"].as_array().unwrap().iter();
            metrics.map(|metric| metric["step"].as_i64().unwrap()).collect()
        };
        let path = format!("/metrics/get-history?run_id={run_id}&metric_key=");
        let whole = server.get(&format!("{path}long")).await;
        assert_eq!(steps(&whole.body), (0..COUNT).collect::<Vec<_>>());
        assert_eq!(whole.body["metrics"][24_999]["value"], "NaN");
        assert!(whole.body.get("next_page_token").is_none());
        let even = server.get(&format!("{path}even")).await;
        assert_eq!(steps(&even.body), (0..20_000).collect::<Vec<_>>());
        let some = server.get(&format!("{path}long&max_results=20000")).await;
        assert_eq!(steps(&some.body), (0..20_000).collect::<Vec<_>>());
        let rest = format!("{path}long&page_token={}", some.text("/next_page_token"));
        assert_eq!(steps(&server.get(&rest).await.body), (20_000..COUNT).collect::<Vec<_>>());
        server
    })
    .await;
}

/// What is logged without steps is all at step 0.
#[tokio::test]
async fn a_chart_has_the_first_and_the_last_value_of_a_step() {
    each_server(|server| async move {
        let run_id = server.run().await;
        let log = async |range: std::ops::Range<i64>| {
            for first in range.step_by(1_000) {
                let values: Vec<_> = (first..first + 1_000)
                    .map(|time| json!({"key": "m", "value": time, "timestamp": time, "step": 0}))
                    .collect();
                let batch = json!({"run_id": run_id, "metrics": values});
                assert_eq!(server.post("/runs/log-batch", &batch).await.status, 200);
            }
        };
        let path =
            format!("/metrics/get-history-bulk-interval?run_ids={run_id}&metric_key=m&max_results=320");
        let times = async || -> Vec<i64> {
            let body = server.get(&path).await.body;
            let metrics = body["metrics"].as_array().unwrap().iter();
            metrics.map(|metric| metric["timestamp"].as_i64().unwrap()).collect()
        };
        log(0..1_000).await;
        let chosen = times().await;
        assert_eq!((chosen.len(), chosen[0], chosen[320]), (321, 0, 999));
        assert!(chosen.windows(2).all(|pair| pair[0] < pair[1] && pair[1] <= pair[0] + 4), "{chosen:?}");
        log(1_000..4_000).await;
        let chosen = times().await;
        assert_eq!((chosen.len(), chosen[0], chosen[320]), (321, 0, 3_999));
        assert!(chosen.windows(2).all(|pair| pair[0] < pair[1] && pair[1] <= pair[0] + 13), "{chosen:?}");
        server
    })
    .await;
}

#[tokio::test]
async fn refusals() {
    each_server(|server| async move {
        let run_id = server.run().await;
        for key in ["a", "b"] {
            for step in 0..3 {
                let metric = json!({"run_id": run_id, "key": key, "value": 1, "timestamp": 1, "step": step});
                server.post("/runs/log-metric", &metric).await;
            }
        }
        let get = async |query: &str| {
            server.get(&format!("/metrics/get-history?run_id={run_id}{query}")).await.to_string()
        };
        let token =
            server.get(&format!("/metrics/get-history?run_id={run_id}&metric_key=a&max_results=1")).await;
        let token = token.text("/next_page_token");
        let all = [
            get("").await,
            get("&metric_key=nope").await,
            get("&metric_key=a&max_results=0").await,
            get("&metric_key=a&page_token=%3F").await,
            get(&format!("&metric_key=b&page_token={token}")).await,
        ];
        allow_duplicates! { assert_snapshot!(all.join("\n"), @r#"
        400 {
          "error_code": "INVALID_PARAMETER_VALUE",
          "message": "Missing value for required parameter 'metric_key'. See the API docs for more information about request parameters."
        }
        200 {}
        400 {
          "error_code": "INVALID_PARAMETER_VALUE",
          "message": "Invalid value 0 for parameter 'max_results' supplied. It must be a positive integer."
        }
        400 {
          "error_code": "INVALID_PARAMETER_VALUE",
          "message": "Invalid page token, could not base64-decode"
        }
        400 {
          "error_code": "INVALID_PARAMETER_VALUE",
          "message": "Invalid page token, it belongs to another query; send the query that it came with"
        }
        "#) }
        server
    })
    .await;
}
