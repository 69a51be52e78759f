//! Webhooks over a whole registry and real connections, on both engines.

mod connecting;
mod delivering;
mod receivers;
mod sharing;
mod telling;
mod upkeep;

use super::{Settings, types::DeliveryState};
use crate::{db::testing::each_engine, testing::TestRegistry};
use http::StatusCode;
use receivers::Receiver;
use serde_json::{Value, json};
use std::time::Duration;

/// Receivers in tests are on loopback.
fn settings() -> Settings {
    Settings { allow: vec!["127.0.0.0/8".parse().unwrap()], timeout: Duration::from_secs(20), max_retries: 3 }
}

/// Runs `test` on a fresh registry that delivers, once per database engine.
async fn each_delivering<F, Fut>(settings: Settings, test: F)
where
    F: Fn(TestRegistry) -> Fut,
    Fut: Future<Output = TestRegistry>,
{
    each_engine(|url| async {
        let registry = TestRegistry::open_with(url, settings.clone()).await;
        registry.registry.start_duties();
        test(registry).await.registry.close().await;
    })
    .await;
}

/// Subscribes `receiver` to `events`, written as `entity.action`; the webhook's id.
async fn subscribe(registry: &TestRegistry, receiver: &Receiver, events: &[&str]) -> String {
    subscribe_with(registry, receiver, events, json!({})).await
}

async fn subscribe_with(
    registry: &TestRegistry,
    receiver: &Receiver,
    events: &[&str],
    more: Value,
) -> String {
    let events: Vec<Value> = events
        .iter()
        .map(|event| {
            let (entity, action) = event.split_once('.').unwrap();
            json!({"entity": entity.to_uppercase(), "action": action.to_uppercase()})
        })
        .collect();
    let mut body = json!({"name": "hook", "url": receiver.url, "events": events});
    body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    let (status, answer) = mlflow(registry, "POST", "webhooks", body).await;
    assert_eq!(status, StatusCode::OK, "{answer}");
    answer["webhook"]["webhook_id"].as_str().unwrap().to_owned()
}

async fn mlflow(registry: &TestRegistry, method: &str, path: &str, body: Value) -> (StatusCode, Value) {
    registry.call(method, &format!("/api/2.0/mlflow/{path}"), Some(body)).await
}

/// An MLflow call that must succeed.
async fn done(registry: &TestRegistry, method: &str, path: &str, body: Value) -> Value {
    let (status, answer) = mlflow(registry, method, path, body).await;
    assert_eq!(status, StatusCode::OK, "{method} {path}: {answer}");
    answer
}

async fn create_model(registry: &TestRegistry, name: &str) {
    done(registry, "POST", "registered-models/create", json!({"name": name})).await;
}

/// Deliveries of a webhook as the native API tells them, newest first.
async fn history(registry: &TestRegistry, webhook_id: &str) -> Vec<Value> {
    let path = format!("/api/v1/webhooks/{webhook_id}/deliveries");
    let (status, answer) = registry.call("GET", &path, None).await;
    assert_eq!(status, StatusCode::OK, "{answer}");
    answer["deliveries"].as_array().unwrap().clone()
}

/// The history once it has `count` deliveries and all of them are in `state`.
async fn settled(
    registry: &TestRegistry,
    webhook_id: &str,
    count: usize,
    state: DeliveryState,
) -> Vec<Value> {
    let all = async {
        loop {
            let found = history(registry, webhook_id).await;
            if found.len() == count && found.iter().all(|delivery| delivery["state"] == state.name()) {
                return found;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    if let Ok(found) = tokio::time::timeout(Duration::from_secs(30), all).await {
        return found;
    }
    panic!("not {count} {}: {:#?}", state.name(), history(registry, webhook_id).await)
}
