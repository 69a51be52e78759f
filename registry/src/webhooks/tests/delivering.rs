//! How deliveries end: with good receivers and bad ones.

use super::{
    create_model, done, each_delivering, history, mlflow,
    receivers::{Receiver, Reply},
    settings, settled, subscribe, subscribe_with,
};
use crate::webhooks::{Settings, types::DeliveryState};
use http::StatusCode;
use serde_json::json;
use std::{sync::Arc, time::Duration};
use tokio::sync::Notify;

const CREATED: &[&str] = &["registered_model.created"];

#[tokio::test]
async fn a_delivery_has_mlflows_headers_and_is_on_record() {
    each_delivering(settings(), |registry| async move {
        let receiver = Receiver::good().await;
        let id = subscribe_with(&registry, &receiver, CREATED, json!({"secret": "hush-hush"})).await;
        create_model(&registry, "iris").await;
        let seen = receiver.wait(1).await.remove(0);
        assert!(seen.head.starts_with("POST /hook?token=1 HTTP/1.1\r\n"), "{}", seen.head);
        assert_eq!(seen.headers["content-type"], "application/json");
        assert!(seen.headers["x-mlflow-signature"].starts_with("v1,"));
        assert!(seen.headers["x-mlflow-timestamp"].parse::<i64>().unwrap() > 1_700_000_000);
        let delivery = settled(&registry, &id, 1, DeliveryState::Delivered).await.remove(0);
        assert_eq!(delivery["delivery_id"], seen.delivery_id());
        assert_eq!((&delivery["attempts"], &delivery["response_status"]), (&json!(1), &json!(200)));
        assert_eq!(delivery["response_body"], "said");
        assert!(delivery["ended_at_ms"].is_i64() && delivery.get("next_attempt_at_ms").is_none());
        let path = format!("/api/v1/webhook-deliveries/{}", seen.delivery_id());
        assert_eq!(registry.call("GET", &path, None).await.1["body"], seen.body.as_str());
        registry
    })
    .await;
}

#[tokio::test]
async fn what_fails_for_a_while_is_sent_again_as_the_same() {
    each_delivering(settings(), |registry| async move {
        let receiver = Receiver::start(|n| Reply::Status([503, 429, 204][n.min(2)])).await;
        let id = subscribe(&registry, &receiver, CREATED).await;
        create_model(&registry, "iris").await;
        let seen = receiver.wait(3).await;
        assert!(seen.iter().all(|s| s.delivery_id() == seen[0].delivery_id() && s.body == seen[0].body));
        let delivery = settled(&registry, &id, 1, DeliveryState::Delivered).await.remove(0);
        assert_eq!((&delivery["attempts"], &delivery["response_status"]), (&json!(3), &json!(204)));
        assert!(!seen[0].headers.contains_key("x-mlflow-signature"), "nobody gave a secret");
        registry
    })
    .await;
}

#[tokio::test]
async fn what_was_given_up_can_be_replayed() {
    let settings = Settings { max_retries: 1, ..settings() };
    each_delivering(settings, |registry| async move {
        let receiver = Receiver::start(|n| Reply::Status([500, 500, 404, 200][n.min(3)])).await;
        let id = subscribe(&registry, &receiver, CREATED).await;
        create_model(&registry, "iris").await;
        let old = settled(&registry, &id, 1, DeliveryState::Failed).await.remove(0);
        assert_eq!((&old["attempts"], &old["response_status"]), (&json!(2), &json!(500)));
        let path = format!("/api/v1/webhook-deliveries/{}/replays", old["delivery_id"].as_str().unwrap());
        let key = [("idempotency-key", "once")];
        let (status, first) = registry.call_with("POST", &path, None, &key).await;
        let (_, again) = registry.call_with("POST", &path, None, &key).await;
        assert_eq!((status, &first["delivery_id"]), (StatusCode::CREATED, &again["delivery_id"]));
        assert_eq!((&first["replay_of"], &first["state"]), (&old["delivery_id"], &json!("pending")));
        settled(&registry, &id, 2, DeliveryState::Failed).await;
        registry.call("POST", &path, None).await;
        let seen = receiver.wait(4).await;
        assert!(seen.iter().all(|s| s.body == seen[0].body), "a replay tells what was told");
        let ids: std::collections::HashSet<_> = seen.iter().map(|s| s.delivery_id()).collect();
        assert_eq!(ids.len(), 3, "the retry shares its id, each replay has its own");
        let (status, missing) =
            registry.call("POST", "/api/v1/webhook-deliveries/nobody/replays", None).await;
        assert_eq!((status, &missing["code"]), (StatusCode::NOT_FOUND, &json!("WEBHOOK_DELIVERY_NOT_FOUND")));
        registry
    })
    .await;
}

