//! Several servers on one database, and one that dies.

use super::{
    create_model, history, mlflow,
    receivers::{Receiver, Reply},
    settings, settled, subscribe, subscribe_with,
};
use crate::{
    db::testing::each_engine,
    leases::store as leases,
    testing::TestRegistry,
    webhooks::{Settings, types::DeliveryState},
};
use serde_json::json;
use std::{collections::HashSet, sync::Arc};
use tokio::sync::Notify;
use waybill_proof::keys::FileKey;

const CREATED: &[&str] = &["registered_model.created"];
const DUTY: &str = "duty:webhooks";

#[tokio::test]
async fn replicas_share_the_duty() {
    each_engine(|url| async move {
        let one = TestRegistry::open_with(url, settings()).await;
        let two = one.again(|_| {}).await;
        one.registry.start_duties();
        two.registry.start_duties();
        let receiver = Receiver::good().await;
        let id = subscribe(&one, &receiver, CREATED).await;
        for n in 0..20 {
            create_model(if n % 2 == 0 { &one } else { &two }, &format!("model-{n}")).await;
        }
        settled(&two, &id, 20, DeliveryState::Delivered).await;
        let ids: HashSet<String> = receiver.seen().iter().map(|seen| seen.delivery_id().to_owned()).collect();
        assert_eq!((ids.len(), receiver.seen().len()), (20, 20), "each was delivered once");
        // The one that delivers may be either: when it leaves, the other takes over at once.
        one.registry.close().await;
        create_model(&two, "later").await;
        receiver.wait(21).await;
        two.registry.close().await;
    })
    .await;
}

#[tokio::test]
async fn what_a_dead_server_left_is_delivered_by_the_next_under_the_same_id() {
    each_engine(|url| async move {
        let dying = TestRegistry::open_with(url, settings()).await;
        let receiver = Receiver::start(|n| if n == 0 { Reply::Hang } else { Reply::Status(200) }).await;
        let id = subscribe(&dying, &receiver, CREATED).await;
        let duty = tokio::spawn(crate::webhooks::run(dying.app().clone()));
        create_model(&dying, "iris").await;
        receiver.wait(1).await;
        duty.abort();
        assert!(duty.await.unwrap_err().is_cancelled());
        assert_eq!(history(&dying, &id).await[0]["attempts"], 0);
        let next = dying.again(|_| {}).await;
        next.registry.start_duties();
        let seen = receiver.wait(2).await;
        assert_eq!(seen[0].delivery_id(), seen[1].delivery_id());
        assert_eq!(seen[0].body, seen[1].body);
        settled(&next, &id, 1, DeliveryState::Delivered).await;
        next.registry.close().await;
        dying.registry.close().await;
    })
    .await;
}

#[tokio::test]
async fn without_the_key_of_its_secret_nothing_is_sent() {
    each_engine(|url| async move {
        let settings = Settings { max_retries: 0, ..settings() };
        let one = TestRegistry::open_with(url, settings).await;
        let receiver = Receiver::good().await;
        let id = subscribe_with(&one, &receiver, CREATED, json!({"secret": "hush"})).await;
        // The same data, and a key that was made anew.
        let folder = tempfile::tempdir().unwrap();
        let other = one
            .again(|config| {
                let artifacts = config.data_dir.join("artifacts");
                config.artifacts_url = Some(format!("file://{}", artifacts.display()));
                config.data_dir = folder.path().to_owned();
                FileKey::load_or_generate(&config.key_path()).unwrap();
            })
            .await;
        other.registry.start_duties();
        create_model(&other, "iris").await;
        let delivery = settled(&other, &id, 1, DeliveryState::Failed).await.remove(0);
        let error = delivery["error"].as_str().unwrap();
        assert!(error.contains("encrypted with another registry key"), "{error}");
        let tried = mlflow(&other, "POST", &format!("webhooks/{id}/test"), json!({})).await.1;
        assert!(
            tried["result"]["error_message"].as_str().unwrap().contains("another registry key"),
            "{tried}"
        );
        assert!(receiver.seen().is_empty());
        other.registry.close().await;
        one.registry.close().await;
    })
    .await;
}

#[tokio::test]
async fn a_holder_whose_lease_was_taken_over_records_nothing() {
    each_engine(|url| async move {
        let away = TestRegistry::open_with(url, settings()).await;
        let gate = Arc::new(Notify::new());
        let held = Arc::clone(&gate);
        let receiver = Receiver::start(move |_| Reply::After(Arc::clone(&held), 200)).await;
        let id = subscribe(&away, &receiver, CREATED).await;
        away.registry.start_duties();
        create_model(&away, "iris").await;
        receiver.wait(1).await;
        // As if this server had been away for longer than its lease.
        let taken = away.app().db.write((), |tx, ()| {
            Box::pin(async move {
                let now_ms = tx.now_ms().await?;
                leases::acquire(tx, DUTY, "another", now_ms + 60_000, 60_000).await
            })
        });
        assert!(taken.await.unwrap().unwrap().fence > 1);
        gate.notify_one();
        // Waits for the attempt, which got a good answer.
        away.registry.close().await;
        let next = away.again(|_| {}).await;
        let delivery = history(&next, &id).await.remove(0);
        assert_eq!((&delivery["state"], &delivery["attempts"]), (&json!("pending"), &json!(0)));
        next.registry.close().await;
    })
    .await;
}
