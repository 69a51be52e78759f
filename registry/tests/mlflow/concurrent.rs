//! Many clients at once.

use crate::support::each_server;
use futures::future::join_all;
use serde_json::json;

#[tokio::test]
async fn one_of_many_creates_the_experiment() {
    each_server(|server| async move {
        let body = json!({"name": "iris"});
        let answers = join_all((0..8).map(|_| server.post("/experiments/create", &body))).await;
        let made = answers.iter().filter(|answer| answer.status == 200).count();
        assert_eq!(made, 1);
        for answer in answers.iter().filter(|answer| answer.status != 200) {
            assert_eq!(answer.text("/error_code"), "RESOURCE_ALREADY_EXISTS");
        }
        server
    })
    .await;
}

#[tokio::test]
async fn one_value_of_a_param_wins() {
    each_server(|server| async move {
        let run_id = server.run().await;
        let bodies: Vec<_> =
            (0..8).map(|i| json!({"run_id": run_id, "key": "depth", "value": i.to_string()})).collect();
        let answers = join_all(bodies.iter().map(|body| server.post("/runs/log-parameter", body))).await;
        let winners: Vec<usize> = (0..8).filter(|i| answers[*i].status == 200).collect();
        assert_eq!(winners.len(), 1);
        let run = server.get(&format!("/runs/get?run_id={run_id}")).await;
        assert_eq!(run.text("/run/data/params/0/value"), winners[0].to_string());
        server
    })
    .await;
}

#[tokio::test]
async fn batches_on_the_same_metrics_do_not_lose_any() {
    each_server(|server| async move {
        let run_id = server.run().await;
        let batches: Vec<_> = (0..8_i64)
            .map(|step| {
                let metrics: Vec<_> = (0..50_i64)
                    .map(|i| json!({"key": format!("m{}", (i * (step + 1)) % 50), "value": step, "timestamp": 1, "step": step}))
                    .collect();
                json!({"run_id": run_id, "metrics": metrics})
            })
            .collect();
        let answers = join_all(batches.iter().map(|body| server.post("/runs/log-batch", body))).await;
        assert!(answers.iter().all(|answer| answer.status == 200), "{answers:?}");
        let run = server.get(&format!("/runs/get?run_id={run_id}")).await;
        let latest = run.body["run"]["data"]["metrics"].as_array().unwrap().clone();
        let of_m0 = latest.iter().find(|m| m["key"] == "m0").unwrap();
        assert_eq!(of_m0["step"], 7);
        let history = server.get(&format!("/metrics/get-history?run_id={run_id}&metric_key=m0")).await;
        assert_eq!(history.body["metrics"].as_array().unwrap().len(), 8);
        server
    })
    .await;
}