#[tokio::test]
async fn redirects_are_not_followed() {
    each_delivering(settings(), |registry| async move {
        let inner = Receiver::good().await;
        let location = inner.url.clone();
        let answer = move |_| {
            Reply::Raw(format!("HTTP/1.1 307 X\r\nlocation: {location}\r\ncontent-length: 0\r\n\r\n"))
        };
        let receiver = Receiver::start(answer).await;
        let id = subscribe(&registry, &receiver, CREATED).await;
        create_model(&registry, "iris").await;
        let delivery = settled(&registry, &id, 1, DeliveryState::Failed).await.remove(0);
        assert_eq!(delivery["response_status"], 307);
        assert_eq!(delivery["error"], "redirects are not followed");
        let tried = done(&registry, "POST", &format!("webhooks/{id}/test"), json!({})).await;
        assert_eq!(tried["result"]["success"], false);
        assert_eq!(tried["result"]["response_status"], 307);
        assert!(inner.seen().is_empty());
        registry
    })
    .await;
}

#[tokio::test]
async fn a_slow_receiver_holds_up_nobody_else() {
    each_delivering(settings(), |registry| async move {
        let gate = Arc::new(Notify::new());
        let held = Arc::clone(&gate);
        let slow = Receiver::start(move |_| Reply::After(Arc::clone(&held), 200)).await;
        let good = Receiver::good().await;
        let slow_id = subscribe(&registry, &slow, CREATED).await;
        subscribe(&registry, &good, CREATED).await;
        for n in 0..12 {
            create_model(&registry, &format!("model-{n}")).await;
        }
        good.wait(12).await;
        let waiting = history(&registry, &slow_id).await;
        assert!(waiting.iter().all(|delivery| delivery["state"] == "pending"), "{waiting:#?}");
        assert!(slow.seen().len() <= 4, "a receiver has its own few places");
        done(&registry, "DELETE", &format!("webhooks/{slow_id}"), json!({})).await;
        gate.notify_waiters();
        registry
    })
    .await;
}

#[tokio::test]
async fn who_does_not_answer_is_given_up() {
    let settings = Settings { max_retries: 0, timeout: Duration::from_millis(300), ..settings() };
    each_delivering(settings, |registry| async move {
        let hanging = Receiver::start(|_| Reply::Hang).await;
        let id = subscribe(&registry, &hanging, CREATED).await;
        create_model(&registry, "iris").await;
        let delivery = settled(&registry, &id, 1, DeliveryState::Failed).await.remove(0);
        assert_eq!(delivery["error"], "no answer from 127.0.0.1 within 300 ms");
        let tried = done(&registry, "POST", &format!("webhooks/{id}/test"), json!({})).await;
        let expected = "Failed to test webhook: no answer from 127.0.0.1 within 300 ms";
        assert_eq!(tried["result"], json!({"success": false, "error_message": expected}));
        registry
    })
    .await;
}

#[tokio::test]
async fn an_answer_without_end_or_sense_is_bounded() {
    let settings = Settings { max_retries: 0, ..settings() };
    each_delivering(settings, |registry| async move {
        let endless = Receiver::start(|_| Reply::Endless).await;
        let id = subscribe(&registry, &endless, CREATED).await;
        let nonsense = Receiver::start(|_| Reply::Raw("SSH-2.0-x\r\n".to_owned())).await;
        let nonsense_id = subscribe(&registry, &nonsense, CREATED).await;
        let nul =
            Receiver::start(|_| Reply::Raw("HTTP/1.1 200 X\r\ncontent-length: 3\r\n\r\na\0b".into())).await;
        let nul_id = subscribe(&registry, &nul, CREATED).await;
        create_model(&registry, "iris").await;
        let delivery = settled(&registry, &id, 1, DeliveryState::Delivered).await.remove(0);
        assert_eq!(delivery["response_body"].as_str().unwrap().len(), 1_000);
        let delivery = settled(&registry, &nonsense_id, 1, DeliveryState::Failed).await.remove(0);
        assert!(delivery["error"].as_str().unwrap().contains("did not answer in HTTP"), "{delivery}");
        let delivery = settled(&registry, &nul_id, 1, DeliveryState::Delivered).await.remove(0);
        assert_eq!(delivery["response_body"], "a\u{fffd}b");
        let tried = done(&registry, "POST", &format!("webhooks/{id}/test"), json!({})).await;
        assert_eq!(tried["result"]["response_body"].as_str().unwrap().len(), 16 << 10);
        registry
    })
    .await;
}

#[tokio::test]
async fn a_disabled_or_deleted_webhook_is_told_nothing_more() {
    each_delivering(settings(), |registry| async move {
        let receiver = Receiver::start(|_| Reply::Status(500)).await;
        let id = subscribe(&registry, &receiver, CREATED).await;
        create_model(&registry, "a").await;
        receiver.wait(1).await;
        let path = format!("webhooks/{id}");
        done(&registry, "PATCH", &path, json!({"status": "DISABLED"})).await;
        create_model(&registry, "b").await;
        let delivery = settled(&registry, &id, 1, DeliveryState::Cancelled).await.remove(0);
        let replay =
            format!("/api/v1/webhook-deliveries/{}/replays", delivery["delivery_id"].as_str().unwrap());
        let (status, refused) = registry.call("POST", &replay, None).await;
        assert_eq!((status, &refused["code"]), (StatusCode::CONFLICT, &json!("WEBHOOK_DISABLED")));
        done(&registry, "DELETE", &path, json!({})).await;
        for (method, path) in [
            ("GET", path.clone()),
            ("PATCH", path.clone()),
            ("DELETE", path.clone()),
            ("POST", path + "/test"),
        ] {
            let (status, answer) = mlflow(&registry, method, &path, json!({})).await;
            assert_eq!(status, StatusCode::NOT_FOUND, "{method} {path}: {answer}");
            assert_eq!(answer["message"], format!("Webhook with ID {id} not found."));
        }
        let (status, _) = registry.call("GET", &format!("/api/v1/webhooks/{id}/deliveries"), None).await;
        assert_eq!(status, StatusCode::NOT_FOUND);
        assert_eq!(registry.call("POST", &replay, None).await.0, StatusCode::NOT_FOUND);
        registry
    })
    .await;
}

#[tokio::test]
async fn secrets_are_told_to_nobody() {
    each_delivering(settings(), |registry| async move {
        let receiver = Receiver::good().await;
        let id = subscribe_with(&registry, &receiver, CREATED, json!({"secret": "hush-hush"})).await;
        done(&registry, "PATCH", &format!("webhooks/{id}"), json!({"secret": "hush-hush-2"})).await;
        create_model(&registry, "iris").await;
        settled(&registry, &id, 1, DeliveryState::Delivered).await;
        let mut conn = registry.app().db.read().await.unwrap();
        let stored = crate::webhooks::store::webhooks::find(&mut conn, &id);
        let stored = format!("{:?}", stored.await.unwrap().unwrap());
        assert!(stored.contains("sealed_secret: Some(\"v1:"), "{stored}");
        let mut told = stored;
        for path in ["/api/2.0/mlflow/webhooks", "/api/v1/webhooks", "/api/v1/audit"] {
            told += &registry.call("GET", path, None).await.1.to_string();
        }
        assert!(told.contains("webhook.created") && told.contains("webhook.updated"), "{told}");
        assert!(!told.contains("hush"), "{told}");
        done(&registry, "PATCH", &format!("webhooks/{id}"), json!({"secret": ""})).await;
        create_model(&registry, "other").await;
        let seen = receiver.wait(2).await;
        let signed = seen.iter().filter(|seen| seen.headers.contains_key("x-mlflow-signature")).count();
        assert_eq!(signed, 1, "an empty secret takes it away");
        registry
    })
    .await;
}
